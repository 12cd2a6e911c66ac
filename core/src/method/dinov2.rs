//! DINOv2 (Oquab et al., *DINOv2: Learning Robust Visual Features without Supervision*, 2023).
//!
//! What iBOT asks, views and hidden patches, and one thing more: features of the images of a batch keep their distance from their nearest
//! neighbors, so that they use the room there is. Registers (Darcet et al., *Vision Transformers Need Registers*, 2023) give the network tokens
//! of its own, and patches keep their attention for what they show.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The released defaults for ImageNet on a small back-bone, whose head is one for views and patches and whose answers are centered; its large
/// models have `decoder.patches = "own"` and `target.balance = "sinkhorn"`. The released rate grows with the root of the batch, here with the
/// batch, and falls from block to block, here not; nor are branches of all blocks dropped alike. Small images get what DINO gets on them.
pub const PRESET: Preset = Preset {
    name: "dinov2",
    summary: "iBOT whose features keep their distance in a batch, with registers",
    source: "DINOv2 (Oquab et al., 2023); defaults of the released code",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.32, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.2, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[1.0, 0.1, 0.5]"),
        ("augment.solarize", "[0.0, 0.2, 0.0]"),
        ("augment.views", "2"),
        ("augment.local_views", "8"),
        ("augment.local_scale", "[0.05, 0.32]"),
        ("mask.kind", "block"),
        ("mask.ratio", "0.3"),
        ("backbone.drop_path", "0.3"),
        ("decoder.kind", "prototypes"),
        ("decoder.patches", "shared"),
        ("target.kind", "assignments"),
        ("target.warmup_temperature", "0.04"),
        ("target.temperature", "0.07"),
        ("target.patch_warmup_temperature", "0.04"),
        ("target.patch_temperature", "0.07"),
        ("target.warmup_epochs", "30"),
        ("target.masked_chance", "0.5"),
        ("target.ratio_spread", "0.2"),
        ("objective.kind", "view_cross_entropy"),
        ("objective.koleo", "0.1"),
        ("optim.base_lr", "4e-3"),
        ("optim.lr_images", "1024"),
        ("optim.min_lr", "1e-6"),
        ("optim.weight_decay", "0.04"),
        ("optim.weight_decay_end", "0.4"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
        ("optim.clip_norm", "3.0"),
        ("optim.ema", "0.992"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino"), ("backbone.layer_scale", "1e-5"), ("backbone.registers", "4")]),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.crop_scale", "[0.5, 1.0]"),
                ("augment.jitter", "[0.2, 0.2, 0.1, 0.05]"),
                ("augment.local_views", "4"),
                ("augment.local_scale", "[0.15, 0.5]"),
                ("mask.min_block", "4"),
                ("backbone.drop_path", "0.0"),
                ("backbone.layer_scale", "0.0"),
                ("decoder.prototypes", "512"),
                ("decoder.hidden", "512"),
                ("decoder.bottleneck", "64"),
                ("target.temperature", "0.03"),
                ("target.warmup_temperature", "0.03"),
                ("target.patch_temperature", "0.04"),
                ("target.warmup_epochs", "0"),
                ("optim.base_lr", "8e-3"),
                ("optim.ema", "0.99"),
            ],
        ),
    ],
};
