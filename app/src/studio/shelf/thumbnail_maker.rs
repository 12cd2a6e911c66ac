//! From any picture to a thumbnail: small, upright, eight bits, and with values that can be seen.

use egui::ColorImage;
use maskroom_core::augment::{Area, Resizer};
use maskroom_core::dataset::decode::{Need, Reduced};
use maskroom_core::dataset::images::ImageSource;

use crate::studio::display::Display;

/// The longer side of a thumbnail, in pixels.
pub(super) const SIDE: usize = 160;

/// A thumbnail before it is a texture.
pub(super) struct Made {
    pub(super) image: ColorImage,
    /// Whether making it took so long that it is worth keeping.
    pub(super) is_worth_keeping: bool,
}

/// Reads and decodes an image, no larger than a thumbnail needs. The error is the reason in plain words.
pub(super) fn make(source: &dyn ImageSource, index: usize, resizer: &mut Resizer) -> Result<Made, String> {
    let decoded = source.picture(index, &|height, width| Need::whole(divisor(height, width)))?;
    let is_worth_keeping = decoded.full_height * decoded.full_width > 4 * SIDE * SIDE;
    Ok(Made { image: shrink(&decoded, resizer)?, is_worth_keeping })
}

fn divisor(height: usize, width: usize) -> usize {
    [8, 4].into_iter().find(|divisor| height.max(width) / divisor >= SIDE).unwrap_or(1)
}

/// Shown as the whole image is shown when it is opened.
fn shrink(decoded: &Reduced, resizer: &mut Resizer) -> Result<ColorImage, String> {
    let picture = &decoded.picture;
    let [width, height] = fitted(decoded.full_width, decoded.full_height);
    // Three channels are asked for, so that what is transparent does not bleed into what is not.
    let wanted = if picture.channels <= 4 { 3 } else { picture.channels };
    let small = resizer.resize(picture, Area::whole(picture), height, width, wanted)?;
    Ok(Display::of(small.channels, small.bit_depth()).render(&small, SIDE)?.image)
}

/// Width and height of the thumbnail of an image; small images stay as they are.
fn fitted(width: usize, height: usize) -> [usize; 2] {
    let scale = (SIDE as f64 / width.max(height).max(1) as f64).min(1.0);
    [width, height].map(|side| ((side as f64 * scale).round() as usize).max(1))
}

#[cfg(test)]
mod tests {
    use maskroom_core::dataset::images::InMemory;
    use maskroom_core::dataset::{Picture, Pixels};

    use super::*;

    fn thumbnail(height: usize, width: usize, channels: usize, pixels: Pixels) -> ColorImage {
        let picture = Picture::new(height, width, channels, pixels).unwrap();
        let source = InMemory { pictures: vec![picture], names: Vec::new() };
        make(&source, 0, &mut Resizer::new()).unwrap().image
    }

    fn bytes(image: &ColorImage) -> Vec<[u8; 4]> {
        image.pixels.iter().map(|pixel| pixel.to_array()).collect()
    }

    #[test]
    fn the_shape_is_kept_and_small_images_stay() {
        let size = |height: usize, width: usize| thumbnail(height, width, 1, Pixels::U8(vec![9; height * width])).size;
        assert_eq!(size(400, 800), [160, 80]);
        assert_eq!(size(3000, 1), [1, 160]);
        assert_eq!(size(32, 20), [20, 32]);
        assert_eq!((divisor(1280, 4), divisor(1279, 4), divisor(639, 9)), (8, 4, 1));
    }

    #[test]
    fn every_number_of_channels_can_be_seen() {
        assert_eq!(bytes(&thumbnail(1, 1, 1, Pixels::U8(vec![7]))), [[7, 7, 7, 255]]);
        assert_eq!(bytes(&thumbnail(1, 1, 2, Pixels::U8(vec![7, 255]))), [[7, 7, 7, 255]]);
        assert_eq!(bytes(&thumbnail(1, 1, 4, Pixels::U8(vec![1, 2, 3, 255]))), [[1, 2, 3, 255]]);
        assert_eq!(bytes(&thumbnail(1, 1, 6, Pixels::U8(vec![1, 2, 3, 4, 5, 6]))), [[1, 2, 3, 255]]);
    }

    #[test]
    fn deep_samples_are_stretched() {
        let ramp: Vec<u16> = (0..100 * 100).map(|place| 1000 + (place % 100) * 4).collect();
        let image = thumbnail(100, 100, 1, Pixels::U16(ramp));
        let row: Vec<u8> = bytes(&image)[..100].iter().map(|pixel| pixel[0]).collect();
        assert!(row[0] == 0 && row[99] == 255 && (120..136).contains(&row[50]), "{row:?}");
        let flat = thumbnail(4, 4, 1, Pixels::U16(vec![65535; 16]));
        assert_eq!(bytes(&flat)[0], [255; 4], "a flat image has nothing to stretch");
        // Each channel has a range of its own when there are many.
        let many: Vec<f32> = (0..50 * 50 * 5).map(|place| 0.1 * (place % 5) as f32 + 0.001 * (place / 5 % 50) as f32).collect();
        let image = bytes(&thumbnail(50, 50, 5, Pixels::F32(many)));
        assert_eq!((image[0], image[49]), ([0, 0, 0, 255], [255; 4]));
    }
}
