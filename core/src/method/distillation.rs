//! Self-distillation without labels (Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, 2021): the network, shown
//! one view of an image, must say what its own running average says of another.

use burn::tensor::{Device, Tensor, activation};

use super::prototypes::PROTOTYPES;
use super::view_batch::ViewBatch;
use super::view_lesson::{ViewLesson, Views, spread};
use super::{Network, Outcome, Place};
use crate::error::{Error, Result};
use crate::kernel::{self, RowError};
use crate::recipe::Recipe;
use crate::weights::model_file::flat;
use crate::weights::safetensors_file::TensorMap;

/// How views are compared, and the teacher.
pub struct Distillation {
    views: Views,
    student_temperature: f64,
    teacher_temperature: Temperature,
    balance: Balance,
    /// The network teaches itself, and not its running average.
    is_own_teacher: bool,
    frozen_epochs: f64,
    /// The running mean of the teacher's raw answers, `[K]`; `None` before the first step.
    center: Option<Tensor<1>>,
    teacher: Option<Network>,
}

/// What keeps a few prototypes from winning everything.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Balance {
    /// The running mean of all answers is subtracted; the share of it that stays at each step.
    Center(f64),
    /// A batch uses all prototypes alike, as well as so many iterations of Sinkhorn's can make it (SwAV).
    Sinkhorn(usize),
    /// Nothing.
    Nothing,
}

/// A temperature that changes from epoch to epoch until it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Temperature {
    begin: f64,
    end: f64,
    epochs: f64,
}

impl Temperature {
    /// Evenly spaced values from the first epoch to the last of the warm-up, both included, then the last one.
    fn at(self, place: Place) -> f64 {
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

/// What a network says of a batch of views.
struct Answers {
    /// The teacher's, of the global views: `[G·B, K]`, as they leave its head.
    taught: Tensor<2>,
    /// The teacher's features, `[G·B, D]`.
    features: Tensor<2>,
    /// The network's own, of all views: `[V·B, K]`.
    given: Tensor<2>,
}

impl Distillation {
    /// The recipe's.
    pub fn new(recipe: &Recipe) -> Self {
        let (target, number) = (&recipe.target, |key: &str, usual: f64| recipe.target.number(key).unwrap_or(usual));
        Self {
            views: Views::new(recipe),
            student_temperature: recipe.objective.number("temperature").unwrap_or(0.1),
            teacher_temperature: Temperature {
                begin: number("warmup_temperature", 0.04),
                end: number("temperature", 0.04),
                epochs: number("warmup_epochs", 0.0),
            },
            balance: match target.word("balance") {
                Some("sinkhorn") => Balance::Sinkhorn(target.count("iterations")),
                Some("none") => Balance::Nothing,
                _ => Balance::Center(number("center_momentum", 0.9)),
            },
            is_own_teacher: target.word("teacher") == Some("itself"),
            frozen_epochs: recipe.decoder.number("frozen_epochs").unwrap_or(1.0),
            center: None,
            teacher: None,
        }
    }

    fn compare(&self, answers: Answers, batch: usize, place: Place, wants_figures: bool) -> Outcome {
        let temperature = self.teacher_temperature.at(place);
        let (taught, log_taught) = match (self.balance, &self.center) {
            (Balance::Sinkhorn(iterations), _) => {
                let taught = self.balanced(&answers.taught, batch, temperature, iterations);
                (taught.clone(), taught.clamp_min(f64::from(f32::MIN_POSITIVE)).log())
            }
            (_, center) => {
                let centered = match center {
                    Some(center) => answers.taught.clone() - center.clone().unsqueeze::<2>(),
                    None => answers.taught.clone(),
                };
                let log_taught = activation::log_softmax(centered * (1.0 / temperature), 1);
                (log_taught.clone().exp(), log_taught)
            }
        };
        let (wanted, weights) = self.wanted(&taught, batch);
        let (wanted, weights) = if answers.given.is_autodiff() { (wanted.autodiff(), weights.autodiff()) } else { (wanted, weights) };
        let error = RowError::Distribution { sharpness: (1.0 / self.student_temperature) as f32 };
        let loss = kernel::row_error(answers.given.unsqueeze(), wanted.unsqueeze(), weights.unsqueeze(), error, 0.0);
        let mut figures = Vec::new();
        if wants_figures {
            let rows = taught.dims()[0] as f64;
            let entropy = (taught.clone() * log_taught).sum() * (-1.0 / rows);
            figures.push(("kl", loss.clone().without_autodiff() - entropy.clone()));
            figures.push(("teacher_entropy", entropy));
            figures.push(("teacher_peak", taught.mean_dim(0).max()));
            figures.push(("feature_spread", spread(answers.features)));
        }
        let kept = matches!(self.balance, Balance::Center(_)).then(|| answers.taught.mean_dim(0));
        Outcome { loss, figures, kept }
    }

    fn answers(&self, network: &Network, batch: &ViewBatch) -> Result<Answers> {
        let features = self.views.shown(network, batch)?;
        let given = network.views()?.head.prototypes()?.forward(features.clone());
        if self.is_own_teacher {
            let global = |all: &Tensor<2>| all.clone().without_autodiff().narrow(0, 0, self.views.global * batch.batch);
            return Ok(Answers { taught: global(&given), features: global(&features), given });
        }
        let teacher = self.teacher.as_ref().ok_or_else(|| Error::Failed("views are compared, and there is no teacher".into()))?;
        let features = self.views.taught(teacher, batch)?;
        Ok(Answers { taught: teacher.views()?.head.prototypes()?.forward(features.clone()), features, given })
    }

    /// Assignments of each view's batch by Sinkhorn and Knopp's iteration: prototypes alike, then samples alike, in turn. Shapes:
    /// `scores [G·B, K]` to the same, rows add up to one.
    fn balanced(&self, scores: &Tensor<2>, batch: usize, epsilon: f64, iterations: usize) -> Tensor<2> {
        let of_view = |view: usize| {
            let scores = scores.clone().narrow(0, view * batch, batch);
            let largest = scores.clone().max().unsqueeze::<2>();
            let mut shares = ((scores - largest) * (1.0 / epsilon)).exp();
            for _ in 0..iterations {
                shares = shares.clone() / shares.sum_dim(0).clamp_min(f64::from(f32::MIN_POSITIVE));
                shares = shares.clone() / shares.sum_dim(1).clamp_min(f64::from(f32::MIN_POSITIVE));
            }
            shares
        };
        Tensor::cat((0..self.views.global).map(of_view).collect(), 0)
    }

    /// For every view the mean of what all other global ones are taught as, and how many those are. Shapes: `taught [G·B, K]` to `[V·B, K]`
    /// and `[V·B]`.
    fn wanted(&self, taught: &Tensor<2>, batch: usize) -> (Tensor<2>, Tensor<1>) {
        let of_view = |view: usize| taught.clone().narrow(0, view * batch, batch);
        let others = |view: usize| (0..self.views.global).filter(move |&other| other != view);
        let count = |view: usize| others(view).count();
        let mean = |view: usize| {
            let sum = others(view).map(of_view).reduce(|sum, other| sum + other).unwrap_or_else(|| of_view(0));
            if count(view) > 1 { sum / count(view) as f64 } else { sum }
        };
        let of_small = (self.views.sizes.len() > self.views.global).then(|| mean(self.views.global));
        let wanted =
            (0..self.views.sizes.len()).map(|view| of_small.clone().filter(|_| view >= self.views.global).unwrap_or_else(|| mean(view)));
        let weights: Vec<f32> = (0..self.views.sizes.len()).flat_map(|view| std::iter::repeat_n(count(view) as f32, batch)).collect();
        (Tensor::cat(wanted.collect(), 0), Tensor::from_floats(&weights[..], &taught.device()))
    }
}

/// The name of the running mean among what is kept.
const CENTER: &str = "center";

impl ViewLesson for Distillation {
    fn views(&self) -> &Views {
        &self.views
    }

    fn follows_average(&self) -> bool {
        !self.is_own_teacher
    }

    fn follow(&mut self, average: Network) {
        self.teacher = Some(average);
    }

    fn outcome(&self, network: &Network, batch: &ViewBatch, place: Place, wants_figures: bool) -> Result<Outcome> {
        Ok(self.compare(self.answers(network, batch)?, batch.batch, place, wants_figures))
    }

    fn frozen(&self, place: Place) -> Option<&'static str> {
        let is_frozen = (place.epoch as f64) < self.frozen_epochs && place.step * 10 < place.steps;
        is_frozen.then_some(PROTOTYPES)
    }

    /// Moves the center towards the mean of what the teacher said in a step.
    fn learned(&mut self, kept: Vec<Tensor<2>>) {
        let Balance::Center(momentum) = self.balance else { return };
        let (count, width) = (kept.len(), kept.first().map_or(0, |mean| mean.dims()[1]));
        let Some(sum) = kept.into_iter().reduce(|sum, mean| sum + mean) else { return };
        let share = sum.reshape([width]) * ((1.0 - momentum) / count as f64);
        self.center = Some(match self.center.take() {
            Some(center) => center * momentum + share,
            None => share,
        });
    }

    fn state(&self) -> Vec<(&'static str, Tensor<2>)> {
        self.center.iter().map(|center| (CENTER, center.clone().unsqueeze())).collect()
    }

    fn restore(&mut self, state: &TensorMap, device: &Device) {
        self.center = state.get(CENTER).map(|center| flat(center, device));
    }
}

#[cfg(test)]
mod tests {
    use super::super::view_tests::kept;
    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::recipe::Base;
    use crate::weights::model_file::to_host;

    fn distillation(sets: &[(&str, &str)]) -> Distillation {
        let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Distillation::new(&Recipe::resolve(Base::Preset("dino"), &sets).unwrap())
    }

    fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(values, device).reshape([values.len() / width, width])
    }

    fn number(tensor: &Tensor<1>) -> f64 {
        f64::from(to_host(tensor.clone()).unwrap()[0])
    }

    const LATE: Place = Place { epoch: 90, step: 900, steps: 1000, steps_per_epoch: 10 };

    #[test]
    fn golden_loss_and_center() {
        let mut distillation = distillation(&[("augment.local_views", "0")]);
        let device = Device::flex();
        distillation.center = Some(Tensor::from_floats([0.01, 0.02, 0.0, -0.01], &device));
        let answers = || Answers {
            taught: rows(&[0.02, 0.05, -0.01, 0.0].repeat(2), 4, &device),
            features: rows(&[1.0, 0.0, 0.0, 1.0], 2, &device),
            given: rows(&[0.3, 0.1, -0.2, 0.0].repeat(2), 4, &device),
        };
        let Outcome { loss, figures, kept: mean } = distillation.compare(answers(), 1, LATE, true);
        let figure = |name: &str| number(&figures.iter().find(|(known, _)| *known == name).unwrap().1);
        for (have, want) in [
            (number(&loss), 2.368_123),
            (figure("teacher_entropy"), 1.325_695),
            (figure("kl"), 1.042_428),
            (figure("teacher_peak"), 0.387_456),
        ] {
            assert!((have - want).abs() < 1e-5, "{have} {want}");
        }
        // Two features at right angles: each number is 1 once and 0 once.
        assert!((figure("feature_spread") - 0.5 * 2_f64.sqrt()).abs() < 1e-6, "{}", figure("feature_spread"));
        distillation.learned(mean.into_iter().collect());
        let center = to_host(distillation.center.clone().unwrap()).unwrap();
        assert!(center.iter().zip([0.011, 0.023, -0.001, -0.009]).all(|(have, want)| (have - want).abs() < 1e-7), "{center:?}");
        let state = kept(distillation.state());
        let mut other = self::distillation(&[]);
        other.restore(&state, &device);
        assert_eq!(to_host(other.center.unwrap()).unwrap(), center);
    }

    #[test]
    fn the_loss_is_the_mean_over_all_pairs_and_its_gradient_is_right() {
        const SIZES: [usize; 4] = [2, 3, 3, 5];
        let [global, local, batch, classes] = SIZES;
        let distillation = distillation(&[("augment.local_views", "3"), ("target.balance", "none")]);
        let mut stream = Stream::new(4, 0, 0, Purpose::Bench);
        let mut noise = |count: usize| (0..count).map(|_| (stream.normal() * 0.2) as f32).collect::<Vec<f32>>();
        let (taught, given) = (noise(global * batch * classes), noise((global + local) * batch * classes));
        let loss = |given: &[f32], device: &Device| {
            let plain = device.clone().without_autodiff();
            let given = if device.is_autodiff() { rows(given, classes, device).require_grad() } else { rows(given, classes, device) };
            let features = rows(&[1.0; 4], 2, &plain);
            let answers = Answers { taught: rows(&taught, classes, &plain), features, given: given.clone() };
            (distillation.compare(answers, batch, LATE, false).loss, given)
        };
        let softmax = |row: &[f32], temperature: f64| {
            let parts: Vec<f64> = row.iter().map(|&value| (f64::from(value) / temperature).exp()).collect();
            let total: f64 = parts.iter().sum();
            parts.into_iter().map(|part| part / total).collect::<Vec<f64>>()
        };
        let (mut sum, mut pairs) = (0.0, 0);
        for teacher in 0..global {
            for view in (0..global + local).filter(|&view| view != teacher) {
                pairs += 1;
                for sample in 0..batch {
                    let row = |values: &'static str, view: usize| {
                        let values = if values == "taught" { &taught } else { &given };
                        values[(view * batch + sample) * classes..][..classes].to_vec()
                    };
                    let (wanted, guessed) = (softmax(&row("taught", teacher), 0.04), softmax(&row("given", view), 0.1));
                    sum -= wanted.iter().zip(&guessed).map(|(p, q)| p * q.ln()).sum::<f64>();
                }
            }
        }
        assert_eq!(pairs, 8, "2 · 5 - 2");
        let device = Device::flex();
        let have = number(&loss(&given, &device).0);
        assert!((have - sum / (pairs * batch) as f64).abs() < 1e-5, "{have}");

        let (value, leaf) = loss(&given, &device.clone().autodiff());
        let gradient = to_host(leaf.grad(&value.backward()).unwrap()).unwrap();
        for index in (0..given.len()).step_by(7) {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut moved = given.clone();
                moved[index] += by;
                number(&loss(&moved, &device).0)
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
            assert!((slope - f64::from(gradient[index])).abs() < 2e-3, "{index}: {slope} {}", gradient[index]);
        }
    }

    #[test]
    fn golden_sinkhorn() {
        let distillation = distillation(&[("target.balance", "sinkhorn"), ("augment.local_views", "0")]);
        let scores = [0.30, 0.10, 0.20, 0.15, 0.25, 0.05];
        // Two views of three samples: each is balanced by itself.
        let shares = to_host(distillation.balanced(&rows(&scores.repeat(2), 2, &Device::flex()), 3, 0.05, 3)).unwrap();
        let golden = [0.701_808, 0.298_192, 0.104_886, 0.895_114, 0.701_808, 0.298_192];
        for view in shares.chunks_exact(6) {
            assert!(view.iter().zip(golden).all(|(have, want)| (have - want).abs() < 1e-5), "{view:?}");
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
        assert_eq!(Temperature { epochs: 0.0, ..temperature }.at(LATE), 0.07);
        // A training of less than an epoch begins and ends with the first.
        assert_eq!(temperature.at(Place { epoch: 0, step: 5, steps: 6, steps_per_epoch: 10 }), 0.04);
    }

    #[test]
    fn prototypes_are_frozen_at_first_but_never_for_long() {
        let distillation = distillation(&[]);
        let freezes = |step: u64, steps: u64| distillation.frozen(Place { epoch: step / 10, step, steps, steps_per_epoch: 10 }).is_some();
        assert_eq!([0, 9, 10].map(|step| freezes(step, 1000)), [true, true, false]);
        assert_eq!([0, 1, 2].map(|step| freezes(step, 20)), [true, true, false]);
    }
}
