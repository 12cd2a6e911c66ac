//! Grid masking: a regular lattice stays visible, one patch of every square cell (MAE's grid-wise ablation, UM-MAE's GS).

use super::{Grid, Mask, MaskStrategy, undivided};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// The same place of every cell is visible; which place is drawn for each mask. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct Lattice {
    /// Side of a cell in patches.
    pub cell: usize,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "grid",
    summary: "a regular lattice stays visible, one patch of every cell",
    source: "MAE's ablation (He et al., 2022); UM-MAE's grid sampling (Li et al., 2022)",
    knobs: &[CELL],
    build: |settings: &Settings| Ok(Box::new(Lattice { cell: CELL.count_of(settings) })),
};

const CELL: Knob = Knob::int("cell", "side of a cell, of which one patch is visible", "patches", (2, 64), 2);

impl MaskStrategy for Lattice {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let cell = self.cell.max(1);
        let (row, col) = (stream.below(cell), stream.below(cell));
        let plane: Vec<bool> = (0..grid.plane()).map(|patch| (patch / grid.cols % cell, patch % grid.cols % cell) != (row, col)).collect();
        Mask::same_in_every_frame(grid, &plane)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        undivided("mask.cell", self.cell, true, grid)
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let masked = grid.len() - grid.len() / (self.cell * self.cell).max(1);
        (masked, masked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn every_cell_keeps_the_same_one_and_all_places_occur() {
        let grid = Grid::still(6, 9);
        let mut seen = std::collections::BTreeSet::new();
        for draw in 0..200 {
            let mask = Lattice { cell: 3 }.sample(grid, &mut Stream::new(0, 0, draw, Purpose::Mask));
            let places: Vec<_> = mask.ids_keep().iter().map(|&patch| (patch / 9 % 3, patch % 9 % 3)).collect();
            assert!(places.len() == 6 && places.iter().all(|&place| place == places[0]));
            seen.insert(places[0]);
        }
        assert_eq!(seen.len(), 9);
        assert!(Lattice { cell: 4 }.check(grid)[0].cure.contains("a side of 3,"));
    }
}
