//! The pre-norm transformer block of every plain ViT: `x += attn(norm1(x))`, then `x += mlp(norm2(x))`.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear, parameter};
use super::vit::VitConfig;
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

/// One transformer block. Where `recompute` is asked for, nothing but its input is kept for the backward pass (Chen et al., *Training Deep
/// Nets with Sublinear Memory Cost*, 2016).
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
    /// Of the first branch.
    pub ls1: Option<LayerScale>,
    /// Of the second branch.
    pub ls2: Option<LayerScale>,
    #[module(skip)]
    recompute: bool,
}

/// Learned factors of a branch's numbers (Touvron et al., *Going Deeper with Image Transformers*, 2021).
#[derive(Module, Debug)]
pub struct LayerScale {
    /// `[D]`
    pub gamma: Param<Tensor<1>>,
}

impl LayerScale {
    /// Weight and bias of the layer that ends the branch, with the factors multiplied in: one operation less on all tokens.
    fn folded(&self, last: &Linear) -> (Tensor<2>, Tensor<1>) {
        let gamma = self.gamma.val();
        let width = gamma.dims()[0];
        (last.weight.val() * gamma.clone().reshape([width, 1]), last.bias.val() * gamma)
    }
}

impl Block {
    /// Block `index` of a transformer whose width is a multiple of its heads; the MLP's hidden width is `mlp_ratio · width`, truncated.
    pub fn new(config: &VitConfig, index: usize, stream: &mut Stream, device: &Device) -> Self {
        let &VitConfig { width, init, eps, .. } = config;
        let hidden = (width as f64 * config.mlp_ratio) as usize;
        let scale = || {
            let gamma = || parameter(vec![config.layer_scale as f32; width], [width], device);
            (config.layer_scale > 0.0).then(|| LayerScale { gamma: gamma() })
        };
        Self {
            norm1: init.norm(width, eps, device),
            attn: Attention::new(config, index, stream, device),
            norm2: init.norm(width, eps, device),
            mlp: Mlp { fc1: init.linear(width, hidden, stream, device), fc2: init.last_linear(hidden, width, index, stream, device) },
            ls1: scale(),
            ls2: scale(),
            recompute: config.recompute,
        }
    }

    /// Shapes: `x [B, tokens, D]` to the same, `bias [1, heads, tokens, tokens]` is added to the scores of attention. `index` is the
    /// block's place in its stack, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, bias: Option<Tensor<4>>, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        kernel::block(x, self.parameters(bias), drop_path.and_then(|drop_path| drop_path.factors(index)))
    }

    /// The first token of [`Block::forward`] without a bias, where nobody asks for the others: of those, nothing but keys and values is
    /// computed. Shapes: `x [B, tokens, D]` to `[B, 1, D]`.
    pub fn forward_first(&self, x: Tensor<3>, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        let BlockParameters { norms, weights, biases, heads, eps, .. } = self.parameters(None);
        let ([[weight1, bias1], [weight2, bias2]], [qkv, proj, fc1, fc2]) = (norms, weights);
        let ([qkv_bias, proj_bias, fc1_bias, fc2_bias], width) = (biases, x.dims()[2]);
        let part = |x: Tensor<3>, rows: Range<usize>| {
            kernel::linear(x, qkv.clone().slice([rows.clone(), 0..width]), Some(qkv_bias.clone().slice([rows])))
        };
        let (first, normed) = (x.clone().narrow(1, 0, 1), kernel::layer_norm(x, weight1, bias1, eps));
        let (query, others) = (part(normed.clone().narrow(1, 0, 1), 0..width), part(normed, width..3 * width));
        let attended = kernel::linear(kernel::attention_to(query, others, heads), proj, Some(proj_bias));
        let x = first + DropPath::apply(drop_path, index, 0, attended);
        let hidden = kernel::gelu(kernel::linear(kernel::layer_norm(x.clone(), weight2, bias2, eps), fc1, Some(fc1_bias)));
        x + DropPath::apply(drop_path, index, 1, kernel::linear(hidden, fc2, Some(fc2_bias)))
    }

    fn parameters(&self, bias: Option<Tensor<4>>) -> BlockParameters {
        let plain = |linear: &Linear| (linear.weight.val(), linear.bias.val());
        let last = |linear: &Linear, scale: &Option<LayerScale>| scale.as_ref().map_or_else(|| plain(linear), |scale| scale.folded(linear));
        let (proj, proj_bias) = last(&self.attn.proj, &self.ls1);
        let (fc2, fc2_bias) = last(&self.mlp.fc2, &self.ls2);
        BlockParameters {
            norms: [&self.norm1, &self.norm2].map(|norm| [norm.weight.val(), norm.bias.val()]),
            weights: [self.attn.qkv.weight.val(), proj, self.mlp.fc1.weight.val(), fc2],
            biases: [self.attn.qkv_bias(), proj_bias, self.mlp.fc1.bias.val(), fc2_bias],
            heads: self.attn.heads(),
            eps: self.norm1.eps(),
            bias,
            recompute: self.recompute,
        }
    }

    /// The attention probabilities that [`Block::forward`] uses on `x [B, tokens, D]`: `[B, heads, tokens, tokens]`.
    pub fn attention(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<4> {
        self.attn.probabilities(&self.norm1.forward(x), bias)
    }
}
