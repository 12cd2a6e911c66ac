//! Times as people tell them.

use chrono::{DateTime, Local};

/// How long ago something was, in seconds since 1970. A clock that was set back makes nothing of the future.
pub fn ago(now_secs: f64, then_secs: f64) -> String {
    if then_secs <= 0.0 || !then_secs.is_finite() {
        return String::new();
    }
    let minutes = ((now_secs - then_secs) / 60.0).max(0.0) as u64;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..1440 => format!("{} h ago", minutes / 60),
        1440..2880 => "yesterday".to_owned(),
        2880..86_400 => format!("{} d ago", minutes / 1440),
        _ => day(then_secs),
    }
}

/// Day and time on the clock of this place.
pub fn at(secs: f64) -> String {
    moment(secs).map(|moment| moment.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

fn day(secs: f64) -> String {
    moment(secs).map(|moment| moment.format("%Y-%m-%d").to_string()).unwrap_or_default()
}

fn moment(secs: f64) -> Option<DateTime<Local>> {
    DateTime::from_timestamp(secs as i64, 0).map(|moment| moment.with_timezone(&Local)).filter(|_| secs > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        let now = 1.8e9;
        let cases = [
            (-500.0, "just now"),
            (59.0, "just now"),
            (61.0, "1 min ago"),
            (7_300.0, "2 h ago"),
            (90_000.0, "yesterday"),
            (2e5, "2 d ago"),
        ];
        for (secs, words) in cases {
            assert_eq!(ago(now, now - secs), words);
        }
        assert_eq!((ago(now, now - 1e8).len(), ago(now, 0.0), at(0.0), at(f64::NAN)), (10, String::new(), String::new(), String::new()));
        assert_eq!(at(now).len(), 16);
    }
}
