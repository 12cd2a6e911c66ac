//! iBOT (Zhou et al., *iBOT: Image BERT Pre-Training with Online Tokenizer*, 2021).
//!
//! What DINO asks of views is asked here as well, and of single patches besides: parts of the large views are hidden from the network, a
//! learned token in their place, and it must say of each hidden patch which prototypes its running average, which sees everything, finds there.
//! Blocks are hidden in half of the views; answers to whole views and to patches come from one head, and each have a center of their own.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The released recipe of small transformers on a small back-bone: prototypes' lengths are learned, and temperatures rise. Its center of patches
/// follows all patches, and here those that are hidden, as in DINOv2. Small images get what DINO gets on them.
pub const PRESET: Preset = Preset {
    name: "ibot",
    summary: "DINO, and says of hidden patches what its running average sees there",
    source: "iBOT (Zhou et al., 2021); values of the released code for ViT-S",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.25, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.2, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[1.0, 0.1, 0.5]"),
        ("augment.solarize", "[0.0, 0.2, 0.0]"),
        ("augment.views", "2"),
        ("augment.local_views", "10"),
        ("augment.local_scale", "[0.05, 0.25]"),
        ("mask.kind", "block"),
        ("mask.ratio", "0.3"),
        ("backbone.drop_path", "0.1"),
        ("decoder.kind", "prototypes"),
        ("decoder.prototypes", "8192"),
        ("decoder.lengths", "free"),
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
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.min_lr", "1e-6"),
        ("optim.schedule", "dino"),
        ("optim.weight_decay", "0.04"),
        ("optim.weight_decay_end", "0.4"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "800"),
        ("optim.clip_norm", "3.0"),
        ("optim.clip", "tensor"),
        ("optim.ema", "0.996"),
        ("optim.ema_end", "1.0"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino")]),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.crop_scale", "[0.5, 1.0]"),
                ("augment.jitter", "[0.2, 0.2, 0.1, 0.05]"),
                ("augment.local_views", "4"),
                ("augment.local_scale", "[0.15, 0.5]"),
                ("mask.min_block", "4"),
                ("backbone.drop_path", "0.0"),
                ("decoder.prototypes", "512"),
                ("decoder.hidden", "512"),
                ("decoder.bottleneck", "64"),
                ("decoder.lengths", "one"),
                ("target.temperature", "0.03"),
                ("target.warmup_temperature", "0.03"),
                ("target.patch_temperature", "0.04"),
                ("target.patch_warmup_temperature", "0.04"),
                ("target.warmup_epochs", "0"),
                ("optim.base_lr", "2e-3"),
                ("optim.ema", "0.99"),
                ("optim.epochs", "100"),
            ],
        ),
    ],
};
