//! The families of encoders and of decoders that a recipe may name, with their settings, and the sizes behind a back-bone's name.

use super::views::{CLASSIFIER, PROJECTOR, PROTOTYPES};
use crate::backbone::pvt::PvtConfig;
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::backbone::swin::SwinConfig;
use crate::knob::{Default, Knob, Range, Value};
use crate::registry::{Kind, Settings};

const MANY: (i64, i64) = (1, 16_384);

const WIDTH: Knob = Knob::int("width", "numbers per token", "", MANY, 192);
const MLP_RATIO: Knob = Knob::float("mlp_ratio", "hidden width of a block's MLP over the width", "", (0.25, 16.0), 4.0);
const DEPTHS: Knob = counts("depths", "blocks of each stage", (1, 256), &[2, 2, 6, 2]);

const fn counts(key: &'static str, doc: &'static str, (low, high): (i64, i64), default: &'static [i64]) -> Knob {
    Knob { key, doc, unit: "", range: Range::Ints(0, low, high), default: Default::Ints(default) }
}

/// Every family of encoders.
pub static BACKBONES: &[Kind] = &[
    Kind {
        name: "vit",
        summary: "plain vision transformer",
        source: "Dosovitskiy et al., An Image is Worth 16x16 Words, 2020",
        knobs: &[
            WIDTH,
            Knob::int("depth", "blocks", "", (1, 256), 12),
            Knob::int("heads", "attention heads of a block", "", (1, 256), 3),
            MLP_RATIO,
            Knob::flag("class_token", "whether there is a class token; without one, an image's feature is the mean of its patches", true),
            Knob::choice(
                "mlp",
                "what lies between an MLP's layers: a GELU, or a gate of as many numbers again",
                &["gelu", "swiglu", "geglu"],
                "gelu",
            ),
            Knob::int("registers", "extra tokens that stand for no patch", "", (0, 64), 0),
            Knob::choice(
                "pos",
                "position code: added to tokens, or, with rope, turning what they are compared by",
                &["sincos", "learned", "none", "rope"],
                "sincos",
            ),
            Knob::float(
                "rope_base",
                "about how many times more slowly the slowest rotary position turns than the fastest",
                "",
                (1.0, 1e6),
                100.0,
            ),
            Knob::choice(
                "pos_resize",
                "rule that brings added positions to images of another size: plain, with antialiasing, or with DINO's tenth of a patch on top",
                &["bicubic", "antialiased", "offset"],
                "bicubic",
            ),
            Knob::choice(
                "relative",
                "position code added to attention scores: none, one table shared by all blocks, or one table each",
                &["none", "shared", "own"],
                "none",
            ),
            Knob::float("layer_scale", "start of the learned factors of every branch; 0: no such factors", "", (0.0, 10.0), 0.0),
            Knob::flag("key_bias", "whether keys have a bias", true),
            Knob::choice("init", "whose initial weights", &["mae", "beit", "dino", "maskfeat"], "mae"),
            Knob::float("eps", "what norms add to the variance", "", (1e-12, 1e-3), 1e-6),
        ],
    },
    Kind {
        name: "swin",
        summary: "pyramid of shifted windows",
        source: "Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, 2021",
        knobs: &[
            Knob::int("width", "numbers per token of the first stage; every stage doubles it", "", MANY, 96),
            DEPTHS,
            counts("heads", "attention heads of each stage's blocks", (1, 256), &[3, 6, 12, 24]),
            Knob::int("window", "side of a window", "tokens", (1, 256), 7),
            MLP_RATIO,
            Knob::choice("positions", "where the numbers of distances come from", &["table", "network"], "table"),
        ],
    },
    Kind {
        name: "pvt",
        summary: "pyramid whose attention goes to a reduced map",
        source: "Wang et al., Pyramid Vision Transformer, 2021",
        knobs: &[
            counts("widths", "numbers per token of each stage", MANY, &[64, 128, 320, 512]),
            DEPTHS,
            counts("heads", "attention heads of each stage's blocks", (1, 256), &[1, 2, 5, 8]),
            Knob {
                key: "mlp_ratios",
                doc: "hidden width of an MLP over the width, of each stage",
                unit: "",
                range: Range::Floats(0.25, 16.0),
                default: Default::Floats(&[8.0, 8.0, 4.0, 4.0]),
            },
            counts("reductions", "side of the squares of tokens that become one before they are attended to", (1, 64), &[8, 4, 2, 1]),
            Knob::choice("reduce_by", "how they become one", &["convolution", "mean"], "convolution"),
            Knob::choice("pos", "position code", &["sincos", "learned"], "learned"),
            Knob::flag("class_token", "whether the last stage has a class token", true),
            Knob::float("map_eps", "what norms of patch embeddings and of reduced maps add to the variance", "", (1e-12, 1e-3), 1e-6),
        ],
    },
    Kind {
        name: "resnet",
        summary: "residual network of convolutions, for methods that compare views",
        source: "He et al., Deep Residual Learning for Image Recognition, 2015",
        knobs: &[
            Knob::int("width", "channels of the first stage; every stage doubles it", "", MANY, 64),
            counts("depths", "blocks of each of the four stages", (1, 256), &[2, 2, 2, 2]),
            Knob::choice(
                "block",
                "two convolutions of 3x3, or one of 3x3 between two of single pixels, whose outputs are four times as wide",
                &["basic", "bottleneck"],
                "basic",
            ),
            Knob::int("inner", "channels inside a bottleneck over the stage's width", "", (1, 16), 1),
            Knob::choice("stem", "7x7 at every second pixel with a maximum after it, or 3x3 at every pixel", &["large", "small"], "large"),
            Knob::flag("zero_init", "whether the last norm of every block starts at zero", false),
        ],
    },
];

/// Every make of decoder.
pub static DECODERS: &[Kind] = &[
    Kind {
        name: "transformer",
        summary: "a small transformer that gets a mask token in each place where a patch is missing",
        source: "He et al., Masked Autoencoders Are Scalable Vision Learners, 2021",
        knobs: &[
            Knob::int("width", "numbers per token", "", MANY, 128),
            Knob::int("depth", "blocks; 0: only a linear layer", "", (0, 256), 2),
            Knob::int("heads", "attention heads of a block", "", (1, 256), 4),
            Knob::float("mlp_ratio", "hidden width of a block's MLP over the width; 0: as the encoder's", "", (0.0, 16.0), 0.0),
            Knob::choice(
                "pos_order",
                "whose positions packed tokens get: their own, or those of UM-MAE's released code, which mixes them up",
                &["corrected", "official"],
                "corrected",
            ),
        ],
    },
    Kind {
        name: "linear",
        summary: "one linear layer from each token to what is predicted in its place",
        source: "Xie et al., SimMIM, 2021; Bao et al., BEiT, 2021; Wei et al., MaskFeat, 2021",
        knobs: &[],
    },
    PROTOTYPES,
    PROJECTOR,
    CLASSIFIER,
];

/// What a back-bone's name fills in.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// The member of [`BACKBONES`].
    pub kind: &'static str,
    /// P, in pixels.
    pub patch: usize,
    /// H = W, in pixels; a multiple of the patch.
    pub image: usize,
    /// The family's knobs that differ between sizes.
    pub knobs: Settings,
    /// The width, depth and heads of a transformer decoder.
    pub decoder: [usize; 3],
}

type Vit = (&'static str, [usize; 2], [usize; 3], [usize; 3]);

/// Names without the patch; the usual patch and image; width, depth and heads of encoder and decoder.
const VITS: &[Vit] = &[
    ("vit-nano", [4, 32], [96, 4, 3], [64, 1, 2]),
    ("vit-micro", [4, 32], [128, 6, 4], [96, 2, 3]),
    ("vit-ti", [16, 224], [192, 12, 3], [128, 2, 4]),
    ("vit-s", [16, 224], [384, 12, 6], [256, 4, 8]),
    ("vit-b", [16, 224], [768, 12, 12], [512, 8, 16]),
    ("vit-l", [16, 224], [1024, 24, 16], [512, 8, 16]),
    ("vit-h", [14, 224], [1280, 32, 16], [512, 8, 16]),
];

/// The sizes behind a name such as `vit-nano`, `vit-ti/16`, `vit-b/32`, `swin-t`, `pvt-s` or `resnet-50`: for a ViT any patch of 1 to 128 px may
/// follow the slash, and the image becomes the multiple of it nearest to the usual image. `None` if there is no such back-bone.
pub fn backbone_sizes(name: &str) -> Option<Sizes> {
    if let Some(swin) = SwinConfig::preset(name) {
        return Some(of_pyramid("swin", name, [swin.patch, swin.grid[0]], swin_knobs(&swin)));
    }
    if let Some(pvt) = PvtConfig::preset(name) {
        return Some(of_pyramid("pvt", name, [pvt.patch, pvt.grid[0]], pvt_knobs(&pvt)));
    }
    if let Some(resnet) = ResNetConfig::preset(name) {
        return Some(of_pyramid("resnet", name, [1, resnet.grid[0]], resnet_knobs(&resnet)));
    }
    let (stem, patch) = match name.split_once('/') {
        Some((stem, patch)) => (stem, Some(patch.parse().ok().filter(|patch| (1..=128).contains(patch))?)),
        None => (name, None),
    };
    let &(_, [usual_patch, usual_image], [width, depth, heads], decoder) = VITS.iter().find(|(known, ..)| *known == stem)?;
    let patch = patch.unwrap_or(usual_patch);
    let image = ((usual_image + patch / 2) / patch).max(2) * patch;
    let knobs = [("width", width), ("depth", depth), ("heads", heads)].map(|(key, count)| (key.to_owned(), Value::Int(count as i64)));
    Some(Sizes { kind: "vit", patch, image, knobs: knobs.into(), decoder })
}

/// UM-MAE's decoder has 2 blocks of 512 with 16 heads; the smallest pyramids get that of the smallest ViT.
fn of_pyramid(kind: &'static str, name: &str, [patch, side]: [usize; 2], knobs: Settings) -> Sizes {
    let decoder = match name {
        "swin-l" => [512, 2, 8],
        name if name.ends_with("nano") => [64, 1, 2],
        _ => [512, 2, 16],
    };
    Sizes { kind, patch, image: patch * side, knobs, decoder }
}

fn list(counts: &[usize]) -> Value {
    Value::Ints(counts.iter().map(|&count| count as i64).collect())
}

fn swin_knobs(swin: &SwinConfig) -> Settings {
    [
        ("width", Value::Int(swin.width as i64)),
        ("depths", list(&swin.depths)),
        ("heads", list(&swin.heads)),
        ("window", Value::Int(swin.window as i64)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn pvt_knobs(pvt: &PvtConfig) -> Settings {
    [
        ("widths", list(&pvt.widths)),
        ("depths", list(&pvt.depths)),
        ("heads", list(&pvt.heads)),
        ("mlp_ratios", Value::Floats(pvt.mlp_ratios.clone())),
        ("reductions", list(&pvt.reductions)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A residual network's sizes as settings of a recipe.
pub(crate) fn resnet_knobs(resnet: &ResNetConfig) -> Settings {
    let word = |word: &str| Value::Text(word.into());
    [
        ("width", Value::Int(resnet.width as i64)),
        ("depths", list(&resnet.depths)),
        ("block", word(if resnet.bottleneck { "bottleneck" } else { "basic" })),
        ("inner", Value::Int(resnet.inner as i64)),
        ("stem", word(if resnet.stem == Stem::Large { "large" } else { "small" })),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The usual names, smallest first; other patches are understood too.
pub fn backbone_names() -> &'static [&'static str] {
    &[
        "vit-nano",
        "vit-micro",
        "vit-ti/16",
        "vit-ti/8",
        "vit-s/16",
        "vit-s/8",
        "vit-b/16",
        "vit-b/8",
        "vit-l/16",
        "vit-h/14",
        "swin-nano",
        "swin-t",
        "swin-s",
        "swin-b",
        "swin-l",
        "pvt-nano",
        "pvt-t",
        "pvt-s",
        "pvt-m",
        "pvt-l",
        "resnet-nano",
        "resnet-18-cifar",
        "resnet-18",
        "resnet-34",
        "resnet-50",
        "resnet-101",
        "resnet-50w2",
        "wide-resnet-50-2",
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_the_published_sizes() {
        let vit = |name: &str| {
            let Sizes { patch, image, knobs, decoder, .. } = backbone_sizes(name).unwrap();
            let count = |key: &str| knobs[key].as_count().unwrap();
            ([patch, image], [count("width"), count("depth"), count("heads")], decoder)
        };
        assert_eq!(vit("vit-nano"), ([4, 32], [96, 4, 3], [64, 1, 2]));
        assert_eq!(vit("vit-micro"), ([4, 32], [128, 6, 4], [96, 2, 3]));
        assert_eq!(vit("vit-ti/16"), ([16, 224], [192, 12, 3], [128, 2, 4]));
        assert_eq!(vit("vit-s/8"), ([8, 224], [384, 12, 6], [256, 4, 8]));
        assert_eq!(vit("vit-b/32"), ([32, 224], [768, 12, 12], [512, 8, 16]));
        assert_eq!(vit("vit-h/14"), ([14, 224], [1280, 32, 16], [512, 8, 16]));
        assert_eq!(vit("vit-b/10").0, [10, 220]);
        let swin = backbone_sizes("swin-s").unwrap();
        assert_eq!((swin.kind, swin.patch, swin.image, &swin.knobs["depths"]), ("swin", 4, 224, &Value::Ints(vec![2, 2, 18, 2])));
        let pvt = backbone_sizes("pvt-m").unwrap();
        assert_eq!((pvt.kind, pvt.decoder, &pvt.knobs["widths"]), ("pvt", [512, 2, 16], &Value::Ints(vec![64, 128, 320, 512])));
        let wide = backbone_sizes("resnet-50w2").unwrap();
        assert_eq!((wide.kind, wide.patch, wide.image, &wide.knobs["width"]), ("resnet", 1, 224, &Value::Int(128)));
        let small = backbone_sizes("resnet-34-cifar").unwrap();
        assert_eq!((small.image, &small.knobs["stem"]), (32, &Value::Text("small".into())));
        assert_eq!(backbone_sizes("wide-resnet-50-2").unwrap().knobs["inner"], Value::Int(2));
        for unknown in [
            "wide-resnet-18-2",
            "resnet-50w2-cifar-cifar",
            "resnet-50w2w2",
            "resnet-nano-cifar",
            "vit-x",
            "vit-ti/",
            "vit-ti/0",
            "vit-ti/x",
            "vit-ti/1000",
            "swin-x",
            "swin-t/4",
            "",
        ] {
            assert_eq!(backbone_sizes(unknown), None, "{unknown}");
        }
        for name in backbone_names() {
            let sizes = backbone_sizes(name).unwrap();
            let family = BACKBONES.iter().find(|family| family.name == sizes.kind).unwrap();
            assert!(sizes.knobs.keys().all(|key| family.knobs.iter().any(|knob| knob.key == key)), "{name}");
        }
    }
}
