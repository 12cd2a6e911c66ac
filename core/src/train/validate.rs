//! A look at the network in training: the loss on fixed images with fixed masks beside what no network scores, and preview pictures.

use std::collections::BTreeMap;

use burn::tensor::activation::softmax;
use rayon::prelude::*;

use super::baseline::{BaselineTally, Baselines};
use super::data::TrainingData;
use crate::backbone::patch_embed::patchify;
use crate::error::Result;
use crate::inspect::encoder::{Images, Query, attention, feature_lengths};
use crate::inspect::reconstruct::{Reconstruction, reconstruct};
use crate::inspect::strips::with_known_classes;
use crate::mask::{Grid, Mask, MaskStrategy};
use crate::method::masked_batch::ImageShape;
use crate::method::pretext::Pretext;
use crate::method::view_lesson::ViewLesson as _;
use crate::method::{Network, Task};
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::weights::model_file::to_host;
use crate::weights::safetensors_file::{self, HostTensor, TensorMap};

/// Fixed images with fixed masks.
pub struct FixedSet {
    /// Normalized, `[K, H, W, C]`.
    pub images: Vec<f32>,
    /// One per image; none where views are compared.
    pub masks: Vec<Mask>,
    /// Their indices in the data set.
    pub samples: Vec<usize>,
    /// Their names.
    pub names: Vec<String>,
}

/// The targets of a fixed set, summed up.
pub struct Asked {
    /// What no network scores, in the task's target units; `None` where nothing is hidden.
    pub baselines: Option<Baselines>,
    /// How different what is asked for is from patch to patch: the deviation of its numbers, each from its own mean over all patches, as a
    /// share of their size. 0 where every patch is asked for the same; `None` where there is nothing but zeros.
    pub spread: Option<f64>,
    /// The mean size of its numbers.
    pub size: f64,
}

impl FixedSet {
    /// Loads images (scaled and center-cropped) and draws each one's mask, if there is a strategy, from (seed, index). Images that cannot be
    /// read are left out.
    pub fn load(data: &TrainingData, samples: &[usize], recipe: &Recipe, strategy: Option<&dyn MaskStrategy>) -> Self {
        let mask = |sample: usize| strategy.map(|strategy| fixed_mask(strategy, recipe.grid(), recipe.seed, sample));
        let prepare = |&sample: &usize| Some((sample, data.look(sample, recipe)?, mask(sample)));
        let loaded: Vec<_> = samples.par_iter().filter_map(prepare).collect();
        let mut set = Self { images: Vec::new(), masks: Vec::new(), samples: Vec::new(), names: Vec::new() };
        for (sample, image, mask) in loaded {
            set.samples.push(sample);
            set.names.push(data.source.name(sample));
            set.images.extend(image);
            set.masks.extend(mask);
        }
        set
    }

    /// What can be said of the targets of this set without any network.
    pub fn asked(&self, task: &Task) -> Asked {
        let output = task.output();
        // Pixels are ordered (row, column, channel); of other rows every number is a feature of its own.
        let period = if task.target.is_pixels() { task.shape.channels } else { output.row_width() };
        let mut tally = BaselineTally::new(task.objective.as_ref(), output, period);
        let (mut sums, mut squares, mut sizes, mut count) = (vec![0.0; output.row_width()], 0.0, 0.0, 0.0);
        for (image, mask) in self.images.chunks_exact(task.shape.image_values()).zip(&self.masks) {
            let targets = task.targets(image);
            tally.add(&targets, mask);
            for row in targets.chunks_exact(output.row_width()) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
                squares += row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
                sizes += row.iter().map(|&value| f64::from(value.abs())).sum::<f64>();
                count += 1.0;
            }
        }
        let of_means: f64 = sums.iter().map(|sum| sum * sum / count).sum();
        let spread = (squares > 0.0).then(|| ((squares - of_means).max(0.0) / squares).sqrt());
        Asked { baselines: tally.finish(), spread, size: sizes / f64::max(count * output.row_width() as f64, 1.0) }
    }

    /// The objective over the set, images weighted by their predicted patches, and with it the share of them that is right, where there is
    /// right and wrong; `None` for an empty set.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss(&self, network: &Network, task: &Task, batch: usize) -> Result<Option<(f64, Option<f64>)>> {
        let (mut sum, mut weight, mut right) = (0.0, 0.0, None);
        let images = self.images.chunks(task.shape.image_values() * batch.max(1));
        for (images, masks) in images.zip(self.masks.chunks(batch.max(1))) {
            let counted = |mask: &Mask| if task.objective.covers_visible() { mask.masked.len() } else { mask.num_masked() };
            let patches = masks.iter().map(counted).sum::<usize>() as f64;
            let drawn = reconstruct(network, task, images, masks)?;
            sum += drawn.loss * patches;
            weight += patches;
            right = drawn.accuracy.map(|accuracy| right.unwrap_or(0.0) + accuracy * patches);
        }
        Ok((weight > 0.0).then(|| (sum / weight, right.map(|right| right / weight))))
    }

    /// Writes `images [K, H, W, C]` (normalized) and the last layer's `attention [K, heads, N]`, of the class token. With a task, writes what it
    /// hides and what the network draws there too, `mask [K, N]`, `prediction [K, N, width]` and `patch_error [K, N]`. Predictions that can be
    /// drawn without borrowing from the original are written as pixels, others as they are; beside those that are no pixels stands what was
    /// asked for, `target [K, N, row width]`, and the recipe.
    ///
    /// Where the network is not shown all of the images, there is what it is shown, `shown [K, H, W, C]`. Where it solves V puzzles of
    /// each, there are these, `puzzles [K, V, H, W, C]`, the classes that solve them, `answers [K, V]`, how probable it thinks each class,
    /// `probabilities [K, V, classes]`, and the recipe.
    ///
    /// # Errors
    /// If the device fails or the file cannot be written.
    pub fn write_preview(&self, network: &Network, task: Option<&Task>, recipe: &Recipe, path: &std::path::Path) -> Result<()> {
        let (shape, count) = (recipe.shape(), self.samples.len());
        let patches = shape.num_patches();
        let shown = task.and_then(|task| task.shown(&self.images));
        let images =
            Images { values: shown.clone().unwrap_or_else(|| self.images.clone()), batch: count, height: shape.height, width: shape.width };
        let has_attention = network.encoder().config().heads_of(0) > 0;
        let (heads, rows) = if has_attention { class_maps(network, &images, shape)? } else { (1, length_maps(network, &images, shape)?) };
        let mut tensors = BTreeMap::from([
            ("images".to_owned(), HostTensor::new([count, shape.height, shape.width, shape.channels], self.images.clone())),
            ("attention".to_owned(), HostTensor::new([count, heads, patches], rows)),
        ]);
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let mut metadata = BTreeMap::from([
            ("patch".to_owned(), shape.patch.to_string()),
            ("mean".to_owned(), list(&recipe.data.mean)),
            ("std".to_owned(), list(&recipe.data.std)),
            ("names".to_owned(), serde_json::Value::from(self.names.clone()).to_string()),
            ("maps".to_owned(), if has_attention { "attention" } else { "lengths" }.to_owned()),
        ]);
        let shape_of_all = [count, shape.height, shape.width, shape.channels];
        tensors.extend(shown.map(|shown| ("shown".to_owned(), HostTensor::new(shape_of_all, shown))));
        if let Some(pretext) = Pretext::of(recipe) {
            self.pose(network, &pretext, recipe, &mut tensors)?;
            metadata.insert("recipe".to_owned(), recipe.to_toml());
        }
        if let Some(task) = task {
            let is_depicted = self.draw(network, task, &mut tensors)?;
            metadata.insert("brightness_borrowed".to_owned(), task.target.borrows_brightness().to_string());
            metadata.extend(is_depicted.then(|| ("recipe".to_owned(), recipe.to_toml())));
        }
        safetensors_file::write(path, &tensors, &metadata)
    }

    /// Adds puzzles, what solves them, and how probable the network thinks each answer, to a preview.
    fn pose(&self, network: &Network, pretext: &Pretext, recipe: &Recipe, tensors: &mut TensorMap) -> Result<()> {
        let (ImageShape { height, width, channels, .. }, count) = (recipe.shape(), self.samples.len());
        let keys: Vec<u64> = self.samples.iter().map(|&sample| sample as u64).collect();
        let images = self.images.chunks_exact(height * width * channels);
        let posed: Vec<_> = images.zip(&keys).map(|(image, &key)| pretext.posed(image, 0, key)).collect();
        let each = posed.first().map_or(0, Vec::len);
        // The network sees all first puzzles, then all second ones; a preview has those of an image together.
        let scores = pretext.scores(network, &pretext.batch(&self.images, 0, &keys))?;
        let classes = scores.dims()[1];
        let all = to_host(softmax(scores, 1))?;
        let of_image =
            |image: usize| (0..each).flat_map(move |puzzle| (puzzle * count + image) * classes..(puzzle * count + image + 1) * classes);
        let probabilities = (0..count).flat_map(of_image).map(|at| all[at]).collect();
        let answers = posed.iter().flatten().map(|(_, class)| *class as f32).collect();
        let puzzles = posed.into_iter().flatten().flat_map(|(puzzle, _)| puzzle).collect();
        tensors.insert("puzzles".to_owned(), HostTensor::new([count, each, height, width, channels], puzzles));
        tensors.insert("answers".to_owned(), HostTensor::new([count, each], answers));
        tensors.insert("probabilities".to_owned(), HostTensor::new([count, each, classes], probabilities));
        Ok(())
    }

    /// Adds what is hidden, and what the network draws there, to a preview; true if that are no pixels.
    fn draw(&self, network: &Network, task: &Task, tensors: &mut TensorMap) -> Result<bool> {
        let (count, patches) = (self.samples.len(), task.shape.num_patches());
        let drawn = reconstruct(network, task, &self.images, &self.masks)?;
        let pixels = self.as_pixels(task, &drawn);
        let is_depicted = pixels.is_none() && !task.target.is_pixels();
        let prediction = pixels.unwrap_or(drawn.prediction);
        let width = prediction.len() / (count * patches).max(1);
        let flags = |of: fn(&Mask) -> Vec<bool>| {
            let flags = self.masks.iter().flat_map(of).map(|flag| f32::from(u8::from(flag))).collect();
            HostTensor::new([count, patches], flags)
        };
        tensors.insert("mask".to_owned(), flags(|mask| mask.masked.clone()));
        tensors.insert("prediction".to_owned(), HostTensor::new([count, patches, width], prediction));
        tensors.insert("patch_error".to_owned(), HostTensor::new([count, patches], drawn.patch_error));
        if self.masks.iter().any(|mask| mask.num_left_out() + mask.num_secondary() > 0) {
            tensors.insert("left_out".to_owned(), flags(Mask::withheld));
        }
        if is_depicted {
            tensors.insert("target".to_owned(), HostTensor::new([count, patches, task.output().row_width()], drawn.targets));
        }
        Ok(is_depicted)
    }

    /// Predictions as normalized pixels `[K, N, P·P·C]`.
    fn as_pixels(&self, task: &Task, Reconstruction { prediction, targets, .. }: &Reconstruction) -> Option<Vec<f32>> {
        if task.target.borrows_brightness() {
            return None;
        }
        let (count, output) = (task.shape.num_patches(), task.output());
        let rows = prediction.chunks_exact(count * output.prediction_width()).zip(targets.chunks_exact(count * output.row_width()));
        let images = self.images.chunks_exact(task.shape.image_values()).zip(&self.masks).zip(rows);
        let ImageShape { height, width, channels, patch } = task.shape;
        let drawn = images.map(|((image, mask), (prediction, targets))| {
            let prediction = with_known_classes(task, mask, prediction, targets);
            Some(patchify(&task.draw(image, &prediction)?, height, width, channels, patch))
        });
        Some(drawn.collect::<Option<Vec<_>>>()?.concat())
    }
}

/// The mask that image `sample` always gets when it is looked at.
pub fn fixed_mask(strategy: &dyn MaskStrategy, grid: Grid, seed: u64, sample: usize) -> Mask {
    let stream = |sample: u64, purpose: Purpose| Stream::new(seed, 0, sample, purpose);
    strategy.sample_alike(grid, &mut stream(0, Purpose::MaskSize), &mut stream(sample as u64, Purpose::Validation))
}

/// What the class token attends to, head by head: their number, and `[K, heads, N]`.
fn class_maps(network: &Network, images: &Images, shape: ImageShape) -> Result<(usize, Vec<f32>)> {
    let maps = attention(network, images, -1)?;
    let mut rows = Vec::new();
    for image in 0..images.batch {
        for head in 0..maps.heads {
            rows.extend(on_grid(&maps.query(image, head, Query::Cls)?, maps.grid, shape.grid()));
        }
    }
    Ok((maps.heads, rows))
}

/// How long the last features are in each place, for networks that attend to nothing: what an image's feature is mostly made of. `[K, N]`
fn length_maps(network: &Network, images: &Images, shape: ImageShape) -> Result<Vec<f32>> {
    let (lengths, grid) = feature_lengths(network, images)?;
    Ok(lengths.chunks_exact((grid[0] * grid[1]).max(1)).flat_map(|map| on_grid(map, grid, shape.grid())).collect())
}

/// A map on a finer grid: every place gets the value of the one that it lies in. Shapes: `map [n]` of `from` to `[N]` of `to`.
fn on_grid(map: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let place = |row: usize, col: usize| row * from[0] / to[0] * from[1] + col * from[1] / to[1];
    (0..to[0]).flat_map(|row| (0..to[1]).map(move |col| map[place(row, col)])).collect()
}
