//! The mean squared error of MAE: per patch over its numbers, then over the patches that count.

use burn::tensor::Tensor;

use super::{OVER, Objective, needs_values, over_all};
use crate::error::Problem;
use crate::kernel::{self, RowError};
use crate::registry::Entry;
use crate::target::Output;

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "mse",
    summary: "mean squared error",
    source: "He et al., Masked Autoencoders Are Scalable Vision Learners, 2021",
    knobs: &[OVER],
    build: |settings| Ok(Box::new(Mse { all: over_all(settings) })),
};

/// `sum(w · mean((x - y)²)) / sum(w)`.
pub struct Mse {
    /// Visible patches count too.
    pub all: bool,
}

impl Objective for Mse {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        needs_values("mse", output)
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        kernel::row_error(prediction, target, weights, RowError::Square, 0.0)
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        let squares: f64 = prediction.iter().zip(target).map(|(&have, &want)| f64::from(have - want).powi(2)).sum();
        squares / target.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_difference::Rows;
    use super::*;

    #[test]
    fn only_weighted_patches_count_and_the_gradient_is_right() {
        let rows = Rows { target: vec![1.0, 1.0, 0.0, 2.0, 5.0, 5.0], weights: vec![1.0, 1.0, 0.0] };
        let loss = rows.loss(&Mse { all: false }, &[0.0, 1.0, 0.0, 0.0, 9.0, 9.0]);
        assert!((loss - (0.5 + 2.0) / 2.0).abs() < 1e-6, "{loss}");
        rows.check(&Mse { all: false }, &[0.3, 1.2, -0.4, 0.7, 2.0, -1.0]);
    }
}
