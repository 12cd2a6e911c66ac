//! A Swin as operators. Tokens are brought into the order of windows and back by lists of places, which have the shift in them.

use super::Encoded;
use super::builder::Builder;
use super::transformer::BlockSizes;
use super::vit::by_head;
use crate::backbone::block::Activation;
use crate::backbone::relative_position::{DistanceMlp, RelativePositions, distances_within, table_rows};
use crate::backbone::swin::{EPS, SwinConfig};
use crate::backbone::window::Windows;
use crate::error::Result;

/// From normalized pixels to what leaves the final norm.
///
/// # Errors
/// If the weights are not those of such a network.
pub fn encode(builder: &mut Builder<'_>, config: &SwinConfig, pixels: &str) -> Result<Encoded> {
    let (mut grid, mut width) = (config.grid, config.width);
    let embedded = builder.patches("patch_embed.proj", pixels, [config.channels, width, config.patch], grid)?;
    let mut x = builder.layer_norm("patch_embed.norm", &embedded, width, EPS)?;
    for (stage, (&depth, &heads)) in config.depths.iter().zip(&config.heads).enumerate() {
        if stage > 0 {
            x = merge(builder, &format!("layers.{stage}.downsample"), &x, grid, width)?;
            (grid, width) = (grid.map(|side| side / 2), 2 * width);
        }
        let mut mask = None;
        for index in 0..depth {
            let windows = Windows::of_block(grid, config.window, index);
            let at = format!("layers.{stage}.blocks.{index}");
            let mut added = vec![score_bias(builder, &format!("{at}.attn"), config.positions, windows.side, heads)?];
            if let Some(values) = windows.mask() {
                let shape = [windows.count(), 1, windows.side * windows.side, windows.side * windows.side];
                added.push(mask.get_or_insert_with(|| builder.constant(&format!("layers.{stage}.mask"), &shape, values)).clone());
            }
            x = block(builder, &at, &x, config, [width, heads], &windows, &added)?;
        }
    }
    Ok(Encoded { features: builder.layer_norm("norm", &x, width, EPS)?, tokens: grid[0] * grid[1], width, prefix: 0, attention: None })
}

/// A block on a map. Shapes: `x [B, N, D]` to the same.
fn block(
    builder: &mut Builder<'_>,
    at: &str,
    x: &str,
    config: &SwinConfig,
    [width, heads]: [usize; 2],
    windows: &Windows,
    added: &[String],
) -> Result<String> {
    let (area, order) = (windows.side * windows.side, windows.order());
    let hidden = (width as f64 * config.mlp_ratio) as usize;
    let sizes = BlockSizes {
        leading: 2,
        tokens: area,
        width,
        heads,
        hidden,
        activation: Activation::Gelu,
        eps: EPS,
        key_bias: true,
        layer_scale: false,
    };
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &token)| back[token] = place);
    let is_in_order = order == back && order.is_sorted();
    let cut = if is_in_order { x.to_owned() } else { builder.gather(at, x, 1, &order) };
    let cut = builder.reshape(at, &cut, &[0, windows.count(), area, width]);
    let output = builder.block(at, &cut, &sizes, added, None)?;
    let joined = builder.reshape(at, &output.tokens, &[0, order.len(), width]);
    Ok(if is_in_order { joined } else { builder.gather(at, &joined, 1, &back) })
}

/// Four neighbors to one token, in the order of [`PatchMerging`](crate::backbone::patch_merging::PatchMerging). Shapes: `x [B, N, D]` to
/// `[B, N / 4, 2 D]`.
fn merge(builder: &mut Builder<'_>, at: &str, x: &str, [rows, cols]: [usize; 2], width: usize) -> Result<String> {
    let cells = builder.reshape(at, x, &[0, rows / 2, 2, cols / 2, 2, width]);
    let in_order = builder.transpose(at, &cells, &[0, 1, 3, 4, 2, 5]);
    let merged = builder.reshape(at, &in_order, &[0, rows / 2 * (cols / 2), 4 * width]);
    let normed = builder.layer_norm(&format!("{at}.norm"), &merged, 4 * width, EPS)?;
    let reduction = format!("{at}.reduction");
    let dense = builder.dense(&reduction, [4 * width, 2 * width], false)?;
    builder.product(&reduction, &normed, dense)
}

/// What is added to the scores of each pair of a window's tokens: `[heads, n, n]`.
fn score_bias(builder: &mut Builder<'_>, at: &str, positions: RelativePositions, side: usize, heads: usize) -> Result<String> {
    let area = side * side;
    let numbers = match positions {
        RelativePositions::Table => {
            builder.take(&format!("{at}.relative_position_bias_table"), &[(2 * side - 1) * (2 * side - 1), heads])?
        }
        RelativePositions::Network => answers(builder, &format!("{at}.relative_position_mlp"), side, heads)?,
    };
    let bias = by_head(&numbers, &table_rows(side), heads);
    builder.learned(&format!("{at}.relative_position_bias"), &[heads, area, area], bias)
}

/// What a network of distances answers to all that there are in a window: `[(2 side - 1)², heads]`.
fn answers(builder: &mut Builder<'_>, at: &str, side: usize, heads: usize) -> Result<Vec<f32>> {
    let hidden = DistanceMlp::HIDDEN;
    let weight1 = builder.take(&format!("{at}.fc1.weight"), &[hidden, 2])?;
    let bias1 = builder.take(&format!("{at}.fc1.bias"), &[hidden])?;
    let weight2 = builder.take(&format!("{at}.fc2.weight"), &[heads, hidden])?;
    let answer = |distance: [f32; 2]| {
        let inner: Vec<f32> = weight1.as_chunks::<2>().0.iter().zip(&bias1).map(|(w, b)| (dot(w, &distance) + b).max(0.0)).collect();
        weight2.chunks_exact(hidden).map(|w| dot(w, &inner)).collect::<Vec<_>>()
    };
    Ok(distances_within([side - 1; 2]).into_iter().flat_map(answer).collect())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
