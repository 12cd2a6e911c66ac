//! The thread that looks at run folders, so that the window never waits for a disk: it lists the project's runs, follows their logs and
//! tells what is new.
//!
//! The window says which runs it draws: those come with all their columns, others folded. A log is read in slices of time, so that a long
//! one does not keep news of the others waiting, and what it came to is kept beside it ([`column_file`]). While the window takes nothing,
//! nothing more is read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use egui::Context;
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::{Event, RunFolder, RunInfo, Tail, is_held};

use super::column_file;
use super::resident_memory;
use super::run_view::RunView;

/// Something new about the runs of the project.
pub enum Update {
    /// The run folders there are now, by name; the first one of these says that the listing is complete. An error says why the runs that
    /// are known may not be all.
    Listed(Result<Vec<PathBuf>, String>),
    /// What stands in a run's own files.
    About {
        /// The run folder.
        run: PathBuf,
        /// `run.json`, if it can be read.
        info: Box<Option<RunInfo>>,
        /// `recipe.toml`, if it can be read.
        recipe: Box<Option<Recipe>>,
        /// What cannot be read, and why.
        problem: Option<String>,
        /// Whether an engine has ever had the run.
        tried: bool,
    },
    /// A run's whole history so far.
    Whole(PathBuf, Box<RunView>),
    /// Events since the last update.
    Events(PathBuf, Vec<Event>),
    /// The columns of a run are no longer needed.
    Folded(PathBuf),
    /// Whether a living engine holds the run.
    Held(PathBuf, bool),
    /// Bytes of memory that the run's engine has; `None` where nobody knows.
    Memory(PathBuf, Option<u64>),
}

/// Follows the runs in one folder until it is dropped.
pub struct Watcher {
    updates: Receiver<Update>,
    shown: Arc<Mutex<BTreeSet<PathBuf>>>,
    wake: Sender<()>,
}

/// How often living runs are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often the folder is listed, and resting runs are looked at.
const LIST: Duration = Duration::from_millis(1000);
/// How long logs are read before other runs are looked at again.
const READ: Duration = Duration::from_millis(80);
/// Updates that may wait for the window.
const WAITING: usize = 256;

impl Watcher {
    /// Watches the runs below `folder`, which need not exist yet.
    pub fn start(folder: PathBuf, context: &Context) -> Self {
        let (send, updates) = bounded(2 * WAITING);
        let (wake, woken) = bounded(1);
        let shown = Arc::new(Mutex::new(BTreeSet::new()));
        let mut rounds = Rounds {
            folder,
            known: BTreeMap::new(),
            listed: None,
            listing: None,
            send,
            context: context.clone(),
            shown: Arc::clone(&shown),
        };
        let thread = std::thread::Builder::new().name("run watcher".into()).spawn(move || {
            let mut asked = false;
            while let Some(pause) = rounds.look(asked) {
                asked = match woken.recv_timeout(pause) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
            }
        });
        if let Err(error) = thread {
            tracing::error!("the run watcher cannot be started: {error}");
        }
        Self { updates, shown, wake }
    }

    /// What is new since the last look.
    pub fn updates(&self) -> impl Iterator<Item = Update> + '_ {
        self.updates.try_iter()
    }

    /// Says which runs are drawn.
    pub fn show(&self, runs: BTreeSet<PathBuf>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != runs {
            *shown = runs;
            self.look_now();
        }
    }

    /// Looks at all runs at once: something has just happened to one.
    pub fn look_now(&self) {
        // A full channel says the same already.
        let _ = self.wake.try_send(());
    }
}

struct Rounds {
    folder: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    listed: Option<Instant>,
    /// The last listing as it was told.
    listing: Option<Result<Vec<PathBuf>, String>>,
    send: Sender<Update>,
    context: Context,
    shown: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Rounds {
    /// One look around, and how long to wait before the next; `None` when nobody listens any more.
    fn look(&mut self, asked: bool) -> Option<Duration> {
        if self.send.len() >= WAITING {
            return Some(LOOK);
        }
        let list_now = asked || self.listed.is_none_or(|at| at.elapsed() >= LIST);
        if list_now {
            self.list()?;
            self.listed = Some(Instant::now());
        }
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut runs: Vec<(bool, bool, PathBuf)> = (self.known.iter())
            .filter(|(_, known)| list_now || known.held || known.reading.is_some())
            .map(|(run, known)| (!shown.contains(run), !known.held, run.clone()))
            .collect();
        runs.sort_unstable();
        let until = Instant::now() + READ;
        for (_, _, run) in runs {
            let Some(known) = self.known.get_mut(&run) else { continue };
            let news = known.look(&RunFolder { root: run.clone() }, shown.contains(&run), list_now, until);
            news.into_iter().try_for_each(|update| self.tell(update))?;
        }
        let (reading, held) = (self.known.values().any(|known| known.reading.is_some()), self.known.values().any(|known| known.held));
        Some(if reading {
            Duration::ZERO
        } else if held {
            LOOK
        } else {
            LIST
        })
    }

    fn list(&mut self) -> Option<()> {
        let listing = run_folders(&self.folder).map_err(|error| format!("{} cannot be read: {error}", self.folder.display()));
        if let Ok(found) = &listing {
            self.known.retain(|run, _| found.contains(run));
            for run in found {
                self.known.entry(run.clone()).or_default();
            }
        }
        if self.listing.as_ref() == Some(&listing) {
            return Some(());
        }
        self.listing = Some(listing.clone());
        self.tell(Update::Listed(listing))
    }

    fn tell(&self, update: Update) -> Option<()> {
        self.send.send(update).ok()?;
        self.context.request_repaint();
        Some(())
    }
}

/// What the window was told of a run's history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    #[default]
    Nothing,
    Folded,
    All,
}

/// A run as far as the thread knows it.
#[derive(Default)]
struct Known {
    tail: Option<Tail>,
    /// The history as far as it is read, until the window can be told.
    reading: Option<Box<RunView>>,
    told: Told,
    restarts: u64,
    /// Bytes of the log that are in the column file.
    kept_bytes: u64,
    held: bool,
    memory: Option<u64>,
    files: Option<[Option<SystemTime>; 2]>,
}

/// Column files are written when so much of the log is not in them: less is read faster than it is worth.
const WORTH_KEEPING: u64 = 1 << 20;

impl Known {
    fn look(&mut self, run: &RunFolder, shown: bool, at_rest: bool, until: Instant) -> Vec<Update> {
        let mut news = Vec::new();
        let files = [run.info_path(), run.recipe_path()].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok());
        if self.files != Some(files) {
            self.files = Some(files);
            news.push(about(run));
        }
        // The lock first: an engine that ends between the two looks is then seen to end in the next round, after its last events.
        let held = is_held(&run.lock_path());
        let is_drained = self.follow(run, shown, until, &mut news);
        if held && !self.held || self.held && !held && is_drained {
            self.held = held;
            news.push(Update::Held(run.root.clone(), held));
            if !held && self.unkept_bytes() >= WORTH_KEEPING {
                // Read again with everything that came since it was opened, to be kept.
                self.told = Told::Nothing;
            }
        }
        if at_rest {
            let memory = if held { resident_memory::of_engine(run) } else { None };
            if memory != self.memory {
                self.memory = memory;
                news.push(Update::Memory(run.root.clone(), memory));
            }
        }
        news
    }

    /// Reads what is new in the log. Whether everything was told.
    fn follow(&mut self, run: &RunFolder, shown: bool, until: Instant, news: &mut Vec<Update>) -> bool {
        let wanted = if shown { Told::All } else { Told::Folded };
        if self.reading.is_none() && self.told < wanted {
            self.begin(run, shown);
        }
        let Some(tail) = &mut self.tail else { return false };
        if let Some(mut view) = self.reading.take() {
            if !read_until(tail, &mut self.restarts, &mut view, until) {
                self.reading = Some(view);
                return false;
            }
            view.junk_lines += tail.junk_lines() as u64;
            self.keep(run, &view);
            if !shown && !view.is_folded() {
                view.fold();
            }
            self.told = if view.is_folded() { Told::Folded } else { Told::All };
            news.push(Update::Whole(run.root.clone(), view));
            return true;
        }
        if self.told > wanted {
            self.told = wanted;
            news.push(Update::Folded(run.root.clone()));
        }
        let events = tail.poll();
        if tail.restarts() != self.restarts {
            // Another log: from its beginning, in the next round.
            self.told = Told::Nothing;
            return false;
        }
        let is_drained = events.is_empty();
        if !is_drained {
            news.push(Update::Events(run.root.clone(), events));
        }
        is_drained
    }

    /// Begins to read a history: with its columns if they are drawn, or if the column file is to be written.
    fn begin(&mut self, run: &RunFolder, shown: bool) {
        let log_bytes = std::fs::metadata(run.events_path()).map_or(0, |meta| meta.len());
        let is_worth_keeping = |tail: &Tail| log_bytes.saturating_sub(tail.offset()) >= WORTH_KEEPING;
        let kept = column_file::open(run, shown);
        let kept =
            if !shown && kept.as_ref().is_some_and(|(_, tail)| is_worth_keeping(tail)) { column_file::open(run, true) } else { kept };
        let (view, tail) = kept.unwrap_or_else(|| (RunView::default(), Tail::new(run.events_path())));
        (self.restarts, self.kept_bytes) = (0, tail.offset());
        (self.reading, self.tail) = (Some(Box::new(view)), Some(tail));
    }

    fn keep(&mut self, run: &RunFolder, view: &RunView) {
        let Some(tail) = &self.tail else { return };
        let is_another = self.restarts > 0;
        if view.is_folded() || (!is_another && self.unkept_bytes() < WORTH_KEEPING) || tail.offset() < WORTH_KEEPING {
            return;
        }
        match column_file::write(run, view, tail) {
            Ok(()) => self.kept_bytes = tail.offset(),
            Err(error) => tracing::debug!("the columns are not kept: {error}"),
        }
    }

    fn unkept_bytes(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.offset().saturating_sub(self.kept_bytes))
    }
}

/// Reads on until the log ends or the time is up; whether it has ended. A log that turns out to be another one is read from its beginning.
fn read_until(tail: &mut Tail, restarts: &mut u64, view: &mut RunView, until: Instant) -> bool {
    // When the time is up already, nothing is read: one long history after another, so that the first is there soon, and memory is taken
    // for the columns of one at a time.
    while Instant::now() < until {
        let events = tail.poll();
        if tail.restarts() != *restarts {
            *restarts = tail.restarts();
            *view = RunView::default();
        }
        if events.is_empty() {
            return true;
        }
        events.into_iter().for_each(|event| view.apply(event));
    }
    false
}

fn about(folder: &RunFolder) -> Update {
    let info = folder.info().map_err(|error| error.to_string());
    let recipe = std::fs::read_to_string(folder.recipe_path())
        .map_err(|error| format!("recipe.toml cannot be read: {error}"))
        .and_then(|text| Recipe::resolve(Base::Toml(&text), &[]).map_err(|error| format!("recipe.toml: {error}")));
    // Some things open and cannot be read.
    let log = match std::fs::File::open(folder.events_path()).and_then(|mut log| log.read(&mut [0])) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("events.jsonl cannot be read: {error}")),
        _ => Ok(()),
    };
    let problems = [info.as_ref().err(), recipe.as_ref().err(), log.as_ref().err()];
    let problem = problems.into_iter().flatten().cloned().reduce(|all, one| format!("{all}\n{one}"));
    let tried = folder.lock_path().exists();
    Update::About { run: folder.root.clone(), info: Box::new(info.ok()), recipe: Box::new(recipe.ok()), problem, tried }
}

/// Folders below `folder` that hold a run, sorted; none where there is no such folder. Hidden ones are on their way in or out.
fn run_folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let visible = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(visible).collect();
    runs.retain(|path| RunFolder { root: path.clone() }.exists());
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use maskroom_core::run::{EngineLock, EventWriter, Started, Step};

    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn scratch(name: &str) -> (Scratch, RunFolder) {
        let folder = std::env::temp_dir().join(format!("maskroom-watcher-{name}-{}", std::process::id()));
        let recipe = Recipe::preset("mae").unwrap().to_toml();
        let run = RunFolder::create(&folder.join("mae-001"), &recipe, &RunInfo::default()).unwrap();
        (Scratch(folder), run)
    }

    fn log(run: &RunFolder, steps: std::ops::Range<u64>) {
        let mut writer = EventWriter::open(&run.events_path()).unwrap();
        if steps.start == 1 {
            writer.write(&Event::Started(Started { steps: 1_000_000, ..Started::default() })).unwrap();
        }
        steps.for_each(|step| writer.write(&Event::Step(Step { step, loss: 0.5, ..Step::default() })).unwrap());
    }

    /// The next update that `wanted` makes something of.
    fn wait<T>(watcher: &Watcher, wanted: impl Fn(Update) -> Option<T>) -> T {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Ok(update) = watcher.updates.recv_timeout(Duration::from_secs(1))
                && let Some(found) = wanted(update)
            {
                return found;
            }
        }
        panic!("no such update came");
    }

    fn whole(update: Update) -> Option<RunView> {
        if let Update::Whole(_, view) = update { Some(*view) } else { None }
    }

    #[test]
    fn a_long_run_is_kept_beside_its_log_and_has_columns_only_while_it_is_shown() {
        let (scratch, run) = scratch("long");
        log(&run, 1..8000);
        let watcher = Watcher::start(scratch.0.clone(), &Context::default());
        let folded = wait(&watcher, whole);
        assert!(folded.is_folded() && folded.step() == 7999 && column_file::path(&run).exists());
        watcher.show([run.root.clone()].into());
        let view = wait(&watcher, whole);
        assert_eq!((view.columns.len(), view.steps), (7999, 1_000_000));
        log(&run, 8000..8003);
        let events = wait(&watcher, |update| if let Update::Events(_, events) = update { Some(events) } else { None });
        assert_eq!(events.first().and_then(Event::step), Some(8000));
        watcher.show(BTreeSet::new());
        wait(&watcher, |update| matches!(update, Update::Folded(_)).then_some(()));
    }

    #[test]
    fn an_engine_is_seen_to_come_and_go_and_a_run_to_vanish() {
        let (scratch, run) = scratch("engine");
        let watcher = Watcher::start(scratch.0.clone(), &Context::default());
        let engine = EngineLock::acquire(&run.lock_path()).unwrap();
        wait(&watcher, |update| matches!(update, Update::Held(_, true)).then_some(()));
        drop(engine);
        wait(&watcher, |update| matches!(update, Update::Held(_, false)).then_some(()));
        std::fs::remove_dir_all(&run.root).unwrap();
        wait(&watcher, |update| matches!(update, Update::Listed(Ok(runs)) if runs.is_empty()).then_some(()));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let (scratch, run) = scratch("damaged");
        std::fs::write(run.info_path(), "{").unwrap();
        std::fs::create_dir(run.events_path()).unwrap();
        let watcher = Watcher::start(scratch.0.clone(), &Context::default());
        let problem = wait(&watcher, |update| if let Update::About { problem, .. } = update { problem } else { None });
        assert!(problem.contains("run.json") && problem.contains("events.jsonl"), "{problem}");
    }
}
