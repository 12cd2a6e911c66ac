//! One number that is watched: its name above it, its unit after it.

use egui::{Response, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::one_line;
use crate::{Role, Tokens, fonts};

/// A labeled number.
#[must_use = "nothing is drawn before `show`"]
pub struct Stat<'a> {
    label: &'a str,
    value: &'a str,
    unit: &'a str,
    role: Role,
    min_width: f32,
}

impl<'a> Stat<'a> {
    /// `value` is a number that [`crate::format`] wrote; an empty one shows a dash.
    pub fn new(label: &'a str, value: &'a str) -> Self {
        Self { label, value, unit: "", role: Role::Text, min_width: 96.0 }
    }

    /// After the number, such as `img/s`.
    pub fn unit(mut self, unit: &'a str) -> Self {
        self.unit = unit;
        self
    }

    /// Colors the number: `Warning` and `Bad` for what needs attention.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Room in points that it takes even if it needs less, so that its neighbors stand still. 96 unless told.
    pub fn min_width(mut self, min_width: f32) -> Self {
        self.min_width = min_width;
        self
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let Self { label, value, unit, role, min_width } = self;
        let tokens = Tokens::of(ui);
        let (value, color) = if value.is_empty() { ("–", tokens.text_muted) } else { (value, tokens.color(role)) };
        let room = ui.available_width();
        let label_line = one_line(ui.painter(), label, TextStyle::Small.resolve(ui.style()), tokens.text_muted, room);
        let unit_line = one_line(ui.painter(), unit, TextStyle::Small.resolve(ui.style()), tokens.text_muted, f32::INFINITY);
        let unit_room = if unit.is_empty() { 0.0 } else { unit_line.size().x + tokens.sizes.gap_small };
        let value_line = one_line(ui.painter(), value, fonts::figure().resolve(ui.style()), color, room - unit_room);
        let elided = label_line.elided || value_line.elided;
        let width = label_line.size().x.max(value_line.size().x + unit_room).max(min_width);
        let height = label_line.size().y + value_line.size().y;

        let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
        let spoken = format!("{label} {value} {unit}");
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, spoken.trim_end()));
        let top = rect.top() + label_line.size().y;
        ui.painter().galley(rect.min, label_line, tokens.text_muted);
        // The unit stands on the line of the number.
        let ascent = |line: &egui::Galley| line.rows.first().and_then(|row| row.glyphs.first()).map_or(0.0, |glyph| glyph.pos.y);
        let unit_top = top + ascent(&value_line) - ascent(&unit_line);
        let unit_left = rect.left() + value_line.size().x + tokens.sizes.gap_small;
        ui.painter().galley(pos2(rect.left(), top), value_line, color);
        ui.painter().galley(pos2(unit_left, unit_top), unit_line, tokens.text_muted);
        if elided { response.on_hover_text(spoken) } else { response }
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "stat",
        size: vec2(448.0, 64.0),
        show: |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = Tokens::of(ui).sizes.gap_large;
                Stat::new("Throughput", "1,240").unit("img/s").show(ui);
                Stat::new("Loss", "0.4182").show(ui);
                Stat::new("Left", "").show(ui);
                Stat::new("Waiting for data", "38").unit("%").role(Role::Warning).show(ui);
            });
        },
    },
    Exhibit {
        name: "stat_long",
        size: vec2(136.0, 64.0),
        show: |ui| {
            Stat::new("Images seen since the beginning", "18,446,744,073").unit("images").show(ui);
        },
    },
];
