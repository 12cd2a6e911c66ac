//! Gradient descent with momentum, and its layer-wise scaled relatives: LARS (You, Gitman and Ginsburg, *Large Batch Training of
//! Convolutional Networks*, 2017) and LARC, which scales gradients alike and leaves the rest to plain descent.

use burn::tensor::Tensor;

use crate::kernel;
use crate::recipe::Optim;
use crate::weights::parameters::{Named, Parameters};

/// How gradients are scaled, tensor by tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Not at all.
    Plain,
    /// In proportion to the weights, of tensors with more than one dimension; the others are neither scaled nor do they decay (MAE's linear
    /// probe, BYOL, SimCLR).
    Lars,
    /// In proportion to the weights, all tensors (SwAV, SimSiam's probe; apex with `clip=False`).
    Larc,
}

/// The optimizer and its state.
pub struct Momentum {
    /// How gradients are scaled.
    pub scaling: Scaling,
    /// The share of the former direction that stays.
    pub momentum: f64,
    /// Added to the gradient, in shares of the weights; not decoupled.
    pub weight_decay: f64,
    /// What names of parameters begin with whose learning rate is always the highest (SimSiam's predictor).
    pub steady: Vec<String>,
    /// The former directions, flat.
    pub directions: Named<Tensor<1>>,
}

/// The trust coefficient of both relatives.
const TRUST: f64 = 1e-3;
/// What LARC adds to its denominator.
const LARC_EPS: f64 = 1e-8;

impl Momentum {
    /// A fresh optimizer.
    pub fn new(settings: &Optim, scaling: Scaling) -> Self {
        Self {
            scaling,
            momentum: settings.momentum,
            weight_decay: settings.weight_decay,
            steady: settings.steady.clone(),
            directions: Named::new(),
        }
    }

    /// One update with learning rate `lr`, of which `peak` is the highest: `m ← μ m + g`, then `p ← p - lr m`. Parameters without a gradient
    /// stay as they are.
    pub fn step(&mut self, model: &mut dyn Parameters, mut gradients: Named<Tensor<1>>, [lr, peak]: [f64; 2]) {
        model.update_parameters(&mut |name, shape, value| {
            let Some(gradient) = gradients.remove(name) else { return value };
            let (gradient, factor) = self.scaled(gradient, &value, shape.len() > 1);
            let direction = self.directions.remove(name).unwrap_or_else(|| value.zeros_like());
            let rate = if self.steady.iter().any(|steady| name.starts_with(steady)) { peak } else { lr };
            let (value, direction) = kernel::momentum(value, gradient, direction, factor, [self.momentum, rate]);
            self.directions.insert(name.to_owned(), direction);
            value
        });
    }

    /// The gradient, with the decay of the weights, and what it is to be multiplied by, `[1]`.
    fn scaled(&self, gradient: Tensor<1>, value: &Tensor<1>, is_matrix: bool) -> (Tensor<1>, Tensor<1>) {
        let norm = |tensor: &Tensor<1>| kernel::square_sum(tensor.clone()).sqrt();
        let decay = if is_matrix || self.scaling == Scaling::Larc { self.weight_decay } else { 0.0 };
        let decayed = |gradient: Tensor<1>| if decay > 0.0 { kernel::blend(gradient, value.clone(), [1.0, decay]) } else { gradient };
        match self.scaling {
            Scaling::Lars if is_matrix => {
                let gradient = decayed(gradient);
                let factor = ratio(norm(value) * TRUST, norm(&gradient), 0.0);
                (gradient, factor)
            }
            Scaling::Larc => {
                let (of_value, of_gradient) = (norm(value), norm(&gradient));
                let factor = ratio(of_value.clone() * TRUST, of_gradient + of_value * decay, LARC_EPS);
                (decayed(gradient), factor)
            }
            _ => (decayed(gradient), Tensor::ones([1], &value.device())),
        }
    }
}

/// The ratio of two norms; 1 where either is zero. Nothing is read back from the device.
fn ratio(above: Tensor<1>, below: Tensor<1>, eps: f64) -> Tensor<1> {
    let is_zero = (above.clone() * below.clone()).equal_elem(0.0);
    (above / (below + (eps + f64::from(f32::MIN_POSITIVE)))).mask_fill(is_zero, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::linear::{Linear, parameter};
    use crate::recipe::Recipe;
    use crate::weights::model_file::to_host;
    use burn::tensor::Device;

    /// A layer of weight `[3, 4]` and bias 5, after an update of rate 0.1 with gradients `[0, 1]` and 1.
    fn updated(scaling: Scaling, decay: f64, steps: usize) -> [Vec<f32>; 2] {
        let device = Device::flex();
        let mut layer = Linear { weight: parameter(vec![3.0, 4.0], [1, 2], &device), bias: parameter(vec![5.0], [1], &device) };
        let mut settings = Recipe::preset("mae").unwrap().optim;
        (settings.momentum, settings.weight_decay) = (0.9, decay);
        let mut optimizer = Momentum::new(&settings, scaling);
        for _ in 0..steps {
            let gradient = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
            let gradients = [("weight".to_owned(), gradient(&[0.0, 1.0])), ("bias".to_owned(), gradient(&[1.0]))];
            optimizer.step(&mut layer, gradients.into(), [0.1, 0.2]);
        }
        [to_host(layer.weight.val()).unwrap(), to_host(layer.bias.val()).unwrap()]
    }

    fn close(have: &[f32], want: &[f64]) {
        assert!(have.len() == want.len() && have.iter().zip(want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{have:?} {want:?}");
    }

    #[test]
    fn golden_lars() {
        let [weight, bias] = updated(Scaling::Lars, 0.0, 1);
        close(&weight, &[3.0, 3.9995]);
        close(&bias, &[4.9]);
        // Decay is of matrices alone: g = (0.3, 1.4), |g| = 1.431782, q = 0.005 / 1.431782.
        let [weight, bias] = updated(Scaling::Lars, 0.1, 1);
        let q = 0.005 / (0.3_f64.powi(2) + 1.4_f64.powi(2)).sqrt();
        close(&weight, &[3.0 - 0.1 * q * 0.3, 4.0 - 0.1 * q * 1.4]);
        close(&bias, &[4.9]);
    }

    #[test]
    fn larc_scales_and_decays_everything() {
        let [weight, bias] = updated(Scaling::Larc, 0.1, 1);
        let q = 0.005 / (1.0 + 0.5);
        close(&weight, &[3.0 - 0.1 * q * 0.3, 4.0 - 0.1 * q * 1.4]);
        close(&bias, &[5.0 - 0.1 * (0.005 / 1.5) * 1.5]);
    }

    #[test]
    fn plain_descent_gains_momentum() {
        let [weight, bias] = updated(Scaling::Plain, 0.0, 2);
        close(&weight, &[3.0, 4.0 - 0.1 - 0.19]);
        close(&bias, &[5.0 - 0.1 - 0.19]);
    }

    #[test]
    fn what_is_steady_keeps_the_highest_rate() {
        let device = Device::flex();
        let mut layer = Linear { weight: parameter(vec![3.0, 4.0], [1, 2], &device), bias: parameter(vec![5.0], [1], &device) };
        let mut settings = Recipe::preset("mae").unwrap().optim;
        settings.weight_decay = 0.0;
        settings.steady = vec!["bi".into()];
        let mut optimizer = Momentum::new(&settings, Scaling::Plain);
        let one = |count: usize| Tensor::<1>::ones([count], &device);
        optimizer.step(&mut layer, [("weight".to_owned(), one(2)), ("bias".to_owned(), one(1))].into(), [0.1, 0.5]);
        close(&to_host(layer.weight.val()).unwrap(), &[2.9, 3.9]);
        close(&to_host(layer.bias.val()).unwrap(), &[4.5]);
    }

    #[test]
    fn zeros_are_no_trouble() {
        let zeros = || Tensor::<1>::zeros([1], &Device::flex());
        let one = || zeros() + 1.0;
        for (above, below, want) in [(zeros(), one(), 1.0), (one(), zeros(), 1.0), (zeros(), zeros(), 1.0), (one(), one() * 2.0, 0.5)] {
            assert_eq!(to_host(ratio(above, below, 0.0)).unwrap(), [want]);
        }
    }
}
