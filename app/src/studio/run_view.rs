//! A run as the window sees it: its events reduced to columns and lists. Nothing here that is not in the run folder.
//!
//! The columns of a long run take tens of megabytes. A run that no panel draws does without them ([`RunView::fold`]) and keeps what a list
//! of runs shows: the latest figures, the pace, and the course of the loss.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use maskroom_core::run::{Event, Probe, Reason, Started, Step, Stopped, Validation};
use serde::{Deserialize, Serialize};

use super::course::Course;

/// The figures of `step` events, one entry an event, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// Finished steps.
    pub step: Vec<u64>,
    /// Finished epochs.
    pub epoch: Vec<f64>,
    /// Seconds of training, pauses and reading back left out.
    pub seconds: Vec<f64>,
    /// Everything else by name: `loss`, `lr`, `grad_norm`, `images_per_second`, `data_wait_ratio`, and the method's own.
    pub values: BTreeMap<String, Vec<f32>>,
}

/// The events of one run, reduced. What is serialized is everything but the columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunView {
    /// The first line, once there is one.
    pub started: Option<Started>,
    /// The number of steps the run aims at.
    pub steps: u64,
    /// The device in words.
    pub device: String,
    /// Figures by step; empty while the run is folded.
    #[serde(skip)]
    pub columns: Columns,
    /// The loss on held-out images.
    pub validations: Vec<Validation>,
    /// Probes.
    pub probes: Vec<Probe>,
    /// Steps that have a preview file.
    pub previews: Vec<u64>,
    /// Steps that have (or had) a checkpoint.
    pub checkpoints: Vec<u64>,
    /// Steps from which the engine went on.
    pub resumed: Vec<u64>,
    /// What the engine warned of.
    pub warnings: Vec<String>,
    /// Whether the engine waits for `resume`.
    pub paused: bool,
    /// The last line of an engine that ended on its own terms; none while one lives or was killed.
    pub stopped: Option<Stopped>,
    /// When the first engine began, in seconds since 1970.
    pub began: f64,
    /// The course of the loss.
    pub course: Course,
    /// Lines of the log that are no events.
    pub junk_lines: u64,
    /// Grows with every event, so that what is derived knows when to be computed anew.
    #[serde(skip)]
    pub generation: u64,
    /// Another one whenever figures that were there have changed or gone; while it stays, columns only grow.
    #[serde(skip)]
    pub history: u64,
    /// The latest figures that are finite, by name.
    latest: BTreeMap<String, f64>,
    /// Steps and seconds of the last entries.
    recent: VecDeque<(u64, f64)>,
    /// Steps, epochs and seconds of training at the last entry.
    logged: u64,
    epoch: f64,
    seconds: f64,
    #[serde(skip)]
    folded: bool,
}

/// Entries by which the pace is measured.
const PACE_ENTRIES: usize = 11;

impl RunView {
    /// Takes one more event.
    pub fn apply(&mut self, event: Event) {
        self.generation += 1;
        match event {
            Event::Started(started) => {
                *self = Self { generation: self.generation, folded: self.folded, history: next_history(), ..Self::default() };
                (self.steps, self.began, self.device) = (started.steps, started.time, started.device.clone());
                self.started = Some(started);
            }
            Event::Resumed { step, steps, device, .. } => {
                self.forget_after(step);
                (self.stopped, self.paused) = (None, false);
                self.resumed.push(step);
                if steps > 0 {
                    self.steps = steps;
                }
                if !device.is_empty() {
                    self.device = device;
                }
            }
            Event::Paused { paused, .. } => self.paused = paused,
            Event::Step(step) => self.take_step(&step),
            Event::Validation(validation) => self.validations.push(validation),
            Event::Probe(probe) => self.probes.push(probe),
            Event::Preview { step, .. } => self.previews.push(step),
            Event::Checkpoint { step, .. } => self.checkpoints.push(step),
            Event::Warning { message } => self.warnings.push(message),
            Event::Stopped(stopped) => (self.stopped, self.paused) = (Some(stopped), false),
            Event::Other(_) => {}
        }
    }

    fn take_step(&mut self, step: &Step) {
        let figures = [
            ("loss", step.loss),
            ("lr", step.lr),
            ("weight_decay", step.weight_decay),
            ("grad_norm", step.grad_norm),
            ("images_per_second", step.images_per_second),
            ("data_wait_ratio", step.data_wait_ratio),
        ];
        let extras = step.metrics.iter().map(|(name, &value)| (name.as_str(), value));
        for (name, value) in figures.into_iter().chain(extras.clone()) {
            match self.latest.get_mut(name) {
                Some(latest) if value.is_finite() => *latest = value,
                Some(_) => drop(self.latest.remove(name)),
                None if value.is_finite() => drop(self.latest.insert(name.to_owned(), value)),
                None => {}
            }
        }
        self.course.push(step.step, step.loss);
        (self.logged, self.epoch) = (step.step, step.epoch);
        if step.seconds.is_finite() {
            self.seconds = step.seconds;
            self.recent.push_back((step.step, step.seconds));
            self.recent.drain(..self.recent.len().saturating_sub(PACE_ENTRIES));
        }
        if !self.folded {
            self.columns.push(step.step, step.epoch, step.seconds, figures.into_iter().chain(extras));
        }
    }

    /// Figures of steps after `step` no longer count: a resumed engine does those again.
    fn forget_after(&mut self, step: u64) {
        self.history = next_history();
        self.columns.truncate_after(step);
        self.course.truncate_after(step);
        self.recent.retain(|entry| entry.0 <= step);
        self.logged = self.logged.min(step);
        self.validations.retain(|validation| validation.step <= step);
        self.probes.retain(|probe| probe.step <= step);
        for list in [&mut self.previews, &mut self.checkpoints, &mut self.resumed] {
            list.retain(|&known| known <= step);
        }
    }

    /// Does without the columns from now on.
    pub fn fold(&mut self) {
        (self.columns, self.folded, self.history) = (Columns::default(), true, next_history());
    }

    /// Whether the columns were left out, because no panel draws the run.
    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// A view as it was kept, with the columns that belong to it, or folded.
    pub fn kept(mut self, columns: Option<Columns>) -> Self {
        self.folded = columns.is_none();
        (self.columns, self.history) = (columns.unwrap_or_default(), next_history());
        self
    }

    /// Whether any engine has begun.
    pub fn has_begun(&self) -> bool {
        self.started.is_some() || !self.resumed.is_empty()
    }

    /// Whether the latest engine has said that it trains, and not yet that it ends.
    pub fn has_spoken(&self) -> bool {
        self.has_begun() && self.stopped.is_none()
    }

    /// The last finished step.
    pub fn step(&self) -> u64 {
        self.stopped.as_ref().map_or(self.logged, |stopped| self.logged.max(stopped.step))
    }

    /// Finished epochs.
    pub fn epoch(&self) -> f64 {
        self.epoch
    }

    /// Seconds of training, over all sessions.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The latest value of a column; none if it was not a number.
    pub fn latest(&self, column: &str) -> Option<f64> {
        self.latest.get(column).copied()
    }

    /// The k-NN probes, in order: how well features told classes apart.
    pub fn class_probes(&self) -> impl DoubleEndedIterator<Item = &Probe> {
        self.probes.iter().filter(|probe| probe.is_of_classes())
    }

    /// Seconds to go at the pace of the last ten entries.
    pub fn eta_secs(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let (done, took) = (last.0.saturating_sub(first.0), last.1 - first.1);
        (done > 0 && took > 0.0 && self.steps > last.0).then(|| took / done as f64 * (self.steps - last.0) as f64)
    }

    /// Why the engine ended, if it said so.
    pub fn reason(&self) -> Option<Reason> {
        self.stopped.as_ref().map(|stopped| stopped.reason)
    }
}

/// Unique in the process, so that no two views of a run are taken for one that has grown.
fn next_history() -> u64 {
    static HISTORY: AtomicU64 = AtomicU64::new(1);
    HISTORY.fetch_add(1, Ordering::Relaxed)
}

impl Columns {
    /// Entries.
    pub fn len(&self) -> usize {
        self.step.len()
    }

    /// Whether nothing has been logged.
    pub fn is_empty(&self) -> bool {
        self.step.is_empty()
    }

    /// The place of the first entry of `step` or later.
    pub fn place_of(&self, step: u64) -> usize {
        self.step.partition_point(|&known| known < step)
    }

    fn push<'a>(&mut self, step: u64, epoch: f64, seconds: f64, figures: impl Iterator<Item = (&'a str, f64)>) {
        self.step.push(step);
        self.epoch.push(epoch);
        self.seconds.push(seconds);
        let entries = self.step.len();
        for (name, value) in figures {
            if let Some(column) = self.values.get_mut(name) {
                column.push(value as f32);
            } else {
                let mut column = vec![f32::NAN; entries - 1];
                column.push(value as f32);
                self.values.insert(name.to_owned(), column);
            }
        }
        // A figure that this event lacks is a gap.
        self.values.values_mut().for_each(|column| column.resize(entries, f32::NAN));
    }

    fn truncate_after(&mut self, step: u64) {
        let entries = self.step.partition_point(|&known| known <= step);
        self.step.truncate(entries);
        self.epoch.truncate(entries);
        self.seconds.truncate(entries);
        self.values.values_mut().for_each(|column| column.truncate(entries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64, extra: Option<(&str, f64)>) -> Event {
        let metrics = extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Event::Step(Step { step, loss, seconds: step as f64, metrics, ..Step::default() })
    }

    fn started(steps: u64) -> Event {
        Event::Started(Started { steps, ..Started::default() })
    }

    fn resumed(step: u64) -> Event {
        Event::Resumed { step, time: 0.0, device: String::new(), steps: 200 }
    }

    #[test]
    fn events_become_columns_with_gaps() {
        let mut view = RunView::default();
        view.apply(started(100));
        view.apply(step(10, 1.0, None));
        view.apply(step(20, 0.5, Some(("entropy", 3.0))));
        view.apply(step(30, 0.4, None));
        let entropy = &view.columns.values["entropy"];
        assert!(entropy[0].is_nan() && entropy[1] == 3.0 && entropy[2].is_nan());
        assert_eq!((view.step(), view.latest("loss"), view.eta_secs()), (30, Some(0.4), Some(70.0)));
        view.apply(step(40, f64::NAN, None));
        assert_eq!((view.latest("loss"), view.columns.len()), (None, 4));
    }

    #[test]
    fn a_resumed_run_forgets_what_it_does_again() {
        let mut view = RunView::default();
        view.apply(started(100));
        [10, 20, 30].into_iter().for_each(|at| view.apply(step(at, 1.0, None)));
        view.apply(Event::Stopped(Stopped { reason: Reason::Failed, ..Stopped::default() }));
        let history = view.history;
        view.apply(resumed(20));
        assert_eq!((view.columns.step.as_slice(), view.steps, view.reason()), ([10, 20].as_slice(), 200, None));
        assert_ne!(view.history, history);
        view.apply(step(30, 0.9, None));
        assert_eq!(view.columns.values["loss"], [1.0, 1.0, 0.9]);
    }

    #[test]
    fn a_folded_view_tells_the_same_without_columns() {
        let events = || {
            let steps = (1..200).map(|at| step(at * 5, 1.0 / at as f64, None));
            [started(2000)].into_iter().chain(steps).chain([resumed(500), step(505, 0.3, None)])
        };
        let (mut whole, mut folded) = (RunView::default(), RunView::default());
        folded.fold();
        for event in events() {
            whole.apply(event.clone());
            folded.apply(event);
        }
        assert!(folded.is_folded() && folded.columns.is_empty() && !whole.columns.is_empty());
        let told = |view: &RunView| (view.step(), view.latest("loss"), view.eta_secs(), view.course.clone(), view.steps);
        assert_eq!(told(&whole), told(&folded));
        whole.fold();
        assert_eq!(told(&whole), told(&folded));
    }
}
