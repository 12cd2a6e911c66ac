//! The operations a transformer is made of, each as one function: the only place that knows how it is computed.
//!
//! On the CPU they are fused: forward and backward are one pass each, written by hand ([`extension`]). Elsewhere, and everywhere if the
//! environment variable `MASKROOM_KERNELS` is `reference`, they are plain tensor operations that Burn differentiates ([`mod@reference`]).
//! On a GPU, what a training step is made of is fused too ([`cube`]), in larger pieces, because there every launch costs.
//! Results do not depend on the number of threads.

mod attention;
mod attention_to;
mod batch_norm;
pub mod bench;
mod block;
mod block_gradients;
mod block_weights;
mod convolution;
mod convolutional;
#[cfg(test)]
mod convolutional_tests;
pub mod cube;
pub mod extension;
mod flex;
mod gelu;
mod layer_norm;
mod lean;
mod linear;
pub mod matrix;
mod max_pool;
mod pair_bias;
mod pool;
pub mod reference;
mod row_error;
mod shared_tokens;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
mod tile;
mod update;

use std::sync::LazyLock;

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};

pub use batch_norm::Normalization;
pub use convolution::Window;
use convolutional::{Convolutional, Moments};
use extension::{Fused, FusedBlock, FusedObjectives, Updates};
use lean::Lean;
pub use lean::Order;
pub(crate) use pair_bias::APART;
pub use pair_bias::Pairs;
pub use row_error::RowError;
pub use shared_tokens::Shared;
pub use update::Update;

/// `x Wᵀ + b`. Shapes: `x [.., I]`, `weight [O, I]` (PyTorch's layout), `bias [O]`; returns `[.., O]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    if let (Some(bias), true) = (&bias, is_fused_on_gpu(&x))
        && let Some(y) = cube::linear(&x, &weight, bias)
    {
        return y;
    }
    if !is_fused(&x) {
        return reference::linear(x, weight, bias);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    Tensor::from_dispatch(<Dispatch as Fused>::fused_linear(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()))
}

/// Layer normalization over the last axis (Ba, Kiros and Hinton, 2016). Shapes: `x [.., D]`, `weight [D]`, `bias [D]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    if is_fused_on_gpu(&x)
        && let Some(y) = cube::layer_norm(&x, &weight, &bias, eps)
    {
        return y;
    }
    if !is_fused(&x) {
        return reference::layer_norm(x, weight, bias, eps);
    }
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::fused_layer_norm(x, weight, bias, eps as f32))
}

/// [`linear()`] of [`layer_norm()`], of which no more is kept for backward than `x`. `norm` is its weight and bias.
pub fn normed_linear<const D: usize>(x: Tensor<D>, norm: [Tensor<1>; 2], eps: f64, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let [norm, shift] = norm;
    if !is_fused(&x) {
        return linear(layer_norm(x, norm, shift, eps), weight, Some(bias));
    }
    let [norm, shift, bias] = [norm, shift, bias].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Lean>::fused_normed_linear(x.into_dispatch(), norm, shift, weight.into_dispatch(), bias, eps as f32))
}

/// The tokens of every sample in another order, in one pass. Shapes: `x [B, N, D]` to the same; `None` where nothing is fused.
pub fn reorder(x: &Tensor<3>, order: &Order) -> Option<Tensor<3>> {
    if order.is_plain() {
        return Some(x.clone());
    }
    let fused = || Tensor::from_dispatch(<Dispatch as Lean>::fused_reorder(x.clone().into_dispatch(), order.clone()));
    is_fused(x).then(fused)
}

/// The exact GELU, `x Φ(x)` (Hendrycks and Gimpel, 2016), to single precision: off by at most 1.2e-7 times the larger of 1 and |x|.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_fused(&x) {
        return reference::gelu(x);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::fused_gelu(x.into_dispatch()))
}

/// SwiGLU (Shazeer, *GLU Variants Improve Transformer*, 2020): a gate, `g sigmoid(g)`, times what it lets through. Shapes: `x [.., 2 H]`,
/// g in front, to `[.., H]`.
pub fn swiglu(x: Tensor<3>) -> Tensor<3> {
    gated(x, activation::silu)
}

/// The same with the GELU of g.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    gated(x, gelu)
}

fn gated(x: Tensor<3>, gate: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
    let hidden = x.dims()[2] / 2;
    gate(x.clone().narrow(2, 0, hidden)) * x.narrow(2, hidden, hidden)
}

/// Multi-head self-attention: `softmax(q kᵀ / sqrt(d)) v` of every head. Shapes: `qkv [B, N, 3 D]`, a token's queries, keys and values one
/// after the other, each split into heads; returns `[B, N, D]`. `bias [G, heads, N, N]` is added to the scores before the softmax, and
/// sample b takes group b mod G: one group for all, or one for each window of an image.
pub fn attention(qkv: Tensor<3>, bias: Option<Tensor<4>>, heads: usize) -> Tensor<3> {
    if !is_fused(&qkv) {
        return reference::attention(qkv, bias, heads);
    }
    let bias = bias.unwrap_or_else(|| no_bias(&qkv));
    Tensor::from_dispatch(<Dispatch as Fused>::fused_attention(qkv.into_dispatch(), bias.into_dispatch(), heads))
}

/// Multi-head attention to other tokens. Shapes: `q [B, N, D]`, `kv [B, K, 2 D]`, each token's keys before its values, both split into
/// heads; returns `[B, N, D]`.
pub fn attention_to(q: Tensor<3>, kv: Tensor<3>, heads: usize) -> Tensor<3> {
    if !is_fused(&q) {
        return reference::attention_to(q, kv, heads);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::fused_attention_to(q.into_dispatch(), kv.into_dispatch(), heads))
}

/// Stands for a bias that is not there.
fn no_bias<const D: usize>(x: &Tensor<D>) -> Tensor<4> {
    Tensor::zeros([0; 4], &x.device().without_autodiff())
}

/// The parameters of a transformer block.
#[derive(Clone)]
pub struct BlockParameters {
    /// Weight and bias of the first norm, then of the second: `[D]` each.
    pub norms: [[Tensor<1>; 2]; 2],
    /// qkv `[3 D, D]`, projection `[D, D]`, and the MLP's layers `[hidden, D]` and `[D, hidden]`.
    pub weights: [Tensor<2>; 4],
    /// Their biases.
    pub biases: [Tensor<1>; 4],
    /// Must divide D.
    pub heads: usize,
    /// Added to the variance of a row.
    pub eps: f64,
    /// Added to the scores of attention, as in [`attention()`]: `[G, heads, N, N]`.
    pub bias: Option<Tensor<4>>,
    /// Keep nothing for the backward pass but the block's input, and compute the block again there: less memory for more time.
    pub recompute: bool,
}

/// A pre-norm transformer block: `x += f attn(norm1(x))`, then `x += f mlp(norm2(x))`, where the factors f of both branches, `[B]` each, are
/// those of stochastic depth. Shapes: `x [B, N, D]` to the same. One operation where there is one; with fewer samples than threads a CPU
/// computes it from its parts, as there is more to share within a sample than between them.
pub fn block(x: Tensor<3>, parameters: BlockParameters, factors: Option<[Vec<f32>; 2]>) -> Tensor<3> {
    block_of(Tokens::all(x), parameters, factors)
}

/// What a block is given, and which of it goes on.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The tokens of all samples, `[B, N, D]`; or `[1, U, D]`, what they have in common.
    pub x: Tensor<3>,
    /// Which of those each sample's tokens are.
    pub shared: Option<Shared>,
    /// Tokens before this one are attended to, but do not leave the block.
    pub first: usize,
}

impl Tokens {
    /// Every token, `[B, N, D]`, and all of them go on.
    pub fn all(x: Tensor<3>) -> Self {
        Self { x, shared: None, first: 0 }
    }

    /// N
    pub fn count(&self) -> usize {
        self.shared.as_ref().map_or(self.x.dims()[1], Shared::tokens)
    }

    /// The tokens that go on: `[B, N - first, D]`.
    pub fn read(self) -> Tensor<3> {
        let (first, count) = (self.first, self.count());
        let x = self.spread();
        if first == 0 { x } else { x.narrow(1, first, count - first) }
    }

    /// `[B, N, D]`
    fn spread(self) -> Tensor<3> {
        let Some(shared) = self.shared else { return self.x };
        let rows: Vec<i32> = shared.rows().iter().map(|&row| row as i32).collect();
        let rows: Tensor<1, Int> = Tensor::from_data(TensorData::new(rows, [shared.rows().len()]), &self.x.device().without_autodiff());
        let width = self.x.dims()[2];
        self.x.select(1, rows).reshape([shared.samples(), shared.tokens(), width])
    }
}

/// [`block()`] of tokens that samples share, or of which some only are to be attended to. Returns `[B, N - first, D]`.
pub fn block_of(tokens: Tokens, parameters: BlockParameters, factors: Option<[Vec<f32>; 2]>) -> Tensor<3> {
    const PARTS: reference::Parts = reference::Parts { layer_norm, linear, attention, gelu };
    let samples = tokens.shared.as_ref().map_or(tokens.x.dims()[0], Shared::samples);
    let is_whole = tokens.first == 0 && tokens.shared.is_none();
    if fuses_blocks(&tokens.x, samples) && (is_whole || parameters.bias.is_none()) {
        return block_on_cpu(tokens, parameters, None, factors);
    }
    let first = tokens.first;
    let y = whole_block(&PARTS, tokens.spread(), parameters, factors);
    Tokens { first, ..Tokens::all(y) }.read()
}

/// [`block()`] where no operation leaves anything out.
fn whole_block(parts: &reference::Parts, x: Tensor<3>, parameters: BlockParameters, factors: Option<[Vec<f32>; 2]>) -> Tensor<3> {
    if is_fused_on_gpu(&x) {
        let device = x.device().without_autodiff();
        let upload = |factors: Vec<f32>| {
            let count = factors.len();
            Tensor::from_data(TensorData::new(factors, [count]), &device)
        };
        if let Some(y) = cube::block(&x, &parameters, factors.clone().map(|factors| factors.map(upload))) {
            return y;
        }
    }
    reference::block(parts, x, parameters, factors)
}

/// [`block()`] where each pair of tokens adds one of `numbers [T, heads]` to its scores. Only where [`fuses_blocks()`].
pub fn block_of_pairs(
    x: Tensor<3>,
    parameters: BlockParameters,
    (numbers, pairs): (Tensor<2>, Pairs),
    factors: Option<[Vec<f32>; 2]>,
) -> Tensor<3> {
    block_on_cpu(Tokens::all(x), parameters, Some((numbers, pairs)), factors)
}

fn block_on_cpu(
    tokens: Tokens,
    mut parameters: BlockParameters,
    pairs: Option<(Tensor<2>, Pairs)>,
    factors: Option<[Vec<f32>; 2]>,
) -> Tensor<3> {
    let Tokens { x, shared, first } = tokens;
    let (bias, pairs) = match pairs {
        Some((numbers, pairs)) => (numbers.transpose().into_dispatch(), Some(pairs)),
        None => (parameters.bias.take().unwrap_or_else(|| no_bias(&x)).into_dispatch(), None),
    };
    let BlockParameters { heads, eps, recompute, .. } = parameters;
    let settings = block::Settings { heads, eps: eps as f32, factors, recompute, first, shared, pairs };
    Tensor::from_dispatch(<Dispatch as FusedBlock>::fused_block(x.into_dispatch(), bias, parameters.into(), settings))
}

/// The mean over patches, weighted, of each patch's error: `sum(w · error) / (sum(w) + addend)`. Shapes: `prediction [B, rows, W]`,
/// `target` the same, or `[B, rows, 1]` for classes, `weights [B, rows]`; returns `[1]`. Only the prediction is differentiated.
pub fn row_error(prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>, error: RowError, addend: f64) -> Tensor<1> {
    if is_fused_on_gpu(&prediction)
        && let Some(loss) = cube::row_error(&prediction, &target, &weights, error, addend)
    {
        return loss;
    }
    if !is_fused(&prediction) {
        return reference::row_error(prediction, target, weights, error, addend);
    }
    let (prediction, target, weights) = (prediction.into_dispatch(), target.into_dispatch(), weights.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedObjectives>::row_error(prediction, target, weights, error, addend))
}

/// A convolution without bias. Shapes: `x [B, H·W, C]`, `weight [O, C, side, side]`, as PyTorch stores it; returns `[B, places, O]`.
pub fn convolution(x: Tensor<3>, weight: Tensor<4>, window: Window) -> Tensor<3> {
    if !is_fused(&x) {
        return reference::convolution(x, weight, window);
    }
    Tensor::from_dispatch(<Dispatch as Convolutional>::fused_convolution(x.into_dispatch(), weight.into_dispatch(), window))
}

/// The largest number in each place of a window. Shapes: `x [B, H·W, C]` to `[B, places, C]`.
pub fn max_pool(x: Tensor<3>, window: Window) -> Tensor<3> {
    if !is_fused(&x) {
        return reference::max_pool(x, window);
    }
    Tensor::from_dispatch(<Dispatch as Convolutional>::fused_max_pool(x.into_dispatch(), window))
}

/// Mean and variance (the sum of squares over their number) of every column over all rows, not differentiated. Shapes: `x [.., C]` to `[2, C]`.
pub fn column_moments(x: Tensor<3>) -> Tensor<2> {
    let x = x.without_autodiff();
    if !is_fused(&x) {
        return reference::column_moments(x);
    }
    Tensor::from_dispatch(<Dispatch as Moments>::column_moments(x.into_dispatch()))
}

/// Batch normalization (Ioffe and Szegedy, 2015) and what follows it in a residual network: `relu(norm(x) weight + bias + residual)`. Shapes:
/// `x [B, n, C]`, `moments [2, C]` as [`column_moments()`] gives them, `affine` weight and bias `[C]`, `residual` as `x`.
pub fn batch_norm(
    x: Tensor<3>,
    moments: Tensor<2>,
    affine: [Tensor<1>; 2],
    residual: Option<Tensor<3>>,
    settings: Normalization,
) -> Tensor<3> {
    if !is_fused(&x) {
        return reference::batch_norm(x, moments, affine, residual, settings);
    }
    let residual = residual.unwrap_or_else(|| Tensor::zeros([0; 3], &x.device().without_autodiff()));
    let [weight, bias] = affine.map(Tensor::into_dispatch);
    let (x, moments, residual) = (x.into_dispatch(), moments.into_dispatch(), residual.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Convolutional>::fused_batch_norm(x, moments, weight, bias, residual, settings))
}

/// One AdamW update (Loshchilov and Hutter, 2017): the new values and moments. All flat and of the same length.
pub fn adamw(values: Tensor<1>, gradient: Tensor<1>, [first, second]: [Tensor<1>; 2], numbers: Update) -> (Tensor<1>, [Tensor<1>; 2]) {
    if !is_fused(&values) {
        return reference::adamw(values, gradient, [first, second], numbers);
    }
    let (values, gradient) = (values.into_dispatch(), gradient.into_dispatch());
    let (values, first, second) = <Dispatch as Updates>::adamw(values, gradient, first.into_dispatch(), second.into_dispatch(), numbers);
    (Tensor::from_dispatch(values), [first, second].map(Tensor::from_dispatch))
}

/// A step of gradient descent with momentum: `direction ← momentum · direction + factor · gradient`, then
/// `values ← values - rate · direction`. All flat and of the same length but the factor, `[1]`; returns values and direction.
pub fn momentum(
    values: Tensor<1>,
    gradient: Tensor<1>,
    direction: Tensor<1>,
    factor: Tensor<1>,
    [momentum, rate]: [f64; 2],
) -> (Tensor<1>, Tensor<1>) {
    let numbers = [momentum as f32, rate as f32];
    if !is_fused(&values) {
        return reference::momentum(values, gradient, direction, factor, numbers);
    }
    let (gradient, direction, factor) = (gradient.into_dispatch(), direction.into_dispatch(), factor.into_dispatch());
    let (values, direction) = <Dispatch as Updates>::momentum(values.into_dispatch(), gradient, direction, factor, numbers);
    (Tensor::from_dispatch(values), Tensor::from_dispatch(direction))
}

/// `keep · average + take · values`. Flat and of the same length.
pub fn blend(average: Tensor<1>, values: Tensor<1>, [keep, take]: [f64; 2]) -> Tensor<1> {
    if !is_fused(&average) {
        return average * keep + values * take;
    }
    let shares = [keep as f32, take as f32];
    Tensor::from_dispatch(<Dispatch as Updates>::blend(average.into_dispatch(), values.into_dispatch(), shares))
}

/// `factor · values`. Shapes: flat, and `[1]`.
pub fn scale(values: Tensor<1>, factor: Tensor<1>) -> Tensor<1> {
    if !is_fused(&values) {
        return values * factor;
    }
    Tensor::from_dispatch(<Dispatch as Updates>::scaled(values.into_dispatch(), factor.into_dispatch()))
}

/// The sum of all squares: `[1]`.
pub fn square_sum(values: Tensor<1>) -> Tensor<1> {
    if !is_fused(&values) {
        return (values.clone() * values).sum();
    }
    Tensor::from_dispatch(<Dispatch as Updates>::square_sum(values.into_dispatch()))
}

/// Each token's numbers split into heads. Shapes: `x [B, N, D]` to `[B, heads, N, d]`.
pub fn split_heads(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
}

/// Attention probabilities, for looking at them: the softmax over keys of `q kᵀ / sqrt(d)`. Shapes: `q [B, heads, Q, d]`,
/// `k [B, heads, K, d]`, `bias [G, heads, Q, K]` as in [`attention()`]; returns `[B, heads, Q, K]`.
pub fn attention_probabilities(q: Tensor<4>, k: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let scale = (q.dims()[3] as f64).powf(-0.5);
    let mut scores = (q * scale).matmul(k.swap_dims(2, 3));
    if let Some(bias) = bias {
        let ([batch, heads, queries, keys], groups) = (scores.dims(), bias.dims()[0]);
        let grouped = scores.reshape([batch / groups, groups, heads, queries, keys]) + bias.unsqueeze::<5>();
        scores = grouped.reshape([batch, heads, queries, keys]);
    }
    activation::softmax(scores, 3)
}

/// Bytes of the fused operations' results that the process holds on the CPU: after a forward pass, what it keeps for the backward pass.
pub fn bytes_in_use() -> usize {
    pool::Pooled::bytes_in_use()
}

/// True for Burn's CPU back-end, with or without differentiation.
pub fn is_cpu(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// Whether a block of so many samples is one operation, which has use for [`Shared`] and [`Pairs`]: on a CPU of no more threads.
pub fn fuses_blocks(x: &Tensor<3>, samples: usize) -> bool {
    is_fused(x) && samples >= rayon::current_num_threads()
}

/// True for 32-bit tensors on a GPU, unless the plain operations are asked for.
pub fn is_fused_on_gpu<const D: usize>(x: &Tensor<D>) -> bool {
    !is_reference_forced() && x.dtype() == DType::F32 && !is_cpu(&x.device())
}

fn is_fused<const D: usize>(x: &Tensor<D>) -> bool {
    !is_reference_forced() && x.dtype() == DType::F32 && is_cpu(&x.device())
}

fn is_reference_forced() -> bool {
    static FORCED: LazyLock<bool> = LazyLock::new(|| std::env::var("MASKROOM_KERNELS").is_ok_and(|kernels| kernels == "reference"));
    *FORCED
}
