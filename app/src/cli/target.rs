//! `maskroom target`: what a masked patch must be turned into.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use maskroom_core::backbone::patch_embed::patchify;
use maskroom_core::error::Error;
use maskroom_core::inspect::look::{Fit, prepare};
use maskroom_core::recipe::{Base, Recipe, stages};
use maskroom_core::target;
use maskroom_core::weights::safetensors_file::{self, HostTensor};
use serde_json::json;

use super::context::Context;
use super::looking::image_files;
use super::pretrain::key_value;

#[derive(Args)]
pub struct Arguments {
    /// pixels.
    #[arg(long)]
    kind: String,
    /// Change a knob of the target, or a setting of the recipe such as `backbone.patch=8`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
    /// Image files or globs.
    #[arg(long, num_args = 1.., required = true)]
    images: Vec<PathBuf>,
    /// Stretch every image to the recipe's size.
    #[arg(long)]
    fit: bool,
    /// The file: tensor `target [images, N, width]`.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let mut sets: Vec<(String, String)> = arguments.sets.iter().map(|(key, value)| (in_recipe(key), value.clone())).collect();
    sets.push(("target.kind".into(), arguments.kind.clone()));
    if !target::TARGETS.iter().any(|entry| entry.name == arguments.kind) {
        let known: Vec<_> = target::TARGETS.iter().map(|entry| entry.name).collect();
        bail!(Error::Usage(format!("unknown target `{}`: known are {}", arguments.kind, known.join(", "))));
    }
    let recipe = Recipe::resolve(Base::Preset("mae"), &sets)?;
    let (target, patch, channels) = (recipe.target()?, recipe.backbone.patch, recipe.data.channels);
    let dataset = image_files(&arguments.images)?;
    let fit = if arguments.fit { Fit::Stretch } else { Fit::Keep };
    let (mut values, mut patches) = (Vec::new(), None);
    for index in 0..dataset.items.len() {
        let image = prepare(&dataset, index, &recipe, fit)?;
        let count = (image.height / patch) * (image.width / patch);
        if *patches.get_or_insert(count) != count {
            bail!(Error::Usage(format!("{} has another grid than the first image: use --fit", dataset.items[index].name)));
        }
        values.extend(target.rows(&patchify(&image.values, image.height, image.width, channels, patch), patch * patch * channels));
    }
    let (images, patches) = (dataset.items.len(), patches.unwrap_or(0));
    let width = target.width(patch * patch * channels);
    let tensors = BTreeMap::from([("target".to_owned(), HostTensor::new([images, patches, width], values))]);
    safetensors_file::write(&arguments.out, &tensors, &BTreeMap::new())?;
    context.say(format!("target [{images}, {patches}, {width}] in {}", arguments.out.display()));
    Ok(context.result(&json!({"out": arguments.out, "shape": [images, patches, width]})))
}

/// The recipe's path of a setting written without its table: the target's own, or what only one other table has, such as `patch`.
fn in_recipe(key: &str) -> String {
    let of_target = target::TARGETS.iter().any(|entry| entry.knobs.iter().any(|knob| knob.key == key));
    let others: Vec<_> = stages().iter().filter(|stage| stage.knobs.iter().any(|knob| knob.key == key)).collect();
    match others[..] {
        [stage] if !of_target && !key.contains('.') => stage.path(key),
        _ if key.contains('.') => key.to_owned(),
        _ => format!("target.{key}"),
    }
}
