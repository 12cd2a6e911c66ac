//! Which part of a chart is shown, and how pointer and keys change that: drag a box to zoom in, drag with the right button or with Shift to
//! pan, pinch or turn the wheel with Ctrl to zoom, double-click to see all again. With the focus: arrows pan, + and - zoom, Home shows all.

use egui::{Context, CursorIcon, EventFilter, Id, Key, PointerButton, Pos2, Rect, Response, Ui};

use crate::chart_axis::{Axes, Axis};

/// Shorter drags are slips of the hand, and boxes thinner than this zoom along their length only, in points.
const MIN_BOX_PX: f32 = 12.0;

/// What the charts of one link group have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SharedView {
    /// The range of x, if it is not all of it.
    pub x_range: Option<[f64; 2]>,
    /// Curves that are not drawn, by name.
    pub hidden: Vec<String>,
}

/// What is shown of one chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    pub shared: SharedView,
    /// The range of y, if it does not follow the curves.
    pub y_range: Option<[f64; 2]>,
}

/// Where a view is kept between frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewIds {
    pub chart: Id,
    pub group: Id,
}

impl View {
    pub fn load(ctx: &Context, ids: ViewIds) -> Self {
        ctx.data(|data| Self {
            shared: data.get_temp(ids.group).unwrap_or_default(),
            y_range: data.get_temp(ids.chart.with("y_range")).unwrap_or_default(),
        })
    }

    pub fn store(self, ctx: &Context, ids: ViewIds) {
        ctx.data_mut(|data| {
            data.insert_temp(ids.group, self.shared);
            data.insert_temp(ids.chart.with("y_range"), self.y_range);
        });
    }

    pub fn is_hidden(&self, name: &str) -> bool {
        self.shared.hidden.iter().any(|hidden| hidden == name)
    }

    pub fn toggle(&mut self, name: &str) {
        match self.shared.hidden.iter().position(|hidden| hidden == name) {
            Some(index) => drop(self.shared.hidden.remove(index)),
            None => self.shared.hidden.push(name.to_owned()),
        }
    }

    /// Changes the view as pointer and keys ask. Gives the box that is being dragged.
    pub fn interact(&mut self, ui: &Ui, response: &Response, axes: &Axes, all_x: [f64; 2]) -> Option<Rect> {
        if response.double_clicked() {
            self.show_all();
        }
        self.zoom_by_wheel(ui, response, axes, all_x);
        self.act_on_keys(ui, response, axes, all_x);
        if is_panning(ui, response) {
            ui.set_cursor_icon(CursorIcon::Grabbing);
            self.pan(axes, response.drag_delta(), all_x);
            return None;
        }
        let dragged = dragged_box(ui, response, axes.rect)?;
        if response.drag_stopped_by(PointerButton::Primary) {
            self.zoom_to(axes, dragged, all_x);
            return None;
        }
        Some(dragged)
    }

    fn show_all(&mut self) {
        self.shared.x_range = None;
        self.y_range = None;
    }

    fn zoom_by_wheel(&mut self, ui: &Ui, response: &Response, axes: &Axes, all_x: [f64; 2]) {
        let factor = f64::from(ui.input(|input| input.zoom_delta()));
        if let Some(pointer) = response.hover_pos().filter(|_| factor != 1.0) {
            self.zoom_x(axes, factor, ratio_along(&axes.x, pointer.x), all_x);
        }
    }

    fn act_on_keys(&mut self, ui: &Ui, response: &Response, axes: &Axes, all_x: [f64; 2]) {
        if !response.has_focus() {
            return;
        }
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let is_pressed = |key| ui.input(|input| input.key_pressed(key));
        let tenth = egui::vec2(axes.rect.width() / 10.0, 0.0);
        match [Key::ArrowLeft, Key::ArrowRight, Key::Plus, Key::Equals, Key::Minus, Key::Home].into_iter().find(|&key| is_pressed(key)) {
            Some(Key::ArrowLeft) => self.pan(axes, tenth, all_x),
            Some(Key::ArrowRight) => self.pan(axes, -tenth, all_x),
            Some(Key::Plus | Key::Equals) => self.zoom_x(axes, 1.25, 0.5, all_x),
            Some(Key::Minus) => self.zoom_x(axes, 0.8, 0.5, all_x),
            Some(_) => self.show_all(),
            None => {}
        }
    }

    fn zoom_x(&mut self, axes: &Axes, factor: f64, center_ratio: f64, all_x: [f64; 2]) {
        let ends = [center_ratio - center_ratio / factor, center_ratio + (1.0 - center_ratio) / factor];
        self.show_x(ends.map(|ratio| axes.x.value_at(ratio)), all_x);
    }

    fn zoom_to(&mut self, axes: &Axes, dragged: Rect, all_x: [f64; 2]) {
        self.show_x([dragged.left(), dragged.right()].map(|x| axes.x.value(x)), all_x);
        if dragged.height() < axes.rect.height() {
            self.y_range = Some([dragged.bottom(), dragged.top()].map(|y| axes.y.value(y)));
        }
    }

    /// Moves what is shown along with the pointer. The y-axis stays free to follow the curves until a box has fixed it.
    fn pan(&mut self, axes: &Axes, delta: egui::Vec2, all_x: [f64; 2]) {
        let moved = |axis: &Axis, delta: f32| axis.px.map(|end| axis.value(end - delta));
        self.show_x(moved(&axes.x, delta.x), all_x);
        self.y_range = self.y_range.map(|_| moved(&axes.y, delta.y));
    }

    /// Shows a range of x, but neither more than all nor so little that numbers run out of digits.
    fn show_x(&mut self, [from, to]: [f64; 2], all_x: [f64; 2]) {
        let all = all_x[1] - all_x[0];
        let length = (to - from).max(all * 1e-7);
        let from = from.clamp(all_x[0], (all_x[1] - length).max(all_x[0]));
        self.shared.x_range = (length < all).then_some([from, from + length]);
    }
}

fn is_panning(ui: &Ui, response: &Response) -> bool {
    let with_shift = response.dragged_by(PointerButton::Primary) && ui.input(|input| input.modifiers.shift);
    with_shift || response.dragged_by(PointerButton::Secondary) || response.dragged_by(PointerButton::Middle)
}

/// The box under the primary button, as wide or as high as the plot where the hand hardly moved.
fn dragged_box(ui: &Ui, response: &Response, plot: Rect) -> Option<Rect> {
    if !(response.dragged_by(PointerButton::Primary) || response.drag_stopped_by(PointerButton::Primary)) {
        return None;
    }
    // When the button comes up, the pointer has already forgotten where it went down.
    let id = response.id.with("drag_origin");
    if let Some(origin) = ui.input(|input| input.pointer.press_origin()) {
        ui.data_mut(|data| data.insert_temp(id, origin));
    }
    let (from, to) = (ui.data(|data| data.get_temp::<Pos2>(id))?, response.interact_pointer_pos()?);
    let mut dragged = Rect::from_two_pos(from, to).intersect(plot);
    if dragged.width().max(dragged.height()) < MIN_BOX_PX {
        return None;
    }
    if dragged.width() < MIN_BOX_PX {
        (dragged.min.x, dragged.max.x) = (plot.left(), plot.right());
    } else if dragged.height() < MIN_BOX_PX {
        (dragged.min.y, dragged.max.y) = (plot.top(), plot.bottom());
    }
    Some(dragged)
}

fn ratio_along(axis: &Axis, position: f32) -> f64 {
    f64::from((position - axis.px[0]) / (axis.px[1] - axis.px[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_X: [f64; 2] = [0.0, 1000.0];

    fn axes(view: &View) -> Axes {
        let rect = Rect::from_min_max(egui::pos2(100.0, 50.0), egui::pos2(300.0, 150.0));
        Axes::new(rect, view.shared.x_range.unwrap_or(ALL_X), view.y_range.unwrap_or([0.0, 10.0]), false)
    }

    fn near(range: Option<[f64; 2]>, expected: [f64; 2]) -> bool {
        range.unwrap().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3)
    }

    #[test]
    fn zoom_keeps_what_is_under_the_pointer_and_ends_at_all() {
        let mut view = View::default();
        view.zoom_x(&axes(&view), 2.0, 0.25, ALL_X);
        assert_eq!(view.shared.x_range, Some([125.0, 625.0]));
        view.zoom_x(&axes(&view), 0.5, 0.25, ALL_X);
        assert_eq!(view.shared.x_range, None);
    }

    #[test]
    fn panning_stops_at_the_ends() {
        let mut view = View::default();
        view.zoom_x(&axes(&view), 2.0, 0.0, ALL_X);
        view.pan(&axes(&view), egui::vec2(-20.0, 30.0), ALL_X);
        assert!(near(view.shared.x_range, [50.0, 550.0]) && view.y_range.is_none(), "{view:?}");
        view.pan(&axes(&view), egui::vec2(5000.0, 0.0), ALL_X);
        assert!(near(view.shared.x_range, [0.0, 500.0]), "{view:?}");
    }

    #[test]
    fn a_box_sets_both_ranges_and_a_flat_one_only_x() {
        let mut view = View::default();
        let dragged = Rect::from_min_max(egui::pos2(150.0, 70.0), egui::pos2(200.0, 100.0));
        view.zoom_to(&axes(&view), dragged, ALL_X);
        assert!(near(view.shared.x_range, [250.0, 500.0]) && near(view.y_range, [5.0, 8.0]), "{view:?}");
        view.show_all();
        view.zoom_to(&axes(&view), Rect::from_x_y_ranges(150.0..=200.0, 50.0..=150.0), ALL_X);
        assert!(view.y_range.is_none() && view.shared.x_range.is_some());
    }

    #[test]
    fn names_toggle() {
        let mut view = View::default();
        view.toggle("a");
        assert!(view.is_hidden("a") && !view.is_hidden("b"));
        view.toggle("a");
        assert_eq!(view, View::default());
    }
}
