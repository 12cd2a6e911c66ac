//! Numbers for pairs of tokens that are not spelled out. A window of n tokens has n² pairs for each head, and where tokens come from
//! anywhere in the image every window of every sample has its own; but the row in which a pair finds its number is the difference of two
//! codes, one for each token.

use std::sync::Arc;

use rayon::prelude::*;

use super::pool::Pooled;

/// What is added to the scores of pairs that must not see each other.
pub(crate) const APART: f32 = -100.0;

/// The row of the number of each pair of tokens, query and key.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    /// N: tokens of a window.
    tokens: usize,
    /// A pair's row is the query's code less the key's, and `center`. `[G·N]`, where window w takes group w modulo G.
    codes: Arc<[u32]>,
    center: u32,
    /// Tokens of different ones are kept apart. `[windows of an image · N]`, or none.
    regions: Arc<[u8]>,
}

/// Those of one window.
#[derive(Debug, Clone, Copy)]
pub struct WindowPairs<'a> {
    codes: &'a [u32],
    center: u32,
    regions: &'a [u8],
}

impl Pairs {
    /// Codes are those of places down and across the image, of which no two that see each other are further apart than `reach`; with it
    /// come the regions of the tokens of one image's windows, or none.
    pub fn new(tokens: usize, places: impl Iterator<Item = [usize; 2]>, reach: [usize; 2], regions: Vec<u8>) -> Self {
        let across = 2 * reach[1] + 1;
        let codes = places.map(|[row, col]| (row * across + col) as u32).collect();
        Self { tokens, codes, center: (reach[0] * across + reach[1]) as u32, regions: regions.into() }
    }

    /// Whether windows differ in how far their tokens are apart.
    pub fn differ(&self) -> bool {
        self.codes.len() > self.tokens
    }

    /// The row of each pair, written out: `[G, N, N]`. If there are several groups, pairs that are kept apart have that of no distance.
    pub fn rows(&self) -> Vec<i32> {
        let groups = self.codes.len() / self.tokens;
        let of_group = |group: usize| {
            let window = if groups > 1 { self.of(group) } else { WindowPairs { regions: &[], ..self.of(group) } };
            (0..self.tokens).flat_map(move |query| window.row(query).map(|(row, _)| row as i32))
        };
        (0..groups).flat_map(of_group).collect()
    }

    pub(super) fn of(&self, window: usize) -> WindowPairs<'_> {
        let group = |len: usize| window * self.tokens % len.max(1);
        let (code, region) = (group(self.codes.len()), group(self.regions.len()));
        let regions = if self.regions.is_empty() { &[] } else { &self.regions[region..region + self.tokens] };
        WindowPairs { codes: &self.codes[code..code + self.tokens], center: self.center, regions }
    }

    /// The gradient of the numbers, `[heads, T]`, from that of the scores, `[windows, heads, N, N]`.
    pub(super) fn gradient(&self, dscores: &[f32], heads: usize, count: usize) -> Pooled {
        let (mut dnumbers, square) = (Pooled::new(heads * count), self.tokens * self.tokens);
        dnumbers.par_chunks_mut(count).enumerate().for_each(|(head, dnumbers)| {
            dnumbers.fill(0.0);
            for (window, dscores) in dscores.chunks_exact(heads * square).enumerate() {
                let pairs = self.of(window);
                for (query, dscores) in dscores[head * square..].chunks_exact(self.tokens).take(self.tokens).enumerate() {
                    pairs.row(query).zip(dscores).for_each(|((row, _), gradient)| dnumbers[row] += gradient);
                }
            }
        });
        dnumbers
    }
}

impl<'a> WindowPairs<'a> {
    /// The row of each key for a query, and what is added to its score besides.
    fn row(self, query: usize) -> impl Iterator<Item = (usize, f32)> + 'a {
        let Self { codes, center, regions } = self;
        let (code, region) = (codes[query] + center, regions.get(query));
        codes.iter().enumerate().map(move |(key, other)| match region {
            Some(region) if regions[key] != *region => (center as usize, APART),
            _ => ((code - other) as usize, 0.0),
        })
    }

    /// Adds a head's numbers `[T]` to its scores `[N, N]`.
    pub fn add_to(self, scores: &mut [f32], numbers: &[f32]) {
        for (query, scores) in scores.chunks_exact_mut(self.codes.len()).enumerate() {
            self.row(query).zip(scores).for_each(|((row, apart), score)| *score += numbers[row] + apart);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use super::super::tests::{How, block_inputs, block_of, check, next, parameters_of};
    use super::*;

    #[test]
    fn rows_are_those_of_distances_and_what_is_apart_has_that_of_none() {
        let places = [[0, 0], [0, 1], [1, 0], [1, 1]];
        let pairs = Pairs::new(4, places.into_iter(), [1, 1], Vec::new());
        assert_eq!(pairs.rows(), [4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4]);
        let split = Pairs::new(2, [[3, 9], [3, 10]].into_iter(), [1, 1], vec![0, 0, 0, 1]);
        assert_eq!(split.rows(), [4, 3, 5, 4]);
        let several = Pairs::new(2, [[3, 9], [3, 10], [0, 5], [0, 0]].into_iter(), [1, 1], vec![0, 0, 0, 1]);
        assert_eq!((split.differ(), several.differ(), several.rows()), (false, true, vec![4, 3, 5, 4, 4, 4, 4, 4]));
        let mut scores = [0.0; 4];
        split.of(3).add_to(&mut scores, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(scores, [4.0, 4.0 + APART, 4.0 + APART, 4.0]);
        assert_eq!(split.gradient(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0], 1, 9)[3..6], [2.0, 249.0, 4.0]);
    }
    #[test]
    fn a_block_gives_every_pair_its_number() {
        let sizes = [6, 4, 2, 3, 5];
        let places = (0..6 * 4).map(|token| [token * 7 % 5, token * 3 % 4]);
        // Of the image's three windows, the second has two regions.
        let pairs = Pairs::new(4, places, [4, 3], vec![0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3]);
        let mut inputs = block_inputs(sizes);
        inputs.push((vec![9 * 7, 2], 1.0));
        let inputs: Vec<(&[usize], f32)> = inputs.iter().map(|(shape, scale)| (&shape[..], *scale)).collect();
        let fused = |mut tensors: Vec<Tensor<1>>| {
            let numbers = tensors.pop().unwrap().reshape([9 * 7, 2]);
            let mut tensors = tensors.into_iter();
            let x = next(&mut tensors, [6, 4, 6]);
            super::super::block_of_pairs(x, parameters_of(&mut tensors, sizes, 0, How::Whole), (numbers, pairs.clone()), None).reshape([-1])
        };
        let plain = |mut tensors: Vec<Tensor<1>>| {
            let numbers: Tensor<2> = tensors.pop().unwrap().reshape([9 * 7, 2]);
            let device = numbers.device().without_autodiff();
            let apart = (0..6 * 16).map(|at| if at / 16 % 3 == 1 && (at / 8 + at / 2) % 2 == 1 { APART } else { 0.0 });
            let apart = Tensor::<4>::from_data(TensorData::new(apart.collect::<Vec<f32>>(), [6, 1, 4, 4]), &device);
            let rows = Tensor::from_data(TensorData::new(pairs.rows(), [6 * 16]), &device);
            let bias: Tensor<4> = numbers.select(0, rows).reshape([6, 4, 4, 2]).permute([0, 3, 1, 2]) + apart;
            tensors.push(bias.reshape([-1]));
            block_of(sizes, None, 6, How::FromParts)(tensors)
        };
        check("block of pairs", &inputs, &fused, &plain);
    }
}
