//! Pictures one after the other: an animated GIF.

use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};

use super::picture::Picture;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Writes pictures of one size as an animation without end.
///
/// # Errors
/// [`Error::Usage`] if there is none, or they differ in size; [`Error::Io`] if the file cannot be written.
pub fn write_gif(frames: &[Picture], per_second: f64, path: &Path) -> Result<()> {
    let Some(first) = frames.first() else { return Err(Error::Usage("an animation needs at least one picture".into())) };
    if let Some(other) = frames.iter().find(|frame| (frame.height, frame.width) != (first.height, first.width)) {
        let sizes = format!("{}×{} and {}×{}", first.width, first.height, other.width, other.height);
        return Err(Error::Usage(format!("the pictures of an animation have one size, and these have {sizes} px: use --fit")));
    }
    let failed = |error: image::ImageError| Error::Failed(format!("the animation cannot be made: {error}"));
    let mut bytes = Vec::new();
    {
        // From 1 to 30: the best colors take longer than making them.
        const SPEED: i32 = 10;
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        for frame in frames {
            let rgba = frame.rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
            let image = RgbaImage::from_raw(frame.width as u32, frame.height as u32, rgba);
            let image = image.ok_or_else(|| Error::Failed("a picture does not have the pixels that its size promises".into()))?;
            let delay = Delay::from_numer_denom_ms((1000.0 / per_second.max(0.1)).round() as u32, 1);
            encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).map_err(failed)?;
        }
    }
    write_atomic(path, &bytes)
}

#[cfg(test)]
mod tests {
    use image::AnimationDecoder as _;
    use image::codecs::gif::GifDecoder;

    use super::*;

    #[test]
    fn frames_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let colors = [[200, 0, 0], [0, 200, 0], [0, 0, 200]];
        let frames = colors.map(|color| Picture::filled(8, 12, color));
        write_gif(&frames, 4.0, &path).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let read = GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 3);
        for (frame, color) in read.iter().zip(colors) {
            assert_eq!(frame.delay().numer_denom_ms(), (250, 1));
            let near = frame.buffer().pixels().all(|pixel| pixel.0.iter().zip(color).all(|(have, want)| have.abs_diff(want) < 12));
            assert!(near && frame.buffer().dimensions() == (12, 8));
        }
        assert!(write_gif(&[], 4.0, &path).is_err());
        let uneven = [Picture::filled(8, 12, [0; 3]), Picture::filled(8, 8, [0; 3])];
        assert!(write_gif(&uneven, 4.0, &path).unwrap_err().to_string().contains("one size"));
    }
}
