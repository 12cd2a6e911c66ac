//! The smooth L1 loss (Girshick, *Fast R-CNN*, 2015): squared where the error is small, absolute where it is large.

use burn::tensor::Tensor;

use super::{OVER, Objective, needs_values, over_all};
use crate::error::Problem;
use crate::kernel::{self, RowError};
use crate::knob::Knob;
use crate::registry::Entry;
use crate::target::Output;

const BETA: Knob = Knob::float("beta", "error from which on it counts as it is and no longer squared", "", (1e-3, 1e3), 1.0);

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "smooth_l1",
    summary: "squared error where it is small, absolute where it is large",
    source: "Girshick, Fast R-CNN, 2015; as Baevski et al., data2vec, 2022, use it",
    knobs: &[BETA, OVER],
    build: |settings| Ok(Box::new(SmoothL1 { beta: BETA.float_of(settings), all: over_all(settings) })),
};

/// Of each number's error d: `d² / 2β` where `|d| < β`, else `|d| - β / 2`.
pub struct SmoothL1 {
    /// Where the two parts meet; positive.
    pub beta: f64,
    /// Visible patches count too.
    pub all: bool,
}

impl Objective for SmoothL1 {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        needs_values("smooth_l1", output)
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        kernel::row_error(prediction, target, weights, RowError::Smooth { beta: self.beta as f32 }, 0.0)
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        let error = |(&have, &want): (&f32, &f32)| {
            let error = f64::from(have - want).abs();
            if error < self.beta { error * error / (2.0 * self.beta) } else { error - self.beta / 2.0 }
        };
        prediction.iter().zip(target).map(error).sum::<f64>() / target.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_difference::Rows;
    use super::*;

    #[test]
    fn small_errors_are_squared_and_large_ones_are_not() {
        let rows = Rows { target: vec![0.0; 6], weights: vec![1.0, 0.0, 0.0] };
        let loss = |beta: f64| rows.loss(&SmoothL1 { beta, all: false }, &[0.5, -3.0, 7.0, 7.0, 7.0, 7.0]);
        assert!((loss(1.0) - (0.125 + 2.5) / 2.0).abs() < 1e-6);
        assert!((loss(2.0) - (0.0625 + 2.0) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_is_right() {
        let rows = Rows { target: vec![1.0, 1.0, 0.0, 2.0, 5.0, 5.0], weights: vec![1.0, 1.0, 0.0] };
        for beta in [0.5, 1.0, 2.0] {
            rows.check(&SmoothL1 { beta, all: false }, &[0.3, 1.2, -0.4, 0.7, 2.0, -1.0]);
        }
    }
}
