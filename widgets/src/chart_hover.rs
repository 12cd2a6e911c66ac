//! What a chart says about the place under the pointer: a cross-hair at the nearest step, and a box with the value of each curve.

use egui::{Id, LayerId, Order, Stroke, Ui};

use crate::chart_axis::Axes;
use crate::chart_read_out::ReadOut;
use crate::{Curve, Mark, Role, Tokens};

/// A mark this near to the cross-hair is told of, in points.
const MARK_REACH_PX: f32 = 6.0;

/// What one curve says near an x.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub curve: Curve<'a>,
    /// Where its nearest point lies.
    pub x: f64,
    /// The smoothed value, or the raw one if there is no other.
    pub value: f32,
    /// The raw value, if a smoothed one is drawn too.
    pub raw: Option<f32>,
}

/// The x nearest to `x` at which some curve has a point.
pub(crate) fn nearest_x(curves: &[Curve<'_>], x: f64) -> Option<f64> {
    let nearest = curves.iter().filter_map(|curve| Some(curve.main_trace()?.nearest(x)?.0));
    nearest.min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs()))
}

/// The nearest point of each curve, from the highest value to the lowest, as the curves lie on the screen; without a value last.
pub(crate) fn readings<'a>(curves: &[Curve<'a>], x: f64) -> Vec<Reading<'a>> {
    let reading = |curve: &Curve<'a>| {
        let (x, value) = curve.main_trace()?.nearest(x)?;
        let raw = curve.smooth.and(curve.raw).and_then(|raw| raw.nearest(x)).map(|point| point.1);
        Some(Reading { curve: *curve, x, value, raw })
    };
    let mut readings: Vec<_> = curves.iter().filter_map(reading).collect();
    let order = |reading: &Reading<'_>| if reading.value.is_nan() { f32::NEG_INFINITY } else { reading.value };
    readings.sort_by(|a, b| order(b).total_cmp(&order(a)));
    readings
}

/// Draws the cross-hair, a dot on each curve, and the box.
pub(crate) fn show_hover(ui: &Ui, id: Id, axes: &Axes, curves: &[Curve<'_>], x_label: &str, x: f64) {
    let tokens = Tokens::of(ui);
    let readings = readings(curves, x);
    let center = axes.x.position(x);
    let painter = ui.painter_at(axes.rect.expand(4.0));
    painter.vline(center, axes.rect.y_range(), Stroke::new(tokens.sizes.hairline, tokens.line_strong));
    for reading in readings.iter().filter(|reading| axes.y.has_place_for(reading.value)) {
        let position = axes.position(reading.x, reading.value);
        if axes.rect.expand(0.5).contains(position) {
            painter.circle(position, 3.5, tokens.color(Role::Series(reading.curve.color_index)), Stroke::new(1.5, tokens.surface));
        }
    }
    let marks = marks_near(curves, axes, center);
    let top = ui.ctx().layer_painter(LayerId::new(Order::Tooltip, id.with("read_out")));
    ReadOut::new(ui, &readings, &marks, x_label, x).paint(&top, tokens, ui.visuals().popup_shadow, axes.rect, center);
}

fn marks_near<'a>(curves: &[Curve<'a>], axes: &Axes, center: f32) -> Vec<(Curve<'a>, Mark)> {
    let all = curves.iter().flat_map(|curve| curve.marks.iter().map(|mark| (*curve, *mark)));
    all.filter(|(_, mark)| (axes.x.position(mark.x) - center).abs() <= MARK_REACH_PX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trace;

    #[test]
    fn readings_are_the_nearest_points_from_high_to_low() {
        let [mut train, mut smooth, mut validation, mut broken] = [(); 4].map(|()| Trace::default());
        train.extend((0..100).map(|step| (f64::from(step), step as f32)));
        smooth.extend((0..100).map(|step| (f64::from(step), 1.0)));
        validation.extend([(0.0, 9.0), (50.0, 8.0)]);
        broken.extend([(40.0, f32::NAN)]);
        let curves = [
            Curve { name: "broken", raw: Some(&broken), ..Curve::default() },
            Curve { name: "train", raw: Some(&train), smooth: Some(&smooth), ..Curve::default() },
            Curve { name: "validation", raw: Some(&validation), ..Curve::default() },
            Curve { name: "nothing yet", ..Curve::default() },
        ];
        assert_eq!(nearest_x(&curves, 41.3), Some(41.0));
        let found: Vec<_> = readings(&curves, 41.0).iter().map(|reading| (reading.curve.name, reading.x, reading.raw)).collect();
        assert_eq!(found, [("validation", 50.0, None), ("train", 41.0, Some(41.0)), ("broken", 40.0, None)]);
    }
}
