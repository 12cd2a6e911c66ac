//! Presets: what a method's name and a back-bone's name fill in.

/// A method's preset.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The method's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The paper and where its values come from.
    pub source: &'static str,
    /// The settings it insists on, `key` and TOML value; everything else is the stages' defaults and the back-bone's sizes.
    pub sets: &'static [(&'static str, &'static str)],
}

/// Every method that recipes may name.
pub static METHODS: &[Preset] = &[Preset {
    name: "mae",
    summary: "hides most patches, encodes the rest, and predicts the pixels of the hidden ones",
    source: "Masked Autoencoders Are Scalable Vision Learners (He et al., 2022); values of its pre-training recipe, on a small back-bone",
    sets: &[
        ("augment.crop_scale", "[0.2, 1.0]"),
        ("augment.flip", "0.5"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.75"),
        ("backbone.preset", "vit-ti/16"),
        ("backbone.pos", "sincos"),
        ("backbone.tokens", "drop"),
        ("target.kind", "pixels"),
        ("target.norm_pix", "true"),
        ("objective.kind", "mse"),
        ("objective.over", "masked"),
        ("optim.base_lr", "1.5e-4"),
        ("optim.min_lr", "0.0"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.95]"),
        ("optim.warmup_epochs", "40"),
        ("optim.epochs", "800"),
    ],
}];

/// What a back-bone's name fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// P, in pixels.
    pub patch: usize,
    /// H = W, in pixels; a multiple of the patch.
    pub image: usize,
    /// D.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// The decoder's width, depth and heads.
    pub decoder: [usize; 3],
}

const fn sizes(patch: usize, image: usize, [width, depth, heads]: [usize; 3], decoder: [usize; 3]) -> Sizes {
    Sizes { patch, image, width, depth, heads, decoder }
}

/// Names without the patch, and the sizes at the usual patch.
const BACKBONES: &[(&str, Sizes)] = &[
    ("vit-nano", sizes(4, 32, [96, 4, 3], [64, 1, 2])),
    ("vit-micro", sizes(4, 32, [128, 6, 4], [96, 2, 3])),
    ("vit-ti", sizes(16, 224, [192, 12, 3], [128, 2, 4])),
    ("vit-s", sizes(16, 224, [384, 12, 6], [256, 4, 8])),
    ("vit-b", sizes(16, 224, [768, 12, 12], [512, 8, 16])),
    ("vit-l", sizes(16, 224, [1024, 24, 16], [512, 8, 16])),
    ("vit-h", sizes(14, 224, [1280, 32, 16], [512, 8, 16])),
];

/// The sizes behind a name such as `vit-nano`, `vit-ti/16` or `vit-b/32`: any patch of 1 to 128 px may follow the slash, and the image
/// becomes the multiple of it nearest to the usual image. `None` if there is no such back-bone.
pub fn backbone_sizes(name: &str) -> Option<Sizes> {
    let (stem, patch) = match name.split_once('/') {
        Some((stem, patch)) => (stem, Some(patch.parse().ok().filter(|patch| (1..=128).contains(patch))?)),
        None => (name, None),
    };
    let &(_, usual) = BACKBONES.iter().find(|(known, _)| *known == stem)?;
    let patch = patch.unwrap_or(usual.patch);
    let image = ((usual.image + patch / 2) / patch).max(2) * patch;
    Some(Sizes { patch, image, ..usual })
}

/// The usual names, smallest first; other patches are understood too.
pub fn backbone_names() -> &'static [&'static str] {
    &["vit-nano", "vit-micro", "vit-ti/16", "vit-ti/8", "vit-s/16", "vit-s/8", "vit-b/16", "vit-b/8", "vit-l/16", "vit-h/14"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_the_published_sizes() {
        assert_eq!(backbone_sizes("vit-nano"), Some(sizes(4, 32, [96, 4, 3], [64, 1, 2])));
        assert_eq!(backbone_sizes("vit-micro"), Some(sizes(4, 32, [128, 6, 4], [96, 2, 3])));
        assert_eq!(backbone_sizes("vit-ti/16"), Some(sizes(16, 224, [192, 12, 3], [128, 2, 4])));
        assert_eq!(backbone_sizes("vit-s/8"), Some(sizes(8, 224, [384, 12, 6], [256, 4, 8])));
        assert_eq!(backbone_sizes("vit-b/32"), Some(sizes(32, 224, [768, 12, 12], [512, 8, 16])));
        assert_eq!(backbone_sizes("vit-h/14"), Some(sizes(14, 224, [1280, 32, 16], [512, 8, 16])));
        assert_eq!(backbone_sizes("vit-b/10").map(|sizes| sizes.image), Some(220));
        for unknown in ["vit-x", "vit-ti/", "vit-ti/0", "vit-ti/x", "vit-ti/1000", ""] {
            assert_eq!(backbone_sizes(unknown), None, "{unknown}");
        }
        assert!(backbone_names().iter().all(|name| backbone_sizes(name).is_some()));
    }
}
