//! What all lessons share whose matter is views of an image.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use super::Network;
use super::hidden_patches::Hidden;
use super::lesson::{Outcome, Place};
use super::prototypes::normalized;
use super::view_batch::{ViewBatch, ViewGroup};
use crate::backbone::batch_norm::Statistics;
use crate::backbone::linear::normal;
use crate::error::{Error, Result};
use crate::kernel::{self, RowError};
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::weights::safetensors_file::TensorMap;

/// A lesson about views.
pub trait ViewLesson: Send {
    /// What views there are.
    fn views(&self) -> &Views;

    /// Whether the running average of the network teaches it.
    fn follows_average(&self) -> bool;

    /// Takes the running average as it is now as the teacher.
    fn follow(&mut self, average: Network) {
        let _ = average;
    }

    /// Whether an answer that is the same for every image can be a right one.
    fn can_collapse(&self) -> bool {
        true
    }

    /// Prepares a step. `images` are a loader's; `keys` tell its samples apart.
    fn batch(&self, images: &[f32], epoch: u64, keys: &[u64]) -> ViewBatch {
        self.views().batch(images, epoch, keys)
    }

    /// The loss of a step; with `wants_figures`, what is to be watched too.
    ///
    /// # Errors
    /// If nobody teaches, or the network has another head.
    fn outcome(&self, network: &Network, batch: &ViewBatch, place: Place, wants_figures: bool) -> Result<Outcome>;

    /// What the names of parameters begin with that stay as they are at a step.
    fn frozen(&self, place: Place) -> &'static [&'static str] {
        let _ = place;
        &[]
    }

    /// Takes note of what the micro-batches of a step gave to be kept.
    fn learned(&mut self, kept: Vec<Tensor<2>>) {
        let _ = kept;
    }

    /// What has to be kept to go on bit for bit, by name.
    fn state(&self) -> Vec<(&'static str, Tensor<2>)> {
        Vec::new()
    }

    /// Takes what was kept.
    fn restore(&mut self, state: &TensorMap, device: &Device) {
        let _ = (state, device);
    }
}

/// The views of an image.
#[derive(Debug, Clone)]
pub struct Views {
    /// H and W of each; global ones first.
    pub sizes: Vec<[usize; 2]>,
    /// G: global views.
    pub global: usize,
    channels_and_patch: [usize; 2],
    seed: u64,
}

impl Views {
    /// The recipe's.
    pub fn new(recipe: &Recipe) -> Self {
        Self {
            sizes: recipe.views().iter().map(|view| [view.height, view.width]).collect(),
            global: recipe.augment.views,
            channels_and_patch: [recipe.data.channels, recipe.backbone.patch],
            seed: recipe.seed,
        }
    }

    /// Prepares a step. `images` as [`ViewBatch::new`] wants them; `keys` tell the samples apart.
    pub fn batch(&self, images: &[f32], epoch: u64, keys: &[u64]) -> ViewBatch {
        ViewBatch::new(images, &self.sizes, self.channels_and_patch, epoch, keys)
    }

    /// The network's features of all views, view by view: `[V·B, D]`.
    ///
    /// # Errors
    /// If it compares no views.
    pub fn shown(&self, network: &Network, batch: &ViewBatch) -> Result<Tensor<2>> {
        self.shown_of(network, batch, 0..self.sizes.len())
    }

    /// The network's features of some views, view by view: `[views·B, D]`.
    ///
    /// # Errors
    /// If it compares no views.
    pub fn shown_of(&self, network: &Network, batch: &ViewBatch, views: Range<usize>) -> Result<Tensor<2>> {
        let (model, device) = (network.views()?, network.device());
        let features = of_groups(batch, views).map(|(group, views)| {
            let drop_path = network.drop_path(self.seed, batch.epoch, &batch.keys, views.clone());
            model.features(group.patches(views, device), group.grid, drop_path.as_ref(), Statistics::on(device))
        });
        Ok(Tensor::cat(features.collect(), 0))
    }

    /// A teacher's features of the global views, view by view: `[G·B, D]`.
    ///
    /// # Errors
    /// If it compares no views.
    pub fn taught(&self, teacher: &Network, batch: &ViewBatch) -> Result<Tensor<2>> {
        self.taught_of(teacher, batch, 0..self.global)
    }

    /// A teacher's features of some views, view by view: `[views·B, D]`.
    ///
    /// # Errors
    /// If it compares no views.
    pub fn taught_of(&self, teacher: &Network, batch: &ViewBatch, views: Range<usize>) -> Result<Tensor<2>> {
        let (model, device) = (teacher.views()?, teacher.device());
        let features =
            of_groups(batch, views).map(|(group, views)| model.features(group.patches(views, device), group.grid, None, Statistics::Batch));
        Ok(Tensor::cat(features.collect(), 0))
    }

    /// What [`Views::shown`] tells, and the patches of the global views, of which some are hidden: `[V·B, D]` and `[G·B, N, D]`.
    ///
    /// # Errors
    /// If the network compares no views, or no patches.
    pub fn shown_with_patches(&self, network: &Network, batch: &ViewBatch, hidden: &Hidden) -> Result<(Tensor<2>, Tensor<3>)> {
        let (model, device) = (network.views()?, network.device());
        let (mut features, mut patches) = (Vec::new(), None);
        for group in &batch.groups {
            let views = group.first..group.first + group.count;
            let drop_path = network.drop_path(self.seed, batch.epoch, &batch.keys, views.clone());
            let shown = group.patches(views, device);
            // Global views are of one size, and the first ones.
            features.push(if group.first == 0 {
                let mask = hidden.mask(group.count * batch.batch, device);
                let (feature, tokens) = model.features_and_patches(shown, Some(mask), drop_path.as_ref())?;
                patches = Some(tokens.narrow(0, 0, self.global * batch.batch));
                feature
            } else {
                model.features(shown, group.grid, drop_path.as_ref(), Statistics::on(device))
            });
        }
        let patches = patches.ok_or_else(|| Error::Failed("patches are compared, and there are no views".into()))?;
        Ok((Tensor::cat(features, 0), patches))
    }

    /// What [`Views::taught`] tells, and a teacher's patches of the global views, of which it sees everything: `[G·B, D]` and `[G·B, N, D]`.
    ///
    /// # Errors
    /// If it compares no views, or no patches.
    pub fn taught_with_patches(&self, teacher: &Network, batch: &ViewBatch) -> Result<(Tensor<2>, Tensor<3>)> {
        let group = batch.groups.first().ok_or_else(|| Error::Failed("patches are compared, and there are no views".into()))?;
        teacher.views()?.features_and_patches(group.patches(0..self.global, teacher.device()), None, None)
    }

    /// Directions that mean nothing yet: `[count, width]`, a function of the seed.
    pub fn random_directions(&self, count: usize, width: usize, device: &Device) -> Tensor<2> {
        let values = normal(count * width, 1.0, &mut Stream::new(self.seed, 0, 0, Purpose::Queue));
        normalized(Tensor::<1>::from_floats(&values[..], device).reshape([count, width]))
    }
}

/// The groups with some of the `views`, and which.
fn of_groups(batch: &ViewBatch, views: Range<usize>) -> impl Iterator<Item = (&ViewGroup, Range<usize>)> {
    batch.groups.iter().map(move |group| (group, group.views_among(&views))).filter(|(_, views)| !views.is_empty())
}

/// The deviation of the numbers of normalized features over a batch, as a share of what it is where features point everywhere alike, 1/√D.
/// Shapes: `features [M, D]` to `[1]`.
pub fn spread(features: Tensor<2>) -> Tensor<1> {
    let [rows, width] = features.dims();
    let direction = normalized(features);
    let mean = direction.clone().mean_dim(0);
    let variance = (direction - mean).powi_scalar(2).sum_dim(0) * (1.0 / rows.max(1) as f64);
    variance.sqrt().mean() * (width as f64).sqrt()
}

/// The mean cross-entropy of rows of scores, of which `right` tells the right column. Shapes: `[R, C]` to `[1]`.
pub fn entropy(scores: Tensor<2>, right: &dyn Fn(usize) -> usize) -> Tensor<1> {
    let ([rows, _], device) = (scores.dims(), scores.device());
    let classes: Vec<f32> = (0..rows).map(|row| right(row) as f32).collect();
    let classes = Tensor::from_data(TensorData::new(classes, [1, rows, 1]), &device);
    kernel::row_error(scores.unsqueeze(), classes, Tensor::ones([1, rows], &device), RowError::Entropy, 0.0)
}
