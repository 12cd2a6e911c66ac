//! The runs of the project: what the watcher told of each, which is selected, and which are drawn beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use maskroom_core::recipe::Recipe;
use maskroom_core::run::{Reason, RunFolder, RunInfo};

use super::queue;
use super::run_view::RunView;
use super::watcher::Update;

/// The runs, as far as they are known.
#[derive(Default)]
pub struct Runs {
    list: Vec<Run>,
    selected: Option<PathBuf>,
    /// Whether the selected run shall stay when a later one comes to be known.
    settled: bool,
    compared: BTreeSet<PathBuf>,
    listed: bool,
    problem: Option<String>,
    /// What the run is called that is being prepared.
    pub preparing: Option<String>,
}

/// One run.
pub struct Run {
    /// Its folder.
    pub folder: RunFolder,
    /// `run.json`; what is known of it when the file is damaged.
    pub info: RunInfo,
    /// The color that it has everywhere: its place in the order of the folders' names, so that it stays when others come and go.
    pub color_index: usize,
    /// Its recipe, when it can be read.
    pub recipe: Option<Recipe>,
    /// What is wrong with its files. Such a run is shown and never written to.
    pub problem: Option<String>,
    /// Its events, reduced.
    pub view: RunView,
    /// Whether its log has been read.
    pub read: bool,
    /// Whether a living engine holds it.
    pub held: bool,
    /// Whether this window has just started its engine, which does not hold it yet.
    pub starting: bool,
    /// Whether an engine has ever held it.
    pub tried: bool,
    /// Bytes of memory of its engine, where the platform tells.
    pub memory_bytes: Option<u64>,
    /// Whether its own files have been looked at.
    described: bool,
    /// Whether the engine that holds it has not yet said that it trains.
    coming_up: bool,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// The engine computes.
    Training,
    /// The engine waits for `resume`.
    Paused,
    /// The engine is coming up.
    Starting,
    /// It waits until the device is free.
    Queued,
    /// It was never started.
    Prepared,
    /// The last step is done.
    Finished,
    /// A person stopped it, or the machine shut down; a checkpoint was written.
    Stopped,
    /// The engine ended with an error.
    Failed,
    /// The engine is gone and said nothing.
    EndedUnexpectedly,
    /// Its files cannot be read.
    Damaged,
}

impl Runs {
    /// All of them, the latest first.
    pub fn list(&self) -> &[Run] {
        &self.list
    }

    /// Whether the folder has been listed at all.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Why the list may lack runs.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The run that panels show.
    pub fn selected(&self) -> Option<&Run> {
        self.get(self.selected.as_ref()?)
    }

    /// The run in `folder`.
    pub fn get(&self, folder: &Path) -> Option<&Run> {
        self.list.iter().find(|run| run.folder.root == folder)
    }

    /// The run in `folder`, to be changed.
    pub fn get_mut(&mut self, folder: &Path) -> Option<&mut Run> {
        self.list.iter_mut().find(|run| run.folder.root == folder)
    }

    /// The selected run and those drawn beside it, in the order of the list.
    pub fn shown(&self) -> impl Iterator<Item = &Run> {
        self.list.iter().filter(|run| self.is_selected(&run.folder.root) || self.is_compared(&run.folder.root))
    }

    /// Whether panels show this run.
    pub fn is_selected(&self, folder: &Path) -> bool {
        self.selected.as_deref() == Some(folder)
    }

    /// Whether this run's curves are drawn beside the selected one's.
    pub fn is_compared(&self, folder: &Path) -> bool {
        self.compared.contains(folder)
    }

    /// The run that occupies the device: one that trains, pauses or comes up.
    pub fn active(&self) -> Option<&Run> {
        self.list.iter().find(|run| run.state().is_active())
    }

    /// The run whose turn is next: the one that has waited longest.
    pub fn next_queued(&self) -> Option<&Run> {
        let waiting = self.list.iter().filter(|run| run.state() == RunState::Queued);
        waiting.min_by(|a, b| queue::waits_since(&a.info).total_cmp(&queue::waits_since(&b.info)))
    }

    /// Shows a run.
    pub fn select(&mut self, folder: PathBuf) {
        (self.selected, self.settled) = (Some(folder), true);
    }

    /// Draws a run's curves beside the selected one's, or no longer.
    pub fn compare(&mut self, folder: PathBuf, shown: bool) {
        if shown {
            self.compared.insert(folder)
        } else {
            self.compared.remove(&folder)
        };
    }

    /// Adds a run that was just made, before the watcher comes upon it, and shows it.
    pub fn add(&mut self, folder: RunFolder, info: RunInfo, recipe: Recipe) {
        self.select(folder.root.clone());
        if self.get(&folder.root).is_none() {
            self.list.push(Run { info, recipe: Some(recipe), read: true, described: true, ..Run::unread(folder.root) });
            self.color();
            self.sort();
        }
    }

    /// Takes what the watcher tells.
    pub fn receive(&mut self, update: Update) {
        match update {
            Update::Listed(Err(problem)) => self.problem = Some(problem),
            Update::Listed(Ok(folders)) => self.receive_list(folders),
            Update::About { run, info, recipe, problem, tried } => {
                let Some(known) = self.get_mut(&run) else { return };
                (known.problem, known.tried, known.described) = (problem, tried, true);
                known.info = (*info).unwrap_or_else(|| known.info.clone());
                known.recipe = (*recipe).or_else(|| known.recipe.take());
                self.sort();
                self.select_some();
            }
            Update::Whole(run, view) => self.change(&run, |run| {
                (run.view, run.read) = (*view, true);
                run.coming_up &= !run.view.has_spoken();
            }),
            Update::Events(run, events) => self.change(&run, |run| {
                events.into_iter().for_each(|event| run.view.apply(event));
                run.coming_up &= !run.view.has_spoken();
            }),
            Update::Folded(run) => self.change(&run, |run| run.view.fold()),
            Update::Held(run, held) => self.change(&run, |run| {
                (run.held, run.coming_up) = (held, held && !run.view.has_spoken());
                run.starting &= !held;
                run.tried |= held;
            }),
            Update::Memory(run, memory) => self.change(&run, |run| run.memory_bytes = memory),
        }
    }

    fn receive_list(&mut self, folders: Vec<PathBuf>) {
        (self.listed, self.problem) = (true, None);
        self.list.retain(|run| folders.contains(&run.folder.root));
        self.compared.retain(|run| folders.contains(run));
        for folder in folders {
            if self.get(&folder).is_none() {
                self.list.push(Run::unread(folder));
            }
        }
        self.color();
        self.select_some();
    }

    /// Without a choice of the person, or when their run is gone, the latest is selected; which that is, is known once all are described.
    fn select_some(&mut self) {
        self.settled &= self.selected().is_some();
        if !self.settled {
            self.selected = self.list.first().map(|run| run.folder.root.clone());
            self.settled = !self.list.is_empty() && self.list.iter().all(|run| run.described);
        }
    }

    fn color(&mut self) {
        let mut by_folder: Vec<&mut Run> = self.list.iter_mut().collect();
        by_folder.sort_by(|a, b| a.folder.root.cmp(&b.folder.root));
        by_folder.into_iter().enumerate().for_each(|(place, run)| run.color_index = place);
    }

    fn sort(&mut self) {
        self.list.sort_by(|a, b| b.info.created.total_cmp(&a.info.created).then_with(|| a.folder.root.cmp(&b.folder.root)));
    }

    fn change(&mut self, run: &Path, change: impl FnOnce(&mut Run)) {
        if let Some(known) = self.get_mut(run) {
            change(known);
        }
    }
}

impl Run {
    fn unread(folder: PathBuf) -> Self {
        Self {
            folder: RunFolder { root: folder },
            info: RunInfo::default(),
            color_index: 0,
            recipe: None,
            problem: None,
            view: RunView::default(),
            read: false,
            held: false,
            starting: false,
            tried: false,
            memory_bytes: None,
            described: false,
            coming_up: false,
        }
    }

    /// What people call it.
    pub fn name(&self) -> String {
        let folder = || self.folder.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if self.info.name.is_empty() { folder() } else { self.info.name.clone() }
    }

    /// The kind of what it predicts; empty if its recipe cannot be read.
    pub fn target(&self) -> &str {
        self.recipe.as_ref().map_or("", |recipe| recipe.target.kind.as_str())
    }

    /// By how many prototypes it compares views; 0 if it does not.
    pub fn prototypes(&self) -> usize {
        self.recipe.as_ref().map_or(0, |recipe| recipe.decoder.count("prototypes"))
    }

    /// The number of steps it aims at: what its engine says, else its recipe.
    pub fn steps(&self) -> u64 {
        let planned = || self.recipe.as_ref().map_or(0, |recipe| recipe.train.steps as u64);
        if self.view.steps > 0 { self.view.steps } else { planned() }
    }

    /// Why it failed, in words: what the engine logged, or what it said when it could not even begin.
    pub fn error(&self) -> Option<&str> {
        let logged = self.view.stopped.as_ref().and_then(|stopped| stopped.error.as_deref());
        queue::start_error(&self.info).or(logged)
    }

    /// What it is doing.
    pub fn state(&self) -> RunState {
        if self.held {
            return match () {
                () if self.coming_up => RunState::Starting,
                () if self.view.paused => RunState::Paused,
                () => RunState::Training,
            };
        }
        if self.starting {
            return RunState::Starting;
        }
        if self.problem.is_some() || (self.view.junk_lines > 0 && !self.view.has_begun() && self.view.stopped.is_none()) {
            return RunState::Damaged;
        }
        if queue::is_queued(&self.info) {
            return RunState::Queued;
        }
        if queue::start_error(&self.info).is_some() {
            return RunState::Failed;
        }
        match self.view.reason() {
            Some(Reason::Finished) => RunState::Finished,
            Some(Reason::Failed) => RunState::Failed,
            Some(_) => RunState::Stopped,
            None if self.view.has_begun() || (self.read && self.tried) => RunState::EndedUnexpectedly,
            None => RunState::Prepared,
        }
    }
}

impl RunState {
    /// Whether an engine has the device.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Training | Self::Paused | Self::Starting)
    }

    /// Whether `Continue` makes sense.
    pub fn can_continue(self) -> bool {
        matches!(self, Self::Prepared | Self::Stopped | Self::Failed | Self::EndedUnexpectedly)
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Paused => "paused",
            Self::Starting => "starting",
            Self::Queued => "waiting for its turn",
            Self::Prepared => "not started",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::EndedUnexpectedly => "ended unexpectedly",
            Self::Damaged => "cannot be read",
        }
    }
}
