//! `maskroom train`: the engine on a prepared, interrupted or finished run folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use maskroom_core::error::Error;
use maskroom_core::run::{Event, Reason, RunFolder, read_all};
use maskroom_core::train::control::Ending;
use maskroom_core::train::report::Tick;
use maskroom_core::train::session::{Options, Summary, train};
use serde_json::json;

use super::context::{Context, interruption};
use super::progress::Progress;
use super::{INTERRUPTED, logging};

#[derive(Args)]
pub struct Arguments {
    /// The run folder.
    run: PathBuf,
    /// Go on from the last checkpoint.
    #[arg(long)]
    resume: bool,
    /// Train to this step; more than before trains a finished run longer.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Go on when the terminal or the window that started it goes away.
    #[arg(long)]
    detached: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let run = RunFolder::open(&arguments.run)?;
    if arguments.detached {
        outlive_the_terminal()?;
    }
    if !arguments.resume && !run.checkpoints().is_empty() && !finished(&run) {
        bail!(Error::Usage(format!("{} was interrupted: go on with `maskroom train {0} --resume`", arguments.run.display())));
    }
    let summary = engine(context, &run, arguments.steps)?;
    finish(context, &run, &summary)
}

/// A hang-up is heard and not obeyed.
fn outlive_the_terminal() -> Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGHUP, std::sync::Arc::default()).context("cannot ignore hang-ups")?;
    Ok(())
}

/// Whether all steps of a run are done.
pub fn finished(run: &RunFolder) -> bool {
    let events = read_all(&run.events_path()).map(|log| log.events).unwrap_or_default();
    matches!(events.last(), Some(Event::Stopped(stopped)) if stopped.reason == Reason::Finished)
}

/// Trains with a progress line, logging into the run folder.
pub fn engine(context: &Context, run: &RunFolder, steps: Option<u64>) -> Result<Summary> {
    let interrupted = interruption()?;
    let mut progress = Progress::new("training", 0);
    engine_with(context, run, steps, &interrupted, &mut |tick| progress.tick(tick))
}

/// Trains until `interrupted` is set, logging into the run folder.
pub fn engine_with(
    context: &Context,
    run: &RunFolder,
    steps: Option<u64>,
    interrupted: &AtomicBool,
    on_tick: &mut dyn FnMut(&Tick),
) -> Result<Summary> {
    logging::to_file(&run.log_path()).with_context(|| format!("cannot write {}", run.log_path().display()))?;
    let mut options = Options { device: context.device, threads: context.threads, steps, interrupted, on_tick };
    Ok(train(run, &mut options)?)
}

/// Writes the report and prints the result.
pub fn finish(context: &Context, run: &RunFolder, summary: &Summary) -> Result<ExitCode> {
    let report = crate::report::run_report::write(run);
    if let Err(error) = &report {
        tracing::warn!("the report could not be written: {error:#}");
    }
    let words = match summary.ending {
        Ending::Finished => "finished",
        Ending::Stopped => "stopped, checkpoint written",
        Ending::Interrupted => "interrupted, checkpoint written",
    };
    let probed = summary.probe_top1.map_or_else(String::new, |top1| format!(", k-NN {:.1} %", 100.0 * top1));
    context.say(format!(
        "{words} at step {}: loss {:.4} (first ten steps {:.4}){probed}, {:.1} images/s\nrun    {}",
        summary.steps,
        summary.last_loss,
        summary.first_loss,
        summary.images_per_second,
        run.root.display()
    ));
    if let Ok(report) = &report {
        context.say(format!("report {}", report.display()));
    }
    let status = context.result(&json!({
        "run": absolute(&run.root),
        "steps": summary.steps,
        "first_loss": summary.first_loss,
        "last_loss": summary.last_loss,
        "images_per_second": summary.images_per_second,
        "probe_top1": summary.probe_top1,
        "resumed_from": summary.resumed_from,
        "report": report.ok(),
    }));
    Ok(if summary.ending == Ending::Interrupted { ExitCode::from(INTERRUPTED) } else { status })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
