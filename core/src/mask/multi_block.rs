//! I-JEPA's masking (Assran et al., 2023): a few target blocks, each predicted by itself from one large context block, from which the
//! targets are cut out. What lies outside both is neither shown nor predicted.

use super::{Grid, Mask, MaskStrategy};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::{Purpose, Stream};
use crate::registry::{Entry, Settings};

/// Target blocks and a context. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct MultiBlock {
    /// Target blocks, which may overlap each other.
    pub blocks: usize,
    /// Smallest and largest share of the patches in a target block.
    pub scale: [f64; 2],
    /// Smallest and largest height over width of a target block.
    pub aspect: [f64; 2],
    /// Smallest and largest share of the patches in the context block, which is as high as it is wide.
    pub context: [f64; 2],
    /// Patches that the context must keep.
    pub min_context: usize,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "multi_block",
    summary: "a few blocks, each predicted by itself from a large context without them",
    source: "I-JEPA (Assran et al., 2023)",
    knobs: &[BLOCKS, MIN_SCALE, MAX_SCALE, MIN_ASPECT, MAX_ASPECT, CONTEXT_MIN, CONTEXT_MAX, MIN_CONTEXT],
    build: |settings| match build(settings) {
        Ok(strategy) => Ok(Box::new(strategy)),
        Err(problems) => Err(problems),
    },
};

const BLOCKS: Knob = Knob::int("blocks", "blocks to predict", "", (1, 64), 4);
const MIN_SCALE: Knob = Knob::float("min_scale", "smallest share of the patches in such a block", "", (0.0, 1.0), 0.15);
const MAX_SCALE: Knob = Knob::float("max_scale", "largest share of the patches in such a block", "", (0.0, 1.0), 0.2);
const MIN_ASPECT: Knob = Knob::float("min_aspect", "smallest height over width of such a block", "", (0.01, 100.0), 0.75);
const MAX_ASPECT: Knob = Knob::float("max_aspect", "largest height over width of such a block", "", (0.01, 100.0), 1.5);
const CONTEXT_MIN: Knob = Knob::float("context_min", "smallest share of the patches that the context is cut from", "", (0.0, 1.0), 0.85);
const CONTEXT_MAX: Knob = Knob::float("context_max", "largest share of the patches that the context is cut from", "", (0.0, 1.0), 1.0);
const MIN_CONTEXT: Knob = Knob::int("min_context", "fewest patches that are shown", "patches", (1, 1 << 22), 10);

fn build(settings: &Settings) -> Result<MultiBlock, Vec<Problem>> {
    let pair = |low: &Knob, high: &Knob| [low.float_of(settings), high.float_of(settings)];
    let this = MultiBlock {
        blocks: BLOCKS.count_of(settings),
        scale: pair(&MIN_SCALE, &MAX_SCALE),
        aspect: pair(&MIN_ASPECT, &MAX_ASPECT),
        context: pair(&CONTEXT_MIN, &CONTEXT_MAX),
        min_context: MIN_CONTEXT.count_of(settings),
    };
    let reversed = |key: &str, [low, high]: [f64; 2]| {
        let what = format!("the smallest, {low}, is above the largest, {high}");
        (low > high).then(|| Problem::new(format!("mask.{key}"), what, format!("use at most {high}, or raise the largest")))
    };
    let problems: Vec<Problem> =
        [reversed("min_scale", this.scale), reversed("min_aspect", this.aspect), reversed("context_min", this.context)]
            .into_iter()
            .flatten()
            .collect();
    if problems.is_empty() { Ok(this) } else { Err(problems) }
}

/// Places to try for a context that keeps enough patches, and draws of all targets.
const PLACES: usize = 20;
const DRAWS: usize = 50;
/// Draws by which it is checked whether a context is left.
const CHECKS: u64 = 64;
/// Draws of a block's size by which the possible sizes are told.
const SIZES: usize = 1_000;

/// Height and width in patches.
type Size = [usize; 2];

impl MaskStrategy for MultiBlock {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let units = [stream.unit(), stream.unit()];
        self.placed(grid, units, stream)
    }

    /// Sizes are those of `shared`, places those of `stream`: a batch has blocks of one size, and nothing has to be cut off.
    fn sample_alike(&self, grid: Grid, shared: &mut Stream, stream: &mut Stream) -> Mask {
        self.placed(grid, [shared.unit(), shared.unit()], stream)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        if grid.rows < 2 || grid.cols < 2 {
            let what = format!("a grid of {grid} patches has no room for a block beside its context");
            return vec![Problem::new("mask.kind", what, "take a finer grid (a larger image or a smaller patch)")];
        }
        // Blocks may overlap, so that what is left for the context is a matter of luck: it must never have failed in many draws.
        let draws = (0..CHECKS).map(|draw| self.sample(grid, &mut Stream::new(0, 0, draw, Purpose::Mask)).num_visible());
        let fewest = draws.min().unwrap_or_default();
        if fewest < self.min_context {
            let what = format!("{} blocks may leave only {fewest} of {} patches for the context", self.blocks, grid.plane());
            return vec![Problem::new("mask.min_context", what, "lower it, ask for fewer or smaller blocks, or take a finer grid")];
        }
        Vec::new()
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let [smallest, largest] = self.target_areas(grid);
        (grid.frames * smallest, grid.frames * (self.blocks * largest).min(grid.plane().saturating_sub(1)))
    }
}

impl MultiBlock {
    /// Blocks and a context of the sizes that two numbers from 0 to 1 stand for.
    fn placed(&self, grid: Grid, units: [f64; 2], stream: &mut Stream) -> Mask {
        let [target, context] = [self.target_size(grid, units[0]), self.context_size(grid, units[1])];
        let (mut targets, mut is_target) = (Vec::with_capacity(self.blocks), vec![false; grid.plane()]);
        let mut best: Option<(Vec<Rectangle>, Rectangle, usize)> = None;
        // Where targets leave too little of every context tried, all is drawn anew; where that never helps, the largest context will do.
        'drawn: for _ in 0..DRAWS {
            targets.clear();
            targets.extend((0..self.blocks).map(|_| Rectangle::somewhere(grid, target, stream)));
            is_target.fill(false);
            targets.iter().flat_map(|target| target.patches(grid)).for_each(|patch| is_target[patch] = true);
            for _ in 0..PLACES {
                let context = Rectangle::somewhere(grid, context, stream);
                let shown = context.patches(grid).filter(|&patch| !is_target[patch]).count();
                if best.as_ref().is_none_or(|(.., most)| shown > *most) {
                    best = Some((targets.clone(), context, shown));
                }
                if shown >= self.min_context {
                    break 'drawn;
                }
            }
        }
        let Some((targets, context, _)) = best else { return Mask::in_raster_order(grid, vec![true; grid.len()]) };
        let targets: Vec<Vec<usize>> = targets.iter().map(|target| target.patches(grid).collect()).collect();
        is_target.fill(false);
        targets.iter().flatten().for_each(|&patch| is_target[patch] = true);
        let shown: Vec<usize> = context.patches(grid).filter(|&patch| !is_target[patch]).collect();
        Mask::of_blocks(grid, &targets, &shown)
    }

    /// One number decides about both area and shape, as in the released code.
    fn target_size(&self, grid: Grid, unit: f64) -> Size {
        size_of(grid, within(self.scale, unit), within(self.aspect, unit))
    }

    fn context_size(&self, grid: Grid, unit: f64) -> Size {
        size_of(grid, within(self.context, unit), 1.0)
    }

    /// The fewest and the most patches of a target block.
    fn target_areas(&self, grid: Grid) -> [usize; 2] {
        let sizes = (0..=SIZES).map(|step| self.target_size(grid, step as f64 / SIZES as f64));
        let areas = sizes.map(|[height, width]| height * width);
        areas.fold([usize::MAX, 0], |[low, high], area| [low.min(area), high.max(area)])
    }
}

fn within([low, high]: [f64; 2], unit: f64) -> f64 {
    low + unit * (high - low)
}

/// The size of a block with that share of the patches, cut off to a whole number, and that height over width; each side is shorter than
/// the grid's, and at least 1.
fn size_of(grid: Grid, share: f64, aspect: f64) -> Size {
    let area = (grid.plane() as f64 * share).floor();
    let side = |length: f64, limit: usize| (length.sqrt().round_ties_even() as usize).min(limit.saturating_sub(1)).max(1);
    [side(area * aspect, grid.rows), side(area / aspect, grid.cols)]
}

/// A block of patches in a frame.
#[derive(Debug, Clone, Copy)]
struct Rectangle {
    corner: [usize; 2],
    size: Size,
}

impl Rectangle {
    /// As in the released code, it never touches the last row and column.
    fn somewhere(grid: Grid, size: Size, stream: &mut Stream) -> Self {
        let mut start = |side: usize, length: usize| stream.below(side.saturating_sub(length).max(1));
        Self { corner: [start(grid.rows, size[0]), start(grid.cols, size[1])], size }
    }

    /// Its patches in raster order.
    fn patches(self, grid: Grid) -> impl Iterator<Item = usize> {
        let [top, left] = self.corner;
        let (bottom, right) = ((top + self.size[0]).min(grid.rows), (left + self.size[1]).min(grid.cols));
        (top..bottom).flat_map(move |row| (left..right).map(move |col| row * grid.cols + col))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: MultiBlock = MultiBlock { blocks: 4, scale: [0.15, 0.2], aspect: [0.75, 1.5], context: [0.85, 1.0], min_context: 10 };
    const GRID: Grid = Grid::still(14, 14);

    fn draw(seed: u64) -> Mask {
        PAPER.sample(GRID, &mut Stream::new(seed, 0, 0, Purpose::Mask))
    }

    #[test]
    fn sizes_are_those_of_the_released_code() {
        // 196 patches: floor(196 · 0.15) = 29, √(29 · 0.75) = 4.66, √(29 / 0.75) = 6.22; and at the other end 39, 7.65, 5.10.
        assert_eq!([PAPER.target_size(GRID, 0.0), PAPER.target_size(GRID, 1.0)], [[5, 6], [8, 5]]);
        // floor(196 · 0.85) = 166, √166 = 12.88; a block of all patches would be 14, and is a row less.
        assert_eq!([PAPER.context_size(GRID, 0.0), PAPER.context_size(GRID, 1.0)], [[13, 13], [13, 13]]);
        assert_eq!(PAPER.target_areas(GRID), [30, 40]);
    }

    #[test]
    fn targets_are_blocks_and_the_context_is_the_rest_of_another() {
        for seed in 0..200 {
            let mask = draw(seed);
            assert_eq!(mask.blocks.len(), 4);
            let size = mask.blocks[0].len();
            let mut union = vec![false; 196];
            for block in &mask.blocks {
                assert_eq!(block.len(), size);
                let (first, last) = (block[0], block[size - 1]);
                let [height, width] = [last / 14 - first / 14 + 1, last % 14 - first % 14 + 1];
                assert_eq!(height * width, size, "a rectangle");
                block.iter().for_each(|&patch| union[patch] = true);
            }
            assert_eq!(union, mask.masked);
            assert!(mask.num_visible() >= 10);
            assert_eq!(mask.num_visible() + mask.num_masked() + mask.left_out.iter().filter(|&&out| out).count(), 196);
            // The context is a square of 13 rows and columns.
            let edge = |patches: &[usize], of: fn(usize) -> usize| {
                let values = || patches.iter().map(|&patch| of(patch));
                values().max().zip(values().min()).map(|(max, min)| max - min).unwrap_or_default()
            };
            assert!(edge(mask.ids_keep(), |patch| patch / 14) < 13 && edge(mask.ids_keep(), |patch| patch % 14) < 13);
        }
    }

    #[test]
    fn a_batch_shares_sizes_and_not_places() {
        let masks: Vec<Mask> = (0..16)
            .map(|sample| {
                let mut shared = Stream::new(3, 1, 0, Purpose::MaskSize);
                PAPER.sample_alike(GRID, &mut shared, &mut Stream::new(3, 1, sample, Purpose::Mask))
            })
            .collect();
        assert!(masks.iter().all(|mask| mask.blocks[0].len() == masks[0].blocks[0].len()));
        assert!(masks.iter().any(|mask| mask.blocks != masks[0].blocks));
        let sizes: std::collections::BTreeSet<usize> = (0..100).map(|seed| draw(seed).blocks[0].len()).collect();
        assert!(sizes.len() > 3, "{sizes:?}");
    }

    #[test]
    fn statistics_of_the_published_settings() {
        let draws = 20_000;
        let mut sums = [0.0; 2];
        for seed in 0..draws {
            let mask = draw(seed);
            sums[0] += mask.num_visible() as f64;
            sums[1] += mask.num_masked() as f64;
        }
        let [visible, masked] = sums.map(|sum| sum / draws as f64);
        assert!((visible - VISIBLE).abs() < 0.3 && (masked - MASKED).abs() < 0.3, "{visible} visible, {masked} masked");
    }

    /// Simulated apart, in Python, from the description of the released code: 100,000 draws.
    const VISIBLE: f64 = 81.68;
    const MASKED: f64 = 87.32;

    #[test]
    fn what_leaves_no_context_is_refused() {
        assert!(PAPER.check(GRID).is_empty() && PAPER.check(Grid::still(8, 8)).is_empty());
        assert_eq!(PAPER.check(Grid::still(1, 9))[0].key, "mask.kind");
        assert_eq!(MultiBlock { min_context: 190, ..PAPER }.check(GRID)[0].key, "mask.min_context");
        assert_eq!(MultiBlock { scale: [0.9, 0.9], ..PAPER }.check(GRID)[0].key, "mask.min_context");
    }
}
