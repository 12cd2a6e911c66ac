//! How far predicted rows are from their targets, in two launches, and its gradient in one.

use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::RowError;
use super::queue::{Queued, empty, enqueue, shaped};
use super::row::{UNITS, buffer, count, largest, total};

/// [`RowError`] as kernels are told it.
const ABSOLUTE: u32 = 1;
const SMOOTH: u32 = 2;
const ENTROPY: u32 = 3;
const DISTRIBUTION: u32 = 4;

impl RowError {
    /// Which it is, and β or the sharpness.
    fn told(self) -> (u32, f32) {
        match self {
            Self::Square => (0, 1.0),
            Self::Absolute => (ABSOLUTE, 1.0),
            Self::Smooth { beta } => (SMOOTH, beta),
            Self::Entropy => (ENTROPY, 1.0),
            Self::Distribution { sharpness } => (DISTRIBUTION, sharpness),
        }
    }
}

/// Each row's error; for entropies also the log of the sum of exponentials.
#[cube(launch_unchecked)]
fn row_errors(
    x: &[f32],
    target: &[f32],
    weights: &[f32],
    errors: &mut [f32],
    logs: &mut [f32],
    beta: f32,
    rows: usize,
    width: usize,
    #[comptime] kind: u32,
) {
    let row = CUBE_POS;
    if row < rows {
        let mut sum = 0.0f32;
        let mut column = UNIT_POS as usize;
        if comptime!(kind == ENTROPY || kind == DISTRIBUTION) {
            // β is the sharpness here, and 1 where a class is asked for.
            let mut most = f32::new(-3.0e38);
            while column < width {
                most = max(most, x[row * width + column]);
                column += UNITS;
            }
            let most = largest(most);
            let mut expected = 0.0f32;
            let mut column = UNIT_POS as usize;
            while column < width {
                let score = x[row * width + column];
                sum += (beta * (score - most)).exp();
                if comptime!(kind == DISTRIBUTION) {
                    expected += target[row * width + column] * (score - most);
                }
                column += UNITS;
            }
            let sum = total(sum);
            let expected = total(expected);
            if UNIT_POS == 0 {
                let log = sum.ln();
                logs[row] = beta * most + log;
                let mut wanted = expected;
                if comptime!(kind == ENTROPY) {
                    wanted = x[row * width + usize::cast_from(target[row])] - most;
                }
                errors[row] = select(weights[row] == 0.0f32, 0.0f32, (log - beta * wanted) * weights[row]);
            }
        } else {
            while column < width {
                let difference = x[row * width + column] - target[row * width + column];
                if comptime!(kind == ABSOLUTE) {
                    sum += difference.abs();
                } else if comptime!(kind == SMOOTH) {
                    let size = difference.abs();
                    sum += select(size < beta, size * size * 0.5f32 / beta, size - 0.5f32 * beta);
                } else {
                    sum += difference * difference;
                }
                column += UNITS;
            }
            let sum = total(sum);
            if UNIT_POS == 0 {
                let error = sum / f32::cast_from(width);
                errors[row] = select(weights[row] == 0.0f32, 0.0f32, error * weights[row]);
            }
        }
    }
}

/// The mean, and the sum of weights beside it.
#[cube(launch_unchecked)]
fn weighted_mean(errors: &[f32], weights: &[f32], mean: &mut [f32], weight: &mut [f32], addend: f32, rows: usize) {
    let mut sum = 0.0f32;
    let mut whole = 0.0f32;
    let mut row = UNIT_POS as usize;
    while row < rows {
        sum += errors[row];
        whole += weights[row];
        row += UNITS;
    }
    let sum = total(sum);
    let whole = total(whole) + addend;
    if UNIT_POS == 0 {
        mean[0] = sum / whole;
        weight[0] = whole;
    }
}

#[cube(launch_unchecked)]
fn error_gradient(
    dy: &[f32],
    x: &[f32],
    target: &[f32],
    weights: &[f32],
    weight: &[f32],
    logs: &[f32],
    dx: &mut [f32],
    beta: f32,
    elements: usize,
    width: usize,
    #[comptime] kind: u32,
) {
    if ABSOLUTE_POS < elements {
        let row = ABSOLUTE_POS / width;
        let factor = dy[0] / weight[0] * weights[row];
        if comptime!(kind == ENTROPY) {
            let probability = (x[ABSOLUTE_POS] - logs[row]).exp();
            let of_class = ABSOLUTE_POS % width == usize::cast_from(target[row]);
            dx[ABSOLUTE_POS] = factor * select(of_class, probability - 1.0f32, probability);
        } else if comptime!(kind == DISTRIBUTION) {
            let probability = (beta * x[ABSOLUTE_POS] - logs[row]).exp();
            dx[ABSOLUTE_POS] = factor * beta * (probability - target[ABSOLUTE_POS]);
        } else {
            let difference = x[ABSOLUTE_POS] - target[ABSOLUTE_POS];
            let factor = factor / f32::cast_from(width);
            if comptime!(kind == ABSOLUTE) {
                let below = select(difference < 0.0f32, -factor, 0.0f32);
                dx[ABSOLUTE_POS] = select(difference > 0.0f32, factor, below);
            } else if comptime!(kind == SMOOTH) {
                dx[ABSOLUTE_POS] = factor * max(min(difference / beta, 1.0f32), -1.0f32);
            } else {
                dx[ABSOLUTE_POS] = factor * 2.0f32 * difference;
            }
        }
    }
}

/// What backward needs: the sum of weights `[1]`, and of an entropy the logs `[R]`.
#[derive(Debug, Clone)]
pub struct Sums {
    weight: Queued,
    logs: Queued,
}

/// The loss `[1]`. Shapes: `x [B, M, W]`, `target` the same or `[B, M, 1]`, `weights [B, M]`.
pub fn forward(x: Queued, target: Queued, weights: Queued, error: RowError, addend: f32) -> Option<(Queued, Sums)> {
    let [rows, width] = super::layer::matrix_shape(&x.shape);
    let (kind, beta) = error.told();
    let shapes = vec![Shape::new([1]), Shape::new([1]), Shape::new([rows])];
    let queued = enqueue("row errors", vec![x, target, weights], shapes, move |inputs| {
        let [x, target, weights] = inputs.as_slice() else { return Vec::new() };
        let (errors, mean, weight, logs) = (empty(x, [rows]), empty(x, [1]), empty(x, [1]), empty(x, [rows]));
        let dim = || CubeDim::new_1d(UNITS as u32);
        // SAFETY: rows and columns are checked against the sizes of the buffers; classes are checked by the target that makes them.
        #[expect(unsafe_code, reason = "launches without bounds checks; the kernels check rows and columns themselves")]
        unsafe {
            let client = &mean.client;
            let (target, each) = (buffer(target), buffer(weights));
            let (to, logs) = (buffer(&errors), buffer(&logs));
            row_errors::launch_unchecked(client, count(rows), dim(), buffer(x), target, each, to, logs, beta, rows, width, kind);
            let (errors, each) = (buffer(&errors), buffer(weights));
            weighted_mean::launch_unchecked(client, count(1), dim(), errors, each, buffer(&mean), buffer(&weight), addend, rows);
        }
        vec![mean, weight, logs]
    });
    let [loss, weight, logs] = queued.try_into().ok()?;
    Some((loss, Sums { weight, logs }))
}

/// The gradient of `x`.
pub fn backward(dy: Queued, [x, target, weights]: [Queued; 3], Sums { weight, logs }: Sums, error: RowError) -> Vec<Queued> {
    let shape = x.shape.clone();
    let [rows, width] = super::layer::matrix_shape(&shape);
    let (kind, beta) = error.told();
    enqueue("row error gradient", vec![dy, x, target, weights, weight, logs], vec![shape.clone()], move |inputs| {
        let [dy, x, target, weights, weight, logs] = inputs.as_slice() else { return Vec::new() };
        let (dx, elements) = (empty(x, [rows, width]), rows * width);
        let dim = CubeDim::new_1d(UNITS as u32);
        let [dy, x, target, weights, weight, logs] = [dy, x, target, weights, weight, logs].map(|tensor: &CubeTensor| buffer(tensor));
        // SAFETY: indices are checked against the number of elements.
        #[expect(unsafe_code, reason = "a launch without bounds checks; the kernel checks its index itself")]
        unsafe {
            let (client, groups) = (&dx.client, count(elements.div_ceil(UNITS)));
            let to = buffer(&dx);
            error_gradient::launch_unchecked(client, groups, dim, dy, x, target, weights, weight, logs, to, beta, elements, width, kind);
        }
        vec![shaped(&dx, shape.clone())]
    })
}
