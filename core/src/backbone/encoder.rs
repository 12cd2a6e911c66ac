//! Any encoder that is trained: a plain ViT, a pyramid or a residual network.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::pvt::{Pvt, PvtConfig};
use super::resnet::{ResNet, ResNetConfig};
use super::swin::{Swin, SwinConfig};
use super::vit::{Vit, VitConfig};
use super::window::Windows;
use crate::error::{Problem, Result};
use crate::random::Stream;

/// The sizes of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderConfig {
    /// A plain transformer.
    Vit(VitConfig),
    /// A pyramid of shifted windows.
    Swin(SwinConfig),
    /// A pyramid whose attention goes to a reduced map.
    Pvt(PvtConfig),
    /// A residual network, whose patches are pixels.
    ResNet(ResNetConfig),
}

/// An encoder.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A plain transformer.
    Vit(Vit),
    /// A pyramid of shifted windows.
    Swin(Swin),
    /// A pyramid whose attention goes to a reduced map.
    Pvt(Pvt),
    /// A residual network, whose patches are pixels.
    ResNet(ResNet),
}

/// One block at work.
pub struct BlockView<'a> {
    /// Its place, counted over all stages.
    pub index: usize,
    /// Tokens down and across.
    pub grid: [usize; 2],
    /// Tokens in front of them.
    pub prefix: usize,
    /// What leaves it: `[B, prefix + n, D]`. Computed when it is asked for, as attention is.
    pub forward: &'a dyn Fn() -> Tensor<3>,
    /// Its attention as it is used.
    pub attention: &'a dyn Fn() -> Attended,
}

/// The attention of a block: probabilities, and what they are about.
pub enum Attended {
    /// Between all tokens: `[B, heads, tokens, tokens]`.
    All(Tensor<4>),
    /// Within windows: `[B·windows, heads, n, n]`.
    Windows(Tensor<4>, Windows),
    /// To the means of squares of so many tokens along a side: `[B, heads, N, N / side²]`.
    Reduced(Tensor<4>, usize),
    /// There is none.
    Nothing,
}

/// Looks at a block and says whether it wants to see the next.
pub type Look<'a> = &'a mut dyn FnMut(BlockView<'_>) -> Result<bool>;

impl EncoderConfig {
    /// Its initialization, a function of the stream.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> Encoder {
        match self {
            Self::Vit(config) => Encoder::Vit(config.init(stream, device)),
            Self::Swin(config) => Encoder::Swin(config.init(stream, device)),
            Self::Pvt(config) => Encoder::Pvt(config.init(stream, device)),
            Self::ResNet(config) => Encoder::ResNet(config.init(stream, device)),
        }
    }

    /// Patches down and across.
    pub fn grid(&self) -> [usize; 2] {
        match self {
            Self::Vit(VitConfig { grid, .. }) | Self::Swin(SwinConfig { grid, .. }) => *grid,
            Self::Pvt(PvtConfig { grid, .. }) | Self::ResNet(ResNetConfig { grid, .. }) => *grid,
        }
    }

    /// P, in pixels.
    pub fn patch(&self) -> usize {
        match self {
            Self::Vit(VitConfig { patch, .. }) | Self::Swin(SwinConfig { patch, .. }) | Self::Pvt(PvtConfig { patch, .. }) => *patch,
            Self::ResNet(_) => 1,
        }
    }

    /// C
    pub fn channels(&self) -> usize {
        match self {
            Self::Vit(VitConfig { channels, .. }) | Self::Swin(SwinConfig { channels, .. }) => *channels,
            Self::Pvt(PvtConfig { channels, .. }) | Self::ResNet(ResNetConfig { channels, .. }) => *channels,
        }
    }

    /// D of the first tokens.
    pub fn first_width(&self) -> usize {
        match self {
            Self::Vit(config) => config.width,
            Self::Swin(config) => config.width,
            Self::Pvt(config) => config.widths.first().copied().unwrap_or_default(),
            Self::ResNet(config) => config.width,
        }
    }

    /// D of what leaves it.
    pub fn last_width(&self) -> usize {
        match self {
            Self::Vit(config) => config.width,
            Self::Swin(config) => config.last_width(),
            Self::Pvt(config) => config.last_width(),
            Self::ResNet(config) => config.last_width(),
        }
    }

    /// D of a block, counted over all stages.
    pub fn width_of(&self, block: usize) -> usize {
        let of_stage = |stage: usize| match self {
            Self::Vit(config) => config.width,
            Self::Swin(config) => config.width << stage,
            Self::Pvt(config) => config.widths.get(stage).copied().unwrap_or_default(),
            Self::ResNet(config) => config.width_of_stage(stage),
        };
        of_stage(self.stage_of(block))
    }

    /// The stage of a block, counted over all stages.
    pub fn stage_of(&self, block: usize) -> usize {
        let depths = self.depths().iter().enumerate();
        depths.flat_map(|(stage, &depth)| std::iter::repeat_n(stage, depth)).nth(block).unwrap_or_default()
    }

    /// Blocks of each stage.
    fn depths(&self) -> &[usize] {
        match self {
            Self::Vit(config) => std::slice::from_ref(&config.depth),
            Self::Swin(SwinConfig { depths, .. }) | Self::Pvt(PvtConfig { depths, .. }) | Self::ResNet(ResNetConfig { depths, .. }) => {
                depths
            }
        }
    }

    /// Stages; a plain transformer has one.
    pub fn num_stages(&self) -> usize {
        self.depths().len()
    }

    /// The blocks of a stage, counted over all stages.
    pub fn blocks_of(&self, stage: usize) -> Range<usize> {
        let depths = self.depths();
        let first = depths.iter().take(stage).sum();
        first..first + depths.get(stage).copied().unwrap_or_default()
    }

    /// Blocks of all stages.
    pub fn num_blocks(&self) -> usize {
        self.depths().iter().sum()
    }

    /// Attention heads of a block, counted over all stages; none in a residual network.
    pub fn heads_of(&self, block: usize) -> usize {
        match self {
            Self::Vit(config) => config.heads,
            Self::Swin(SwinConfig { heads, .. }) | Self::Pvt(PvtConfig { heads, .. }) => {
                heads.get(self.stage_of(block)).copied().unwrap_or_default()
            }
            Self::ResNet(_) => 0,
        }
    }

    /// Drop-path rate of the last block.
    pub fn drop_path(&self) -> f64 {
        match self {
            Self::Vit(VitConfig { drop_path, .. }) | Self::Swin(SwinConfig { drop_path, .. }) | Self::Pvt(PvtConfig { drop_path, .. }) => {
                *drop_path
            }
            Self::ResNet(_) => 0.0,
        }
    }

    /// Patches along the side of the square that one token of the last stage stands for; 1 for a plain transformer.
    pub fn stride(&self) -> usize {
        match self {
            Self::Vit(_) => 1,
            Self::Swin(SwinConfig { depths, .. }) | Self::Pvt(PvtConfig { depths, .. }) => 1 << depths.len().saturating_sub(1),
            Self::ResNet(config) => config.stride(),
        }
    }

    /// Why it cannot encode images of these [height, width] in pixels, whole, or packed into maps of half the size.
    pub fn problems(&self, image: [usize; 2], packed: bool) -> Vec<Problem> {
        match (self, packed) {
            (Self::Vit(_), _) => Vec::new(),
            (Self::Swin(config), false) => config.problems(image),
            (Self::Swin(config), true) => config.compact_problems(image),
            (Self::Pvt(config), false) => config.problems(image),
            (Self::Pvt(config), true) => config.compact_problems(image),
            (Self::ResNet(config), _) => config.problems(),
        }
    }
}

impl Encoder {
    /// The sizes it was made with.
    pub fn config(&self) -> EncoderConfig {
        match self {
            Self::Vit(vit) => EncoderConfig::Vit(vit.config().clone()),
            Self::Swin(swin) => EncoderConfig::Swin(swin.config().clone()),
            Self::Pvt(pvt) => EncoderConfig::Pvt(pvt.config().clone()),
            Self::ResNet(resnet) => EncoderConfig::ResNet(resnet.config().clone()),
        }
    }

    /// Tokens in front of the patches of what leaves it: class token and registers.
    pub fn num_prefix(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.num_prefix(),
            Self::Swin(_) | Self::ResNet(_) => 0,
            Self::Pvt(pvt) => pvt.num_prefix(),
        }
    }

    /// Tokens of whole images, ready for the first block; of a residual network, the pixels. Shapes: `patches [B, N, P·P·C]` to
    /// `[B, prefix + N, D]`.
    pub fn tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Vit(vit) => vit.tokens(patches),
            Self::Swin(swin) => swin.tokens(patches),
            Self::Pvt(pvt) => pvt.tokens(patches),
            Self::ResNet(_) => patches,
        }
    }

    /// Shows `look` every block of whole images' tokens, first to last, until it has seen enough.
    ///
    /// # Errors
    /// What `look` returns.
    pub fn each_block(&self, tokens: Tensor<3>, look: Look<'_>) -> Result<()> {
        match self {
            Self::Vit(vit) => vit.each_block(tokens, look),
            Self::Swin(swin) => swin.each_block(tokens, look),
            Self::Pvt(pvt) => pvt.each_block(tokens, look),
            Self::ResNet(resnet) => resnet.each_block(tokens, look),
        }
    }

    /// Through the final norm, where tokens have the width that it is made for: all of a plain transformer's, and those of a pyramid's
    /// last stage.
    pub fn normed(&self, tokens: Tensor<3>) -> Tensor<3> {
        let norm = match self {
            Self::Vit(vit) => &vit.norm,
            Self::Swin(swin) => &swin.norm,
            Self::Pvt(pvt) => &pvt.norm,
            Self::ResNet(_) => return tokens,
        };
        if norm.weight.dims()[0] == tokens.dims()[2] { norm.forward(tokens) } else { tokens }
    }

    /// The same network for images of `grid` patches.
    ///
    /// # Errors
    /// If the device fails to hand out a table of positions.
    pub fn for_grid(self, grid: [usize; 2]) -> Result<Self> {
        Ok(match self {
            Self::Vit(vit) => Self::Vit(vit.for_grid(grid)),
            Self::Swin(swin) => {
                let window = swin.config().window;
                Self::Swin(swin.resized(grid, window)?)
            }
            Self::Pvt(pvt) => Self::Pvt(pvt.for_grid(grid)?),
            Self::ResNet(resnet) => Self::ResNet(resnet.for_grid(grid)),
        })
    }
}
