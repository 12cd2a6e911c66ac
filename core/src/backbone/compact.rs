//! Packing what uniform masking leaves visible into a map of half the size (UM-MAE, Li et al., 2022), on which pyramids work as on any
//! other: one unit of every 2×2 cell is visible, so the visible units of all cells, side by side, are a map without holes.

use super::token_map::{Origins, TokenMap};
use crate::error::{Error, Result};
use crate::mask::{Grid, Mask};

/// A cell's side in units.
const CELL: usize = 2;

/// Which tokens of the whole map the compact maps of a batch hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compact {
    /// Units of the whole map.
    units: Grid,
    /// A unit's side in tokens.
    unit: usize,
    /// The visible unit of every cell: `[B·cells]`.
    visible: Vec<usize>,
    /// Whether that unit is replaced by the mask token.
    is_secondary: Vec<bool>,
}

impl Compact {
    /// Packs what `masks` leave visible, where a patch of the mask is a unit of `unit`×`unit` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] if the masks differ in size, are of videos, or do not leave one patch of every 2×2 cell visible.
    pub fn new(masks: &[Mask], unit: usize) -> Result<Self> {
        let refuse = |why: String| {
            Err(Error::Usage(format!("cannot pack what is visible into a smaller image: {why}; use the mask `uniform`, on still images")))
        };
        let Some(units) = masks.first().map(|mask| mask.grid) else { return refuse("there is no mask".into()) };
        if masks.iter().any(|mask| mask.grid != units) {
            return refuse("the masks are of different sizes".into());
        }
        if units.frames != 1 || units.rows % CELL != 0 || units.cols % CELL != 0 {
            return refuse(format!("a grid of {units} patches does not divide into cells of 2x2"));
        }
        let mut packed = Self { units, unit, visible: Vec::new(), is_secondary: Vec::new() };
        for mask in masks {
            for cell in 0..packed.num_cells() {
                let visible: Vec<usize> = packed.units_of_cell(cell).into_iter().filter(|&patch| !mask.masked[patch]).collect();
                let [patch] = visible[..] else {
                    return refuse(format!("{} patches of a 2x2 cell are visible, not one", visible.len()));
                };
                packed.visible.push(patch);
                packed.is_secondary.push(mask.secondary[patch]);
            }
        }
        Ok(packed)
    }

    /// The visible unit of every cell, cells in raster order, as its raster index in the whole map of units: `[B·cells]`. What leaves a
    /// pyramid has this order, and so must have the positions that a decoder adds to it.
    pub fn visible_units(&self) -> &[usize] {
        &self.visible
    }

    /// Tokens down and across of the whole map.
    pub fn whole_grid(&self) -> [usize; 2] {
        [self.units.rows * self.unit, self.units.cols * self.unit]
    }

    /// Tokens down and across of the compact map.
    pub fn grid(&self) -> [usize; 2] {
        self.whole_grid().map(|side| side / CELL)
    }

    /// The compact map, which knows where its tokens come from.
    pub fn map(&self) -> TokenMap {
        let places = self.of_each_token(|_, place| place);
        TokenMap { grid: self.grid(), origins: Some(Origins { grid: self.whole_grid(), places }) }
    }

    /// 1 for each token of the compact map that is replaced by the mask token: `[B·N/4]`.
    pub fn secondary(&self) -> Vec<f32> {
        self.of_each_token(|cell, _| f32::from(u8::from(self.is_secondary[cell])))
    }

    /// Takes the visible tokens out of whole maps. Shapes: `whole [B, N, W]` to `[B, N/4, W]`.
    pub fn pack(&self, whole: &[f32], width: usize) -> Vec<f32> {
        self.rows().into_iter().flat_map(|row| whole[row * width..][..width].iter().copied()).collect()
    }

    /// Puts visible tokens back into whole maps, with zeros where nothing is visible. Shapes: `compact [B, N/4, W]` to `[B, N, W]`.
    pub fn unpack(&self, compact: &[f32], width: usize) -> Vec<f32> {
        let mut whole = vec![0.0; compact.len() * CELL * CELL];
        for (row, token) in self.rows().into_iter().zip(compact.chunks_exact(width)) {
            whole[row * width..][..width].copy_from_slice(token);
        }
        whole
    }

    /// The row of each compact token among those of all whole maps: `[B·N/4]`.
    fn rows(&self) -> Vec<usize> {
        let [rows, cols] = self.whole_grid();
        self.of_each_token(|cell, [row, col]| (cell / self.num_cells() * rows + row) * cols + col)
    }

    fn num_cells(&self) -> usize {
        self.units.len() / (CELL * CELL)
    }

    fn units_of_cell(&self, cell: usize) -> [usize; CELL * CELL] {
        let (cols, across) = (self.units.cols, self.units.cols / CELL);
        std::array::from_fn(|place| (cell / across * CELL + place / CELL) * cols + cell % across * CELL + place % CELL)
    }

    /// What `value(cell, [row, column])` makes of each token of the compact maps, in raster order, sample by sample; cells are counted over
    /// all samples, and row and column are those in the whole map.
    fn of_each_token<T>(&self, value: impl Fn(usize, [usize; 2]) -> T) -> Vec<T> {
        let ([rows, cols], unit) = (self.grid(), self.unit);
        let mut values = Vec::with_capacity(self.visible.len() * unit * unit);
        for first in (0..self.visible.len()).step_by(self.num_cells().max(1)) {
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                let cell = first + row / unit * (cols / unit) + col / unit;
                let (unit_row, unit_col) = (self.visible[cell] / self.units.cols, self.visible[cell] % self.units.cols);
                values.push(value(cell, [unit_row * unit + row % unit, unit_col * unit + col % unit]));
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::MaskStrategy;
    use crate::mask::uniform::{Pool, Uniform};
    use crate::random::{Purpose, Stream};

    fn masks(rows: usize, cols: usize, pool: Pool) -> Vec<Mask> {
        let strategy = Uniform { secondary: 0.25, pool };
        let of_sample = |sample| strategy.sample(Grid::still(rows, cols), &mut Stream::new(5, 0, sample, Purpose::Mask));
        (0..3).map(of_sample).collect()
    }

    #[test]
    fn packing_is_undone_by_unpacking_on_every_even_grid() {
        for (rows, cols) in (2..=14).step_by(2).flat_map(|rows| (2..=16).step_by(2).map(move |cols| (rows, cols))) {
            for (unit, pool) in [(1, Pool::Balanced), (2, Pool::Independent), (4, Pool::Balanced)] {
                let masks = masks(rows, cols, pool);
                let compact = Compact::new(&masks, unit).unwrap();
                let [height, width] = [rows * unit, cols * unit];
                assert_eq!((compact.whole_grid(), compact.grid()), ([height, width], [height / 2, width / 2]));
                let whole: Vec<f32> = (1..=3 * height * width * 2).map(|value| value as f32).collect();
                let packed = compact.pack(&whole, 2);
                assert_eq!(packed.len(), whole.len() / 4);
                let restored = compact.unpack(&packed, 2);
                assert_eq!(compact.pack(&restored, 2), packed);
                // What comes back is what was visible, and nothing else.
                for (index, (&have, &want)) in restored.iter().zip(&whole).enumerate() {
                    let token = index / 2 % (height * width);
                    let patch = token / width / unit * cols + token % width / unit;
                    let is_masked = masks[index / 2 / (height * width)].masked[patch];
                    assert_eq!(have, if is_masked { 0.0 } else { want });
                }
            }
        }
    }

    #[test]
    fn tokens_know_their_places_units_and_secondary_masks() {
        let masks = masks(4, 6, Pool::Independent);
        let compact = Compact::new(&masks, 4).unwrap();
        let origins = compact.map().origins.unwrap();
        // Each token carries its raster index in the whole map, so packing the indices must give what the origins say.
        let indices: Vec<f32> = (0..3).flat_map(|_| (0..16 * 24).map(|index| index as f32)).collect();
        let packed: Vec<usize> = compact.pack(&indices, 1).into_iter().map(|index| index as usize).collect();
        assert_eq!(origins.raster(), packed);
        // Within a unit tokens are neighbors as they were; a unit never leaves its cell.
        for (token, [row, col]) in origins.places.iter().enumerate() {
            let (compact_row, compact_col) = (token % 96 / 12, token % 12);
            assert_eq!((row % 4, col % 4, row / 8, col / 8), (compact_row % 4, compact_col % 4, compact_row / 4, compact_col / 4));
        }
        let secondary = compact.secondary();
        for (token, [row, col]) in origins.places.iter().enumerate() {
            assert_eq!(secondary[token] == 1.0, masks[token / 96].secondary[row / 4 * 6 + col / 4]);
        }
        assert_eq!(secondary.iter().sum::<f32>(), 3.0 * 2.0 * 16.0);
        // One token per unit, two stages later: the order of the decoder's positions.
        let coarse = compact.map().halved().halved();
        assert_eq!((coarse.grid, coarse.origins.unwrap().raster()), ([2, 3], compact.visible_units().to_vec()));
    }

    #[test]
    fn what_is_not_uniform_is_refused_with_the_reason() {
        let refusal = |masks: &[Mask]| Compact::new(masks, 4).unwrap_err().to_string();
        let mut two = masks(4, 4, Pool::Balanced);
        let hidden = two[1].masked.iter().position(|&masked| masked).unwrap();
        two[1].masked[hidden] = false;
        assert!(refusal(&two).contains("2 patches of a 2x2 cell"), "{}", refusal(&two));
        let odd = Mask::in_raster_order(Grid::still(3, 4), vec![true; 12]);
        assert!(refusal(&[odd]).contains("3x4 patches does not divide"));
        assert!(refusal(&[]).contains("no mask"));
        let mixed = [masks(4, 4, Pool::Balanced).remove(0), masks(4, 6, Pool::Balanced).remove(0)];
        assert!(refusal(&mixed).contains("different sizes"));
    }
}
