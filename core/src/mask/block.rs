//! Block masking as BEiT released it (`masking_generator.py`): rectangles are added until the wanted count is reached, never exceeding
//! it, and sometimes falling short.

use super::{Grid, Mask, MaskStrategy, nearest_count, none_or_all};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// Rectangles up to an exact count. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct Block {
    /// Patches to mask in a frame; 0 = from `ratio`.
    pub masked: usize,
    /// Share to mask, where `masked` is 0.
    pub ratio: f64,
    /// Smallest area that is drawn for a block, in patches.
    pub min_block: usize,
    /// Most patches that one block may add; 0 = no limit.
    pub max_block: usize,
    /// Flattest shape: height over width lies between this and its inverse, uniform in the logarithm.
    pub min_aspect: f64,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "block",
    summary: "rectangles, up to an exact count",
    source: "BEiT's code (Bao et al., 2022); MaskFeat (Wei et al., 2022)",
    knobs: &[MASKED, RATIO, MIN_BLOCK, MAX_BLOCK, MIN_ASPECT],
    build: |settings: &Settings| {
        Ok(Box::new(Block {
            masked: MASKED.count_of(settings),
            ratio: RATIO.float_of(settings),
            min_block: MIN_BLOCK.count_of(settings),
            max_block: MAX_BLOCK.count_of(settings),
            min_aspect: MIN_ASPECT.float_of(settings),
        }))
    },
};

const MASKED: Knob = Knob::int("masked", "patches to mask; 0: from the ratio", "patches", (0, 1 << 22), 0);
const RATIO: Knob = Knob::float("ratio", "share of the patches that is masked, where no count is given", "", (0.0, 1.0), 0.4);
const MIN_BLOCK: Knob = Knob::int("min_block", "smallest area drawn for a block", "patches", (1, 1 << 22), 16);
const MAX_BLOCK: Knob = Knob::int("max_block", "most patches that one block may add; 0: no limit", "patches", (0, 1 << 22), 0);
const MIN_ASPECT: Knob = Knob::float("min_aspect", "flattest shape of a block, as a ratio of its sides", "", (0.01, 1.0), 0.3);

/// Tries to place one block before giving up, as in the released code.
const ATTEMPTS: usize = 10;
/// Rounds of attempts for the first block: the released code would leave an image unmasked after one, which no loss survives.
const FIRST_ROUNDS: usize = 100;

impl MaskStrategy for Block {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let (mut plane, target, mut count) = (vec![false; grid.plane()], self.target(grid), 0);
        let most = if self.max_block == 0 { usize::MAX } else { self.max_block };
        let mut rounds = 0;
        while count < target {
            let added = self.add_block(grid, &mut plane, (target - count).min(most), stream);
            rounds += 1;
            if added == 0 && (count > 0 || rounds >= FIRST_ROUNDS) {
                break;
            }
            count += added;
        }
        if count == 0 && target > 0 && !plane.is_empty() {
            plane[stream.below(grid.plane())] = true;
        }
        Mask::same_in_every_frame(grid, &plane)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        let key = if self.masked == 0 { "mask.ratio" } else { "mask.masked" };
        let mut problems = none_or_all(key, self.target(grid), grid.plane(), "patches");
        if problems.is_empty() && !self.some_block_fits(grid) {
            let (smallest, target) = (self.min_block, self.target(grid));
            let what = format!("no block of {smallest} or more patches fits into {target} patches of a {}x{} grid", grid.rows, grid.cols);
            problems.push(Problem::new("mask.min_block", what, "lower it, or take a finer grid (a larger image or a smaller patch)"));
        }
        problems
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        (grid.frames, grid.frames * self.target(grid))
    }
}

impl Block {
    /// The count that the blocks of one frame approach.
    fn target(&self, grid: Grid) -> usize {
        if self.masked == 0 { nearest_count(grid.plane(), self.ratio) } else { self.masked }
    }

    /// Adds one block of at most `remaining` new patches; returns how many it added, 0 if no attempt fitted.
    fn add_block(&self, grid: Grid, plane: &mut [bool], remaining: usize, stream: &mut Stream) -> usize {
        let log_aspect = -self.min_aspect.ln();
        for _ in 0..ATTEMPTS {
            // With less remaining than the smallest block, the area is drawn from between the two, as in the released code.
            let area = stream.range(self.min_block as f64, remaining as f64);
            let aspect = stream.range(-log_aspect, log_aspect).exp();
            let height = (area * aspect).sqrt().round_ties_even() as usize;
            let width = (area / aspect).sqrt().round_ties_even() as usize;
            // Strictly: a block never spans a whole side.
            if width >= grid.cols || height >= grid.rows {
                continue;
            }
            let top = stream.below(grid.rows - height + 1);
            let left = stream.below(grid.cols - width + 1);
            let block = || (top..top + height).flat_map(|row| (left..left + width).map(move |col| row * grid.cols + col));
            let added = block().filter(|&patch| !plane[patch]).count();
            if (1..=remaining).contains(&added) {
                block().for_each(|patch| plane[patch] = true);
                return added;
            }
        }
        0
    }

    /// Whether any shape that can be drawn for a first block has both sides shorter than the grid's and no more patches than wanted.
    fn some_block_fits(&self, grid: Grid) -> bool {
        let most = if self.max_block == 0 { self.target(grid) } else { self.target(grid).min(self.max_block) };
        let (low, high) = (self.min_block.min(most) as f64, self.min_block.max(most) as f64);
        let drawn = |height: usize, width: usize| {
            let (h, w) = (height as f64, width as f64);
            let (areas, aspects) = (((h - 0.5) * (w - 0.5), (h + 0.5) * (w + 0.5)), ((h - 0.5) / (w + 0.5), (h + 0.5) / (w - 0.5)));
            areas.0 <= high && areas.1 >= low && aspects.0 <= 1.0 / self.min_aspect && aspects.1 >= self.min_aspect
        };
        (1..grid.rows).any(|height| (1..grid.cols).any(|width| height * width <= most && drawn(height, width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::tests::Statistics;

    fn beit(masked: usize, min_block: usize) -> Block {
        Block { masked, ratio: 0.4, min_block, max_block: 0, min_aspect: 0.3 }
    }

    #[test]
    fn statistics_of_the_released_masking() {
        let grid = Grid::still(14, 14);
        let statistics = Statistics::of(&beit(75, 16), grid, 20_000);
        assert!((statistics.mean - 74.47).abs() < 0.1, "mean {}", statistics.mean);
        assert!(statistics.min >= 60 && statistics.max == 75, "{} to {}", statistics.min, statistics.max);
        assert!((statistics.share_at(75) - 0.666).abs() < 0.02, "P(75) {}", statistics.share_at(75));
        assert!((statistics.edges - 40.1).abs() < 1.0, "edges {}", statistics.edges);
        for ((row, col), expected) in [((0, 0), 0.04), ((0, 13), 0.04), ((13, 13), 0.04), ((0, 7), 0.19), ((7, 0), 0.19), ((7, 7), 0.72)] {
            let share = statistics.share_masked(row, col);
            assert!((share - expected).abs() < 0.025, "P({row}, {col}) = {share}");
        }
        let scattered = Statistics::of(&crate::mask::random::Random { ratio: 121.0 / 196.0 }, grid, 5_000);
        assert!(scattered.edges > 160.0);
    }

    #[test]
    fn statistics_of_other_grids_and_counts() {
        for (min_block, mean) in [(4, 24.95), (16, 24.53)] {
            let statistics = Statistics::of(&beit(25, min_block), Grid::still(8, 8), 20_000);
            assert!((statistics.mean - mean).abs() < 0.05, "min_block {min_block}: {}", statistics.mean);
            if min_block == 4 {
                assert!((statistics.share_at(25) - 0.95).abs() < 0.015, "P(25) {}", statistics.share_at(25));
            }
        }
        let maskfeat = Statistics::of(&beit(78, 15), Grid::still(14, 14), 20_000);
        assert!((maskfeat.mean - 77.56).abs() < 0.1, "{}", maskfeat.mean);
        assert!((maskfeat.share_at(78) - 0.704).abs() < 0.02, "{}", maskfeat.share_at(78));
    }

    #[test]
    fn impossible_requests_are_refused() {
        let grid = Grid::still(14, 14);
        assert!(beit(75, 16).check(grid).is_empty() && beit(0, 16).check(grid).is_empty());
        assert_eq!(beit(196, 16).check(grid)[0].key, "mask.masked");
        assert_eq!(Block { ratio: 0.0, ..beit(0, 16) }.check(grid)[0].key, "mask.ratio");
        assert_eq!(beit(6, 200).check(Grid::still(2, 2))[0].key, "mask.masked");
        // A block is shorter than the grid on both sides, so that a single row has room for none.
        assert_eq!(beit(3, 1).check(Grid::still(1, 8))[0].key, "mask.min_block");
    }
}
