//! How far a mean of a few runs can be trusted.

use std::f64::consts::PI;

use serde::Serialize;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the interval that holds the true mean in 95 of 100 cases, if values scatter normally: `t · s / √n` with Student's
    /// t for n − 1 degrees of freedom. `None` for a single value, which says nothing about scatter.
    pub half_width_95: Option<f64>,
}

impl Interval {
    /// Of values of which those that are no numbers are left out; `None` if none is left.
    pub fn of(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n.saturating_sub(1).max(1) as f64;
        let half_width_95 = (n > 1).then(|| student_t_95(n - 1) * (variance / n as f64).sqrt());
        Some(Self { n, mean, half_width_95 })
    }
}

/// Student's t for two sides and 95 %: with `degrees` of freedom, from 1 on, 95 of 100 values lie between −t and t.
pub fn student_t_95(degrees: usize) -> f64 {
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if share_within(middle, degrees.max(1)) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability of −t to t, by the finite series for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn share_within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2;
    // Odd: cos + 2/3 cos³ + 2·4/(3·5) cos⁵ …; even: 1 + 1/2 cos² + 1·3/(2·4) cos⁴ …; both up to the power degrees − 2.
    let mut term = if odd == 1 { cosine } else { 1.0 };
    let mut sum = 0.0;
    for power in (odd..degrees.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
    }
    if odd == 1 { 2.0 / PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_is_that_of_the_tables() {
        for (degrees, t) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (7, 2.365),
            (9, 2.262),
            (10, 2.228),
            (20, 2.086),
            (29, 2.045),
            (30, 2.042),
            (60, 2.000),
            (120, 1.980),
            (100_000, 1.960),
        ] {
            assert!((student_t_95(degrees) - t).abs() < 6e-4, "{degrees}: {} instead of {t}", student_t_95(degrees));
        }
    }

    #[test]
    fn three_runs_have_the_interval_that_is_worked_out_by_hand() {
        // Mean 3, variance (1 + 0 + 1) / 2 = 1, so 4.3027 / √3.
        let interval = Interval::of(&[2.0, 3.0, 4.0]).unwrap();
        assert_eq!((interval.n, interval.mean), (3, 3.0));
        assert!((interval.half_width_95.unwrap() - 2.484_14).abs() < 1e-4, "{interval:?}");
        // Two: half their distance times 12.706.
        assert!((Interval::of(&[1.0, 2.0]).unwrap().half_width_95.unwrap() - 6.353_1).abs() < 1e-3);
        assert_eq!(Interval::of(&[0.5, 0.5, 0.5]).unwrap().half_width_95, Some(0.0));
    }

    #[test]
    fn one_value_has_no_interval_and_none_no_mean() {
        assert_eq!(Interval::of(&[7.0, f64::NAN]), Some(Interval { n: 1, mean: 7.0, half_width_95: None }));
        assert_eq!(Interval::of(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(Interval::of(&[]), None);
    }
}
