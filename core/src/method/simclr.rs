//! SimCLR (Chen et al., *A Simple Framework for Contrastive Learning of Visual Representations*, 2020).
//!
//! Two views are cut out of every image of a batch, and their colors changed strongly. The network must tell, for each view, which of all
//! other views in the batch is of the same image. Nothing is masked and there is no second network; the batch has to be large.

use crate::recipe::{ON_SMALL_IMAGES, Preset, RESNET_ON_SMALL_IMAGES};

/// The paper's recipe on a small back-bone. Plain transformers are moved by AdamW, as in MoCo v3's paper.
pub const PRESET: Preset = Preset {
    name: "simclr",
    summary: "tells which of all views in a batch is of the same image",
    source: "SimCLR (Chen et al., 2020); values of the paper and the released code",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.08, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.8, 0.8, 0.8, 0.2]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[0.5, 0.5, 0.0]"),
        ("augment.views", "2"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "projector"),
        ("decoder.layers", "3"),
        ("decoder.hidden", "2048"),
        ("decoder.width", "128"),
        ("decoder.bias", "false"),
        ("decoder.last_norm", "scale"),
        ("target.kind", "views"),
        ("target.teacher", "none"),
        ("objective.kind", "info_nce"),
        ("objective.among", "views"),
        ("objective.temperature", "0.1"),
        ("optim.kind", "lars"),
        ("optim.base_lr", "0.3"),
        ("optim.lr_images", "256"),
        ("optim.weight_decay", "1e-6"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[
        (
            "vit",
            &[
                ("backbone.init", "dino"),
                ("optim.kind", "adamw"),
                ("optim.base_lr", "5e-4"),
                ("optim.weight_decay", "0.1"),
                ("optim.betas", "[0.9, 0.999]"),
                ("optim.clip_norm", "3.0"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.crop_scale", "[0.2, 1.0]"),
                ("augment.jitter", "[0.4, 0.4, 0.4, 0.1]"),
                ("augment.blur", "[0.0, 0.0, 0.0]"),
                ("decoder.hidden", "512"),
                ("objective.temperature", "0.5"),
                ("optim.batch", "256"),
            ],
        ),
        ("resnet", &[("backbone.zero_init", "true")]),
        (RESNET_ON_SMALL_IMAGES, &[("optim.base_lr", "0.5")]),
    ],
};
