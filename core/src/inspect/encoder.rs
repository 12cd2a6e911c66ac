//! What the encoder makes of whole images: features and attention, of any layer.

use std::borrow::Cow;

use burn::tensor::{Tensor, TensorData};

use crate::backbone::encoder::{Attended, BlockView, Encoder};
use crate::backbone::patch_embed::patchify;
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

impl Pool {
    /// The class token where what leaves the network has one, else the mean.
    pub fn usual(network: &Network) -> Self {
        if network.encoder().num_prefix() > 0 { Self::Cls } else { Self::Mean }
    }
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
    /// Prefix and N.
    pub tokens: usize,
    /// Class token and registers; 0 for pyramids, but for the last stage of a PVT.
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

/// The network for the images' size, and their tokens ready for the first block: `[B, prefix + N, D]`.
fn tokens_of(network: &Network, images: &Images) -> Result<(Network, Tensor<3>)> {
    let config = network.encoder().config();
    let (patch, channels) = (config.patch(), config.channels());
    let network = network.for_image([images.height, images.width])?;
    let pixels = images.height * images.width * channels;
    let patches: Vec<f32> =
        images.values.chunks_exact(pixels).flat_map(|image| patchify(image, images.height, images.width, channels, patch)).collect();
    let shape = [images.batch, (images.height / patch) * (images.width / patch), patch * patch * channels];
    let patches = Tensor::from_data(TensorData::new(patches, shape), network.device());
    let tokens = network.encoder().tokens(patches);
    Ok((network, tokens))
}

/// The number of values that [`features`] gives for a token of block `layer`.
///
/// # Errors
/// If the layer does not exist.
pub fn feature_width(network: &Network, layer: i64) -> Result<usize> {
    let config = network.encoder().config();
    Ok(config.width_of(resolve_layer(layer, config.num_blocks())?))
}

/// Features after block `layer`, through the final norm, which a pyramid has for its last stage only. Shapes: `[B, D]`, or `[B, N, D]` for
/// patches, which in a pyramid are the tokens of the block's stage.
///
/// # Errors
/// If the layer does not exist, there is no class token to ask for, or the device fails.
pub fn features(network: &Network, images: &Images, layer: i64, pool: Pool) -> Result<Vec<f32>> {
    let layer = resolve_layer(layer, network.encoder().config().num_blocks())?;
    let (network, tokens) = tokens_of(network, images)?;
    let mut values = Vec::new();
    network.encoder().each_block(tokens, &mut |block| {
        if block.index < layer {
            return Ok(true);
        }
        let tokens = network.encoder().normed((block.forward)());
        let patches = block.grid[0] * block.grid[1];
        values = match pool {
            Pool::Cls if block.prefix == 0 => {
                let why = "this network has no class token there: use --pool mean, or a layer that has one";
                return Err(Error::Usage(why.into()));
            }
            Pool::Cls => to_host(tokens.narrow(1, 0, 1))?,
            Pool::Mean => to_host(tokens.narrow(1, block.prefix, patches).mean_dim(1))?,
            Pool::Patches => to_host(tokens.narrow(1, block.prefix, patches))?,
        };
        Ok(false)
    })?;
    Ok(values)
}

/// How long the features of the last block are, place by place: `[B, n]`, and the places down and across.
///
/// # Errors
/// If the device fails.
pub fn feature_lengths(network: &Network, images: &Images) -> Result<(Vec<f32>, [usize; 2])> {
    let (network, tokens) = tokens_of(network, images)?;
    let last = resolve_layer(-1, network.encoder().config().num_blocks())?;
    let mut lengths = (Vec::new(), [0, 0]);
    network.encoder().each_block(tokens, &mut |block| {
        if block.index == last {
            let places = network.encoder().normed((block.forward)()).narrow(1, block.prefix, block.grid[0] * block.grid[1]);
            lengths = (to_host(places.square().sum_dim(2).sqrt())?, block.grid);
        }
        Ok(true)
    })?;
    Ok(lengths)
}

/// The attention of block `layer`, as it is used, between all tokens of its stage.
///
/// # Errors
/// If the layer does not exist or the device fails.
pub fn attention(network: &Network, images: &Images, layer: i64) -> Result<AttentionMaps> {
    let layer = resolve_layer(layer, network.encoder().config().num_blocks())?;
    let (network, tokens) = tokens_of(network, images)?;
    let mut maps = Err(Error::Usage("this network has no blocks".into()));
    network.encoder().each_block(tokens, &mut |block| {
        if block.index < layer {
            return Ok(true);
        }
        maps = maps_of((block.attention)(), images.batch, block.grid, block.prefix);
        Ok(false)
    })?;
    maps
}

/// The keys of a plain transformer's block `layer`, of patches alone: `[B, N, D]`, and the patches down and across.
///
/// # Errors
/// If the network is a pyramid, the layer does not exist, or the device fails.
pub fn keys(network: &Network, images: &Images, layer: i64) -> Result<(Vec<f32>, [usize; 2])> {
    let layer = resolve_layer(layer, network.encoder().config().num_blocks())?;
    let (network, tokens) = tokens_of(network, images)?;
    let Encoder::Vit(vit) = network.encoder() else {
        let why = "objects are found among the keys of a plain transformer, and this network has none: use --method mass, which needs attention, on a vit, swin or pvt";
        return Err(Error::Usage(why.into()));
    };
    let (grid, prefix) = (vit.config().grid, vit.num_prefix());
    Ok((to_host(vit.keys(tokens, layer).narrow(1, prefix, grid[0] * grid[1]))?, grid))
}

/// Attention rollout (Abnar and Zuidema, 2020): the product over all blocks of half the head-averaged attention and half the identity.
/// One head.
///
/// # Errors
/// If the network is a pyramid, whose blocks do not see the same tokens, or if the device fails.
pub fn rollout(network: &Network, images: &Images) -> Result<AttentionMaps> {
    roll(network, images, |_, _| Ok(()))
}

/// Hands the attention of every block to `look`, first to last, and returns the rollout: one pass for all of it. One block at a time,
/// because the maps of all blocks together may be larger than memory.
///
/// # Errors
/// If the network is a pyramid, what `look` returns, or if the device fails.
pub fn attention_of_every_block(
    network: &Network,
    images: &Images,
    mut look: impl FnMut(usize, AttentionMaps) -> Result<()>,
) -> Result<AttentionMaps> {
    roll(network, images, |block, probabilities| {
        look(block.index, maps_of(Attended::All(probabilities), images.batch, block.grid, block.prefix)?)
    })
}

/// Hands the attention of every block of a stage to `look`, first to last.
///
/// # Errors
/// What `look` returns, or if the device fails.
pub fn attention_of_stage(
    network: &Network,
    images: &Images,
    stage: usize,
    mut look: impl FnMut(usize, AttentionMaps) -> Result<()>,
) -> Result<()> {
    let blocks = network.encoder().config().blocks_of(stage);
    let (network, tokens) = tokens_of(network, images)?;
    network.encoder().each_block(tokens, &mut |block| {
        if blocks.contains(&block.index) {
            look(block.index, maps_of((block.attention)(), images.batch, block.grid, block.prefix)?)?;
        }
        Ok(block.index + 1 < blocks.end)
    })
}

fn roll(network: &Network, images: &Images, mut look: impl FnMut(&BlockView<'_>, Tensor<4>) -> Result<()>) -> Result<AttentionMaps> {
    let Encoder::Vit(vit) = network.encoder() else {
        let why = "the blocks of this network do not all see the same patches: choose one, as `maskroom attend --layer` does";
        return Err(Error::Usage(why.into()));
    };
    let prefix = vit.num_prefix();
    let (network, tokens) = tokens_of(network, images)?;
    let [batch, count, _] = tokens.dims();
    let half_identity = Tensor::<2>::eye(count, network.device()).reshape([1, 1, count, count]) * 0.5;
    let mut product = half_identity.clone().expand([batch, 1, count, count]) * 2.0;
    network.encoder().each_block(tokens, &mut |block| {
        if let Attended::All(probabilities) = (block.attention)() {
            product = (probabilities.clone().mean_dim(1) * 0.5 + half_identity.clone()).matmul(product.clone());
            look(&block, probabilities)?;
        }
        Ok(true)
    })?;
    maps_of(Attended::All(product), batch, network.encoder().config().grid(), prefix)
}

/// Attention between all tokens of a map: of windows it is zero between different ones, and what goes to zeros that fill a window up is
/// left out; what goes to the mean of a square goes to its tokens in equal parts.
fn maps_of(attended: Attended, batch: usize, grid: [usize; 2], prefix: usize) -> Result<AttentionMaps> {
    let tokens = prefix + grid[0] * grid[1];
    let (values, heads) = match attended {
        Attended::Nothing => {
            let why = "this network consists of convolutions: it attends to nothing; `embed` and `evaluate knn` look at its features";
            return Err(Error::Usage(why.into()));
        }
        Attended::All(probabilities) | Attended::Reduced(probabilities, 1) => {
            let heads = probabilities.dims()[1];
            (to_host(probabilities)?, heads)
        }
        Attended::Windows(probabilities, windows) => {
            let [_, heads, area, _] = probabilities.dims();
            let (own, places) = (to_host(probabilities)?, windows.tokens());
            let mut values = vec![0.0; batch * heads * tokens * tokens];
            for (row, own) in own.chunks_exact(area).enumerate() {
                let (window, head, query) = (row / area / heads, row / area % heads, row % area);
                let (sample, window) = (window / windows.count(), window % windows.count());
                let places = &places[window * area..][..area];
                let Some(query) = places[query] else { continue };
                let to = &mut values[((sample * heads + head) * tokens + query) * tokens..][..tokens];
                places.iter().zip(own).for_each(|(&place, &value)| place.into_iter().for_each(|place| to[place] = value));
            }
            (values, heads)
        }
        Attended::Reduced(probabilities, side) => {
            let [_, heads, _, squares] = probabilities.dims();
            let (own, share) = (to_host(probabilities)?, 1.0 / (side * side) as f32);
            let across = grid[1] / side;
            let square = |token: usize| token / grid[1] / side * across + token % grid[1] / side;
            (own.chunks_exact(squares).flat_map(|own| (0..tokens).map(move |token| own[square(token)] * share)).collect(), heads)
        }
    };
    Ok(AttentionMaps { values, batch, heads, tokens, prefix, grid })
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
    /// need not sum to one. Without a class token, what stands for its attention is the mean over all patches.
    ///
    /// # Errors
    /// [`Error::Usage`] if the query lies outside the grid.
    pub fn query(&self, image: usize, head: usize, query: Query) -> Result<Cow<'_, [f32]>> {
        let [rows, cols] = self.grid;
        let of_token = |token: usize| {
            let start = ((image * self.heads + head) * self.tokens + token) * self.tokens;
            &self.values[start + self.prefix..start + self.tokens]
        };
        match query {
            Query::Cls if self.prefix == 0 => {
                let mut mean = vec![0.0; rows * cols];
                for token in 0..self.tokens {
                    mean.iter_mut().zip(of_token(token)).for_each(|(sum, value)| *sum += value / self.tokens as f32);
                }
                Ok(Cow::Owned(mean))
            }
            Query::Cls => Ok(Cow::Borrowed(of_token(0))),
            Query::Patch(row, col) if row < rows && col < cols => Ok(Cow::Borrowed(of_token(self.prefix + row * cols + col))),
            Query::Patch(row, col) => {
                Err(Error::Usage(format!("there is no patch {row},{col}: the grid has {rows} rows and {cols} columns")))
            }
        }
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
        let rolled = attention_of_every_block(&network, &images, |layer, maps| {
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
