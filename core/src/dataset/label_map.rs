//! Masks of labels, one number a pixel, read from PNG files without losing the numbers to their palette's colors.

use std::io::Cursor;

use super::decode::{Limits, isolated};
use crate::export::index_png::voc_palette;

/// A label for each pixel, `[H, W]`: 0 is background, 255 void (not judged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// `H * W` labels.
    pub labels: Vec<u16>,
}

impl LabelMap {
    /// Reads a PNG: palette indices or gray values of 1 to 16 bits as they are; RGB through VOC's color map. The error is a reason.
    pub fn from_png(bytes: &[u8], limits: &Limits) -> Result<Self, String> {
        isolated(|| {
            let mut decoder = png::Decoder::new(Cursor::new(bytes));
            decoder.set_transformations(png::Transformations::IDENTITY);
            let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
            let info = reader.info();
            let (height, width, depth, color) = (info.height as usize, info.width as usize, info.bit_depth, info.color_type);
            limits.check(height, width, color.samples() * 2)?;
            let size = reader.output_buffer_size().ok_or("its size does not fit into memory")?;
            let mut buffer = vec![0; size];
            let line = reader.next_frame(&mut buffer).map_err(|error| error.to_string())?.line_size;
            let palette = voc_palette();
            let mut labels = Vec::with_capacity(height * width);
            for row in buffer.chunks_exact(line).take(height) {
                match (color, depth) {
                    (png::ColorType::Indexed | png::ColorType::Grayscale, png::BitDepth::Sixteen) => {
                        labels.extend(row.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
                    }
                    (png::ColorType::Indexed | png::ColorType::Grayscale, depth) => labels.extend(unpacked(row, width, depth as usize)),
                    (png::ColorType::Rgb | png::ColorType::Rgba, png::BitDepth::Eight) => {
                        for pixel in row.chunks_exact(color.samples()) {
                            let color = [pixel[0], pixel[1], pixel[2]];
                            let label = palette.iter().position(|&known| known == color);
                            let label =
                                label.ok_or_else(|| format!("color {color:?} is not in VOC's color map; use palette or gray masks"));
                            labels.push(label? as u16);
                        }
                    }
                    _ => return Err(format!("{color:?} of {depth:?} bits is not a mask; use palette or gray PNG")),
                }
            }
            Ok(Self { height, width, labels })
        })
    }
}

fn unpacked(row: &[u8], width: usize, bits: usize) -> impl Iterator<Item = u16> {
    let mask = (1_u16 << bits) - 1;
    (0..width).map(move |column| u16::from(row[column * bits / 8]) >> (8 - bits - column * bits % 8) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, palette_png};

    #[test]
    fn numbers_survive_in_every_kind_of_mask() {
        let read = |bytes: &[u8]| LabelMap::from_png(bytes, &Limits::default()).unwrap().labels;
        assert_eq!(read(&palette_png(3, 1, &[0, 7, 255])), [0, 7, 255]);
        let gray = image::GrayImage::from_raw(3, 1, vec![0, 7, 255]).unwrap();
        assert_eq!(read(&encoded(&gray.into(), image::ImageFormat::Png)), [0, 7, 255]);
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![0_u16, 300, 65535]).unwrap();
        assert_eq!(read(&encoded(&deep.into(), image::ImageFormat::Png)), [0, 300, 65535]);
        let rgb = image::RgbImage::from_raw(3, 1, vec![0, 0, 0, 128, 0, 0, 224, 224, 192]).unwrap();
        assert_eq!(read(&encoded(&rgb.into(), image::ImageFormat::Png)), [0, 1, 255]);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 5, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Two);
        encoder.write_header().unwrap().write_image_data(&[0b0001_1011, 0b1100_0000]).unwrap();
        assert_eq!(read(&bytes), [0, 1, 2, 3, 3]);
    }

    #[test]
    fn every_color_of_voc_is_its_label() {
        let rgb = image::RgbImage::from_raw(256, 1, voc_palette().concat()).unwrap();
        let read = LabelMap::from_png(&encoded(&rgb.into(), image::ImageFormat::Png), &Limits::default()).unwrap();
        assert_eq!(read.labels, (0..256).collect::<Vec<u16>>());
    }

    #[test]
    fn what_is_no_mask_has_a_reason() {
        let photo = image::RgbImage::from_pixel(2, 2, image::Rgb([1, 2, 3]));
        let error = LabelMap::from_png(&encoded(&photo.into(), image::ImageFormat::Png), &Limits::default()).unwrap_err();
        assert!(error.contains("not in VOC's color map"));
        assert!(LabelMap::from_png(b"junk", &Limits::default()).is_err());
    }
}
