//! Pictures over time: a row of small ones, and a slider to go through them. Quick with thousands, as only the visible ones are drawn.

use std::ops::Range;

use egui::emath::GuiRounding as _;
use egui::{Align2, EventFilter, FontId, Key, Painter, Pos2, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::one_line::one_line;
use crate::thumb::Thumb;

/// Up to so many frames, each has a tick of its own.
const TICKS_UP_TO_FRAMES: usize = 40;

/// Frames in the order of time, one of them selected.
#[must_use = "call `show`"]
pub struct Filmstrip<'a, Label> {
    labels: &'a [Label],
    name: &'a str,
    thumbnail: Option<&'a mut dyn FnMut(usize) -> Thumb>,
    marks: &'a [usize],
    cell: f32,
}

/// What a filmstrip drew.
#[derive(Debug)]
pub struct FilmstripResponse {
    /// Of the slider, which holds the keyboard focus; changed if another frame is selected than before.
    pub response: Response,
    /// The frames that were drawn: read these first.
    pub visible: Range<usize>,
}

impl<'a, Label: AsRef<str>> Filmstrip<'a, Label> {
    /// One label a frame, such as `step 1,200`.
    pub fn new(name: &'a str, labels: &'a [Label]) -> Self {
        Self { labels, name, thumbnail: None, marks: &[], cell: 64.0 }
    }

    /// A row of small pictures above the slider, asked for the visible frames.
    pub fn thumbnail(mut self, thumbnail: &'a mut dyn FnMut(usize) -> Thumb) -> Self {
        self.thumbnail = Some(thumbnail);
        self
    }

    /// Frames that stand out on the slider, such as checkpoints.
    pub fn marks(mut self, marks: &'a [usize]) -> Self {
        self.marks = marks;
        self
    }

    /// Width and height of a small picture, in points.
    pub fn cell(mut self, points: f32) -> Self {
        self.cell = points;
        self
    }

    /// As wide as the room that is left.
    pub fn show(mut self, ui: &mut Ui, selected: &mut usize) -> FilmstripResponse {
        let tokens = Tokens::of(ui);
        let last = self.labels.len().saturating_sub(1);
        let before = *selected;
        *selected = (*selected).min(last);

        let width = ui.available_width().max(4.0 * tokens.sizes.row);
        let num_fitting = self.fit_cells(tokens, width);
        let row_height = if self.thumbnail.is_some() { self.cell + tokens.sizes.gap } else { 0.0 };
        let size = Vec2::new(width, row_height + 2.0 * tokens.sizes.row);
        let (_, rect) = ui.allocate_space(size);
        let (row, below) = rect.split_top_bottom_at_y(rect.top() + row_height);
        let (slider, captions) = below.split_top_bottom_at_y(below.top() + tokens.sizes.row);

        let id = ui.scope_id().with(self.name);
        let mut response = ui.interact(slider, id, Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::slider(ui.is_enabled(), *selected as f64, self.name));
        let track = slider.shrink2(Vec2::new(tokens.sizes.gap, 0.0));
        if response.is_pointer_button_down_on() {
            response.request_focus();
            if let Some(pos) = response.interact_pointer_pos() {
                let share = ((pos.x - track.left()) / track.width()).clamp(0.0, 1.0);
                *selected = (share * last as f32).round() as usize;
            }
        }
        if response.has_focus() {
            *selected = follow_keys(ui, id, *selected, last);
        }

        let visible = self.show_row(ui, row, num_fitting, &response, selected);
        self.paint_slider(ui.painter(), tokens, track, &response, *selected);
        let is_cut = self.paint_captions(ui.painter(), tokens, captions, *selected);
        if *selected != before {
            response.mark_changed();
        }
        if let (true, Some(label)) = (is_cut, self.labels.get(*selected)) {
            response = response.on_hover_text(label.as_ref());
        }
        FilmstripResponse { response, visible }
    }

    /// How many pictures stand side by side; where there are more than fit, their size is changed a little so that they fill the width.
    fn fit_cells(&mut self, tokens: &Tokens, width: f32) -> usize {
        let gap = tokens.sizes.gap_small;
        let num_fitting = (((width + gap) / (self.cell + gap)).round() as usize).max(1);
        if self.labels.len() >= num_fitting {
            self.cell = (width + gap) / num_fitting as f32 - gap;
        }
        num_fitting
    }

    /// The frames around the selected one; which they are follows from the selection, so there is nothing to scroll.
    fn show_row(&mut self, ui: &Ui, row: Rect, num_fitting: usize, slider: &Response, selected: &mut usize) -> Range<usize> {
        let tokens = Tokens::of(ui);
        let Some(thumbnail) = &mut self.thumbnail else { return 0..0 };
        let pitch = self.cell + tokens.sizes.gap_small;
        let first = selected.saturating_sub(num_fitting / 2).min(self.labels.len().saturating_sub(num_fitting));
        let visible = first..(first + num_fitting).min(self.labels.len());
        for index in visible.clone() {
            let corner = row.left_top() + Vec2::new((index - first) as f32 * pitch, 0.0);
            let cell = Rect::from_min_size(corner, Vec2::splat(self.cell)).round_to_pixels(ui.pixels_per_point());
            let label = self.labels[index].as_ref();
            let response = ui.interact(cell, slider.id.with(index), Sense::CLICK);
            response.widget_info(|| egui::WidgetInfo::selected(egui::Role::ListBoxOption, ui.is_enabled(), index == *selected, label));
            if response.clicked() {
                slider.request_focus();
                *selected = index;
            }
            thumbnail(index).paint(ui.painter(), tokens, cell);
            if response.hovered() {
                ui.painter().rect_filled(cell, tokens.sizes.radius, tokens.hover_fill);
            }
            if index == *selected {
                let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.accent);
                ui.painter().rect_stroke(cell, tokens.sizes.radius, stroke, StrokeKind::Inside);
            }
            response.on_hover_text(label);
        }
        visible
    }

    fn paint_slider(&self, painter: &Painter, tokens: &Tokens, track: Rect, response: &Response, selected: usize) {
        let last = self.labels.len().saturating_sub(1);
        let x_of = |index: usize| track.left() + track.width() * index.min(last) as f32 / last.max(1) as f32;
        let rail = Rect::from_center_size(track.center(), Vec2::new(track.width(), tokens.sizes.gap_small));
        painter.rect_filled(rail, tokens.sizes.radius, tokens.surface_field);
        let done = Rect::from_min_max(rail.min, Pos2::new(x_of(selected), rail.bottom()));
        painter.rect_filled(done, tokens.sizes.radius, tokens.accent);
        let tick = |index: usize, height: f32, color| {
            let x = painter.round_to_pixel_center(x_of(index));
            painter.vline(x, rail.bottom() + 2.0..=rail.bottom() + 2.0 + height, Stroke::new(tokens.sizes.hairline, color));
        };
        if last <= TICKS_UP_TO_FRAMES {
            (0..self.labels.len()).for_each(|index| tick(index, 3.0, tokens.line_strong));
        }
        self.marks.iter().for_each(|&index| tick(index, 6.0, tokens.text_muted));
        if self.labels.is_empty() {
            return;
        }
        let knob = Pos2::new(x_of(selected), rail.center().y);
        let radius = if response.hovered() || response.dragged() { 8.0 } else { 7.0 };
        painter.circle_filled(knob, radius, tokens.text);
        if response.has_focus() {
            painter.circle_stroke(knob, radius + 2.0, Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring));
        }
    }

    /// The label of the selected frame under the knob, those of the ends where there is room. Returns whether the selected one was cut.
    fn paint_captions(&self, painter: &Painter, tokens: &Tokens, area: Rect, selected: usize) -> bool {
        let font = FontId::monospace(tokens.fonts.small);
        let (Some(first), Some(chosen), Some(end)) = (self.labels.first(), self.labels.get(selected), self.labels.last()) else {
            let galley = one_line(painter, "No frames yet", FontId::proportional(tokens.fonts.small), tokens.text_muted, area.width());
            painter.galley(Align2::LEFT_CENTER.align_size_within_rect(galley.size(), area).min, galley, tokens.text_muted);
            return false;
        };
        let galley = one_line(painter, chosen.as_ref(), font.clone(), tokens.text, area.width());
        let is_cut = galley.elided;
        let share = selected as f32 / (self.labels.len() - 1).max(1) as f32;
        let left = (area.left() + tokens.sizes.gap + share * (area.width() - 2.0 * tokens.sizes.gap) - galley.size().x / 2.0)
            .clamp(area.left(), (area.right() - galley.size().x).max(area.left()));
        let chosen_rect = Rect::from_min_size(Pos2::new(left, area.center().y - galley.size().y / 2.0), galley.size());
        painter.galley(chosen_rect.min, galley, tokens.text);
        for (label, align) in [(first, Align2::LEFT_CENTER), (end, Align2::RIGHT_CENTER)] {
            let galley = one_line(painter, label.as_ref(), font.clone(), tokens.text_muted, area.width() / 3.0);
            let place = align.align_size_within_rect(galley.size(), area);
            if !place.expand(tokens.sizes.gap).intersects(chosen_rect) {
                painter.galley(place.min, galley, tokens.text_muted);
            }
        }
        is_cut
    }
}

fn follow_keys(ui: &Ui, id: egui::Id, selected: usize, last: usize) -> usize {
    let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    let presses = |key| ui.input(|input| input.num_presses(key)) as isize;
    if presses(Key::Home) > 0 {
        return 0;
    }
    if presses(Key::End) > 0 {
        return last;
    }
    let page = (last / 10).max(1) as isize;
    let steps = presses(Key::ArrowRight) - presses(Key::ArrowLeft) + page * (presses(Key::PageDown) - presses(Key::PageUp));
    selected.saturating_add_signed(steps).min(last)
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "filmstrip", size: Vec2::new(480.0, 136.0), show: |ui| exhibit(ui, 7, 3, |frame| format!("step {}00", frame + 1)) },
    Exhibit {
        name: "filmstrip_thousand",
        size: Vec2::new(480.0, 136.0),
        show: |ui| exhibit(ui, 1000, 620, |frame| format!("step {}", crate::format::count(50 * frame as u64))),
    },
    Exhibit {
        name: "filmstrip_long",
        size: Vec2::new(240.0, 136.0),
        show: |ui| exhibit(ui, 3, 2, |frame| format!("pretrain-hills-mae-seed-7 at epoch {frame} of 3")),
    },
    Exhibit { name: "filmstrip_empty", size: Vec2::new(240.0, 136.0), show: |ui| exhibit(ui, 0, 0, |_| String::new()) },
];

fn exhibit(ui: &mut Ui, num_frames: usize, mut selected: usize, label: fn(usize) -> String) {
    let labels: Vec<_> = (0..num_frames).map(label).collect();
    let context = ui.ctx().clone();
    let mut thumbnail = |frame| match frame {
        6 => Thumb::Pending,
        0 if num_frames == 3 => Thumb::Failed("This checkpoint has no pictures".into()),
        _ => crate::sample::scene_thumb(&context, 3),
    };
    let marks: Vec<_> = (0..num_frames).step_by((num_frames / 5).max(2)).collect();
    Filmstrip::new("Reconstructions", &labels).thumbnail(&mut thumbnail).marks(&marks).show(ui, &mut selected);
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[derive(Default)]
    struct Shown {
        selected: usize,
        visible: Range<usize>,
        has_changed: bool,
    }

    fn harness(num_frames: usize, selected: usize) -> Harness<'static, Shown> {
        let labels: Vec<_> = (0..num_frames).map(|frame| format!("step {frame}")).collect();
        Harness::builder().with_size(Vec2::new(600.0, 140.0)).with_context_setup(crate::theme::install).build_ui_state(
            move |ui, shown: &mut Shown| {
                let mut thumbnail = |_| Thumb::Pending;
                let strip = Filmstrip::new("Frames", &labels).thumbnail(&mut thumbnail).show(ui, &mut shown.selected);
                shown.visible = strip.visible;
                shown.has_changed |= strip.response.changed();
            },
            Shown { selected, ..Shown::default() },
        )
    }

    #[test]
    fn keys_go_through_the_frames() {
        let mut harness = harness(1000, 500);
        harness.get_by_label("Frames").focus();
        harness.run();
        assert!(!harness.state().has_changed);
        for (key, frame) in
            [(Key::ArrowRight, 501), (Key::ArrowLeft, 500), (Key::Home, 0), (Key::ArrowLeft, 0), (Key::End, 999), (Key::ArrowRight, 999)]
        {
            harness.key_press(key);
            harness.run();
            let shown = harness.state();
            assert_eq!(shown.selected, frame, "{key:?}");
            assert!(shown.visible.contains(&frame) && shown.visible.len() < 10, "{key:?}: {:?}", shown.visible);
        }
        assert!(harness.state().has_changed);
    }

    #[test]
    fn a_click_on_a_picture_selects_it() {
        let mut harness = harness(5, 0);
        harness.run();
        harness.get_by_label("step 3").click();
        harness.run();
        assert_eq!(harness.state().selected, 3);
    }

    #[test]
    fn the_slider_follows_the_pointer() {
        let mut harness = harness(101, 0);
        harness.run();
        let rect = harness.get_by_label("Frames").rect();
        harness.drag_at(rect.center());
        harness.step();
        harness.step();
        assert_eq!(harness.state().selected, 50);
    }

    #[test]
    fn no_frame_one_frame_and_a_selection_beyond_the_end_are_no_trouble() {
        for (num_frames, selected) in [(0, 0), (1, 0), (4, 3)] {
            let mut harness = harness(num_frames, 9);
            harness.run();
            assert_eq!(harness.state().selected, selected);
        }
    }
}
