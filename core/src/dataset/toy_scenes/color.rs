//! Where every color of a toy scene comes from: one distribution, so that color alone never says what is object and what is background.
//!
//! Colors are drawn in OKLab (Ottosson, 2020) because equal steps there look equal, and are kept as linear light for shading.

use super::geometry::direction;
use crate::random::Stream;

/// Linear light, red, green, blue, each nominally in 0..1.
pub(super) type Rgb = [f64; 3];

/// The two colors of one surface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    /// What most of the surface shows.
    pub base: Rgb,
    /// What its texture is drawn with.
    pub partner: Rgb,
}

/// Draws the colors of `count` surfaces.
///
/// All base colors are drawn together until every two of them differ, so they are exchangeable: whichever becomes the background
/// has the same distribution as those that become objects. The wanted difference shrinks a little with every failed draw.
pub(super) fn draw_pairs(stream: &mut Stream, count: usize) -> Vec<Pair> {
    let mut wanted = 0.25;
    let bases = loop {
        let bases: Vec<Lab> = (0..count).map(|_| Lab::draw(stream)).collect();
        let apart = bases.iter().enumerate().all(|(i, a)| bases[..i].iter().all(|b| a.distance(b) >= wanted));
        if apart {
            break bases;
        }
        wanted *= 0.985;
    };
    bases
        .into_iter()
        .map(|base| Pair { base: base.rgb(), partner: base.toward(&Lab::draw(stream), stream.range(0.35, 0.7)).rgb() })
        .collect()
}

/// `a` with a share `amount` of `b`.
pub(super) fn mix(a: Rgb, b: Rgb, amount: f64) -> Rgb {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * amount)
}

/// Linear light as a display byte. Gamma 2 instead of sRGB's curve: a square root is exact on every machine, a power is not.
pub(super) fn encode(linear: f64) -> u8 {
    (linear.clamp(0.0, 1.0).sqrt() * 255.0 + 0.5) as u8
}

#[derive(Debug, Clone, Copy)]
struct Lab {
    l: f64,
    a: f64,
    b: f64,
}

impl Lab {
    fn draw(stream: &mut Stream) -> Self {
        let [cos, sin] = direction(stream.unit());
        let chroma = stream.range(0.02, 0.155);
        Self { l: stream.range(0.38, 0.92), a: chroma * cos, b: chroma * sin }
    }

    fn distance(&self, other: &Self) -> f64 {
        let (l, a, b) = (self.l - other.l, self.a - other.a, self.b - other.b);
        (l * l + a * a + b * b).sqrt()
    }

    fn toward(&self, other: &Self, amount: f64) -> Self {
        let blend = |x: f64, y: f64| x + (y - x) * amount;
        Self { l: blend(self.l, other.l), a: blend(self.a, other.a), b: blend(self.b, other.b) }
    }

    /// Linear sRGB, clipped to the gamut.
    fn rgb(&self) -> Rgb {
        let cube = |x: f64| x * x * x;
        let long = cube(self.l + 0.396_337_777_4 * self.a + 0.215_803_757_3 * self.b);
        let medium = cube(self.l - 0.105_561_345_8 * self.a - 0.063_854_172_8 * self.b);
        let short = cube(self.l - 0.089_484_177_5 * self.a - 1.291_485_548_0 * self.b);
        [
            4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short,
            -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short,
            -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short,
        ]
        .map(|x| x.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn oklab_white_is_white_and_gray_is_gray() {
        let white = Lab { l: 1.0, a: 0.0, b: 0.0 }.rgb();
        assert!(white.iter().all(|x| (x - 1.0).abs() < 1e-6), "{white:?}");
        let gray = Lab { l: 0.5, a: 0.0, b: 0.0 }.rgb();
        assert!(gray.iter().all(|x| (x - 0.125).abs() < 1e-6), "{gray:?}");
    }

    #[test]
    fn background_and_objects_have_the_same_mean_color() {
        let (mut first, mut last) = ([0.0; 3], [0.0; 3]);
        let n = 4000;
        for index in 0..n {
            let pairs = draw_pairs(&mut Stream::new(1, 0, index, Purpose::Toy), 3);
            for i in 0..3 {
                first[i] += pairs[0].base[i] / n as f64;
                last[i] += pairs[2].base[i] / n as f64;
            }
        }
        assert!((0..3).all(|i| (first[i] - last[i]).abs() < 0.02), "{first:?} {last:?}");
    }
}
