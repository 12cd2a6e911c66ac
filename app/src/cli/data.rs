//! `maskroom data`: the health of a folder of images, and toy scenes on disk.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::{Args, Subcommand};
use maskroom_core::dataset::health::{Health, inspect};
use maskroom_core::dataset::{Dataset, toy_scenes};
use serde_json::json;

use super::context::Context;
use super::progress::Progress;

#[derive(Subcommand)]
pub enum DataCommand {
    /// Counts, sizes, channels, splits, classes, unreadable files with reasons, exact and near duplicates.
    Inspect {
        /// A folder of images, or an archive.
        dir: PathBuf,
    },
    /// Toy scenes on disk with class labels and ground-truth masks (VOC layout).
    MakeToy(MakeToyArguments),
}

#[derive(Args)]
pub struct MakeToyArguments {
    /// The folder to make.
    #[arg(long)]
    out: PathBuf,
    /// How many scenes.
    #[arg(long)]
    count: usize,
    /// Height and width in pixels, as HxW or one number.
    #[arg(long, default_value = "96", value_parser = size)]
    size: (usize, usize),
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no size: write 96 or 96x128"));
    match text.split_once('x') {
        Some((height, width)) => Ok((side(height)?, side(width)?)),
        None => side(text).map(|side| (side, side)),
    }
}

pub fn run(context: &Context, command: &DataCommand) -> Result<ExitCode> {
    match command {
        DataCommand::Inspect { dir } => show(context, dir),
        DataCommand::MakeToy(arguments) => make_toy(context, arguments),
    }
}

fn show(context: &Context, dir: &Path) -> Result<ExitCode> {
    let dataset = Dataset::open(dir)?;
    let total = dataset.items.len() as u64;
    let progress = std::sync::Mutex::new(Progress::new("reading", total));
    let on_done = |done: usize, _total: usize| {
        if let Ok(mut progress) = progress.lock() {
            progress.set(done as u64, String::new());
        }
    };
    let health = inspect(&dataset, &on_done, &AtomicBool::new(false));
    drop(progress);
    context.say(in_words(&health));
    Ok(context.result(&serde_json::to_value(&health)?))
}

fn in_words(health: &Health) -> String {
    let mut lines = vec![format!("{} images, {} unreadable", health.images, health.unreadable.len())];
    lines.extend(health.sizes.as_ref().map(|sizes| {
        let [low, middle, high] = [sizes.min, sizes.median, sizes.max].map(|[height, width]| format!("{height}x{width}"));
        format!("sizes      {low} to {high}, median {middle}")
    }));
    let counts = |pairs: Vec<(String, usize)>| pairs.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
    lines.push(format!("channels   {}", counts(health.channels.iter().map(|(key, &count)| (key.to_string(), count)).collect())));
    lines.push(format!("bit depth  {}", counts(health.bit_depths.iter().map(|(key, &count)| (key.to_string(), count)).collect())));
    if !health.classes.is_empty() {
        lines.push(format!("classes    {}", counts(health.classes.clone())));
    }
    if !health.splits.is_empty() {
        lines.push(format!(
            "splits     {}",
            counts(health.splits.iter().map(|(key, &count)| (format!("{key:?}").to_lowercase(), count)).collect())
        ));
    }
    lines.push(format!("duplicates {} groups exact, {} groups near", health.duplicates.len(), health.near_duplicates.len()));
    lines.extend(health.unreadable.iter().map(|file| format!("unreadable {}: {}", file.path, file.reason)));
    lines.extend(health.duplicates.iter().map(|group| format!("same       {}", group.join(" = "))));
    lines.extend(health.near_duplicates.iter().map(|group| format!("alike      {}", group.join(" ~ "))));
    lines.join("\n")
}

fn make_toy(context: &Context, arguments: &MakeToyArguments) -> Result<ExitCode> {
    let mut progress = Progress::new("painting", arguments.count as u64);
    let mut on_done = |done: usize| progress.set(done as u64, String::new());
    toy_scenes::make_toy(&arguments.out, arguments.count, arguments.size, context.seed.unwrap_or(0), &mut on_done)?;
    drop(progress);
    context.say(format!("{} toy scenes in {}", arguments.count, arguments.out.display()));
    Ok(context.result(&json!({"out": arguments.out, "images": arguments.count, "classes": toy_scenes::CLASSES})))
}
