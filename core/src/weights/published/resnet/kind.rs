//! Whose network a file has, and the recipe that would train such a one here.

use super::super::listing::Listing;
use super::super::site::Sites;
use super::super::{IMAGENET, resolved};
use super::head::{self, Head};
use crate::backbone::resnet::ResNetConfig;
use crate::error::Result;
use crate::recipe::{Recipe, resnet_knobs};

/// Whose network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    MocoV1,
    MocoV2,
    MocoV3,
    SimSiam,
    SwAV,
    Byol,
    SimClr,
    /// SimCLR's own, whose images nothing is subtracted from, as brought over from TensorFlow.
    Converted,
    Dino,
    BarlowTwins,
    VicReg,
    /// One with a classifier, as torchvision and timm have them.
    Classifier,
    /// One of which nothing tells whose it is.
    Plain,
}

/// Words of a file's name, or of the method that it says, in this order.
const WORDS: [(&str, Kind); 16] = [
    ("resnet50-1x", Kind::Converted),
    ("resnet50-2x", Kind::Converted),
    ("resnet50-4x", Kind::Converted),
    ("barlow", Kind::BarlowTwins),
    ("vicreg", Kind::VicReg),
    ("simsiam", Kind::SimSiam),
    ("swav", Kind::SwAV),
    ("byol", Kind::Byol),
    ("simclr", Kind::SimClr),
    ("mocov3", Kind::MocoV3),
    ("moco_v3", Kind::MocoV3),
    ("moco-v3", Kind::MocoV3),
    ("moco_v1", Kind::MocoV1),
    ("mocov1", Kind::MocoV1),
    ("moco", Kind::MocoV2),
    ("dino", Kind::Dino),
];

impl Kind {
    /// Finds out by names of parts, then by the file's own name, then by what stands beside the network.
    pub fn of(sites: &Sites, listing: &Listing) -> Self {
        let beside = |ending: &str| listing.shapes.keys().any(|name| name.ends_with(ending));
        if sites.have_word("encoder_q") || sites.have_word("encoder_k") {
            return if sites.raw.name("fc.weight").is_some() { Self::MocoV1 } else { Self::MocoV2 };
        }
        if sites.have_word("base_encoder") {
            return Self::MocoV3;
        }
        if beside("prototypes.weight") || beside("prototypes.prototypes0.weight") {
            return Self::SwAV;
        }
        if beside("last_layer.weight_v") || beside("last_layer.parametrizations.weight.original1") {
            return Self::Dino;
        }
        let name = listing.file_name();
        if let Some((_, kind)) = WORDS.iter().find(|(word, _)| name.contains(word) || listing.says("method", word)) {
            return *kind;
        }
        let (projector, predictor) = (head::has_projector(sites, listing), head::has_predictor(sites, listing));
        match (projector, predictor, sites.average.is_some()) {
            (true, true, true) => Self::Byol,
            (true, true, false) => Self::SimSiam,
            (true, false, true) => Self::MocoV2,
            (true, false, false) => Self::SimClr,
            (false, true, _) => Self::Byol,
            _ if sites.have_word("teacher") || sites.have_word("student") => Self::Dino,
            _ if ["fc.weight", "linear.weight"].iter().any(|own| sites.raw.name(own).is_some()) => Self::Classifier,
            _ => Self::Plain,
        }
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::MocoV1 => "MoCo v1",
            Self::MocoV2 => "MoCo v2",
            Self::MocoV3 => "MoCo v3",
            Self::SimSiam => "SimSiam",
            Self::SwAV => "SwAV",
            Self::Byol => "BYOL",
            Self::SimClr | Self::Converted => "SimCLR",
            Self::Dino => "DINO",
            Self::BarlowTwins => "Barlow Twins",
            Self::VicReg => "VICReg",
            Self::Classifier => "residual network with a classifier",
            Self::Plain => "residual network",
        }
    }

    /// What it is called without anything that was put on it for training.
    pub fn alone(self) -> &'static str {
        match self {
            Self::MocoV1 => "MoCo v1 backbone",
            Self::MocoV2 => "MoCo v2 backbone",
            Self::MocoV3 => "MoCo v3 backbone",
            Self::SimSiam => "SimSiam backbone",
            Self::SwAV => "SwAV backbone",
            Self::Byol => "BYOL backbone",
            Self::SimClr | Self::Converted => "SimCLR backbone",
            Self::Dino => "DINO backbone",
            Self::BarlowTwins => "Barlow Twins backbone",
            Self::VicReg => "VICReg backbone",
            Self::Classifier => "classifier",
            Self::Plain => "residual network",
        }
    }

    /// Whose preset a recipe starts from; what no method here would train, SimCLR would.
    fn method(self) -> &'static str {
        match self {
            Self::MocoV1 => "moco-v1",
            Self::MocoV2 => "moco-v2",
            Self::MocoV3 => "moco-v3",
            Self::SimSiam => "simsiam",
            Self::SwAV => "swav",
            Self::Byol => "byol",
            Self::Dino => "dino",
            Self::SimClr | Self::Converted | Self::BarlowTwins | Self::VicReg | Self::Classifier | Self::Plain => "simclr",
        }
    }

    /// Mean and deviation of each channel, pixels from 0 to 1.
    fn normalization(self, channels: usize) -> (Vec<f64>, Vec<f64>) {
        // As SwAV's released code has it, in which one figure differs from everybody else's.
        const OF_SWAV: [f64; 3] = [0.228, 0.224, 0.225];
        match (self, channels) {
            (Self::Converted, _) => (vec![0.0; channels], vec![1.0; channels]),
            (Self::SwAV, 3) => (IMAGENET.0.to_vec(), OF_SWAV.to_vec()),
            (_, 3) => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
            _ => (vec![0.5; channels], vec![0.5; channels]),
        }
    }
}

/// What a published network of these sizes is called here.
pub(super) fn name(config: &ResNetConfig) -> Option<String> {
    const NAMES: [&str; 10] = [
        "resnet-18",
        "resnet-34",
        "resnet-50",
        "resnet-101",
        "resnet-152",
        "resnet-50w2",
        "resnet-50w4",
        "wide-resnet-50-2",
        "wide-resnet-101-2",
        "resnet-nano",
    ];
    let is_this =
        |name: &String| ResNetConfig::preset(name).is_some_and(|sizes| ResNetConfig { channels: config.channels, ..sizes } == *config);
    NAMES.iter().flat_map(|name| ["", "-cifar"].map(|images| format!("{name}{images}"))).find(is_this)
}

/// The recipe that would train such a network.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if there can be none of such sizes.
pub(super) fn recipe(kind: Kind, config: &ResNetConfig, head: Option<&Head>, listing: &Listing) -> Result<Recipe> {
    let mut sets = Vec::new();
    let mut set = |key: &str, value: &dyn ToString| sets.push((key.to_owned(), value.to_string()));
    let (mean, std) = kind.normalization(config.channels);
    set("data.image", &format!("{:?}", config.grid));
    set("data.channels", &config.channels);
    set("data.mean", &format!("{mean:?}"));
    set("data.std", &format!("{std:?}"));
    set("backbone.preset", &format!("{:?}", name(config).unwrap_or_default()));
    set("backbone.kind", &"resnet");
    set("backbone.patch", &1);
    set("backbone.drop_path", &0);
    for (key, value) in resnet_knobs(config) {
        set(&format!("backbone.{key}"), &value);
    }
    for (key, value) in head.iter().flat_map(|head| &head.settings) {
        set(&format!("decoder.{key}"), value);
    }
    resolved(kind.method(), sets, listing)
}
