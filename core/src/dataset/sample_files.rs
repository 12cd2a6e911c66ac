//! Image files made for tests.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};

/// A picture that no two parts of look alike: gradients, a disc and stripes.
pub(crate) fn photo(height: u32, width: u32) -> RgbImage {
    varied_photo(height, width, 0)
}

/// A different picture for every `variant`.
pub(crate) fn varied_photo(height: u32, width: u32, variant: u64) -> RgbImage {
    let mut stream = crate::random::Stream::new(variant, 0, 0, crate::random::Purpose::Bench);
    let waves: Vec<[f64; 4]> =
        (0..9).map(|_| [stream.range(-9.0, 9.0), stream.range(-9.0, 9.0), stream.range(0.0, 6.3), stream.range(8.0, 30.0)]).collect();
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let channel = |c: usize| {
            let sum: f64 = waves[c * 3..c * 3 + 3].iter().map(|[a, b, phase, size]| size * (a * u + b * v + phase).sin()).sum();
            (128.0 + sum + 20.0 * (u - v)).clamp(0.0, 255.0) as u8
        };
        image::Rgb([channel(0), channel(1), channel(2)])
    })
}

/// A picture with grain, so that its file is as long as a photo's.
pub(crate) fn grainy_photo(height: u32, width: u32, variant: u64) -> RgbImage {
    let mut image = varied_photo(height, width, variant);
    let mut stream = crate::random::Stream::new(variant, 1, 0, crate::random::Purpose::Bench);
    for pixel in image.pixels_mut() {
        let grain = (stream.next_u64() % 33) as i16 - 16;
        pixel.0 = pixel.0.map(|value| (i16::from(value) + grain).clamp(0, 255) as u8);
    }
    image
}

pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub(crate) fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(image).unwrap();
    bytes
}

/// The JPEG with an Exif segment that holds only the orientation.
pub(crate) fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

/// An 8×8 Adobe CMYK file of one color; inks are stored inverted (255 = none).
pub(crate) fn cmyk_jpeg(stored: [u8; 4]) -> Vec<u8> {
    flat_blocks_jpeg(false, 1, &stored.map(|value| vec![value]))
}

/// A progressive 16×16 JPEG of four flat squares: black, white, white, black.
pub(crate) fn progressive_jpeg() -> Vec<u8> {
    flat_blocks_jpeg(true, 2, &[vec![0, 255, 255, 0], vec![128; 4], vec![128; 4]])
}

/// A JPEG of `side` × `side` blocks, each of one value per component.
fn flat_blocks_jpeg(progressive: bool, side: u8, components: &[Vec<u8>]) -> Vec<u8> {
    let count = components.len() as u8;
    let mut bytes = vec![0xFF, 0xD8];
    if count == 4 {
        bytes.extend(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0");
    }
    bytes.extend([0xFF, 0xDB, 0, 67, 0]);
    bytes.extend([8; 64]);
    bytes.extend([0xFF, if progressive { 0xC2 } else { 0xC0 }, 0, 8 + 3 * count, 8, 0, 8 * side, 0, 8 * side, count]);
    (1..=count).for_each(|id| bytes.extend([id, 0x11, 0]));
    // DC table: the twelve sizes all have codes of four bits. AC table: the one code `0` ends a block.
    bytes.extend([0xFF, 0xC4, 0, 31, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(0..12_u8);
    bytes.extend([0xFF, 0xC4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0xFF, 0xDA, 0, 6 + 2 * count, count]);
    (1..=count).for_each(|id| bytes.extend([id, 0]));
    bytes.extend([0, if progressive { 0 } else { 63 }, 0]);
    let mut bits = Vec::new();
    let mut last = vec![0; components.len()];
    for block in 0..usize::from(side) * usize::from(side) {
        for (component, last) in components.iter().zip(&mut last) {
            // The mean of the block times 8, divided by the quantization table's 8; then the difference to the block before.
            let level = i32::from(component[block]) - 128;
            let difference = level - *last;
            *last = level;
            let size = 32 - difference.unsigned_abs().leading_zeros();
            let extra = if difference < 0 { difference + (1 << size) - 1 } else { difference };
            (0..4).rev().for_each(|bit| bits.push((size >> bit & 1) as u8));
            (0..size).rev().for_each(|bit| bits.push((extra >> bit & 1) as u8));
            if !progressive {
                bits.push(0);
            }
        }
    }
    bytes.extend(stuffed(&bits));
    if progressive {
        for id in 1..=count {
            bytes.extend([0xFF, 0xDA, 0, 8, 1, id, 0, 1, 63, 0]);
            bytes.extend(stuffed(&vec![0; usize::from(side) * usize::from(side)]));
        }
    }
    bytes.extend([0xFF, 0xD9]);
    bytes
}

fn stuffed(bits: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| (0..8).fold(0, |byte, bit| byte << 1 | bits.get(bit).unwrap_or(&1));
    bits.chunks(8).map(byte).flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] }).collect()
}

/// An uncompressed 8-bit TIFF of any number of samples; `planes`: one strip for each.
pub(crate) fn raw_tiff(width: u32, height: u32, samples: u16, planes: bool, data: &[u8]) -> Vec<u8> {
    let strips = if planes { u32::from(samples) } else { 1 };
    let strip_bytes = (data.len() as u32) / strips;
    let mut bytes = b"II\x2A\0\x08\0\0\0".to_vec();
    let tags = 11_u16;
    let mut after = 8 + 2 + u32::from(tags) * 12 + 4;
    let mut tail: Vec<u8> = Vec::new();
    let mut place = |values: &[u32], size: usize| -> u32 {
        if values.len() * size <= 4 {
            return values.iter().rev().fold(0, |all, value| all << (8 * size as u32 % 32) | value);
        }
        let here = after;
        values.iter().for_each(|value| tail.extend(&value.to_le_bytes()[..size]));
        after += (values.len() * size) as u32;
        here
    };
    let bits = place(&vec![8; samples.into()], 2);
    let extra = place(&vec![0; usize::from(samples) - 1], 2);
    let counts = place(&vec![strip_bytes; strips as usize], 4);
    let data_start =
        8 + 2 + u32::from(tags) * 12 + 4 + u32::from(samples) * 2 + (u32::from(samples) - 1) * 2 + if planes { strips * 8 } else { 0 };
    let offsets = place(&(0..strips).map(|strip| data_start + strip * strip_bytes).collect::<Vec<_>>(), 4);
    bytes.extend(tags.to_le_bytes());
    let short = 3_u16;
    let long = 4_u16;
    for (tag, kind, count, value) in [
        (256_u16, long, 1, width),
        (257, long, 1, height),
        (258, short, u32::from(samples), bits),
        (259, short, 1, 1),
        (262, short, 1, 1),
        (273, long, strips, offsets),
        (277, short, 1, u32::from(samples)),
        (278, long, 1, height),
        (279, long, strips, counts),
        (284, short, 1, if planes { 2 } else { 1 }),
        (338, short, u32::from(samples) - 1, extra),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(tail);
    bytes.extend(data);
    bytes
}

pub(crate) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A palette PNG of these indices. All colors are the same, so that only the indices can tell pixels apart.
pub(crate) fn palette_png(width: u32, height: u32, indices: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(vec![9; 256 * 3]);
    encoder.write_header().unwrap().write_image_data(indices).unwrap();
    bytes
}
