//! The operations as plain tensor operations, differentiated by Burn: what the fused versions are compared with, and how a GPU
//! computes what has no kernel of its own there.

use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, TensorData, activation, module};

use super::{BlockParameters, Normalization, RowError, Update, Window, is_cpu, split_heads};

/// See [`super::linear()`].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    module::linear(x, weight.transpose(), bias)
}

/// See [`super::layer_norm()`].
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    module::layer_norm(x, weight, Some(bias), eps)
}

/// See [`super::gelu()`]. Burn's GPU back-end differentiates the tanh approximation, so there the error function is written out.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_cpu(&x.device()) {
        return activation::gelu(x);
    }
    let phi = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    x * phi
}

/// See [`super::attention()`].
pub fn attention(qkv: Tensor<3>, bias: Option<Tensor<4>>, heads: usize) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    let width = width / 3;
    let [q, k, v] =
        [(0, qkv.clone()), (1, qkv.clone()), (2, qkv)].map(|(part, qkv)| split_heads(qkv.narrow(2, part * width, width), heads));
    let mixed = super::attention_probabilities(q, k, bias).matmul(v);
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// The operations that a block is made of.
pub struct Parts {
    /// See [`super::layer_norm()`].
    pub layer_norm: fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>,
    /// See [`super::linear()`].
    pub linear: fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>) -> Tensor<3>,
    /// See [`super::attention()`].
    pub attention: fn(Tensor<3>, Option<Tensor<4>>, usize) -> Tensor<3>,
    /// See [`super::gelu()`].
    pub gelu: fn(Tensor<3>) -> Tensor<3>,
}

/// Those of this file.
pub const PARTS: Parts = Parts { layer_norm, linear, attention, gelu };

/// See [`super::block()`].
pub fn block(parts: &Parts, x: Tensor<3>, parameters: BlockParameters, factors: Option<[Vec<f32>; 2]>) -> Tensor<3> {
    let BlockParameters { norms: [norm1, norm2], weights, biases, heads, eps, bias, .. } = parameters;
    let [qkv, proj, fc1, fc2] = std::array::from_fn(|index| (weights[index].clone(), biases[index].clone()));
    let norm = |x: &Tensor<3>, [weight, shift]: [Tensor<1>; 2]| (parts.layer_norm)(x.clone(), weight, shift, eps);
    let linear = |x: Tensor<3>, (weight, bias): (Tensor<2>, Tensor<1>)| (parts.linear)(x, weight, Some(bias));
    let [factors1, factors2] = factors.map_or([None, None], |factors| factors.map(Some));
    let attended = linear((parts.attention)(linear(norm(&x, norm1), qkv), bias, heads), proj);
    let x = x + scaled(attended, factors1);
    let transformed = linear((parts.gelu)(linear(norm(&x, norm2), fc1)), fc2);
    x + scaled(transformed, factors2)
}

/// A branch with every sample multiplied by its factor.
fn scaled(branch: Tensor<3>, factors: Option<Vec<f32>>) -> Tensor<3> {
    let Some(factors) = factors else { return branch };
    let (count, device) = (factors.len(), branch.device());
    branch * Tensor::from_data(TensorData::new(factors, [count, 1, 1]), &device)
}

/// See [`super::attention_to()`].
pub fn attention_to(q: Tensor<3>, kv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, tokens, width] = q.dims();
    let (k, v) = (kv.clone().narrow(2, 0, width), kv.narrow(2, width, width));
    let [q, k, v] = [q, k, v].map(|part| split_heads(part, heads));
    let mixed = super::attention_probabilities(q, k, None).matmul(v);
    mixed.swap_dims(1, 2).reshape([batch, tokens, width])
}

/// See [`super::row_error()`].
pub fn row_error(prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>, error: RowError, addend: f64) -> Tensor<1> {
    let [batch, rows, _] = prediction.dims();
    let errors = match error {
        RowError::Square => (prediction - target).square().mean_dim(2),
        RowError::Absolute => (prediction - target).abs().mean_dim(2),
        RowError::Smooth { beta } => {
            let size = (prediction - target).abs();
            let near = size.clone().square() / (2.0 * beta);
            (size.clone() - 0.5 * beta).mask_where(size.lower_elem(beta), near).mean_dim(2)
        }
        RowError::Entropy => activation::log_softmax(prediction, 2).gather(2, target.int()) * -1.0,
        RowError::Distribution { sharpness } => (activation::log_softmax(prediction * sharpness, 2) * target).sum_dim(2) * -1.0,
    };
    (errors.reshape([batch, rows]) * weights.clone()).sum() / (weights.sum() + addend)
}

/// `[B, H·W, C]` to `[B, C, H, W]`, where Burn expects channels.
fn channels_first(x: Tensor<3>, [rows, cols]: [usize; 2]) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.reshape([batch, rows, cols, channels]).permute([0, 3, 1, 2])
}

fn channels_last(x: Tensor<4>) -> Tensor<3> {
    let [batch, channels, rows, cols] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([batch, rows * cols, channels])
}

/// See [`super::convolution()`].
pub fn convolution(x: Tensor<3>, weight: Tensor<4>, window: Window) -> Tensor<3> {
    let options = ConvOptions::new([window.stride; 2], [window.padding; 2], [1, 1], 1);
    channels_last(module::conv2d(channels_first(x, window.grid), weight, None, options))
}

/// See [`super::max_pool()`].
pub fn max_pool(x: Tensor<3>, window: Window) -> Tensor<3> {
    let Window { grid, side, stride, padding } = window;
    let options = MaxPoolOptions {
        kernel_size: [side; 2],
        stride: [stride; 2],
        padding: [(padding, padding); 2],
        dilation: [1, 1],
        ceil_mode: false,
    };
    channels_last(module::max_pool2d(channels_first(x, grid), options))
}

/// See [`super::column_moments()`].
pub fn column_moments(x: Tensor<3>) -> Tensor<2> {
    let [batch, places, channels] = x.dims();
    let [mean, variance] = moments_of(&x.reshape([batch * places, channels]));
    Tensor::cat(vec![mean, variance], 0)
}

/// Mean and variance of columns, `[1, C]` each.
fn moments_of(rows: &Tensor<2>) -> [Tensor<2>; 2] {
    let mean = rows.clone().mean_dim(0);
    let variance = (rows.clone() - mean.clone()).square().mean_dim(0);
    [mean, variance]
}

/// See [`super::batch_norm()`].
pub fn batch_norm(
    x: Tensor<3>,
    moments: Tensor<2>,
    [weight, bias]: [Tensor<1>; 2],
    residual: Option<Tensor<3>>,
    settings: Normalization,
) -> Tensor<3> {
    let [batch, places, channels] = x.dims();
    let rows = x.reshape([batch * places, channels]);
    let [mean, variance] = match settings.own_moments {
        true => moments_of(&rows),
        false => [moments.clone().narrow(0, 0, 1), moments.narrow(0, 1, 1)],
    };
    let normalized = (rows - mean) / (variance + settings.eps).sqrt() * weight.unsqueeze::<2>() + bias.unsqueeze::<2>();
    let y = normalized.reshape([batch, places, channels]);
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    if settings.relu { activation::relu(y) } else { y }
}

/// See [`super::momentum`].
pub fn momentum(
    values: Tensor<1>,
    gradient: Tensor<1>,
    direction: Tensor<1>,
    factor: Tensor<1>,
    [momentum, rate]: [f32; 2],
) -> (Tensor<1>, Tensor<1>) {
    let direction = direction * momentum + gradient * factor;
    (values - direction.clone() * rate, direction)
}

/// See [`super::adamw`].
pub fn adamw(values: Tensor<1>, gradient: Tensor<1>, [first, second]: [Tensor<1>; 2], numbers: Update) -> (Tensor<1>, [Tensor<1>; 2]) {
    let Update { betas: [beta1, beta2], rests: [rest1, rest2], keep, rate, root_correction, eps } = numbers;
    let first = first * beta1 + gradient.clone() * rest1;
    let second = second * beta2 + gradient.clone() * gradient * rest2;
    let denominator = second.clone().sqrt() / root_correction + eps;
    let decayed = if keep == 1.0 { values } else { values * keep };
    (decayed - first.clone() * rate / denominator, [first, second])
}
