//! How far predicted rows are from their targets, on the CPU: one pass forward and one backward, instead of ten over a batch of images.

use rayon::prelude::*;

use super::pool::Pooled;
use super::simd::{Job, change_and_sum, exp, max, sum, vectorized};

/// The error of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RowError {
    /// The mean of `(x - t)²`.
    Square,
    /// The mean of `|x - t|`.
    Absolute,
    /// The mean of `(x - t)² / 2β` where it is smaller than β, else of `|x - t| - β/2` (Girshick, *Fast R-CNN*, 2015).
    Smooth {
        /// β
        beta: f32,
    },
    /// `-log softmax(x)[class]`; the target is the class's number, in rows of one.
    Entropy,
    /// `-Σ t log softmax(x · sharpness)`; the target is a distribution, whose numbers add up to one.
    Distribution {
        /// One over the temperature of the softmax.
        sharpness: f32,
    },
}

impl RowError {
    /// Numbers of a target's row, for predictions of so many.
    fn target_width(self, width: usize) -> usize {
        if self == Self::Entropy { 1 } else { width }
    }
}

/// Rows of one task.
const CHUNK: usize = 64;

/// The weighted mean over rows of each row's error, `sum(w · error) / (sum(w) + addend)`. Shapes: `prediction [R, W]`, `target [R, W]` or
/// `[R, 1]`, `weights [R]`.
pub fn forward(prediction: &[f32], target: &[f32], weights: &[f32], error: RowError, addend: f64) -> f32 {
    let width = prediction.len() / weights.len().max(1);
    let mut errors = vec![0.0; weights.len()];
    let targets = target.par_chunks(CHUNK * error.target_width(width));
    errors.par_chunks_mut(CHUNK).zip(prediction.par_chunks(CHUNK * width)).zip(targets).for_each_init(
        Vec::new,
        |scratch, ((errors, prediction), target)| {
            vectorized(Errors { errors, scratch, prediction, target, error });
        },
    );
    let total: f64 =
        errors.iter().zip(weights).filter(|(_, weight)| **weight != 0.0).map(|(error, weight)| f64::from(error * weight)).sum();
    (total / (total_of(weights) + addend)) as f32
}

/// The gradient of `prediction [R, W]`, where `dloss` is that of the loss.
pub fn backward(dloss: f32, prediction: &[f32], target: &[f32], weights: &[f32], error: RowError, addend: f64) -> Pooled {
    let width = prediction.len() / weights.len().max(1);
    let whole = f64::from(dloss) / (total_of(weights) + addend);
    let mut gradient = Pooled::new(prediction.len());
    let rows = prediction.par_chunks(CHUNK * width).zip(target.par_chunks(CHUNK * error.target_width(width)));
    gradient.par_chunks_mut(CHUNK * width).zip(rows.zip(weights.par_chunks(CHUNK))).for_each(
        |(gradient, ((prediction, target), weights))| {
            vectorized(Gradients { gradient, prediction, target, weights, whole, error });
        },
    );
    gradient
}

fn total_of(weights: &[f32]) -> f64 {
    weights.iter().map(|&weight| f64::from(weight)).sum()
}

struct Errors<'a> {
    errors: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
    prediction: &'a [f32],
    target: &'a [f32],
    error: RowError,
}

impl Job for Errors<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.prediction.len() / self.errors.len();
        let rows = self.prediction.chunks_exact(width).zip(self.target.chunks_exact(self.error.target_width(width)));
        let rows = self.errors.iter_mut().zip(rows);
        let mean = |prediction: &[f32], target: &[f32]| -> f32 {
            let sum = match self.error {
                RowError::Absolute => sum([prediction, target], |[x, t]| (x - t).abs()),
                RowError::Smooth { beta } => sum([prediction, target], |[x, t]| smooth(x - t, beta)),
                _ => sum([prediction, target], |[x, t]| (x - t) * (x - t)),
            };
            sum / width as f32
        };
        for (error, (prediction, target)) in rows {
            *error = match self.error {
                RowError::Entropy => {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(prediction);
                    let largest = max(prediction);
                    largest + change_and_sum(self.scratch, |score| exp(score - largest)).ln() - score_of(prediction, target)
                }
                RowError::Distribution { sharpness } => {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(prediction);
                    let largest = max(prediction);
                    let log = change_and_sum(self.scratch, |score| exp(sharpness * (score - largest))).ln();
                    log - sharpness * sum([prediction, target], |[x, t]| t * (x - largest))
                }
                _ => mean(prediction, target),
            };
        }
    }
}

struct Gradients<'a> {
    gradient: &'a mut [f32],
    prediction: &'a [f32],
    target: &'a [f32],
    weights: &'a [f32],
    /// Of the loss, over the sum of all weights.
    whole: f64,
    error: RowError,
}

impl Job for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.prediction.len() / self.weights.len();
        let rows = self.prediction.chunks_exact(width).zip(self.target.chunks_exact(self.error.target_width(width)));
        for ((gradient, (prediction, target)), weight) in self.gradient.chunks_exact_mut(width).zip(rows).zip(self.weights) {
            let scale = self.whole * f64::from(*weight);
            let each = (scale / width as f64) as f32;
            let inputs = gradient.iter_mut().zip(prediction).zip(target);
            match self.error {
                RowError::Square => {
                    let twice = (2.0 * scale / width as f64) as f32;
                    inputs.for_each(|((gradient, x), t)| *gradient = twice * (x - t));
                }
                RowError::Absolute => inputs.for_each(|((gradient, x), t)| *gradient = each * sign(x - t)),
                RowError::Smooth { beta } => inputs.for_each(|((gradient, x), t)| *gradient = each * ((x - t) / beta).clamp(-1.0, 1.0)),
                RowError::Entropy => {
                    let largest = max(prediction);
                    gradient.copy_from_slice(prediction);
                    let factor = scale as f32 / change_and_sum(gradient, |score| exp(score - largest));
                    gradient.iter_mut().for_each(|probability| *probability *= factor);
                    if let Some(of_class) = target.first().and_then(|&class| gradient.get_mut(class as usize)) {
                        *of_class -= scale as f32;
                    }
                }
                RowError::Distribution { sharpness } => {
                    let (largest, scale) = (max(prediction), scale as f32 * sharpness);
                    gradient.copy_from_slice(prediction);
                    let factor = scale / change_and_sum(gradient, |score| exp(sharpness * (score - largest)));
                    gradient.iter_mut().zip(target).for_each(|(probability, t)| *probability = *probability * factor - scale * t);
                }
            }
        }
    }
}

/// The score of a row's class; not a number if there is no such class.
fn score_of(prediction: &[f32], target: &[f32]) -> f32 {
    target.first().and_then(|&class| prediction.get(class as usize)).copied().unwrap_or(f32::NAN)
}

#[inline(always)]
fn smooth(difference: f32, beta: f32) -> f32 {
    let size = difference.abs();
    if size < beta { size * size * (0.5 / beta) } else { size - 0.5 * beta }
}

/// 0 for 0, as PyTorch has it.
#[inline(always)]
fn sign(difference: f32) -> f32 {
    if difference > 0.0 {
        1.0
    } else if difference < 0.0 {
        -1.0
    } else {
        0.0
    }
}
