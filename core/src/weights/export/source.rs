//! Weights as they are about to go out: those of one kind, by the names that a network has for them, and what must be known of them.

use std::path::Path;

use crate::backbone::encoder::EncoderConfig;
use crate::error::Result;
use crate::method::encoder_sizes;
use crate::recipe::Recipe;
use crate::weights::model_file::{Weights, WeightsKind, is_of_training};
use crate::weights::safetensors_file::TensorMap;

/// One network's weights.
pub(super) struct Source<'a> {
    /// The recipe that made them, or would.
    pub recipe: &'a Recipe,
    /// Their file, for messages.
    pub path: &'a Path,
    /// The sizes of the encoder.
    pub encoder: EncoderConfig,
    /// By name.
    pub tensors: TensorMap,
    /// There is nothing but an encoder.
    pub is_encoder_alone: bool,
    /// What stays behind whatever the format.
    pub notes: Vec<String>,
}

impl<'a> Source<'a> {
    /// The weights of a kind, for formats that carry a single network.
    ///
    /// # Errors
    /// If there are none of the kind.
    pub fn of(weights: &'a Weights, kind: WeightsKind) -> Result<Self> {
        let mut tensors = weights.tensors_of_kind(kind)?;
        let (recipe, encoder) = (&weights.recipe, encoder_sizes(&weights.recipe));
        if matches!(&encoder, EncoderConfig::Vit(vit) if !vit.key_bias) {
            forget_key_bias(&mut tensors);
        }
        let mut notes = Vec::new();
        match (weights.has_average(), kind) {
            (true, WeightsKind::Raw) => notes.push("the running average stays behind: these are the trained weights".to_owned()),
            (true, _) => notes.push("these are the running average; the trained weights stay behind".to_owned()),
            (false, _) => {}
        }
        if sees_lightness_alone(recipe) {
            notes.push("in training it saw gray images alone: give it images without colors".to_owned());
        }
        Ok(Self { recipe, path: &weights.path, encoder, tensors, is_encoder_alone: weights.encoder_alone.is_some(), notes })
    }

    /// Notes that what predicts or compares stays behind, if there is any such thing.
    pub fn note_encoder_alone(&mut self, why: &str) {
        let part = if self.recipe.compares_views() { "the head that compares views" } else { "the decoder that predicts patches" };
        if self.tensors.keys().any(|name| is_of_training(name) && name != "mask_token") {
            self.notes.push(format!("{part} stays behind: {why}"));
        }
    }

    /// Mean and deviation of each channel.
    pub fn normalization(&self) -> [&'a [f64]; 2] {
        [&self.recipe.data.mean, &self.recipe.data.std]
    }
}

/// Networks that have no bias of keys have room for one, which nothing reads.
fn forget_key_bias(tensors: &mut TensorMap) {
    for (_, bias) in tensors.iter_mut().filter(|(name, _)| name.starts_with("blocks.") && name.ends_with("attn.qkv.bias")) {
        let width = bias.values.len() / 3;
        bias.values[width..2 * width].fill(0.0);
    }
}

/// Whether colors are what the network had to guess.
fn sees_lightness_alone(recipe: &Recipe) -> bool {
    let (mean, std) = recipe.data.normalization();
    let has_colors = recipe.data.channels == 3 && [&mean, &std].iter().all(|values| values.len() == 3);
    has_colors && recipe.target().is_ok_and(|target| target.shown(&[0.0; 3], &mean, &std).is_some())
}
