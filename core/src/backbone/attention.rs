//! Multi-head self-attention with one qkv matrix, as timm and the papers' code lay it out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::linear::Linear;
use crate::kernel;
use crate::random::Stream;

/// Self-attention over tokens.
#[derive(Module, Debug)]
pub struct Attention {
    /// Rows 0..D make queries, D..2D keys, 2D..3D values: weight `[3D, D]`.
    pub qkv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// `width` must be a multiple of `heads`.
    pub fn new(width: usize, heads: usize, stream: &mut Stream, device: &Device) -> Self {
        Self { qkv: Linear::new(width, 3 * width, stream, device), proj: Linear::new(width, width, stream, device), heads }
    }

    /// Into how many heads the width is split.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// What every token attends to. Shapes: `x [B, tokens, D]` to `[B, heads, tokens, tokens]`, rows sum to one.
    pub fn probabilities(&self, x: &Tensor<3>) -> Tensor<4> {
        kernel::attention_probabilities(self.heads_of(x, 0), self.heads_of(x, 1), None)
    }

    /// Queries (0) or keys (1): `[B, heads, tokens, d]`.
    fn heads_of(&self, x: &Tensor<3>, part: usize) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        let rows = part * width..(part + 1) * width;
        let weight = self.qkv.weight.val().slice([rows.clone(), 0..width]);
        let projected = kernel::linear(x.clone(), weight, Some(self.qkv.bias.val().slice([rows])));
        projected.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}
