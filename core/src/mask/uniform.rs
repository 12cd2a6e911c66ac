//! Uniform masking (UM-MAE): one patch of every 2×2 cell is visible, and some of the visible ones are replaced by the mask token.

use super::{Grid, Mask, MaskStrategy, undivided};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

use super::random::num_kept;

/// Three quarters are masked, spread evenly, so that pyramids can pack what is visible into an image of half the size. In videos every
/// frame hides and replaces the same patches.
#[derive(Debug)]
pub struct Uniform {
    /// Share of the visible patches that is replaced by the mask token.
    pub secondary: f64,
    /// Where in its cell the visible patch lies.
    pub pool: Pool,
}

/// How the visible place of each cell is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Each of the four places equally often over a mask, as in the official code.
    Balanced,
    /// Each cell for itself.
    Independent,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "uniform",
    summary: "one patch of every 2×2 cell stays visible, some of those as mask tokens",
    source: "UM-MAE (Li et al., 2022)",
    knobs: &[SECONDARY, POOL],
    build: |settings: &Settings| {
        let pool = if POOL.of(settings).as_text() == Some("independent") { Pool::Independent } else { Pool::Balanced };
        Ok(Box::new(Uniform { secondary: SECONDARY.float_of(settings), pool }))
    },
};

const SECONDARY: Knob = Knob::float("secondary", "share of the visible patches that is masked again", "", (0.0, 1.0), 0.25);
const POOL: Knob =
    Knob::choice("pool", "places drawn equally often over a mask, or for each cell alone", &["balanced", "independent"], "balanced");

const CELL: usize = 2;
const PLACES: usize = CELL * CELL;

impl MaskStrategy for Uniform {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let cell_cols = grid.cols.div_ceil(CELL);
        let places = self.places(grid.rows.div_ceil(CELL) * cell_cols, stream);
        let visible = |row: usize, col: usize| places[row / CELL * cell_cols + col / CELL] == row % CELL * CELL + col % CELL;
        let plane: Vec<bool> = (0..grid.plane()).map(|patch| !visible(patch / grid.cols, patch % grid.cols)).collect();

        let mut seen: Vec<usize> = (0..plane.len()).filter(|&patch| !plane[patch]).collect();
        stream.shuffle(&mut seen);
        let mut replaced = vec![false; plane.len()];
        for &patch in &seen[num_kept(seen.len(), self.secondary)..] {
            replaced[patch] = true;
        }
        Mask { secondary: replaced.repeat(grid.frames), ..Mask::same_in_every_frame(grid, &plane) }
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        let mut problems = undivided("mask.kind", CELL, false, grid);
        let visible = grid.plane() / PLACES;
        if problems.is_empty() && num_kept(visible, self.secondary) == 0 {
            let what = format!("leaves none of the {visible} visible patches as it is");
            problems.push(Problem::new("mask.secondary", what, "lower it, or take a finer grid (a larger image or a smaller patch)"));
        }
        problems
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let masked = grid.len() - grid.len() / PLACES;
        (masked, masked)
    }
}

impl Uniform {
    /// The visible place, 0 to 3 in raster order, of each cell.
    fn places(&self, cells: usize, stream: &mut Stream) -> Vec<usize> {
        if self.pool == Pool::Independent {
            return (0..cells).map(|_| stream.below(PLACES)).collect();
        }
        let mut pool: Vec<usize> = (0..cells.next_multiple_of(PLACES)).map(|index| index % PLACES).collect();
        stream.shuffle(&mut pool);
        pool.truncate(cells);
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn draw(strategy: &Uniform, grid: Grid, sample: u64) -> Mask {
        strategy.sample(grid, &mut Stream::new(0, 0, sample, Purpose::Mask))
    }

    fn places(mask: &Mask) -> [usize; PLACES] {
        let mut counts = [0; PLACES];
        mask.ids_keep().iter().for_each(|&patch| counts[patch / mask.grid.cols % 2 * 2 + patch % mask.grid.cols % 2] += 1);
        counts
    }

    #[test]
    fn one_patch_of_every_cell_is_visible() {
        for rows in (2..=14).step_by(2) {
            for cols in (2..=16).step_by(2) {
                for pool in [Pool::Balanced, Pool::Independent] {
                    let mask = draw(&Uniform { secondary: 0.0, pool }, Grid::still(rows, cols), 1);
                    let cells = mask.ids_keep().iter().map(|&patch| (patch / cols / 2, patch % cols / 2));
                    let cells: std::collections::BTreeSet<_> = cells.collect();
                    assert_eq!((cells.len(), mask.num_visible()), (rows * cols / 4, rows * cols / 4));
                }
            }
        }
        assert_eq!(Uniform { secondary: 0.25, pool: Pool::Balanced }.check(Grid::still(7, 8))[0].key, "mask.kind");
    }

    #[test]
    fn a_balanced_pool_is_balanced_and_an_independent_one_is_not() {
        let mut unbalanced = 0;
        for sample in 0..200 {
            let counts = places(&draw(&Uniform { secondary: 0.25, pool: Pool::Balanced }, Grid::still(16, 16), sample));
            assert_eq!(counts, [16; 4]);
            let odd = places(&draw(&Uniform { secondary: 0.25, pool: Pool::Balanced }, Grid::still(14, 14), sample));
            assert!(odd.iter().all(|count| (10..=13).contains(count)), "{odd:?}");
            let free = places(&draw(&Uniform { secondary: 0.25, pool: Pool::Independent }, Grid::still(16, 16), sample));
            unbalanced += usize::from(free != [16; 4]);
        }
        assert!(unbalanced > 150, "{unbalanced}");
    }

    #[test]
    fn secondary_masking_leaves_the_official_counts() {
        for (side, visible, stay) in [(16, 64, 48), (14, 49, 36)] {
            let strategy = Uniform { secondary: 0.25, pool: Pool::Balanced };
            let mask = draw(&strategy, Grid::still(side, side), 3);
            assert_eq!((mask.num_visible(), mask.num_visible() - mask.num_secondary()), (visible, stay));
        }
        assert_eq!(Uniform { secondary: 1.0, pool: Pool::Balanced }.check(Grid::still(14, 14))[0].key, "mask.secondary");
    }
}
