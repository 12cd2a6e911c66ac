//! The linear layer on the CPU: outputs are split into parts, and each part is a single-threaded product.
//!
//! How a product is split depends on its shape alone, never on the number of threads, so that results do not depend on it either. A part
//! packs the operand it shares with the others anew; with about 200 rows that is a tenth of its time, and there are parts enough for as
//! many threads as a batch has hundreds of tokens.

use rayon::prelude::*;

use super::matrix::{View, ViewMut, add_product, product};
use super::simd::{Job, vectorized};

/// The sizes of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// R: tokens of all samples together.
    pub rows: usize,
    /// I
    pub inputs: usize,
    /// O
    pub outputs: usize,
}

impl Sizes {
    /// Rows of one part of [`forward`] and [`input_gradient`].
    fn rows_per_part(self) -> usize {
        part_size(self.rows, 192)
    }
}

/// The size of nearly equal parts of `total`, an even number of them if there is more than one, each near `aim`.
fn part_size(total: usize, aim: usize) -> usize {
    let parts = if total < aim / 4 { 1 } else { (total / aim).max(1).next_multiple_of(2) };
    total.div_ceil(parts).max(1)
}

/// `x Wᵀ + b`. Shapes: `x [R, I]`, `weight [O, I]`, `bias [O]`; returns `[R, O]`.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { inputs, outputs, .. } = sizes;
    let part = sizes.rows_per_part();
    let weight = View::new(weight, [outputs, inputs]).transposed();
    let mut y = vec![0.0; sizes.rows * outputs];
    y.par_chunks_mut(part * outputs).zip(x.par_chunks(part * inputs)).for_each(|(y, x)| {
        y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
        let rows = y.len() / outputs;
        add_product(ViewMut::new(y, [rows, outputs]), View::new(x, [rows, inputs]), weight, 1.0);
    });
    y
}

/// `dy W`. Shapes: `dy [R, O]`, `weight [O, I]`; returns `[R, I]`.
pub fn input_gradient(dy: &[f32], weight: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { inputs, outputs, .. } = sizes;
    let part = sizes.rows_per_part();
    let weight = View::new(weight, [outputs, inputs]);
    let mut dx = vec![0.0; sizes.rows * inputs];
    dx.par_chunks_mut(part * inputs).zip(dy.par_chunks(part * outputs)).for_each(|(dx, dy)| {
        let rows = dx.len() / inputs;
        product(ViewMut::new(dx, [rows, inputs]), View::new(dy, [rows, outputs]), weight, 1.0);
    });
    dx
}

/// `dyᵀ x` and the column sums of `dy`. Shapes: `dy [R, O]`, `x [R, I]`; returns `[O, I]` and `[O]`.
///
/// A matrix with many rows is split by rows. One with few is split over R instead, and the parts' results are added in order: they are
/// small then.
pub fn weight_gradients(dy: &[f32], x: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    const MANY: usize = 512;
    if sizes.outputs >= MANY { split_over_outputs(dy, x, sizes) } else { split_over_rows(dy, x, sizes) }
}

fn split_over_outputs(dy: &[f32], x: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let Sizes { rows, inputs, outputs } = sizes;
    let part = part_size(outputs, 288);
    let (mut dweight, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
    let parts = dweight.par_chunks_mut(part * inputs).zip(dbias.par_chunks_mut(part)).enumerate();
    parts.for_each(|(index, (dweight, dbias))| {
        let (columns, count) = (&dy[(index * part).min(dy.len())..], dbias.len());
        let of_part = View::strided(columns, [rows, count], outputs);
        product(ViewMut::new(dweight, [count, inputs]), of_part.transposed(), View::new(x, [rows, inputs]), 1.0);
        vectorized(AddRows { total: dbias, rows: columns, row_stride: outputs });
    });
    (dweight, dbias)
}

fn split_over_rows(dy: &[f32], x: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let Sizes { rows, inputs, outputs } = sizes;
    let part = rows.div_ceil(if rows < 128 { 1 } else { 4 }).max(1);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = dy
        .par_chunks(part * outputs)
        .zip(x.par_chunks(part * inputs))
        .map(|(dy, x)| {
            let rows = dy.len() / outputs;
            let (mut dweight, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
            let transposed = View::new(dy, [rows, outputs]).transposed();
            product(ViewMut::new(&mut dweight, [outputs, inputs]), transposed, View::new(x, [rows, inputs]), 1.0);
            vectorized(AddRows { total: &mut dbias, rows: dy, row_stride: outputs });
            (dweight, dbias)
        })
        .collect();
    const ADDED: usize = 1 << 13;
    let mut parts = parts.into_iter();
    let (mut dweight, mut dbias) = parts.next().unwrap_or_else(|| (vec![0.0; outputs * inputs], vec![0.0; outputs]));
    for (more_weight, more_bias) in parts {
        dweight.par_iter_mut().with_min_len(ADDED).zip(more_weight).for_each(|(total, more)| *total += more);
        dbias.iter_mut().zip(more_bias).for_each(|(total, more)| *total += more);
    }
    (dweight, dbias)
}

/// Adds rows that begin `row_stride` apart, as far as `total` is wide.
struct AddRows<'a> {
    total: &'a mut [f32],
    rows: &'a [f32],
    row_stride: usize,
}

impl Job for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows.chunks(self.row_stride) {
            self.total.iter_mut().zip(row).for_each(|(total, value)| *total += value);
        }
    }
}
