//! JPEG: what its markers say before anything is allocated, whether the file is whole, and decoding of a part of it, or at 1/2, 1/4 or 1/8 of
//! its size.

mod baseline;
mod colors;
mod entropy;
mod transform;

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;

use super::decode::{Limits, Need, Reduced, oriented_size};
use super::picture::{Picture, Pixels};
use crate::augment::CropBox;

/// Decodes a JPEG, or as much of it as is needed. `need(height, width)` says what, from the size as it will be shown.
pub(super) fn decode(bytes: &[u8], limits: &Limits, need: &dyn Fn(usize, usize) -> Need) -> Result<Reduced, String> {
    let header = Header::read(bytes)?;
    limits.check(header.height, header.width, header.components.clamp(1, 4))?;
    let orientation = header.exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    let (full_height, full_width) = oriented_size(header.height, header.width, orientation);
    let Need { divisor, part } = need(full_height, full_width);
    let reduced = if divisor > 1 { decode_reduced(bytes, &header, divisor) } else { None };
    if let Some(picture) = reduced {
        return Ok(Reduced { picture: picture.oriented(orientation), full_height, full_width, divisor, top: 0, left: 0 });
    }
    let whole = CropBox { top: 0, left: 0, height: header.height, width: header.width };
    // A part is known as shown; turning it back is not worth the trouble for the few files that are not stored the right way up.
    let part =
        part.filter(|part| orientation == Orientation::NoTransforms && part.lies_within(header.height, header.width)).unwrap_or(whole);
    let (picture, top, left) = match baseline::decode(&header, part) {
        Some(picture) => (picture, part.top, part.left),
        None => (decode_full(bytes)?, 0, 0),
    };
    Ok(Reduced { picture: picture.oriented(orientation), full_height, full_width, divisor: 1, top, left })
}

fn decode_full(bytes: &[u8]) -> Result<Picture, String> {
    let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    let channels = usize::from(decoder.color_type().channel_count());
    let mut samples = vec![0; height as usize * width as usize * channels];
    decoder.read_image(&mut samples).map_err(|error| error.to_string())?;
    Picture::new(height as usize, width as usize, channels, Pixels::U8(samples))
}

/// Nothing when this file cannot be decoded at a reduced size; the caller then decodes it whole.
fn decode_reduced(bytes: &[u8], header: &Header, divisor: usize) -> Option<Picture> {
    if header.precision != 8 || !matches!(header.components, 1 | 3) {
        return None;
    }
    let (height, width) = (header.height.div_ceil(divisor), header.width.div_ceil(divisor));
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let size = decoder.scale(u16::try_from(width).ok()?, u16::try_from(height).ok()?).ok()?;
    if (usize::from(size.0), usize::from(size.1)) != (width, height) {
        return None;
    }
    let samples = decoder.decode().ok()?;
    let channels = match decoder.info()?.pixel_format {
        jpeg_decoder::PixelFormat::L8 => 1,
        jpeg_decoder::PixelFormat::RGB24 => 3,
        _ => return None,
    };
    Picture::new(height, width, channels, Pixels::U8(samples)).ok()
}

/// A marker and what it says.
#[derive(Debug, PartialEq)]
struct Segment<'a> {
    marker: u8,
    bytes: &'a [u8],
}

/// What the markers of a whole JPEG file say.
#[derive(Debug, PartialEq)]
struct Header<'a> {
    height: usize,
    width: usize,
    components: usize,
    precision: u8,
    exif: Option<&'a [u8]>,
    /// Everything up to the end-of-image marker but compressed data.
    segments: Vec<Segment<'a>>,
    /// The compressed data of the last scan.
    scan: &'a [u8],
}

impl<'a> Header<'a> {
    /// Walks from marker to marker up to the end-of-image marker. Decoders fill what is missing with gray and say nothing, so a file
    /// without that marker is refused here.
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        const TRUNCATED: &str = "the file is truncated: it ends before the end-of-image marker";
        let (mut frame, mut exif, mut segments) = (None, None, Vec::new());
        let mut scan: &[u8] = &[];
        let mut position = 2;
        loop {
            let begin = position;
            let marker = next_marker(bytes, &mut position).ok_or(TRUNCATED)?;
            if segments.last().is_some_and(|last: &Segment<'_>| last.marker == 0xDA) && scan.is_empty() {
                scan = &bytes[begin..position - 2];
            }
            match marker {
                0xD9 => break,
                0x01 | 0xD0..=0xD8 => continue,
                _ => {}
            }
            let length =
                bytes.get(position..position + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))).ok_or(TRUNCATED)?;
            let segment = bytes.get(position + 2..position + length.max(2)).ok_or(TRUNCATED)?;
            position += length.max(2);
            segments.push(Segment { marker, bytes: segment });
            match marker {
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    let &[precision, h1, h0, w1, w0, components, ..] = segment else { return Err("its frame header is damaged".into()) };
                    let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
                    frame = frame.or(Some((side(h1, h0), side(w1, w0), usize::from(components), precision)));
                }
                0xE1 => exif = exif.or_else(|| segment.strip_prefix(b"Exif\0\0")),
                _ => {}
            }
        }
        let (height, width, components, precision) = frame.ok_or("it has no frame header")?;
        Ok(Self { height, width, components, precision, exif, segments, scan })
    }
}

/// The next marker that is not part of compressed data, and the position after it. Nothing at the end of the file.
fn next_marker(bytes: &[u8], position: &mut usize) -> Option<u8> {
    loop {
        *position += entropy::position_of_ff(bytes.get(*position..)?)?;
        *position += bytes[*position..].iter().position(|&byte| byte != 0xFF)?;
        let code = bytes[*position];
        *position += 1;
        // A zero is a stuffed byte of compressed data; 0xD0..=0xD7 restart it.
        if code != 0 && !(0xD0..=0xD7).contains(&code) {
            return Some(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{cmyk_jpeg, jpeg, photo, with_orientation};

    fn whole(_: usize, _: usize) -> Need {
        Need::whole(1)
    }

    #[test]
    fn every_truncation_is_reported() {
        let bytes = jpeg(&photo(40, 56));
        assert!(decode(&bytes, &Limits::default(), &whole).is_ok());
        for length in (2..bytes.len()).step_by(7).chain([bytes.len() - 1, bytes.len() - 2]) {
            assert!(decode(&bytes[..length], &Limits::default(), &whole).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn reduced_decoding_shows_the_same_picture() {
        let bytes = jpeg(&photo(301, 202));
        let full = decode(&bytes, &Limits::default(), &whole).unwrap();
        assert_eq!((full.full_height, full.full_width, full.divisor), (301, 202, 1));
        let full = full.picture.to_unit(3).unwrap();
        for divisor in [2, 4, 8] {
            let reduced = decode(&bytes, &Limits::default(), &|_, _| Need::whole(divisor)).unwrap();
            assert_eq!((reduced.full_height, reduced.full_width, reduced.divisor), (301, 202, divisor));
            let unit = reduced.picture.to_unit(3).unwrap();
            assert_eq!((unit.height, unit.width), (301_usize.div_ceil(divisor), 202_usize.div_ceil(divisor)));
            let mut worst = 0.0_f32;
            for row in 0..301 / divisor {
                for column in 0..202 / divisor {
                    let mut mean = 0.0;
                    for y in 0..divisor {
                        for x in 0..divisor {
                            mean += full.pixels[((row * divisor + y) * 202 + column * divisor + x) * 3 + 1];
                        }
                    }
                    let mean = mean / (divisor * divisor) as f32;
                    worst = worst.max((mean - unit.pixels[(row * unit.width + column) * 3 + 1]).abs());
                }
            }
            assert!(worst < 0.08, "1/{divisor}: {worst}");
        }
    }

    #[test]
    fn exif_orientation_turns_the_picture() {
        let upright = decode(&jpeg(&photo(24, 40)), &Limits::default(), &whole).unwrap().picture;
        let bytes = with_orientation(&jpeg(&photo(24, 40)), 6);
        for divisor in [1, 2] {
            let turned = decode(&bytes, &Limits::default(), &|height, width| {
                assert_eq!((height, width), (40, 24), "the need is asked about the picture as shown");
                Need::whole(divisor)
            });
            let turned = turned.unwrap();
            assert_eq!((turned.full_height, turned.full_width), (40, 24));
            assert_eq!((turned.picture.height, turned.picture.width), (40 / divisor, 24 / divisor));
            if divisor == 1 {
                // Orientation 6: the stored left-bottom corner is shown at the left-top.
                let (shown, stored) = (turned.picture.to_unit(3).unwrap(), upright.to_unit(3).unwrap());
                assert_eq!(shown.pixels[..3], stored.pixels[23 * 40 * 3..23 * 40 * 3 + 3]);
            }
        }
    }

    #[test]
    fn four_inks_become_three_colors() {
        // Ink 0 everywhere, but for full black in the second file (Adobe stores inks inverted).
        let white = decode(&cmyk_jpeg([255; 4]), &Limits::default(), &|_, _| Need::whole(4)).unwrap().picture;
        assert_eq!((white.channels, white.height, white.width), (3, 8, 8));
        assert!(white.to_unit(3).unwrap().pixels.iter().all(|&value| value > 0.97));
        let black = decode(&cmyk_jpeg([255, 255, 255, 0]), &Limits::default(), &whole).unwrap().picture;
        assert!(black.to_unit(3).unwrap().pixels.iter().all(|&value| value < 0.03));
        let cyan = decode(&cmyk_jpeg([0, 255, 255, 255]), &Limits::default(), &whole).unwrap().picture.to_unit(3).unwrap();
        assert!(cyan.pixels[0] < 0.05 && cyan.pixels[1] > 0.95 && cyan.pixels[2] > 0.95, "{:?}", &cyan.pixels[..3]);
    }

    #[test]
    fn a_thumbnail_inside_is_not_the_end() {
        let mut bytes = with_orientation(&jpeg(&photo(16, 16)), 1);
        assert!(Header::read(&bytes).unwrap().exif.is_some());
        // An end-of-image marker within the Exif segment.
        bytes[12..14].copy_from_slice(&[0xFF, 0xD9]);
        assert_eq!(Header::read(&bytes).unwrap().width, 16);
    }
}
