//! The linear layer on the CPU: three products whose rows are split over the threads.

use rayon::prelude::*;

use super::matrix::{Onto, Panels, View, ViewMut, multiply, multiply_in_parallel, rows_per_part};
use super::pool::Pooled;
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

/// `x Wᵀ + b`. Shapes: `x [R, I]`, `weight [O, I]`, `bias [O]`; returns `[R, O]`.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32], Sizes { rows, inputs, outputs }: Sizes) -> Pooled {
    let mut y = Pooled::new(rows * outputs);
    let weight = Panels::new(View::new(weight, [outputs, inputs]).transposed());
    multiply_in_parallel(&mut y, View::new(x, [rows, inputs]), &weight, Onto::Bias(bias));
    y
}

/// `dy W`. Shapes: `dy [R, O]`, `weight [O, I]`; returns `[R, I]`.
pub fn input_gradient(dy: &[f32], weight: &[f32], Sizes { rows, inputs, outputs }: Sizes) -> Pooled {
    let mut dx = Pooled::new(rows * inputs);
    let weight = Panels::new(View::new(weight, [outputs, inputs]));
    multiply_in_parallel(&mut dx, View::new(dy, [rows, outputs]), &weight, Onto::Nothing);
    dx
}

/// `dyᵀ x` and the column sums of `dy`. Shapes: `dy [R, O]`, `x [R, I]`; returns `[O, I]` and `[O]`.
pub fn weight_gradients(dy: &[f32], x: &[f32], Sizes { rows, inputs, outputs }: Sizes) -> (Pooled, Pooled) {
    let mut gradients = WeightGradients::new(dy, x, Sizes { rows, inputs, outputs });
    gradients.parts().into_par_iter().for_each(Part::compute);
    (gradients.dweight, gradients.dbias)
}

/// The gradients of a layer's weight and bias in the making. Outputs are split into parts and not rows, so that nothing has to be added up
/// afterwards.
pub struct WeightGradients<'a> {
    /// `[O, I]`
    pub dweight: Pooled,
    /// `[O]`
    pub dbias: Pooled,
    dy: &'a [f32],
    x: Panels,
    sizes: Sizes,
}

impl<'a> WeightGradients<'a> {
    /// None computed yet. Shapes: `dy [R, O]`, `x [R, I]`.
    pub fn new(dy: &'a [f32], x: &[f32], sizes: Sizes) -> Self {
        let Sizes { rows, inputs, outputs } = sizes;
        let x = Panels::new(View::new(x, [rows, inputs]));
        Self { dweight: Pooled::new(outputs * inputs), dbias: Pooled::new(outputs), dy, x, sizes }
    }

    /// What there is to compute, in any order.
    pub fn parts(&mut self) -> Vec<Part<'_>> {
        let size = rows_per_part(self.sizes.outputs);
        let parts = self.dweight.chunks_mut((size * self.sizes.inputs).max(1)).zip(self.dbias.chunks_mut(size)).enumerate();
        let part = |(index, (dweight, dbias))| Part { dweight, dbias, first: index * size, dy: self.dy, x: &self.x, sizes: self.sizes };
        parts.map(part).collect()
    }
}

/// The gradients of some outputs.
pub struct Part<'a> {
    dweight: &'a mut [f32],
    dbias: &'a mut [f32],
    /// The first of the outputs.
    first: usize,
    dy: &'a [f32],
    x: &'a Panels,
    sizes: Sizes,
}

impl Part<'_> {
    /// Computes them on this thread.
    pub fn compute(self) {
        let Sizes { rows, inputs, outputs } = self.sizes;
        let (count, columns) = (self.dbias.len(), &self.dy[self.first.min(self.dy.len())..]);
        let of_part = View::strided(columns, [rows, count], outputs).transposed();
        multiply(ViewMut::new(self.dweight, [count, inputs]), of_part, self.x, Onto::Nothing);
        self.dbias.fill(0.0);
        vectorized(AddRows { total: self.dbias, rows: columns, row_stride: outputs });
    }
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
