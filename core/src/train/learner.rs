//! What learns: a network, how it is taught, and what moves its weights. Everything of a step but the images.

use burn::tensor::Tensor;

use crate::method::{Lesson, Network, Place};
use crate::optim::adamw::{clip_each, global_norm};
use crate::optim::ema::Ema;
use crate::optim::optimizer::{Optimizer, UpdateRates};
use crate::recipe::Recipe;
use crate::weights::parameters::Named;

/// A network in training.
pub struct Learner {
    /// The network, on the differentiating device.
    pub network: Network,
    /// How it is taught.
    pub lesson: Lesson,
    /// What moves its weights.
    pub optimizer: Optimizer,
    /// Their running average.
    pub ema: Option<Ema>,
    clip_norm: f64,
    clips_each: bool,
    /// What names of parameters begin with that are never moved.
    frozen: Vec<String>,
}

impl Learner {
    /// At its beginning: the average is the network itself.
    pub fn new(recipe: &Recipe, network: Network, lesson: Lesson) -> Self {
        let optim = &recipe.optim;
        let mut learner = Self {
            optimizer: Optimizer::new(optim),
            ema: (optim.ema > 0.0).then(|| Ema::new(optim.ema, network.parameters())),
            network,
            lesson,
            clip_norm: optim.clip_norm,
            clips_each: optim.clip == "tensor",
            frozen: optim.frozen.clone(),
        };
        learner.follow_average();
        learner
    }

    /// Clips, updates weights and average, and returns the gradient's norm before clipping. Shape: `[1]`.
    pub fn update(&mut self, mut gradients: Named<Tensor<1>>, kept: Vec<Tensor<2>>, place: Place, rates: UpdateRates) -> Option<Tensor<1>> {
        let frozen: Vec<&str> = self.frozen.iter().map(String::as_str).chain(self.lesson.frozen(place).iter().copied()).collect();
        gradients.retain(|name, _| !frozen.iter().any(|frozen| name.starts_with(frozen)));
        let norm = global_norm(&gradients);
        let limit = self.clip_norm;
        let mut clip = norm.as_ref().filter(|_| limit > 0.0).map(|norm| (norm, limit));
        if limit > 0.0 && self.clips_each {
            (gradients, clip) = (clip_each(gradients, limit), None);
        }
        self.optimizer.step(self.network.parameters_mut(), gradients, rates, clip);
        self.lesson.learned(kept, &mut self.network);
        if self.lesson.follows_average() {
            // The teacher lets go of the average, which nobody else may hold if it is to be changed in place.
            self.lesson.follow(self.network.for_inference());
        }
        if let Some(ema) = &mut self.ema {
            ema.decay = rates.ema;
            ema.update(self.network.parameters());
        }
        self.follow_average();
        norm
    }

    /// Lets the running average teach, where it does.
    pub fn follow_average(&mut self) {
        if self.lesson.follows_average() {
            let average = self.average();
            self.lesson.follow(average);
        }
    }

    /// The running average, or the network itself where there is none.
    pub fn average(&self) -> Network {
        let mut network = self.network.for_inference();
        if let Some(ema) = &self.ema {
            network.parameters_mut().update_parameters(&mut |name, _, value| ema.values.get(name).cloned().unwrap_or(value));
        }
        network
    }

    /// The network as it is judged: the running average where there is one. Of a masked method that it teaches, the network itself: only that
    /// is asked for what is hidden.
    pub fn judged(&self) -> Network {
        let is_student = self.lesson.task().is_some_and(|task| task.target.follows_average());
        if is_student { self.network.for_inference() } else { self.average() }
    }
}
