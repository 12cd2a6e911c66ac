//! Gaussian blur: rows first, then columns, with edges repeated.

use crate::kernel::simd::{Job, vectorized};

/// How many deviations of the bell are used on each side.
const REACH: f64 = 3.0;

/// Blurs `pixels` `[H, W, C]` by a Gaussian of `sigma` pixels. Less than a twentieth of a pixel is nothing.
pub fn blur(pixels: &mut [f32], [height, width, channels]: [usize; 3], sigma: f64) {
    if sigma >= 0.05 && !pixels.is_empty() && pixels.len() == height * width * channels {
        vectorized(Blur { pixels, size: [height, width, channels], weights: &bell(sigma) });
    }
}

/// The weights of the neighbors at distance 0, 1, …; all of them, both sides together, sum to one.
fn bell(sigma: f64) -> Vec<f32> {
    let reach = (REACH * sigma).ceil() as usize;
    let at = |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp();
    let total = at(0) + 2.0 * (1..=reach).map(at).sum::<f64>();
    (0..=reach).map(|distance| (at(distance) / total) as f32).collect()
}

struct Blur<'a> {
    pixels: &'a mut [f32],
    size: [usize; 3],
    weights: &'a [f32],
}

impl Job for Blur<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [height, width, channels] = self.size;
        let (row, reach) = (width * channels, self.weights.len() - 1);
        // The row with its first and last pixels repeated, so that every neighbor is at a fixed distance.
        let mut wide = vec![0.0; row + 2 * reach * channels];
        for pixels in self.pixels.chunks_exact_mut(row) {
            let middle = reach * channels;
            wide[middle..middle + row].copy_from_slice(pixels);
            for step in 0..reach {
                wide[step * channels..][..channels].copy_from_slice(&pixels[..channels]);
                wide[middle + row + step * channels..][..channels].copy_from_slice(&pixels[row - channels..]);
            }
            for (out, value) in pixels.iter_mut().zip(&wide[middle..]) {
                *out = self.weights[0] * value;
            }
            for (distance, &weight) in self.weights.iter().enumerate().skip(1) {
                let (left, right) = (&wide[middle - distance * channels..], &wide[middle + distance * channels..]);
                for ((out, left), right) in pixels.iter_mut().zip(left).zip(right) {
                    *out += weight * (left + right);
                }
            }
        }
        let rows = self.pixels.to_vec();
        let row_at = |index: usize| &rows[index * row..][..row];
        for (index, out) in self.pixels.chunks_exact_mut(row).enumerate() {
            for (out, value) in out.iter_mut().zip(row_at(index)) {
                *out = self.weights[0] * value;
            }
            for (distance, &weight) in self.weights.iter().enumerate().skip(1) {
                let (above, below) = (row_at(index.saturating_sub(distance)), row_at((index + distance).min(height - 1)));
                for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
                    *out += weight * (above + below);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_becomes_a_bell_and_nothing_is_lost() {
        let mut pixels = vec![0.0; 31 * 33 * 2];
        pixels[(15 * 33 + 16) * 2 + 1] = 1.0;
        blur(&mut pixels, [31, 33, 2], 1.7);
        assert!(pixels.iter().step_by(2).all(|&value| value == 0.0), "channels do not mix");
        assert!((pixels.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let at = |row: usize, col: usize| f64::from(pixels[(row * 33 + col) * 2 + 1]);
        for (row, col) in [(15, 17), (13, 16), (17, 19)] {
            let squared = (row as f64 - 15.0).powi(2) + (col as f64 - 16.0).powi(2);
            let expected = at(15, 16) * (-0.5 * squared / (1.7 * 1.7)).exp();
            assert!((at(row, col) - expected).abs() < 1e-6, "{row} {col}");
        }
    }

    #[test]
    fn flat_images_stay_and_tiny_ones_are_no_trouble() {
        for [height, width] in [[1, 1], [1, 9], [7, 1], [2, 3], [5, 40]] {
            let mut pixels = vec![0.3; height * width * 3];
            blur(&mut pixels, [height, width, 3], 4.0);
            assert!(pixels.iter().all(|value| (value - 0.3).abs() < 1e-6), "{height}x{width}");
        }
        let mut sharp = [0.0, 1.0, 0.0];
        blur(&mut sharp, [1, 3, 1], 0.01);
        assert_eq!(sharp, [0.0, 1.0, 0.0]);
    }
}
