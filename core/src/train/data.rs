//! A recipe's data: which images train, which are held out, and the loader that brings them.

use std::path::Path;
use std::sync::Arc;

use crate::dataset::images::ImageSource;
use crate::dataset::loader::{Loader, LoaderOptions};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;

/// At most so many images are validated on: enough for a loss that is stable to a percent, few enough to be quick.
pub const VALIDATION_IMAGES: usize = 256;

/// Images by index, split.
#[derive(Clone)]
pub struct TrainingData {
    /// Where they come from.
    pub source: Arc<dyn ImageSource>,
    /// Indices that train, ascending.
    pub train: Vec<usize>,
    /// Indices that are validated on, ascending; they are held out unless there are too few images to hold any out.
    pub validation: Vec<usize>,
    /// True if `validation` is never trained on.
    pub held_out: bool,
}

impl TrainingData {
    /// Opens a data folder or archive and splits it: by its own `val/` split if it has one, else by the recipe's held-out share.
    ///
    /// # Errors
    /// If the folder cannot be read or nothing is left to train on.
    pub fn open(path: &Path, recipe: &Recipe) -> Result<Self> {
        let mut dataset = Dataset::open(path)?;
        dataset.exclude(&recipe.data.exclude.iter().cloned().collect());
        let splits: Vec<Option<Split>> = dataset.items.iter().map(|item| item.split).collect();
        if splits.is_empty() {
            return Err(Error::data(path, "every image is excluded", "shorten data.exclude"));
        }
        Ok(Self::split(Arc::new(dataset), &splits, recipe))
    }

    /// Splits any source of images.
    pub fn split(source: Arc<dyn ImageSource>, splits: &[Option<Split>], recipe: &Recipe) -> Self {
        let of = |wanted: &[Option<Split>]| (0..splits.len()).filter(|&index| wanted.contains(&splits[index])).collect::<Vec<_>>();
        let (mut train, mut validation) = (of(&[None, Some(Split::Train)]), of(&[Some(Split::Val)]));
        if train.is_empty() {
            train = (0..splits.len()).collect();
            validation.clear();
        }
        if validation.is_empty() {
            let count = (train.len() as f64 * recipe.data.held_out).floor() as usize;
            let order = Stream::new(recipe.seed, 0, 0, Purpose::Split).permutation(train.len());
            validation = order[..count].iter().map(|&place| train[place]).collect();
            train = order[count..].iter().map(|&place| train[place]).collect();
            train.sort_unstable();
        }
        let held_out = !validation.is_empty();
        if !held_out {
            validation.clone_from(&train);
        }
        validation.sort_unstable();
        validation.truncate(VALIDATION_IMAGES);
        Self { source, train, validation, held_out }
    }

    /// Starts the loader at a micro-batch counted from the start of the run.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn loader(&self, recipe: &Recipe, threads: usize, micro_batch: u64) -> Result<Loader> {
        let per_epoch = self.batches_per_epoch(recipe);
        let start = (micro_batch / per_epoch, micro_batch % per_epoch);
        Loader::start(Arc::clone(&self.source), self.train.clone(), loader_options(recipe, threads, start))
    }

    /// Micro-batches in an epoch; incomplete ones are left out, and a set smaller than one batch makes one.
    pub fn batches_per_epoch(&self, recipe: &Recipe) -> u64 {
        (self.train.len() / recipe.optim.batch).max(1) as u64
    }
}

fn loader_options(recipe: &Recipe, threads: usize, start: (u64, u64)) -> LoaderOptions {
    let [height, width] = recipe.data.image;
    let (mean, std) = recipe.data.normalization();
    LoaderOptions {
        height,
        width,
        channels: recipe.data.channels,
        mean,
        std,
        crop_scale: pair(&recipe.augment.crop_scale),
        crop_ratio: pair(&recipe.augment.crop_ratio),
        flip: recipe.augment.flip,
        batch: recipe.optim.batch,
        seed: recipe.seed,
        threads,
        cache_mib: recipe.data.cache_mib,
        start,
    }
}

/// The two ends of an interval; a valid recipe has exactly two.
fn pair(ends: &[f64]) -> [f64; 2] {
    [ends.first().copied().unwrap_or(1.0), ends.last().copied().unwrap_or(1.0)]
}
