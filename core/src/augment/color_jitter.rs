//! Random brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter`, on numbers instead of bytes, so that
//! nothing is rounded in between.

use crate::kernel::simd::{Job, vectorized};
use crate::random::Stream;

/// Strengths of a jitter; nothing changes where all are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColorJitter {
    /// Factors of brightness lie between 1 less this, at least 0, and 1 more.
    pub brightness: f64,
    /// The same of contrast: the distance from the mean gray of the image.
    pub contrast: f64,
    /// The same of saturation: the distance from each pixel's own gray.
    pub saturation: f64,
    /// Hues are turned by at most this share of the circle, at most 0.5.
    pub hue: f64,
    /// The probability that anything changes.
    pub chance: f64,
}

/// One change of all colors.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}

impl ColorJitter {
    /// Strengths as a recipe lists them: brightness, contrast, saturation, hue.
    pub fn new(strengths: &[f64], chance: f64) -> Self {
        let strength = |index: usize| strengths.get(index).copied().unwrap_or(0.0);
        Self { brightness: strength(0), contrast: strength(1), saturation: strength(2), hue: strength(3), chance }
    }

    /// Whether it ever changes anything.
    pub fn is_active(&self) -> bool {
        self.chance > 0.0 && [self.brightness, self.contrast, self.saturation, self.hue].iter().any(|&strength| strength > 0.0)
    }

    /// Changes `pixels` `[.., 3]`, red, green, blue from 0 to 1, as the stream decides.
    pub fn apply(&self, pixels: &mut [f32], stream: &mut Stream) {
        if stream.chance(self.chance) {
            self.changes(stream).into_iter().for_each(|change| change.apply(pixels));
        }
    }

    fn changes(&self, stream: &mut Stream) -> Vec<Change> {
        let order = stream.permutation(4);
        let mut factor = |strength: f64| stream.range((1.0 - strength).max(0.0), 1.0 + strength) as f32;
        let all = [
            (self.brightness, Change::Brightness(factor(self.brightness))),
            (self.contrast, Change::Contrast(factor(self.contrast))),
            (self.saturation, Change::Saturation(factor(self.saturation))),
            (self.hue, Change::Hue(stream.range(-self.hue, self.hue) as f32)),
        ];
        order.into_iter().map(|place| all[place]).filter(|&(strength, _)| strength > 0.0).map(|(_, change)| change).collect()
    }
}

/// Brightness as people see it (ITU-R 601).
#[inline(always)]
pub(super) fn gray([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

impl Change {
    fn apply(self, pixels: &mut [f32]) {
        vectorized(Recolor { pixels: pixels.as_chunks_mut().0, change: self });
    }
}

struct Recolor<'a> {
    pixels: &'a mut [[f32; 3]],
    change: Change,
}

impl Job for Recolor<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pixels = self.pixels;
        match self.change {
            Change::Brightness(factor) => each(pixels, |pixel| pixel.map(|value| value * factor)),
            Change::Contrast(factor) => {
                // In single precision over a row's worth of pixels, in double over all of them.
                let of_row = |row: &[[f32; 3]]| f64::from(row.iter().map(|&pixel| gray(pixel)).sum::<f32>());
                let mean = (pixels.chunks(BLOCK).map(of_row).sum::<f64>() / pixels.len().max(1) as f64) as f32;
                each(pixels, |pixel| pixel.map(|value| mean + factor * (value - mean)));
            }
            Change::Saturation(factor) => each(pixels, |pixel| {
                let gray = gray(pixel);
                pixel.map(|value| gray + factor * (value - gray))
            }),
            Change::Hue(turn) => each(pixels, |pixel| turned(pixel, turn)),
        }
    }
}

/// Pixels that are changed at once, each color in a row of its own.
const BLOCK: usize = 64;

#[inline(always)]
fn each(pixels: &mut [[f32; 3]], change: impl Fn([f32; 3]) -> [f32; 3]) {
    let mut colors = [[0.0; BLOCK]; 3];
    for block in pixels.chunks_mut(BLOCK) {
        for (color, values) in colors.iter_mut().enumerate() {
            values.iter_mut().zip(block.iter()).for_each(|(value, pixel)| *value = pixel[color]);
        }
        // All of them, so that the loop's length is known; what does not fill a block is not written.
        for place in 0..BLOCK {
            let changed = change(colors.map(|values| values[place]));
            colors.iter_mut().zip(changed).for_each(|(values, value)| values[place] = value.clamp(0.0, 1.0));
        }
        for (color, values) in colors.iter().enumerate() {
            block.iter_mut().zip(values).for_each(|(pixel, &value)| pixel[color] = value);
        }
    }
}

/// The color whose hue lies so much of the circle further, of the same saturation and value (HSV). Without branches, so that many are turned
/// at once: what one way divides by zero, the other is taken of.
#[inline(always)]
fn turned([red, green, blue]: [f32; 3], turn: f32) -> [f32; 3] {
    let (value, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let chroma = value - least;
    let sixths = [(green - blue) / chroma, 2.0 + (blue - red) / chroma, 4.0 + (red - green) / chroma];
    let sixth = if value == red { sixths[0] } else { sixths[2] };
    let sixth = if value == green && value != red { sixths[1] } else { sixth };
    let sixth = if chroma > 0.0 { sixth } else { 0.0 } + 6.0 * turn;
    // Smith's way back: how far each primary lies below the value.
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let place = offset + sixth;
        let place = place - 6.0 * (place * (1.0 / 6.0)).floor();
        value - chroma * place.min(4.0 - place).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn stream(seed: u64) -> Stream {
        Stream::new(seed, 0, 0, Purpose::Color)
    }

    fn close(have: &[f32], want: &[f32]) {
        assert!(have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{have:?} {want:?}");
    }

    fn changed(change: Change, pixels: &[f32]) -> Vec<f32> {
        let mut pixels = pixels.to_vec();
        change.apply(&mut pixels);
        pixels
    }

    #[test]
    fn single_changes_are_torchvisions() {
        let pixels = [0.2, 0.4, 0.6, 0.8, 0.1, 0.3];
        close(&changed(Change::Brightness(1.5), &pixels), &[0.3, 0.6, 0.9, 1.0, 0.15, 0.45]);
        // Grays: 0.2 · 0.299 + 0.4 · 0.587 + 0.6 · 0.114 = 0.363, and 0.3321; their mean 0.34755.
        close(&changed(Change::Saturation(0.0), &pixels), &[0.363, 0.363, 0.363, 0.3321, 0.3321, 0.3321]);
        close(&changed(Change::Contrast(0.0), &pixels), &[0.347_55; 6]);
        close(&changed(Change::Contrast(1.0), &pixels), &pixels);
        // A third of the circle turns red into green; half of it orange into azure.
        close(&changed(Change::Hue(1.0 / 3.0), &[1.0, 0.0, 0.0]), &[0.0, 1.0, 0.0]);
        close(&changed(Change::Hue(0.5), &[1.0, 0.5, 0.0]), &[0.0, 0.5, 1.0]);
        close(&changed(Change::Hue(-0.25), &[0.3, 0.3, 0.3]), &[0.3; 3]);
        let there = changed(Change::Hue(0.21), &pixels);
        close(&changed(Change::Hue(-0.21), &there), &pixels);
    }

    #[test]
    fn factors_lie_in_their_ranges_in_any_order() {
        let jitter = ColorJitter::new(&[0.4, 0.3, 1.5, 0.1], 1.0);
        let (mut orders, mut extremes) = (std::collections::BTreeSet::new(), [f32::INFINITY, f32::NEG_INFINITY]);
        for seed in 0..400 {
            let changes = jitter.changes(&mut stream(seed));
            let kind = |change: &Change| match *change {
                Change::Brightness(factor) => (0, (0.6..=1.4).contains(&factor), factor),
                Change::Contrast(factor) => (1, (0.7..=1.3).contains(&factor), factor),
                Change::Saturation(factor) => (2, (0.0..=2.5).contains(&factor), factor),
                Change::Hue(turn) => (3, (-0.1..=0.1).contains(&turn), turn),
            };
            assert!(changes.len() == 4 && changes.iter().all(|change| kind(change).1), "{changes:?}");
            orders.insert(changes.iter().map(|change| kind(change).0).collect::<Vec<_>>());
            let brightness = changes.iter().map(kind).find(|kind| kind.0 == 0).unwrap().2;
            extremes = [extremes[0].min(brightness), extremes[1].max(brightness)];
        }
        assert!(orders.len() == 24 && extremes[0] < 0.62 && extremes[1] > 1.38, "{} orders, {extremes:?}", orders.len());
    }

    #[test]
    fn chance_and_strengths_of_zero_change_nothing() {
        assert!(!ColorJitter::new(&[0.0; 4], 1.0).is_active() && !ColorJitter::new(&[0.4; 4], 0.0).is_active());
        let changes = |chance: f64| {
            let jitter = ColorJitter::new(&[0.4, 0.4, 0.4, 0.0], chance);
            let is_changed = |seed: u64| {
                let mut pixels = [0.2, 0.4, 0.6];
                jitter.apply(&mut pixels, &mut stream(seed));
                pixels != [0.2, 0.4, 0.6]
            };
            (0..1000).filter(|&seed| is_changed(seed)).count()
        };
        assert_eq!((changes(0.0), changes(1.0)), (0, 1000));
        assert!((750..850).contains(&changes(0.8)));
        let brightness = ColorJitter::new(&[0.4], 1.0).changes(&mut stream(1));
        assert!(matches!(brightness[..], [Change::Brightness(_)]), "{brightness:?}");
    }
}
