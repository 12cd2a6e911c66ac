//! The command line: the same library as the studio, one subcommand a file.

mod attend;
mod bench;
mod context;
mod data;
mod demo;
mod doctor;
mod embed;
mod evaluate;
mod logging;
mod looking;
mod mask;
mod pretrain;
mod progress;
mod recipes;
mod reconstruct;
mod segment;
mod sweep;
mod target;
mod tokenizer;
mod train;
mod weights;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use maskroom_core::error::Error;

use context::{Common, Context};
pub use weights::sizes_in_words;

/// Interrupted after a checkpoint was written.
const INTERRUPTED: u8 = 130;

/// A darkroom for masked images: pre-train on a folder of pictures, look inside, and take masks out.
#[derive(Parser)]
#[command(name = "maskroom", version)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    /// A folder to open in the window; without a command the window opens.
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The main job on built-in toy scenes, ending in one report with pictures.
    Demo(demo::Arguments),
    /// Presets, with one recommended for this data and machine.
    Recipes(recipes::ListArguments),
    /// Show a preset as commented TOML, or check a recipe file.
    #[command(subcommand)]
    Recipe(recipes::RecipeCommand),
    /// Train on a folder of images.
    Pretrain(pretrain::Arguments),
    /// The engine on a prepared, interrupted or finished run folder.
    Train(train::Arguments),
    /// Look at a folder of images, or make one of toy scenes.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Sample masks into a NumPy file.
    Mask(mask::Arguments),
    /// What a masked patch must be turned into.
    Target(target::Arguments),
    /// Make codes for patches, which BEiT predicts.
    #[command(subcommand)]
    Tokenizer(tokenizer::TokenizerCommand),
    /// Draw what was masked.
    Reconstruct(reconstruct::Arguments),
    /// Features of images.
    Embed(embed::Arguments),
    /// What the network attends to.
    Attend(attend::Arguments),
    /// Attention to masks, exported and re-read.
    Segment(segment::Arguments),
    /// Figures, each with its protocol.
    #[command(subcommand)]
    Evaluate(evaluate::EvaluateCommand),
    /// A grid of recipes, seeds included, one table out.
    Sweep(sweep::Arguments),
    /// What a file of weights is; known checkpoints in, named layouts out.
    #[command(subcommand)]
    Weights(weights::WeightsCommand),
    /// Throughput on this machine.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Devices, memory and versions, what will be used and why.
    Doctor,
}

/// Parses the command line and does what it says.
pub fn run() -> Result<ExitCode> {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&error));
    logging::start();
    let context = Context::new(&arguments.common)?;
    let Some(command) = arguments.command else { return window(arguments.folder) };
    match command {
        Command::Demo(arguments) => demo::run(&context, &arguments),
        Command::Recipes(arguments) => recipes::list(&context, &arguments),
        Command::Recipe(command) => recipes::run(&context, &command),
        Command::Pretrain(arguments) => pretrain::run(&context, &arguments),
        Command::Train(arguments) => train::run(&context, &arguments),
        Command::Data(command) => data::run(&context, &command),
        Command::Mask(arguments) => mask::run(&context, &arguments),
        Command::Target(arguments) => target::run(&context, &arguments),
        Command::Tokenizer(command) => tokenizer::run(&context, &command),
        Command::Reconstruct(arguments) => reconstruct::run(&context, &arguments),
        Command::Embed(arguments) => embed::run(&context, &arguments),
        Command::Attend(arguments) => attend::run(&context, &arguments),
        Command::Segment(arguments) => segment::run(&context, &arguments),
        Command::Evaluate(command) => evaluate::run(&context, &command),
        Command::Sweep(arguments) => sweep::run(&context, &arguments),
        Command::Weights(command) => weights::run(&context, &command),
        Command::Bench(command) => bench::run(&context, &command),
        Command::Doctor => doctor::run(&context),
    }
}

/// Prints what is wrong with the command line and ends the process; a mistyped subcommand is named, with the nearest one.
fn refuse(error: &clap::Error) -> ! {
    if let (ErrorKind::UnknownArgument, Some(word)) = (error.kind(), mistyped_command()) {
        eprintln!("error: {}", unknown_command(&word));
        std::process::exit(2);
    }
    error.exit()
}

/// The first word of the command line that is neither an option, nor an option's value, nor a command, nor a path.
fn mistyped_command() -> Option<String> {
    const WITH_VALUE: [&str; 3] = ["--device", "--seed", "--threads"];
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') {
            let known = Arguments::command().get_subcommands().any(|command| command.get_name() == word);
            return (!known && !std::path::Path::new(&word).exists()).then_some(word);
        }
    }
    None
}

fn unknown_command(word: &str) -> String {
    let command = Arguments::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    format!("`{word}` is neither a command nor a folder: {}; see `maskroom --help`", maskroom_core::registry::suggestion(word, names))
}

/// Opens the window. A path that does not exist is more likely a mistyped command.
fn window(folder: Option<PathBuf>) -> Result<ExitCode> {
    if let Some(missing) = folder.as_ref().filter(|folder| !folder.exists()) {
        bail!(Error::Usage(unknown_command(&missing.to_string_lossy())));
    }
    crate::studio::run(folder)?;
    Ok(ExitCode::SUCCESS)
}

/// An error and its causes in one line; a cause that the sentence before it already tells is not said twice.
pub fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |words, cause| match words.as_str() {
        "" => cause,
        words if words.contains(&cause) => words.to_owned(),
        words => format!("{words}: {cause}"),
    })
}

/// The exit status of an error: what the library says of its own, 1 for everything else.
pub fn exit_status(error: &anyhow::Error) -> ExitCode {
    let status = error.downcast_ref::<Error>().map_or(1, Error::exit_status);
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}
