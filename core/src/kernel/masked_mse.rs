//! The mean squared error of predicted patches on the CPU: one pass forward and one backward, instead of ten over a batch of images.

use rayon::prelude::*;

use super::pool::Pooled;
use super::simd::{Job, sum, vectorized};

/// Rows of one task.
const CHUNK: usize = 64;

/// The mean over rows, weighted, of each row's mean squared error. Shapes: `prediction` and `target [R, W]`, `weights [R]`.
pub fn forward(prediction: &[f32], target: &[f32], weights: &[f32]) -> f32 {
    let width = prediction.len() / weights.len().max(1);
    let mut errors = vec![0.0; weights.len()];
    let rows = prediction.par_chunks(CHUNK * width).zip(target.par_chunks(CHUNK * width));
    errors.par_chunks_mut(CHUNK).zip(rows).for_each(|(errors, (prediction, target))| {
        vectorized(Errors { errors, prediction, target, width });
    });
    let total: f64 = errors.iter().zip(weights).map(|(error, weight)| f64::from(error * weight)).sum();
    (total / total_of(weights)) as f32
}

/// The gradient of `prediction [R, W]`, where `dloss` is that of the loss.
pub fn backward(dloss: f32, prediction: &[f32], target: &[f32], weights: &[f32]) -> Pooled {
    let width = prediction.len() / weights.len().max(1);
    let scale = f64::from(dloss) * 2.0 / (width as f64 * total_of(weights));
    let mut gradient = Pooled::new(prediction.len());
    let rows = prediction.par_chunks(CHUNK * width).zip(target.par_chunks(CHUNK * width)).zip(weights.par_chunks(CHUNK));
    gradient.par_chunks_mut(CHUNK * width).zip(rows).for_each(|(gradient, ((prediction, target), weights))| {
        let rows = gradient.chunks_exact_mut(width).zip(prediction.chunks_exact(width)).zip(target.chunks_exact(width));
        for (((gradient, prediction), target), weight) in rows.zip(weights) {
            let scale = (scale * f64::from(*weight)) as f32;
            gradient.iter_mut().zip(prediction).zip(target).for_each(|((gradient, p), t)| *gradient = scale * (p - t));
        }
    });
    gradient
}

fn total_of(weights: &[f32]) -> f64 {
    weights.iter().map(|&weight| f64::from(weight)).sum()
}

struct Errors<'a> {
    errors: &'a mut [f32],
    prediction: &'a [f32],
    target: &'a [f32],
    width: usize,
}

impl Job for Errors<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.prediction.chunks_exact(self.width).zip(self.target.chunks_exact(self.width));
        for (error, (prediction, target)) in self.errors.iter_mut().zip(rows) {
            *error = sum([prediction, target], |[p, t]| (p - t) * (p - t)) / self.width as f32;
        }
    }
}
