//! Folders of Hugging Face transformers as weights: `config.json` beside `model.safetensors`, beside its parts and their index, or beside
//! `pytorch_model.bin`. The settings become a recipe, and the tensors get Maskroom's names and layouts.

mod config;
mod fields;
mod names;
mod normalization;
#[cfg(test)]
mod parity;
mod resnet;
mod shards;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use fields::Fields;

pub(super) use config::{exact_ratio, num_classes, resolve};
pub(super) use names::unshuffled;

use super::safetensors_file::read_metadata;
use super::tensors::Tensors;
use crate::error::{Error, Result};
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::{Hidden, MaskedConfig};
use crate::method::{self, encoder_sizes};
use crate::recipe::Recipe;

/// An opened folder.
pub(super) struct Folder {
    /// What would train such a network here.
    pub recipe: Recipe,
    /// The file of weights, or the index of its parts.
    pub path: PathBuf,
    /// The weights by Maskroom's names.
    pub tensors: Tensors,
    /// The model's class, if it is an encoder without anything that predicts.
    pub encoder_alone: Option<&'static str>,
}

/// The folder of Hugging Face that `path` is, or whose `model.safetensors` or `pytorch_model.bin` it is.
pub(super) fn folder_of(path: &Path) -> Option<&Path> {
    let is_ours = |path: &Path| read_metadata(path).is_ok_and(|metadata| metadata.contains_key("recipe"));
    let folder = match path.file_name() {
        Some(name) if (name == shards::WHOLE || name == shards::OF_TORCH) && path.is_file() => path.parent()?,
        _ => path,
    };
    let has_config = folder.join(config::FILE).is_file() && !folder.join("recipe.toml").is_file();
    (has_config && !is_timms(folder) && !is_ours(&folder.join(shards::WHOLE))).then_some(folder)
}

/// Whether a folder's settings are those of timm, whose tensors have other names: they are read as a file's.
fn is_timms(folder: &Path) -> bool {
    let has = |fields: &Fields, key: &str| fields.get(key).is_some();
    Fields::read(&folder.join(config::FILE)).is_ok_and(|fields| has(&fields, "pretrained_cfg") && !has(&fields, "architectures"))
}

/// The recipe of a folder, without reading the weights.
///
/// # Errors
/// [`Error::Data`] naming the field that is missing, wrong or not supported.
pub(super) fn recipe(folder: &Path) -> Result<Recipe> {
    Ok(match residual(folder)? {
        Some(model) => model.recipe,
        None => config::read(folder)?.recipe,
    })
}

/// The settings of a residual network, if they are of one.
fn residual(folder: &Path) -> Result<Option<resnet::Model>> {
    resnet::read(folder, &Fields::read(&folder.join(config::FILE))?)
}

/// Opens a folder.
///
/// # Errors
/// As [`recipe`], and naming the tensors that are missing, of another shape, or left over.
pub(super) fn open(folder: &Path) -> Result<Folder> {
    let strange = |path: &Path, wrong: &[String]| {
        let cure = "these weights do not belong to the config.json beside them: use both as `save_pretrained` wrote them";
        Error::data(path, super::model_file::listed(wrong), cure)
    };
    if let Some(model) = residual(folder)? {
        let listing = shards::read(folder)?;
        let path = listing.path.clone();
        let takes = model.takes(listing.shapes.clone()).map_err(|wrong| strange(&path, &wrong))?;
        return Ok(Folder { path, tensors: Tensors::new(listing, takes), encoder_alone: Some(model.class), recipe: model.recipe });
    }
    let model = config::read(folder)?;
    let listing = shards::read(folder)?;
    let path = listing.path.clone();
    let sizes = sizes(&model.recipe)?;
    let takes = names::takes(&sizes, &model, listing.shapes.clone()).map_err(|wrong| strange(&path, &wrong))?;
    let tensors = Tensors::new(listing, takes);
    Ok(Folder { path, tensors, encoder_alone: model.has_no_head().then_some(model.architecture.name), recipe: model.recipe })
}

/// The sizes of a model's network; of one that compares views, whose folders have an encoder alone, nothing follows the encoder.
fn sizes(recipe: &Recipe) -> Result<MaskedConfig> {
    if !recipe.compares_views() {
        return method::sizes(recipe);
    }
    let (encoder, decoder, hidden) = (encoder_sizes(recipe), DecoderConfig::Linear, Hidden::MaskTokens);
    Ok(MaskedConfig { encoder, decoder, prediction_width: 0, hidden, secondary_masking: false })
}

/// Whether settings, or an index of parts, that are in memory can be read.
#[cfg(test)]
pub(super) fn reads(text: &[u8]) -> bool {
    let folder = Path::new("nowhere");
    let config = config::read_by(folder, |path| Fields::of(path, text));
    config.is_ok() || Fields::of(folder, text).is_ok_and(|index| shards::parts(&index).is_ok())
}
