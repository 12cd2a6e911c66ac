//! What is done to the colors of a view, in the order of SimCLR, BYOL and DINO: jitter, gray, blur, solarization.

use super::blur::blur;
use super::color_jitter::{ColorJitter, gray};
use crate::random::Stream;

/// Changes of colors, and the probability of each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Colors {
    /// Of images of three channels.
    pub jitter: ColorJitter,
    /// The probability that colors become gray, of images of three channels.
    pub gray: f64,
    /// The probability of a blur.
    pub blur: f64,
    /// The smallest and largest deviation of its Gaussian, in pixels of the view.
    pub sigma: [f64; 2],
    /// The probability that bright values, from 128 of 255 on, are inverted.
    pub solarize: f64,
}

impl Colors {
    /// Whether anything of images of so many channels is ever changed.
    pub fn are_active(&self, channels: usize) -> bool {
        let of_colors = channels == 3 && (self.jitter.is_active() || self.gray > 0.0);
        of_colors || self.blur > 0.0 || self.solarize > 0.0
    }

    /// Changes `pixels` `[H, W, C]` from 0 to 1 as the stream decides.
    pub fn apply(&self, pixels: &mut [f32], size: [usize; 3], stream: &mut Stream) {
        let is_color = size[2] == 3;
        if is_color && self.jitter.is_active() {
            self.jitter.apply(pixels, stream);
        }
        if self.gray > 0.0 && stream.chance(self.gray) && is_color {
            pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [gray(*pixel); 3]);
        }
        if self.blur > 0.0 && stream.chance(self.blur) {
            blur(pixels, size, stream.range(self.sigma[0], self.sigma[1]));
        }
        if self.solarize > 0.0 && stream.chance(self.solarize) {
            solarize(pixels);
        }
    }
}

/// Inverts what is bright (Pillow's `solarize` with its usual threshold).
fn solarize(pixels: &mut [f32]) {
    const THRESHOLD: f32 = 128.0 / 255.0;
    pixels.iter_mut().for_each(|value| *value = if *value >= THRESHOLD { 1.0 - *value } else { *value });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn stream(seed: u64) -> Stream {
        Stream::new(seed, 0, 0, Purpose::Color)
    }

    fn changed(colors: Colors, pixels: &[f32], channels: usize, seed: u64) -> Vec<f32> {
        let mut changed = pixels.to_vec();
        colors.apply(&mut changed, [1, pixels.len() / channels, channels], &mut stream(seed));
        changed
    }

    #[test]
    fn gray_and_solarization_are_pillows() {
        let pixels = [0.2, 0.4, 0.6, 0.8, 0.1, 0.3];
        let colorless = changed(Colors { gray: 1.0, ..Colors::default() }, &pixels, 3, 0);
        for (have, want) in colorless.iter().zip([0.363, 0.363, 0.363, 0.3321, 0.3321, 0.3321]) {
            assert!((have - want).abs() < 1e-6, "{colorless:?}");
        }
        let bytes = [0.0, 127.0, 128.0, 255.0].map(|byte: f32| byte / 255.0);
        let solarized = changed(Colors { solarize: 1.0, ..Colors::default() }, &bytes, 1, 0);
        assert_eq!(solarized.iter().map(|value| (value * 255.0).round()).collect::<Vec<_>>(), [0.0, 127.0, 127.0, 0.0]);
    }

    #[test]
    fn each_change_comes_as_often_as_it_should() {
        let pixels = [0.2, 0.4, 0.6, 0.8, 0.1, 0.9, 0.3, 0.7, 0.5];
        let often = |colors: Colors| (0..2000).filter(|&seed| changed(colors, &pixels, 3, seed) != pixels).count() as f64 / 2000.0;
        let none = Colors::default();
        assert_eq!(often(none), 0.0);
        for (colors, expected) in [
            (Colors { gray: 0.2, ..none }, 0.2),
            (Colors { blur: 0.1, sigma: [0.5, 2.0], ..none }, 0.1),
            (Colors { solarize: 0.2, ..none }, 0.2),
            (Colors { jitter: ColorJitter::new(&[0.4, 0.4, 0.2, 0.1], 0.8), ..none }, 0.8),
            (Colors { gray: 0.5, blur: 0.5, sigma: [0.5, 2.0], solarize: 0.5, ..none }, 0.875),
        ] {
            assert!((often(colors) - expected).abs() < 0.035, "{colors:?}: {}", often(colors));
            assert!(colors.are_active(3));
        }
    }

    #[test]
    fn of_other_channels_only_blur_and_solarization_are_left() {
        let strong = Colors { jitter: ColorJitter::new(&[0.4; 3], 1.0), gray: 1.0, ..Colors::default() };
        let pixels = [0.2, 0.4, 0.6, 0.8, 0.1, 0.9, 0.3, 0.7];
        assert!(changed(strong, &pixels, 4, 0) == pixels && !strong.are_active(4) && strong.are_active(3));
        let blurred = Colors { blur: 1.0, sigma: [1.0, 1.0], ..strong };
        assert!(changed(blurred, &pixels, 1, 0) != pixels && blurred.are_active(1));
    }
}
