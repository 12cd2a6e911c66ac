//! Training a tokenizer on a person's images.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData, activation};

use super::gumbel::noise;
use super::settings::Settings;
use super::usage::Usage;
use super::{PatchTokenizer, Sizes};
use crate::backbone::patch_embed::{patchify, unpatchify};
use crate::error::{Error, Problem, Result};
use crate::inspect::caption::labeled_strip;
use crate::inspect::picture::{Picture, contact_sheet};
use crate::inspect::strips::to_picture;
use crate::objective::Objective;
use crate::objective::cross_entropy::largest;
use crate::optim::adamw::{AdamW, clip_global_norm, global_norm};
use crate::optim::schedule::warmup_cosine;
use crate::recipe::Recipe;
use crate::train::data::TrainingData;
use crate::weights::model_file::to_host;
use crate::weights::parameters::Parameters as _;

/// How to train.
pub struct Options<'a> {
    /// Loader threads.
    pub threads: usize,
    /// Set by a signal: stop, and keep what has been learned.
    pub interrupted: &'a AtomicBool,
    /// Called now and then.
    pub on_tick: &'a mut dyn FnMut(&Tick),
}

/// Where the training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Updates done.
    pub step: usize,
    /// The latest loss.
    pub loss: f64,
    /// Perplexity of the codes of the latest batch.
    pub perplexity: f64,
    /// Throughput so far.
    pub images_per_second: f64,
    /// Seconds to go at this speed.
    pub eta_secs: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Trained {
    /// The tokenizer.
    pub tokenizer: PatchTokenizer,
    /// Updates done.
    pub steps: usize,
    /// Mean squared error of validation images drawn from one code per patch, in the network's normalized units.
    pub loss: f64,
    /// The codes of images spread over the data.
    pub usage: Usage,
    /// Images and how they look when drawn from their codes.
    pub pictures: Picture,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// Steps between two ticks.
const TICK_EVERY: usize = 10;
/// Images of which the codes are counted at most.
const COUNTED_IMAGES: usize = 512;
/// Images that are shown at most.
const SHOWN_IMAGES: usize = 8;
/// Largest norm of the gradient.
const CLIP_NORM: f64 = 1.0;

/// Trains a tokenizer for the patches, the size and the crops of a recipe, on the CPU. Equal seeds give equal tokenizers.
///
/// # Errors
/// A patch that is no power of two, unreadable data, or a loss that is no number.
pub fn train(data: &TrainingData, recipe: &Recipe, settings: &Settings, options: &mut Options<'_>) -> Result<Trained> {
    let shape = recipe.shape();
    let sizes = Sizes { channels: shape.channels, patch: shape.patch, codes: settings.codes, width: settings.width };
    let problem = |reason| Error::Recipe(vec![Problem::new("backbone.patch", reason, "choose another patch")]);
    sizes.check().map_err(problem)?;
    let (mean, std) = recipe.data.normalization();
    let mut tokenizer = PatchTokenizer::untrained(sizes, mean, std, recipe.seed, &Device::flex().autodiff());
    let mut loader = data.loader(recipe, options.threads, 0)?;
    let mut optimizer = AdamW { betas: [0.9, 0.99], weight_decay: 0.0, ..AdamW::new(&recipe.optim) };
    let (objective, begin) = (settings.objective(), Instant::now());
    let mut done = 0;
    while done < settings.steps && !options.interrupted.load(Ordering::Relaxed) {
        let batch = loader.next()?;
        let patches = cut(&batch.images, recipe);
        loader.reuse(batch.images);
        let (loss, scores) = tokenizer.loss(&patches, recipe, settings, objective.as_ref(), done);
        let gradients = tokenizer.vae.take_gradients(&mut loss.backward());
        let gradients = match global_norm(&gradients) {
            Some(norm) => clip_global_norm(gradients, &norm, CLIP_NORM),
            None => gradients,
        };
        let lr = warmup_cosine((done + 1) as f64, settings.steps as f64 / 20.0, settings.steps as f64 + 1.0, settings.lr, 0.0);
        optimizer.step(&mut tokenizer.vae, gradients, lr);
        done += 1;
        let loss = f64::from(to_host(loss.without_autodiff())?.first().copied().unwrap_or(f32::NAN));
        if !loss.is_finite() {
            return Err(Error::Failed(format!("the loss became NaN or infinite at step {done}: lower the learning rate, `lr`")));
        }
        if done.is_multiple_of(TICK_EVERY) || done == settings.steps {
            let mut usage = Usage::new(settings.codes);
            usage.add(&to_host(scores)?.chunks_exact(settings.codes).map(largest).collect::<Vec<_>>());
            let per_step = begin.elapsed().as_secs_f64() / done as f64;
            (options.on_tick)(&Tick {
                step: done,
                loss,
                perplexity: usage.perplexity(),
                images_per_second: recipe.optim.batch as f64 / per_step,
                eta_secs: per_step * (settings.steps - done) as f64,
            });
        }
    }
    let tokenizer = PatchTokenizer::from_tensors(&tokenizer.tensors()?).map_err(Error::Failed)?;
    let (loss, usage, pictures) = (tokenizer.judged_on(data, recipe)?, tokenizer.usage(data, recipe)?, tokenizer.pictures(data, recipe)?);
    Ok(Trained { tokenizer, steps: done, loss, usage, pictures, interrupted: done < settings.steps })
}

/// Images `[B, H, W, C]` as patches `[B·N, P·P·C]`.
fn cut(images: &[f32], recipe: &Recipe) -> Vec<f32> {
    let shape = recipe.shape();
    let patches = images.chunks_exact(shape.image_values());
    patches.flat_map(|image| patchify(image, shape.height, shape.width, shape.channels, shape.patch)).collect()
}

impl PatchTokenizer {
    /// The loss of a batch, `[1]`, and its scores without noise, `[B, N, K]`.
    fn loss(
        &self,
        patches: &[f32],
        recipe: &Recipe,
        settings: &Settings,
        objective: &dyn Objective,
        step: usize,
    ) -> (Tensor<1>, Tensor<3>) {
        let grid = recipe.shape().grid();
        let pixels = self.vae.input(patches, grid, &self.device);
        let [batch, count, _] = pixels.dims();
        let codes = settings.codes;
        let scores = self.vae.scores(pixels.clone(), grid);
        let noise = TensorData::new(noise(recipe.seed, step as u64, batch, count * codes), [batch, count, codes]);
        let noisy = (scores.clone() + Tensor::from_data(noise, &self.device)) * settings.temperature_at(step).recip();
        let mut shares = activation::softmax(noisy, 2);
        if settings.straight_through {
            let soft = shares.clone().detach();
            let hard = soft.clone().equal(soft.clone().max_dim(2).expand([batch, count, codes])).float();
            shares = shares + (hard - soft);
        }
        let drawn = self.vae.draw(shares, grid);
        let mut loss = objective.loss(drawn, pixels, Tensor::ones([batch, count], &self.device));
        if settings.kl_weight > 0.0 {
            // From equal shares: the logarithm of K, less the entropy.
            let log = activation::log_softmax(scores.clone(), 2);
            let entropy = (log.clone().exp() * log).sum() / (batch * count) as f64 * -1.0;
            loss = loss + (entropy * -1.0 + (codes as f64).ln()) * settings.kl_weight;
        }
        (loss, scores.without_autodiff())
    }

    /// Drawings `[N, P·P·C]` of one image from its codes, beside its patches.
    fn drawn(&self, image: &[f32], recipe: &Recipe) -> Result<(Vec<f32>, Vec<f32>)> {
        let (patches, grid) = (cut(image, recipe), recipe.shape().grid());
        let drawn = self.draw(&self.ids(&patches, grid)?, grid)?;
        Ok((patches, drawn))
    }

    fn judged_on(&self, data: &TrainingData, recipe: &Recipe) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0_usize);
        for image in data.validation.iter().filter_map(|&sample| data.look(sample, recipe)) {
            let (patches, drawn) = self.drawn(&image, recipe)?;
            sum += patches.iter().zip(&drawn).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            count += patches.len();
        }
        Ok(sum / count.max(1) as f64)
    }

    fn usage(&self, data: &TrainingData, recipe: &Recipe) -> Result<Usage> {
        let (mut usage, count) = (Usage::new(self.sizes.codes), data.train.len().min(COUNTED_IMAGES));
        let samples = (0..count).map(|place| data.train[place * data.train.len() / count]);
        for image in samples.filter_map(|sample| data.look(sample, recipe)) {
            usage.add(&self.ids(&cut(&image, recipe), recipe.shape().grid())?);
        }
        Ok(usage)
    }

    /// Images above, their drawings below.
    fn pictures(&self, data: &TrainingData, recipe: &Recipe) -> Result<Picture> {
        const GUTTER: usize = 4;
        const PAPER: [u8; 3] = [255; 3];
        let (shape, mut rows) = (recipe.shape(), [Vec::new(), Vec::new()]);
        for image in data.validation.iter().filter_map(|&sample| data.look(sample, recipe)).take(SHOWN_IMAGES) {
            let (_, drawn) = self.drawn(&image, recipe)?;
            let [grid_rows, cols] = shape.grid();
            let drawn = unpatchify(&drawn, grid_rows, cols, shape.channels, shape.patch);
            for (row, values) in rows.iter_mut().zip([image, drawn]) {
                row.push(to_picture(&values, shape.height, shape.width, recipe)?);
            }
        }
        let rows = rows.map(|row| contact_sheet(&row, row.len(), GUTTER, PAPER));
        let rows = ["images", "drawn from their codes"].into_iter().zip(rows).map(|row| labeled_strip(&[row], "")).collect::<Vec<_>>();
        Ok(contact_sheet(&rows, 1, GUTTER, PAPER))
    }
}

#[cfg(test)]
mod tests;
