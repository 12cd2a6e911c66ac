//! The patch's own pixels, as they are or normalized patch by patch (He et al., 2021).

use crate::knob::{Default, Knob, Range};
use crate::registry::Entry;

use super::{Output, Target, TargetImage};
use crate::method::masked_batch::ImageShape;

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "pixels",
    summary: "the patch's pixels, raw or normalized patch by patch",
    source: "He et al., Masked Autoencoders Are Scalable Vision Learners, 2021",
    knobs: &[Knob {
        key: "norm_pix",
        doc: "normalize each patch by its own mean and deviation: better features, and pictures that need the original's brightness",
        unit: "",
        range: Range::Bool,
        default: Default::Bool(true),
    }],
    build: |settings| Ok(Box::new(Pixels { norm_pix: settings.get("norm_pix") == Some(&crate::knob::Value::Bool(true)) })),
};

/// Pixels in the network's normalized space.
pub struct Pixels {
    /// Normalize each patch.
    pub norm_pix: bool,
}

impl Target for Pixels {
    fn output(&self, shape: ImageShape) -> Output {
        Output::Values { width: shape.patch_values() }
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let mut rows = image.patches.to_vec();
        if self.norm_pix {
            rows.chunks_exact_mut(image.shape.patch_values()).for_each(norm_pix);
        }
        rows
    }

    fn draw(&self, image: &TargetImage<'_>, predictions: &[f32]) -> Option<Vec<f32>> {
        let mut patches = predictions.to_vec();
        if self.norm_pix {
            let values = image.shape.patch_values();
            for (patch, original) in patches.chunks_exact_mut(values).zip(image.patches.chunks_exact(values)) {
                let (mean, deviation) = patch_statistics(original);
                patch.iter_mut().for_each(|value| *value = *value * deviation + mean);
            }
        }
        Some(patches)
    }

    fn is_pixels(&self) -> bool {
        true
    }

    fn borrows_brightness(&self) -> bool {
        self.norm_pix
    }

    /// A normalized patch of n numbers has mean square 1 - 1/n: what predicting its mean scores.
    fn trivial_loss(&self, shape: ImageShape) -> Option<f64> {
        self.norm_pix.then(|| 1.0 - 1.0 / shape.patch_values() as f64)
    }
}

/// Added to a patch's variance.
const NORM_PIX_EPS: f64 = 1e-6;

/// A patch's mean and the deviation it is divided by: the unbiased variance plus 1e-6, rooted. A patch of one number has variance 0.
pub fn patch_statistics(patch: &[f32]) -> (f32, f32) {
    let count = patch.len() as f64;
    let mean = patch.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let squares: f64 = patch.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
    let variance = squares / (count - 1.0).max(1.0);
    (mean as f32, (variance + NORM_PIX_EPS).sqrt() as f32)
}

/// Normalizes one patch in place (golden vector G2).
fn norm_pix(patch: &mut [f32]) {
    let (mean, deviation) = patch_statistics(patch);
    patch.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(patches: &[f32]) -> TargetImage<'_> {
        let shape = ImageShape { height: 2, width: patches.len() / 2, channels: 1, patch: 2 };
        TargetImage { values: &[], patches, shape, mean: &[], std: &[] }
    }

    #[test]
    fn norm_pix_matches_g2() {
        let rows = Pixels { norm_pix: true }.rows(&image(&[0.0, 1.0, 2.0, 5.0, 3.0, 3.0, 3.0, 3.0]));
        for (have, want) in rows.iter().zip([-0.92582, -0.46291, 0.0, 1.38873, 0.0, 0.0, 0.0, 0.0]) {
            assert!((have - want).abs() < 1e-5, "{rows:?}");
        }
        let zero_loss = f64::from(rows[..4].iter().map(|value| value * value).sum::<f32>() / 4.0);
        assert!((zero_loss - 0.75).abs() < 1e-6, "predicting zero scores 1 - 1/n: {zero_loss}");
        assert_eq!(Pixels { norm_pix: true }.trivial_loss(image(&[0.0; 4]).shape), Some(0.75));
    }

    #[test]
    fn raw_pixels_stay_as_they_are() {
        let patches = [0.25, -1.0, 3.5, 0.0];
        assert_eq!(Pixels { norm_pix: false }.rows(&image(&patches)), patches);
    }

    #[test]
    fn what_was_normalized_is_drawn_as_it_was() {
        let patches = [0.0, 1.0, 2.0, 5.0, 3.0, 3.0, 3.0, 3.0];
        for norm_pix in [false, true] {
            let (target, image) = (Pixels { norm_pix }, image(&patches));
            let drawn = target.draw(&image, &target.rows(&image)).unwrap();
            assert!(drawn.iter().zip(patches).all(|(have, want)| (have - want).abs() < 1e-5), "{drawn:?}");
        }
    }
}
