//! A switch: on or off, at once.

use egui::{Response, Sense, Ui, WidgetInfo, lerp, pos2, vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::theme::paint_focus_ring;

/// A switch without a visible label: a [`crate::Field`] or a text beside it says what it switches.
#[must_use = "nothing is drawn before `show`"]
pub struct Switch<'a> {
    name: &'a str,
}

impl<'a> Switch<'a> {
    /// `name` is read aloud.
    pub fn new(name: &'a str) -> Self {
        Self { name }
    }

    /// Draws it. The response is marked as changed in the frame in which it flips.
    pub fn show(self, ui: &mut Ui, on: &mut bool) -> Response {
        let tokens = Tokens::of(ui);
        let size = vec2(1.75 * tokens.sizes.icon, tokens.sizes.icon);
        let (row, mut response) = ui.allocate_exact_size(vec2(size.x, tokens.sizes.row), Sense::click());
        if response.clicked() {
            *on = !*on;
            response.mark_changed();
        }
        response.widget_info(|| WidgetInfo::selected(egui::Role::Switch, ui.is_enabled(), *on, self.name));

        let track = egui::Rect::from_center_size(row.center(), size);
        response.rect = track;
        let place = ui.ctx().animate_bool_responsive(response.id, *on);
        let painter = ui.painter();
        let (fill, knob) = if *on { (tokens.accent, tokens.on_accent) } else { (tokens.line, tokens.text_muted) };
        painter.rect_filled(track, size.y / 2.0, fill);
        if response.hovered() {
            painter.rect_filled(track, size.y / 2.0, tokens.hover_fill);
        }
        let radius = size.y / 2.0;
        painter.circle_filled(pos2(lerp(track.left() + radius..=track.right() - radius, place), track.center().y), radius - 3.0, knob);
        paint_focus_ring(ui, &response, size.y / 2.0);
        response
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "switch",
    size: vec2(176.0, 40.0),
    show: |ui| {
        ui.horizontal(|ui| {
            Switch::new("Off").show(ui, &mut false);
            Switch::new("On").show(ui, &mut true);
            ui.add_enabled_ui(false, |ui| Switch::new("On, disabled").show(ui, &mut true));
            Switch::new("Under the keyboard").show(ui, &mut true).request_focus();
        });
    },
}];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn a_click_flips_it() {
        let mut harness = Harness::builder()
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, on| drop(Switch::new("Mixed precision").show(ui, on)), false);
        harness.get_by_label("Mixed precision").click();
        harness.run();
        assert!(*harness.state());
    }
}
