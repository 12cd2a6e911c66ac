//! The pre-norm transformer block of every plain ViT: `x += attn(norm1(x))`, then `x += mlp(norm2(x))`.

use burn::backend::DispatchTensor;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear};
use crate::kernel::{self, BlockSettings, BlockWeights, Layer};
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
        }
    }

    /// Shapes: `x [B, tokens, D]` to the same. `index` is the block's place in its stack, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        if kernel::takes_whole_blocks(&x) {
            let factors = drop_path.and_then(|drop_path| drop_path.factors(index));
            return kernel::block(x, self.weights(), BlockSettings { heads: self.attn.heads(), eps: self.norm1.eps() as f32, factors });
        }
        let attended = self.attn.forward(self.norm1.forward(x.clone()));
        let x = x + DropPath::apply(drop_path, index, 0, attended);
        let transformed = self.mlp.forward(self.norm2.forward(x.clone()));
        x + DropPath::apply(drop_path, index, 1, transformed)
    }

    fn weights(&self) -> BlockWeights<DispatchTensor> {
        let norm = |norm: &LayerNorm| Layer::of(norm.weight.val(), norm.bias.val());
        let linear = |linear: &Linear| Layer::of(linear.weight.val(), linear.bias.val());
        BlockWeights {
            norm1: norm(&self.norm1),
            qkv: linear(&self.attn.qkv),
            proj: linear(&self.attn.proj),
            norm2: norm(&self.norm2),
            fc1: linear(&self.mlp.fc1),
            fc2: linear(&self.mlp.fc2),
        }
    }

    /// The attention probabilities that [`Block::forward`] uses on `x [B, tokens, D]`: `[B, heads, tokens, tokens]`.
    pub fn attention(&self, x: Tensor<3>) -> Tensor<4> {
        self.attn.probabilities(&self.norm1.forward(x))
    }
}
