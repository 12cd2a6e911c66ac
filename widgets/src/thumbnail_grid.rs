//! A grid of small pictures that stays quick with hundreds of thousands: only the visible rows are asked for and laid out.

use std::borrow::Cow;
use std::ops::Range;

use egui::{Align2, FontId, Key, Painter, Pos2, Rect, Response, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2};

use crate::gallery::Exhibit;
use crate::one_line::one_line;
use crate::picture::paint_inner_focus_ring;
use crate::thumb::Thumb;
use crate::{Role, Tokens};

/// A word on a picture's corner, such as a label or a count.
#[derive(Debug, Clone, PartialEq)]
pub struct Badge {
    /// The word.
    pub text: Cow<'static, str>,
    /// Its color.
    pub role: Role,
}

/// A grid of small pictures. Click or arrow keys select, a double click or Enter opens. What was selected elsewhere is scrolled to once.
#[must_use = "call `show`"]
pub struct ThumbnailGrid<'a> {
    name: &'a str,
    num_items: usize,
    thumbnail: &'a mut dyn FnMut(usize) -> Thumb,
    caption: Option<&'a dyn Fn(usize) -> Cow<'a, str>>,
    badge: Option<&'a dyn Fn(usize) -> Option<Badge>>,
    overlay: Option<&'a mut dyn FnMut(usize) -> Option<egui::TextureId>>,
    cell: f32,
    empty: &'a str,
}

/// What happened in a grid.
#[derive(Debug)]
pub struct GridResponse {
    /// Of the grid as a whole; it holds the keyboard focus.
    pub response: Response,
    /// The items that were drawn: read these first.
    pub visible: Range<usize>,
    /// The item that was clicked.
    pub clicked: Option<usize>,
    /// The item that is to be opened.
    pub opened: Option<usize>,
    /// Whether another item is selected than before.
    pub selected_changed: bool,
}

/// How items lie in the grid, in points.
struct Layout {
    columns: usize,
    cell: f32,
    /// Height of a row with its caption and the gap below.
    pitch: f32,
    gap: f32,
}

impl<'a> ThumbnailGrid<'a> {
    /// A grid of so many items; `thumbnail` is asked for the visible ones in every frame.
    pub fn new(name: &'a str, num_items: usize, thumbnail: &'a mut dyn FnMut(usize) -> Thumb) -> Self {
        Self { name, num_items, thumbnail, caption: None, badge: None, overlay: None, cell: 96.0, empty: "No images" }
    }

    /// A line of text below each picture.
    pub fn caption(mut self, caption: &'a dyn Fn(usize) -> Cow<'a, str>) -> Self {
        self.caption = Some(caption);
        self
    }

    /// A word on some pictures.
    pub fn badge(mut self, badge: &'a dyn Fn(usize) -> Option<Badge>) -> Self {
        self.badge = Some(badge);
        self
    }

    /// A picture of the same shape, laid over the item's own once that is there.
    pub fn overlay(mut self, overlay: &'a mut dyn FnMut(usize) -> Option<egui::TextureId>) -> Self {
        self.overlay = Some(overlay);
        self
    }

    /// Width and height of a picture, in points; they grow a little so that columns fill the width.
    pub fn cell(mut self, points: f32) -> Self {
        self.cell = points;
        self
    }

    /// What to say without items: how to get some.
    pub fn empty(mut self, text: &'a str) -> Self {
        self.empty = text;
        self
    }

    /// Fills the room that is left.
    pub fn show(mut self, ui: &mut Ui, selected: &mut Option<usize>) -> GridResponse {
        let before = *selected;
        let id = ui.scope_id().with(self.name);
        let area = ui.available_rect_before_wrap();
        let response = ui.interact(area, id, Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ListBox, ui.is_enabled(), self.name));
        let mut answer = GridResponse { response, visible: 0..0, clicked: None, opened: None, selected_changed: false };
        if self.num_items == 0 {
            ui.advance_cursor_after_rect(area);
            crate::image_canvas::paint_empty(ui.painter(), Tokens::of(ui), area, self.empty);
            *selected = None;
        } else {
            let scroll = ScrollArea::vertical().id_salt(id).auto_shrink(false).animated(false);
            scroll.show_viewport(ui, |ui, viewport| self.show_rows(ui, viewport, selected, &mut answer));
        }
        if answer.response.has_focus() {
            paint_inner_focus_ring(&ui.painter_at(area), Tokens::of(ui), area);
        }
        answer.selected_changed = *selected != before;
        answer
    }

    fn show_rows(&mut self, ui: &mut Ui, viewport: Rect, selected: &mut Option<usize>, answer: &mut GridResponse) {
        let tokens = Tokens::of(ui);
        let layout = self.layout(tokens, ui.max_rect().width());
        let num_rows = self.num_items.div_ceil(layout.columns);
        ui.set_height(num_rows as f32 * layout.pitch - layout.gap);
        let top_of = |row: usize| ui.max_rect().top() + row as f32 * layout.pitch;

        let moved = if answer.response.has_focus() { self.follow_keys(ui, viewport, &layout, *selected, answer) } else { None };
        *selected = moved.or(*selected);
        let known = ui.data_mut(|data| data.get_temp::<Option<usize>>(answer.response.id).flatten());
        if let Some(index) = selected.filter(|_| moved.is_some() || *selected != known) {
            let row = index.min(self.num_items - 1) / layout.columns;
            ui.scroll_to_rect(Rect::from_x_y_ranges(ui.max_rect().x_range(), top_of(row)..=top_of(row + 1)), None);
        }

        let first_row = ((viewport.min.y / layout.pitch).floor().max(0.0) as usize).min(num_rows - 1);
        let end_row = ((viewport.max.y / layout.pitch).ceil() as usize).clamp(first_row + 1, num_rows);
        answer.visible = first_row * layout.columns..(end_row * layout.columns).min(self.num_items);
        for index in answer.visible.clone() {
            let (column, row) = (index % layout.columns, index / layout.columns);
            let corner = Pos2::new(ui.max_rect().left() + column as f32 * (layout.cell + layout.gap), top_of(row));
            let item = Rect::from_min_size(corner, Vec2::new(layout.cell, layout.pitch - layout.gap));
            let response = self.show_item(ui, tokens, item, index, *selected == Some(index));
            if response.clicked() {
                answer.response.request_focus();
                *selected = Some(index);
                answer.clicked = Some(index);
            }
            if response.double_clicked() {
                answer.opened = Some(index);
            }
        }
        ui.data_mut(|data| data.insert_temp(answer.response.id, *selected));
    }

    fn layout(&self, tokens: &Tokens, width: f32) -> Layout {
        let gap = tokens.sizes.gap;
        let columns = (((width + gap) / (self.cell.max(tokens.sizes.row) + gap)) as usize).max(1);
        let cell = (width + gap) / columns as f32 - gap;
        let caption = if self.caption.is_some() { tokens.sizes.row } else { 0.0 };
        Layout { columns, cell, pitch: cell + caption + gap, gap }
    }

    fn follow_keys(&self, ui: &Ui, viewport: Rect, layout: &Layout, selected: Option<usize>, answer: &mut GridResponse) -> Option<usize> {
        let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..egui::EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(answer.response.id, filter));
        let presses = |key| ui.input(|input| input.num_presses(key)) as isize;
        if presses(Key::Enter) > 0 {
            answer.opened = selected;
        }
        let last = self.num_items - 1;
        let columns = layout.columns as isize;
        let page = ((viewport.height() / layout.pitch) as isize).max(1) * columns;
        let steps = presses(Key::ArrowRight) - presses(Key::ArrowLeft)
            + columns * (presses(Key::ArrowDown) - presses(Key::ArrowUp))
            + page * (presses(Key::PageDown) - presses(Key::PageUp));
        if presses(Key::Home) > 0 {
            Some(0)
        } else if presses(Key::End) > 0 {
            Some(last)
        } else if steps != 0 {
            Some(selected.map_or(0, |index| index.saturating_add_signed(steps).min(last)))
        } else {
            None
        }
    }

    fn show_item(&mut self, ui: &Ui, tokens: &Tokens, item: Rect, index: usize, is_selected: bool) -> Response {
        let thumb = (self.thumbnail)(index);
        let caption = self.caption.map(|caption| caption(index));
        let response = ui.interact(item, ui.scope_id().with(index), Sense::CLICK);
        response.widget_info(|| {
            let name = caption.as_deref().map_or_else(|| format!("{} {}", self.name, index + 1), str::to_owned);
            egui::WidgetInfo::selected(egui::Role::ListBoxOption, ui.is_enabled(), is_selected, name)
        });

        let painter = ui.painter();
        let cell = Rect::from_min_size(item.min, Vec2::splat(item.width()));
        thumb.paint(painter, tokens, cell);
        if let (Thumb::Ready(_, size), Some(overlay)) = (&thumb, &mut self.overlay)
            && let Some(texture) = overlay(index)
        {
            Thumb::Ready(texture, *size).paint(painter, tokens, cell);
        }
        let is_cut = caption.as_deref().is_some_and(|caption| paint_caption(painter, tokens, item, cell, caption, is_selected));
        if let Some(badge) = self.badge.and_then(|badge| badge(index)) {
            paint_badge(painter, tokens, cell, &badge);
        }
        if response.hovered() {
            painter.rect_filled(cell, tokens.sizes.radius, tokens.hover_fill);
        }
        if is_selected {
            let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.accent);
            painter.rect_stroke(cell, tokens.sizes.radius, stroke, StrokeKind::Inside);
        }
        match (thumb.failure(), caption) {
            (Some(reason), Some(caption)) => response.on_hover_text(format!("{caption}\n{reason}")),
            (Some(reason), None) => response.on_hover_text(reason),
            (None, Some(caption)) if is_cut => response.on_hover_text(caption),
            _ => response,
        }
    }
}

/// Returns whether the text was cut.
fn paint_caption(painter: &Painter, tokens: &Tokens, item: Rect, cell: Rect, caption: &str, is_selected: bool) -> bool {
    let color = if is_selected { tokens.text } else { tokens.text_muted };
    let galley = one_line(painter, caption, FontId::proportional(tokens.fonts.small), color, cell.width());
    let below = Rect::from_min_max(cell.left_bottom(), item.max);
    let is_cut = galley.elided;
    painter.galley(Align2::LEFT_CENTER.align_size_within_rect(galley.size(), below).min, galley, color);
    is_cut
}

fn paint_badge(painter: &Painter, tokens: &Tokens, cell: Rect, badge: &Badge) {
    // The plate is dark in both themes.
    let (gap, color) = (tokens.sizes.gap_small, Tokens::dark().color(badge.role));
    let font = FontId::proportional(tokens.fonts.small);
    let galley = one_line(painter, &badge.text, font, tokens.on_scrim, (cell.width() - 8.0 * gap).max(0.0));
    let dot = 2.0 * gap;
    let size = galley.size() + Vec2::new(dot + 3.0 * gap, gap);
    let plate = Align2::RIGHT_TOP.align_size_within_rect(size, cell.shrink(gap));
    painter.rect_filled(plate, tokens.sizes.radius, tokens.scrim);
    painter.circle_filled(plate.left_center() + Vec2::new(gap + dot / 2.0, 0.0), dot / 2.0 - 0.5, color);
    painter.galley(plate.min + Vec2::new(dot + 2.0 * gap, gap / 2.0), galley, tokens.on_scrim);
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "thumbnail_grid",
        size: Vec2::new(480.0, 320.0),
        show: |ui| exhibit(ui, 100_000, |index| format!("img_{index:05}.jpg")),
    },
    Exhibit {
        name: "thumbnail_grid_long",
        size: Vec2::new(240.0, 200.0),
        show: |ui| exhibit(ui, 5, |index| format!("fjord_at_dusk_third_exposure_bracketed_{index}.tiff")),
    },
    Exhibit { name: "thumbnail_grid_empty", size: Vec2::new(320.0, 160.0), show: |ui| exhibit(ui, 0, |_| String::new()) },
];

fn exhibit(ui: &mut Ui, num_items: usize, caption: fn(usize) -> String) {
    let context = ui.ctx().clone();
    let mut thumbnail = |index| match index {
        3 | 9 => Thumb::Pending,
        6 => Thumb::Failed("The file ends in the middle of a row".into()),
        _ => crate::sample::scene_thumb(&context, index),
    };
    let badge = |index| (index % 5 == 1).then_some(Badge { text: "validation".into(), role: Role::Series(1) });
    let caption = |index| Cow::Owned(caption(index));
    let grid = ThumbnailGrid::new("Images", num_items, &mut thumbnail).caption(&caption).badge(&badge);
    grid.empty("This folder has no images.\nChoose another one above.").show(ui, &mut Some(1));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[derive(Default)]
    struct Shown {
        selected: Option<usize>,
        visible: Range<usize>,
        opened: Option<usize>,
        num_calls: usize,
    }

    fn harness(num_items: usize) -> Harness<'static, Shown> {
        Harness::builder().with_size(Vec2::new(1200.0, 800.0)).with_context_setup(crate::theme::install).build_ui_state(
            move |ui, shown: &mut Shown| {
                let num_calls = Cell::new(0);
                let count = || num_calls.set(num_calls.get() + 1);
                let mut thumbnail = |_| {
                    count();
                    Thumb::Pending
                };
                let caption = |index| {
                    count();
                    Cow::Owned(format!("item {index}"))
                };
                let answer = ThumbnailGrid::new("Images", num_items, &mut thumbnail).caption(&caption).show(ui, &mut shown.selected);
                shown.visible = answer.visible;
                shown.opened = answer.opened.or(shown.opened);
                shown.num_calls = num_calls.get();
            },
            Shown::default(),
        )
    }

    #[test]
    fn a_frame_costs_what_is_visible() {
        let mut harness = harness(100_000);
        harness.run();
        let started = Instant::now();
        for _ in 0..20 {
            harness.step();
        }
        println!("a frame of 100,000 items takes {:.2} ms", 1e3 * started.elapsed().as_secs_f64() / 20.0);
        let shown = harness.state();
        assert!(shown.visible.start == 0 && shown.visible.len() > 50, "{:?}", shown.visible);
        assert!(shown.num_calls < 300, "{}", shown.num_calls);
    }

    #[test]
    fn keys_select_and_keep_the_selection_in_sight() {
        let mut harness = harness(100_000);
        harness.get_by_label("Images").focus();
        harness.run();
        let columns = {
            harness.key_press(Key::Home);
            harness.key_press(Key::ArrowDown);
            harness.run();
            harness.state().selected.unwrap()
        };
        for (key, expected) in [
            (Key::ArrowRight, columns + 1),
            (Key::ArrowUp, 1),
            (Key::ArrowLeft, 0),
            (Key::ArrowLeft, 0),
            (Key::End, 99_999),
            (Key::ArrowDown, 99_999),
        ] {
            harness.key_press(key);
            harness.run();
            assert_eq!(harness.state().selected, Some(expected), "{key:?}");
            assert!(harness.state().visible.contains(&expected), "{key:?}: {:?}", harness.state().visible);
        }
        harness.key_press(Key::PageUp);
        harness.key_press(Key::Enter);
        harness.run();
        assert!(harness.state().selected < Some(99_999 - 3 * columns) && harness.state().opened.is_some());
    }

    #[test]
    fn a_click_selects() {
        let mut harness = harness(30);
        harness.run();
        harness.get_by_label("item 7").click();
        harness.run();
        assert_eq!(harness.state().selected, Some(7));
        assert!(harness.get_by_label("Images").is_focused());
    }

    #[test]
    fn a_selection_made_elsewhere_is_scrolled_to_once() {
        let mut harness = harness(100_000);
        harness.run();
        harness.state_mut().selected = Some(50_000);
        harness.run();
        assert!(harness.state().visible.contains(&50_000), "{:?}", harness.state().visible);
        harness.hover_at(Pos2::new(600.0, 400.0));
        harness.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: Vec2::new(0.0, 20_000.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers: egui::Modifiers::NONE,
        });
        harness.run_steps(20);
        assert!(!harness.state().visible.contains(&50_000), "whoever scrolls on is not drawn back");
        let visible = harness.state().visible.clone();
        harness.get_by_label(&format!("item {}", visible.start + 15)).click();
        harness.run();
        assert_eq!(harness.state().visible, visible, "what is clicked is in sight");
    }

    #[test]
    fn few_and_no_items_are_no_trouble() {
        for num_items in [0, 1, 2] {
            let mut harness = harness(num_items);
            harness.run();
            assert_eq!(harness.state().visible, 0..num_items);
        }
    }
}
