//! What the settings of DINOv2 and DINOv3 say that those of other plain transformers do not.

use super::super::fields::Fields;
use super::{Family, Images, Sets, exact_ratio, mlp_ratio, set, transformer};
use crate::error::Result;

/// Factors of branches that start at nothing would stay there.
const LEAST_SCALE: f64 = 1e-6;

/// What DINOv2 has, with or without registers. Its code resizes the table of positions differently in the two cases.
pub(super) fn dinov2(fields: &Fields, images: Images, has_registers: bool, sets: &mut Sets) -> Result<()> {
    let width = fields.count("hidden_size", 16_384)?;
    let whole = (width as f64 * fields.real_or("mlp_ratio", 4.0, 0.25..=16.0)?) as usize;
    // A gate takes as many numbers again: two thirds of them are left, rounded up to a multiple of 8.
    let hidden = if fields.flag_or("use_swiglu_ffn", false)? { (whole * 2 / 3).next_multiple_of(8) } else { whole };
    transformer(fields, images, width, exact_ratio(hidden, width), 1e-6, sets)?;
    let registers = if has_registers { fields.count_from_zero("num_register_tokens", 4, 64)? } else { 0 };
    set(sets, "backbone.registers", &registers);
    set(sets, "backbone.pos", &"learned");
    set(sets, "backbone.pos_resize", &if has_registers { "antialiased" } else { "bicubic" });
    factors(fields, sets)
}

/// What DINOv3 has.
pub(super) fn dinov3(fields: &Fields, images: Images, sets: &mut Sets) -> Result<()> {
    let width = fields.count("hidden_size", 16_384)?;
    transformer(fields, images, width, mlp_ratio(fields, "intermediate_size", width)?, 1e-5, sets)?;
    set(sets, "backbone.registers", &fields.count_from_zero("num_register_tokens", 0, 64)?);
    set(sets, "backbone.pos", &"rope");
    set(sets, "backbone.rope_base", &fields.real_or("rope_theta", 100.0, 1.0..=1e6)?);
    factors(fields, sets)
}

fn factors(fields: &Fields, sets: &mut Sets) -> Result<()> {
    set(sets, "backbone.relative", &"none");
    set(sets, "backbone.layer_scale", &fields.real_or("layerscale_value", 1.0, -10.0..=10.0)?.max(LEAST_SCALE));
    Ok(())
}

/// What lies between the layers of an MLP, as `backbone.mlp` names it.
pub(super) fn activation(fields: &Fields, family: Family) -> Result<&'static str> {
    let gated = match family {
        Family::Dinov2 { .. } => fields.flag_or("use_swiglu_ffn", false)?,
        Family::Dinov3 => fields.flag_or("use_gated_mlp", false)?,
        _ => false,
    };
    let own = match fields.get("hidden_act") {
        None => Some("gelu"),
        Some(value) => value.as_str(),
    };
    match (gated, family, own) {
        // Its gate is always this one.
        (true, Family::Dinov2 { .. }, _) | (true, _, Some("silu" | "swish")) => Ok("swiglu"),
        (true, _, Some("gelu")) => Ok("geglu"),
        (false, _, Some("gelu")) => Ok("gelu"),
        (gated, ..) => {
            let wanted = if gated { "\"silu\" or \"gelu\"" } else { "\"gelu\"" };
            Err(fields.misfit("hidden_act", fields.get("hidden_act"), &format!("{wanted}: Maskroom's blocks have no other activation")))
        }
    }
}
