//! UM-MAE (Li et al., *Uniform Masking: Enabling MAE Pre-training for Pyramid-based Vision Transformers with Locality*, 2022).
//!
//! One unit of every 2×2 cell stays visible, so the visible ones are an image of half the size that pyramids encode as any other. Some of
//! them are masked again by a shared token, because evenly spread patches are too easy. Masked: 75 %; predicted: the pixels of these,
//! normalized unit by unit, by MAE's decoder.

use crate::recipe::Preset;

/// The paper's recipe, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "um-mae",
    summary: "packs the visible units, one of every 2x2 cell, into a smaller image for a pyramid, and predicts the pixels of the others",
    source: "Uniform Masking: Enabling MAE Pre-training for Pyramid-based Vision Transformers with Locality (Li et al., 2022)",
    backbone: "swin-t",
    sets: &[
        ("augment.crop_scale", "[0.2, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "uniform"),
        ("mask.secondary", "0.25"),
        ("decoder.kind", "transformer"),
        ("target.kind", "pixels"),
        ("target.norm_pix", "true"),
        ("objective.kind", "mse"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1.5e-4"),
        ("optim.min_lr", "0.0"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.95]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "200"),
    ],
    sets_for: &[
        ("vit", &[("backbone.tokens", "drop"), ("backbone.pos", "sincos")]),
        ("swin", &[("backbone.tokens", "compact"), ("backbone.positions", "network"), ("backbone.window", "8")]),
        (
            "pvt",
            &[
                ("backbone.tokens", "compact"),
                ("backbone.reduce_by", "mean"),
                ("backbone.pos", "sincos"),
                ("backbone.class_token", "false"),
            ],
        ),
    ],
};
