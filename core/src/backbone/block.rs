//! The pre-norm transformer block of every plain ViT: `x += attn(norm1(x))`, then `x += mlp(norm2(x))`.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::attention::{Attention, Places};
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear, parameter};
use super::rotary::Rotary;
use super::vit::VitConfig;
use crate::kernel::{self, BlockParameters, Tokens};
use crate::random::Stream;

/// Two linear layers with an exact GELU between, or with a gate (Shazeer, *GLU Variants Improve Transformer*, 2020).
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[hidden, D]`; where there is a gate, `[2 hidden, D]`, the gate's rows first.
    pub fc1: Linear,
    /// `[D, hidden]`
    pub fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

/// What lies between the layers of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// An exact GELU.
    #[default]
    Gelu,
    /// A gate with its own sigmoid.
    SwiGlu,
    /// A gate with a GELU.
    GeGlu,
}

impl Activation {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "swiglu" => Self::SwiGlu,
            "geglu" => Self::GeGlu,
            _ => return None,
        })
    }

    /// Half of the first layer's numbers decide what becomes of the other half.
    pub fn is_gated(self) -> bool {
        self != Self::Gelu
    }
}

impl Mlp {
    /// One without a gate.
    pub fn plain(fc1: Linear, fc2: Linear) -> Self {
        Self { fc1, fc2, activation: Activation::Gelu }
    }

    /// Shapes: `x [B, tokens, D]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.activated(self.fc1.forward(x)))
    }

    /// What lies between the layers.
    fn activated(&self, x: Tensor<3>) -> Tensor<3> {
        match self.activation {
            Activation::Gelu => kernel::gelu(x),
            Activation::SwiGlu => kernel::swiglu(x),
            Activation::GeGlu => kernel::geglu(x),
        }
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
        let (activation, outputs) = (config.activation, if config.activation.is_gated() { 2 * hidden } else { hidden });
        Self {
            norm1: init.norm(width, eps, device),
            attn: Attention::new(config, index, stream, device),
            norm2: init.norm(width, eps, device),
            mlp: Mlp {
                fc1: init.linear(width, outputs, stream, device),
                fc2: init.last_linear(hidden, width, index, stream, device),
                activation,
            },
            ls1: scale(),
            ls2: scale(),
            recompute: config.recompute,
        }
    }

    /// Shapes: `x [B, tokens, D]` to the same. `index` is the block's place in its stack, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, places: Places, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        if self.mlp.activation.is_gated() || places.rotary.is_some() {
            return self.by_parts(x, places, index, drop_path);
        }
        kernel::block(x, self.parameters(places.bias), drop_path.and_then(|drop_path| drop_path.factors(index)))
    }

    /// [`Block::forward`] of tokens that samples share, or of which some only are to be attended to.
    pub fn forward_of(&self, tokens: Tokens) -> Tensor<3> {
        kernel::block_of(tokens, self.parameters(None), None)
    }

    /// [`Block::forward`] of the operations that a block is made of, where no single one computes all of it.
    fn by_parts(&self, x: Tensor<3>, Places { bias, rotary }: Places, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        let parameters = self.parameters(bias);
        let BlockParameters { norms: [[weight, shift], _], weights: [qkv, proj, ..], biases, heads, eps, bias, .. } = parameters.clone();
        let ([qkv_bias, proj_bias, ..], width) = (biases, x.dims()[2]);
        let mut qkv = kernel::linear(kernel::layer_norm(x.clone(), weight, shift, eps), qkv, Some(qkv_bias));
        if let Some(rotary) = &rotary {
            qkv = rotary.turn(qkv, 2 * width);
        }
        let attended = kernel::linear(kernel::attention(qkv, bias, heads), proj, Some(proj_bias));
        self.transformed(x + DropPath::apply(drop_path, index, 0, attended), parameters, index, drop_path)
    }

    /// The first token of [`Block::forward`] without a bias, where nobody asks for the others: of those, nothing but keys and values is
    /// computed. It has no place to be turned by. Shapes: `x [B, tokens, D]` to `[B, 1, D]`.
    pub fn forward_first(&self, x: Tensor<3>, rotary: Option<&Rotary>, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        let parameters = self.parameters(None);
        let BlockParameters { norms: [[weight, shift], _], weights: [qkv, proj, ..], biases, heads, eps, .. } = parameters.clone();
        let ([qkv_bias, proj_bias, ..], width) = (biases, x.dims()[2]);
        let part = |x: Tensor<3>, rows: Range<usize>| {
            kernel::linear(x, qkv.clone().slice([rows.clone(), 0..width]), Some(qkv_bias.clone().slice([rows])))
        };
        let (first, normed) = (x.clone().narrow(1, 0, 1), kernel::layer_norm(x, weight, shift, eps));
        let (query, mut others) = (part(normed.clone().narrow(1, 0, 1), 0..width), part(normed, width..3 * width));
        if let Some(rotary) = rotary {
            others = rotary.turn(others, width);
        }
        let attended = kernel::linear(kernel::attention_to(query, others, heads), proj, Some(proj_bias));
        self.transformed(first + DropPath::apply(drop_path, index, 0, attended), parameters, index, drop_path)
    }

    /// The second branch, added to `x`.
    fn transformed(&self, x: Tensor<3>, parameters: BlockParameters, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        let BlockParameters { norms: [_, [weight, shift]], weights: [.., fc1, fc2], biases: [.., bias1, bias2], eps, .. } = parameters;
        let hidden = kernel::linear(kernel::layer_norm(x.clone(), weight, shift, eps), fc1, Some(bias1));
        x + DropPath::apply(drop_path, index, 1, kernel::linear(self.mlp.activated(hidden), fc2, Some(bias2)))
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
    pub fn attention(&self, x: Tensor<3>, places: Places) -> Tensor<4> {
        self.attn.probabilities(&self.norm1.forward(x), places)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};

    use super::*;
    use crate::backbone::vit::Positions;
    use crate::random::Purpose;
    use crate::weights::model_file::to_host;

    fn vit(positions: Positions, activation: Activation) -> crate::backbone::vit::Vit {
        let plain = VitConfig::plain([3, 4], [3, 4], [16, 2, 2]);
        let config = VitConfig { positions, activation, layer_scale: 0.5, registers: 1, ..plain };
        config.init(&mut Stream::new(1, 0, 0, Purpose::Init), &Device::flex())
    }

    #[track_caller]
    fn assert_same<const D: usize>(have: Tensor<D>, want: Tensor<D>) {
        assert_eq!(have.dims(), want.dims());
        let worst = to_host((have - want).abs().max()).unwrap()[0];
        assert!(worst < 3e-5, "{worst}");
    }

    #[test]
    fn parts_make_the_whole() {
        let (vit, x) = (vit(Positions::Fixed, Activation::Gelu), Tensor::random([40, 14, 16], Distribution::Default, &Device::flex()));
        let drop_path = DropPath::sample(0.5, 2, 1, 0, &(0..40).collect::<Vec<_>>(), 0..1);
        let by_parts = vit.blocks[1].by_parts(x.clone(), Places::default(), 1, drop_path.as_ref());
        assert_same(by_parts, vit.blocks[1].forward(x, Places::default(), 1, drop_path.as_ref()));
    }

    #[test]
    fn tokens_take_their_turns_with_them() {
        for activation in [Activation::Gelu, Activation::SwiGlu, Activation::GeGlu] {
            let (vit, device) = (vit(Positions::Rotary, activation), Device::flex());
            let patches = Tensor::random([1, 12, 48], Distribution::Default, &device);
            let tokens = vit.tokens(patches);
            let whole = vit.encode(tokens.clone(), None);
            assert_same(vit.encode_class(tokens.clone(), [3, 4], None), whole.clone().narrow(1, 0, 1));
            // Class token and register first, then patches backwards.
            let order: Vec<i32> = [0, 1].into_iter().chain((2..14).rev()).collect();
            let order = Tensor::from_data(TensorData::new(order, [14]), &device);
            let patches = vit.turns([3, 4], &device).unwrap().narrow(1, 1, 12).flip([1]);
            let backwards = vit.encode_turned(tokens.clone().select(1, order.clone()), Some(Rotary::behind(2, &patches)), None);
            assert_same(backwards, whole.clone().select(1, order));
            // Not turned, or on a map of another shape, they mix otherwise.
            for others in [vit.encode_turned(tokens.clone(), None, None), vit.for_grid([4, 3]).encode(tokens, None)] {
                assert!(to_host((others - whole.clone()).abs().max()).unwrap()[0] > 1e-3);
            }
        }
    }
}
