//! The cross-entropy of BEiT: how improbable the network thinks the right class.

use burn::tensor::Tensor;

use super::{OVER, Objective, over_all};
use crate::error::Problem;
use crate::kernel::{self, RowError};
use crate::registry::Entry;
use crate::target::Output;

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "cross_entropy",
    summary: "how improbable the network thinks the right class",
    source: "Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021",
    knobs: &[OVER],
    build: |settings| Ok(Box::new(CrossEntropy { all: over_all(settings) })),
};

/// `-log softmax(x)[class]`, in nats. Predictions are scores `[K]`, a target the number of its class.
pub struct CrossEntropy {
    /// Visible patches count too.
    pub all: bool,
}

impl Objective for CrossEntropy {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        let Output::Values { width } = output else { return None };
        let what = format!("`cross_entropy` compares classes, and this target asks for {width} numbers per patch");
        let cure = "use `objective.kind` mse, l1, smooth_l1 or cosine, or `target.kind = \"tokens\"`";
        Some(Problem::new("objective.kind", what, cure))
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        kernel::row_error(prediction, target, weights, RowError::Entropy, 0.0)
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        let largest = prediction.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = prediction.iter().map(|&score| f64::from(score - largest).exp()).sum();
        let of_class = target.first().and_then(|&class| prediction.get(class as usize)).copied().unwrap_or(f32::NAN);
        sum.ln() - f64::from(of_class - largest)
    }

    fn is_right(&self, prediction: &[f32], target: &[f32]) -> Option<bool> {
        Some(target.first().is_some_and(|&class| largest(prediction) == class as usize))
    }
}

/// The place of the largest number, the first of equals.
pub fn largest(values: &[f32]) -> usize {
    values.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (place, &value)| if value > best.1 { (place, value) } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::super::finite_difference::Rows;
    use super::*;

    #[test]
    fn equal_scores_cost_the_logarithm_of_the_classes() {
        let rows = Rows { target: vec![0.0, 3.0, 2.0], weights: vec![1.0, 1.0, 1.0] };
        let loss = rows.loss(&CrossEntropy { all: false }, &[0.5; 12]);
        assert!((loss - 4_f64.ln()).abs() < 1e-6, "{loss}");
        let sure = rows.loss(&CrossEntropy { all: false }, &[99.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 99.0, 0.0, 0.0, 99.0, 0.0]);
        assert!(sure.abs() < 1e-6, "{sure}");
    }

    #[test]
    fn the_gradient_is_right() {
        let rows = Rows { target: vec![2.0, 0.0, 1.0], weights: vec![1.0, 1.0, 0.0] };
        rows.check(&CrossEntropy { all: false }, &[0.3, 1.2, -0.4, 0.7, 2.0, -1.0, 0.1, 0.2, 0.3]);
    }

    #[test]
    fn the_class_with_the_highest_score_is_the_guess() {
        let right = |scores: &[f32], class: f32| CrossEntropy { all: false }.is_right(scores, &[class]).unwrap();
        assert!(right(&[0.1, 0.9, 0.3], 1.0) && !right(&[0.1, 0.9, 0.3], 2.0) && right(&[0.5, 0.5], 0.0));
    }

    #[test]
    fn targets_and_objectives_say_whether_they_fit() {
        let (values, classes) = (Output::Values { width: 48 }, Output::Classes { count: 512 });
        for entry in super::super::OBJECTIVES {
            let objective = (entry.build)(&crate::registry::Settings::new()).unwrap();
            let [values, classes] = [values, classes].map(|output| objective.objection(output).is_none());
            assert!(values != classes && classes == (entry.name == "cross_entropy"), "{}", entry.name);
        }
    }
}
