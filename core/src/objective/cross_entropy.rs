//! The cross-entropy of BEiT: how improbable the network thinks the right class; and that of a distribution over classes (Zhang et al.,
//! 2016).

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
    source: "Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021; Zhang et al., Colorful Image Colorization, 2016",
    knobs: &[OVER],
    build: |settings| Ok(Box::new(CrossEntropy { all: over_all(settings), classes: 0 })),
};

/// `-log softmax(x)[class]`, in nats. Predictions are scores `[K]`, a target the number of its class. Of distributions it is
/// `-Σ t log softmax(x)`, the mean over the places of a patch, where the numbers of `t` add up to what a place counts.
pub struct CrossEntropy {
    /// Visible patches count too.
    pub all: bool,
    /// K, where distributions are asked for; 0 where one class is.
    pub classes: usize,
}

impl Objective for CrossEntropy {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn prepare_for(&mut self, output: Output) {
        self.classes = if let Output::Distributions { count, .. } = output { count } else { 0 };
    }

    fn objection(&self, output: Output) -> Option<Problem> {
        let Output::Values { width } = output else { return None };
        let what = format!("`cross_entropy` compares classes, and this target asks for {width} numbers per patch");
        let cure = "use `objective.kind` mse, l1, smooth_l1 or cosine, or `target.kind = \"tokens\"`";
        Some(Problem::new("objective.kind", what, cure))
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        if self.classes == 0 {
            return kernel::row_error(prediction, target, weights, RowError::Entropy, 0.0);
        }
        let [batch, rows, width] = target.dims();
        let places = width / self.classes;
        let [prediction, target] = [prediction, target].map(|rows_of| rows_of.reshape([batch, rows * places, self.classes]));
        let counts = target.clone().sum_dim(2);
        let weights = weights.reshape([batch, rows, 1]).repeat_dim(2, places).reshape([batch, rows * places]);
        let counted = weights.clone() * counts.clone().reshape([batch, rows * places]);
        // The mean over what counts, times what counts on average: rows count by their weights alone.
        let average = counted.clone().sum() / weights.sum();
        kernel::row_error(prediction, target / counts, counted, RowError::Distribution { sharpness: 1.0 }, 0.0) * average
    }

    fn error(&self, prediction: &[f32], target: &[f32]) -> f64 {
        if self.classes == 0 {
            let of_class = target.first().and_then(|&class| prediction.get(class as usize)).copied().unwrap_or(f32::NAN);
            return log_sum(prediction) - f64::from(of_class);
        }
        let of_place = |(scores, shares): (&[f32], &[f32])| {
            let log_sum = log_sum(scores);
            scores.iter().zip(shares).map(|(&score, &share)| f64::from(share) * (log_sum - f64::from(score))).sum::<f64>()
        };
        let places = prediction.chunks_exact(self.classes).zip(target.chunks_exact(self.classes));
        let count = places.len().max(1) as f64;
        places.map(of_place).sum::<f64>() / count
    }

    fn is_right(&self, prediction: &[f32], target: &[f32]) -> Option<bool> {
        if self.classes == 0 {
            return Some(target.first().is_some_and(|&class| largest(prediction) == class as usize));
        }
        let mut places = prediction.chunks_exact(self.classes).zip(target.chunks_exact(self.classes));
        Some(places.all(|(scores, shares)| largest(scores) == largest(shares)))
    }
}

/// `log Σ exp(x)`
fn log_sum(scores: &[f32]) -> f64 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter().map(|&score| f64::from(score - largest).exp()).sum::<f64>().ln() + f64::from(largest)
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
        let loss = rows.loss(&CrossEntropy { all: false, classes: 0 }, &[0.5; 12]);
        assert!((loss - 4_f64.ln()).abs() < 1e-6, "{loss}");
        let sure = rows.loss(&CrossEntropy { all: false, classes: 0 }, &[99.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 99.0, 0.0, 0.0, 99.0, 0.0]);
        assert!(sure.abs() < 1e-6, "{sure}");
    }

    #[test]
    fn the_gradient_is_right() {
        let rows = Rows { target: vec![2.0, 0.0, 1.0], weights: vec![1.0, 1.0, 0.0] };
        rows.check(&CrossEntropy { all: false, classes: 0 }, &[0.3, 1.2, -0.4, 0.7, 2.0, -1.0, 0.1, 0.2, 0.3]);
    }

    /// Two places of three classes each in every row, of which the second counts twice.
    fn distributions() -> Rows {
        let row = [0.2, 0.5, 0.3, 1.4, 0.0, 0.6];
        Rows { target: [row, row, row].concat(), weights: vec![1.0, 0.5, 0.0] }
    }

    const SCORES: [f32; 18] = [0.3, 1.2, -0.4, 0.7, 2.0, -1.0, 0.1, 0.2, 0.3, 1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.4, 0.3, 0.2];

    #[test]
    fn the_gradient_of_distributions_is_right() {
        let mut objective = CrossEntropy { all: true, classes: 0 };
        objective.prepare_for(Output::Distributions { places: 2, count: 3 });
        distributions().check(&objective, &SCORES);
    }

    #[test]
    fn a_distribution_costs_its_own_entropy_at_least_and_places_count_what_they_add_up_to() {
        let objective = CrossEntropy { all: true, classes: 3 };
        let entropy = |shares: [f64; 3]| -shares.iter().filter(|share| **share > 0.0).map(|share| share * share.ln()).sum::<f64>();
        let known: Vec<f32> = [0.2_f32, 0.5, 0.3, 0.7, 1e-12, 0.3].map(f32::ln).repeat(3);
        let want = (entropy([0.2, 0.5, 0.3]) + 2.0 * entropy([0.7, 0.0, 0.3])) / 2.0;
        let loss = distributions().loss(&objective, &known);
        assert!((loss - want).abs() < 1e-5, "{loss} {want}");
        assert!(objective.is_right(&known[..6], &distributions().target[..6]).unwrap());
        assert!(!objective.is_right(&SCORES[..6], &distributions().target[..6]).unwrap());
    }

    #[test]
    fn the_class_with_the_highest_score_is_the_guess() {
        let right = |scores: &[f32], class: f32| CrossEntropy { all: false, classes: 0 }.is_right(scores, &[class]).unwrap();
        assert!(right(&[0.1, 0.9, 0.3], 1.0) && !right(&[0.1, 0.9, 0.3], 2.0) && right(&[0.5, 0.5], 0.0));
    }

    #[test]
    fn targets_and_objectives_say_whether_they_fit() {
        let outputs = [Output::Values { width: 48 }, Output::Classes { count: 512 }, Output::Distributions { places: 4, count: 262 }];
        for entry in super::super::OBJECTIVES {
            let objective = (entry.build)(&crate::registry::Settings::new()).unwrap();
            let fits = outputs.map(|output| objective.objection(output).is_none());
            let is_entropy = entry.name == "cross_entropy";
            assert_eq!(fits, [!is_entropy, is_entropy, is_entropy], "{}", entry.name);
        }
    }
}
