//! How often: upright bars over a range of values, and lying bars for names such as classes.

use egui::accesskit::Role;
use egui::{Align, Rect, Response, Sense, Stroke, TextStyle, Ui, WidgetInfo, vec2};

use crate::fonts::mono_small;
use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};
use crate::{EmptyState, Tokens, format, icon};

/// Upright bars, one for each bin of a range.
#[must_use]
pub struct Histogram<'a> {
    counts: &'a [u64],
    range: (f64, f64),
    unit: &'a str,
    what: &'a str,
    height: f32,
}

/// How much of a bin its bar leaves free, in points.
const BAR_GAP: f32 = 1.0;

impl<'a> Histogram<'a> {
    /// How many there are in each of equally wide bins from the first to the second value of `range`.
    pub fn new(counts: &'a [u64], range: (f64, f64)) -> Self {
        Self { counts, range, unit: "", what: "images", height: 96.0 }
    }

    /// Unit of the values.
    pub fn unit(mut self, unit: &'a str) -> Self {
        self.unit = unit;
        self
    }

    /// What is counted, in the plural.
    pub fn what(mut self, what: &'a str) -> Self {
        self.what = what;
        self
    }

    /// Height in points with the values below.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Draws it, as wide as there is room.
    pub fn show(self, ui: &mut Ui) -> Response {
        let tokens = Tokens::of(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::hover());
        let total = self.counts.iter().sum::<u64>();
        response.widget_info(|| {
            WidgetInfo::labeled(
                Role::Figure,
                true,
                format!("{} {} from {} to {}", format::count(total), self.what, self.value(0), self.value(self.counts.len())),
            )
        });
        let axis = rect.with_min_y(rect.bottom() - tokens.sizes.row_small);
        let bars = rect.with_max_y(axis.top());
        let muted = |text: &str, room: f32| one_line(ui.painter(), text, mono_small().resolve(ui.style()), tokens.text_muted, room);
        ui.painter().hline(bars.x_range(), bars.bottom(), Stroke::new(tokens.sizes.hairline, tokens.line));
        let Some(largest) = self.counts.iter().copied().max().filter(|largest| *largest > 0) else {
            paint_line(
                ui.painter(),
                bars,
                Align::Center,
                one_line(ui.painter(), &format!("No {}", self.what), TextStyle::Body.resolve(ui.style()), tokens.text_muted, bars.width()),
            );
            return response;
        };
        let under_pointer = response
            .hover_pos()
            .map(|pos| (((pos.x - bars.left()) / bars.width() * self.counts.len() as f32) as usize).min(self.counts.len() - 1));
        for (index, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let bin = self.bin(bars, index);
            let color = if under_pointer == Some(index) { tokens.accent } else { tokens.text_muted };
            // A single one among thousands must be seen.
            let height = (bars.height() * (count as f64 / largest as f64) as f32).max(1.0);
            let gap = if bin.width() > 3.0 * BAR_GAP { BAR_GAP } else { 0.0 };
            let bar = Rect::from_x_y_ranges(bin.left()..=bin.right() - gap, bars.bottom() - height..=bars.bottom());
            ui.painter().rect_filled(bar, 0.0, color);
        }
        paint_line(ui.painter(), axis, Align::LEFT, muted(&self.value(0), 0.5 * axis.width()));
        paint_line(
            ui.painter(),
            axis,
            Align::RIGHT,
            muted(&format!("{} {}", self.value(self.counts.len()), self.unit), 0.5 * axis.width()),
        );
        match under_pointer {
            Some(index) => {
                let (from, to, count) = (self.value(index), self.value(index + 1), self.counts[index]);
                let text = format!("{from} – {to} {}\n{} {} · {}", self.unit, format::count(count), self.what, format::share(count, total));
                response.on_hover_text_at_pointer(text)
            }
            None => response,
        }
    }

    fn bin(&self, bars: Rect, index: usize) -> Rect {
        let width = bars.width() / self.counts.len() as f32;
        Rect::from_x_y_ranges(bars.left() + index as f32 * width..=bars.left() + (index + 1) as f32 * width, bars.y_range())
    }

    /// The value at the left edge of a bin, with as many decimals as the bins need.
    fn value(&self, index: usize) -> String {
        let (from, to) = self.range;
        let step = (to - from) / self.counts.len().max(1) as f64;
        let decimals = if step >= 1.0 || step <= 0.0 { 0 } else { (-step.log10()).ceil().min(6.0) as usize };
        let value = from + step * index as f64;
        if decimals == 0 && value >= 0.0 { format::count(value.round() as u64) } else { format!("{value:.decimals$}") }
    }
}

/// Lying bars, one for each name, in the order given.
#[must_use]
pub struct BarList<'a> {
    bars: &'a [(&'a str, u64)],
    max_rows: usize,
    what: &'a str,
}

/// Share of the width that names may take.
const NAME_SHARE: f32 = 0.4;

impl<'a> BarList<'a> {
    /// Names and how many there are of each.
    pub fn new(bars: &'a [(&'a str, u64)]) -> Self {
        Self { bars, max_rows: 12, what: "images" }
    }

    /// Shows at most so many names, and says how many more there are.
    pub fn max_rows(mut self, max_rows: usize) -> Self {
        self.max_rows = max_rows;
        self
    }

    /// What is counted, in the plural.
    pub fn what(mut self, what: &'a str) -> Self {
        self.what = what;
        self
    }

    /// Draws it, as wide as there is room.
    pub fn show(self, ui: &mut Ui) {
        let tokens = Tokens::of(ui);
        if self.bars.is_empty() {
            EmptyState::new(icon::SORT, "Nothing to count", "The data has no labels").height(96.0).show(ui);
            return;
        }
        let total = self.bars.iter().map(|(_, count)| count).sum::<u64>();
        let largest = self.bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let shown = &self.bars[..self.max_rows.min(self.bars.len())];
        let font = mono_small().resolve(ui.style());
        let count_width = one_line(ui.painter(), &format::count(largest), font.clone(), tokens.text_muted, f32::INFINITY).size().x;
        let name_font = TextStyle::Small.resolve(ui.style());
        let widest = shown
            .iter()
            .map(|(name, _)| one_line(ui.painter(), name, name_font.clone(), tokens.text, f32::INFINITY).size().x)
            .fold(0.0, f32::max);
        let name_width = widest.min(NAME_SHARE * ui.available_width());
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (name, count) in shown {
                let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row_small), Sense::hover());
                let text = format!("{name}\n{} {} · {}", format::count(*count), self.what, format::share(*count, total));
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &text));
                let is_hovered = response.hovered();
                let painter = ui.painter();
                paint_line(
                    painter,
                    rect.with_max_x(rect.left() + name_width),
                    Align::LEFT,
                    one_line(ui.painter(), name, name_font.clone(), tokens.text, name_width),
                );
                paint_line(
                    painter,
                    rect,
                    Align::RIGHT,
                    one_line(ui.painter(), &format::count(*count), font.clone(), tokens.text_muted, count_width),
                );
                let room = Rect::from_x_y_ranges(
                    rect.left() + name_width + tokens.sizes.gap..=rect.right() - count_width - tokens.sizes.gap,
                    rect.center().y - 4.0..=rect.center().y + 4.0,
                );
                let width = (room.width() * (*count as f64 / largest as f64) as f32).max(if *count > 0 { 1.0 } else { 0.0 });
                painter.rect_filled(room.with_max_x(room.left() + width), 2.0, if is_hovered { tokens.accent } else { tokens.text_muted });
                response.on_hover_text(text);
            }
            if let Some(num_more @ 1..) = self.bars.len().checked_sub(shown.len()) {
                let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row_small), Sense::hover());
                let text = format!("and {} more", format::count(num_more as u64));
                paint_line(ui.painter(), rect, Align::LEFT, one_line(ui.painter(), &text, name_font, tokens.text_muted, rect.width()));
            }
        });
    }
}

const CLASSES: [(&str, u64); 7] = [
    ("tench", 1_300),
    ("electric ray, crampfish, numbfish, torpedo, of the family Torpedinidae", 1_249),
    ("hen", 820),
    ("ostrich", 611),
    ("brambling", 310),
    ("junco", 12),
    ("unlabeled", 0),
];

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "histogram_sizes",
        size: vec2(320.0, 112.0),
        show: |ui| {
            let counts = [0, 1, 4, 18, 60, 141, 240, 310, 1_204, 260, 170, 92, 40, 22, 9, 3, 0, 0, 0, 1];
            Histogram::new(&counts, (64.0, 1_344.0)).unit("px").show(ui);
        },
    },
    Exhibit {
        name: "histogram_empty",
        size: vec2(320.0, 112.0),
        show: |ui| {
            Histogram::new(&[0; 20], (0.0, 1.0)).show(ui);
        },
    },
    Exhibit { name: "histogram_classes", size: vec2(400.0, 160.0), show: |ui| BarList::new(&CLASSES).max_rows(6).show(ui) },
    Exhibit { name: "histogram_no_classes", size: vec2(320.0, 112.0), show: |ui| BarList::new(&[]).show(ui) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_have_the_decimals_they_need() {
        let histogram = |counts, range| Histogram::new(counts, range);
        assert_eq!(histogram(&[0; 20], (64.0, 1_344.0)).value(20), "1,344");
        assert_eq!(histogram(&[0; 20], (0.0, 1.0)).value(1), "0.05");
        assert_eq!(histogram(&[0; 10], (-1.0, 1.0)).value(0), "-1.0");
        assert_eq!(histogram(&[], (0.0, 1.0)).value(0), "0");
    }
}
