//! The values of a channel, and the part of them between black and white: two edges that are dragged, or moved with the arrow keys.

use egui::{CursorIcon, EventFilter, Key, Rect, Response, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};
use maskroom_widgets::Tokens;

/// A histogram with two edges.
#[must_use = "nothing is drawn before `show`"]
pub(super) struct HistogramWindow<'a> {
    name: &'a str,
    histogram: &'a [u64],
    range: [f32; 2],
}

const HEIGHT: f32 = 48.0;
/// How far an arrow key moves an edge, as a share of the width.
const STEP: f32 = 1.0 / 255.0;

impl<'a> HistogramWindow<'a> {
    /// How many values lie in each of equal parts of a range.
    pub(super) fn new(name: &'a str, histogram: &'a [u64], range: [f32; 2]) -> Self {
        Self { name, histogram, range }
    }

    /// Where a value lies; one outside of the range lies at its end.
    fn x_of(&self, rect: Rect, value: f32) -> f32 {
        let [low, high] = self.range;
        rect.left() + ((value - low) / (high - low).max(f32::EPSILON)).clamp(0.0, 1.0) * rect.width()
    }

    /// As wide as there is room; changed when an edge was moved.
    pub(super) fn show(self, ui: &mut Ui, window: &mut [f32; 2]) -> Response {
        let tokens = Tokens::of(ui);
        let (rect, mut response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
        let before = *window;
        for edge in 0..2 {
            self.move_edge(ui, rect, &response, window, edge);
        }
        if *window != before {
            response.mark_changed();
        }
        self.paint(ui, tokens, rect, *window);
        response
    }

    fn paint(&self, ui: &Ui, tokens: &Tokens, rect: Rect, window: [f32; 2]) {
        let painter = ui.painter_at(rect.expand(2.0));
        painter.rect_filled(rect, tokens.sizes.radius, tokens.surface_field);
        let edges = window.map(|value| self.x_of(rect, value));
        // Counts differ by magnitudes: their logarithms can all be seen.
        let height = |count: u64| (count as f32).ln_1p();
        let largest = self.histogram.iter().map(|&count| height(count)).fold(1.0, f32::max);
        let width = rect.width() / self.histogram.len().max(1) as f32;
        for (bin, &count) in self.histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
            let left = rect.left() + bin as f32 * width;
            let top = rect.bottom() - (rect.height() - 4.0) * height(count) / largest;
            let is_inside = left + width > edges[0] && left < edges[1];
            let bar = Rect::from_x_y_ranges(left..=left + (width - 0.5).max(0.5), top..=rect.bottom());
            painter.rect_filled(bar, 0.0, if is_inside { tokens.text_muted } else { tokens.line_strong });
        }
        for x in edges {
            painter.vline(x, rect.y_range(), Stroke::new(tokens.sizes.focus_ring, tokens.accent));
        }
    }

    fn move_edge(&self, ui: &Ui, rect: Rect, whole: &Response, window: &mut [f32; 2], edge: usize) {
        let tokens = Tokens::of(ui);
        let x = self.x_of(rect, window[edge]);
        // Outward of the edge, so that both can be taken also where they meet.
        let reach = tokens.sizes.gap;
        let handle = if edge == 0 { x - reach..=x + 2.0 } else { x - 2.0..=x + reach };
        let response = ui.interact(Rect::from_x_y_ranges(handle, rect.y_range()), whole.id.with(edge), Sense::click_and_drag());
        let label = format!("{}, {}", self.name, if edge == 0 { "black" } else { "white" });
        response.widget_info(|| WidgetInfo::slider(ui.is_enabled(), f64::from(window[edge]), &label));
        if response.clicked() || response.drag_started() {
            response.request_focus();
        }
        let [low, high] = self.range;
        let mut moved = window[edge];
        if let (true, Some(pointer)) = (response.dragged(), response.interact_pointer_pos()) {
            moved = low + ((pointer.x - rect.left()) / rect.width()).clamp(0.0, 1.0) * (high - low);
        }
        if response.has_focus() {
            let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            let presses = |key| ui.input(|input| input.num_presses(key)) as f32;
            moved += STEP * (high - low) * (presses(Key::ArrowRight) - presses(Key::ArrowLeft));
            let stroke = Stroke::new(tokens.sizes.hairline, tokens.focus_ring);
            ui.painter().rect_stroke(response.rect.expand(1.0), 2.0, stroke, StrokeKind::Outside);
        }
        window[edge] = if edge == 0 { moved.clamp(0.0, window[1]) } else { moved.clamp(window[0], 1.0) };
        response.on_hover_cursor(CursorIcon::ResizeHorizontal);
    }
}
