//! A window over a folder of its own, without a display: events go in, frames and names for assistive technology come out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{ColorImage, DroppedFile, ViewportCommand};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use maskroom_app::studio::dialogs::Scripted;
use maskroom_app::studio::{Setup, Studio};
use serde_json::json;

use crate::harness::{binary, maskroom};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A window in the making.
pub struct Stage {
    folder: tempfile::TempDir,
    size: [f32; 2],
    pixels_per_point: f32,
    theme: egui::Theme,
    any_letters: bool,
    engine: PathBuf,
    answers: Vec<PathBuf>,
    recent: Vec<PathBuf>,
    recent_weights: Vec<PathBuf>,
}

/// A file or folder that is let go over the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

/// A window, and the folder that holds its preferences and its project.
pub struct Window {
    /// The window.
    pub harness: Harness<'static, Studio>,
    /// Its state and its images.
    pub folder: tempfile::TempDir,
}

impl Stage {
    /// A dark window of the usual size, with the real engine and dialogs that are always cancelled.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            size: [1280.0, 800.0],
            pixels_per_point: 1.0,
            theme: egui::Theme::Dark,
            any_letters: false,
            engine: binary().to_path_buf(),
            answers: Vec::new(),
            recent: Vec::new(),
            recent_weights: Vec::new(),
        }
    }

    /// Another size, in points.
    pub fn size(mut self, size: [f32; 2]) -> Self {
        self.size = size;
        self
    }

    /// Another theme.
    pub fn theme(mut self, theme: egui::Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Lets letters be typed that no font has; they are boxes then.
    pub fn any_letters(mut self) -> Self {
        self.any_letters = true;
        self
    }

    /// Projects that were opened before.
    pub fn recent<P: Into<PathBuf>>(mut self, recent: impl IntoIterator<Item = P>) -> Self {
        self.recent = recent.into_iter().map(Into::into).collect();
        self
    }

    /// Weights that were opened before.
    pub fn recent_weights<P: Into<PathBuf>>(mut self, recent: impl IntoIterator<Item = P>) -> Self {
        self.recent_weights = recent.into_iter().map(Into::into).collect();
        self
    }

    /// Another engine.
    pub fn engine(mut self, engine: impl Into<PathBuf>) -> Self {
        self.engine = engine.into();
        self
    }

    /// What dialogs will answer.
    pub fn answers<P: Into<PathBuf>>(mut self, answers: impl IntoIterator<Item = P>) -> Self {
        self.answers = answers.into_iter().map(Into::into).collect();
        self
    }

    /// The folder of images that [`Stage::with_images`] makes.
    pub fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// Makes toy scenes as the project's images.
    pub fn with_images(self, count: usize) -> Self {
        maskroom("data make-toy --size 32").arg("--count").arg(count.to_string()).with("--out", self.images()).json();
        self
    }

    /// Opens the window on `project`, or on nothing.
    pub fn open(self, project: Option<&Path>) -> Window {
        let state = self.folder.path().join("state");
        std::fs::create_dir_all(&state).expect("a folder for preferences");
        let theme = if self.theme == egui::Theme::Dark { "Dark" } else { "Light" };
        let preferences = json!({
            "theme": theme, "device": "cpu", "notify": false, "keep_awake": false, "threads": 1, "recent": self.recent,
            "recent_weights": self.recent_weights
        });
        std::fs::write(state.join("preferences.json"), preferences.to_string()).expect("preferences");
        let setup =
            Setup { folder: project.map(Path::to_path_buf), state, engine: self.engine, dialogs: Box::new(Scripted::new(self.answers)) };
        let builder = if self.any_letters { Harness::builder().allow_missing_glyphs() } else { Harness::builder() };
        let harness = builder
            .with_size(self.size)
            .with_pixels_per_point(self.pixels_per_point)
            .with_theme(self.theme)
            .wgpu()
            .build_eframe(|creation| Studio::new(&creation.egui_ctx, setup));
        Window { harness, folder: self.folder }
    }
}

impl Window {
    /// Draws frames until `is_so`, giving threads and engines their time between them.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Harness<'static, Studio>) -> bool) {
        let begin = Instant::now();
        while !is_so(&mut self.harness) {
            assert!(begin.elapsed() < PATIENCE, "waited too long until {what}; the window says:\n{}", self.words());
            std::thread::sleep(Duration::from_millis(10));
            self.step();
        }
    }

    /// Draws a frame. The window gets the picture of itself that it asks for, as on a real screen.
    fn step(&mut self) {
        self.harness.step();
        let commands = self.harness.output().viewport_output.values().flat_map(|viewport| &viewport.commands);
        let wanted: Vec<_> = commands
            .filter_map(|command| if let ViewportCommand::Screenshot(wanted) = command { Some(wanted.clone()) } else { None })
            .collect();
        for callback in wanted {
            callback.complete(Arc::new(self.picture()));
        }
    }

    /// What is to be seen.
    pub fn picture(&mut self) -> ColorImage {
        let picture = self.harness.render().expect("a picture");
        ColorImage::from_rgba_unmultiplied([picture.width() as usize, picture.height() as usize], &picture)
    }

    /// Waits until something with this text is to be seen, as a name or as a value.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_until(&format!("it says `{text}`"), |harness| words(harness).contains(text));
    }

    /// Presses keys, as a person does.
    pub fn press(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step();
        self.step();
    }

    /// Lets go of a file or folder over the window.
    pub fn drop_file(&mut self, path: &Path) {
        self.harness.input_mut().dropped_files.push(Arc::new(Dropped(path.to_path_buf())));
        self.step();
        self.step();
    }

    /// Finds a command in the palette and takes it.
    pub fn command(&mut self, name: &str) {
        self.press(egui::Modifiers::COMMAND, egui::Key::K);
        self.harness.event(egui::Event::Text(name.into()));
        self.step();
        self.press(egui::Modifiers::NONE, egui::Key::Enter);
    }

    /// Clicks what has this name.
    #[track_caller]
    pub fn click(&mut self, name: &str) {
        self.wait_until(&format!("there is `{name}`"), |harness| harness.query_all_by_label(name).next().is_some());
        // A dialog that has just grown finds its place in the next frames.
        let place = |harness: &Harness<'static, Studio>| harness.query_all_by_label(name).next().map(|node| node.rect());
        let mut before = None;
        self.wait_until(&format!("`{name}` lies still"), |harness| {
            let now = place(harness);
            std::mem::replace(&mut before, now) == now && now.is_some()
        });
        self.harness.query_all_by_label(name).next().expect("it was there").click();
        self.step();
        self.step();
    }

    /// Everything that the window says to assistive technology.
    pub fn words(&self) -> String {
        words(&self.harness)
    }

    /// The picture of the window, kept for a person to look at.
    pub fn keep_picture(&mut self, name: &str) {
        let picture = self.harness.render().expect("a picture");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        picture.save(folder.join(format!("{name}.png"))).expect("the picture is kept");
    }
}

fn words(harness: &Harness<'static, Studio>) -> String {
    let mut words = Vec::new();
    collect(&harness.root(), &mut words);
    words.join("\n")
}

fn collect(node: &egui_kittest::Node<'_>, words: &mut Vec<String>) {
    let accessible = node.accesskit_node();
    words.extend([accessible.label(), accessible.value()].into_iter().flatten().filter(|text| !text.trim().is_empty()));
    node.children().for_each(|child| collect(&child, words));
}
