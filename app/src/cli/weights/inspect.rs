//! `maskroom weights inspect`: what a file of weights is.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use maskroom_core::method::encoder_sizes;
use maskroom_core::recipe::Recipe;
use maskroom_core::weights::inspection::{Inspection, inspect};
use serde_json::{Value, json};

use super::Source;
use crate::cli::context::Context;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let found = inspect(arguments.source.path())?;
    say(context, &found);
    Ok(context.result(&as_json(&found)))
}

/// Tells a person what was found.
pub fn say(context: &Context, found: &Inspection) {
    let recipe = &found.recipe;
    context.say(format!("weights    {}", found.path.display()));
    context.say(format!("format     {}", found.format));
    context.say(format!("network    {}", found.what));
    context.say(format!("sizes      {}", sizes_in_words(recipe)));
    context.say(format!("images     mean {:?}, deviation {:?} of pixels from 0 to 1", recipe.data.mean, recipe.data.std));
    context.say(format!("recipe     {}, {} steps", recipe.method, found.step));
    let numbers: usize = found.mapped.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    context.say(format!("used       {} tensors, {numbers} numbers", found.mapped.len()));
    let left_over = found.left_over.iter().map(|tensor| (&*tensor.name, &*tensor.why));
    let missing = found.missing.iter().map(|part| (&*part.name, &*part.why));
    by_reason(left_over).iter().for_each(|line| context.say(format!("left over  {line}")));
    by_reason(missing).iter().for_each(|line| context.say(format!("missing    {line}")));
    found.notes.iter().for_each(|note| context.say(format!("note       {note}")));
}

/// The sizes of a recipe's network and its images.
pub fn sizes_in_words(recipe: &Recipe) -> String {
    let (encoder, [height, width]) = (encoder_sizes(recipe), recipe.data.image);
    let settings = &recipe.backbone.sizes;
    let own: Vec<String> = settings.knobs.iter().map(|(key, value)| format!("{key} {value}")).collect();
    format!(
        "{} of {} blocks, patch {}, image {height}x{width}, {} channels; {}",
        settings.kind,
        encoder.num_blocks(),
        encoder.patch(),
        encoder.channels(),
        own.join(", ")
    )
}

/// Names with their reasons, a line for each reason: the first name that has it, and how many more.
fn by_reason<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut reasons: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for (name, why) in names {
        reasons.entry(why).or_insert((name, 0)).1 += 1;
    }
    let line = |(why, (first, count)): (&str, (&str, usize))| match count {
        1 => format!("{first}: {why}"),
        count => format!("{first} and {} more: {why}", count - 1),
    };
    reasons.into_iter().map(line).collect()
}

/// The same for a program.
pub fn as_json(found: &Inspection) -> Value {
    let recipe = &found.recipe;
    let mapped: Vec<Value> =
        found.mapped.iter().map(|tensor| json!({"name": tensor.ours, "from": tensor.theirs, "shape": tensor.shape})).collect();
    let left_over: Vec<Value> =
        found.left_over.iter().map(|tensor| json!({"name": tensor.name, "shape": tensor.shape, "why": tensor.why})).collect();
    let missing: Vec<Value> = found.missing.iter().map(|missing| json!({"name": missing.name, "why": missing.why})).collect();
    json!({
        "path": found.path,
        "format": found.format,
        "what": found.what,
        "encoder_alone": found.encoder_alone,
        "method": recipe.method,
        "step": found.step,
        "image": recipe.data.image,
        "channels": recipe.data.channels,
        "mean": recipe.data.mean,
        "std": recipe.data.std,
        "patch": recipe.backbone.patch,
        "backbone": {"kind": recipe.backbone.sizes.kind, "settings": recipe.backbone.sizes.knobs},
        "mapped": mapped,
        "left_over": left_over,
        "missing": missing,
        "notes": found.notes,
    })
}
