//! The cosine distance: only the direction of a row counts, not its length, as for features of a teacher.

use burn::tensor::Tensor;

use super::{OVER, Objective, needs_values, over_all, weighted_mean};
use crate::error::Problem;
use crate::registry::Entry;
use crate::target::Output;

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "cosine",
    summary: "one minus the cosine of the angle between prediction and target",
    source: "as Wei et al., Masked Feature Prediction for Self-Supervised Visual Pre-Training, 2021, compare features",
    knobs: &[OVER],
    build: |settings| Ok(Box::new(Cosine { all: over_all(settings) })),
};

/// `1 - x · y / (|x| |y|)`; 1 where one of them is zero.
pub struct Cosine {
    /// Visible patches count too.
    pub all: bool,
}

/// Added to the square of a length, so that a zero has a gradient.
const EPS: f64 = 1e-12;

impl Objective for Cosine {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        needs_values("cosine", output)
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        let [batch, rows, _] = prediction.dims();
        let dot = |a: &Tensor<3>, b: &Tensor<3>| (a.clone() * b.clone()).sum_dim(2).reshape([batch, rows]);
        let lengths = ((dot(&prediction, &prediction) + EPS) * (dot(&target, &target) + EPS)).sqrt();
        weighted_mean(dot(&prediction, &target) / lengths * -1.0 + 1.0, weights)
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        1.0 - dot(prediction, target) / ((dot(prediction, prediction) + EPS) * (dot(target, target) + EPS)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::super::finite_difference::Rows;
    use super::*;

    const ROWS: [f32; 6] = [1.0, 1.0, 0.0, 2.0, 5.0, 5.0];

    #[test]
    fn direction_counts_and_length_does_not() {
        let rows = Rows { target: ROWS.to_vec(), weights: vec![1.0, 1.0, 0.0] };
        let loss = |prediction: &[f32]| rows.loss(&Cosine { all: false }, prediction);
        assert!(loss(&[3.0, 3.0, 0.0, 0.5, 1.0, -1.0]).abs() < 1e-6);
        assert!((loss(&[-1.0, -1.0, 3.0, 0.0, 1.0, -1.0]) - (2.0 + 1.0) / 2.0).abs() < 1e-6);
        assert!((loss(&[0.0; 6]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_is_right() {
        let rows = Rows { target: ROWS.to_vec(), weights: vec![1.0, 1.0, 0.0] };
        rows.check(&Cosine { all: false }, &[0.3, 1.2, -0.8, 0.7, 2.0, -1.0]);
    }
}
