//! The settings of a PVT.

use super::super::fields::Fields;
use super::{Sets, set};
use crate::backbone::linear::LayerNorm;
use crate::error::Result;

/// The side of the first stage's patches.
///
/// # Errors
/// If the stages cut their maps into others than Maskroom's do.
pub(super) fn patch(fields: &Fields) -> Result<usize> {
    let patches = fields.counts("patch_sizes", 256)?;
    if patches[1..].iter().any(|&side| side != 2) {
        return Err(fields.misfit("patch_sizes", fields.get("patch_sizes"), "2 in every stage but the first"));
    }
    if fields.counts("strides", 256)? != patches {
        return Err(fields.misfit("strides", fields.get("strides"), "the same as patch_sizes: Maskroom's patches do not overlap"));
    }
    Ok(patches[0])
}

/// The sizes of a PVT.
///
/// # Errors
/// Naming the field that is missing, wrong or not supported.
pub(super) fn sizes(fields: &Fields, sets: &mut Sets) -> Result<()> {
    let eps = fields.real_or("layer_norm_eps", LayerNorm::EPS, 0.0..=1.0)?;
    if (eps / LayerNorm::EPS - 1.0).abs() > 1e-6 {
        let why = format!("is {eps:e}, and the norms of Maskroom's PVT add {:e}", LayerNorm::EPS);
        return Err(fields.refused("layer_norm_eps", why, "use a model with that"));
    }
    let depths = fields.counts("depths", 256)?;
    if fields.counts("patch_sizes", 256)?.len() != depths.len() {
        return Err(fields.misfit("patch_sizes", fields.get("patch_sizes"), "as long as depths"));
    }
    if fields.count_or("num_encoder_blocks", depths.len(), 256)? != depths.len() {
        return Err(fields.misfit("num_encoder_blocks", fields.get("num_encoder_blocks"), "as many as depths has"));
    }
    set(sets, "backbone.kind", &"pvt");
    set(sets, "backbone.depths", &format!("{depths:?}"));
    let lists = [
        ("backbone.widths", "hidden_sizes", 16_384),
        ("backbone.heads", "num_attention_heads", 256),
        ("backbone.mlp_ratios", "mlp_ratios", 16),
        ("backbone.reductions", "sequence_reduction_ratios", 64),
    ];
    for (ours, theirs, most) in lists {
        set(sets, ours, &format!("{:?}", fields.counts(theirs, most)?));
    }
    set(sets, "backbone.reduce_by", &"convolution");
    set(sets, "backbone.pos", &"learned");
    set(sets, "backbone.class_token", &true);
    set(sets, "backbone.map_eps", &LayerNorm::EPS);
    Ok(())
}
