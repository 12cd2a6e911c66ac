//! SimSiam (Chen and He, *Exploring Simple Siamese Representation Learning*, 2020).
//!
//! Both views go through the same network, and a small MLP predicts from the answer to one what the answer to the other is. That answer is
//! taken as it is and teaches nothing back; were it taught too, all answers would become one.

use crate::recipe::{ON_SMALL_IMAGES, Preset, RESNET_ON_SMALL_IMAGES};

/// The paper's recipe on a small back-bone. Plain transformers are moved by AdamW, which knows no steady rates.
pub const PRESET: Preset = Preset {
    name: "simsiam",
    summary: "predicts its own answer to another view, without negatives and without a second network",
    source: "SimSiam (Chen and He, 2020); values of the released code",
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
        ("decoder.layers", "3"),
        ("decoder.hidden", "2048"),
        ("decoder.width", "2048"),
        ("decoder.bias", "true"),
        ("decoder.last_norm", "plain"),
        ("decoder.predictor_layers", "2"),
        ("decoder.predictor_hidden", "512"),
        ("target.kind", "views"),
        ("target.teacher", "itself"),
        ("objective.kind", "view_cosine"),
        ("objective.form", "likeness"),
        ("optim.kind", "sgd"),
        ("optim.base_lr", "0.05"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "1e-4"),
        ("optim.warmup_epochs", "0"),
        ("optim.epochs", "100"),
        ("optim.steady", "[\"head.predictor\"]"),
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
                ("optim.steady", "[]"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.blur", "[0.0, 0.0, 0.0]"),
                ("decoder.hidden", "512"),
                ("decoder.width", "512"),
                ("decoder.predictor_hidden", "128"),
                ("optim.base_lr", "5e-4"),
            ],
        ),
        ("resnet", &[("backbone.zero_init", "true")]),
        (RESNET_ON_SMALL_IMAGES, &[("optim.base_lr", "0.03"), ("optim.weight_decay", "5e-4")]),
    ],
};
