//! Colors without their lightness as classes: bins of the plane of a and b, a distribution over them for a color, and a color for a
//! distribution (Zhang, Isola and Efros, *Colorful Image Colorization*, 2016, section 2).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::lab::lab_from_srgb;

/// Side of a bin in a and b.
const SIDE: f32 = 10.0;
/// Bins that a color is spread over, and the deviation of the Gaussian that spreads it.
const NEIGHBORS: usize = 5;
const SIGMA: f32 = 5.0;

/// The middles of all bins, [a, b], in order: of those that an 8-bit sRGB color lies in. They are fewer than the paper's 313, among which
/// are bins that no such color lies in.
pub static BINS: LazyLock<Vec<[f32; 2]>> = LazyLock::new(|| {
    let bin = |rgb: [u8; 3]| {
        let [_, a, b] = lab_from_srgb(rgb.map(|level| f32::from(level) / 255.0));
        [a, b].map(|value| (value / SIDE).round() as i32)
    };
    // What all colors cover of the plane, the six faces of their cube cover.
    let face = |axis: usize, end: u8| {
        let color = move |across: u8, down: u8| {
            let mut rgb = [across; 3];
            (rgb[axis], rgb[(axis + 1) % 3]) = (end, down);
            rgb
        };
        (0..=255).flat_map(move |across| (0..=255).map(move |down| color(across, down)))
    };
    let colors = (0..3).flat_map(|axis| [0, 255].into_iter().flat_map(move |end| face(axis, end)));
    colors.map(bin).collect::<BTreeSet<_>>().into_iter().map(|bin| bin.map(|value| value as f32 * SIDE)).collect()
});

/// Spreads a color, [a, b], over its nearest bins: `[bins]`, adding up to 1.
pub fn spread(ab: [f32; 2]) -> Vec<f32> {
    let squared = |bin: &[f32; 2]| (bin[0] - ab[0]).powi(2) + (bin[1] - ab[1]).powi(2);
    let mut nearest = [(f32::INFINITY, 0); NEIGHBORS];
    for (index, bin) in BINS.iter().enumerate() {
        let distance = squared(bin);
        let place = nearest.partition_point(|&(other, _)| other <= distance);
        if place < NEIGHBORS {
            nearest[place..].rotate_right(1);
            nearest[place] = (distance, index);
        }
    }
    // Taken relative to the nearest, no weight vanishes however far away all of them are.
    let weights = nearest.map(|(distance, _)| (-(distance - nearest[0].0) / (2.0 * SIGMA * SIGMA)).exp());
    let total: f32 = weights.iter().sum();
    let mut distribution = vec![0.0; BINS.len()];
    nearest.iter().zip(weights).for_each(|((_, index), weight)| distribution[*index] = weight / total);
    distribution
}

/// The color, [a, b], that scores `[bins]` mean: the mean over bins of their softmax at that temperature. At 1 it is the mean, which is
/// dull; towards 0 it becomes the most probable bin, which is vivid and flickers.
pub fn annealed_mean(scores: &[f32], temperature: f32) -> [f32; 2] {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut sums) = (0.0, [0.0; 2]);
    for (score, bin) in scores.iter().zip(BINS.iter()) {
        let weight = ((score - largest) / temperature).exp();
        total += weight;
        sums = [sums[0] + weight * bin[0], sums[1] + weight * bin[1]];
    }
    sums.map(|sum| sum / total)
}

/// What each bin counts where colors have such frequencies, `[bins]` adding up to 1: inversely as its frequency, mixed with a share of
/// equal ones, 1 on average.
pub fn rebalanced(frequencies: &[f32], share_of_equal: f32) -> Vec<f32> {
    let equal = 1.0 / frequencies.len().max(1) as f32;
    let inverse = |frequency: &f32| 1.0 / ((1.0 - share_of_equal) * frequency + share_of_equal * equal).max(f32::MIN_POSITIVE);
    let mean: f32 = frequencies.iter().map(|frequency| frequency * inverse(frequency)).sum();
    frequencies.iter().map(|frequency| inverse(frequency) / mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::cross_entropy::largest;

    #[test]
    fn bins_are_those_of_colors_there_are() {
        assert!((255..=275).contains(&BINS.len()), "{}", BINS.len());
        // Gray, pure red, green and blue, and no color at all.
        for bin in [[0.0, 0.0], [80.0, 70.0], [-90.0, 80.0], [80.0, -110.0]] {
            assert!(BINS.contains(&bin), "{bin:?}");
        }
        assert!(!BINS.contains(&[100.0, 100.0]) && !BINS.contains(&[-90.0, -90.0]));
        assert_eq!(BINS.iter().map(|bin| bin.map(|value| value as i32)).collect::<BTreeSet<_>>().len(), BINS.len());
    }

    #[test]
    fn a_color_is_spread_over_the_five_nearest_bins() {
        // From (2, 1): (0, 0) at 5, (10, 0) at 65, (0, 10) at 85, (0, -10) at 125, (10, 10) and (-10, 0) at 145, squared.
        let distribution = spread([2.0, 1.0]);
        assert!((distribution.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let of = |bin: [f32; 2]| distribution[BINS.iter().position(|known| *known == bin).unwrap()];
        assert_eq!(distribution.iter().filter(|&&share| share > 0.0).count(), 5);
        assert_eq!(BINS[largest(&distribution)], [0.0, 0.0]);
        for (bin, squared) in [([10.0, 0.0], 65.0_f32), ([0.0, 10.0], 85.0), ([0.0, -10.0], 125.0)] {
            let want = of([0.0, 0.0]) * ((5.0 - squared) / 50.0).exp();
            assert!((of(bin) - want).abs() < 1e-6, "{bin:?}: {} {want}", of(bin));
        }
        // Outside of all bins, too, something is nearest.
        assert!((spread([500.0, 500.0]).iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_spread_color_is_found_again_and_the_mean_becomes_the_mode() {
        for ab in [[0.0, 0.0], [2.0, 1.0], [33.0, -27.0], [-41.0, 38.0], [61.0, 55.0]] {
            let scores: Vec<f32> = spread(ab).iter().map(|share| share.ln()).collect();
            let back = annealed_mean(&scores, 1.0);
            assert!((back[0] - ab[0]).hypot(back[1] - ab[1]) < 3.0, "{ab:?}: {back:?}");
        }
        let place = |bin: [f32; 2]| BINS.iter().position(|known| *known == bin).unwrap();
        let mut scores = vec![-30.0; BINS.len()];
        (scores[place([60.0, 0.0])], scores[place([0.0, 0.0])]) = (0.6_f32.ln(), 0.4_f32.ln());
        let at = |temperature| annealed_mean(&scores, temperature)[0];
        assert!((at(1.0) - 36.0).abs() < 0.01 && (at(0.38) - 44.64).abs() < 0.1 && (at(0.01) - 60.0).abs() < 0.01, "{}", at(0.38));
    }

    #[test]
    fn rare_colors_count_more_and_all_count_one_on_average() {
        let frequencies = [0.7, 0.2, 0.1, 0.0];
        let weights = rebalanced(&frequencies, 0.5);
        let mean: f32 = weights.iter().zip(frequencies).map(|(weight, frequency)| weight * frequency).sum();
        assert!((mean - 1.0).abs() < 1e-6 && weights.is_sorted(), "{weights:?}");
        // (0.35 + 0.125) against (0.1 + 0.125).
        assert!((weights[1] / weights[0] - 0.475 / 0.225).abs() < 1e-5);
        assert!(rebalanced(&frequencies, 1.0).iter().all(|weight| (weight - 1.0).abs() < 1e-6));
    }
}
