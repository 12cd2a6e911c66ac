//! A table to sort, to choose rows in, and to open one from: runs, images, measurements. Ten thousand rows cost as much as those in sight.

mod exhibits;

use std::collections::BTreeSet;

use egui::accesskit::Role;
use egui::{
    Align, EventFilter, Id, Key, Layout, Modifiers, Rect, Response, ScrollArea, Sense, Stroke, StrokeKind, TextStyle, Ui, WidgetInfo, vec2,
};
use egui_extras::{TableBuilder, TableRow};

pub(crate) use exhibits::EXHIBITS;

use crate::one_line::{one_line, paint_icon, paint_line};
use crate::theme::paint_focus_ring;
use crate::{EmptyState, Tokens, icon};

/// A column of a [`DataTable`].
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// What stands in it.
    pub title: &'a str,
    /// Unit of its numbers, or empty. It stands in the header, so that cells need not repeat it.
    pub unit: &'a str,
    /// Whether it holds numbers: set in monospace, at the right.
    pub numeric: bool,
    /// Width in points at first; the user can drag it. Infinity takes the room that the others leave.
    pub width: f32,
}

/// By what rows are sorted. The caller sorts; the table shows the arrow and changes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    /// Place of the column.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
}

/// What the table remembers between frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableState {
    /// By what rows are sorted.
    pub sort: Sort,
    /// Items that are chosen; they stay so when rows are sorted anew or hidden.
    pub selected: BTreeSet<usize>,
    /// Item that the keyboard is on.
    cursor: Option<usize>,
    /// Item from which Shift chooses.
    anchor: Option<usize>,
}

/// What happened in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableResponse {
    /// Item to open: it was double-clicked, or Enter was pressed on it.
    pub opened: Option<usize>,
    /// Whether [`TableState::sort`] has changed.
    pub sorted: bool,
}

/// A table under a header that stays. Rows show items, which the caller counts as it likes, in the order it says.
///
/// Keys: Up, Down, Page Up, Page Down, Home and End move; with Shift they choose a range. Enter opens, Ctrl or Cmd with A chooses all.
#[must_use]
pub struct DataTable<'a> {
    salt: &'a str,
    columns: &'a [Column<'a>],
    order: &'a [usize],
    menu: Option<&'a mut RowMenu<'a>>,
    empty: (&'a str, &'a str),
}

/// Draws the menu of an item.
pub type RowMenu<'a> = dyn FnMut(&mut Ui, usize) + 'a;

/// No column gets narrower, in points.
const MIN_WIDTH: f32 = 48.0;
/// What a column that takes the rest gets at least, in points.
const MIN_REST: f32 = 160.0;
/// Rows that Page Up and Page Down skip.
const PAGE_ROWS: usize = 10;

impl<'a> DataTable<'a> {
    /// A table of these columns with one row for each item of `order`. `salt` keeps it apart from other tables of the same `Ui`.
    pub fn new(salt: &'a str, columns: &'a [Column<'a>], order: &'a [usize]) -> Self {
        Self { salt, columns, order, menu: None, empty: ("Nothing here yet", "") }
    }

    /// Fills the menu of a row. It acts on all chosen items, of which the given one is the one under the pointer.
    pub fn menu(mut self, contents: &'a mut RowMenu<'a>) -> Self {
        self.menu = Some(contents);
        self
    }

    /// What it says without rows: what is missing, and what to do about it.
    pub fn empty(mut self, title: &'a str, hint: &'a str) -> Self {
        self.empty = (title, hint);
        self
    }

    /// Draws it. `cell` draws the cell of an item in a column; text in it is cut off with an ellipsis.
    pub fn show(mut self, ui: &mut Ui, state: &mut TableState, mut cell: impl FnMut(&mut Ui, usize, usize)) -> TableResponse {
        let tokens = Tokens::of(ui);
        let mut response = TableResponse::default();
        let id = ui.make_persistent_id(self.salt);
        let room = ui.available_rect_before_wrap();
        let focus = ui.interact(room, id, Sense::focusable_noninteractive());
        focus.widget_info(|| WidgetInfo::labeled(Role::Grid, true, self.salt));
        let moved = if focus.has_focus() { self.obey_keys(ui, id, state, &mut response) } else { None };

        let width = self.columns.iter().map(|column| if column.width.is_finite() { column.width } else { MIN_REST }).sum::<f32>();
        let mut clicked = false;
        ScrollArea::horizontal().id_salt(self.salt).auto_shrink(false).show(ui, |ui| {
            let width = width.max(ui.available_width());
            ui.set_width(width);
            ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
            ui.spacing_mut().scroll.floating_allocated_width = 0.0;
            let visuals = ui.visuals_mut();
            (visuals.selection.bg_fill, visuals.selection.stroke.color) = (tokens.selection_fill, tokens.text);
            (visuals.widgets.hovered.bg_fill, visuals.widgets.noninteractive.bg_stroke) = (tokens.hover_fill, Stroke::NONE);

            let mut table = TableBuilder::new(ui).id_salt(self.salt).sense(Sense::CLICK).auto_shrink(false).min_scrolled_height(0.0);
            for column in self.columns {
                table = table.column(layout_of(column));
            }
            if let Some(position) = moved {
                table = table.scroll_to_row(position, None);
            }
            let table = table.header(tokens.sizes.row, |mut header| {
                for (place, column) in self.columns.iter().enumerate() {
                    header.col(|ui| response.sorted |= show_header(ui, place, column, &mut state.sort));
                }
            });
            if self.order.is_empty() {
                return;
            }
            table.body(|body| {
                body.rows(tokens.sizes.row, self.order.len(), |mut row| {
                    let item = self.order[row.index()];
                    row.set_selected(state.selected.contains(&item));
                    let mut line = Rect::NOTHING;
                    for (place, column) in self.columns.iter().enumerate() {
                        let (_, response) = row.col(|ui| show_cell(ui, column, |ui| cell(ui, item, place)));
                        line |= response.rect;
                    }
                    let row_response = row.response();
                    clicked |= self.obey_pointer(&row_response, &row, state, &mut response);
                    if focus.has_focus() && state.cursor == Some(item) {
                        paint_cursor(&row_response.ctx, row_response.layer_id, line, room, tokens);
                    }
                    if let Some(menu) = &mut self.menu {
                        row_response.context_menu(|ui| menu(ui, item));
                    }
                });
            });
        });
        ui.painter().hline(room.x_range(), room.top() + tokens.sizes.row, Stroke::new(tokens.sizes.hairline, tokens.line));
        if self.order.is_empty() {
            let below = room.with_min_y(room.top() + tokens.sizes.row);
            ui.scope_builder(egui::UiBuilder::new().max_rect(below), |ui| EmptyState::new(icon::RUNS, self.empty.0, self.empty.1).show(ui));
        }
        if clicked {
            focus.request_focus();
        }
        response
    }

    /// Moves the cursor. Some position of the row it went to.
    fn obey_keys(&self, ui: &Ui, id: Id, state: &mut TableState, response: &mut TableResponse) -> Option<usize> {
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, EventFilter { vertical_arrows: true, ..EventFilter::default() }));
        let last = self.order.len().checked_sub(1)?;
        if ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::A)) {
            state.selected = self.order.iter().copied().collect();
        }
        let position = state.cursor.and_then(|item| self.position(item));
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter)) {
            response.opened = position.map(|position| self.order[position]);
        }
        let from =
            |steps: isize| position.map_or(if steps > 0 { 0 } else { last }, |position| position.saturating_add_signed(steps).min(last));
        let page = PAGE_ROWS as isize;
        let ways = [
            (Key::ArrowDown, from(1)),
            (Key::ArrowUp, from(-1)),
            (Key::PageDown, from(page)),
            (Key::PageUp, from(-page)),
            (Key::Home, 0),
            (Key::End, last),
        ];
        for (key, target) in ways {
            // Shift first: without modifiers a shortcut also fits where Shift is held.
            for is_range in [true, false] {
                let modifiers = if is_range { Modifiers::SHIFT } else { Modifiers::NONE };
                if ui.input_mut(|input| input.consume_key(modifiers, key)) {
                    self.choose(state, target, is_range, false);
                    return Some(target);
                }
            }
        }
        None
    }

    /// Chooses with the pointer. Whether the row was clicked.
    fn obey_pointer(&self, clicks: &Response, row: &TableRow<'_, '_>, state: &mut TableState, response: &mut TableResponse) -> bool {
        let position = row.index();
        let item = self.order[position];
        if clicks.double_clicked() {
            response.opened = Some(item);
        } else if clicks.clicked() {
            let modifiers = clicks.ctx.input(|input| input.modifiers);
            self.choose(state, position, modifiers.shift, modifiers.command);
        } else if clicks.secondary_clicked() && !state.selected.contains(&item) {
            self.choose(state, position, false, false);
        }
        clicks.clicked() || clicks.secondary_clicked()
    }

    /// Puts the cursor on a row and chooses it alone, with all from the anchor on, or in addition to others.
    fn choose(&self, state: &mut TableState, position: usize, is_range: bool, is_toggle: bool) {
        let item = self.order[position];
        state.cursor = Some(item);
        let anchor = state.anchor.and_then(|item| self.position(item));
        match anchor {
            Some(anchor) if is_range => {
                state.selected = self.order[anchor.min(position)..=anchor.max(position)].iter().copied().collect();
                return;
            }
            _ if is_toggle => {
                if !state.selected.remove(&item) {
                    state.selected.insert(item);
                }
            }
            _ => state.selected = BTreeSet::from([item]),
        }
        state.anchor = Some(item);
    }

    fn position(&self, item: usize) -> Option<usize> {
        self.order.iter().position(|other| *other == item)
    }
}

fn layout_of(column: &Column<'_>) -> egui_extras::Column {
    if column.width.is_finite() {
        egui_extras::Column::initial(column.width).at_least(MIN_WIDTH).clip(true).resizable(true)
    } else {
        egui_extras::Column::remainder().at_least(MIN_REST).clip(true)
    }
}

/// Draws a title with its unit and the arrow of the order. Whether a click has changed the order.
fn show_header(ui: &mut Ui, place: usize, column: &Column<'_>, sort: &mut Sort) -> bool {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click());
    let is_sorted = sort.column == place;
    if response.clicked() {
        *sort = Sort { column: place, descending: is_sorted && !sort.descending };
    }
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_sorted, format!("Sort by {}", column.title)));
    if response.hovered() {
        ui.painter().rect_filled(rect, sizes.radius, tokens.hover_fill);
    }
    let mut inner = rect.shrink2(vec2(sizes.gap, 0.0));
    let align = if column.numeric { Align::RIGHT } else { Align::LEFT };
    let font = TextStyle::Small.resolve(ui.style());
    let arrow_room = if is_sorted { sizes.icon } else { 0.0 };
    let unit = one_line(ui.painter(), column.unit, font.clone(), tokens.text_muted, inner.width());
    let unit_room = if column.unit.is_empty() { 0.0 } else { unit.size().x + sizes.gap_small };
    let title = one_line(ui.painter(), column.title, font, tokens.text, inner.width() - unit_room - arrow_room);
    let is_elided = title.elided;
    // The group of title, unit and arrow keeps together at the side where the cells stand.
    let width = title.size().x + unit_room + arrow_room;
    let group = align.align_size_within_range(width, inner.x_range());
    (inner.min.x, inner.max.x) = (group.min, group.max);
    if is_sorted {
        let arrow = if sort.descending { icon::ARROW_DOWN } else { icon::ARROW_UP };
        // In front of numbers, so that their titles stay above their last digits.
        let center = if column.numeric { inner.left() + 0.5 * sizes.icon - 2.0 } else { inner.right() - 0.5 * sizes.icon + 2.0 };
        paint_icon(ui.painter(), arrow, egui::pos2(center, inner.center().y), 14.0, tokens.accent);
        if column.numeric {
            inner.min.x += arrow_room;
        }
    }
    let title = paint_line(ui.painter(), inner, Align::LEFT, title);
    if !column.unit.is_empty() {
        paint_line(ui.painter(), inner.with_min_x(title.right() + sizes.gap_small), Align::LEFT, unit);
    }
    paint_focus_ring(ui, &response, sizes.radius);
    let clicked = response.clicked();
    if is_elided {
        response.on_hover_text(column.title);
    }
    clicked
}

/// Gives a cell its margins, its side and its font.
fn show_cell(ui: &mut Ui, column: &Column<'_>, contents: impl FnOnce(&mut Ui)) {
    let sizes = &Tokens::of(ui).sizes;
    let inner = ui.max_rect().shrink2(vec2(sizes.gap, 0.0));
    let side = if column.numeric { Layout::right_to_left(Align::Center) } else { Layout::left_to_right(Align::Center) };
    let mut child = ui.new_child(egui::UiBuilder::new().max_rect(inner).layout(side));
    child.shrink_clip_rect(inner);
    child.spacing_mut().item_spacing.x = sizes.gap_small;
    child.style_mut().wrap_mode = Some(egui::TextWrapMode::Truncate);
    child.style_mut().interaction.selectable_labels = false;
    if column.numeric {
        child.style_mut().override_text_style = Some(TextStyle::Monospace);
    }
    contents(&mut child);
}

/// Outlines the row that the keyboard is on.
fn paint_cursor(ctx: &egui::Context, layer: egui::LayerId, line: Rect, room: Rect, tokens: &Tokens) {
    let below_header = room.with_min_y(room.top() + tokens.sizes.row);
    let painter = egui::Painter::new(ctx.clone(), layer, below_header);
    let line = line.intersect(below_header.expand2(vec2(0.0, tokens.sizes.row)));
    painter.rect_stroke(line, tokens.sizes.radius, Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring), StrokeKind::Inside);
}
