//! Features that know nothing but pixels: what any learned representation must beat.

/// Bins of each channel in [`color_histogram`].
const BINS: usize = 8;

/// The share of pixels in each of 8 x 8 x 8 color cells, red slowest: `[512]`. `rgb` is interleaved; a picture without pixels gives
/// zeros.
pub fn color_histogram(rgb: &[u8]) -> Vec<f32> {
    let mut counts = vec![0_u64; BINS * BINS * BINS];
    let (pixels, _) = rgb.as_chunks::<3>();
    for pixel in pixels {
        let [red, green, blue] = pixel.map(|value| usize::from(value) * BINS / 256);
        counts[(red * BINS + green) * BINS + blue] += 1;
    }
    let total = pixels.len().max(1) as f64;
    counts.into_iter().map(|count| (count as f64 / total) as f32).collect()
}

/// The picture itself, averaged down (or repeated up) to `side` x `side` pixels, in 0..1: `[side * side * 3]`, row, column, channel.
///
/// # Panics
/// If `rgb` does not hold `height * width` pixels of three channels, or no pixels at all.
pub fn raw_pixels(rgb: &[u8], height: usize, width: usize, side: usize) -> Vec<f32> {
    assert_eq!(rgb.len(), height * width * 3, "an RGB picture of {height}x{width} pixels");
    assert!(!rgb.is_empty(), "a picture without pixels");
    let (rows, columns) = (weights(height, side), weights(width, side));
    let mut features = Vec::with_capacity(side * side * 3);
    for row in &rows {
        for column in &columns {
            let mut sums = [0.0_f64; 3];
            for (y, down) in row {
                for (x, across) in column {
                    let pixel = &rgb[(y * width + x) * 3..][..3];
                    sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += down * across * f64::from(value));
                }
            }
            features.extend(sums.map(|sum| (sum / 255.0) as f32));
        }
    }
    features
}

/// For each of `side` equal intervals the pixels it covers and the share of the interval that each takes.
fn weights(pixels: usize, side: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = pixels as f64 / side as f64;
    (0..side)
        .map(|cell| {
            let (start, end) = (cell as f64 * scale, (cell + 1) as f64 * scale);
            let covered = |pixel: usize| (end.min(pixel as f64 + 1.0) - start.max(pixel as f64)) / scale;
            (start as usize..(end.ceil() as usize).min(pixels))
                .map(|pixel| (pixel, covered(pixel)))
                .filter(|covered| covered.1 > 0.0)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn pixels_land_in_their_cells() {
        let histogram = color_histogram(&[0, 0, 0, 31, 31, 31, 255, 32, 0, 255, 63, 31]);
        assert_eq!(histogram.len(), 512);
        assert_eq!((histogram[0], histogram[7 * 64 + 8]), (0.5, 0.5));
        assert_eq!(color_histogram(&[]), vec![0.0; 512]);
        assert_eq!(color_histogram(&[255; 3])[511], 1.0);
    }

    #[test]
    fn averages_keep_the_mean_at_any_size() {
        for case in 0..50 {
            let mut stream = Stream::new(6, 0, case, Purpose::Toy);
            let (height, width, side) = (1 + stream.below(40), 1 + stream.below(40), 1 + stream.below(20));
            let rgb: Vec<u8> = (0..height * width * 3).map(|_| stream.below(256) as u8).collect();
            let features = raw_pixels(&rgb, height, width, side);
            assert_eq!(features.len(), side * side * 3);
            let mean = |values: &mut dyn Iterator<Item = f64>, n: usize| values.sum::<f64>() / n as f64;
            let before = mean(&mut rgb.iter().map(|&value| f64::from(value) / 255.0), rgb.len());
            let after = mean(&mut features.iter().map(|&value| f64::from(value)), features.len());
            assert!((before - after).abs() < 1e-5, "{height}x{width} to {side}: {before} {after}");
        }
    }

    #[test]
    fn a_whole_factor_is_a_block_average() {
        let rgb: Vec<u8> = [0, 100, 200, 100].iter().flat_map(|&value| [value; 3]).collect();
        assert_eq!(raw_pixels(&rgb, 2, 2, 1), [100.0 / 255.0; 3]);
        assert_eq!(raw_pixels(&rgb, 2, 2, 2)[3], 100.0 / 255.0);
    }
}
