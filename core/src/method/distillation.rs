//! Self-distillation without labels (Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, 2021): the network, shown
//! one view of an image, must say what its own running average says of another. Where patches of a view are hidden from it, it must say what
//! the average says of those as well (Zhou et al., *iBOT: Image BERT Pre-Training with Online Tokenizer*, 2021).

use burn::tensor::{Device, Tensor};

use super::balance::{Assigned, Balance, Temperature};
use super::hidden_patches::{Hidden, HiddenPatches, pick};
use super::koleo::koleo;
use super::prototypes::{PATCH_PROTOTYPES, PROTOTYPES};
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
    /// How much it counts that images of a batch keep their distance.
    koleo: f64,
    /// Where patches are hidden.
    patches: Option<Patches>,
    /// The running means of the teacher's raw answers, `[1, K]`, or `[2, K]` where it is asked for patches too; `None` before the first step.
    centers: Option<Tensor<2>>,
    teacher: Option<Network>,
}

/// What is asked about hidden patches.
struct Patches {
    hidden: HiddenPatches,
    teacher_temperature: Temperature,
    /// How much they count beside whole views.
    weight: f64,
}

/// Whose center: a row of them.
const OF_VIEWS: usize = 0;
const OF_PATCHES: usize = 1;

/// What a network says of a batch of views.
struct Answers {
    /// The teacher's, of the global views: `[G·B, K]`, as they leave its head.
    taught: Tensor<2>,
    /// The teacher's features, `[G·B, D]`.
    features: Tensor<2>,
    /// The network's own, of all views: `[V·B, K]`.
    given: Tensor<2>,
}

/// What it says of the chosen patches, M of each global view.
struct PatchAnswers {
    /// The teacher's, `[G·B·M, K]`, as they leave its head.
    taught: Tensor<2>,
    /// The network's own, `[G·B·M, K]`.
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
            balance: Balance::new(target),
            is_own_teacher: target.word("teacher") == Some("itself"),
            frozen_epochs: recipe.decoder.number("frozen_epochs").unwrap_or(1.0),
            koleo: recipe.objective.number("koleo").unwrap_or(0.0),
            patches: HiddenPatches::new(recipe).map(|hidden| Patches {
                hidden,
                teacher_temperature: Temperature {
                    begin: number("patch_warmup_temperature", 0.04),
                    end: number("patch_temperature", 0.07),
                    epochs: number("warmup_epochs", 0.0),
                },
                weight: recipe.objective.number("patch_weight").unwrap_or(1.0),
            }),
            centers: None,
            teacher: None,
        }
    }

    fn center(&self, whose: usize) -> Option<Tensor<2>> {
        self.centers.as_ref().filter(|centers| centers.dims()[0] > whose).map(|centers| centers.clone().narrow(0, whose, 1))
    }

    fn student_error(&self) -> RowError {
        RowError::Distribution { sharpness: (1.0 / self.student_temperature) as f32 }
    }

    fn compare(&self, answers: Answers, batch: usize, place: Place, wants_figures: bool) -> Outcome {
        let temperature = self.teacher_temperature.at(place);
        let assigned = self.balance.assigned(&answers.taught, self.center(OF_VIEWS), temperature, batch, None);
        let Assigned { shares: taught, logs: log_taught } = assigned;
        let (wanted, weights) = self.wanted(&taught, batch);
        let (wanted, weights) = if answers.given.is_autodiff() { (wanted.autodiff(), weights.autodiff()) } else { (wanted, weights) };
        let loss = kernel::row_error(answers.given.unsqueeze(), wanted.unsqueeze(), weights.unsqueeze(), self.student_error(), 0.0);
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

    /// The same of hidden patches: the mean over those of an image, then over all images, those that hide nothing counting as nothing.
    fn compare_patches(&self, answers: PatchAnswers, hidden: &Hidden, temperature: f64, wants_figures: bool) -> Outcome {
        let PatchAnswers { taught, given } = answers;
        let ([rows, width], device) = (taught.dims(), taught.device());
        let (weights, counted) = (hidden.weights(&device), hidden.counted(&device));
        let Assigned { shares, logs } = self.balance.assigned(&taught, self.center(OF_PATCHES), temperature, rows, Some(&counted));
        // Without it the mean would be one over images that hide something.
        let rest = 1.0 - hidden.share();
        let is_autodiff = given.is_autodiff();
        let constant = |tensor: Tensor<2>| if is_autodiff { tensor.autodiff() } else { tensor };
        let (wanted, row_weights) = (constant(shares.clone()).unsqueeze(), constant(weights.clone().reshape([1, rows])));
        let loss = kernel::row_error(given.unsqueeze(), wanted, row_weights, self.student_error(), rest);
        let mut figures = Vec::new();
        if wants_figures {
            let entropy = ((shares * logs).sum_dim(1) * weights).sum() * (-1.0 / hidden.share().max(1e-12));
            figures.push(("patch_loss", loss.clone().without_autodiff()));
            figures.push(("patch_entropy", entropy));
        }
        let mean = match hidden.count() {
            // A batch that hides nothing leaves the center where it is.
            0 => self.center(OF_PATCHES).unwrap_or_else(|| Tensor::zeros([1, width], &device)),
            count => (taught * counted).sum_dim(0) * (1.0 / count as f64),
        };
        Outcome { loss, figures, kept: matches!(self.balance, Balance::Center(_)).then_some(mean) }
    }

    /// What network and teacher say of a batch, and the network's own features of the global views, `[G·B, D]`.
    fn answers(&self, network: &Network, batch: &ViewBatch) -> Result<(Answers, Option<PatchAnswers>, Tensor<2>)> {
        let model = network.views()?;
        let head = model.head.prototypes()?;
        let global = |all: &Tensor<2>| all.clone().narrow(0, 0, self.views.global * batch.batch);
        let no_teacher = || Error::Failed("views are compared, and there is no teacher".into());
        if let Some(hidden) = &batch.hidden {
            let teacher = self.teacher.as_ref().ok_or_else(no_teacher)?;
            let (taught_by, chosen) = (teacher.views()?, hidden.chosen(teacher.device()));
            let (shown, shown_patches) = self.views.shown_with_patches(network, batch, hidden)?;
            let (features, patches) = self.views.taught_with_patches(teacher, batch)?;
            let taught = taught_by.head.prototypes()?.forward(features.clone());
            let of_patches = PatchAnswers {
                taught: taught_by.patch_prototypes()?.forward(pick(&chosen, patches)),
                given: model.patch_prototypes()?.forward(pick(&chosen, shown_patches)),
            };
            return Ok((Answers { taught, features, given: head.forward(shown.clone()) }, Some(of_patches), global(&shown)));
        }
        let shown = self.views.shown(network, batch)?;
        let given = head.forward(shown.clone());
        if self.is_own_teacher {
            let own = |all: &Tensor<2>| global(all).without_autodiff();
            return Ok((Answers { taught: own(&given), features: own(&shown), given }, None, global(&shown)));
        }
        let teacher = self.teacher.as_ref().ok_or_else(no_teacher)?;
        let features = self.views.taught(teacher, batch)?;
        let taught = teacher.views()?.head.prototypes()?.forward(features.clone());
        Ok((Answers { taught, features, given }, None, global(&shown)))
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

/// The name of the running means among what is kept.
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

    fn batch(&self, images: &[f32], epoch: u64, keys: &[u64]) -> ViewBatch {
        let hidden = self.patches.as_ref().map(|patches| patches.hidden.draw(epoch, keys, self.views.global));
        ViewBatch { hidden, ..self.views.batch(images, epoch, keys) }
    }

    fn outcome(&self, network: &Network, batch: &ViewBatch, place: Place, wants_figures: bool) -> Result<Outcome> {
        let (answers, of_patches, shown) = self.answers(network, batch)?;
        let mut outcome = self.compare(answers, batch.batch, place, wants_figures);
        if let (Some(answers), Some(hidden), Some(patches)) = (of_patches, &batch.hidden, &self.patches) {
            let of_patches = self.compare_patches(answers, hidden, patches.teacher_temperature.at(place), wants_figures);
            if wants_figures {
                outcome.figures.push(("class_loss", outcome.loss.clone().without_autodiff()));
                outcome.figures.extend(of_patches.figures);
            }
            outcome.loss = outcome.loss + of_patches.loss * patches.weight;
            outcome.kept = outcome.kept.zip(of_patches.kept).map(|(views, patches)| Tensor::cat(vec![views, patches], 0));
        }
        if self.koleo > 0.0 && batch.batch > 1 {
            // Two views of an image are not to keep their distance: each view's batch is spread by itself, and all are added up.
            let of_view = |view: usize| koleo(shown.clone().narrow(0, view * batch.batch, batch.batch));
            let spread = (1..self.views.global).fold(of_view(0), |sum, view| sum + of_view(view));
            if wants_figures {
                outcome.figures.push(("koleo", spread.clone().without_autodiff()));
            }
            outcome.loss = outcome.loss + spread * self.koleo;
        }
        Ok(outcome)
    }

    fn frozen(&self, place: Place) -> &'static [&'static str] {
        let is_frozen = (place.epoch as f64) < self.frozen_epochs && place.step * 10 < place.steps;
        if is_frozen { &[PROTOTYPES, PATCH_PROTOTYPES] } else { &[] }
    }

    /// Moves the centers towards the means of what the teacher said in a step.
    fn learned(&mut self, kept: Vec<Tensor<2>>) {
        let Balance::Center(momentum) = self.balance else { return };
        let count = kept.len();
        let Some(sum) = kept.into_iter().reduce(|sum, mean| sum + mean) else { return };
        let share = sum * ((1.0 - momentum) / count as f64);
        self.centers = Some(match self.centers.take() {
            Some(centers) => centers * momentum + share,
            None => share,
        });
    }

    fn state(&self) -> Vec<(&'static str, Tensor<2>)> {
        self.centers.iter().map(|centers| (CENTER, centers.clone())).collect()
    }

    fn restore(&mut self, state: &TensorMap, device: &Device) {
        self.centers = state.get(CENTER).and_then(|kept| match kept.shape[..] {
            [rows, width] => Some(flat(kept, device).reshape([rows, width])),
            _ => None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::hidden_patches::tests::hidden;
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
        distillation.centers = Some(rows(&[0.01, 0.02, 0.0, -0.01], 4, &device));
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
        let center = to_host(distillation.centers.clone().unwrap()).unwrap();
        assert!(center.iter().zip([0.011, 0.023, -0.001, -0.009]).all(|(have, want)| (have - want).abs() < 1e-7), "{center:?}");
        let state = kept(distillation.state());
        let mut other = self::distillation(&[]);
        other.restore(&state, &device);
        assert_eq!(to_host(other.centers.unwrap()).unwrap(), center);
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
    fn hidden_patches_are_averaged_by_image_against_their_own_center() {
        const SIZES: [usize; 3] = [4, 3, 5];
        let [patches, most, classes] = SIZES;
        let mut distillation = distillation(&[]);
        let device = Device::flex();
        let mut stream = Stream::new(8, 0, 0, Purpose::Bench);
        let mut noise = |count: usize| (0..count).map(|_| (stream.normal() * 0.2) as f32).collect::<Vec<f32>>();
        let (taught, given, centers) = (noise(4 * most * classes), noise(4 * most * classes), noise(2 * classes));
        distillation.centers = Some(rows(&centers, classes, &device));
        // Two views of two samples: the first image hides two patches, the second and the last nothing, the third three.
        let counts = [2, 0, 3, 0];
        let masked: Vec<bool> = counts.iter().flat_map(|&count| (0..patches).map(move |patch| patch < count)).collect();
        let hidden = hidden(patches, most, &masked);
        let outcome = |given: &[f32], device: &Device| {
            let plain = device.clone().without_autodiff();
            let given = if device.is_autodiff() { rows(given, classes, device).require_grad() } else { rows(given, classes, device) };
            let answers = PatchAnswers { taught: rows(&taught, classes, &plain), given: given.clone() };
            (distillation.compare_patches(answers, &hidden, 0.05, true), given)
        };
        let softmax = |row: &[f32], center: &[f32], temperature: f64| {
            let parts = row.iter().zip(center).map(|(&value, &center)| (f64::from(value - center) / temperature).exp());
            let parts: Vec<f64> = parts.collect();
            let total: f64 = parts.iter().sum();
            parts.into_iter().map(|part| part / total).collect::<Vec<f64>>()
        };
        let (mut sum, mut entropy, mut mean) = (0.0, 0.0, vec![0.0; classes]);
        for (image, count) in counts.into_iter().enumerate() {
            for row in 0..count {
                let of = |values: &[f32]| values[(image * most + row) * classes..][..classes].to_vec();
                let wanted = softmax(&of(&taught), &centers[classes..], 0.05);
                let guessed = softmax(&of(&given), &[0.0; 5], 0.1);
                sum -= wanted.iter().zip(&guessed).map(|(p, q)| p * q.ln()).sum::<f64>() / count as f64;
                entropy -= wanted.iter().map(|p| p * p.ln()).sum::<f64>() / count as f64;
                mean.iter_mut().zip(of(&taught)).for_each(|(mean, value)| *mean += f64::from(value) / 5.0);
            }
        }
        let (Outcome { loss, figures, kept }, _) = outcome(&given, &device);
        let figure = |name: &str| number(&figures.iter().find(|(known, _)| *known == name).unwrap().1);
        assert!((number(&loss) - sum / 4.0).abs() < 1e-5 && (figure("patch_loss") - sum / 4.0).abs() < 1e-5, "{} {sum}", number(&loss));
        // Its entropy is that of those images alone that hide something.
        assert!((figure("patch_entropy") - entropy / 2.0).abs() < 1e-5, "{} {entropy}", figure("patch_entropy"));
        let kept = to_host(kept.unwrap()).unwrap();
        assert!(kept.iter().zip(&mean).all(|(have, want)| (f64::from(*have) - want).abs() < 1e-6), "{kept:?} {mean:?}");

        let (of_leaf, leaf) = outcome(&given, &device.clone().autodiff());
        let gradient = to_host(leaf.grad(&of_leaf.loss.backward()).unwrap()).unwrap();
        for (index, slope) in gradient.iter().enumerate() {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut moved = given.clone();
                moved[index] += by;
                number(&outcome(&moved, &device).0.loss)
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
            assert!((numeric - f64::from(*slope)).abs() < 2e-3, "{index}: {numeric} {slope}");
        }
        // Rows of nothing teach nothing.
        assert!(gradient[2 * classes..3 * classes].iter().all(|&slope| slope == 0.0) && gradient[0] != 0.0);
    }

    #[test]
    fn where_nothing_is_hidden_nothing_is_asked_and_the_center_stays() {
        let mut distillation = distillation(&[]);
        let device = Device::flex();
        distillation.centers = Some(rows(&[0.1, 0.2, 0.3, 0.4], 2, &device));
        let answers = PatchAnswers { taught: rows(&[0.5; 8], 2, &device), given: rows(&[0.5; 8], 2, &device) };
        let Outcome { loss, figures, kept } = distillation.compare_patches(answers, &hidden(3, 2, &[false; 6]), 0.05, true);
        assert!(number(&loss) == 0.0 && figures.iter().all(|(_, figure)| number(figure) == 0.0));
        assert_eq!(to_host(kept.unwrap()).unwrap(), [0.3, 0.4]);
    }

    #[test]
    fn prototypes_are_frozen_at_first_but_never_for_long() {
        let distillation = distillation(&[]);
        let freezes = |step: u64, steps: u64| !distillation.frozen(Place { epoch: step / 10, step, steps, steps_per_epoch: 10 }).is_empty();
        assert_eq!([0, 9, 10].map(|step| freezes(step, 1000)), [true, true, false]);
        assert_eq!([0, 1, 2].map(|step| freezes(step, 20)), [true, true, false]);
    }
}
