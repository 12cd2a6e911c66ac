//! From a picture to the network's input: which part is shown, whether it is flipped, and how it is resized.

pub mod blur;
pub mod color_jitter;
pub mod colors;
pub mod fit;
pub mod horizontal_flip;
pub mod multi_crop;
pub mod random_resized_crop;
pub mod resize;

pub use color_jitter::ColorJitter;
pub use colors::Colors;
pub use fit::fit;
pub use multi_crop::ViewOptions;
pub use random_resized_crop::{CropBox, sample_crop};
pub use resize::{Area, Filter, Resizer};

use crate::dataset::Picture;
use crate::random::Stream;

/// What one training sample shows of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The part that is shown, in pixels of the full image.
    pub crop: CropBox,
    /// Whether left and right are swapped.
    pub flip: bool,
}

impl View {
    /// Samples the view of an image of `height` × `width` pixels: the crop first, then the flip, both from the sample's own stream.
    pub fn sample(height: usize, width: usize, scale: [f64; 2], ratio: [f64; 2], flip: f64, stream: &mut Stream) -> Self {
        let crop = sample_crop(height, width, scale, ratio, stream);
        Self { crop, flip: stream.chance(flip) }
    }

    /// By how much the image may be reduced (1, 4 or 8) so that its crop still has at least `height` × `width` pixels. A reduction by 2 is
    /// never asked for: decoding at 1/2 takes longer than decoding whole, which another decoder does.
    pub fn largest_divisor(&self, height: usize, width: usize) -> usize {
        [8, 4].into_iter().find(|divisor| self.crop.height / divisor >= height && self.crop.width / divisor >= width).unwrap_or(1)
    }
}

/// The input of a network for evaluation, `[H, W, C]` normalized: the largest centered part of the target's shape, resized. That is the
/// shorter side resized to the target and the center cropped, in one step.
///
/// # Errors
/// A reason when the picture has no rule for `channels`.
pub fn prepare_eval(
    picture: &Picture,
    height: usize,
    width: usize,
    channels: usize,
    mean: &[f32],
    std: &[f32],
) -> Result<Vec<f32>, String> {
    let scale = (picture.height as f64 / height as f64).min(picture.width as f64 / width as f64);
    let (part_height, part_width) = (height as f64 * scale, width as f64 * scale);
    let area = Area {
        top: (picture.height as f64 - part_height) / 2.0,
        left: (picture.width as f64 - part_width) / 2.0,
        height: part_height,
        width: part_width,
    };
    let resized = Resizer::new().resize(picture, area, height, width, channels)?;
    let mut out = vec![0.0; height * width * channels];
    resized.write_normalized(channels, mean, std, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pixels;

    #[test]
    fn evaluation_shows_the_center() {
        // Columns 0..8, of which the center 2..6 is shown at its own size.
        let samples: Vec<u8> = (0..4 * 8).map(|place| (place % 8 * 10) as u8).collect();
        let picture = Picture::new(4, 8, 1, Pixels::U8(samples)).unwrap();
        let out = prepare_eval(&picture, 4, 4, 1, &[0.0], &[1.0 / 255.0]).unwrap();
        assert_eq!(out.iter().map(|value| value.round()).collect::<Vec<_>>()[..4], [20.0, 30.0, 40.0, 50.0]);
        assert_eq!(prepare_eval(&picture, 6, 3, 3, &[0.5; 3], &[0.5; 3]).unwrap().len(), 6 * 3 * 3);
    }

    #[test]
    fn an_image_is_never_reduced_below_what_its_crop_needs() {
        let view = |height, width| View { crop: CropBox { top: 0, left: 0, height, width }, flip: false };
        assert_eq!(view(224 * 4, 224 * 5).largest_divisor(224, 224), 4);
        assert_eq!(view(224 * 4 - 1, 9000).largest_divisor(224, 224), 1);
        assert_eq!(view(9000, 9000).largest_divisor(224, 224), 8);
        assert_eq!(view(300, 300).largest_divisor(224, 224), 1);
    }
}
