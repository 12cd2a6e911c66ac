//! PVT (Wang et al., *Pyramid Vision Transformer*, 2021): stages of plain transformer blocks on maps that get coarser, in which attention
//! goes to a reduced map so that fine maps stay affordable.

use std::cell::OnceCell;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::drop_path::DropPath;
use super::encoder::{Attended, BlockView, Look};
use super::linear::{LayerNorm, NORMAL_DEVIATION, normal, parameter};
use super::patch_embed::NormedPatchEmbed;
use super::pos_embed;
use super::pvt_block::{PvtBlock, PvtBlockConfig, Reduction};
use super::squares;
use super::token_map::TokenMap;
use crate::error::Result;
use crate::random::Stream;
use crate::weights::model_file::to_host;

/// The sizes of a PVT.
#[derive(Debug, Clone, PartialEq)]
pub struct PvtConfig {
    /// Patches down and across that the position tables are made for.
    pub grid: [usize; 2],
    /// Channels of the image.
    pub channels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// D of each stage.
    pub widths: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage's blocks.
    pub heads: Vec<usize>,
    /// The MLP's hidden width over D, of each stage.
    pub mlp_ratios: Vec<f64>,
    /// R of each stage: the side of the squares of tokens that become one before they are attended to.
    pub reductions: Vec<usize>,
    /// How they become one.
    pub reduce_by: Reduction,
    /// Learned positions instead of the fixed sine-cosine code.
    pub learned_pos: bool,
    /// A class token in front of the last stage's tokens.
    pub has_class_token: bool,
    /// What norms of patch embeddings and of reduced maps add to the variance.
    pub map_eps: f64,
    /// Drop-path rate of the last block.
    pub drop_path: f64,
    /// Blocks are computed again in the backward pass.
    pub recompute: bool,
}

/// Blocks that work on maps of one size.
#[derive(Module, Debug)]
pub struct PvtStage {
    /// From pixels, or from the stage before.
    pub patch_embed: NormedPatchEmbed,
    /// `[1, N, D]`, with a row for the class token in front where there is one; not trained when it is the sine-cosine code.
    pub pos_embed: Param<Tensor<3>>,
    /// The blocks, first to last.
    pub blocks: Vec<PvtBlock>,
}

/// A PVT. Token order of the last stage: class token, if any, then the map.
#[derive(Module, Debug)]
pub struct Pvt {
    /// The stages, finest first.
    pub stages: Vec<PvtStage>,
    /// `[1, 1, last D]`
    pub cls_token: Option<Param<Tensor<3>>>,
    /// After the last block.
    pub norm: LayerNorm,
    #[module(skip)]
    config: PvtConfig,
}

impl PvtConfig {
    /// A published size, or `pvt-nano` for toy images of 32 to 64 px: `pvt-nano`, `pvt-t`, `pvt-s`, `pvt-m`, `pvt-l`, on three channels.
    /// `None` if there is no such PVT.
    pub fn preset(name: &str) -> Option<Self> {
        let depths: &[usize] = match name {
            "pvt-nano" => &[2, 2, 2],
            "pvt-t" => &[2, 2, 2, 2],
            "pvt-s" => &[3, 4, 6, 3],
            "pvt-m" => &[3, 4, 18, 3],
            "pvt-l" => &[3, 8, 27, 3],
            _ => return None,
        };
        let is_nano = name == "pvt-nano";
        let (patch, grid) = if is_nano { (2, 16) } else { (4, 56) };
        Some(Self {
            grid: [grid; 2],
            channels: 3,
            patch,
            widths: if is_nano { vec![32, 64, 128] } else { vec![64, 128, 320, 512] },
            depths: depths.to_vec(),
            heads: if is_nano { vec![1, 2, 4] } else { vec![1, 2, 5, 8] },
            mlp_ratios: if is_nano { vec![4.0; 3] } else { vec![8.0, 8.0, 4.0, 4.0] },
            reductions: if is_nano { vec![4, 2, 1] } else { vec![8, 4, 2, 1] },
            reduce_by: Reduction::Convolution,
            learned_pos: true,
            has_class_token: true,
            map_eps: LayerNorm::EPS,
            drop_path: 0.0,
            recompute: false,
        })
    }

    /// The same sizes as UM-MAE pre-trains them: means instead of convolutions, fixed positions, no class token, and, because the map has
    /// half the side, half the reductions.
    pub fn compact(self) -> Self {
        let reductions = self.reductions.iter().map(|reduction| (reduction / 2).max(1)).collect();
        Self { reductions, reduce_by: Reduction::Average, learned_pos: false, has_class_token: false, ..self }
    }

    /// D of the last stage.
    pub fn last_width(&self) -> usize {
        self.widths.last().copied().unwrap_or_default()
    }

    /// Tokens down and across of each stage's map.
    pub fn grids(&self) -> Vec<[usize; 2]> {
        (0..self.depths.len()).map(|stage| self.grid.map(|side| side >> stage)).collect()
    }

    /// Rows in front of the positions of a stage's map: one for the class token.
    fn num_prefix(&self, stage: usize) -> usize {
        usize::from(self.has_class_token && stage + 1 == self.depths.len())
    }

    /// PVT's initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Pvt {
        let stages = self.grids().into_iter().enumerate().map(|(stage, grid)| {
            let (inputs, side) = if stage == 0 { (self.channels, self.patch) } else { (self.widths[stage - 1], 2) };
            let width = self.widths[stage];
            let block = PvtBlockConfig {
                width,
                heads: self.heads[stage],
                mlp_ratio: self.mlp_ratios[stage],
                reduction: self.reductions[stage],
                reduce_by: self.reduce_by,
                map_eps: self.map_eps,
                recompute: self.recompute,
            };
            PvtStage {
                patch_embed: NormedPatchEmbed::new([inputs, side, width], self.map_eps, stream, device),
                pos_embed: self.positions(stage, grid, stream, device),
                blocks: (0..self.depths[stage]).map(|_| block.init(stream, device)).collect(),
            }
        });
        let (stages, width) = (stages.collect(), self.last_width());
        Pvt {
            stages,
            cls_token: self.has_class_token.then(|| parameter(normal(width, NORMAL_DEVIATION, stream), [1, 1, width], device)),
            norm: LayerNorm::new(width, device),
            config: self.clone(),
        }
    }

    fn positions(&self, stage: usize, [rows, cols]: [usize; 2], stream: &mut Stream, device: &Device) -> Param<Tensor<3>> {
        let (width, prefix) = (self.widths[stage], self.num_prefix(stage));
        let shape = [1, prefix + rows * cols, width];
        if self.learned_pos {
            return parameter(normal(shape[1] * width, NORMAL_DEVIATION, stream), shape, device);
        }
        let code = pos_embed::sincos_2d(width, rows, cols).split_off((1 - prefix) * width);
        parameter(code, shape, device).set_require_grad(false)
    }
}

impl Pvt {
    /// The sizes it was made with.
    pub fn config(&self) -> &PvtConfig {
        &self.config
    }

    /// The map of whole images.
    pub fn whole_map(&self) -> TokenMap {
        TokenMap::whole(self.config.grid)
    }

    /// Tokens in front of the last stage's map: the class token, if there is one.
    pub fn num_prefix(&self) -> usize {
        usize::from(self.config.has_class_token)
    }

    /// Patch tokens without positions; what replaces some by a mask token does it here. Shapes: `patches [B, V, P·P·C]` to `[B, V, D]`.
    pub fn tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        self.stages[0].patch_embed.forward(patches)
    }

    /// All stages and the final norm. Shapes: `tokens [B, N, D]`, those of `map`, to `[B, prefix + n, last D]`, with
    /// n = N / 4^(stages - 1). The map is [`Pvt::whole_map`], or a compact one whose origins lie in it.
    pub fn encode(&self, tokens: Tensor<3>, map: &TokenMap, drop_path: Option<&DropPath>) -> Tensor<3> {
        let (mut tokens, mut map, mut first) = (tokens, map.clone(), 0);
        for (stage, layer) in self.stages.iter().enumerate() {
            (tokens, map) = self.enter(stage, tokens, map);
            let blocks = layer.blocks.iter().enumerate();
            tokens = blocks.fold(tokens, |x, (place, block)| block.forward(x, map.grid, first + place, drop_path));
            first += layer.blocks.len();
        }
        self.norm.forward(tokens)
    }

    /// See [`Encoder::each_block`](super::encoder::Encoder::each_block).
    pub(super) fn each_block(&self, tokens: Tensor<3>, look: Look<'_>) -> Result<()> {
        let (mut tokens, mut map, mut index) = (tokens, self.whole_map(), 0);
        for (stage, layer) in self.stages.iter().enumerate() {
            (tokens, map) = self.enter(stage, tokens, map);
            for block in &layer.blocks {
                let (side, prefix) = (self.config.reductions[stage], self.config.num_prefix(stage));
                let output = OnceCell::new();
                let forward = || output.get_or_init(|| block.forward(tokens.clone(), map.grid, index, None)).clone();
                let attention = || Attended::Reduced(block.attention(tokens.clone(), map.grid), side);
                if !look(BlockView { index, grid: map.grid, prefix, forward: &forward, attention: &attention })? {
                    return Ok(());
                }
                tokens = forward();
                index += 1;
            }
        }
        Ok(())
    }

    /// What a stage's blocks get: the tokens of the stage before merged, and positions, and the class token in the last one.
    fn enter(&self, stage: usize, tokens: Tensor<3>, map: TokenMap) -> (Tensor<3>, TokenMap) {
        let (tokens, map) = if stage == 0 {
            (tokens, map)
        } else {
            (self.stages[stage].patch_embed.forward(squares::patches(tokens, map.grid, 2)), map.halved())
        };
        let tokens = tokens + self.positions(stage, &map);
        let Some(cls_token) = self.cls_token.as_ref().filter(|_| stage + 1 == self.stages.len()) else { return (tokens, map) };
        let [batch, _, width] = tokens.dims();
        let first = cls_token.val() + self.stages[stage].pos_embed.val().narrow(1, 0, 1);
        (Tensor::cat(vec![first.expand([batch, 1, width]), tokens], 1), map)
    }

    /// The position of every token of a stage's map: `[1, N, D]`, or `[B, n, D]` if the map is compact.
    pub fn positions(&self, stage: usize, map: &TokenMap) -> Tensor<3> {
        let table = self.stages[stage].pos_embed.val();
        let [_, rows, width] = table.dims();
        let prefix = self.config.num_prefix(stage);
        let Some(origins) = &map.origins else { return table.narrow(1, prefix, rows - prefix) };
        let places: Vec<i32> = origins.raster().iter().map(|place| (prefix + place) as i32).collect();
        let (count, device) = (places.len(), table.device().without_autodiff());
        let places: Tensor<1, Int> = Tensor::from_data(TensorData::new(places, [count]), &device);
        let per_sample = map.grid[0] * map.grid[1];
        table.reshape([rows, width]).select(0, places).reshape([count / per_sample, per_sample, width])
    }

    /// The same network for images of another size: its position tables are resized to `grid`.
    ///
    /// # Errors
    /// If the device fails to hand out a table.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Result<Self> {
        let resized = PvtConfig { grid, ..self.config.clone() };
        let grids = self.config.grids().into_iter().zip(resized.grids());
        for ((stage, layer), (old, new)) in self.stages.iter_mut().enumerate().zip(grids).filter(|(_, (old, new))| old != new) {
            let table = layer.pos_embed.val();
            let (width, prefix, device) = (table.dims()[2], self.config.num_prefix(stage), table.device());
            let mut values = to_host(table)?;
            if prefix == 0 {
                // The rule knows tables with a class token's row, so one is lent to it.
                values.splice(0..0, vec![0.0; width]);
            }
            let values = pos_embed::resize(&values, width, old, new).split_off((1 - prefix) * width);
            let shape = [1, prefix + new[0] * new[1], width];
            layer.pos_embed = parameter(values, shape, &device).set_require_grad(self.config.learned_pos);
        }
        Ok(Self { config: resized, ..self })
    }
}
