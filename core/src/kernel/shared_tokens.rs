//! Tokens that samples have in common. The mask tokens that a decoder begins with differ by their places alone, so its first block has to
//! make queries, keys and values of each place once and not once for every sample, and to keep no more of them.

use std::sync::Arc;

use rayon::prelude::*;

use super::pool::Pooled;

/// Which row each token is.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Tokens of a sample.
    tokens: usize,
    /// The row of each token of all samples: `[B·N]`.
    rows: Arc<[u32]>,
    /// All tokens, those of the first row in front, and where those of each row begin: `[B·N]` and `[U + 1]`.
    copies: Arc<[u32]>,
    starts: Arc<[u32]>,
}

impl Shared {
    /// Of `count` rows, those that each sample's `tokens` are: `[B·N]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn new(rows: Vec<u32>, tokens: usize, count: usize) -> Self {
        let mut starts = vec![0; count + 1];
        rows.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (0..count).for_each(|row| starts[row + 1] += starts[row]);
        let (mut ends, mut copies) = (starts.clone(), vec![0; rows.len()]);
        for (token, &row) in (0..).zip(&rows) {
            let end = &mut ends[row as usize];
            copies[*end as usize] = token;
            *end += 1;
        }
        Self { tokens, rows: rows.into(), copies: copies.into(), starts: starts.into() }
    }

    /// N
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// B
    pub fn samples(&self) -> usize {
        self.rows.len() / self.tokens.max(1)
    }

    /// U
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The row of each token of all samples: `[B·N]`.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The tokens of some samples. Shapes: `values [U, width]` to `[samples·N, width]`.
    pub(super) fn copy_into(&self, copies: &mut Vec<f32>, values: &[f32], width: usize, samples: std::ops::Range<usize>) {
        copies.clear();
        for &row in &self.rows[samples.start * self.tokens..samples.end * self.tokens] {
            copies.extend_from_slice(&values[row as usize * width..][..width]);
        }
    }

    /// The sum over all tokens that are the same row, of those from `first` on in each sample, where `values` has no others. Shapes:
    /// `values [B·(N - first), width]` to `[U, width]`.
    pub(super) fn sum(&self, values: &[f32], width: usize, first: usize) -> Pooled {
        let mut sums = Pooled::new(self.count() * width);
        sums.par_chunks_mut(width).zip(self.starts.par_windows(2)).for_each(|(sum, range)| {
            sum.fill(0.0);
            for &token in &self.copies[range[0] as usize..range[1] as usize] {
                let (sample, place) = (token as usize / self.tokens, token as usize % self.tokens);
                if let Some(place) = place.checked_sub(first) {
                    let row = sample * (self.tokens - first) + place;
                    sum.iter_mut().zip(&values[row * width..]).for_each(|(sum, value)| *sum += value);
                }
            }
        });
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_go_where_copies_came_from() {
        let shared = Shared::new(vec![0, 3, 1, 3, 0, 3], 3, 5);
        assert_eq!((shared.samples(), shared.count()), (2, 5));
        let mut copies = Vec::new();
        shared.copy_into(&mut copies, &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5], 2, 1..2);
        assert_eq!(copies, [3.0, 3.5, 0.0, 0.5, 3.0, 3.5]);
        assert_eq!(shared.sum(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], 1, 0)[..], [17.0, 4.0, 0.0, 42.0, 0.0]);
        assert_eq!(shared.sum(&[2.0, 4.0, 16.0, 32.0], 1, 1)[..], [16.0, 4.0, 0.0, 34.0, 0.0]);
    }
}
