//! Views of an image: how a recipe has them made, and what it may name where they are compared, heads, targets and objectives.

use super::Recipe;
use crate::augment::{ColorJitter, Colors, ViewOptions};
use crate::error::Result;
use crate::knob::{Knob, Value};
use crate::mask::MaskStrategy;
use crate::registry::Kind;

/// Where images are told apart by likeness to learned prototypes.
pub(super) const PROTOTYPES: Kind = Kind {
    name: "prototypes",
    summary: "an MLP to a direction, and how like it is to each of many learned ones",
    source: "Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), 2021",
    knobs: &[
        Knob::int("prototypes", "learned directions", "", (2, 1 << 20), 65_536),
        Knob::int("layers", "linear layers of the MLP", "", (1, 8), 3),
        Knob::int("hidden", "numbers between them", "", (1, 16_384), 2048),
        Knob::int("bottleneck", "numbers of a direction", "", (1, 16_384), 256),
        Knob::choice("activation", "between the layers", &["gelu", "relu"], "gelu"),
        Knob::flag("batch_norm", "whether numbers between the layers are normalized over the batch", false),
        Knob::choice(
            "lengths",
            "of prototypes: one, whatever their weights are; learned; or one because weights are brought back to it after each step",
            &["one", "free", "reset"],
            "one",
        ),
        Knob::float(
            "frozen_epochs",
            "epochs in which prototypes stay as they are; at most a tenth of the training",
            "epochs",
            (0.0, 1e6),
            1.0,
        ),
        Knob::choice(
            "patches",
            "what hidden patches of global views are told by: nothing is hidden, the same layers, or layers of their own",
            &["none", "shared", "own"],
            "none",
        ),
    ],
};

/// Where made-up labels are told.
pub(super) const CLASSIFIER: Kind = Kind {
    name: "classifier",
    summary: "one linear layer from the whole image to classes",
    source: "Gidaris et al., 2018; Noroozi and Favaro, 2016",
    knobs: &[Knob::int("classes", "how many", "", (2, 10_000), 4)],
};

/// Where views are compared with one another.
pub(super) const PROJECTOR: Kind = Kind {
    name: "projector",
    summary: "an MLP to a direction that is compared with others, and perhaps another that predicts them",
    source: "Chen et al., SimCLR, 2020; Grill et al., BYOL, 2020; Chen and He, SimSiam, 2020; Chen, Xie and He, MoCo v3, 2021",
    knobs: &[
        Knob::int("layers", "linear layers", "", (1, 8), 3),
        Knob::int("hidden", "numbers between them", "", (1, 16_384), 2048),
        Knob::int("width", "numbers that are compared", "", (1, 16_384), 128),
        Knob::flag("batch_norm", "whether numbers between the layers are normalized over the batch", true),
        Knob::choice("last_norm", "of what leaves it: nothing, over the batch, or that with learned factors", NORMS, "none"),
        Knob::flag("bias", "whether layers that no normalization follows have a bias", true),
        Knob::int("predictor_layers", "linear layers of the MLP that predicts; 0: there is none", "", (0, 8), 0),
        Knob::int("predictor_hidden", "numbers between them", "", (1, 16_384), 512),
        Knob::choice("predictor_norm", "of what leaves it", NORMS, "none"),
    ],
};

const NORMS: &[&str] = &["none", "plain", "scale"];

/// What a view must be turned into.
pub(super) static VIEW_TARGETS: &[Kind] = &[ASSIGNMENTS, OTHER_VIEWS, MEAN_VIEW, ROTATION, JIGSAW];

const ROTATION: Kind = Kind {
    name: "rotation",
    summary: "by how many quarters the image was turned",
    source: "Gidaris, Singh and Komodakis, Unsupervised Representation Learning by Predicting Image Rotations, 2018",
    knobs: &[],
};

const JIGSAW: Kind = Kind {
    name: "jigsaw",
    summary: "in which of so many orders the image's nine tiles were shuffled",
    source: "Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles, 2016",
    knobs: &[],
};

const OTHER_VIEWS: Kind = Kind {
    name: "views",
    summary: "what the other view of the image is made into",
    source: "Chen et al., SimCLR, 2020; He et al., MoCo, 2019; Grill et al., BYOL, 2020; Chen and He, SimSiam, 2020",
    knobs: &[
        Knob::choice(
            "teacher",
            "by whom: by the network, taught by both sides (none) or by one (itself), or by its running average",
            &["none", "itself", "average"],
            "none",
        ),
        Knob::int("queue", "answers of earlier batches that are kept; a multiple of the batch", "", (0, 1 << 22), 0),
    ],
};

const MEAN_VIEW: Kind = Kind {
    name: "mean_view",
    summary: "the mean of what the global views of the image are made into",
    source: "Balestriero and LeCun, LeJEPA, 2025",
    knobs: &[],
};

const ASSIGNMENTS: Kind = Kind {
    name: "assignments",
    summary: "which prototypes are found in the other global views, and in hidden patches, balanced so that no single one wins",
    source: "Caron et al., SwAV, 2020; Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), 2021; Zhou et al., \
             iBOT, 2021",
    knobs: &[
        Knob::choice("teacher", "who finds them: the running average, or the network itself", &["average", "itself"], "average"),
        Knob::choice(
            "balance",
            "how: by subtracting the running mean of all answers, by making a batch use all prototypes alike (Sinkhorn), or not at all",
            &["center", "sinkhorn", "none"],
            "center",
        ),
        Knob::float("temperature", "of the teacher's softmax; lower is sharper (Sinkhorn's epsilon)", "", (1e-3, 10.0), 0.04),
        Knob::float("warmup_temperature", "what it begins with", "", (1e-3, 10.0), 0.04),
        Knob::float(
            "warmup_epochs",
            "epochs until it is reached, one step an epoch; at most three tenths of the training",
            "epochs",
            (0.0, 1e6),
            0.0,
        ),
        Knob::float("center_momentum", "share of the running mean that stays at each step", "", (0.0, 1.0), 0.9),
        Knob::int("iterations", "of Sinkhorn's normalization", "", (1, 100), 3),
        Knob::float("masked_chance", "probability that patches of a global view are hidden, where any ever are", "", (0.0, 1.0), 0.5),
        Knob::float("ratio_spread", "how far their share is drawn below and above mask.ratio", "", (0.0, 1.0), 0.2),
        Knob::float("patch_temperature", "of the teacher's softmax over what it finds in hidden patches", "", (1e-3, 10.0), 0.07),
        Knob::float("patch_warmup_temperature", "what it begins with; reached in the same warmup_epochs", "", (1e-3, 10.0), 0.04),
    ],
};

/// How far a view is from it.
pub(super) static VIEW_OBJECTIVES: &[Kind] = &[VIEW_CROSS_ENTROPY, INFO_NCE, VIEW_COSINE, SIGREG, CLASS_CROSS_ENTROPY];

const CLASS_CROSS_ENTROPY: Kind = Kind {
    name: "class_cross_entropy",
    summary: "how improbable the network thinks the right class of the image",
    source: "Gidaris, Singh and Komodakis, 2018",
    knobs: &[],
};

const INFO_NCE: Kind = Kind {
    name: "info_nce",
    summary: "how improbable the network thinks the right view among others",
    source: "van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018",
    knobs: &[
        Knob::float("temperature", "of the softmax over candidates", "", (1e-3, 10.0), 0.1),
        Knob::choice(
            "among",
            "candidates: all other views of the batch, the other side's views of it, or the queue of earlier ones",
            &["views", "batch", "earlier"],
            "views",
        ),
    ],
};

const VIEW_COSINE: Kind = Kind {
    name: "view_cosine",
    summary: "the angle between the two sides",
    source: "Grill et al., BYOL, 2020; Chen and He, SimSiam, 2020",
    knobs: &[Knob::choice(
        "form",
        "squared distances of directions, both ways, added up (BYOL), or their likeness, averaged and negative (SimSiam)",
        &["distance", "likeness"],
        "distance",
    )],
};

const VIEW_CROSS_ENTROPY: Kind = Kind {
    name: "view_cross_entropy",
    summary: "how improbable the network thinks what the average finds in another view, over all pairs of views",
    source: "Caron et al., Emerging Properties in Self-Supervised Vision Transformers (DINO), 2021",
    knobs: &[
        Knob::float("temperature", "of the network's softmax", "", (1e-3, 10.0), 0.1),
        Knob::float("patch_weight", "what hidden patches count beside whole views, where any are", "", (0.0, 1000.0), 1.0),
        Knob::float("koleo", "what it counts that features of a batch keep their distance (KoLeo); DINOv2 has 0.1", "", (0.0, 1000.0), 0.0),
    ],
};

const SIGREG: Kind = Kind {
    name: "sigreg",
    summary: "squared distances, and how far the answers of a batch are from a normal distribution along random directions",
    source: "Balestriero and LeCun, LeJEPA, 2025",
    knobs: &[
        Knob::float("share", "what the distribution counts; distances count the rest", "", (0.0, 1.0), 0.05),
        Knob::int("slices", "random directions of each step", "", (1, 65_536), 1024),
    ],
};

/// Whether a decoder of that kind looks at whole views instead of patches.
pub(super) fn is_head(decoder: &str) -> bool {
    [PROTOTYPES, PROJECTOR, CLASSIFIER].iter().any(|head| head.name == decoder)
}

/// The kinds of target and of objective that a head is made for.
pub(super) fn of_head(decoder: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match decoder {
        "projector" => (&["views", "mean_view"], &["info_nce", "view_cosine", "sigreg"]),
        "classifier" => (&["rotation", "jigsaw"], &["class_cross_entropy"]),
        _ => (&["assignments"], &["view_cross_entropy"]),
    }
}

/// Whether a target or an objective of that kind is about whole views.
pub(super) fn is_of_views(kind: &str) -> bool {
    VIEW_TARGETS.iter().chain(VIEW_OBJECTIVES).any(|known| known.name == kind)
}

impl Recipe {
    /// The views of a training sample: global ones first, then local ones.
    pub fn views(&self) -> Vec<ViewOptions> {
        /// The image side that deviations of blurs are meant for, in pixels.
        const BLURRED_SIDE: f64 = 224.0;
        let (augment, image) = (&self.augment, self.data.image);
        let scale = image[0].min(image[1]) as f64 / BLURRED_SIDE;
        let view = |[height, width]: [usize; 2], crop_scale: &[f64], place: usize| ViewOptions {
            height,
            width,
            crop_scale: pair(crop_scale),
            crop_ratio: pair(&augment.crop_ratio),
            flip: augment.flip,
            colors: Colors {
                jitter: ColorJitter::new(&augment.jitter, augment.jitter_chance),
                gray: augment.gray,
                blur: augment.blur.get(place).copied().unwrap_or(0.0),
                sigma: pair(&augment.blur_sigma).map(|sigma| sigma * scale),
                solarize: augment.solarize.get(place).copied().unwrap_or(0.0),
            },
        };
        let global = (0..augment.views).map(|number| view(image, &augment.crop_scale, number.min(1)));
        let local = (0..augment.local_views).map(|_| view(augment.local_image, &augment.local_scale, 2));
        global.chain(local).collect()
    }

    /// The fewest and the most patches of a global view that are hidden where some are; nothing where views are shown as they are.
    pub fn hidden_patches(&self) -> Option<[usize; 2]> {
        if !self.compares_views() || !matches!(self.decoder.word("patches"), Some("shared" | "own")) {
            return None;
        }
        let (patches, number) = (self.grid().len() as f64, |number: Option<f64>| number.unwrap_or(0.0));
        let (ratio, spread) = (number(self.mask.number("ratio")), number(self.target.number("ratio_spread")));
        Some([ratio - spread, ratio + spread].map(|share| (patches * share.clamp(0.0, 1.0)).round_ties_even().max(1.0) as usize))
    }

    /// The masking strategy, made to hide so many patches.
    ///
    /// # Errors
    /// As [`Recipe::mask`].
    pub fn mask_of(&self, count: usize) -> Result<Box<dyn MaskStrategy>> {
        /// Some strategies round what a ratio gives and some cut off what stays visible: both come to the count.
        const LESS: f64 = 0.25;
        let mut recipe = self.clone();
        let ratio = (count as f64 - LESS) / self.grid().len().max(1) as f64;
        recipe.mask.knobs.insert("ratio".into(), Value::Float(ratio.clamp(0.0, 1.0)));
        recipe.mask()
    }
}

/// The two ends of an interval; a valid recipe has exactly two.
fn pair(ends: &[f64]) -> [f64; 2] {
    [ends.first().copied().unwrap_or(1.0), ends.last().copied().unwrap_or(1.0)]
}
