//! The mean absolute error of SimMIM.

use burn::tensor::Tensor;

use super::{OVER, Objective, needs_values, over_all};
use crate::error::Problem;
use crate::kernel::{self, RowError};
use crate::registry::Entry;
use crate::target::Output;

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "l1",
    summary: "mean absolute error",
    source: "Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2021",
    knobs: &[OVER],
    build: |settings| Ok(Box::new(L1 { all: over_all(settings) })),
};

/// `sum(w · |x - y|) / (sum(w) · numbers per row + 3e-5)`.
pub struct L1 {
    /// Visible patches count too.
    pub all: bool,
}

/// SimMIM adds 1e-5 to the number of masked pixels, each of which has three numbers.
const ADDEND: f64 = 3e-5;

impl Objective for L1 {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        needs_values("l1", output)
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        let addend = ADDEND / prediction.dims()[2] as f64;
        kernel::row_error(prediction, target, weights, RowError::Absolute, addend)
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        let sum: f64 = prediction.iter().zip(target).map(|(&have, &want)| f64::from(have - want).abs()).sum();
        sum / target.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_difference::Rows;
    use super::*;

    #[test]
    fn one_masked_pixel_scores_as_in_g17() {
        let rows = Rows { target: vec![0.0; 9], weights: vec![0.0, 1.0, 0.0] };
        let loss = rows.loss(&L1 { all: false }, &[9.0, 9.0, 9.0, 1.0, -2.0, 3.0, 9.0, 9.0, 9.0]);
        assert!((loss - 6.0 / (1.0 + 1e-5) / 3.0).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn the_gradient_is_right() {
        let rows = Rows { target: vec![1.0, 1.0, 0.0, 2.0, 5.0, 5.0], weights: vec![1.0, 1.0, 0.0] };
        rows.check(&L1 { all: false }, &[0.3, 1.2, -0.4, 0.7, 2.0, -1.0]);
    }
}
