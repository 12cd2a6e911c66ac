//! Which ranges a chart shows by itself: all of x, and of y what the curves have there.

use crate::chart_axis::Axes;
use crate::trace::Extent;
use crate::{Curve, Reference, Trace};

/// Room above and below the curves, as a part of what they span.
const MARGIN_RATIO: f64 = 0.05;

/// From the first to the last x of all curves, widened if they are the same; nothing if no curve has a point.
pub(crate) fn whole_x_range(curves: &[Curve<'_>]) -> Option<[f64; 2]> {
    let ranges: Vec<_> = curves.iter().flat_map(Curve::traces).filter_map(Trace::x_range).collect();
    let first = ranges.iter().map(|range| *range.start()).min_by(f64::total_cmp)?;
    let last = ranges.iter().map(|range| *range.end()).max_by(f64::total_cmp)?;
    Some(if first < last { [first, last] } else { [first - 0.5, last + 0.5] })
}

/// The least range that has both in it.
pub(crate) fn joined(range: [f64; 2], other: Option<[f64; 2]>) -> [f64; 2] {
    other.map_or(range, |[low, high]| [range[0].min(low), range[1].max(high)])
}

/// What the curves have in a range of x, and the references, with some room around.
pub(crate) fn y_range_in_view(curves: &[Curve<'_>], references: &[Reference<'_>], x_range: [f64; 2], is_log: bool) -> [f64; 2] {
    let extent = extent_in_view(curves.iter().flat_map(Curve::traces), x_range);
    let lowest = f64::from(if is_log { extent.min_positive } else { extent.min });
    let references = references.iter().map(|reference| reference.y).filter(|y| y.is_finite() && (*y > 0.0 || !is_log));
    let (low, high) = references.fold((lowest, f64::from(extent.max)), |(low, high), y| (low.min(y), high.max(y)));
    if low > high {
        return if is_log { [0.1, 1.0] } else { [0.0, 1.0] };
    }
    if is_log { widened_by_ratio(low, high) } else { widened(low, high) }
}

/// How many values in view a logarithmic axis has no place for.
pub(crate) fn count_not_positive(curves: &[Curve<'_>], axes: &Axes) -> u32 {
    if !axes.y.is_log {
        return 0;
    }
    extent_in_view(curves.iter().filter_map(Curve::main_trace), axes.x.range).num_not_positive
}

fn extent_in_view<'a>(traces: impl Iterator<Item = &'a Trace>, [from, to]: [f64; 2]) -> Extent {
    traces.fold(Extent::NOTHING, |extent, trace| extent.join(trace.extent(from..=to)))
}

/// Values that are never negative do not get room below 0.
fn widened(low: f64, high: f64) -> [f64; 2] {
    let margin = if low < high { (high - low) * MARGIN_RATIO } else { (high.abs() * 0.1).max(1e-6) };
    let lower = low - margin;
    [if low >= 0.0 { lower.max(0.0) } else { lower }, high + margin]
}

fn widened_by_ratio(low: f64, high: f64) -> [f64; 2] {
    let factor = if low < high { (high / low).powf(MARGIN_RATIO) } else { 2.0 };
    [low / factor, high * factor]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn range(points: &[(f64, f32)], references: &[f64], x_range: [f64; 2], is_log: bool) -> [f64; 2] {
        let mut trace = Trace::default();
        trace.extend(points.iter().copied());
        let references: Vec<_> = references.iter().map(|&y| Reference { name: "", y, role: Role::Text }).collect();
        y_range_in_view(&[Curve { raw: Some(&trace), ..Curve::default() }], &references, x_range, is_log)
    }

    #[test]
    fn it_follows_what_is_in_view() {
        let points = [(0.0, 100.0), (1.0, 3.0), (2.0, 2.0), (3.0, f32::NAN)];
        assert_eq!(range(&points, &[], [1.0, 3.0], false), [1.95, 3.05]);
        assert_eq!(range(&points, &[1.0], [1.0, 3.0], false), [0.9, 3.1]);
        assert_eq!(range(&points, &[], [0.0, 3.0], false)[0], 0.0);
    }

    #[test]
    fn it_is_never_empty() {
        for is_log in [false, true] {
            for points in [&[][..], &[(0.0, f32::NAN)], &[(0.0, 5.0)], &[(0.0, 0.0)], &[(0.0, -3.0)]] {
                let [low, high] = range(points, &[], [0.0, 1.0], is_log);
                assert!(low < high && (low > 0.0 || !is_log), "{points:?} {low} {high}");
            }
        }
    }

    #[test]
    fn x_spans_all_curves() {
        let [mut a, mut b] = [Trace::default(), Trace::default()];
        a.push(5.0, 1.0);
        let both = |a: &Trace, b: &Trace| whole_x_range(&[Curve { raw: Some(a), smooth: Some(b), ..Curve::default() }]);
        assert_eq!(both(&a, &b), Some([4.5, 5.5]));
        b.push(9.0, 1.0);
        assert_eq!((both(&a, &b), whole_x_range(&[])), (Some([5.0, 9.0]), None));
        assert_eq!((joined([5.0, 9.0], None), joined([5.0, 9.0], Some([1.0, 7.0]))), ([5.0, 9.0], [1.0, 9.0]));
    }
}
