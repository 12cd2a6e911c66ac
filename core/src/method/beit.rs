//! BEiT (Bao et al., *BEiT: BERT Pre-Training of Image Transformers*, 2021).
//!
//! A tokenizer has turned every patch into one of a few thousand visual words. The encoder sees the image with mask tokens in hidden
//! places and says which words belong there. Masked: blocks, about 40 %; predicted: the classes of the hidden patches.

use crate::recipe::Preset;

/// The paper's recipe, on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "beit",
    summary: "predicts which visual words belong into hidden blocks; needs a tokenizer, see `maskroom tokenizer train`",
    source: "BEiT: BERT Pre-Training of Image Transformers (Bao et al., 2022); values of its pre-training recipe",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.08, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.4, 0.0]"),
        ("mask.kind", "block"),
        // 75 of 196 patches.
        ("mask.ratio", "0.3827"),
        ("mask.min_block", "16"),
        ("backbone.tokens", "mask"),
        ("backbone.drop_path", "0.1"),
        ("decoder.kind", "linear"),
        ("target.kind", "tokens"),
        ("objective.kind", "cross_entropy"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1.5e-3"),
        // Whatever the batch; the paper's is 2048.
        ("optim.lr_images", "0"),
        ("optim.min_lr", "1e-5"),
        ("optim.weight_decay", "0.05"),
        ("optim.decay_tokens", "false"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "10"),
        ("optim.epochs", "800"),
        ("optim.clip_norm", "3.0"),
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
            ],
        ),
        ("vit-l", &[("backbone.layer_scale", "1e-5")]),
    ],
};
