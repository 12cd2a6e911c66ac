//! Matrix products of Burn's own library, on matrices that may be transposed views.

use burn::backend::ops::FloatTensorOps;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

/// `x Wᵀ`. Shapes: `x [R, I]`, `weight [O, I]` to `[R, O]`.
pub fn product(x: &CubeTensor, weight: &CubeTensor) -> CubeTensor {
    CubeBackend::float_matmul(x.clone(), transposed(weight))
}

/// `dy W`. Shapes: `dy [R, O]`, `weight [O, I]` to `[R, I]`.
pub fn input_gradient(dy: &CubeTensor, weight: &CubeTensor) -> CubeTensor {
    CubeBackend::float_matmul(dy.clone(), weight.clone())
}

/// `dyᵀ x`. Shapes: `dy [R, O]`, `x [R, I]` to `[O, I]`.
pub fn weight_gradient(dy: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    CubeBackend::float_matmul(transposed(dy), x.clone())
}

fn transposed(matrix: &CubeTensor) -> CubeTensor {
    CubeBackend::float_transpose(matrix.clone())
}
