//! A map of points, such as images by their embeddings: near points are alike, and the axes mean nothing by themselves.

use egui::epaint::Mesh;
use egui::{
    Align2, CursorIcon, EventFilter, FontId, Key, Pos2, Rect, Response, Role as AccessRole, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo,
    lerp, pos2, vec2,
};

use crate::{Role, Tokens, format, theme};

/// How far from a point the pointer may be, in points of the screen.
const REACH_PX: f32 = 10.0;
/// Above this many points, each is a small square: circles would cost too much.
const MAX_CIRCLES: usize = 5000;

/// A point of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScatterPoint {
    /// To the right.
    pub x: f32,
    /// Upward.
    pub y: f32,
    /// Which of the series colors it has, such as that of its class.
    pub color_index: usize,
}

/// What happened to a map in this frame.
#[derive(Debug, Clone)]
pub struct ScatterResponse {
    /// Of the whole map.
    pub response: Response,
    /// The point under the pointer, by its index.
    pub hovered: Option<usize>,
    /// Who is selected now, if that changed: `Some(None)` after a click on nothing.
    pub new_selection: Option<Option<usize>>,
}

/// A map of points, of which one can be selected: by a click, or with the arrow keys.
#[must_use = "call `show`"]
#[derive(Debug, Clone, Copy)]
pub struct Scatter<'a> {
    name: &'a str,
    points: &'a [ScatterPoint],
    selected: Option<usize>,
    height: f32,
    empty_text: &'a str,
}

impl<'a> Scatter<'a> {
    /// A map of points. The name is for screen readers.
    pub fn new(name: &'a str, points: &'a [ScatterPoint]) -> Self {
        Self { name, points, selected: None, height: 240.0, empty_text: "No points yet" }
    }

    /// The selected point, by its index.
    pub fn selected(mut self, selected: Option<usize>) -> Self {
        self.selected = selected;
        self
    }

    /// Height in points of the screen.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// What to say while there is nothing to draw.
    pub fn empty_text(mut self, text: &'a str) -> Self {
        self.empty_text = text;
        self
    }

    /// Draws the map as wide as there is room.
    pub fn show(self, ui: &mut Ui) -> ScatterResponse {
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(AccessRole::Figure, ui.is_enabled(), self.description()));
        let tokens = Tokens::of(ui);
        let Some(to_screen) = Placement::new(self.points, rect.shrink(tokens.sizes.gap_large)) else {
            let font = FontId::proportional(tokens.fonts.body);
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, self.empty_text, font, tokens.text_muted);
            return ScatterResponse { response, hovered: None, new_selection: None };
        };
        let hovered = response.hover_pos().and_then(|pointer| self.nearest(&to_screen, pointer));
        let clicked = response.clicked_by(egui::PointerButton::Primary).then_some(hovered);
        let new_selection = clicked.or_else(|| self.selection_by_keys(ui, &response).map(Some));
        let new_selection = new_selection.filter(|selection| *selection != self.selected);
        if ui.is_rect_visible(rect) {
            self.paint(ui, rect, &to_screen, hovered);
            theme::paint_focus_ring(ui, &response, tokens.sizes.radius);
        }
        if hovered.is_some() {
            ui.set_cursor_icon(CursorIcon::PointingHand);
        }
        ScatterResponse { response, hovered, new_selection }
    }

    fn nearest(&self, to_screen: &Placement, pointer: Pos2) -> Option<usize> {
        let distances = self.points.iter().map(|point| to_screen.position(point).distance_sq(pointer));
        let (index, distance) = distances.enumerate().filter(|item| item.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))?;
        (distance <= REACH_PX * REACH_PX).then_some(index)
    }

    fn selection_by_keys(&self, ui: &Ui, response: &Response) -> Option<usize> {
        if !response.has_focus() || self.points.is_empty() {
            return None;
        }
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let last = self.points.len() - 1;
        if ui.input(|input| input.key_pressed(Key::ArrowRight)) {
            return Some(self.selected.map_or(0, |index| if index >= last { 0 } else { index + 1 }));
        }
        ui.input(|input| input.key_pressed(Key::ArrowLeft))
            .then(|| self.selected.map_or(last, |index| index.checked_sub(1).unwrap_or(last)))
    }

    fn paint(&self, ui: &Ui, rect: Rect, to_screen: &Placement, hovered: Option<usize>) {
        let tokens = Tokens::of(ui);
        let painter = ui.painter_at(rect);
        let color = |point: &ScatterPoint| tokens.color(Role::Series(point.color_index));
        // Dense places are brighter.
        let shown = self.points.iter().filter(|point| point.x.is_finite() && point.y.is_finite());
        if self.points.len() <= MAX_CIRCLES {
            painter.extend(shown.map(|point| Shape::circle_filled(to_screen.position(point), 3.0, color(point).gamma_multiply(0.8))));
        } else {
            let mut mesh = Mesh::default();
            shown.for_each(|point| {
                mesh.add_colored_rect(
                    Rect::from_center_size(to_screen.position(point), Vec2::splat(2.0)),
                    color(point).gamma_multiply(0.5),
                );
            });
            painter.add(Shape::mesh(mesh));
        }
        if let Some(point) = hovered.and_then(|index| self.points.get(index)) {
            painter.circle(to_screen.position(point), 5.0, color(point), Stroke::new(1.5, tokens.surface));
        }
        if let Some(point) = self.selected.and_then(|index| self.points.get(index)) {
            let center = to_screen.position(point);
            painter.circle(center, 5.0, color(point), Stroke::new(2.0, tokens.surface));
            painter.circle_stroke(center, 8.0, Stroke::new(2.0, tokens.text));
        }
    }

    fn description(&self) -> String {
        let selection = self.selected.map_or(String::new(), |index| format!(", point {} selected", index + 1));
        format!("{}, {} points{selection}", self.name, format::count(self.points.len() as u64))
    }
}

/// Where points go: both axes in the same scale, the map in the middle.
struct Placement {
    center: Vec2,
    scale: f32,
    rect: Rect,
}

impl Placement {
    /// Nothing if no point has a place.
    fn new(points: &[ScatterPoint], rect: Rect) -> Option<Self> {
        let finite = points.iter().filter(|point| point.x.is_finite() && point.y.is_finite());
        let bounds = finite.fold(Rect::NOTHING, |bounds, point| bounds.union(Rect::from_pos(pos2(point.x, point.y))));
        let scale = (rect.width() / bounds.width().max(1e-9)).min(rect.height() / bounds.height().max(1e-9));
        let center = vec2(lerp(bounds.x_range().min..=bounds.x_range().max, 0.5), lerp(bounds.y_range().min..=bounds.y_range().max, 0.5));
        bounds.is_finite().then_some(Self { center, scale: scale.min(1e9), rect })
    }

    fn position(&self, point: &ScatterPoint) -> Pos2 {
        self.rect.center() + vec2(point.x - self.center.x, self.center.y - point.y) * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f32, y: f32) -> ScatterPoint {
        ScatterPoint { x, y, color_index: 0 }
    }

    #[test]
    fn points_fill_the_map_upward_and_in_one_scale() {
        let rect = Rect::from_min_size(Pos2::ZERO, vec2(200.0, 100.0));
        let placement = Placement::new(&[point(0.0, 0.0), point(10.0, 10.0), point(f32::NAN, 0.0)], rect).unwrap();
        assert_eq!(placement.position(&point(0.0, 0.0)), pos2(50.0, 100.0));
        assert_eq!(placement.position(&point(10.0, 10.0)), pos2(150.0, 0.0));
        assert!(Placement::new(&[point(f32::NAN, 0.0)], rect).is_none() && Placement::new(&[], rect).is_none());
        assert_eq!(Placement::new(&[point(3.0, 4.0)], rect).unwrap().position(&point(3.0, 4.0)), rect.center());
    }

    #[test]
    fn only_a_near_point_is_found() {
        let points = [point(0.0, 0.0), point(10.0, 10.0), point(f32::NAN, f32::NAN)];
        let rect = Rect::from_min_size(Pos2::ZERO, vec2(100.0, 100.0));
        let placement = Placement::new(&points, rect).unwrap();
        let map = Scatter::new("map", &points);
        assert_eq!(map.nearest(&placement, pos2(95.0, 3.0)), Some(1));
        assert_eq!(map.nearest(&placement, pos2(50.0, 50.0)), None);
    }
}
