//! A plain vision transformer as operators.

use super::Encoded;
use super::builder::Builder;
use super::transformer::BlockSizes;
use crate::backbone::rotary;
use crate::backbone::score_bias::{num_rows, rows_of_pairs};
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::error::Result;

/// From normalized pixels to what leaves the final norm.
///
/// # Errors
/// If the weights are not those of such a network.
pub fn encode(builder: &mut Builder<'_>, config: &VitConfig, pixels: &str) -> Result<Encoded> {
    // All of its sizes, so that one more cannot be forgotten here.
    let &VitConfig {
        grid,
        channels,
        patch,
        width,
        depth,
        heads,
        mlp_ratio,
        activation,
        has_class_token: _,
        registers: _,
        positions,
        rope_base,
        resizing: _,
        relative,
        layer_scale,
        key_bias,
        init: _,
        eps,
        drop_path: _,
        recompute: _,
    } = config;
    let (prefix, patches) = (config.num_prefix(), grid[0] * grid[1]);
    let tokens = prefix + patches;
    let sizes = BlockSizes {
        leading: 1,
        tokens,
        width,
        heads,
        hidden: (width as f64 * mlp_ratio) as usize,
        activation,
        eps,
        key_bias,
        layer_scale: layer_scale > 0.0,
    };
    let embedded = builder.patches("patch_embed.proj", pixels, [channels, width, patch], grid)?;
    let table = table(builder, config)?;
    let mut x = builder.placed("pos_embed", &embedded, table, [prefix, width])?;
    let shared = match relative {
        Relative::Shared => vec![score_bias(builder, "rel_pos_bias", grid, [prefix, heads])?],
        Relative::Absent | Relative::Own => Vec::new(),
    };
    let turns = (positions == Positions::Rotary).then(|| turns(builder, grid, prefix, width / heads, rope_base));
    let mut attention = None;
    for index in 0..depth {
        let at = format!("blocks.{index}");
        let added = match relative {
            Relative::Own => vec![score_bias(builder, &format!("{at}.attn.rel_pos_bias"), grid, [prefix, heads])?],
            Relative::Absent | Relative::Shared => shared.clone(),
        };
        let output = builder.block(&at, &x, &sizes, &added, turns.as_ref())?;
        (x, attention) = (output.tokens, Some((output.probabilities, heads)));
    }
    Ok(Encoded {
        features: builder.layer_norm("norm", &x, width, eps)?,
        tokens,
        width,
        prefix,
        attention: attention.filter(|_| config.has_class_token),
    })
}

/// What stands in the places of class token and registers, and is added to patches: `[prefix + N, D]`.
fn table(builder: &mut Builder<'_>, config: &VitConfig) -> Result<Vec<f32>> {
    let (width, registers, patches) = (config.width, config.registers, config.grid[0] * config.grid[1]);
    let mut table = builder.take("pos_embed", &[1, 1 + patches, width])?;
    if !config.has_class_token {
        table.drain(..width);
        return Ok(table);
    }
    let class = builder.take("cls_token", &[1, 1, width])?;
    table.iter_mut().zip(class).for_each(|(sum, value)| *sum += value);
    if registers > 0 {
        table.splice(width..width, builder.take("reg_token", &[1, registers, width])?);
    }
    Ok(table)
}

/// Cosines and sines of rotary positions: `[prefix + N, 1, d / 2]` each.
fn turns(builder: &mut Builder<'_>, grid: [usize; 2], prefix: usize, head: usize, base: f64) -> [String; 2] {
    let (table, patches, half) = (rotary::turns(grid, head, base), grid[0] * grid[1], head / 2);
    [("rope.cos", 0), ("rope.sin", half)].map(|(name, first)| {
        // The table begins with what has no place.
        let rows = std::iter::repeat_n(0, prefix).chain(1..=patches);
        let values = rows.flat_map(|row| table[row * head + first..][..half].iter().copied()).collect();
        builder.constant(name, &[prefix + patches, 1, half], values)
    })
}

/// What is added to the scores of each pair of tokens: `[1, heads, 1 + N, 1 + N]`.
fn score_bias(builder: &mut Builder<'_>, at: &str, grid: [usize; 2], [prefix, heads]: [usize; 2]) -> Result<String> {
    let numbers = builder.take(&format!("{at}.relative_position_bias_table"), &[num_rows(grid), heads])?;
    let tokens = prefix + grid[0] * grid[1];
    let bias = by_head(&numbers, &rows_of_pairs(grid, prefix), heads);
    builder.learned(at, &[1, heads, tokens, tokens], bias)
}

/// The numbers of all pairs, head by head. Shapes: `numbers [T, heads]`, `rows [pairs]` to `[heads, pairs]`.
pub(super) fn by_head(numbers: &[f32], rows: &[i32], heads: usize) -> Vec<f32> {
    (0..heads).flat_map(|head| rows.iter().map(move |&row| numbers[row as usize * heads + head])).collect()
}
