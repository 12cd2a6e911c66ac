//! What is made of a teacher's answers before a network has to give them too: sharpened, and balanced so that not a few prototypes win
//! everything.

use burn::tensor::{Tensor, activation};

use super::lesson::Place;
use crate::recipe::Part;

/// What keeps a few prototypes from winning everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Balance {
    /// The running mean of all answers is subtracted; the share of it that stays at each step.
    Center(f64),
    /// A batch uses all prototypes alike, as well as so many iterations of Sinkhorn's can make it (SwAV).
    Sinkhorn(usize),
    /// Nothing.
    Nothing,
}

/// A temperature that changes from epoch to epoch until it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// In the first epoch.
    pub begin: f64,
    /// After the warm-up.
    pub end: f64,
    /// Epochs of the warm-up.
    pub epochs: f64,
}

/// Answers that have to be given.
pub struct Assigned {
    /// Probabilities of prototypes, `[R, K]`.
    pub shares: Tensor<2>,
    /// Their logarithms.
    pub logs: Tensor<2>,
}

impl Balance {
    /// What a recipe's target says.
    pub fn new(target: &Part) -> Self {
        match target.word("balance") {
            Some("sinkhorn") => Self::Sinkhorn(target.count("iterations")),
            Some("none") => Self::Nothing,
            _ => Self::Center(target.number("center_momentum").unwrap_or(0.9)),
        }
    }

    /// What a teacher's answers are made into. Groups of `each` rows are balanced by themselves; rows that are 0 in `counted` mean nothing.
    /// Shapes: `answers [R, K]` as they leave its head, `center [1, K]`, `counted [R, 1]`.
    pub fn assigned(
        self,
        answers: &Tensor<2>,
        center: Option<Tensor<2>>,
        temperature: f64,
        each: usize,
        counted: Option<&Tensor<2>>,
    ) -> Assigned {
        if let Self::Sinkhorn(iterations) = self {
            let rows = answers.dims()[0];
            let of_group = |first: usize| {
                let part = |all: &Tensor<2>| all.clone().narrow(0, first, each.min(rows - first));
                balanced(part(answers), counted.map(part), temperature, iterations)
            };
            let shares = Tensor::cat((0..rows).step_by(each.max(1)).map(of_group).collect(), 0);
            return Assigned { logs: shares.clone().clamp_min(f64::from(f32::MIN_POSITIVE)).log(), shares };
        }
        let centered = match center {
            Some(center) => answers.clone() - center,
            None => answers.clone(),
        };
        let logs = activation::log_softmax(centered * (1.0 / temperature), 1);
        Assigned { shares: logs.clone().exp(), logs }
    }
}

/// Assignments by Sinkhorn and Knopp's iteration: prototypes alike, then samples alike, in turn. Shapes: `scores [R, K]` to the same, rows add
/// up to one, those that are 0 in `counted [R, 1]` to nothing.
fn balanced(scores: Tensor<2>, counted: Option<Tensor<2>>, epsilon: f64, iterations: usize) -> Tensor<2> {
    let largest = scores.clone().max().unsqueeze::<2>();
    let mut shares = ((scores - largest) * (1.0 / epsilon)).exp();
    if let Some(counted) = counted {
        shares = shares * counted;
    }
    for _ in 0..iterations {
        shares = shares.clone() / shares.sum_dim(0).clamp_min(f64::from(f32::MIN_POSITIVE));
        shares = shares.clone() / shares.sum_dim(1).clamp_min(f64::from(f32::MIN_POSITIVE));
    }
    shares
}

impl Temperature {
    /// Evenly spaced values from the first epoch to the last of the warm-up, both included, then the last one.
    pub fn at(self, place: Place) -> f64 {
        /// The warm-up is at most this share of a training; the released code takes 30 epochs of 100, and fails on shorter ones.
        const SHARE: f64 = 0.3;
        let epochs = self.epochs.min((SHARE * place.epochs()).ceil()).floor();
        let epoch = place.epoch as f64;
        match epoch < epochs {
            true => self.begin + (self.end - self.begin) * epoch / (epochs - 1.0).max(1.0),
            false => self.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::weights::model_file::to_host;

    fn rows(values: &[f32], width: usize) -> Tensor<2> {
        Tensor::<1>::from_floats(values, &Device::flex()).reshape([values.len() / width, width])
    }

    const SCORES: [f32; 6] = [0.30, 0.10, 0.20, 0.15, 0.25, 0.05];
    const GOLDEN: [f32; 6] = [0.701_808, 0.298_192, 0.104_886, 0.895_114, 0.701_808, 0.298_192];

    #[test]
    fn golden_sinkhorn() {
        // Two views of three samples: each is balanced by itself.
        let Assigned { shares, logs } = Balance::Sinkhorn(3).assigned(&rows(&SCORES.repeat(2), 2), None, 0.05, 3, None);
        let (shares, logs) = (to_host(shares).unwrap(), to_host(logs).unwrap());
        for view in shares.chunks_exact(6) {
            assert!(view.iter().zip(GOLDEN).all(|(have, want)| (have - want).abs() < 1e-5), "{view:?}");
        }
        assert!(logs.iter().zip(&shares).all(|(log, share)| (log.exp() - share).abs() < 1e-6));
    }

    #[test]
    fn rows_that_mean_nothing_change_nothing() {
        let with_others: Vec<f32> = SCORES.chunks_exact(2).flat_map(|row| [row[0], row[1], 0.9, -0.4]).collect();
        let counted = rows(&[1.0, 0.0].repeat(3), 1);
        let shares = Balance::Sinkhorn(3).assigned(&rows(&with_others, 2), None, 0.05, 6, Some(&counted)).shares;
        for (row, golden) in to_host(shares).unwrap().chunks_exact(4).zip(GOLDEN.chunks_exact(2)) {
            assert!((row[0] - golden[0]).abs() < 1e-5 && (row[1] - golden[1]).abs() < 1e-5 && row[2..] == [0.0, 0.0], "{row:?}");
        }
    }

    #[test]
    fn temperatures_rise_by_epochs_within_three_tenths_of_the_training() {
        let temperature = Temperature { begin: 0.04, end: 0.07, epochs: 31.0 };
        let at = |epoch: u64, epochs: u64| temperature.at(Place { epoch, step: epoch * 10, steps: epochs * 10, steps_per_epoch: 10 });
        for (epoch, want) in [(0, 0.04), (15, 0.055), (30, 0.07), (31, 0.07), (200, 0.07)] {
            assert!((at(epoch, 300) - want).abs() < 1e-12, "{epoch}: {}", at(epoch, 300));
        }
        // Ten epochs leave three for it.
        assert!([(0, 0.04), (1, 0.055), (2, 0.07), (3, 0.07)].iter().all(|&(epoch, want)| (at(epoch, 10) - want).abs() < 1e-12));
        let late = Place { epoch: 90, step: 900, steps: 1000, steps_per_epoch: 10 };
        assert_eq!(Temperature { epochs: 0.0, ..temperature }.at(late), 0.07);
        // A training of less than an epoch begins and ends with the first.
        assert_eq!(temperature.at(Place { epoch: 0, step: 5, steps: 6, steps_per_epoch: 10 }), 0.04);
    }
}
