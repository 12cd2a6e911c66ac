//! The network of a tokenizer. Inside a patch, pixels stand in the order of a quad-tree: the four of every square of 2 × 2 px one after the
//! other, the four such squares of every square of 4 × 4 px likewise, and so on. A convolution of stride 2 is then a linear layer on rows of
//! four places, and its transpose one that makes four of each: nothing is ever moved. Only between patches, where each looks at its neighbors,
//! the map is a map.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Sizes;
use crate::backbone::linear::Linear;
use crate::kernel;
use crate::random::Stream;

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct DiscreteVae {
    /// Pixels to scores.
    pub encoder: Encoder,
    /// Codes to pixels.
    pub decoder: Decoder,
    #[module(skip)]
    sizes: Sizes,
    /// The raster index within a patch of each place in quad-tree order.
    #[module(skip)]
    order: Vec<usize>,
}

/// Pixels to scores.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Each makes one place of four.
    pub down: Vec<Linear>,
    /// A patch sees its neighbors.
    pub mix: Neighborhood,
    /// To K scores.
    pub head: Linear,
}

/// Codes to pixels.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[D, K]`: a column for each code.
    pub codebook: Linear,
    /// A patch sees its neighbors.
    pub mix: Neighborhood,
    /// Each makes four places of one.
    pub up: Vec<Linear>,
}

/// A convolution over 3 × 3 patches, added to what was there.
#[derive(Module, Debug)]
pub struct Neighborhood {
    /// `[D, 9·D]`
    pub conv: Linear,
    /// `[D, D]`
    pub out: Linear,
}

impl DiscreteVae {
    /// Initial weights, a function of the stream.
    pub fn new(sizes: Sizes, stream: &mut Stream, device: &Device) -> Self {
        let (levels, width) = (sizes.levels(), sizes.width);
        let mut linear = |inputs: usize, outputs: usize| Linear::new(inputs, outputs, stream, device);
        let encoder = Encoder {
            down: (0..levels).map(|level| linear(4 * if level == 0 { sizes.channels } else { width }, width)).collect(),
            mix: Neighborhood { conv: linear(9 * width, width), out: linear(width, width) },
            head: linear(width, sizes.codes),
        };
        let decoder = Decoder {
            codebook: linear(sizes.codes, width),
            mix: Neighborhood { conv: linear(9 * width, width), out: linear(width, width) },
            up: (1..=levels).map(|level| linear(width, 4 * if level == levels { sizes.channels } else { width })).collect(),
        };
        let order = (0..sizes.patch * sizes.patch).map(|place| raster_place(place, sizes.patch)).collect();
        Self { encoder, decoder, sizes, order }
    }

    /// Patches `[B·N, P·P·C]` as the network takes them: `[B, N, P·P·C]` in quad-tree order.
    pub fn input(&self, patches: &[f32], grid: [usize; 2], device: &Device) -> Tensor<3> {
        let (channels, values, count) = (self.sizes.channels, self.sizes.patch_values(), grid[0] * grid[1]);
        let mut ordered = Vec::with_capacity(patches.len());
        for patch in patches.chunks_exact(values) {
            self.order.iter().for_each(|&place| ordered.extend_from_slice(&patch[place * channels..][..channels]));
        }
        let batch = patches.len() / values / count.max(1);
        Tensor::from_data(TensorData::new(ordered, [batch, count, values]), device)
    }

    /// The inverse of [`DiscreteVae::input`].
    pub fn patches(&self, ordered: &[f32]) -> Vec<f32> {
        let channels = self.sizes.channels;
        let mut patches = vec![0.0; ordered.len()];
        let values = self.sizes.patch_values();
        for (patch, ordered) in patches.chunks_exact_mut(values).zip(ordered.chunks_exact(values)) {
            for (&place, pixel) in self.order.iter().zip(ordered.chunks_exact(channels)) {
                patch[place * channels..][..channels].copy_from_slice(pixel);
            }
        }
        patches
    }

    /// Shapes: `[B, N, P·P·C]` in quad-tree order to scores `[B, N, K]`.
    pub fn scores(&self, pixels: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let [batch, _, _] = pixels.dims();
        let mut x = pixels;
        for layer in &self.encoder.down {
            let inputs = layer.weight.dims()[1];
            let [_, places, numbers] = x.dims();
            x = kernel::gelu(layer.forward(x.reshape([batch, places * numbers / inputs, inputs])));
        }
        self.encoder.head.forward(self.encoder.mix.forward(x, grid))
    }

    /// Shapes: shares of the codes `[B, N, K]` to pixels `[B, N, P·P·C]` in quad-tree order.
    pub fn draw(&self, shares: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        self.paint(self.decoder.codebook.forward(shares), grid)
    }

    /// Shapes: codes `[B·N]` to pixels `[B, N, P·P·C]` in quad-tree order.
    pub fn draw_codes(&self, ids: Tensor<1, Int>, [batch, patches]: [usize; 2], grid: [usize; 2]) -> Tensor<3> {
        let codebook = &self.decoder.codebook;
        let columns = codebook.weight.val().transpose().select(0, ids) + codebook.bias.val().unsqueeze::<2>();
        self.paint(columns.reshape([batch, patches, self.sizes.width]), grid)
    }

    fn paint(&self, x: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let [batch, patches, width] = x.dims();
        let mut x = self.decoder.mix.forward(x, grid);
        for layer in &self.decoder.up {
            let [_, places, numbers] = x.dims();
            x = layer.forward(kernel::gelu(x.reshape([batch, places * numbers / width, width])));
        }
        x.reshape([batch, patches, self.sizes.patch_values()])
    }
}

impl Neighborhood {
    /// Shapes: `[B, N, D]` to the same.
    fn forward(&self, x: Tensor<3>, [rows, cols]: [usize; 2]) -> Tensor<3> {
        let [batch, patches, width] = x.dims();
        let map = kernel::gelu(x.clone()).reshape([batch, rows, cols, width]);
        let around = beside_neighbors(beside_neighbors(map, 2), 1).reshape([batch, patches, 9 * width]);
        x + self.out.forward(kernel::gelu(self.conv.forward(around)))
    }
}

/// Each place with those before and after it along an axis, zeros beyond the border: `[.., D]` to `[.., 3·D]`.
fn beside_neighbors(map: Tensor<4>, axis: usize) -> Tensor<4> {
    let size = map.dims()[axis];
    let mut edge = map.dims();
    edge[axis] = 1;
    let zeros = Tensor::zeros(edge, &map.device());
    let padded = Tensor::cat(vec![zeros.clone(), map, zeros], axis);
    Tensor::cat((0..3).map(|shift| padded.clone().narrow(axis, shift, size)).collect(), 3)
}

/// The raster index in a square of `side` of a place in quad-tree order: its even bits are the column, its odd ones the row.
fn raster_place(place: usize, side: usize) -> usize {
    let bits = |odd: usize| (0..side.trailing_zeros() as usize).map(|bit| (place >> (2 * bit + odd) & 1) << bit).sum::<usize>();
    bits(1) * side + bits(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::weights::model_file::to_host;

    const SIZES: Sizes = Sizes { channels: 2, patch: 4, codes: 6, width: 8 };

    fn vae() -> DiscreteVae {
        DiscreteVae::new(SIZES, &mut Stream::new(0, 0, 0, Purpose::Init), &Device::flex())
    }

    fn noise(count: usize) -> Vec<f32> {
        let mut stream = Stream::new(1, 0, 0, Purpose::Bench);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    #[test]
    fn the_order_is_that_of_a_quad_tree_and_comes_back() {
        let order: Vec<usize> = (0..16).map(|place| raster_place(place, 4)).collect();
        assert_eq!(order, [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
        let patches = noise(3 * 32);
        let ordered = to_host(vae().input(&patches, [1, 3], &Device::flex())).unwrap();
        assert!(ordered != patches && vae().patches(&ordered) == patches);
    }

    #[test]
    fn a_score_depends_on_its_patch_and_the_eight_around_it() {
        let (vae, grid) = (vae(), [4, 5]);
        let scores = |patches: &[f32]| to_host(vae.scores(vae.input(patches, grid, &Device::flex()), grid)).unwrap();
        let patches = noise(20 * 32);
        let mut changed = patches.clone();
        changed[7 * 32 + 3] += 1.0;
        let (before, after) = (scores(&patches), scores(&changed));
        // Patch 7 is in row 1 and column 2.
        for patch in 0..20 {
            let near = (patch / 5_usize).abs_diff(1) <= 1 && (patch % 5_usize).abs_diff(2) <= 1;
            let same = before[patch * 6..][..6] == after[patch * 6..][..6];
            assert_eq!(same, !near, "{patch}");
        }
    }

    #[test]
    fn codes_are_drawn_as_their_whole_shares_are() {
        let (vae, grid) = (vae(), [2, 3]);
        let ids = [0, 5, 2, 2, 1, 4, 3, 0, 1, 1, 5, 5];
        let shares: Vec<f32> = ids.iter().flat_map(|&id| (0..6).map(move |code| f32::from(u8::from(code == id)))).collect();
        let drawn = vae.draw(Tensor::from_data(TensorData::new(shares, [2, 6, 6]), &Device::flex()), grid);
        let by_ids = vae.draw_codes(Tensor::from_data(TensorData::new(ids.to_vec(), [12]), &Device::flex()), [2, 6], grid);
        assert_eq!(drawn.dims(), [2, 6, 32]);
        let (drawn, by_ids) = (to_host(drawn).unwrap(), to_host(by_ids).unwrap());
        assert!(drawn.iter().zip(&by_ids).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
