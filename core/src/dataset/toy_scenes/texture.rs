//! Textures shared by objects and backgrounds: a value in 0..1 at every point of a surface, softened to the size of a pixel.

use super::geometry::{Point, direction, dot, length, smooth_step};
use crate::random::Stream;

/// A pattern with its own direction, scale and phase.
#[derive(Debug, Clone)]
pub(super) struct Texture {
    kind: Kind,
    axis: Point,
    /// Repeats per unit length.
    frequency: f64,
    phase: Point,
    /// How far noise bends the pattern, in repeats.
    warp: f64,
    salt: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Gradient,
    Stripes,
    Checker,
    Dots,
    Clouds,
    Blobs,
    Rings,
}

const KINDS: [Kind; 7] = [Kind::Gradient, Kind::Stripes, Kind::Checker, Kind::Dots, Kind::Clouds, Kind::Blobs, Kind::Rings];

impl Texture {
    /// A random pattern that repeats `low` to `high` times per unit length.
    pub(super) fn draw(stream: &mut Stream, low: f64, high: f64) -> Self {
        let warped = stream.chance(0.5);
        Self {
            kind: KINDS[stream.below(KINDS.len())],
            axis: direction(stream.unit()),
            frequency: stream.range(low, high),
            phase: [stream.unit(), stream.unit()],
            warp: if warped { stream.range(0.3, 0.9) } else { 0.0 },
            salt: stream.next_u64(),
        }
    }

    /// The pattern at `p`; edges are at least `footprint` wide (a pixel, in the units of `p`).
    pub(super) fn value(&self, p: Point, footprint: f64) -> f64 {
        let mut u = [dot(p, self.axis) * self.frequency, (p[1] * self.axis[0] - p[0] * self.axis[1]) * self.frequency];
        if self.warp > 0.0 {
            let bend = (noise([u[0] * 0.7, u[1] * 0.7], self.salt) - 0.5) * self.warp;
            u = [u[0] + bend, u[1] + bend];
        }
        u = [u[0] + self.phase[0], u[1] + self.phase[1]];
        let soft = footprint * self.frequency;
        match self.kind {
            Kind::Gradient => smooth_step(-1.0, 1.0, triangle(u[0] * 0.3)),
            Kind::Stripes => square_wave(u[0], soft),
            Kind::Checker => {
                let (a, b) = (square_wave(u[0] * 0.7, soft), square_wave(u[1] * 0.7, soft));
                a + b - 2.0 * a * b
            }
            Kind::Dots => {
                let cell = [u[0] - u[0].floor() - 0.5, u[1] - u[1].floor() - 0.5];
                step(0.3 - length(cell), soft)
            }
            Kind::Clouds => smooth_step(0.2, 0.8, fine_noise(u, self.salt)),
            Kind::Blobs => step(noise([u[0] * 0.9, u[1] * 0.9], self.salt) - 0.52, soft.max(0.06)),
            Kind::Rings => square_wave(length([u[0] - self.phase[1] * 2.0, u[1] + 1.0]), soft),
        }
    }
}

/// Two octaves of [`noise`] in 0..1. The second lattice is turned by the 3-4-5 triangle's angle, which hides both lattices.
pub(super) fn fine_noise(p: Point, salt: u64) -> f64 {
    let turned = [p[0] * 1.28 - p[1] * 0.96, p[0] * 0.96 + p[1] * 1.28];
    noise(p, salt) * 0.6 + noise(turned, salt ^ 1) * 0.4
}

/// Value noise in 0..1: random numbers on the integer lattice, smoothly interpolated.
pub(super) fn noise(p: Point, salt: u64) -> f64 {
    let (x0, y0) = (p[0].floor(), p[1].floor());
    let ease = |t: f64| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(p[0] - x0), ease(p[1] - y0));
    let (x, y) = (x0 as i64, y0 as i64);
    let (a, b) = (lattice(x, y, salt), lattice(x + 1, y, salt));
    let (c, d) = (lattice(x, y + 1, salt), lattice(x + 1, y + 1, salt));
    let (top, bottom) = (a + (b - a) * tx, c + (d - c) * tx);
    top + (bottom - top) * ty
}

/// A random number in 0..1 for each lattice point; a short hash, since it runs four times per pixel and octave.
fn lattice(x: i64, y: i64, salt: u64) -> f64 {
    let mut z = salt ^ (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    z = (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^= z >> 32;
    (z & 0xFFFF_FFFF) as f64 * (1.0 / 4_294_967_296.0)
}

/// Triangle wave of period 1 between -1 and 1.
fn triangle(x: f64) -> f64 {
    let t = x - x.floor();
    (t - 0.5).abs() * 4.0 - 1.0
}

/// Square wave of period 1 between 0 and 1 whose flanks are `soft` wide.
fn square_wave(x: f64, soft: f64) -> f64 {
    step(triangle(x) * 0.25, soft)
}

/// 0 below zero, 1 above, over a band that is at least a little soft.
fn step(x: f64, soft: f64) -> f64 {
    (0.5 + x / soft.max(0.03)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn textures_stay_in_range_and_vary() {
        for index in 0..60 {
            let texture = Texture::draw(&mut Stream::new(3, 0, index, Purpose::Toy), 2.0, 4.0);
            let values: Vec<f64> = (0..900).map(|i| texture.value([f64::from(i % 30) / 10.0, f64::from(i / 30) / 10.0], 0.01)).collect();
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
            assert!(low >= 0.0 && high <= 1.0 && high - low > 0.3, "{texture:?}: {low}..{high}");
        }
    }

    #[test]
    fn noise_is_continuous_and_centered() {
        let mean = (0..10_000).map(|i| noise([f64::from(i) * 0.37, f64::from(i) * 0.11], 9)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((noise([2.0 - 1e-9, 0.4], 9) - noise([2.0 + 1e-9, 0.4], 9)).abs() < 1e-6);
    }
}
