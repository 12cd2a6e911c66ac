//! MAE (He et al., *Masked Autoencoders Are Scalable Vision Learners*, 2021).
//!
//! Most patches of an image are dropped and a ViT encodes only the rest. A small second transformer gets the encoded patches, and a
//! learned mask token in each place where one is missing, and draws the missing pixels. Masked: a random 75 %; predicted: their pixels,
//! normalized patch by patch.

use crate::recipe::Preset;

/// The paper's recipe, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "mae",
    summary: "hides most patches, encodes the rest, and predicts the pixels of the hidden ones",
    source: "Masked Autoencoders Are Scalable Vision Learners (He et al., 2022); values of its pre-training recipe, on a small back-bone",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.2, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.75"),
        ("backbone.pos", "sincos"),
        ("backbone.tokens", "drop"),
        ("decoder.kind", "transformer"),
        ("target.kind", "pixels"),
        ("target.norm_pix", "true"),
        ("objective.kind", "mse"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1.5e-4"),
        ("optim.min_lr", "0.0"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.95]"),
        ("optim.warmup_epochs", "40"),
        ("optim.epochs", "800"),
    ],
    sets_for: &[],
};
