//! Axes of charts: from values to points on the screen and back, evenly or by logarithm, with ticks at 1, 2 and 5 times a power of ten.

use egui::{Pos2, Rect, pos2};

use crate::format;

/// Points may lie far outside of what is shown; farther than this they would only cost precision.
const FAR_PX: f32 = 1e5;

/// One axis: a range of values over a stretch of the screen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    /// The values at both ends. On a logarithmic axis both are above 0.
    pub range: [f64; 2],
    /// Where the ends lie, in points.
    pub px: [f32; 2],
    pub is_log: bool,
}

/// A place on an axis with its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// Both axes of a chart and the rectangle between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axes {
    pub rect: Rect,
    pub x: Axis,
    pub y: Axis,
}

impl Axes {
    pub fn new(rect: Rect, x_range: [f64; 2], y_range: [f64; 2], is_y_log: bool) -> Self {
        let x = Axis { range: x_range, px: [rect.left(), rect.right()], is_log: false };
        let y = Axis { range: y_range, px: [rect.bottom(), rect.top()], is_log: is_y_log };
        Self { rect, x, y }
    }

    pub fn position(&self, x: f64, y: f32) -> Pos2 {
        pos2(self.x.position(x), self.y.position(f64::from(y)))
    }
}

impl Axis {
    /// Where a value lies, in points. Values that a logarithmic axis cannot show lie far beyond its lower end.
    pub fn position(&self, value: f64) -> f32 {
        let [from, to] = self.range.map(|end| self.scaled(end));
        let ratio = ((self.scaled(value) - from) / (to - from)) as f32;
        let position = self.px[0] + (self.px[1] - self.px[0]) * ratio;
        if position.is_nan() { self.px[0] } else { position.clamp(-FAR_PX, FAR_PX) }
    }

    /// The value at a place.
    pub fn value(&self, position: f32) -> f64 {
        self.value_at(f64::from((position - self.px[0]) / (self.px[1] - self.px[0])))
    }

    /// The value at a ratio of the way from one end to the other; below 0 and above 1 it lies outside.
    pub fn value_at(&self, ratio: f64) -> f64 {
        let [from, to] = self.range.map(|end| self.scaled(end));
        let scaled = from + (to - from) * ratio;
        if self.is_log { 10_f64.powf(scaled) } else { scaled }
    }

    /// Whether the axis can show a value at all.
    pub fn has_place_for(&self, value: f32) -> bool {
        value.is_finite() && (value > 0.0 || !self.is_log)
    }

    /// Ticks at round values, at least about `spacing` points apart.
    pub fn ticks(&self, spacing: f32) -> Vec<Tick> {
        let max_ticks = f64::from(((self.px[1] - self.px[0]).abs() / spacing).max(1.0));
        if let Some(values) = self.is_log.then(|| self.log_values(max_ticks)).flatten() {
            let label = |value: f64| label_from_number(value, value, value);
            return values.into_iter().map(|value| Tick { value, label: label(value) }).collect();
        }
        let (values, step) = round_values(self.range, max_ticks);
        let greatest = values.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
        values.into_iter().map(|value| Tick { value, label: label_from_number(value, step, greatest) }).collect()
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.is_log { value.max(0.0).log10() } else { value }
    }

    /// Ones, twos and fives of each decade, or fewer where room is scarce; none if the range is so small that round steps serve better.
    fn log_values(&self, max_ticks: f64) -> Option<Vec<f64>> {
        let [low, high] = self.range;
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let decades = high.log10() - low.log10();
        let factors: &[f64] = if max_ticks / decades >= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = (decades / max_ticks).ceil().max(1.0) as usize;
        // By parsing, because powers of ten by multiplication miss the nearest number.
        let decade = |exponent: i32| format!("1e{exponent}").parse().unwrap_or(1.0);
        let exponents = (first..=last).filter(|exponent| exponent.rem_euclid(stride as i32) == 0);
        let values = exponents.flat_map(|exponent| factors.iter().map(move |factor| factor * decade(exponent)));
        let values: Vec<f64> = values.filter(|value| (low..=high).contains(value)).collect();
        (values.len() >= 3 || decades >= 2.0).then_some(values)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten within a range, and the step between them.
fn round_values([low, high]: [f64; 2], max_ticks: f64) -> (Vec<f64>, f64) {
    let wanted = (high - low) / max_ticks;
    let magnitude = 10_f64.powf(wanted.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * magnitude >= wanted * 0.999).unwrap_or(10.0);
    let step = factor * magnitude;
    if !(step.is_finite() && step > 0.0) {
        return (vec![low], low.abs().max(f64::MIN_POSITIVE));
    }
    let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
    let num_values = (last - first + 1.0).clamp(0.0, 1000.0) as usize;
    ((0..num_values).map(|index| (first + index as f64) * step).collect(), step)
}

/// A round number for an axis whose neighbors are `step` apart and whose greatest number is `greatest`: `0.05`, `250`, `2.5k`, `1M`, `1e-6`.
fn label_from_number(value: f64, step: f64, greatest: f64) -> String {
    if value.abs() < step * 1e-6 || value == 0.0 {
        return "0".to_owned();
    }
    if greatest < 0.000_999 {
        return format!("{}e-{}", trimmed(value * 10_f64.powi(exponent_of(value)), 2), exponent_of(value));
    }
    let decimals = |unit: f64| (-(step / unit * 1.001).log10().floor()).max(0.0) as usize;
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let unit = units.into_iter().find(|(unit, _)| greatest >= unit * 0.999 && decimals(*unit) <= 2);
    let (unit, suffix) = unit.unwrap_or((1.0, ""));
    let decimals = decimals(unit).min(9);
    if suffix.is_empty() { format!("{value:.decimals$}") } else { trimmed(value / unit, decimals) + suffix }
}

/// By how many powers of ten a small number must grow to have one digit before the point.
fn exponent_of(value: f64) -> i32 {
    (-value.abs().log10() - 1e-9).ceil() as i32
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A value for reading: four digits that count, such as `0.1234`, `12.34`, `1235`, `1.234e-5`.
pub(crate) fn text_from_value(value: f32) -> String {
    let magnitude = value.abs();
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => (if value > 0.0 { "inf" } else { "-inf" }).to_owned(),
        0.0 => "0".to_owned(),
        value if !(1e-3..1e6).contains(&magnitude) => format!("{value:.3e}"),
        value => format!("{value:.decimals$}", decimals = (3 - magnitude.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

/// A place on the x-axis for reading: a step as `12,400`, else as few digits as tell it.
pub(crate) fn text_from_x(x: f64) -> String {
    if x.fract() != 0.0 || x.abs() > 1e15 {
        return if x.abs() < 1e-3 || x.abs() > 1e15 { format!("{x:.3e}") } else { trimmed(x, 4) };
    }
    format!("{}{}", if x < 0.0 { "-" } else { "" }, format::count(x.abs() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: [f64; 2], is_log: bool, length: f32) -> String {
        let axis = Axis { range, px: [0.0, length], is_log };
        axis.ticks(50.0).into_iter().map(|tick| tick.label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn even_ticks_are_round_and_labeled_alike() {
        assert_eq!(labels([0.0, 1.0], false, 300.0), "0.0 0.2 0.4 0.6 0.8 1.0".replace("0.0 ", "0 "));
        assert_eq!(labels([0.31, 0.34], false, 200.0), "0.31 0.32 0.33 0.34");
        assert_eq!(labels([0.0, 10_000.0], false, 300.0), "0 2k 4k 6k 8k 10k");
        assert_eq!(labels([0.0, 2_500_000.0], false, 300.0), "0 0.5M 1M 1.5M 2M 2.5M");
        assert_eq!(labels([12_345.0, 12_349.0], false, 250.0), "12345 12346 12347 12348 12349");
        assert_eq!(labels([-20.0, 20.0], false, 250.0), "-20 -10 0 10 20");
        assert_eq!(labels([0.0, 3e-5], false, 200.0), "0 1e-5 2e-5 3e-5");
        assert_eq!(labels([7.0, 7.0], false, 200.0), "7");
    }

    #[test]
    fn logarithmic_ticks_are_ones_twos_and_fives() {
        assert_eq!(labels([0.05, 3.0], true, 500.0), "0.05 0.1 0.2 0.5 1 2");
        assert_eq!(labels([0.9, 12_000.0], true, 250.0), "1 10 100 1k 10k");
        assert_eq!(labels([1e-7, 1e6], true, 250.0), "1e-6 0.001 1 1k 1M");
        assert_eq!(labels([0.31, 0.34], true, 200.0), "0.31 0.32 0.33 0.34");
    }

    #[test]
    fn positions_and_values_undo_each_other() {
        for is_log in [false, true] {
            let axis = Axis { range: [0.02, 40.0], px: [300.0, 20.0], is_log };
            for value in [0.02, 0.5, 3.0, 40.0] {
                assert!((axis.value(axis.position(value)) / value - 1.0).abs() < 1e-3, "{value} {is_log}");
            }
            assert_eq!((axis.position(0.02), axis.position(40.0)), (300.0, 20.0));
        }
        let axis = Axis { range: [0.1, 1.0], px: [100.0, 0.0], is_log: true };
        assert!(axis.position(0.0) > 1000.0 && axis.position(-1.0).is_finite() && !axis.has_place_for(0.0));
    }

    #[test]
    fn numbers_for_reading_have_four_digits() {
        let values = [0.123_456, 12.345_6, 1_234.56, 0.000_012_345, 2.5e7, 0.0, -3.2, f32::NAN, f32::INFINITY];
        let texts = ["0.1235", "12.35", "1235", "1.234e-5", "2.500e7", "0", "-3.200", "NaN", "inf"];
        assert_eq!(values.map(text_from_value), texts);
        let places = [0.0, 999.0, 1000.0, 1_234_567.0, -12_000.0, 2.5].map(text_from_x);
        assert_eq!(places, ["0", "999", "1,000", "1,234,567", "-12,000", "2.5"]);
    }
}
