//! A whole transformer block on the CPU, forward and, in [`block_gradients`](mod@super::block_gradients), backward by hand.
//!
//! Forward, each thread takes a few samples at a time through the whole block: their activations stay in its second-level cache, and only
//! what backward needs is written to memory. Backward does the same for everything that flows to the input; then all threads share the
//! products for the weights, which sum over all rows of the batch. The weights are laid out for the products once per pass.
//!
//! No sum goes over a number of samples that depends on the number of threads, so results do not either.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::{self, Bias, Qkv, mix};
use super::block_weights::{Layer, Weights};
use super::gelu::Activate;
use super::layer_norm::Normalize;
use super::matrix::{Onto, Panels, View, ViewMut, multiply};
use super::pair_bias::Pairs;
use super::pool::Pooled;
use super::shared_tokens::Shared;
use super::simd::{Job, vectorized};

/// What a block is, but for its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Attention heads.
    pub heads: usize,
    /// The epsilon of both norms.
    pub eps: f32,
    /// Stochastic depth: what each sample's attention and MLP branches are scaled by. `[B]` each.
    pub factors: Option<[Vec<f32>; 2]>,
    /// Keep nothing for backward but the input, and compute the block again there.
    pub recompute: bool,
    /// Tokens of every sample before this one are attended to, but do not go on.
    pub first: usize,
    /// The input is `[1, U, D]`, of which these rows are the tokens.
    pub shared: Option<Shared>,
    /// The bias is `[heads, T]`, of which each pair of tokens gets one.
    pub pairs: Option<Pairs>,
}

/// What backward needs of forward. I counts the rows of the input, those of all samples or what they share, and R the tokens of all samples
/// that go on.
#[derive(Debug, Default)]
pub struct Saved<T> {
    /// Of the first norm. `[I, 2]`
    pub moments1: T,
    /// `[I, 3 D]`; where some tokens only are asked about, keys and values: `[I, 2 D]`.
    pub qkv: T,
    /// Queries, where they are not with the others. `[R, D]`
    pub q: T,
    /// Of each row of scores, the log of the sum of exponentials. `[B, heads, R / B]`
    pub logs: T,
    /// What attention gives. `[R, D]`
    pub mixed: T,
    /// Between attention and MLP. `[R, D]`
    pub middle: T,
    /// Of the second norm. `[R, 2]`
    pub moments2: T,
    /// Before the GELU. `[R, H]`
    pub hidden: T,
}

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// B
    pub samples: usize,
    /// N
    pub tokens: usize,
    /// The first token that goes on.
    pub first: usize,
    pub width: usize,
    pub hidden: usize,
    pub heads: usize,
    /// I
    pub inputs: usize,
    /// Queries do not lie with keys and values, which there are more of.
    pub asks_apart: bool,
}

impl Sizes {
    pub fn new(len: usize, tokens: usize, weights: &Weights<&[f32]>, settings: &Settings) -> Self {
        let (width, hidden) = (weights.norm1.bias.len(), weights.fc1.bias.len());
        let inputs = len / width;
        let samples = settings.shared.as_ref().map_or(inputs / tokens, Shared::samples);
        let Settings { first, heads, .. } = *settings;
        Self { samples, tokens, first, width, hidden, heads, inputs, asks_apart: first > 0 && settings.shared.is_none() }
    }

    /// Tokens of a sample that go on.
    pub fn read(self) -> usize {
        self.tokens - self.first
    }

    /// R
    pub fn rows(self) -> usize {
        self.samples * self.read()
    }

    pub fn attention(self) -> attention::Sizes {
        attention::Sizes { tokens: self.tokens, first: self.first, width: self.width, heads: self.heads }
    }

    /// Numbers of [`Saved::qkv`] per row, and of [`Saved::q`].
    pub fn per_row(self) -> [usize; 2] {
        if self.asks_apart { [2 * self.width, self.width] } else { [3 * self.width, 0] }
    }

    /// Those of one of several samples.
    pub fn qkv_of<'a>(self, sample: usize, qkv: &'a [f32], q: &'a [f32]) -> Qkv<'a> {
        let [per_token, per_query] = self.per_row();
        let (qkv, q) = (&qkv[sample * self.tokens * per_token..], &q[sample * self.read() * per_query..]);
        if self.asks_apart { Qkv::apart(q, qkv, self.attention()) } else { Qkv::together(qkv, self.attention()) }
    }

    /// Samples that one thread takes through the block together: about 200 rows, but at least twice as many lots as threads.
    pub fn at_once(self) -> usize {
        let share = self.samples / (2 * rayon::current_num_threads());
        share.min(ROWS / self.tokens).max(1)
    }
}

/// Rows that one thread takes along together.
pub(super) const ROWS: usize = 208;

/// Cuts buffers `[B, ..]`, given with their numbers per sample, into lots of samples; an empty one into empty ones.
pub(super) fn lots<const N: usize>(sizes: Sizes, buffers: [(&mut [f32], usize); N]) -> Vec<[&mut [f32]; N]> {
    let at_once = sizes.at_once();
    let mut buffers = buffers.map(|(buffer, per_sample)| buffer.chunks_mut((per_sample * at_once).max(1)));
    let lots = sizes.samples.div_ceil(at_once);
    (0..lots).map(|_| buffers.each_mut().map(|buffer| buffer.next().unwrap_or_default())).collect()
}

/// Takes `x [B, N, D]` through the block. What is saved is empty if it is to be computed again.
pub fn forward(x: &[f32], tokens: usize, bias: Bias<'_>, weights: &Weights<&[f32]>, settings: &Settings) -> (Pooled, Saved<Pooled>) {
    let (y, saved) = pass(x, tokens, bias, weights, settings);
    (y, if settings.recompute { Saved::default() } else { saved })
}

pub(super) fn pass(x: &[f32], tokens: usize, bias: Bias<'_>, weights: &Weights<&[f32]>, settings: &Settings) -> (Pooled, Saved<Pooled>) {
    let sizes = Sizes::new(x.len(), tokens, weights, settings);
    let Sizes { width, hidden, heads, inputs, .. } = sizes;
    let (rows, read) = (sizes.rows(), sizes.read());
    let [per_token, per_query] = sizes.per_row();
    let (mut y, mut moments1, mut qkv) = (Pooled::new(rows * width), Pooled::new(inputs * 2), Pooled::new(inputs * per_token));
    let mut q = Pooled::new(rows * per_query);
    let (mut logs, mut mixed, mut middle) = (Pooled::new(rows * heads), Pooled::new(rows * width), Pooled::new(rows * width));
    let (mut moments2, mut before) = (Pooled::new(rows * 2), Pooled::new(rows * hidden));
    let forward = Forward { weights, laid: Laid::forward(weights, sizes), bias, sizes, settings };
    if settings.shared.is_some() {
        forward.enter_all(x, &mut moments1, &mut qkv);
    }
    // Rows that are shared have been through the first norm; others go through it with their lot.
    let (shared, own): (_, [&mut [f32]; 2]) = match &settings.shared {
        Some(shared) => (Some((shared, &qkv[..])), Default::default()),
        None => (None, [&mut moments1, &mut qkv]),
    };
    let [own_moments, own_qkv] = own;
    let buffers = [
        (&mut y[..], read * width),
        (own_moments, tokens * 2),
        (own_qkv, tokens * per_token),
        (&mut q, read * per_query),
        (&mut logs, read * heads),
        (&mut mixed, read * width),
        (&mut middle, read * width),
        (&mut moments2, read * 2),
        (&mut before, read * hidden),
    ];
    lots(sizes, buffers).into_par_iter().enumerate().for_each_init(
        Default::default,
        |(scratch, copies): &mut (Scratch, Copies), (index, [y, moments1, qkv, q, logs, mixed, middle, moments2, hidden])| {
            let first = index * sizes.at_once();
            let samples = first..first + y.len() / (read * width);
            let mut saved = Behind { logs, mixed, middle, moments2, hidden };
            match shared {
                Some((shared, qkv)) => {
                    copies.fill(shared, x, qkv, width, samples);
                    forward.go_on(&copies.x, [&copies.qkv, q], y, &mut saved, first, scratch);
                }
                None => {
                    let x = cut(x, &(samples.start * tokens..samples.end * tokens), width);
                    forward.enter(x, moments1, [&mut *qkv, &mut *q], scratch);
                    forward.go_on(x, [qkv, q], y, &mut saved, first, scratch);
                }
            }
        },
    );
    (y, Saved { moments1, qkv, q, logs, mixed, middle, moments2, hidden: before })
}

/// Weights laid out as right operands.
pub(super) struct Laid {
    /// Of keys and values alone, if there are queries by themselves.
    pub qkv: Panels,
    q: Option<Panels>,
    pub proj: Panels,
    pub fc1: Panels,
    pub fc2: Panels,
}

impl Laid {
    /// For `x Wᵀ`.
    fn forward(weights: &Weights<&[f32]>, sizes: Sizes) -> Self {
        let laid = Self::new(weights, sizes, |weight| weight.transposed());
        if !sizes.asks_apart {
            return laid;
        }
        let (q, kv) = weights.qkv.weight.split_at(sizes.width * sizes.width);
        let of = |weight: &[f32]| Panels::new(View::new(weight, [weight.len() / sizes.width, sizes.width]).transposed());
        Self { qkv: of(kv), q: Some(of(q)), ..laid }
    }

    /// For `dy W`.
    pub fn backward(weights: &Weights<&[f32]>, sizes: Sizes) -> Self {
        Self::new(weights, sizes, |weight| weight)
    }

    fn new(weights: &Weights<&[f32]>, Sizes { width, hidden, .. }: Sizes, turn: for<'a> fn(View<'a>) -> View<'a>) -> Self {
        let laid = |layer: Layer<&[f32]>, inputs: usize| Panels::new(turn(View::new(layer.weight, [layer.bias.len(), inputs])));
        Self {
            qkv: laid(weights.qkv, width),
            q: None,
            proj: laid(weights.proj, width),
            fc1: laid(weights.fc1, width),
            fc2: laid(weights.fc2, hidden),
        }
    }
}

/// Memory of one thread that keeps nothing from lot to lot.
#[derive(Default)]
pub(super) struct Scratch {
    pub narrow: Vec<f32>,
    pub wide: Vec<f32>,
    /// Scores and probabilities of a head.
    pub square: Vec<f32>,
}

/// A lot's own copy of rows that are shared.
#[derive(Default)]
struct Copies {
    x: Vec<f32>,
    qkv: Vec<f32>,
}

impl Copies {
    fn fill(&mut self, shared: &Shared, x: &[f32], qkv: &[f32], width: usize, samples: Range<usize>) {
        shared.copy_into(&mut self.x, x, width, samples.clone());
        shared.copy_into(&mut self.qkv, qkv, 3 * width, samples);
    }
}

/// What is saved of a lot behind queries, keys and values.
struct Behind<'a> {
    logs: &'a mut [f32],
    mixed: &'a mut [f32],
    middle: &'a mut [f32],
    moments2: &'a mut [f32],
    hidden: &'a mut [f32],
}

struct Forward<'a> {
    weights: &'a Weights<&'a [f32]>,
    laid: Laid,
    bias: Bias<'a>,
    sizes: Sizes,
    settings: &'a Settings,
}

impl Forward<'_> {
    /// [`Forward::enter`] for all rows of the input.
    fn enter_all(&self, x: &[f32], moments: &mut [f32], qkv: &mut [f32]) {
        let width = self.sizes.width;
        let outputs = moments.par_chunks_mut(ROWS * 2).zip(qkv.par_chunks_mut(ROWS * 3 * width));
        outputs.zip(x.par_chunks(ROWS * width)).for_each_init(Scratch::default, |scratch, ((moments, qkv), x)| {
            self.enter(x, moments, [qkv, &mut []], scratch);
        });
    }

    /// Makes queries, keys and values of some rows.
    fn enter(&self, x: &[f32], moments: &mut [f32], [qkv, q]: [&mut [f32]; 2], scratch: &mut Scratch) {
        let Sizes { tokens, first, width, .. } = self.sizes;
        scratch.narrow.resize(x.len(), 0.0);
        let (y, Layer { weight, bias }) = (&mut scratch.narrow[..], self.weights.norm1);
        vectorized(Normalize { y, moments, x, weight, bias, eps: self.settings.eps });
        let bias = self.weights.qkv.bias;
        match &self.laid.q {
            None => layer(&scratch.narrow, width, &self.laid.qkv, bias, qkv),
            Some(laid) => {
                layer(&scratch.narrow, width, &self.laid.qkv, &bias[width..], qkv);
                let samples = scratch.narrow.chunks_exact(tokens * width).zip(q.chunks_exact_mut(self.sizes.read() * width));
                samples.for_each(|(x, q)| layer(&x[first * width..], width, laid, &bias[..width], q));
            }
        }
    }

    /// Takes some samples from there through the rest of the block, the first of which is number `first` of the batch.
    fn go_on(&self, x: &[f32], [qkv, q]: [&[f32]; 2], y: &mut [f32], saved: &mut Behind<'_>, first: usize, scratch: &mut Scratch) {
        let (Self { weights, laid, settings, .. }, Sizes { width, hidden, heads, .. }) = (self, self.sizes);
        let (rows, read) = (y.len() / width, self.sizes.read());
        scratch.narrow.resize(rows * width, 0.0);
        scratch.wide.resize(rows * hidden, 0.0);
        let (normalized, activated) = (&mut scratch.narrow[..], &mut scratch.wide[..]);

        let samples = saved.mixed.chunks_exact_mut(read * width).zip(saved.logs.chunks_exact_mut(heads * read));
        for (sample, (mixed, logs)) in samples.enumerate() {
            let bias = self.bias.of(first + sample, self.sizes.attention());
            mix(mixed, logs, &mut scratch.square, self.sizes.qkv_of(sample, qkv, q), bias);
        }
        layer(saved.mixed, width, &laid.proj, weights.proj.bias, saved.middle);
        self.add(saved.middle, x, 0, first);

        let Layer { weight, bias } = weights.norm2;
        vectorized(Normalize { y: normalized, moments: saved.moments2, x: saved.middle, weight, bias, eps: settings.eps });
        layer(normalized, width, &laid.fc1, weights.fc1.bias, saved.hidden);
        vectorized(Activate { y: activated, x: saved.hidden });
        layer(activated, hidden, &laid.fc2, weights.fc2.bias, y);
        self.add(y, saved.middle, 1, first);
    }

    /// Scales a branch and adds it to what goes past it, of which each sample's last tokens are those of the branch.
    fn add(&self, branch: &mut [f32], past: &[f32], number: usize, first: usize) {
        let per_sample = self.sizes.read() * self.sizes.width;
        let past = past.chunks_exact(past.len() / (branch.len() / per_sample));
        for (sample, (branch, past)) in branch.chunks_exact_mut(per_sample).zip(past).enumerate() {
            let past = &past[past.len() - per_sample..];
            vectorized(ScaleAndAdd { branch, past, factor: self.settings.factor(number, first + sample) });
        }
    }
}

/// `y = x Wᵀ + b`, with rows of `inputs`.
fn layer(x: &[f32], inputs: usize, panels: &Panels, bias: &[f32], y: &mut [f32]) {
    let (rows, outputs) = (x.len() / inputs, bias.len());
    multiply(ViewMut::new(y, [rows, outputs]), View::new(x, [rows, inputs]), panels, Onto::Bias(bias));
}

impl Settings {
    pub(super) fn factor(&self, branch: usize, sample: usize) -> f32 {
        self.factors.as_ref().map_or(1.0, |factors| factors[branch][sample])
    }
}

/// Rows of a matrix.
pub(super) fn cut<'a>(values: &'a [f32], rows: &Range<usize>, per_row: usize) -> &'a [f32] {
    &values[rows.start * per_row..rows.end * per_row]
}

/// `branch = factor · branch + past`
struct ScaleAndAdd<'a> {
    branch: &'a mut [f32],
    past: &'a [f32],
    factor: f32,
}

impl Job for ScaleAndAdd<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.branch.iter_mut().zip(self.past).for_each(|(branch, past)| *branch = *branch * self.factor + past);
    }
}
