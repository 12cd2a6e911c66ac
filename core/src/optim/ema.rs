//! An exponential moving average of a model's weights.

use burn::tensor::Tensor;

use crate::kernel;
use crate::weights::parameters::{Named, Parameters};

/// The average and its decay.
pub struct Ema {
    /// The share of the old average that stays at each update.
    pub decay: f64,
    /// The averaged values, flat.
    pub values: Named<Tensor<1>>,
}

impl Ema {
    /// Starts as a copy of the model.
    pub fn new(decay: f64, model: &dyn Parameters) -> Self {
        let mut values = Named::new();
        model.visit_parameters(&mut |name, _, value| {
            values.insert(name.to_owned(), value);
        });
        Self { decay, values }
    }

    /// `average ← decay · average + (1 - decay) · weights`.
    pub fn update(&mut self, model: &dyn Parameters) {
        if self.values.values().next().is_some_and(kernel::is_fused_on_gpu) {
            let mut weights = Named::new();
            model.visit_parameters(&mut |name, _, value| drop(weights.insert(name.to_owned(), value)));
            return kernel::cube::blend(&mut self.values, weights, [self.decay, 1.0 - self.decay]);
        }
        model.visit_parameters(&mut |name, _, value| {
            if let Some(average) = self.values.remove(name) {
                self.values.insert(name.to_owned(), kernel::blend(average, value, [self.decay, 1.0 - self.decay]));
            }
        });
    }
}
