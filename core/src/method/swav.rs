//! SwAV (Caron et al., *Unsupervised Learning of Visual Features by Contrasting Cluster Assignments*, 2020).
//!
//! An image is cut into two large views and several small ones. The network says of each view which of many prototypes it is like; what it
//! says of a large view is turned into assignments that use all prototypes alike over the batch, and every other view must agree with them.
//! Nothing is masked, nothing is contrasted pair by pair, and there is no second network.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The paper's recipe on a small back-bone. Plain transformers are moved by AdamW, as where DINO's paper compares them; small images get
/// fewer views and prototypes.
pub const PRESET: Preset = Preset {
    name: "swav",
    summary: "views of an image must agree on prototypes, all of which are used alike",
    source: "SwAV (Caron et al., 2020); values of the released code",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.14, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.8, 0.8, 0.8, 0.2]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[0.5, 0.5, 0.5]"),
        ("augment.views", "2"),
        ("augment.local_views", "6"),
        ("augment.local_scale", "[0.05, 0.14]"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "prototypes"),
        ("decoder.prototypes", "3000"),
        ("decoder.layers", "2"),
        ("decoder.hidden", "2048"),
        ("decoder.bottleneck", "128"),
        ("decoder.activation", "relu"),
        ("decoder.batch_norm", "true"),
        ("decoder.lengths", "reset"),
        ("target.kind", "assignments"),
        ("target.teacher", "itself"),
        ("target.balance", "sinkhorn"),
        ("target.temperature", "0.05"),
        ("target.warmup_temperature", "0.05"),
        ("objective.kind", "view_cross_entropy"),
        ("optim.kind", "larc"),
        ("optim.base_lr", "4.8"),
        ("optim.lr_images", "4096"),
        ("optim.min_lr", "4.8e-3"),
        ("optim.warmup_lr", "0.3"),
        ("optim.scale_ends", "true"),
        ("optim.weight_decay", "1e-6"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[
        (
            "vit",
            &[
                ("backbone.pos", "learned"),
                ("backbone.init", "dino"),
                ("optim.kind", "adamw"),
                ("optim.base_lr", "5e-4"),
                ("optim.lr_images", "256"),
                ("optim.min_lr", "1e-6"),
                ("optim.warmup_lr", "0.0"),
                ("optim.scale_ends", "false"),
                ("optim.weight_decay", "0.04"),
                ("optim.betas", "[0.9, 0.999]"),
                ("optim.clip_norm", "3.0"),
            ],
        ),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.local_views", "4"),
                ("augment.local_scale", "[0.05, 0.3]"),
                ("decoder.prototypes", "512"),
                ("decoder.hidden", "512"),
            ],
        ),
    ],
};
