//! Random masking of units that may be larger than the model's patches (SimMIM): a unit is masked or visible as a whole.

use super::{Grid, Mask, MaskStrategy, none_or_all, undivided};
use crate::error::Problem;
use crate::knob::Knob;
use crate::random::Stream;
use crate::registry::{Entry, Settings};

/// Any units, each with the same chance. In videos every frame hides the same patches.
#[derive(Debug)]
pub struct PatchAligned {
    /// Share of the units that is masked, rounded up.
    pub ratio: f64,
    /// Side of a unit in patches.
    pub unit: usize,
}

/// The list's entry.
pub const ENTRY: Entry<dyn MaskStrategy> = Entry {
    name: "patch_aligned",
    summary: "any units of several patches, each with the same chance",
    source: "SimMIM (Xie et al., 2022)",
    knobs: &[RATIO, UNIT, UNIT_PX],
    build: |settings: &Settings| {
        // Pixels become patches where the patch is known: in `Recipe::mask`.
        match UNIT_PX.count_of(settings) {
            0 => Ok(Box::new(PatchAligned { ratio: RATIO.float_of(settings), unit: UNIT.count_of(settings) })),
            px => {
                let what = format!("a unit of {px} px says nothing without a patch size");
                Err(vec![Problem::new("mask.unit_px", what, "set `mask.unit`, the side of a unit in patches, instead")])
            }
        }
    },
};

const RATIO: Knob = Knob::float("ratio", "share of the units that is masked, rounded up to a whole unit", "", (0.0, 1.0), 0.6);
const UNIT: Knob = Knob::int("unit", "side of a unit", "patches", (1, 64), 2);
const UNIT_PX: Knob = Knob::int("unit_px", "side of a unit in pixels, a multiple of the patch; 0: `unit` counts", "px", (0, 64), 0);

impl MaskStrategy for PatchAligned {
    fn sample(&self, grid: Grid, stream: &mut Stream) -> Mask {
        let unit = self.unit.max(1);
        let (unit_cols, units) = (grid.cols.div_ceil(unit), grid.rows.div_ceil(unit) * grid.cols.div_ceil(unit));
        let mut masked_units = vec![false; units];
        for unit in stream.permutation(units).into_iter().take(num_masked_units(units, self.ratio)) {
            masked_units[unit] = true;
        }
        let plane: Vec<bool> =
            (0..grid.plane()).map(|patch| masked_units[patch / grid.cols / unit * unit_cols + patch % grid.cols / unit]).collect();
        Mask::same_in_every_frame(grid, &plane)
    }

    fn check(&self, grid: Grid) -> Vec<Problem> {
        let problems = undivided("mask.unit", self.unit, true, grid);
        if !problems.is_empty() {
            return problems;
        }
        let units = self.units(grid);
        none_or_all("mask.ratio", num_masked_units(units, self.ratio), units, "units")
    }

    fn num_masked(&self, grid: Grid) -> (usize, usize) {
        let masked = num_masked_units(self.units(grid), self.ratio) * self.unit * self.unit * grid.frames;
        (masked, masked)
    }
}

impl PatchAligned {
    /// How many units a frame has.
    fn units(&self, grid: Grid) -> usize {
        (grid.rows / self.unit.max(1)) * (grid.cols / self.unit.max(1))
    }
}

/// Masked ones of `units`: rounded up in 64-bit floats, as in SimMIM's code.
fn num_masked_units(units: usize, ratio: f64) -> usize {
    ((units as f64 * ratio).ceil() as usize).min(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn counts_are_those_of_the_official_code() {
        for (units, ratio, masked) in [(36, 0.6, 22), (49, 0.6, 30), (49, 0.5, 25), (100, 0.1, 10), (10, 0.3, 3), (36, 0.5, 18)] {
            assert_eq!(num_masked_units(units, ratio), masked, "{units} at {ratio}");
        }
        // Swin at 192 px with patches of 4: 6x6 units of 8x8 patches.
        let (strategy, grid) = (PatchAligned { ratio: 0.6, unit: 8 }, Grid::still(48, 48));
        assert_eq!(strategy.sample(grid, &mut Stream::new(0, 0, 0, Purpose::Mask)).num_masked(), 22 * 64);
    }

    #[test]
    fn units_are_masked_as_a_whole() {
        let grid = Grid::still(8, 12);
        for draw in 0..50 {
            let mask = PatchAligned { ratio: 0.6, unit: 4 }.sample(grid, &mut Stream::new(0, 0, draw, Purpose::Mask));
            for patch in 0..grid.len() {
                let corner = patch / 12 / 4 * 4 * 12 + patch % 12 / 4 * 4;
                assert_eq!(mask.masked[patch], mask.masked[corner]);
            }
            assert_eq!(mask.num_masked(), 4 * 16);
        }
        assert_eq!(PatchAligned { ratio: 0.6, unit: 5 }.check(grid)[0].key, "mask.unit");
        assert_eq!(PatchAligned { ratio: 0.9, unit: 4 }.check(grid)[0].key, "mask.ratio");
    }
}
