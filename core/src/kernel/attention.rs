//! Multi-head self-attention on the CPU. Every sample is one task and every head three small single-threaded products that stay in the
//! second-level cache; queries, keys and values are read where the qkv layer left them, so nothing is permuted or copied.

use rayon::prelude::*;

use super::matrix::{View, ViewMut, product};
use super::pool::Pooled;
use super::simd::{Job, change_and_sum, exp, max, sum, vectorized};

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// N
    pub tokens: usize,
    /// D
    pub width: usize,
    /// Must divide D.
    pub heads: usize,
}

impl Sizes {
    fn head(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        (self.head() as f32).powf(-0.5)
    }

    fn square(self) -> [usize; 2] {
        [self.tokens; 2]
    }

    /// Queries (0), keys (1) or values (2) of a head: `[N, d]`.
    fn part(self, qkv: &[f32], part: usize, head: usize) -> View<'_> {
        View::strided(&qkv[part * self.width + head * self.head()..], [self.tokens, self.head()], 3 * self.width)
    }

    fn part_mut(self, qkv: &mut [f32], part: usize, head: usize) -> ViewMut<'_> {
        ViewMut::strided(&mut qkv[part * self.width + head * self.head()..], [self.tokens, self.head()], 3 * self.width)
    }
}

/// Shapes: `qkv [B, N, 3 D]`, a token's queries, keys and values one after the other, each split into heads; returns `[B, N, D]` and the
/// probabilities `[B, heads, N, N]`.
pub fn forward(qkv: &[f32], sizes: Sizes) -> (Pooled, Pooled) {
    let Sizes { tokens, width, heads } = sizes;
    let samples = qkv.len() / (tokens * 3 * width);
    let (mut mixed, mut probabilities) = (Pooled::new(samples * tokens * width), Pooled::new(samples * heads * tokens * tokens));
    let outputs = mixed.par_chunks_mut(tokens * width).zip(probabilities.par_chunks_mut(heads * tokens * tokens));
    outputs.zip(qkv.par_chunks(tokens * 3 * width)).for_each(|((mixed, probabilities), qkv)| mix(mixed, probabilities, qkv, sizes));
    (mixed, probabilities)
}

/// [`forward`] of one sample.
pub fn mix(mixed: &mut [f32], probabilities: &mut [f32], qkv: &[f32], sizes: Sizes) {
    let Sizes { tokens, width, .. } = sizes;
    for (head, probabilities) in probabilities.chunks_exact_mut(tokens * tokens).enumerate() {
        let [q, k, v] = [0, 1, 2].map(|part| sizes.part(qkv, part, head));
        product(ViewMut::new(probabilities, sizes.square()), q, k.transposed(), sizes.scale());
        vectorized(Softmax { rows: probabilities, width: tokens });
        let output = ViewMut::strided(&mut mixed[head * sizes.head()..], [tokens, sizes.head()], width);
        product(output, View::new(probabilities, sizes.square()), v, 1.0);
    }
}

/// The gradient `dqkv [B, N, 3 D]`. Shapes: `dy [B, N, D]`, the rest as in [`forward`].
pub fn backward(dy: &[f32], qkv: &[f32], probabilities: &[f32], sizes: Sizes) -> Pooled {
    let Sizes { tokens, width, heads } = sizes;
    let mut dqkv = Pooled::new(qkv.len());
    let inputs = dy.par_chunks(tokens * width).zip(qkv.par_chunks(tokens * 3 * width));
    let samples = dqkv.par_chunks_mut(tokens * 3 * width).zip(inputs).zip(probabilities.par_chunks(heads * tokens * tokens));
    samples.for_each_init(
        || vec![0.0; tokens * tokens],
        |dscores, ((dqkv, (dy, qkv)), probabilities)| unmix(dqkv, dscores, dy, qkv, probabilities, sizes),
    );
    dqkv
}

/// [`backward`] of one sample. `dscores [N, N]` is overwritten.
pub fn unmix(dqkv: &mut [f32], dscores: &mut [f32], dy: &[f32], qkv: &[f32], probabilities: &[f32], sizes: Sizes) {
    let Sizes { tokens, width, .. } = sizes;
    for (head, probabilities) in probabilities.chunks_exact(tokens * tokens).enumerate() {
        let [q, k, v] = [0, 1, 2].map(|part| sizes.part(qkv, part, head));
        let dy = View::strided(&dy[head * sizes.head()..], [tokens, sizes.head()], width);
        product(sizes.part_mut(dqkv, 2, head), View::new(probabilities, sizes.square()).transposed(), dy, 1.0);
        product(ViewMut::new(dscores, sizes.square()), dy, v.transposed(), 1.0);
        vectorized(SoftmaxGradient { gradients: dscores, probabilities, width: tokens });
        let dscores = View::new(dscores, sizes.square());
        product(sizes.part_mut(dqkv, 0, head), dscores, k, sizes.scale());
        product(sizes.part_mut(dqkv, 1, head), dscores.transposed(), q, sizes.scale());
    }
}

/// Replaces every row by its softmax.
struct Softmax<'a> {
    rows: &'a mut [f32],
    width: usize,
}

impl Job for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows.chunks_exact_mut(self.width) {
            let largest = max(row);
            let inverse = 1.0 / change_and_sum(row, |value| exp(value - largest));
            for value in row.iter_mut() {
                *value *= inverse;
            }
        }
    }
}

/// Replaces the gradients of probabilities p by those of scores: `p (g - sum(p g))`, row by row.
struct SoftmaxGradient<'a> {
    gradients: &'a mut [f32],
    probabilities: &'a [f32],
    width: usize,
}

impl Job for SoftmaxGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let rows = self.gradients.chunks_exact_mut(self.width).zip(self.probabilities.chunks_exact(self.width));
        for (gradients, probabilities) in rows {
            let mean = sum([gradients, probabilities], |[gradient, probability]| gradient * probability);
            for (gradient, probability) in gradients.iter_mut().zip(probabilities) {
                *gradient = (*gradient - mean) * probability;
            }
        }
    }
}
