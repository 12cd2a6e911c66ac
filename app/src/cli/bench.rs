//! `maskroom bench`: throughput on this machine and the share of its measured peak.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use maskroom_core::device::{DeviceChoice, OpenDevice};
use maskroom_core::error::Error;
use maskroom_core::kernel::bench::bench_kernels;
use maskroom_core::train::bench::{bench_train, cpu_secs, peak_mib};
use maskroom_core::train::data::TrainingData;
use maskroom_core::train::throughput::matrix_peak_gflops;
use maskroom_core::train::trial;
use serde_json::json;

use super::context::Context;
use super::pretrain::RecipeArguments;

#[derive(Subcommand)]
pub enum BenchCommand {
    /// One training step on stand-in data, phase by phase.
    Train(TrainArguments),
    /// The loader alone: decoding, cropping, resizing.
    Load(LoadArguments),
    /// Each fused operation, forward and backward, beside the same out of plain operations.
    Kernels(KernelArguments),
}

#[derive(Args)]
pub struct KernelArguments {
    /// Seconds for each operation, in each of both forms.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
}

#[derive(Args)]
pub struct TrainArguments {
    #[command(flatten)]
    recipe: RecipeArguments,
    /// Timed steps, after two of warm-up.
    #[arg(long, default_value_t = 8)]
    steps: usize,
}

#[derive(Args)]
pub struct LoadArguments {
    /// A folder of images, or an archive.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    recipe: RecipeArguments,
    /// Seconds to load for, after a batch, or an epoch where `data.cache_mib` keeps pictures.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

pub fn run(context: &Context, command: &BenchCommand) -> Result<ExitCode> {
    match command {
        BenchCommand::Train(arguments) => train(context, arguments),
        BenchCommand::Load(arguments) => load(context, arguments),
        BenchCommand::Kernels(arguments) => kernels(context, arguments),
    }
}

fn kernels(context: &Context, arguments: &KernelArguments) -> Result<ExitCode> {
    let budget = Duration::try_from_secs_f64(arguments.seconds.clamp(0.0, 60.0))?;
    let device = OpenDevice::open(context.device.unwrap_or(DeviceChoice::Cpu))?;
    let peak = matrix_peak_gflops();
    let figures = bench_kernels(&device, budget, peak)?;
    figures.iter().for_each(|figure| context.say(figure.line()));
    context.say(format!("on {}, {} threads; this machine's matrix peak is {peak:.0} GFLOP/s", device.name, rayon::current_num_threads()));
    Ok(context.result(&json!({
        "kernels": figures,
        "matrix_peak_gflops": peak,
        "device": device.name,
        "threads": rayon::current_num_threads(),
    })))
}

fn train(context: &Context, arguments: &TrainArguments) -> Result<ExitCode> {
    let recipe = arguments.recipe.resolve(context, None, None)?;
    let mut warnings = Vec::new();
    let device = trial::choose(context.device.unwrap_or(DeviceChoice::Auto), &recipe, &mut warnings)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let figures = bench_train(&recipe, &device, arguments.steps)?;
    let phases = figures.phases;
    context.say(format!(
        "{:.1} images/s on {} ({} threads, batch {})\nstep      {:.4} s: prepare {:.4}, forward {:.4}, backward {:.4}, optimizer {:.4}\n\
         memory    {} MiB at most, {} of them kept for the backward pass\narithmetic {:.2} GFLOP an image, {:.0} % of this machine's {:.0} GFLOP/s",
        figures.images_per_second,
        figures.device,
        figures.threads,
        recipe.optim.batch,
        figures.seconds_per_step,
        phases.prepare,
        phases.forward,
        phases.backward,
        phases.optimizer,
        figures.peak_mib.map_or("unknown".into(), |mib| mib.to_string()),
        figures.saved_mib.map_or("unknown".into(), |mib| mib.to_string()),
        figures.gflop_per_image,
        figures.peak_share * 100.0,
        figures.matrix_peak_gflops,
    ));
    Ok(context.result(&serde_json::to_value(figures)?))
}

fn load(context: &Context, arguments: &LoadArguments) -> Result<ExitCode> {
    if !(arguments.seconds > 0.0 && arguments.seconds <= 3600.0) {
        bail!(Error::Usage(format!("{} seconds are no time to load for: use up to 3600", arguments.seconds)));
    }
    let recipe = arguments.recipe.resolve(context, None, None)?;
    let mut loader = TrainingData::open(&arguments.data, &recipe)?.loader(&recipe, context.threads, 0)?;
    // The threads start and the files are found; what is to be kept in memory is read once.
    let warm_up = if recipe.data.cache_mib > 0 { loader.batches_per_epoch() } else { 1 };
    for _ in 0..warm_up {
        let batch = loader.next()?;
        loader.reuse(batch.images);
    }
    let (begin, cpu_begin, mut images) = (Instant::now(), cpu_secs(), 0);
    while begin.elapsed().as_secs_f64() < arguments.seconds {
        let batch = loader.next()?;
        images += batch.samples.len();
        loader.reuse(batch.images);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_seconds_per_image = cpu_secs().zip(cpu_begin).map(|(end, begin)| (end - begin) / images as f64);
    let [height, width] = recipe.data.image;
    context.say(format!(
        "{:.0} images/s at {height}x{width} with {} threads, {} ms of CPU time each",
        images as f64 / seconds,
        context.threads,
        cpu_seconds_per_image.map_or("unknown".into(), |seconds| format!("{:.2}", seconds * 1e3)),
    ));
    Ok(context.result(&json!({
        "images_per_second": images as f64 / seconds,
        "images": images,
        "seconds": seconds,
        "threads": context.threads,
        "cache_mib": recipe.data.cache_mib,
        "cpu_seconds_per_image": cpu_seconds_per_image,
        "peak_mib": peak_mib(),
    })))
}
