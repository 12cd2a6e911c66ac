//! A decoded image: interleaved samples of one type, and how they become numbers in 0..1 with the wanted number of channels.

use image::metadata::Orientation;

use crate::kernel::simd::{Job, vectorized};

/// A decoded image, `[H, W, C]` interleaved. Two or four channels: the last one is alpha (gray or color comes first).
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// C.
    pub channels: usize,
    /// `H * W * C` samples.
    pub pixels: Pixels,
}

/// The samples of a [`Picture`].
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// 0..=255 stands for 0..1.
    U8(Vec<u8>),
    /// 0..=65535 stands for 0..1.
    U16(Vec<u16>),
    /// Already 0..1: the decoder applied the stored or measured range.
    F32(Vec<f32>),
}

/// An image of numbers in 0..1, `[H, W, C]` interleaved.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitImage {
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// C.
    pub channels: usize,
    /// `H * W * C` numbers.
    pub pixels: Vec<f32>,
}

impl Picture {
    /// A picture of these samples. Fails with a reason when their number is not `height * width * channels`, or is zero.
    pub fn new(height: usize, width: usize, channels: usize, pixels: Pixels) -> Result<Self, String> {
        let wanted = height.checked_mul(width).and_then(|count| count.checked_mul(channels));
        if wanted != Some(pixels.len()) || pixels.len() == 0 {
            return Err(format!("{} samples do not make an image of {width}×{height} pixels and {channels} channels", pixels.len()));
        }
        Ok(Self { height, width, channels, pixels })
    }

    /// The numbers in 0..1 with `channels` channels `[H, W, channels]`: alpha is composited over mid gray unless four channels are
    /// wanted, gray is replicated, color becomes gray by Rec. 601. Fails with a reason when there is no such rule (5 channels to 3).
    pub fn to_unit(&self, channels: usize) -> Result<UnitImage, String> {
        let mut pixels = vec![0.0; self.height * self.width * channels];
        self.write_unit(channels, &mut pixels)?;
        Ok(UnitImage { height: self.height, width: self.width, channels, pixels })
    }

    /// Like [`Picture::to_unit`], then normalized by each channel's `mean` and `std`, into `out` `[H, W, channels]`.
    pub fn write_normalized(&self, channels: usize, mean: &[f32], std: &[f32], out: &mut [f32]) -> Result<(), String> {
        if mean.len() != channels || std.len() != channels {
            return Err(format!("normalization has {} means and {} deviations for {channels} channels", mean.len(), std.len()));
        }
        if let (Pixels::U8(samples), true) = (&self.pixels, self.channels == channels) {
            vectorized(NormalizeBytes { samples, mean, std, out });
            return Ok(());
        }
        self.write_unit(channels, out)?;
        for pixel in out.chunks_exact_mut(channels) {
            for ((value, mean), std) in pixel.iter_mut().zip(mean).zip(std) {
                *value = (*value - mean) / std;
            }
        }
        Ok(())
    }

    /// Fails with a reason where there is no rule by which the picture gets `channels` channels.
    pub fn check_channels(&self, channels: usize) -> Result<(), String> {
        if self.channels == channels || matches!((self.channels, channels), (1, 3 | 4) | (2, 1 | 3 | 4) | (3, 1 | 4) | (4, 1 | 3)) {
            return Ok(());
        }
        Err(format!("the image has {} channels where {channels} are wanted", self.channels))
    }

    /// The number of bits of a sample: 8, 16 or 32.
    pub fn bit_depth(&self) -> u32 {
        match self.pixels {
            Pixels::U8(_) => 8,
            Pixels::U16(_) => 16,
            Pixels::F32(_) => 32,
        }
    }

    /// The memory its samples take.
    pub fn num_bytes(&self) -> usize {
        self.pixels.len() * self.bit_depth() as usize / 8
    }

    /// The picture the right way up.
    pub fn oriented(self, orientation: Orientation) -> Self {
        use Orientation as O;
        if orientation == O::NoTransforms {
            return self;
        }
        let swapped = matches!(orientation, O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH);
        let (height, width) = if swapped { (self.width, self.height) } else { (self.height, self.width) };
        // Where pixel (row, column) of the result comes from, as (row, column) of the stored image.
        let (last_row, last_column) = (self.height - 1, self.width - 1);
        let from = move |row: usize, column: usize| match orientation {
            O::NoTransforms => (row, column),
            O::FlipHorizontal => (row, last_column - column),
            O::Rotate180 => (last_row - row, last_column - column),
            O::FlipVertical => (last_row - row, column),
            O::Rotate90 => (last_row - column, row),
            O::Rotate270 => (column, last_column - row),
            O::Rotate90FlipH => (column, row),
            O::Rotate270FlipH => (last_row - column, last_column - row),
        };
        let (stored_width, channels) = (self.width, self.channels);
        let pixels = match &self.pixels {
            Pixels::U8(samples) => Pixels::U8(moved(samples, height, width, channels, stored_width, from)),
            Pixels::U16(samples) => Pixels::U16(moved(samples, height, width, channels, stored_width, from)),
            Pixels::F32(samples) => Pixels::F32(moved(samples, height, width, channels, stored_width, from)),
        };
        Self { height, width, channels, pixels }
    }

    fn write_unit(&self, channels: usize, out: &mut [f32]) -> Result<(), String> {
        self.check_channels(channels)?;
        match &self.pixels {
            Pixels::U8(samples) => convert(samples, self.channels, channels, |value| f32::from(value) / 255.0, out),
            Pixels::U16(samples) => convert(samples, self.channels, channels, |value| f32::from(value) / 65535.0, out),
            Pixels::F32(samples) => convert(samples, self.channels, channels, |value| value, out),
        }
        Ok(())
    }
}

impl Pixels {
    /// The number of samples.
    #[expect(clippy::len_without_is_empty, reason = "a picture is never empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(samples) => samples.len(),
            Self::U16(samples) => samples.len(),
            Self::F32(samples) => samples.len(),
        }
    }
}

fn moved<T: Copy>(
    samples: &[T],
    height: usize,
    width: usize,
    channels: usize,
    stored_width: usize,
    from: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<T> {
    let mut out = Vec::with_capacity(samples.len());
    for row in 0..height {
        for column in 0..width {
            let (stored_row, stored_column) = from(row, column);
            let start = (stored_row * stored_width + stored_column) * channels;
            out.extend_from_slice(&samples[start..start + channels]);
        }
    }
    out
}

/// By the rule that leads from `have` to `want` channels.
fn convert<T: Copy>(samples: &[T], have: usize, want: usize, unit: impl Fn(T) -> f32, out: &mut [f32]) {
    let over_gray = |value: f32, alpha: f32| value * alpha + 0.5 * (1.0 - alpha);
    let gray = |red: f32, green: f32, blue: f32| 0.299 * red + 0.587 * green + 0.114 * blue;
    let pairs = samples.chunks_exact(have).zip(out.chunks_exact_mut(want));
    match (have, want) {
        (have, want) if have == want => out.iter_mut().zip(samples).for_each(|(out, &value)| *out = unit(value)),
        (1, 3) => pairs.for_each(|(pixel, out)| out.fill(unit(pixel[0]))),
        (1, 4) => pairs.for_each(|(pixel, out)| {
            out.fill(unit(pixel[0]));
            out[3] = 1.0;
        }),
        (2, 1 | 3) => pairs.for_each(|(pixel, out)| out.fill(over_gray(unit(pixel[0]), unit(pixel[1])))),
        (2, 4) => pairs.for_each(|(pixel, out)| {
            out.fill(unit(pixel[0]));
            out[3] = unit(pixel[1]);
        }),
        (3, 1) => pairs.for_each(|(pixel, out)| out[0] = gray(unit(pixel[0]), unit(pixel[1]), unit(pixel[2]))),
        (3, 4) => pairs.for_each(|(pixel, out)| {
            out.iter_mut().zip(pixel).for_each(|(out, &value)| *out = unit(value));
            out[3] = 1.0;
        }),
        (4, 1) => pairs.for_each(|(pixel, out)| {
            let color = gray(unit(pixel[0]), unit(pixel[1]), unit(pixel[2]));
            out[0] = over_gray(color, unit(pixel[3]));
        }),
        (4, 3) => pairs.for_each(|(pixel, out)| {
            let alpha = unit(pixel[3]);
            out.iter_mut().zip(pixel).for_each(|(out, &value)| *out = over_gray(unit(value), alpha));
        }),
        _ => {}
    }
}

/// Bytes become numbers, normalized channel by channel.
struct NormalizeBytes<'a> {
    samples: &'a [u8],
    mean: &'a [f32],
    std: &'a [f32],
    out: &'a mut [f32],
}

impl Job for NormalizeBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        /// Pixels at a time: whole vectors of every channel.
        const PIXELS: usize = 16;
        let factor: Vec<f32> = self.std.iter().map(|std| 1.0 / (255.0 * std)).collect();
        let offset: Vec<f32> = self.mean.iter().zip(self.std).map(|(mean, std)| -mean / std).collect();
        let (factor, offset) = (factor.repeat(PIXELS), offset.repeat(PIXELS));
        for (samples, out) in self.samples.chunks(factor.len()).zip(self.out.chunks_mut(factor.len())) {
            for (((out, &sample), factor), offset) in out.iter_mut().zip(samples).zip(&factor).zip(&offset) {
                *out = f32::from(sample) * factor + offset;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_what_is_wanted() {
        let gray = Picture::new(1, 2, 1, Pixels::U8(vec![0, 255])).unwrap();
        assert_eq!(gray.to_unit(3).unwrap().pixels, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let clear = Picture::new(1, 2, 4, Pixels::U8(vec![255, 255, 255, 0, 255, 0, 0, 255])).unwrap();
        assert_eq!(clear.to_unit(3).unwrap().pixels, [0.5, 0.5, 0.5, 1.0, 0.0, 0.0]);
        assert_eq!(clear.to_unit(4).unwrap().pixels, [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let deep = Picture::new(1, 1, 1, Pixels::U16(vec![32768])).unwrap();
        assert!((deep.to_unit(1).unwrap().pixels[0] - 32768.0 / 65535.0).abs() < 1e-7);
        let five = Picture::new(1, 1, 5, Pixels::F32(vec![0.1; 5])).unwrap();
        assert_eq!(five.to_unit(5).unwrap().pixels, [0.1; 5]);
        assert!(five.to_unit(3).unwrap_err().contains("5 channels where 3"));
    }

    #[test]
    fn normalization_agrees_with_its_formula_in_every_type() {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let expected: Vec<f32> = (0..3).map(|c| (0.4 - mean[c]) / std[c]).collect();
        for pixels in [Pixels::U8(vec![102; 3]), Pixels::U16(vec![26214; 3]), Pixels::F32(vec![0.4; 3])] {
            let mut out = [0.0; 3];
            Picture::new(1, 1, 3, pixels).unwrap().write_normalized(3, &mean, &std, &mut out).unwrap();
            assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{out:?} {expected:?}");
        }
    }

    #[test]
    fn orientations_agree_with_the_image_crate() {
        let samples: Vec<u8> = (0..12).collect();
        for code in 1..=8 {
            let orientation = Orientation::from_exif(code).unwrap();
            let mut reference = image::DynamicImage::ImageLuma8(image::GrayImage::from_raw(4, 3, samples.clone()).unwrap());
            reference.apply_orientation(orientation);
            let turned = Picture::new(3, 4, 1, Pixels::U8(samples.clone())).unwrap().oriented(orientation);
            assert_eq!((turned.width as u32, turned.height as u32), (reference.width(), reference.height()));
            assert_eq!(turned.pixels, Pixels::U8(reference.into_bytes()), "orientation {code}");
        }
    }

    #[test]
    fn a_wrong_number_of_samples_is_refused() {
        assert!(Picture::new(2, 2, 3, Pixels::U8(vec![0; 11])).is_err());
        assert!(Picture::new(0, 2, 3, Pixels::U8(vec![])).is_err());
    }
}
