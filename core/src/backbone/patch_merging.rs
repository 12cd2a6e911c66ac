//! How Swin goes from one stage to the next: four neighbors become one token of twice the width.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::linear::{LayerNorm, UnbiasedLinear};
use super::swin::EPS;
use crate::kernel::{self, Order};
use crate::random::Stream;

/// Halves a map. The same as a norm over four neighbors and a convolution of size and stride two.
#[derive(Module, Debug)]
pub struct PatchMerging {
    /// Over the four tokens together: `[4 D]`.
    pub norm: LayerNorm,
    /// `[2 D, 4 D]`
    pub reduction: UnbiasedLinear,
}

impl PatchMerging {
    /// For tokens of `width`.
    pub fn new(width: usize, stream: &mut Stream, device: &Device) -> Self {
        let reduction = UnbiasedLinear::normal(4 * width, 2 * width, stream, device);
        Self { norm: LayerNorm::with_eps(4 * width, EPS, device), reduction }
    }

    /// Shapes: `tokens [B, N, D]` to `[B, N/4, 2 D]`; both sides of the grid are even.
    ///
    /// The four stand in the order upper left, lower left, upper right, lower right: that is how published weights have it.
    pub fn forward(&self, tokens: Tensor<3>, [rows, cols]: [usize; 2]) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let cell = |at: usize| (at / (cols / 2) * 2 * cols + at % (cols / 2) * 2, [0, cols, 1, cols + 1]);
        let order = (0..count / 4).map(cell).flat_map(|(first, steps)| steps.map(|step| first + step));
        let merged = match kernel::reorder(&tokens, &Order::new(order)) {
            Some(cells) => cells,
            None => {
                let cells: Tensor<6> = tokens.reshape([batch, rows / 2, 2, cols / 2, 2, width]);
                cells.permute([0, 1, 3, 4, 2, 5]).reshape([batch, count, width])
            }
        };
        self.reduction.forward(self.norm.forward(merged.reshape([batch, count / 4, 4 * width])))
    }
}
