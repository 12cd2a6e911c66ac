//! Two pictures in one place, before and after, with a divider between them that can be dragged.

use egui::{Align2, CursorIcon, EventFilter, FontId, Key, Painter, Pos2, Rect, Response, Sense, Shape, Stroke, Ui, Vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::picture::{Picture, paint_checker, paint_inner_focus_ring, paint_plate};

/// How far one press of an arrow key moves the divider.
const KEY_STEP: f32 = 0.02;
/// Radius of the divider's handle, in points.
const HANDLE_POINTS: f32 = 12.0;

/// Two pictures of one shape, the first left of a divider and the second right of it.
#[must_use = "call `show`"]
pub struct Compare<'a> {
    name: &'a str,
    before: Picture,
    after: Picture,
    labels: [&'a str; 2],
}

impl<'a> Compare<'a> {
    /// Two pictures; the second is stretched to the shape of the first.
    pub fn new(name: &'a str, before: impl Into<Picture>, after: impl Into<Picture>) -> Self {
        Self { name, before: before.into(), after: after.into(), labels: ["Before", "After"] }
    }

    /// What stands on the left picture and on the right one.
    pub fn labels(mut self, before: &'a str, after: &'a str) -> Self {
        self.labels = [before, after];
        self
    }

    /// As large as the room that is left allows. `divider` is the share of the width that shows the first picture, 0 to 1.
    pub fn show(self, ui: &mut Ui, divider: &mut f32) -> Response {
        let tokens = Tokens::of(ui);
        let (rect, mut response) = self.before.allocate(ui, Sense::click_and_drag());
        let before = *divider;
        if response.is_pointer_button_down_on() {
            response.request_focus();
            if let Some(pos) = response.interact_pointer_pos() {
                *divider = (pos.x - rect.left()) / rect.width().max(1.0);
            }
        }
        if response.has_focus() {
            let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            let presses = |key| ui.input(|input| input.num_presses(key)) as f32;
            *divider += KEY_STEP * (presses(Key::ArrowRight) - presses(Key::ArrowLeft));
            *divider += presses(Key::End) - presses(Key::Home);
        }
        *divider = if divider.is_finite() { divider.clamp(0.0, 1.0) } else { 0.5 };
        if *divider != before {
            response.mark_changed();
        }
        response.widget_info(|| egui::WidgetInfo::slider(ui.is_enabled(), f64::from(*divider), self.name));
        if ui.is_rect_visible(rect) {
            let painter = ui.painter_at(rect);
            self.paint(&painter, tokens, rect, *divider);
            if response.has_focus() {
                paint_inner_focus_ring(&painter, tokens, rect);
            }
        }
        response.on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal)
    }

    fn paint(&self, painter: &Painter, tokens: &Tokens, rect: Rect, divider: f32) {
        let x = painter.round_to_pixel_center(rect.left() + divider * rect.width());
        let (left, right) = rect.split_left_right_at_x(x);
        paint_checker(painter, tokens, rect);
        self.before.paint(&painter.with_clip_rect(left), rect);
        self.after.paint(&painter.with_clip_rect(right), rect);

        let (gap, font) = (tokens.sizes.gap, FontId::proportional(tokens.fonts.small));
        for (side, align, label) in [(left, Align2::LEFT_TOP, self.labels[0]), (right, Align2::RIGHT_TOP, self.labels[1])] {
            let room = side.shrink(gap);
            // Less would be an ellipsis alone.
            if room.width() >= 2.0 * tokens.sizes.row {
                paint_plate(painter, tokens, align, align.pos_in_rect(&room), label, font.clone(), room.width());
            }
        }

        painter.vline(x, rect.y_range(), Stroke::new(3.0, tokens.scrim));
        painter.vline(x, rect.y_range(), Stroke::new(tokens.sizes.hairline, tokens.on_scrim));
        paint_handle(painter, tokens, Pos2::new(x, rect.center().y));
    }
}

fn paint_handle(painter: &Painter, tokens: &Tokens, center: Pos2) {
    painter.circle(center, HANDLE_POINTS, tokens.scrim, Stroke::new(tokens.sizes.hairline, tokens.on_scrim));
    for side in [-1.0, 1.0] {
        let corners = [(7.5, 0.0), (3.0, 3.5), (3.0, -3.5)].map(|(x, y)| center + Vec2::new(side * x, y));
        painter.add(Shape::convex_polygon(corners.to_vec(), tokens.on_scrim, Stroke::NONE));
    }
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "compare",
        size: Vec2::new(320.0, 240.0),
        show: |ui| {
            let (before, after) = (crate::sample::scene(ui.ctx(), 0), crate::sample::rough_scene(ui.ctx(), 0));
            Compare::new("Input and reconstruction", before, after).labels("Input", "Reconstruction").show(ui, &mut 0.5);
        },
    },
    Exhibit {
        name: "compare_long",
        size: Vec2::new(240.0, 180.0),
        show: |ui| {
            let (before, after) = (crate::sample::scene(ui.ctx(), 4), crate::sample::rough_scene(ui.ctx(), 4));
            let labels = ["pretrain-hills-mae-seed-7 at step 1,200", "pretrain-hills-mae-seed-8 at step 120,000"];
            Compare::new("Two runs", before, after).labels(labels[0], labels[1]).show(ui, &mut 0.8);
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    fn harness(divider: f32) -> Harness<'static, f32> {
        Harness::builder().with_context_setup(crate::theme::install).with_size(Vec2::new(400.0, 300.0)).build_ui_state(
            |ui, divider: &mut f32| {
                Compare::new("Compare", crate::sample::scene(ui.ctx(), 0), crate::sample::scene(ui.ctx(), 1)).show(ui, divider);
            },
            divider,
        )
    }

    #[test]
    fn the_divider_follows_the_pointer() {
        let mut harness = harness(0.5);
        harness.run();
        let rect = harness.get_by_label("Compare").rect();
        harness.drag_at(rect.left_center() + Vec2::new(rect.width() * 0.25, 0.0));
        harness.step();
        harness.step();
        assert!((*harness.state() - 0.25).abs() < 0.01, "{}", harness.state());
        harness.drop_at(rect.right_center() + Vec2::new(500.0, 0.0));
        harness.run();
    }

    #[test]
    fn keys_move_the_divider() {
        let mut harness = harness(0.5);
        harness.get_by_label("Compare").focus();
        harness.run();
        for (key, divider) in [(Key::ArrowLeft, 0.48), (Key::ArrowRight, 0.5), (Key::Home, 0.0), (Key::ArrowLeft, 0.0), (Key::End, 1.0)] {
            harness.key_press(key);
            harness.run();
            assert!((*harness.state() - divider).abs() < 1e-6, "{key:?}: {}", harness.state());
        }
    }

    #[test]
    fn a_divider_that_is_no_number_is_mended() {
        let mut harness = harness(f32::NAN);
        harness.run();
        assert_eq!(*harness.state(), 0.5);
    }
}
