//! Convolutions of images on the CPU, as matrix products: what a window sees is gathered into rows, a few dozen at a time so that they stay
//! in the cache, and never for a whole batch at once.

use std::ops::Range;

use rayon::prelude::*;

use super::matrix::{Onto, Panels, View, ViewMut, multiply, multiply_in_parallel, multiply_within};
use super::pool::Pooled;
use super::simd::{Job, vectorized};

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

    /// Whether every pixel is seen alone, in its own place.
    fn is_pointwise(&self) -> bool {
        (self.side, self.stride, self.padding) == (1, 1, 0)
    }

    /// The part of row `line` of the window at a place that lies inside of the image: the first pixel of it in the image, and which columns
    /// of the window are inside.
    pub(super) fn line(&self, place: usize, line: usize) -> Option<(usize, Range<usize>)> {
        let [_, across] = self.places();
        let row = (place / across * self.stride + line).checked_sub(self.padding).filter(|&row| row < self.grid[0])?;
        let left = place % across * self.stride;
        let first = self.padding.saturating_sub(left);
        let end = self.side.min((self.grid[1] + self.padding).saturating_sub(left));
        (first < end).then(|| (row * self.grid[1] + left + first - self.padding, first..end))
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
    /// K: numbers that the window sees at once.
    fn seen(&self) -> usize {
        self.window.side * self.window.side * self.channels
    }

    /// Places in one image.
    fn places(&self) -> usize {
        let [down, across] = self.window.places();
        down * across
    }

    /// Places in all images.
    fn rows(&self) -> usize {
        self.batch * self.places()
    }

    /// Places that are gathered at once: what they see is to stay in a core's own cache, and there are to be enough of them to be worth a
    /// pass over the weights.
    fn chunk(&self) -> usize {
        const NUMBERS: usize = 1 << 16;
        const FEW: usize = 48;
        (NUMBERS / self.seen().max(1)).max(FEW).next_multiple_of(24)
    }

    /// Writes what the windows at the places from `first` on see, of all images: as many places as there are rows, of each the numbers
    /// `columns` of (row, column, channel) of the window.
    fn gather(&self, rows: &mut [f32], x: &[f32], first: usize, columns: &Range<usize>) {
        let line = self.window.side * self.channels;
        let lines = columns.start / line..columns.end.div_ceil(line);
        for (index, row) in rows.chunks_exact_mut(columns.len()).enumerate() {
            let (sample, place) = ((first + index) / self.places(), (first + index) % self.places());
            let image = &x[sample * self.window.pixels() * self.channels..];
            let mut rest = row;
            for line_index in lines.clone() {
                // The numbers of this line that are wanted, and those that the image has.
                let start = line_index * line;
                let wanted = columns.start.max(start) - start..columns.end.min(start + line) - start;
                let (to, others) = rest.split_at_mut(wanted.len());
                rest = others;
                let Some((pixel, inside)) = self.window.line(place, line_index) else {
                    to.fill(0.0);
                    continue;
                };
                let has = (inside.start * self.channels).max(wanted.start)..(inside.end * self.channels).min(wanted.end);
                if has.is_empty() {
                    to.fill(0.0);
                    continue;
                }
                to[..has.start - wanted.start].fill(0.0);
                to[has.end - wanted.start..].fill(0.0);
                let from = pixel * self.channels + has.start - inside.start * self.channels;
                to[has.start - wanted.start..has.end - wanted.start].copy_from_slice(&image[from..][..has.len()]);
            }
        }
    }
}

/// Slides the window over all images. Shapes: `x [B, H·W, C]`, `weight [K, O]`, K being (row, column, channel); returns `[B, places, O]`.
pub fn forward(x: &[f32], weight: &[f32], sizes: Sizes) -> Pooled {
    let (rows, seen, outputs) = (sizes.rows(), sizes.seen(), sizes.outputs);
    let mut y = Pooled::new(rows * outputs);
    let weight = Panels::new(View::new(weight, [seen, outputs]));
    if sizes.window.is_pointwise() {
        multiply_in_parallel(&mut y, View::new(x, [rows, seen]), &weight, Onto::Nothing);
        return y;
    }
    let chunk = sizes.chunk();
    y.par_chunks_mut((chunk * outputs).max(1)).enumerate().for_each_init(
        || Pooled::new(chunk * seen),
        |gathered, (index, y)| {
            let rows = y.len() / outputs;
            let gathered = &mut gathered[..rows * seen];
            sizes.gather(gathered, x, index * chunk, &(0..seen));
            multiply(ViewMut::new(y, [rows, outputs]), View::new(gathered, [rows, seen]), &weight, Onto::Nothing);
        },
    );
    y
}

/// The gradient of `x`. Shapes: `dy [B, places, O]`, `weight [K, O]`; returns `[B, H·W, C]`.
pub fn input_gradient(dy: &[f32], weight: &[f32], sizes: Sizes) -> Pooled {
    let (seen, outputs, places) = (sizes.seen(), sizes.outputs, sizes.places());
    let mut dx = Pooled::new(sizes.batch * sizes.window.pixels() * sizes.channels);
    let weight = Panels::new(View::new(weight, [seen, outputs]).transposed());
    if sizes.window.is_pointwise() {
        multiply_in_parallel(&mut dx, View::new(dy, [sizes.rows(), outputs]), &weight, Onto::Nothing);
        return dx;
    }
    let chunk = sizes.chunk();
    let images = dx.par_chunks_mut((sizes.window.pixels() * sizes.channels).max(1)).zip(dy.par_chunks((places * outputs).max(1)));
    images.for_each_init(
        || Pooled::new(chunk * seen),
        |spread, (dx, dy)| {
            dx.fill(0.0);
            for (index, dy) in dy.chunks(chunk * outputs).enumerate() {
                let rows = dy.len() / outputs;
                let spread = &mut spread[..rows * seen];
                multiply(ViewMut::new(spread, [rows, seen]), View::new(dy, [rows, outputs]), &weight, Onto::Nothing);
                vectorized(Scatter { dx, rows: spread, first: index * chunk, sizes });
            }
        },
    );
    dx
}

/// Adds what windows saw to where they saw it: the opposite of gathering.
struct Scatter<'a> {
    dx: &'a mut [f32],
    rows: &'a [f32],
    first: usize,
    sizes: Sizes,
}

impl Job for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Sizes { channels, window, .. } = self.sizes;
        let line = window.side * channels;
        for (index, row) in self.rows.chunks_exact(self.sizes.seen()).enumerate() {
            for (line_index, from) in row.chunks_exact(line).enumerate() {
                let Some((pixel, inside)) = window.line(self.first + index, line_index) else { continue };
                let from = &from[inside.start * channels..inside.end * channels];
                self.dx[pixel * channels..][..from.len()].iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
            }
        }
    }
}

/// The gradient of `weight`. Shapes: `dy [B, places, O]`, `x [B, H·W, C]`; returns `[K, O]`. The numbers a window sees are split into parts,
/// and not the images, so that nothing has to be added up afterwards.
pub fn weight_gradient(dy: &[f32], x: &[f32], sizes: Sizes) -> Pooled {
    /// Places that are gathered at once.
    const PLACES: usize = 256;
    /// Numbers of a part at most: with the gradient of these weights, they are to stay in a core's own cache.
    const MANY: usize = 288;
    let (rows, seen, outputs) = (sizes.rows(), sizes.seen(), sizes.outputs);
    let mut dweight = Pooled::new(seen * outputs);
    let dy = Panels::new(View::new(dy, [rows, outputs]));
    let size = seen.div_ceil(2 * rayon::current_num_threads()).clamp(1, MANY).next_multiple_of(8);
    dweight.par_chunks_mut((size * outputs).max(1)).enumerate().for_each_init(
        || Pooled::new(PLACES * size),
        |gathered, (index, dweight)| {
            let columns = index * size..index * size + dweight.len() / outputs;
            let count = columns.len();
            dweight.fill(0.0);
            for first in (0..rows).step_by(PLACES) {
                let places = first..rows.min(first + PLACES);
                let seen_there = if sizes.window.is_pointwise() {
                    View::strided(&x[first * seen + columns.start..], [places.len(), count], seen)
                } else {
                    let gathered = &mut gathered[..places.len() * count];
                    sizes.gather(gathered, x, first, &columns);
                    View::new(gathered, [places.len(), count])
                };
                multiply_within(ViewMut::new(dweight, [count, outputs]), seen_there.transposed(), &dy, places, Onto::Itself);
            }
        },
    );
    dweight
}
