//! Numbers of a form as text, and how fast they move when dragged.

use std::ops::RangeInclusive;

/// At most six significant digits, without trailing zeros; powers of ten for the very small and the very large.
pub(super) fn written(value: f64, integer: bool) -> String {
    if integer || value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs();
    if (1e-3..1e6).contains(&magnitude) {
        let decimals = (5 - magnitude.log10().floor() as i32).max(0) as usize;
        return trimmed(&format!("{value:.decimals$}")).to_owned();
    }
    let text = format!("{value:.5e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trimmed(mantissa)),
        None => text,
    }
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// What people write, `1e-4`, `0.5` and `1_000` among it; nothing for what is no finite number.
pub(super) fn parsed(text: &str) -> Option<f64> {
    text.trim().replace('_', "").parse().ok().filter(|value: &f64| value.is_finite())
}

/// Change of `value` per point of dragging: a hundredth of it.
pub(super) fn speed(value: f64, range: &RangeInclusive<f64>, integer: bool) -> f64 {
    let share = 0.01 * value.abs();
    let span = range.end() - range.start();
    match (integer, share > 0.0) {
        (true, _) => share.max(0.1),
        (false, true) => share,
        (false, false) if span.is_finite() => span / 500.0,
        (false, false) => 0.001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_come_back() {
        let cases = [
            (0.0, "0"),
            (0.75, "0.75"),
            (1.5e-4, "1.5e-4"),
            (0.05, "0.05"),
            (100.0, "100"),
            (999_999.5, "1000000"),
            (2.0e9, "2e9"),
            (-0.1, "-0.1"),
            (1.0 / 3.0, "0.333333"),
        ];
        for (value, text) in cases {
            assert_eq!(written(value, false), text);
            assert!((parsed(text).unwrap() - value).abs() <= 1e-5 * value.abs());
        }
        assert_eq!(written(1_281_167.0, true), "1281167");
        for text in ["", "words", "inf", "nan", "1,5"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parsed(" 1_000 "), Some(1000.0));
    }

    #[test]
    fn small_values_move_in_small_steps() {
        assert!((speed(1e-4, &(0.0..=1.0), false) - 1e-6).abs() < 1e-12);
        assert!(speed(0.0, &(0.0..=1.0), false) > 0.0 && speed(0.0, &(0.0..=f64::INFINITY), false) > 0.0);
        assert_eq!(speed(3.0, &(1.0..=100.0), true), 0.1);
    }
}
