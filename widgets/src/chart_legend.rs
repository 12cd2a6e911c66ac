//! The row above a chart: its title, and the name of each curve, which shows or hides the curve.

use std::sync::Arc;

use egui::{FontId, Galley, Id, Pos2, Rect, Role as AccessRole, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use crate::chart_signs::{put, swatch};
use crate::chart_view::View;
use crate::one_line::one_line;
use crate::{Curve, Role, Tokens, fonts, icon, theme};

/// How wide a name may be at most in narrow and in wide charts, in points.
const NAME_PX: std::ops::RangeInclusive<f32> = 96.0..=280.0;
const ROW_PX: f32 = 24.0;
const SWATCH_PX: f32 = 20.0;

/// A legend, laid out for a width.
pub(crate) struct Legend {
    title: Arc<Galley>,
    /// The sign that there is more to say of the title, and where.
    sign: Option<(Arc<Galley>, Rect)>,
    entries: Vec<Entry>,
    /// A word about names for which there was no room, and where it goes.
    more: Option<(Arc<Galley>, Pos2)>,
    pub height: f32,
}

struct Entry {
    name: Arc<Galley>,
    /// Relative to the legend.
    rect: Rect,
}

impl Legend {
    /// Names follow the title and wrap; what does not fit into `max_rows` is counted.
    pub fn new(ui: &Ui, title: &str, has_sign: bool, curves: &[Curve<'_>], view: &View, width: f32, max_rows: usize) -> Self {
        let tokens = Tokens::of(ui);
        let painter = ui.painter();
        let title = one_line(ui.painter(), title, fonts::strong().resolve(ui.style()), tokens.text, width);
        let small = |text: String| painter.layout_no_wrap(text, FontId::proportional(tokens.fonts.small), tokens.text_muted);
        let sign = has_sign.then(|| {
            let sign = small(icon::HELP.to_owned());
            let size = vec2(title.size().x + tokens.sizes.gap_small + sign.size().x, ROW_PX);
            (sign, Rect::from_min_size(Pos2::ZERO, size))
        });
        let title_width = sign.as_ref().map_or(title.size().x, |(_, rect)| rect.width());
        let mut cursor = pos2(if title.is_empty() { 0.0 } else { title_width + tokens.sizes.gap_large }, 0.0);
        let more = |num_left: usize| small(format!("and {num_left} more"));
        let room_for_more = more(curves.len()).size().x;
        let max_name_width = (width / 3.0).clamp(*NAME_PX.start(), *NAME_PX.end()).min(width - 2.0 * SWATCH_PX);
        let mut entries = Vec::new();
        for (index, curve) in curves.iter().enumerate() {
            let color = if view.is_hidden(curve.name) { tokens.text_muted } else { tokens.text };
            let name = one_line(ui.painter(), curve.name, FontId::proportional(tokens.fonts.small), color, max_name_width);
            let size = vec2(SWATCH_PX + name.size().x + tokens.sizes.gap, ROW_PX);
            let is_last_row = cursor.y + 1.5 * ROW_PX > max_rows as f32 * ROW_PX;
            let reserved = if is_last_row && index + 1 < curves.len() { room_for_more } else { 0.0 };
            if cursor.x > 0.0 && cursor.x + size.x + reserved > width {
                if is_last_row {
                    return Self { title, sign, entries, more: Some((more(curves.len() - index), cursor)), height: cursor.y + ROW_PX };
                }
                cursor = pos2(0.0, cursor.y + ROW_PX);
            }
            entries.push(Entry { name, rect: Rect::from_min_size(cursor, size) });
            cursor.x += size.x + tokens.sizes.gap;
        }
        let is_empty = title.is_empty() && entries.is_empty();
        Self { title, sign, entries, more: None, height: if is_empty { 0.0 } else { cursor.y + ROW_PX } }
    }

    /// Draws it, and shows or hides the curve whose name was clicked. `about` is what there is to say of the title.
    pub fn show(&self, ui: &Ui, id: Id, origin: Pos2, about: &str, curves: &[Curve<'_>], view: &mut View) {
        let tokens = Tokens::of(ui);
        put(ui.painter(), &self.title, origin + vec2(0.0, ROW_PX / 2.0), 0.0);
        if let Some((sign, rect)) = &self.sign {
            let rect = rect.translate(origin.to_vec2());
            put(ui.painter(), sign, rect.right_center(), 1.0);
            let response = ui.interact(rect, id.with("about"), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(AccessRole::Label, ui.is_enabled(), about));
            response.on_hover_text(about);
        }
        for (index, (entry, curve)) in self.entries.iter().zip(curves).enumerate() {
            let rect = entry.rect.translate(origin.to_vec2());
            let mut response = ui.interact(rect, id.with(("legend", index)), Sense::click());
            let is_shown = !view.is_hidden(curve.name);
            response.widget_info(|| WidgetInfo::selected(AccessRole::CheckBox, ui.is_enabled(), is_shown, curve.name));
            if response.clicked() {
                view.toggle(curve.name);
            }
            paint_entry(ui, tokens, entry, rect, curve, is_shown, &response);
            if entry.name.elided {
                response = response.on_hover_text(curve.name);
            }
            response.on_hover_cursor(egui::CursorIcon::PointingHand);
        }
        if let Some((text, position)) = &self.more {
            let rect = Rect::from_min_size(origin + position.to_vec2(), vec2(text.size().x, ROW_PX));
            put(ui.painter(), text, rect.left_center(), 0.0);
            let names: Vec<_> = curves.iter().skip(self.entries.len()).map(|curve| curve.name).collect();
            ui.interact(rect, id.with("more"), Sense::hover()).on_hover_text(names.join("\n"));
        }
    }
}

fn paint_entry(ui: &Ui, tokens: &Tokens, entry: &Entry, rect: Rect, curve: &Curve<'_>, is_shown: bool, response: &egui::Response) {
    let painter = ui.painter();
    if response.hovered() {
        painter.rect_filled(rect.expand2(vec2(tokens.sizes.gap_small, 0.0)), tokens.sizes.radius, tokens.hover_fill);
    }
    theme::paint_focus_ring(ui, response, tokens.sizes.radius);
    let color = if is_shown { tokens.color(Role::Series(curve.color_index)) } else { tokens.line_strong };
    swatch(painter, rect.left_center(), color, curve.dashed);
    put(painter, &entry.name, rect.left_center() + vec2(SWATCH_PX, 0.0), 0.0);
    if !is_shown {
        let from = rect.left_center() + vec2(SWATCH_PX, 1.0);
        painter.line_segment([from, from + vec2(entry.name.size().x, 0.0)], Stroke::new(tokens.sizes.hairline, tokens.text_muted));
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use crate::LineChart;

    #[test]
    fn who_points_at_a_title_is_told_what_is_shown() {
        let show = |ui: &mut egui::Ui| drop(LineChart::new("chart", "k-NN").about("nearest of 1000").show(ui));
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui(show);
        harness.run();
        assert_eq!(harness.query_all_by_label("nearest of 1000").count(), 1, "for those who do not point");
        harness.get_by_label("nearest of 1000").hover();
        harness.run();
        assert_eq!(harness.query_all_by_label("nearest of 1000").count(), 2, "and the box");
    }
}
