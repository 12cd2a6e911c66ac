//! Folders that are whole or absent: a checkpoint is written beside the others, sealed with the hashes of its files, and renamed into place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::RunFolder;
use super::lock::EngineLock;
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// The file written last into a checkpoint; without it the folder does not count.
pub const COMPLETE: &str = "COMPLETE";

const PENDING: &str = ".tmp-checkpoint-";
const DISCARDED: &str = ".tmp-discarded-";

/// What `COMPLETE` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    format: u32,
    /// SHA-256 in hexadecimal by file name.
    files: BTreeMap<String, String>,
}

/// Makes the files in `pending` a folder that counts: every file reaches the disk, `COMPLETE` is written with their hashes, and the folder
/// is renamed to `folder`. Errors leave `folder` as it was.
///
/// An earlier folder of that name gives way. It is moved aside first; if the engine dies between the two renames, the sealed `pending` is
/// found and renamed by the next [`RunFolder::lock`].
pub fn commit_folder(pending: &Path, folder: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(pending).map_err(Error::io("read", pending))? {
        let entry = entry.map_err(Error::io("read", pending))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| Error::Failed(format!("{} is no plain file name", path.display())))?;
        if name == COMPLETE {
            continue;
        }
        if !path.is_file() {
            return Err(Error::Failed(format!("{} is no file, and a checkpoint holds nothing but files", path.display())));
        }
        // Opened for writing because some systems refuse to sync a file that is not.
        File::options().append(true).open(&path).and_then(|file| file.sync_all()).map_err(Error::io("sync", &path))?;
        files.insert(name, hash_file(&path).map_err(Error::io("read", &path))?);
    }
    let seal = serde_json::to_vec_pretty(&Seal { format: 1, files });
    let seal = seal.map_err(|reason| Error::Failed(format!("the list of hashes cannot be written as JSON: {reason}")))?;
    write_atomic(&pending.join(COMPLETE), &seal)?;
    sync_folder(pending)?;
    let aside = folder.exists().then(|| discarded_path(folder));
    if let Some(aside) = &aside {
        remove_folder(aside)?;
        std::fs::rename(folder, aside).map_err(Error::io("move aside", folder))?;
    }
    std::fs::rename(pending, folder).map_err(Error::io("rename into place", folder))?;
    for changed in [folder.parent(), pending.parent()].into_iter().flatten() {
        sync_folder(changed)?;
    }
    aside.map_or(Ok(()), |aside| remove_folder(&aside))
}

/// Whether the folder is complete and every file is as it was sealed; the message says what is wrong with which file.
pub fn verify(folder: &Path) -> Result<(), String> {
    let path = folder.join(COMPLETE);
    let text = std::fs::read(&path).map_err(|reason| format!("{} cannot be read: {reason}", path.display()))?;
    let seal: Seal = serde_json::from_slice(&text).map_err(|reason| format!("{} is damaged: {reason}", path.display()))?;
    for (name, sealed) in &seal.files {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(format!("{} names {name:?}, which is no plain file name", path.display()));
        }
        let file = folder.join(name);
        let found = hash_file(&file).map_err(|reason| format!("{} cannot be read: {reason}", file.display()))?;
        if found != *sealed {
            return Err(format!("{} is damaged: its hash differs from the one it was saved with", file.display()));
        }
    }
    Ok(())
}

/// Checkpoints, as the engine writes, finds and thins them.
impl RunFolder {
    /// An empty folder to write the files of the checkpoint of `step` into, to be handed to [`RunFolder::commit_checkpoint`].
    pub fn begin_checkpoint(&self, step: u64) -> Result<PathBuf> {
        let pending = self.root.join(format!("{PENDING}{step:08}"));
        remove_folder(&pending)?;
        std::fs::create_dir(&pending).map_err(Error::io("create", &pending))?;
        Ok(pending)
    }

    /// Seals what [`RunFolder::begin_checkpoint`] gave and returns the checkpoint's folder. See [`commit_folder`].
    pub fn commit_checkpoint(&self, step: u64) -> Result<PathBuf> {
        let folder = self.checkpoint_path(step);
        let parent = self.checkpoints_path();
        std::fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        commit_folder(&self.root.join(format!("{PENDING}{step:08}")), &folder)?;
        Ok(folder)
    }

    /// Sealed checkpoints by step, oldest first. Their hashes are not checked here; see [`verify`].
    pub fn checkpoints(&self) -> Vec<(u64, PathBuf)> {
        let entries = std::fs::read_dir(self.checkpoints_path()).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|entry| entry.path().join(COMPLETE).is_file())
            .filter_map(|entry| Some((super::folder::step_from_name(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        found.sort();
        found
    }

    /// The latest checkpoint whose files are as they were sealed, and what is wrong with each later one.
    pub fn last_good_checkpoint(&self) -> (Option<(u64, PathBuf)>, Vec<String>) {
        let mut complaints = Vec::new();
        for (step, path) in self.checkpoints().into_iter().rev() {
            match verify(&path) {
                Ok(()) => return (Some((step, path)), complaints),
                Err(complaint) => complaints.push(complaint),
            }
        }
        (None, complaints)
    }

    /// Removes all checkpoints but the last `keep_last` (at least one) and the one of step `keep_best`; returns the steps removed.
    pub fn prune(&self, keep_last: usize, keep_best: Option<u64>) -> Result<Vec<u64>> {
        let mut old = self.checkpoints();
        old.truncate(old.len().saturating_sub(keep_last.max(1)));
        old.retain(|(step, _)| Some(*step) != keep_best);
        old.iter().map(|(step, path)| discard(path).map(|()| *step)).collect()
    }

    /// Removes checkpoints of steps after `step`: those a run that resumes from `step` has given up, which [`RunFolder::prune`] would
    /// otherwise take for its latest.
    pub fn discard_checkpoints_after(&self, step: u64) -> Result<Vec<u64>> {
        let later = self.checkpoints().into_iter().filter(|(later, _)| *later > step);
        later.map(|(later, path)| discard(&path).map(|()| later)).collect()
    }

    /// Takes the engine lock, then clears away what a killed engine left half done. [`Error::Failed`] names the process that holds it.
    pub fn lock(&self) -> Result<EngineLock> {
        let lock = EngineLock::acquire(&self.lock_path())?;
        self.clear_leftovers()?;
        Ok(lock)
    }

    /// Only for the holder of the lock: another engine's half-written checkpoint looks the same.
    fn clear_leftovers(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.root).map_err(Error::io("read", &self.root))?.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str().filter(|name| super::folder::is_leftover(name)) else { continue };
            let target = name.strip_prefix(PENDING).and_then(super::folder::step_from_name).map(|step| self.checkpoint_path(step));
            match target {
                // Sealed, but not renamed when the engine died.
                Some(target) if !target.exists() && verify(&path).is_ok() => {
                    std::fs::create_dir_all(self.checkpoints_path()).map_err(Error::io("create", self.checkpoints_path()))?;
                    std::fs::rename(&path, &target).map_err(Error::io("rename into place", &target))?;
                }
                _ if path.is_dir() => remove_folder(&path)?,
                _ => std::fs::remove_file(&path).map_err(Error::io("remove", &path))?,
            }
        }
        Ok(())
    }
}

/// Renamed before it is emptied, so that no half-removed folder bears a checkpoint's name.
fn discard(folder: &Path) -> Result<()> {
    let aside = discarded_path(folder);
    remove_folder(&aside)?;
    std::fs::rename(folder, &aside).map_err(Error::io("remove", folder))?;
    remove_folder(&aside)
}

/// Beside the folder's parent: nothing but checkpoints stands among the checkpoints.
fn discarded_path(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let parent = folder.parent().and_then(Path::parent).unwrap_or(folder);
    parent.join(format!("{DISCARDED}{name}"))
}

fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(reason) if reason.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(reason)),
        _ => Ok(()),
    }
}

/// Makes renames and new names in a folder survive a power cut. Windows neither needs nor allows it.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) { File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path)) } else { Ok(()) }
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block)? {
            0 => break,
            count => hasher.update(&block[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> (tempfile::TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { root: folder.path().to_path_buf() };
        (folder, run)
    }

    fn save(run: &RunFolder, step: u64, text: &str) -> PathBuf {
        let pending = run.begin_checkpoint(step).unwrap();
        std::fs::write(pending.join("model.safetensors"), text).unwrap();
        std::fs::write(pending.join("state.json"), "{}").unwrap();
        run.commit_checkpoint(step).unwrap()
    }

    fn steps(run: &RunFolder) -> Vec<u64> {
        run.checkpoints().into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn a_checkpoint_is_sealed_with_the_hashes_of_its_files() {
        let (_folder, run) = run();
        let folder = save(&run, 12, "abc");
        assert!(folder.ends_with("checkpoints/00000012"));
        assert_eq!(verify(&folder), Ok(()));
        let seal = std::fs::read_to_string(folder.join(COMPLETE)).unwrap();
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        assert!(seal.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{seal}");
        let names: Vec<_> = std::fs::read_dir(&run.root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["checkpoints"], "nothing temporary stays");
    }

    #[test]
    fn damage_to_any_byte_is_found() {
        let (_folder, run) = run();
        let folder = save(&run, 1, "weights");
        for index in 0..7 {
            let mut bytes = b"weights".to_vec();
            bytes[index] ^= 1;
            std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
            let complaint = verify(&folder).unwrap_err();
            assert!(complaint.contains("model.safetensors") && complaint.contains("hash"), "{complaint}");
        }
        std::fs::write(folder.join("model.safetensors"), "weights").unwrap();
        assert_eq!(verify(&folder), Ok(()));
        std::fs::remove_file(folder.join("state.json")).unwrap();
        assert!(verify(&folder).unwrap_err().contains("state.json"));
        for seal in ["", "{}", "{\"format\":1,\"files\":{\"../secret\":\"00\"}}", "{\"format\":1,\"files\":{\"/etc/passwd\":\"00\"}}"] {
            std::fs::write(folder.join(COMPLETE), seal).unwrap();
            assert!(verify(&folder).unwrap_err().contains(COMPLETE), "{seal}");
        }
    }

    #[test]
    fn the_last_good_checkpoint_is_found_behind_damaged_ones() {
        let (_folder, run) = run();
        assert_eq!(run.last_good_checkpoint(), (None, vec![]));
        save(&run, 10, "a");
        let damaged = save(&run, 20, "b");
        std::fs::write(damaged.join("state.json"), "{} ").unwrap();
        std::fs::create_dir(run.checkpoint_path(30)).unwrap();
        let (found, complaints) = run.last_good_checkpoint();
        assert_eq!((found.unwrap().0, complaints.len()), (10, 1));
        assert_eq!(run.discard_checkpoints_after(10).unwrap(), [20]);
        assert_eq!(steps(&run), [10]);
    }

    #[test]
    fn pruning_keeps_the_last_and_the_best() {
        let (_folder, run) = run();
        for step in 1..=5 {
            save(&run, step, "x");
        }
        assert_eq!(run.prune(2, Some(2)).unwrap(), [1, 3]);
        assert_eq!(steps(&run), [2, 4, 5]);
        assert_eq!(run.prune(0, None).unwrap(), [2, 4]);
        assert_eq!(steps(&run), [5]);
    }

    #[test]
    fn a_killed_engine_leaves_nothing_half_done() {
        let (_folder, run) = run();
        save(&run, 1, "old");
        let half = run.begin_checkpoint(2).unwrap();
        std::fs::write(half.join("model.safetensors"), "half").unwrap();
        std::fs::write(run.root.join(".run.json.7-0.partial"), "{").unwrap();
        // Step 3 was sealed, and its predecessor moved aside, when the engine died.
        save(&run, 3, "new");
        std::fs::rename(run.checkpoint_path(3), run.root.join(".tmp-checkpoint-00000003")).unwrap();
        std::fs::create_dir(run.root.join(".tmp-discarded-00000003")).unwrap();
        let _lock = run.lock().unwrap();
        assert_eq!(steps(&run), [1, 3]);
        assert_eq!(verify(&run.checkpoint_path(3)), Ok(()));
        let leftovers =
            std::fs::read_dir(&run.root).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(leftovers.count(), 0);
    }

    #[test]
    fn the_same_step_can_be_saved_again() {
        let (_folder, run) = run();
        save(&run, 1, "old");
        let folder = save(&run, 1, "new");
        assert_eq!(std::fs::read_to_string(folder.join("model.safetensors")).unwrap(), "new");
        assert_eq!(verify(&folder), Ok(()));
    }

    #[test]
    fn a_folder_inside_a_checkpoint_is_an_error() {
        let (_folder, run) = run();
        std::fs::create_dir(run.begin_checkpoint(1).unwrap().join("inner")).unwrap();
        assert!(run.commit_checkpoint(1).unwrap_err().to_string().contains("inner"));
        assert!(run.checkpoints().is_empty());
    }
}
