//! Engines: processes of their own that share nothing with the window but their run folder, so that either can die without the other.
//!
//! Each engine that this window starts has a thread that attends it: it takes the turn, starts the process, waits for its end and tells what
//! the engine itself could not. When the window goes, so do these threads; the engines stay.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use egui::Context;
use maskroom_core::run::{RunFolder, is_held};

use super::preferences::Preferences;
use super::queue::{self, Turn};

/// A run to be started.
#[derive(Debug, Clone)]
pub struct Order {
    /// The run.
    pub run: RunFolder,
    /// Train to this step; the run's own length when `None`.
    pub steps: Option<u64>,
    /// Whether it has waited for its turn: it is then only started if it still does, for another window may have been faster.
    pub waited: bool,
}

/// What becomes of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The engine comes up.
    Begun(PathBuf),
    /// The device has another run.
    Busy {
        /// The run that cannot begin.
        run: PathBuf,
        /// The one that has the device; `None` while another window is starting one.
        occupant: Option<PathBuf>,
        /// The step it was to be trained to.
        steps: Option<u64>,
    },
    /// The engine is gone, or there never was one.
    Ended {
        /// The run.
        run: PathBuf,
        /// What went wrong, where the run's log does not tell it.
        error: Option<String>,
    },
}

/// The engines that this window started. Others are known by the locks they hold.
pub struct Session {
    engine: PathBuf,
    turn: PathBuf,
    attended: BTreeSet<PathBuf>,
    send: Sender<News>,
    news: Receiver<News>,
}

impl Session {
    /// `engine` is the program that trains, `turn` the file by which windows agree whose turn it is.
    pub fn new(engine: PathBuf, turn: PathBuf) -> Self {
        let (send, news) = bounded(64);
        Self { engine, turn, attended: BTreeSet::new(), send, news }
    }

    /// The program that trains.
    pub fn engine(&self) -> &Path {
        &self.engine
    }

    /// Starts the engine on a prepared or interrupted run as soon as it is its turn. It lives on when the window is closed or killed.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(&mut self, order: Order, preferences: &Preferences, context: &Context) -> Result<()> {
        let mut command = Command::new(&self.engine);
        command.arg("train").arg(&order.run.root).args(["--resume", "--detached", "--device", &preferences.device]);
        if preferences.threads > 0 {
            command.args(["--threads", &preferences.threads.to_string()]);
        }
        if let Some(steps) = order.steps {
            command.args(["--steps", &steps.to_string()]);
        }
        let (send, context, turn, run) = (self.send.clone(), context.clone(), self.turn.clone(), order.run.root.clone());
        let attend = move || {
            let mut tell = |news| {
                // Without a window there is nobody to tell.
                let _ = send.send(news);
                context.request_repaint();
            };
            attend(&order, command, &turn, &mut tell);
        };
        std::thread::Builder::new().name("engine".into()).spawn(attend).context("the engine cannot be started")?;
        self.attended.insert(run);
        Ok(())
    }

    /// What has become of the orders since the last look.
    pub fn news(&mut self) -> Vec<News> {
        let news: Vec<News> = self.news.try_iter().collect();
        for one in &news {
            if let News::Busy { run, .. } | News::Ended { run, .. } = one {
                self.attended.remove(run);
            }
        }
        news
    }

    /// Whether an order for this run is being carried out.
    pub fn attends(&self, run: &Path) -> bool {
        self.attended.contains(run)
    }
}

/// The life of one engine as seen from the window.
fn attend(order: &Order, command: Command, turn: &Path, tell: &mut dyn FnMut(News)) {
    let run = order.run.root.clone();
    match begin(order, command, turn) {
        Ok(Start::Busy(occupant)) => tell(News::Busy { run, occupant, steps: order.steps }),
        Ok(Start::Gone) => tell(News::Ended { run, error: None }),
        Ok(Start::Begun(engine)) => {
            tell(News::Begun(run.clone()));
            let error = engine.wait(&order.run);
            if let Some(error) = &error {
                note(&order.run, error);
            }
            tell(News::Ended { run, error });
        }
        Err(error) => {
            let error = format!("{error:#}");
            note(&order.run, &error);
            tell(News::Ended { run, error: Some(error) });
        }
    }
}

enum Start {
    Begun(Engine),
    Busy(Option<PathBuf>),
    /// Another window was faster, or the run no longer waits.
    Gone,
}

fn begin(order: &Order, mut command: Command, turn: &Path) -> Result<Start> {
    let run = &order.run;
    let Some(mut turn) = Turn::take(turn).context("whose turn it is cannot be found out")? else { return Ok(Start::Busy(None)) };
    match turn.occupant(run) {
        Some(occupant) if occupant.root == run.root => return Ok(Start::Gone),
        Some(occupant) => return Ok(Start::Busy(Some(occupant.root))),
        None => {}
    }
    if order.waited && !queue::is_queued(&run.info()?) {
        return Ok(Start::Gone);
    }
    queue::change_info(run, queue::leave)?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(run.log_path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
    in_a_group_of_its_own(&mut command);
    let before = Lengths::of(run);
    let child = command.spawn().with_context(|| format!("the engine {} cannot be started", command.get_program().display()))?;
    if let Err(error) = turn.give(run) {
        tracing::warn!("other windows may not hear that the device is busy: {error}");
    }
    Ok(Start::Begun(Engine { child, before, turn: Some(turn) }))
}

/// A process, and what there was before it.
struct Engine {
    child: Child,
    before: Lengths,
    /// Held until the engine holds its run.
    turn: Option<Turn>,
}

/// How long an engine may take to come up before others get their turn all the same.
const COMING_UP: Duration = Duration::from_secs(60);

impl Engine {
    /// Waits for the end; some words if the engine failed without a word in its log.
    fn wait(mut self, run: &RunFolder) -> Option<String> {
        let begun = Instant::now();
        let early = loop {
            match self.child.try_wait() {
                Ok(None) if !is_held(&run.lock_path()) && begun.elapsed() < COMING_UP => std::thread::sleep(Duration::from_millis(20)),
                Ok(None) => break None,
                Ok(Some(status)) => break Some(Ok(status)),
                Err(error) => break Some(Err(error)),
            }
        };
        self.turn = None;
        let status = early.unwrap_or_else(|| self.child.wait());
        let spoke = std::fs::metadata(run.events_path()).is_ok_and(|log| log.len() != self.before.events);
        match status {
            // The log tells the rest; or another engine has the run, and this one was refused.
            _ if spoke || is_held(&run.lock_path()) => None,
            Ok(status) if status.success() => None,
            Ok(status) => Some(last_words(&run.log_path(), self.before.log).unwrap_or_else(|| without_words(status))),
            Err(error) => Some(format!("the engine cannot be waited for: {error}")),
        }
    }
}

/// How long the files were that an engine writes.
struct Lengths {
    events: u64,
    log: u64,
}

impl Lengths {
    fn of(run: &RunFolder) -> Self {
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
        Self { events: length(run.events_path()), log: length(run.log_path()) }
    }
}

/// Another window, and the next one, shall know it too.
fn note(run: &RunFolder, error: &str) {
    if let Err(second) = queue::change_info(run, |info| queue::fail(info, error.to_owned())) {
        tracing::warn!("how the start failed is not kept: {second}");
    }
}

/// The error that an engine printed after the first `before` bytes of its log.
fn last_words(log: &Path, before: u64) -> Option<String> {
    const AT_MOST: u64 = 16 << 10;
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(before.max(length.saturating_sub(AT_MOST)))).ok()?;
    let mut text = Vec::new();
    file.take(AT_MOST).read_to_end(&mut text).ok()?;
    words_of(&String::from_utf8_lossy(&text))
}

/// From the last `error:` on; otherwise the last line.
fn words_of(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let begin = lines.iter().rposition(|line| line.starts_with("error:")).or(lines.len().checked_sub(1))?;
    let words = lines[begin..].join("\n");
    Some(words.strip_prefix("error:").unwrap_or(&words).trim().to_owned())
}

fn without_words(status: ExitStatus) -> String {
    format!("the engine ended before it began ({status}) and said nothing; is there enough memory?")
}

/// Ctrl-C in the terminal of the window is not for the engine.
#[cfg(unix)]
pub(super) fn in_a_group_of_its_own(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(windows)]
pub(super) fn in_a_group_of_its_own(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_what_the_engine_wanted_to_say() {
        let text = " WARN slow disk\nerror: first\n\nerror: the data /photos cannot be read\nhelp: mount it\n";
        assert_eq!(words_of(text).as_deref(), Some("the data /photos cannot be read\nhelp: mount it"));
        assert_eq!(words_of("killed by a falling tree\n").as_deref(), Some("killed by a falling tree"));
        assert_eq!(words_of("\n"), None);
    }

    #[cfg(unix)]
    mod with_a_shell {
        use maskroom_core::run::{EngineLock, RunInfo};

        use super::*;

        struct Scratch(PathBuf);

        impl Drop for Scratch {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }

        fn scratch(name: &str) -> (Scratch, RunFolder, PathBuf) {
            let folder = std::env::temp_dir().join(format!("maskroom-session-{name}-{}", std::process::id()));
            let run = RunFolder::create(&folder.join("runs/one"), "", &RunInfo::default()).unwrap();
            let turn = folder.join("turn");
            (Scratch(folder), run, turn)
        }

        fn shell(script: &str, run: &RunFolder) -> Command {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(&run.root);
            command
        }

        fn attended(run: &RunFolder, waited: bool, script: &str, turn: &Path) -> Vec<News> {
            let mut news = Vec::new();
            let order = Order { run: run.clone(), steps: None, waited };
            attend(&order, shell(script, run), turn, &mut |one| news.push(one));
            news
        }

        #[test]
        fn an_engine_that_cannot_begin_is_heard_and_remembered() {
            let (_scratch, run, turn) = scratch("fails");
            let news = attended(&run, false, "echo 'error: no such device' >&2; exit 2", &turn);
            let [News::Begun(_), News::Ended { error: Some(error), .. }] = &news[..] else { panic!("{news:?}") };
            assert_eq!((error.as_str(), queue::start_error(&run.info().unwrap())), ("no such device", Some("no such device")));
            let news = attended(&run, false, "echo '{\"kind\":\"stopped\"}' >> \"$1/events.jsonl\"; exit 1", &turn);
            assert!(matches!(&news[..], [News::Begun(_), News::Ended { error: None, .. }]), "its log tells it: {news:?}");
            assert_eq!(queue::start_error(&run.info().unwrap()), None, "the old error no longer counts");
        }

        #[test]
        fn a_run_is_started_once_and_a_busy_device_is_left_alone() {
            let (scratch, run, turn) = scratch("busy");
            assert_eq!(attended(&run, true, "exit 3", &turn), [News::Ended { run: run.root.clone(), error: None }], "it waits no more");
            let other = RunFolder::create(&scratch.0.join("runs/two"), "", &RunInfo::default()).unwrap();
            let engine = EngineLock::acquire(&other.lock_path()).unwrap();
            let busy = News::Busy { run: run.root.clone(), occupant: Some(other.root), steps: None };
            assert_eq!(attended(&run, false, "exit 3", &turn), [busy]);
            drop(engine);
            let _window = Turn::take(&turn).unwrap();
            assert_eq!(attended(&run, false, "exit 3", &turn), [News::Busy { run: run.root.clone(), occupant: None, steps: None }]);
        }
    }
}
