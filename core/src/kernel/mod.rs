//! The operations a transformer is made of, each as one function: the only place that knows how it is computed.
//!
//! What stands here is the reference: plain tensor operations, differentiated by Burn. Fused versions take the same signatures.

pub mod matrix;

use burn::tensor::module::linear as matmul_add;
use burn::tensor::{Device, Tensor, activation};

/// `x Wᵀ + b`. Shapes: `x [.., I]`, `weight [O, I]` (PyTorch's layout), `bias [O]`; returns `[.., O]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    matmul_add(x, weight.transpose(), bias)
}

/// Layer normalization over the last axis (Ba, Kiros and Hinton, 2016). Shapes: `x [.., D]`, `weight [D]`, `bias [D]`.
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    burn::tensor::module::layer_norm(x, weight, Some(bias), eps)
}

/// The exact GELU, `x Φ(x)` (Hendrycks and Gimpel, 2016).
///
/// Burn's GPU back-end differentiates the tanh approximation instead, so there the error function is written out.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_cpu(&x.device()) {
        return activation::gelu(x);
    }
    let phi = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
    x * phi
}

/// Attention probabilities: the softmax over keys of `q kᵀ / sqrt(d)`. Shapes: `q [B, heads, Q, d]`, `k [B, heads, K, d]`;
/// returns `[B, heads, Q, K]`.
pub fn attention_probabilities(q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
    let scale = (q.dims()[3] as f64).powf(-0.5);
    activation::softmax((q * scale).matmul(k.swap_dims(2, 3)), 3)
}

/// True for Burn's CPU back-end, with or without differentiation.
pub fn is_cpu(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}
