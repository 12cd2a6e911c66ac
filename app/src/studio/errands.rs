//! What was sent for and will come: paths from dialogs, toy scenes being made.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use egui::Context;
use maskroom_core::dataset::toy_scenes::make_toy;
use maskroom_widgets::Tone;

use super::ask::{Ask, Asks};
use super::command::Command;
use super::dialogs::{Answer, Dialogs, Kind, PathSlot, Question};
use super::draft::{Draft, Edit};
use super::job::Job;
use super::notices::Notices;
use super::preferences;

/// Errands under way.
#[derive(Default)]
pub struct Errands {
    dialogs: Vec<(Asker, Answer)>,
    toy_scenes: Option<Job<PathBuf>>,
}

/// Who wants a path.
enum Asker {
    Command(Command),
    Panel(PathSlot),
}

/// Enough for a first run, made in seconds.
const TOY_SCENES: usize = 1200;
const TOY_SIZE_PX: (usize, usize) = (64, 64);
/// What file dialogs take for weights: of `.pth.tar` they know only the end, and `config.json` stands for its folder.
const WEIGHTS_ENDINGS: [&str; 7] = ["safetensors", "pth", "pt", "bin", "ckpt", "tar", "json"];

impl Errands {
    /// Opens the dialog of a command.
    pub fn ask(&mut self, command: Command, dialogs: &dyn Dialogs, project: Option<&Path>, draft: &Draft, context: &Context) {
        let recipe = || Some(("Recipe".to_owned(), vec!["toml".to_owned()]));
        let (kind, question) = match command {
            Command::OpenRecipe => (Kind::File, Question { title: "Open recipe".into(), filter: recipe(), ..Question::default() }),
            Command::SaveRecipe => {
                let name = format!("{}.toml", draft.recipe().method);
                (Kind::Save, Question { title: "Save recipe".into(), name, filter: recipe(), ..Question::default() })
            }
            Command::ChooseWeights | Command::OpenWeights => {
                let filter = Some(("Weights".to_owned(), WEIGHTS_ENDINGS.map(str::to_owned).to_vec()));
                let title = if command == Command::OpenWeights { "Open weights" } else { "Start from weights" };
                (Kind::File, Question { title: title.into(), filter, ..Question::default() })
            }
            _ => (Kind::Folder, Question { title: "Open a folder of images".into(), ..Question::default() }),
        };
        let folder = project.and_then(Path::parent).map(Path::to_path_buf);
        self.dialogs.push((Asker::Command(command), dialogs.ask(kind, &Question { folder, ..question }, context)));
    }

    /// Opens a dialog whose answer goes into `slot`.
    pub fn ask_for(&mut self, slot: PathSlot, kind: Kind, question: &Question, dialogs: &dyn Dialogs, context: &Context) {
        self.dialogs.push((Asker::Panel(slot), dialogs.ask(kind, question, context)));
    }

    /// Makes toy scenes in the person's data folder; they are opened when they are there.
    pub fn make_toy_scenes(&mut self, context: &Context) {
        let folder = preferences::data_folder().join("toy-scenes");
        self.toy_scenes = Some(Job::start("making toy scenes", context, move |progress| {
            if !folder.is_dir() {
                // Under another name until they are complete.
                let pending = folder.with_extension("tmp");
                let _ = std::fs::remove_dir_all(&pending);
                make_toy(&pending, TOY_SCENES, TOY_SIZE_PX, 0, &mut |done| progress.set(done, TOY_SCENES))?;
                std::fs::rename(&pending, &folder).context("the toy scenes cannot be kept")?;
            }
            Ok(folder)
        }));
    }

    /// Takes what has come.
    pub fn receive(&mut self, asks: &Asks, draft: &mut Draft, notices: &mut Notices) {
        self.dialogs.retain(|(asker, answer)| {
            let Some(path) = answer.poll() else { return true };
            match (asker, path) {
                (_, None) => {}
                (Asker::Panel(slot), Some(path)) => slot.put(path),
                (Asker::Command(command), Some(path)) => {
                    if let Err(error) = fulfil(*command, &path, asks, draft, notices) {
                        notices.tell(Tone::Bad, format!("{error:#}"));
                    }
                }
            }
            false
        });
        match self.toy_scenes.as_ref().and_then(Job::poll) {
            None => return,
            Some(Ok(folder)) => asks.push(Ask::Open(folder)),
            Some(Err(error)) => notices.tell(Tone::Bad, format!("{error:#}")),
        }
        self.toy_scenes = None;
    }
}

fn fulfil(command: Command, path: &Path, asks: &Asks, draft: &mut Draft, notices: &mut Notices) -> Result<()> {
    match command {
        Command::OpenRecipe => {
            let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            draft.apply(Edit::Text(text));
        }
        Command::SaveRecipe => {
            let path = if path.extension().is_none() { path.with_extension("toml") } else { path.to_path_buf() };
            let text = if draft.is_valid() { draft.recipe().to_toml() } else { draft.text() };
            maskroom_core::files::write_atomic(&path, text.as_bytes())?;
            notices.tell(Tone::Good, format!("the recipe is in {}", path.display()));
        }
        Command::ChooseWeights => draft.apply(Edit::StartFrom(Some(path.to_path_buf()))),
        Command::OpenWeights => asks.push(Ask::OpenWeights(path.to_path_buf())),
        _ => asks.push(Ask::Open(path.to_path_buf())),
    }
    Ok(())
}
