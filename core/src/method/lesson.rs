//! How a network is taught: all of a training step but the network, the optimizer and the data.

use burn::tensor::{Device, Tensor};

use super::contrast::Contrast;
use super::distillation::Distillation;
use super::joint_embedding::JointEmbedding;
use super::masked_batch::MaskedBatch;
use super::pretext::Pretext;
use super::view_batch::ViewBatch;
use super::view_lesson::ViewLesson;
use super::{Network, Task};
use crate::error::Result;
use crate::mask::{Grid, Mask, MaskStrategy};
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::weights::safetensors_file::TensorMap;

/// A lesson of either kind.
pub enum Lesson {
    /// What is hidden of an image is predicted.
    Masked(Masking),
    /// Views of an image are compared.
    Views(Box<dyn ViewLesson>),
}

/// A task, and what it hides.
pub struct Masking {
    /// Target and objective.
    pub task: Task,
    /// What is hidden.
    pub strategy: Box<dyn MaskStrategy>,
    grid: Grid,
    seed: u64,
}

/// Everything that a step is made from, on the host.
pub struct Prepared {
    given: Given,
    epoch: u64,
    keys: Vec<u64>,
}

enum Given {
    Masked(Box<MaskedBatch>),
    Views(ViewBatch),
}

/// Where in a training a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
}

impl Place {
    /// Epochs of the whole training.
    pub fn epochs(self) -> f64 {
        self.steps as f64 / self.steps_per_epoch.max(1) as f64
    }
}

/// What a micro-batch gives.
pub struct Outcome {
    /// The loss. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// What is to be watched besides, by name, where it was asked for. Shape: `[1]` each.
    pub figures: Vec<(&'static str, Tensor<1>)>,
    /// What the lesson wants to be handed back after the step, if anything.
    pub kept: Option<Tensor<2>>,
}

impl Lesson {
    /// The recipe's.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist or does not fit.
    pub fn new(recipe: &Recipe) -> Result<Self> {
        if recipe.compares_views() {
            return Ok(Self::Views(view_lesson(recipe)));
        }
        Ok(Self::Masked(Masking { task: Task::new(recipe)?, strategy: recipe.mask()?, grid: recipe.grid(), seed: recipe.seed }))
    }

    /// See [`Task::with_measured`].
    ///
    /// # Errors
    /// If what was measured is not of this target.
    pub fn with_measured(self, measured: &TensorMap, device: &Device) -> Result<Self> {
        match self {
            Self::Masked(masking) => Ok(Self::Masked(Masking { task: masking.task.with_measured(measured, device)?, ..masking })),
            views @ Self::Views(_) => Ok(views),
        }
    }

    /// The task, where what is hidden is predicted.
    pub fn task(&self) -> Option<&Task> {
        match self {
            Self::Masked(masking) => Some(&masking.task),
            Self::Views(_) => None,
        }
    }

    /// Whether the running average of the network teaches it.
    pub fn follows_average(&self) -> bool {
        match self {
            Self::Masked(masking) => masking.task.target.follows_average(),
            Self::Views(lesson) => lesson.follows_average(),
        }
    }

    /// Whether what is asked for stays the same, so that of two losses the lower is the better.
    pub fn losses_compare(&self) -> bool {
        self.task().is_some_and(|task| !task.target.follows_average())
    }

    /// Whether an answer that is the same for every image can be a right one.
    pub fn can_collapse(&self) -> bool {
        matches!(self, Self::Views(lesson) if lesson.can_collapse())
    }

    /// Takes the running average as it is now as the teacher, where it is.
    pub fn follow(&mut self, average: Network) {
        match self {
            Self::Masked(masking) => masking.task.follow(&average),
            Self::Views(lesson) => lesson.follow(average),
        }
    }

    /// Prepares a step. `images` are a loader's; `keys` tell its samples apart.
    ///
    /// # Errors
    /// If masks are to be packed and cannot be, or a teacher fails.
    pub fn prepare(&self, images: &[f32], epoch: u64, keys: &[u64]) -> Result<Prepared> {
        let given = match self {
            Self::Masked(masking) => Given::Masked(Box::new(masking.task.batch(images, &masking.masks(epoch, keys))?)),
            Self::Views(lesson) => Given::Views(lesson.batch(images, epoch, keys)),
        };
        Ok(Prepared { given, epoch, keys: keys.to_vec() })
    }

    /// The loss of a step; with `wants_figures`, what is to be watched too.
    ///
    /// # Errors
    /// If lesson and network are of different recipes.
    pub fn outcome(&self, network: &Network, prepared: &Prepared, place: Place, wants_figures: bool) -> Result<Outcome> {
        match (self, &prepared.given) {
            (Self::Views(lesson), Given::Views(batch)) => lesson.outcome(network, batch, place, wants_figures),
            (Self::Masked(masking), Given::Masked(batch)) => {
                let drop_path = network.drop_path(masking.seed, prepared.epoch, &prepared.keys, 0..1);
                let loss = network.loss(batch, masking.task.objective.as_ref(), drop_path.as_ref())?;
                Ok(Outcome { loss, figures: Vec::new(), kept: None })
            }
            _ => Err(crate::error::Error::Failed("a step was prepared for another lesson".into())),
        }
    }

    /// What the names of parameters begin with that stay as they are at a step.
    pub fn frozen(&self, place: Place) -> &'static [&'static str] {
        match self {
            Self::Views(lesson) => lesson.frozen(place),
            Self::Masked(_) => &[],
        }
    }

    /// Takes note of a step: of what its micro-batches gave to be kept, and of the weights that came out of it.
    pub fn learned(&mut self, kept: Vec<Tensor<2>>, network: &mut Network) {
        if let Self::Views(lesson) = self {
            lesson.learned(kept);
            network.bring_back_prototypes();
        }
    }

    /// What has to be kept to go on bit for bit, by name.
    pub fn state(&self) -> Vec<(&'static str, Tensor<2>)> {
        match self {
            Self::Masked(_) => Vec::new(),
            Self::Views(lesson) => lesson.state(),
        }
    }

    /// Takes what was kept.
    pub fn restore(&mut self, state: &TensorMap, device: &Device) {
        if let Self::Views(lesson) = self {
            lesson.restore(state, device);
        }
    }
}

/// How the recipe's views are compared.
fn view_lesson(recipe: &Recipe) -> Box<dyn ViewLesson> {
    match recipe.decoder.kind.as_str() {
        "projector" if recipe.objective.kind == "sigreg" => Box::new(JointEmbedding::new(recipe)),
        "projector" => Box::new(Contrast::new(recipe)),
        "classifier" => Box::new(Pretext::new(recipe)),
        _ => Box::new(Distillation::new(recipe)),
    }
}

impl Prepared {
    /// Shown patches, predicted rows and predicted blocks of each image, where what is hidden is predicted.
    pub fn masked_counts(&self) -> Option<(usize, usize, Option<usize>)> {
        match &self.given {
            Given::Masked(batch) => Some((batch.visible, batch.num_predicted(), batch.blocks.map(|[count, _]| count))),
            Given::Views(_) => None,
        }
    }
}

impl Masking {
    fn masks(&self, epoch: u64, keys: &[u64]) -> Vec<Mask> {
        let first = keys.first().copied().unwrap_or_default();
        let stream = |key: u64, purpose: Purpose| Stream::new(self.seed, epoch, key, purpose);
        let mask =
            |&key: &u64| self.strategy.sample_alike(self.grid, &mut stream(first, Purpose::MaskSize), &mut stream(key, Purpose::Mask));
        keys.iter().map(mask).collect()
    }
}
