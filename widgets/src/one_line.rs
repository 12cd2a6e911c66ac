//! Text on one line that ends in an ellipsis where room ends, and icons beside it: what painted rows are made of.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align, Color32, FontId, Galley, Painter, Pos2, Rect, pos2};

/// Lays text out on one line, at most `max_width` points wide. [`Galley::elided`] tells whether something was left out.
pub(crate) fn one_line(painter: &Painter, text: &str, font: FontId, color: Color32, max_width: f32) -> Arc<Galley> {
    one_line_of(painter, [(text, TextFormat::simple(font, color))], max_width)
}

/// Like [`one_line`], for text of several colors or fonts.
pub(crate) fn one_line_of<'a>(painter: &Painter, parts: impl IntoIterator<Item = (&'a str, TextFormat)>, max_width: f32) -> Arc<Galley> {
    let mut job = LayoutJob { wrap: TextWrapping::truncate_at_width(max_width.max(0.0)), break_on_newline: false, ..LayoutJob::default() };
    for (text, format) in parts {
        job.append(text, 0.0, format);
    }
    painter.layout_job(job)
}

/// Paints a laid out line in the vertical middle of `rect`, at its left, its center or its right. Returns where it went.
pub(crate) fn paint_line(painter: &Painter, rect: Rect, align: Align, line: Arc<Galley>) -> Rect {
    let spot = align.align_size_within_range(line.size().x, rect.x_range());
    let spot = Rect::from_min_size(pos2(spot.min, rect.center().y - 0.5 * line.size().y), line.size());
    painter.galley(spot.min, line, Color32::PLACEHOLDER);
    spot
}

/// Paints an icon `size` points wide around `center`.
pub(crate) fn paint_icon(painter: &Painter, icon: &str, center: Pos2, size: f32, color: Color32) {
    painter.text(center, egui::Align2::CENTER_CENTER, icon, FontId::proportional(size), color);
}
