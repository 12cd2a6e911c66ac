//! I-JEPA (Assran et al., *Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture*, 2023).
//!
//! The encoder sees a large part of the image and nothing else. A small transformer says, for one block at a time, what the encoder's
//! running average makes of a place when it sees the whole image. Masked: four blocks, a sixth of the image each; predicted: the average's
//! features there, each normalized, scored by a smooth L1. No augmentation but crops.
//!
//! Unlike the paper's encoder, this one has a class token, which nothing is predicted from; `backbone.class_token = false` leaves it out.

use crate::recipe::Preset;

/// The paper's recipe, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "ijepa",
    summary: "predicts, block by block, what its own running average makes of what it does not see",
    source: "I-JEPA (Assran et al., 2023); values of its recipe for 300 epochs, whose average slows down in a straight line",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.3, 1.0]"),
        ("augment.flip", "0"),
        ("mask.kind", "multi_block"),
        ("backbone.tokens", "drop"),
        ("decoder.kind", "transformer"),
        ("target.kind", "features"),
        ("target.teacher", "average"),
        ("target.layers", "1"),
        ("target.scaling", "layer"),
        ("objective.kind", "smooth_l1"),
        ("objective.beta", "1"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1e-3"),
        ("optim.lr_images", "2048"),
        ("optim.warmup_lr", "2e-4"),
        ("optim.min_lr", "1e-6"),
        ("optim.scale_ends", "true"),
        ("optim.weight_decay", "0.04"),
        ("optim.weight_decay_end", "0.4"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "40"),
        ("optim.epochs", "300"),
        ("optim.ema", "0.996"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[
        ("vit", &[("backbone.init", "dino")]),
        ("vit-b", &[("decoder.width", "384"), ("decoder.depth", "12"), ("decoder.heads", "12")]),
        ("vit-l", &[("decoder.width", "384"), ("decoder.depth", "12"), ("decoder.heads", "16")]),
        ("vit-h", &[("decoder.width", "384"), ("decoder.depth", "12"), ("decoder.heads", "16")]),
    ],
};
