//! Which of Hugging Face's classes computes what a network computes.

use crate::backbone::block::Activation;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::relative_position::RelativePositions;
use crate::backbone::resnet::{ResNetConfig, Stem};
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::error::{Error, Result};
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::Hidden;
use crate::method::sizes;
use crate::weights::export::renaming::hidden;
use crate::weights::export::source::Source;

/// A class of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// MAE, encoder and decoder.
    VitMae,
    /// A plain transformer.
    Vit,
    /// The same with a linear layer to pixels.
    VitMasked,
    /// A plain transformer without a class token.
    IJepa,
    /// A plain transformer with relative positions.
    Beit,
    /// The same with a linear layer to classes.
    BeitMasked,
    /// A plain transformer with factors of branches.
    Dinov2,
    /// The same with registers.
    Dinov2WithRegisters,
    /// A pyramid of shifted windows.
    Swin,
    /// The same with a linear layer to pixels.
    SwinMasked,
    /// A residual network.
    ResNet,
}

/// What is put on an encoder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Nothing, or nothing that a class has.
    Absent,
    /// MAE's decoder, to pixels.
    Decoder,
    /// A linear layer to pixels.
    Pixels,
    /// A linear layer to classes.
    Classes,
}

impl Class {
    /// The class of a network.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(source: &Source<'_>) -> Result<Self> {
        let head = Head::of(source)?;
        match &source.encoder {
            EncoderConfig::Vit(vit) => plain(vit, head),
            EncoderConfig::Swin(swin) => pyramid(swin, head),
            EncoderConfig::ResNet(resnet) => residual(resnet),
            EncoderConfig::Pvt(_) => Err(refused("Maskroom writes no PVT for Hugging Face", "onnx")),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::VitMae => "ViTMAEForPreTraining",
            Self::Vit => "ViTModel",
            Self::VitMasked => "ViTForMaskedImageModeling",
            Self::IJepa => "IJepaModel",
            Self::Beit => "BeitModel",
            Self::BeitMasked => "BeitForMaskedImageModeling",
            Self::Dinov2 => "Dinov2Model",
            Self::Dinov2WithRegisters => "Dinov2WithRegistersModel",
            Self::Swin => "SwinModel",
            Self::SwinMasked => "SwinForMaskedImageModeling",
            Self::ResNet => "ResNetModel",
        }
    }

    /// The name of its settings.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::VitMae => "vit_mae",
            Self::Vit | Self::VitMasked => "vit",
            Self::IJepa => "ijepa",
            Self::Beit | Self::BeitMasked => "beit",
            Self::Dinov2 => "dinov2",
            Self::Dinov2WithRegisters => "dinov2_with_registers",
            Self::Swin | Self::SwinMasked => "swin",
            Self::ResNet => "resnet",
        }
    }

    /// What stands before the names of the encoder's tensors.
    pub fn base(self) -> &'static str {
        match self {
            Self::VitMae | Self::VitMasked => "vit.",
            Self::BeitMasked => "beit.",
            Self::SwinMasked => "swin.",
            _ => "",
        }
    }

    /// Whether it predicts what is masked.
    pub fn predicts(self) -> bool {
        !self.base().is_empty()
    }

    /// Whether its keys have no bias.
    pub fn is_beit(self) -> bool {
        matches!(self, Self::Beit | Self::BeitMasked)
    }

    /// Code that has a result of a `model` of the class for its `inputs`.
    pub fn result(self) -> &'static str {
        match self {
            Self::VitMae => "patches = model(**inputs).logits  # hides patches at random, config.mask_ratio of them",
            Self::VitMasked => "features = model.vit(**inputs).last_hidden_state  # class token, patches",
            Self::BeitMasked => "features = model.layernorm(model.beit(**inputs).last_hidden_state)  # class token, patches",
            Self::SwinMasked => "features = model.swin(**inputs).last_hidden_state",
            Self::Vit | Self::Beit | Self::Dinov2 => "features = model(**inputs).last_hidden_state  # class token, patches",
            Self::Dinov2WithRegisters => "features = model(**inputs).last_hidden_state  # class token, registers, patches",
            Self::IJepa | Self::Swin | Self::ResNet => "features = model(**inputs).last_hidden_state",
        }
    }
}

impl Head {
    fn of(source: &Source<'_>) -> Result<Self> {
        let (recipe, [height, width]) = (source.recipe, source.recipe.data.image);
        if source.is_encoder_alone || recipe.compares_views() {
            return Ok(Self::Absent);
        }
        let (sizes, is_pixels) = (sizes(recipe)?, recipe.target()?.is_pixels());
        // The library's classes draw square images alone.
        let draws = is_pixels && height == width;
        Ok(match (&sizes.decoder, sizes.hidden) {
            (DecoderConfig::Transformer { .. }, Hidden::Dropped) if draws && !sizes.secondary_masking => Self::Decoder,
            (DecoderConfig::Linear, Hidden::MaskTokens) if draws => Self::Pixels,
            (DecoderConfig::Linear, Hidden::MaskTokens) if recipe.target.kind == "tokens" => Self::Classes,
            _ => Self::Absent,
        })
    }
}

fn refused(why: &str, format: &str) -> Error {
    Error::Usage(format!("{why}: use --format {format}, or maskroom"))
}

fn plain(vit: &VitConfig, head: Head) -> Result<Class> {
    if vit.positions == Positions::Rotary || vit.activation == Activation::GeGlu {
        let why = "Maskroom writes no transformers with rotary positions for Hugging Face, and none with a gate of a GELU";
        return Err(refused(why, "onnx"));
    }
    let (is_square, is_gated) = (vit.grid[0] == vit.grid[1], vit.activation.is_gated());
    // BEiT's class resizes positions of images that are not square as if they were.
    let is_beit = !is_gated && vit.registers == 0 && (is_square || vit.positions == Positions::Absent);
    let is_dinov2 = vit.relative == Relative::Absent && is_square && dinov2_ratio(vit).is_some();
    let needs_more = vit.relative != Relative::Absent || vit.layer_scale > 0.0 || vit.registers > 0 || is_gated;
    Ok(match head {
        _ if !vit.has_class_token && !needs_more => Class::IJepa,
        _ if !vit.has_class_token => return Err(refused("Hugging Face's transformer without a class token is a plain one", "timm")),
        Head::Classes if is_beit => Class::BeitMasked,
        Head::Decoder if !needs_more => Class::VitMae,
        Head::Pixels if !needs_more => Class::VitMasked,
        _ if !needs_more => Class::Vit,
        _ if is_dinov2 && vit.registers > 0 => Class::Dinov2WithRegisters,
        _ if is_dinov2 => Class::Dinov2,
        _ if is_beit => Class::Beit,
        _ => {
            let why = "none of Hugging Face's plain transformers has registers, factors of branches, gates or relative positions together \
                       with its positions, image size or MLP";
            return Err(refused(why, "timm"));
        }
    })
}

/// What DINOv2's settings say of an MLP, if they can: the hidden width over D as a whole number, of which a gate leaves two thirds, up to a
/// multiple of eight.
pub(super) fn dinov2_ratio(vit: &VitConfig) -> Option<usize> {
    const MOST: usize = 64;
    let of = |ratio: usize| if vit.activation.is_gated() { (vit.width * ratio * 2 / 3).next_multiple_of(8) } else { vit.width * ratio };
    (1..=MOST).find(|&ratio| of(ratio) == hidden(vit.width, vit.mlp_ratio))
}

fn pyramid(swin: &SwinConfig, head: Head) -> Result<Class> {
    if swin.positions == RelativePositions::Network {
        return Err(refused("Hugging Face's Swin has a table of relative positions, and this one has a network", "onnx"));
    }
    if swin.grids().iter().any(|grid| grid[0].min(grid[1]) < swin.window) {
        return Err(refused(
            "the windows are larger than the map of a late stage, and Hugging Face's Swin has tables of whole windows",
            "timm",
        ));
    }
    Ok(if head == Head::Pixels { Class::SwinMasked } else { Class::Swin })
}

fn residual(resnet: &ResNetConfig) -> Result<Class> {
    if resnet.stem != Stem::Large {
        return Err(refused(
            "Hugging Face's residual networks begin with a convolution of 7x7, and this one is made for small images",
            "onnx",
        ));
    }
    if resnet.inner != 1 && resnet.bottleneck {
        return Err(refused("Hugging Face's residual networks have bottlenecks of a quarter of the width alone", "timm"));
    }
    Ok(Class::ResNet)
}
