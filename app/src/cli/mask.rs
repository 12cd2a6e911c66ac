//! `maskroom mask`: samples masks into a NumPy file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use maskroom_core::error::Error;
use maskroom_core::mask::{self, Grid};
use maskroom_core::npy;
use maskroom_core::random::{Purpose, Stream};
use serde_json::json;

use super::context::Context;
use super::pretrain::key_value;

#[derive(Args)]
pub struct Arguments {
    /// random, block, block_paper, grid, square, patch_aligned, uniform or multi_block.
    #[arg(long)]
    strategy: String,
    /// Change a knob of the strategy; may be given many times.
    #[arg(long = "set", value_name = "KNOB=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
    /// Patches down, across, and frames: HxW or HxWxT.
    #[arg(long)]
    grid: Grid,
    /// How many masks.
    #[arg(long)]
    count: usize,
    /// The file: bool `[count, (T,) H, W]`, true = masked.
    #[arg(long)]
    out: PathBuf,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let (strategy, grid) = (mask::build(&arguments.strategy, &arguments.sets)?, arguments.grid);
    let problems = strategy.check(grid);
    if !problems.is_empty() {
        return Err(Error::Recipe(problems).into());
    }
    let seed = context.seed.unwrap_or(0);
    let mut values = Vec::with_capacity(arguments.count.saturating_mul(grid.len()).min(1 << 30));
    let (mut fewest, mut most, mut total) = (usize::MAX, 0, 0);
    for sample in 0..arguments.count {
        let mask = strategy.sample(grid, &mut Stream::new(seed, 0, sample as u64, Purpose::Mask));
        let masked = mask.num_masked();
        (fewest, most, total) = (fewest.min(masked), most.max(masked), total + masked);
        values.extend(mask.masked);
    }
    let frames = (grid.frames > 1).then_some(grid.frames);
    let shape: Vec<usize> = [Some(arguments.count), frames, Some(grid.rows), Some(grid.cols)].into_iter().flatten().collect();
    npy::write_bool(&arguments.out, &shape, &values)?;
    let mean = total as f64 / arguments.count.max(1) as f64;
    context.say(format!(
        "{} masks of {} on {grid}: {mean:.2} of {} masked ({:.1} %), {} to {most}",
        arguments.count,
        arguments.strategy,
        grid.len(),
        100.0 * mean / grid.len() as f64,
        fewest.min(most),
    ));
    Ok(context.result(&json!({
        "out": arguments.out,
        "count": arguments.count,
        "patches": grid.len(),
        "masked_mean": mean,
        "masked_min": fewest.min(most),
        "masked_max": most,
        "ratio": mean / grid.len() as f64,
    })))
}
