//! What is done to a parameter and its gradient between two steps, on the CPU: each one pass over its numbers, in place and on all threads.

use rayon::prelude::*;

use super::simd::{Job, sum, vectorized};

/// The numbers of an AdamW update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// One minus each of them, rounded once.
    pub rests: [f32; 2],
    /// What the parameter is multiplied by: 1 - learning rate · weight decay.
    pub keep: f32,
    /// Learning rate over the first moment's bias correction.
    pub rate: f32,
    /// Root of the second moment's bias correction.
    pub root_correction: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
}

/// Elements of one task.
const CHUNK: usize = 1 << 14;

/// An AdamW update of values and moments. All have the same length.
pub fn adamw(values: &mut [f32], gradient: &[f32], [first, second]: [&mut [f32]; 2], numbers: Update) {
    let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    let parts = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(moments);
    parts.for_each(|((values, gradient), (first, second))| vectorized(Step { values, gradient, first, second, numbers }));
}

struct Step<'a> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    numbers: Update,
}

impl Job for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Update { betas: [beta1, beta2], rests: [rest1, rest2], keep, rate, root_correction, eps } = self.numbers;
        for (((value, gradient), first), second) in self.values.iter_mut().zip(self.gradient).zip(self.first).zip(self.second) {
            *first = *first * beta1 + gradient * rest1;
            *second = *second * beta2 + gradient * gradient * rest2;
            *value = *value * keep - *first * rate / (second.sqrt() / root_correction + eps);
        }
    }
}

/// `direction ← momentum · direction + factor · gradient`, then `values ← values - rate · direction`.
pub fn momentum(values: &mut [f32], gradient: &[f32], direction: &mut [f32], factor: f32, [momentum, rate]: [f32; 2]) {
    let parts = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(direction.par_chunks_mut(CHUNK));
    parts.for_each(|((values, gradient), direction)| vectorized(Descend { values, gradient, direction, factor, momentum, rate }));
}

struct Descend<'a> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    direction: &'a mut [f32],
    factor: f32,
    momentum: f32,
    rate: f32,
}

impl Job for Descend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((value, gradient), direction) in self.values.iter_mut().zip(self.gradient).zip(self.direction) {
            *direction = self.momentum * *direction + self.factor * gradient;
            *value -= self.rate * *direction;
        }
    }
}

/// `average ← keep · average + take · values`.
pub fn blend(average: &mut [f32], values: &[f32], shares: [f32; 2]) {
    average.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(average, values)| vectorized(Blend { average, values, shares }));
}

struct Blend<'a> {
    average: &'a mut [f32],
    values: &'a [f32],
    shares: [f32; 2],
}

impl Job for Blend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [keep, take] = self.shares;
        self.average.iter_mut().zip(self.values).for_each(|(average, value)| *average = keep * *average + take * value);
    }
}

/// `values ← factor · values`.
pub fn scale(values: &mut [f32], factor: f32) {
    values.par_chunks_mut(CHUNK).for_each(|values| vectorized(Scale { values, factor }));
}

struct Scale<'a> {
    values: &'a mut [f32],
    factor: f32,
}

impl Job for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.values.iter_mut().for_each(|value| *value *= self.factor);
    }
}

/// The sum of all squares: in single precision within a chunk, in double over all of them.
pub fn square_sum(values: &[f32]) -> f32 {
    let sums: Vec<f32> = values.par_chunks(CHUNK).map(|values| vectorized(Squares(values))).collect();
    sums.into_iter().map(f64::from).sum::<f64>() as f32
}

struct Squares<'a>(&'a [f32]);

impl Job for Squares<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        sum([self.0], |[value]| value * value)
    }
}
