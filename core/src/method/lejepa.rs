//! LeJEPA (Balestriero and LeCun, *LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics*, 2025).
//!
//! An image is cut into two large views and several small ones, and all of them must be made into the same answer, the mean of what the large
//! ones are made into. There is no second network, and nothing is stopped, predicted or contrasted; what keeps all images from being made into
//! one answer is that, along any direction, the answers of a batch must look normally distributed. Nothing is masked.

use crate::recipe::{ON_SMALL_IMAGES, Preset};

/// The authors' recipe on a small back-bone: views, rates, directions and knots of the released code and its list of values to start from. What
/// the distribution counts (0.05) is the paper's as far as remembered, and not verified; the released example has 0.02 \[inf\]. That rates are
/// for steps of 256 images, and that blurs and inversions fall to each view alike, is read from the example too.
///
/// Small images get fewer and larger small views, milder colors, a smaller head and fewer directions.
pub const PRESET: Preset = Preset {
    name: "lejepa",
    summary: "makes all views of an image into one answer, and those of a batch normally distributed; no teacher, no schedule of one",
    source: "LeJEPA (Balestriero and LeCun, 2025); values of the released code",
    backbone: "vit-ti/16",
    sets: &[
        ("augment.crop_scale", "[0.3, 1.0]"),
        ("augment.flip", "0.5"),
        ("augment.jitter", "[0.4, 0.4, 0.2, 0.1]"),
        ("augment.jitter_chance", "0.8"),
        ("augment.gray", "0.2"),
        ("augment.blur", "[0.5, 0.5, 0.5]"),
        ("augment.solarize", "[0.2, 0.2, 0.2]"),
        ("augment.views", "2"),
        ("augment.local_views", "6"),
        ("augment.local_scale", "[0.05, 0.3]"),
        ("mask.kind", "random"),
        ("mask.ratio", "0.0"),
        ("decoder.kind", "projector"),
        ("decoder.layers", "3"),
        ("decoder.hidden", "2048"),
        ("decoder.width", "128"),
        ("decoder.batch_norm", "true"),
        ("decoder.bias", "true"),
        ("decoder.last_norm", "none"),
        ("target.kind", "mean_view"),
        ("objective.kind", "sigreg"),
        ("objective.share", "0.05"),
        ("objective.slices", "1024"),
        ("optim.base_lr", "5e-4"),
        ("optim.lr_images", "256"),
        ("optim.min_lr", "5e-7"),
        ("optim.weight_decay", "0.05"),
        ("optim.betas", "[0.9, 0.999]"),
        ("optim.warmup_epochs", "1"),
        ("optim.epochs", "100"),
    ],
    sets_for: &[
        ("vit", &[("backbone.pos", "learned"), ("backbone.init", "dino"), ("backbone.drop_path", "0.1")]),
        (
            ON_SMALL_IMAGES,
            &[
                ("augment.jitter", "[0.2, 0.2, 0.1, 0.05]"),
                ("augment.blur", "[0.0, 0.0, 0.0]"),
                ("augment.solarize", "[0.0, 0.0, 0.0]"),
                ("augment.local_views", "4"),
                ("augment.local_scale", "[0.15, 0.5]"),
                ("backbone.drop_path", "0.0"),
                ("decoder.hidden", "512"),
                ("decoder.width", "32"),
                ("objective.slices", "256"),
                ("optim.base_lr", "1e-3"),
            ],
        ),
    ],
};
