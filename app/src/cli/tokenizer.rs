//! `maskroom tokenizer`: whose codes BEiT predicts, a small discrete VAE that is trained here or DALL-E's.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use indicatif::HumanDuration;
use maskroom_core::error::Error;
use maskroom_core::knob::Value;
use maskroom_core::recipe::Recipe;
use maskroom_core::registry::suggestion;
use maskroom_core::tokenizer::dalle::import::import;
use maskroom_core::tokenizer::settings::{KNOBS, Settings};
use maskroom_core::tokenizer::training::{Options, Tick, train};
use maskroom_core::train::data::{TrainingData, listed};
use maskroom_core::train::session::normalize_as;
use serde_json::json;

use super::INTERRUPTED;
use super::context::{Context, interruption};
use super::pretrain::{RecipeArguments, key_value};
use super::progress::Progress;
use super::target::in_recipe;

#[derive(Subcommand)]
pub enum TokenizerCommand {
    /// Learn codes for patches on a folder of images.
    Train(TrainArguments),
    /// Take DALL-E's tokenizer, whose 8192 codes BEiT predicts as published, from the files of its authors.
    Import(ImportArguments),
}

#[derive(Args)]
pub struct ImportArguments {
    /// The published encoder.pkl.
    pub encoder: PathBuf,
    /// The published decoder.pkl; without it codes can be predicted and not drawn.
    #[arg(long)]
    pub decoder: Option<PathBuf>,
    /// The file to write, for `target.tokenizer`.
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct TrainArguments {
    /// A folder of images, or an archive.
    #[arg(long)]
    data: PathBuf,
    /// The recipe that is to use the codes, a preset's name or a file: it gives image, patch, channels and crops
    /// [default: images of 64 px with patches of 8 px].
    #[arg(long)]
    recipe: Option<String>,
    /// Change a setting of the tokenizer, such as `codes=1024`, or of the recipe, such as `backbone.patch=4`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
    /// Train so many steps.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// The file to write; a picture of images drawn from their codes is put beside it.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(context: &Context, command: &TokenizerCommand) -> Result<ExitCode> {
    match command {
        TokenizerCommand::Train(arguments) => train_tokenizer(context, arguments),
        TokenizerCommand::Import(arguments) => import_tokenizer(context, arguments),
    }
}

fn train_tokenizer(context: &Context, arguments: &TrainArguments) -> Result<ExitCode> {
    let (settings, recipe) = chosen(context, arguments)?;
    let data = TrainingData::open(&arguments.data, &recipe)?;
    let (interrupted, begin) = (interruption()?, Instant::now());
    let mut progress = Progress::new("tokenizer", settings.steps as u64);
    let mut on_tick = |tick: &Tick| progress.set(tick.step as u64, in_words(tick));
    let mut options = Options { threads: context.threads, interrupted: &interrupted, on_tick: &mut on_tick };
    let trained = train(&data, &recipe, &settings, &mut options)?;
    drop(progress);
    trained.tokenizer.save(&arguments.out)?;
    let pictures = arguments.out.with_extension("png");
    trained.pictures.save_png(&pictures)?;
    let (perplexity, dead, seconds) = (trained.usage.perplexity(), trained.usage.dead(), begin.elapsed().as_secs_f64());
    context.say(format!(
        "{} after {} steps in {seconds:.0} s: squared error {:.4}, perplexity {perplexity:.0} of {} codes, {dead} of them never used\n\
         tokenizer {}\npictures  {}",
        if trained.interrupted { "interrupted" } else { "finished" },
        trained.steps,
        trained.loss,
        settings.codes,
        arguments.out.display(),
        pictures.display(),
    ));
    let status = context.result(&json!({
        "out": arguments.out,
        "pictures": pictures,
        "steps": trained.steps,
        "loss": trained.loss,
        "perplexity": perplexity,
        "dead_codes": dead,
        "codes": settings.codes,
        "patch": recipe.backbone.patch,
        "seconds": seconds,
    }));
    Ok(if trained.interrupted { ExitCode::from(INTERRUPTED) } else { status })
}

/// Makes a tokenizer of DALL-E's networks.
pub fn import_tokenizer(context: &Context, arguments: &ImportArguments) -> Result<ExitCode> {
    let imported = import(&arguments.encoder, arguments.decoder.as_deref())?;
    imported.save(&arguments.out)?;
    let (sizes, out) = (imported.sizes, arguments.out.display());
    let drawing = if imported.has_decoder { "can be drawn" } else { "cannot be drawn, since there is no decoder" };
    context.say(format!(
        "tokenizer {out}: {} codes, each for {p} x {p} px of a scaled image; they {drawing}",
        sizes.codes,
        p = sizes.patch
    ));
    Ok(context.result(&json!({
        "out": arguments.out,
        "codes": sizes.codes,
        "patch": sizes.patch,
        "channels": sizes.channels,
        "decoder": imported.has_decoder,
    })))
}

/// The tokenizer's settings, and a recipe for the images.
fn chosen(context: &Context, arguments: &TrainArguments) -> Result<(Settings, Recipe)> {
    let own_key = |key: &str| {
        let bare = key.strip_prefix("tokenizer.").unwrap_or(key);
        (bare != key || KNOBS.iter().any(|knob| knob.key == key)).then(|| bare.to_owned())
    };
    let (mut own, mut sets) = (maskroom_core::registry::Settings::new(), Vec::new());
    for (key, value) in &arguments.sets {
        match own_key(key) {
            Some(key) => drop(own.insert(key, Value::parse(value))),
            None => {
                let path = in_recipe(key);
                if path == format!("target.{key}") {
                    let cure = suggestion(key, KNOBS.iter().map(|knob| knob.key));
                    bail!(Error::Usage(format!("tokenizer.{key}: unknown key: {cure}; those of a recipe are written as `data.image`")));
                }
                sets.push((path, value.clone()));
            }
        }
    }
    if let Some(steps) = arguments.steps {
        own.insert("steps".into(), Value::Int(i64::try_from(steps).unwrap_or(i64::MAX)));
    }
    let settings = Settings::new(&own)?;
    // Whatever the recipe predicts later, here only its images count.
    let mut defaults = vec![("target.kind", "pixels"), ("objective.kind", "mse")];
    if arguments.recipe.is_none() && !sets.iter().any(|(key, _)| key == "backbone.preset") {
        defaults.extend([("backbone.preset", "vit-ti/8"), ("data.image", "64"), ("optim.batch", "32")]);
    }
    let is_said = |key: &str| sets.iter().any(|(said, _)| said == key);
    let defaults: Vec<_> = defaults.into_iter().filter(|(key, _)| !is_said(key)).collect();
    let sets = defaults.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).chain(sets).collect();
    let recipe = RecipeArguments { recipe: arguments.recipe.clone().unwrap_or_else(|| "mae".into()), sets };
    let mut recipe = recipe.resolve(context, None, None)?;
    normalize_as(&listed(&arguments.data, &recipe)?, &arguments.data, &mut recipe)?;
    Ok((settings, recipe))
}

/// Where its training is.
pub fn in_words(tick: &Tick) -> String {
    let eta = HumanDuration(Duration::try_from_secs_f64(tick.eta_secs).unwrap_or_default());
    format!("loss {:.4}  perplexity {:.0}  {:.0} im/s  {eta:#} left", tick.loss, tick.perplexity, tick.images_per_second)
}
