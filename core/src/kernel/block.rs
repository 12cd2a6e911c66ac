//! A whole transformer block on the CPU, forward and backward by hand.
//!
//! Forward, each thread takes a few samples at a time through the whole block: their activations stay in its second-level cache, and only
//! what backward needs is written to memory. Backward does the same for everything that flows to the input; then all threads share the
//! products for the weights, which sum over all rows of the batch. The weights are laid out for the products once per pass.
//!
//! No sum goes over a number of samples that depends on the number of threads, so results do not either.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::{self, Bias, mix, unmix};
use super::block_weights::{Layer, Weights};
use super::gelu::{Activate, Both};
use super::layer_norm::{Differentiate, Normalize, Repeat};
use super::linear::{self, Part, WeightGradients};
use super::matrix::{Onto, Panels, View, ViewMut, multiply};
use super::pool::Pooled;
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
}

/// What backward needs of forward. R counts the tokens of all samples.
#[derive(Debug, Default)]
pub struct Saved<T> {
    /// Of the first norm. `[R, 2]`
    pub moments1: T,
    /// `[R, 3 D]`
    pub qkv: T,
    /// Of each row of scores, the log of the sum of exponentials. `[B, heads, N]`
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
struct Sizes {
    samples: usize,
    tokens: usize,
    width: usize,
    hidden: usize,
    heads: usize,
}

impl Sizes {
    fn new(len: usize, tokens: usize, weights: &Weights<&[f32]>, settings: &Settings) -> Self {
        let (width, hidden) = (weights.norm1.bias.len(), weights.fc1.bias.len());
        Self { samples: len / (tokens * width), tokens, width, hidden, heads: settings.heads }
    }

    fn rows(self) -> usize {
        self.samples * self.tokens
    }

    fn attention(self) -> attention::Sizes {
        attention::Sizes { tokens: self.tokens, width: self.width, heads: self.heads }
    }

    /// Samples that one thread takes through the block together: about 200 rows, but at least twice as many lots as threads.
    fn at_once(self) -> usize {
        const ROWS: usize = 208;
        let share = self.samples / (2 * rayon::current_num_threads());
        share.min(ROWS / self.tokens).max(1)
    }
}

/// Cuts buffers `[B, ..]`, given with their numbers per sample, into lots of samples; an empty one into empty ones.
fn lots<const N: usize>(sizes: Sizes, buffers: [(&mut [f32], usize); N]) -> Vec<[&mut [f32]; N]> {
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

fn pass(x: &[f32], tokens: usize, bias: Bias<'_>, weights: &Weights<&[f32]>, settings: &Settings) -> (Pooled, Saved<Pooled>) {
    let sizes = Sizes::new(x.len(), tokens, weights, settings);
    let Sizes { width, hidden, heads, .. } = sizes;
    let mut y = Pooled::new(x.len());
    let rows = sizes.rows();
    let mut saved = Saved {
        moments1: Pooled::new(rows * 2),
        qkv: Pooled::new(rows * 3 * width),
        logs: Pooled::new(rows * heads),
        mixed: Pooled::new(rows * width),
        middle: Pooled::new(rows * width),
        moments2: Pooled::new(rows * 2),
        hidden: Pooled::new(rows * hidden),
    };
    let buffers = [
        (&mut y[..], tokens * width),
        (&mut saved.moments1, tokens * 2),
        (&mut saved.qkv, tokens * 3 * width),
        (&mut saved.logs, tokens * heads),
        (&mut saved.mixed, tokens * width),
        (&mut saved.middle, tokens * width),
        (&mut saved.moments2, tokens * 2),
        (&mut saved.hidden, tokens * hidden),
    ];
    let forward = Forward { weights, laid: Laid::forward(weights, sizes), bias, sizes, settings };
    lots(sizes, buffers).into_par_iter().zip(x.par_chunks(sizes.at_once() * tokens * width)).enumerate().for_each_init(
        Scratch::default,
        |scratch, (index, ([y, moments1, qkv, logs, mixed, middle, moments2, hidden], x))| {
            let mut saved = Saved { moments1, qkv, logs, mixed, middle, moments2, hidden };
            forward.lot(x, y, &mut saved, index * sizes.at_once(), scratch);
        },
    );
    (y, saved)
}

/// Weights laid out as right operands.
struct Laid {
    qkv: Panels,
    proj: Panels,
    fc1: Panels,
    fc2: Panels,
}

impl Laid {
    /// For `x Wᵀ`.
    fn forward(weights: &Weights<&[f32]>, sizes: Sizes) -> Self {
        Self::new(weights, sizes, |weight| weight.transposed())
    }

    /// For `dy W`.
    fn backward(weights: &Weights<&[f32]>, sizes: Sizes) -> Self {
        Self::new(weights, sizes, |weight| weight)
    }

    fn new(weights: &Weights<&[f32]>, Sizes { width, hidden, .. }: Sizes, turn: for<'a> fn(View<'a>) -> View<'a>) -> Self {
        let laid = |layer: Layer<&[f32]>, inputs: usize| Panels::new(turn(View::new(layer.weight, [layer.bias.len(), inputs])));
        Self {
            qkv: laid(weights.qkv, width),
            proj: laid(weights.proj, width),
            fc1: laid(weights.fc1, width),
            fc2: laid(weights.fc2, hidden),
        }
    }
}

/// Memory of one thread that keeps nothing from lot to lot.
#[derive(Default)]
struct Scratch {
    narrow: Vec<f32>,
    wide: Vec<f32>,
    /// Scores and probabilities of a head.
    square: Vec<f32>,
}

struct Forward<'a> {
    weights: &'a Weights<&'a [f32]>,
    laid: Laid,
    bias: Bias<'a>,
    sizes: Sizes,
    settings: &'a Settings,
}

impl Forward<'_> {
    /// Takes some samples through, the first of which is number `first` of the batch.
    fn lot(&self, x: &[f32], y: &mut [f32], saved: &mut Saved<&mut [f32]>, first: usize, scratch: &mut Scratch) {
        let (Self { weights, laid, settings, .. }, Sizes { tokens, width, hidden, heads, .. }) = (self, self.sizes);
        let rows = x.len() / width;
        scratch.narrow.resize(rows * width, 0.0);
        scratch.wide.resize(rows * hidden, 0.0);
        let (normalized, activated) = (&mut scratch.narrow[..], &mut scratch.wide[..]);
        let layer = |x: &[f32], panels: &Panels, bias: &[f32], y: &mut [f32]| {
            let (inputs, outputs) = (x.len() / rows, bias.len());
            multiply(ViewMut::new(y, [rows, outputs]), View::new(x, [rows, inputs]), panels, Onto::Bias(bias));
        };

        let Layer { weight, bias } = weights.norm1;
        vectorized(Normalize { y: normalized, moments: saved.moments1, x, weight, bias, eps: settings.eps });
        layer(normalized, &laid.qkv, weights.qkv.bias, saved.qkv);
        let samples = saved.mixed.chunks_exact_mut(tokens * width).zip(saved.qkv.chunks_exact(tokens * 3 * width));
        let samples = samples.zip(saved.logs.chunks_exact_mut(heads * tokens));
        for (sample, ((mixed, qkv), logs)) in (first..).zip(samples) {
            let sizes = self.sizes.attention();
            mix(mixed, logs, &mut scratch.square, qkv, self.bias.of(sample, sizes), sizes);
        }
        layer(saved.mixed, &laid.proj, weights.proj.bias, saved.middle);
        self.add(saved.middle, x, 0, first);

        let Layer { weight, bias } = weights.norm2;
        vectorized(Normalize { y: normalized, moments: saved.moments2, x: saved.middle, weight, bias, eps: settings.eps });
        layer(normalized, &laid.fc1, weights.fc1.bias, saved.hidden);
        vectorized(Activate { y: activated, x: saved.hidden });
        layer(activated, &laid.fc2, weights.fc2.bias, y);
        self.add(y, saved.middle, 1, first);
    }

    /// Scales a branch and adds it to what goes past it.
    fn add(&self, branch: &mut [f32], past: &[f32], number: usize, first: usize) {
        let per_sample = self.sizes.tokens * self.sizes.width;
        for (sample, (branch, past)) in branch.chunks_exact_mut(per_sample).zip(past.chunks_exact(per_sample)).enumerate() {
            vectorized(ScaleAndAdd { branch, past, factor: self.settings.factor(number, first + sample) });
        }
    }
}

impl Settings {
    fn factor(&self, branch: usize, sample: usize) -> f32 {
        self.factors.as_ref().map_or(1.0, |factors| factors[branch][sample])
    }
}

/// The gradients of a block: `dx [B, N, D]`, and those of its bias and weights.
pub struct Gradients {
    /// `[B, N, D]`
    pub dx: Pooled,
    /// In the bias's shape.
    pub dbias: Pooled,
    /// In the weights' shapes.
    pub weights: Weights<Pooled>,
}

/// Gradients from `dy [B, N, D]`, the input `x [B, N, D]`, and what [`forward`] saved.
pub fn backward(
    dy: &[f32],
    x: &[f32],
    saved: &Saved<Pooled>,
    tokens: usize,
    bias: Bias<'_>,
    weights: &Weights<&[f32]>,
    settings: &Settings,
) -> Gradients {
    let again = settings.recompute.then(|| pass(x, tokens, bias, weights, settings).1);
    let saved = again.as_ref().unwrap_or(saved);
    let sizes = Sizes::new(x.len(), tokens, weights, settings);
    let Sizes { samples, width, hidden, heads, .. } = sizes;
    let (mut dx, mut flow, mut sums) = (Pooled::new(x.len()), Flow::new(sizes, settings), Pooled::new(samples * 4 * width));
    let per_sample = heads * tokens * tokens;
    let mut dscores = Pooled::new(if bias.0.is_empty() { 0 } else { samples * per_sample });
    let buffers = [
        (&mut dx[..], tokens * width),
        (&mut flow.dbranch2, tokens * width),
        (&mut flow.activated, tokens * hidden),
        (&mut flow.dhidden, tokens * hidden),
        (&mut flow.normalized2, tokens * width),
        (&mut flow.dmiddle, tokens * width),
        (&mut flow.dbranch1, tokens * width),
        (&mut flow.dqkv, tokens * 3 * width),
        (&mut flow.normalized1, tokens * width),
        (&mut sums, 4 * width),
        (&mut dscores, per_sample),
    ];
    let back = Backward { dy, x, saved, weights, laid: Laid::backward(weights, sizes), bias, sizes, settings };
    lots(sizes, buffers).into_par_iter().enumerate().for_each_init(
        Scratch::default,
        |scratch, (index, [dx, dbranch2, activated, dhidden, normalized2, dmiddle, dbranch1, dqkv, normalized1, sums, dscores])| {
            let mut flow = Flow { dbranch2, activated, dhidden, normalized2, dmiddle, dbranch1, dqkv, normalized1 };
            back.lot(dx, &mut flow, sums, dscores, index * sizes.at_once(), scratch);
        },
    );
    let [norm1, norm2] = [0, 1].map(|norm| {
        let mut totals = vec![0.0; 2 * width];
        for sums in sums.chunks_exact(4 * width) {
            totals.iter_mut().zip(&sums[norm * 2 * width..]).for_each(|(total, sum)| *total += sum);
        }
        let bias = totals.split_off(width);
        Layer { weight: totals.into(), bias: bias.into() }
    });
    let [qkv, proj, fc1, fc2] = flow.weight_gradients(dy, saved, sizes);
    Gradients { dx, dbias: bias.gradient(&dscores, sizes.attention()), weights: Weights { norm1, qkv, proj, norm2, fc1, fc2 } }
}

/// What flows back through the block, for the products of the weights.
struct Flow<T> {
    /// The gradient of the MLP's output; empty if that is `dy`. `[R, D]`
    dbranch2: T,
    /// After the GELU. `[R, H]`
    activated: T,
    /// `[R, H]`
    dhidden: T,
    /// `[R, D]`
    normalized2: T,
    /// Between attention and MLP. `[R, D]`
    dmiddle: T,
    /// The gradient of the attention's output; empty if that is `dmiddle`. `[R, D]`
    dbranch1: T,
    /// `[R, 3 D]`
    dqkv: T,
    /// `[R, D]`
    normalized1: T,
}

impl Flow<Pooled> {
    fn new(sizes: Sizes, settings: &Settings) -> Self {
        let Sizes { width, hidden, .. } = sizes;
        let buffer = |per_row: usize| Pooled::new(sizes.rows() * per_row);
        let scaled = || if settings.factors.is_some() { buffer(width) } else { Pooled::default() };
        Self {
            dbranch2: scaled(),
            activated: buffer(hidden),
            dhidden: buffer(hidden),
            normalized2: buffer(width),
            dmiddle: buffer(width),
            dbranch1: scaled(),
            dqkv: buffer(3 * width),
            normalized1: buffer(width),
        }
    }

    /// Of qkv, proj, fc1 and fc2.
    fn weight_gradients(&self, dy: &[f32], saved: &Saved<Pooled>, sizes: Sizes) -> [Layer<Pooled>; 4] {
        let Sizes { width, hidden, .. } = sizes;
        let of = |dy, outputs, x: &[f32], inputs| WeightGradients::new(dy, x, linear::Sizes { rows: sizes.rows(), inputs, outputs });
        let mut layers = [
            of(&self.dqkv, 3 * width, &self.normalized1, width),
            of(if self.dbranch1.is_empty() { &self.dmiddle } else { &self.dbranch1 }, width, &saved.mixed, width),
            of(&self.dhidden, hidden, &self.normalized2, width),
            of(if self.dbranch2.is_empty() { dy } else { &self.dbranch2 }, width, &self.activated, hidden),
        ];
        let parts: Vec<Part<'_>> = layers.iter_mut().flat_map(WeightGradients::parts).collect();
        parts.into_par_iter().with_max_len(1).for_each(Part::compute);
        layers.map(|layer| Layer { weight: layer.dweight, bias: layer.dbias })
    }
}

struct Backward<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    saved: &'a Saved<Pooled>,
    weights: &'a Weights<&'a [f32]>,
    laid: Laid,
    bias: Bias<'a>,
    sizes: Sizes,
    settings: &'a Settings,
}

impl Backward<'_> {
    /// Takes some samples back, the first of which is number `first` of the batch. Both norms' gradients are left sample by sample in
    /// `sums [samples, 4 D]`: the first norm's weight and bias, then the second's. Where there is a bias, `dscores [samples, heads, N, N]`
    /// takes what reaches the scores.
    fn lot(&self, dx: &mut [f32], flow: &mut Flow<&mut [f32]>, sums: &mut [f32], dscores: &mut [f32], first: usize, scratch: &mut Scratch) {
        let (Sizes { tokens, width, hidden, heads, .. }, Self { saved, weights, laid, .. }) = (self.sizes, self);
        let rows = first * tokens..first * tokens + dx.len() / width;
        let [dy, x, middle] = [self.dy, self.x, &saved.middle].map(|values| cut(values, &rows, width));
        let [moments1, moments2] = [&saved.moments1, &saved.moments2].map(|moments| cut(moments, &rows, 2));
        scratch.narrow.resize(dx.len(), 0.0);
        let dnormalized = &mut scratch.narrow[..];
        let layer = |dy: &[f32], panels: &Panels, dx: &mut [f32]| {
            let (outputs, inputs) = (dy.len() / rows.len(), dx.len() / rows.len());
            multiply(ViewMut::new(dx, [rows.len(), inputs]), View::new(dy, [rows.len(), outputs]), panels, Onto::Nothing);
        };

        sums.fill(0.0);
        layer(self.scaled(flow.dbranch2, dy, 1, first), &laid.fc2, flow.dhidden);
        vectorized(Both { y: flow.activated, gradient: flow.dhidden, x: cut(&saved.hidden, &rows, hidden) });
        layer(flow.dhidden, &laid.fc1, dnormalized);
        let Layer { weight, bias } = weights.norm2;
        vectorized(Repeat { y: flow.normalized2, moments: moments2, x: middle, weight, bias });
        for (sample, sums) in sums.chunks_exact_mut(4 * width).enumerate() {
            let rows = sample * tokens..(sample + 1) * tokens;
            let (dx, sums) = (&mut flow.dmiddle[rows.start * width..rows.end * width], &mut sums[2 * width..]);
            let [dy, x, past] = [dnormalized, middle, dy].map(|values| cut(values, &rows, width));
            vectorized(Differentiate { dx, sums, dy, x, weight, moments: cut(moments2, &rows, 2), past: Some(past) });
        }

        layer(self.scaled(flow.dbranch1, flow.dmiddle, 0, first), &laid.proj, dnormalized);
        let samples = flow.dqkv.chunks_exact_mut(tokens * 3 * width).zip(dnormalized.chunks_exact(tokens * width));
        let samples = samples.zip(cut(&saved.qkv, &rows, 3 * width).chunks_exact(tokens * 3 * width));
        let mut kept = dscores.chunks_exact_mut(heads * tokens * tokens);
        let samples = samples.zip(cut(&saved.logs, &rows, heads).chunks_exact(heads * tokens));
        for (sample, (((dqkv, dmixed), qkv), logs)) in (first..).zip(samples) {
            let sizes = self.sizes.attention();
            unmix(dqkv, kept.next(), &mut scratch.square, [dmixed, qkv, logs, self.bias.of(sample, sizes)], sizes);
        }
        layer(flow.dqkv, &laid.qkv, dnormalized);
        let Layer { weight, bias } = weights.norm1;
        vectorized(Repeat { y: flow.normalized1, moments: moments1, x, weight, bias });
        for (sample, sums) in sums.chunks_exact_mut(4 * width).enumerate() {
            let rows = sample * tokens..(sample + 1) * tokens;
            let (dx, sums) = (&mut dx[rows.start * width..rows.end * width], &mut sums[..2 * width]);
            let [dy, x, past] = [dnormalized, x, flow.dmiddle].map(|values| cut(values, &rows, width));
            vectorized(Differentiate { dx, sums, dy, x, weight, moments: cut(moments1, &rows, 2), past: Some(past) });
        }
    }

    /// The gradient of a branch, from that of what it was added to: itself, or scaled into `dbranch`.
    fn scaled<'a>(&self, dbranch: &'a mut [f32], dy: &'a [f32], branch: usize, first: usize) -> &'a [f32] {
        if self.settings.factors.is_none() {
            return dy;
        }
        let per_sample = self.sizes.tokens * self.sizes.width;
        for (sample, (dbranch, dy)) in dbranch.chunks_exact_mut(per_sample).zip(dy.chunks_exact(per_sample)).enumerate() {
            let factor = self.settings.factor(branch, first + sample);
            dbranch.iter_mut().zip(dy).for_each(|(dbranch, dy)| *dbranch = factor * dy);
        }
        dbranch
    }
}

/// Rows of a matrix.
fn cut<'a>(values: &'a [f32], rows: &Range<usize>, per_row: usize) -> &'a [f32] {
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
