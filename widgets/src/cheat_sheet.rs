//! All keyboard shortcuts on one sheet, by group, with a filter.

use egui::{Align, Align2, Context, Id, Rect, ScrollArea, Sense, TextEdit, TextStyle, Ui, UiBuilder, pos2, vec2};

use crate::command_palette::{PaletteItem, sample_items, show_keys};
use crate::gallery::Exhibit;
use crate::modal::{Dialog, exhibit};
use crate::one_line::{one_line, paint_line};
use crate::{EmptyState, Tokens, icon};

/// What the sheet remembers between frames.
#[derive(Debug, Clone, Default)]
pub struct CheatSheet {
    /// Whether it is shown.
    pub open: bool,
    /// What the user typed to narrow it down.
    pub filter: String,
}

/// Width of a column and the room for all columns, in points.
const COLUMN: f32 = 288.0;
const MAX_WIDTH: f32 = 3.0 * COLUMN + 2.0 * COLUMN_GAP;
const COLUMN_GAP: f32 = 32.0;
/// Height of the filter.
const FIELD: f32 = 32.0;

/// A heading and its commands.
type Group<'a, 'b> = (&'a str, Vec<&'b PaletteItem<'a>>);

impl CheatSheet {
    /// Draws it over everything else while it is open. Lists the items that have a shortcut.
    pub fn show(&mut self, ctx: &Context, items: &[PaletteItem<'_>]) {
        if self.open {
            let width = MAX_WIDTH.min(ctx.content_rect().width() - 64.0);
            let height = (ctx.content_rect().height() - 192.0).clamp(96.0, 560.0);
            let dialog = Dialog::new("Keyboard shortcuts").width(width);
            self.open = !dialog.show(ctx, |ui| self.contents(ui, items, height, true)).closed;
        }
    }

    fn contents(&mut self, ui: &mut Ui, items: &[PaletteItem<'_>], height: f32, takes_focus: bool) {
        let tokens = Tokens::of(ui);
        let field = TextEdit::singleline(&mut self.filter)
            .id(Id::unique("maskroom cheat sheet filter"))
            .hint_text("Filter by command or key")
            .align(Align2::LEFT_CENTER)
            .min_size(vec2(0.0, FIELD))
            .desired_width(COLUMN.min(ui.available_width()));
        let response = ui.add(field);
        if takes_focus && ui.memory(egui::Memory::focused).is_none() {
            response.request_focus();
        }
        ui.add_space(tokens.sizes.gap);
        let groups = groups(items, &self.filter);
        if groups.is_empty() {
            let hint = format!("Nothing fits “{}”. Try another word.", self.filter.trim());
            EmptyState::new(icon::KEYBOARD, "No shortcut matches", &hint).height(height.min(160.0)).show(ui);
            return;
        }
        ScrollArea::vertical().max_height(height).show(ui, |ui| show_columns(ui, &groups));
    }
}

/// Groups in as many columns as there is room for, each under the shortest column so far.
fn show_columns(ui: &mut Ui, groups: &[Group<'_, '_>]) {
    let tokens = Tokens::of(ui);
    let available = ui.available_rect_before_wrap();
    let num_columns = (((available.width() + COLUMN_GAP) / (COLUMN + COLUMN_GAP)) as usize).max(1);
    let width = ((available.width() + COLUMN_GAP) / num_columns as f32 - COLUMN_GAP).floor();
    let mut bottoms = vec![available.top(); num_columns];
    for (heading, items) in groups {
        let column = (0..num_columns).min_by(|a, b| bottoms[*a].total_cmp(&bottoms[*b])).unwrap_or(0);
        let height = (items.len() + 1) as f32 * tokens.sizes.row;
        let left = available.left() + column as f32 * (width + COLUMN_GAP);
        let rect = Rect::from_min_size(pos2(left, bottoms[column]), vec2(width, height));
        bottoms[column] = rect.bottom() + tokens.sizes.gap_large;
        ui.scope_builder(UiBuilder::new().max_rect(rect).id_salt(heading), |ui| show_group(ui, heading, items));
    }
    let bottom = bottoms.into_iter().fold(available.top(), f32::max) - tokens.sizes.gap_large;
    ui.expand_to_include_rect(available.with_max_y(bottom));
}

fn show_group(ui: &mut Ui, heading: &str, items: &[&PaletteItem<'_>]) {
    let tokens = Tokens::of(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    let row = vec2(ui.available_width(), tokens.sizes.row);
    let (rect, _) = ui.allocate_exact_size(row, Sense::hover());
    paint_line(
        ui.painter(),
        rect,
        Align::LEFT,
        one_line(ui.painter(), heading, TextStyle::Small.resolve(ui.style()), tokens.text_muted, rect.width()),
    );
    for item in items {
        let (rect, response) = ui.allocate_exact_size(row, Sense::hover());
        let room = show_keys(ui, rect, &item.shortcut).left() - rect.left() - tokens.sizes.gap;
        let title = one_line(ui.painter(), item.title, TextStyle::Body.resolve(ui.style()), tokens.text, room);
        let is_elided = title.elided;
        paint_line(ui.painter(), rect, Align::LEFT, title);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{}, {}", item.title, item.shortcut)));
        if is_elided {
            response.on_hover_text(item.title);
        }
    }
}

fn groups<'a, 'b>(items: &'b [PaletteItem<'a>], filter: &str) -> Vec<Group<'a, 'b>> {
    let filter = filter.trim().to_lowercase();
    let is_wanted =
        |item: &&PaletteItem<'_>| [item.title, item.group, &item.shortcut].iter().any(|text| text.to_lowercase().contains(&filter));
    let mut groups: Vec<Group<'a, 'b>> = Vec::new();
    for item in items.iter().filter(|item| !item.shortcut.is_empty()).filter(is_wanted) {
        match groups.iter_mut().find(|(heading, _)| *heading == item.group) {
            Some((_, members)) => members.push(item),
            None => groups.push((item.group, vec![item])),
        }
    }
    groups
}

fn show_sheet(ui: &mut Ui, width: f32, filter: &str) {
    let mut sheet = CheatSheet { open: true, filter: filter.to_owned() };
    exhibit(ui, |ui| {
        Dialog::new("Keyboard shortcuts").width(width).show_inside(ui, |ui| sheet.contents(ui, &sample_items(), 400.0, false))
    });
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "cheat_sheet_columns", size: vec2(720.0, 368.0), show: |ui| show_sheet(ui, 640.0, "") },
    Exhibit { name: "cheat_sheet_narrow", size: vec2(336.0, 520.0), show: |ui| show_sheet(ui, 256.0, "") },
    Exhibit { name: "cheat_sheet_nothing", size: vec2(720.0, 328.0), show: |ui| show_sheet(ui, 640.0, "quux") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_with_keys_are_listed() {
        let items = sample_items();
        let all = groups(&items, "");
        assert!(all.iter().flat_map(|(_, members)| members).all(|item| !item.shortcut.is_empty()));
        assert_eq!(all.iter().map(|(heading, _)| *heading).collect::<Vec<_>>(), ["Data", "Training", "Masks", "View"]);
    }

    #[test]
    fn the_filter_looks_at_names_groups_and_keys() {
        let items = sample_items();
        let titles =
            |filter| groups(&items, filter).into_iter().flat_map(|(_, members)| members).map(|item| item.title).collect::<Vec<_>>();
        assert_eq!(titles(" f8 "), ["Show memory and speed"]);
        assert_eq!(titles("training").len(), 2);
        assert!(titles("quux").is_empty());
    }
}
