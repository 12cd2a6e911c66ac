//! One life of the engine on a run folder: take the lock, open, train, and say in the log how it ended, whatever happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::control::Ending;
use super::data::listed;
use super::engine::Engine;
use super::measured;
use super::pretrain::pretrain;
use super::report::{Reporter, Tick};
use crate::dataset::Dataset;
use crate::dataset::health::channel_statistics;
use crate::device::DeviceChoice;
use crate::error::{Error, Result, said_by};
use crate::files::write_atomic;
use crate::recipe::Recipe;
use crate::run::{Action, Event, Inbox, Reason, RunFolder, RunInfo, Started, Stopped, now_secs};

/// How to run.
pub struct Options<'a> {
    /// Where; `None` for what `run.json` says.
    pub device: Option<DeviceChoice>,
    /// Loader threads.
    pub threads: usize,
    /// Train to this step instead of the recipe's.
    pub steps: Option<u64>,
    /// Set by a signal: write a checkpoint, then end.
    pub interrupted: &'a AtomicBool,
    /// Called after every step whose loss is known.
    pub on_tick: &'a mut dyn FnMut(&Tick),
}

/// What a session did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The run folder.
    pub run: PathBuf,
    /// Steps of the whole run so far.
    pub steps: u64,
    /// Mean loss of the first ten steps of the whole run.
    pub first_loss: f64,
    /// Mean loss of its last ten steps.
    pub last_loss: f64,
    /// Throughput of this session.
    pub images_per_second: f64,
    /// What the run's latest k-NN probe found, `top1`; `None` where there are no classes.
    pub probe_top1: Option<f64>,
    /// The step it went on from.
    pub resumed_from: Option<u64>,
    /// How it ended.
    pub ending: Ending,
}

/// Trains a prepared, interrupted or finished run.
///
/// # Errors
/// Another engine on the run, an invalid recipe, unreadable data, a loss that is no number, a full disk, a failing device. All but the
/// first are also the last line of the log.
pub fn train(run: &RunFolder, options: &mut Options<'_>) -> Result<Summary> {
    let lock = run.lock()?;
    let attempt = catch_unwind(AssertUnwindSafe(|| live(run, options)));
    let result = attempt.unwrap_or_else(|panic| Err(Error::Failed(crash(run, panic.as_ref()))));
    if let Err(error) = &result {
        let stopped = Stopped { reason: Reason::Failed, error: Some(error.to_string()), ..stopped(run, last_step(run)) };
        if let Err(second) = crate::run::EventWriter::open(&run.events_path()).and_then(|mut events| events.write(&Event::Stopped(stopped)))
        {
            tracing::error!("the end of the run could not be logged: {second}");
        }
    }
    drop(lock);
    result
}

fn live(run: &RunFolder, options: &mut Options<'_>) -> Result<Summary> {
    let recipe = recipe_for(run, options.steps)?;
    let choice = match options.device {
        Some(device) => device,
        None => run.info()?.device.parse().unwrap_or_default(),
    };
    let mut engine = Engine::open(run, recipe, choice, options.threads)?;
    // A run killed before its first checkpoint goes on from step 0: what it logged of its first steps no longer counts.
    let began = std::fs::metadata(run.events_path()).is_ok_and(|log| log.len() > 0);
    let resumed_from = (began || !run.checkpoints().is_empty()).then_some(engine.progress.step);
    let (mut inbox, wishes) = match resumed_from {
        Some(_) => Inbox::open_resumed(run)?,
        None => (Inbox::open(run)?, Vec::new()),
    };
    let mut reporter = Reporter::new(run, engine.steps(), options.on_tick)?;
    reporter.event(&beginning(&engine, resumed_from))?;
    for warning in std::mem::take(&mut engine.warnings) {
        reporter.warn(warning)?;
    }
    if let Some(step) = resumed_from {
        run.discard_checkpoints_after(step)?;
    }
    engine.preview_wish = wishes
        .into_iter()
        .filter_map(|wish| if let Action::SetPreviewImages { images } = wish.action { Some(images) } else { None })
        .next_back();
    let ending = pretrain(&mut engine, &mut inbox, &mut reporter, options.interrupted)?;
    reporter.event(&Event::Stopped(Stopped { reason: ending.reason(), ..stopped(run, engine.progress.step) }))?;
    let [first_loss, last_loss] = engine.progress.loss_means();
    Ok(Summary {
        run: run.root.clone(),
        steps: engine.progress.step,
        first_loss,
        last_loss,
        images_per_second: reporter.images_per_second(),
        probe_top1: probe_top1(run),
        resumed_from,
        ending,
    })
}

/// The run's recipe; with other `steps`, the recipe on disk is changed first, so that the folder always says what is trained.
fn recipe_for(run: &RunFolder, steps: Option<u64>) -> Result<Recipe> {
    let path = run.recipe_path();
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let mut recipe = Recipe::from_toml(&text)?;
    let done = run.checkpoints().last().map_or(0, |(step, _)| *step);
    if let Some(steps) = steps.filter(|&steps| steps < done) {
        return Err(Error::Usage(format!("{} has {done} steps behind it: {steps} is fewer, use a larger --steps", run.root.display())));
    }
    if let Some(steps) = steps.filter(|&steps| steps != recipe.train.steps as u64) {
        recipe.train.steps = steps as usize;
        write_atomic(&path, recipe.to_toml().as_bytes())?;
    }
    Ok(recipe)
}

fn beginning(engine: &Engine, resumed_from: Option<u64>) -> Event {
    let device = format!("{} ({})", engine.device.name, engine.device.reason);
    match resumed_from {
        Some(step) => Event::Resumed { step, time: now_secs(), device, steps: engine.steps() },
        None => {
            let mut parameters = 0;
            engine.learner.network.parameters().visit_parameters(&mut |_, shape, _| parameters += shape.iter().product::<usize>() as u64);
            Event::Started(Started {
                recipe_hash: engine.recipe.hash(),
                steps: engine.steps(),
                images: engine.data.train.len() as u64,
                parameters,
                device,
                version: env!("CARGO_PKG_VERSION").into(),
                time: now_secs(),
            })
        }
    }
}

fn stopped(run: &RunFolder, step: u64) -> Stopped {
    let last = run.checkpoints().pop().map(|(_, path)| path.strip_prefix(&run.root).unwrap_or(&path).to_path_buf());
    Stopped { last_checkpoint: last, step, time: now_secs(), ..Stopped::default() }
}

fn last_step(run: &RunFolder) -> u64 {
    let events = crate::run::read_all(&run.events_path()).map(|log| log.events).unwrap_or_default();
    events.iter().rev().find_map(Event::step).unwrap_or(0)
}

fn probe_top1(run: &RunFolder) -> Option<f64> {
    let events = crate::run::read_all(&run.events_path()).map(|log| log.events).unwrap_or_default();
    events.iter().rev().find_map(|event| event.class_probe()?.figure("top1"))
}

/// Writes the crash file and returns what to tell the person.
fn crash(run: &RunFolder, panic: &(dyn std::any::Any + Send)) -> String {
    let reason = said_by(panic);
    let log = std::fs::read_to_string(run.log_path()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(50)..].join("\n");
    let recipe = std::fs::read_to_string(run.recipe_path()).unwrap_or_default();
    let path = run.crash_path();
    let text = format!("Maskroom {}\n{reason}\n\nThe last lines of the log\n{tail}\n\nThe recipe\n{recipe}", env!("CARGO_PKG_VERSION"));
    let written = write_atomic(&path, text.as_bytes()).is_ok();
    let place = if written { format!("; details are in {}", path.display()) } else { String::new() };
    let next = if run.checkpoints().is_empty() {
        "no checkpoint was written before".to_owned()
    } else {
        format!("the last checkpoint is whole: `maskroom train {} --resume`", run.root.display())
    };
    format!("the engine met a fault of its own ({reason}){place}; {next}")
}

/// Makes a run folder that [`train`] can start. A mean and deviation that the recipe leaves empty are measured on the data, and so is what the
/// recipe's target has to know of them.
///
/// # Errors
/// An existing run, an unwritable folder, unreadable data, or an invalid recipe with all its problems.
pub fn prepare(path: &Path, data: &Path, recipe: &Recipe, info: RunInfo) -> Result<RunFolder> {
    let problems = recipe.validate();
    if !problems.is_empty() {
        return Err(Error::Recipe(problems));
    }
    // Opening the data now tells of a wrong path before a folder is made for it.
    let dataset = listed(data, recipe)?;
    let mut recipe = recipe.clone();
    normalize_as(&dataset, data, &mut recipe)?;
    let measured = measured::measure(data, &mut recipe)?;
    let data = std::path::absolute(data).map_err(Error::io("resolve", data))?;
    let info = RunInfo { data: Some(data), seed: recipe.seed, created: now_secs(), ..info };
    RunFolder::create_with(path, &recipe.to_toml(), &info, |run| measured::write(run, &measured))
}

/// Gives a recipe that leaves mean and deviation empty those of the images, which lie at `path`.
///
/// # Errors
/// [`Error::Data`] if none of the images can be read with the recipe's channels.
pub fn normalize_as(images: &Dataset, path: &Path, recipe: &mut Recipe) -> Result<()> {
    if recipe.data.mean.is_empty() || recipe.data.std.is_empty() {
        let measured = channel_statistics(images, recipe.data.channels, MEASURED_IMAGES).ok_or_else(|| {
            let reason = format!("no image can be read with {} channels", recipe.data.channels);
            Error::data(path, reason, "set data.channels to what the images have")
        })?;
        (recipe.data.mean, recipe.data.std) = (measured.mean, measured.std.iter().map(|std| std.max(1e-3)).collect());
    }
    Ok(())
}

/// Images that a mean and deviation are measured on at most.
const MEASURED_IMAGES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_leaves_a_file_with_the_log_and_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&folder.path().join("run"), "method = \"mae\"\n", &RunInfo::default()).unwrap();
        let log: String = (0..60).map(|line| format!("line {line}\n")).collect();
        std::fs::write(run.log_path(), log).unwrap();
        let payload: Box<dyn std::any::Any + Send> = Box::new("an index out of bounds".to_owned());
        let message = crash(&run, payload.as_ref());
        assert!(message.contains("an index out of bounds") && message.contains("no checkpoint"), "{message}");
        let file = std::fs::read_to_string(run.crash_path()).unwrap();
        for part in ["an index out of bounds", "line 59", "line 10\n", "method = \"mae\""] {
            assert!(file.contains(part), "{part:?} is not in\n{file}");
        }
        assert!(!file.contains("line 9\n"), "only the last lines");
    }
}
