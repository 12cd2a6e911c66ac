//! The bar along the bottom of the window: small facts at both ends, and the newest message between them.

use egui::accesskit::Role;
use egui::{Align, Rect, Sense, TextStyle, Ui, WidgetInfo, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_icon, paint_line};
use crate::theme::paint_focus_ring;
use crate::{Tokens, Tone, icon};

/// One fact: an icon, a short text, and more on hover.
#[derive(Debug, Clone)]
#[must_use]
pub struct Segment<'a> {
    icon: &'a str,
    text: &'a str,
    tooltip: &'a str,
    tone: Tone,
    id: Option<usize>,
}

impl<'a> Segment<'a> {
    /// A fact that only stands there.
    pub fn new(icon: &'a str, text: &'a str) -> Self {
        Self { icon, text, tooltip: "", tone: Tone::Info, id: None }
    }

    /// What the pointer gets to know.
    pub fn tooltip(mut self, text: &'a str) -> Self {
        self.tooltip = text;
        self
    }

    /// Colors the icon.
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Makes it a button; [`StatusLine::show`] returns `id`, such as that of a command.
    pub fn clickable(mut self, id: usize) -> Self {
        self.id = Some(id);
        self
    }
}

/// A row of [`Segment`]s, as wide as there is room. Where room is short the message goes first, then the inner segments.
#[must_use]
#[derive(Default)]
pub struct StatusLine<'a> {
    left: Vec<Segment<'a>>,
    right: Vec<Segment<'a>>,
    message: &'a str,
}

/// No segment is wider, in points.
const MAX_WIDTH: f32 = 240.0;

impl<'a> StatusLine<'a> {
    /// An empty bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a segment at the left, behind those before.
    pub fn left(mut self, segment: Segment<'a>) -> Self {
        self.left.push(segment);
        self
    }

    /// Adds a segment at the right, in front of those before.
    pub fn right(mut self, segment: Segment<'a>) -> Self {
        self.right.push(segment);
        self
    }

    /// What happened last.
    pub fn message(mut self, text: &'a str) -> Self {
        self.message = text;
        self
    }

    /// Draws it. Some identifier if a segment was clicked.
    pub fn show(self, ui: &mut Ui) -> Option<usize> {
        let tokens = Tokens::of(ui);
        let (bar, _) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row), Sense::hover());
        let mut rest = bar;
        let mut clicked = None;
        let longest = self.left.len().max(self.right.len());
        // From both ends inward, so that what does not fit is what matters least.
        for place in 0..longest {
            for (segments, align) in [(&self.left, Align::LEFT), (&self.right, Align::RIGHT)] {
                let Some(segment) = segments.get(place) else { continue };
                let width = segment.width(ui);
                if width > rest.width() {
                    continue;
                }
                let rect = Rect::from_x_y_ranges(align.align_size_within_range(width, rest.x_range()), bar.y_range());
                match align {
                    Align::RIGHT => rest.max.x = rect.left(),
                    _ => rest.min.x = rect.right(),
                }
                clicked = clicked.or(segment.show(ui, rect, (place, align == Align::RIGHT)));
            }
        }
        self.show_message(ui, rest.shrink2(vec2(tokens.sizes.gap_large, 0.0)));
        clicked
    }

    fn show_message(&self, ui: &Ui, room: Rect) {
        let tokens = Tokens::of(ui);
        if self.message.is_empty() || room.width() < 48.0 {
            return;
        }
        let line = one_line(ui.painter(), self.message, TextStyle::Small.resolve(ui.style()), tokens.text_muted, room.width());
        let is_elided = line.elided;
        let rect = paint_line(ui.painter(), room, Align::Center, line);
        let response = ui.interact(rect, ui.scope_id().with("message"), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Status, true, self.message));
        if is_elided {
            response.on_hover_text(self.message);
        }
    }
}

impl Segment<'_> {
    fn width(&self, ui: &Ui) -> f32 {
        let sizes = &Tokens::of(ui).sizes;
        let text = self.line(ui).size().x;
        2.0 * sizes.gap + sizes.icon + if self.text.is_empty() { 0.0 } else { sizes.gap_small + text }
    }

    fn line(&self, ui: &Ui) -> std::sync::Arc<egui::Galley> {
        one_line(ui.painter(), self.text, TextStyle::Small.resolve(ui.style()), Tokens::of(ui).text, MAX_WIDTH)
    }

    fn show(&self, ui: &Ui, rect: Rect, salt: (usize, bool)) -> Option<usize> {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let sense = if self.id.is_some() { Sense::click() } else { Sense::hover() };
        let response = ui.interact(rect, ui.scope_id().with(("segment", salt)), sense);
        let name = if self.text.is_empty() { self.tooltip } else { self.text };
        response.widget_info(|| WidgetInfo::labeled(if self.id.is_some() { Role::Button } else { Role::Label }, true, name));
        if self.id.is_some() && response.hovered() {
            ui.painter().rect_filled(rect, sizes.radius, tokens.hover_fill);
        }
        let inner = rect.shrink2(vec2(sizes.gap, 0.0));
        paint_icon(ui.painter(), self.icon, inner.left_center() + vec2(0.5 * sizes.icon, 0.0), sizes.icon, tokens.color(self.tone.role()));
        let line = self.line(ui);
        let is_elided = line.elided;
        paint_line(ui.painter(), inner.with_min_x(inner.left() + sizes.icon + sizes.gap_small), Align::LEFT, line);
        paint_focus_ring(ui, &response, sizes.radius);
        let clicked = response.clicked();
        let mut more = if is_elided { self.text.to_owned() } else { String::new() };
        if !self.tooltip.is_empty() {
            more += if is_elided { "\n" } else { "" };
            more += self.tooltip;
        }
        if !more.is_empty() {
            response.on_hover_text(more);
        }
        self.id.filter(|_| clicked)
    }
}

fn sample<'a>(data: &'a str, message: &'a str) -> StatusLine<'a> {
    StatusLine::new()
        .left(Segment::new(icon::FOLDER, data).tooltip("5,000 images").clickable(0))
        .left(Segment::new(icon::PLAY, "Epoch 12 of 100").tone(Tone::Good).clickable(1))
        .message(message)
        .right(Segment::new(icon::NOTIFICATIONS, "").tooltip("All messages").clickable(2))
        .right(Segment::new(icon::MEMORY, "Processor").tooltip("2 threads"))
        .right(Segment::new(icon::SPEED, "85.2 img/s"))
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "status_line",
        size: vec2(800.0, 40.0),
        show: |ui| {
            sample("toy_scenes", "Checkpoint 400 saved, 88 MiB").show(ui);
        },
    },
    Exhibit {
        name: "status_line_long",
        size: vec2(800.0, 40.0),
        show: |ui| {
            let message = "The run ended: the disk is full. Free some room, then resume from checkpoint 400.";
            sample("/archive/2026/scans/imagenet100_resized_224_without_duplicates", message).show(ui);
        },
    },
    Exhibit {
        name: "status_line_narrow",
        size: vec2(320.0, 40.0),
        show: |ui| {
            sample("toy_scenes", "Checkpoint 400 saved, 88 MiB").show(ui);
        },
    },
    Exhibit {
        name: "status_line_empty",
        size: vec2(800.0, 40.0),
        show: |ui| {
            let device = Segment::new(icon::WARNING, "No device").tone(Tone::Warning).tooltip("Training needs a processor or a GPU");
            StatusLine::new().message("Open a folder of images to begin").right(device).show(ui);
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn segments_are_buttons_where_they_have_an_identifier() {
        let mut harness = Harness::builder()
            .with_size(vec2(800.0, 40.0))
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, clicked: &mut Option<usize>| *clicked = sample("toy_scenes", "Saved").show(ui).or(*clicked), None);
        harness.run();
        harness.get_by_label("All messages").click();
        harness.run();
        assert_eq!(*harness.state(), Some(2));
        assert!(harness.query_by_label("Saved").is_some());
    }

    #[test]
    fn the_outer_segments_stay_longest() {
        let mut harness = Harness::builder().with_size(vec2(200.0, 40.0)).with_context_setup(crate::theme::install).build_ui(|ui| {
            sample("toy_scenes", "Saved").show(ui);
        });
        harness.run();
        assert!(harness.query_by_label("toy_scenes").is_some() && harness.query_by_label("All messages").is_some());
        assert!(harness.query_by_label("Epoch 12 of 100").is_none() && harness.query_by_label("Saved").is_none());
    }
}
