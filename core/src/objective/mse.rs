//! The mean squared error of MAE: per patch over its numbers, then over the patches that count.

use burn::tensor::Tensor;

use super::Objective;
use crate::kernel::{self, RowError};
use crate::knob::{Default, Knob, Range, Value};
use crate::registry::Entry;

/// The registry's line.
pub const ENTRY: Entry<dyn Objective> = Entry {
    name: "mse",
    summary: "mean squared error",
    source: "He et al., Masked Autoencoders Are Scalable Vision Learners, 2021",
    knobs: &[Knob {
        key: "over",
        doc: "which patches count: the masked ones, or all",
        unit: "",
        range: Range::Choice(&["masked", "all"]),
        default: Default::Text("masked"),
    }],
    build: |settings| Ok(Box::new(Mse { all: settings.get("over") == Some(&Value::Text("all".into())) })),
};

/// `sum(w · mean((x - y)²)) / sum(w)`.
pub struct Mse {
    /// Visible patches count too.
    pub all: bool,
}

impl Objective for Mse {
    fn covers_visible(&self) -> bool {
        self.all
    }

    fn loss(&self, prediction: Tensor<3>, target: Tensor<3>, weights: Tensor<2>) -> Tensor<1> {
        kernel::row_error(prediction, target, weights, RowError::Square, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn loss_of(prediction: &[f32], device: &Device) -> (Tensor<3>, Tensor<1>) {
        let prediction = Tensor::<3>::from_data(TensorData::new(prediction.to_vec(), [1, 3, 2]), device).require_grad();
        let target = Tensor::<3>::from_data(TensorData::new(vec![1.0_f32, 1.0, 0.0, 2.0, 5.0, 5.0], [1, 3, 2]), device);
        let weights = Tensor::<2>::from_data(TensorData::new(vec![1.0_f32, 1.0, 0.0], [1, 3]), device);
        let loss = Mse { all: false }.loss(prediction.clone(), target, weights);
        (prediction, loss)
    }

    #[test]
    fn only_weighted_patches_count() {
        let (_, loss) = loss_of(&[0.0, 1.0, 0.0, 0.0, 9.0, 9.0], &Device::flex().autodiff());
        assert!((loss.into_scalar::<f32>() - (0.5 + 2.0) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_is_the_finite_difference() {
        let device = Device::flex().autodiff();
        let point = [0.3_f32, 1.2, -0.4, 0.7, 2.0, -1.0];
        let (prediction, loss) = loss_of(&point, &device);
        let gradient = prediction.grad(&loss.backward()).expect("a gradient").into_data().try_into_vec::<f32>().expect("f32");
        for index in 0..point.len() {
            let at = |shift: f32| {
                let mut moved = point;
                moved[index] += shift;
                f64::from(loss_of(&moved, &device).1.into_scalar::<f32>())
            };
            let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((f64::from(gradient[index]) - numeric).abs() < 1e-3, "{index}: {gradient:?} {numeric}");
        }
    }
}
