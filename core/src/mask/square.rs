//! Square masking: one square at a random place.

use super::{Grid, Mask, MaskStrategy, none_or_all};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// One square whose area is nearest to the wanted share. Where that square is longer than the grid's shorter side, it becomes a rectangle
/// that spans the shorter side and has the area nearest to the share. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct Square {
    /// Share that is masked, as nearly as whole sides allow.
    pub ratio: f64,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "square",
    summary: "one square at a random place",
    source: "Context Encoders' central region (Pathak et al., 2016), at any place",
    knobs: &[RATIO],
    build: |settings: &Settings| Ok(Box::new(Square { ratio: RATIO.float_of(settings) })),
};

const RATIO: Knob = Knob::float("ratio", "share of the patches that the square covers, to the nearest whole side", "", (0.0, 1.0), 0.5);

impl MaskStrategy for Square {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let (height, width) = self.sides(grid);
        let top = stream.below(grid.rows - height + 1);
        let left = stream.below(grid.cols - width + 1);
        let (rows, cols) = (top..top + height, left..left + width);
        let inside = |patch: usize| rows.contains(&(patch / grid.cols)) && cols.contains(&(patch % grid.cols));
        let plane: Vec<bool> = (0..grid.plane()).map(inside).collect();
        Mask::same_in_every_frame(grid, &plane)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        let (height, width) = self.sides(grid);
        none_or_all("mask.ratio", height * width, grid.plane(), "patches")
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let (height, width) = self.sides(grid);
        let masked = height * width * grid.frames;
        (masked, masked)
    }
}

impl Square {
    /// Height and width.
    fn sides(&self, grid: Grid) -> (usize, usize) {
        let (short, area) = (grid.rows.min(grid.cols), self.ratio * grid.plane() as f64);
        let lower = area.sqrt() as usize;
        // The nearest of the two neighboring squares by area, not by side.
        let missed = |side: usize| ((side * side) as f64 - area).abs();
        let side = if missed(lower + 1) < missed(lower) { lower + 1 } else { lower };
        if side <= short {
            return (side, side);
        }
        let long = ((area / short as f64).round_ties_even() as usize).min(grid.rows.max(grid.cols));
        if grid.rows <= grid.cols { (short, long) } else { (long, short) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn the_area_is_the_nearest_and_lies_inside() {
        for (rows, cols, ratio, sides) in [
            (14, 14, 0.5, (10, 10)),
            (14, 14, 0.75, (12, 12)),
            (14, 14, 0.25, (7, 7)),
            (4, 16, 0.75, (4, 12)),
            (16, 4, 0.75, (12, 4)),
            (4, 16, 0.25, (4, 4)),
            (8, 8, 0.02, (1, 1)),
        ] {
            assert_eq!(Square { ratio }.sides(Grid::still(rows, cols)), sides, "{rows}x{cols} at {ratio}");
        }
        for (ratio, problems) in [(0.0, 1), (0.001, 1), (0.9, 0), (0.99, 1), (1.0, 1)] {
            assert_eq!(Square { ratio }.check(Grid::still(14, 14)).len(), problems, "{ratio}");
        }
        let places: std::collections::BTreeSet<usize> = (0..2_000)
            .map(|draw| Square { ratio: 0.5 }.sample(Grid::still(14, 14), &mut Stream::new(0, 0, draw, Purpose::Mask)))
            .map(|mask| mask.masked.iter().position(|&masked| masked).unwrap_or(0))
            .collect();
        assert_eq!(places.len(), 25);
    }
}
