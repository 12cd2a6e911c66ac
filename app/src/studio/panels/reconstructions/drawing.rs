//! What weights from elsewhere draw on the selected image: a preview like those of runs, made on a thread when it is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use egui::Context;
use maskroom_core::dataset::Dataset;
use maskroom_core::device::OpenDevice;
use maskroom_core::inspect::look::{Fit, prepare};
use maskroom_core::inspect::preview::Brightness;
use maskroom_core::method::{Network, Task};
use maskroom_core::recipe::Recipe;
use maskroom_core::train::validate::{FixedSet, fixed_mask};
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use maskroom_core::weights::safetensors_file::TensorMap;

use super::loader::{Decoded, Loaded, decode, upload};
use crate::studio::worker::Worker;

/// What is to be drawn.
#[derive(Clone)]
pub struct Question {
    /// The images.
    pub dataset: Arc<Dataset>,
    /// Which of them.
    pub sample: usize,
    /// The file or folder of weights.
    pub weights: PathBuf,
    /// Whether the network predicts what is hidden; else only where it looks is drawn.
    pub predicts: bool,
    /// Where brightness comes from.
    pub brightness: Brightness,
}

/// The last drawing, and the one that is on its way.
pub struct Drawing {
    worker: Worker<Question, (Question, Decoded)>,
    asked: Option<Question>,
    shown: Option<(Question, Result<Arc<Loaded>, String>)>,
}

impl Question {
    /// Whether the same preview answers it.
    fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dataset, &other.dataset)
            && (self.sample, &self.weights, self.predicts) == (other.sample, &other.weights, other.predicts)
    }
}

impl Drawing {
    /// Nothing drawn yet.
    pub fn new(context: &Context) -> Self {
        let mut easel = Easel::new();
        let worker = Worker::start("drawing", context, move |question: Question| {
            let drawn = easel.draw(&question);
            (question, drawn)
        });
        Self { worker, asked: None, shown: None }
    }

    /// Takes what has been drawn.
    pub fn receive(&mut self, context: &Context) {
        if let Some((question, drawn)) = self.worker.answers().last() {
            self.shown = Some((question, drawn.map(|drawn| Arc::new(upload(context, drawn)))));
        }
    }

    /// Asks, unless just that has been asked.
    pub fn ask(&mut self, question: Question) {
        let is_asked = self.asked.as_ref().is_some_and(|asked| asked.is_of(&question) && asked.brightness == question.brightness);
        if !is_asked {
            self.worker.ask(question.clone());
            self.asked = Some(question);
        }
    }

    /// The latest drawing by these weights, or why there is none; nothing while the first is on its way.
    pub fn by(&self, weights: &Path) -> Option<Result<Arc<Loaded>, String>> {
        self.shown.as_ref().filter(|(question, _)| question.weights == weights).map(|(_, shown)| shown.clone())
    }

    /// Whether the last question made the program panic.
    pub fn has_failed(&self) -> bool {
        self.worker.has_failed()
    }
}

/// Opened weights, and the file that the last preview is in.
struct Easel {
    opened: Option<Opened>,
    made: Option<Question>,
    file: PathBuf,
}

struct Opened {
    path: PathBuf,
    network: Network,
    recipe: Recipe,
    measured: TensorMap,
}

impl Easel {
    fn new() -> Self {
        // Windows of one process have files of their own.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("maskroom-drawing-{}-{}.safetensors", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { opened: None, made: None, file: std::env::temp_dir().join(name) }
    }

    fn draw(&mut self, question: &Question) -> Decoded {
        if !self.made.as_ref().is_some_and(|made| made.is_of(question)) {
            self.made = None;
            self.write(question).map_err(|error| crate::cli::in_words(&error))?;
            self.made = Some(question.clone());
        }
        decode(&self.file, question.brightness)
    }

    /// Writes the preview. Each image has the mask that it has in every other preview.
    fn write(&mut self, question: &Question) -> Result<()> {
        let file = self.file.clone();
        let Opened { network, recipe, measured, .. } = self.open(&question.weights)?;
        let sample = question.sample;
        let image = prepare(&question.dataset, sample, recipe, Fit::Crop)?;
        let mut set = FixedSet {
            images: image.values,
            masks: Vec::new(),
            samples: vec![sample],
            names: vec![question.dataset.items[sample].name.clone()],
        };
        if !question.predicts {
            return Ok(set.write_preview(network, None, recipe, &file)?);
        }
        set.masks.push(fixed_mask(recipe.mask()?.as_ref(), recipe.grid(), recipe.seed, sample));
        let mut task = Task::new(recipe)?.following(network);
        if !measured.is_empty() {
            task = task.with_measured(measured, network.device())?;
        }
        Ok(set.write_preview(network, Some(&task), recipe, &file)?)
    }

    fn open(&mut self, path: &Path) -> Result<&Opened> {
        let known = self.opened.take().filter(|opened| opened.path == path);
        let opened = match known {
            Some(opened) => opened,
            None => Opened::new(path)?,
        };
        Ok(self.opened.insert(opened))
    }
}

impl Opened {
    fn new(path: &Path) -> Result<Self> {
        let weights = Weights::open(path)?;
        let network = weights.network(WeightsKind::Best, &OpenDevice::cpu("looking needs no warming up").device)?;
        Ok(Self { path: path.to_path_buf(), network, measured: weights.measured()?, recipe: weights.recipe })
    }
}

impl Drop for Easel {
    fn drop(&mut self) {
        // There may be none.
        let _ = std::fs::remove_file(&self.file);
    }
}
