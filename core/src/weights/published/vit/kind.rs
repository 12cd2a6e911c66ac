//! Whose network a file has, and the recipe that would train such a one here.

use super::super::dino_head::HeadSizes;
use super::super::listing::Listing;
use super::super::site::Sites;
use super::super::{IMAGENET, resolved};
use super::predictor::Predictor;
use super::sizes::{DecoderSizes, Mlp, Sizes};
use crate::backbone::pos_embed::sincos_2d;
use crate::backbone::vit::Relative;
use crate::error::Result;
use crate::recipe::Recipe;
use crate::weights::hugging_face::exact_ratio;

/// Whose network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mae,
    UmMae,
    Beit,
    BeitV2,
    Data2Vec,
    SimMim,
    MaskFeat,
    IJepa,
    Dino,
    DinoV2,
    DinoV3,
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
    pub fn of(sites: &Sites, sizes: &Sizes, predictor: Option<&Predictor>, listing: &Listing) -> Result<Self> {
        let (site, name) = (&sites.raw, listing.file_name());
        let has = |own: &str| site.name(own).is_some();
        let beside = |ending: &str| listing.shapes.keys().any(|name| name.ends_with(ending));
        if sizes.rotary {
            return Ok(Self::DinoV3);
        }
        if sites.have_word("base_encoder") || sites.have_word("momentum_encoder") {
            return Ok(Self::MocoV3);
        }
        if sizes.decoder.is_some() {
            return Ok(if has("vis_mask_token") { Self::UmMae } else { Self::Mae });
        }
        if has("pred_head.transforms.0.0.weight") {
            return Ok(Self::MaskFeat);
        }
        if let Some(kind) = Self::like_beit(sizes, predictor, listing) {
            return Ok(kind);
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
        let is_averaged = !sizes.has_class_token && sites.have_word("target_encoder");
        if is_averaged || matches!(predictor, Some(Predictor::Blocks(_))) || (!sizes.has_class_token && name.contains("jepa")) {
            return Ok(Self::IJepa);
        }
        let is_fixed = match (site.name("pos_embed").cloned(), sizes.placed) {
            (Some(table), Some(placed)) if placed == usize::from(sizes.has_class_token) && sizes.width.is_multiple_of(4) => {
                is_sincos(&listing.tensor(&table)?.values, sizes)
            }
            _ => false,
        };
        Ok(match (is_fixed, site.first_of(&["head.weight", "fc.weight"])) {
            (true, _) if sizes.has_class_token => Self::Mae,
            (true, _) => Self::IJepa,
            (false, Some(_)) => Self::Classifier,
            (false, None) => Self::Plain,
        })
    }

    /// Those of BEiT's make, told by what predicts, by their tables of distances, and by what the file says.
    fn like_beit(sizes: &Sizes, predictor: Option<&Predictor>, listing: &Listing) -> Option<Self> {
        let name = listing.file_name();
        // BEiT's other mark, where positions are in a table.
        let is_like = sizes.relative != Relative::Absent || (!sizes.key_bias && sizes.layer_scale == Some(["gamma_1", "gamma_2"]));
        let is_v2 = ["beitv2", "beit_v2", "beit2"].iter().any(|word| name.contains(word));
        Some(match predictor {
            Some(Predictor::Pixels) => Self::SimMim,
            Some(Predictor::Features) => Self::Data2Vec,
            Some(Predictor::Blocks(_) | Predictor::Gradients) => return None,
            None if !is_like => return None,
            _ if is_data2vec(listing) => Self::Data2Vec,
            _ if name.contains("simmim") => Self::SimMim,
            _ if is_v2 || listing.shapes.keys().any(|name| name.contains("cls_pt_layers.")) => Self::BeitV2,
            _ => Self::Beit,
        })
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Mae => "MAE",
            Self::UmMae => "UM-MAE",
            Self::Beit => "BEiT",
            Self::BeitV2 => "BEiT v2",
            Self::Data2Vec => "data2vec",
            Self::SimMim => "SimMIM",
            Self::MaskFeat => "MaskFeat",
            Self::IJepa => "I-JEPA",
            Self::Dino => "DINO",
            Self::DinoV2 => "DINOv2",
            Self::DinoV3 => "DINOv3",
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
            Self::Mae | Self::UmMae => "MAE encoder",
            Self::Beit => "BEiT encoder",
            Self::BeitV2 => "BEiT v2 encoder",
            Self::Data2Vec => "data2vec encoder",
            Self::SimMim => "SimMIM encoder",
            Self::MaskFeat => "MaskFeat encoder",
            Self::IJepa => "I-JEPA encoder",
            Self::Dino => "DINO backbone",
            Self::DinoV2 => "DINOv2 backbone",
            Self::DinoV3 => "DINOv3 backbone",
            Self::Ibot => "iBOT backbone",
            Self::MocoV3 => "MoCo v3 backbone",
            Self::Deit => "DeiT",
            Self::Classifier => "classifier",
            Self::Plain => "vision transformer",
        }
    }

    /// How its own code brings a table of positions to images of another size.
    fn resizing(self, sizes: &Sizes, listing: &Listing) -> &'static str {
        match self {
            Self::DinoV2 if sizes.registers == 0 && listing.shapes.keys().any(|name| name.ends_with("mask_token")) => "offset",
            Self::Dino | Self::Ibot => "offset",
            // DINOv2's with registers, and timm, whose files of DINOv2 have no mask token.
            Self::DinoV2 | Self::Classifier | Self::Plain => "antialiased",
            _ => "bicubic",
        }
    }

    /// Whose preset a recipe starts from. BEiT's asks for a tokenizer, or for its words.
    fn method(self, predictor: Option<&Predictor>) -> &'static str {
        match self {
            Self::Mae => "mae",
            Self::UmMae => "um-mae",
            Self::Beit | Self::BeitV2 if matches!(predictor, Some(Predictor::Words(_))) => "beit",
            Self::Data2Vec => "data2vec",
            Self::MaskFeat => "maskfeat",
            Self::IJepa => "ijepa",
            Self::Dino | Self::DinoV2 | Self::DinoV3 | Self::Ibot => "dino",
            Self::MocoV3 => "moco-v3",
            Self::Beit | Self::BeitV2 | Self::SimMim | Self::Deit | Self::Classifier | Self::Plain => "simmim",
        }
    }
}

/// Whether the file says so, or it has the settings of data2vec's training.
pub(super) fn is_data2vec(listing: &Listing) -> bool {
    listing.file_name().contains("data2vec") || listing.number("l1_beta").is_some()
}

fn is_sincos(table: &[f32], sizes: &Sizes) -> bool {
    let [rows, cols] = sizes.grid;
    let fixed = sincos_2d(sizes.width, rows, cols).split_off(if sizes.placed == Some(0) { sizes.width } else { 0 });
    fixed.len() == table.len() && fixed.iter().zip(table).all(|(fixed, value)| (fixed - value).abs() < 2e-3)
}

/// What BEiT does, unless it is told not to.
const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);
/// What norms of plain transformers add to the variance, in timm and in the papers' own code.
const EPS: f64 = 1e-6;
/// What those of DINOv3 add.
const EPS_OF_DINOV3: f64 = 1e-5;
/// Where learned factors of branches start, in DINOv2.
const LAYER_SCALE: f64 = 1e-5;

/// The recipe that would train such a network.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) if there can be none of such sizes.
pub(super) fn recipe(
    kind: Kind,
    sizes: &Sizes,
    heads: (Option<HeadSizes>, Option<&Predictor>),
    rope_base: f64,
    listing: &Listing,
) -> Result<Recipe> {
    let (head, predictor) = heads;
    let mut sets = Vec::new();
    let mut set = |key: &str, value: &dyn ToString| sets.push((key.to_owned(), value.to_string()));
    let (mean, std) = match sizes.channels {
        3 => normalization(kind, listing),
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
    set("backbone.mlp", &if sizes.mlp == Mlp::Plain { "gelu" } else { "swiglu" });
    set("backbone.class_token", &sizes.has_class_token);
    set("backbone.registers", &sizes.registers);
    set("backbone.pos", &positions(kind, sizes));
    set("backbone.pos_resize", &kind.resizing(sizes, listing));
    set("backbone.rope_base", &rope_base);
    set(
        "backbone.relative",
        &match sizes.relative {
            Relative::Absent => "none",
            Relative::Shared => "shared",
            Relative::Own => "own",
        },
    );
    set("backbone.layer_scale", &if sizes.layer_scale.is_some() { LAYER_SCALE } else { 0.0 });
    set("backbone.key_bias", &sizes.key_bias);
    set("backbone.eps", &if sizes.rotary { EPS_OF_DINOV3 } else { EPS });
    set("backbone.drop_path", &0);
    let share = |key: &str, usual: f64| listing.number(key).filter(|share| (0.0..1.0).contains(share)).unwrap_or(usual);
    match (kind, predictor) {
        (Kind::Mae, _) if sizes.decoder.is_some() => set("mask.ratio", &share("mask_ratio", 0.75)),
        (Kind::UmMae, _) => set("mask.secondary", &share("vis_mask_ratio", 0.25)),
        // The mean of the upper half of the blocks is what is predicted.
        (Kind::Data2Vec, _) => set("target.layers", &(sizes.depth / 2).max(1)),
        (_, Some(Predictor::Words(count))) => set("target.codes", count),
        _ => {}
    }
    if sizes.decoder.is_some() {
        set("target.norm_pix", &has_normalized_pixels(listing));
    }
    if let Some(decoder) = sizes.decoder.as_ref().or(Predictor::blocks(predictor)) {
        let &DecoderSizes { width, depth, heads, hidden } = decoder;
        set("decoder.width", &width);
        set("decoder.depth", &depth);
        set("decoder.heads", &heads);
        set("decoder.mlp_ratio", &exact_ratio(hidden, width));
    }
    if let Some(head) = head {
        set("decoder.layers", &head.layers);
        set("decoder.hidden", &head.hidden);
        set("decoder.bottleneck", &head.bottleneck);
        set("decoder.prototypes", &head.prototypes);
        set("decoder.batch_norm", &head.batch_norm);
        set("decoder.lengths", &if listing.flag("norm_last_layer") == Some(false) { "free" } else { "one" });
    }
    resolved(kind.method(predictor), sets, listing)
}

/// Mean and deviation of each of three channels.
fn normalization(kind: Kind, listing: &Listing) -> (Vec<f64>, Vec<f64>) {
    let is_imagenet = listing.flag("imagenet_default_mean_and_std").unwrap_or(kind != Kind::Beit);
    let (mean, std) = if is_imagenet { IMAGENET } else { HALF };
    (mean.to_vec(), std.to_vec())
}

/// MoCo v3's table is fixed too, with rows and columns the other way round: it is kept as it is.
fn positions(kind: Kind, sizes: &Sizes) -> &'static str {
    match (kind, sizes.placed) {
        (Kind::DinoV3, _) => "rope",
        (_, None) => "none",
        (Kind::Mae | Kind::UmMae, _) => "sincos",
        (Kind::IJepa, _) if sizes.width.is_multiple_of(4) => "sincos",
        _ => "learned",
    }
}

/// Whether MAE's decoder predicts pixels that are normalized patch by patch. The files do not say it; the published ones made for drawing,
/// `mae_visualize_…`, do not.
fn has_normalized_pixels(listing: &Listing) -> bool {
    listing.flag("norm_pix_loss").unwrap_or_else(|| !listing.file_name().contains("visualize"))
}
