//! The optimizer that a recipe names.

use burn::tensor::{Device, Tensor};

use super::adamw::{AdamW, clip_global_norm};
use super::momentum::{Momentum, Scaling};
use crate::error::Result;
use crate::recipe::Optim;
use crate::weights::model_file::{flat, to_host};
use crate::weights::parameters::{Named, Parameters};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// Any optimizer with its state.
pub enum Optimizer {
    /// Two moments for each weight.
    AdamW(AdamW),
    /// One direction for each weight.
    Momentum(Momentum),
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

    /// One update with learning rate `lr` and this weight decay. Parameters without a gradient stay as they are. `clip` is the norm of all
    /// gradients together, and the limit that they are scaled down to.
    pub fn step(
        &mut self,
        model: &mut dyn Parameters,
        gradients: Named<Tensor<1>>,
        [lr, weight_decay]: [f64; 2],
        clip: Option<(&Tensor<1>, f64)>,
    ) {
        match self {
            Self::AdamW(adamw) => {
                adamw.weight_decay = weight_decay;
                adamw.step_clipped(model, gradients, lr, clip);
            }
            Self::Momentum(momentum) => {
                momentum.weight_decay = weight_decay;
                let gradients = match clip {
                    Some((norm, limit)) => clip_global_norm(gradients, norm, limit),
                    None => gradients,
                };
                momentum.step(model, gradients, lr);
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

    /// Its state on the host; `shape` knows that of each parameter.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self, shape: impl Fn(&str) -> Vec<usize>) -> Result<TensorMap> {
        let mut state = TensorMap::new();
        let mut keep = |prefix: &str, name: &str, values: &Tensor<1>| -> Result<()> {
            state.insert(format!("{prefix}{name}"), HostTensor::new(shape(name), to_host(values.clone())?));
            Ok(())
        };
        match self {
            Self::AdamW(adamw) => {
                for (name, [first, second]) in &adamw.moments {
                    keep(FIRST, name, first)?;
                    keep(SECOND, name, second)?;
                }
            }
            Self::Momentum(momentum) => momentum.directions.iter().try_for_each(|(name, direction)| keep(DIRECTION, name, direction))?,
        }
        Ok(state)
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
