//! The networks: groups of residual blocks, between which the encoder halves the map and the decoder doubles it. Images are `[B, H·W, C]`, as
//! tokens are.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::kernel::{self, Window};
use crate::weights::safetensors_file::HostTensor;

/// A convolution that keeps the size of its map.
#[derive(Debug, Clone)]
pub(super) struct Conv {
    /// `[O, C, side, side]`
    weight: Tensor<4>,
    /// `[O]`
    bias: Tensor<1>,
    /// C
    pub inputs: usize,
    /// O
    pub outputs: usize,
    /// Rows and columns of its window; odd.
    pub side: usize,
}

impl Conv {
    /// Shapes: `weight [O, C, side, side]`, as PyTorch stores it, and `bias [O]`.
    pub fn new(weight: &HostTensor, bias: &HostTensor, [outputs, inputs, side]: [usize; 3], device: &Device) -> Self {
        let shape = [outputs, inputs, side, side];
        let weight = Tensor::from_data(TensorData::new(weight.values.clone(), shape), device);
        let bias = Tensor::from_data(TensorData::new(bias.values.clone(), [outputs]), device);
        Self { weight, bias, inputs, outputs, side }
    }

    /// Shapes: `x [B, H·W, C]` of `grid` to `[B, H·W, O]`.
    fn forward(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        if self.side == 1 {
            return kernel::linear(x, self.of_single_pixels(), Some(self.bias.clone()));
        }
        let window = Window { grid, side: self.side, stride: 1, padding: self.side / 2 };
        kernel::convolution(x, self.weight.clone(), window) + self.bias.clone().unsqueeze::<3>()
    }

    /// The weights of one of single pixels: `[O, C]`.
    fn of_single_pixels(&self) -> Tensor<2> {
        self.weight.clone().reshape([self.outputs, self.inputs])
    }

    /// What one of single pixels makes of pixels that are zero but for a one at the place `ids` says: `[n]` to `[n, O]`.
    fn columns(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        self.of_single_pixels().transpose().select(0, ids) + self.bias.clone().unsqueeze::<2>()
    }
}

/// Four convolutions beside a shortcut.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// The shortcut, where the width changes.
    pub id_path: Option<Conv>,
    /// The others, in their order.
    pub convolutions: Vec<Conv>,
}

impl Block {
    fn forward(&self, x: Tensor<3>, grid: [usize; 2], gain: f64) -> Tensor<3> {
        let mut residual = x.clone();
        for conv in &self.convolutions {
            residual = conv.forward(activation::relu(residual), grid);
        }
        let past = match &self.id_path {
            Some(conv) => conv.forward(x, grid),
            None => x,
        };
        past + residual * gain
    }
}

/// An encoder or a decoder.
#[derive(Debug, Clone)]
pub(super) struct Half {
    /// What comes first.
    pub input: Conv,
    /// Blocks, group by group.
    pub groups: Vec<Vec<Block>>,
    /// What comes last.
    pub output: Conv,
}

impl Half {
    /// Shapes: pixels `[B, H·W, C]` of `size` to scores `[B, N, K]`.
    pub fn encode(&self, pixels: Tensor<3>, size: [usize; 2]) -> Tensor<3> {
        self.through(self.input.forward(pixels, size), size, halved)
    }

    /// Shapes: codes `[B·N]` of `batch` images of `grid` to `[B, H·W, 2·C]`.
    pub fn decode(&self, ids: Tensor<1, Int>, batch: usize, grid: [usize; 2]) -> Tensor<3> {
        let columns = self.input.columns(ids).reshape([batch, grid[0] * grid[1], self.input.outputs]);
        self.through(columns, grid, doubled)
    }

    fn through(&self, mut x: Tensor<3>, mut grid: [usize; 2], between: fn(Tensor<3>, [usize; 2]) -> (Tensor<3>, [usize; 2])) -> Tensor<3> {
        // What each block adds counts less the more blocks there are.
        let gain = (self.groups.iter().map(Vec::len).sum::<usize>() as f64).powi(-2);
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                (x, grid) = between(x, grid);
            }
            for block in group {
                x = block.forward(x, grid, gain);
            }
        }
        self.output.forward(activation::relu(x), grid)
    }
}

/// The largest of every square of 2 × 2.
fn halved(x: Tensor<3>, grid: [usize; 2]) -> (Tensor<3>, [usize; 2]) {
    let window = Window { grid, side: 2, stride: 2, padding: 0 };
    (kernel::max_pool(x, window), window.places())
}

/// Every place four times.
fn doubled(x: Tensor<3>, [rows, cols]: [usize; 2]) -> (Tensor<3>, [usize; 2]) {
    let [batch, _, width] = x.dims();
    let wide = x.reshape([batch * rows * cols, 1, width]).repeat_dim(1, 2);
    let tall = wide.reshape([batch * rows, 1, 2 * cols * width]).repeat_dim(1, 2);
    (tall.reshape([batch, 4 * rows * cols, width]), [2 * rows, 2 * cols])
}
