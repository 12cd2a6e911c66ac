//! A PVT as operators.

use super::Encoded;
use super::builder::Builder;
use super::layers::Square;
use super::model::Attribute;
use super::transformer::{BlockOutput, BlockSizes};
use crate::backbone::block::Activation;
use crate::backbone::linear::LayerNorm;
use crate::backbone::pvt::PvtConfig;
use crate::backbone::pvt_block::Reduction;
use crate::error::Result;

/// From normalized pixels to what leaves the final norm.
///
/// # Errors
/// If the weights are not those of such a network.
pub fn encode(builder: &mut Builder<'_>, config: &PvtConfig, pixels: &str) -> Result<Encoded> {
    let (mut x, mut inputs, mut attention) = (pixels.to_owned(), config.channels, None);
    let (last, grids) = (config.depths.len().saturating_sub(1), config.grids());
    let (mut tokens, mut prefix) = (0, 0);
    for (stage, &grid) in grids.iter().enumerate() {
        let (width, heads) = (config.widths[stage], config.heads[stage]);
        prefix = usize::from(config.has_class_token && stage == last);
        tokens = prefix + grid[0] * grid[1];
        x = enter(builder, stage, &x, [inputs, width, config.patch], grid, prefix)?;
        let hidden = (width as f64 * config.mlp_ratios[stage]) as usize;
        let sizes = BlockSizes {
            leading: 1,
            tokens,
            width,
            heads,
            hidden,
            activation: Activation::Gelu,
            eps: LayerNorm::EPS,
            key_bias: true,
            layer_scale: false,
        };
        let reduction = (config.reductions[stage], config.reduce_by);
        for index in 0..config.depths[stage] {
            let output = block(builder, &format!("stages.{stage}.blocks.{index}"), &x, &sizes, grid, reduction)?;
            x = output.tokens;
            attention = (prefix > 0).then_some((output.probabilities, heads));
        }
        if stage < last {
            x = builder.map_from_tokens(&format!("stages.{stage}"), &x, width, grid);
        }
        inputs = width;
    }
    let features = builder.layer_norm("norm", &x, inputs, LayerNorm::EPS)?;
    Ok(Encoded { features, tokens, width: inputs, prefix, attention })
}

/// What a stage's blocks get. Shapes: `map [B, C, h, w]` to `[B, prefix + N, D]`.
fn enter(
    builder: &mut Builder<'_>,
    stage: usize,
    map: &str,
    [inputs, width, patch]: [usize; 3],
    grid: [usize; 2],
    prefix: usize,
) -> Result<String> {
    let at = format!("stages.{stage}.patch_embed");
    let side = if stage == 0 { patch } else { 2 };
    let embedded = builder.patches(&format!("{at}.proj"), map, [inputs, width, side], grid)?;
    let normed = builder.layer_norm(&format!("{at}.norm"), &embedded, width, LayerNorm::EPS)?;
    let name = format!("stages.{stage}.pos_embed");
    let mut table = builder.take(&name, &[1, prefix + grid[0] * grid[1], width])?;
    if prefix > 0 {
        let class = builder.take("cls_token", &[1, 1, width])?;
        table.iter_mut().zip(class).for_each(|(sum, value)| *sum += value);
    }
    builder.placed(&name, &normed, table, [prefix, width])
}

/// A block, in which tokens attend to their map reduced by squares of so many tokens along a side.
fn block(
    builder: &mut Builder<'_>,
    at: &str,
    x: &str,
    sizes: &BlockSizes,
    grid: [usize; 2],
    (side, by): (usize, Reduction),
) -> Result<BlockOutput> {
    let &BlockSizes { tokens, width, eps, .. } = sizes;
    let attn = format!("{at}.attn");
    let normed = builder.layer_norm(&format!("{at}.norm1"), x, width, eps)?;
    let q = builder.linear(&format!("{attn}.q"), &normed, [width, width])?;
    let (others, keys) = match side {
        1 => (normed, tokens),
        _ => (reduced(builder, &attn, &normed, width, grid, (side, by))?, tokens / (side * side)),
    };
    let kv = builder.linear(&format!("{attn}.kv"), &others, [width, 2 * width])?;
    let [k, v] = builder.nodes(&attn, "Split", &[&kv], &[("axis", Attribute::Int(-1))]);
    let (attended, probabilities) = builder.attend(&attn, [&q, &k, &v], [tokens, keys], sizes, &[]);
    let x = builder.branch(&format!("{attn}.proj"), x, &attended, [width, width], None)?;
    Ok(BlockOutput { tokens: builder.mlp(at, &x, sizes, None)?, probabilities })
}

/// Shapes: `x [B, N, D]` to `[B, N / side², D]`.
fn reduced(builder: &mut Builder<'_>, at: &str, x: &str, width: usize, grid: [usize; 2], (side, by): (usize, Reduction)) -> Result<String> {
    let map = builder.map_from_tokens(at, x, width, grid);
    let coarse = grid.map(|length| length / side);
    let tokens = match by {
        Reduction::Convolution => builder.patches(&format!("{at}.sr"), &map, [width, width, side], coarse)?,
        Reduction::Average => {
            let means = builder.pool(at, "AveragePool", &map, Square::tile(side));
            builder.tokens_from_map(at, &means, width, coarse)
        }
    };
    builder.layer_norm(&format!("{at}.norm"), &tokens, width, LayerNorm::EPS)
}
