//! LayerNorm on the CPU: one pass forward and one backward, row by row, instead of the eight and twenty of plain tensor operations.

use rayon::prelude::*;

use super::pool::Pooled;
use super::simd::{Job, sum, vectorized};

/// Rows of one task. Fixed, so that the sums over rows do not depend on the number of threads.
const CHUNK: usize = 64;

/// Normalizes rows. Shapes: `x [R, D]`, `weight [D]`, `bias [D]`; returns `y [R, D]` and `[R, 2]`: mean and 1/deviation.
pub fn forward(x: &[f32], weight: &[f32], bias: &[f32], eps: f32) -> (Pooled, Pooled) {
    let width = weight.len();
    let (mut y, mut moments) = (Pooled::new(x.len()), Pooled::new(x.len() / width * 2));
    let outputs = y.par_chunks_mut(CHUNK * width).zip(moments.par_chunks_mut(CHUNK * 2));
    outputs.zip(x.par_chunks(CHUNK * width)).for_each(|((y, moments), x)| {
        vectorized(Normalize { y, moments, x, weight, bias, eps });
    });
    (y, moments)
}

/// Gradients. Shapes: `dy [R, D]`, `x [R, D]`, `weight [D]`, `moments [R, 2]` of [`forward`]; returns `dx [R, D]`, `dweight [D]`,
/// `dbias [D]`.
pub fn backward(dy: &[f32], x: &[f32], weight: &[f32], moments: &[f32]) -> [Pooled; 3] {
    let width = weight.len();
    let mut dx = Pooled::new(x.len());
    let inputs = dy.par_chunks(CHUNK * width).zip(x.par_chunks(CHUNK * width)).zip(moments.par_chunks(CHUNK * 2));
    let sums: Vec<Vec<f32>> = dx
        .par_chunks_mut(CHUNK * width)
        .zip(inputs)
        .map(|(dx, ((dy, x), moments))| {
            let mut sums = vec![0.0; 2 * width];
            vectorized(Differentiate { dx, sums: &mut sums, dy, x, weight, moments, past: None });
            sums
        })
        .collect();
    let mut totals = vec![0.0; 2 * width];
    for sums in sums {
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let dbias = totals.split_off(width);
    [dx, totals.into(), dbias.into()]
}

/// Rows on their way forward. Shapes as in [`forward`].
pub struct Normalize<'a> {
    pub y: &'a mut [f32],
    pub moments: &'a mut [f32],
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub eps: f32,
}

impl Job for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.weight.len();
        let rows = self.y.chunks_exact_mut(width).zip(self.x.chunks_exact(width));
        for ((y, x), moments) in rows.zip(self.moments.chunks_exact_mut(2)) {
            let mean = sum([x], |[x]| x) / width as f32;
            let variance = sum([x], |[x]| (x - mean) * (x - mean)) / width as f32;
            let inverse = 1.0 / (variance + self.eps).sqrt();
            for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(self.weight).zip(self.bias) {
                *y = (x - mean) * inverse * weight + bias;
            }
            moments[0] = mean;
            moments[1] = inverse;
        }
    }
}

/// Rows whose moments are known, once more.
pub struct Repeat<'a> {
    pub y: &'a mut [f32],
    pub moments: &'a [f32],
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
}

impl Job for Repeat<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let width = self.weight.len();
        let rows = self.y.chunks_exact_mut(width).zip(self.x.chunks_exact(width));
        for ((y, x), moments) in rows.zip(self.moments.chunks_exact(2)) {
            let (mean, inverse) = (moments[0], moments[1]);
            for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(self.weight).zip(self.bias) {
                *y = (x - mean) * inverse * weight + bias;
            }
        }
    }
}

/// Rows on their way back. Shapes as in [`backward`].
pub struct Differentiate<'a> {
    pub dx: &'a mut [f32],
    /// `dweight` and `dbias` of these rows are added: `[2 D]`.
    pub sums: &'a mut [f32],
    pub dy: &'a [f32],
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub moments: &'a [f32],
    /// The gradient that reaches `x` past the norm, to be added.
    pub past: Option<&'a [f32]>,
}

impl Job for Differentiate<'_> {
    type Output = ();

    /// With x̂ the normalized row and g = dy · weight: dx = (g - mean(g) - x̂ mean(g x̂)) / deviation.
    #[inline(always)]
    fn run(self) {
        let width = self.weight.len();
        let (dweight, dbias) = self.sums.split_at_mut(width);
        let rows = self.dx.chunks_exact_mut(width).zip(self.dy.chunks_exact(width)).zip(self.x.chunks_exact(width));
        for (row, (((dx, dy), x), moments)) in rows.zip(self.moments.chunks_exact(2)).enumerate() {
            let (mean, inverse) = (moments[0], moments[1]);
            let mean_g = sum([dy, self.weight], |[dy, weight]| dy * weight) / width as f32;
            let mean_gx = sum([dy, self.weight, x], |[dy, weight, x]| dy * weight * ((x - mean) * inverse)) / width as f32;
            let sums = dweight.iter_mut().zip(dbias.iter_mut());
            for ((((dx, dy), x), weight), (dweight, dbias)) in dx.iter_mut().zip(dy).zip(x).zip(self.weight).zip(sums) {
                let normalized = (x - mean) * inverse;
                *dx = (dy * weight - mean_g - normalized * mean_gx) * inverse;
                *dweight += dy * normalized;
                *dbias += dy;
            }
            if let Some(past) = self.past {
                dx.iter_mut().zip(&past[row * width..]).for_each(|(dx, past)| *dx += past);
            }
        }
    }
}
