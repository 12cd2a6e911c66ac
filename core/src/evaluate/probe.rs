//! Probes on frozen features of a network: a labeled data set's images are embedded once, and every probe asks the same features.

use super::{KnnFigures, LabeledFeatures, LinearFigures, knn, knn_leave_one_out, linear_probe};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::inspect::encoder::Pool;
use crate::inspect::look::{Features, Fit, embed_all};
use crate::method::Network;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;

/// What a probe works with: features and classes, by the data's own splits where it has them.
pub struct Probe {
    train: Labeled,
    test: Option<Labeled>,
    /// How images were shown and split, for the protocol.
    pub note: String,
}

/// Features with labels.
struct Labeled {
    features: Vec<f32>,
    width: usize,
    labels: Vec<u32>,
}

impl Probe {
    /// Embeds the images that have a class, with the features of block `layer` (negative counts from the end).
    ///
    /// # Errors
    /// If no image has a class, every patch is asked for, the layer does not exist, or the device fails.
    pub fn new(network: &Network, recipe: &Recipe, dataset: &Dataset, layer: i64, pool: Pool) -> Result<Self> {
        let labeled: Vec<usize> = (0..dataset.items.len()).filter(|&sample| dataset.items[sample].class.is_some()).collect();
        if labeled.is_empty() {
            return Err(Error::data(&dataset.root, "no image has a class", "put each class's images into a folder of its own"));
        }
        if pool == Pool::Patches {
            return Err(Error::Usage("a probe needs one feature per image: use --pool cls or mean".into()));
        }
        let of = |split: Split| labeled.iter().copied().filter(|&sample| dataset.items[sample].split == Some(split)).collect::<Vec<_>>();
        let (train, mut test) = (of(Split::Train), of(Split::Val));
        if test.is_empty() {
            test = of(Split::Test);
        }
        let embed = |samples: &[usize]| -> Result<Labeled> {
            let features = embed_all(network, recipe, dataset, samples, Fit::Crop, layer, pool)?;
            features.unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
            Ok(Labeled::new(features, dataset))
        };
        let token = if pool == Pool::Mean { "mean-of-patches" } else { "class-token" };
        let shape = format!("images scaled and center-cropped to {:?}, {token} features of layer {layer}", recipe.data.image);
        if train.is_empty() || test.is_empty() {
            let note = format!("{shape}; the data has no splits: each image against all others, or one half against the other");
            return Ok(Self { train: embed(&labeled)?, test: None, note });
        }
        Ok(Self { train: embed(&train)?, test: Some(embed(&test)?), note: format!("{shape}; the data's own splits") })
    }

    /// Nearest neighbors with neighborhoods of these sizes.
    ///
    /// # Errors
    /// As [`knn()`].
    pub fn knn(&self, ks: &[usize]) -> Result<KnnFigures> {
        match &self.test {
            Some(test) => knn(&self.train.labeled("training"), &test.labeled("test"), ks),
            None => knn_leave_one_out(&self.train.labeled("data"), ks),
        }
    }

    /// A linear classifier. `seed` decides which images choose its penalty, and halves data without splits.
    ///
    /// # Errors
    /// As [`linear_probe`].
    pub fn linear(&self, seed: u64) -> Result<LinearFigures> {
        match &self.test {
            Some(test) => linear_probe(&self.train.labeled("training"), &test.labeled("test"), seed),
            None => {
                let [train, test] = self.train.halves(seed);
                linear_probe(&train.labeled("training"), &test.labeled("test"), seed)
            }
        }
    }
}

impl Labeled {
    fn new(features: Features, dataset: &Dataset) -> Self {
        let class = |&sample: &usize| dataset.items[sample].class.unwrap_or(0) as u32;
        Self { labels: features.samples.iter().map(class).collect(), features: features.values, width: features.width }
    }

    fn labeled<'a>(&'a self, name: &'a str) -> LabeledFeatures<'a> {
        LabeledFeatures { name, features: &self.features, width: self.width, labels: &self.labels }
    }

    fn halves(&self, seed: u64) -> [Self; 2] {
        let order = Stream::new(seed, 0, 0, Purpose::Split).permutation(self.labels.len());
        let part = |rows: &[usize]| Self {
            features: rows.iter().flat_map(|&row| self.features[row * self.width..][..self.width].iter().copied()).collect(),
            width: self.width,
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        };
        let (train, test) = order.split_at(order.len() / 2);
        [part(train), part(test)]
    }
}
