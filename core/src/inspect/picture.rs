//! RGB pictures put together from images, maps and masks: heat maps, contours, strips and contact sheets, saved as PNG.

use std::io;
use std::path::Path;

use super::colormap::{ColorMap, position};
use crate::error::{Error, Result};
use crate::files::write_atomic_with;

/// An 8-bit RGB picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[H, W, 3]`.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// A picture of one color.
    pub fn filled(height: usize, width: usize, color: [u8; 3]) -> Self {
        Self { height, width, rgb: color.repeat(height * width) }
    }

    /// A picture of given pixels `[H, W, 3]`.
    ///
    /// # Errors
    /// [`Error::Failed`] if they are more or fewer than the size says.
    pub fn from_rgb(height: usize, width: usize, rgb: Vec<u8>) -> Result<Self> {
        if height.checked_mul(width).and_then(|pixels| pixels.checked_mul(3)) == Some(rgb.len()) {
            return Ok(Self { height, width, rgb });
        }
        Err(Error::Failed(format!("{} bytes are not an RGB picture of {height}x{width} pixels", rgb.len())))
    }

    /// A map `[H, W]` in colors; `range` are the values of the scale's ends. Values that are not finite are drawn as gray.
    ///
    /// # Panics
    /// If the map has not `height * width` values.
    pub fn from_map(values: &[f32], height: usize, width: usize, map: ColorMap, range: [f32; 2]) -> Self {
        let mut picture = Self::filled(height, width, [0; 3]);
        picture.overlay_map(values, map, range, 1.0);
        picture
    }

    /// Lays a map `[H, W]` over the picture with an opacity `alpha` in `0..=1`.
    ///
    /// # Panics
    /// If the map has not as many values as the picture has pixels.
    pub fn overlay_map(&mut self, values: &[f32], map: ColorMap, range: [f32; 2], alpha: f32) {
        const UNKNOWN: [u8; 3] = [128; 3];
        assert_eq!(values.len(), self.height * self.width, "a map of {}x{} pixels", self.height, self.width);
        let table = map.table();
        for (pixel, &value) in self.pixels_mut().zip(values) {
            let color = if value.is_finite() { table[(position(value, range) * 255.0).round() as usize] } else { UNKNOWN };
            blend(pixel, color, alpha);
        }
    }

    /// Tints the pixels of a mask `[H, W]`.
    ///
    /// # Panics
    /// As [`Picture::overlay_map`].
    pub fn tint(&mut self, mask: &[bool], color: [u8; 3], alpha: f32) {
        assert_eq!(mask.len(), self.height * self.width, "a mask of {}x{} pixels", self.height, self.width);
        for (pixel, _) in self.pixels_mut().zip(mask).filter(|(_, inside)| **inside) {
            blend(pixel, color, alpha);
        }
    }

    /// Draws the outline of a mask `[H, W]` along the inside of its edge, `thickness` pixels wide.
    ///
    /// # Panics
    /// As [`Picture::overlay_map`].
    pub fn contour(&mut self, mask: &[bool], color: [u8; 3], thickness: usize) {
        assert_eq!(mask.len(), self.height * self.width, "a mask of {}x{} pixels", self.height, self.width);
        let mut inner = mask.to_vec();
        for _ in 0..thickness {
            inner = eroded(&inner, self.height, self.width);
        }
        let outline: Vec<bool> = mask.iter().zip(&inner).map(|(&outer, &inner)| outer && !inner).collect();
        self.tint(&outline, color, 1.0);
    }

    /// Copies a picture into this one; what falls outside is cut off.
    pub fn paste(&mut self, picture: &Self, top: usize, left: usize) {
        let width = picture.width.min(self.width.saturating_sub(left));
        if width == 0 {
            return;
        }
        for row in 0..picture.height.min(self.height.saturating_sub(top)) {
            let from = &picture.rgb[row * picture.width * 3..][..width * 3];
            self.rgb[((top + row) * self.width + left) * 3..][..width * 3].copy_from_slice(from);
        }
    }

    /// The picture `factor` times as large, pixels repeated: for patch grids.
    pub fn enlarged(&self, factor: usize) -> Self {
        let mut rgb = Vec::with_capacity(self.rgb.len() * factor * factor);
        for row in self.rgb.chunks_exact((self.width * 3).max(1)) {
            let row: Vec<u8> = row.chunks_exact(3).flat_map(|pixel| pixel.repeat(factor)).collect();
            (0..factor).for_each(|_| rgb.extend_from_slice(&row));
        }
        Self { height: self.height * factor, width: self.width * factor, rgb }
    }

    /// Writes a PNG; the old file stays until the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Failed`] for a picture without pixels.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        if u32::try_from(self.width).is_err() || u32::try_from(self.height).is_err() || self.rgb.is_empty() {
            return Err(Error::Failed(format!("{}: a picture of {}x{} pixels cannot be saved", path.display(), self.height, self.width)));
        }
        write_atomic_with(path, |file| Ok(self.encode(file, None)?))
    }

    /// The bytes of a PNG file; pixels of the color `transparent` let the page show through.
    ///
    /// # Errors
    /// [`Error::Failed`] for a picture without pixels.
    pub fn to_png(&self, transparent: [u8; 3]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes, Some(transparent)).map_err(|error| Error::Failed(format!("a picture cannot be encoded: {error}")))?;
        Ok(bytes)
    }

    /// The bytes of a JPEG file of a quality from 1 to 100.
    ///
    /// # Errors
    /// [`Error::Failed`] for a picture that is empty, or too large for the format.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        let written = encoder.encode(&self.rgb, width, height, image::ExtendedColorType::Rgb8);
        written.map_err(|error| Error::Failed(format!("a picture cannot be encoded: {error}")))?;
        Ok(bytes)
    }

    fn encode(&self, file: &mut dyn io::Write, transparent: Option<[u8; 3]>) -> std::result::Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        if let Some(color) = transparent {
            encoder.set_trns(color.map(|value| [0, value]).concat());
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()
    }

    fn pixels_mut(&mut self) -> impl Iterator<Item = &mut [u8; 3]> {
        self.rgb.as_chunks_mut::<3>().0.iter_mut()
    }
}

/// Pictures side by side, centered in height, `gutter` pixels of background between them.
pub fn strip(pictures: &[Picture], gutter: usize, background: [u8; 3]) -> Picture {
    contact_sheet(pictures, pictures.len(), gutter, background)
}

/// Pictures in rows of `columns`; each is centered in a cell that fits the largest of its column and row, with `gutter` pixels of
/// background between the cells.
pub fn contact_sheet(pictures: &[Picture], columns: usize, gutter: usize, background: [u8; 3]) -> Picture {
    let columns = columns.clamp(1, pictures.len().max(1));
    let largest = |of: &mut dyn Iterator<Item = usize>| of.max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.min(pictures.len()))
        .map(|column| largest(&mut pictures.iter().skip(column).step_by(columns).map(|picture| picture.width)))
        .collect();
    let heights: Vec<usize> = pictures.chunks(columns).map(|row| largest(&mut row.iter().map(|picture| picture.height))).collect();
    let total = |sizes: &[usize]| sizes.iter().sum::<usize>() + gutter * sizes.len().saturating_sub(1);
    let mut sheet = Picture::filled(total(&heights), total(&widths), background);
    let mut top = 0;
    for (row, &height) in pictures.chunks(columns).zip(&heights) {
        let mut left = 0;
        for (picture, &width) in row.iter().zip(&widths) {
            sheet.paste(picture, top + (height - picture.height) / 2, left + (width - picture.width) / 2);
            left += width + gutter;
        }
        top += height + gutter;
    }
    sheet
}

fn blend(pixel: &mut [u8; 3], color: [u8; 3], alpha: f32) {
    for (old, new) in pixel.iter_mut().zip(color) {
        *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * alpha).round() as u8;
    }
}

/// The mask without the pixels that touch the outside; the picture's border is outside.
fn eroded(mask: &[bool], height: usize, width: usize) -> Vec<bool> {
    let inside = |row: usize, column: usize| mask[row * width + column];
    let kept = |row: usize, column: usize| {
        let border = row == 0 || column == 0 || row + 1 == height || column + 1 == width;
        !border
            && inside(row, column)
            && inside(row - 1, column)
            && inside(row + 1, column)
            && inside(row, column - 1)
            && inside(row, column + 1)
    };
    (0..height).flat_map(|row| (0..width).map(move |column| (row, column))).map(|(row, column)| kept(row, column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 3] = [255, 0, 0];

    fn reds(picture: &Picture) -> Vec<bool> {
        picture.rgb.chunks(3).map(|pixel| pixel == RED).collect()
    }

    #[test]
    fn maps_are_colored_and_laid_over() {
        let picture = Picture::from_map(&[0.0, 1.0, f32::NAN, 0.5], 2, 2, ColorMap::Gray, [0.0, 1.0]);
        assert_eq!(picture.rgb, [0, 0, 0, 255, 255, 255, 128, 128, 128, 128, 128, 128]);
        let mut over = Picture::filled(1, 2, [100, 200, 0]);
        over.overlay_map(&[0.0, 4.0], ColorMap::Gray, [0.0, 4.0], 0.5);
        assert_eq!(over.rgb, [50, 100, 0, 178, 228, 128]);
        over.tint(&[true, false], RED, 1.0);
        assert_eq!(reds(&over), [true, false]);
    }

    #[test]
    fn a_contour_follows_the_inside_of_the_edge() {
        let mut picture = Picture::filled(6, 6, [0; 3]);
        let mask: Vec<bool> = (0..36).map(|i| (1..6).contains(&(i / 6)) && (1..6).contains(&(i % 6))).collect();
        picture.contour(&mask, RED, 1);
        let expected: Vec<bool> = (0..36).map(|i| mask[i] && !((2..5).contains(&(i / 6)) && (2..5).contains(&(i % 6)))).collect();
        assert_eq!(reds(&picture), expected);
        picture.contour(&mask, RED, 9);
        assert_eq!(reds(&picture), mask);
        let mut tiny = Picture::filled(1, 1, [0; 3]);
        tiny.contour(&[true], RED, 1);
        assert_eq!(reds(&tiny), [true]);
    }

    #[test]
    fn sheets_hold_every_picture_in_its_cell() {
        let pictures = [Picture::filled(2, 3, RED), Picture::filled(4, 1, RED), Picture::filled(1, 1, RED)];
        let row = strip(&pictures, 2, [9; 3]);
        assert_eq!((row.height, row.width), (4, 9));
        assert_eq!(reds(&row).iter().filter(|&&red| red).count(), 6 + 4 + 1);
        assert_eq!(row.rgb[..3], [9; 3], "a lower picture is centered");
        let sheet = contact_sheet(&pictures, 2, 1, [9; 3]);
        assert_eq!((sheet.height, sheet.width), (4 + 1 + 1, 3 + 1 + 1));
        assert_eq!(reds(&sheet).iter().filter(|&&red| red).count(), 11);
        assert!(reds(&sheet)[5 * 5 + 1]);
        let nothing = contact_sheet(&[], 0, 5, [9; 3]);
        assert_eq!((nothing.height, nothing.width), (0, 0));
    }

    #[test]
    fn pixels_repeat_when_enlarged_and_pasting_cuts_off() {
        let picture = Picture::from_rgb(1, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(picture.enlarged(2).rgb, [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6].repeat(2));
        let mut small = Picture::filled(1, 1, [0; 3]);
        small.paste(&picture, 0, 0);
        assert_eq!(small.rgb, [1, 2, 3]);
        small.paste(&picture, 7, 7);
        assert_eq!(small.rgb, [1, 2, 3]);
        assert!(Picture::from_rgb(usize::MAX, 2, vec![0; 6]).is_err());
    }

    #[test]
    fn a_saved_picture_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heat.png");
        let values: Vec<f32> = (0..48).map(|i| i as f32).collect();
        let picture = Picture::from_map(&values, 6, 8, ColorMap::Inferno, [0.0, 47.0]);
        picture.save_png(&path).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        assert_eq!((read.dimensions(), read.into_raw()), ((8, 6), picture.rgb));
        assert!(Picture::filled(0, 5, RED).save_png(&path).is_err());
    }
}
