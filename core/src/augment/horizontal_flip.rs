//! Swapping left and right.

/// Reverses every row of `pixels` `[H, W, C]` in place.
pub fn flip_horizontally<T>(pixels: &mut [T], width: usize, channels: usize) {
    for row in pixels.chunks_exact_mut(width * channels) {
        if channels == 3 {
            // Whole pixels change places, which is quicker.
            row.as_chunks_mut::<3>().0.reverse();
            continue;
        }
        // Reversing all samples reverses the pixels, and the channels within each; the second pass undoes the latter.
        row.reverse();
        row.chunks_exact_mut(channels).for_each(<[T]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_reversed_pixel_by_pixel() {
        let mut pixels = [1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60];
        flip_horizontally(&mut pixels, 3, 2);
        assert_eq!(pixels, [3, 30, 2, 20, 1, 10, 6, 60, 5, 50, 4, 40]);
        let mut pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        flip_horizontally(&mut pixels, 3, 3);
        assert_eq!(pixels, [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }
}
