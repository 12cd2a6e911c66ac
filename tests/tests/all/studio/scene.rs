//! What lies on the desk while its picture is taken: folders with fixed names and runs with made-up figures, so that neither a clock nor a
//! machine shows in a picture.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use egui::Context;
use maskroom_app::studio::ask::{Ask, Asks};
use maskroom_app::studio::desk::Desk;
use maskroom_app::studio::draft::{Draft, Edit};
use maskroom_app::studio::imported::Imported;
use maskroom_app::studio::preferences::Preferences;
use maskroom_app::studio::project::{Listing, Project};
use maskroom_app::studio::runs::Runs;
use maskroom_app::studio::watcher::{Update, Watcher};

use super::sketch::{self, network};
use crate::harness::{maskroom, workspace};

/// A desk of its own, without the window around it.
pub struct Scene {
    project: Project,
    draft: Draft,
    runs: Runs,
    imported: Imported,
    watcher: Option<Watcher>,
    preferences: Preferences,
    asks: Asks,
    selected: Option<PathBuf>,
    num_runs: usize,
    image: usize,
}

impl Scene {
    /// No folder is open.
    pub fn empty(_context: &Context) -> Self {
        let mut runs = Runs::default();
        runs.receive(Update::Listed(Ok(Vec::new())));
        Self {
            project: Project::closed(),
            draft: Draft::default(),
            runs,
            imported: Imported::default(),
            watcher: None,
            preferences: Preferences { device: "cpu".into(), threads: 2, ..Preferences::default() },
            asks: Asks::default(),
            selected: None,
            num_runs: 0,
            image: 0,
        }
    }

    /// Six runs in different states; one trains.
    pub fn typical(context: &Context) -> Self {
        let mut scene = Self::of(typical_folder(), context);
        scene.select("tonight");
        scene.runs_are(6);
        scene.draft.apply(Edit::Text(network().text.clone()));
        scene
    }

    /// What can be wrong: a failed run, damaged files, an image that is none, a recipe with three problems.
    pub fn error(context: &Context) -> Self {
        let mut scene = Self::of(damaged_folder(), context);
        scene.select("failed");
        scene.runs_are(3);
        scene.draft.apply(Edit::Text(network().text.clone()));
        for (path, value) in [("mask.ratio", toml::Value::from(2.0)), ("backbone.patch", 15.into()), ("optim.batch", 0.into())] {
            scene.draft.apply(Edit::Set { path: path.into(), value });
        }
        scene
    }

    /// Names that are longer than any place for them.
    pub fn long_names(context: &Context) -> Self {
        let mut scene = Self::of(long_folder(), context);
        scene.select("long");
        scene.runs_are(2);
        scene.draft.apply(Edit::Text(network().text.clone()));
        scene.draft.apply(Edit::Name(sketch::LONG_NAME.into()));
        scene
    }

    /// The same as [`Scene::typical`], with a curve beside the selected one's.
    pub fn comparing(context: &Context) -> Self {
        let mut scene = Self::typical(context);
        scene.runs.compare(runs_in(typical_folder()).join("block"), true);
        scene
    }

    /// A run of a method without masks, among those of others, whose recipe is being edited.
    pub fn solving(context: &Context, method: &str) -> Self {
        let mut scene = Self::of(solving_folder(), context);
        scene.select(method);
        scene.runs_are(3);
        scene.draft.apply(Edit::Text(sketch::unmasked(method).text.clone()));
        scene
    }

    fn of(folder: &Path, context: &Context) -> Self {
        Self {
            project: Project::open(folder, context),
            runs: Runs::default(),
            watcher: Some(Watcher::start(runs_in(folder), context)),
            ..Self::empty(context)
        }
    }

    fn select(&mut self, run: &str) {
        self.selected = self.project.path().map(|folder| runs_in(folder).join(run));
    }

    fn runs_are(&mut self, count: usize) {
        self.num_runs = count;
    }

    /// What a panel may look at.
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            project: &self.project,
            draft: &self.draft,
            runs: &self.runs,
            imported: &self.imported,
            preferences: &self.preferences,
            mask_choice: None,
            engine: Path::new("no such engine"),
            asks: &self.asks,
        }
    }

    /// Takes what is new. Memory is left out: it is another one each time.
    pub fn receive(&mut self, context: &Context) {
        self.project.receive(context, &self.preferences);
        for update in self.watcher.iter().flat_map(Watcher::updates) {
            if !matches!(update, Update::Memory(..)) {
                self.runs.receive(update);
            }
        }
        if let Some(run) = self.selected.take_if(|run| self.runs.get(run).is_some()) {
            self.runs.select(run);
        }
        if let Some(watcher) = &self.watcher {
            watcher.show(self.runs.shown().map(|run| run.folder.root.clone()).collect::<BTreeSet<_>>());
        }
        if self.project.selected() != self.image {
            self.project.select(self.image);
        }
    }

    /// Does what the panel asked for, as far as it concerns the desk.
    pub fn act(&mut self) {
        for ask in self.asks.take() {
            match ask {
                Ask::SelectImage(index) => self.image = index,
                Ask::Edit(edit) => self.draft.apply(edit),
                Ask::SelectRun(run) => self.runs.select(run),
                Ask::Compare { run, shown } => self.runs.compare(run, shown),
                _ => {}
            }
        }
    }

    /// Whether everything that lies on the disk has been read.
    pub fn is_ready(&self) -> bool {
        let known = self.runs.list().iter().filter(|run| run.read && (run.recipe.is_some() || run.problem.is_some())).count();
        let shown = self.runs.shown().all(|run| !run.view.is_folded());
        !matches!(self.project.listing(), Listing::Reading(_)) && known == self.num_runs && self.selected.is_none() && shown
    }
}

/// Where a project keeps its runs.
fn runs_in(folder: &Path) -> PathBuf {
    folder.join(".maskroom/runs")
}

/// A folder whose path is the same on every machine, because paths are to be seen; one suite at a time has it.
fn shelf() -> &'static Path {
    static SHELF: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (folder, _held) = SHELF.get_or_init(|| {
        let parent = if cfg!(unix) { PathBuf::from("/tmp") } else { std::env::temp_dir() };
        let held = File::create(parent.join("maskroom-pictures.lock")).expect("the lock of the folder for pictures");
        held.lock().expect("the folder for pictures");
        let folder = parent.join("maskroom-pictures");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("what the last suite left goes");
        }
        std::fs::create_dir_all(&folder).expect("the folder for pictures");
        (folder, held)
    });
    folder
}

/// 24 toy scenes and six runs.
pub fn typical_folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, Vec<File>)> = OnceLock::new();
    let (folder, _engines) = FOLDER.get_or_init(|| {
        let folder = shelf().join("toy scenes");
        maskroom("data make-toy --count 24 --size 96").with("--out", &folder).json();
        let engines = sketch::typical(&runs_in(&folder));
        (folder, engines)
    });
    folder
}

/// Toy scenes, the first of them damaged, and runs with all kinds of trouble.
fn damaged_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shelf().join("damaged scenes");
        maskroom("data make-toy --count 12 --size 96").with("--out", &folder).json();
        std::fs::write(folder.join("JPEGImages/toy_000000.png"), "no picture at all").expect("a damaged image");
        sketch::damaged(&runs_in(&folder));
        folder
    })
}

/// Toy scenes, and runs of methods without masks.
fn solving_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shelf().join("scenes without masks");
        maskroom("data make-toy --count 12 --size 96").with("--out", &folder).json();
        sketch::solving(&runs_in(&folder));
        folder
    })
}

/// A file of weights at a place that is the same on every machine; nothing is there unless such weights are kept.
pub fn weights(name: &str) -> PathBuf {
    let (kept, path) = (workspace().join("tests/golden/torch").join(name), shelf().join(name));
    if kept.exists() && !path.exists() {
        std::fs::copy(kept, &path).expect("weights at their place");
    }
    path
}

/// A plain folder of images with long names.
fn long_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = shelf().join("Panoramas of the northern ridge and the valley below it, second expedition, without the blurred ones");
        std::fs::create_dir_all(&folder).expect("a folder");
        let images = shelf().join("for long names");
        maskroom("data make-toy --count 12 --size 96").with("--out", &images).json();
        for index in 0..12 {
            let name = format!("northern_ridge_seen_from_the_weather_station_after_the_second_snowfall_{index:06}.png");
            std::fs::rename(images.join(format!("JPEGImages/toy_{index:06}.png")), folder.join(name)).expect("another name");
        }
        sketch::long(&runs_in(&folder));
        folder
    })
}
