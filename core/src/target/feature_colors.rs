//! Features as colors: the three directions in which the features of one image's patches differ most are its red, green and blue.

use super::Depiction;
use super::principal_components::leading_eigenvectors;
use crate::inspect::picture::Picture;
use crate::method::masked_batch::ImageShape;

/// Where the search for directions starts.
const SEED: u64 = 0;
/// What must be known to read the colors.
const NOTE: &str = "colors are the three directions in which the target's features differ most within the image";
/// Half of the scale: of a direction in which nothing differs.
const MIDDLE: u8 = 128;

/// Predictions and targets, `[N, width]` each, both in the colors of the targets. `None` if there are not as many of one as of the other.
pub(super) fn depict(shape: ImageShape, width: usize, predictions: &[f32], targets: &[f32]) -> Option<Depiction> {
    if targets.is_empty() || targets.len() != shape.num_patches() * width || predictions.len() != targets.len() {
        return None;
    }
    let colors = Colors::new(targets, width);
    let [rows, cols] = shape.grid();
    let [prediction, target] = [predictions, targets].map(|features| {
        let rgb = features.chunks_exact(width).flat_map(|feature| colors.of(feature)).collect();
        Picture { height: rows, width: cols, rgb }.enlarged(shape.patch)
    });
    Some(Depiction { prediction, target, note: NOTE })
}

/// A scale from features to colors.
struct Colors {
    /// `[width]`
    mean: Vec<f64>,
    /// For each color the direction, `[width]`, and the ends of what the targets have along it.
    axes: Vec<(Vec<f64>, [f64; 2])>,
}

impl Colors {
    fn new(targets: &[f32], width: usize) -> Self {
        let count = targets.len() / width;
        let mut mean = vec![0.0; width];
        targets
            .chunks_exact(width)
            .for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) / count as f64));
        let centered: Vec<Vec<f64>> =
            targets.chunks_exact(width).map(|row| row.iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean).collect()).collect();
        // There are fewer patches than numbers in a feature, so directions are sought among the patches.
        let products: Vec<Vec<f64>> = centered.iter().map(|a| centered.iter().map(|b| dot(a, b)).collect()).collect();
        let axis = |shares: Vec<f64>| {
            let mut direction = vec![0.0; width];
            for (row, share) in centered.iter().zip(&shares) {
                direction.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
            }
            // Which end of a direction is bright is a convention: the patch that is farthest out is.
            let along: Vec<f64> = centered.iter().map(|row| dot(row, &direction)).collect();
            let farthest = along.iter().fold(0.0_f64, |farthest, &at| if at.abs() > farthest.abs() { at } else { farthest });
            let sign = if farthest < 0.0 { -1.0 } else { 1.0 };
            direction.iter_mut().for_each(|value| *value *= sign);
            let ends = along.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], at| [low.min(at * sign), high.max(at * sign)]);
            (direction, ends)
        };
        Self { axes: leading_eigenvectors(&products, count.min(3), SEED).into_iter().map(axis).collect(), mean }
    }

    fn of(&self, feature: &[f32]) -> [u8; 3] {
        let centered: Vec<f64> = feature.iter().zip(&self.mean).map(|(&value, mean)| f64::from(value) - mean).collect();
        std::array::from_fn(|color| match self.axes.get(color) {
            // Below, rounding would be blown up to colors.
            Some((direction, [low, high])) if high - low > 1e-9 => {
                ((dot(&centered, direction) - low) / (high - low) * 255.0).clamp(0.0, 255.0).round() as u8
            }
            _ => MIDDLE,
        })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    const SHAPE: ImageShape = ImageShape { height: 16, width: 24, channels: 3, patch: 4 };
    const WIDTH: usize = 40;

    /// Features that differ by the patch's row, much, and by its column, little, along two directions.
    fn features(noise: f64) -> Vec<f32> {
        let mut stream = Stream::new(3, 0, 0, Purpose::Bench);
        let row = |patch: usize| (patch / 6) as f64 - 1.5;
        let col = |patch: usize| (patch % 6) as f64 - 2.5;
        (0..24)
            .flat_map(|patch| (0..WIDTH).map(move |at| if at < 20 { 4.0 * row(patch) } else { 0.5 * col(patch) } + 7.0))
            .map(|value| (value + noise * stream.normal()) as f32)
            .collect()
    }

    #[test]
    fn the_strongest_difference_is_red_the_next_is_green_and_none_is_gray() {
        let features = features(0.0);
        let Depiction { target, prediction, .. } = depict(SHAPE, WIDTH, &features, &features).unwrap();
        assert_eq!((target.height, target.width), (16, 24));
        assert_eq!(prediction, target, "both have the same colors");
        let pixel = |y: usize, x: usize| &target.rgb[(y * 24 + x) * 3..][..3];
        let mut reds = [0, 4, 8, 12].map(|y| pixel(y, 0)[0]);
        let mut greens = [0, 4, 8, 12, 16, 20].map(|x| pixel(0, x)[1]);
        assert!((0..24).all(|x| pixel(5, x)[0] == pixel(5, 0)[0]) && (0..16).all(|y| pixel(y, 9)[1] == pixel(0, 9)[1]));
        reds.sort_unstable();
        greens.sort_unstable();
        assert_eq!((reds, greens), ([0, 85, 170, 255], [0, 51, 102, 153, 204, 255]));
        assert_eq!(pixel(3, 3)[2], MIDDLE);
    }

    #[test]
    fn colors_are_the_targets_own_whatever_is_predicted_and_the_same_each_time() {
        let targets = features(0.3);
        let first = depict(SHAPE, WIDTH, &targets, &targets).unwrap();
        let flat = depict(SHAPE, WIDTH, &vec![0.0; targets.len()], &targets).unwrap();
        assert_eq!(first, depict(SHAPE, WIDTH, &targets, &targets).unwrap());
        assert_eq!(flat.target, first.target);
        assert!(flat.prediction.rgb.chunks_exact(3).all(|pixel| pixel == &flat.prediction.rgb[..3]));
        assert_ne!(flat.prediction, first.prediction);
    }

    #[test]
    fn one_patch_equal_patches_and_wrong_sizes_do_no_harm() {
        let one = ImageShape { height: 4, width: 4, ..SHAPE };
        let gray = depict(one, 5, &[1.0; 5], &[2.0; 5]).unwrap();
        assert!(gray.prediction.rgb.iter().chain(&gray.target.rgb).all(|&byte| byte == MIDDLE));
        let flat = depict(SHAPE, WIDTH, &features(0.0), &vec![1.5; 24 * WIDTH]).unwrap();
        assert!(flat.target.rgb.iter().all(|&byte| byte == MIDDLE));
        assert!(depict(SHAPE, WIDTH, &[], &features(0.0)).is_none() && depict(SHAPE, WIDTH, &[], &[]).is_none());
        depict(SHAPE, WIDTH, &vec![f32::NAN; 24 * WIDTH], &features(0.0)).unwrap();
    }
}
