//! Where everything of a run lies, and how a run folder comes into being.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::files::write_atomic;

/// A run on disk. Cheap to copy around; holds nothing open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    /// The folder itself.
    pub root: PathBuf,
}

/// `run.json`: what is true of this run on this machine, and what a person wrote about it. The recipe knows nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInfo {
    /// What people call it.
    pub name: String,
    /// Where the images are; `None` for data made on the fly.
    pub data: Option<PathBuf>,
    /// The device as asked for: `auto`, `cpu`, `gpu`, `gpu:N`, `software`.
    pub device: String,
    /// Versions by name: `maskroom`, and whatever else shapes the result.
    pub versions: BTreeMap<String, String>,
    /// Free text.
    pub notes: String,
    /// When the folder was made, in seconds since 1970.
    pub created: f64,
    /// The seed of every random decision.
    pub seed: u64,
    /// Weights the run starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Fields of a newer version, kept when the file is written again.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl RunFolder {
    /// Makes a run that `maskroom train` can start: `recipe.toml` and `run.json` in a new or empty folder. Never touches an existing run:
    /// [`Error::Usage`] says how to go on with it.
    pub fn create(path: &Path, recipe_toml: &str, info: &RunInfo) -> Result<Self> {
        Self::create_with(path, recipe_toml, info, |_| Ok(()))
    }

    /// The same for a run that has more files from the beginning on, which `write` writes.
    pub fn create_with(path: &Path, recipe_toml: &str, info: &RunInfo, write: impl FnOnce(&Self) -> Result<()>) -> Result<Self> {
        let run = Self { root: path.to_path_buf() };
        if path.exists() && !path.is_dir() {
            return Err(Error::Usage(format!("{} is a file, and a run is a folder; give --out another path", path.display())));
        }
        std::fs::create_dir_all(path).map_err(|reason| not_writable(path, &reason))?;
        if let Some(inside) = run.first_foreign_entry().map_err(Error::io("read", path))? {
            return Err(Error::Usage(if run.exists() {
                format!(
                    "{} already holds a run; go on with it by `maskroom train {0} --resume`, or give --out another path",
                    path.display()
                )
            } else {
                format!("{} is not empty (it holds {inside}); give --out a new or empty folder", path.display())
            }));
        }
        write_atomic(&run.recipe_path(), recipe_toml.as_bytes()).map_err(|error| match error {
            Error::Io { source, .. } => not_writable(path, &source),
            other => other,
        })?;
        write(&run)?;
        // Last, because it is what makes the folder a run: a creation that was killed can simply be repeated.
        run.write_info(info)?;
        Ok(run)
    }

    /// Opens an existing run without changing anything in it. [`Error::Usage`] when there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let run = Self { root: path.to_path_buf() };
        for needed in [run.recipe_path(), run.info_path()] {
            if !needed.is_file() {
                let name = needed.file_name().unwrap_or_default().to_string_lossy();
                return Err(Error::Usage(format!(
                    "{} is no run folder: it has no {name}; give the folder that `maskroom pretrain --out` made",
                    path.display()
                )));
            }
        }
        Ok(run)
    }

    /// Reads `run.json`. [`Error::Data`] when it is damaged.
    pub fn info(&self) -> Result<RunInfo> {
        let path = self.info_path();
        let text = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let cure = "mend it by hand; the checkpoints do not depend on it";
        serde_json::from_slice(&text).map_err(|reason| Error::data(&path, format!("it is damaged: {reason}"), cure))
    }

    /// Writes `run.json`.
    pub fn write_info(&self, info: &RunInfo) -> Result<()> {
        let text = serde_json::to_vec_pretty(info).map_err(|reason| Error::Failed(format!("run.json cannot be written: {reason}")))?;
        write_atomic(&self.info_path(), &text)
    }

    /// Whether the folder holds a run, even a damaged one.
    pub fn exists(&self) -> bool {
        self.info_path().exists() || self.events_path().exists() || self.checkpoints_path().exists()
    }

    /// `recipe.toml`: complete and resolved.
    pub fn recipe_path(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// `target.safetensors`: what the target was measured to be before training; only of runs whose target needs it.
    pub fn target_path(&self) -> PathBuf {
        self.root.join("target.safetensors")
    }

    /// `run.json`: see [`RunInfo`].
    pub fn info_path(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// `engine.lock`: see [`super::EngineLock`].
    pub fn lock_path(&self) -> PathBuf {
        self.root.join("engine.lock")
    }

    /// `events.jsonl`: see [`super::EventWriter`] and [`super::Tail`].
    pub fn events_path(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// `commands.jsonl`: see [`super::append_command`] and [`super::Inbox`].
    pub fn commands_path(&self) -> PathBuf {
        self.root.join("commands.jsonl")
    }

    /// How many bytes of `commands.jsonl` the engine has read.
    pub fn commands_read_path(&self) -> PathBuf {
        self.root.join("commands.read")
    }

    /// `previews/`.
    pub fn previews_path(&self) -> PathBuf {
        self.root.join("previews")
    }

    /// `previews/STEP.safetensors`.
    pub fn preview_path(&self, step: u64) -> PathBuf {
        self.previews_path().join(format!("{step:08}.safetensors"))
    }

    /// Previews by step, oldest first.
    pub fn previews(&self) -> Vec<(u64, PathBuf)> {
        let entries = std::fs::read_dir(self.previews_path()).into_iter().flatten().flatten();
        let step = |path: &Path| step_from_name(path.file_name()?.to_str()?.strip_suffix(".safetensors")?);
        let mut found: Vec<_> = entries.filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
        found.sort();
        found
    }

    /// `checkpoints/`.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// `checkpoints/STEP`.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.checkpoints_path().join(format!("{step:08}"))
    }

    /// `report/`.
    pub fn report_path(&self) -> PathBuf {
        self.root.join("report")
    }

    /// The engine's log.
    pub fn log_path(&self) -> PathBuf {
        self.root.join("engine.log")
    }

    /// What a failed engine leaves for people: the last log lines, the recipe and the version.
    pub fn crash_path(&self) -> PathBuf {
        self.root.join("crash.txt")
    }

    /// The name of the first thing inside that a killed [`RunFolder::create`] did not leave.
    fn first_foreign_entry(&self) -> std::io::Result<Option<String>> {
        let names = std::fs::read_dir(&self.root)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names = names.collect::<std::io::Result<Vec<_>>>()?;
        let exists = self.exists();
        let begun = ["recipe.toml", "target.safetensors"];
        Ok(names.into_iter().filter(|name| exists || (!begun.contains(&name.as_str()) && !is_leftover(name))).min())
    }
}

/// Whether a killed process left this half done: a folder of `checkpoint`, or a file of [`write_atomic`].
pub(super) fn is_leftover(name: &str) -> bool {
    name.starts_with(".tmp-") || (name.starts_with('.') && name.ends_with(".partial"))
}

/// The step in a zero-padded name; `None` for names that are no steps.
pub(super) fn step_from_name(name: &str) -> Option<u64> {
    let digits = name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok()).flatten()
}

fn not_writable(path: &Path, reason: &std::io::Error) -> Error {
    let cure = match reason.kind() {
        ErrorKind::StorageFull => "free some space",
        _ => "choose a folder that you may write to with --out",
    };
    Error::io("create the run folder", path)(std::io::Error::new(reason.kind(), format!("{reason}; {cure}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> RunInfo {
        RunInfo { name: "first".into(), data: Some("/photos".into()), device: "auto".into(), seed: 7, ..RunInfo::default() }
    }

    #[test]
    fn a_new_run_opens_with_what_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/run");
        let made = RunFolder::create(&path, "[optim]\n", &info()).unwrap();
        let opened = RunFolder::open(&path).unwrap();
        assert_eq!(made, opened);
        assert_eq!(opened.info().unwrap(), info());
        assert_eq!(std::fs::read_to_string(opened.recipe_path()).unwrap(), "[optim]\n");
    }

    #[test]
    fn an_existing_run_is_refused_and_the_message_names_the_way_on() {
        let folder = tempfile::tempdir().unwrap();
        RunFolder::create(folder.path(), "first", &info()).unwrap();
        let error = RunFolder::create(folder.path(), "second", &info()).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains(&format!("maskroom train {} --resume", folder.path().display())), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join("recipe.toml")).unwrap(), "first");
    }

    #[test]
    fn a_half_made_run_can_be_made_again_but_foreign_files_are_safe() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "half").unwrap();
        std::fs::write(folder.path().join(".run.json.5-0.partial"), "{").unwrap();
        RunFolder::create(folder.path(), "whole", &info()).unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("thesis.tex"), "").unwrap();
        let error = RunFolder::create(other.path(), "", &info()).unwrap_err();
        assert!(error.exit_status() == 2 && error.to_string().contains("thesis.tex"), "{error}");
        let error = RunFolder::create(&other.path().join("thesis.tex"), "", &info()).unwrap_err();
        assert!(error.exit_status() == 2 && error.to_string().contains("is a file"), "{error}");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error_with_a_cure() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = RunFolder::create(&folder.path().join("file/run"), "", &info()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        assert!(error.to_string().contains("--out"), "{error}");
    }

    #[test]
    fn what_is_no_run_is_refused_and_a_damaged_one_is_shown_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err();
        assert!(error.exit_status() == 2 && error.to_string().contains("recipe.toml"), "{error}");
        let run = RunFolder::create(folder.path(), "", &info()).unwrap();
        std::fs::write(run.info_path(), "{").unwrap();
        assert!(matches!(RunFolder::open(folder.path()).unwrap().info(), Err(Error::Data { .. })));
    }

    #[test]
    fn fields_of_a_newer_version_survive() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path(), "", &info()).unwrap();
        std::fs::write(run.info_path(), "{\"name\":\"x\",\"mood\":\"good\"}").unwrap();
        run.write_info(&run.info().unwrap()).unwrap();
        assert!(std::fs::read_to_string(run.info_path()).unwrap().contains("\"mood\": \"good\""));
    }

    #[test]
    fn names_are_zero_padded_and_sort_by_step() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder { root: folder.path().to_path_buf() };
        std::fs::create_dir(run.previews_path()).unwrap();
        for name in ["00000010.safetensors", "00000002.safetensors", "123456789.safetensors", "2.safetensors", "0000000x.safetensors"] {
            std::fs::write(run.previews_path().join(name), "").unwrap();
        }
        assert_eq!(run.previews().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [2, 10, 123_456_789]);
        assert!(run.checkpoint_path(42).ends_with("checkpoints/00000042"));
        assert_eq!(step_from_name("99999999999999999999999"), None);
    }
}
