//! The optimizer that a recipe names.

use burn::tensor::{Device, Tensor};

use super::adamw::{AdamW, clip_global_norm};
use super::momentum::{Momentum, Scaling};
use crate::recipe::Optim;
use crate::weights::model_file::flat;
use crate::weights::parameters::{Named, Parameters};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// Any optimizer with its state.
pub enum Optimizer {
    /// Two moments for each weight.
    AdamW(AdamW),
    /// One direction for each weight.
    Momentum(Momentum),
}

/// What an update is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateRates {
    /// Learning rate.
    pub lr: f64,
    /// The highest one, which some parameters keep.
    pub peak_lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay of the running average.
    pub ema: f64,
}

/// The names under which state is kept, in front of a parameter's.
const FIRST: &str = "exp_avg.";
const SECOND: &str = "exp_avg_sq.";
const DIRECTION: &str = "momentum_buffer.";

impl Optimizer {
    /// A fresh one.
    pub fn new(settings: &Optim) -> Self {
        let momentum = |scaling| Self::Momentum(Momentum::new(settings, scaling));
        match settings.kind.as_str() {
            "sgd" => momentum(Scaling::Plain),
            "lars" => momentum(Scaling::Lars),
            "larc" => momentum(Scaling::Larc),
            _ => Self::AdamW(AdamW::new(settings)),
        }
    }

    /// One update at these rates. Parameters without a gradient stay as they are. `clip` is the norm of all
    /// gradients together, and the limit that they are scaled down to.
    pub fn step(&mut self, model: &mut dyn Parameters, gradients: Named<Tensor<1>>, rates: UpdateRates, clip: Option<(&Tensor<1>, f64)>) {
        match self {
            Self::AdamW(adamw) => {
                adamw.weight_decay = rates.weight_decay;
                adamw.step_clipped(model, gradients, rates.lr, clip);
            }
            Self::Momentum(momentum) => {
                momentum.weight_decay = rates.weight_decay;
                let gradients = match clip {
                    Some((norm, limit)) => clip_global_norm(gradients, norm, limit),
                    None => gradients,
                };
                momentum.step(model, gradients, [rates.lr, rates.peak_lr]);
            }
        }
    }

    /// Updates that its state has counted.
    pub fn steps(&self) -> u64 {
        match self {
            Self::AdamW(adamw) => adamw.steps,
            Self::Momentum(_) => 0,
        }
    }

    /// Its state by prefix and parameter: flat values.
    pub fn state(&self) -> Vec<(&'static str, &str, Tensor<1>)> {
        match self {
            Self::AdamW(adamw) => {
                let both = |(name, [first, second]): (_, &'_ [Tensor<1>; 2])| {
                    [(FIRST, first), (SECOND, second)].map(|(prefix, values)| (prefix, String::as_str(name), values.clone()))
                };
                adamw.moments.iter().flat_map(both).collect()
            }
            Self::Momentum(momentum) => {
                momentum.directions.iter().map(|(name, direction)| (DIRECTION, name.as_str(), direction.clone())).collect()
            }
        }
    }

    /// Takes back its state; false if that lacks something.
    pub fn restore(&mut self, state: &TensorMap, steps: u64, device: &Device) -> bool {
        let all =
            |prefix: &'static str| state.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)));
        match self {
            Self::AdamW(adamw) => {
                let pair = |(name, first): (String, &HostTensor)| {
                    let second = state.get(&format!("{SECOND}{name}"))?;
                    Some((name, [flat(first, device), flat(second, device)]))
                };
                let Some(moments) = all(FIRST).map(pair).collect::<Option<Named<_>>>() else { return false };
                (adamw.moments, adamw.steps) = (moments, steps);
            }
            Self::Momentum(momentum) => momentum.directions = all(DIRECTION).map(|(name, tensor)| (name, flat(tensor, device))).collect(),
        }
        true
    }
}
