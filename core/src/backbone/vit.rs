//! The plain vision transformer (Dosovitskiy et al., 2020) with class token and optional registers (Darcet et al., 2023), in timm's names.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::block::Block;
use super::drop_path::DropPath;
use super::linear::{LayerNorm, normal, parameter};
use super::patch_embed::PatchEmbed;
use super::pos_embed;
use crate::random::Stream;

/// The sizes of a ViT.
#[derive(Debug, Clone, PartialEq)]
pub struct VitConfig {
    /// Patches down and across that the position table is made for.
    pub grid: [usize; 2],
    /// Channels of the image.
    pub channels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// D
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub heads: usize,
    /// The MLP's hidden width over D.
    pub mlp_ratio: f64,
    /// Register tokens: no position, dropped from every output.
    pub registers: usize,
    /// Learned positions instead of the fixed sine-cosine code.
    pub learned_pos: bool,
    /// Drop-path rate of the last block.
    pub drop_path: f64,
    /// Blocks are computed again in the backward pass.
    pub recompute: bool,
}

/// A plain vision transformer. Token order: class token, R registers, patches.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[1, 1, D]`
    pub cls_token: Param<Tensor<3>>,
    /// `[1, R, D]`
    pub reg_token: Option<Param<Tensor<3>>>,
    /// `[1, 1 + N, D]`; not trained when it is the sine-cosine code.
    pub pos_embed: Param<Tensor<3>>,
    /// Patches to tokens.
    pub patch_embed: PatchEmbed,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: LayerNorm,
    #[module(skip)]
    config: VitConfig,
}

impl VitConfig {
    /// MAE's initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Vit {
        let (width, [rows, cols]) = (self.width, self.grid);
        let pos_embed = if self.learned_pos {
            parameter(normal((1 + rows * cols) * width, 0.02, stream), [1, 1 + rows * cols, width], device)
        } else {
            parameter(pos_embed::sincos_2d(width, rows, cols), [1, 1 + rows * cols, width], device).set_require_grad(false)
        };
        Vit {
            cls_token: parameter(normal(width, 0.02, stream), [1, 1, width], device),
            reg_token: (self.registers > 0)
                .then(|| parameter(normal(self.registers * width, 1e-6, stream), [1, self.registers, width], device)),
            pos_embed,
            patch_embed: PatchEmbed::new(self.channels, self.patch, width, stream, device),
            blocks: (0..self.depth)
                .map(|_| Block::new(width, self.heads, self.mlp_ratio, stream, device).recomputed(self.recompute))
                .collect(),
            norm: LayerNorm::new(width, device),
            config: self.clone(),
        }
    }
}

impl Vit {
    /// The sizes it was made with.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Tokens in front of the patches: the class token and the registers.
    pub fn num_prefix(&self) -> usize {
        1 + self.config.registers
    }

    /// Patch tokens with their positions. Shapes: `patches [B, V, P·P·C]`, `places [B·V]` (each patch's raster index) to `[B, V, D]`.
    pub fn embed(&self, patches: Tensor<3>, places: Tensor<1, Int>) -> Tensor<3> {
        let [batch, visible, _] = patches.dims();
        let width = self.config.width;
        let positions = self.pos_embed.val().reshape([-1, width as i32]).select(0, places + 1);
        self.patch_embed.forward(patches) + positions.reshape([batch, visible, width])
    }

    /// Puts class token and registers in front. Shapes: `[B, V, D]` to `[B, 1 + R + V, D]`.
    pub fn with_prefix(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = tokens.dims();
        let cls = self.cls_token.val() + self.pos_embed.val().slice([0..1, 0..1, 0..width]);
        let mut parts = vec![cls.expand([batch, 1, width])];
        if let Some(reg_token) = &self.reg_token {
            parts.push(reg_token.val().expand([batch, self.config.registers, width]));
        }
        parts.push(tokens);
        Tensor::cat(parts, 1)
    }

    /// All blocks and the final norm. Shapes: `[B, tokens, D]` to the same.
    pub fn encode(&self, tokens: Tensor<3>, drop_path: Option<&DropPath>) -> Tensor<3> {
        let blocks = self.blocks.iter().enumerate();
        self.norm.forward(blocks.fold(tokens, |x, (index, block)| block.forward(x, index, drop_path)))
    }

    /// Tokens of whole images, ready for the blocks. Shapes: `patches [B, N, P·P·C]` to `[B, 1 + R + N, D]`.
    pub fn tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        let [_, count, _] = patches.dims();
        self.with_prefix(self.patch_embed.forward(patches) + self.pos_embed.val().narrow(1, 1, count))
    }

    /// The same network for images of another size: its position table is resized to `grid`.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Self {
        self.pos_embed = resized(&self.pos_embed, self.config.grid, grid);
        self.config.grid = grid;
        self
    }
}

/// A position table `[1, 1 + N, D]` for another grid.
pub fn resized(table: &Param<Tensor<3>>, from: [usize; 2], to: [usize; 2]) -> Param<Tensor<3>> {
    let table = table.val();
    let (width, device) = (table.dims()[2], table.device());
    let values = table.into_data().try_into_vec::<f32>().unwrap_or_default();
    parameter(pos_embed::resize(&values, width, from, to), [1, 1 + to[0] * to[1], width], &device).set_require_grad(false)
}
