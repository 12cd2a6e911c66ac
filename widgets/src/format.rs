//! Numbers as people read them: counts, shares, sizes, rates and durations.

/// `12345` as `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `done` of `total` in whole percent, rounded down, so that `100 %` means that nothing is left: `42 %`.
pub fn share(done: u64, total: u64) -> String {
    let percent = if total == 0 { 100 } else { u128::from(done.min(total)) * 100 / u128::from(total) };
    format!("{percent} %")
}

/// Bytes in powers of 1024 with at most three significant digits: `512 B`, `1.2 GiB`, `96 MiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded up to 1024 belongs to the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 9.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// So many of `unit` per second with about three significant digits: `85.2 img/s`, `1,240 img/s`, `0.04 steps/s`.
pub fn rate(per_sec: f64, unit: &str) -> String {
    if !per_sec.is_finite() || per_sec < 0.0 {
        return format!("– {unit}/s");
    }
    match per_sec {
        100.0.. => format!("{} {unit}/s", count(per_sec.round() as u64)),
        10.0.. => format!("{per_sec:.1} {unit}/s"),
        _ => format!("{per_sec:.2} {unit}/s"),
    }
}

/// A duration in its two largest units, rounded to minutes: `under a minute`, `12 min`, `1 h 12 min`, `3 d 4 h`.
pub fn duration(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        return "unknown".to_owned();
    }
    if secs < 60.0 {
        return "under a minute".to_owned();
    }
    let minutes = (secs / 60.0).round() as u64;
    let (days, hours) = (minutes / (24 * 60), minutes / 60);
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{} {large_unit}", count(large)),
        _ => format!("{} {large_unit} {small} {small_unit}", count(large)),
    };
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (u64::MAX, "18,446,744,073,709,551,615")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_share_is_whole_only_when_all_is_done() {
        let cases = [
            ((0, 8), "0 %"),
            ((999, 1000), "99 %"),
            ((8, 8), "100 %"),
            ((9, 8), "100 %"),
            ((0, 0), "100 %"),
            ((u64::MAX, u64::MAX), "100 %"),
        ];
        for ((done, total), text) in cases {
            assert_eq!(share(done, total), text);
        }
    }

    #[test]
    fn bytes_move_to_the_next_unit_in_time() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024, "10 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (1_288_490_189, "1.2 GiB"),
            (96 << 20, "96 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn rates_keep_three_digits() {
        let cases = [(0.0, "0.00 img/s"), (0.042, "0.04 img/s"), (85.23, "85.2 img/s"), (1240.4, "1,240 img/s"), (f64::NAN, "– img/s")];
        for (per_sec, text) in cases {
            assert_eq!(rate(per_sec, "img"), text);
        }
    }

    #[test]
    fn durations_name_two_units() {
        let cases = [
            (0.0, "under a minute"),
            (59.9, "under a minute"),
            (60.0, "1 min"),
            (3_599.0, "1 h"),
            (4_320.0, "1 h 12 min"),
            (86_400.0 - 1.0, "1 d"),
            (3.0 * 86_400.0 + 4.0 * 3_600.0, "3 d 4 h"),
            (f64::INFINITY, "unknown"),
            (-1.0, "unknown"),
        ];
        for (secs, text) in cases {
            assert_eq!(duration(secs), text);
        }
    }
}
