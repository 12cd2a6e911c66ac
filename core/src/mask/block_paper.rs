//! Block masking as BEiT's paper prints it (Algorithm 1): rectangles are laid without looking at what is masked already, until more than
//! the wanted share is masked.

use super::{Grid, Mask, MaskStrategy, none_or_all};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// Rectangles until the share is exceeded. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct BlockPaper {
    /// Share that is exceeded.
    pub ratio: f64,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "block_paper",
    summary: "rectangles, until a share is exceeded",
    source: "Algorithm 1 of BEiT (Bao et al., 2022)",
    knobs: &[RATIO],
    build: |settings: &Settings| Ok(Box::new(BlockPaper { ratio: RATIO.float_of(settings) })),
};

const RATIO: Knob = Knob::float("ratio", "share of the patches that is exceeded by the last block", "", (0.0, 1.0), 0.4);

/// The paper's smallest block.
const MIN_BLOCK: f64 = 16.0;
/// The paper's flattest shape; the ratio of the sides is uniform up to its inverse, so that tall blocks prevail.
const MIN_ASPECT: f64 = 0.3;
/// Masks drawn anew where a small grid was covered entirely.
const REDRAWS: usize = 100;

impl MaskStrategy for BlockPaper {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let mut plane = self.plane(grid, stream);
        for _ in 0..REDRAWS {
            if plane.contains(&false) {
                break;
            }
            plane = self.plane(grid, stream);
        }
        if !plane.is_empty() && !plane.contains(&false) {
            plane[stream.below(grid.plane())] = false;
        }
        Mask::same_in_every_frame(grid, &plane)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        let at_least = if self.ratio == 0.0 { 0 } else { self.wanted(grid) as usize + 1 };
        none_or_all("mask.ratio", at_least, grid.plane(), "patches")
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let wanted = self.wanted(grid);
        // Rounding the sides adds at most half a patch along each; a small remainder is overshot by one smallest block.
        let rounding = |area: f64| 0.5 * area.sqrt() * (MIN_ASPECT.sqrt() + 1.0 / MIN_ASPECT.sqrt()) + 0.25;
        let overshoot = (MIN_BLOCK + rounding(MIN_BLOCK)).max(rounding(wanted));
        let most = ((wanted + overshoot) as usize).min(grid.plane().saturating_sub(1));
        (grid.frames * (wanted as usize + 1), grid.frames * most)
    }
}

impl BlockPaper {
    fn wanted(&self, grid: Grid) -> f64 {
        self.ratio * grid.plane() as f64
    }

    fn plane(&self, grid: Grid, stream: &mut Stream) -> Vec<bool> {
        let (mut plane, mut count) = (vec![false; grid.plane()], 0);
        while count as f64 <= self.wanted(grid) && count < plane.len() {
            // The interval is reversed once less than the smallest block is missing; the area then lies between the two.
            let area = stream.range(MIN_BLOCK, self.wanted(grid) - count as f64);
            let aspect = stream.range(MIN_ASPECT, 1.0 / MIN_ASPECT);
            let height = ((area * aspect).sqrt().round_ties_even() as usize).min(grid.rows);
            let width = ((area / aspect).sqrt().round_ties_even() as usize).min(grid.cols);
            let top = stream.below(grid.rows - height + 1);
            let left = stream.below(grid.cols - width + 1);
            for row in top..top + height {
                for patch in &mut plane[row * grid.cols + left..row * grid.cols + left + width] {
                    count += usize::from(!*patch);
                    *patch = true;
                }
            }
        }
        plane
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::tests::Statistics;

    #[test]
    fn statistics_of_the_papers_algorithm() {
        let statistics = Statistics::of(&BlockPaper { ratio: 0.4 }, Grid::still(14, 14), 20_000);
        assert!((statistics.mean - 82.4).abs() < 0.3, "mean {}", statistics.mean);
        assert!((statistics.mean / 196.0 - 0.42).abs() < 0.005);
        assert!(statistics.min >= 79 && statistics.max <= 99, "{} to {}", statistics.min, statistics.max);
        assert_eq!(BlockPaper { ratio: 0.4 }.num_masked(Grid::still(14, 14)), (79, 99));
        assert!(statistics.share_masked(0, 0) < 0.1 && statistics.share_masked(7, 7) > 0.6);
    }
}
