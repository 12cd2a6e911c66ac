//! The sizes of a recipe's network, read from its settings.

use super::decoder::DecoderConfig;
use super::head::{HeadConfig, PatchHead};
use super::masked_model::{Hidden, MaskedConfig};
use super::projector::{MlpConfig, ProjectorConfig};
use super::prototypes::{Lengths, PrototypesConfig};
use super::views_model::ViewsConfig;
use crate::backbone::batch_norm::Affine;
use crate::backbone::block::Activation;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::init::Init;
use crate::backbone::linear::LayerNorm;
use crate::backbone::pos_embed::Resizing;
use crate::backbone::pvt::PvtConfig;
use crate::backbone::pvt_block::Reduction;
use crate::backbone::relative_position::RelativePositions;
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::error::Result;
use crate::recipe::Recipe;

/// What becomes of masked patches.
pub(super) fn hidden(recipe: &Recipe) -> Hidden {
    match recipe.backbone.tokens.as_str() {
        "mask" => Hidden::MaskTokens,
        "compact" => Hidden::Packed,
        _ => Hidden::Dropped,
    }
}

/// The sizes of the recipe's network.
///
/// # Errors
/// If the recipe's target does not exist.
pub fn sizes(recipe: &Recipe) -> Result<MaskedConfig> {
    let sizes = &recipe.backbone.sizes;
    let own_ratio = recipe.decoder.number("mlp_ratio").filter(|&ratio| ratio > 0.0);
    let decoder = match recipe.decoder.kind.as_str() {
        "linear" => DecoderConfig::Linear,
        _ => DecoderConfig::Transformer {
            width: recipe.decoder.count("width"),
            depth: recipe.decoder.count("depth"),
            heads: recipe.decoder.count("heads"),
            mlp_ratio: own_ratio.or_else(|| sizes.number("mlp_ratio")).unwrap_or(4.0),
            eps: sizes.number("eps").unwrap_or(LayerNorm::EPS),
            recompute: recipe.optim.recompute,
        },
    };
    Ok(MaskedConfig {
        encoder: encoder_sizes(recipe),
        decoder,
        prediction_width: recipe.target()?.output(recipe.shape()).prediction_width(),
        hidden: hidden(recipe),
        secondary_masking: recipe.masks_secondarily(),
    })
}

/// The sizes of the recipe's network, where it compares views.
pub fn view_sizes(recipe: &Recipe) -> ViewsConfig {
    let (encoder, head) = (encoder_sizes(recipe), &recipe.decoder);
    let (inputs, hidden) = (encoder.last_width(), head.count("hidden"));
    let head = match head.kind.as_str() {
        "projector" => {
            let norm = |key: &str| match head.word(key) {
                Some("plain") => Some(Affine::Nothing),
                Some("scale") => Some(Affine::Scale),
                _ => None,
            };
            let projector = MlpConfig {
                layers: head.count("layers"),
                hidden,
                width: head.count("width"),
                batch_norm: head.flag("batch_norm").unwrap_or(true),
                last_norm: norm("last_norm"),
                bias: head.flag("bias").unwrap_or(true),
            };
            let predictor = MlpConfig {
                layers: head.count("predictor_layers"),
                hidden: head.count("predictor_hidden"),
                last_norm: norm("predictor_norm"),
                ..projector
            };
            HeadConfig::Projector(ProjectorConfig { inputs, projector, predictor })
        }
        "classifier" => HeadConfig::Classifier { inputs, classes: head.count("classes") },
        _ => HeadConfig::Prototypes(PrototypesConfig {
            inputs,
            layers: head.count("layers"),
            hidden,
            bottleneck: head.count("bottleneck"),
            prototypes: head.count("prototypes"),
            relu: head.word("activation") == Some("relu"),
            batch_norm: head.flag("batch_norm").unwrap_or(false),
            lengths: match head.word("lengths") {
                Some("free") => Lengths::Free,
                Some("reset") => Lengths::Reset,
                _ => Lengths::One,
            },
        }),
    };
    ViewsConfig { encoder, head, patch_head: PatchHead::of(&recipe.decoder) }
}

/// The sizes of the recipe's encoder.
pub fn encoder_sizes(recipe: &Recipe) -> EncoderConfig {
    let backbone = &recipe.backbone;
    let (sizes, patch, channels, drop_path) = (&backbone.sizes, backbone.patch, recipe.data.channels, backbone.drop_path);
    let grid = recipe.data.image.map(|side| side / patch.max(1));
    let mlp_ratio = sizes.number("mlp_ratio").unwrap_or(4.0);
    match sizes.kind.as_str() {
        "swin" => EncoderConfig::Swin(SwinConfig {
            grid,
            channels,
            patch,
            width: sizes.count("width"),
            depths: sizes.counts("depths"),
            heads: sizes.counts("heads"),
            window: sizes.count("window"),
            mlp_ratio,
            positions: if sizes.word("positions") == Some("network") { RelativePositions::Network } else { RelativePositions::Table },
            drop_path,
            recompute: recipe.optim.recompute,
        }),
        "pvt" => EncoderConfig::Pvt(PvtConfig {
            grid,
            channels,
            patch,
            widths: sizes.counts("widths"),
            depths: sizes.counts("depths"),
            heads: sizes.counts("heads"),
            mlp_ratios: sizes.numbers("mlp_ratios"),
            reductions: sizes.counts("reductions"),
            reduce_by: if sizes.word("reduce_by") == Some("mean") { Reduction::Average } else { Reduction::Convolution },
            learned_pos: sizes.word("pos") != Some("sincos"),
            has_class_token: sizes.flag("class_token").unwrap_or(true),
            map_eps: sizes.number("map_eps").unwrap_or(LayerNorm::EPS),
            drop_path,
            recompute: recipe.optim.recompute,
        }),
        "resnet" => EncoderConfig::ResNet(ResNetConfig {
            grid,
            channels,
            stem: if sizes.word("stem") == Some("small") { Stem::Small } else { Stem::Large },
            bottleneck: sizes.word("block") == Some("bottleneck"),
            width: sizes.count("width"),
            inner: sizes.count("inner").max(1),
            depths: sizes.counts("depths"),
            zero_init: sizes.flag("zero_init").unwrap_or(false),
        }),
        _ => EncoderConfig::Vit(VitConfig {
            grid,
            channels,
            patch,
            width: sizes.count("width"),
            depth: sizes.count("depth"),
            heads: sizes.count("heads"),
            mlp_ratio,
            has_class_token: sizes.flag("class_token").unwrap_or(true),
            activation: sizes.word("mlp").and_then(Activation::named).unwrap_or_default(),
            registers: sizes.count("registers"),
            positions: match sizes.word("pos") {
                Some("learned") => Positions::Learned,
                Some("none") => Positions::Absent,
                Some("rope") => Positions::Rotary,
                _ => Positions::Fixed,
            },
            rope_base: sizes.number("rope_base").unwrap_or(VitConfig::ROPE_BASE),
            resizing: sizes.word("pos_resize").and_then(Resizing::named).unwrap_or_default(),
            relative: match sizes.word("relative") {
                Some("shared") => Relative::Shared,
                Some("own") => Relative::Own,
                _ => Relative::Absent,
            },
            layer_scale: sizes.number("layer_scale").unwrap_or(0.0),
            key_bias: sizes.flag("key_bias").unwrap_or(true),
            init: sizes.word("init").and_then(Init::named).unwrap_or_default(),
            eps: sizes.number("eps").unwrap_or(LayerNorm::EPS),
            drop_path,
            recompute: recipe.optim.recompute,
        }),
    }
}
