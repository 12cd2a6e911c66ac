//! What the encoder makes of whole images: features and attention, of any layer.

use burn::tensor::{Tensor, TensorData};

use crate::backbone::patch_embed::patchify;
use crate::backbone::vit::Vit;
use crate::error::{Error, Result};
use crate::method::Network;
use crate::weights::model_file::to_host;

/// Which tokens make an image's feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The class token: `[D]`.
    Cls,
    /// The mean of the patch tokens: `[D]`.
    Mean,
    /// Every patch token: `[N, D]`.
    Patches,
}

/// Normalized images of one size, side by side: `[B, H, W, C]`.
#[derive(Debug, Clone)]
pub struct Images {
    /// The pixels.
    pub values: Vec<f32>,
    /// B
    pub batch: usize,
    /// H in pixels, a multiple of the patch.
    pub height: usize,
    /// W in pixels, a multiple of the patch.
    pub width: usize,
}

/// Attention of one layer: `[B, heads, tokens, tokens]`, tokens being class token, registers, patches.
#[derive(Debug, Clone)]
pub struct AttentionMaps {
    /// The probabilities; every row sums to one.
    pub values: Vec<f32>,
    /// B
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// 1 + R + N
    pub tokens: usize,
    /// 1 + R
    pub prefix: usize,
    /// Patches down and across.
    pub grid: [usize; 2],
}

/// Resolves a layer that may count from the end.
///
/// # Errors
/// [`Error::Usage`] naming the layers there are.
pub fn resolve_layer(layer: i64, depth: usize) -> Result<usize> {
    let index = if layer < 0 { layer + depth as i64 } else { layer };
    usize::try_from(index).ok().filter(|&index| index < depth).ok_or_else(|| {
        Error::Usage(format!("there is no layer {layer}: this network has {depth}, use 0 to {} or -{depth} to -1", depth - 1))
    })
}

/// The network for the images' grid, and their tokens ready for the first block: `[B, 1 + R + N, D]`.
fn tokens_of(network: &Network, images: &Images) -> (Network, Tensor<3>) {
    let config = network.encoder().config();
    let (patch, channels) = (config.patch, config.channels);
    let grid = [images.height / patch, images.width / patch];
    let network = network.for_grid(grid);
    let pixels = images.height * images.width * channels;
    let patches: Vec<f32> =
        images.values.chunks_exact(pixels).flat_map(|image| patchify(image, images.height, images.width, channels, patch)).collect();
    let shape = [images.batch, grid[0] * grid[1], patch * patch * channels];
    let patches = Tensor::from_data(TensorData::new(patches, shape), network.device());
    let tokens = network.encoder().tokens(patches);
    (network, tokens)
}

fn through(vit: &Vit, tokens: Tensor<3>, blocks: usize) -> Tensor<3> {
    vit.blocks[..blocks].iter().enumerate().fold(tokens, |x, (index, block)| block.forward(x, index, None))
}

/// Features after block `layer`, through the final norm. Shapes: `[B, D]`, or `[B, N, D]` for patches.
///
/// # Errors
/// If the layer does not exist or the device fails.
pub fn features(network: &Network, images: &Images, layer: i64, pool: Pool) -> Result<Vec<f32>> {
    let layer = resolve_layer(layer, network.encoder().blocks.len())?;
    let (network, tokens) = tokens_of(network, images);
    let vit = network.encoder();
    let tokens = vit.norm.forward(through(vit, tokens, layer + 1));
    let patches = tokens.dims()[1] - vit.num_prefix();
    match pool {
        Pool::Cls => to_host(tokens.narrow(1, 0, 1)),
        Pool::Mean => to_host(tokens.narrow(1, vit.num_prefix(), patches).mean_dim(1)),
        Pool::Patches => to_host(tokens.narrow(1, vit.num_prefix(), patches)),
    }
}

/// The attention of block `layer`, as it is used.
///
/// # Errors
/// If the layer does not exist or the device fails.
pub fn attention(network: &Network, images: &Images, layer: i64) -> Result<AttentionMaps> {
    let layer = resolve_layer(layer, network.encoder().blocks.len())?;
    let (network, tokens) = tokens_of(network, images);
    let vit = network.encoder();
    maps(vit, vit.blocks[layer].attention(through(vit, tokens, layer)))
}

/// Attention rollout (Abnar and Zuidema, 2020): the product over all blocks of half the head-averaged attention and half the identity.
/// One head.
///
/// # Errors
/// If the device fails.
pub fn rollout(network: &Network, images: &Images) -> Result<AttentionMaps> {
    roll(network, images, |_, _, _| Ok(()))
}

/// Hands the attention of every block to `look`, first to last, and returns the rollout: one pass for all of it. One block at a time,
/// because the maps of all blocks together may be larger than memory.
///
/// # Errors
/// What `look` returns, or if the device fails.
pub fn attention_of_all_layers(
    network: &Network,
    images: &Images,
    mut look: impl FnMut(usize, AttentionMaps) -> Result<()>,
) -> Result<AttentionMaps> {
    roll(network, images, |vit, layer, probabilities| look(layer, maps(vit, probabilities.clone())?))
}

fn roll(network: &Network, images: &Images, mut look: impl FnMut(&Vit, usize, &Tensor<4>) -> Result<()>) -> Result<AttentionMaps> {
    let (network, mut tokens) = tokens_of(network, images);
    let vit = network.encoder();
    let [batch, count, _] = tokens.dims();
    let half_identity = Tensor::<2>::eye(count, network.device()).reshape([1, 1, count, count]) * 0.5;
    let mut product = half_identity.clone().expand([batch, 1, count, count]) * 2.0;
    for (index, block) in vit.blocks.iter().enumerate() {
        let probabilities = block.attention(tokens.clone());
        look(vit, index, &probabilities)?;
        product = (probabilities.mean_dim(1) * 0.5 + half_identity.clone()).matmul(product);
        tokens = block.forward(tokens, index, None);
    }
    maps(vit, product)
}

fn maps(vit: &Vit, probabilities: Tensor<4>) -> Result<AttentionMaps> {
    let [batch, heads, tokens, _] = probabilities.dims();
    Ok(AttentionMaps { values: to_host(probabilities)?, batch, heads, tokens, prefix: vit.num_prefix(), grid: vit.config().grid })
}

/// The token whose attention is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// The class token.
    Cls,
    /// The patch in that row and column.
    Patch(usize, usize),
}

impl AttentionMaps {
    /// What one head's query attends to, over patches: `[N]`. What goes to the class token and the registers is left out, so the numbers
    /// need not sum to one.
    ///
    /// # Errors
    /// [`Error::Usage`] if the query lies outside the grid.
    pub fn query(&self, image: usize, head: usize, query: Query) -> Result<&[f32]> {
        let [rows, cols] = self.grid;
        let token = match query {
            Query::Cls => 0,
            Query::Patch(row, col) if row < rows && col < cols => self.prefix + row * cols + col,
            Query::Patch(row, col) => {
                return Err(Error::Usage(format!("there is no patch {row},{col}: the grid has {rows} rows and {cols} columns")));
            }
        };
        let start = ((image * self.heads + head) * self.tokens + token) * self.tokens;
        Ok(&self.values[start + self.prefix..start + self.tokens])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::recipe::{Base, Recipe};

    #[test]
    fn one_pass_over_all_layers_finds_what_one_pass_each_finds() {
        let tiny = [
            ("data.image", "[16, 24]"),
            ("backbone.patch", "4"),
            ("backbone.width", "32"),
            ("backbone.depth", "3"),
            ("backbone.heads", "2"),
        ];
        let sets: Vec<_> = tiny.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let recipe = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
        let network = Network::new(&recipe, &Device::flex()).unwrap();
        let values = (0..16 * 24 * 3).map(|index| (index as f32 * 0.37).sin()).collect();
        let images = Images { values, batch: 1, height: 16, width: 24 };
        let mut layers = Vec::new();
        let rolled = attention_of_all_layers(&network, &images, |layer, maps| {
            assert_eq!(layer, layers.len());
            layers.push(maps.values);
            Ok(())
        });
        assert_eq!(layers.len(), 3);
        for (layer, values) in layers.into_iter().enumerate() {
            assert_eq!(values, attention(&network, &images, layer as i64).unwrap().values, "layer {layer}");
        }
        assert_eq!(rolled.unwrap().values, rollout(&network, &images).unwrap().values);
    }
}
