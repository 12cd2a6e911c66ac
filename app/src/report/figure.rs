//! Numbers as people read them: three digits that matter, units that are short, and never a false zero.

/// Three significant digits: `0.0184`, `1.5`, `12.3`, `1,234`, `12.3k`, `1.2e-5`; a dash for what is no number.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    // What rounds up to the next form belongs there: 999.7 is 1,000.
    if size >= 999_950.0 {
        format!("{}M", trimmed(value / 1e6, 2))
    } else if size >= 9_999.5 {
        format!("{}k", trimmed(value / 1e3, 1))
    } else if size >= 999.5 {
        let whole = size.round() as u64;
        format!("{}{},{:03}", if value < 0.0 { "−" } else { "" }, whole / 1000, whole % 1000)
    } else if size >= 0.001 {
        let digits_before = size.log10().floor() as i32 + 1;
        trimmed(value, (3 - digits_before).max(0) as usize)
    } else {
        let exponent = size.log10().floor() as i32;
        let mantissa = value / 10_f64.powi(exponent);
        format!("{}e-{}", trimmed(mantissa, 1), -exponent)
    }
}

/// A share as a whole percentage.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}\u{202f}%", share * 100.0) } else { "–".to_owned() }
}

/// Seconds in words: `48 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Fixed decimals without the zeros at their end, with a real minus sign.
pub(super) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let expected = [
            (0.0, "0"),
            (0.018_44, "0.0184"),
            (0.5, "0.5"),
            (1.0, "1"),
            (1.234_9, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (999.7, "1,000"),
            (1234.4, "1,234"),
            (12_345.0, "12.3k"),
            (1_234_567.0, "1.23M"),
            (0.000_15, "1.5e-4"),
            (-0.5, "−0.5"),
            (f64::NAN, "–"),
        ];
        for (value, text) in expected {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn durations_and_shares_are_short() {
        assert_eq!([0.4, 59.4, 61.0, 3600.0, 7530.0].map(duration), ["0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 05 min"]);
        assert_eq!(percent(0.254), "25\u{202f}%");
        assert_eq!((percent(f64::NAN), duration(f64::INFINITY)), ("–".to_owned(), "–".to_owned()));
    }
}
