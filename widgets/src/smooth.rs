//! Smoothing of noisy curves: an exponential moving average whose start is not pulled toward zero (Kingma and Ba 2015, section 3).

use crate::Trace;

/// A moving average that takes one value at a time. Values count by their order, not by their distance in x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoother {
    weight: f64,
    mean: f64,
    /// The weight that the zero it began with still has in the mean.
    bias: f64,
}

impl Smoother {
    /// A smoother that keeps `weight` of its past with each value: 0 smooths nothing, and near 1 is very smooth. A weight of 1 would never
    /// learn of a value, so that it is brought down to just below.
    pub fn new(weight: f32) -> Self {
        Self { weight: f64::from(weight).clamp(0.0, 0.9999), mean: 0.0, bias: 1.0 }
    }

    /// The average with one more value. A value that is not finite comes back as NaN and leaves no trace in later ones.
    pub fn push(&mut self, y: f32) -> f32 {
        if !y.is_finite() {
            return f32::NAN;
        }
        self.mean = self.weight * self.mean + (1.0 - self.weight) * f64::from(y);
        self.bias *= self.weight;
        (self.mean / (1.0 - self.bias)) as f32
    }
}

/// A whole trace smoothed, point by point.
pub fn smoothed(trace: &Trace, weight: f32) -> Trace {
    let mut smoother = Smoother::new(weight);
    let mut smooth = Trace::default();
    smooth.extend(trace.points().map(|(x, y)| (x, smoother.push(y))));
    smooth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same average as one weighted sum over the whole past.
    fn direct(values: &[f32], weight: f64) -> f64 {
        let weights = (0..values.len()).rev().map(|age| weight.powi(age as i32));
        let sum: f64 = weights.clone().zip(values).map(|(weight, &value)| weight * f64::from(value)).sum();
        sum / weights.sum::<f64>()
    }

    #[test]
    fn it_equals_the_weighted_sum() {
        let values: Vec<f32> = (0..200).map(|step| (step as f32 * 0.7).sin() + 100.0 / (step as f32 + 3.0)).collect();
        for weight in [0.0, 0.3, 0.9, 0.99] {
            let mut smoother = Smoother::new(weight);
            for end in 1..=values.len() {
                let (got, expected) = (f64::from(smoother.push(values[end - 1])), direct(&values[..end], f64::from(weight)));
                assert!((got - expected).abs() < 1e-5 * expected.abs().max(1.0), "{weight} {end}: {got} {expected}");
            }
        }
    }

    #[test]
    fn the_start_is_not_biased_and_gaps_stay_gaps() {
        let mut trace = Trace::default();
        trace.extend([(1.0, 4.0), (2.0, f32::NAN), (10.0, 4.0), (11.0, f32::INFINITY), (12.0, 4.0)]);
        let smooth: Vec<_> = smoothed(&trace, 0.98).points().map(|(x, y)| (x, y.is_finite().then(|| (y * 1e4).round()))).collect();
        assert_eq!(smooth, [(1.0, Some(4e4)), (2.0, None), (10.0, Some(4e4)), (11.0, None), (12.0, Some(4e4))]);
    }

    #[test]
    fn no_weight_breaks_it() {
        for weight in [-1.0, 0.0, 1.0, 7.0] {
            let mut smoother = Smoother::new(weight);
            smoother.push(1.0);
            assert!((1.0..=2.0).contains(&smoother.push(2.0)), "{weight}");
        }
    }
}
