//! The box beside the cross-hair of a chart: a row for each curve with its name and its value, and what happened there.

use std::sync::Arc;

use egui::{Color32, FontId, Galley, Painter, Pos2, Rect, Shadow, Stroke, StrokeKind, Ui, Vec2, pos2, vec2};

use crate::chart_axis::{text_from_value, text_from_x};
use crate::chart_hover::Reading;
use crate::chart_signs::{mark_color, mark_shape, put, swatch};
use crate::one_line::one_line;
use crate::{Curve, Mark, MarkKind, Role, Tokens};

/// Names and notes are no wider than this, in points.
const MAX_NAME_PX: f32 = 240.0;
const MAX_NOTE_PX: f32 = 320.0;
/// From the cross-hair to the box, in points.
const BOX_OFFSET_PX: f32 = 12.0;

/// The texts of the box, laid out and measured.
pub(crate) struct ReadOut {
    header: Arc<Galley>,
    heads: [Option<Arc<Galley>>; 2],
    rows: Vec<Row>,
    /// Marks, and a word about curves there was no room for.
    notes: Vec<Note>,
    /// Widths of names, values, raw values, and places, in points.
    widths: [f32; 4],
}

struct Row {
    color: Color32,
    is_dashed: bool,
    /// Name, value, raw value, and where the point lies if not under the cross-hair.
    cells: [Option<Arc<Galley>>; 4],
}

struct Note {
    sign: Option<(MarkKind, Color32)>,
    text: Arc<Galley>,
}

impl ReadOut {
    const ROW_PX: f32 = 18.0;
    const SWATCH_PX: f32 = 20.0;
    const PADDING_PX: f32 = 8.0;
    const GAP_PX: f32 = 12.0;

    /// The values of curves at `x`, and the marks near it.
    pub fn new(ui: &Ui, readings: &[Reading<'_>], marks: &[(Curve<'_>, Mark)], x_label: &str, x: f64) -> Self {
        let (tokens, painter, window) = (Tokens::of(ui), ui.painter(), ui.ctx().content_rect().size());
        let caption = FontId::proportional(tokens.fonts.small);
        let small = |text: String| painter.layout_no_wrap(text, caption.clone(), tokens.text_muted);
        let digits = |text: String, color: Color32| painter.layout_no_wrap(text, FontId::monospace(tokens.fonts.small), color);
        let row = |reading: &Reading<'_>| Row {
            color: tokens.color(Role::Series(reading.curve.color_index)),
            is_dashed: reading.curve.dashed,
            cells: [
                None,
                Some(digits(text_from_value(reading.value), tokens.text)),
                reading.raw.map(|raw| digits(text_from_value(raw), tokens.text_muted)),
                (reading.x != x).then(|| small(format!("at {}", text_from_x(reading.x)))),
            ],
        };
        let max_rows = ((window.y / Self::ROW_PX) as usize).saturating_sub(marks.len() + 4).max(1);
        let mut rows: Vec<Row> = readings.iter().take(max_rows).map(row).collect();
        let has_raw = rows.iter().any(|row| row.cells[2].is_some());
        let heads = ["smooth", "raw"].map(|head| has_raw.then(|| small(head.to_owned())));
        let header = painter.layout_no_wrap(format!("{x_label} {}", text_from_x(x)), caption.clone(), tokens.text);

        // Names get the room that the numbers leave.
        let mut widths = [0, 1, 2, 3].map(|column| rows.iter().map(|row| width(&row.cells[column])).fold(0.0, f32::max));
        widths[1] = widths[1].max(width(&heads[0]));
        widths[2] = widths[2].max(width(&heads[1]));
        let numbers: f32 = widths.iter().map(|width| width + Self::GAP_PX).sum();
        let max_width = (window.x - 2.0 * Self::PADDING_PX - Self::SWATCH_PX).max(Self::SWATCH_PX);
        let max_name_width = (max_width - numbers).clamp(Self::SWATCH_PX, MAX_NAME_PX);
        for (row, reading) in rows.iter_mut().zip(readings) {
            row.cells[0] = Some(one_line(ui.painter(), reading.curve.name, caption.clone(), tokens.text, max_name_width));
        }
        let names = rows.iter().map(|row| width(&row.cells[0]));
        widths[0] = names.fold(header.size().x - Self::SWATCH_PX, f32::max);

        let mut notes: Vec<_> = marks.iter().map(|(curve, mark)| note(ui, curve, *mark, max_width)).collect();
        if readings.len() > max_rows {
            notes.insert(0, Note { sign: None, text: small(format!("and {} more", readings.len() - max_rows)) });
        }
        Self { header, heads, rows, notes, widths }
    }

    /// Draws it beside the cross-hair.
    pub fn paint(&self, painter: &Painter, tokens: &Tokens, shadow: Shadow, plot: Rect, center: f32) {
        let frame = placed(self.size(), plot, center, painter.clip_rect());
        let radius = tokens.sizes.radius;
        painter.add(shadow.as_shape(frame, radius));
        painter.rect_filled(frame, radius, tokens.surface_raised);
        painter.rect_stroke(frame, radius, Stroke::new(tokens.sizes.hairline, tokens.line), StrokeKind::Inside);
        let inner = frame.shrink(Self::PADDING_PX);
        let middle = |row: usize| inner.top() + (row as f32 + 0.5) * Self::ROW_PX;
        let [names, values, raw_values, places] = self.column_ends(inner.left());
        put(painter, &self.header, pos2(inner.left(), middle(0)), 0.0);
        for (head, right) in self.heads.iter().zip([values, raw_values]) {
            put_cell(painter, head, pos2(right, middle(0)), 1.0);
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = middle(index + 1);
            swatch(painter, pos2(inner.left(), y), row.color, row.is_dashed);
            put_cell(painter, &row.cells[0], pos2(names - self.widths[0], y), 0.0);
            for (cell, right) in row.cells[1..].iter().zip([values, raw_values, places]) {
                put_cell(painter, cell, pos2(right, y), 1.0);
            }
        }
        for (index, note) in self.notes.iter().enumerate() {
            let y = middle(index + 1 + self.rows.len());
            if let Some((kind, color)) = note.sign {
                painter.add(mark_shape(kind, pos2(inner.left() + 6.0, y), color));
            }
            put(painter, &note.text, pos2(inner.left() + Self::SWATCH_PX, y), 0.0);
        }
    }

    fn size(&self) -> Vec2 {
        let columns: f32 = self.widths.iter().filter(|&&width| width > 0.0).map(|width| width + Self::GAP_PX).sum();
        let notes = self.notes.iter().map(|note| note.text.size().x).fold(0.0, f32::max);
        let num_rows = 1 + self.rows.len() + self.notes.len();
        let width = (Self::SWATCH_PX + columns - Self::GAP_PX).max(notes + Self::SWATCH_PX);
        vec2(width, num_rows as f32 * Self::ROW_PX) + Vec2::splat(2.0 * Self::PADDING_PX)
    }

    /// The right ends of the four columns.
    fn column_ends(&self, left: f32) -> [f32; 4] {
        let mut end = left + Self::SWATCH_PX - Self::GAP_PX;
        self.widths.map(|width| {
            end += if width > 0.0 { width + Self::GAP_PX } else { 0.0 };
            end
        })
    }
}

fn width(cell: &Option<Arc<Galley>>) -> f32 {
    cell.as_ref().map_or(0.0, |galley| galley.size().x)
}

fn put_cell(painter: &Painter, cell: &Option<Arc<Galley>>, position: Pos2, align: f32) {
    if let Some(galley) = cell {
        put(painter, galley, position, align);
    }
}

fn note(ui: &Ui, curve: &Curve<'_>, mark: Mark, max_width: f32) -> Note {
    let tokens = Tokens::of(ui);
    let what = match mark.kind {
        MarkKind::Checkpoint => "Checkpoint",
        MarkKind::Resumed => "Resumed",
        MarkKind::Warning => "Warning",
        MarkKind::Best => "Best",
    };
    let text = format!("{what} at {}, {}", text_from_x(mark.x), curve.name);
    Note {
        sign: Some((mark.kind, mark_color(tokens, curve, mark.kind))),
        text: one_line(ui.painter(), &text, FontId::proportional(tokens.fonts.small), tokens.text, max_width.min(MAX_NOTE_PX)),
    }
}

/// Where the box goes: right of the cross-hair if it fits there, else left; never outside of the window.
fn placed(size: Vec2, plot: Rect, center: f32, window: Rect) -> Rect {
    let room_on_the_right = plot.right().min(window.right()) - center;
    let is_left = room_on_the_right < size.x + BOX_OFFSET_PX && center - window.left() > size.x + BOX_OFFSET_PX;
    let left = if is_left { center - BOX_OFFSET_PX - size.x } else { center + BOX_OFFSET_PX };
    let within = |at: f32, length: f32, range: egui::Rangef| at.min(range.max - length).max(range.min);
    let min = pos2(within(left, size.x, window.x_range()), within(plot.top() + 8.0, size.y, window.y_range()));
    Rect::from_min_size(min, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_flips_and_stays_inside() {
        let window = Rect::from_min_size(Pos2::ZERO, vec2(400.0, 300.0));
        let plot = Rect::from_min_max(pos2(50.0, 20.0), pos2(390.0, 200.0));
        let size = vec2(150.0, 100.0);
        assert_eq!(placed(size, plot, 100.0, window).left(), 112.0);
        assert_eq!(placed(size, plot, 350.0, window).right(), 338.0);
        for center in [50.0, 200.0, 390.0] {
            for size in [size, vec2(300.0, 290.0)] {
                assert!(window.contains_rect(placed(size, plot, center, window)), "{center} {size}");
            }
        }
    }
}
