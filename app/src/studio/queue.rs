//! Waiting for one's turn. Two engines never share a device: a run that cannot begin is marked in its `run.json`, and whichever window is
//! open when the device is free starts the one that has waited longest.
//!
//! Windows agree by a file that all windows of a person know. Whoever starts an engine locks it until the engine has come up, and writes into
//! it which run has the device. So no two windows start an engine at once, and each hears of runs that belong to projects it has not open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use maskroom_core::run::{RunFolder, RunInfo, is_held, now_secs};
use serde::{Deserialize, Serialize};

const QUEUED: &str = "queued";
const SINCE: &str = "queued_at";
const STEPS: &str = "queued_steps";
const ERROR: &str = "start_error";

/// Marks a run as waiting from now on, to be trained up to `steps` if that is another number than its own.
pub fn enqueue(info: &mut RunInfo, steps: Option<u64>) {
    leave(info);
    info.other.insert(QUEUED.to_owned(), true.into());
    info.other.insert(SINCE.to_owned(), now_secs().into());
    if let Some(steps) = steps {
        info.other.insert(STEPS.to_owned(), steps.into());
    }
}

/// A run no longer waits, and how its last start failed no longer counts.
pub fn leave(info: &mut RunInfo) {
    for field in [QUEUED, SINCE, STEPS, ERROR] {
        info.other.remove(field);
    }
}

/// Marks a run whose engine ended before it could say anything in the log.
pub fn fail(info: &mut RunInfo, error: String) {
    leave(info);
    info.other.insert(ERROR.to_owned(), error.into());
}

/// Whether a run waits for its turn.
pub fn is_queued(info: &RunInfo) -> bool {
    info.other.get(QUEUED).and_then(serde_json::Value::as_bool).unwrap_or(false)
}

/// Since when it waits, in seconds since 1970.
pub fn waits_since(info: &RunInfo) -> f64 {
    info.other.get(SINCE).and_then(serde_json::Value::as_f64).unwrap_or(info.created)
}

/// The number of steps that it shall be trained up to when its turn comes.
pub fn queued_steps(info: &RunInfo) -> Option<u64> {
    info.other.get(STEPS).and_then(serde_json::Value::as_u64)
}

/// What the engine said that could not begin.
pub fn start_error(info: &RunInfo) -> Option<&str> {
    info.other.get(ERROR).and_then(serde_json::Value::as_str)
}

/// Changes a run's `run.json`; one that cannot be read is left alone.
///
/// # Errors
/// If it cannot be read or written.
pub fn change_info(run: &RunFolder, change: impl FnOnce(&mut RunInfo)) -> maskroom_core::error::Result<()> {
    /// Threads of this window read and write the same files.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = run.info()?;
    let mut info = before.clone();
    change(&mut info);
    if info == before { Ok(()) } else { run.write_info(&info) }
}

/// The right to start an engine, for as long as it is held.
pub struct Turn {
    file: File,
}

/// What the file says: the run that has, or had, the device.
#[derive(Serialize, Deserialize)]
struct Occupant {
    run: PathBuf,
}

impl Turn {
    /// Takes the right; `None` while another window is starting an engine.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn take(path: &Path) -> std::io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The run that has the device, if an engine holds it: one beside `run`, or the last one that any window started.
    pub fn occupant(&mut self, run: &RunFolder) -> Option<RunFolder> {
        let beside = run.root.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
        let beside = beside.filter_map(|entry| Some(entry.ok()?.path()));
        let candidates = self.last().into_iter().chain(beside).map(|root| RunFolder { root });
        candidates.into_iter().find(|run| is_held(&run.lock_path()))
    }

    /// Tells all windows that `run` has the device.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn give(&mut self, run: &RunFolder) -> std::io::Result<()> {
        let text = serde_json::to_vec(&Occupant { run: std::path::absolute(&run.root)? })?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }

    fn last(&mut self) -> Option<PathBuf> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        (&self.file).take(1 << 16).read_to_string(&mut text).ok()?;
        Some(serde_json::from_str::<Occupant>(&text).ok()?.run)
    }
}

#[cfg(test)]
mod tests {
    use maskroom_core::run::EngineLock;

    use super::*;

    #[test]
    fn a_run_waits_and_fails_and_begins_anew_in_its_own_file() {
        let mut info = RunInfo { created: 5.0, ..RunInfo::default() };
        info.other.insert("mood".to_owned(), "good".into());
        assert!(!is_queued(&info) && waits_since(&info) == 5.0);
        enqueue(&mut info, Some(900));
        assert!(is_queued(&info) && waits_since(&info) > 5.0 && queued_steps(&info) == Some(900));
        fail(&mut info, "no such device".into());
        assert_eq!((is_queued(&info), start_error(&info)), (false, Some("no such device")));
        enqueue(&mut info, None);
        assert_eq!((queued_steps(&info), start_error(&info)), (None, None));
        leave(&mut info);
        assert_eq!(info.other.keys().collect::<Vec<_>>(), ["mood"]);
    }

    #[test]
    fn one_window_at_a_time_has_the_turn_and_each_hears_of_all_engines() {
        let folder = std::env::temp_dir().join(format!("maskroom-turn-{}", std::process::id()));
        let (turn, elsewhere, here) = (folder.join("state/turn"), folder.join("a/runs/1"), folder.join("b/runs/1"));
        [&elsewhere, &here, &folder.join("b/runs/2")].iter().for_each(|run| std::fs::create_dir_all(run).unwrap());
        let [elsewhere, here] = [elsewhere, here].map(|root| RunFolder { root });
        let mut first = Turn::take(&turn).unwrap().unwrap();
        assert!(Turn::take(&turn).unwrap().is_none(), "another window waits");
        assert_eq!(first.occupant(&elsewhere), None);
        let engine = EngineLock::acquire(&elsewhere.lock_path()).unwrap();
        first.give(&elsewhere).unwrap();
        drop(first);
        let mut second = Turn::take(&turn).unwrap().unwrap();
        assert_eq!(second.occupant(&here).map(|run| run.root), Some(elsewhere.root.clone()), "a run of another project");
        drop(engine);
        assert_eq!(second.occupant(&here), None);
        let _beside = EngineLock::acquire(&folder.join("b/runs/2/engine.lock")).unwrap();
        assert!(second.occupant(&here).is_some(), "a run that no window started");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
