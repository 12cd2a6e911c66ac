//! The gradients of a transformer block on the CPU: [`block`](mod@super::block) backwards.

use rayon::prelude::*;

use super::attention::{Bias, unmix};
use super::block::{Laid, ROWS, Saved, Scratch, Settings, Sizes, cut, lots, pass};
use super::block_weights::{Layer, Weights};
use super::gelu::Both;
use super::layer_norm::{Differentiate, Repeat};
use super::linear::{self, Part, WeightGradients};
use super::matrix::{Onto, Panels, View, ViewMut, multiply};
use super::pool::Pooled;
use super::simd::vectorized;

/// The gradients of a block: those of its input, its bias and its weights.
pub struct Gradients {
    /// In the input's shape.
    pub dx: Pooled,
    /// In the bias's shape.
    pub dbias: Pooled,
    /// In the weights' shapes.
    pub weights: Weights<Pooled>,
}

/// Gradients from `dy`, that of the output, the input `x`, and what [`forward`](super::block::forward) saved.
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
    let (mut dx, mut flow, read) = (Pooled::new(x.len()), Flow::new(sizes, settings), sizes.read());
    // What each sample, or each lot of shared rows, adds to the gradients of a norm.
    let lots_of_input = if settings.shared.is_some() { sizes.inputs.div_ceil(ROWS) } else { samples };
    let [mut sums1, mut sums2] = [lots_of_input, samples].map(|count| Pooled::new(count * 2 * width));
    let per_sample = heads * tokens * tokens;
    let mut dscores = Pooled::new(if bias.numbers.is_empty() { 0 } else { samples * per_sample });
    let back = Backward { dy, x, saved, weights, laid: Laid::backward(weights, sizes), bias, sizes, settings };
    let is_own = settings.shared.is_none();
    let own = |buffer: &'_ mut Pooled| if is_own { std::mem::take(buffer) } else { Pooled::default() };
    let (mut own_dx, mut own_sums, mut own_normalized) = (own(&mut dx), own(&mut sums1), own(&mut flow.normalized1));
    let buffers = [
        (&mut own_dx[..], tokens * width),
        (&mut flow.dbranch2, read * width),
        (&mut flow.activated, read * hidden),
        (&mut flow.dhidden, read * hidden),
        (&mut flow.normalized2, read * width),
        (&mut flow.dmiddle, read * width),
        (&mut flow.dbranch1, read * width),
        (&mut flow.dqkv, tokens * 3 * width),
        (&mut own_normalized, tokens * width),
        (&mut own_sums, 2 * width),
        (&mut sums2, 2 * width),
        (&mut dscores, per_sample),
    ];
    lots(sizes, buffers).into_par_iter().enumerate().for_each_init(
        Default::default,
        |(scratch, copies): &mut (Scratch, Vec<f32>),
         (index, [dx, dbranch2, activated, dhidden, normalized2, dmiddle, dbranch1, dqkv, normalized1, sums1, sums2, dscores])| {
            let first = index * sizes.at_once();
            let samples = first..first + dmiddle.len() / (read * width);
            let rows = samples.start * tokens..samples.end * tokens;
            let qkv = match &settings.shared {
                Some(shared) => {
                    shared.copy_into(copies, &saved.qkv, 3 * width, samples.clone());
                    &copies[..]
                }
                None => cut(&saved.qkv, &rows, sizes.per_row()[0]),
            };
            let mut flow = Flow { dbranch2, activated, dhidden, normalized2, dmiddle, dbranch1, dqkv, normalized1 };
            back.lot(&mut flow, qkv, sums2, dscores, first, scratch);
            if is_own {
                let (x, moments) = (cut(x, &rows, width), cut(&saved.moments1, &rows, 2));
                let entry = Entry { dqkv: flow.dqkv, past: flow.dmiddle, x, moments, normalized: flow.normalized1, dx, sums: sums1 };
                back.leave(entry, samples.len(), scratch);
            }
        },
    );
    match &settings.shared {
        Some(shared) => {
            flow.dqkv = shared.sum(&flow.dqkv, 3 * width, 0);
            let past = shared.sum(&flow.dmiddle, width, sizes.first);
            back.leave_all(&past, &mut flow, &mut dx, &mut sums1);
        }
        None => (dx, sums1, flow.normalized1) = (own_dx, own_sums, own_normalized),
    }
    let [norm1, norm2] = [sums1, sums2].map(|sums| {
        let mut totals = vec![0.0; 2 * width];
        for sums in sums.chunks_exact(2 * width) {
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let bias = totals.split_off(width);
        Layer { weight: totals.into(), bias: bias.into() }
    });
    let [qkv, proj, fc1, fc2] = flow.weight_gradients(dy, saved, sizes);
    Gradients { dx, dbias: bias.gradient(&dscores, sizes.attention()), weights: Weights { norm1, qkv, proj, norm2, fc1, fc2 } }
}

/// What flows back through the block, for the products of the weights. I and R are those of [`Saved`], N counts the tokens of a sample.
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
    /// Of all tokens, `[B, N, 3 D]`; at the end `[I, 3 D]`.
    dqkv: T,
    /// `[I, D]`
    normalized1: T,
}

impl Flow<Pooled> {
    fn new(sizes: Sizes, settings: &Settings) -> Self {
        let Sizes { samples, tokens, width, hidden, inputs, .. } = sizes;
        let buffer = |per_row: usize| Pooled::new(sizes.rows() * per_row);
        let scaled = || if settings.factors.is_some() { buffer(width) } else { Pooled::default() };
        Self {
            dbranch2: scaled(),
            activated: buffer(hidden),
            dhidden: buffer(hidden),
            normalized2: buffer(width),
            dmiddle: buffer(width),
            dbranch1: scaled(),
            dqkv: Pooled::new(samples * tokens * 3 * width),
            normalized1: Pooled::new(inputs * width),
        }
    }

    /// Of qkv, proj, fc1 and fc2.
    fn weight_gradients(&self, dy: &[f32], saved: &Saved<Pooled>, sizes: Sizes) -> [Layer<Pooled>; 4] {
        let Sizes { width, hidden, .. } = sizes;
        let of = |dy, outputs, x: &[f32], inputs| WeightGradients::new(dy, x, linear::Sizes { rows: x.len() / inputs, inputs, outputs });
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

/// Some rows of the input on the last part of the way back.
struct Entry<'a> {
    dqkv: &'a [f32],
    /// The gradient that reaches the input past attention.
    past: &'a [f32],
    x: &'a [f32],
    moments: &'a [f32],
    normalized: &'a mut [f32],
    dx: &'a mut [f32],
    /// Weight and bias of the norm: `[2 D]` for each group of rows.
    sums: &'a mut [f32],
}

impl Backward<'_> {
    /// Takes some samples back to queries, keys and values, the first of which is number `first` of the batch. The second norm's gradients
    /// are left sample by sample in `sums [samples, 2 D]`: weight, then bias. Where there is a bias, `dscores [samples, heads, N, N]` takes
    /// what reaches the scores.
    fn lot(&self, flow: &mut Flow<&mut [f32]>, qkv: &[f32], sums: &mut [f32], dscores: &mut [f32], first: usize, scratch: &mut Scratch) {
        let (Sizes { tokens, width, hidden, heads, .. }, Self { saved, weights, laid, .. }) = (self.sizes, self);
        let read = self.sizes.read();
        let rows = first * read..first * read + flow.dmiddle.len() / width;
        let [dy, middle] = [self.dy, &saved.middle].map(|values| cut(values, &rows, width));
        let moments2 = cut(&saved.moments2, &rows, 2);
        scratch.narrow.resize(rows.len() * width, 0.0);
        let dnormalized = &mut scratch.narrow[..];

        sums.fill(0.0);
        layer(self.scaled(flow.dbranch2, dy, 1, first), width, &laid.fc2, flow.dhidden);
        vectorized(Both { y: flow.activated, gradient: flow.dhidden, x: cut(&saved.hidden, &rows, hidden) });
        layer(flow.dhidden, hidden, &laid.fc1, dnormalized);
        let Layer { weight, bias } = weights.norm2;
        vectorized(Repeat { y: flow.normalized2, moments: moments2, x: middle, weight, bias });
        for (sample, sums) in sums.chunks_exact_mut(2 * width).enumerate() {
            let rows = sample * read..(sample + 1) * read;
            let dx = &mut flow.dmiddle[rows.start * width..rows.end * width];
            let [dy, x, past] = [dnormalized, middle, dy].map(|values| cut(values, &rows, width));
            vectorized(Differentiate { dx, sums, dy, x, weight, moments: cut(moments2, &rows, 2), past: Some(past) });
        }

        layer(self.scaled(flow.dbranch1, flow.dmiddle, 0, first), width, &laid.proj, dnormalized);
        let samples = flow.dqkv.chunks_exact_mut(tokens * 3 * width).zip(dnormalized.chunks_exact(read * width));
        let samples = samples.zip(cut(&saved.logs, &rows, heads).chunks_exact(heads * read));
        let (mut kept, q) = (dscores.chunks_exact_mut(heads * tokens * tokens), cut(&saved.q, &rows, self.sizes.per_row()[1]));
        for (sample, ((dqkv, dmixed), logs)) in samples.enumerate() {
            let bias = self.bias.of(first + sample, self.sizes.attention());
            unmix(dqkv, kept.next(), &mut scratch.square, [dmixed, logs], self.sizes.qkv_of(sample, qkv, q), bias);
        }
    }

    /// [`Backward::leave`] for all rows of an input that samples share.
    fn leave_all(&self, past: &[f32], flow: &mut Flow<Pooled>, dx: &mut [f32], sums: &mut [f32]) {
        let width = self.sizes.width;
        let outputs =
            dx.par_chunks_mut(ROWS * width).zip(flow.normalized1.par_chunks_mut(ROWS * width)).zip(sums.par_chunks_mut(2 * width));
        let gradients = flow.dqkv.par_chunks(ROWS * 3 * width).zip(past.par_chunks(ROWS * width));
        let inputs = self.x.par_chunks(ROWS * width).zip(self.saved.moments1.par_chunks(ROWS * 2));
        outputs.zip(gradients.zip(inputs)).for_each_init(
            Scratch::default,
            |scratch, (((dx, normalized), sums), ((dqkv, past), (x, moments)))| {
                self.leave(Entry { dqkv, past, x, moments, normalized, dx, sums }, 1, scratch);
            },
        );
    }

    /// From queries, keys and values to the input, for rows in so many groups, of each of which the last have something that goes past.
    fn leave(&self, entry: Entry<'_>, groups: usize, scratch: &mut Scratch) {
        let (Entry { dqkv, past, x, moments, normalized, dx, sums }, width) = (entry, self.sizes.width);
        scratch.narrow.resize(x.len(), 0.0);
        layer(dqkv, 3 * width, &self.laid.qkv, &mut scratch.narrow);
        let Layer { weight, bias } = self.weights.norm1;
        vectorized(Repeat { y: normalized, moments, x, weight, bias });
        sums.fill(0.0);
        let (rows, passing) = (x.len() / width / groups, past.len() / width / groups);
        for (group, sums) in sums.chunks_exact_mut(2 * width).enumerate() {
            let start = group * rows;
            for (rows, past) in [
                (start..start + rows - passing, None),
                (start + rows - passing..start + rows, Some(cut(past, &(group * passing..(group + 1) * passing), width))),
            ] {
                let dx = &mut dx[rows.start * width..rows.end * width];
                let [dy, x] = [&scratch.narrow[..], x].map(|values| cut(values, &rows, width));
                vectorized(Differentiate { dx, sums, dy, x, weight, moments: cut(moments, &rows, 2), past });
            }
        }
    }

    /// The gradient of a branch, from that of what it was added to: itself, or scaled into `dbranch`.
    fn scaled<'a>(&self, dbranch: &'a mut [f32], dy: &'a [f32], branch: usize, first: usize) -> &'a [f32] {
        if self.settings.factors.is_none() {
            return dy;
        }
        let per_sample = self.sizes.read() * self.sizes.width;
        for (sample, (dbranch, dy)) in dbranch.chunks_exact_mut(per_sample).zip(dy.chunks_exact(per_sample)).enumerate() {
            let factor = self.settings.factor(branch, first + sample);
            dbranch.iter_mut().zip(dy).for_each(|(dbranch, dy)| *dbranch = factor * dy);
        }
        dbranch
    }
}

/// `dx = dy W`, with rows of `outputs`.
fn layer(dy: &[f32], outputs: usize, panels: &Panels, dx: &mut [f32]) {
    let rows = dy.len() / outputs;
    let inputs = dx.len() / rows;
    multiply(ViewMut::new(dx, [rows, inputs]), View::new(dy, [rows, outputs]), panels, Onto::Nothing);
}
