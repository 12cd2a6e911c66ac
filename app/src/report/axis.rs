//! From values to places on a drawing, and ticks at numbers a person would choose.

use super::figure::{figure, trimmed};

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Where `low` and `high` lie on the drawing.
    from: f64,
    to: f64,
    log: bool,
    /// About so many ticks.
    count: usize,
}

/// A ratio of largest to smallest above which only a logarithm shows both.
const LOG_FROM: f64 = 25.0;

/// The smallest and the largest of finite values; `None` when there are none.
pub(super) fn bounds(values: &[f64]) -> Option<(f64, f64)> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.fold(None, |found, value| Some(found.map_or((value, value), |(low, high): (f64, f64)| (low.min(value), high.max(value)))))
}

impl Axis {
    /// For values: a little air at both ends, zero included where it is near, logarithmic where nothing else shows both ends.
    pub(super) fn vertical(low: f64, high: f64, from: f64, to: f64, count: usize) -> Self {
        let log = low > 0.0 && high / low > LOG_FROM;
        let (low, high) = if log {
            let air = ((high.ln() - low.ln()) * 0.04).exp();
            ((low / air).max(f64::MIN_POSITIVE), (high * air).min(f64::MAX))
        } else if low == high {
            let air = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low - air, high + air)
        } else {
            // Halves, because a difference of the largest numbers is no number.
            let air = (high / 2.0 - low / 2.0) * 0.1;
            let floor = if low >= 0.0 && low < high * 0.4 { 0.0 } else { low - air };
            (floor, high + air)
        };
        Self { low, high, from, to, log, count }
    }

    /// For steps: exactly from `low` to `high`.
    pub(super) fn horizontal(low: f64, high: f64, from: f64, to: f64, count: usize) -> Self {
        Self { low, high: if high > low { high } else { low + 1.0 }, from, to, log: false, count }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// Where a finite value lies. Values far outside lie just outside, so that coordinates stay small.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (above, span) = if self.log {
            let from = self.low.ln();
            (value.max(f64::MIN_POSITIVE).ln() - from, self.high.ln() - from)
        } else {
            (value / 2.0 - self.low / 2.0, self.high / 2.0 - self.low / 2.0)
        };
        // Among the smallest numbers of all, half the span may be zero.
        let share = if span > 0.0 { (above / span).clamp(-1.0, 2.0) } else { 0.0 };
        self.from + share * (self.to - self.from)
    }

    /// Places and labels of the ticks, smallest first.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values = if self.log { self.log_ticks() } else { Vec::new() };
        if values.len() >= 2 { values.into_iter().map(|value| (self.place(value), figure(value))).collect() } else { self.linear_ticks() }
    }

    /// Powers of ten; with 2 and 5 between them where there is room.
    fn log_ticks(&self) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let inside = |factors: &[f64]| {
            let all = decades.clone().flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
            all.filter(|value| (self.low..=self.high).contains(value)).collect::<Vec<_>>()
        };
        let fine = inside(&[1.0, 2.0, 5.0]);
        let mut coarse = if fine.len() <= self.count + 1 { fine } else { inside(&[1.0]) };
        while coarse.len() > self.count + 1 {
            coarse = coarse.into_iter().step_by(2).collect();
        }
        coarse
    }

    /// Multiples of 1, 2, 2.5 or 5 times a power of ten.
    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let rough = (self.high / 2.0 - self.low / 2.0) / self.count.max(1) as f64 * 2.0;
        let power = 10_f64.powi(rough.log10().floor() as i32);
        let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= rough * 0.8).unwrap_or(10.0);
        let step = factor * power;
        let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
        if !(step.is_finite() && step > 0.0 && last - first < 50.0) {
            return vec![(self.from, figure(self.low)), (self.to, figure(self.high))];
        }
        let count = (last - first) as usize;
        (0..=count).map(|index| (first + index as f64) * step).map(|value| (self.place(value), tick_label(value, step))).collect()
    }
}

/// As many decimals as the step needs, so that all labels of an axis look alike.
fn tick_label(value: f64, step: f64) -> String {
    if step >= 1000.0 {
        return if value == 0.0 {
            "0".to_owned()
        } else if step >= 1e6 {
            figure(value)
        } else {
            format!("{}k", trimmed(value / 1e3, 1))
        };
    }
    if step < 1e-4 {
        return figure(value);
    }
    let decimals =
        (0..6).find(|&decimals| (step * 10_f64.powi(decimals) - (step * 10_f64.powi(decimals)).round()).abs() < 1e-6).unwrap_or(6);
    let text = format!("{value:.*}", decimals as usize);
    if value == 0.0 { "0".to_owned() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::horizontal(0.0, 2000.0, 0.0, 100.0, 4)), ["0", "500", "1000", "1500", "2000"]);
        assert_eq!(labels(&Axis::horizontal(0.0, 12_000.0, 0.0, 100.0, 6)), ["0", "2k", "4k", "6k", "8k", "10k", "12k"]);
        assert_eq!(labels(&Axis::vertical(0.2, 1.0, 0.0, 100.0, 6)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::vertical(0.001, 1.0, 0.0, 100.0, 6)), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&Axis::vertical(0.0, 0.0008, 0.0, 100.0, 3)), ["0", "0.00025", "0.00050", "0.00075"]);
    }

    #[test]
    fn places_run_from_end_to_end() {
        let linear = Axis::horizontal(0.0, 10.0, 0.0, 100.0, 5);
        assert_eq!([0.0, 5.0, 10.0, 1e9].map(|value| linear.place(value)), [0.0, 50.0, 100.0, 200.0]);
        let log = Axis::vertical(0.01, 1.0, 0.0, 100.0, 5);
        assert!(log.is_log() && (log.place(0.1) - 50.0).abs() < 1e-9);
        assert!(log.place(0.0).is_finite() && log.place(-1.0).is_finite());
    }

    #[test]
    fn any_range_gives_a_few_finite_ticks() {
        for (low, high) in
            [(0.0, 0.0), (-1e300, 1e300), (1e-300, 1e300), (5.0, 5.0), (1e-12, 2e-12), (-3.0, -1.0), (1e9, 1e9 + 1.0), (0.0, 5e-324)]
        {
            let axis = Axis::vertical(low, high, 100.0, 0.0, 6);
            let ticks = axis.ticks();
            assert!((1..=16).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|(place, _)| place.is_finite()), "{low} to {high}: {ticks:?}");
        }
        assert_eq!(bounds(&[f64::NAN]), None);
        assert_eq!(bounds(&[2.0, f64::INFINITY, -1.0]), Some((-1.0, 2.0)));
    }
}
