//! `maskroom weights export`: weights in the layouts of other libraries.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use maskroom_core::weights::export::{Exported, Format, Options, export};
use maskroom_core::weights::model_file::Weights;
use maskroom_core::weights::precision::Precision;
use serde_json::{Value, json};

use super::Source;
use crate::cli::context::Context;
use crate::cli::looking::Kind;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// A new file that ends in .safetensors or .onnx, or a new folder, which gets a model card too.
    #[arg(long)]
    out: PathBuf,
    /// The layout; if not said, onnx for .onnx, maskroom for .safetensors, and hf for a folder.
    #[arg(long, value_enum)]
    format: Option<FormatArgument>,
    /// The kind of numbers.
    #[arg(long, value_enum, default_value_t = PrecisionArgument::F32)]
    precision: PrecisionArgument,
    /// Which of the weights: the running average (the teacher) where there is one, the raw ones, or the average.
    #[arg(long, value_enum, default_value_t = Kind::Best)]
    weights_kind: Kind,
    /// What the model card says of the weights' licence, such as cc-by-4.0.
    #[arg(long, alias = "license")]
    licence: Option<String>,
}

/// The layouts.
#[derive(Clone, Copy, ValueEnum)]
pub enum FormatArgument {
    /// Maskroom's own, which carries everything.
    Maskroom,
    /// An encoder for timm.
    Timm,
    /// A folder that `from_pretrained` of Hugging Face transformers opens.
    Hf,
    /// A graph for onnxruntime and others.
    Onnx,
}

impl From<FormatArgument> for Format {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Maskroom => Self::Maskroom,
            FormatArgument::Timm => Self::Timm,
            FormatArgument::Hf => Self::HuggingFace,
            FormatArgument::Onnx => Self::Onnx,
        }
    }
}

/// The kinds of numbers.
#[derive(Clone, Copy, ValueEnum)]
pub enum PrecisionArgument {
    /// 32 bits.
    F32,
    /// 16 bits, up to 65,504.
    F16,
    /// 16 bits, as large as those of 32 and less precise.
    Bf16,
}

impl From<PrecisionArgument> for Precision {
    fn from(precision: PrecisionArgument) -> Self {
        match precision {
            PrecisionArgument::F32 => Self::F32,
            PrecisionArgument::F16 => Self::F16,
            PrecisionArgument::Bf16 => Self::Bf16,
        }
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let source = arguments.source.path();
    let options = Options {
        format: arguments.format.map_or_else(|| Format::of_path(&arguments.out), Format::from),
        precision: arguments.precision.into(),
        kind: arguments.weights_kind.into(),
        licence: arguments.licence.clone(),
    };
    let exported = export(&Weights::open(source)?, source, &arguments.out, &options)?;
    say(context, &exported);
    Ok(context.result(&as_json(&exported, &options)))
}

/// Tells a person what was written.
pub fn say(context: &Context, exported: &Exported) {
    let tensors = exported.tensors.map(|count| format!("{count} tensors, ")).unwrap_or_default();
    context.say(format!("written    {} ({tensors}{} bytes)", exported.path.display(), exported.bytes));
    if let Some(difference) = exported.largest_difference {
        let compared = match difference {
            0.0 => "every number is the same".to_owned(),
            _ => format!("every number is the nearest there is, the furthest {difference:.1e} away"),
        };
        context.say(format!("checked    read again: {compared}"));
    }
    exported.notes.iter().for_each(|note| context.say(format!("note       {note}")));
}

/// The same for a program.
pub fn as_json(exported: &Exported, options: &Options) -> Value {
    json!({
        "path": exported.path,
        "format": options.format.name(),
        "precision": options.precision.name(),
        "files": exported.files,
        "tensors": exported.tensors,
        "bytes": exported.bytes,
        "exact": exported.is_exact(),
        "largest_difference": exported.largest_difference,
        "notes": exported.notes,
    })
}
