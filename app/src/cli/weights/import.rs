//! `maskroom weights import`: any known checkpoint as a file of Maskroom's own.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use maskroom_core::tokenizer::dalle::import::is_dalle;
use maskroom_core::weights::export::{Format, Options, export};
use maskroom_core::weights::inspection::inspect;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use maskroom_core::weights::precision::Precision;

use super::export::{as_json, say};
use super::{Source, inspect as inspection};
use crate::cli::context::Context;
use crate::cli::looking::format_of;
use crate::cli::tokenizer::{ImportArguments, import_tokenizer};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// A new file that ends in .safetensors.
    #[arg(long)]
    out: PathBuf,
    /// Of DALL-E's encoder.pkl, which becomes a tokenizer: the decoder.pkl beside it, which draws its codes.
    #[arg(long)]
    decoder: Option<PathBuf>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    format_of(&arguments.out, &["safetensors"])?;
    let source = arguments.source.path();
    if arguments.decoder.is_some() || is_dalle(source) {
        let (encoder, decoder, out) = (source.to_path_buf(), arguments.decoder.clone(), arguments.out.clone());
        return import_tokenizer(context, &ImportArguments { encoder, decoder, out });
    }
    let found = inspect(source)?;
    inspection::say(context, &found);
    let options = Options { format: Format::Maskroom, precision: Precision::F32, kind: WeightsKind::Best, licence: None };
    let exported = export(&Weights::open(source)?, source, &arguments.out, &options)?;
    say(context, &exported);
    let (mut result, recognized) = (as_json(&exported, &options), inspection::as_json(&found));
    for key in ["what", "method", "encoder_alone", "missing", "left_over"] {
        result[key] = recognized[key].clone();
    }
    Ok(context.result(&result))
}
