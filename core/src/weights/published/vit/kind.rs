//! Whose network a file has, and the recipe that would train such a one here.

use super::super::dino_head::HeadSizes;
use super::super::listing::Listing;
use super::super::site::Sites;
use super::super::{IMAGENET, resolved};
use super::sizes::Sizes;
use crate::backbone::pos_embed::sincos_2d;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::weights::hugging_face::exact_ratio;

/// Whose network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mae,
    Dino,
    DinoV2,
    Ibot,
    MocoV3,
    Deit,
    /// One with a classifier, as timm has them.
    Classifier,
    /// One of which nothing tells whose it is.
    Plain,
}

impl Kind {
    /// Finds out by names, by the file's own name, and by the position table, which MAE does not learn.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn of(sites: &Sites, sizes: &Sizes, listing: &mut Listing) -> Result<Self> {
        let (site, name) = (&sites.raw, listing.file_name());
        let has = |own: &str| site.name(own).is_some();
        let beside = |ending: &str| listing.shapes.keys().any(|name| name.ends_with(ending));
        if sites.have_word("base_encoder") || sites.have_word("momentum_encoder") {
            return Ok(Self::MocoV3);
        }
        if sizes.decoder.is_some() {
            return Ok(Self::Mae);
        }
        if has("masked_embed") || beside("head.last_layer2.weight_v") || name.contains("ibot") {
            return Ok(Self::Ibot);
        }
        if (sizes.layer_scale.is_some() && has("mask_token")) || name.contains("dinov2") {
            return Ok(Self::DinoV2);
        }
        if name.contains("dino") || beside("head.last_layer.weight_v") || listing.says("arch", "dino") || sites.have_word("teacher") {
            return Ok(Self::Dino);
        }
        if has("dist_token") || name.contains("deit") {
            return Ok(Self::Deit);
        }
        let is_fixed = match site.name("pos_embed").cloned() {
            Some(table) if sizes.placed == 1 && sizes.width.is_multiple_of(4) => is_sincos(&listing.tensor(&table)?.values, sizes),
            _ => false,
        };
        Ok(match (is_fixed, site.first_of(&["head.weight", "fc.weight"])) {
            (true, _) => Self::Mae,
            (false, Some(_)) => Self::Classifier,
            (false, None) => Self::Plain,
        })
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Mae => "MAE",
            Self::Dino => "DINO",
            Self::DinoV2 => "DINOv2",
            Self::Ibot => "iBOT",
            Self::MocoV3 => "MoCo v3",
            Self::Deit => "DeiT",
            Self::Classifier => "vision transformer with a classifier",
            Self::Plain => "vision transformer",
        }
    }

    /// What it is called without anything that was put on it for training.
    pub fn alone(self) -> &'static str {
        match self {
            Self::Mae => "MAE encoder",
            Self::Dino => "DINO backbone",
            Self::DinoV2 => "DINOv2 backbone",
            Self::Ibot => "iBOT backbone",
            Self::MocoV3 => "MoCo v3 backbone",
            Self::Deit => "DeiT",
            Self::Classifier => "classifier",
            Self::Plain => "vision transformer",
        }
    }

    /// Whose preset a recipe starts from.
    fn method(self) -> &'static str {
        match self {
            Self::Mae => "mae",
            Self::Dino | Self::DinoV2 | Self::Ibot => "dino",
            Self::MocoV3 => "moco-v3",
            Self::Deit | Self::Classifier | Self::Plain => "simmim",
        }
    }
}

fn is_sincos(table: &[f32], sizes: &Sizes) -> bool {
    let [rows, cols] = sizes.grid;
    let fixed = sincos_2d(sizes.width, rows, cols);
    fixed.len() == table.len() && fixed.iter().zip(table).all(|(fixed, value)| (fixed - value).abs() < 2e-3)
}

/// What norms of plain transformers add to the variance, in timm and in the papers' own code.
const EPS: f64 = 1e-6;
/// Where learned factors of branches start, in DINOv2.
const LAYER_SCALE: f64 = 1e-5;

/// The recipe that would train such a network.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if there can be none of such sizes.
pub(super) fn recipe(kind: Kind, sizes: &Sizes, head: Option<HeadSizes>, listing: &Listing) -> Result<Recipe> {
    let mut sets = Vec::new();
    let mut set = |key: &str, value: &dyn ToString| sets.push((key.to_owned(), value.to_string()));
    let (mean, std) = match sizes.channels {
        3 => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
        channels => (vec![0.5; channels], vec![0.5; channels]),
    };
    set("data.image", &format!("{:?}", sizes.grid.map(|side| side * sizes.patch)));
    set("data.channels", &sizes.channels);
    set("data.mean", &format!("{mean:?}"));
    set("data.std", &format!("{std:?}"));
    set("backbone.preset", &"\"\"");
    set("backbone.kind", &"vit");
    set("backbone.patch", &sizes.patch);
    set("backbone.width", &sizes.width);
    set("backbone.depth", &sizes.depth);
    set("backbone.heads", &sizes.heads);
    set("backbone.mlp_ratio", &exact_ratio(sizes.hidden, sizes.width));
    set("backbone.registers", &sizes.registers);
    // MoCo v3's table is fixed too, with rows and columns the other way round: it is kept as it is.
    set("backbone.pos", &if kind == Kind::Mae { "sincos" } else { "learned" });
    set("backbone.relative", &"none");
    set("backbone.layer_scale", &if sizes.layer_scale.is_some() { LAYER_SCALE } else { 0.0 });
    set("backbone.key_bias", &true);
    set("backbone.eps", &EPS);
    set("backbone.drop_path", &0);
    if let Some(decoder) = &sizes.decoder {
        set("decoder.width", &decoder.width);
        set("decoder.depth", &decoder.depth);
        set("decoder.heads", &decoder.heads);
        set("decoder.mlp_ratio", &exact_ratio(decoder.hidden, decoder.width));
        set("mask.ratio", &listing.number("mask_ratio").filter(|ratio| (0.0..1.0).contains(ratio)).unwrap_or(0.75));
        set("target.norm_pix", &has_normalized_pixels(listing));
    }
    if let Some(head) = head {
        set("decoder.layers", &head.layers);
        set("decoder.hidden", &head.hidden);
        set("decoder.bottleneck", &head.bottleneck);
        set("decoder.prototypes", &head.prototypes);
        set("decoder.batch_norm", &head.batch_norm);
        set("decoder.lengths", &if listing.flag("norm_last_layer") == Some(false) { "free" } else { "one" });
    }
    resolved(kind.method(), sets, listing)
}

/// Whether MAE's decoder predicts pixels that are normalized patch by patch. The files do not say it; the published ones made for drawing,
/// `mae_visualize_…`, do not.
fn has_normalized_pixels(listing: &Listing) -> bool {
    listing.flag("norm_pix_loss").unwrap_or_else(|| !listing.file_name().contains("visualize"))
}
