//! The palette of all commands: type a few letters, press Enter.

use egui::accesskit::Role;
use egui::text::TextFormat;
use egui::{
    Align, Align2, Context, Id, Key, Layout, Margin, Modifiers, Rect, ScrollArea, Sense, TextEdit, TextStyle, Ui, UiBuilder, WidgetInfo,
    vec2,
};

use crate::fuzzy::{Match, fuzzy_match};
use crate::gallery::Exhibit;
use crate::modal::{exhibit, floating_frame, open_modal};
use crate::one_line::{one_line, one_line_of, paint_icon, paint_line};
use crate::{EmptyState, KeyHint, Tokens, icon};

/// One command, as palettes and the cheat sheet show it.
#[derive(Debug, Clone)]
pub struct PaletteItem<'a> {
    /// What [`CommandPalette::show`] returns when it is chosen. Unique in the list.
    pub id: usize,
    /// Heading it is listed under.
    pub group: &'a str,
    /// Its icon.
    pub icon: &'a str,
    /// Its name, as menus write it.
    pub title: &'a str,
    /// What it does, on one line.
    pub hint: &'a str,
    /// As [`Context::format_shortcut`] writes it, or empty.
    pub shortcut: String,
    /// Or why it cannot run now.
    pub enabled: Result<(), String>,
}

/// What the palette remembers between frames.
#[derive(Debug, Clone, Default)]
pub struct CommandPalette {
    /// Whether it is shown. Closing clears the query.
    pub open: bool,
    /// What the user typed.
    pub query: String,
    /// Place of the marked row, counted from the top without headings.
    pub selected: usize,
    /// Identifiers of the commands chosen last, the newest first.
    pub recent: Vec<usize>,
}

/// How many commands count as recent.
const MAX_RECENT: usize = 5;
/// Width of the palette, in points.
const WIDTH: f32 = 600.0;
/// Heights of a row and of a page of them, in points.
const ROW: f32 = 32.0;
const PAGE_ROWS: usize = 12;

/// A heading, or nothing, and the rows under it: places in the list of items, with the letters that were found.
type Section<'a> = (&'a str, Vec<(usize, Match)>);

impl CommandPalette {
    /// Opens it with an empty query.
    pub fn open(&mut self) {
        (self.open, self.selected) = (true, 0);
        self.query.clear();
    }

    /// Draws it over everything else while it is open. Some identifier once a command is chosen; it is closed then.
    pub fn show(&mut self, ctx: &Context, items: &[PaletteItem<'_>]) -> Option<usize> {
        if !self.open {
            return None;
        }
        let response =
            open_modal(ctx, "Command palette", Role::Dialog, Align2::CENTER_TOP, vec2(0.0, 64.0), |ui| self.contents(ui, items, true));
        if response.should_close() || response.inner.is_some() {
            self.open = false;
            self.query.clear();
        }
        response.inner
    }

    fn contents(&mut self, ui: &mut Ui, items: &[PaletteItem<'_>], takes_focus: bool) -> Option<usize> {
        let tokens = Tokens::of(ui);
        let width = WIDTH.min(ui.ctx().content_rect().width() - 2.0 * tokens.sizes.gap_section);
        floating_frame(ui)
            .inner_margin(Margin::same(tokens.sizes.gap as i8))
            .show(ui, |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 0.0;
                let keys = if takes_focus { Keys::taken_from(ui) } else { Keys::default() };
                self.query_field(ui, takes_focus);
                ui.add_space(tokens.sizes.gap);

                let sections = sections(items, &self.query, &self.recent);
                let places: Vec<usize> = sections.iter().flat_map(|(_, rows)| rows.iter().map(|&(place, _)| place)).collect();
                self.selected = keys.moved(self.selected, places.len());
                let clicked = if places.is_empty() {
                    let hint = format!("Nothing fits “{}”. Try fewer letters.", self.query.trim());
                    EmptyState::new(icon::SEARCH, "No command matches", &hint).height(4.0 * ROW).show(ui);
                    None
                } else {
                    self.list(ui, items, &sections, keys.steps != 0)
                };
                let chosen = clicked.or_else(|| keys.enter.then(|| places.get(self.selected).copied()).flatten())?;
                let item = items.get(chosen).filter(|item| item.enabled.is_ok())?;
                self.recent.retain(|&id| id != item.id);
                self.recent.insert(0, item.id);
                self.recent.truncate(MAX_RECENT);
                Some(item.id)
            })
            .inner
    }

    fn query_field(&mut self, ui: &mut Ui, takes_focus: bool) {
        let tokens = Tokens::of(ui);
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
        ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.surface_field);
        paint_icon(ui.painter(), icon::SEARCH, rect.left_center() + vec2(0.5 * ROW, 0.0), 18.0, tokens.text_muted);
        let field = TextEdit::singleline(&mut self.query)
            .id(Id::unique("maskroom command palette query").with(takes_focus))
            .hint_text("Search commands")
            .frame(egui::Frame::NONE)
            .align(Align2::LEFT_CENTER)
            .desired_width(f32::INFINITY);
        let response = ui.put(rect.with_min_x(rect.left() + ROW), field);
        if response.changed() {
            self.selected = 0;
        }
        if takes_focus && !response.has_focus() {
            response.request_focus();
        }
    }

    /// Draws the rows and returns the clicked one.
    fn list(&mut self, ui: &mut Ui, items: &[PaletteItem<'_>], sections: &[Section<'_>], scrolls_to_selected: bool) -> Option<usize> {
        let tokens = Tokens::of(ui);
        let mut clicked = None;
        let mut place = 0;
        ScrollArea::vertical().max_height(PAGE_ROWS as f32 * ROW).min_scrolled_height(PAGE_ROWS as f32 * ROW).show(ui, |ui| {
            for (heading, rows) in sections {
                if !heading.is_empty() {
                    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row), Sense::hover());
                    let heading = one_line(ui.painter(), heading, TextStyle::Small.resolve(ui.style()), tokens.text_muted, rect.width());
                    paint_line(ui.painter(), rect.shrink2(vec2(tokens.sizes.gap, 0.0)), Align::LEFT, heading);
                }
                for (index, found) in rows {
                    let (rect, mut response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::CLICK);
                    // The pointer marks a row when it moves, not when the list moves under it.
                    if response.hovered() && ui.input(|input| input.pointer.is_moving()) {
                        self.selected = place;
                    }
                    let item = &items[*index];
                    let is_selected = place == self.selected;
                    if is_selected && scrolls_to_selected {
                        response.scroll_to_me(None);
                    }
                    if ui.is_rect_visible(rect) {
                        paint_row(ui, rect, item, found, is_selected);
                    }
                    if let Err(reason) = &item.enabled {
                        response = response.on_hover_text(reason);
                    }
                    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, item.enabled.is_ok(), is_selected, item.title));
                    if response.clicked() {
                        clicked = Some(*index);
                    }
                    place += 1;
                }
            }
        });
        clicked
    }
}

fn paint_row(ui: &mut Ui, rect: Rect, item: &PaletteItem<'_>, found: &Match, is_selected: bool) {
    let tokens = Tokens::of(ui);
    if is_selected {
        ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.selection_fill);
    }
    let is_enabled = item.enabled.is_ok();
    let text_color = if is_enabled { tokens.text } else { tokens.text_muted };
    paint_icon(ui.painter(), item.icon, rect.left_center() + vec2(0.5 * ROW, 0.0), 18.0, tokens.text_muted);
    let mut rest = rect.with_min_x(rect.left() + ROW).with_max_x(rect.right() - tokens.sizes.gap);
    rest.max.x = show_keys(ui, rest, &item.shortcut).left() - tokens.sizes.gap;

    let painter = ui.painter();
    let font = TextStyle::Body.resolve(ui.style());
    let letters: Vec<(String, bool)> = item
        .title
        .chars()
        .enumerate()
        .map(|(place, letter)| (letter.to_string(), is_enabled && found.positions.contains(&place)))
        .collect();
    let letters = letters
        .iter()
        .map(|(letter, is_found)| (letter.as_str(), TextFormat::simple(font.clone(), if *is_found { tokens.accent } else { text_color })));
    let title = paint_line(painter, rest, Align::LEFT, one_line_of(ui.painter(), letters, rest.width()));

    let rest = rest.with_min_x(title.right() + 1.5 * tokens.sizes.gap);
    if rest.width() > 4.0 * tokens.sizes.gap {
        let hint = item.enabled.as_ref().map_or_else(String::as_str, |()| item.hint);
        let hint = one_line(ui.painter(), hint, TextStyle::Small.resolve(ui.style()), tokens.text_muted, rest.width());
        paint_line(painter, rest, Align::LEFT, hint);
    }
}

/// Draws the keys of a shortcut at the right of `room`. Returns where they went.
pub(crate) fn show_keys(ui: &mut Ui, room: Rect, shortcut: &str) -> Rect {
    let right = UiBuilder::new().max_rect(room).layout(Layout::right_to_left(Align::Center));
    ui.new_child(right).add(|ui: &mut Ui| KeyHint::new(shortcut).show(ui)).rect
}

/// Which keys the palette took this frame, before the query field could.
#[derive(Debug, Clone, Copy, Default)]
struct Keys {
    steps: isize,
    enter: bool,
}

impl Keys {
    fn taken_from(ui: &Ui) -> Self {
        ui.input_mut(|input| {
            let mut presses = |key| input.count_and_consume_key(Modifiers::NONE, key) as isize;
            let page = PAGE_ROWS as isize - 1;
            let steps = presses(Key::ArrowDown) - presses(Key::ArrowUp) + page * (presses(Key::PageDown) - presses(Key::PageUp));
            Self { steps, enter: presses(Key::Enter) > 0 }
        })
    }

    /// Where the mark goes: single steps run around the ends, pages stop there.
    fn moved(self, selected: usize, num_rows: usize) -> usize {
        let last = num_rows.saturating_sub(1);
        let place = selected.min(last) as isize + self.steps;
        match self.steps {
            _ if num_rows == 0 => 0,
            -1 | 1 => place.rem_euclid(num_rows as isize) as usize,
            _ => place.clamp(0, last as isize) as usize,
        }
    }
}

/// Sorts items into sections: without a query, under their headings, the recent ones and then all groups in their order; else what fits in
/// one section, the best first. What cannot run comes last in its section; equals stay in the order of the items.
fn sections<'a>(items: &[PaletteItem<'a>], query: &str, recent: &[usize]) -> Vec<Section<'a>> {
    let is_searched = !query.trim().is_empty();
    let mut sections: Vec<Section<'a>> = Vec::new();
    if !is_searched {
        let places = recent.iter().filter_map(|id| items.iter().position(|item| item.id == *id));
        sections.push(("Recent", places.map(|place| (place, Match::default())).collect()));
    }
    let is_listed = |id: usize| !is_searched && recent.contains(&id);
    for (place, item) in items.iter().enumerate().filter(|(_, item)| !is_listed(item.id)) {
        let Some(found) = fits(query, item) else { continue };
        let group = if is_searched { "" } else { item.group };
        match sections.iter_mut().find(|(heading, _)| *heading == group) {
            Some((_, rows)) => rows.push((place, found)),
            None => sections.push((group, vec![(place, found)])),
        }
    }
    for (_, rows) in &mut sections {
        rows.sort_by_key(|(place, found)| (items[*place].enabled.is_err(), std::cmp::Reverse(found.score)));
    }
    sections.retain(|(_, rows)| !rows.is_empty());
    sections
}

/// Looks in the title first; words of the hint and the group count less, and must stand there unbroken.
fn fits(query: &str, item: &PaletteItem<'_>) -> Option<Match> {
    fuzzy_match(query, item.title).or_else(|| {
        let query = query.trim().to_lowercase();
        let is_named = [item.hint, item.group].iter().any(|text| text.to_lowercase().contains(&query));
        is_named.then(|| Match { score: i32::MIN, positions: Vec::new() })
    })
}

/// Commands as a studio has them, for exhibits and tests.
pub(crate) fn sample_items() -> Vec<PaletteItem<'static>> {
    let rows: [(&str, &str, &str, &str, &str); 9] = [
        ("Data", icon::FOLDER_OPEN, "Open images…", "A folder, an archive or a list", "Ctrl+O"),
        ("Data", icon::SEARCH, "Check the data", "Finds unreadable files and duplicates", ""),
        ("Training", icon::PLAY, "Start the run", "With the recipe as it stands", "Ctrl+Enter"),
        ("Training", icon::SAVE, "Save a checkpoint now", "", "Ctrl+Shift+S"),
        ("Masks", icon::SAVE, "Export masks…", "COCO, YOLO, VOC or index PNG", "Ctrl+Shift+E"),
        ("Masks", icon::COPY, "Copy the mask", "As an image", "Ctrl+C"),
        ("View", icon::MEMORY, "Show memory and speed", "", "F8"),
        ("View", icon::SEARCH, "Zoom in", "Around the pointer", "Ctrl++"),
        ("View", icon::CLOSE, "Close the panel in front", "", "Ctrl+W"),
    ];
    let reason = |title: &str| (title == "Save a checkpoint now").then(|| "No run is open".to_owned());
    rows.into_iter()
        .enumerate()
        .map(|(id, (group, icon, title, hint, shortcut))| PaletteItem {
            id,
            group,
            icon,
            title,
            hint,
            shortcut: shortcut.to_owned(),
            enabled: reason(title).map_or(Ok(()), Err),
        })
        .collect()
}

fn show_palette(ui: &mut Ui, query: &str, recent: &[usize], items: &[PaletteItem<'_>]) {
    let mut palette = CommandPalette { open: true, query: query.to_owned(), selected: 1, recent: recent.to_vec() };
    exhibit(ui, |ui| palette.contents(ui, items, false));
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "command_palette_recent", size: vec2(680.0, 504.0), show: |ui| show_palette(ui, "", &[4, 2], &sample_items()) },
    Exhibit { name: "command_palette_query", size: vec2(680.0, 352.0), show: |ui| show_palette(ui, "ch", &[], &sample_items()) },
    Exhibit { name: "command_palette_nothing", size: vec2(680.0, 248.0), show: |ui| show_palette(ui, "quux", &[], &sample_items()) },
    Exhibit {
        name: "command_palette_long",
        size: vec2(480.0, 192.0),
        show: |ui| {
            let mut items = sample_items();
            items.truncate(2);
            items[0].title = "Open images from a folder, an archive, a list of files or a data set of another program";
            items[1].hint = "Finds unreadable files, duplicates, images that are smaller than the crop, and labels without images";
            show_palette(ui, "", &[], &items);
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[derive(Default)]
    struct Window {
        palette: CommandPalette,
        chosen: Option<usize>,
    }

    fn opened() -> Harness<'static, Window> {
        let mut window = Window::default();
        window.palette.open();
        let mut harness = Harness::builder().with_size(vec2(800.0, 600.0)).with_context_setup(crate::theme::install).build_ui_state(
            |ui, window: &mut Window| {
                if let Some(id) = window.palette.show(ui.ctx(), &sample_items()) {
                    window.chosen = Some(id);
                }
            },
            window,
        );
        harness.run();
        harness
    }

    fn press(harness: &mut Harness<'_, Window>, keys: &[Key]) {
        for &key in keys {
            harness.key_press(key);
            harness.run();
        }
    }

    #[test]
    fn typing_finds_and_enter_chooses() {
        let mut harness = opened();
        harness.event(egui::Event::Text("exp".to_owned()));
        harness.run();
        press(&mut harness, &[Key::Enter]);
        assert_eq!(harness.state().chosen, Some(4));
        assert!(!harness.state().palette.open && harness.state().palette.query.is_empty());
        assert_eq!(harness.state().palette.recent, [4]);
    }

    #[test]
    fn arrows_run_around_and_escape_closes() {
        let mut harness = opened();
        press(&mut harness, &[Key::ArrowUp]);
        assert_eq!(harness.state().palette.selected, 8);
        press(&mut harness, &[Key::ArrowDown, Key::ArrowDown]);
        assert_eq!(harness.state().palette.selected, 1);
        press(&mut harness, &[Key::PageDown]);
        assert_eq!(harness.state().palette.selected, 8);
        press(&mut harness, &[Key::Escape]);
        assert!(!harness.state().palette.open && harness.state().chosen.is_none());
    }

    #[test]
    fn what_cannot_run_cannot_be_chosen() {
        let mut harness = opened();
        harness.get_by_label("Save a checkpoint now").click();
        harness.run();
        assert!(harness.state().palette.open && harness.state().chosen.is_none());
        harness.get_by_label("Start the run").click();
        harness.run();
        assert_eq!(harness.state().chosen, Some(2));
    }

    #[test]
    fn recent_commands_come_first_and_only_once() {
        let items = sample_items();
        let listed = sections(&items, "", &[7, 99, 0]);
        assert_eq!(listed[0].0, "Recent");
        assert_eq!(listed[0].1.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [7, 0]);
        assert_eq!(listed.iter().map(|(_, rows)| rows.len()).sum::<usize>(), items.len());
        assert_eq!(sections(&items, "duplicates", &[])[0].1[0].0, 1, "words of the hint are found too");
        assert!(sections(&items, "quux", &[7]).is_empty());
    }

    #[test]
    fn the_best_match_comes_first_whatever_its_menu() {
        let titles = |items: &[PaletteItem<'static>], query: &str| -> Vec<&'static str> {
            let listed = sections(items, query, &[]);
            assert!(listed.len() <= 1, "{listed:?}");
            listed.iter().flat_map(|(_, rows)| rows.iter().map(|&(place, _)| items[place].title)).collect()
        };
        let mut items = sample_items();
        assert_eq!(titles(&items, "st")[0], "Start the run", "of the second menu");
        assert_eq!(titles(&items, "zoom")[0], "Zoom in", "of the last menu");
        // Both only by their group: equals stay as the menu has them.
        assert_eq!(titles(&items, "masks"), ["Export masks…", "Copy the mask"]);
        assert_eq!(titles(&items, "save").last(), Some(&"Save a checkpoint now"), "it cannot run");
        items[3].enabled = Ok(());
        assert_eq!(titles(&items, "save")[0], "Save a checkpoint now");
        items[0].enabled = Err("not now".to_owned());
        assert_eq!(sections(&items, "", &[])[0], ("Data", vec![(1, Match::default()), (0, Match::default())]));
    }
}
