//! AdamW (Loshchilov and Hutter, 2017) with the decay groups of the masked-image papers, and clipping by the global norm.

use burn::tensor::Tensor;

use crate::kernel::cube::{Parameter, adamw_of_all};
use crate::kernel::{self, Update};
use crate::recipe::Optim;
use crate::weights::parameters::{Named, Parameters};

/// The optimizer and its state.
pub struct AdamW {
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled decay of every parameter with more than one dimension; biases, norms and other vectors have none.
    pub weight_decay: f64,
    /// Class and mask tokens and tables of positions decay too.
    pub decay_tokens: bool,
    /// Updates done.
    pub steps: u64,
    /// First and second moments, flat.
    pub moments: Named<[Tensor<1>; 2]>,
}

impl AdamW {
    /// A fresh optimizer.
    pub fn new(settings: &Optim) -> Self {
        let betas = [settings.betas.first(), settings.betas.get(1)].map(|beta| beta.copied().unwrap_or(0.9));
        Self {
            betas,
            eps: settings.eps,
            weight_decay: settings.weight_decay,
            decay_tokens: settings.decay_tokens,
            steps: 0,
            moments: Named::new(),
        }
    }

    /// One update with learning rate `lr`. Parameters without a gradient stay as they are.
    pub fn step(&mut self, model: &mut dyn Parameters, gradients: Named<Tensor<1>>, lr: f64) {
        self.step_clipped(model, gradients, lr, None);
    }

    /// The same with the gradients scaled as [`clip_global_norm`] does, given their norm and its limit.
    pub fn step_clipped(&mut self, model: &mut dyn Parameters, gradients: Named<Tensor<1>>, lr: f64, clip: Option<(&Tensor<1>, f64)>) {
        self.steps += 1;
        if gradients.values().next().is_some_and(kernel::is_fused_on_gpu) {
            return self.step_at_once(model, gradients, lr, clip);
        }
        let mut gradients = match clip {
            Some((norm, limit)) => clip_global_norm(gradients, norm, limit),
            None => gradients,
        };
        model.update_parameters(&mut |name, shape, value| {
            let Some(gradient) = gradients.remove(name) else { return value };
            let moments = self.moments.remove(name).unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
            let (updated, moments) = kernel::adamw(value, gradient, moments, self.update(name, shape, lr));
            self.moments.insert(name.to_owned(), moments);
            updated
        });
    }

    /// On a GPU, all parameters in few launches.
    fn step_at_once(&mut self, model: &mut dyn Parameters, mut gradients: Named<Tensor<1>>, lr: f64, clip: Option<(&Tensor<1>, f64)>) {
        let (mut names, mut parameters) = (Vec::new(), Vec::new());
        model.visit_parameters(&mut |name, shape, value| {
            let Some(gradient) = gradients.remove(name) else { return };
            let moments = self.moments.remove(name).unwrap_or_else(|| [value.zeros_like(), value.zeros_like()]);
            if let Some(parameter) = Parameter::new(value, gradient, moments, self.update(name, shape, lr).keep) {
                names.push(name.to_owned());
                parameters.push(parameter);
            }
        });
        let mut updated = Named::new();
        for (name, (value, moments)) in names.into_iter().zip(adamw_of_all(parameters, self.update("", &[], lr), clip)) {
            updated.insert(name.clone(), value);
            self.moments.insert(name, moments);
        }
        model.update_parameters(&mut |name, _, value| updated.remove(name).unwrap_or(value));
    }

    /// The numbers of the latest update of a parameter of this name and shape.
    fn update(&self, name: &str, shape: &[usize], lr: f64) -> Update {
        let [beta1, beta2] = self.betas;
        let correction = [beta1, beta2].map(|beta| 1.0 - beta.powf(self.steps as f64));
        const TOKENS: [&str; 5] = ["cls_token", "mask_token", "reg_token", "pos_embed", "relative_position_bias_table"];
        let is_token = TOKENS.iter().any(|token| name.ends_with(token));
        let decay = if shape.len() > 1 && (self.decay_tokens || !is_token) { self.weight_decay } else { 0.0 };
        Update {
            betas: [beta1 as f32, beta2 as f32],
            rests: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            keep: (1.0 - lr * decay) as f32,
            rate: (lr / correction[0]) as f32,
            root_correction: correction[1].sqrt() as f32,
            eps: self.eps as f32,
        }
    }
}

/// Scales each gradient so that its own norm is at most `limit`, as DINO's released code does.
pub fn clip_each(gradients: Named<Tensor<1>>, limit: f64) -> Named<Tensor<1>> {
    let clipped = |gradient: Tensor<1>| {
        let norm = kernel::square_sum(gradient.clone()).sqrt();
        kernel::scale(gradient, factor(&norm, limit))
    };
    gradients.into_iter().map(|(name, gradient)| (name, clipped(gradient))).collect()
}

/// The norm of all gradients together, as a tensor of one number so that nothing waits for the device. Shape: `[1]`.
pub fn global_norm(gradients: &Named<Tensor<1>>) -> Option<Tensor<1>> {
    let all: Vec<_> = gradients.values().collect();
    if all.first().is_some_and(|&gradient| kernel::is_fused_on_gpu(gradient)) {
        return kernel::cube::global_norm(&all);
    }
    let squares = gradients.values().map(|gradient| kernel::square_sum(gradient.clone()));
    squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
}

/// Scales all gradients so that their global norm is at most `limit` (PyTorch's `clip_grad_norm_`, with its 1e-6).
pub fn clip_global_norm(gradients: Named<Tensor<1>>, norm: &Tensor<1>, limit: f64) -> Named<Tensor<1>> {
    let factor = factor(norm, limit);
    gradients.into_iter().map(|(name, gradient)| (name, kernel::scale(gradient, factor.clone()))).collect()
}

/// What gradients of such a norm are multiplied by.
fn factor(norm: &Tensor<1>, limit: f64) -> Tensor<1> {
    ((norm.clone() + 1e-6).recip() * limit).clamp_max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;
    use burn::tensor::Device;

    #[test]
    fn each_gradient_is_clipped_by_itself_or_all_together() {
        let gradient = |values: &[f32]| Tensor::<1>::from_floats(values, &Device::flex());
        let gradients = || Named::from([("a".to_owned(), gradient(&[3.0, 4.0])), ("b".to_owned(), gradient(&[0.6, 0.8]))]);
        let host = |gradients: &Named<Tensor<1>>, name: &str| to_host(gradients[name].clone()).unwrap();
        let close = |have: Vec<f32>, want: [f32; 2]| assert!(have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{have:?} {want:?}");
        let each = clip_each(gradients(), 2.5);
        close(host(&each, "a"), [1.5, 2.0]);
        close(host(&each, "b"), [0.6, 0.8]);
        let norm = global_norm(&gradients()).unwrap();
        let all = clip_global_norm(gradients(), &norm, 26_f64.sqrt() / 2.0);
        close(host(&all, "a"), [1.5, 2.0]);
        close(host(&all, "b"), [0.3, 0.4]);
    }
}
