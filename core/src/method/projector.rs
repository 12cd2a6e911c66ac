//! The head of SimCLR, MoCo, BYOL and SimSiam: an MLP to what is compared, and in some of them another that predicts what a second network
//! makes of another view.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

use crate::backbone::batch_norm::{Affine, BatchNorm};
use crate::backbone::linear::{NORMAL_DEVIATION, normal, parameter};
use crate::kernel;
use crate::random::Stream;

/// The sizes of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlpConfig {
    /// Linear layers; 0 for none of it.
    pub layers: usize,
    /// Numbers between them.
    pub hidden: usize,
    /// Numbers that leave it.
    pub width: usize,
    /// Numbers between layers are normalized over the batch.
    pub batch_norm: bool,
    /// Those that leave it are normalized too, and what is learned of that.
    pub last_norm: Option<Affine>,
    /// Layers before no normalization have a bias.
    pub bias: bool,
}

/// The sizes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// D: numbers of a feature.
    pub inputs: usize,
    /// To what is compared.
    pub projector: MlpConfig,
    /// On top of it, in the network that learns alone.
    pub predictor: MlpConfig,
}

/// The head.
#[derive(Module, Debug)]
pub struct ProjectorHead {
    /// To what is compared.
    pub projector: HeadMlp,
    /// On top of it.
    pub predictor: Option<HeadMlp>,
}

/// Linear layers with ReLU between them.
#[derive(Module, Debug)]
pub struct HeadMlp {
    /// First to last.
    pub layers: Vec<HeadLayer>,
}

/// `y = x Wᵀ (+ b)`, normalized over the batch or not.
#[derive(Module, Debug)]
pub struct HeadLayer {
    /// `[O, I]`
    pub weight: Param<Tensor<2>>,
    /// `[O]`
    pub bias: Option<Param<Tensor<1>>>,
    /// Of the result.
    pub norm: Option<BatchNorm>,
}

impl MlpConfig {
    fn init(&self, inputs: usize, stream: &mut Stream, device: &Device) -> HeadMlp {
        let mut layer = |place: usize| {
            let (is_first, is_last) = (place == 0, place + 1 == self.layers);
            let (from, to) = (if is_first { inputs } else { self.hidden }, if is_last { self.width } else { self.hidden });
            let norm = if is_last { self.last_norm } else { self.batch_norm.then_some(Affine::Both) };
            HeadLayer {
                weight: parameter(normal(to * from, NORMAL_DEVIATION, stream), [to, from], device),
                // A normalization would subtract it again.
                bias: (self.bias && norm.is_none()).then(|| parameter(vec![0.0; to], [to], device)),
                norm: norm.map(|affine| BatchNorm::new(to, affine, device)),
            }
        };
        HeadMlp { layers: (0..self.layers).map(&mut layer).collect() }
    }

    /// Forward arithmetic of one row.
    fn flops(&self, inputs: usize) -> f64 {
        let products = match self.layers {
            0 => 0,
            1 => inputs * self.width,
            layers => (inputs + self.width) * self.hidden + (layers - 2) * self.hidden * self.hidden,
        };
        2.0 * products as f64
    }
}

impl HeadMlp {
    /// Shapes: `x [M, I]` to `[M, W]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(x, |x, (place, layer)| {
            let x = layer.forward(x);
            if place < last { activation::relu(x) } else { x }
        })
    }
}

impl HeadLayer {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = kernel::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val));
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

impl ProjectorConfig {
    /// Normal matrices and zero biases.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> ProjectorHead {
        let projector = self.projector.init(self.inputs, stream, device);
        let predictor = (self.predictor.layers > 0).then(|| self.predictor.init(self.projector.width, stream, device));
        ProjectorHead { projector, predictor }
    }

    /// Forward arithmetic of one feature.
    pub fn flops(&self) -> f64 {
        self.projector.flops(self.inputs) + self.predictor.flops(self.projector.width)
    }
}

impl ProjectorHead {
    /// What is compared. Shapes: `features [M, D]` to `[M, W]`.
    pub fn project(&self, features: Tensor<2>) -> Tensor<2> {
        self.projector.forward(features)
    }

    /// What a second network is expected to make of another view, from what is compared; the same where nothing is expected. Shapes:
    /// `projected [M, W]` to the same.
    pub fn predict(&self, projected: Tensor<2>) -> Tensor<2> {
        match &self.predictor {
            Some(predictor) => predictor.forward(projected),
            None => projected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::weights::parameters::Parameters;

    #[test]
    fn layers_have_biases_where_nothing_normalizes() {
        let projector = MlpConfig { layers: 3, hidden: 10, width: 4, batch_norm: true, last_norm: Some(Affine::Nothing), bias: true };
        let predictor = MlpConfig { layers: 2, hidden: 6, last_norm: None, ..projector };
        let device = Device::flex().autodiff();
        let head = ProjectorConfig { inputs: 5, projector, predictor }.init(&mut Stream::new(1, 0, 0, Purpose::Init), &device);
        let features = Tensor::<2>::random([7, 5], burn::tensor::Distribution::Default, &device);
        let projected = head.project(features);
        assert_eq!(projected.dims(), [7, 4]);
        let answer = head.predict(projected);
        let names: Vec<String> = head.take_gradients(&mut answer.powi_scalar(2).sum().backward()).into_keys().collect();
        let biases: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.ends_with("bias")).collect();
        assert_eq!(
            biases,
            ["predictor.layers.0.norm.bias", "predictor.layers.1.bias", "projector.layers.0.norm.bias", "projector.layers.1.norm.bias"]
        );
        let without = ProjectorConfig { inputs: 5, projector, predictor: MlpConfig { layers: 0, ..predictor } };
        assert!(without.init(&mut Stream::new(1, 0, 0, Purpose::Init), &device).predictor.is_none());
    }
}
