//! Attention of all tokens to a few others on the CPU, as pyramids reduce it (PVT): as [`attention`](mod@super::attention), with keys and values
//! of their own. Every sample is one task, and probabilities are made again in backward.

use rayon::prelude::*;

use super::attention::{Softmax, SoftmaxAgain, SoftmaxGradient};
use super::matrix::{View, ViewMut, product};
use super::pool::Pooled;
use super::simd::vectorized;

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// N
    pub queries: usize,
    /// K
    pub keys: usize,
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

    fn scores(self) -> [usize; 2] {
        [self.queries, self.keys]
    }

    /// A head of queries or of what they became: `[N, d]`.
    fn of_query(self, rows: &[f32], head: usize) -> View<'_> {
        View::strided(&rows[head * self.head()..], [self.queries, self.head()], self.width)
    }

    fn of_query_mut(self, rows: &mut [f32], head: usize) -> ViewMut<'_> {
        ViewMut::strided(&mut rows[head * self.head()..], [self.queries, self.head()], self.width)
    }

    /// Keys (0) or values (1) of a head: `[K, d]`.
    fn of_key(self, kv: &[f32], part: usize, head: usize) -> View<'_> {
        View::strided(&kv[part * self.width + head * self.head()..], [self.keys, self.head()], 2 * self.width)
    }

    fn of_key_mut(self, kv: &mut [f32], part: usize, head: usize) -> ViewMut<'_> {
        ViewMut::strided(&mut kv[part * self.width + head * self.head()..], [self.keys, self.head()], 2 * self.width)
    }

    /// Queries of a head by its keys, scaled: `[N, K]`.
    fn score(self, to: &mut [f32], q: &[f32], kv: &[f32], head: usize) {
        product(ViewMut::new(to, self.scores()), self.of_query(q, head), self.of_key(kv, 0, head).transposed(), self.scale());
    }
}

/// Shapes: `q [B, N, D]`, `kv [B, K, 2 D]`, keys before values, each split into heads; returns `[B, N, D]`, and of each row of scores the
/// log of the sum of exponentials, `[B, heads, N]`.
pub fn forward(q: &[f32], kv: &[f32], sizes: Sizes) -> [Pooled; 2] {
    let Sizes { queries, keys, width, heads } = sizes;
    let samples = q.len() / (queries * width);
    let (mut mixed, mut logs) = (Pooled::new(q.len()), Pooled::new(samples * heads * queries));
    let outputs = mixed.par_chunks_mut(queries * width).zip(logs.par_chunks_mut(heads * queries));
    let inputs = q.par_chunks(queries * width).zip(kv.par_chunks(keys * 2 * width));
    outputs.zip(inputs).for_each_init(Vec::new, |scratch, ((mixed, logs), (q, kv))| {
        scratch.resize(queries * keys, 0.0);
        for (head, logs) in logs.chunks_exact_mut(queries).enumerate() {
            sizes.score(scratch, q, kv, head);
            vectorized(Softmax { rows: scratch, logs });
            product(sizes.of_query_mut(mixed, head), View::new(scratch, sizes.scores()), sizes.of_key(kv, 1, head), 1.0);
        }
    });
    [mixed, logs]
}

/// The gradients `dq [B, N, D]` and `dkv [B, K, 2 D]`. Shapes: `dy [B, N, D]`, the rest as in [`forward`].
pub fn backward(dy: &[f32], q: &[f32], kv: &[f32], logs: &[f32], sizes: Sizes) -> [Pooled; 2] {
    let Sizes { queries, keys, width, heads } = sizes;
    let (mut dq, mut dkv) = (Pooled::new(q.len()), Pooled::new(kv.len()));
    let outputs = dq.par_chunks_mut(queries * width).zip(dkv.par_chunks_mut(keys * 2 * width));
    let inputs = q.par_chunks(queries * width).zip(kv.par_chunks(keys * 2 * width));
    let passing = dy.par_chunks(queries * width).zip(logs.par_chunks(heads * queries));
    outputs.zip(inputs).zip(passing).for_each_init(Vec::new, |scratch, (((dq, dkv), (q, kv)), (dy, logs))| {
        scratch.resize(2 * queries * keys, 0.0);
        let (probabilities, dscores) = scratch.split_at_mut(queries * keys);
        for (head, logs) in logs.chunks_exact(queries).enumerate() {
            sizes.score(probabilities, q, kv, head);
            vectorized(SoftmaxAgain { rows: probabilities, logs });
            let dy = sizes.of_query(dy, head);
            product(sizes.of_key_mut(dkv, 1, head), View::new(probabilities, sizes.scores()).transposed(), dy, 1.0);
            product(ViewMut::new(dscores, sizes.scores()), dy, sizes.of_key(kv, 1, head).transposed(), 1.0);
            vectorized(SoftmaxGradient { gradients: dscores, probabilities, width: keys });
            let dscores = View::new(dscores, sizes.scores());
            product(sizes.of_query_mut(dq, head), dscores, sizes.of_key(kv, 0, head), sizes.scale());
            product(sizes.of_key_mut(dkv, 0, head), dscores.transposed(), sizes.of_query(q, head), sizes.scale());
        }
    });
    [dq, dkv]
}
