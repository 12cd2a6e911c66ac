//! data2vec (Baevski et al., *data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language*, 2022).
//!
//! The running average of the network sees the whole image; the network sees it with mask tokens in hidden places, and one linear layer
//! says what the average makes of these places. Masked: blocks, 60 %; predicted: the mean of the outputs of the average's upper half of
//! blocks, each of them normalized, scored by a smooth L1.

use crate::recipe::Preset;

/// The paper's recipe for images, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "data2vec",
    summary: "predicts what its own running average makes of hidden blocks when it sees the whole image",
    source: "data2vec (Baevski et al., 2022); values of its recipe for images with ViT-B",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.2, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.4, 0.0]"),
        ("mask.kind", "block"),
        // 120 of 196 patches.
        ("mask.ratio", "0.6123"),
        ("mask.min_block", "16"),
        ("backbone.tokens", "mask"),
        ("backbone.drop_path", "0.25"),
        ("decoder.kind", "linear"),
        ("target.kind", "features"),
        ("target.teacher", "average"),
        ("target.layers", "6"),
        ("target.scaling", "layer"),
        ("objective.kind", "smooth_l1"),
        ("objective.beta", "2"),
        ("objective.over", "masked"),
        ("optim.base_lr", "2e-3"),
        ("optim.lr_images", "2048"),
        ("optim.min_lr", "1e-5"),
        ("optim.scale_ends", "true"),
        ("optim.weight_decay", "0.05"),
        ("optim.decay_tokens", "false"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "800"),
        ("optim.clip_norm", "3.0"),
        ("optim.ema", "0.9998"),
    ],
    sets_for: &[(
        "vit",
        &[
            ("backbone.pos", "none"),
            ("backbone.relative", "shared"),
            ("backbone.layer_scale", "1e-4"),
            ("backbone.key_bias", "false"),
            ("backbone.init", "beit"),
        ],
    )],
};
