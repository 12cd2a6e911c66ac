//! Views of an image that are all made into the same answer, without a teacher, negatives or a stopped gradient: what keeps all images from
//! being made into one is that the answers of a batch must look normally distributed (LeJEPA).

use burn::tensor::Tensor;

use super::Network;
use super::lesson::{Outcome, Place};
use super::sigreg::{directions, epps_pulley};
use super::view_batch::ViewBatch;
use super::view_lesson::{ViewLesson, Views};
use crate::error::Result;
use crate::recipe::Recipe;

/// The lesson.
pub struct JointEmbedding {
    views: Views,
    /// M: directions along which answers are looked at.
    slices: usize,
    /// λ: what their distribution counts; the rest is what their difference counts.
    share: f64,
    seed: u64,
}

/// What answers are worth.
struct Compared {
    /// The mean square of their distance to the mean of the global views' answers, `[1]`.
    prediction: Tensor<1>,
    /// How far each view's batch is from a normal distribution, `[1]`.
    normality: Tensor<1>,
}

impl JointEmbedding {
    /// The recipe's.
    pub fn new(recipe: &Recipe) -> Self {
        Self {
            views: Views::new(recipe),
            slices: recipe.objective.count("slices").max(1),
            share: recipe.objective.number("share").unwrap_or(0.05),
            seed: recipe.seed,
        }
    }

    /// Shapes: `answers [V·B, W]`, view by view.
    fn compare(&self, answers: Tensor<2>, batch: usize, step: u64) -> Compared {
        let ([rows, width], device) = (answers.dims(), answers.device().without_autodiff());
        let views = rows / batch.max(1);
        let by_view = answers.clone().reshape([views, batch, width]);
        let center = by_view.clone().narrow(0, 0, self.views.global).mean_dim(0);
        let directions = directions([width, self.slices], self.seed, step, &device);
        let directions = if answers.is_autodiff() { directions.autodiff() } else { directions };
        let sketched = answers.matmul(directions).reshape([views, batch, self.slices]);
        Compared { prediction: (by_view - center).powi_scalar(2).mean(), normality: epps_pulley(sketched) }
    }
}

impl ViewLesson for JointEmbedding {
    fn views(&self) -> &Views {
        &self.views
    }

    fn follows_average(&self) -> bool {
        false
    }

    fn outcome(&self, network: &Network, batch: &ViewBatch, place: Place, wants_figures: bool) -> Result<Outcome> {
        let answers = network.views()?.head.projector()?.project(self.views.shown(network, batch)?);
        let Compared { prediction, normality } = self.compare(answers.clone(), batch.batch, place.step);
        let mut figures = Vec::new();
        if wants_figures {
            figures.push(("prediction", prediction.clone().without_autodiff()));
            figures.push(("sigreg", normality.clone().without_autodiff()));
            figures.push(("feature_spread", deviation(answers.without_autodiff())));
        }
        let loss = prediction * (1.0 - self.share) + normality * self.share;
        Ok(Outcome { loss, figures, kept: None })
    }
}

/// The deviation of the numbers of answers over a batch, 1 where they are as they should be. Their directions alone would not tell: where
/// nothing keeps answers apart, they shrink. Shapes: `answers [M, W]` to `[1]`.
fn deviation(answers: Tensor<2>) -> Tensor<1> {
    let mean = answers.clone().mean_dim(0);
    (answers - mean).powi_scalar(2).mean_dim(0).sqrt().mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::recipe::Base;
    use crate::weights::model_file::to_host;

    fn lesson(sets: &[(&str, &str)]) -> JointEmbedding {
        let small = [("backbone.preset", "vit-nano"), ("augment.local_views", "1")];
        let sets: Vec<_> = small.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        JointEmbedding::new(&Recipe::resolve(Base::Preset("lejepa"), &sets).unwrap())
    }

    fn number(tensor: Tensor<1>) -> f64 {
        f64::from(to_host(tensor.without_autodiff()).unwrap()[0])
    }

    fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(values, device).reshape([values.len() / width, width])
    }

    #[test]
    fn all_views_are_drawn_to_the_mean_of_the_global_ones() {
        // Of one sample, answers 0 and 2 to global views, 4 to a local one: distances 1, 1 and 3. Of the other, all are 5.
        let answers = rows(&[0.0, 5.0, 2.0, 5.0, 4.0, 5.0], 1, &Device::flex());
        let prediction = number(lesson(&[]).compare(answers, 2, 0).prediction);
        assert!((prediction - (1.0 + 1.0 + 9.0) / 6.0).abs() < 1e-6, "{prediction}");
    }

    #[test]
    fn answers_that_are_one_number_are_looked_at_as_they_are() {
        // Along the only directions there are, 1 and -1, the statistic is the same.
        let values = [0.4, -1.1, 0.9, 0.2, -0.3, 1.7];
        let normality = number(lesson(&[]).compare(rows(&values, 1, &Device::flex()), 2, 3).normality);
        let plain = Tensor::<1>::from_floats(values, &Device::flex()).reshape([3, 2, 1]);
        assert!((normality - number(epps_pulley(plain))).abs() < 1e-5, "{normality}");
    }

    #[test]
    fn answers_that_shrink_are_noticed() {
        let of = |size: f32| number(deviation(rows(&[size, 3.0, -size, 3.0 + 2.0 * size], 2, &Device::flex())));
        assert!((of(1.0) - 1.0).abs() < 1e-6 && (of(0.01) - 0.01).abs() < 1e-5, "{} {}", of(1.0), of(0.01));
    }

    #[test]
    fn nothing_stops_the_gradient() {
        let (lesson, width, device) = (lesson(&[("objective.slices", "8")]), 3, Device::flex());
        let mut stream = Stream::new(9, 0, 0, Purpose::Bench);
        let values: Vec<f32> = (0..3 * 4 * width).map(|_| stream.normal() as f32).collect();
        let loss = |answers: Tensor<2>| {
            let Compared { prediction, normality } = lesson.compare(answers, 4, 5);
            prediction * (1.0 - lesson.share) + normality * lesson.share
        };
        let leaf = rows(&values, width, &device.clone().autodiff()).require_grad();
        let gradient = to_host(leaf.grad(&loss(leaf.clone()).backward()).unwrap()).unwrap();
        for (index, slope) in gradient.iter().enumerate() {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut moved = values.clone();
                moved[index] += by;
                number(loss(rows(&moved, width, &device)))
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
            assert!((numeric - f64::from(*slope)).abs() < 1e-3, "{index}: {numeric} {slope}");
        }
        assert!(gradient.iter().any(|slope| slope.abs() > 0.02), "{gradient:?}");
    }
}
