//! Runs and their engines: what is watched, what is started, whose turn is next, and what an engine is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use egui::Context;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::{Action, Reason, RunFolder, RunInfo, append_command, is_held};
use maskroom_core::train::session::prepare;
use maskroom_widgets::Tone;

use super::awake::Awake;
use super::chores::Chores;
use super::command::Command;
use super::draft::Draft;
use super::job::Job;
use super::notices::{Notices, tell_desktop};
use super::preferences::Preferences;
use super::project::Project;
use super::queue;
use super::runs::{Run, RunState, Runs};
use super::session::{News, Order, Session};
use super::watcher::{Update, Watcher};

/// The runs of the project and the processes that train them.
pub struct Engines {
    runs: Runs,
    watcher: Option<Watcher>,
    session: Session,
    preparing: Vec<Job<Prepared>>,
    chores: Chores,
    context: Context,
    /// When a run that waits is tried again: its turn may be held up by a window or a project that this one knows nothing of.
    next_try: Option<Instant>,
    /// Runs that this window deletes: their going is no news.
    deleting: BTreeSet<PathBuf>,
    /// Runs whose engine was started and not yet seen to hold them, and when an engine had ended before.
    unseen: BTreeMap<PathBuf, Option<f64>>,
    awake: Awake,
}

/// A run folder that was just made.
struct Prepared {
    run: RunFolder,
    info: RunInfo,
    recipe: Recipe,
}

/// How often a run that waits is tried.
const TRY: Duration = Duration::from_secs(2);

impl Engines {
    /// `engine` is the program that trains; `state` is the folder that all windows of a person share.
    pub fn new(engine: PathBuf, state: &Path) -> Self {
        Self {
            runs: Runs::default(),
            watcher: None,
            session: Session::new(engine, state.join("device.turn")),
            preparing: Vec::new(),
            chores: Chores::default(),
            context: Context::default(),
            next_try: None,
            deleting: BTreeSet::new(),
            unseen: BTreeMap::new(),
            awake: Awake::default(),
        }
    }

    /// Watches the runs in `folder` instead of those of the project before; engines go on.
    pub fn watch(&mut self, folder: Option<PathBuf>, context: &Context) {
        self.close();
        self.context = context.clone();
        self.watcher = folder.map(|folder| Watcher::start(folder, context));
    }

    /// Watches nothing.
    pub fn close(&mut self) {
        (self.runs, self.watcher, self.preparing) = (Runs::default(), None, Vec::new());
    }

    /// The program that trains.
    pub fn engine(&self) -> &Path {
        self.session.engine()
    }

    /// The runs as they are known.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The runs, to be selected and compared.
    pub fn runs_mut(&mut self) -> &mut Runs {
        &mut self.runs
    }

    /// Memory in use by the engine of the active run, where the platform tells it.
    pub fn memory_mib(&self) -> Option<u64> {
        Some(self.runs.active()?.memory_bytes? >> 20)
    }

    /// Takes what the watcher tells, and lets the next run begin when the device is free.
    pub fn receive(&mut self, preferences: &Preferences, notices: &mut Notices, context: &Context) {
        self.hear_watcher(preferences, notices, context);
        self.hear_engines(notices);
        self.tell_unseen(preferences, notices, context);
        self.hear_jobs(preferences, notices);
        if let Some(watcher) = &self.watcher {
            watcher.show(self.runs.shown().map(|run| run.folder.root.clone()).collect::<BTreeSet<_>>());
        }
        if let Err(error) = self.next_turn(preferences, context) {
            notices.tell(Tone::Bad, format!("{error:#}"));
        }
        self.awake.keep(preferences.keep_awake && self.runs.active().is_some());
    }

    fn hear_watcher(&mut self, preferences: &Preferences, notices: &mut Notices, context: &Context) {
        let updates: Vec<Update> = self.watcher.iter().flat_map(Watcher::updates).collect();
        for update in updates {
            let mut ended = None;
            if let Update::Held(run, held) = &update {
                self.unseen.remove(run);
                ended = (!held).then(|| run.clone());
            }
            let before = self.runs.selected().map(|run| (run.folder.root.clone(), run.name()));
            self.runs.receive(update);
            let gone = before.filter(|(run, _)| self.runs.get(run).is_none());
            if let Some((run, name)) = gone.filter(|(run, _)| !self.deleting.contains(run)) {
                notices.tell(Tone::Warning, format!("{name} is gone: its folder {} was deleted or moved", run.display()));
            }
            self.deleting.retain(|run| self.runs.get(run).is_some());
            if let Some(run) = ended.and_then(|run| self.runs.get(&run)) {
                tell_end(run, preferences, notices, context);
            }
        }
    }

    /// Tells the end of engines that came and went between two looks: the log has another last line than when they were started.
    fn tell_unseen(&mut self, preferences: &Preferences, notices: &mut Notices, context: &Context) {
        let Self { unseen, session, runs, .. } = self;
        unseen.retain(|run, before| match runs.get(run) {
            Some(known) if !session.attends(run) && last_word(known).is_some_and(|time| Some(time) != *before) => {
                tell_end(known, preferences, notices, context);
                false
            }
            known => known.is_some(),
        });
    }

    fn hear_engines(&mut self, notices: &mut Notices) {
        for news in self.session.news() {
            match news {
                News::Begun(run) => self.begun(&run),
                News::Busy { run, occupant, steps } => {
                    self.unseen.remove(&run);
                    if let Err(error) = self.wait_for(&run, occupant.as_deref(), steps, notices) {
                        notices.tell(Tone::Bad, format!("{error:#}"));
                    }
                }
                News::Ended { run, error } => {
                    let name = self.runs.get(&run).map_or_else(|| run.display().to_string(), Run::name);
                    if let Some(known) = self.runs.get_mut(&run) {
                        known.starting = false;
                        if let Some(error) = &error {
                            queue::fail(&mut known.info, error.clone());
                        }
                    }
                    if let Some(error) = error {
                        self.unseen.remove(&run);
                        notices.tell(Tone::Bad, format!("{name} cannot be trained: {error}"));
                    }
                    self.look_now();
                }
            }
        }
    }

    fn begun(&mut self, run: &Path) {
        if let Some(known) = self.runs.get_mut(run) {
            queue::leave(&mut known.info);
            known.starting = !known.held;
        }
        self.look_now();
    }

    /// A run that was to begin and could not waits; one that has waited waits on, without a word.
    fn wait_for(&mut self, run: &Path, occupant: Option<&Path>, steps: Option<u64>, notices: &mut Notices) -> Result<()> {
        let busy = occupant.map(|occupant| name_of(&self.runs, occupant)).unwrap_or_else(|| "another run".into());
        let Some(known) = self.runs.get_mut(run) else { return Ok(()) };
        known.starting = false;
        if queue::is_queued(&known.info) {
            return Ok(());
        }
        notices.tell(Tone::Info, format!("{} waits until {busy} is done", known.name()));
        self.enqueue(run, steps)
    }

    fn hear_jobs(&mut self, preferences: &Preferences, notices: &mut Notices) {
        for done in self.chores.done() {
            match done {
                Ok(words) => words.into_iter().for_each(|words| notices.tell(Tone::Good, words)),
                Err(error) => notices.tell(Tone::Bad, crate::cli::in_words(&error)),
            }
            self.look_now();
        }
        let mut prepared = Vec::new();
        self.preparing.retain(|job| match job.poll() {
            None => true,
            Some(result) => {
                prepared.push(result);
                false
            }
        });
        for result in prepared {
            let begun = result.and_then(|Prepared { run, info, recipe }| {
                let waits = queue::is_queued(&info);
                let name = info.name.clone();
                self.runs.add(run.clone(), info, recipe);
                match self.runs.active().map(Run::name) {
                    Some(busy) if waits => {
                        notices.tell(Tone::Info, format!("{name} waits until {busy} is done"));
                        Ok(())
                    }
                    // The device has become free while the run was prepared: its turn comes at once.
                    _ if waits => Ok(()),
                    _ => self.begin(&run.root, None, false, preferences),
                }
            });
            if let Err(error) = begun {
                notices.tell(Tone::Bad, crate::cli::in_words(&error));
            }
            self.look_now();
        }
        self.runs.preparing = self.preparing.first().map(|job| job.label.clone());
    }

    /// Makes a run of the draft in the background, and starts it or lets it wait. Returns what to tell the person.
    ///
    /// # Errors
    /// If there is no project, or the draft has problems.
    pub fn start(&mut self, project: &Project, draft: &Draft, name: &str, preferences: &Preferences) -> Result<String> {
        let (Some(data), Some(folder)) = (project.path(), project.runs_folder()) else { bail!("open a folder of images first") };
        if !draft.is_valid() {
            bail!("the recipe has problems: see the recipe panel");
        }
        let mut info = RunInfo {
            name: name.trim().to_owned(),
            device: preferences.device.clone(),
            versions: [("maskroom".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            init: draft.start_from().map(std::path::absolute).transpose()?,
            ..RunInfo::default()
        };
        if self.runs.active().is_some() || self.runs.next_queued().is_some() {
            queue::enqueue(&mut info, None);
        }
        let (data, recipe) = (data.to_path_buf(), draft.recipe().clone());
        let label = if info.name.is_empty() { format!("a run of {}", recipe.method) } else { info.name.clone() };
        let told = format!("{label} is being prepared");
        self.preparing.push(Job::start(label, &self.context, move |_| prepared(&folder, &data, &recipe, info)));
        Ok(told)
    }

    /// Goes on with a run, or trains it longer; on a busy device it waits for its turn.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn proceed(&mut self, run: &Path, steps: Option<u64>, preferences: &Preferences) -> Result<()> {
        let Some(known) = self.runs.get(run) else { return Ok(()) };
        match known.state() {
            RunState::Damaged => bail!("{} cannot be read, so it is left as it is", known.name()),
            state if state.is_active() => bail!("{} is training already", known.name()),
            _ if self.runs.active().is_some() => self.enqueue(run, steps),
            _ => self.begin(run, steps, false, preferences),
        }
    }

    fn begin(&mut self, run: &Path, steps: Option<u64>, waited: bool, preferences: &Preferences) -> Result<()> {
        if self.session.attends(run) {
            return Ok(());
        }
        self.session.start(Order { run: RunFolder { root: run.to_path_buf() }, steps, waited }, preferences, &self.context)?;
        self.unseen.insert(run.to_path_buf(), self.runs.get(run).and_then(last_word));
        // One that waits is not called starting before it does: it may have to wait on.
        if let Some(known) = self.runs.get_mut(run).filter(|_| !waited) {
            queue::leave(&mut known.info);
            known.starting = true;
        }
        Ok(())
    }

    /// The run that has waited longest begins when nothing here has the device; other windows and projects may still have it.
    fn next_turn(&mut self, preferences: &Preferences, context: &Context) -> Result<()> {
        let next = self.runs.next_queued().map(|run| (run.folder.root.clone(), queue::queued_steps(&run.info)));
        let Some((run, steps)) = next.filter(|(run, _)| self.runs.active().is_none() && !self.session.attends(run)) else {
            return Ok(());
        };
        let now = Instant::now();
        if let Some(wait) = self.next_try.and_then(|at| at.checked_duration_since(now)).filter(|wait| !wait.is_zero()) {
            context.request_repaint_after(wait);
            return Ok(());
        }
        self.next_try = Some(now + TRY);
        self.begin(&run, steps, true, preferences)
    }

    /// Tells the engine of `run` something.
    ///
    /// # Errors
    /// If the run's folder cannot be written.
    pub fn control(&self, run: &Path, action: Action) -> Result<()> {
        append_command(&RunFolder { root: run.to_path_buf() }, action)?;
        Ok(())
    }

    /// A command about the selected run.
    ///
    /// # Errors
    /// As [`Engines::control`] and [`Engines::proceed`].
    pub fn command(&mut self, command: Command, preferences: &Preferences) -> Result<()> {
        let Some(run) = self.runs.selected().map(|run| run.folder.root.clone()) else { return Ok(()) };
        match command {
            Command::PauseRun => self.control(&run, Action::Pause),
            Command::ResumeRun => self.control(&run, Action::Resume),
            Command::CheckpointRun => self.control(&run, Action::Checkpoint),
            Command::StopRun => self.control(&run, Action::Stop),
            Command::ContinueRun => self.proceed(&run, None, preferences),
            _ => Ok(()),
        }
    }

    /// Whether a command about the selected run can be used, or why it cannot.
    pub fn usable(&self, command: Command) -> Result<(), &'static str> {
        let Some(run) = self.runs.selected() else { return Err("there is no run yet") };
        let state = run.state();
        let need = |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
        match command {
            Command::PauseRun => need(state == RunState::Training, "the run is not training"),
            Command::ResumeRun => need(state == RunState::Paused, "the run is not paused"),
            Command::CheckpointRun | Command::StopRun => {
                need(matches!(state, RunState::Training | RunState::Paused), "the run is not training")
            }
            Command::ContinueRun => need(state.can_continue(), "the run has nothing to go on with"),
            _ => Ok(()),
        }
    }

    /// Changes a run's name and notes.
    ///
    /// # Errors
    /// If the disk does not keep up.
    pub fn describe(&mut self, run: &Path, name: String, notes: String) -> Result<()> {
        self.change_info(run, move |info| (info.name, info.notes) = (name.clone(), notes.clone()))
    }

    /// A run waits for its turn.
    fn enqueue(&mut self, run: &Path, steps: Option<u64>) -> Result<()> {
        self.change_info(run, move |info| queue::enqueue(info, steps))
    }

    /// A run no longer waits.
    ///
    /// # Errors
    /// If the disk does not keep up.
    pub fn unqueue(&mut self, run: &Path) -> Result<()> {
        self.change_info(run, queue::leave)
    }

    /// Changes `run.json`: what is shown at once, the file in the background.
    fn change_info(&mut self, run: &Path, change: impl Fn(&mut RunInfo) + Send + 'static) -> Result<()> {
        if let Some(known) = self.runs.get_mut(run) {
            if known.problem.is_some() {
                bail!("{} cannot be read, so it is left as it is", known.name());
            }
            change(&mut known.info);
        }
        let folder = RunFolder { root: run.to_path_buf() };
        self.chores.ask(&self.context, move || {
            queue::change_info(&folder, |info| change(info))?;
            Ok(None)
        })
    }

    /// Deletes a run's folder; never one that an engine holds.
    ///
    /// # Errors
    /// If the run is training, or the disk does not keep up.
    pub fn delete(&mut self, run: &Path) -> Result<()> {
        let Some(known) = self.runs.get(run) else { return Ok(()) };
        if known.state().is_active() {
            bail!("{} is training: stop it before deleting it", known.name());
        }
        let (run, name) = (known.folder.clone(), known.name());
        self.deleting.insert(run.root.clone());
        self.chores.ask(&self.context, move || delete(&run, &name).map(|()| Some(format!("{name} is deleted"))))
    }

    fn look_now(&self) {
        self.watcher.iter().for_each(Watcher::look_now);
    }
}

/// What people call a run of this project; the folder's name if it belongs to another.
fn name_of(runs: &Runs, folder: &Path) -> String {
    let elsewhere = || folder.file_name().map_or_else(|| "another run".into(), |name| format!("{} of another project", name.display()));
    runs.get(folder).map_or_else(elsewhere, Run::name)
}

/// When an engine last said that it ends.
fn last_word(run: &Run) -> Option<f64> {
    run.view.stopped.as_ref().map(|stopped| stopped.time)
}

fn tell_end(run: &Run, preferences: &Preferences, notices: &mut Notices, context: &Context) {
    let (level, words) = match run.view.reason() {
        Some(Reason::Finished) => (Tone::Good, format!("{} has finished", run.name())),
        Some(Reason::Stopped) => (Tone::Info, format!("{} has stopped; its checkpoint is written", run.name())),
        Some(Reason::Failed) => (Tone::Bad, format!("{} has failed: {}", run.name(), run.error().unwrap_or_default())),
        None => (Tone::Warning, format!("{} ended unexpectedly; it can go on from its last checkpoint", run.name())),
    };
    notices.tell(level, words.clone());
    if preferences.notify && !context.input(|input| input.focused) {
        tell_desktop("Maskroom".into(), words);
    }
}

/// Makes the run in a folder of its own, which nobody else can have taken.
fn prepared(folder: &Path, data: &Path, recipe: &Recipe, mut info: RunInfo) -> Result<Prepared> {
    let (path, number) = free_folder(folder, &recipe.method)?;
    if info.name.is_empty() {
        info.name = format!("{} {number}", recipe.method);
    }
    let made = prepare(&path, data, recipe, info).map_err(anyhow::Error::from).and_then(|run| {
        let (info, text) = (run.info()?, std::fs::read_to_string(run.recipe_path())?);
        Ok(Prepared { run, info, recipe: Recipe::from_toml(&text)? })
    });
    if made.is_err() {
        // Only while it is empty.
        let _ = std::fs::remove_dir(&path);
    }
    made
}

/// Makes the first folder that does not exist yet, and its number.
fn free_folder(folder: &Path, method: &str) -> Result<(PathBuf, usize)> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for number in 1.. {
        let path = folder.join(format!("{method}-{number:03}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok((path, number)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be made", path.display())),
        }
    }
    bail!("there is no free number for a run")
}

/// A run that is being deleted is first moved out of sight, so that it is never seen half.
fn delete(run: &RunFolder, name: &str) -> Result<()> {
    if is_held(&run.lock_path()) {
        bail!("{name} is training: stop it before deleting it");
    }
    let (Some(parent), Some(folder)) = (run.root.parent(), run.root.file_name()) else { bail!("{} is no run", run.root.display()) };
    let aside = parent.join(format!(".deleted-{}", folder.display()));
    let _ = std::fs::remove_dir_all(&aside);
    std::fs::rename(&run.root, &aside).with_context(|| format!("{} cannot be deleted", run.root.display()))?;
    std::fs::remove_dir_all(&aside).with_context(|| format!("{} cannot be deleted", aside.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_get_one_folder_and_a_deleted_one_frees_its_number() {
        let folder = std::env::temp_dir().join(format!("maskroom-engines-{}", std::process::id()));
        let numbers: Vec<usize> = (0..3).map(|_| free_folder(&folder, "mae").unwrap().1).collect();
        assert_eq!(numbers, [1, 2, 3]);
        delete(&RunFolder { root: folder.join("mae-002") }, "mae 2").unwrap();
        assert_eq!(free_folder(&folder, "mae").unwrap().1, 2);
        let held = RunFolder { root: folder.join("mae-003") };
        let _engine = maskroom_core::run::EngineLock::acquire(&held.lock_path()).unwrap();
        assert!(delete(&held, "mae 3").is_err() && held.root.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
