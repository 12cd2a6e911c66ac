//! From the bytes of any image file to a [`Picture`], or to a reason in plain words. The format is read from the bytes, sizes are checked
//! before memory is taken, and a decoder that panics is only one unreadable file.

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

use super::picture::{Picture, Pixels};
use super::{integrity, jpeg, tiff};
use crate::augment::CropBox;

/// How much one image may cost. Checked from its header, before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, H × W.
    pub max_pixels: u64,
    /// Most bytes of its decoded samples.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 178 megapixels (Pillow's limit too) and 2 GiB.
    fn default() -> Self {
        Self { max_pixels: 178_956_970, max_bytes: 2 << 30 }
    }
}

impl Limits {
    /// Whether an image of this size may be decoded; the reason if not.
    pub fn check(&self, height: usize, width: usize, bytes_per_pixel: usize) -> Result<(), String> {
        let pixels = height as u64 * width as u64;
        if pixels == 0 {
            return Err(format!("it claims a size of {width}×{height} pixels"));
        }
        if pixels > self.max_pixels {
            return Err(format!("it claims {width}×{height} pixels, more than the {} million allowed", self.max_pixels / 1_000_000));
        }
        if pixels.saturating_mul(bytes_per_pixel as u64) > self.max_bytes {
            return Err(format!(
                "it claims {width}×{height} pixels of {bytes_per_pixel} bytes, more than the {} MiB allowed",
                self.max_bytes >> 20
            ));
        }
        Ok(())
    }
}

/// A picture that may have been decoded smaller than its file has it, or only in part.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduced {
    /// The pixels, the right way up.
    pub picture: Picture,
    /// H of the file's image as shown, in pixels.
    pub full_height: usize,
    /// W of the file's image as shown, in pixels.
    pub full_width: usize,
    /// 1, 2, 4 or 8: a pixel of the picture covers so many of the full image across and down.
    pub divisor: usize,
    /// The picture's first row in the whole image at this size. Not 0 only where a part was decoded.
    pub top: usize,
    /// The picture's first column in the whole image at this size.
    pub left: usize,
}

impl Reduced {
    /// H and W of the whole image at the size of the picture.
    pub fn whole_size(&self) -> (usize, usize) {
        (self.full_height.div_ceil(self.divisor), self.full_width.div_ceil(self.divisor))
    }
}

/// What is needed of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// By how much it may be reduced: 1, 2, 4 or 8.
    pub divisor: usize,
    /// The part of the full image as shown that is needed if it is not reduced; nothing for all of it.
    pub part: Option<CropBox>,
}

impl Need {
    /// All of an image, which may be reduced.
    pub fn whole(divisor: usize) -> Self {
        Self { divisor, part: None }
    }
}

/// Decodes an image file (its first frame), with its Exif orientation applied. The error is the reason in plain words.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, String> {
    decode_for_crop(bytes, limits, &|_, _| Need::whole(1)).map(|reduced| reduced.picture)
}

/// Decodes an image file, smaller or in part where the format can: `need(height, width)` says what is needed of an image of this size, as
/// shown. Only JPEG can; every other format, and CMYK, comes whole at full size with `divisor` 1.
pub fn decode_for_crop(bytes: &[u8], limits: &Limits, need: &dyn Fn(usize, usize) -> Need) -> Result<Reduced, String> {
    if bytes.is_empty() {
        return Err("the file is empty (0 bytes)".into());
    }
    isolated(|| match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes, limits, need),
        Ok(ImageFormat::Tiff) => tiff::decode(bytes, limits).map(whole),
        Ok(format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Gif | ImageFormat::Pnm)) => {
            integrity::check(bytes, format)?;
            decode_other(bytes, format, limits).map(whole)
        }
        Ok(format) => Err(format!("it is a {format:?} file, which is not supported")),
        Err(_) => Err("its first bytes are not those of any supported image format".into()),
    })
}

/// H and W as shown, from H and W as stored.
pub(super) fn oriented_size(height: usize, width: usize, orientation: Orientation) -> (usize, usize) {
    use Orientation as O;
    let swapped = matches!(orientation, O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH);
    if swapped { (width, height) } else { (height, width) }
}

fn whole(picture: Picture) -> Reduced {
    Reduced { full_height: picture.height, full_width: picture.width, picture, divisor: 1, top: 0, left: 0 }
}

fn decode_other(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<Picture, String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_bytes);
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(|error| plain(&error))?;
    let (width, height) = decoder.dimensions();
    let (height, width) = (height as usize, width as usize);
    let color = decoder.color_type();
    limits.check(height, width, usize::from(color.bytes_per_pixel()))?;
    // An unreadable orientation must not cost the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let channels = usize::from(color.channel_count());
    let count = height * width * channels;
    let pixels = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let mut samples = vec![0_u8; count];
            decoder.read_image(&mut samples).map_err(|error| plain(&error))?;
            Pixels::U8(samples)
        }
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let mut samples = vec![0_u16; count];
            decoder.read_image(bytemuck::cast_slice_mut(&mut samples)).map_err(|error| plain(&error))?;
            Pixels::U16(samples)
        }
        other => return Err(format!("its samples ({other:?}) are not supported")),
    };
    Picture::new(height, width, channels, pixels).map(|picture| picture.oriented(orientation))
}

fn plain(error: &image::ImageError) -> String {
    let text = error.to_string();
    let lower = text.to_lowercase();
    if ["unexpected end", "failed to fill", "unexpectedeof", "unexpected eof", "unexpected_eof"].iter().any(|sign| lower.contains(sign)) {
        format!("the file is truncated ({text})")
    } else {
        text
    }
}

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder so that a panic inside it becomes a reason, and prints nothing.
pub(super) fn isolated<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static QUIET: Once = Once::new();
    // The hook that prints panics belongs to the whole process; it is only silenced on threads that are decoding.
    QUIET.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                print(info);
            }
        }));
    });
    let outer = DECODING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(outer);
    outcome.unwrap_or_else(|_| Err("the file is damaged: its decoder gave up".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, jpeg, photo, progressive_jpeg};

    fn shape(bytes: &[u8]) -> (usize, usize, usize, u32) {
        let picture = decode(bytes, &Limits::default()).unwrap();
        (picture.height, picture.width, picture.channels, picture.bit_depth())
    }

    fn reason(bytes: &[u8]) -> String {
        decode(bytes, &Limits::default()).unwrap_err()
    }

    #[test]
    fn every_format_is_decoded_to_its_own_type() {
        let photo = photo(30, 21);
        let rgb = image::DynamicImage::ImageRgb8(photo.clone());
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Pnm] {
            let bytes = encoded(&rgb, format);
            let picture = decode(&bytes, &Limits::default()).unwrap();
            assert_eq!(picture.pixels, Pixels::U8(photo.as_raw().clone()), "{format:?}");
        }
        assert_eq!(shape(&jpeg(&photo)), (30, 21, 3, 8));
        assert_eq!(shape(&encoded(&rgb.to_luma8().into(), ImageFormat::Jpeg)), (30, 21, 1, 8));
        assert_eq!(shape(&encoded(&rgb.to_luma8().into(), ImageFormat::Png)), (30, 21, 1, 8));
        assert_eq!(shape(&encoded(&rgb.to_luma_alpha8().into(), ImageFormat::Png)), (30, 21, 2, 8));
        assert_eq!(shape(&encoded(&rgb.to_rgba8().into(), ImageFormat::Png)), (30, 21, 4, 8));
        assert_eq!(shape(&encoded(&rgb.to_rgb16().into(), ImageFormat::Png)), (30, 21, 3, 16));
        assert_eq!(shape(&encoded(&rgb.to_luma16().into(), ImageFormat::Png)), (30, 21, 1, 16));
        assert_eq!(shape(&encoded(&rgb.to_rgba8().into(), ImageFormat::Gif)), (30, 21, 4, 8));
    }

    #[test]
    fn progressive_jpegs_are_decoded_and_reduced() {
        let bytes = progressive_jpeg();
        assert_eq!(shape(&bytes), (16, 16, 3, 8));
        let full = decode(&bytes, &Limits::default()).unwrap().to_unit(3).unwrap();
        let half = decode_for_crop(&bytes, &Limits::default(), &|_, _| Need::whole(2)).unwrap();
        assert_eq!((half.picture.height, half.divisor), (8, 2));
        let mean = |pixels: &[f32]| pixels.iter().sum::<f32>() / pixels.len() as f32;
        assert!((mean(&full.pixels) - mean(&half.picture.to_unit(3).unwrap().pixels)).abs() < 0.02);
    }

    #[test]
    fn small_bit_depths_and_palettes_are_spread_over_the_range() {
        for depth in [png::BitDepth::One, png::BitDepth::Two, png::BitDepth::Four] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 8, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(depth);
            let row = vec![0xFF; depth as usize];
            encoder.write_header().unwrap().write_image_data(&row).unwrap();
            assert_eq!(decode(&bytes, &Limits::default()).unwrap().pixels, Pixels::U8(vec![255; 8]), "{depth:?}");
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(vec![1, 2, 3, 40, 50, 60]);
        encoder.write_header().unwrap().write_image_data(&[1, 0]).unwrap();
        assert_eq!(decode(&bytes, &Limits::default()).unwrap().pixels, Pixels::U8(vec![40, 50, 60, 1, 2, 3]));
    }

    #[test]
    fn the_first_frame_of_an_animation_counts() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for value in [10, 200, 90] {
            encoder.encode_frame(image::Frame::new(image::RgbaImage::from_pixel(6, 5, image::Rgba([value, value, value, 255])))).unwrap();
        }
        drop(encoder);
        let picture = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!((picture.height, picture.width), (5, 6));
        assert!((picture.to_unit(1).unwrap().pixels[0] * 255.0 - 10.0).abs() < 1.0);
        let missing = &bytes[..bytes.len() - 12];
        assert!(reason(missing).contains("truncated"));
    }

    #[test]
    fn truncated_files_of_every_format_are_unreadable() {
        let rgb = image::DynamicImage::ImageRgb8(photo(64, 48));
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Pnm, ImageFormat::Jpeg, ImageFormat::Tiff] {
            let bytes = encoded(&rgb, format);
            for length in [bytes.len() / 8, bytes.len() / 2, bytes.len() - 20, bytes.len() - 1] {
                assert!(decode(&bytes[..length], &Limits::default()).is_err(), "{format:?}: {length} of {}", bytes.len());
            }
        }
        let gif = encoded(&rgb.to_rgba8().into(), ImageFormat::Gif);
        assert!(decode(&gif[..gif.len() / 2], &Limits::default()).is_err());
    }

    #[test]
    fn bad_bytes_have_reasons_and_never_panic() {
        assert!(reason(&[]).contains("empty"));
        assert!(reason(b"hello, I am not an image at all").contains("not those of any supported"));
        let good =
            [jpeg(&photo(20, 20)), encoded(&photo(20, 20).into(), ImageFormat::Png), encoded(&photo(20, 20).into(), ImageFormat::WebP)];
        let mut stream = crate::random::Stream::new(1, 0, 0, crate::random::Purpose::Bench);
        for bytes in good {
            for _ in 0..150 {
                let mut damaged = bytes.clone();
                for _ in 0..4 {
                    let place = stream.below(damaged.len());
                    damaged[place] = stream.next_u64() as u8;
                }
                let _ = decode_for_crop(&damaged, &Limits { max_pixels: 1_000_000, ..Limits::default() }, &|_, _| Need::whole(2));
            }
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_memory_is_taken() {
        let mut bytes = encoded(&photo(8, 8).into(), ImageFormat::Png);
        bytes[16..24].copy_from_slice(&[0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0]);
        let mut crc = crc32(&bytes[12..29]).to_be_bytes().to_vec();
        bytes.splice(29..33, crc.drain(..));
        assert!(reason(&bytes).contains("100000×100000 pixels, more than"), "{}", reason(&bytes));
        let mut bomb = jpeg(&photo(8, 8));
        let frame = bomb.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        bomb[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
        assert!(reason(&bomb).contains("65535×65535"));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }

    #[test]
    fn a_panic_is_a_reason() {
        assert!(isolated::<()>(|| panic!("decoder bug")).unwrap_err().contains("damaged"));
    }
}
