//! The largest number in each place of a window, on the CPU.

use rayon::prelude::*;

use super::convolution::Window;
use super::pool::Pooled;
use super::simd::{Job, vectorized};

/// Shapes: `x [B, H·W, C]`; returns `[B, places, C]`.
pub fn forward(x: &[f32], channels: usize, window: Window) -> Pooled {
    let [down, across] = window.places();
    let (image, places) = (window.pixels() * channels, down * across);
    let mut y = Pooled::new(x.len() / image.max(1) * places * channels);
    let images = y.par_chunks_mut((places * channels).max(1)).zip(x.par_chunks(image.max(1)));
    images.for_each(|(y, x)| vectorized(Largest { y, x, channels, window }));
    y
}

struct Largest<'a> {
    y: &'a mut [f32],
    x: &'a [f32],
    channels: usize,
    window: Window,
}

impl Job for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (place, y) in self.y.chunks_exact_mut(self.channels).enumerate() {
            y.fill(f32::NEG_INFINITY);
            for pixel in pixels(self.window, place) {
                let pixel = &self.x[pixel * self.channels..][..self.channels];
                y.iter_mut().zip(pixel).for_each(|(most, &value)| *most = if exceeds(value, *most) { value } else { *most });
            }
        }
    }
}

/// Whether a number takes the place of the largest so far. Not a number wins: it must not vanish here.
#[inline(always)]
fn exceeds(value: f32, most: f32) -> bool {
    !(most >= value || most.is_nan())
}

/// The gradient of `x`, which goes to the first of several that are the largest. Shapes: `dy [B, places, C]`, `x [B, H·W, C]`.
pub fn backward(dy: &[f32], x: &[f32], channels: usize, window: Window) -> Pooled {
    let [down, across] = window.places();
    let (image, places) = (window.pixels() * channels, down * across);
    let mut dx = Pooled::new(x.len());
    let images = dx.par_chunks_mut(image.max(1)).zip(x.par_chunks(image.max(1))).zip(dy.par_chunks((places * channels).max(1)));
    images.for_each_init(
        || (vec![0.0; channels], vec![0; channels]),
        |(most, which), ((dx, x), dy)| vectorized(ToLargest { dx, dy, x, window, most, which }),
    );
    dx
}

/// Every channel of a place keeps its largest number and the pixel of that. Without branches: all pixels of a window get the gradient or
/// zero, in half of the time that looking up one pixel for each channel took.
struct ToLargest<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
    window: Window,
    most: &'a mut [f32],
    which: &'a mut [u32],
}

impl Job for ToLargest<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { dx, dy, x, window, most, which } = self;
        let channels = most.len();
        dx.fill(0.0);
        for (place, dy) in dy.chunks_exact(channels).enumerate() {
            for (index, pixel) in pixels(window, place).enumerate() {
                let values = &x[pixel * channels..][..channels];
                for ((most, which), &value) in most.iter_mut().zip(which.iter_mut()).zip(values) {
                    let takes = index == 0 || exceeds(value, *most);
                    *most = if takes { value } else { *most };
                    *which = if takes { index as u32 } else { *which };
                }
            }
            for (index, pixel) in pixels(window, place).enumerate() {
                let sums = &mut dx[pixel * channels..][..channels];
                for ((sum, which), dy) in sums.iter_mut().zip(which.iter()).zip(dy) {
                    *sum += if *which == index as u32 { *dy } else { 0.0 };
                }
            }
        }
    }
}

/// The pixels that a window sees at a place.
#[inline(always)]
fn pixels(window: Window, place: usize) -> impl Iterator<Item = usize> {
    (0..window.side).filter_map(move |line| window.line(place, line)).flatten()
}
