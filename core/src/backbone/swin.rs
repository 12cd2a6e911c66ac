//! Swin (Liu et al., *Swin Transformer: Hierarchical Vision Transformer using Shifted Windows*, 2021): stages of window attention on maps
//! that get coarser, in timm's names. No class token, no absolute positions.

use std::cell::OnceCell;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::drop_path::DropPath;
use super::encoder::{Attended, BlockView, Look};
use super::linear::{LayerNorm, parameter};
use super::patch_embed::NormedPatchEmbed;
use super::patch_merging::PatchMerging;
use super::relative_position::{PairLayout, RelativePositions};
use super::table_resampling::resample;
use super::token_map::TokenMap;
use super::window::{Windows, side_within};
use super::window_block::{WindowBlock, WindowBlockConfig};
use crate::error::Result;
use crate::random::Stream;
use crate::weights::model_file::to_host;

/// The epsilon of every norm of a Swin.
pub const EPS: f64 = 1e-5;

/// The sizes of a Swin.
#[derive(Debug, Clone, PartialEq)]
pub struct SwinConfig {
    /// Patches down and across; decides how large windows can be.
    pub grid: [usize; 2],
    /// Channels of the image.
    pub channels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// D of the first stage; every stage doubles it.
    pub width: usize,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage's blocks.
    pub heads: Vec<usize>,
    /// W: tokens along a window's side, where the map is larger.
    pub window: usize,
    /// The MLP's hidden width over D.
    pub mlp_ratio: f64,
    /// Where the numbers of distances come from. Compact maps need a network.
    pub positions: RelativePositions,
    /// Drop-path rate of the last block.
    pub drop_path: f64,
    /// Blocks are computed again in the backward pass.
    pub recompute: bool,
}

/// Blocks that work on maps of one size.
#[derive(Module, Debug)]
pub struct SwinStage {
    /// From the stage before.
    pub downsample: Option<PatchMerging>,
    /// The blocks, first to last; windows of odd ones are shifted.
    pub blocks: Vec<WindowBlock>,
}

/// A Swin.
#[derive(Module, Debug)]
pub struct Swin {
    /// Patches to tokens.
    pub patch_embed: NormedPatchEmbed,
    /// The stages, finest first.
    pub layers: Vec<SwinStage>,
    /// After the last block.
    pub norm: LayerNorm,
    #[module(skip)]
    config: SwinConfig,
}

impl SwinConfig {
    /// A published size, or `swin-nano` for toy images of 32 to 64 px: `swin-nano`, `swin-t`, `swin-s`, `swin-b`, `swin-l`, on three
    /// channels. `None` if there is no such Swin.
    pub fn preset(name: &str) -> Option<Self> {
        let (width, depths, heads) = match name {
            "swin-nano" => (32, [2, 2, 2].to_vec(), [2, 4, 8].to_vec()),
            "swin-t" => (96, [2, 2, 6, 2].to_vec(), [3, 6, 12, 24].to_vec()),
            "swin-s" => (96, [2, 2, 18, 2].to_vec(), [3, 6, 12, 24].to_vec()),
            "swin-b" => (128, [2, 2, 18, 2].to_vec(), [4, 8, 16, 32].to_vec()),
            "swin-l" => (192, [2, 2, 18, 2].to_vec(), [6, 12, 24, 48].to_vec()),
            _ => return None,
        };
        let (patch, grid, window) = if name == "swin-nano" { (2, 16, 4) } else { (4, 56, 7) };
        let (grid, positions) = ([grid; 2], RelativePositions::Table);
        Some(Self { grid, channels: 3, patch, width, depths, heads, window, mlp_ratio: 4.0, positions, drop_path: 0.0, recompute: false })
    }

    /// D of the last stage.
    pub fn last_width(&self) -> usize {
        self.width << self.depths.len().saturating_sub(1)
    }

    /// Tokens down and across of each stage's map.
    pub fn grids(&self) -> Vec<[usize; 2]> {
        (0..self.depths.len()).map(|stage| self.grid.map(|side| side >> stage)).collect()
    }

    /// Swin's initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Swin {
        let mut stage = |(stage, (&depth, &heads)): (usize, (&usize, &usize))| {
            let width = self.width << stage;
            let side = side_within(self.grid.map(|side| side >> stage), self.window);
            let block =
                WindowBlockConfig { width, heads, side, mlp_ratio: self.mlp_ratio, positions: self.positions, recompute: self.recompute };
            SwinStage {
                downsample: (stage > 0).then(|| PatchMerging::new(width / 2, stream, device)),
                blocks: (0..depth).map(|_| block.init(stream, device)).collect(),
            }
        };
        let layers = self.depths.iter().zip(&self.heads).enumerate().map(&mut stage).collect();
        Swin {
            layers,
            patch_embed: NormedPatchEmbed::new([self.channels, self.patch, self.width], EPS, stream, device),
            norm: LayerNorm::with_eps(self.last_width(), EPS, device),
            config: self.clone(),
        }
    }
}

impl Swin {
    /// The sizes it was made with.
    pub fn config(&self) -> &SwinConfig {
        &self.config
    }

    /// The map of whole images.
    pub fn whole_map(&self) -> TokenMap {
        TokenMap::whole(self.config.grid)
    }

    /// Patch tokens, after their norm; what replaces some by a mask token does it here. Shapes: `patches [B, V, P·P·C]` to `[B, V, D]`.
    pub fn tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        self.patch_embed.forward(patches)
    }

    /// All stages and the final norm. Shapes: `tokens [B, N, D]`, those of `map`, to `[B, n, last D]`, with n = N / 4^(stages - 1).
    ///
    /// With a table of positions, `map` is [`Swin::whole_map`]; see [`Swin::resized`]. With a network it may be any map, and a compact one
    /// that divides into windows.
    pub fn encode(&self, tokens: Tensor<3>, map: &TokenMap, drop_path: Option<&DropPath>) -> Tensor<3> {
        let (mut tokens, mut map, mut first) = (tokens, map.clone(), 0);
        for layer in &self.layers {
            (tokens, map) = layer.enter(tokens, map);
            let layouts = layer.layouts(&map, &self.config, &tokens.device());
            let blocks = layer.blocks.iter().enumerate();
            tokens = blocks.fold(tokens, |x, (place, block)| block.forward(x, &layouts[place % 2], first + place, drop_path));
            first += layer.blocks.len();
        }
        self.norm.forward(tokens)
    }

    /// See [`Encoder::each_block`](super::encoder::Encoder::each_block).
    pub(super) fn each_block(&self, tokens: Tensor<3>, look: Look<'_>) -> Result<()> {
        let (mut tokens, mut map, mut index) = (tokens, self.whole_map(), 0);
        for layer in &self.layers {
            (tokens, map) = layer.enter(tokens, map);
            let layouts = layer.layouts(&map, &self.config, &tokens.device());
            for (place, block) in layer.blocks.iter().enumerate() {
                let layout = &layouts[place % 2];
                let output = OnceCell::new();
                let forward = || output.get_or_init(|| block.forward(tokens.clone(), layout, index, None)).clone();
                let attention = || Attended::Windows(block.attention(tokens.clone(), layout), layout.windows);
                if !look(BlockView { index, grid: map.grid, prefix: 0, forward: &forward, attention: &attention })? {
                    return Ok(());
                }
                tokens = forward();
                index += 1;
            }
        }
        Ok(())
    }

    /// The same network for images of `grid` patches and for other windows: tables are resampled where the side of a stage's windows
    /// changes.
    ///
    /// # Errors
    /// If the device fails to hand out a table.
    pub fn resized(mut self, grid: [usize; 2], window: usize) -> Result<Self> {
        let resized = SwinConfig { grid, window, ..self.config.clone() };
        let sides = self.config.grids().into_iter().zip(resized.grids());
        for (layer, (old, new)) in self.layers.iter_mut().zip(sides) {
            let (old, new) = (side_within(old, self.config.window), side_within(new, window));
            let tables = layer.blocks.iter_mut().filter_map(|block| block.attn.relative_position_bias_table.as_mut());
            for table in tables.filter(|_| old != new) {
                let (values, heads) = (table.val(), table.dims()[1]);
                let (device, num_distances) = (values.device(), (2 * new - 1) * (2 * new - 1));
                *table = parameter(resample(&to_host(values)?, heads, old, new), [num_distances, heads], &device);
            }
        }
        Ok(Self { config: resized, ..self })
    }
}

impl SwinStage {
    /// The stage's own map, with the tokens of the one before merged.
    fn enter(&self, tokens: Tensor<3>, map: TokenMap) -> (Tensor<3>, TokenMap) {
        match &self.downsample {
            Some(merging) => (merging.forward(tokens, map.grid), map.halved()),
            None => (tokens, map),
        }
    }

    /// The layouts of even and of odd blocks.
    fn layouts(&self, map: &TokenMap, config: &SwinConfig, device: &Device) -> [PairLayout; 2] {
        let layout = |index| PairLayout::new(Windows::of_block(map.grid, config.window, index), map, config.positions, device);
        let even = layout(0);
        let is_any_other = self.blocks.len() > 1 && even.windows != Windows::of_block(map.grid, config.window, 1);
        [even.clone(), if is_any_other { layout(1) } else { even }]
    }
}
