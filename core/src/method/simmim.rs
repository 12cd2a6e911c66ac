//! SimMIM (Xie et al., *SimMIM: a Simple Framework for Masked Image Modeling*, 2021).
//!
//! The encoder sees the whole image, with a learned mask token in the place of every hidden patch, so that any back-bone will do. One
//! linear layer draws the pixels. Masked: 60 % of units that are larger than the patches; predicted: their pixels, scored by L1.

use crate::recipe::Preset;

/// The paper's recipe for 100 epochs, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "simmim",
    summary: "shows the encoder a mask token in every hidden place, and predicts pixels with one linear layer",
    source: "SimMIM: a Simple Framework for Masked Image Modeling (Xie et al., 2022); values of its 100-epoch recipe",
    backbone: "swin-t",
    sets: &[
        ("augment.crop_scale", "[0.67, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "patch_aligned"),
        ("mask.ratio", "0.6"),
        ("backbone.tokens", "mask"),
        ("decoder.kind", "linear"),
        ("target.kind", "pixels"),
        ("target.norm_pix", "false"),
        ("objective.kind", "l1"),
        ("objective.over", "masked"),
        ("optim.base_lr", "2e-4"),
        ("optim.lr_images", "512"),
        ("optim.warmup_lr", "1e-6"),
        ("optim.min_lr", "1e-5"),
        ("optim.scale_ends", "true"),
        ("optim.weight_decay", "0.05"),
        ("optim.decay_tokens", "false"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "100"),
        ("optim.clip_norm", "5.0"),
    ],
    sets_for: &[
        (
            "vit",
            &[
                ("backbone.pos", "none"),
                ("backbone.relative", "shared"),
                ("backbone.layer_scale", "0.1"),
                ("backbone.key_bias", "false"),
                ("backbone.init", "beit"),
                ("backbone.drop_path", "0.1"),
            ],
        ),
        ("swin", &[("data.image", "[192, 192]")]),
        ("swin-l", &[("backbone.window", "12")]),
        ("pvt", &[("data.image", "[192, 192]")]),
    ],
};
