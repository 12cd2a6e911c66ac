//! Batch normalization (Ioffe and Szegedy, 2015): of features, in heads, which are thrown away after pre-training and so keep no running
//! statistics; and of the maps of a residual network, which are looked at one by one later and need them. A teacher uses the statistics of
//! its own batch, as in BYOL.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

use super::linear::parameter;
use crate::kernel::{self, Normalization};

/// What is learned besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affine {
    /// Nothing.
    Nothing,
    /// A factor for each number.
    Scale,
    /// A factor and a shift.
    Both,
}

/// Normalization of every column over a batch's rows.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[W]`, starts at one.
    pub weight: Option<Param<Tensor<1>>>,
    /// `[W]`, starts at zero.
    pub bias: Option<Param<Tensor<1>>>,
}

impl BatchNorm {
    /// PyTorch's.
    pub const EPS: f64 = 1e-5;

    /// Ones and zeros.
    pub fn new(width: usize, affine: Affine, device: &Device) -> Self {
        Self {
            weight: (affine != Affine::Nothing).then(|| parameter(vec![1.0; width], [width], device)),
            bias: (affine == Affine::Both).then(|| parameter(vec![0.0; width], [width], device)),
        }
    }

    /// Shapes: `x [M, W]` to the same.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let centered = x.clone() - x.mean_dim(0);
        let variance = (centered.clone() * centered.clone()).mean_dim(0);
        let mut y = centered / (variance + Self::EPS).sqrt();
        if let Some(weight) = &self.weight {
            y = y * weight.val().unsqueeze::<2>();
        }
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<2>(),
            None => y,
        }
    }
}

/// Whose mean and variance a map is normalized by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// The batch's, which the running ones take note of: in training.
    Batch,
    /// The running ones: when single images are looked at.
    Running,
}

impl Statistics {
    /// Those of a network at work on a device: one that is being trained is on a differentiating one.
    pub fn on(device: &Device) -> Self {
        if device.is_autodiff() { Self::Batch } else { Self::Running }
    }
}

/// Normalization of every channel of maps, with what follows it in a residual network.
#[derive(Module, Debug)]
pub struct ImageNorm {
    /// `[C]`, starts at one.
    pub weight: Param<Tensor<1>>,
    /// `[C]`, starts at zero.
    pub bias: Param<Tensor<1>>,
    /// `[C]`, starts at zero.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[C]`, starts at one; over one less than the numbers of a channel, as PyTorch has it.
    pub running_var: RunningState<Tensor<1>>,
}

impl ImageNorm {
    /// The share of the new in the running statistics, as PyTorch has it.
    const MOMENTUM: f64 = 0.1;

    /// Ones and zeros.
    pub fn new(channels: usize, device: &Device) -> Self {
        let state = |value: f32| RunningState::new(parameter(vec![value; channels], [channels], device).val().detach());
        Self {
            weight: parameter(vec![1.0; channels], [channels], device),
            bias: parameter(vec![0.0; channels], [channels], device),
            running_mean: state(0.0),
            running_var: state(1.0),
        }
    }

    /// `relu(norm(x) + residual)`, or without either. Shapes: `x [B, n, C]` to the same.
    pub fn forward(&self, x: Tensor<3>, residual: Option<Tensor<3>>, relu: bool, statistics: Statistics) -> Tensor<3> {
        let (affine, own_moments) = ([self.weight.val(), self.bias.val()], statistics == Statistics::Batch);
        let settings = Normalization { eps: BatchNorm::EPS as f32, relu, own_moments };
        let moments = if own_moments {
            let moments = kernel::column_moments(x.clone());
            let [batch, places, _] = x.dims();
            self.note(&moments, batch * places);
            moments
        } else {
            let [mean, variance] = [&self.running_mean, &self.running_var].map(|state| state.value().without_autodiff().unsqueeze::<2>());
            Tensor::cat(vec![mean, variance], 0)
        };
        kernel::batch_norm(x, moments, affine, residual, settings)
    }

    /// Takes note of a batch's moments `[2, C]`, of so many numbers of each channel.
    fn note(&self, moments: &Tensor<2>, count: usize) {
        let unbiased = count as f64 / (count as f64 - 1.0).max(1.0);
        for (row, state, factor) in [(0, &self.running_mean, 1.0), (1, &self.running_var, unbiased)] {
            let before = state.value();
            let new = moments.clone().narrow(0, row, 1).reshape([-1]) * (factor * Self::MOMENTUM);
            let after = before.clone().without_autodiff() * (1.0 - Self::MOMENTUM) + new;
            state.update(if before.is_autodiff() { after.autodiff() } else { after });
            // Without this the change would show only after the next one.
            state.value_sync();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn columns_get_mean_zero_and_variance_one() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0, 10.0], [2.0, 10.0], [3.0, 10.0], [6.0, 10.0]], &device);
        let y = to_host(BatchNorm::new(2, Affine::Both, &device).forward(x)).unwrap();
        // Mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5.
        for (have, want) in y.iter().step_by(2).zip([-2.0, -1.0, 0.0, 3.0]) {
            assert!((have - want / 3.5_f32.sqrt()).abs() < 1e-4, "{y:?}");
        }
        assert!(y.iter().skip(1).step_by(2).all(|&value| value == 0.0), "a column without differences is zero");
        assert!(BatchNorm::new(2, Affine::Nothing, &device).weight.is_none() && BatchNorm::new(2, Affine::Scale, &device).bias.is_none());
    }
}
