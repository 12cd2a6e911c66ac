//! The pre-norm transformer block of every plain ViT: `x += attn(norm1(x))`, then `x += mlp(norm2(x))`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear};
use crate::kernel::{self, BlockParameters};
use crate::random::Stream;

/// Two linear layers with an exact GELU between.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[hidden, D]`
    pub fc1: Linear,
    /// `[D, hidden]`
    pub fc2: Linear,
}

impl Mlp {
    /// Shapes: `x [B, tokens, D]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(kernel::gelu(self.fc1.forward(x)))
    }
}

/// One transformer block.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Mixes tokens.
    pub attn: Attention,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// Works on each token alone.
    pub mlp: Mlp,
    #[module(skip)]
    recompute: bool,
}

impl Block {
    /// `width` must be a multiple of `heads`; the MLP's hidden width is `mlp_ratio · width`, truncated.
    pub fn new(width: usize, heads: usize, mlp_ratio: f64, stream: &mut Stream, device: &Device) -> Self {
        let hidden = (width as f64 * mlp_ratio) as usize;
        Self {
            norm1: LayerNorm::new(width, device),
            attn: Attention::new(width, heads, stream, device),
            norm2: LayerNorm::new(width, device),
            mlp: Mlp { fc1: Linear::new(width, hidden, stream, device), fc2: Linear::new(hidden, width, stream, device) },
            recompute: false,
        }
    }

    /// The same block, of which nothing but the input is kept for the backward pass if `recompute` is true (Chen et al., *Training Deep
    /// Nets with Sublinear Memory Cost*, 2016).
    pub fn recomputed(self, recompute: bool) -> Self {
        Self { recompute, ..self }
    }

    /// Shapes: `x [B, tokens, D]` to the same. `index` is the block's place in its stack, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        kernel::block(x, self.parameters(), drop_path.and_then(|drop_path| drop_path.factors(index)))
    }

    fn parameters(&self) -> BlockParameters {
        let linears = [&self.attn.qkv, &self.attn.proj, &self.mlp.fc1, &self.mlp.fc2];
        BlockParameters {
            norms: [&self.norm1, &self.norm2].map(|norm| [norm.weight.val(), norm.bias.val()]),
            weights: linears.map(|linear| linear.weight.val()),
            biases: linears.map(|linear| linear.bias.val()),
            heads: self.attn.heads(),
            eps: self.norm1.eps(),
            bias: None,
            recompute: self.recompute,
        }
    }

    /// The attention probabilities that [`Block::forward`] uses on `x [B, tokens, D]`: `[B, heads, tokens, tokens]`.
    pub fn attention(&self, x: Tensor<3>) -> Tensor<4> {
        self.attn.probabilities(&self.norm1.forward(x))
    }
}
