//! MoCo v2 and v3 (Chen et al., *Improved Baselines with Momentum Contrastive Learning*, 2020; Chen, Xie and He, *An Empirical Study of
//! Training Self-Supervised Vision Transformers*, 2021).
//!
//! The network sees one view of an image, its running average another. The network must tell the average's answer for the same image from
//! its answers for others: in version 2 those of many earlier batches, kept in a queue, in version 3 those of the same batch, and both ways,
//! after a small MLP has predicted them. Nothing is masked.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// Version 2, on a small back-bone. Plain transformers are moved by AdamW.
pub const V2: Preset = Preset {
    name: "moco-v2",
    summary: "tells the running average's answer for the same image from a queue of earlier ones",
    source: "MoCo v2 (Chen et al., 2020); values of the released code",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.2, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.4, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[0.5, 0.5, 0.0]"),
        ("augment.views", "2"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "projector"),
        ("decoder.layers", "2"),
        ("decoder.hidden", "2048"),
        ("decoder.width", "128"),
        ("decoder.batch_norm", "false"),
        ("decoder.bias", "true"),
        ("target.kind", "views"),
        ("target.teacher", "average"),
        ("target.queue", "65536"),
        ("objective.kind", "info_nce"),
        ("objective.among", "earlier"),
        ("objective.temperature", "0.2"),
        ("optim.kind", "sgd"),
        ("optim.base_lr", "0.03"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "1e-4"),
        ("optim.warmup_epochs", "0"),
        ("optim.epochs", "200"),
        ("optim.ema", "0.999"),
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
                ("optim.warmup_epochs", "10"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.blur", "[0.0, 0.0, 0.0]"),
                ("decoder.hidden", "512"),
                ("target.queue", "4096"),
                ("objective.temperature", "0.1"),
                ("optim.base_lr", "5e-4"),
                ("optim.ema", "0.99"),
            ],
        ),
    ],
};

/// Version 3, which was made for vision transformers.
pub const V3: Preset = Preset {
    name: "moco-v3",
    summary: "predicts the running average's answer so that it is told from the batch's others",
    source: "MoCo v3 (Chen, Xie and He, 2021); values of the released code for ViTs",
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
        ("decoder.layers", "3"),
        ("decoder.hidden", "4096"),
        ("decoder.width", "256"),
        ("decoder.bias", "false"),
        ("decoder.last_norm", "plain"),
        ("decoder.predictor_layers", "2"),
        ("decoder.predictor_hidden", "4096"),
        ("decoder.predictor_norm", "plain"),
        ("target.kind", "views"),
        ("target.teacher", "average"),
        ("objective.kind", "info_nce"),
        ("objective.among", "batch"),
        ("objective.temperature", "0.2"),
        ("optim.base_lr", "1.5e-4"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "0.1"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "40"),
        ("optim.epochs", "300"),
        ("optim.frozen", "[\"patch_embed\"]"),
        ("optim.ema", "0.99"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[(
        ON_SMALL_IMAGES,
        &[
            ("augment.crop_scale", "[0.2, 1.0]"),
            ("augment.blur", "[0.0, 0.0, 0.0]"),
            ("decoder.hidden", "512"),
            ("decoder.predictor_hidden", "512"),
            ("optim.base_lr", "5e-4"),
        ],
    )],
};
