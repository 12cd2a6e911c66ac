//! A tiny curve for a row of a table: the course of a run at a glance, without axes.

use egui::{Rect, Response, Role as AccessRole, Sense, Ui, Vec2, WidgetInfo, vec2};

use crate::chart_axis::{Axes, text_from_value};
use crate::chart_paint::{Pen, shapes_from_trace};
use crate::chart_range::{whole_x_range, y_range_in_view};
use crate::{Curve, Role, Tokens, Trace};

/// A curve of a fixed size.
#[must_use = "call `show`"]
#[derive(Debug, Clone, Copy)]
pub struct Sparkline<'a> {
    name: &'a str,
    trace: &'a Trace,
    size: Vec2,
    role: Role,
}

impl<'a> Sparkline<'a> {
    /// A curve as high as a row. The name is for screen readers.
    pub fn new(name: &'a str, trace: &'a Trace) -> Self {
        Self { name, trace, size: vec2(96.0, 24.0), role: Role::Accent }
    }

    /// Its size in points.
    pub fn size(mut self, size: Vec2) -> Self {
        self.size = size;
        self
    }

    /// Its color.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Draws it, with a dot at its newest point; a trace without values leaves its place empty.
    pub fn show(self, ui: &mut Ui) -> Response {
        let (rect, response) = ui.allocate_exact_size(self.size, Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(AccessRole::Figure, ui.is_enabled(), self.description()));
        if ui.is_rect_visible(rect) {
            self.paint(ui, rect);
        }
        response
    }

    fn paint(&self, ui: &Ui, rect: Rect) {
        let tokens = Tokens::of(ui);
        let curve = [Curve { raw: Some(self.trace), ..Curve::default() }];
        let Some(x_range) = whole_x_range(&curve) else { return };
        let dot_radius = 2.0;
        let inner = rect.shrink2(vec2(dot_radius, dot_radius + 2.0));
        let axes = Axes::new(inner, x_range, y_range_in_view(&curve, &[], x_range, false), false);
        let color = tokens.color(self.role);
        let pen = Pen { color, width: tokens.sizes.curve * 0.75, is_dashed: false, pixels_per_point: ui.pixels_per_point() };
        let painter = ui.painter_at(rect);
        painter.extend(shapes_from_trace(self.trace, &axes, pen));
        if let Some((x, y)) = self.trace.last().filter(|point| axes.y.has_place_for(point.1)) {
            painter.circle_filled(axes.position(x, y), dot_radius, color);
        }
    }

    fn description(&self) -> String {
        match self.trace.last() {
            Some((_, value)) => format!("{}, now {}", self.name, text_from_value(value)),
            None => format!("{}, nothing logged yet", self.name),
        }
    }
}
