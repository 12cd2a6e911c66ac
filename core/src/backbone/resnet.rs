//! Residual networks (He et al., *Deep Residual Learning for Image Recognition*, 2015), with the stride in the 3×3 convolution of a
//! bottleneck as torchvision has it, whose names of parameters these are. A patch is a pixel, so that images are `[B, H·W, C]` as tokens are.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::batch_norm::{ImageNorm, Statistics};
use super::encoder::{Attended, BlockView, Look};
use super::linear::{normal, parameter};
use crate::error::{Problem, Result};
use crate::kernel::{self, Window};
use crate::random::Stream;

/// The sizes of a residual network.
#[derive(Debug, Clone, PartialEq)]
pub struct ResNetConfig {
    /// Pixels down and across.
    pub grid: [usize; 2],
    /// C
    pub channels: usize,
    /// What comes before the first stage.
    pub stem: Stem,
    /// Whether a block has three convolutions, the first and last of single pixels, and four times its width leaves it.
    pub bottleneck: bool,
    /// Width of the first stage; every stage doubles it.
    pub width: usize,
    /// The width inside a bottleneck over that (Zagoruyko and Komodakis, *Wide Residual Networks*, 2016: 2).
    pub inner: usize,
    /// Blocks of each of the four stages.
    pub depths: Vec<usize>,
    /// Whether the last norm of every block starts at zero, so that the block does nothing at first.
    pub zero_init: bool,
}

/// What comes before the first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// A convolution of 7×7 at every second pixel, and the largest of 3×3 at every second of these.
    Large,
    /// A convolution of 3×3 at every pixel, for images of some 32 px.
    Small,
}

/// A convolution's inputs and outputs, and its window.
pub type ConvolutionSizes = ([usize; 2], Window);

/// Four stages, each with half the rows and columns and twice the width of the one before.
const STAGES: usize = 4;

impl ResNetConfig {
    /// The sizes behind `resnet-18`, `resnet-34`, `resnet-50`, `resnet-101` and `resnet-152`; with `w2` or `w4` after it all of its widths are
    /// so many times as large (SimCLR, SwAV), with `-cifar` it is made for images of 32 px; `wide-resnet-50-2` and `wide-resnet-101-2` have
    /// bottlenecks twice as wide inside. `resnet-nano` is a small one of our own, for images of 32 px.
    pub fn preset(name: &str) -> Option<Self> {
        let of = |depths: [usize; STAGES], bottleneck: bool| Self {
            grid: [224; 2],
            channels: 3,
            stem: Stem::Large,
            bottleneck,
            width: 64,
            inner: 1,
            depths: depths.to_vec(),
            zero_init: false,
        };
        if let Some(stem) = name.strip_suffix("-cifar") {
            return Some(Self { grid: [32; 2], stem: Stem::Small, ..Self::preset(stem).filter(|sizes| sizes.grid[0] == 224)? });
        }
        if let Some(wide) = name.strip_prefix("wide-").and_then(|name| name.strip_suffix("-2")) {
            return Some(Self {
                inner: 2,
                ..Self::preset(wide).filter(|sizes| sizes.bottleneck && sizes.width == 64 && sizes.grid[0] == 224)?
            });
        }
        for (suffix, times) in [("w2", 2), ("w4", 4)] {
            if let Some(narrow) = name.strip_suffix(suffix) {
                return Some(Self { width: 64 * times, ..Self::preset(narrow).filter(|sizes| sizes.width == 64)? });
            }
        }
        match name {
            "resnet-nano" => Some(Self { grid: [32; 2], stem: Stem::Small, width: 16, ..of([1, 1, 1, 1], false) }),
            "resnet-18" => Some(of([2, 2, 2, 2], false)),
            "resnet-34" => Some(of([3, 4, 6, 3], false)),
            "resnet-50" => Some(of([3, 4, 6, 3], true)),
            "resnet-101" => Some(of([3, 4, 23, 3], true)),
            "resnet-152" => Some(of([3, 8, 36, 3], true)),
            _ => None,
        }
    }

    /// Its initialization, a function of the stream: convolutions normal with the deviation `sqrt(2 / (O · area))` (He et al., *Delving Deep
    /// into Rectifiers*, 2015), norms one and zero.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> ResNet {
        let stem = if self.stem == Stem::Large { 7 } else { 3 };
        let conv1 = Convolution::new([self.channels, self.width, stem], stream, device);
        let mut before = self.width;
        let mut stage = |stage: usize| {
            let blocks = self.depths.get(stage).copied().unwrap_or_default();
            let block = |index: usize| {
                let inputs = std::mem::replace(&mut before, self.width_of_stage(stage));
                ResBlock::new(self, [stage, index, inputs], stream, device)
            };
            (0..blocks).map(block).collect()
        };
        let [layer1, layer2, layer3, layer4] = [stage(0), stage(1), stage(2), stage(3)];
        ResNet { conv1, bn1: ImageNorm::new(self.width, device), layer1, layer2, layer3, layer4, config: self.clone() }
    }

    /// Width of what leaves a stage's blocks.
    pub fn width_of_stage(&self, stage: usize) -> usize {
        (self.width << stage.min(STAGES)) * if self.bottleneck { 4 } else { 1 }
    }

    /// Width of what leaves it.
    pub fn last_width(&self) -> usize {
        self.width_of_stage(STAGES - 1)
    }

    /// Pixels along the side of the square that one place of the last stage stands for.
    pub fn stride(&self) -> usize {
        if self.stem == Stem::Large { 32 } else { 8 }
    }

    /// What is wrong with its sizes.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.depths.len() != STAGES || self.depths.contains(&0) {
            let what = format!("{:?} is not the number of blocks of each of four stages", self.depths);
            found.push(Problem::new("backbone.depths", what, "write for instance `[2, 2, 2, 2]`, or `[3, 4, 6, 3]`"));
        }
        found
    }

    /// The windows of the stem: its convolution's, and its maximum's if it has one.
    pub fn stem_windows(&self, grid: [usize; 2]) -> (Window, Option<Window>) {
        match self.stem {
            Stem::Small => (Window { grid, side: 3, stride: 1, padding: 1 }, None),
            Stem::Large => {
                let window = Window { grid, side: 7, stride: 2, padding: 3 };
                (window, Some(Window { grid: window.places(), side: 3, stride: 2, padding: 1 }))
            }
        }
    }

    /// The convolutions of a block at work on a map: inputs, outputs and window of each, the one of the shortcut last.
    pub fn convolutions(&self, [stage, index, inputs]: [usize; 3], grid: [usize; 2]) -> (Vec<ConvolutionSizes>, Option<ConvolutionSizes>) {
        let (outputs, inner) = (self.width_of_stage(stage), (self.width << stage) * if self.bottleneck { self.inner } else { 1 });
        let stride = if stage > 0 && index == 0 { 2 } else { 1 };
        let three = |grid: [usize; 2], stride: usize| Window { grid, side: 3, stride, padding: 1 };
        let one = |grid: [usize; 2], stride: usize| Window { grid, side: 1, stride, padding: 0 };
        let behind = three(grid, stride).places();
        let convolutions = if self.bottleneck {
            vec![([inputs, inner], one(grid, 1)), ([inner, inner], three(grid, stride)), ([inner, outputs], one(behind, 1))]
        } else {
            vec![([inputs, inner], three(grid, stride)), ([inner, outputs], three(behind, 1))]
        };
        let shortcut = (stride != 1 || inputs != outputs).then(|| ([inputs, outputs], one(grid, stride)));
        (convolutions, shortcut)
    }
}

/// A convolution without bias.
#[derive(Module, Debug)]
pub struct Convolution {
    /// `[O, C, side, side]`, as PyTorch stores it.
    pub weight: Param<Tensor<4>>,
}

impl Convolution {
    fn new([inputs, outputs, side]: [usize; 3], stream: &mut Stream, device: &Device) -> Self {
        let deviation = (2.0 / (outputs * side * side) as f64).sqrt();
        let weight = normal(outputs * inputs * side * side, deviation, stream);
        Self { weight: parameter(weight, [outputs, inputs, side, side], device) }
    }

    /// Shapes: `x [B, H·W, C]` to `[B, places, O]`.
    fn forward(&self, x: Tensor<3>, window: Window) -> Tensor<3> {
        kernel::convolution(x, self.weight.val(), window)
    }
}

/// A block: convolutions with norms, and a shortcut past them.
#[derive(Module, Debug)]
pub struct ResBlock {
    /// The first convolution.
    pub conv1: Convolution,
    /// After it.
    pub bn1: ImageNorm,
    /// The second.
    pub conv2: Convolution,
    /// After it.
    pub bn2: ImageNorm,
    /// The third of a bottleneck.
    pub conv3: Option<Convolution>,
    /// After it.
    pub bn3: Option<ImageNorm>,
    /// The shortcut, where sizes change.
    pub downsample: Option<(Convolution, ImageNorm)>,
    #[module(skip)]
    place: [usize; 3],
}

impl ResBlock {
    fn new(config: &ResNetConfig, place: [usize; 3], stream: &mut Stream, device: &Device) -> Self {
        let (convolutions, shortcut) = config.convolutions(place, [1, 1]);
        let mut convolution = |([inputs, outputs], window): ConvolutionSizes| {
            (Convolution::new([inputs, outputs, window.side], stream, device), ImageNorm::new(outputs, device))
        };
        let mut made: Vec<_> = convolutions.into_iter().map(&mut convolution).collect();
        let downsample = shortcut.map(&mut convolution);
        let (conv3, bn3) = if made.len() > 2 { made.pop() } else { None }.unzip();
        let [(conv1, bn1), (conv2, bn2)] = [0, 1].map(|index| made[index].clone());
        let mut block = Self { conv1, bn1, conv2, bn2, conv3, bn3, downsample, place };
        if config.zero_init {
            let last = block.bn3.as_mut().unwrap_or(&mut block.bn2);
            last.weight = parameter(vec![0.0; config.width_of_stage(place[0])], [config.width_of_stage(place[0])], device);
        }
        block
    }

    /// Shapes: `x [B, H·W, C]` of `grid` to `[B, h·w, O]`, and the grid of that.
    fn forward(&self, config: &ResNetConfig, x: Tensor<3>, grid: [usize; 2], statistics: Statistics) -> (Tensor<3>, [usize; 2]) {
        let (convolutions, shortcut) = config.convolutions(self.place, grid);
        let behind = convolutions.last().map_or(grid, |(_, window)| window.places());
        let past = match (&self.downsample, shortcut) {
            (Some((conv, norm)), Some((_, window))) => norm.forward(conv.forward(x.clone(), window), None, false, statistics),
            _ => x.clone(),
        };
        let first = self.bn1.forward(self.conv1.forward(x, convolutions[0].1), None, true, statistics);
        let second = self.conv2.forward(first, convolutions[1].1);
        let y = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let second = self.bn2.forward(second, None, true, statistics);
                bn3.forward(conv3.forward(second, convolutions[2].1), Some(past), true, statistics)
            }
            _ => self.bn2.forward(second, Some(past), true, statistics),
        };
        (y, behind)
    }
}

/// The network without its classifier.
#[derive(Module, Debug)]
pub struct ResNet {
    /// The stem's convolution.
    pub conv1: Convolution,
    /// After it.
    pub bn1: ImageNorm,
    /// Blocks of the first stage.
    pub layer1: Vec<ResBlock>,
    /// Of the second.
    pub layer2: Vec<ResBlock>,
    /// Of the third.
    pub layer3: Vec<ResBlock>,
    /// Of the last.
    pub layer4: Vec<ResBlock>,
    #[module(skip)]
    config: ResNetConfig,
}

impl ResNet {
    /// The sizes it was made with.
    pub fn config(&self) -> &ResNetConfig {
        &self.config
    }

    /// What leaves the last stage. Shapes: `pixels [B, H·W, C]` of `grid` to `[B, h·w, D]`.
    pub fn encode(&self, pixels: Tensor<3>, grid: [usize; 2], statistics: Statistics) -> Tensor<3> {
        let (mut x, mut grid) = self.stem(pixels, grid, statistics);
        for block in self.blocks() {
            (x, grid) = block.forward(&self.config, x, grid, statistics);
        }
        x
    }

    fn stem(&self, pixels: Tensor<3>, grid: [usize; 2], statistics: Statistics) -> (Tensor<3>, [usize; 2]) {
        let (window, pool) = self.config.stem_windows(grid);
        let x = self.bn1.forward(self.conv1.forward(pixels, window), None, true, statistics);
        match pool {
            Some(pool) => (kernel::max_pool(x, pool), pool.places()),
            None => (x, window.places()),
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &ResBlock> {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten()
    }

    /// Shows `look` every block of whole images, first to last, until it has seen enough.
    ///
    /// # Errors
    /// What `look` returns.
    pub fn each_block(&self, pixels: Tensor<3>, look: Look<'_>) -> Result<()> {
        let (mut x, mut grid) = self.stem(pixels, self.config.grid, Statistics::Running);
        for (index, block) in self.blocks().enumerate() {
            let (y, behind) = block.forward(&self.config, x, grid, Statistics::Running);
            let view = BlockView { index, grid: behind, prefix: 0, forward: &|| y.clone(), attention: &|| Attended::Nothing };
            if !look(view)? {
                return Ok(());
            }
            (x, grid) = (y, behind);
        }
        Ok(())
    }

    /// The same network for images of `grid` pixels; nothing in it depends on them.
    pub fn for_grid(mut self, grid: [usize; 2]) -> Self {
        self.config.grid = grid;
        self
    }
}
