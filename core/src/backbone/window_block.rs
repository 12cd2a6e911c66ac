//! Swin's block: the pre-norm transformer block within windows, where every score gets a learned number for the distance of its pair.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::block::Mlp;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, Linear, NORMAL_DEVIATION, normal, parameter};
use super::relative_position::{DistanceMlp, PairLayout, RelativePositions};
use super::swin::EPS;
use crate::kernel::{self, BlockParameters};
use crate::random::Stream;

/// Self-attention within windows.
#[derive(Module, Debug)]
pub struct WindowAttention {
    /// Rows 0..D make queries, D..2D keys, 2D..3D values: weight `[3D, D]`.
    pub qkv: Linear,
    /// `[D, D]`
    pub proj: Linear,
    /// `[(2 W - 1)², heads]`, if positions come from a table.
    pub relative_position_bias_table: Option<Param<Tensor<2>>>,
    /// If positions come from a network.
    pub relative_position_mlp: Option<DistanceMlp>,
    #[module(skip)]
    heads: usize,
}

impl WindowAttention {
    fn numbers(&self, layout: &PairLayout) -> Option<Tensor<2>> {
        let from_network = self.relative_position_mlp.as_ref().map(|mlp| mlp.forward(layout.distances()));
        from_network.or_else(|| self.relative_position_bias_table.as_ref().map(|table| table.val()))
    }

    /// Of tokens `[S, n, D]`: `[S, heads, n, d]` each.
    fn queries_and_keys(&self, x: Tensor<3>) -> [Tensor<4>; 2] {
        let width = x.dims()[2];
        let qkv = self.qkv.forward(x);
        [0, 1].map(|part| kernel::split_heads(qkv.clone().narrow(2, part * width, width), self.heads))
    }

    /// What is added to the scores: `[G, heads, n, n]`.
    fn bias(&self, layout: &PairLayout) -> Option<Tensor<4>> {
        self.numbers(layout).map(|numbers| layout.bias(numbers))
    }
}

/// One block.
#[derive(Module, Debug)]
pub struct WindowBlock {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Mixes the tokens of a window.
    pub attn: WindowAttention,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// Works on each token alone.
    pub mlp: Mlp,
    #[module(skip)]
    recompute: bool,
}

/// The sizes of one block.
#[derive(Debug, Clone, Copy)]
pub struct WindowBlockConfig {
    /// D
    pub width: usize,
    /// Must divide D.
    pub heads: usize,
    /// W: the side of the windows.
    pub side: usize,
    /// The MLP's hidden width over D.
    pub mlp_ratio: f64,
    /// Where the numbers of distances come from.
    pub positions: RelativePositions,
    /// It is computed again in the backward pass.
    pub recompute: bool,
}

impl WindowBlockConfig {
    /// Swin's initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> WindowBlock {
        let Self { width, heads, side, mlp_ratio, positions, recompute } = *self;
        let hidden = (width as f64 * mlp_ratio) as usize;
        let num_distances = (2 * side - 1) * (2 * side - 1);
        let has_table = positions == RelativePositions::Table;
        WindowBlock {
            norm1: LayerNorm::with_eps(width, EPS, device),
            attn: WindowAttention {
                qkv: Linear::normal(width, 3 * width, stream, device),
                proj: Linear::normal(width, width, stream, device),
                relative_position_bias_table: has_table
                    .then(|| parameter(normal(num_distances * heads, NORMAL_DEVIATION, stream), [num_distances, heads], device)),
                relative_position_mlp: (!has_table).then(|| DistanceMlp::new(heads, stream, device)),
                heads,
            },
            norm2: LayerNorm::with_eps(width, EPS, device),
            mlp: Mlp::plain(Linear::normal(width, hidden, stream, device), Linear::normal(hidden, width, stream, device)),
            recompute,
        }
    }
}

impl WindowBlock {
    /// Shapes: `x [B, N, D]` to the same. `index` is the block's place in the whole network, for `drop_path`.
    pub fn forward(&self, x: Tensor<3>, layout: &PairLayout, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        if layout.windows.are_filled_up() {
            return self.by_parts(x, layout, index, drop_path);
        }
        let num_windows = layout.windows.count();
        let of_windows = |factors: Vec<f32>| factors.into_iter().flat_map(|factor| std::iter::repeat_n(factor, num_windows)).collect();
        let factors = drop_path.and_then(|drop_path| drop_path.factors(index)).map(|factors| factors.map(of_windows));
        let (windows, numbers) = (layout.windows.cut(x), self.attn.numbers(layout));
        let y = match numbers {
            Some(numbers) if layout.pairs.differ() && kernel::fuses_blocks(&windows, windows.dims()[0]) => {
                kernel::block_of_pairs(windows, self.parameters(None), (numbers, layout.pairs.clone()), factors)
            }
            numbers => kernel::block(windows, self.parameters(numbers.map(|numbers| layout.bias(numbers))), factors),
        };
        layout.windows.join(y)
    }

    /// [`WindowBlock::forward`] where zeros that no norm sees fill the windows up.
    fn by_parts(&self, x: Tensor<3>, layout: &PairLayout, index: usize, drop_path: Option<&DropPath>) -> Tensor<3> {
        let qkv = self.attn.qkv.forward(layout.windows.cut(self.norm1.forward(x.clone())));
        let attended = self.attn.proj.forward(kernel::attention(qkv, self.attn.bias(layout), self.attn.heads));
        let x = x + DropPath::apply(drop_path, index, 0, layout.windows.join(attended));
        let transformed = self.mlp.forward(self.norm2.forward(x.clone()));
        x + DropPath::apply(drop_path, index, 1, transformed)
    }

    /// The attention probabilities that [`WindowBlock::forward`] uses on `x [B, N, D]`: `[B·windows, heads, n, n]`, tokens in the order
    /// of [`super::window::Windows::order`].
    pub fn attention(&self, x: Tensor<3>, layout: &PairLayout) -> Tensor<4> {
        let [q, k] = self.attn.queries_and_keys(layout.windows.cut(self.norm1.forward(x)));
        kernel::attention_probabilities(q, k, self.attn.bias(layout))
    }

    fn parameters(&self, bias: Option<Tensor<4>>) -> BlockParameters {
        let linears = [&self.attn.qkv, &self.attn.proj, &self.mlp.fc1, &self.mlp.fc2];
        BlockParameters {
            norms: [&self.norm1, &self.norm2].map(|norm| [norm.weight.val(), norm.bias.val()]),
            weights: linears.map(|linear| linear.weight.val()),
            biases: linears.map(|linear| linear.bias.val()),
            heads: self.attn.heads,
            eps: self.norm1.eps(),
            bias,
            recompute: self.recompute,
        }
    }
}
