//! Whether a PNG, GIF or WebP file is whole. Their decoders stop at the last pixel they need; a file that ends before its own structure
//! does was cut off in transfer and counts as unreadable.

use image::ImageFormat;

const TRUNCATED: &str = "the file is truncated: it ends before its own structure does";

/// The reason if the file is not whole.
pub(super) fn check(bytes: &[u8], format: ImageFormat) -> Result<(), String> {
    let whole = match format {
        ImageFormat::Png => png_is_whole(bytes),
        ImageFormat::Gif => gif_is_whole(bytes),
        ImageFormat::WebP => webp_is_whole(bytes),
        _ => true,
    };
    if whole { Ok(()) } else { Err(TRUNCATED.into()) }
}

/// Every chunk up to `IEND` lies within the file.
fn png_is_whole(bytes: &[u8]) -> bool {
    let mut position = 8;
    while let Some(&[a, b, c, d, k0, k1, k2, k3]) = bytes.get(position..position + 8) {
        let end = position.saturating_add(u32::from_be_bytes([a, b, c, d]) as usize).saturating_add(12);
        if end > bytes.len() {
            return false;
        }
        if [k0, k1, k2, k3] == *b"IEND" {
            return true;
        }
        position = end;
    }
    false
}

/// Every block lies within the file. A missing trailer is forgiven: some writers leave it out.
fn gif_is_whole(bytes: &[u8]) -> bool {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3_usize << ((flags & 7) + 1) };
    let Some(&flags) = bytes.get(10) else { return false };
    let mut position = 13 + table(flags);
    let mut images = 0;
    loop {
        match bytes.get(position) {
            Some(0x3B) => return true,
            Some(0x21) => position += 2,
            Some(0x2C) => {
                let Some(&flags) = bytes.get(position + 9) else { return false };
                position += 11 + table(flags);
                images += 1;
            }
            // Anything else is damage, which is the decoder's to judge.
            Some(_) => return true,
            None => return images > 0 && position == bytes.len(),
        }
        loop {
            let Some(&length) = bytes.get(position) else { return false };
            position += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
}

/// The size that the RIFF header gives lies within the file.
fn webp_is_whole(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|size| u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]])) + 8 <= bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, photo};

    #[test]
    fn whole_files_pass_and_every_shorter_one_fails() {
        let rgb = image::DynamicImage::ImageRgb8(photo(12, 9));
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            let bytes = if format == ImageFormat::Gif { encoded(&rgb.to_rgba8().into(), format) } else { encoded(&rgb, format) };
            assert!(check(&bytes, format).is_ok(), "{format:?}");
            // A GIF without its one-byte trailer passes.
            let shortest_loss = if format == ImageFormat::Gif { 2 } else { 1 };
            for length in 12..=bytes.len() - shortest_loss {
                assert!(check(&bytes[..length], format).is_err(), "{format:?}: {length} of {}", bytes.len());
            }
        }
    }
}
