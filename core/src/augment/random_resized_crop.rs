//! The crop of "random resized crop": a random share of the area at a random aspect ratio (Szegedy et al., 2015; torchvision's rule).

use crate::random::Stream;

/// A part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl CropBox {
    /// Whether all of it is in an image of this size.
    pub fn lies_within(&self, height: usize, width: usize) -> bool {
        self.height > 0 && self.width > 0 && self.top + self.height <= height && self.left + self.width <= width
    }
}

/// Draws a part of an image of `height` × `width` pixels: its area is uniform in `scale` times the image's, its width ÷ height log-uniform in
/// `ratio`. After ten draws that do not fit, the largest centered part whose ratio is within `ratio`.
pub fn sample_crop(height: usize, width: usize, scale: [f64; 2], ratio: [f64; 2], stream: &mut Stream) -> CropBox {
    let area = height as f64 * width as f64;
    for _ in 0..10 {
        let target = area * stream.range(scale[0], scale[1]);
        let aspect = stream.range(ratio[0].ln(), ratio[1].ln()).exp();
        let (crop_width, crop_height) = ((target * aspect).sqrt().round() as usize, (target / aspect).sqrt().round() as usize);
        if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
            let top = stream.below(height - crop_height + 1);
            let left = stream.below(width - crop_width + 1);
            return CropBox { top, left, height: crop_height, width: crop_width };
        }
    }
    centered(height, width, ratio)
}

fn centered(height: usize, width: usize, ratio: [f64; 2]) -> CropBox {
    let aspect = width as f64 / height as f64;
    let (crop_height, crop_width) = if aspect < ratio[0] {
        ((width as f64 / ratio[0]).round() as usize, width)
    } else if aspect > ratio[1] {
        (height, (height as f64 * ratio[1]).round() as usize)
    } else {
        (height, width)
    };
    let (crop_height, crop_width) = (crop_height.clamp(1, height.max(1)), crop_width.clamp(1, width.max(1)));
    CropBox {
        top: (height - crop_height.min(height)) / 2,
        left: (width - crop_width.min(width)) / 2,
        height: crop_height,
        width: crop_width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

    #[test]
    fn crops_lie_inside_whatever_the_image() {
        for (index, (height, width)) in [(1, 1), (1, 500), (500, 1), (2, 3), (375, 500), (31, 4000)].into_iter().enumerate() {
            for sample in 0..300 {
                let mut stream = Stream::new(index as u64, 0, sample, Purpose::Crop);
                let crop = sample_crop(height, width, [0.08, 1.0], RATIO, &mut stream);
                assert!(
                    crop.height >= 1 && crop.width >= 1 && crop.top + crop.height <= height && crop.left + crop.width <= width,
                    "{crop:?}"
                );
            }
        }
    }

    #[test]
    fn areas_are_uniform_and_aspects_log_uniform() {
        let n = 20_000;
        let (mut area, mut square, mut log_aspect, mut log_square, mut middle) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for sample in 0..n {
            // An image large enough that nearly nothing is rejected at up to half its area.
            let crop = sample_crop(1000, 1000, [0.2, 0.5], RATIO, &mut Stream::new(3, 0, sample, Purpose::Crop));
            let share = (crop.height * crop.width) as f64 / 1e6;
            let log = (crop.width as f64 / crop.height as f64).ln();
            assert!((0.199..0.501).contains(&share) && log.abs() < (4.0_f64 / 3.0).ln() + 0.005);
            area += share / n as f64;
            square += share * share / n as f64;
            log_aspect += log / n as f64;
            log_square += log * log / n as f64;
            middle += (crop.left as f64 + crop.width as f64 / 2.0) / n as f64;
        }
        assert!((area - 0.35).abs() < 0.003, "{area}");
        assert!((square - area * area - 0.3 * 0.3 / 12.0).abs() < 0.0003);
        assert!(log_aspect.abs() < 0.005);
        let spread = 2.0 * (4.0_f64 / 3.0).ln();
        assert!((log_square - spread * spread / 12.0).abs() < 0.001, "{log_square}");
        assert!((middle - 500.0).abs() < 3.0, "{middle}");
    }

    #[test]
    fn the_way_out_is_the_largest_centered_part() {
        let crop = sample_crop(100, 1000, [1.0, 1.0], RATIO, &mut Stream::new(0, 0, 0, Purpose::Crop));
        assert_eq!(crop, CropBox { top: 0, left: 433, height: 100, width: 133 });
        let crop = sample_crop(1000, 100, [1.0, 1.0], RATIO, &mut Stream::new(0, 0, 0, Purpose::Crop));
        assert_eq!(crop, CropBox { top: 433, left: 0, height: 133, width: 100 });
        let whole = sample_crop(64, 64, [1.0, 1.0], [1.0, 1.0], &mut Stream::new(0, 0, 0, Purpose::Crop));
        assert_eq!(whole, CropBox { top: 0, left: 0, height: 64, width: 64 });
    }
}
