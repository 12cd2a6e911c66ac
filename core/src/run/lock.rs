//! One living engine a run: `engine.lock`, held by the operating system, so that it is free the moment its engine dies of anything.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The engine that holds a lock, for people and for "is it still there".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
}

/// Held while the engine lives; freed when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct EngineLock {
    file: File,
}

impl EngineLock {
    /// Takes the lock and writes this process into it. [`Error::Failed`] names the process that holds it.
    pub fn acquire(path: &Path) -> Result<Self> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(Error::io("open", path))?;
        // A window that asks `is_held` holds the lock for a moment too; only an engine holds it longer.
        const TRIES: u32 = 20;
        for attempt in 1..=TRIES {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < TRIES => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => return Err(held_error(path)),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
            }
        }
        let holder = Holder { pid: std::process::id(), host: host() };
        let text =
            serde_json::to_string(&holder).map_err(|reason| Error::Failed(format!("the lock cannot be written as JSON: {reason}")))?;
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(Error::io("write", path))?;
        Ok(Self { file })
    }
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        // The name of a dead engine would only mislead; closing the file frees the lock whether or not this works.
        let _ = self.file.set_len(0);
    }
}

/// Whether a living engine holds the lock at `path`. `false` where there is no such file.
pub fn is_held(path: &Path) -> bool {
    // Shared, so that two windows that ask at once do not see each other.
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The living engine that holds the lock at `path`; `None` when it is free or its holder cannot be read.
pub fn holder(path: &Path) -> Option<Holder> {
    if is_held(path) { read_holder(path) } else { None }
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn held_error(path: &Path) -> Error {
    let run: PathBuf = path.parent().unwrap_or(path).to_path_buf();
    let who = read_holder(path).map_or("another process".to_owned(), |holder| format!("process {} on {}", holder.pid, holder.host));
    Error::Failed(format!(
        "the run {} is already being trained by {who}; wait for it, or end it with a `stop` command, before starting a second engine",
        run.display()
    ))
}

/// The machine's name, as well as it can be known without asking the system library.
fn host() -> String {
    let file = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = file.ok().or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_is_refused_by_name_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        assert!(!is_held(&path));
        let lock = EngineLock::acquire(&path).unwrap();
        assert!(is_held(&path));
        assert_eq!(holder(&path).unwrap().pid, std::process::id());
        let message = EngineLock::acquire(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(lock);
        assert!(!is_held(&path));
        assert_eq!(holder(&path), None);
        EngineLock::acquire(&path).unwrap();
    }

    #[test]
    fn a_look_from_a_window_does_not_refuse_an_engine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        std::fs::write(&path, "left by a dead engine").unwrap();
        let look = File::open(&path).unwrap();
        look.try_lock_shared().unwrap();
        std::thread::scope(|scope| {
            let engine = scope.spawn(|| EngineLock::acquire(&path));
            std::thread::sleep(Duration::from_millis(40));
            drop(look);
            let _lock = engine.join().unwrap().unwrap();
            assert_eq!(read_holder(&path).unwrap().pid, std::process::id());
        });
    }

    /// Run as a process of its own by the test below: takes the lock and waits to be killed.
    #[test]
    fn hold_the_lock_when_asked() {
        if let Some(path) = std::env::var_os("MASKROOM_TEST_LOCK") {
            let _lock = EngineLock::acquire(Path::new(&path)).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn a_killed_engine_leaves_the_lock_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.lock");
        let mut engine = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["hold_the_lock_when_asked", "--nocapture"])
            .env("MASKROOM_TEST_LOCK", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let waited = (0..500).find(|_| {
            std::thread::sleep(Duration::from_millis(10));
            holder(&path).is_some()
        });
        assert!(waited.is_some(), "the other process never took the lock");
        assert_eq!(holder(&path).unwrap().pid, engine.id());
        let message = EngineLock::acquire(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", engine.id())), "{message}");
        engine.kill().unwrap();
        engine.wait().unwrap();
        assert!(!is_held(&path));
        EngineLock::acquire(&path).unwrap();
    }
}
