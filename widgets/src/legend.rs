//! What the colors of a map mean: a bar with numbers at both ends and in the middle.

use egui::{Align2, FontId, Mesh, Painter, Pos2, Rect, Response, Sense, Ui, Vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::one_line::one_line;
use crate::ramp::Ramp;

/// A color bar with a name.
#[must_use = "call `show`"]
pub struct Legend<'a> {
    name: &'a str,
    ramp: Ramp,
    range: [f32; 2],
}

impl<'a> Legend<'a> {
    /// A bar of a ramp's colors from 0 to 1.
    pub fn new(name: &'a str, ramp: Ramp) -> Self {
        Self { name, ramp, range: [0.0, 1.0] }
    }

    /// The values of the first and of the last color.
    pub fn range(mut self, range: [f32; 2]) -> Self {
        self.range = range;
        self
    }

    /// As wide as the room that is left, up to ten rows' height.
    pub fn show(self, ui: &mut Ui) -> Response {
        let tokens = Tokens::of(ui);
        let width = ui.available_width().min(10.0 * tokens.sizes.row);
        let line = tokens.fonts.small + tokens.sizes.gap_small;
        let size = Vec2::new(width, 2.0 * line + tokens.sizes.gap_small + tokens.sizes.gap);
        let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
        let [low, high] = self.range;
        response.widget_info(|| {
            let label = format!("{}, {} to {}", self.name, number(low), number(high));
            egui::WidgetInfo::labeled(egui::Role::Image, ui.is_enabled(), label)
        });
        let painter = ui.painter();
        let name = one_line(painter, self.name, FontId::proportional(tokens.fonts.small), tokens.text_muted, width);
        let is_cut = name.elided;
        painter.galley(rect.min, name, tokens.text_muted);
        let bar = Rect::from_min_size(rect.min + Vec2::new(0.0, line), Vec2::new(width, tokens.sizes.gap));
        self.paint_bar(painter, bar);
        for (value, x, align) in [
            (low, bar.left(), Align2::LEFT_TOP),
            ((low + high) / 2.0, bar.center().x, Align2::CENTER_TOP),
            (high, bar.right(), Align2::RIGHT_TOP),
        ] {
            let pos = Pos2::new(x, bar.bottom() + tokens.sizes.gap_small);
            painter.text(pos, align, number(value), FontId::monospace(tokens.fonts.small), tokens.text_muted);
        }
        if is_cut { response.on_hover_text(self.name) } else { response }
    }

    fn paint_bar(&self, painter: &Painter, bar: Rect) {
        let mut mesh = Mesh::default();
        let colors = self.ramp.colors();
        for (stop, &color) in colors.iter().enumerate() {
            let x = bar.left() + bar.width() * stop as f32 / (colors.len() - 1) as f32;
            mesh.colored_vertex(Pos2::new(x, bar.top()), color);
            mesh.colored_vertex(Pos2::new(x, bar.bottom()), color);
            if stop > 0 {
                let corner = 2 * stop as u32;
                mesh.add_triangle(corner - 2, corner - 1, corner);
                mesh.add_triangle(corner - 1, corner, corner + 1);
            }
        }
        painter.add(mesh);
    }
}

/// A number in three significant digits.
fn number(value: f32) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "–".to_owned() };
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&magnitude) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.*}", (2 - magnitude).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "legend",
        size: Vec2::new(256.0, 64.0),
        show: |ui| {
            Legend::new("Attention of head 3", Ramp::heat()).range([0.0, 0.043]).show(ui);
        },
    },
    Exhibit {
        name: "legend_long",
        size: Vec2::new(144.0, 64.0),
        show: |ui| {
            Legend::new("Squared error of the normalized reconstruction", Ramp::heat()).range([-1.5, 12.0]).show(ui);
        },
    },
];

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (0.012_345, "0.0123"),
            (-3.25, "-3.25"),
            (1234.5, "1234"),
            (120.0, "120"),
            (2.5e-6, "2.5e-6"),
            (f32::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
