//! The engine: everything one training run holds, opened from its folder.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Tensor;

use super::checkpoint::{self, Checkpoint, Progress};
use super::data::TrainingData;
use super::measured;
use super::report::Reporter;
use super::trial;
use super::validate::FixedSet;
use crate::dataset::loader::Loader;
use crate::device::{DeviceChoice, OpenDevice};
use crate::error::{Error, Result};
use crate::kernel;
use crate::mask::{Mask, MaskStrategy};
use crate::method::{Network, Task};
use crate::optim::adamw::{AdamW, global_norm};
use crate::optim::ema::Ema;
use crate::optim::schedule::Plan;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::run::RunFolder;
use crate::weights::model_file::{Weights, WeightsKind};
use crate::weights::parameters::Named;
use crate::weights::safetensors_file::TensorMap;

/// What one micro-batch and its backward pass give.
pub struct Gradients {
    /// The mean loss over the micro-batches. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// Flat gradients of the mean loss.
    pub values: Named<Tensor<1>>,
    /// The data set's indices of the images.
    pub samples: Vec<usize>,
}

impl Gradients {
    fn plus(mut self, other: Self) -> Self {
        self.loss = self.loss + other.loss;
        self.samples.extend(other.samples);
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
    /// The network, on the differentiating device.
    pub network: Network,
    /// Target and objective.
    pub task: Task,
    /// Where it trains.
    pub device: OpenDevice,
    /// Where it is.
    pub progress: Progress,
    measured: TensorMap,
    strategy: Box<dyn MaskStrategy>,
    optimizer: AdamW,
    ema: Option<Ema>,
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
        let optim = &recipe.optim;
        let mut optimizer = AdamW::new(optim);
        let mut ema = (optim.ema > 0.0).then(|| Ema::new(optim.ema, network.parameters()));
        let mut progress = Progress { recipe_hash: recipe.hash(), ..Progress::default() };
        if let Some(restored) = checkpoint::restore(run, &mut network)? {
            (optimizer.steps, optimizer.moments) = restored.optimizer;
            if let (Some(ema), Some(values)) = (&mut ema, restored.ema) {
                ema.values = values;
            }
            progress = Progress { recipe_hash: recipe.hash(), ..restored.progress };
            warnings.extend(restored.warnings);
        }
        let measured = measured::read(run)?;
        let task = Task::new(&recipe)?.with_measured(&measured, network.device())?;
        let mut engine = Self {
            run: RunFolder { root: run.root.clone() },
            plan: Plan::new(&recipe, data.train.len()),
            task,
            measured,
            strategy: recipe.mask()?,
            recipe,
            data,
            network,
            device,
            progress,
            optimizer,
            ema,
            threads,
            warnings,
            preview_wish: None,
        };
        engine.follow_average();
        Ok(engine)
    }

    /// Lets the running average teach, where it does.
    fn follow_average(&mut self) {
        if self.task.target.follows_average() {
            let average = self.average();
            self.task.follow(&average);
        }
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
        let mut total: Option<Gradients> = None;
        for _ in 0..parts {
            let begin = Instant::now();
            let batch = loader.next()?;
            reporter.waited(begin.elapsed());
            for failed in &batch.failed {
                reporter.warn(format!("{} cannot be read and is left out: {}", failed.path, failed.reason))?;
            }
            let masks = self.masks(batch.epoch, &batch.keys);
            let masked = self.task.batch(&batch.images, &masks)?;
            loader.reuse(batch.images);
            let drop_path = self.network.drop_path(self.recipe.seed, batch.epoch, &batch.keys);
            let loss = self.network.loss(&masked, self.task.objective.as_ref(), drop_path.as_ref());
            let loss = if parts == 1 { loss } else { loss / parts as f64 };
            let mut gradients = loss.backward();
            let part = Gradients {
                loss: loss.without_autodiff(),
                values: self.network.parameters().take_gradients(&mut gradients),
                samples: batch.samples,
            };
            total = Some(match total {
                None => part,
                Some(total) => total.plus(part),
            });
        }
        total.ok_or_else(|| Error::Usage("optim.accumulate must be at least 1".into()))
    }

    fn masks(&self, epoch: u64, keys: &[u64]) -> Vec<Mask> {
        let (grid, first) = (self.recipe.grid(), keys.first().copied().unwrap_or_default());
        let stream = |key: u64, purpose: Purpose| Stream::new(self.recipe.seed, epoch, key, purpose);
        let mask = |&key: &u64| self.strategy.sample_alike(grid, &mut stream(first, Purpose::MaskSize), &mut stream(key, Purpose::Mask));
        keys.iter().map(mask).collect()
    }

    /// Clips, updates weights and average, and returns the gradient's norm before clipping. Shape: `[1]`.
    pub fn update(&mut self, gradients: Named<Tensor<1>>, lr: f64, weight_decay: f64) -> Option<Tensor<1>> {
        self.optimizer.weight_decay = weight_decay;
        let norm = global_norm(&gradients);
        let limit = self.recipe.optim.clip_norm;
        let clip = norm.as_ref().filter(|_| limit > 0.0).map(|norm| (norm, limit));
        self.optimizer.step_clipped(self.network.parameters_mut(), gradients, lr, clip);
        if let Some(ema) = &mut self.ema {
            ema.decay = self.plan.ema_at(self.progress.step as usize);
            ema.update(self.network.parameters());
        }
        self.follow_average();
        self.progress.step += 1;
        norm
    }

    /// Updates it aims at.
    pub fn steps(&self) -> u64 {
        self.plan.steps_total as u64
    }

    /// Epochs done, with their fraction.
    pub fn epoch(&self) -> f64 {
        (self.progress.step * self.recipe.optim.accumulate as u64) as f64 / self.data.batches_per_epoch(&self.recipe) as f64
    }

    /// The network as it is judged: the running average where there is one, unless that is the teacher and the network its student.
    pub fn judged(&self) -> Network {
        if self.task.target.follows_average() { self.network.for_inference() } else { self.average() }
    }

    /// The running average, or the network itself where there is none.
    fn average(&self) -> Network {
        let mut network = self.network.for_inference();
        if let Some(ema) = &self.ema {
            network.parameters_mut().update_parameters(&mut |name, _, value| ema.values.get(name).cloned().unwrap_or(value));
        }
        network
    }

    /// Fixed images with fixed masks, to judge by.
    pub fn fixed_set(&self, samples: &[usize]) -> FixedSet {
        FixedSet::load(&self.data, samples, &self.recipe, self.strategy.as_ref())
    }

    /// Writes a checkpoint, then removes those that need not be kept.
    ///
    /// # Errors
    /// If the disk is full or cannot be written.
    pub fn save(&self) -> Result<std::path::PathBuf> {
        let checkpoint = Checkpoint {
            network: &self.network,
            optimizer: &self.optimizer,
            ema: self.ema.as_ref(),
            progress: &self.progress,
            recipe: &self.recipe,
            measured: &self.measured,
        };
        let path = checkpoint.save(&self.run)?;
        let best = self.progress.best.map(|(step, _)| step).filter(|_| self.recipe.train.keep_best);
        self.run.prune(self.recipe.train.keep_last, best)?;
        Ok(path)
    }
}

/// Starts from the weights of another run.
fn init_from(network: &mut Network, path: &Path) -> Result<()> {
    let device = network.device().clone();
    Weights::open(path)?.load_into(network.parameters_mut(), WeightsKind::Best, &device)
}
