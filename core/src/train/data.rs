//! A recipe's data: which images train, which are held out, and the loader that brings them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::augment::prepare_eval;
use crate::dataset::decode::Need;
use crate::dataset::images::ImageSource;
use crate::dataset::loader::{Loader, LoaderOptions};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;

/// At most so many images are validated on: enough for a loss that is stable to a percent, few enough to be quick.
pub const VALIDATION_IMAGES: usize = 128;

/// Images by index, split.
#[derive(Clone)]
pub struct TrainingData {
    /// Where they come from.
    pub source: Arc<dyn ImageSource>,
    /// Indices that train, ascending.
    pub train: Vec<usize>,
    /// Indices that never train, ascending; none where there are too few images to hold any out.
    pub held_out: Vec<usize>,
    /// Indices that are validated on, ascending: of those held out if there are any, else of those that train.
    pub validation: Vec<usize>,
    /// The class of every image that has one, by index; empty where nobody has looked.
    pub classes: Vec<Option<u32>>,
}

impl TrainingData {
    /// Opens a data folder or archive and splits it: by its own `val/` split if it has one, else by the recipe's held-out share.
    ///
    /// # Errors
    /// If the folder cannot be read or nothing is left to train on.
    pub fn open(path: &Path, recipe: &Recipe) -> Result<Self> {
        let mut dataset = listed(path, recipe)?;
        if recipe.data.exclude_duplicates {
            dataset.exclude(&repetitions(&dataset));
        }
        let splits: Vec<Option<Split>> = dataset.items.iter().map(|item| item.split).collect();
        let classes = dataset.items.iter().map(|item| item.class.and_then(|class| u32::try_from(class).ok())).collect();
        Ok(Self { classes, ..Self::split(Arc::new(dataset), &splits, recipe) })
    }

    /// Splits any source of images.
    pub fn split(source: Arc<dyn ImageSource>, splits: &[Option<Split>], recipe: &Recipe) -> Self {
        let of = |wanted: &[Option<Split>]| (0..splits.len()).filter(|&index| wanted.contains(&splits[index])).collect::<Vec<_>>();
        let (mut train, mut held_out) = (of(&[None, Some(Split::Train)]), of(&[Some(Split::Val)]));
        if train.is_empty() {
            train = (0..splits.len()).collect();
            held_out.clear();
        }
        if held_out.is_empty() {
            let count = (train.len() as f64 * recipe.data.held_out).floor() as usize;
            let order = Stream::new(recipe.seed, 0, 0, Purpose::Split).permutation(train.len());
            held_out = order[..count].iter().map(|&place| train[place]).collect();
            train = order[count..].iter().map(|&place| train[place]).collect();
            train.sort_unstable();
            held_out.sort_unstable();
        }
        let watched = if held_out.is_empty() { &train } else { &held_out };
        let validation = spread(watched, VALIDATION_IMAGES);
        Self { source, train, held_out, validation, classes: Vec::new() }
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

    /// One image as evaluations see it, scaled, center-cropped and normalized: `[H, W, C]`; `None` if it cannot be read.
    pub fn look(&self, sample: usize, recipe: &Recipe) -> Option<Vec<f32>> {
        let [height, width] = recipe.data.image;
        let (mean, std) = recipe.data.normalization();
        let picture = self.source.picture(sample, &|_, _| Need::whole(1)).ok()?.picture;
        prepare_eval(&picture, height, width, recipe.data.channels, &mean, &std).ok()
    }

    /// Micro-batches in an epoch; incomplete ones are left out, and a set smaller than one batch makes one.
    pub fn batches_per_epoch(&self, recipe: &Recipe) -> u64 {
        (self.train.len() / recipe.optim.batch).max(1) as u64
    }
}

/// What a loader makes of a recipe's images, from micro-batch `start` = (epoch, place in it) on.
pub fn loader_options(recipe: &Recipe, threads: usize, start: (u64, u64)) -> LoaderOptions {
    let (mean, std) = recipe.data.normalization();
    LoaderOptions {
        views: recipe.views(),
        channels: recipe.data.channels,
        mean,
        std,
        batch: recipe.optim.batch,
        seed: recipe.seed,
        threads,
        cache_mib: recipe.data.cache_mib,
        start,
    }
}

/// At most so many of the samples, evenly spread: they are sorted by folder, so that the first would be of the first classes alone.
pub fn spread(samples: &[usize], most: usize) -> Vec<usize> {
    let count = samples.len().min(most);
    (0..count).map(|place| samples[place * samples.len() / count]).collect()
}

/// The images of a folder or archive but for those that the recipe leaves out by name. No image is read.
///
/// # Errors
/// If the folder cannot be read or nothing is left.
pub fn listed(path: &Path, recipe: &Recipe) -> Result<Dataset> {
    let mut dataset = Dataset::open(path)?;
    dataset.exclude(&recipe.data.exclude.iter().cloned().collect());
    if dataset.items.is_empty() {
        return Err(Error::data(path, "every image is excluded", "shorten data.exclude"));
    }
    Ok(dataset)
}

/// The names of files that are byte for byte what an earlier one is. Every file is read.
pub fn repetitions(dataset: &Dataset) -> HashSet<String> {
    let digest = |index: usize| dataset.read_bytes(index).ok().map(Sha256::digest);
    let digests: Vec<_> = (0..dataset.items.len()).into_par_iter().map(digest).collect();
    let mut seen = HashSet::new();
    let mut repeats = |digest: &Option<_>| digest.is_some_and(|digest| !seen.insert(digest));
    digests.iter().enumerate().filter(|(_, digest)| repeats(digest)).map(|(index, _)| dataset.items[index].name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::toy_scenes::make_toy;
    use crate::recipe::Base;

    fn recipe(sets: &[(&str, &str)]) -> Recipe {
        let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Recipe::resolve(Base::Preset("mae"), &[vec![("backbone.preset".into(), "vit-nano".into())], sets].concat()).unwrap()
    }

    #[test]
    fn few_of_many_samples_are_of_all_folders() {
        assert_eq!(spread(&[3, 5, 8, 9, 12, 20, 21], 3), [3, 8, 12]);
        assert_eq!(spread(&[3, 5], 9), [3, 5]);
        assert!(spread(&[], 9).is_empty() && spread(&[3, 5], 0).is_empty());
        // Ten classes of a hundred images, one after the other.
        let classes: HashSet<usize> = spread(&(0..1000).collect::<Vec<_>>(), VALIDATION_IMAGES).iter().map(|sample| sample / 100).collect();
        assert_eq!(classes.len(), 10);
    }

    #[test]
    fn splits_are_kept_apart_and_what_is_excluded_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("toy");
        make_toy(&root, 20, (32, 32), 0, &mut |_| {}).unwrap();
        let own = TrainingData::open(&root, &recipe(&[])).unwrap();
        assert_eq!((own.train.len(), own.validation.len(), own.held_out.len()), (16, 4, 4), "the layout's own val split");

        let plain = folder.path().join("plain");
        std::fs::rename(root.join("JPEGImages"), &plain).unwrap();
        let shared = TrainingData::open(&plain, &recipe(&[("data.held_out", "0.25")])).unwrap();
        assert_eq!((shared.train.len(), shared.validation.len()), (15, 5));
        assert!(shared.validation.iter().all(|sample| !shared.train.contains(sample)));
        let none = TrainingData::open(&plain, &recipe(&[("data.held_out", "0.0")])).unwrap();
        assert!(none.held_out.is_empty() && none.train.len() == 20 && none.validation.len() == 20);

        std::fs::copy(plain.join("toy_000000.png"), plain.join("again.png")).unwrap();
        let sets = [("data.exclude_duplicates", "true"), ("data.exclude", "[\"toy_000001.png\"]"), ("data.held_out", "0.0")];
        let excluded = TrainingData::open(&plain, &recipe(&sets)).unwrap();
        let names: Vec<String> = excluded.train.iter().map(|&sample| excluded.source.name(sample)).collect();
        assert_eq!(names.len(), 19, "{names:?}");
        assert!(names.contains(&"again.png".to_owned()) && !names.contains(&"toy_000000.png".to_owned()), "the first of equals stays");
    }
}
