//! What every objective is tested by: its gradient is that of its values, its value the mean of its rows' errors.

use burn::tensor::{Device, Tensor, TensorData};

use super::Objective;

/// Three rows of one sample.
pub struct Rows {
    /// `[3, row width]`
    pub target: Vec<f32>,
    /// `[3]`
    pub weights: Vec<f32>,
}

impl Rows {
    /// The loss of a prediction `[3, prediction width]`.
    pub fn loss(&self, objective: &dyn Objective, prediction: &[f32]) -> f64 {
        f64::from(self.with_gradient(objective, prediction).1.into_scalar::<f32>())
    }

    fn with_gradient(&self, objective: &dyn Objective, prediction: &[f32]) -> (Tensor<3>, Tensor<1>) {
        let device = Device::flex().autodiff();
        let count = self.weights.len();
        let rows = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, count, values.len() / count]);
            Tensor::<3>::from_data(data, &device)
        };
        let prediction = rows(prediction).require_grad();
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights.clone(), [1, count]), &device);
        let loss = objective.loss(prediction.clone(), rows(&self.target), weights);
        (prediction, loss)
    }

    /// Holds the gradient against differences of the loss, and the loss against the mean of the counted rows' errors.
    pub fn check(&self, objective: &dyn Objective, prediction: &[f32]) {
        let (leaf, loss) = self.with_gradient(objective, prediction);
        let gradient = leaf.grad(&loss.backward()).expect("a gradient").into_data().try_into_vec::<f32>().expect("f32");
        const STEP: f32 = 1e-2;
        for index in 0..prediction.len() {
            let at = |shift: f32| {
                let mut moved = prediction.to_vec();
                moved[index] += shift;
                self.loss(objective, &moved)
            };
            let numeric = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
            assert!((f64::from(gradient[index]) - numeric).abs() < 1e-3, "{index}: {gradient:?} {numeric}");
        }
        assert!(gradient.iter().any(|&value| value.abs() > 1e-2), "a gradient that cannot be told from none: {gradient:?}");
        let count = self.weights.len();
        let (width, row) = (prediction.len() / count, self.target.len() / count);
        let errors = prediction.chunks_exact(width).zip(self.target.chunks_exact(row));
        let errors = errors.zip(&self.weights).map(|((have, want), &weight)| f64::from(weight) * objective.error(have, want));
        let mean = errors.sum::<f64>() / f64::from(self.weights.iter().sum::<f32>());
        let loss = f64::from(loss.into_scalar::<f32>());
        assert!((mean - loss).abs() < 2e-5 * loss.abs().max(1.0), "{mean} {loss}");
    }
}
