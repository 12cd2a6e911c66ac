//! The mean squared error of rows that count, in two launches, and its gradient in one.

use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::queue::{Queued, empty, enqueue, shaped};
use super::row::{UNITS, buffer, count, total};

#[cube(launch_unchecked)]
fn row_errors(x: &[f32], target: &[f32], weights: &[f32], errors: &mut [f32], rows: usize, width: usize) {
    let row = CUBE_POS;
    if row < rows {
        let mut sum = 0.0f32;
        let mut column = UNIT_POS as usize;
        while column < width {
            let error = x[row * width + column] - target[row * width + column];
            sum += error * error;
            column += UNITS;
        }
        let sum = total(sum);
        if UNIT_POS == 0 {
            errors[row] = sum / f32::cast_from(width) * weights[row];
        }
    }
}

/// The mean, and the sum of weights beside it.
#[cube(launch_unchecked)]
fn weighted_mean(errors: &[f32], weights: &[f32], mean: &mut [f32], weight: &mut [f32], rows: usize) {
    let mut sum = 0.0f32;
    let mut whole = 0.0f32;
    let mut row = UNIT_POS as usize;
    while row < rows {
        sum += errors[row];
        whole += weights[row];
        row += UNITS;
    }
    let sum = total(sum);
    let whole = total(whole);
    if UNIT_POS == 0 {
        mean[0] = sum / whole;
        weight[0] = whole;
    }
}

#[cube(launch_unchecked)]
fn error_gradient(dy: &[f32], x: &[f32], target: &[f32], weights: &[f32], weight: &[f32], dx: &mut [f32], elements: usize, width: usize) {
    if ABSOLUTE_POS < elements {
        let factor = dy[0] * 2.0f32 / (f32::cast_from(width) * weight[0]);
        dx[ABSOLUTE_POS] = factor * weights[ABSOLUTE_POS / width] * (x[ABSOLUTE_POS] - target[ABSOLUTE_POS]);
    }
}

/// The loss `[1]` and the sum of weights `[1]`. Shapes: `x` and `target` `[B, M, W]`, `weights [B, M]`.
pub fn forward(x: Queued, target: Queued, weights: Queued) -> Option<(Queued, Queued)> {
    let [rows, width] = super::layer::matrix_shape(&x.shape);
    let queued = enqueue("masked error", vec![x, target, weights], vec![Shape::new([1]), Shape::new([1])], move |inputs| {
        let [x, target, weights] = inputs.as_slice() else { return Vec::new() };
        let (errors, mean, weight) = (empty(x, [rows]), empty(x, [1]), empty(x, [1]));
        let dim = || CubeDim::new_1d(UNITS as u32);
        // SAFETY: rows and columns are checked against the sizes of the buffers.
        #[expect(unsafe_code, reason = "launches without bounds checks; the kernels check rows and columns themselves")]
        unsafe {
            let client = &mean.client;
            let (target, each) = (buffer(target), buffer(weights));
            row_errors::launch_unchecked(client, count(rows), dim(), buffer(x), target, each, buffer(&errors), rows, width);
            let (errors, each) = (buffer(&errors), buffer(weights));
            weighted_mean::launch_unchecked(client, count(1), dim(), errors, each, buffer(&mean), buffer(&weight), rows);
        }
        vec![mean, weight]
    });
    let mut queued = queued.into_iter();
    queued.next().zip(queued.next())
}

/// The gradient of `x`. `weight [1]` is the sum of weights.
pub fn backward(dy: Queued, [x, target, weights, weight]: [Queued; 4]) -> Vec<Queued> {
    let shape = x.shape.clone();
    let [rows, width] = super::layer::matrix_shape(&shape);
    enqueue("masked error gradient", vec![dy, x, target, weights, weight], vec![shape.clone()], move |inputs| {
        let [dy, x, target, weights, weight] = inputs.as_slice() else { return Vec::new() };
        let (dx, elements) = (empty(x, [rows, width]), rows * width);
        let dim = CubeDim::new_1d(UNITS as u32);
        let [dy, x, target, weights, weight]: [_; 5] = [dy, x, target, weights, weight].map(|tensor: &CubeTensor| buffer(tensor));
        // SAFETY: indices are checked against the number of elements.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
        unsafe {
            let workgroups = count(elements.div_ceil(UNITS));
            error_gradient::launch_unchecked(&dx.client, workgroups, dim, dy, x, target, weights, weight, buffer(&dx), elements, width);
        }
        vec![shaped(&dx, shape.clone())]
    })
}
