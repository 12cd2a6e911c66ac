//! One run of a sweep: found where an earlier call left it, or begun, and brought to its end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, bail};
use maskroom_core::error::Error;
use maskroom_core::optim::schedule::Plan;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::{Event, RunFolder, RunInfo, read_all};
use maskroom_core::train::bench::bench_train;
use maskroom_core::train::control::Ending;
use maskroom_core::train::data::TrainingData;
use maskroom_core::train::report::Tick;
use maskroom_core::train::session::prepare;
use maskroom_core::train::trial;
use serde_json::json;

use super::super::context::Context;
use super::super::progress::Progress;
use super::super::train::{engine_with, finished};
use super::Job;
use crate::report::duration;

/// Where `run.json` says which recipe of which sweep the run is.
const IDENTITY: &str = "sweep";

/// A run of a sweep.
pub struct Run {
    /// Its row in the sweep.
    pub row: usize,
    /// Its seed.
    pub seed: u64,
    /// What people call it.
    pub name: String,
    /// Its folder within the sweep's.
    pub relative: String,
    /// Its folder.
    pub folder: RunFolder,
    state: State,
}

enum State {
    Done,
    /// Not done, and why: for the table.
    Open(String),
}

impl Run {
    /// Looks where the run has to lie.
    ///
    /// # Errors
    /// If something else was trained there.
    pub fn find(job: &Job<'_>, row: usize, seed: u64) -> Result<Self> {
        let of_sweep = &job.sweep.rows[row];
        let relative = format!("runs/{}", job.sweep.folder_of(of_sweep, seed));
        let folder = RunFolder { root: job.out.join(&relative) };
        let name = format!("{}, seed {seed}", of_sweep.name);
        let mut run = Self { row, seed, name, relative, folder, state: State::Open("not trained yet".into()) };
        if !run.folder.info_path().is_file() {
            return Ok(run);
        }
        let info = run.folder.info()?;
        let is_same = info.other.get(IDENTITY) == Some(&json!(job.sweep.identity(of_sweep, seed)?));
        if !is_same || info.data.as_ref() != Some(&job.data) {
            let what = if is_same { "on other data" } else { "with other settings than the sweep has now" };
            let place = run.folder.root.display();
            bail!(Error::Usage(format!("{place} was trained {what}: give --out another folder, or remove that one")));
        }
        if finished(&run.folder) {
            run.state = State::Done;
        }
        Ok(run)
    }

    /// Whether all its steps are trained.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Why it is not done.
    pub fn why_not(&self) -> Option<&str> {
        if let State::Open(why) = &self.state { Some(why) } else { None }
    }

    /// What it has logged so far.
    pub fn events(&self) -> Vec<Event> {
        read_all(&self.folder.events_path()).map(|log| log.events).unwrap_or_default()
    }

    /// Trains it to its end, from its beginning or from its last checkpoint; if that fails, it knows why. `index` is its place on the clock.
    pub fn train(&mut self, job: &Job<'_>, clock: &Clock, index: usize) {
        self.state = match self.engine(job, clock, index) {
            Ok(Ending::Finished) => State::Done,
            Ok(Ending::Interrupted) => State::Open("interrupted".into()),
            Ok(Ending::Stopped) => State::Open("stopped on request; the same command goes on with it".into()),
            Err(error) => State::Open(super::super::in_words(&error)),
        };
    }

    fn engine(&self, job: &Job<'_>, clock: &Clock, index: usize) -> Result<Ending> {
        if !self.folder.exists() {
            self.begin(job)?;
        }
        let run = RunFolder::open(&self.folder.root)?;
        let mut progress = Progress::new("training", clock.steps[index]);
        let from = run.checkpoints().last().map_or(0, |(step, _)| *step);
        let mut on_tick = |tick: &Tick| {
            let share = tick.step.saturating_sub(from) as f64 / tick.steps.saturating_sub(from).max(1) as f64;
            let left = duration(clock.seconds_left(index, share));
            progress.set(tick.step, format!("{}: loss {:.4}, {left} left in all", self.name, tick.loss));
        };
        let summary = engine_with(job.context, &run, None, &job.interrupted, &mut on_tick)?;
        drop(progress);
        if let Err(error) = crate::report::run_report::write(&run) {
            tracing::warn!("the report of {} could not be written: {error:#}", run.root.display());
        }
        Ok(summary.ending)
    }

    fn begin(&self, job: &Job<'_>) -> Result<()> {
        let row = &job.sweep.rows[self.row];
        if job.sweep.teacher_of(row).is_some() && job.made.teacher.is_none() {
            bail!(Error::Failed("there is no teacher for it: its training failed, as said above".into()));
        }
        let recipe = job.sweep.recipe(row, self.seed, &job.made)?;
        let info = RunInfo {
            name: self.name.clone(),
            other: [(IDENTITY.to_owned(), json!(job.sweep.identity(row, self.seed)?))].into_iter().collect(),
            ..info_of(job.context)
        };
        prepare(&self.folder.root, &job.data, &recipe, info)?;
        Ok(())
    }
}

/// What is said of every run that a sweep trains.
pub fn info_of(context: &Context) -> RunInfo {
    RunInfo {
        device: context.device.map_or("auto".into(), |device| device.to_string()),
        versions: [("maskroom".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        ..RunInfo::default()
    }
}

/// How long the runs will take: a few steps of every row are timed beforehand, and set against the time that has really passed.
pub struct Clock {
    begin: Instant,
    /// Seconds of each run that are still to come, by the beforehand timing.
    predicted: Vec<f64>,
    /// Steps of each run.
    steps: Vec<u64>,
}

impl Clock {
    /// Times the rows that have runs to train.
    ///
    /// # Errors
    /// If the device does not open or the data cannot be read.
    pub fn predict(job: &Job<'_>, runs: &[Run]) -> Result<Self> {
        let (mut by_row, mut predicted, mut steps) = (BTreeMap::new(), Vec::new(), Vec::new());
        for run in runs {
            let recipe = job.sweep.recipe(&job.sweep.rows[run.row], run.seed, &job.made)?;
            let images = TrainingData::open(&job.data, &recipe)?.train.len();
            let total = Plan::new(&recipe, images).steps_total as u64;
            let done = run.folder.checkpoints().last().map_or(0, |(step, _)| *step);
            let left = if run.is_done() { 0 } else { total.saturating_sub(done) };
            if left > 0 && !by_row.contains_key(&run.row) {
                by_row.insert(run.row, seconds_per_step(job, &recipe)?);
            }
            predicted.push(left as f64 * by_row.get(&run.row).copied().unwrap_or(0.0));
            steps.push(total);
        }
        Ok(Self { begin: Instant::now(), predicted, steps })
    }

    /// Seconds until everything is trained, when this `share` of what was left of run `index` is done.
    pub fn seconds_left(&self, index: usize, share: f64) -> f64 {
        let total: f64 = self.predicted.iter().sum();
        let done = self.predicted[..index].iter().sum::<f64>() + self.predicted[index] * share;
        let pace = if done > 0.0 { self.begin.elapsed().as_secs_f64() / done } else { 1.0 };
        (total - done) * pace
    }
}

/// The time of a step. A recipe that cannot be timed takes none, even if it brings the engine down; its run will tell why.
fn seconds_per_step(job: &Job<'_>, recipe: &Recipe) -> Result<f64> {
    const TIMED_STEPS: usize = 3;
    let device = trial::choose(job.context.device.unwrap_or_default(), recipe, &mut Vec::new())?;
    let timed = catch_unwind(AssertUnwindSafe(|| bench_train(recipe, &device, TIMED_STEPS)));
    let figures = timed.ok().and_then(std::result::Result::ok);
    Ok(figures.map_or(0.0, |figures| figures.seconds_per_step * recipe.optim.accumulate as f64))
}
