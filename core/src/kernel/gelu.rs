//! The exact GELU on the CPU. Forward and backward share one exponential, see [`normal`].

use rayon::prelude::*;

use super::pool::Pooled;
use super::simd::{Job, normal, vectorized};

/// Elements of one task.
const CHUNK: usize = 1 << 14;

/// `x Φ(x)`.
pub fn forward(x: &[f32]) -> Pooled {
    let mut y = Pooled::new(x.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| vectorized(Activate { y, x }));
    y
}

/// `dy (Φ(x) + x φ(x))`.
pub fn backward(dy: &[f32], x: &[f32]) -> Pooled {
    let mut dx = Pooled::new(x.len());
    let inputs = dy.par_chunks(CHUNK).zip(x.par_chunks(CHUNK));
    dx.par_chunks_mut(CHUNK).zip(inputs).for_each(|(dx, (dy, x))| vectorized(Differentiate { dx, dy, x }));
    dx
}

/// `y` of [`forward`].
pub struct Activate<'a> {
    pub y: &'a mut [f32],
    pub x: &'a [f32],
}

impl Job for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = x * normal(x).0;
        }
    }
}

struct Differentiate<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
}

impl Job for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((dx, dy), &x) in self.dx.iter_mut().zip(self.dy).zip(self.x) {
            let (distribution, density) = normal(x);
            *dx = dy * (distribution + x * density);
        }
    }
}

/// `y` of [`forward`], and the gradient of `x` in the place of that of `y`.
pub struct Both<'a> {
    pub y: &'a mut [f32],
    pub gradient: &'a mut [f32],
    pub x: &'a [f32],
}

impl Job for Both<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((y, gradient), &x) in self.y.iter_mut().zip(self.gradient).zip(self.x) {
            let (distribution, density) = normal(x);
            *y = x * distribution;
            *gradient *= distribution + x * density;
        }
    }
}
