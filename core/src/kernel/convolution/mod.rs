//! Convolutions of images on the CPU: sums of matrix products, one for each part of the window, whose operands are read where they lie.
//!
//! What the rows of a product are depends on the map: on small ones the images of a batch at one place ([`images`]), on others neighboring
//! places ([`lines`]). What windows see is not gathered into rows first, which took a fifth of the time, and of what they see outside of
//! the image little is multiplied. On a Zen 5 core of 250 GFLOP/s, 128 images of 16×16 pixels by 64 channels take 10 ms each way (2.4 GFLOP;
//! 12 to 14 when they were gathered), and of 2×2 by 512 channels 7 to 10 (11 to 21).

mod images;
mod lines;
mod weights;

use std::ops::Range;

use rayon::prelude::*;

use super::matrix::{Onto, Panels, Stretch, View, ViewMut, multiply_in_parallel, multiply_stretches};
use super::pool::Pooled;

/// What slides over an image: a square window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the image.
    pub grid: [usize; 2],
    /// Rows and columns of the window.
    pub side: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Pixels around the image that count as zero; of a maximum, as nothing.
    pub padding: usize,
}

impl Window {
    /// Its places, down and across.
    pub fn places(&self) -> [usize; 2] {
        self.grid.map(|length| (length + 2 * self.padding).saturating_sub(self.side) / self.stride.max(1) + 1)
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// The pixels that row `line` of the window sees at a place.
    pub(super) fn line(&self, place: usize, line: usize) -> Option<Range<usize>> {
        let [_, across] = self.places();
        let row = (place / across * self.stride + line).checked_sub(self.padding).filter(|&row| row < self.grid[0])?;
        let left = place % across * self.stride;
        let first = left.saturating_sub(self.padding);
        let end = (left + self.side).saturating_sub(self.padding).min(self.grid[1]);
        (first < end).then(|| row * self.grid[1] + first..row * self.grid[1] + end)
    }

    /// Pixels of the window.
    fn taps(&self) -> usize {
        self.side * self.side
    }

    /// Pixels seen from all places together, those around the image not counted: the rows of the product that is needed.
    pub fn pixels_seen(&self) -> usize {
        let places = self.places();
        let along = |axis: usize| {
            let seen = |place| (0..self.side).filter(|&tap| self.seen(axis, place, tap).is_some()).count();
            (0..places[axis]).map(seen).sum::<usize>()
        };
        along(0) * along(1)
    }

    /// Whether it sees one pixel at a time, and none of them twice.
    fn is_pointwise(&self) -> bool {
        (self.side, self.padding) == (1, 0)
    }

    /// The row of the image that a row of the window sees in this row of places. The same goes for columns.
    fn seen(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        (place * self.stride + tap).checked_sub(self.padding).filter(|&seen| seen < self.grid[axis])
    }

    /// The row of places in which a row of the window sees this row of the image. The same goes for columns.
    fn seeing(&self, axis: usize, seen: usize, tap: usize) -> Option<usize> {
        let start = (seen + self.padding).checked_sub(tap).filter(|start| start.is_multiple_of(self.stride))?;
        Some(start / self.stride).filter(|&place| place < self.places()[axis])
    }
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// B
    pub batch: usize,
    /// C
    pub channels: usize,
    /// O
    pub outputs: usize,
    /// Its window.
    pub window: Window,
}

impl Sizes {
    /// Places in one image.
    fn places(&self) -> usize {
        let [down, across] = self.window.places();
        down * across
    }

    /// Whether nothing is to be done.
    fn is_empty(&self) -> bool {
        [self.batch, self.channels, self.outputs, self.window.pixels(), self.window.side].contains(&0)
    }

    /// Whether the rows of products are images. It needs some of them to be worth reading the weights for, and of every pixel some numbers. A
    /// tile has eight rows at most: with fewer places than that in a row of the map it is not full, with eight both are equally fast.
    fn rows_are_images(&self, across: usize, width: usize) -> bool {
        const ACROSS: usize = 8;
        self.batch >= 16 && width >= 16 && across < ACROSS
    }
}

/// Slides the window over all images. Shapes: `x [B, H·W, C]`, `weight [O, C, side, side]`; returns `[B, places, O]`.
pub fn forward(x: &[f32], weight: &[f32], sizes: Sizes) -> Pooled {
    if sizes.is_empty() {
        return zeros(sizes.batch * sizes.places() * sizes.outputs);
    }
    let weight = weights::to_outputs(weight, sizes);
    if sizes.window.is_pointwise() {
        let x = Thinned::new(x, sizes);
        let mut y = Pooled::new(sizes.batch * sizes.places() * sizes.outputs);
        multiply_in_parallel(&mut y, View::new(x.get(), [sizes.batch * sizes.places(), sizes.channels]), &weight, Onto::Nothing);
        y
    } else if sizes.rows_are_images(sizes.window.places()[1], sizes.channels) {
        images::forward(x, &weight, sizes)
    } else {
        lines::forward(x, &weight, sizes)
    }
}

/// The gradient of `x`. Shapes: `dy [B, places, O]`, `weight [O, C, side, side]`; returns `[B, H·W, C]`.
pub fn input_gradient(dy: &[f32], weight: &[f32], sizes: Sizes) -> Pooled {
    let Sizes { batch, channels, outputs, window } = sizes;
    if sizes.is_empty() {
        return zeros(batch * window.pixels() * channels);
    }
    if window.is_pointwise() {
        let weight = weights::to_inputs(weight, sizes, |tap| tap);
        let mut dx = Pooled::new(batch * sizes.places() * channels);
        multiply_in_parallel(&mut dx, View::new(dy, [batch * sizes.places(), outputs]), &weight, Onto::Nothing);
        return spread(dx, sizes);
    }
    // With the window turned around, every pixel sees the places that saw it.
    if window.stride == 1 && window.padding < window.side && !sizes.rows_are_images(window.grid[1], outputs) {
        let turned = Window { grid: window.places(), padding: window.side - 1 - window.padding, ..window };
        if turned.places() == window.grid {
            let weight = weights::to_inputs(weight, sizes, |tap| window.taps() - 1 - tap);
            return lines::forward(dy, &weight, Sizes { batch, channels: outputs, outputs: channels, window: turned });
        }
    }
    images::input_gradient(dy, &weights::to_inputs(weight, sizes, |tap| tap), sizes)
}

/// The gradient of `weight`. Shapes: `dy [B, places, O]`, `x [B, H·W, C]`; returns `[O, C, side, side]`. The weights are split into parts,
/// and not the images, so that nothing has to be added up afterwards.
pub fn weight_gradient(dy: &[f32], x: &[f32], sizes: Sizes) -> Pooled {
    let count = sizes.outputs * sizes.channels * sizes.window.taps();
    if sizes.is_empty() {
        return zeros(count);
    }
    let mut dweight = Pooled::new(count);
    if sizes.window.is_pointwise() {
        pointwise_weight_gradient(&mut dweight, dy, Thinned::new(x, sizes).get(), sizes);
    } else if sizes.rows_are_images(sizes.window.places()[1], sizes.channels) {
        images::weight_gradient(&mut dweight, dy, x, sizes);
    } else {
        lines::weight_gradient(&mut dweight, dy, x, sizes);
    }
    weights::as_stored(&dweight, sizes)
}

fn zeros(count: usize) -> Pooled {
    let mut zeros = Pooled::new(count);
    zeros.fill(0.0);
    zeros
}

/// Shapes: `dweight [C, O]`, `dy [B, places, O]`, `x [B, places, C]`.
fn pointwise_weight_gradient(dweight: &mut [f32], dy: &[f32], x: &[f32], sizes: Sizes) {
    /// Rows of a part, at most: with these weights' gradients, they are to stay in a core's own cache.
    const MANY: usize = 288;
    let Sizes { channels, outputs, .. } = sizes;
    let rows = sizes.batch * sizes.places();
    let dy = Panels::new(View::new(dy, [rows, outputs]));
    let part = channels.div_ceil(2 * rayon::current_num_threads()).clamp(1, MANY).next_multiple_of(8);
    let all = [Stretch { a: 0, b: 0, len: rows }];
    dweight.par_chunks_mut(part * outputs).enumerate().for_each(|(index, dweight)| {
        let shape = [dweight.len() / outputs, outputs];
        multiply_stretches(ViewMut::new(dweight, shape), (&x[index * part..], [1, channels]), &all, &dy, Onto::Nothing);
    });
}

/// The pixels that a pointwise window sees.
enum Thinned<'a> {
    All(&'a [f32]),
    Some(Pooled),
}

impl<'a> Thinned<'a> {
    fn new(x: &'a [f32], sizes: Sizes) -> Self {
        let Sizes { channels, window, .. } = sizes;
        if window.stride == 1 {
            return Self::All(x);
        }
        let mut some = Pooled::new(sizes.batch * sizes.places() * channels);
        let images = some.par_chunks_mut(sizes.places() * channels).zip(x.par_chunks(window.pixels() * channels));
        images.for_each(|(some, x)| {
            for (place, to) in some.chunks_exact_mut(channels).enumerate() {
                to.copy_from_slice(&x[pixel_of(window, place) * channels..][..channels]);
            }
        });
        Self::Some(some)
    }

    fn get(&self) -> &[f32] {
        match self {
            Self::All(x) => x,
            Self::Some(x) => x,
        }
    }
}

/// The opposite of [`Thinned`]: what nobody saw becomes zero.
fn spread(dx: Pooled, sizes: Sizes) -> Pooled {
    let Sizes { channels, window, .. } = sizes;
    if window.stride == 1 {
        return dx;
    }
    let mut all = Pooled::new(sizes.batch * window.pixels() * channels);
    all.par_chunks_mut(window.pixels() * channels).zip(dx.par_chunks(sizes.places() * channels)).for_each(|(all, dx)| {
        all.fill(0.0);
        for (place, from) in dx.chunks_exact(channels).enumerate() {
            all[pixel_of(window, place) * channels..][..channels].copy_from_slice(from);
        }
    });
    all
}

/// The pixel that a pointwise window sees at a place.
fn pixel_of(window: Window, place: usize) -> usize {
    let across = window.places()[1];
    place / across * window.stride * window.grid[1] + place % across * window.stride
}
