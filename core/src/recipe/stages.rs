//! The stages of a recipe: for each its struct, and the table of its settings from which text, checks and forms are made.

use serde::{Deserialize, Serialize};

use super::backbones::{BACKBONES, DECODERS};
use super::views::{VIEW_OBJECTIVES, VIEW_TARGETS};
use crate::error::Problem;
use crate::knob::{Default, Knob, Range, Value};
use crate::mask::MASKS;
use crate::objective::OBJECTIVES;
use crate::registry::{Kind, Settings, kinds};
use crate::target::TARGETS;

/// A table of the recipe.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// Its name in TOML; empty for the keys that stand above all tables.
    pub name: &'static str,
    /// What it is about, in one line.
    pub doc: &'static str,
    /// Its settings. Where there are kinds, the first is `kind`, and the chosen kind's knobs follow.
    pub knobs: &'static [Knob],
    /// The members of its family, with their knobs; none for a stage that is always the same.
    pub kinds: fn() -> Vec<Kind>,
}

impl Stage {
    /// The dotted path of one of its keys.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    /// Its settings if it is of the given kind.
    pub fn knobs_of(&self, kind: &str) -> Vec<Knob> {
        let of_kind = (self.kinds)().into_iter().find(|known| known.name == kind).map_or(&[][..], |known| known.knobs);
        [self.knobs, of_kind].concat()
    }
}

/// All stages in the order of the recipe's text.
pub fn stages() -> &'static [Stage] {
    const fn plain(name: &'static str, doc: &'static str, knobs: &'static [Knob]) -> Stage {
        Stage { name, doc, knobs, kinds: Vec::new }
    }
    const STAGES: &[Stage] = &[
        plain("", "", RECIPE),
        plain("data", "what is read", DATA),
        plain("augment", "what is done to an image before the model sees it", AUGMENT),
        Stage { name: "mask", doc: "which patches are hidden", knobs: MASK, kinds: || kinds(MASKS) },
        Stage { name: "backbone", doc: "the encoder", knobs: BACKBONE, kinds: || BACKBONES.to_vec() },
        Stage { name: "decoder", doc: "what turns the encoder's output into predictions", knobs: DECODER, kinds: || DECODERS.to_vec() },
        Stage {
            name: "target",
            doc: "what a masked patch must be turned into",
            knobs: TARGET,
            kinds: || [kinds(TARGETS), VIEW_TARGETS.to_vec()].concat(),
        },
        Stage {
            name: "objective",
            doc: "how far a prediction is from its target",
            knobs: OBJECTIVE,
            kinds: || [kinds(OBJECTIVES), VIEW_OBJECTIVES.to_vec()].concat(),
        },
        plain("optim", "how the weights are moved, and for how long", OPTIM),
        plain("train", "what the run does besides learning", TRAIN),
    ];
    STAGES
}

/// `[data]`: what is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// H and W that the model sees, in pixels.
    pub image: [usize; 2],
    /// C.
    pub channels: usize,
    /// `[C]`: mean of each channel, with pixels scaled to 0..1; empty: to be measured on the data when a run is prepared.
    pub mean: Vec<f64>,
    /// `[C]`: deviation of each channel; empty as `mean`.
    pub std: Vec<f64>,
    /// Share of the images that is kept for validation.
    pub held_out: f64,
    /// Images, as paths within the data, that are left out.
    pub exclude: Vec<String>,
    /// Whether files that repeat another byte for byte are left out.
    pub exclude_duplicates: bool,
    /// Memory for decoded images in MiB; 0 = none.
    pub cache_mib: usize,
}

impl Data {
    /// Mean and deviation of each channel as the network's inputs are made with them: `[C]` each.
    pub fn normalization(&self) -> (Vec<f32>, Vec<f32>) {
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        (single(&self.mean), single(&self.std))
    }
}

/// `[augment]`: what is done to an image before the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Smallest and largest share of the image's area that a crop takes.
    pub crop_scale: Vec<f64>,
    /// Smallest and largest width over height of a crop.
    pub crop_ratio: Vec<f64>,
    /// Probability of a mirror image.
    pub flip: f64,
    /// Strengths of the change of brightness, contrast, saturation and hue.
    pub jitter: Vec<f64>,
    /// Probability that colors are changed.
    pub jitter_chance: f64,
    /// Probability that colors become gray.
    pub gray: f64,
    /// Probability of a blur: of the first view, of other global ones, of local ones.
    pub blur: Vec<f64>,
    /// Smallest and largest deviation of the blur, in pixels of an image of 224.
    pub blur_sigma: Vec<f64>,
    /// Probability that bright values are inverted: of the first view, of other global ones, of local ones.
    pub solarize: Vec<f64>,
    /// Global views of an image.
    pub views: usize,
    /// Local views of an image.
    pub local_views: usize,
    /// H and W of local views, in pixels.
    pub local_image: [usize; 2],
    /// Smallest and largest share of the image's area that a local view takes.
    pub local_scale: Vec<f64>,
}

/// A stage that is one member of a family, with that member's knobs: `[mask]`, `[target]`, `[objective]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The member's name.
    pub kind: String,
    /// Its knobs, complete.
    #[serde(flatten)]
    pub knobs: Settings,
}

/// `[backbone]`: the encoder, a member of [`BACKBONES`](super::BACKBONES) with its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backbone {
    /// The name that sizes not said are taken from; empty: from nowhere.
    pub preset: String,
    /// P, in pixels.
    pub patch: usize,
    /// Rate at which the last block's branches are dropped; falls linearly to 0 at the first.
    pub drop_path: f64,
    /// What the encoder gets of masked patches: `drop` nothing, `mask` a token in their place, `compact` nothing, the rest packed.
    pub tokens: String,
    /// The family and its sizes.
    #[serde(flatten)]
    pub sizes: Part,
}

/// `[optim]`: how the weights are moved, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Optim {
    /// The optimizer: `adamw`, `sgd`, `lars` or `larc`.
    pub kind: String,
    /// B: images of one pass.
    pub batch: usize,
    /// Passes whose gradients are summed up before the weights move.
    pub accumulate: usize,
    /// Whether blocks are computed a second time in the backward pass, which takes less memory.
    pub recompute: bool,
    /// Learning rate for steps of `lr_images` images; the real one is scaled by the images of a step, unless that is 0.
    pub base_lr: f64,
    /// Images of a step that `base_lr` is meant for.
    pub lr_images: usize,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Learning rate at the beginning of the warm-up.
    pub warmup_lr: f64,
    /// Whether these two are scaled as `base_lr` is.
    pub scale_ends: bool,
    /// How the learning rate goes: `cosine`, `step` to a tenth after seven eighths, `steps` to a tenth after six tenths and
    /// again after eight, or `dino`, a cosine whose warm-up is a step shorter.
    pub schedule: String,
    /// AdamW's decoupled decay.
    pub weight_decay: f64,
    /// What it has become at the end; 0: the same.
    pub weight_decay_end: f64,
    /// Whether class and mask tokens and tables of positions decay too.
    pub decay_tokens: bool,
    /// AdamW's two decay rates.
    pub betas: Vec<f64>,
    /// The share of the former direction that the other optimizers keep.
    pub momentum: f64,
    /// AdamW's small addend.
    pub eps: f64,
    /// Epochs in which the learning rate rises.
    pub warmup_epochs: f64,
    /// Length of the training in passes over the data.
    pub epochs: f64,
    /// Largest norm of the gradient; 0 = no limit.
    pub clip_norm: f64,
    /// Whose norm that is: the `network`'s, or that of each `tensor` by itself.
    pub clip: String,
    /// Parameters that are never moved: what their names begin with.
    pub frozen: Vec<String>,
    /// Parameters whose learning rate is always the highest: what their names begin with.
    pub steady: Vec<String>,
    /// Decay of the averaged weights; 0 = no average.
    pub ema: f64,
    /// Its decay at the end of the training; 0: the same.
    pub ema_end: f64,
}

/// `[train]`: what the run does besides learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// Length of the training in steps; 0 = from the epochs.
    pub steps: usize,
    /// Steps between two lines of the log.
    pub log_every_steps: usize,
    /// Steps between two checkpoints.
    pub checkpoint_every_steps: usize,
    /// How many of the latest checkpoints are kept.
    pub keep_last: usize,
    /// Whether the checkpoint with the lowest validation loss is kept too.
    pub keep_best: bool,
    /// Steps between two validations; 0 = never.
    pub validate_every_steps: usize,
    /// Steps between two previews; 0 = never.
    pub preview_every_steps: usize,
    /// Number of preview images.
    pub preview_images: usize,
}

impl Backbone {
    /// Stages of a pyramid; 1 for a plain transformer.
    pub fn num_stages(&self) -> usize {
        self.sizes.counts("depths").len().max(1)
    }

    /// Blocks of all stages.
    pub fn num_blocks(&self) -> usize {
        self.sizes.count("depth") + self.sizes.counts("depths").iter().sum::<usize>()
    }

    /// Whole images whose sides are multiples of it, in pixels, can be encoded: maps halve evenly from stage to stage and divide into
    /// squares, packed ones into windows.
    pub fn step(&self) -> usize {
        // Packed maps have half the side, and must divide just as well.
        let last = self.num_stages() - 1 + usize::from(self.tokens == "compact");
        match self.sizes.kind.as_str() {
            "swin" if self.tokens == "compact" => (self.patch * self.sizes.count("window").max(1)) << last,
            "swin" => self.patch << last,
            "pvt" => {
                let reductions = self.sizes.counts("reductions").into_iter().enumerate();
                let squares = reductions.map(|(stage, side)| (self.patch * side.max(1)) << (stage + last + 1 - self.num_stages())).max();
                squares.unwrap_or(self.patch).next_multiple_of((self.patch << last).max(1))
            }
            // Convolutions take any image, but a photograph in full would take all memory: what does not halve evenly is scaled.
            "resnet" if self.sizes.word("stem") == Some("large") => 32 * self.patch,
            "resnet" => 8 * self.patch,
            _ => self.patch,
        }
    }
}

impl Part {
    /// A knob's value, if the part has that knob and it is true or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.knobs.get(key).and_then(Value::as_bool)
    }

    /// A knob's value, if the part has that knob and it is a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.knobs.get(key).and_then(Value::as_float)
    }

    /// A knob's value as a count or size; 0 if the part does not have that knob or it is none.
    pub fn count(&self, key: &str) -> usize {
        self.knobs.get(key).and_then(Value::as_count).unwrap_or(0)
    }

    /// A knob's values as counts or sizes; none if the part does not have that knob.
    pub fn counts(&self, key: &str) -> Vec<usize> {
        match self.knobs.get(key) {
            Some(Value::Ints(list)) => list.iter().map(|&count| usize::try_from(count).unwrap_or(0)).collect(),
            _ => Vec::new(),
        }
    }

    /// A knob's values, if the part has that knob and they are numbers.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        match self.knobs.get(key) {
            Some(Value::Ints(list)) => list.iter().map(|&count| count as f64).collect(),
            Some(Value::Floats(list)) => list.clone(),
            _ => Vec::new(),
        }
    }

    /// A knob's value, if the part has that knob and it is a word.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.knobs.get(key).and_then(Value::as_text)
    }

    /// The part with a unit in pixels (`unit_px`) turned into one in patches of `patch` pixels.
    pub(super) fn in_patches(&self, patch: usize) -> Result<Self, Problem> {
        let mut part = self.clone();
        let Some(px) = part.knobs.get("unit_px").and_then(Value::as_count).filter(|&px| px > 0) else { return Ok(part) };
        if px < 4 || patch == 0 || !px.is_multiple_of(patch) {
            let cure = format!("use a multiple of {patch} from 4 to 64, or `mask.unit`, the side in patches");
            return Err(Problem::new("mask.unit_px", format!("a unit of {px} px does not consist of patches of {patch} px"), cure));
        }
        part.knobs.insert("unit_px".into(), Value::Int(0));
        part.knobs.insert("unit".into(), Value::Int((px / patch) as i64));
        Ok(part)
    }
}

const MANY: i64 = 1_000_000_000;
const IMAGENET_MEAN: &[f64] = &[0.485, 0.456, 0.406];
const IMAGENET_STD: &[f64] = &[0.229, 0.224, 0.225];

const fn floats(key: &'static str, doc: &'static str, unit: &'static str, (low, high): (f64, f64), default: &'static [f64]) -> Knob {
    Knob { key, doc, unit, range: Range::Floats(low, high), default: Default::Floats(default) }
}

const fn texts(key: &'static str, doc: &'static str) -> Knob {
    Knob { key, doc, unit: "", range: Range::Texts, default: Default::Texts(&[]) }
}

const RECIPE: &[Knob] = &[
    Knob::int("version", "format of this file", "", (1, super::VERSION as i64), 1),
    Knob::text("method", "whose preset fills in what is not said", "mae"),
    Knob::int("seed", "start of every random decision", "", (0, i64::MAX), 0),
];

const DATA: &[Knob] = &[
    Knob {
        key: "image",
        doc: "height and width that the model sees",
        unit: "px",
        range: Range::Ints(2, 4, 8192),
        default: Default::Ints(&[224, 224]),
    },
    Knob::int("channels", "1 gray, 3 color, 4 with alpha, any number of bands", "", (1, 64), 3),
    floats("mean", "of each channel, pixels from 0 to 1; [] measures it on the data", "", (-1e6, 1e6), IMAGENET_MEAN),
    floats("std", "of each channel, pixels from 0 to 1; [] measures it on the data", "", (0.0, 1e6), IMAGENET_STD),
    Knob::float("held_out", "share of the images kept for validation", "", (0.0, 0.5), 0.05),
    texts("exclude", "images to leave out, as paths within the data"),
    Knob::flag("exclude_duplicates", "leave out files that repeat another byte for byte", false),
    Knob::int("cache_mib", "memory for decoded images; 0: none", "MiB", (0, 1 << 24), 0),
];

const AUGMENT: &[Knob] = &[
    floats("crop_scale", "smallest and largest share of the area that a crop takes", "", (0.0, 1.0), &[0.2, 1.0]),
    floats("crop_ratio", "smallest and largest width over height of a crop", "", (0.01, 100.0), &[0.75, 4.0 / 3.0]),
    Knob::float("flip", "probability of a mirror image", "", (0.0, 1.0), 0.5),
    floats(
        "jitter",
        "strengths of random brightness, contrast, saturation and hue, of color images",
        "",
        (0.0, 10.0),
        &[0.0, 0.0, 0.0, 0.0],
    ),
    Knob::float("jitter_chance", "probability of such a change of colors", "", (0.0, 1.0), 1.0),
    Knob::float("gray", "probability that colors become gray", "", (0.0, 1.0), 0.0),
    floats("blur", "probability of a blur: of the first view, of other global ones, of local ones", "", (0.0, 1.0), &[0.0, 0.0, 0.0]),
    floats("blur_sigma", "smallest and largest deviation of a blur, of an image of 224 px", "px", (0.0, 100.0), &[0.1, 2.0]),
    floats("solarize", "probability that bright values are inverted, of the same views", "", (0.0, 1.0), &[0.0, 0.0, 0.0]),
    Knob::int("views", "global views of an image; more than one only where views are compared", "", (1, 16), 1),
    Knob::int("local_views", "small views besides", "", (0, 64), 0),
    Knob {
        key: "local_image",
        doc: "their height and width",
        unit: "px",
        range: Range::Ints(2, 4, 8192),
        default: Default::Ints(&[96, 96]),
    },
    floats("local_scale", "smallest and largest share of the area that a small view takes", "", (0.0, 1.0), &[0.05, 0.4]),
];

const MASK: &[Knob] = &[Knob::text("kind", "strategy", "random")];

const BACKBONE: &[Knob] = &[
    Knob::text("kind", "family", "vit"),
    Knob::text("preset", "where sizes come from that are not said: here, in [decoder] and data.image", "vit-ti/16"),
    Knob::int("patch", "side of a patch", "px", (1, 256), 16),
    Knob::float("drop_path", "rate at which the last block's branches are dropped, falling to 0 at the first", "", (0.0, 0.9), 0.0),
    Knob::choice(
        "tokens",
        "what the encoder gets of masked patches: nothing, a mask token each, or nothing, with the others packed into a smaller image",
        &["drop", "mask", "compact"],
        "drop",
    ),
];

const DECODER: &[Knob] = &[Knob::text("kind", "its make", "transformer")];

const TARGET: &[Knob] = &[Knob::text("kind", "target", "pixels")];

const OBJECTIVE: &[Knob] = &[Knob::text("kind", "loss", "mse")];

const OPTIM: &[Knob] = &[
    Knob::choice(
        "kind",
        "the optimizer; the last two scale gradients in proportion to the weights",
        &["adamw", "sgd", "lars", "larc"],
        "adamw",
    ),
    Knob::int("batch", "images of one pass", "images", (1, 65_536), 64),
    Knob::int("accumulate", "passes that make one step", "", (1, 65_536), 1),
    Knob::flag("recompute", "compute blocks again in the backward pass: far less memory, about a third more time", false),
    Knob::float("base_lr", "learning rate for steps of lr_images images; scaled in proportion", "", (0.0, 100.0), 1.5e-4),
    Knob::int("lr_images", "images of a step that base_lr is meant for; 0: it is not scaled", "images", (0, 65_536), 256),
    Knob::float("min_lr", "learning rate at the end", "", (0.0, 100.0), 0.0),
    Knob::float("warmup_lr", "learning rate that the warm-up starts from", "", (0.0, 100.0), 0.0),
    Knob::flag("scale_ends", "whether these two are scaled as base_lr is", false),
    Knob::choice(
        "schedule",
        "how it falls: along a cosine; to a tenth after 7/8 of the length (step), or after 6/10 and again after 8/10 (steps); or as DINO's, \
         whose warm-up ends a step earlier",
        &["cosine", "step", "steps", "dino"],
        "cosine",
    ),
    Knob::float("weight_decay", "of matrices, not of biases and norms", "", (0.0, 10.0), 0.05),
    Knob::float("weight_decay_end", "the same at the end, along half a cosine; 0: as at the beginning", "", (0.0, 10.0), 0.0),
    Knob::flag("decay_tokens", "whether class and mask tokens and tables of positions decay too", true),
    floats("betas", "AdamW's memory of gradients and of their squares", "", (0.0, 1.0), &[0.9, 0.95]),
    Knob::float("momentum", "share of the former direction that sgd, lars and larc keep", "", (0.0, 0.9999), 0.9),
    Knob::float("eps", "AdamW's addend against division by zero", "", (0.0, 1.0), 1e-8),
    Knob::float("warmup_epochs", "rise of the learning rate", "epochs", (0.0, 1e6), 40.0),
    Knob::float("epochs", "passes over the data", "epochs", (0.0, 1e6), 800.0),
    Knob::float("clip_norm", "largest norm of the gradient; 0: no limit", "", (0.0, 1e6), 0.0),
    Knob::choice("clip", "of the whole network's, or of each tensor's by itself", &["network", "tensor"], "network"),
    texts("frozen", "parameters that are never moved: what their names begin with"),
    texts("steady", "parameters whose learning rate stays the highest: what their names begin with; of sgd, lars and larc"),
    Knob::float("ema", "decay of averaged weights; 0: no average", "", (0.0, 1.0), 0.0),
    Knob::float("ema_end", "the same at the end, along half a cosine; 0: as at the beginning", "", (0.0, 1.0), 0.0),
];

const TRAIN: &[Knob] = &[
    Knob::int("steps", "length in steps, the schedule spans them; 0: from the epochs", "steps", (0, MANY), 0),
    Knob::int("log_every_steps", "between two lines of the log", "steps", (1, MANY), 10),
    Knob::int("checkpoint_every_steps", "between two checkpoints", "steps", (1, MANY), 500),
    Knob::int("keep_last", "latest checkpoints that are kept", "", (1, 10_000), 3),
    Knob::flag("keep_best", "keep the checkpoint with the lowest validation loss too", true),
    Knob::int("validate_every_steps", "between two validations; 0: never", "steps", (0, MANY), 500),
    Knob::int("preview_every_steps", "between two previews; 0: never", "steps", (0, MANY), 500),
    Knob::int("preview_images", "images whose reconstructions are watched", "images", (0, 256), 8),
];
