//! Convolutions whose products have one row for each image: at a place of the map, all images see the same part of the window, so that what
//! lies outside of them is left out (over half of the arithmetic where a window of 3×3 slides over maps of 2×2).
//!
//! Numbers are brought into the order `[pixel, image, channel]` first, where a product finds its rows one after the other; in the order
//! `[image, pixel, channel]` they are a power of two apart, which caches are bad at.

use rayon::prelude::*;

use super::super::matrix::{Onto, Panels, Stretch, View, ViewMut, multiply_stretches};
use super::super::pool::Pooled;
use super::Sizes;

/// See [`super::forward`]; the weights are `[taps · C, O]`.
pub fn forward(x: &[f32], weight: &Panels, sizes: Sizes) -> Pooled {
    let Sizes { batch, channels, outputs, window } = sizes;
    let x = Operand { values: &by_pixel(x, batch, channels), batch, width: channels };
    let across = window.places()[1];
    sum_over_taps(
        x,
        weight,
        [sizes.places(), outputs],
        |place, [line, column]| {
            let row = window.seen(0, place / across, line)?;
            Some(row * window.grid[1] + window.seen(1, place % across, column)?)
        },
        window.side,
    )
}

/// See [`super::input_gradient`]; the weights are `[taps · O, C]`.
pub fn input_gradient(dy: &[f32], weight: &Panels, sizes: Sizes) -> Pooled {
    let Sizes { batch, channels, outputs, window } = sizes;
    let dy = Operand { values: &by_pixel(dy, batch, outputs), batch, width: outputs };
    let across = window.places()[1];
    sum_over_taps(
        dy,
        weight,
        [window.pixels(), channels],
        |pixel, [line, column]| {
            let row = window.seeing(0, pixel / window.grid[1], line)?;
            Some(row * across + window.seeing(1, pixel % window.grid[1], column)?)
        },
        window.side,
    )
}

/// `[pixels, B, width]`
#[derive(Clone, Copy)]
struct Operand<'a> {
    values: &'a [f32],
    batch: usize,
    width: usize,
}

/// From `[B, pixels, width]` to `[pixels, B, width]`.
fn by_pixel(x: &[f32], batch: usize, width: usize) -> Pooled {
    /// Pixels that are copied together, so that longer pieces are read at once.
    const TOGETHER: usize = 8;
    let pixels = x.len() / (batch * width);
    let mut ordered = Pooled::new(x.len());
    ordered.par_chunks_mut(TOGETHER * batch * width).enumerate().for_each(|(index, to)| {
        let count = to.len() / (batch * width);
        for image in 0..batch {
            let from = &x[(image * pixels + index * TOGETHER) * width..][..count * width];
            for (pixel, from) in from.chunks_exact(width).enumerate() {
                to[(pixel * batch + image) * width..][..width].copy_from_slice(from);
            }
        }
    });
    ordered
}

/// `y[image, target] = Σ x[source of the target and tap, image] weight[tap]` over all rows and columns of the window, `side` of each;
/// the shape is that of an image in `y`.
fn sum_over_taps(
    x: Operand<'_>,
    weight: &Panels,
    [targets, width]: [usize; 2],
    source: impl Fn(usize, [usize; 2]) -> Option<usize> + Sync,
    side: usize,
) -> Pooled {
    let mut y = Pooled::new(x.batch * targets * width);
    // A task has some of the images and some of the targets.
    let images = (x.batch / rayon::current_num_threads()).clamp(16, 64);
    let run = targets.div_ceil(16);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    tasks.resize_with(x.batch.div_ceil(images) * targets.div_ceil(run), Vec::new);
    for (image, y) in y.chunks_exact_mut(targets * width).enumerate() {
        for (index, y) in y.chunks_mut(run * width).enumerate() {
            tasks[image / images * targets.div_ceil(run) + index].push(y);
        }
    }
    tasks.into_par_iter().enumerate().for_each_init(
        || (Pooled::new(images * width), Vec::new()),
        |(sums, stretches), (index, mut y)| {
            let (first_image, first) = (index / targets.div_ceil(run) * images, index % targets.div_ceil(run) * run);
            let sums = &mut sums[..y.len() * width];
            for target in 0..run.min(targets - first) {
                stretches.clear();
                for tap in 0..side * side {
                    if let Some(source) = source(first + target, [tap / side, tap % side]) {
                        stretches.push(Stretch { a: (source * x.batch + first_image) * x.width, b: tap * x.width, len: x.width });
                    }
                }
                multiply_stretches(ViewMut::new(sums, [y.len(), width]), (x.values, [x.width, 1]), stretches, weight, Onto::Nothing);
                for (y, sums) in y.iter_mut().zip(sums.chunks_exact(width)) {
                    y[target * width..][..width].copy_from_slice(sums);
                }
            }
        },
    );
    y
}

/// See [`super::weight_gradient`]; returns `[taps · C, O]`.
pub fn weight_gradient(dweight: &mut [f32], dy: &[f32], x: &[f32], sizes: Sizes) {
    /// Channels of a part.
    const PART: usize = 32;
    let Sizes { batch, channels, outputs, window } = sizes;
    let x = by_pixel(x, batch, channels);
    let dy = Panels::new(View::new(&by_pixel(dy, batch, outputs), [sizes.places() * batch, outputs]));
    let [down, across] = window.places();
    dweight.par_chunks_mut(channels * outputs).enumerate().for_each(|(tap, dweight)| {
        let mut stretches = Vec::with_capacity(down * across);
        for place in 0..down * across {
            let row = window.seen(0, place / across, tap / window.side);
            if let (Some(row), Some(column)) = (row, window.seen(1, place % across, tap % window.side)) {
                stretches.push(Stretch { a: (row * window.grid[1] + column) * batch * channels, b: place * batch, len: batch });
            }
        }
        dweight.par_chunks_mut(PART * outputs).enumerate().for_each(|(index, dweight)| {
            let shape = [dweight.len() / outputs, outputs];
            multiply_stretches(ViewMut::new(dweight, shape), (&x[index * PART..], [1, channels]), &stretches, &dy, Onto::Nothing);
        });
    });
}
