//! A linear layer and a layer norm whose parameters have PyTorch's names, layouts and initial values, so that files need no conversion.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::kernel;
use crate::random::Stream;

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[O, I]`
    pub weight: Param<Tensor<2>>,
    /// `[O]`
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Xavier-uniform weights over the whole matrix and zero bias, as MAE starts its linear layers (qkv as one matrix).
    pub fn new(inputs: usize, outputs: usize, stream: &mut Stream, device: &Device) -> Self {
        let weight = xavier_uniform(outputs * inputs, inputs, outputs, stream);
        Self { weight: parameter(weight, [outputs, inputs], device), bias: parameter(vec![0.0; outputs], [outputs], device) }
    }

    /// Normal weights and zero bias, as Swin and PVT start their linear layers.
    pub fn normal(inputs: usize, outputs: usize, stream: &mut Stream, device: &Device) -> Self {
        let weight = normal(outputs * inputs, NORMAL_DEVIATION, stream);
        Self { weight: parameter(weight, [outputs, inputs], device), bias: parameter(vec![0.0; outputs], [outputs], device) }
    }

    /// Shapes: `x [.., I]` to `[.., O]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernel::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// `y = x Wᵀ`.
#[derive(Module, Debug)]
pub struct UnbiasedLinear {
    /// `[O, I]`
    pub weight: Param<Tensor<2>>,
}

impl UnbiasedLinear {
    /// Normal weights, as [`Linear::normal`].
    pub fn normal(inputs: usize, outputs: usize, stream: &mut Stream, device: &Device) -> Self {
        Self { weight: parameter(normal(outputs * inputs, NORMAL_DEVIATION, stream), [outputs, inputs], device) }
    }

    /// Shapes: `x [.., I]` to `[.., O]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernel::linear(x, self.weight.val(), None)
    }
}

/// The deviation of the pyramids' initial weights, tables and tokens. The papers' code cuts the distribution at ±2, which is a hundred
/// deviations away: nothing is ever cut.
pub const NORMAL_DEVIATION: f64 = 0.02;

/// Layer normalization over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[D]`, starts at one.
    pub weight: Param<Tensor<1>>,
    /// `[D]`, starts at zero.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl LayerNorm {
    /// The epsilon of plain ViTs (timm and the papers' own code; Hugging Face's default of 1e-12 is another).
    pub const EPS: f64 = 1e-6;

    /// Ones and zeros.
    pub fn new(width: usize, device: &Device) -> Self {
        Self::with_eps(width, Self::EPS, device)
    }

    /// Ones and zeros, and another epsilon than that of plain ViTs.
    pub fn with_eps(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: parameter(vec![1.0; width], [width], device), bias: parameter(vec![0.0; width], [width], device), eps }
    }

    /// What is added to the variance.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// Shapes: `x [.., D]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernel::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }

    /// Through a linear layer too. Shapes: `x [.., D]` to `[.., O]`.
    pub fn then<const D: usize>(&self, linear: &Linear, x: Tensor<D>) -> Tensor<D> {
        kernel::normed_linear(x, [self.weight.val(), self.bias.val()], self.eps, linear.weight.val(), linear.bias.val())
    }
}

/// A trainable parameter from values in row-major order.
pub fn parameter<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

/// `count` values uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
pub fn xavier_uniform(count: usize, fan_in: usize, fan_out: usize, stream: &mut Stream) -> Vec<f32> {
    if stream.is_blank() {
        return vec![0.0; count];
    }
    let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
    (0..count).map(|_| stream.range(-bound, bound) as f32).collect()
}

/// `count` normal values with mean 0 and the given deviation.
pub fn normal(count: usize, deviation: f64, stream: &mut Stream) -> Vec<f32> {
    if stream.is_blank() {
        return vec![0.0; count];
    }
    (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
}
