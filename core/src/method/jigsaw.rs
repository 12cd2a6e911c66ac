//! Jigsaw puzzles (Noroozi and Favaro, *Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles*, 2016).
//!
//! The nine tiles of an image are shuffled in one of many orders that are as unlike one another as possible, and the network tells in which:
//! it has to know what parts things have and how they hang together. Nothing is masked.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The paper's idea on a small back-bone, which sees all tiles at once; plain transformers are moved by AdamW. Sizes are such that tiles are
/// whole patches, which a transformer would otherwise see the seams of.
pub const PRESET: Preset = Preset {
    name: "jigsaw",
    summary: "tells in which order an image's tiles were shuffled",
    source: "Noroozi and Favaro, 2016; the optimizer is that of vision transformers",
    backbone: "vit-ti/16",
    sets: &[
        ("data.image", "[240, 240]"),
        ("augment.crop_scale", "[0.4, 1.0]"),
        ("augment.flip", "0.5"),
        // Tiles must not be told apart by the colors that they share with their neighbors.
        ("augment.jitter", "[0.4, 0.4, 0.4, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.3"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "classifier"),
        ("decoder.classes", "100"),
        ("target.kind", "jigsaw"),
        ("objective.kind", "class_cross_entropy"),
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.clip_norm", "3.0"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino")]),
        (ON_SMALL_IMAGES, &[("decoder.classes", "24"), ("optim.base_lr", "1e-3")]),
    ],
};
