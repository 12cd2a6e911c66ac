//! The plain vision transformer (Dosovitskiy et al., 2020) with or without a class token and registers (Darcet et al., 2023), in timm's names.

use std::cell::OnceCell;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::attention::Places;
use super::block::{Activation, Block};
use super::drop_path::DropPath;
use super::encoder::{Attended, BlockView, Look};
use super::init::Init;
use super::linear::{LayerNorm, normal, parameter};
use super::patch_embed::PatchEmbed;
use super::pos_embed::{self, Resizing};
use super::rotary::{self, Rotary};
use super::score_bias::ScoreBias;
use crate::error::Result;
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
    /// What lies between the MLP's layers.
    pub activation: Activation,
    /// There is a class token in front of the patches.
    pub has_class_token: bool,
    /// Register tokens: no position, dropped from every output; none without a class token.
    pub registers: usize,
    /// What is added to tokens for their place, or turns them.
    pub positions: Positions,
    /// The slowest rotary position turns nearly so many times more slowly than the fastest.
    pub rope_base: f64,
    /// How the table of positions is brought to another grid.
    pub resizing: Resizing,
    /// What is added to attention scores for the distance of two patches; with a class token and without registers.
    pub relative: Relative,
    /// Start of the learned factors of every branch; 0 for none.
    pub layer_scale: f64,
    /// Keys have a bias.
    pub key_bias: bool,
    /// Whose initial weights.
    pub init: Init,
    /// What norms add to the variance.
    pub eps: f64,
    /// Drop-path rate of the last block.
    pub drop_path: f64,
    /// Blocks are computed again in the backward pass.
    pub recompute: bool,
}

/// Position codes of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Sine and cosine of rows and columns, never trained.
    Fixed,
    /// A learned table.
    Learned,
    /// None: a table of zeros, never trained.
    Absent,
    /// Queries and keys are turned; the table is as without positions.
    Rotary,
}

/// Position codes of attention scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relative {
    /// None.
    Absent,
    /// One table for all blocks.
    Shared,
    /// One table for each block.
    Own,
}

/// A plain vision transformer. Token order: class token, if there is one, R registers, patches.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[1, 1, D]`
    pub cls_token: Option<Param<Tensor<3>>>,
    /// `[1, R, D]`
    pub reg_token: Option<Param<Tensor<3>>>,
    /// `[1, 1 + N, D]`; not trained when it is the sine-cosine code. The first row is the class token's, and nobody's where there is none.
    pub pos_embed: Param<Tensor<3>>,
    /// Patches to tokens.
    pub patch_embed: PatchEmbed,
    /// What the scores of all blocks get for the distance of two patches.
    pub rel_pos_bias: Option<ScoreBias>,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// After the last block.
    pub norm: LayerNorm,
    #[module(skip)]
    config: VitConfig,
}

impl VitConfig {
    /// DINOv3's.
    pub const ROPE_BASE: f64 = 100.0;

    /// A transformer without registers or anything that is not MAE's.
    pub fn plain(grid: [usize; 2], [channels, patch]: [usize; 2], [width, depth, heads]: [usize; 3]) -> Self {
        Self {
            grid,
            channels,
            patch,
            width,
            depth,
            heads,
            mlp_ratio: 4.0,
            has_class_token: true,
            activation: Activation::Gelu,
            registers: 0,
            positions: Positions::Fixed,
            rope_base: Self::ROPE_BASE,
            resizing: Resizing::Bicubic,
            relative: Relative::Absent,
            layer_scale: 0.0,
            key_bias: true,
            init: Init::Mae,
            eps: LayerNorm::EPS,
            drop_path: 0.0,
            recompute: false,
        }
    }

    /// Tokens in front of the patches: the class token and the registers.
    pub fn num_prefix(&self) -> usize {
        usize::from(self.has_class_token) + self.registers
    }

    /// Its initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Vit {
        let (width, [rows, cols], init) = (self.width, self.grid, self.init);
        let shape = [1, 1 + rows * cols, width];
        let pos_embed = match self.positions {
            Positions::Learned => parameter(init.values(shape[1] * width, stream), shape, device),
            Positions::Fixed => parameter(pos_embed::sincos_2d(width, rows, cols), shape, device).set_require_grad(false),
            Positions::Absent | Positions::Rotary => parameter(vec![0.0; shape[1] * width], shape, device).set_require_grad(false),
        };
        Vit {
            cls_token: self.has_class_token.then(|| parameter(init.values(width, stream), [1, 1, width], device)),
            reg_token: (self.registers > 0)
                .then(|| parameter(normal(self.registers * width, 1e-6, stream), [1, self.registers, width], device)),
            pos_embed,
            patch_embed: init.patch_embed([self.channels, self.patch, width], stream, device),
            rel_pos_bias: (self.relative == Relative::Shared).then(|| ScoreBias::new(self.grid, self.heads, device)),
            blocks: (0..self.depth).map(|index| Block::new(self, index, stream, device)).collect(),
            norm: init.norm(width, self.eps, device),
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
        self.config.num_prefix()
    }

    /// Patch tokens with their positions. Shapes: `patches [B, V, P·P·C]`, `places [B·V]` (each patch's raster index) to `[B, V, D]`.
    pub fn embed(&self, patches: Tensor<3>, places: Tensor<1, Int>) -> Tensor<3> {
        let [batch, visible, _] = patches.dims();
        let width = self.config.width;
        let positions = self.pos_embed.val().reshape([-1, width as i32]).select(0, places + 1);
        self.patch_embed.forward(patches) + positions.reshape([batch, visible, width])
    }

    /// Puts class token and registers in front. Shapes: `[B, V, D]` to `[B, prefix + V, D]`.
    pub fn with_prefix(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = tokens.dims();
        let mut parts = Vec::new();
        if let Some(cls_token) = &self.cls_token {
            let cls = cls_token.val() + self.pos_embed.val().slice([0..1, 0..1, 0..width]);
            parts.push(cls.expand([batch, 1, width]));
        }
        if let Some(reg_token) = &self.reg_token {
            parts.push(reg_token.val().expand([batch, self.config.registers, width]));
        }
        parts.push(tokens);
        Tensor::cat(parts, 1)
    }

    /// All blocks and the final norm. Shapes: `[B, tokens, D]` to the same.
    ///
    /// With a position code of scores, or with rotary positions, the tokens are those of whole images in raster order.
    pub fn encode(&self, tokens: Tensor<3>, drop_path: Option<&DropPath>) -> Tensor<3> {
        self.encode_on(tokens, self.config.grid, drop_path)
    }

    /// The same for images of `grid`.
    pub fn encode_on(&self, tokens: Tensor<3>, grid: [usize; 2], drop_path: Option<&DropPath>) -> Tensor<3> {
        let rotary = self.rotary(grid, &tokens.device());
        self.encode_turned(tokens, rotary, drop_path)
    }

    /// The same for any tokens, which `rotary` turns.
    pub fn encode_turned(&self, tokens: Tensor<3>, rotary: Option<Rotary>, drop_path: Option<&DropPath>) -> Tensor<3> {
        let of_blocks = OfBlocks { shared: self.shared_bias(), rotary };
        let blocks = self.blocks.iter().enumerate();
        let x = blocks.fold(tokens, |x, (index, block)| block.forward(x, self.places_of(block, &of_blocks), index, drop_path));
        self.norm.forward(x)
    }

    /// The class token that [`Vit::encode`] returns for images of `grid`, where nobody asks for patches: a good part of the last block is
    /// left out. Shapes: `[B, tokens, D]` to `[B, 1, D]`.
    pub fn encode_class(&self, tokens: Tensor<3>, grid: [usize; 2], drop_path: Option<&DropPath>) -> Tensor<3> {
        let of_blocks = OfBlocks { shared: self.shared_bias(), rotary: self.rotary(grid, &tokens.device()) };
        let has_bias = |block: &Block| of_blocks.shared.is_some() || block.attn.rel_pos_bias.is_some();
        let Some((last, before)) = self.blocks.split_last().filter(|(last, _)| !has_bias(last)) else {
            return self.encode_turned(tokens, of_blocks.rotary, drop_path).narrow(1, 0, 1);
        };
        let blocks = before.iter().enumerate();
        let x = blocks.fold(tokens, |x, (index, block)| block.forward(x, self.places_of(block, &of_blocks), index, drop_path));
        self.norm.forward(last.forward_first(x, of_blocks.rotary.as_ref(), before.len(), drop_path))
    }

    /// See [`Encoder::each_block`](super::encoder::Encoder::each_block).
    pub(super) fn each_block(&self, mut tokens: Tensor<3>, look: Look<'_>) -> Result<()> {
        let of_blocks = self.of_blocks(&tokens);
        for (index, block) in self.blocks.iter().enumerate() {
            let places = self.places_of(block, &of_blocks);
            let output = OnceCell::new();
            let forward = || output.get_or_init(|| block.forward(tokens.clone(), places.clone(), index, None)).clone();
            let attention = || Attended::All(block.attention(tokens.clone(), places.clone()));
            let (grid, prefix) = (self.config.grid, self.num_prefix());
            if !look(BlockView { index, grid, prefix, forward: &forward, attention: &attention })? {
                break;
            }
            tokens = forward();
        }
        Ok(())
    }

    /// The keys of block `layer`, of which there are more. Shapes: `tokens [B, prefix + N, D]` to the same.
    pub fn keys(&self, tokens: Tensor<3>, layer: usize) -> Tensor<3> {
        let (of_blocks, last) = (self.of_blocks(&tokens), &self.blocks[layer]);
        let blocks = self.blocks[..layer].iter().enumerate();
        let x = blocks.fold(tokens, |x, (index, block)| block.forward(x, self.places_of(block, &of_blocks), index, None));
        last.attn.keys(&last.norm1.forward(x), of_blocks.rotary.as_ref())
    }

    /// Of whole images.
    fn of_blocks(&self, tokens: &Tensor<3>) -> OfBlocks {
        OfBlocks { shared: self.shared_bias(), rotary: self.rotary(self.config.grid, &tokens.device()) }
    }

    fn shared_bias(&self) -> Option<Tensor<4>> {
        self.rel_pos_bias.as_ref().map(|bias| bias.of(self.config.grid, self.num_prefix()))
    }

    fn places_of(&self, block: &Block, of_blocks: &OfBlocks) -> Places {
        let own = block.attn.rel_pos_bias.as_ref().map(|bias| bias.of(self.config.grid, self.num_prefix()));
        Places { bias: own.or_else(|| of_blocks.shared.clone()), rotary: of_blocks.rotary.clone() }
    }

    /// How rotary positions turn the patches of a grid, as a table like those of positions: `[1, 1 + N, d]`.
    pub fn turns(&self, grid: [usize; 2], device: &Device) -> Option<Tensor<3>> {
        let VitConfig { positions, width, heads, rope_base, .. } = self.config;
        (positions == Positions::Rotary).then(|| rotary::table(grid, width / heads, rope_base, device))
    }

    /// The turns of whole images' tokens.
    fn rotary(&self, grid: [usize; 2], device: &Device) -> Option<Rotary> {
        self.turns(grid, device).map(|table| Rotary::behind(self.num_prefix(), &table.narrow(1, 1, grid[0] * grid[1])))
    }

    /// Tokens of whole images, ready for the blocks. Shapes: `patches [B, N, P·P·C]` to `[B, prefix + N, D]`.
    pub fn tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        let [_, count, _] = patches.dims();
        self.with_prefix(self.patch_embed.forward(patches) + self.pos_embed.val().narrow(1, 1, count))
    }

    /// Tokens of whole images of any size. Where it is not the table's own, positions are drawn from the learned table by its resizing as a
    /// product, so that small views train it too; fixed ones are those of the size. Shapes: `patches [B, N, P·P·C]` of `grid` to
    /// `[B, prefix + N, D]`.
    pub fn tokens_on(&self, patches: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let (from, [rows, cols], width) = (self.config.grid, grid, self.config.width);
        if grid == from {
            return self.tokens(patches);
        }
        let (device, count) = (patches.device(), from[0] * from[1]);
        let positions = match self.config.positions {
            Positions::Absent | Positions::Rotary => return self.with_prefix(self.patch_embed.forward(patches)),
            Positions::Fixed => {
                let table = pos_embed::sincos_2d(width, rows, cols)[width..].to_vec();
                Tensor::from_data(TensorData::new(table, [rows * cols, width]), &device)
            }
            Positions::Learned => {
                let taps = TensorData::new(self.config.resizing.matrix(from, grid), [rows * cols, count]);
                Tensor::<2>::from_data(taps, &device).matmul(self.pos_embed.val().narrow(1, 1, count).reshape([count, width]))
            }
        };
        self.with_prefix(self.patch_embed.forward(patches) + positions.reshape([1, rows * cols, width]))
    }

    /// The same network for images of another size: its position tables are resized to `grid`.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Self {
        let from = std::mem::replace(&mut self.config.grid, grid);
        self.pos_embed = resized(&self.pos_embed, from, grid, self.config.resizing);
        self.rel_pos_bias = self.rel_pos_bias.map(|bias| bias.for_grid(from, grid));
        for block in &mut self.blocks {
            block.attn.rel_pos_bias = block.attn.rel_pos_bias.take().map(|bias| bias.for_grid(from, grid));
        }
        self
    }
}

/// What attention of all blocks knows of where tokens lie.
struct OfBlocks {
    /// Added to all scores.
    shared: Option<Tensor<4>>,
    /// Turns all queries and keys.
    rotary: Option<Rotary>,
}

/// A table's values on the host, for resizing it once.
pub(super) fn values_of<const D: usize>(table: Tensor<D>) -> Vec<f32> {
    table.into_data().try_into_vec::<f32>().unwrap_or_default()
}

/// A position table `[1, 1 + N, D]` for another grid.
pub fn resized(table: &Param<Tensor<3>>, from: [usize; 2], to: [usize; 2], rule: Resizing) -> Param<Tensor<3>> {
    let table = table.val();
    let (width, device) = (table.dims()[2], table.device());
    let values = values_of(table);
    parameter(rule.resize(&values, width, from, to), [1, 1 + to[0] * to[1], width], &device).set_require_grad(false)
}
