//! SIGReg (Balestriero and LeCun, *LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics*, 2025): how far a batch of
//! answers is from a standard normal distribution, looked at along random directions. Where it is small, answers neither collapse nor depend on
//! one another, whatever else a loss asks for.

use burn::tensor::{Device, Tensor, TensorData};

use crate::random::{Purpose, Stream};

/// Points at which characteristic functions are compared, from 0 on.
const KNOTS: usize = 17;
/// The last of them.
const END: f64 = 3.0;

/// Directions of length one, `[width, count]`: a function of (seed, step).
pub fn directions([width, count]: [usize; 2], seed: u64, step: u64, device: &Device) -> Tensor<2> {
    let mut stream = Stream::new(seed, step, 0, Purpose::Slices);
    let mut values: Vec<f32> = (0..width * count).map(|_| stream.normal() as f32).collect();
    for direction in values.chunks_exact_mut(width.max(1)) {
        let length = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
        direction.iter_mut().for_each(|value| *value /= length.max(1e-12));
    }
    Tensor::<2>::from_data(TensorData::new(values, [count, width]), device).transpose()
}

/// Epps and Pulley's statistic (*A Test for Normality Based on the Empirical Characteristic Function*, 1983) of each column of each batch
/// against the standard normal distribution, `B ∫ |mean e^(itx) - e^(-t²/2)|² e^(-t²/2) dt`, averaged over columns and batches. The integral
/// goes from -3 to 3, by trapezoids; as it is even, over its upper half. Shapes: `samples [V, B, M]` to `[1]`.
pub fn epps_pulley(samples: Tensor<3>) -> Tensor<1> {
    let ([views, batch, columns], device) = (samples.dims(), samples.device());
    let row = |of: &dyn Fn(usize) -> f64| {
        let values: Vec<f32> = (0..KNOTS).map(|knot| of(knot) as f32).collect();
        Tensor::<4>::from_data(TensorData::new(values, [1, 1, 1, KNOTS]), &device)
    };
    let at = |knot: usize| knot as f64 * END / (KNOTS - 1) as f64;
    let normal = |knot: usize| (-0.5 * at(knot).powi(2)).exp();
    let angles = samples.unsqueeze_dim::<4>(3) * row(&at);
    let real = angles.clone().cos().mean_dim(1) - row(&normal);
    let imaginary = angles.sin().mean_dim(1);
    let error = (real.powi_scalar(2) + imaginary.powi_scalar(2)) * row(&|knot| weight(knot) * normal(knot));
    error.sum() * (batch as f64 / (views * columns).max(1) as f64)
}

/// The trapezoids' weight of a knot, the lower half's included.
fn weight(knot: usize) -> f64 {
    let width = END / (KNOTS - 1) as f64;
    if knot == 0 || knot == KNOTS - 1 { width } else { 2.0 * width }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    fn samples(values: &[f32], [views, batch, columns]: [usize; 3], device: &Device) -> Tensor<3> {
        Tensor::<1>::from_floats(values, device).reshape([views, batch, columns])
    }

    fn statistic(values: &[f32], shape: [usize; 3]) -> f64 {
        f64::from(to_host(epps_pulley(samples(values, shape, &Device::flex()))).unwrap()[0])
    }

    /// The statistic with the integral over all real numbers: every part of it is Gaussian.
    fn closed_form(values: &[f32]) -> f64 {
        let (n, tau) = (values.len() as f64, std::f64::consts::TAU);
        let pair = |a: &f32, b: &f32| tau.sqrt() * (-0.5 * f64::from(a - b).powi(2)).exp();
        let pairs: f64 = values.iter().flat_map(|a| values.iter().map(move |b| pair(a, b))).sum();
        let singles: f64 = values.iter().map(|x| (tau / 2.0).sqrt() * (-0.25 * f64::from(*x).powi(2)).exp()).sum();
        pairs / n - 2.0 * singles + n * (tau / 3.0).sqrt()
    }

    /// The middles of `count` parts of equal probability, found by adding up the density.
    fn quantiles(count: usize) -> Vec<f32> {
        const STEP: f64 = 1e-4;
        let (mut x, mut below, mut found) = (-6.0, 0.0, Vec::new());
        while found.len() < count && x < 6.0 {
            below += STEP * (-0.5_f64 * (x + STEP / 2.0) * (x + STEP / 2.0)).exp() / std::f64::consts::TAU.sqrt();
            x += STEP;
            if below >= (found.len() as f64 + 0.5) / count as f64 {
                found.push(x as f32);
            }
        }
        found
    }

    #[test]
    fn golden_statistics_of_few_samples() {
        // What lies beyond 3 weighs less than 0.0068, and what it weighs is at most 4 a sample.
        for values in [&[0.0][..], &[1.5], &[-0.5, 0.5], &[0.3, -1.2, 2.0]] {
            let (have, want) = (statistic(values, [1, values.len(), 1]), closed_form(values));
            assert!((have - want).abs() < 0.0272 * values.len() as f64 && have > 0.0, "{values:?}: {have} {want}");
        }
        // One sample at 0: the sum over knots by hand, (1 - e^(-t²/2))² e^(-t²/2) at t = 3 k / 16.
        let by_hand: f64 = (0..KNOTS)
            .map(|knot| {
                let phi = (-0.5 * (knot as f64 * 0.1875).powi(2)).exp();
                let width = if knot == 0 || knot == 16 { 0.1875 } else { 0.375 };
                width * (1.0 - phi).powi(2) * phi
            })
            .sum();
        assert!((statistic(&[0.0], [1, 1, 1]) - by_hand).abs() < 1e-6);
        assert!((closed_form(&[0.0]) - 0.408_923).abs() < 1e-5, "{}", closed_form(&[0.0]));
    }

    #[test]
    fn normal_quantiles_are_near_and_collapse_is_far() {
        let normal = quantiles(256);
        assert_eq!(normal.len(), 256);
        let near = statistic(&normal, [1, 256, 1]);
        assert!(near < 0.01, "{near}");
        // All in one place: as many times the statistic of one sample as there are samples.
        let far = statistic(&[0.0; 256], [1, 256, 1]);
        assert!((far - 256.0 * statistic(&[0.0], [1, 1, 1])).abs() < 0.01 && far > 100.0, "{far}");
        // Twice as wide, or moved, is seen too.
        let other = |change: &dyn Fn(f32) -> f32| statistic(&normal.iter().map(|&x| change(x)).collect::<Vec<_>>(), [1, 256, 1]);
        assert!(other(&|x| 2.0 * x) > 10.0 && other(&|x| x + 1.0) > 10.0);
    }

    #[test]
    fn batches_and_columns_are_judged_each_by_itself() {
        let (first, second) = ([0.1, -0.7, 1.3], [2.0, 0.4, -0.2]);
        let apart = (statistic(&first, [1, 3, 1]) + statistic(&second, [1, 3, 1])) / 2.0;
        let views = statistic(&[first, second].concat(), [2, 3, 1]);
        let columns: Vec<f32> = first.iter().zip(&second).flat_map(|(&a, &b)| [a, b]).collect();
        let columns = statistic(&columns, [1, 3, 2]);
        assert!((views - apart).abs() < 1e-5 && (columns - apart).abs() < 1e-5, "{views} {columns} {apart}");
    }

    #[test]
    fn its_gradient_is_that_of_its_values() {
        let values = [0.1, -0.7, 1.3, 2.0, 0.4, -0.2, 0.9, -1.6];
        let leaf = samples(&values, [2, 2, 2], &Device::flex().autodiff()).require_grad();
        let gradient = to_host(leaf.grad(&epps_pulley(leaf.clone()).backward()).unwrap()).unwrap();
        for (index, slope) in gradient.iter().enumerate() {
            const STEP: f32 = 1e-2;
            let moved = |by: f32| {
                let mut moved = values;
                moved[index] += by;
                statistic(&moved, [2, 2, 2])
            };
            let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP));
            assert!((numeric - f64::from(*slope)).abs() < 1e-3, "{index}: {numeric} {slope}");
        }
        assert!(gradient.iter().any(|slope| slope.abs() > 0.05), "{gradient:?}");
    }

    #[test]
    fn directions_are_of_length_one_and_others_at_each_step() {
        let of = |seed: u64, step: u64| to_host(directions([5, 64], seed, step, &Device::flex())).unwrap();
        let first = of(1, 7);
        let length = |column: usize| (0..5).map(|row| first[row * 64 + column].powi(2)).sum::<f32>();
        assert!((0..64).all(|column| (length(column) - 1.0).abs() < 1e-5));
        assert!(first == of(1, 7) && first != of(1, 8) && first != of(2, 7));
        let mean: f32 = first.iter().sum::<f32>() / first.len() as f32;
        assert!(mean.abs() < 0.1, "{mean}");
    }
}
