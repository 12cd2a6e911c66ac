//! KoLeo (Sablayrolles et al., *Spreading Vectors for Similarity Search*, 2019), as DINOv2 uses it (Oquab et al., *DINOv2: Learning Robust
//! Visual Features without Supervision*, 2023): what the distances to nearest neighbors tell of the entropy of a batch of features. Where it
//! is part of a loss, images of a batch keep their distance from one another.

use burn::tensor::{Int, Tensor};

use super::prototypes::normalized;

/// The opposite of Kozachenko and Leonenko's estimate of an entropy, `-mean log(|x - nearest other x| + 1e-8)`, of directions. Who is nearest
/// is found among all, and only the distance is differentiated, on both of its ends. Shapes: `features [B, D]` to `[1]`.
pub fn koleo(features: Tensor<2>) -> Tensor<1> {
    const ADDEND: f64 = 1e-8;
    let directions = normalized(features);
    let nearest = nearest(directions.clone().without_autodiff());
    let nearest = if directions.is_autodiff() { nearest.autodiff() } else { nearest };
    // A product with ones and zeros: no device has to scatter gradients then.
    let difference = directions.clone() - nearest.matmul(directions);
    // The square of the addend keeps the gradient of two equal features a number.
    let distance = difference.powi_scalar(2).sum_dim(1).clamp_min(ADDEND * ADDEND).sqrt();
    (distance + ADDEND).log().mean() * -1.0
}

/// 1 in the column of the direction that is likest to a row's, its own left out. Shapes: `directions [B, D]` to `[B, B]`.
fn nearest(directions: Tensor<2>) -> Tensor<2> {
    /// More than any two directions differ by.
    const FAR: f64 = 4.0;
    let (rows, device) = (directions.dims()[0], directions.device());
    let likeness = directions.clone().matmul(directions.transpose()) - Tensor::<2>::eye(rows, &device) * FAR;
    let columns = Tensor::<1, Int>::arange(0..rows as i64, &device).float().reshape([1, rows]);
    columns.expand([rows, rows]).equal(likeness.argmax(1).float().expand([rows, rows])).float()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::weights::model_file::to_host;

    fn rows(values: &[f32], width: usize, device: &Device) -> Tensor<2> {
        Tensor::<1>::from_floats(values, device).reshape([values.len() / width, width])
    }

    fn value_of(values: &[f32], width: usize) -> f64 {
        f64::from(to_host(koleo(rows(values, width, &Device::flex()))).unwrap()[0])
    }

    #[test]
    fn golden_distances_on_a_circle() {
        // At 0°, 60° and 180°, of any length: the first two are each other's nearest, one apart; the third is √3 from the second.
        let features = [2.0, 0.0, 0.5, 0.75_f32.sqrt(), -3.0, 0.0];
        let golden = -(1.0_f64.ln() + 1.0_f64.ln() + 3.0_f64.sqrt().ln()) / 3.0;
        assert!((value_of(&features, 2) - golden).abs() < 1e-6, "{} {golden}", value_of(&features, 2));
        assert!((golden + 0.183_102).abs() < 1e-6);
        // Evenly spread is better than that, and in one place as bad as can be: log 2e-8.
        assert!(value_of(&[1.0, 0.0, -0.5, 0.75_f32.sqrt(), -0.5, -(0.75_f32.sqrt())], 2) < golden);
        assert!((value_of(&[0.6, 0.8].repeat(3), 2) - 17.7275).abs() < 1e-3, "{}", value_of(&[0.6, 0.8].repeat(3), 2));
    }

    #[test]
    fn its_gradient_is_that_of_its_values() {
        let mut stream = Stream::new(6, 0, 0, Purpose::Bench);
        let features: Vec<f32> = (0..6 * 4).map(|_| stream.normal() as f32).collect();
        let leaf = rows(&features, 4, &Device::flex().autodiff()).require_grad();
        let gradient = to_host(leaf.grad(&koleo(leaf.clone()).backward()).unwrap()).unwrap();
        for (index, slope) in gradient.iter().enumerate() {
            const STEP: f32 = 1e-3;
            let moved = |by: f32| {
                let mut moved = features.clone();
                moved[index] += by;
                value_of(&moved, 4)
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
            assert!((numeric - f64::from(*slope)).abs() < 2e-3, "{index}: {numeric} {slope}");
        }
        assert!(gradient.iter().any(|slope| slope.abs() > 0.05), "{gradient:?}");
    }

    #[test]
    fn equal_features_have_a_gradient_that_is_a_number() {
        let leaf = rows(&[0.6, 0.8].repeat(3), 2, &Device::flex().autodiff()).require_grad();
        let gradient = to_host(leaf.grad(&koleo(leaf.clone()).backward()).unwrap()).unwrap();
        assert!(gradient.iter().all(|slope| slope.is_finite()), "{gradient:?}");
    }
}
