//! What the draft does otherwise than a preset or a run.

use std::path::PathBuf;

use egui::{Grid, RichText, ScrollArea, TextStyle, Ui};
use maskroom_core::knob::Value;
use maskroom_core::recipe::{METHODS, Recipe, stages};
use maskroom_widgets::{ElidedLabel, EmptyState, Role, Tokens, fonts, icon};

use super::settings::{at, table};
use crate::studio::desk::Desk;
use crate::studio::panels::controls::menu;

/// What is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Other {
    Preset(&'static str),
    Run(PathBuf),
}

/// The comparison.
pub struct Difference {
    other: Other,
    rows: Vec<Row>,
    /// Of the draft and of the other.
    hashes: [String; 2],
    /// What the rows were made from.
    made_from: Option<(u64, Other)>,
}

/// A setting with two values.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    path: String,
    this: String,
    that: String,
}

/// So much of a hash tells recipes apart.
const HASH_DIGITS: usize = 12;

impl Difference {
    /// Compared with the first preset.
    pub fn new() -> Self {
        Self { other: Other::Preset(METHODS[0].name), rows: Vec::new(), hashes: Default::default(), made_from: None }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        ui.horizontal(|ui| {
            ui.label(RichText::new("Compared with").color(Tokens::of(ui).text_muted));
            let chosen = name(&self.other, desk);
            menu(ui, "Compared with", &chosen, ui.available_width(), |ui| {
                for preset in METHODS {
                    ui.selectable_value(&mut self.other, Other::Preset(preset.name), format!("the preset {}", preset.name));
                }
                for run in desk.runs.list().iter().filter(|run| run.recipe.is_some()) {
                    ui.selectable_value(&mut self.other, Other::Run(run.folder.root.clone()), run.name());
                }
            });
        });
        let Some(other) = recipe_of(&self.other, desk) else {
            self.other = Other::Preset(METHODS[0].name);
            return;
        };
        let key = (desk.draft.generation(), self.other.clone());
        if self.made_from.as_ref() != Some(&key) {
            self.rows = differences(desk.draft.recipe(), &other);
            self.hashes = [desk.draft.recipe(), &other].map(|recipe| recipe.hash().chars().take(HASH_DIGITS).collect());
            self.made_from = Some(key);
        }
        if !desk.draft.is_valid() {
            let tokens = Tokens::of(ui);
            let text = "The recipe has problems; the last one without is compared";
            ui.label(RichText::new(text).text_style(TextStyle::Small).color(tokens.warning));
        }
        if self.rows.is_empty() {
            let hint = format!("Both have the hash {}", self.hashes[0]);
            EmptyState::new(icon::CHECK, "The same recipe", &hint).show(ui);
            return;
        }
        self.table(ui, &name(&self.other, desk));
    }

    fn table(&self, ui: &mut Ui, other: &str) {
        let tokens = Tokens::of(ui);
        let width = (ui.available_width() - 2.0 * tokens.sizes.gap) / 3.0;
        let cell = |ui: &mut Ui, text: &str, style: TextStyle, role: Role| {
            let size = egui::vec2(width, tokens.sizes.row_small);
            ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.set_min_width(width);
                ElidedLabel::new(text).style(style).role(role).show(ui);
            });
        };
        ScrollArea::vertical().id_salt("differences").auto_shrink(false).show(ui, |ui| {
            Grid::new("difference rows").num_columns(3).spacing([tokens.sizes.gap, tokens.sizes.gap_small]).show(ui, |ui| {
                ["Setting", "This recipe", other].into_iter().for_each(|heading| cell(ui, heading, fonts::strong(), Role::Text));
                ui.end_row();
                cell(ui, "hash", TextStyle::Body, Role::TextMuted);
                self.hashes.iter().for_each(|hash| cell(ui, hash, TextStyle::Monospace, Role::TextMuted));
                ui.end_row();
                for row in &self.rows {
                    cell(ui, &row.path, TextStyle::Body, Role::Text);
                    cell(ui, &row.this, TextStyle::Monospace, Role::Accent);
                    cell(ui, &row.that, TextStyle::Monospace, Role::Text);
                    ui.end_row();
                }
            });
        });
    }
}

fn name(other: &Other, desk: Desk<'_>) -> String {
    match other {
        Other::Preset(name) => format!("the preset {name}"),
        Other::Run(run) => desk.runs.get(run).map(|run| run.name()).unwrap_or_default(),
    }
}

fn recipe_of(other: &Other, desk: Desk<'_>) -> Option<Recipe> {
    match other {
        Other::Preset(name) => Recipe::preset(name).ok(),
        Other::Run(run) => desk.runs.get(run)?.recipe.clone(),
    }
}

/// The settings that differ, in the order of the recipe's text; a dash where a recipe has no such setting.
fn differences(this: &Recipe, that: &Recipe) -> Vec<Row> {
    let (this, that) = (table(this), table(that));
    let written = |table: &toml::Table, path: &str| {
        at(table, path)
            .map_or_else(|| "–".to_owned(), |value| Value::from_toml(value).map_or_else(|| value.to_string(), |value| value.to_string()))
    };
    let mut rows = Vec::new();
    for stage in stages() {
        let kind = |table| at(table, &stage.path("kind")).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let mut knobs = stage.knobs_of(&kind(&this));
        for knob in stage.knobs_of(&kind(&that)) {
            if !knobs.iter().any(|known| known.key == knob.key) {
                knobs.push(knob);
            }
        }
        let paths = knobs.iter().map(|knob| stage.path(knob.key));
        let differing = paths.map(|path| Row { this: written(&this, &path), that: written(&that, &path), path });
        rows.extend(differing.filter(|row| row.this != row.that));
    }
    rows
}

#[cfg(test)]
mod tests {
    use maskroom_core::recipe::Base;

    use super::*;

    #[test]
    fn only_what_differs_is_listed_in_the_order_of_the_text() {
        let mae = Recipe::preset("mae").unwrap();
        assert_eq!(differences(&mae, &mae), []);
        let sets = [("optim.batch", "8"), ("mask.kind", "grid"), ("seed", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let other = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
        let rows = differences(&mae, &other);
        let shown: Vec<_> = rows.iter().map(|row| (row.path.as_str(), row.this.as_str(), row.that.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("seed", "0", "3"),
                ("mask.kind", "\"random\"", "\"grid\""),
                ("mask.ratio", "0.75", "–"),
                ("mask.cell", "–", "2"),
                ("optim.batch", "64", "8")
            ]
        );
    }
}
