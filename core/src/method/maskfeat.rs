//! MaskFeat (Wei et al., *Masked Feature Prediction for Self-Supervised Visual Pre-Training*, 2021).
//!
//! The encoder sees the image with mask tokens in hidden places, and one linear layer says how edges run there: a histogram of oriented
//! gradients instead of colors. Masked: blocks, 40 %; predicted: HOG, scored by the squared error.

use crate::recipe::Preset;

/// The paper's recipe for images, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "maskfeat",
    summary: "predicts histograms of oriented gradients in hidden blocks",
    source: "Masked Feature Prediction for Self-Supervised Visual Pre-Training (Wei et al., 2022); values of its 300-epoch recipe for images",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.5, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "block"),
        ("mask.ratio", "0.4"),
        ("backbone.tokens", "mask"),
        ("decoder.kind", "linear"),
        ("target.kind", "hog"),
        ("objective.kind", "mse"),
        ("objective.over", "masked"),
        ("optim.base_lr", "2e-4"),
        ("optim.lr_images", "256"),
        ("optim.warmup_lr", "1e-6"),
        ("optim.min_lr", "1e-6"),
        ("optim.scale_ends", "true"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "30"),
        ("optim.epochs", "300"),
        ("optim.clip_norm", "0.02"),
    ],
    sets_for: &[("vit", &[("backbone.pos", "learned"), ("backbone.init", "maskfeat")])],
};
