//! Maps of numbers over patches, one for each query and head, in the order in which the shaders want them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maskroom_shaders::heatmap::{Cell, cells_from_values};

/// Every map of one image, sorted and summed once. Cheap to clone: clones share the numbers, in memory and on the graphics card.
#[derive(Debug, Clone)]
pub struct HeatRows(pub(crate) Arc<Maps>);

#[derive(Debug)]
pub(crate) struct Maps {
    generation: u64,
    /// Query after query, head after head, row of patches after row.
    pub(crate) cells: Vec<Cell>,
    maxima: Vec<f32>,
    num_queries: usize,
    num_heads: usize,
    /// Rows and columns of patches.
    grid: [usize; 2],
}

impl HeatRows {
    /// Maps from numbers laid out as (queries, heads, rows · columns); what is negative or not finite counts as zero. Takes a while for
    /// many queries, so call it where waiting is no harm. `None` if there is nothing, or the lengths do not fit.
    pub fn from_values(values: &[f32], num_queries: usize, num_heads: usize, grid: [usize; 2]) -> Option<Self> {
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        let num_patches = grid[0].checked_mul(grid[1])?;
        if values.is_empty() || num_queries.checked_mul(num_heads)?.checked_mul(num_patches)? != values.len() {
            return None;
        }
        let mut cells = Vec::with_capacity(values.len());
        let mut maxima = Vec::with_capacity(num_queries * num_heads);
        for map in values.chunks_exact(num_patches) {
            let map = cells_from_values(map);
            maxima.push(map.iter().map(|cell| cell.value).fold(0.0, f32::max));
            cells.extend(map);
        }
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::new(Maps { generation, cells, maxima, num_queries, num_heads, grid })))
    }

    /// How many queries have maps.
    pub fn num_queries(&self) -> usize {
        self.0.num_queries
    }

    /// How many heads have maps.
    pub fn num_heads(&self) -> usize {
        self.0.num_heads
    }

    /// Rows and columns of patches.
    pub fn grid(&self) -> [usize; 2] {
        self.0.grid
    }

    /// The number of a patch, given as row and column; `None` outside.
    pub fn value(&self, query: usize, head: usize, [row, column]: [usize; 2]) -> Option<f32> {
        let [rows, columns] = self.0.grid;
        let is_inside = query < self.0.num_queries && head < self.0.num_heads && row < rows && column < columns;
        is_inside.then(|| self.0.cells[self.first_cell(query, head) + row * columns + column].value)
    }

    /// The largest number of a map; 0 outside.
    pub fn maximum(&self, query: usize, head: usize) -> f32 {
        let is_inside = query < self.0.num_queries && head < self.0.num_heads;
        if is_inside { self.0.maxima[query * self.0.num_heads + head] } else { 0.0 }
    }

    /// No other maps have this number.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation
    }

    pub(crate) fn num_patches(&self) -> usize {
        self.0.grid[0] * self.0.grid[1]
    }

    /// Where a map begins among all cells. Queries and heads that do not exist stand for the last.
    pub(crate) fn first_cell(&self, query: usize, head: usize) -> usize {
        let query = query.min(self.0.num_queries - 1);
        let head = head.min(self.0.num_heads - 1);
        (query * self.0.num_heads + head) * self.num_patches()
    }

    /// The cells that are uploaded together with those of a query: a run of whole queries of at most `max_bytes`. `None` if a single query
    /// takes more.
    pub(crate) fn chunk_of(&self, query: usize, max_bytes: usize) -> Option<Range<usize>> {
        let cells_a_query = self.0.num_heads * self.num_patches();
        let queries_a_chunk = max_bytes / (cells_a_query * size_of::<Cell>());
        let chunk = query.min(self.0.num_queries - 1).checked_div(queries_a_chunk)?;
        let end = ((chunk + 1) * queries_a_chunk).min(self.0.num_queries);
        Some(chunk * queries_a_chunk * cells_a_query..end * cells_a_query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three queries, two heads, two rows of two patches.
    fn rows() -> HeatRows {
        let values: Vec<_> = (0..24).map(|value| value as f32).collect();
        HeatRows::from_values(&values, 3, 2, [2, 2]).unwrap()
    }

    #[test]
    fn values_lie_by_query_head_row_and_column() {
        let rows = rows();
        assert_eq!(rows.value(1, 1, [1, 0]), Some(14.0));
        assert_eq!([rows.value(3, 0, [0, 0]), rows.value(0, 2, [0, 0]), rows.value(0, 0, [2, 0]), rows.value(0, 0, [0, 2])], [None; 4]);
        assert_eq!((rows.maximum(2, 0), rows.maximum(9, 0)), (19.0, 0.0));
        assert_eq!(rows.first_cell(9, 9), 20);
    }

    #[test]
    fn each_map_is_summed_by_itself() {
        let rows = rows();
        for map in rows.0.cells.chunks(4) {
            assert!((map[3].mass - 1.0).abs() < 1e-6, "{map:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (len, num_queries, num_heads, grid) in [(0, 0, 0, [0, 0]), (7, 1, 2, [2, 2]), (8, 1, 1, [2, 2]), (8, 2, usize::MAX, [2, 2])] {
            assert!(HeatRows::from_values(&vec![0.0; len], num_queries, num_heads, grid).is_none());
        }
    }

    #[test]
    fn generations_differ_but_clones_share_theirs() {
        let (one, other) = (rows(), rows());
        let clone = one.clone();
        assert_ne!(one.generation(), other.generation());
        assert_eq!(one.generation(), clone.generation());
    }

    #[test]
    fn chunks_are_whole_queries_within_the_limit() {
        let rows = rows();
        // A query is 8 cells of 8 bytes.
        assert_eq!([0, 1, 2, 9].map(|query| rows.chunk_of(query, 130)), [Some(0..16), Some(0..16), Some(16..24), Some(16..24)]);
        assert_eq!(rows.chunk_of(1, 64), Some(8..16));
        assert_eq!(rows.chunk_of(1, 1 << 20), Some(0..24));
        assert_eq!(rows.chunk_of(0, 63), None);
    }
}
