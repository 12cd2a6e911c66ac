//! One AdamW update of one parameter as one pass instead of twelve.

use rayon::prelude::*;

use super::simd::{Job, vectorized};

/// The numbers of one update.
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

/// Updates values and moments in place. All have the same length.
pub fn update(values: &mut [f32], gradient: &[f32], [first, second]: [&mut [f32]; 2], numbers: Update) {
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
