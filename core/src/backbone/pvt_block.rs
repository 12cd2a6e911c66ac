//! PVT's block: the pre-norm transformer block in which all tokens attend to a coarser map of themselves.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::block::Mlp;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear};
use super::patch_embed::PatchProjection;
use super::squares;
use crate::kernel::{self, BlockParameters};
use crate::random::Stream;

/// How a map gets coarser before it is attended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// By a convolution whose stride is its size (PVT).
    Convolution,
    /// By the mean of squares (UM-MAE), which has no weights and so may be of another side in fine-tuning.
    Average,
}

/// Attention of all tokens to a reduced map.
#[derive(Module, Debug)]
pub struct ReducedAttention {
    /// Queries: `[D, D]`.
    pub q: Linear,
    /// Keys, then values: `[2 D, D]`.
    pub kv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    /// `[D, D, R, R]`, if the map is reduced by a convolution.
    pub sr: Option<PatchProjection>,
    /// After the reduction.
    pub norm: Option<LayerNorm>,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    reduction: usize,
}

impl ReducedAttention {
    /// Shapes: `x [B, N, D]` on a map of `grid` to the same. Where the map is reduced, it has no class token.
    fn forward(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let (q, kv) = self.queries_and_others(x, grid);
        self.proj.forward(kernel::attention_to(q, kv, self.heads))
    }

    /// Queries `[B, N, D]`, and keys and values `[B, N / R², 2 D]`.
    fn queries_and_others(&self, x: Tensor<3>, grid: [usize; 2]) -> (Tensor<3>, Tensor<3>) {
        (self.q.forward(x.clone()), self.kv.forward(self.reduced(x, grid)))
    }

    /// What [`ReducedAttention::forward`] attends to: `[B, heads, N, N / R²]`.
    fn probabilities(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<4> {
        let width = x.dims()[2];
        let (q, kv) = self.queries_and_others(x, grid);
        let [q, k] = [q, kv.narrow(2, 0, width)].map(|part| kernel::split_heads(part, self.heads));
        kernel::attention_probabilities(q, k, None)
    }

    /// What is attended to: `[B, N / R², D]`.
    fn reduced(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let Some(norm) = &self.norm else { return x };
        let [batch, tokens, width] = x.dims();
        let (side, area) = (self.reduction, self.reduction * self.reduction);
        norm.forward(match &self.sr {
            Some(sr) => sr.forward(squares::patches(x, grid, side)),
            None => squares::cut(x, grid, side).mean_dim(1).reshape([batch, tokens / area, width]),
        })
    }
}

/// One block.
#[derive(Module, Debug)]
pub struct PvtBlock {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Mixes tokens.
    pub attn: ReducedAttention,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// Works on each token alone.
    pub mlp: Mlp,
    #[module(skip)]
    recompute: bool,
}

/// The sizes of one block.
#[derive(Debug, Clone, Copy)]
pub struct PvtBlockConfig {
    /// D
    pub width: usize,
    /// Must divide D.
    pub heads: usize,
    /// The MLP's hidden width over D.
    pub mlp_ratio: f64,
    /// R: the side of the squares that become one token; 1 for none.
    pub reduction: usize,
    /// How they do.
    pub reduce_by: Reduction,
    /// What the norm after that adds to the variance.
    pub map_eps: f64,
    /// A block without reduction is computed again in the backward pass.
    pub recompute: bool,
}

impl PvtBlockConfig {
    /// PVT's initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> PvtBlock {
        let Self { width, heads, mlp_ratio, reduction, reduce_by, map_eps, recompute } = *self;
        let hidden = (width as f64 * mlp_ratio) as usize;
        let is_convolved = reduction > 1 && reduce_by == Reduction::Convolution;
        PvtBlock {
            norm1: LayerNorm::new(width, device),
            attn: ReducedAttention {
                q: Linear::normal(width, width, stream, device),
                kv: Linear::normal(width, 2 * width, stream, device),
                proj: Linear::normal(width, width, stream, device),
                sr: is_convolved.then(|| PatchProjection::new(width, reduction, width, stream, device)),
                norm: (reduction > 1).then(|| LayerNorm::with_eps(width, map_eps, device)),
                heads,
                reduction,
            },
            norm2: LayerNorm::new(width, device),
            mlp: Mlp::plain(Linear::normal(width, hidden, stream, device), Linear::normal(hidden, width, stream, device)),
            recompute,
        }
    }
}

impl PvtBlock {
    /// Shapes: `x [B, N, D]` on a map of `grid` to the same. `index` is the block's place in the whole network, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, grid: [usize; 2], index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        // Without a reduction it is the plain block.
        if self.attn.norm.is_none() {
            return kernel::block(x, self.plain_parameters(), drop_path.and_then(|drop_path| drop_path.factors(index)));
        }
        let attended = self.attn.forward(self.norm1.forward(x.clone()), grid);
        let x = x + DropPath::apply(drop_path, index, 0, attended);
        let transformed = self.mlp.forward(self.norm2.forward(x.clone()));
        x + DropPath::apply(drop_path, index, 1, transformed)
    }

    /// The attention probabilities that [`PvtBlock::forward`] uses on `x [B, N, D]`: `[B, heads, N, N / R²]`.
    pub fn attention(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<4> {
        self.attn.probabilities(self.norm1.forward(x), grid)
    }

    fn plain_parameters(&self) -> BlockParameters {
        let Self { attn: ReducedAttention { q, kv, proj, heads, .. }, mlp: Mlp { fc1, fc2, .. }, norm1, norm2, .. } = self;
        BlockParameters {
            norms: [norm1, norm2].map(|norm| [norm.weight.val(), norm.bias.val()]),
            weights: [Tensor::cat(vec![q.weight.val(), kv.weight.val()], 0), proj.weight.val(), fc1.weight.val(), fc2.weight.val()],
            biases: [Tensor::cat(vec![q.bias.val(), kv.bias.val()], 0), proj.bias.val(), fc1.bias.val(), fc2.bias.val()],
            heads: *heads,
            eps: norm1.eps(),
            bias: None,
            recompute: self.recompute,
        }
    }
}
