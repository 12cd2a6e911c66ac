//! Weights out of Maskroom, in the layouts that other programs read.

use std::path::{Path, PathBuf};

use super::model_file::{Weights, WeightsKind};
use super::precision::Precision;
use crate::error::{Error, Result};

/// The layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// timm's names in one file of safetensors.
    #[default]
    Timm,
    /// A folder that `from_pretrained` loads.
    HuggingFace,
    /// A graph for onnxruntime.
    Onnx,
    /// Maskroom's own file.
    Maskroom,
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The layout.
    pub format: Format,
    /// The kind of numbers.
    pub precision: Precision,
    /// Which of the weights.
    pub kind: WeightsKind,
    /// What the model card says of the licence.
    pub licence: Option<String>,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Tensors in them.
    pub tensors: usize,
    /// Their size.
    pub bytes: u64,
    /// The largest difference from what was to be written, after reading back.
    pub largest_difference: f64,
    /// What must be known of them.
    pub notes: Vec<String>,
}

/// Writes weights into the folder `to`.
///
/// # Errors
/// If they cannot be written in that layout.
pub fn export(_weights: &Weights, source: &Path, _to: &Path, _options: &Options) -> Result<Exported> {
    Err(Error::data(source, "weights cannot be exported yet", "wait for the next version"))
}
