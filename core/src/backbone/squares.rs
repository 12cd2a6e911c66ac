//! A map of tokens cut into squares, and put together again: windows of Swin, and the cells that a strided convolution reads.

use burn::tensor::Tensor;

use crate::kernel::{self, Order};

/// Orders tokens square by square, squares and the tokens within each in raster order. Shapes: `tokens [B, rows·cols, D]` to
/// `[B·squares, side·side, D]`; `side` must divide both sides of the map.
pub fn cut(tokens: Tensor<3>, [rows, cols]: [usize; 2], side: usize) -> Tensor<3> {
    let [batch, count, width] = tokens.dims();
    let area = side * side;
    let in_order = match kernel::reorder(&tokens, &order([rows, cols], side)) {
        Some(in_order) => in_order,
        None => {
            let split: Tensor<6> = tokens.reshape([batch, rows / side, side, cols / side, side, width]);
            split.permute([0, 1, 3, 2, 4, 5]).reshape([batch, count, width])
        }
    };
    in_order.reshape([batch * count / area, area, width])
}

/// The order in which [`cut`] leaves the tokens of a map.
fn order([rows, cols]: [usize; 2], side: usize) -> Order {
    let (area, across) = (side * side, cols / side);
    let square = |at: usize| (at / across * side, at % across * side);
    let token = |(row, col): (usize, usize), at: usize| (row + at / side) * cols + col + at % side;
    Order::new((0..rows / side * across).flat_map(|at| (0..area).map(move |within| token(square(at), within))))
}

/// The inverse of [`cut`]. Shapes: `squares [B·squares, side·side, D]` to `[B, rows·cols, D]`.
pub fn join(squares: Tensor<3>, [rows, cols]: [usize; 2], side: usize) -> Tensor<3> {
    let [count, area, width] = squares.dims();
    let batch = count * area / (rows * cols);
    let in_order = squares.clone().reshape([batch, rows * cols, width]);
    if let Some(tokens) = kernel::reorder(&in_order, &order([rows, cols], side).inverse()) {
        return tokens;
    }
    let split: Tensor<6> = squares.reshape([batch, rows / side, cols / side, side, side, width]);
    split.permute([0, 1, 3, 2, 4, 5]).reshape([batch, rows * cols, width])
}

/// What a convolution whose stride is its size reads: each square's tokens one after the other. Shapes: `tokens [B, rows·cols, D]` to
/// `[B, squares, side·side·D]`.
pub fn patches(tokens: Tensor<3>, grid: [usize; 2], side: usize) -> Tensor<3> {
    let [batch, count, width] = tokens.dims();
    cut(tokens, grid, side).reshape([batch, count / (side * side), side * side * width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::backbone::patch_embed::patchify;
    use crate::weights::model_file::to_host;

    #[test]
    fn squares_are_patches_and_come_back() {
        for ([rows, cols], side) in [([4, 6], 2), ([3, 9], 3), ([6, 3], 3), ([4, 4], 4), ([2, 5], 1)] {
            let values: Vec<f32> = (0..2 * rows * cols * 2).map(|value| value as f32).collect();
            let tokens = Tensor::from_data(TensorData::new(values.clone(), [2, rows * cols, 2]), &Device::flex());
            let expected: Vec<f32> = values.chunks(rows * cols * 2).flat_map(|image| patchify(image, rows, cols, 2, side)).collect();
            assert_eq!(to_host(patches(tokens.clone(), [rows, cols], side)).unwrap(), expected);
            assert_eq!(to_host(join(cut(tokens, [rows, cols], side), [rows, cols], side)).unwrap(), values);
        }
    }
}
