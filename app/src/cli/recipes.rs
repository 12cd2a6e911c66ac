//! `maskroom recipes` and `maskroom recipe`: presets, one recommended for this data and machine, and a check of a recipe file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use maskroom_core::dataset::{Dataset, Limits};
use maskroom_core::error::Error;
use maskroom_core::method::sizes;
use maskroom_core::random::{Purpose, Stream};
use maskroom_core::recipe::{self, METHODS, Recipe, backbone_names};
use maskroom_core::train::bench::bench_train;
use maskroom_core::train::throughput::flops_per_image;
use maskroom_core::train::trial;
use serde_json::json;

use super::context::Context;
use super::pretrain::key_value;

#[derive(Args)]
pub struct ListArguments {
    /// Recommend a recipe for the images in this folder on this machine.
    #[arg(long = "for", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the recommended recipe to this file.
    #[arg(long, requires = "data")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum RecipeCommand {
    /// A preset as commented TOML.
    Show {
        /// The preset.
        name: String,
        /// Change a setting, such as `backbone.preset=vit-nano`; may be given many times.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
        sets: Vec<(String, String)>,
    },
    /// Every problem of a recipe file at once.
    Check {
        /// The file.
        file: PathBuf,
    },
}

pub fn list(context: &Context, arguments: &ListArguments) -> Result<ExitCode> {
    for preset in METHODS {
        context.say(format!("{:<10} {}\n{:<10} {}", preset.name, preset.summary, "", preset.source));
    }
    context.say(format!("backbone.preset: {}", backbone_names().join(", ")));
    let presets: Vec<_> = METHODS.iter().map(|preset| json!({"name": preset.name, "summary": preset.summary})).collect();
    let recommended = arguments.data.as_ref().map(|data| recommend(context, data, arguments.out.as_deref())).transpose()?;
    Ok(context.result(&json!({"recipes": presets, "backbones": backbone_names(), "recommended": recommended})))
}

fn recommend(context: &Context, data: &Path, out: Option<&Path>) -> Result<serde_json::Value> {
    let dataset = Dataset::open(data)?;
    let (median_size, channels) = look_at_some(&dataset);
    let speed = measured_speed(context)?;
    let recommendation = recipe::recommend(dataset.items.len(), median_size, channels, &|recipe| speed.images_per_second(recipe))?;
    let recipe = &recommendation.recipe;
    context.say(format!(
        "\nfor the {} images of {}\n{}\n{:.0} epochs, about {:.1} hours on this machine",
        dataset.items.len(),
        data.display(),
        recommendation.reason,
        recommendation.epochs,
        recommendation.hours,
    ));
    if let Some(out) = out {
        maskroom_core::files::write_atomic(out, recipe.to_toml().as_bytes())?;
        context.say(format!("recipe {}", out.display()));
    } else {
        context.say("add --out recipe.toml to keep it, then `maskroom pretrain --recipe recipe.toml --data … --out RUN`");
    }
    Ok(json!({
        "preset": recipe.method,
        "backbone": recipe.backbone.preset,
        "reason": recommendation.reason,
        "epochs": recommendation.epochs,
        "hours": recommendation.hours,
        "recipe": recipe.to_toml(),
    }))
}

/// The median size and the usual channel count of up to 64 images spread over the data.
fn look_at_some(dataset: &Dataset) -> ([usize; 2], usize) {
    let order = Stream::new(0, 0, 0, Purpose::Split).permutation(dataset.items.len());
    let pictures = order.into_iter().take(64).filter_map(|index| dataset.decode(index, &Limits::default()).ok());
    let mut sizes: Vec<(usize, usize, usize)> = pictures.map(|picture| (picture.height, picture.width, picture.channels)).collect();
    sizes.sort_unstable();
    let (height, width, channels) = sizes.get(sizes.len() / 2).copied().unwrap_or((224, 224, 3));
    // Alpha is composited away and gray is replicated, so that the usual three channels fit them too.
    ([height, width], if channels <= 4 { 3 } else { channels })
}

/// What a short probe says of this machine.
struct Speed {
    flops_per_second: f64,
}

/// Times a small and a larger network for a few steps and keeps the slower rate, so that a night is not promised too much.
fn measured_speed(context: &Context) -> Result<Speed> {
    let probe = |preset: &str, batch: &str| -> Result<f64> {
        let sets = [("backbone.preset", preset), ("optim.batch", batch)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let recipe = Recipe::resolve(recipe::Base::Preset("mae"), &sets)?;
        let device = trial::choose(context.device.unwrap_or_default(), &recipe, &mut Vec::new())?;
        Ok(bench_train(&recipe, &device, 2)?.images_per_second * flops(&recipe))
    };
    Ok(Speed { flops_per_second: probe("vit-nano", "64")?.min(probe("vit-ti/16", "8")?) })
}

impl Speed {
    fn images_per_second(&self, recipe: &Recipe) -> f64 {
        self.flops_per_second / flops(recipe).max(1.0)
    }
}

fn flops(recipe: &Recipe) -> f64 {
    let masked = recipe.mask().map_or(0, |mask| mask.num_masked(recipe.grid()).0);
    let patches = recipe.grid().len();
    sizes(recipe).map_or(f64::INFINITY, |sizes| flops_per_image(&sizes, recipe.optim.batch, patches - masked, masked, None))
}

pub fn run(context: &Context, command: &RecipeCommand) -> Result<ExitCode> {
    match command {
        RecipeCommand::Show { name, sets } => {
            let (recipe, open) = Recipe::unchecked_preset(name, sets)?;
            context.say(recipe.to_toml().trim_end());
            // What a method needs besides, such as BEiT's tokenizer, is for the person to say.
            open.iter().for_each(|problem| context.say(format!("# still to be said: {problem}")));
            Ok(context.result(&json!({"name": name, "recipe": recipe.to_toml(), "hash": recipe.hash()})))
        }
        RecipeCommand::Check { file } => check(context, file),
    }
}

fn check(context: &Context, file: &Path) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::Usage(format!("cannot read the recipe {}: {error}; check the path", file.display())))?;
    let problems = recipe::check(&text);
    for problem in &problems {
        context.say(problem.to_string());
    }
    let list: Vec<_> = problems.iter().map(|problem| json!({"key": problem.key, "problem": problem.what, "cure": problem.cure})).collect();
    context.result(&json!({"valid": problems.is_empty(), "problems": list}));
    if problems.is_empty() {
        context.say("the recipe is valid");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(2))
}
