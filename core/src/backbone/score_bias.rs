//! What attention of a plain transformer knows of where patches lie: a learned number for each head and each distance (BEiT; Raffel et
//! al., *T5*, 2019), with three more for pairs that the class token is part of. Registers, which have no place either, share these three.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::linear::parameter;
use super::pos_embed;
use super::vit::values_of;

/// Pairs with the class token: as the query, as the key, as both.
const WITH_CLASS: usize = 3;

/// The numbers, from zero on.
#[derive(Module, Debug)]
pub struct ScoreBias {
    /// `[(2 h - 1)(2 w - 1) + 3, heads]`, distances query minus key, from the most negative on, down the image first.
    pub relative_position_bias_table: Param<Tensor<2>>,
}

impl ScoreBias {
    /// For maps of `grid` patches.
    pub fn new(grid: [usize; 2], heads: usize, device: &Device) -> Self {
        let rows = num_rows(grid);
        Self { relative_position_bias_table: parameter(vec![0.0; rows * heads], [rows, heads], device) }
    }

    /// What is added to the scores where so many tokens stand in front of the patches: `[1, heads, prefix + N, prefix + N]`.
    pub fn of(&self, grid: [usize; 2], prefix: usize) -> Tensor<4> {
        let table = self.relative_position_bias_table.val();
        let (tokens, heads) = (prefix + grid[0] * grid[1], table.dims()[1]);
        let rows: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(rows_of_pairs(grid, prefix), [tokens * tokens]), &table.device().without_autodiff());
        table.select(0, rows).reshape([1, tokens, tokens, heads]).permute([0, 3, 1, 2])
    }

    /// The same numbers for another grid: those of distances bicubic, as positions are resized; those of the class token as they are.
    pub fn for_grid(self, from: [usize; 2], to: [usize; 2]) -> Self {
        let table = self.relative_position_bias_table.val();
        let (heads, device) = (table.dims()[1], table.device());
        let values = values_of(table);
        let (distances, with_class) = values.split_at(values.len() - WITH_CLASS * heads);
        // The rule knows tables with a class token's row in front, so one is lent to it.
        let lent: Vec<f32> = vec![0.0; heads].into_iter().chain(distances.iter().copied()).collect();
        let mut resized = pos_embed::resize(&lent, heads, from.map(|side| 2 * side - 1), to.map(|side| 2 * side - 1)).split_off(heads);
        resized.extend_from_slice(with_class);
        Self { relative_position_bias_table: parameter(resized, [num_rows(to), heads], &device) }
    }
}

/// Rows of the table.
pub fn num_rows([rows, cols]: [usize; 2]) -> usize {
    (2 * rows - 1) * (2 * cols - 1) + WITH_CLASS
}

/// The row of the table for each pair of tokens (query, key), `prefix` tokens without a place first: `[(prefix + N)²]`.
pub fn rows_of_pairs([rows, cols]: [usize; 2], prefix: usize) -> Vec<i32> {
    let (tokens, num_rows) = (prefix + rows * cols, num_rows([rows, cols]));
    let row = |query: usize, key: usize| match (query.checked_sub(prefix), key.checked_sub(prefix)) {
        (None, None) => num_rows - 1,
        (None, _) => num_rows - 3,
        (_, None) => num_rows - 2,
        (Some(query), Some(key)) => {
            let (dy, dx) = (query / cols + rows - 1 - key / cols, query % cols + cols - 1 - key % cols);
            dy * (2 * cols - 1) + dx
        }
    };
    (0..tokens).flat_map(|query| (0..tokens).map(move |key| row(query, key) as i32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_g15() {
        let rows = rows_of_pairs([2, 2], 1);
        let expected = [[11, 9, 9, 9, 9], [10, 4, 3, 1, 0], [10, 5, 4, 2, 1], [10, 7, 6, 4, 3], [10, 8, 7, 5, 4]];
        assert_eq!(rows, expected.concat());
        // A register is nowhere, as the class token is.
        assert_eq!(rows_of_pairs([1, 2], 2), [[5, 5, 3, 3], [5, 5, 3, 3], [4, 4, 1, 0], [4, 4, 2, 1]].concat());
    }

    #[test]
    fn equal_distances_share_a_number_on_any_grid_and_size() {
        let device = Device::flex();
        let values: Vec<f32> = (0..(3 * 5 + 3) * 2).map(|value| value as f32).collect();
        let bias = ScoreBias { relative_position_bias_table: parameter(values.clone(), [18, 2], &device) };
        let dense = bias.of([2, 3], 1).into_data().try_into_vec::<f32>().unwrap();
        for (head, query, key, want) in [(0, 0, 0, 17), (1, 0, 4, 15), (0, 2, 0, 16), (1, 1, 6, 0), (0, 6, 1, 14), (0, 3, 3, 7)] {
            assert_eq!(dense[(head * 7 + query) * 7 + key], values[want * 2 + head], "{head} {query} {key}");
        }
        let same = bias.clone().for_grid([2, 3], [2, 3]);
        assert_eq!(same.relative_position_bias_table.val().into_data(), bias.relative_position_bias_table.val().into_data());
        let larger = bias.for_grid([2, 3], [4, 4]).relative_position_bias_table.val();
        assert_eq!(larger.dims(), [52, 2]);
        assert_eq!(larger.into_data().try_into_vec::<f32>().unwrap()[98..], values[30..]);
    }
}
