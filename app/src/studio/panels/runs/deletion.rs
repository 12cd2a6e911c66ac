//! Asking before runs are deleted: what is lost is said first.

use std::path::{Path, PathBuf};

use egui::{Context, Ui};
use maskroom_core::run::RunFolder;
use maskroom_widgets::{Answer, Confirm, format};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::worker::Worker;

/// The question, while it is open.
pub struct Deletion {
    runs: Vec<PathBuf>,
    lost: Option<Lost>,
    counter: Worker<Vec<PathBuf>, (Vec<PathBuf>, Lost)>,
}

/// What goes with the runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lost {
    bytes: u64,
    checkpoints: usize,
}

impl Deletion {
    /// Nothing to delete.
    pub fn new(context: &Context) -> Self {
        let counter = Worker::start("size of runs", context, |runs: Vec<PathBuf>| {
            let lost = runs
                .iter()
                .map(|run| Lost::with(run))
                .fold(Lost::default(), |all, one| Lost { bytes: all.bytes + one.bytes, checkpoints: all.checkpoints + one.checkpoints });
            (runs, lost)
        });
        Self { runs: Vec::new(), lost: None, counter }
    }

    /// Opens the question.
    pub fn ask(&mut self, runs: Vec<PathBuf>) {
        self.counter.ask(runs.clone());
        (self.runs, self.lost) = (runs, None);
    }

    /// Draws it while it is open.
    pub fn ui(&mut self, ui: &Ui, desk: Desk<'_>) {
        for (runs, lost) in self.counter.answers() {
            if runs == self.runs {
                self.lost = Some(lost);
            }
        }
        self.runs.retain(|run| desk.runs.get(run).is_some());
        let title = match &self.runs[..] {
            [] => return,
            [run] => format!("Delete {}?", desk.runs.get(run).map(|run| run.name()).unwrap_or_default()),
            runs => format!("Delete {} runs?", runs.len()),
        };
        match Confirm::new(&title, &body(self.lost)).danger("Delete").show(ui.ctx()) {
            Some(Answer::Danger) => self.runs.drain(..).for_each(|run| desk.ask(Ask::Delete(run))),
            Some(_) => self.runs.clear(),
            None => {}
        }
    }
}

fn body(lost: Option<Lost>) -> String {
    let what = match lost {
        None => "Weights, curves and previews".to_owned(),
        Some(Lost { bytes, checkpoints: 0 }) => format!("{} on disk and no checkpoint", format::bytes(bytes)),
        Some(Lost { bytes, checkpoints: 1 }) => format!("{} on disk with 1 checkpoint", format::bytes(bytes)),
        Some(Lost { bytes, checkpoints }) => format!("{} on disk with {checkpoints} checkpoints", format::bytes(bytes)),
    };
    format!("{what} cannot be brought back. The images stay as they are.")
}

impl Lost {
    fn with(run: &Path) -> Self {
        Self { bytes: bytes_below(run), checkpoints: RunFolder { root: run.to_path_buf() }.checkpoints().len() }
    }
}

/// Links are not followed: what they point to is not deleted either.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_counted() {
        let folder = std::env::temp_dir().join(format!("maskroom-deletion-{}", std::process::id()));
        let checkpoint = folder.join("checkpoints/00000010");
        std::fs::create_dir_all(&checkpoint).unwrap();
        std::fs::write(checkpoint.join("COMPLETE"), [0; 10]).unwrap();
        std::fs::write(folder.join("events.jsonl"), [0; 30]).unwrap();
        let lost = Lost::with(&folder);
        assert_eq!(lost, Lost { bytes: 40, checkpoints: 1 });
        assert!(body(Some(lost)).contains("40 B on disk with 1 checkpoint"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
