//! Weights on their way out of the window: what is wanted of them, and the one call of the library that writes them and reads them back.

use std::path::PathBuf;

use egui::Context;
use maskroom_core::error::Result;
use maskroom_core::weights::export::{Exported, Format, Options, export};
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use maskroom_core::weights::precision::Precision;

use super::job::Job;

/// The layouts: what they are called, the last part of a folder's name, and what they are for.
pub const FORMATS: [(Format, &str, &str, &str); 4] = [
    (Format::Timm, "timm", "timm", "safetensors by timm's names, for `timm.create_model` and everything that is built on it"),
    (Format::HuggingFace, "Hugging Face", "hf", "a folder that `from_pretrained` loads"),
    (Format::Onnx, "ONNX", "onnx", "a graph of features and class attention, for onnxruntime"),
    (Format::Maskroom, "Maskroom", "maskroom", "one file with its recipe, for Maskroom"),
];

/// What is to be written.
#[derive(Debug, Clone)]
pub struct Order {
    /// A run, a checkpoint, a file or a folder of Hugging Face.
    pub weights: PathBuf,
    /// The folder that the files go into; it is made.
    pub to: PathBuf,
    /// The layout.
    pub format: Format,
    /// The kind of numbers.
    pub precision: Precision,
    /// The running average where there is one, or the weights that were trained.
    pub kind: WeightsKind,
    /// What the model card says of the licence; empty where nobody has said.
    pub licence: String,
}

/// Writes them on a thread of its own.
pub fn start(order: Order, context: &Context) -> Job<Exported> {
    Job::start("exporting weights", context, move |_| Ok(write(&order)?))
}

fn write(order: &Order) -> Result<Exported> {
    let weights = Weights::open(&order.weights)?;
    let licence = Some(order.licence.trim().to_owned()).filter(|licence| !licence.is_empty());
    let options = Options { format: order.format, precision: order.precision, kind: order.kind, licence };
    export(&weights, &order.weights, &order.to, &options)
}

/// What was written and verified, in one sentence.
pub fn in_words(order: &Order, exported: &Exported) -> String {
    let (place, size) = (order.to.display(), maskroom_widgets::format::bytes(exported.bytes));
    let Some(difference) = exported.largest_difference else { return format!("{size} are in {place}; Maskroom does not read them back") };
    let tensors = maskroom_widgets::format::count(exported.tensors.unwrap_or_default() as u64);
    let compared = if difference > 0.0 { format!("different by at most {difference:.1e}") } else { "equal".to_owned() };
    format!("{tensors} tensors ({size}) are in {place}, read back and {compared}")
}
