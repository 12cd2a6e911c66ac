//! The engine: everything one training run holds, opened from its folder.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Tensor;

use super::checkpoint::{self, Checkpoint, Progress};
use super::data::TrainingData;
use super::learner::Learner;
use super::measured;
use super::report::Reporter;
use super::trial;
use crate::dataset::loader::Loader;
use crate::device::{DeviceChoice, OpenDevice};
use crate::error::{Error, Result};
use crate::kernel;
use crate::method::{Lesson, Network, Outcome};
use crate::optim::optimizer::UpdateRates;
use crate::optim::schedule::Plan;
use crate::recipe::Recipe;
use crate::run::RunFolder;
use crate::weights::model_file::Weights;
use crate::weights::parameters::Named;
use crate::weights::safetensors_file::TensorMap;

/// What one micro-batch and its backward pass give.
pub struct Gradients {
    /// The mean loss over the micro-batches. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// Flat gradients of the mean loss.
    pub values: Named<Tensor<1>>,
    /// What is to be watched besides, by name, where it was asked for. Shape: `[1]` each.
    pub figures: Vec<(&'static str, Tensor<1>)>,
    /// What its lesson wants to be handed back after the step.
    pub kept: Vec<Tensor<2>>,
    /// The data set's indices of the images.
    pub samples: Vec<usize>,
}

impl Gradients {
    fn plus(mut self, other: Self) -> Self {
        self.loss = self.loss + other.loss;
        self.samples.extend(other.samples);
        self.figures.iter_mut().zip(other.figures).for_each(|(sum, other)| sum.1 = sum.1.clone() + other.1);
        self.kept.extend(other.kept);
        if kernel::is_fused_on_gpu(&self.loss) {
            kernel::cube::blend(&mut self.values, other.values, [1.0, 1.0]);
            return self;
        }
        for (name, value) in other.values {
            let sum = match self.values.remove(&name) {
                Some(sum) => sum + value,
                None => value,
            };
            self.values.insert(name, sum);
        }
        self
    }
}

/// A run in training.
pub struct Engine {
    /// Its folder.
    pub run: RunFolder,
    /// How it is made.
    pub recipe: Recipe,
    /// Its schedule.
    pub plan: Plan,
    /// Its images.
    pub data: TrainingData,
    /// What learns.
    pub learner: Learner,
    /// Where it trains.
    pub device: OpenDevice,
    /// Where it is.
    pub progress: Progress,
    measured: TensorMap,
    threads: usize,
    /// What resuming had to work around, to be told once.
    pub warnings: Vec<String>,
    /// Preview images that were asked for while no engine ran.
    pub preview_wish: Option<Vec<String>>,
}

impl Engine {
    /// Opens a run that waits, was interrupted or has finished. The caller holds its lock.
    ///
    /// # Errors
    /// An invalid recipe, unreadable data, a device that does not open, or checkpoints that are all damaged.
    pub fn open(run: &RunFolder, recipe: Recipe, device: DeviceChoice, threads: usize) -> Result<Self> {
        let info = run.info()?;
        let path = info.data.clone().ok_or_else(|| Error::Usage("run.json names no data folder".into()))?;
        let data = TrainingData::open(&path, &recipe)?;
        let mut warnings = Vec::new();
        let device = trial::choose(device, &recipe, &mut warnings)?;
        let mut network = Network::new(&recipe, &device.device.clone().autodiff())?;
        if let Some(init) = &info.init {
            init_from(&mut network, init)?;
        }
        let mut progress = Progress { recipe_hash: recipe.hash(), ..Progress::default() };
        let measured = measured::read(run)?;
        let lesson = Lesson::new(&recipe)?.with_measured(&measured, network.device())?;
        let mut learner = Learner::new(&recipe, network, lesson);
        if let Some(restored) = checkpoint::restore(run, &mut learner)? {
            progress = Progress { recipe_hash: recipe.hash(), ..restored.progress };
            warnings.extend(restored.warnings);
        }
        Ok(Self {
            run: RunFolder { root: run.root.clone() },
            plan: Plan::new(&recipe, data.train.len()),
            learner,
            measured,
            recipe,
            data,
            device,
            progress,
            threads,
            warnings,
            preview_wish: None,
        })
    }

    /// The loader, at the run's place.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn loader(&self) -> Result<Loader> {
        self.data.loader(&self.recipe, self.threads, self.progress.step * self.recipe.optim.accumulate as u64)
    }

    /// Loss and gradients of one step: as many micro-batches as the recipe accumulates, averaged.
    ///
    /// # Errors
    /// If no image can be read any more or the log cannot be written.
    pub fn forward_backward(&self, loader: &mut Loader, reporter: &mut Reporter<'_>) -> Result<Gradients> {
        let parts = self.recipe.optim.accumulate;
        let place = self.plan.place_of(self.progress.step as usize);
        // What is looked at only in the log need not be computed between its lines.
        let is_logged = self.is_due(self.progress.step + 1, self.recipe.train.log_every_steps) || self.progress.step == 0;
        let mut total: Option<Gradients> = None;
        for _ in 0..parts {
            let begin = Instant::now();
            let batch = loader.next()?;
            reporter.waited(begin.elapsed());
            for failed in &batch.failed {
                reporter.warn(format!("{} cannot be read and is left out: {}", failed.path, failed.reason))?;
            }
            let prepared = self.learner.lesson.prepare(&batch.images, batch.epoch, &batch.keys)?;
            loader.reuse(batch.images);
            let Outcome { loss, figures, kept } = self.learner.lesson.outcome(&self.learner.network, &prepared, place, is_logged)?;
            let share = |tensor: Tensor<1>| if parts == 1 { tensor } else { tensor / parts as f64 };
            let loss = share(loss);
            let mut gradients = loss.backward();
            let part = Gradients {
                loss: loss.without_autodiff(),
                values: self.learner.network.parameters().take_gradients(&mut gradients),
                figures: figures.into_iter().map(|(name, figure)| (name, share(figure))).collect(),
                kept: kept.into_iter().collect(),
                samples: batch.samples,
            };
            total = Some(match total {
                None => part,
                Some(total) => total.plus(part),
            });
        }
        total.ok_or_else(|| Error::Usage("optim.accumulate must be at least 1".into()))
    }

    /// See [`Learner::update`].
    pub fn update(&mut self, gradients: Named<Tensor<1>>, kept: Vec<Tensor<2>>) -> Option<Tensor<1>> {
        let step = self.progress.step as usize;
        let norm = self.learner.update(gradients, kept, self.plan.place_of(step), self.rates());
        self.progress.step += 1;
        norm
    }

    /// What the next update is made with.
    pub fn rates(&self) -> UpdateRates {
        let (plan, step) = (&self.plan, self.progress.step as usize);
        UpdateRates { lr: plan.lr_at(step), peak_lr: self.recipe.lr(), weight_decay: plan.weight_decay_at(step), ema: plan.ema_at(step) }
    }

    /// Updates it aims at.
    pub fn steps(&self) -> u64 {
        self.plan.steps_total as u64
    }

    /// Whether something that is done after every so many steps, and after the last, is due after a step; never if that is 0, but for the last.
    pub fn is_due(&self, step: u64, every: usize) -> bool {
        step == self.steps() || (every > 0 && step.is_multiple_of(every as u64))
    }

    /// Epochs done, with their fraction.
    pub fn epoch(&self) -> f64 {
        (self.progress.step * self.recipe.optim.accumulate as u64) as f64 / self.data.batches_per_epoch(&self.recipe) as f64
    }

    /// Writes a checkpoint, then removes those that need not be kept.
    ///
    /// # Errors
    /// If the disk is full or cannot be written.
    pub fn save(&self) -> Result<std::path::PathBuf> {
        let checkpoint = Checkpoint { learner: &self.learner, progress: &self.progress, recipe: &self.recipe, measured: &self.measured };
        let path = checkpoint.save(&self.run)?;
        let best = self.progress.best.map(|(step, _)| step).filter(|_| self.recipe.train.keep_best);
        self.run.prune(self.recipe.train.keep_last, best)?;
        Ok(path)
    }
}

/// Starts from the weights of another run, of any method.
fn init_from(network: &mut Network, path: &Path) -> Result<()> {
    let device = network.device().clone();
    let fresh = Weights::open(path)?.begin(network.parameters_mut(), &device)?;
    if let Some(first) = fresh.first() {
        tracing::info!("{} has nothing for {} parameters, {first} the first of them: they start anew", path.display(), fresh.len());
    }
    Ok(())
}
