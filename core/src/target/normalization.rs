//! One network's pixels as another has them.

/// Pixels of one normalization, each a mean and a deviation for every channel, in another. What is not known of a channel changes nothing.
pub fn renormalized(pixels: &[f32], from: (&[f32], &[f32]), to: (&[f32], &[f32])) -> Vec<f32> {
    if from == to {
        return pixels.to_vec();
    }
    let channels = from.0.len().max(to.0.len()).max(1);
    let at = |(mean, std): (&[f32], &[f32]), channel: usize| {
        (mean.get(channel).copied().unwrap_or(0.0), std.get(channel).copied().unwrap_or(1.0))
    };
    let steps: Vec<(f32, f32)> = (0..channels)
        .map(|channel| {
            let ((mean, std), (to_mean, to_std)) = (at(from, channel), at(to, channel));
            (std / to_std, (mean - to_mean) / to_std)
        })
        .collect();
    pixels.iter().zip(steps.iter().cycle()).map(|(&value, (scale, offset))| value * scale + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_mean_the_same_in_either_normalization() {
        let (from, to) = ((&[0.5, 0.2][..], &[0.25, 0.1][..]), (&[0.4, 0.0][..], &[0.2, 1.0][..]));
        // 0.5 and 0.3 of white.
        let pixels = renormalized(&[0.0, 1.0], from, to);
        assert!((pixels[0] - 0.5).abs() < 1e-6 && (pixels[1] - 0.3).abs() < 1e-6, "{pixels:?}");
        let back = renormalized(&pixels, to, from);
        assert!(back[0].abs() < 1e-6 && (back[1] - 1.0).abs() < 1e-6);
    }
}
