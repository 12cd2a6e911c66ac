//! Convolutions whose products have one row for each place in a row of the map: a row of the window is one piece of an image that has zeros
//! left and right, and goes on by the same distance from place to place. What lies above and below is left out.

use std::ops::Range;

use rayon::prelude::*;

use super::super::matrix::{Onto, Panels, Stretch, View, ViewMut, multiply_stretches};
use super::super::pool::Pooled;
use super::Sizes;

impl Sizes {
    /// Numbers in a row of an image with zeros left and right.
    fn wide(&self) -> usize {
        (self.window.grid[1] + 2 * self.window.padding).max(self.window.side) * self.channels
    }

    /// Copies rows of an image with zeros left and right.
    fn pad(&self, to: &mut [f32], image: &[f32], rows: Range<usize>) {
        let (left, width) = (self.window.padding * self.channels, self.window.grid[1] * self.channels);
        for (to, from) in to.chunks_exact_mut(self.wide()).zip(image[rows.start * width..rows.end * width].chunks_exact(width)) {
            to[..left].fill(0.0);
            to[left..left + width].copy_from_slice(from);
            to[left + width..].fill(0.0);
        }
    }

    /// The rows of an image that are seen in these rows of places.
    fn rows_seen(&self, places: Range<usize>) -> Range<usize> {
        let window = self.window;
        let end = ((places.end - 1) * window.stride + window.side).saturating_sub(window.padding).min(window.grid[0]);
        (places.start * window.stride).saturating_sub(window.padding).min(end)..end
    }
}

/// See [`super::forward`]; the weights are `[taps · C, O]`.
pub fn forward(x: &[f32], weight: &Panels, sizes: Sizes) -> Pooled {
    let Sizes { batch, channels, outputs, window } = sizes;
    let ([down, across], wide, line) = (window.places(), sizes.wide(), window.side * channels);
    let mut y = Pooled::new(batch * down * across * outputs);
    // An image is a task, or part of one if they are few.
    let some = (batch * down).div_ceil(4 * rayon::current_num_threads()).min(down);
    let images = y.par_chunks_mut(down * across * outputs).zip(x.par_chunks(window.pixels() * channels));
    images.for_each(|(y, x)| {
        y.par_chunks_mut(some * across * outputs).enumerate().for_each_init(
            || (Pooled::default(), Vec::with_capacity(window.side)),
            |(padded, stretches), (index, y)| {
                let first = index * some;
                let rows = sizes.rows_seen(first..first + y.len() / (across * outputs));
                if padded.len() < rows.len() * wide {
                    *padded = Pooled::new(rows.len() * wide);
                }
                sizes.pad(padded, x, rows.clone());
                for (place, y) in y.chunks_exact_mut(across * outputs).enumerate() {
                    stretches.clear();
                    for tap in 0..window.side {
                        if let Some(row) = window.seen(0, first + place, tap) {
                            stretches.push(Stretch { a: (row - rows.start) * wide, b: tap * line, len: line });
                        }
                    }
                    let a = (&**padded, [window.stride * channels, 1]);
                    multiply_stretches(ViewMut::new(y, [across, outputs]), a, stretches, weight, Onto::Nothing);
                }
            },
        );
    });
    y
}

/// See [`super::weight_gradient`]; returns `[taps · C, O]`. Some images at a time, so that they stay in the cache while the weights go by.
pub fn weight_gradient(dweight: &mut [f32], dy: &[f32], x: &[f32], sizes: Sizes) {
    /// Numbers of `dy` that are worked on at once.
    const NUMBERS: usize = 1 << 19;
    /// Rows of a part.
    const PART: usize = 96;
    let Sizes { batch, channels, outputs, window } = sizes;
    let ([down, across], wide, line) = (window.places(), sizes.wide(), window.side * channels);
    let (height, of_x, of_dy) = (window.grid[0], window.pixels() * channels, down * across * outputs);
    let some = (NUMBERS / of_dy).clamp(1, batch);
    let mut padded = Pooled::new(some * height * wide);
    let mut panels = Panels::default();
    let blocks = x.chunks(some * of_x).zip(dy.chunks(some * of_dy));
    for (index, (x, dy)) in blocks.enumerate() {
        padded.par_chunks_mut(height * wide).zip(x.par_chunks(of_x)).for_each(|(padded, x)| sizes.pad(padded, x, 0..height));
        let images = x.len() / of_x;
        panels.set(View::new(dy, [images * down * across, outputs]));
        let onto = if index == 0 { Onto::Nothing } else { Onto::Itself };
        dweight.par_chunks_mut(line * outputs).enumerate().for_each(|(tap, dweight)| {
            let mut stretches = Vec::with_capacity(images * down);
            for place in 0..images * down {
                if let Some(row) = window.seen(0, place % down, tap) {
                    stretches.push(Stretch { a: (place / down * height + row) * wide, b: place * across, len: across });
                }
            }
            dweight.par_chunks_mut(PART * outputs).enumerate().for_each(|(index, dweight)| {
                let shape = [dweight.len() / outputs, outputs];
                let a = (&padded[index * PART..], [1, window.stride * channels]);
                multiply_stretches(ViewMut::new(dweight, shape), a, &stretches, &panels, onto);
            });
        });
    }
}
