//! Presets: what a method's name fills in.

use super::resolve::Layer;
use super::stages::stages;
use crate::knob::Value;
use crate::method::{
    beit, byol, colorization, data2vec, dino, dinov2, ibot, ijepa, inpainting, jigsaw, lejepa, mae, maskfeat, moco, rotation, simclr,
    simmim, simsiam, swav, um_mae,
};

/// Settings, `key` and TOML value.
pub type Sets = &'static [(&'static str, &'static str)];

/// Back-bones whose usual image is less than 128 px high.
pub const ON_SMALL_IMAGES: &str = "on small images";
/// Residual networks among them.
pub const RESNET_ON_SMALL_IMAGES: &str = "resnet on small images";

/// A method's preset.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The method's name.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The paper and where its values come from.
    pub source: &'static str,
    /// The back-bone that it is tried with first: a small one.
    pub backbone: &'static str,
    /// The settings it insists on; everything else is the stages' defaults and the back-bone's sizes.
    pub sets: Sets,
    /// More of them, for one family of back-bones each, for one size of it by its name without the patch, for all those [`ON_SMALL_IMAGES`],
    /// or [`RESNET_ON_SMALL_IMAGES`]; later ones count.
    pub sets_for: &'static [(&'static str, Sets)],
}

/// Every method that recipes may name.
pub static METHODS: &[Preset] = &[
    mae::PRESET,
    simmim::PRESET,
    beit::PRESET,
    um_mae::PRESET,
    maskfeat::PRESET,
    data2vec::PRESET,
    ijepa::PRESET,
    dino::PRESET,
    ibot::PRESET,
    dinov2::PRESET,
    swav::PRESET,
    simclr::PRESET,
    moco::V1,
    moco::V2,
    moco::V3,
    byol::PRESET,
    simsiam::PRESET,
    lejepa::PRESET,
    rotation::PRESET,
    jigsaw::PRESET,
    colorization::PRESET,
    inpainting::PRESET,
];

impl Preset {
    /// Its settings for the `backbone` of that name, which is of `kind`, and whose usual image is a small one or not.
    pub(super) fn layer(&self, backbone: &str, kind: &str, is_small: bool) -> Layer {
        let own = stages().iter().find(|stage| stage.name == "backbone").map(|stage| stage.knobs_of(kind)).unwrap_or_default();
        let is_meant = |name: &str| match name {
            ON_SMALL_IMAGES => is_small,
            RESNET_ON_SMALL_IMAGES => is_small && kind == "resnet",
            name => name == kind || backbone.split('/').next() == Some(name),
        };
        let of_kind = self.sets_for.iter().filter(|(name, _)| is_meant(name)).flat_map(|(_, sets)| *sets);
        let all = self.sets.iter().chain(of_kind);
        let fits = |key: &str| key.strip_prefix("backbone.").is_none_or(|key| own.iter().any(|knob| knob.key == key));
        all.filter(|(key, _)| fits(key)).map(|&(key, value)| (key.to_owned(), Value::parse(value))).collect()
    }
}
