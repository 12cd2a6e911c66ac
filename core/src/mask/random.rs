//! Random masking: every patch has the same chance (MAE).

use super::{Grid, Mask, MaskStrategy, none_or_all};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// Keeps the patches with the lowest noise.
#[derive(Debug)]
pub struct Random {
    /// Share that is masked.
    pub ratio: f64,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "random",
    summary: "any patches, each with the same chance",
    source: "MAE (He et al., 2022)",
    knobs: &[RATIO],
    build: |settings: &Settings| Ok(Box::new(Random { ratio: RATIO.float_of(settings) })),
};

const RATIO: Knob = Knob::float("ratio", "share of the patches that is masked", "", (0.0, 1.0), 0.75);

impl MaskStrategy for Random {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let noise: Vec<f64> = (0..grid.len()).map(|_| stream.unit()).collect();
        shuffle_from_noise(grid, &noise, num_kept(grid.len(), self.ratio))
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        none_or_all("mask.ratio", self.num_masked(grid).0, grid.len(), "patches")
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let masked = grid.len() - num_kept(grid.len(), self.ratio);
        (masked, masked)
    }
}

/// V of `total` patches: `total · (1 − ratio)` in 64-bit floats, cut off and not rounded, as in MAE's code: at 0.9, 100 patches keep 9,
/// because 100 · (1 − 0.9) is a hair below 10.
pub fn num_kept(total: usize, ratio: f64) -> usize {
    ((total as f64 * (1.0 - ratio)) as usize).min(total)
}

/// The mask that keeps the `keep` patches with the lowest `noise` (`[N]`; ties go to the lower index): MAE's `argsort`, `gather`, `mask`.
pub fn shuffle_from_noise(grid: Grid, noise: &[f64], keep: usize) -> Mask {
    let mut ids_shuffle: Vec<usize> = (0..noise.len()).collect();
    ids_shuffle.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
    let mut masked = vec![false; noise.len()];
    for &patch in ids_shuffle.iter().skip(keep) {
        masked[patch] = true;
    }
    Mask::in_order(grid, masked, ids_shuffle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn kept_patches_are_those_of_the_official_code() {
        let ratios = [0.4, 0.5, 0.6, 0.75, 0.8, 0.9];
        for (total, kept) in [
            (196, [117, 98, 78, 49, 39, 19]),
            (64, [38, 32, 25, 16, 12, 6]),
            (100, [60, 50, 40, 25, 19, 9]),
            (400, [240, 200, 160, 100, 79, 39]),
        ] {
            assert_eq!(ratios.map(|ratio| num_kept(total, ratio)), kept, "{total} patches");
            let grid = Grid::still(1, total);
            for (ratio, kept) in ratios.into_iter().zip(kept) {
                let mask = Random { ratio }.sample(grid, &mut Stream::new(1, 2, 3, Purpose::Mask));
                assert_eq!(mask.num_visible(), kept);
            }
        }
    }

    #[test]
    fn golden_shuffle() {
        let noise = [0.7, 0.1, 0.9, 0.3, 0.5, 0.2, 0.8, 0.6];
        let mask = shuffle_from_noise(Grid::still(2, 4), &noise, num_kept(8, 0.75));
        assert_eq!(mask.ids_shuffle, [1, 5, 3, 4, 7, 0, 6, 2]);
        assert_eq!(mask.ids_restore(), [5, 0, 7, 2, 3, 1, 6, 4]);
        assert_eq!(mask.ids_keep(), [1, 5]);
        assert_eq!(mask.masked, [1, 0, 1, 1, 1, 0, 1, 1].map(|bit| bit == 1));
        let ties = shuffle_from_noise(Grid::still(1, 4), &[0.5, 0.1, 0.5, 0.1], 2);
        assert_eq!(ties.ids_shuffle, [1, 3, 0, 2]);
    }

    #[test]
    fn every_patch_has_the_same_chance() {
        let (grid, draws) = (Grid::still(4, 8), 20_000);
        let mut counts = vec![0; grid.len()];
        for draw in 0..draws {
            let mask = Random { ratio: 0.75 }.sample(grid, &mut Stream::new(0, 0, draw, Purpose::Mask));
            mask.masked.iter().zip(&mut counts).for_each(|(&masked, count)| *count += u64::from(masked));
        }
        assert!(counts.iter().all(|&count| (count as f64 / draws as f64 - 0.75).abs() < 0.016), "{counts:?}");
    }

    #[test]
    fn a_ratio_that_hides_nothing_or_everything_is_refused() {
        let grid = Grid::still(14, 14);
        for (ratio, problems) in [(0.0, 1), (1e-9, 0), (0.75, 0), (0.99, 0), (0.995, 1), (1.0, 1)] {
            assert_eq!(Random { ratio }.check(grid).len(), problems, "{ratio}");
        }
    }
}
