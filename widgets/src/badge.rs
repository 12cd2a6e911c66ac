//! A state in a word or two: a small pill.

use egui::{Align, FontId, Response, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};
use crate::{Role, Tokens, fonts};

/// A state in the color of a role: `Good`, `Warning`, `Bad`, `Accent` for what is going on, `TextMuted` for the rest.
#[must_use = "nothing is drawn before `show`"]
pub struct StateBadge<'a> {
    text: &'a str,
    role: Role,
}

impl<'a> StateBadge<'a> {
    /// A pill; the word must tell the state without its color.
    pub fn new(text: &'a str, role: Role) -> Self {
        Self { text, role }
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let color = tokens.color(self.role);
        let dot = sizes.gap - 2.0;
        let before = sizes.gap + dot + sizes.gap_small + 1.0;
        let font = FontId::new(tokens.fonts.small, fonts::medium());
        let line = one_line(ui.painter(), self.text, font, tokens.text, ui.available_width() - before - sizes.gap);
        let elided = line.elided;
        let size = vec2(before + line.size().x + sizes.gap, sizes.row_small);
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, self.text));
        let painter = ui.painter();
        painter.rect_filled(rect, rect.height() / 2.0, color.gamma_multiply(TINT));
        painter.circle_filled(pos2(rect.left() + sizes.gap + dot / 2.0, rect.center().y), dot / 2.0, color);
        paint_line(painter, rect.with_min_x(rect.left() + before), Align::Min, line);
        if elided { response.on_hover_text(self.text) } else { response }
    }
}

/// Opacity of a color that lies behind text.
pub(crate) const TINT: f32 = 0.16;

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "badge",
    size: vec2(432.0, 68.0),
    show: |ui| {
        ui.horizontal(|ui| {
            StateBadge::new("Running", Role::Accent).show(ui);
            StateBadge::new("Finished", Role::Good).show(ui);
            StateBadge::new("Interrupted", Role::Warning).show(ui);
            StateBadge::new("Failed", Role::Bad).show(ui);
            StateBadge::new("Queued", Role::TextMuted).show(ui);
        });
        ui.allocate_ui(vec2(120.0, 24.0), |ui| StateBadge::new("Waiting for a device with 24 GiB", Role::TextMuted).show(ui));
    },
}];
