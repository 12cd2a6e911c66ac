//! DINO (Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, 2021).
//!
//! An image is cut into two large views and several small ones. The network says of each view which of many prototypes it is like, and
//! must say what its own running average says of the other large views; the average's answers are centered, so that not one prototype
//! wins them all, and sharpened, so that not all stay alike. Nothing is masked; attention of the last block finds objects by itself.

use crate::recipe::{ON_SMALL_IMAGES, Preset, RESNET_ON_SMALL_IMAGES};

/// The paper's recipe on a small back-bone. Small images get the changes that small data needs: with the published values, answers stay at
/// all prototypes alike for the few hundred steps that such a training has, on toy scenes at least; sharper answers in fewer dimensions about
/// more of the image do not.
pub const PRESET: Preset = Preset {
    name: "dino",
    summary: "says of small views what its running average says of large ones; its attention finds objects",
    source: "DINO (Caron et al., 2021); values of the released code for ViTs",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.4, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.2, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[1.0, 0.1, 0.5]"),
        ("augment.solarize", "[0.0, 0.2, 0.0]"),
        ("augment.views", "2"),
        ("augment.local_views", "8"),
        ("augment.local_scale", "[0.05, 0.4]"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("backbone.drop_path", "0.1"),
        ("decoder.kind", "prototypes"),
        ("target.kind", "assignments"),
        ("objective.kind", "view_cross_entropy"),
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.min_lr", "1e-6"),
        ("optim.schedule", "dino"),
        ("optim.weight_decay", "0.04"),
        ("optim.weight_decay_end", "0.4"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
        ("optim.clip_norm", "3.0"),
        ("optim.clip", "tensor"),
        ("optim.ema", "0.996"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino")]),
        (
            "resnet",
            &[
                ("augment.crop_scale", "[0.14, 1.0]"),
                ("augment.local_scale", "[0.05, 0.14]"),
                ("optim.kind", "sgd"),
                ("optim.base_lr", "0.03"),
                ("optim.weight_decay", "1e-4"),
                ("optim.weight_decay_end", "1e-4"),
                ("optim.clip_norm", "0.0"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.crop_scale", "[0.5, 1.0]"),
                ("augment.jitter", "[0.2, 0.2, 0.1, 0.05]"),
                ("augment.local_views", "4"),
                ("augment.local_scale", "[0.15, 0.5]"),
                ("backbone.drop_path", "0.0"),
                ("decoder.prototypes", "512"),
                ("decoder.hidden", "512"),
                ("decoder.bottleneck", "64"),
                ("target.temperature", "0.03"),
                ("target.warmup_temperature", "0.03"),
                ("optim.base_lr", "2e-3"),
                ("optim.ema", "0.99"),
            ],
        ),
        (RESNET_ON_SMALL_IMAGES, &[("optim.base_lr", "0.03")]),
    ],
};
