//! Rotation prediction (Gidaris, Singh and Komodakis, *Unsupervised Representation Learning by Predicting Image Rotations*, 2018).
//!
//! Every image is shown four times, each time turned by another quarter, and the network tells how far: it has to know what is above and
//! what below. Nothing is masked.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The paper's idea on a small back-bone; plain transformers are moved by AdamW.
pub const PRESET: Preset = Preset {
    name: "rotation",
    summary: "tells by how many quarters an image was turned",
    source: "Gidaris, Singh and Komodakis, 2018; the optimizer is that of vision transformers",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.4, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "classifier"),
        ("decoder.classes", "4"),
        ("target.kind", "rotation"),
        ("objective.kind", "class_cross_entropy"),
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.clip_norm", "3.0"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino")]), (ON_SMALL_IMAGES, &[("optim.base_lr", "1e-3")])],
};
