//! `maskroom pretrain`: from a folder of images and a recipe to a trained run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use maskroom_core::error::Error;
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::RunInfo;
use maskroom_core::train::session::prepare;

use super::context::Context;
use super::train::{engine, finish};

/// Which recipe.
#[derive(Args)]
pub struct RecipeArguments {
    /// A preset's name or a recipe file.
    #[arg(long, default_value = "mae")]
    pub recipe: String,
    /// Change a setting of the recipe, such as `mask.ratio=0.8`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub sets: Vec<(String, String)>,
}

#[derive(Args)]
pub struct Arguments {
    /// A folder of images, or an archive.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    recipe: RecipeArguments,
    /// The run folder to make.
    #[arg(long)]
    out: PathBuf,
    /// Train so many steps; the whole schedule spans them.
    #[arg(long, conflicts_with = "epochs", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Train so many epochs.
    #[arg(long)]
    epochs: Option<f64>,
    /// Start from these weights: a run, a checkpoint, a Hugging Face folder or a file, such as a .pth.
    #[arg(long)]
    init: Option<PathBuf>,
    /// What to call the run.
    #[arg(long)]
    name: Option<String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let recipe = arguments.recipe.resolve(context, arguments.steps, arguments.epochs)?;
    let name = arguments.name.clone().or_else(|| Some(arguments.out.file_name()?.to_string_lossy().into_owned()));
    let info = RunInfo {
        name: name.unwrap_or_default(),
        device: context.device.map_or("auto".into(), |device| device.to_string()),
        versions: [("maskroom".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        init: arguments.init.as_ref().map(std::path::absolute).transpose()?,
        ..RunInfo::default()
    };
    let run = prepare(&arguments.out, &arguments.data, &recipe, info)?;
    let summary = engine(context, &run, None)?;
    finish(context, &run, &summary)
}

/// `key=value`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl RecipeArguments {
    /// The recipe that the command line asks for: a preset or a file, with its settings changed.
    pub fn resolve(&self, context: &Context, steps: Option<u64>, epochs: Option<f64>) -> Result<Recipe> {
        let (name, mut sets) = (self.recipe.as_str(), self.sets.clone());
        sets.extend(context.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
        sets.extend(steps.map(|steps| ("train.steps".to_owned(), steps.to_string())));
        if let Some(epochs) = epochs {
            // A length in steps that the recipe file may have would win over the epochs.
            sets.extend(
                [("optim.epochs", epochs.to_string()), ("train.steps", "0".to_owned())].map(|(key, value)| (key.to_owned(), value)),
            );
        }
        let is_file = name.ends_with(".toml") || name.contains(['/', '\\']);
        if !is_file {
            return Ok(Recipe::resolve(Base::Preset(name), &sets)?);
        }
        let text = std::fs::read_to_string(name)
            .map_err(|error| Error::Usage(format!("cannot read the recipe {name}: {error}; check the path")))?;
        Ok(Recipe::resolve(Base::Toml(&text), &sets)?)
    }
}
