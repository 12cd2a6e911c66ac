//! Writing files so that a crash leaves either the old file or the new one, never half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Replaces the file at `path` by `bytes`: a temporary file in the same folder is written, synced and renamed, then the folder is
/// synced. The folder must exist.
///
/// # Errors
/// [`Error::Io`] with `path`; the old file, if any, is then untouched and the temporary file removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], for content that is produced piece by piece.
///
/// # Errors
/// [`Error::Io`] with `path`, also when `content` itself fails.
pub fn write_atomic_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let (folder, temporary) = temporary_beside(path).map_err(Error::io("write", path))?;
    write_synced(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            // The first error is the one worth telling; a leftover is harmless.
            let _ = fs::remove_file(&temporary);
        })
        .and_then(|()| sync_folder(&folder))
        .map_err(Error::io("write", path))
}

fn write_synced(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 18, OpenOptions::new().write(true).create_new(true).open(path)?);
    content(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// A folder beside a path, in which what belongs at the path is made and looked at before anybody sees it. Unless it is kept, it goes.
#[derive(Debug)]
pub struct Pending {
    folder: PathBuf,
    target: PathBuf,
}

impl Pending {
    /// An empty folder beside `target`, whose own folder must exist.
    ///
    /// # Errors
    /// [`Error::Io`] with `target`.
    pub fn beside(target: &Path) -> Result<Self> {
        let made = temporary_beside(target).and_then(|(_, folder)| fs::create_dir(&folder).map(|()| folder));
        Ok(Self { folder: made.map_err(Error::io("write", target))?, target: target.to_path_buf() })
    }

    /// Where to make it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder becomes the target, in the place of an empty one if there is one.
    ///
    /// # Errors
    /// [`Error::Io`] with the target.
    pub fn keep(self) -> Result<()> {
        let replaced = if self.target.is_dir() { fs::remove_dir(&self.target) } else { Ok(()) };
        replaced.and_then(|()| self.rename(&self.folder)).map_err(Error::io("write", &self.target))
    }

    /// The file of that name becomes the target.
    ///
    /// # Errors
    /// [`Error::Io`] with the target.
    pub fn keep_file(self, name: &str) -> Result<()> {
        self.rename(&self.folder.join(name)).map_err(Error::io("write", &self.target))
    }

    fn rename(&self, made: &Path) -> io::Result<()> {
        fs::rename(made, &self.target)?;
        sync_folder(self.folder.parent().unwrap_or(Path::new(".")))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // What was kept is no longer there; of what was not, a leftover is harmless.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of `path` and a name in it that no other write of this process or another uses.
fn temporary_beside(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not made from the file's own name, which may be as long as a name can be.
    let temporary = format!(".{}-{}.partial", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
    Ok((folder.to_path_buf(), folder.join(temporary)))
}

/// A rename is only durable once its folder is; systems that cannot sync a folder order it themselves.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_created_and_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.json");
        write_atomic(&path, b"first").unwrap();
        write_atomic(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(names(folder.path()), ["a b.json"]);
    }

    #[test]
    fn a_failure_half_way_keeps_the_old_file_and_removes_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, b"old").unwrap();
        let error = write_atomic_with(&path, |file| {
            file.write_all(&[7; 1 << 20])?;
            Err(io::Error::other("the disk is full"))
        })
        .unwrap_err();
        assert!(error.to_string().contains("state.json") && error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn what_is_pending_appears_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, file) = (folder.path().join("whole"), folder.path().join("file.bin"));
        let begin = |target: &Path| {
            let pending = Pending::beside(target).unwrap();
            write_atomic(&pending.folder().join("a"), b"1").unwrap();
            pending
        };
        drop(begin(&whole));
        assert!(names(folder.path()).is_empty());
        fs::create_dir(&whole).unwrap();
        begin(&whole).keep().unwrap();
        begin(&file).keep_file("a").unwrap();
        assert_eq!(names(folder.path()), ["file.bin", "whole"]);
        assert_eq!((fs::read(whole.join("a")).unwrap(), fs::read(&file).unwrap()), (b"1".to_vec(), b"1".to_vec()));
        assert!(begin(&whole).keep().is_err(), "it is not empty");
        assert_eq!(names(folder.path()), ["file.bin", "whole"]);
        assert!(Pending::beside(&folder.path().join("absent/x")).is_err());
    }

    #[test]
    fn impossible_places_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("absent/file"), folder.path().join(".."), PathBuf::new()] {
            assert!(matches!(write_atomic(&path, b"x"), Err(Error::Io { .. })), "{}", path.display());
        }
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_atomic(&folder.path().join("taken"), b"x").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }
}
