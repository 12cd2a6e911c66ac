//! Batch normalization on the CPU, with what comes right after it in a residual network: the other branch is added, and what is negative
//! becomes zero. One pass for the moments, one forward, two backward.

use rayon::prelude::*;

use super::pool::Pooled;
use super::simd::{Job, vectorized};

/// Rows of one task. Fixed, so that sums over rows do not depend on the number of threads.
const CHUNK: usize = 256;

/// How a batch is normalized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Added to the variance.
    pub eps: f32,
    /// Whether what is negative becomes zero.
    pub relu: bool,
    /// Whether the moments are those of this batch, and so depend on it; else they are given.
    pub own_moments: bool,
}

/// Mean and variance (over R, not R - 1) of every column. Shapes: `x [R, C]`; returns `[2, C]`.
pub fn moments(x: &[f32], channels: usize) -> Pooled {
    let rows = (x.len() / channels.max(1)).max(1) as f64;
    // Differences from one of the rows are small where the mean is far from zero.
    let origin = &x[..channels.min(x.len())];
    let sums = sum_over_rows(2 * channels, x.par_chunks(CHUNK * channels.max(1)), |sums, x| vectorized(Sums { sums, x, origin }));
    let mut moments = Pooled::new(2 * channels);
    for (channel, origin) in origin.iter().enumerate() {
        let (mean, square) = (sums[channel] / rows, sums[channels + channel] / rows);
        moments[channel] = (f64::from(*origin) + mean) as f32;
        moments[channels + channel] = (square - mean * mean).max(0.0) as f32;
    }
    moments
}

/// Adds up what `add` adds for each chunk: in single precision within it, in double over all of them.
fn sum_over_rows<T: Send>(width: usize, chunks: impl IndexedParallelIterator<Item = T>, add: impl Fn(&mut [f32], T) + Sync) -> Vec<f64> {
    let sums: Vec<Vec<f32>> = chunks
        .map(|chunk| {
            let mut sums = vec![0.0; width];
            add(&mut sums, chunk);
            sums
        })
        .collect();
    let mut totals = vec![0.0; width];
    for sums in sums {
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(sum));
    }
    totals
}

struct Sums<'a> {
    sums: &'a mut [f32],
    x: &'a [f32],
    origin: &'a [f32],
}

impl Job for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let channels = self.origin.len();
        let (sums, squares) = self.sums.split_at_mut(channels);
        for x in self.x.chunks_exact(channels.max(1)) {
            for (((sum, square), x), origin) in sums.iter_mut().zip(squares.iter_mut()).zip(x).zip(self.origin) {
                let difference = x - origin;
                *sum += difference;
                *square += difference * difference;
            }
        }
    }
}

/// What columns are multiplied by, and what is added then: `[C]` each.
fn scale_and_shift(moments: &[f32], [weight, bias]: [&[f32]; 2], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let (means, variances) = moments.split_at(weight.len());
    let scale: Vec<f32> = weight.iter().zip(variances).map(|(weight, variance)| weight / (variance + eps).sqrt()).collect();
    let shift = scale.iter().zip(means).zip(bias).map(|((scale, mean), bias)| bias - scale * mean).collect();
    (scale, shift)
}

/// Normalizes columns. Shapes: `x [R, C]`, `moments [2, C]`, weight and bias `[C]`, `residual [R, C]` or empty; returns `[R, C]`.
pub fn forward(x: &[f32], moments: &[f32], affine: [&[f32]; 2], residual: &[f32], settings: Normalization) -> Pooled {
    let chunk = CHUNK * affine[0].len().max(1);
    let (scale, shift) = scale_and_shift(moments, affine, settings.eps);
    let mut y = Pooled::new(x.len());
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).enumerate().for_each(|(index, (y, x))| {
        let residual = if residual.is_empty() { None } else { Some(&residual[index * chunk..][..y.len()]) };
        vectorized(Normalize { y, x, scale: &scale, shift: &shift, residual, relu: settings.relu });
    });
    y
}

struct Normalize<'a> {
    y: &'a mut [f32],
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    residual: Option<&'a [f32]>,
    relu: bool,
}

impl Job for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let channels = self.scale.len().max(1);
        let rows = self.y.chunks_exact_mut(channels).zip(self.x.chunks_exact(channels));
        for (row, (y, x)) in rows.enumerate() {
            for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(self.scale).zip(self.shift) {
                *y = x * scale + shift;
            }
            if let Some(residual) = self.residual {
                y.iter_mut().zip(&residual[row * channels..]).for_each(|(y, residual)| *y += residual);
            }
            if self.relu {
                // Not a number stays what it is.
                y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
            }
        }
    }
}

/// What [`backward`] needs. Shapes: `dy [R, C]`, `x [R, C]`, `y [R, C]` or empty without ReLU, `moments [2, C]`, `weight [C]`.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    pub dy: &'a [f32],
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub moments: &'a [f32],
    pub weight: &'a [f32],
}

/// The gradients of `x [R, C]`, of weight and bias `[C]`, and of the residual branch `[R, C]`, if it is wanted.
pub fn backward(kept: Kept<'_>, settings: Normalization, wants_residual: bool) -> ([Pooled; 3], Option<Pooled>) {
    let Kept { dy, x, y, moments, weight } = kept;
    let channels = weight.len();
    let (chunk, rows) = (CHUNK * channels.max(1), (x.len() / channels.max(1)).max(1) as f64);
    // What is left of dy behind the ReLU is what reaches the other branch, and serves both passes.
    let mut masked = settings.relu.then(|| Pooled::new(dy.len()));
    if let Some(masked) = &mut masked {
        masked.par_chunks_mut(chunk).zip(dy.par_chunks(chunk)).zip(y.par_chunks(chunk)).for_each(|((masked, dy), y)| {
            vectorized(Mask { masked, dy, y });
        });
    }
    let dy = masked.as_deref().unwrap_or(dy);
    let (means, variances) = moments.split_at(channels);
    let inverse: Vec<f32> = variances.iter().map(|variance| 1.0 / (variance + settings.eps).sqrt()).collect();
    let chunks = dy.par_chunks(chunk).zip(x.par_chunks(chunk));
    let sums = sum_over_rows(2 * channels, chunks, |sums, (dy, x)| vectorized(GradientSums { sums, dy, x, means, inverse: &inverse }));
    let (dbias, dweight) = sums.split_at(channels);
    // dx = weight / deviation · (dy - mean(dy) - x̂ mean(dy x̂)) = a dy + b x + c, with numbers of each column.
    let share = if settings.own_moments { 1.0 / rows } else { 0.0 };
    let of_column = |channel: usize| {
        let (mean, inverse, weight) = (f64::from(means[channel]), f64::from(inverse[channel]), f64::from(weight[channel]));
        let a = weight * inverse;
        let b = -a * inverse * dweight[channel] * share;
        [a, b, -a * dbias[channel] * share - b * mean].map(|number| number as f32)
    };
    let columns: Vec<[f32; 3]> = (0..channels).map(of_column).collect();
    let [a, b, c] = [0, 1, 2].map(|part| columns.iter().map(|column| column[part]).collect::<Vec<f32>>());
    let mut dx = Pooled::new(x.len());
    dx.par_chunks_mut(chunk).zip(dy.par_chunks(chunk)).zip(x.par_chunks(chunk)).for_each(|((dx, dy), x)| {
        vectorized(Combine { dx, dy, x, factors: [&a, &b, &c] });
    });
    let single = |sums: &[f64]| Pooled::from(sums.iter().map(|&sum| sum as f32).collect::<Vec<f32>>());
    let gradients = [dx, single(dweight), single(dbias)];
    let copied = (wants_residual && !settings.relu).then(|| {
        let mut copy = Pooled::new(dy.len());
        copy.copy_from_slice(dy);
        copy
    });
    (gradients, copied.or(masked.filter(|_| wants_residual)))
}

struct Mask<'a> {
    masked: &'a mut [f32],
    dy: &'a [f32],
    y: &'a [f32],
}

impl Job for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((masked, dy), y) in self.masked.iter_mut().zip(self.dy).zip(self.y) {
            *masked = if *y > 0.0 { *dy } else { 0.0 };
        }
    }
}

/// The sums of dy and of dy x̂.
struct GradientSums<'a> {
    sums: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
    means: &'a [f32],
    inverse: &'a [f32],
}

impl Job for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let channels = self.means.len();
        let (dbias, dweight) = self.sums.split_at_mut(channels);
        for (dy, x) in self.dy.chunks_exact(channels.max(1)).zip(self.x.chunks_exact(channels.max(1))) {
            let columns = dbias.iter_mut().zip(dweight.iter_mut()).zip(self.means.iter().zip(self.inverse));
            for ((dy, x), ((dbias, dweight), (mean, inverse))) in dy.iter().zip(x).zip(columns) {
                *dbias += dy;
                *dweight += dy * ((x - mean) * inverse);
            }
        }
    }
}

struct Combine<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
    factors: [&'a [f32]; 3],
}

impl Job for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [a, b, c] = self.factors;
        let channels = a.len().max(1);
        for ((dx, dy), x) in self.dx.chunks_exact_mut(channels).zip(self.dy.chunks_exact(channels)).zip(self.x.chunks_exact(channels)) {
            for (((dx, dy), x), ((a, b), c)) in dx.iter_mut().zip(dy).zip(x).zip(a.iter().zip(b).zip(c)) {
                *dx = a * dy + b * x + c;
            }
        }
    }
}
