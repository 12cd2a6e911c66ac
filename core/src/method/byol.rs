//! BYOL (Grill et al., *Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning*, 2020).
//!
//! The network sees one view of an image, its running average another, and a small MLP predicts from the network's answer what the average's
//! is. No image is ever told from another, and still the answers do not all become one: without the MLP they do.

use crate::recipe::{ON_SMALL_IMAGES, Preset, RESNET_ON_SMALL_IMAGES};

/// The paper's recipe of 100 epochs on a small back-bone. Plain transformers are moved by AdamW, as in MoCo v3's paper.
pub const PRESET: Preset = Preset {
    name: "byol",
    summary: "predicts what its running average makes of another view, and tells no images apart",
    source: "BYOL (Grill et al., 2020); values of the paper for 100 epochs",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.08, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.2, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[1.0, 0.1, 0.0]"),
        ("augment.solarize", "[0.0, 0.2, 0.0]"),
        ("augment.views", "2"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "projector"),
        ("decoder.layers", "2"),
        ("decoder.hidden", "4096"),
        ("decoder.width", "256"),
        ("decoder.bias", "true"),
        ("decoder.predictor_layers", "2"),
        ("decoder.predictor_hidden", "4096"),
        ("target.kind", "views"),
        ("target.teacher", "average"),
        ("objective.kind", "view_cosine"),
        ("objective.form", "distance"),
        ("optim.kind", "lars"),
        ("optim.base_lr", "0.45"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "1e-6"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
        ("optim.ema", "0.99"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[
        (
            "vit",
            &[
                ("backbone.init", "dino"),
                ("optim.kind", "adamw"),
                ("optim.base_lr", "1.5e-4"),
                ("optim.weight_decay", "0.1"),
                ("optim.betas", "[0.9, 0.999]"),
                ("optim.clip_norm", "3.0"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.crop_scale", "[0.2, 1.0]"),
                ("augment.blur", "[0.0, 0.0, 0.0]"),
                ("decoder.hidden", "512"),
                ("decoder.predictor_hidden", "512"),
                ("optim.base_lr", "5e-4"),
            ],
        ),
        (RESNET_ON_SMALL_IMAGES, &[("optim.base_lr", "0.45")]),
    ],
};
