//! TIFF: any number of samples, 1 to 64 bits, integers and floats, planes side by side or interleaved; its first image.

use std::io::Cursor;

use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;

use super::decode::Limits;
use super::picture::{Picture, Pixels};

/// Decodes the first image of a TIFF. 8 and 16 bits stay as they are (signed ones are shifted to start at 0); wider integers and floats
/// become 0..1 by the range the file stores (tags 280, 281, 340, 341), else as they are if all lie in 0..1, else by the range measured.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, String> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(plain)?;
    let mut decoder_limits = tiff::decoder::Limits::default();
    decoder_limits.decoding_buffer_size = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    decoder_limits.intermediate_buffer_size = decoder_limits.decoding_buffer_size;
    decoder_limits.ifd_value_size = decoder_limits.ifd_value_size.max(64 << 20).min(decoder_limits.decoding_buffer_size);
    decoder = decoder.with_limits(decoder_limits);
    let (width, height) = decoder.dimensions().map_err(plain)?;
    let (height, width) = (height as usize, width as usize);
    let color = decoder.colortype().map_err(plain)?;
    let channels = usize::from(color.num_samples());
    limits.check(height, width, channels * usize::from(color.bit_depth()).div_ceil(8))?;
    let orientation = decoder.find_tag(Tag::Orientation).ok().flatten().and_then(|value| value.into_u16().ok());
    let orientation = orientation.and_then(|code| Orientation::from_exif(u8::try_from(code).ok()?)).unwrap_or(Orientation::NoTransforms);
    let range = stored_range(&mut decoder);
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(plain)?;
    if samples.as_buffer(0).as_bytes().len() < layout.complete_len {
        return Err("its planes need more memory than is allowed".into());
    }
    let mut pixels = if color.bit_depth() < 8 { unpacked(samples, color, height, width)? } else { in_range(samples, range)? };
    if layout.planes > 1 {
        pixels = interleaved(pixels, layout.planes);
    }
    let (pixels, channels) = as_rgb(pixels, color, channels)?;
    Picture::new(height, width, channels, pixels).map(|picture| picture.oriented(orientation))
}

fn plain(error: tiff::TiffError) -> String {
    match error {
        tiff::TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".into(),
        tiff::TiffError::LimitsExceeded => "it claims more memory than is allowed".into(),
        other => format!("{other} (an 8-bit RGB or gray TIFF would be readable)"),
    }
}

fn stored_range(decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<(f64, f64)> {
    let mut smallest_of = |signed: u16, unsigned: u16| {
        [signed, unsigned].into_iter().find_map(|tag| {
            let value = decoder.find_tag(Tag::from_u16_exhaustive(tag)).ok()??;
            value.clone().into_f64_vec().ok().or_else(|| Some(value.into_i64_vec().ok()?.into_iter().map(|value| value as f64).collect()))
        })
    };
    let low = smallest_of(340, 280)?.into_iter().fold(f64::INFINITY, f64::min);
    let high = smallest_of(341, 281)?.into_iter().fold(f64::NEG_INFINITY, f64::max);
    (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
}

/// Samples of 1, 2 or 4 bits, packed by rows, as 8 bits.
fn unpacked(samples: DecodingResult, color: ColorType, height: usize, width: usize) -> Result<Pixels, String> {
    let (DecodingResult::U8(packed), ColorType::Gray(bits @ (1 | 2 | 4))) = (samples, color) else {
        return Err(format!("its samples ({color:?}) are not supported"));
    };
    let row_bytes = (width * usize::from(bits)).div_ceil(8);
    let (mask, largest) = ((1_u16 << bits) - 1, (1_u16 << bits) - 1);
    let mut out = Vec::with_capacity(height * width);
    for row in packed.chunks_exact(row_bytes).take(height) {
        for column in 0..width {
            let bit = column * usize::from(bits);
            let value = u16::from(row[bit / 8]) >> (8 - usize::from(bits) - bit % 8) & mask;
            out.push((value * 255 / largest) as u8);
        }
    }
    Ok(Pixels::U8(out))
}

fn in_range(samples: DecodingResult, range: Option<(f64, f64)>) -> Result<Pixels, String> {
    use DecodingResult as R;
    Ok(match samples {
        R::U8(samples) => Pixels::U8(samples),
        R::U16(samples) => Pixels::U16(samples),
        R::I8(samples) => Pixels::U8(samples.into_iter().map(|value| value as u8 ^ 0x80).collect()),
        R::I16(samples) => Pixels::U16(samples.into_iter().map(|value| value as u16 ^ 0x8000).collect()),
        R::U32(samples) => unit(&samples, range, f64::from),
        R::I32(samples) => unit(&samples, range, f64::from),
        R::U64(samples) => unit(&samples, range, |value| value as f64),
        R::I64(samples) => unit(&samples, range, |value| value as f64),
        R::F16(samples) => unit(&samples, range, |value| value.to_f64()),
        R::F32(samples) => unit(&samples, range, f64::from),
        R::F64(samples) => unit(&samples, range, |value| value),
    })
}

/// What is not finite becomes 0.
fn unit<T: Copy>(samples: &[T], range: Option<(f64, f64)>, number: impl Fn(T) -> f64) -> Pixels {
    let (low, high) = range.unwrap_or_else(|| {
        let finite = samples.iter().map(|&value| number(value)).filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low >= 0.0 && high <= 1.0 || low >= high { (0.0, 1.0) } else { (low, high) }
    });
    let scale = 1.0 / (high - low);
    let unit = |value: f64| if value.is_finite() { ((value - low) * scale).clamp(0.0, 1.0) as f32 } else { 0.0 };
    Pixels::F32(samples.iter().map(|&value| unit(number(value))).collect())
}

fn interleaved(pixels: Pixels, planes: usize) -> Pixels {
    fn weave<T: Copy>(samples: &[T], planes: usize) -> Vec<T> {
        let size = samples.len() / planes;
        (0..size).flat_map(|pixel| (0..planes).map(move |plane| samples[plane * size + pixel])).collect()
    }
    match pixels {
        Pixels::U8(samples) => Pixels::U8(weave(&samples, planes)),
        Pixels::U16(samples) => Pixels::U16(weave(&samples, planes)),
        Pixels::F32(samples) => Pixels::F32(weave(&samples, planes)),
    }
}

/// Inks and luminance-chrominance become RGB; everything else stays.
fn as_rgb(pixels: Pixels, color: ColorType, channels: usize) -> Result<(Pixels, usize), String> {
    match (color, pixels) {
        (ColorType::YCbCr(8), Pixels::U8(samples)) => {
            let rgb = samples.chunks_exact(3).flat_map(|pixel| {
                let [y, cb, cr] = [f32::from(pixel[0]), f32::from(pixel[1]) - 128.0, f32::from(pixel[2]) - 128.0];
                [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| value.round().clamp(0.0, 255.0) as u8)
            });
            Ok((Pixels::U8(rgb.collect()), 3))
        }
        (ColorType::CMYK(8), Pixels::U8(samples)) => {
            let ink = |ink: u8, black: u8| ((255 - u32::from(ink)) * (255 - u32::from(black)) / 255) as u8;
            Ok((Pixels::U8(samples.chunks_exact(4).flat_map(|p| [ink(p[0], p[3]), ink(p[1], p[3]), ink(p[2], p[3])]).collect()), 3))
        }
        (ColorType::YCbCr(_) | ColorType::CMYK(_) | ColorType::CMYKA(_) | ColorType::Lab(_), _) => {
            Err(format!("its color model ({color:?}) is not supported; an RGB TIFF would be"))
        }
        (_, pixels) => Ok((pixels, channels)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, photo, raw_tiff};
    use tiff::encoder::{TiffEncoder, colortype};

    fn encode<C: colortype::ColorType>(width: u32, height: u32, samples: &[C::Inner]) -> Vec<u8>
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        let mut bytes = Cursor::new(Vec::new());
        TiffEncoder::new(&mut bytes).unwrap().write_image::<C>(width, height, samples).unwrap();
        bytes.into_inner()
    }

    fn read(bytes: &[u8]) -> Picture {
        decode(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn common_files_keep_their_type() {
        let picture = photo(9, 7);
        assert_eq!(read(&encoded(&picture.clone().into(), image::ImageFormat::Tiff)).pixels, Pixels::U8(picture.as_raw().clone()));
        let deep = read(&encode::<colortype::Gray16>(2, 1, &[0, 65535]));
        assert_eq!((deep.channels, deep.pixels), (1, Pixels::U16(vec![0, 65535])));
        assert_eq!(read(&encode::<colortype::GrayI16>(3, 1, &[-32768, 0, 32767])).pixels, Pixels::U16(vec![0, 32768, 65535]));
        assert_eq!(read(&encode::<colortype::RGBA8>(1, 1, &[1, 2, 3, 4])).channels, 4);
    }

    #[test]
    fn wide_samples_are_scaled_to_their_range() {
        assert_eq!(read(&encode::<colortype::Gray32Float>(3, 1, &[0.25, 0.5, f32::NAN])).pixels, Pixels::F32(vec![0.25, 0.5, 0.0]));
        assert_eq!(read(&encode::<colortype::Gray32Float>(3, 1, &[-10.0, 0.0, 10.0])).pixels, Pixels::F32(vec![0.0, 0.5, 1.0]));
        assert_eq!(read(&encode::<colortype::Gray32>(3, 1, &[100, 200, 300])).pixels, Pixels::F32(vec![0.0, 0.5, 1.0]));
    }

    #[test]
    fn five_channels_come_interleaved_whether_stored_so_or_as_planes() {
        let expected: Vec<u8> = (0..2 * 3 * 5).collect();
        let chunky = read(&raw_tiff(3, 2, 5, false, &expected));
        assert_eq!((chunky.height, chunky.width, chunky.channels), (2, 3, 5));
        assert_eq!(chunky.pixels, Pixels::U8(expected.clone()));
        let planes: Vec<u8> = (0..5).flat_map(|channel| (0..6).map(move |pixel| pixel * 5 + channel)).collect();
        assert_eq!(read(&raw_tiff(3, 2, 5, true, &planes)).pixels, Pixels::U8(expected));
    }

    #[test]
    fn inks_become_colors() {
        let cyan = read(&encode::<colortype::CMYK8>(1, 1, &[255, 0, 0, 0]));
        assert_eq!((cyan.channels, cyan.pixels), (3, Pixels::U8(vec![0, 255, 255])));
    }

    #[test]
    fn truncated_and_hostile_files_have_reasons() {
        let bytes = encode::<colortype::RGB8>(20, 20, &[7; 1200]);
        for length in [8, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..length], &Limits::default()).is_err(), "{length} of {}", bytes.len());
        }
        assert!(decode(&raw_tiff(60_000, 60_000, 5, false, &[0; 10]), &Limits::default()).unwrap_err().contains("60000×60000"));
    }
}
