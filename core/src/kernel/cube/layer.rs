//! The layers outside the blocks: a linear layer and a norm, as one operation each.

use burn::tensor::Shape;

use super::matrix::{input_gradient, product, weight_gradient};
use super::pointwise::biased;
use super::queue::{Queued, enqueue, shaped, viewed};
use super::row;

/// The shape of a tensor as a matrix: `[R, last]`.
pub fn matrix_shape(shape: &Shape) -> [usize; 2] {
    let last = shape.last().copied().unwrap_or(1);
    [shape.num_elements() / last.max(1), last]
}

/// `x Wᵀ + b`. Shapes: `x [.., I]`, `weight [O, I]`, `bias [O]`.
pub fn linear(x: Queued, weight: Queued, bias: Queued) -> Option<Queued> {
    let ([rows, inputs], outputs) = (matrix_shape(&x.shape), weight.shape[0]);
    let mut shape = x.shape.clone();
    let axis = shape.num_dims() - 1;
    shape[axis] = outputs;
    let run_shape = shape.clone();
    let queued = enqueue("linear", vec![x, weight, bias], vec![shape], move |operands| {
        let [x, weight, bias] = operands.as_slice() else { return Vec::new() };
        let y = biased(&product(&viewed(x, [rows, inputs]), weight), bias, [rows, outputs]);
        vec![shaped(&y, run_shape.clone())]
    });
    queued.into_iter().next()
}

/// The gradients of `weight` and `bias`.
pub fn linear_gradient(dy: Queued, x: Queued, weight: &Queued) -> Vec<Queued> {
    let ([rows, inputs], outputs) = (matrix_shape(&x.shape), weight.shape[0]);
    let shapes = vec![weight.shape.clone(), Shape::new([outputs])];
    enqueue("linear gradient", vec![dy, x], shapes, move |operands| {
        let [dy, x] = operands.as_slice() else { return Vec::new() };
        let (dy, x) = (viewed(dy, [rows, outputs]), viewed(x, [rows, inputs]));
        vec![weight_gradient(&dy, &x), row::column_sums(&dy, [rows, outputs])]
    })
}

/// The gradient of `x`, in its shape.
pub fn linear_input_gradient(dy: Queued, weight: Queued, shape: Shape) -> Option<Queued> {
    let ([rows, _], outputs) = (matrix_shape(&shape), weight.shape[0]);
    let queued = enqueue("linear input gradient", vec![dy, weight], vec![shape.clone()], move |operands| {
        let [dy, weight] = operands.as_slice() else { return Vec::new() };
        vec![shaped(&input_gradient(&viewed(dy, [rows, outputs]), weight), shape.clone())]
    });
    queued.into_iter().next()
}

/// Layer normalization and the moments of each row. Shapes: `x [.., D]`, `weight [D]`, `bias [D]`.
pub fn layer_norm(x: Queued, weight: Queued, bias: Queued, eps: f32) -> Option<(Queued, Queued)> {
    let ([rows, width], shape) = (matrix_shape(&x.shape), x.shape.clone());
    let shapes = vec![shape.clone(), Shape::new([rows, 2])];
    let queued = enqueue("layer norm", vec![x, weight, bias], shapes, move |operands| {
        let [x, weight, bias] = operands.as_slice() else { return Vec::new() };
        let normalized = row::layer_norm(x, weight, bias, eps, [rows, width]);
        vec![shaped(&normalized.y, shape.clone()), normalized.moments]
    });
    let mut queued = queued.into_iter();
    queued.next().zip(queued.next())
}

/// The gradients of `x`, `weight` and `bias`.
pub fn layer_norm_gradient(dy: Queued, x: Queued, weight: Queued, moments: Queued) -> Vec<Queued> {
    let ([rows, width], shape) = (matrix_shape(&x.shape), x.shape.clone());
    let shapes = vec![shape.clone(), Shape::new([width]), Shape::new([width])];
    enqueue("layer norm gradient", vec![dy, x, weight, moments], shapes, move |operands| {
        let [dy, x, weight, moments] = operands.as_slice() else { return Vec::new() };
        let gradient = row::layer_norm_gradient(dy, None, x, weight, moments, [rows, width]);
        vec![shaped(&gradient.dx, shape.clone()), gradient.dweight, gradient.dbias]
    })
}
