//! Training curves: values over steps, raw and smoothed, with marks, reference lines, a cross-hair that charts can share, and a legend.
//!
//! Axes and painting are our own: the curves need logarithmic axes, the same gutter in charts that stand above one another, and drawing from
//! [`Trace::columns`], by which a chart of a million steps costs no more than one of a thousand.

use egui::emath::GuiRounding as _;
use egui::{
    Align2, Color32, FontId, Id, IdSalt, Rect, Response, Role as AccessRole, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, vec2,
};

use crate::chart_axis::{Axes, text_from_value};
use crate::chart_hover::{nearest_x, show_hover};
use crate::chart_legend::Legend;
use crate::chart_paint::{Pen, kept_mesh};
use crate::chart_range::{count_not_positive, joined, whole_x_range, y_range_in_view};
use crate::chart_signs::{mark_color, mark_shape, put};
use crate::chart_view::{View, ViewIds};
use crate::{Role, Tokens, Trace, theme};

/// How strong a raw curve is under its smoothed one.
const RAW_OPACITY: f32 = 0.25;
/// Room for the labels of the y-axis, the same for all charts so that their steps line up, in points.
const GUTTER_PX: f32 = 52.0;
/// Room for the label of the y-axis above the plot, and for the ticks of the x-axis below, in points.
const STRIP_PX: f32 = 20.0;

/// One curve of a chart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Curve<'a> {
    /// What the legend calls it; also what tells it from others when it is hidden.
    pub name: &'a str,
    /// Which of the series colors it has.
    pub color_index: usize,
    /// What was logged.
    pub raw: Option<&'a Trace>,
    /// The same smoothed; the raw values are then drawn faintly under it.
    pub smooth: Option<&'a Trace>,
    /// What happened on the way, shown at the bottom of the chart.
    pub marks: &'a [Mark],
    /// Whether it is a dashed line, as those of validation are.
    pub dashed: bool,
}

/// Something that happened at an x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// When.
    pub x: f64,
    /// What.
    pub kind: MarkKind,
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// A checkpoint was saved.
    Checkpoint,
    /// The run went on after a stop.
    Resumed,
    /// Something to look at.
    Warning,
    /// The best checkpoint so far.
    Best,
}

/// A horizontal line to compare with, such as a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference<'a> {
    /// Written above the line.
    pub name: &'a str,
    /// Where it lies.
    pub y: f64,
    /// Its color.
    pub role: Role,
}

/// What happened to a chart in this frame.
#[derive(Debug, Clone)]
pub struct ChartResponse {
    /// Of the area of the curves.
    pub response: Response,
    /// The area of the curves.
    pub rect: Rect,
    /// The logged x nearest to the pointer; hand it to other charts as [`LineChart::linked_x`].
    pub hovered_x: Option<f64>,
    /// Whether the user zoomed, panned, or hid or showed a curve.
    pub changed_bounds: bool,
}

/// A chart of curves over a common x.
#[must_use = "call `show`"]
#[derive(Debug, Clone)]
pub struct LineChart<'a> {
    id_salt: IdSalt,
    title: &'a str,
    about: &'a str,
    x_label: &'a str,
    y_label: &'a str,
    log_y: bool,
    height: f32,
    link_group: Option<Id>,
    linked_x: Option<f64>,
    least_x: Option<[f64; 2]>,
    curves: &'a [Curve<'a>],
    references: &'a [Reference<'a>],
    empty_text: &'a str,
}

impl<'a> LineChart<'a> {
    /// A chart without curves. What is shown of it is remembered under its id.
    pub fn new(id_salt: impl egui::AsIdSalt, title: &'a str) -> Self {
        Self {
            id_salt: IdSalt::new(id_salt),
            title,
            about: "",
            x_label: "step",
            y_label: "",
            log_y: false,
            height: 240.0,
            link_group: None,
            linked_x: None,
            least_x: None,
            curves: &[],
            references: &[],
            empty_text: "No steps logged yet",
        }
    }

    /// What its figures are, in words: a sign beside the title shows it to whoever points there.
    pub fn about(mut self, about: &'a str) -> Self {
        self.about = about;
        self
    }

    /// What the x-axis counts, such as `step`.
    pub fn x_label(mut self, label: &'a str) -> Self {
        self.x_label = label;
        self
    }

    /// What the y-axis measures, with its unit.
    pub fn y_label(mut self, label: &'a str) -> Self {
        self.y_label = label;
        self
    }

    /// Whether y is drawn by its logarithm. Values that are 0 or less then are gaps, and a note counts them.
    pub fn log_y(mut self, log_y: bool) -> Self {
        self.log_y = log_y;
        self
    }

    /// Height with legend and axes, in points.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Charts of one group show the same range of x and the same curves.
    pub fn link_group(mut self, group: Id) -> Self {
        self.link_group = Some(group);
        self
    }

    /// Where to show the cross-hair while the pointer is elsewhere.
    pub fn linked_x(mut self, x: Option<f64>) -> Self {
        self.linked_x = x;
        self
    }

    /// The range of x that it shows at least, so that a curve that begins late stands below the others' same steps.
    pub fn at_least_x(mut self, range: Option<[f64; 2]>) -> Self {
        self.least_x = range;
        self
    }

    /// The curves; the first is drawn on top.
    pub fn curves(mut self, curves: &'a [Curve<'a>]) -> Self {
        self.curves = curves;
        self
    }

    /// Lines to compare with.
    pub fn references(mut self, references: &'a [Reference<'a>]) -> Self {
        self.references = references;
        self
    }

    /// What to say while there is nothing to draw.
    pub fn empty_text(mut self, text: &'a str) -> Self {
        self.empty_text = text;
        self
    }

    /// Draws the chart as wide as there is room.
    pub fn show(self, ui: &mut Ui) -> ChartResponse {
        let id = ui.make_persistent_id(self.id_salt);
        let ids = ViewIds { chart: id, group: self.link_group.unwrap_or(id).with("chart_view") };
        let mut view = View::load(ui.ctx(), ids);
        let before = view.clone();
        let (_, whole) = ui.allocate_space(vec2(ui.available_width(), self.height));
        let max_legend_rows = ((self.height / 4.0 / 24.0) as usize).max(1);
        let legend = Legend::new(ui, self.title, !self.about.is_empty(), self.curves, &view, whole.width(), max_legend_rows);
        legend.show(ui, id, whole.min, self.about, self.curves, &mut view);
        let plot = Rect::from_min_max(
            whole.min + vec2(GUTTER_PX, legend.height + STRIP_PX),
            (whole.max - vec2(0.0, STRIP_PX)).max(whole.min + vec2(GUTTER_PX + 1.0, legend.height + STRIP_PX + 1.0)),
        );
        // Bars of single pixels would blur on half ones.
        let plot = plot.round_to_pixels(ui.pixels_per_point());
        let response = ui.interact(plot, id, Sense::click_and_drag());
        let shown: Vec<Curve<'_>> = self.curves.iter().copied().filter(|curve| !view.is_hidden(curve.name)).collect();
        response.widget_info(|| WidgetInfo::labeled(AccessRole::Figure, ui.is_enabled(), self.description(&shown)));
        let hovered_x = match whole_x_range(&shown).map(|range| joined(range, self.least_x)) {
            Some(all_x) if ui.is_rect_visible(whole) => self.show_plot(ui, &response, &mut view, &shown, all_x),
            Some(_) => None,
            None => {
                self.show_empty(ui, plot);
                None
            }
        };
        let changed_bounds = view != before;
        if changed_bounds {
            ui.ctx().request_repaint();
        }
        view.store(ui.ctx(), ids);
        ChartResponse { response, rect: plot, hovered_x, changed_bounds }
    }

    fn show_plot(&self, ui: &Ui, response: &Response, view: &mut View, curves: &[Curve<'_>], all_x: [f64; 2]) -> Option<f64> {
        let plot = response.rect;
        let x_range = view.shared.x_range.unwrap_or(all_x);
        let y_range = view.y_range.filter(|[low, _]| *low > 0.0 || !self.log_y);
        let y_range = y_range.unwrap_or_else(|| y_range_in_view(curves, self.references, x_range, self.log_y));
        let axes = Axes::new(plot, x_range, y_range, self.log_y);
        let dragged = view.interact(ui, response, &axes, all_x);
        self.paint_axes(ui, &axes, curves);
        self.paint_reference_lines(ui, &axes);
        paint_curves(ui, response.id, &axes, curves);
        self.paint_reference_names(ui, &axes);
        let tokens = Tokens::of(ui);
        theme::paint_focus_ring(ui, response, tokens.sizes.radius);
        if let Some(dragged) = dragged {
            let painter = ui.painter_at(plot);
            painter.rect_filled(dragged, 0.0, tokens.selection_fill);
            painter.rect_stroke(dragged, 0.0, Stroke::new(tokens.sizes.hairline, tokens.accent), StrokeKind::Inside);
            return None;
        }
        let hovered_x = response.hover_pos().and_then(|pointer| nearest_x(curves, axes.x.value(pointer.x)));
        if let Some(x) = hovered_x.or(self.linked_x).filter(|x| (axes.x.range[0]..=axes.x.range[1]).contains(x)) {
            show_hover(ui, response.id, &axes, curves, self.x_label, x);
        }
        hovered_x
    }

    fn show_empty(&self, ui: &Ui, plot: Rect) {
        let tokens = Tokens::of(ui);
        ui.painter().hline(plot.x_range(), plot.bottom(), Stroke::new(tokens.sizes.hairline, tokens.line));
        let text = if self.curves.iter().any(|curve| !curve.is_empty()) { "All curves are hidden" } else { self.empty_text };
        ui.painter().text(plot.center(), Align2::CENTER_CENTER, text, FontId::proportional(tokens.fonts.body), tokens.text_muted);
    }

    fn paint_axes(&self, ui: &Ui, axes: &Axes, curves: &[Curve<'_>]) {
        let (tokens, painter, plot) = (Tokens::of(ui), ui.painter(), axes.rect);
        let digits = FontId::monospace(tokens.fonts.small);
        let words = FontId::proportional(tokens.fonts.small);
        let hairline = |color: Color32| Stroke::new(tokens.sizes.hairline, color);
        for tick in axes.y.ticks(40.0) {
            let y = axes.y.position(tick.value);
            painter.hline(plot.x_range(), y, hairline(tokens.line.gamma_multiply(0.6)));
            painter.text(egui::pos2(plot.left() - 8.0, y), Align2::RIGHT_CENTER, tick.label, digits.clone(), tokens.text_muted);
        }
        painter.hline(plot.x_range(), plot.bottom(), hairline(tokens.line_strong));
        let strip_y = plot.bottom() + STRIP_PX / 2.0 + 2.0;
        let x_label = painter.layout_no_wrap(self.x_label.to_owned(), words.clone(), tokens.text_muted);
        put(painter, &x_label, egui::pos2(plot.right(), strip_y), 1.0);
        let end_of_ticks = plot.right() - x_label.size().x - 8.0;
        for tick in axes.x.ticks(80.0) {
            let x = axes.x.position(tick.value);
            painter.vline(x, plot.bottom()..=plot.bottom() + 4.0, hairline(tokens.line_strong));
            let label = painter.layout_no_wrap(tick.label, digits.clone(), tokens.text_muted);
            if x + label.size().x / 2.0 < end_of_ticks {
                put(painter, &label, egui::pos2(x, strip_y), 0.5);
            }
        }
        let above = plot.top() - STRIP_PX / 2.0 - 2.0;
        painter.text(egui::pos2(plot.left() - GUTTER_PX, above), Align2::LEFT_CENTER, self.y_label, words.clone(), tokens.text_muted);
        let num_not_positive = count_not_positive(curves, axes);
        if num_not_positive > 0 {
            let values = if num_not_positive == 1 { "value" } else { "values" };
            let note = format!("{num_not_positive} {values} ≤ 0 not shown");
            painter.text(egui::pos2(plot.right(), above), Align2::RIGHT_CENTER, note, words, tokens.warning);
        }
    }

    fn paint_reference_lines(&self, ui: &Ui, axes: &Axes) {
        let tokens = Tokens::of(ui);
        let painter = ui.painter_at(axes.rect);
        for reference in self.references_in_view(axes) {
            let y = axes.y.position(reference.y);
            let ends = [egui::pos2(axes.rect.left(), y), egui::pos2(axes.rect.right(), y)];
            let stroke = Stroke::new(tokens.sizes.hairline, tokens.color(reference.role));
            painter.extend(Shape::dashed_line(&ends, stroke, 6.0, 4.0));
        }
    }

    /// Over the curves, on a veil, so that they can be read there too.
    fn paint_reference_names(&self, ui: &Ui, axes: &Axes) {
        let tokens = Tokens::of(ui);
        for reference in self.references_in_view(axes) {
            let font = FontId::proportional(tokens.fonts.small);
            let name = ui.painter().layout_no_wrap(reference.name.to_owned(), font, tokens.color(reference.role));
            let y = axes.y.position(reference.y);
            let is_above = y - axes.rect.top() > name.size().y + 2.0;
            let center = egui::pos2(axes.rect.right() - 4.0 - name.size().x / 2.0, if is_above { y - 10.0 } else { y + 10.0 });
            let veil = Rect::from_center_size(center, name.size()).expand2(vec2(3.0, 0.0));
            ui.painter().rect_filled(veil, tokens.sizes.radius, ui.visuals().panel_fill.gamma_multiply(0.75));
            put(ui.painter(), &name, center, 0.5);
        }
    }

    fn references_in_view(&self, axes: &Axes) -> impl Iterator<Item = &Reference<'a>> {
        let [low, high] = axes.y.range;
        self.references.iter().filter(move |reference| (low..=high).contains(&reference.y))
    }

    /// What a screen reader says.
    fn description(&self, curves: &[Curve<'_>]) -> String {
        let what = if self.y_label.is_empty() { self.title.to_lowercase() } else { self.y_label.to_owned() };
        let curves_text = if curves.len() == 1 { "1 curve".to_owned() } else { format!("{} curves", curves.len()) };
        let mut text = format!("Chart of {what} over {}, {curves_text}", self.x_label);
        for curve in curves {
            if let Some((_, value)) = curve.main_trace().and_then(Trace::last) {
                text.push_str(&format!(", {} {}", curve.name, text_from_value(value)));
            }
        }
        text
    }
}

impl<'a> Curve<'a> {
    /// The smoothed trace, or the raw one if there is no other.
    pub(crate) fn main_trace(&self) -> Option<&'a Trace> {
        self.smooth.or(self.raw)
    }

    pub(crate) fn traces(&self) -> impl Iterator<Item = &'a Trace> + use<'a> {
        [self.raw, self.smooth].into_iter().flatten()
    }

    fn is_empty(&self) -> bool {
        self.traces().all(Trace::is_empty)
    }
}

fn paint_curves(ui: &Ui, id: Id, axes: &Axes, curves: &[Curve<'_>]) {
    let tokens = Tokens::of(ui);
    // Half a line's width may stand over the edge, where the newest point is.
    let painter = ui.painter_at(axes.rect.expand(2.0));
    let pen = |curve: &Curve<'_>| Pen {
        color: tokens.color(Role::Series(curve.color_index)),
        width: tokens.sizes.curve,
        is_dashed: curve.dashed,
        pixels_per_point: ui.pixels_per_point(),
    };
    let add = |kind: &str, index: usize, trace: Option<&Trace>, pen: Pen| {
        if let Some(trace) = trace {
            painter.add(kept_mesh(ui, id.with((kind, index)), trace, axes, pen));
        }
    };
    for (index, curve) in curves.iter().enumerate().rev().filter(|(_, curve)| curve.smooth.is_some()) {
        let pen = pen(curve);
        add("raw", index, curve.raw, Pen { color: pen.color.gamma_multiply(RAW_OPACITY), width: 1.0, is_dashed: false, ..pen });
    }
    for (index, curve) in curves.iter().enumerate().rev() {
        add("main", index, curve.main_trace(), pen(curve));
    }
    let painter = ui.painter_at(axes.rect.expand(8.0));
    for curve in curves.iter().rev() {
        for mark in curve.marks.iter().filter(|mark| (axes.x.range[0]..=axes.x.range[1]).contains(&mark.x)) {
            let center = egui::pos2(axes.x.position(mark.x), axes.rect.bottom());
            painter.add(mark_shape(mark.kind, center, mark_color(tokens, curve, mark.kind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use egui::{Key, Pos2, pos2};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    /// A chart of two curves over 0 to 1000, with what it said last.
    fn harness<'a>() -> Harness<'a, Option<ChartResponse>> {
        let [mut train, mut validation] = [Trace::default(), Trace::default()];
        train.extend((0..=1000).map(|step| (f64::from(step), 1.0 / (1.0 + step as f32 / 100.0))));
        validation.extend((0..=10).map(|epoch| (f64::from(epoch) * 100.0, 0.5)));
        let show = move |ui: &mut Ui, last: &mut Option<ChartResponse>| {
            let curves = [
                Curve { name: "training", raw: Some(&train), ..Curve::default() },
                Curve { name: "validation", color_index: 1, raw: Some(&validation), dashed: true, ..Curve::default() },
            ];
            *last = Some(LineChart::new("chart", "Loss").curves(&curves).show(ui));
        };
        let mut harness = Harness::builder()
            .with_size(vec2(700.0, 300.0))
            .with_step_dt(0.02)
            .with_context_setup(theme::install)
            .build_ui_state(show, None);
        harness.run();
        harness
    }

    /// A place in the plot, by ratios of its width and height.
    fn place(harness: &Harness<'_, Option<ChartResponse>>, x: f32, y: f32) -> Pos2 {
        harness.state().as_ref().map(|last| last.rect.lerp_inside(vec2(x, y))).unwrap_or(pos2(0.0, 0.0))
    }

    fn hovered_x(harness: &mut Harness<'_, Option<ChartResponse>>, x: f32) -> Option<f64> {
        harness.hover_at(place(harness, x, 0.5));
        harness.run();
        harness.state().as_ref().and_then(|last| last.hovered_x)
    }

    #[test]
    fn the_pointer_finds_the_nearest_step() {
        let mut harness = harness();
        assert_eq!(hovered_x(&mut harness, 0.25), Some(250.0));
        harness.remove_cursor();
        harness.run();
        assert_eq!(harness.state().as_ref().and_then(|last| last.hovered_x), None);
    }

    #[test]
    fn a_click_on_a_name_hides_its_curve() {
        let mut harness = harness();
        harness.get_by_label("Chart of loss over step, 2 curves, training 0.09091, validation 0.5000");
        harness.get_by_label("training").click();
        harness.run();
        harness.get_by_label("Chart of loss over step, 1 curve, validation 0.5000");
        harness.get_by_label("validation").click();
        harness.run();
        harness.get_by_label("Chart of loss over step, 0 curves");
    }

    #[test]
    fn a_box_zooms_in_and_a_double_click_out() {
        let mut harness = harness();
        let (from, to) = (place(&harness, 0.5, 0.2), place(&harness, 0.75, 0.8));
        harness.hover_at(from);
        harness.drag_at(from);
        harness.run();
        harness.hover_at(to);
        harness.run();
        harness.drop_at(to);
        harness.run();
        let [left, right] = [0.0, 0.999].map(|x| hovered_x(&mut harness, x).unwrap_or_default());
        assert!((left - 500.0).abs() <= 2.0 && (right - 750.0).abs() <= 2.0, "{left} {right}");
        let middle = place(&harness, 0.5, 0.5);
        harness.hover_at(middle);
        for pressed in [true, false, true, false] {
            let (button, modifiers) = (egui::PointerButton::Primary, egui::Modifiers::NONE);
            harness.event(egui::Event::PointerButton { pos: middle, button, pressed, modifiers });
        }
        harness.run();
        assert_eq!(hovered_x(&mut harness, 0.99), Some(990.0));
    }

    #[test]
    fn keys_zoom_and_pan() {
        let mut harness = harness();
        harness.get_by_role(AccessRole::Figure).focus();
        harness.run();
        harness.key_press(Key::Plus);
        harness.run();
        assert_eq!(hovered_x(&mut harness, 0.5), Some(500.0));
        harness.key_press(Key::ArrowRight);
        harness.run();
        assert_eq!(hovered_x(&mut harness, 0.5), Some(580.0));
        harness.key_press(Key::Home);
        harness.run();
        assert_eq!(hovered_x(&mut harness, 0.5), Some(500.0));
    }
}
