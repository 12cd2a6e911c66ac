//! The map that a pyramid's tokens stand on, and where each of them comes from if the map holds only what is visible.

/// A map of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMap {
    /// Tokens down and across.
    pub grid: [usize; 2],
    /// Where its tokens lie in the map of the whole image; absent if it is that map.
    pub origins: Option<Origins>,
}

/// Where the tokens of a compact map lie in the map of the whole image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Tokens down and across of the whole map.
    pub grid: [usize; 2],
    /// Row and column of each token: `[B·N]`.
    pub places: Vec<[usize; 2]>,
}

impl TokenMap {
    /// A map of everything.
    pub fn whole(grid: [usize; 2]) -> Self {
        Self { grid, origins: None }
    }

    /// The map of the next stage, where one token stands for four. Its place is half that of the first of them, rounded down: on a whole
    /// map that is its own place, and in a compact one, where the four may come from different cells, it differs from the middle of the
    /// cells by the same half step for all.
    pub fn halved(&self) -> Self {
        let ([rows, cols], half) = (self.grid, self.grid.map(|side| side / 2));
        let origins = self.origins.as_ref().map(|origins| {
            let of_sample = |places: &[[usize; 2]]| {
                let first = |token: usize| places[token / half[1] * 2 * cols + token % half[1] * 2].map(|at| at / 2);
                (0..half[0] * half[1]).map(first).collect::<Vec<_>>()
            };
            let places = origins.places.chunks_exact(rows * cols).flat_map(of_sample).collect();
            Origins { grid: origins.grid.map(|side| side / 2), places }
        });
        Self { grid: half, origins }
    }
}

impl Origins {
    /// The raster index of each token in the whole map: `[B·N]`.
    pub fn raster(&self) -> Vec<usize> {
        self.places.iter().map(|[row, col]| row * self.grid[1] + col).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_map_that_knows_its_places_keeps_them_when_halved() {
        let origins = |grid: [usize; 2]| Origins { grid, places: (0..grid[0] * grid[1]).map(|at| [at / grid[1], at % grid[1]]).collect() };
        let map = TokenMap { grid: [4, 8], origins: Some(origins([4, 8])) };
        assert_eq!(map.halved(), TokenMap { grid: [2, 4], origins: Some(origins([2, 4])) });
        assert_eq!(map.origins.unwrap().raster(), (0..32).collect::<Vec<_>>());
    }
}
