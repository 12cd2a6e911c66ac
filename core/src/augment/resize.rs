//! Antialiased resizing of a part of a picture, as Pillow does it: the filter grows with the reduction.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions};

use super::random_resized_crop::CropBox;
use crate::dataset::picture::{Picture, Pixels};

/// A part of a picture, in pixels and fractions of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Upper edge.
    pub top: f64,
    /// Left edge.
    pub left: f64,
    /// Its height.
    pub height: f64,
    /// Its width.
    pub width: f64,
}

impl Area {
    /// All of a picture.
    pub fn whole(picture: &Picture) -> Self {
        Self { top: 0.0, left: 0.0, height: picture.height as f64, width: picture.width as f64 }
    }

    /// The part that `crop` of the full image is of one that was decoded `divisor` times smaller.
    pub fn reduced(crop: CropBox, divisor: usize) -> Self {
        let divisor = divisor as f64;
        Self {
            top: crop.top as f64 / divisor,
            left: crop.left as f64 / divisor,
            height: crop.height as f64 / divisor,
            width: crop.width as f64 / divisor,
        }
    }

    /// The pixels that the resized image may depend on when all of an image of `whole` = (H, W) is there.
    pub fn window(self, whole: (usize, usize), target: (usize, usize)) -> CropBox {
        let area = self.within(whole.0, whole.1);
        let span = |begin: f64, length: f64, whole: usize, target: usize| {
            // The filter reaches two pixels in each direction, or as many as two of the result cover; one more against rounding.
            let reach = 2.0 * (length / target.max(1) as f64).max(1.0) + 1.0;
            let first = (begin - reach).floor().max(0.0) as usize;
            let end = ((begin + length + reach).ceil() as usize).min(whole);
            (first, end - first)
        };
        let (top, height) = span(area.top, area.height, whole.0, target.0);
        let (left, width) = span(area.left, area.width, whole.1, target.1);
        CropBox { top, left, height, width }
    }

    /// The nearest part that lies within an image of this size and is not empty.
    fn within(self, height: usize, width: usize) -> Self {
        let (height, width) = (height as f64, width as f64);
        let (part_height, part_width) = (self.height.clamp(f64::MIN_POSITIVE.max(1e-3), height), self.width.clamp(1e-3, width));
        Self {
            top: self.top.clamp(0.0, height - part_height),
            left: self.left.clamp(0.0, width - part_width),
            height: part_height,
            width: part_width,
        }
    }
}

/// What neighbors count towards a resized pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Cubic, over two pixels in each direction (Catmull-Rom, a = −0.5: Pillow's bicubic).
    #[default]
    Bicubic,
    /// A windowed sinc over three (Pillow's Lanczos). Of whole pictures only: [`Area::window`] is made for the other.
    Lanczos,
}

/// Resizes pictures. Keep one for each thread: it keeps its buffers.
#[derive(Debug, Default)]
pub struct Resizer {
    inner: fast_image_resize::Resizer,
    filter: Filter,
}

impl Resizer {
    /// A bicubic resizer without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One with another filter.
    pub fn with(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// The `area` of a picture at `height` × `width` pixels, with the picture's own channels and type. Where `channels` tells that alpha will
    /// be composited afterwards, colors are weighted by it, so that what is invisible does not bleed in.
    ///
    /// # Errors
    /// A reason when the target is empty or too large.
    pub fn resize(&mut self, picture: &Picture, area: Area, height: usize, width: usize, channels: usize) -> Result<Picture, String> {
        let whole = CropBox { top: 0, left: 0, height: picture.height, width: picture.width };
        self.resize_within(picture, whole, area, (height, width), channels)
    }

    /// Like [`Resizer::resize`], of an area of the part `window` of a picture; nothing outside of it is read.
    ///
    /// # Errors
    /// A reason when the target is empty or too large, or the window not inside the picture.
    pub fn resize_within(
        &mut self,
        picture: &Picture,
        window: CropBox,
        area: Area,
        (height, width): (usize, usize),
        channels: usize,
    ) -> Result<Picture, String> {
        let area = area.within(window.height, window.width);
        let filter = match self.filter {
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(channels != picture.channels).crop(
            area.left,
            area.top,
            area.width,
            area.height,
        );
        let size = Sizes {
            from: side(picture.height, picture.width)?,
            window: (side(window.top, window.left)?, side(window.height, window.width)?),
            to: side(height, width)?,
        };
        let count = height * width * picture.channels;
        let pixels = match &picture.pixels {
            Pixels::U8(samples) => {
                let types = [PixelType::U8, PixelType::U8x2, PixelType::U8x3, PixelType::U8x4];
                Pixels::U8(self.resize_samples(samples, count, picture.channels, types, size, &options)?)
            }
            Pixels::U16(samples) => {
                let types = [PixelType::U16, PixelType::U16x2, PixelType::U16x3, PixelType::U16x4];
                Pixels::U16(self.resize_samples(samples, count, picture.channels, types, size, &options)?)
            }
            Pixels::F32(samples) => {
                let types = [PixelType::F32, PixelType::F32x2, PixelType::F32x3, PixelType::F32x4];
                let mut resized = self.resize_samples(samples, count, picture.channels, types, size, &options)?;
                // The weights overshoot at edges; integers saturate by themselves.
                resized.iter_mut().for_each(|value: &mut f32| *value = value.clamp(0.0, 1.0));
                Pixels::F32(resized)
            }
        };
        Picture::new(height, width, picture.channels, pixels)
    }

    fn resize_samples<T: bytemuck::Pod>(
        &mut self,
        samples: &[T],
        count: usize,
        channels: usize,
        types: [PixelType; 4],
        size: Sizes,
        options: &ResizeOptions,
    ) -> Result<Vec<T>, String> {
        let mut out = vec![T::zeroed(); count];
        if let Some(&pixel_type) = types.get(channels - 1) {
            self.resize_bytes(bytemuck::cast_slice(samples), bytemuck::cast_slice_mut(&mut out), pixel_type, size, options)?;
            return Ok(out);
        }
        let mut plane = vec![T::zeroed(); count / channels];
        for channel in 0..channels {
            let source: Vec<T> = samples.iter().skip(channel).step_by(channels).copied().collect();
            self.resize_bytes(bytemuck::cast_slice(&source), bytemuck::cast_slice_mut(&mut plane), types[0], size, options)?;
            out.iter_mut().skip(channel).step_by(channels).zip(&plane).for_each(|(out, &value)| *out = value);
        }
        Ok(out)
    }

    fn resize_bytes(
        &mut self,
        from: &[u8],
        to: &mut [u8],
        pixel_type: PixelType,
        size: Sizes,
        options: &ResizeOptions,
    ) -> Result<(), String> {
        let from = ImageRef::new(size.from.1, size.from.0, from, pixel_type).map_err(|error| error.to_string())?;
        let ((top, left), (height, width)) = size.window;
        let from = CroppedImage::new(&from, left, top, width, height).map_err(|error| error.to_string())?;
        let mut to = Image::from_slice_u8(size.to.1, size.to.0, to, pixel_type).map_err(|error| error.to_string())?;
        self.inner.resize(&from, &mut to, options).map_err(|error| error.to_string())
    }
}

/// Sizes: height and width each.
#[derive(Clone, Copy)]
struct Sizes {
    from: (u32, u32),
    /// Top and left, height and width.
    window: ((u32, u32), (u32, u32)),
    to: (u32, u32),
}

fn side(height: usize, width: usize) -> Result<(u32, u32), String> {
    let too_large = |_| format!("{width}×{height} pixels are too many");
    Ok((u32::try_from(height).map_err(too_large)?, u32::try_from(width).map_err(too_large)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(height: usize, width: usize, channels: usize) -> Vec<f32> {
        (0..height * width * channels)
            .map(|place| ((place / channels % width) as f32 + 0.5) / width as f32 * 0.5 + (place % channels) as f32 * 0.05 + 0.1)
            .collect()
    }

    #[test]
    fn every_type_and_number_of_channels_shows_the_same_ramp() {
        for channels in [1, 2, 3, 4, 5] {
            let ramp_of = |width| ramp(24, width, channels);
            let pictures = [
                Pixels::F32(ramp_of(64)),
                Pixels::U8(ramp_of(64).iter().map(|value| (value * 255.0).round() as u8).collect()),
                Pixels::U16(ramp_of(64).iter().map(|value| (value * 65535.0).round() as u16).collect()),
            ];
            for pixels in pictures {
                let picture = Picture::new(24, 64, channels, pixels).unwrap();
                let area = Area { top: 3.0, left: 16.0, height: 18.0, width: 32.0 };
                for (height, width) in [(9, 16), (36, 64), (18, 32)] {
                    let unit = Resizer::new().resize(&picture, area, height, width, channels).unwrap().to_unit(channels).unwrap();
                    for (place, value) in unit.pixels.iter().enumerate() {
                        let column = (place / channels % width) as f32;
                        let expected = (16.0 + (column + 0.5) * 32.0 / width as f32) / 64.0 * 0.5 + (place % channels) as f32 * 0.05 + 0.1;
                        let at_edge = column < 3.0 || column > width as f32 - 4.0;
                        assert!(
                            (value - expected).abs() < if at_edge { 0.012 } else { 0.004 },
                            "{channels} {width} {column}: {value} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn reduction_averages_instead_of_skipping() {
        let checkers: Vec<u8> = (0..64 * 64).map(|place| if (place / 64 + place % 64) % 2 == 0 { 0 } else { 255 }).collect();
        let picture = Picture::new(64, 64, 1, Pixels::U8(checkers)).unwrap();
        let small = Resizer::new().resize(&picture, Area::whole(&picture), 8, 8, 1).unwrap();
        assert!(small.to_unit(1).unwrap().pixels.iter().all(|value| (value - 0.5).abs() < 0.02));
    }

    #[test]
    fn invisible_colors_do_not_bleed() {
        // Left half: visible black; right half: invisible white.
        let samples = (0..8 * 8).flat_map(|place| if place % 8 < 4 { [0, 0, 0, 255] } else { [255, 255, 255, 0] }).collect();
        let picture = Picture::new(8, 8, 4, Pixels::U8(samples)).unwrap();
        let small = Resizer::new().resize(&picture, Area::whole(&picture), 1, 1, 3).unwrap().to_unit(3).unwrap();
        // Half black, half mid gray.
        assert!(small.pixels.iter().all(|value| (value - 0.25).abs() < 0.01), "{:?}", small.pixels);
    }

    #[test]
    fn areas_that_stick_out_are_moved_inside() {
        let picture = Picture::new(1, 1, 3, Pixels::U8(vec![9; 3])).unwrap();
        let crop = CropBox { top: 0, left: 5, height: 3, width: 900 };
        let resized = Resizer::new().resize(&picture, Area::reduced(crop, 8), 4, 5, 3).unwrap();
        assert_eq!(resized.pixels, Pixels::U8(vec![9; 60]));
    }
}
