//! Multi-head self-attention with one qkv matrix, as timm and the papers' code lay it out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::linear::Linear;
use super::rotary::Rotary;
use super::score_bias::ScoreBias;
use super::vit::{Relative, VitConfig};
use crate::kernel;
use crate::random::Stream;

/// What attention knows of where tokens lie, beside what was added to them.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Is added to the scores: `[1, heads, tokens, tokens]`.
    pub bias: Option<Tensor<4>>,
    /// Turns queries and keys.
    pub rotary: Option<Rotary>,
}

/// Self-attention over tokens.
#[derive(Module, Debug)]
pub struct Attention {
    /// Rows 0..D make queries, D..2D keys, 2D..3D values: weight `[3D, D]`.
    pub qkv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    /// What the scores get for the distance of two patches, where every block has its own numbers.
    pub rel_pos_bias: Option<ScoreBias>,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    key_bias: bool,
}

impl Attention {
    /// Of block `index` of a transformer.
    pub fn new(config: &VitConfig, index: usize, stream: &mut Stream, device: &Device) -> Self {
        let &VitConfig { width, heads, init, key_bias, grid, relative, .. } = config;
        Self {
            qkv: init.linear(width, 3 * width, stream, device),
            proj: init.last_linear(width, width, index, stream, device),
            rel_pos_bias: (relative == Relative::Own).then(|| ScoreBias::new(grid, heads, device)),
            heads,
            key_bias,
        }
    }

    /// The bias of queries, keys and values: `[3D]`.
    pub fn qkv_bias(&self) -> Tensor<1> {
        let bias = self.qkv.bias.val();
        if self.key_bias {
            return bias;
        }
        let width = bias.dims()[0] / 3;
        let [queries, values] = [0, 2].map(|part| bias.clone().narrow(0, part * width, width));
        Tensor::cat(vec![queries, Tensor::zeros([width], &values.device()), values], 0)
    }

    /// Into how many heads the width is split.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// What every token attends to. Shapes: `x [B, tokens, D]` to `[B, heads, tokens, tokens]`, rows sum to one.
    pub fn probabilities(&self, x: &Tensor<3>, places: Places) -> Tensor<4> {
        let Places { bias, rotary } = places;
        let [queries, keys] = [0, 1].map(|part| kernel::split_heads(self.turned(x, part, rotary.as_ref()), self.heads));
        kernel::attention_probabilities(queries, keys, bias)
    }

    /// The keys of all heads one after the other. Shapes: `x [B, tokens, D]` to the same.
    pub fn keys(&self, x: &Tensor<3>, rotary: Option<&Rotary>) -> Tensor<3> {
        self.turned(x, 1, rotary)
    }

    /// Queries (0) or keys (1) as they are used.
    fn turned(&self, x: &Tensor<3>, part: usize, rotary: Option<&Rotary>) -> Tensor<3> {
        let (part, width) = (self.part_of(x, part), x.dims()[2]);
        match rotary {
            Some(rotary) => rotary.turn(part, width),
            None => part,
        }
    }

    fn part_of(&self, x: &Tensor<3>, part: usize) -> Tensor<3> {
        let width = x.dims()[2];
        let rows = part * width..(part + 1) * width;
        let weight = self.qkv.weight.val().slice([rows.clone(), 0..width]);
        kernel::linear(x.clone(), weight, Some(self.qkv_bias().slice([rows])))
    }
}
