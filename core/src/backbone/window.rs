//! How a Swin block cuts its map into windows (Liu et al., *Swin Transformer*, 2021): squares, in every second block shifted by half a
//! window, with what the shift brings together from opposite edges kept apart. A map that does not divide into windows is filled up with
//! zeros on the right and at the bottom, which are attended to as any token is (as timm and Hugging Face do).

use burn::tensor::Tensor;

use super::squares;
use crate::kernel::{self, APART, Order};

/// The windows of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Tokens down and across that there are.
    pub map: [usize; 2],
    /// The same with what fills the last windows up.
    pub grid: [usize; 2],
    /// Tokens along a window's side; divides both sides of the grid.
    pub side: usize,
    /// By how many tokens the map is rolled up and to the left first.
    pub shift: usize,
}

impl Windows {
    /// Parts of a rolled map.
    pub const REGIONS: usize = 9;

    /// The windows of block `index` of a stage: those of odd blocks are shifted by half a side. A map whose shorter side is no longer than
    /// `window` has windows of that shorter side, and none is shifted.
    pub fn of_block(map: [usize; 2], window: usize, index: usize) -> Self {
        let side = side_within(map, window);
        let is_shifted = index % 2 == 1 && map[0].min(map[1]) > window;
        Self { map, grid: map.map(|length| length.next_multiple_of(side)), side, shift: if is_shifted { side / 2 } else { 0 } }
    }

    /// Whether the map does not divide into windows.
    pub fn are_filled_up(&self) -> bool {
        self.grid != self.map
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.grid[0] * self.grid[1] / (self.side * self.side)
    }

    /// Shapes: `tokens [B, N, D]` to `[B·windows, side·side, D]`, the windows of a sample in raster order one after the other.
    pub fn cut(&self, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = self.filled_up(tokens);
        let ([batch, count, width], area) = (tokens.dims(), self.side * self.side);
        match kernel::reorder(&tokens, &Order::new(self.order())) {
            Some(windows) => windows.reshape([batch * count / area, area, width]),
            None => squares::cut(self.rolled(tokens, -(self.shift as i64)), self.grid, self.side),
        }
    }

    /// The inverse of [`Windows::cut`]. Shapes: `[B·windows, side·side, D]` to `[B, N, D]`.
    pub fn join(&self, windows: Tensor<3>) -> Tensor<3> {
        let ([squares, area, width], count) = (windows.dims(), self.grid[0] * self.grid[1]);
        let in_order = windows.reshape([squares * area / count, count, width]);
        let tokens = match kernel::reorder(&in_order, &Order::new(self.order()).inverse()) {
            Some(tokens) => tokens,
            None => self.rolled(squares::join(in_order.reshape([squares, area, width]), self.grid, self.side), self.shift as i64),
        };
        if !self.are_filled_up() {
            return tokens;
        }
        let ([batch, _, width], [rows, cols]) = (tokens.dims(), self.map);
        let tokens: Tensor<4> = tokens.reshape([batch, self.grid[0], self.grid[1], width]);
        tokens.narrow(1, 0, rows).narrow(2, 0, cols).reshape([batch, rows * cols, width])
    }

    /// The map with zeros on the right and at the bottom.
    fn filled_up(&self, tokens: Tensor<3>) -> Tensor<3> {
        if !self.are_filled_up() {
            return tokens;
        }
        let ([batch, _, width], device) = (tokens.dims(), tokens.device());
        let mut map: Tensor<4> = tokens.reshape([batch, self.map[0], self.map[1], width]);
        for axis in [1, 2] {
            let mut missing = map.dims();
            missing[axis] = self.grid[axis - 1] - self.map[axis - 1];
            if missing[axis] > 0 {
                map = Tensor::cat(vec![map, Tensor::zeros(missing, &device)], axis);
            }
        }
        map.reshape([batch, self.grid[0] * self.grid[1], width])
    }

    fn rolled(&self, tokens: Tensor<3>, shift: i64) -> Tensor<3> {
        if shift == 0 {
            return tokens;
        }
        let [batch, count, width] = tokens.dims();
        let map: Tensor<4> = tokens.reshape([batch, self.grid[0], self.grid[1], width]);
        map.roll(&[shift, shift], &[1, 2]).reshape([batch, count, width])
    }

    /// The raster index in the map of every token, window by window; none of what fills windows up: `[windows·side·side]`.
    pub fn tokens(&self) -> Vec<Option<usize>> {
        let [rows, cols] = self.map;
        let of_map = |[y, x]: [usize; 2]| (y < rows && x < cols).then_some(y * cols + x);
        self.order().into_iter().map(|place| of_map([place / self.grid[1], place % self.grid[1]])).collect()
    }

    /// The raster index in the grid of every token, window by window: `[windows·side·side]`.
    pub fn order(&self) -> Vec<usize> {
        let [rows, cols] = self.grid;
        self.places().map(|[y, x]| (y + self.shift) % rows * cols + (x + self.shift) % cols).collect()
    }

    /// Row and column in the rolled map of every token, window by window.
    fn places(&self) -> impl Iterator<Item = [usize; 2]> {
        let (side, across) = (self.side, self.grid[1] / self.side);
        (0..self.count()).flat_map(move |window| {
            (0..side * side).map(move |token| [window / across * side + token / side, window % across * side + token % side])
        })
    }

    /// Which of the nine parts of the rolled map each token lies in, window by window: `[windows·side·side]`. Tokens of a window that lie in
    /// different ones must not see each other.
    pub fn regions(&self) -> Vec<usize> {
        self.places().map(|place| self.region(place)).collect()
    }

    /// Which of the nine parts of the rolled map a place lies in; the roll made neighbors of what borders another part.
    fn region(&self, place: [usize; 2]) -> usize {
        let band = |at: usize, length: usize| usize::from(at + self.side >= length) + usize::from(at + self.shift >= length);
        band(place[0], self.grid[0]) * 3 + band(place[1], self.grid[1])
    }

    /// What is added to the scores so that pairs from opposite edges do not see each other: `[windows, side·side, side·side]`; nothing
    /// where no window is shifted.
    pub fn mask(&self) -> Option<Vec<f32>> {
        if self.shift == 0 {
            return None;
        }
        let regions = self.regions();
        let of_window = |regions: &[usize]| {
            let pair = |(a, b): (usize, usize)| if regions[a] == regions[b] { 0.0 } else { APART };
            (0..regions.len()).flat_map(|a| (0..regions.len()).map(move |b| (a, b))).map(pair).collect::<Vec<_>>()
        };
        Some(regions.chunks_exact(self.side * self.side).flat_map(of_window).collect())
    }
}

/// The side of the windows in a map: `window`, or the map's shorter side if that is less.
pub fn side_within(grid: [usize; 2], window: usize) -> usize {
    window.min(grid[0]).min(grid[1])
}

/// Whether a map divides into windows.
pub fn divides(map: [usize; 2], window: usize) -> bool {
    map.iter().all(|side| side.is_multiple_of(side_within(map, window)))
}

/// The window nearest to `wanted` into which every map divides, the larger one of two; none where a map is empty.
pub fn nearest_window(maps: &[[usize; 2]], wanted: usize) -> Option<usize> {
    let largest = maps.first()?.iter().copied().min()?;
    let fits = |window: &usize| maps.iter().flatten().all(|&side| side > 0) && maps.iter().all(|map| divides(*map, *window));
    (1..=largest).filter(fits).min_by_key(|&window| (window.abs_diff(wanted), usize::MAX - window))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn regions_match_g16() {
        let windows = Windows::of_block([4, 4], 2, 1);
        assert_eq!(windows, Windows { map: [4, 4], grid: [4, 4], side: 2, shift: 1 });
        let regions: Vec<usize> = (0..16).map(|place| windows.region([place / 4, place % 4])).collect();
        assert_eq!(regions, [0, 0, 1, 2, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8]);
        let mask = windows.mask().unwrap();
        assert_eq!(mask[..16], [0.0; 16]);
        assert_eq!(mask[16..20], [0.0, APART, 0.0, APART]);
        assert_eq!(mask[48..52], [0.0, APART, APART, APART]);
    }

    #[test]
    fn small_maps_have_small_windows_that_are_not_shifted() {
        assert_eq!(Windows::of_block([3, 6], 4, 1), Windows { map: [3, 6], grid: [3, 6], side: 3, shift: 0 });
        assert_eq!(Windows::of_block([4, 8], 4, 1), Windows { map: [4, 8], grid: [4, 8], side: 4, shift: 0 });
        assert_eq!(Windows::of_block([8, 16], 4, 2).shift, 0);
        assert!(Windows::of_block([3, 6], 4, 1).mask().is_none());
    }

    #[test]
    fn what_does_not_divide_is_filled_up_with_zeros_that_are_left_out_again() {
        assert_eq!(Windows::of_block([3, 5], 2, 1), Windows { map: [3, 5], grid: [4, 6], side: 2, shift: 1 });
        for map in [[3, 5], [4, 5], [5, 4]] {
            let (windows, count) = (Windows::of_block(map, 2, 1), map[0] * map[1]);
            let raster: Vec<f32> = (0..2 * count).map(|value| value as f32 + 1.0).collect();
            let cut = windows.cut(Tensor::from_data(TensorData::new(raster.clone(), [2, count, 1]), &Device::flex()));
            assert_eq!(cut.dims(), [2 * windows.count(), 4, 1]);
            let want: Vec<f32> = windows.tokens().into_iter().map(|token| token.map_or(0.0, |token| raster[token])).collect();
            assert_eq!(to_host(cut.clone()).unwrap()[..want.len()], want);
            assert_eq!(windows.tokens().iter().flatten().count(), count);
            assert_eq!(to_host(windows.join(cut)).unwrap(), raster);
        }
    }

    #[test]
    fn the_order_is_that_of_the_cut_and_cutting_is_undone() {
        for (grid, window) in [([4, 4], 2), ([6, 9], 3), ([8, 4], 4), ([10, 5], 5), ([10, 15], 5)] {
            for index in 0..2 {
                let windows = Windows::of_block(grid, window, index);
                let count = grid[0] * grid[1];
                let raster: Vec<f32> = (0..2 * count).map(|value| value as f32).collect();
                let tokens = Tensor::from_data(TensorData::new(raster.clone(), [2, count, 1]), &Device::flex());
                let cut = windows.cut(tokens);
                assert_eq!(cut.dims(), [2 * windows.count(), windows.side * windows.side, 1]);
                let order: Vec<f32> = windows.order().iter().map(|&place| place as f32).collect();
                assert_eq!(to_host(cut.clone()).unwrap()[..count], order);
                assert_eq!(to_host(windows.join(cut)).unwrap(), raster);
            }
        }
    }
}
