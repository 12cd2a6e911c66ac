//! Inpainting (Pathak et al., *Context Encoders: Feature Learning by Inpainting*, 2016), without its adversary.
//!
//! A quarter of the image, one square, is covered by mask tokens, and its pixels are predicted from what surrounds it. The ancestor of masked
//! autoencoders: with one large hole instead of many small ones.

use crate::recipe::Preset;

/// The paper's reconstruction loss on a small back-bone.
pub const PRESET: Preset = Preset {
    name: "inpainting",
    summary: "draws what a square in the image hides",
    source: "Context Encoders (Pathak et al., 2016), the reconstruction loss alone; the network and its optimizer are MAE's",
    backbone: "vit-ti/16",
    sets: &[
        ("mask.kind", "square"),
        ("mask.ratio", "0.25"),
        ("backbone.tokens", "drop"),
        ("target.kind", "pixels"),
        ("target.norm_pix", "false"),
        ("objective.kind", "mse"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1.5e-4"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.95]"),
        ("optim.warmup_epochs", "40"),
        ("optim.epochs", "400"),
    ],
    sets_for: &[],
};
