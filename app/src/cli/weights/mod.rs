//! `maskroom weights`: what a file of weights is, other people's checkpoints in, and one's own out to where others can use them.

mod export;
mod import;
mod inspect;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::context::Context;
pub use inspect::sizes_in_words;

#[derive(Subcommand)]
pub enum WeightsCommand {
    /// What weights are: their network, its sizes, and what becomes of each tensor.
    Inspect(inspect::Arguments),
    /// Any known checkpoint as a file of Maskroom's own.
    Import(import::Arguments),
    /// Weights for timm, Hugging Face or onnxruntime, or as a file of Maskroom's own; read again and compared.
    Export(export::Arguments),
}

/// Which weights.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A file of PyTorch or safetensors, a run folder, a checkpoint folder or a Hugging Face folder.
    #[arg(value_name = "WEIGHTS")]
    file: Option<PathBuf>,
    /// The same by name, as the commands that look into weights have it.
    #[arg(long)]
    weights: Option<PathBuf>,
}

impl Source {
    /// Where they are.
    fn path(&self) -> &Path {
        self.file.as_deref().or(self.weights.as_deref()).unwrap_or(Path::new(""))
    }
}

pub fn run(context: &Context, command: &WeightsCommand) -> Result<ExitCode> {
    match command {
        WeightsCommand::Inspect(arguments) => inspect::run(context, arguments),
        WeightsCommand::Import(arguments) => import::run(context, arguments),
        WeightsCommand::Export(arguments) => export::run(context, arguments),
    }
}
