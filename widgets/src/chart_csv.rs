//! Curves as comma-separated text (RFC 4180), for spreadsheets and scripts.

use crate::{Curve, Trace};

/// A table with one row for every x that some curve has, and a column for every trace: the x, then for each curve its raw and its smoothed
/// values. A cell is empty where a trace has no point. Numbers have as many digits as it takes to read back the same number.
pub fn csv_from_curves(x_label: &str, curves: &[Curve<'_>]) -> String {
    let traces: Vec<(String, &Trace)> = curves.iter().flat_map(named_traces).collect();
    let mut text = quoted(x_label);
    for (name, _) in &traces {
        text.push(',');
        text.push_str(&quoted(name));
    }
    text.push_str("\r\n");
    let mut next = vec![0; traces.len()];
    while let Some(x) = smallest_x(&traces, &next) {
        text.push_str(&x.to_string());
        for ((_, trace), next) in traces.iter().zip(&mut next) {
            text.push(',');
            if let Some((_, y)) = trace.at(*next).filter(|point| point.0 == x) {
                text.push_str(&y.to_string());
                *next += 1;
            }
        }
        text.push_str("\r\n");
    }
    text
}

/// The traces of a curve that exist, each with a name for its column.
fn named_traces<'a>(curve: &Curve<'a>) -> impl Iterator<Item = (String, &'a Trace)> + use<'a> {
    let name = curve.name;
    let traces = [("raw", curve.raw), ("smooth", curve.smooth)];
    traces.into_iter().filter_map(move |(kind, trace)| Some((format!("{name} {kind}"), trace?)))
}

/// The leftmost x among the points that were not written yet.
fn smallest_x(traces: &[(String, &Trace)], next: &[usize]) -> Option<f64> {
    let heads = traces.iter().zip(next).filter_map(|((_, trace), &next)| trace.at(next));
    heads.map(|point| point.0).min_by(f64::total_cmp)
}

/// A cell as RFC 4180 writes it: in quotes if it has a comma, a quote or a line break.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_union_of_x_and_missing_cells_are_empty() {
        let [mut train, mut smooth, mut validation] = [Trace::default(), Trace::default(), Trace::default()];
        train.extend([(0.0, 0.1), (1.0, f32::NAN), (2.5, 1e-7)]);
        smooth.extend([(0.0, 0.5)]);
        validation.extend([(1.0, 16_777_216.0), (3.0, -2.0)]);
        let curves = [
            Curve { name: "small, \"fast\"", raw: Some(&train), smooth: Some(&smooth), ..Curve::default() },
            Curve { name: "validation", raw: Some(&validation), ..Curve::default() },
        ];
        let expected = "step,\"small, \"\"fast\"\" raw\",\"small, \"\"fast\"\" smooth\",validation raw\r\n\
                        0,0.1,0.5,\r\n\
                        1,NaN,,16777216\r\n\
                        2.5,0.0000001,,\r\n\
                        3,,,-2\r\n";
        assert_eq!(csv_from_curves("step", &curves), expected);
    }

    #[test]
    fn numbers_read_back_the_same() {
        let mut trace = Trace::default();
        trace.extend((1..200).map(|step| (f64::from(step) / 7.0, (step as f32).sqrt() * 1e-9)));
        let csv = csv_from_curves("x", &[Curve { name: "a", raw: Some(&trace), ..Curve::default() }]);
        let rows = csv.lines().skip(1).map(|row| row.split_once(',').unwrap());
        let read: Vec<(f64, f32)> = rows.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect();
        assert_eq!(read, trace.points().collect::<Vec<_>>());
    }

    #[test]
    fn no_curves_give_a_header_alone() {
        assert_eq!(csv_from_curves("step", &[]), "step\r\n");
    }
}
