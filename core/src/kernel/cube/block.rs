//! A transformer block as one operation: 9 launches forward and 18 backward, 12 of them matrix products.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;

use super::attention::{self, Sizes};
use super::matrix::{input_gradient, product, weight_gradient};
use super::pointwise::{add_branch, gelu, gelu_gradient, scaled};
use super::queue::{Queued, enqueue, viewed};
use super::row::{Branch, add_layer_norm, column_sums, layer_norm, layer_norm_gradient};

/// What a block is made of, besides its parameters.
#[derive(Debug, Clone, Copy)]
pub struct BlockSizes {
    /// B, N, heads and the width of one.
    pub attention: Sizes,
    /// Between the linear layers of the MLP.
    pub hidden: usize,
    /// Added to the variance of a row.
    pub eps: f32,
}

impl BlockSizes {
    fn rows(self) -> usize {
        self.attention.batch * self.attention.tokens
    }

    fn width(self) -> usize {
        self.attention.heads * self.attention.head
    }

    /// The bias of the scores, if there is one, and what follows it.
    fn split_bias(self, inputs: &[CubeTensor]) -> (Option<&CubeTensor>, &[CubeTensor]) {
        match inputs.split_first() {
            Some((bias, rest)) if self.attention.groups > 0 => (Some(bias), rest),
            _ => (None, inputs),
        }
    }
}

/// Parameters of a block, in this order: weight and bias of the first norm, of qkv, of the projection, of the second norm, and of the two
/// layers of the MLP.
pub const NUM_PARAMETERS: usize = 12;

/// What forward leaves for backward: normalized rows and moments of the first norm, qkv, mixed values and logs of attention, the stream
/// between the branches, normalized rows and moments of the second norm, and both sides of the GELU.
const NUM_SAVED: usize = 10;

/// `y`, and what backward needs. Shapes: `x [B, N, D]`, `factors [B]` of both branches, where samples drop theirs. The bias of the scores,
/// where there is one, follows the other parameters.
pub fn forward(x: Queued, parameters: Vec<Queued>, factors: Option<[Queued; 2]>, sizes: BlockSizes) -> Option<(Queued, Vec<Queued>)> {
    let (rows, width, hidden) = (sizes.rows(), sizes.width(), sizes.hidden);
    let Sizes { batch, tokens, heads, .. } = sizes.attention;
    let shapes = vec![
        Shape::new([batch, tokens, width]),
        Shape::new([rows, width]),
        Shape::new([rows, 2]),
        Shape::new([rows, 3 * width]),
        Shape::new([rows, width]),
        Shape::new([batch, heads, tokens]),
        Shape::new([rows, width]),
        Shape::new([rows, width]),
        Shape::new([rows, 2]),
        Shape::new([rows, hidden]),
        Shape::new([rows, hidden]),
    ];
    let inputs = [x].into_iter().chain(parameters).chain(factors.into_iter().flatten()).collect();
    let mut outputs = enqueue("block", inputs, shapes, move |inputs| run_forward(&inputs, sizes)).into_iter();
    outputs.next().map(|y| (y, outputs.collect()))
}

/// The gradients of `x` and of the parameters, in their order. `saved` is what [`forward`] left.
pub fn backward(
    dy: Queued,
    x: Queued,
    parameters: Vec<Queued>,
    saved: Vec<Queued>,
    factors: Option<[Queued; 2]>,
    sizes: BlockSizes,
) -> Vec<Queued> {
    let Sizes { batch, tokens, .. } = sizes.attention;
    let mut shapes = vec![Shape::new([batch, tokens, sizes.width()])];
    shapes.extend(parameters.iter().map(|parameter| parameter.shape.clone()));
    let inputs = [dy, x].into_iter().chain(parameters).chain(saved).chain(factors.into_iter().flatten()).collect();
    enqueue("block gradient", inputs, shapes, move |inputs| run_backward(&inputs, sizes))
}

fn run_forward(inputs: &[CubeTensor], sizes: BlockSizes) -> Vec<CubeTensor> {
    let [x, norm1, shift1, qkv_weight, qkv_bias, proj, proj_bias, norm2, shift2, fc1, bias1, fc2, bias2, inputs @ ..] = inputs else {
        return Vec::new();
    };
    let (rows, width, eps) = (sizes.rows(), sizes.width(), sizes.eps);
    let (scores_bias, factors) = sizes.split_bias(inputs);
    let x = viewed(x, [rows, width]);
    let first = layer_norm(&x, norm1, shift1, eps, [rows, width]);
    let qkv = product(&first.y, qkv_weight);
    let (mixed, logs) = attention::forward(&qkv, qkv_bias, scores_bias, sizes.attention);
    let attended = product(&mixed, proj);
    let branch = Branch { values: &attended, bias: proj_bias, factors: factors.first() };
    let (middle, second) = add_layer_norm(&x, &branch, norm2, shift2, eps, [rows, width]);
    let before = product(&second.y, fc1);
    let after = gelu(&before, bias1, [rows, sizes.hidden]);
    let transformed = product(&after, fc2);
    let branch = Branch { values: &transformed, bias: bias2, factors: factors.get(1) };
    let y = add_branch(&middle, &branch, [rows, width]);
    let y = viewed(&y, [sizes.attention.batch, sizes.attention.tokens, width]);
    vec![y, first.y, first.moments, qkv, mixed, logs, middle, second.y, second.moments, before, after]
}

fn run_backward(inputs: &[CubeTensor], sizes: BlockSizes) -> Vec<CubeTensor> {
    let [dy, x, inputs @ ..] = inputs else { return Vec::new() };
    let Some((parameters, inputs)) = inputs.split_first_chunk::<NUM_PARAMETERS>() else { return Vec::new() };
    let (scores_bias, inputs) = sizes.split_bias(inputs);
    let Some((saved, factors)) = inputs.split_first_chunk::<NUM_SAVED>() else { return Vec::new() };
    let [norm1, _, qkv_weight, qkv_bias, proj, _, norm2, _, fc1, bias1, fc2, _] = parameters;
    let [normed1, moments1, qkv, mixed, logs, middle, normed2, moments2, before, after] = saved;
    let (rows, width, hidden) = (sizes.rows(), sizes.width(), sizes.hidden);
    let (dy, x) = (viewed(dy, [rows, width]), viewed(x, [rows, width]));

    let d_transformed = scaled(&dy, factors.get(1), [rows, width]);
    let d_bias2 = column_sums(&d_transformed, [rows, width]);
    let d_fc2 = weight_gradient(&d_transformed, after);
    let d_before = gelu_gradient(&input_gradient(&d_transformed, fc2), before, bias1, [rows, hidden]);
    let d_bias1 = column_sums(&d_before, [rows, hidden]);
    let d_fc1 = weight_gradient(&d_before, normed2);
    let second = layer_norm_gradient(&input_gradient(&d_before, fc1), Some(&dy), middle, norm2, moments2, [rows, width]);

    let d_attended = scaled(&second.dx, factors.first(), [rows, width]);
    let d_proj_bias = match factors.first() {
        Some(_) => column_sums(&d_attended, [rows, width]),
        None => second.dx_sum,
    };
    let d_proj = weight_gradient(&d_attended, mixed);
    let d_mixed = input_gradient(&d_attended, proj);
    let (d_qkv, d_scores_bias) = attention::backward(&d_mixed, qkv, qkv_bias, scores_bias, [mixed, logs], sizes.attention);
    let d_qkv_bias = column_sums(&d_qkv, [rows, 3 * width]);
    let d_qkv_weight = weight_gradient(&d_qkv, normed1);
    let first = layer_norm_gradient(&input_gradient(&d_qkv, qkv_weight), Some(&second.dx), &x, norm1, moments1, [rows, width]);
    let dx = viewed(&first.dx, [sizes.attention.batch, sizes.attention.tokens, width]);
    let gradients = [
        dx,
        first.dweight,
        first.dbias,
        d_qkv_weight,
        d_qkv_bias,
        d_proj,
        d_proj_bias,
        second.dweight,
        second.dbias,
        d_fc1,
        d_bias1,
        d_fc2,
        d_bias2,
    ];
    gradients.into_iter().chain(d_scores_bias).collect()
}
