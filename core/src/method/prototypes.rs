//! The head of DINO and SwAV: an MLP to a direction, and the likeness of that direction to each of many learned ones, the prototypes.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

use crate::backbone::batch_norm::{Affine, BatchNorm};
use crate::backbone::linear::{Linear, parameter};
use crate::kernel;
use crate::random::Stream;

/// The sizes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrototypesConfig {
    /// D: numbers of a feature.
    pub inputs: usize,
    /// Linear layers of the MLP.
    pub layers: usize,
    /// Numbers between them.
    pub hidden: usize,
    /// W: numbers of a direction.
    pub bottleneck: usize,
    /// K
    pub prototypes: usize,
    /// ReLU between layers instead of GELU.
    pub relu: bool,
    /// Numbers between layers are normalized over the batch.
    pub batch_norm: bool,
    /// Of prototypes.
    pub lengths: Lengths,
}

/// What prototypes' lengths are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// One: whatever the weights are, only their directions count.
    One,
    /// Learned (`norm_last_layer = false` in DINO's released code).
    Free,
    /// One, because weights are brought back to it after each step (SwAV).
    Reset,
}

/// The head.
#[derive(Module, Debug)]
pub struct PrototypeHead {
    /// Linear layers with activations between them.
    pub mlp: Vec<Linear>,
    /// Before each activation, if there are any.
    pub norms: Vec<BatchNorm>,
    /// The prototypes.
    pub last_layer: Prototypes,
    #[module(skip)]
    relu: bool,
}

/// K directions as PyTorch's weight normalization keeps them: `length · v / |v|`.
#[derive(Module, Debug)]
pub struct Prototypes {
    /// `[K, 1]`: lengths; 1 and not trained unless they are free, and not there where weights are brought back to length one.
    pub weight_g: Option<Param<Tensor<2>>>,
    /// `[K, W]`
    pub weight_v: Param<Tensor<2>>,
}

/// The parameter that stays as it is while prototypes are frozen.
pub const PROTOTYPES: &str = "head.last_layer.weight_v";
/// The same of patches, where they have their own.
pub const PATCH_PROTOTYPES: &str = "patch_head.last_layer.weight_v";

impl PrototypesConfig {
    /// DINO's initialization: normal matrices and zero biases, prototypes uniform in ±1/√W.
    pub fn init(&self, stream: &mut Stream, device: &Device) -> PrototypeHead {
        let mut widths = vec![self.hidden; self.layers.saturating_sub(1)];
        widths.insert(0, self.inputs);
        widths.push(self.bottleneck);
        let mlp = widths.windows(2).map(|pair| Linear::normal(pair[0], pair[1], stream, device)).collect();
        let norms = if self.batch_norm { self.layers.saturating_sub(1) } else { 0 };
        let bound = (self.bottleneck as f64).powf(-0.5);
        let mut directions: Vec<f32> = (0..self.prototypes * self.bottleneck).map(|_| stream.range(-bound, bound) as f32).collect();
        if self.lengths == Lengths::Reset {
            for direction in directions.chunks_exact_mut(self.bottleneck) {
                let length = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
                direction.iter_mut().for_each(|value| *value /= length.max(1e-12));
            }
        }
        let lengths = || parameter(vec![1.0; self.prototypes], [self.prototypes, 1], device);
        let last_layer = Prototypes {
            weight_g: match self.lengths {
                Lengths::One => Some(lengths().set_require_grad(false)),
                Lengths::Free => Some(lengths()),
                Lengths::Reset => None,
            },
            weight_v: parameter(directions, [self.prototypes, self.bottleneck], device),
        };
        PrototypeHead {
            mlp,
            norms: (0..norms).map(|_| BatchNorm::new(self.hidden, Affine::Both, device)).collect(),
            last_layer,
            relu: self.relu,
        }
    }

    /// Forward arithmetic of one feature.
    pub fn flops(&self) -> f64 {
        let inner = self.layers.saturating_sub(2) * self.hidden * self.hidden;
        let outer = if self.layers > 1 { (self.inputs + self.bottleneck) * self.hidden } else { self.inputs * self.bottleneck };
        2.0 * (inner + outer + self.bottleneck * self.prototypes) as f64
    }
}

impl PrototypeHead {
    /// The likeness to each prototype, from -1 to 1 where they have no length of their own. Shapes: `features [M, D]` to `[M, K]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let through =
            |x: Tensor<2>, (place, layer): (usize, &Linear)| layer.forward(if place > 0 { self.between(x, place - 1) } else { x });
        let direction = normalized(self.mlp.iter().enumerate().fold(features, through));
        kernel::linear(direction, self.last_layer.weight(), None)
    }

    fn between(&self, x: Tensor<2>, place: usize) -> Tensor<2> {
        let x = match self.norms.get(place) {
            Some(norm) => norm.forward(x),
            None => x,
        };
        if self.relu { activation::relu(x) } else { kernel::gelu(x) }
    }
}

impl Prototypes {
    /// `[K, W]`
    fn weight(&self) -> Tensor<2> {
        match &self.weight_g {
            Some(lengths) => normalized(self.weight_v.val()) * lengths.val(),
            None => self.weight_v.val(),
        }
    }
}

/// Rows of length one. Shapes: `x [M, W]` to the same.
pub fn normalized(x: Tensor<2>) -> Tensor<2> {
    // PyTorch's `normalize` divides by at least 1e-12; the square keeps the gradient of a row of zeros a number.
    const LEAST: f64 = 1e-24;
    let length = (x.clone() * x.clone()).sum_dim(1).clamp_min(LEAST).sqrt();
    x / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;
    use crate::weights::model_file::to_host;
    use crate::weights::parameters::Parameters;

    fn head(layers: usize, lengths: Lengths, device: &Device) -> PrototypeHead {
        let (relu, batch_norm) = (lengths == Lengths::Reset, lengths == Lengths::Reset);
        let config = PrototypesConfig { inputs: 6, layers, hidden: 10, bottleneck: 4, prototypes: 7, relu, batch_norm, lengths };
        config.init(&mut Stream::new(1, 0, 0, Purpose::Init), device)
    }

    fn features(count: usize, device: &Device) -> Tensor<2> {
        let mut stream = Stream::new(2, 0, 0, Purpose::Bench);
        let values: Vec<f32> = (0..count * 6).map(|_| stream.normal() as f32).collect();
        Tensor::<1>::from_floats(&values[..], device).reshape([count, 6])
    }

    #[test]
    fn answers_are_cosines() {
        let device = Device::flex();
        let head = head(3, Lengths::One, &device);
        assert_eq!(head.mlp.iter().map(|layer| layer.weight.dims()).collect::<Vec<_>>(), [[10, 6], [10, 10], [4, 10]]);
        let answers = to_host(head.forward(features(50, &device))).unwrap();
        assert!(answers.len() == 350 && answers.iter().all(|cosine| cosine.abs() <= 1.0 + 1e-6));
        // A prototype's own direction is the likest there is.
        let own = normalized(head.last_layer.weight_v.val());
        let likeness = to_host(kernel::linear(own, head.last_layer.weight(), None)).unwrap();
        (0..7).for_each(|k| assert!((likeness[k * 7 + k] - 1.0).abs() < 1e-5));
    }

    #[test]
    fn a_direction_of_zeros_is_no_trouble() {
        let zeros = Tensor::<2>::zeros([1, 4], &Device::flex().autodiff()).require_grad();
        let mut gradients = (normalized(zeros.clone()) * 3.0).sum().backward();
        let gradient = to_host(zeros.grad_remove(&mut gradients).unwrap()).unwrap();
        assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
    }

    #[test]
    fn lengths_are_trained_only_where_they_are_free() {
        let device = Device::flex().autodiff();
        for lengths in [Lengths::One, Lengths::Free, Lengths::Reset] {
            let head = head(2, lengths, &device);
            let names: Vec<String> = head.take_gradients(&mut head.forward(features(5, &device)).sum().backward()).into_keys().collect();
            let has = |name: &str| names.iter().any(|known| known == name);
            assert_eq!(has("last_layer.weight_g"), lengths == Lengths::Free, "{names:?}");
            assert_eq!(has("norms.0.weight"), lengths == Lengths::Reset, "{names:?}");
            assert!(has("last_layer.weight_v") && has("mlp.1.bias"));
        }
    }

    #[test]
    fn prototypes_that_are_brought_back_begin_with_length_one() {
        let device = Device::flex();
        let head = head(2, Lengths::Reset, &device);
        let lengths = to_host((head.last_layer.weight_v.val().powi_scalar(2)).sum_dim(1)).unwrap();
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-5), "{lengths:?}");
        assert!(to_host(head.forward(features(9, &device))).unwrap().iter().all(|cosine| cosine.abs() <= 1.0 + 1e-5));
    }
}
