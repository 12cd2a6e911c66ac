//! Pictures made for tests, down to damaged ones.

use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

/// A smooth picture, another one for every `variant`, no part of which looks like another.
pub fn photo(height: u32, width: u32, variant: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|channel| shade(x, y, variant * 3 + channel))))
}

/// The same kind of picture with an alpha channel that varies too.
pub fn translucent(height: u32, width: u32, variant: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| Rgba([0, 1, 2, 3].map(|channel| shade(x, y, variant * 4 + channel))))
}

/// The same kind of picture in gray.
pub fn gray(height: u32, width: u32, variant: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([shade(x, y, variant)]))
}

/// A gray picture with 16 bits a sample, each of which says the same as the 8-bit one.
pub fn deep(picture: &GrayImage) -> ImageBuffer<Luma<u16>, Vec<u16>> {
    ImageBuffer::from_fn(picture.width(), picture.height(), |x, y| Luma([u16::from(picture.get_pixel(x, y)[0]) * 257]))
}

/// A picture of one color.
pub fn flat(height: u32, width: u32, color: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(color))
}

fn shade(x: u32, y: u32, wave: u32) -> u8 {
    let (x, y, wave) = (f64::from(x), f64::from(y), f64::from(wave));
    let value =
        (x * (0.11 + 0.013 * wave) + y * (0.07 + 0.029 * (wave % 5.0)) + wave * 1.7).sin() + 0.4 * (0.31 * x - 0.23 * y + wave).cos();
    (128.0 + 85.0 * value).clamp(0.0, 255.0) as u8
}

/// Saves in the format of the name's ending, making the folder if need be.
pub fn save(picture: impl Into<DynamicImage>, path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    picture.into().save(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// `count` photos as PNG in `folder`, called `00.png` and so on.
pub fn photos(folder: &Path, count: u32, height: u32, width: u32) {
    (0..count).for_each(|variant| save(photo(height, width, variant), &folder.join(format!("{variant:02}.png"))));
}

/// A GIF of several frames; the first is `photo(height, width, 0)` in 256 colors.
pub fn animation(height: u32, width: u32, path: &Path) {
    let frame = |variant| image::Frame::new(DynamicImage::from(photo(height, width, variant)).into_rgba8());
    let file = std::fs::File::create(path).expect("a new file");
    image::codecs::gif::GifEncoder::new(file).encode_frames([frame(0), frame(5), frame(9)]).expect("a GIF");
}

/// A JPEG in four inks, as print shops send them, whose blocks are all of one middle color. `side` is a multiple of 8.
pub fn cmyk_jpeg(side: u8) -> Vec<u8> {
    let mut bytes = b"\xFF\xD8\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0".to_vec();
    bytes.extend([0xFF, 0xDB, 0, 67, 0]);
    bytes.extend([8; 64]);
    bytes.extend([0xFF, 0xC0, 0, 20, 8, 0, side, 0, side, 4]);
    (1..=4).for_each(|ink| bytes.extend([ink, 0x11, 0]));
    // Tables of a single code `0` each: "no difference to the block before" and "nothing more in this block".
    for table in [0x00, 0x10] {
        bytes.extend([0xFF, 0xC4, 0, 20, table, 1]);
        bytes.extend([0; 16]);
    }
    bytes.extend([0xFF, 0xDA, 0, 14, 4]);
    (1..=4).for_each(|ink| bytes.extend([ink, 0]));
    bytes.extend([0, 63, 0]);
    let blocks = usize::from(side / 8).pow(2);
    bytes.extend(vec![0; blocks]); // four inks of two bits each
    bytes.extend([0xFF, 0xD9]);
    bytes
}

/// Files that no reader can make a picture of, among others that are fine: their names, sorted.
pub fn broken_files(folder: &Path) -> Vec<&'static str> {
    let whole = folder.join("whole.png");
    save(photo(48, 48, 77), &whole);
    let png = std::fs::read(&whole).expect("the file just written");
    std::fs::remove_file(&whole).expect("the file just written");
    let jpeg = {
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&photo(64, 64, 78)).expect("a JPEG");
        bytes
    };
    let garbage: Vec<u8> = (0..3000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let files: [(&str, &[u8]); 6] = [
        ("empty.png", b""),
        ("garbage.jpg", &garbage),
        ("half.jpg", &jpeg[..jpeg.len() / 2]),
        ("half.png", &png[..png.len() / 2]),
        ("signature.png", &png[..8]),
        ("text.gif", b"this is no picture"),
    ];
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).expect("a new file"));
    files.map(|(name, _)| name).to_vec()
}
