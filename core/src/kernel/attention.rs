//! Multi-head self-attention on the CPU. Every sample is one task and every head three small single-threaded products that stay in the
//! second-level cache; queries, keys and values are read where the qkv layer left them, so nothing is permuted or copied. Probabilities
//! are never kept: for N tokens they are N·heads numbers a token, six times its width in an MAE decoder. Backward makes them again from each
//! row's log of the sum of exponentials (Dao et al., 2022).

use rayon::prelude::*;

use super::matrix::{View, ViewMut, product};
use super::pair_bias::{Pairs, WindowPairs};
use super::pool::Pooled;
use super::simd::{Job, change_and_sum, exp, max, sum, vectorized};

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// N
    pub tokens: usize,
    /// Tokens before this one are attended to, but attend to nothing: Q = N - first others do.
    pub first: usize,
    /// D
    pub width: usize,
    /// Must divide D.
    pub heads: usize,
}

impl Sizes {
    /// Q
    fn queries(self) -> usize {
        self.tokens - self.first
    }

    fn head(self) -> usize {
        self.width / self.heads
    }

    fn scale(self) -> f32 {
        (self.head() as f32).powf(-0.5)
    }

    fn scores(self) -> [usize; 2] {
        [self.queries(), self.tokens]
    }

    /// Queries (0), keys (1) or values (2) of a head, where they lie together: `[Q, d]`, `[N, d]` and `[N, d]`.
    fn part_mut(self, qkv: &mut [f32], part: usize, head: usize) -> ViewMut<'_> {
        let first = if part == 0 { self.first } else { 0 };
        let start = first * 3 * self.width + part * self.width + head * self.head();
        ViewMut::strided(&mut qkv[start..], [self.tokens - first, self.head()], 3 * self.width)
    }
}

/// Queries, keys and values of a sample, each split into heads.
#[derive(Debug, Clone, Copy)]
pub struct Qkv<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// From one query to the next, and from one key or value to the next.
    strides: [usize; 2],
    sizes: Sizes,
}

impl<'a> Qkv<'a> {
    /// Those of a token one after the other: `[N, 3 D]`.
    pub fn together(qkv: &'a [f32], sizes: Sizes) -> Self {
        let Sizes { first, width, .. } = sizes;
        Self { q: &qkv[first * 3 * width..], k: &qkv[width..], v: &qkv[2 * width..], strides: [3 * width; 2], sizes }
    }

    /// Queries of those that ask, and keys and values of all: `[Q, D]` and `[N, 2 D]`.
    pub fn apart(q: &'a [f32], kv: &'a [f32], sizes: Sizes) -> Self {
        Self { q, k: kv, v: &kv[sizes.width..], strides: [sizes.width, 2 * sizes.width], sizes }
    }

    /// `[Q, d]`
    fn queries(self, head: usize) -> View<'a> {
        let (sizes, [stride, _]) = (self.sizes, self.strides);
        View::strided(&self.q[head * sizes.head()..], [sizes.queries(), sizes.head()], stride)
    }

    /// `[N, d]`
    fn keys(self, head: usize) -> View<'a> {
        let (sizes, [_, stride]) = (self.sizes, self.strides);
        View::strided(&self.k[head * sizes.head()..], [sizes.tokens, sizes.head()], stride)
    }

    /// `[N, d]`
    fn values(self, head: usize) -> View<'a> {
        let (sizes, [_, stride]) = (self.sizes, self.strides);
        View::strided(&self.v[head * sizes.head()..], [sizes.tokens, sizes.head()], stride)
    }
}

/// Numbers added to the scores before the softmax; none where some tokens attend to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bias<'a> {
    /// `[G, heads, N, N]`, of which sample b takes group b mod G; `[heads, T]` if they are those of pairs; or none.
    pub numbers: &'a [f32],
    /// Which of them each pair of tokens gets.
    pub pairs: Option<&'a Pairs>,
}

/// The numbers of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Added<'a> {
    /// None.
    Nothing,
    /// `[heads, N, N]`
    Numbers(&'a [f32]),
    /// Those of its pairs: `[heads, T]`.
    OfPairs(WindowPairs<'a>, &'a [f32]),
}

impl Added<'_> {
    /// Adds those of a head to its scores: `[Q, N]`.
    fn add_to(self, scores: &mut [f32], head: usize, heads: usize) {
        match self {
            Self::Nothing => {}
            Self::Numbers(numbers) => {
                let numbers = &numbers[head * scores.len()..];
                scores.iter_mut().zip(numbers).for_each(|(score, number)| *score += number);
            }
            Self::OfPairs(pairs, numbers) => {
                let count = numbers.len() / heads;
                pairs.add_to(scores, &numbers[head * count..][..count]);
            }
        }
    }
}

impl<'a> Bias<'a> {
    /// Numbers of every pair, or none.
    pub fn written_out(numbers: &'a [f32]) -> Self {
        Self { numbers, pairs: None }
    }

    /// Those of a sample.
    pub fn of(self, sample: usize, sizes: Sizes) -> Added<'a> {
        match self.pairs {
            _ if self.numbers.is_empty() => Added::Nothing,
            Some(pairs) => Added::OfPairs(pairs.of(sample), self.numbers),
            None => {
                let per_group = sizes.heads * sizes.tokens * sizes.tokens;
                let start = sample * per_group % self.numbers.len();
                Added::Numbers(&self.numbers[start..start + per_group])
            }
        }
    }

    /// Their gradient from that of the scores, `[B, heads, N, N]`.
    pub fn gradient(self, dscores: &[f32], sizes: Sizes) -> Pooled {
        if let Some(pairs) = self.pairs {
            return pairs.gradient(dscores, sizes.heads, self.numbers.len() / sizes.heads);
        }
        let mut dbias = Pooled::new(self.numbers.len());
        let square = sizes.tokens * sizes.tokens;
        dbias.par_chunks_mut(square).enumerate().for_each(|(index, dbias)| {
            dbias.fill(0.0);
            for dscores in dscores[index * square..].chunks(self.numbers.len()) {
                dbias.iter_mut().zip(dscores).for_each(|(sum, gradient)| *sum += gradient);
            }
        });
        dbias
    }
}

/// Shapes: `qkv [B, N, 3 D]`, a token's queries, keys and values one after the other, each split into heads; returns `[B, N, D]`, and of
/// each row of scores the log of the sum of exponentials, `[B, heads, N]`.
pub fn forward(qkv: &[f32], bias: Bias<'_>, sizes: Sizes) -> [Pooled; 2] {
    let Sizes { tokens, width, heads, .. } = sizes;
    let samples = qkv.len() / (tokens * 3 * width);
    let (mut mixed, mut logs) = (Pooled::new(samples * tokens * width), Pooled::new(samples * heads * tokens));
    let outputs = mixed.par_chunks_mut(tokens * width).zip(logs.par_chunks_mut(heads * tokens));
    outputs.zip(qkv.par_chunks(tokens * 3 * width)).enumerate().for_each_init(Vec::new, |scratch, (sample, ((mixed, logs), qkv))| {
        mix(mixed, logs, scratch, Qkv::together(qkv, sizes), bias.of(sample, sizes));
    });
    [mixed, logs]
}

/// [`forward`] of one sample, with its own bias; returns `[Q, D]` and `[heads, Q]`.
pub fn mix(mixed: &mut [f32], logs: &mut [f32], scratch: &mut Vec<f32>, qkv: Qkv<'_>, bias: Added<'_>) {
    let (sizes, [queries, keys]) = (qkv.sizes, qkv.sizes.scores());
    scratch.resize(queries * keys, 0.0);
    for (head, logs) in logs.chunks_exact_mut(queries).enumerate() {
        scores(scratch, qkv, bias, head);
        vectorized(Softmax { rows: scratch, logs });
        let output = ViewMut::strided(&mut mixed[head * sizes.head()..], [queries, sizes.head()], sizes.width);
        product(output, View::new(scratch, sizes.scores()), qkv.values(head), 1.0);
    }
}

/// Queries of a head by its keys, scaled, with the bias: `[Q, N]`.
fn scores(to: &mut [f32], qkv: Qkv<'_>, bias: Added<'_>, head: usize) {
    let sizes = qkv.sizes;
    product(ViewMut::new(to, sizes.scores()), qkv.queries(head), qkv.keys(head).transposed(), sizes.scale());
    bias.add_to(to, head, sizes.heads);
}

/// The gradients `dqkv [B, N, 3 D]` and that of the bias. Shapes: `dy [B, N, D]`, the rest as in [`forward`].
pub fn backward(dy: &[f32], qkv: &[f32], logs: &[f32], bias: Bias<'_>, sizes: Sizes) -> [Pooled; 2] {
    let Sizes { tokens, width, heads, .. } = sizes;
    let (samples, per_sample) = (dy.len() / (tokens * width), heads * tokens * tokens);
    let (mut dqkv, mut dscores) = (Pooled::new(qkv.len()), Pooled::new(if bias.numbers.is_empty() { 0 } else { samples * per_sample }));
    let mut kept: Vec<Option<&mut [f32]>> = dscores.chunks_exact_mut(per_sample).map(Some).collect();
    kept.resize_with(samples, || None);
    let inputs = dy.par_chunks(tokens * width).zip(qkv.par_chunks(tokens * 3 * width)).zip(logs.par_chunks(heads * tokens));
    dqkv.par_chunks_mut(tokens * 3 * width).zip(kept).zip(inputs).enumerate().for_each_init(
        Vec::new,
        |scratch, (sample, ((dqkv, dscores), ((dy, qkv), logs)))| {
            unmix(dqkv, dscores, scratch, [dy, logs], Qkv::together(qkv, sizes), bias.of(sample, sizes));
        },
    );
    let dbias = bias.gradient(&dscores, sizes);
    [dqkv, dbias]
}

/// [`backward`] of one sample: of `dy`, `logs`, `qkv` and its own bias, to `dqkv [N, 3 D]`. `kept [heads, N, N]` takes what reaches the scores.
pub fn unmix(
    dqkv: &mut [f32],
    mut kept: Option<&mut [f32]>,
    scratch: &mut Vec<f32>,
    [dy, logs]: [&[f32]; 2],
    qkv: Qkv<'_>,
    bias: Added<'_>,
) {
    let (sizes, [queries, keys]) = (qkv.sizes, qkv.sizes.scores());
    let Sizes { first, width, .. } = sizes;
    let square = queries * keys;
    scratch.resize(2 * square, 0.0);
    let (probabilities, passing) = scratch.split_at_mut(square);
    dqkv.chunks_exact_mut(3 * width).take(first).for_each(|token| token[..width].fill(0.0));
    for (head, logs) in logs.chunks_exact(queries).enumerate() {
        scores(probabilities, qkv, bias, head);
        vectorized(SoftmaxAgain { rows: probabilities, logs });
        let dscores = kept.as_deref_mut().map_or(&mut *passing, |kept| &mut kept[head * square..(head + 1) * square]);
        let dy = View::strided(&dy[head * sizes.head()..], [queries, sizes.head()], width);
        product(sizes.part_mut(dqkv, 2, head), View::new(probabilities, sizes.scores()).transposed(), dy, 1.0);
        product(ViewMut::new(dscores, sizes.scores()), dy, qkv.values(head).transposed(), 1.0);
        vectorized(SoftmaxGradient { gradients: dscores, probabilities, width: keys });
        let dscores = View::new(dscores, sizes.scores());
        product(sizes.part_mut(dqkv, 0, head), dscores, qkv.keys(head), sizes.scale());
        product(sizes.part_mut(dqkv, 1, head), dscores.transposed(), qkv.queries(head), sizes.scale());
    }
}

/// Replaces every row by its softmax, and keeps the log of its sum of exponentials.
pub(super) struct Softmax<'a> {
    pub(super) rows: &'a mut [f32],
    pub(super) logs: &'a mut [f32],
}

impl Job for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.rows.len() / self.logs.len();
        for (row, log) in self.rows.chunks_exact_mut(width).zip(self.logs) {
            let largest = max(row);
            let total = change_and_sum(row, |value| exp(value - largest));
            let inverse = 1.0 / total;
            for value in row.iter_mut() {
                *value *= inverse;
            }
            *log = largest + total.ln();
        }
    }
}

/// The same softmax from those logs.
pub(super) struct SoftmaxAgain<'a> {
    pub(super) rows: &'a mut [f32],
    pub(super) logs: &'a [f32],
}

impl Job for SoftmaxAgain<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.rows.len() / self.logs.len();
        for (row, log) in self.rows.chunks_exact_mut(width).zip(self.logs) {
            for value in row.iter_mut() {
                *value = exp(*value - log);
            }
        }
    }
}

/// Replaces the gradients of probabilities p by those of scores: `p (g - sum(p g))`, row by row.
pub(super) struct SoftmaxGradient<'a> {
    pub(super) gradients: &'a mut [f32],
    pub(super) probabilities: &'a [f32],
    pub(super) width: usize,
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
