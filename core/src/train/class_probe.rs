//! What features are good for while they are learned: held-out images find their classes among the nearest of a few training images, as
//! `maskroom evaluate knn` has it. It only looks: no random stream, no weight and no running statistic is another one for it.

use rayon::prelude::*;

use super::data::{TrainingData, VALIDATION_IMAGES};
use super::engine::Engine;
use crate::error::Result;
use crate::evaluate::LabeledFeatures;
use crate::evaluate::knn::{KnnFigures, MAIN_K, TEMPERATURE, knn};
use crate::inspect::encoder::{Images, Pool, feature_width, features};
use crate::inspect::look::shown;
use crate::method::Network;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::run::{Figures, Probe};

/// Training images whose classes are known to it, at most.
const BANK: usize = 1000;
/// Held-out images that it asks about, at most.
const ASKED: usize = 500;
/// Of the images that train between two probes, so many parts are shown to the encoder in one. Each passes it once and forward, so that
/// probes take a tenth of the time at most, whatever the network.
const TRAINED_TO_PROBED: usize = 10;
/// Images that go through the network at once, as in `evaluate knn`.
const BATCH: usize = 32;

/// The images of a run's probes, the same each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassProbe {
    /// Indices of training images, ascending.
    bank: Vec<usize>,
    /// Indices of held-out images, ascending.
    asked: Vec<usize>,
}

/// Features of images and their classes.
struct Seen {
    features: Vec<f32>,
    width: usize,
    labels: Vec<u32>,
}

impl ClassProbe {
    /// The probe of a run of so many steps.
    pub fn new(data: &TrainingData, recipe: &Recipe, steps: u64) -> Option<Self> {
        Self::draw(data, recipe.seed, num_images(recipe, usize::try_from(steps).unwrap_or(usize::MAX)))
    }

    /// About `images` images by seed, two thirds of them training ones; more of them hold those that fewer have. `None` where there is nothing
    /// to be told apart: no image is held out, or those that have classes all have the same.
    fn draw(data: &TrainingData, seed: u64, images: usize) -> Option<Self> {
        let class = |sample: usize| data.classes.get(sample).copied().flatten();
        let drawn = |from: &[usize], which: u64, count: usize| {
            let known: Vec<usize> = from.iter().copied().filter(|&sample| class(sample).is_some()).collect();
            let order = Stream::new(seed, 0, which, Purpose::Probe).permutation(known.len());
            let mut drawn: Vec<usize> = order.iter().take(count).map(|&place| known[place]).collect();
            drawn.sort_unstable();
            drawn
        };
        let asked = (images / 3).min(ASKED);
        let probe = Self { bank: drawn(&data.train, 0, (images - asked).min(BANK)), asked: drawn(&data.held_out, 1, asked) };
        let differ = |samples: &[usize]| samples.windows(2).any(|pair| class(pair[0]) != class(pair[1]));
        (differ(&probe.bank) && differ(&probe.asked)).then_some(probe)
    }

    /// The figures of the network of this step, of its running average where there is one: what `evaluate` sees in a checkpoint. `None` if
    /// `goes_on` says no before it is done, or if nothing can be compared: no image can be read, or features are no numbers.
    ///
    /// # Errors
    /// If the device fails.
    pub fn look(&self, engine: &Engine, goes_on: &dyn Fn() -> bool) -> Result<Option<Probe>> {
        let network = engine.learner.average();
        let pool = Pool::usual(&network);
        let see = |samples: &[usize]| Seen::through(&network, pool, &engine.data, &engine.recipe, samples, goes_on);
        let Some(bank) = see(&self.bank)?.filter(Seen::can_be_compared) else { return Ok(None) };
        let Some(asked) = see(&self.asked)?.filter(Seen::can_be_compared) else { return Ok(None) };
        let found = knn(&bank.labeled("training"), &asked.labeled("held-out"), &[MAIN_K])?;
        Ok(Some(event(&found, engine.progress.step, pool, engine.learner.ema.is_some())))
    }
}

impl Seen {
    /// What the network makes of images; `None` if `goes_on` says no. Images that cannot be read are left out.
    fn through(
        network: &Network,
        pool: Pool,
        data: &TrainingData,
        recipe: &Recipe,
        samples: &[usize],
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<Self>> {
        let [height, width] = recipe.data.image;
        let mut seen = Self { features: Vec::new(), width: feature_width(network, -1)?, labels: Vec::new() };
        // Read anew each time: kept, so many images of the usual sizes would be a gigabyte.
        for chunk in samples.chunks(BATCH) {
            if !goes_on() {
                return Ok(None);
            }
            let read = |&sample: &usize| Some((data.classes.get(sample).copied().flatten()?, data.look(sample, recipe)?));
            let (labels, images): (Vec<u32>, Vec<Vec<f32>>) = chunk.par_iter().filter_map(read).collect::<Vec<_>>().into_iter().unzip();
            if labels.is_empty() {
                continue;
            }
            let images = Images { values: shown(recipe, images.concat()), batch: labels.len(), height, width };
            seen.features.extend(features(network, &images, -1, pool)?);
            seen.labels.extend(labels);
        }
        Ok(Some(seen))
    }

    fn can_be_compared(&self) -> bool {
        !self.labels.is_empty() && self.features.iter().all(|value| value.is_finite())
    }

    fn labeled<'a>(&'a self, name: &'a str) -> LabeledFeatures<'a> {
        LabeledFeatures { name, features: &self.features, width: self.width, labels: &self.labels }
    }
}

/// Images that a probe shows to the encoder: as few as its share of the training allows, but as many as are validated on in any case.
fn num_images(recipe: &Recipe, steps: usize) -> usize {
    let every = recipe.train.validate_every_steps;
    let between = if every == 0 { steps } else { every.min(steps) };
    (between.saturating_mul(recipe.effective_batch()) / TRAINED_TO_PROBED).clamp(VALIDATION_IMAGES, BANK + ASKED)
}

fn event(found: &KnnFigures, step: u64, pool: Pool, is_average: bool) -> Probe {
    let token = if pool == Pool::Mean { "mean-of-patches" } else { "class-token" };
    let whose = if is_average { "the running average's" } else { "the encoder's" };
    let KnnFigures { k, train, test, .. } = *found;
    let note = format!(
        "weighted k-NN as `maskroom evaluate knn` has it, on a part of the images: {test} held-out images find their classes among their \
         {k} nearest of {train} training images, all drawn by the seed; cosine similarity of {whose} {token} features after the last block, \
         votes exp(similarity / {TEMPERATURE}); chance is the share of the commonest class among those asked"
    );
    let figures =
        [("top1", found.top1), ("chance", found.commonest_class), ("bank", train as f64), ("asked", test as f64), ("k", k as f64)];
    Probe { step, protocol: Probe::KNN.to_owned(), figures: Figures::from(figures.map(|(name, value)| (name.to_owned(), value))), note }
}

#[cfg(test)]
mod tests;
