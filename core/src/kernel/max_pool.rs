//! The largest number in each place of a window, on the CPU.

use rayon::prelude::*;

use super::convolution::Window;
use super::pool::Pooled;

/// Shapes: `x [B, H·W, C]`; returns `[B, places, C]`.
pub fn forward(x: &[f32], channels: usize, window: Window) -> Pooled {
    let [down, across] = window.places();
    let (image, places) = (window.pixels() * channels, down * across);
    let mut y = Pooled::new(x.len() / image.max(1) * places * channels);
    y.par_chunks_mut((places * channels).max(1)).zip(x.par_chunks(image.max(1))).for_each(|(y, x)| {
        for (place, y) in y.chunks_exact_mut(channels).enumerate() {
            y.fill(f32::NEG_INFINITY);
            each_pixel(window, place, |pixel| {
                let pixel = &x[pixel * channels..][..channels];
                // Not a number wins: it must not vanish here.
                y.iter_mut().zip(pixel).for_each(|(most, &value)| *most = if *most >= value || most.is_nan() { *most } else { value });
            });
        }
    });
    y
}

/// The gradient of `x`, which goes to the first of several that are the largest. Shapes: `dy [B, places, C]`, `x [B, H·W, C]`.
pub fn backward(dy: &[f32], x: &[f32], channels: usize, window: Window) -> Pooled {
    let [down, across] = window.places();
    let (image, places) = (window.pixels() * channels, down * across);
    let mut dx = Pooled::new(x.len());
    let images = dx.par_chunks_mut(image.max(1)).zip(x.par_chunks(image.max(1))).zip(dy.par_chunks((places * channels).max(1)));
    images.for_each_init(
        || vec![(0.0, 0); channels],
        |most, ((dx, x), dy)| {
            dx.fill(0.0);
            for (place, dy) in dy.chunks_exact(channels).enumerate() {
                most.fill((f32::NEG_INFINITY, usize::MAX));
                each_pixel(window, place, |pixel| {
                    for (most, &value) in most.iter_mut().zip(&x[pixel * channels..][..channels]) {
                        let stays = most.0 >= value || most.0.is_nan();
                        *most = if stays && most.1 != usize::MAX { *most } else { (value, pixel) };
                    }
                });
                for (channel, (&(_, pixel), dy)) in most.iter().zip(dy).enumerate() {
                    if let Some(sum) = dx.get_mut(pixel.saturating_mul(channels).saturating_add(channel)) {
                        *sum += dy;
                    }
                }
            }
        },
    );
    dx
}

fn each_pixel(window: Window, place: usize, mut visit: impl FnMut(usize)) {
    for line in 0..window.side {
        if let Some((first, inside)) = window.line(place, line) {
            (first..first + inside.len()).for_each(&mut visit);
        }
    }
}
