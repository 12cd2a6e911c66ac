//! Two views of an image side by side: SimCLR and MoCo tell the other view of an image from views of other images, BYOL and SimSiam predict
//! what a second network, or the network itself, makes of it.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::Network;
use super::lesson::{Outcome, Place};
use super::prototypes::normalized;
use super::view_batch::ViewBatch;
use super::view_lesson::{ViewLesson, Views, entropy, spread};
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::weights::model_file::flat;
use crate::weights::safetensors_file::TensorMap;

/// Who makes what is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// The running average of the network; it is not taught by what comes of that.
    Average,
    /// The network, which is not taught by what comes of that either.
    Stopped,
    /// The network, which is taught by both sides.
    Flowing,
}

/// How the two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Which of all other views of the batch is of the same image (SimCLR).
    AmongViews,
    /// Which of the other side's views of the batch is of the same image, both ways; twice the temperature times the sum (MoCo v3).
    AmongBatch,
    /// Which is of the same image, this one or one of earlier batches; one way (MoCo v1, v2).
    AmongEarlier,
    /// The squared distance of directions, both ways, added up (BYOL).
    Distance,
    /// The opposite of the likeness of directions, both ways, averaged (SimSiam).
    Likeness,
}

/// How views are contrasted.
pub struct Contrast {
    views: Views,
    keys: Keys,
    comparison: Comparison,
    temperature: f64,
    queue_size: usize,
    /// W
    width: usize,
    /// Keys of earlier batches, `[K, W]`, and where the next goes.
    queue: Option<(Tensor<2>, usize)>,
    teacher: Option<Network>,
}

/// What a comparison gives.
struct Compared {
    /// `[1]`
    loss: Tensor<1>,
    /// Among how many the right one is told, and the cross-entropy of that, where it is: `[1]`.
    candidates: Option<(usize, Tensor<1>)>,
}

/// The names under which the queue is kept.
const QUEUE: &str = "queue";
const QUEUE_PLACE: &str = "queue_ptr";

impl Contrast {
    /// The recipe's.
    pub fn new(recipe: &Recipe) -> Self {
        let objective = &recipe.objective;
        Self {
            views: Views::new(recipe),
            keys: match recipe.target.word("teacher") {
                Some("average") => Keys::Average,
                Some("itself") => Keys::Stopped,
                _ => Keys::Flowing,
            },
            comparison: match (objective.kind.as_str(), objective.word("among"), objective.word("form")) {
                ("view_cosine", _, Some("likeness")) => Comparison::Likeness,
                ("view_cosine", ..) => Comparison::Distance,
                (_, Some("batch"), _) => Comparison::AmongBatch,
                (_, Some("earlier"), _) => Comparison::AmongEarlier,
                _ => Comparison::AmongViews,
            },
            temperature: objective.number("temperature").unwrap_or(0.1),
            queue_size: recipe.target.count("queue"),
            width: recipe.decoder.count("width"),
            queue: None,
            teacher: None,
        }
    }

    /// Which views are asked about, and which are compared with. Among earlier keys, only one view is asked about, and the other is its key.
    fn sides(&self) -> [Range<usize>; 2] {
        if self.comparison == Comparison::AmongEarlier { [0..1, 1..2] } else { [0..2, 0..2] }
    }

    /// Shapes: `queries` and `keys` `[2 B, W]`, the first view of all samples before the second, or `[B, W]` where there is one of each.
    fn compare(&self, queries: Tensor<2>, keys: Tensor<2>) -> Compared {
        let (queries, keys) = (normalized(queries), normalized(keys));
        let rows = queries.dims()[0];
        let batch = rows / 2;
        let part = |all: &Tensor<2>, view: usize| all.clone().narrow(0, view * batch, batch);
        let told = |scores: Tensor<2>, candidates: usize, factor: f64, right: &dyn Fn(usize) -> usize| {
            let entropy = entropy(scores * (1.0 / self.temperature), right);
            Compared { loss: entropy.clone() * factor, candidates: Some((candidates, entropy)) }
        };
        match self.comparison {
            Comparison::AmongViews => {
                let likeness = queries.matmul(keys.transpose());
                // A view is no candidate for itself.
                let own = Tensor::<2>::eye(rows, &likeness.device()) * -1e9;
                told(likeness + own, rows - 1, 1.0, &|row| (row + batch) % rows)
            }
            Comparison::AmongBatch => {
                let scores = |query, key| part(&queries, query).matmul(part(&keys, key).transpose());
                let scores = Tensor::cat(vec![scores(0, 1), scores(1, 0)], 0);
                told(scores, batch, 4.0 * self.temperature, &|row| row % batch)
            }
            Comparison::AmongEarlier => {
                let own = (queries.clone() * keys).sum_dim(1);
                let scores = match &self.queue {
                    Some((queue, _)) => Tensor::cat(vec![own, queries.clone().matmul(like(queue.clone(), &queries).transpose())], 1),
                    None => own,
                };
                let candidates = scores.dims()[1];
                told(scores, candidates, 1.0, &|_| 0)
            }
            Comparison::Distance | Comparison::Likeness => {
                let other = Tensor::cat(vec![part(&keys, 1), part(&keys, 0)], 0);
                let likeness = (queries * other).sum_dim(1).mean();
                let is_distance = self.comparison == Comparison::Distance;
                Compared { loss: if is_distance { likeness * -4.0 + 4.0 } else { likeness * -1.0 }, candidates: None }
            }
        }
    }
}

impl ViewLesson for Contrast {
    fn views(&self) -> &Views {
        &self.views
    }

    fn follows_average(&self) -> bool {
        self.keys == Keys::Average
    }

    fn follow(&mut self, average: Network) {
        if self.queue.is_none() && self.comparison == Comparison::AmongEarlier {
            // Before the first batch there are directions that mean nothing.
            self.queue = Some((self.views.random_directions(self.queue_size, self.width, average.device()), 0));
        }
        self.teacher = Some(average);
    }

    fn outcome(&self, network: &Network, batch: &ViewBatch, _place: Place, wants_figures: bool) -> Result<Outcome> {
        let head = network.views()?.head.projector()?;
        let [asked, compared] = self.sides();
        let projected = head.project(self.views.shown_of(network, batch, asked)?);
        let keys = match self.keys {
            Keys::Flowing => projected.clone(),
            Keys::Stopped => like(projected.clone().without_autodiff(), &projected),
            Keys::Average => {
                let teacher = self.teacher.as_ref().ok_or_else(|| Error::Failed("views are compared, and there is no teacher".into()))?;
                like(teacher.views()?.head.projector()?.project(self.views.taught_of(teacher, batch, compared)?), &projected)
            }
        };
        let Compared { loss, candidates } = self.compare(head.predict(projected.clone()), keys.clone());
        let mut figures = Vec::new();
        if wants_figures {
            if let Some((candidates, entropy)) = candidates {
                figures.push(("information", entropy.without_autodiff() * -1.0 + (candidates as f64).ln()));
            }
            figures.push(("feature_spread", spread(projected.without_autodiff())));
        }
        let is_queued = self.comparison == Comparison::AmongEarlier;
        let kept = is_queued.then(|| normalized(keys.without_autodiff()));
        Ok(Outcome { loss, figures, kept })
    }

    /// Puts the keys of a step into the queue, in the place of the oldest.
    fn learned(&mut self, kept: Vec<Tensor<2>>) {
        for keys in kept {
            let [count, width] = keys.dims();
            let Some((queue, place)) = self.queue.take() else { return };
            let size = queue.dims()[0];
            let (count, keys) = (count.min(size), keys.narrow(0, 0, count.min(size)));
            let room = count.min(size - place);
            let queue = queue.slice_assign([place..place + room, 0..width], keys.clone().narrow(0, 0, room));
            let queue = match count - room {
                0 => queue,
                rest => queue.slice_assign([0..rest, 0..width], keys.narrow(0, room, rest)),
            };
            self.queue = Some((queue, (place + count) % size));
        }
    }

    fn state(&self) -> Vec<(&'static str, Tensor<2>)> {
        let Some((queue, place)) = &self.queue else { return Vec::new() };
        let place = Tensor::from_data([[*place as f32]], &queue.device());
        vec![(QUEUE, queue.clone()), (QUEUE_PLACE, place)]
    }

    fn restore(&mut self, state: &TensorMap, device: &Device) {
        if let (Some(queue), Some(place)) = (state.get(QUEUE), state.get(QUEUE_PLACE))
            && let &[size, width] = &queue.shape[..]
        {
            let place = place.values.first().map_or(0, |&place| place as usize);
            self.queue = Some((flat(queue, device).reshape([size, width]), place));
        }
    }
}

/// A tensor without differentiation where the other one is.
fn like(plain: Tensor<2>, other: &Tensor<2>) -> Tensor<2> {
    if other.device().is_autodiff() { plain.autodiff() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::super::view_tests::kept;
    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::recipe::Base;
    use crate::weights::model_file::to_host;

    fn contrast(method: &str, sets: &[(&str, &str)]) -> Contrast {
        let small = [("backbone.preset", "vit-nano"), ("optim.batch", "2")];
        let sets: Vec<_> = small.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Contrast::new(&Recipe::resolve(Base::Preset(method), &sets).unwrap_or_else(|error| panic!("{method}: {error}")))
    }

    fn rows(values: &[f32], width: usize) -> Tensor<2> {
        Tensor::<1>::from_floats(values, &Device::flex()).reshape([values.len() / width, width])
    }

    fn number(tensor: &Tensor<1>) -> f64 {
        f64::from(to_host(tensor.clone()).unwrap()[0])
    }

    /// Two samples, first views along the axes, second ones between them; not of length one.
    fn views() -> Tensor<2> {
        rows(&[1.0, 0.0, 0.0, 2.0, 1.0, 1.0, -3.0, 3.0], 2)
    }

    #[test]
    fn golden_nt_xent() {
        let contrast = contrast("simclr", &[("objective.temperature", "0.5")]);
        let Compared { loss, candidates } = contrast.compare(views(), views());
        // The mean over 2N; the released code adds up both directions, which is twice that.
        assert!((number(&loss) - 0.535_969).abs() < 1e-5, "{}", number(&loss));
        assert_eq!(candidates.unwrap().0, 3);
    }

    #[test]
    fn golden_queue() {
        let mut contrast = contrast("moco-v2", &[("target.queue", "2"), ("objective.temperature", "0.2")]);
        contrast.queue = Some((rows(&[0.0, 1.0, -1.0, 0.0], 2), 0));
        let (queries, keys) = (rows(&[1.0, 0.0], 2), rows(&[0.6, 0.8], 2));
        let Compared { loss, candidates } = contrast.compare(queries, keys);
        assert!((number(&loss) - 0.048_907).abs() < 1e-5 && candidates.unwrap().0 == 3, "{}", number(&loss));
    }

    #[test]
    fn both_ways_among_the_batch() {
        let contrast = contrast("moco-v3", &[("objective.temperature", "0.2")]);
        let half = 0.5_f64.sqrt();
        // Cosines of first with second views: rows (√½, -√½) and (√½, √½).
        let way = |right: f64, wrong: f64| -((right / 0.2).exp() / ((right / 0.2).exp() + (wrong / 0.2).exp())).ln();
        let there = (way(half, -half) + way(half, half)) / 2.0;
        let back = (way(half, half) + way(half, -half)) / 2.0;
        let loss = number(&contrast.compare(views(), views()).loss);
        assert!((loss - 2.0 * 0.2 * (there + back)).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn distances_and_likenesses_are_zero_and_minus_one_where_all_is_the_same() {
        let same = rows(&[0.3, 0.4].repeat(4), 2);
        assert!(number(&contrast("byol", &[]).compare(same.clone(), same.clone()).loss).abs() < 1e-5);
        assert!((number(&contrast("simsiam", &[]).compare(same.clone(), same).loss) + 1.0).abs() < 1e-5);
        // Cosine √½ in both samples and ways: 2 · (2 - 2 √½).
        let loss = number(&contrast("byol", &[]).compare(views(), views()).loss);
        assert!((loss - 2.0 * (2.0 - 2.0 * 0.5_f64.sqrt())).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn the_queue_forgets_the_oldest_and_is_kept() {
        let mut contrast = contrast("moco-v2", &[("target.queue", "4")]);
        contrast.queue = Some((rows(&[0.0; 8], 2), 0));
        for step in 0..3 {
            contrast.learned(vec![rows(&[step as f32, 1.0, step as f32, 2.0], 2)]);
        }
        let of = |contrast: &Contrast| {
            let (queue, place) = contrast.queue.clone().unwrap();
            (to_host(queue).unwrap(), place)
        };
        assert_eq!(of(&contrast), (vec![2.0, 1.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0], 2));
        let mut other = self::contrast("moco-v2", &[("target.queue", "4")]);
        other.restore(&kept(contrast.state()), &Device::flex());
        assert_eq!(of(&other), of(&contrast));
        // What was never put there are directions, always the same.
        let young = |seed: &str| {
            let mut contrast = self::contrast("moco-v2", &[("target.queue", "4"), ("decoder.width", "2"), ("seed", seed)]);
            let sets = [("backbone.preset", "vit-nano"), ("decoder.width", "2"), ("optim.batch", "2"), ("target.queue", "4")];
            let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let recipe = Recipe::resolve(Base::Preset("moco-v2"), &sets).unwrap();
            contrast.follow(Network::new(&recipe, &Device::flex()).unwrap());
            of(&contrast).0
        };
        assert!(young("1").chunks_exact(2).all(|row| (row[0].hypot(row[1]) - 1.0).abs() < 1e-5), "{:?}", young("1"));
        assert!(young("1") == young("1") && young("1") != young("2"));
    }

    #[test]
    fn the_bound_stays_below_the_information_that_there_is() {
        // d pairs of correlated Gaussians share -d/2 ln(1 - ρ²) nats. With the best critic, the log of the ratio of densities, what InfoNCE
        // certifies never exceeds it on average, and comes nearer with more candidates.
        const D: usize = 4;
        const RHO: f64 = 0.8;
        const ROUNDS: usize = 400;
        let known = -0.5 * D as f64 * (1.0 - RHO * RHO).ln();
        let mut stream = Stream::new(3, 0, 0, Purpose::Bench);
        let mut certified = |count: usize| {
            let bounds: Vec<f64> = (0..ROUNDS)
                .map(|_| {
                    let x: Vec<f64> = (0..count * D).map(|_| stream.normal()).collect();
                    let y: Vec<f64> = x.iter().map(|x| RHO * x + (1.0 - RHO * RHO).sqrt() * stream.normal()).collect();
                    let critic = |x: &[f64], y: &[f64]| {
                        let of_pair = |(x, y): (&f64, &f64)| {
                            let rest = 1.0 - RHO * RHO;
                            -0.5 * rest.ln() - (RHO * RHO * (x * x + y * y) - 2.0 * RHO * x * y) / (2.0 * rest)
                        };
                        x.iter().zip(y).map(of_pair).sum::<f64>() as f32
                    };
                    let scores = x.chunks_exact(D).flat_map(|x| y.chunks_exact(D).map(move |y| critic(x, y)));
                    let scores: Vec<f32> = scores.collect();
                    (count as f64).ln() - number(&entropy(rows(&scores, count), &|row| row))
                })
                .collect();
            let mean = bounds.iter().sum::<f64>() / ROUNDS as f64;
            let deviation = (bounds.iter().map(|bound| (bound - mean).powi(2)).sum::<f64>() / ROUNDS as f64).sqrt();
            (mean, deviation / (ROUNDS as f64).sqrt())
        };
        let bounds = [4, 16, 64].map(&mut certified);
        for (mean, error) in bounds {
            assert!(mean <= known + 3.0 * error, "{mean} ± {error} against {known}");
        }
        assert!(bounds[0].0 < bounds[1].0 && bounds[1].0 < bounds[2].0 && bounds[2].0 > 0.9 * known, "{bounds:?} against {known}");
    }
}
