//! The form: every setting of every stage, found by its words, with what is wrong at its place.

use std::collections::BTreeMap;

use egui::{Align, Label, Layout, RichText, ScrollArea, TextEdit, TextStyle, Ui};
use maskroom_core::error::Problem;
use maskroom_core::knob::{Knob, Range, Value};
use maskroom_core::recipe::{Stage, backbone_names, stages};
use maskroom_core::registry::Kind;
use maskroom_widgets::{Banner, Button, EmptyState, Field, Role, Section, StateBadge, Tokens, Tone, icon};

use super::settings::Settings;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use crate::studio::panels::knob_field::{self, Wish, title};

/// What the form shows now.
pub struct Form {
    search: String,
    only_changed: bool,
    /// Stages that were folded or unfolded, by name.
    open: BTreeMap<&'static str, bool>,
    /// The setting to bring into sight.
    jump: Option<String>,
    /// How many problems have been jumped to.
    jumps: usize,
}

/// One setting of the form.
struct Row {
    path: String,
    knob: Knob,
    value: Value,
    changed: bool,
}

/// Unfolded at first: what decides most.
const OPEN_AT_FIRST: [&str; 4] = ["", "mask", "backbone", "optim"];
/// Chosen elsewhere, or not to be chosen.
const HIDDEN: [&str; 2] = ["version", "method"];
/// Problems without a field that are told in full.
const TOLD_PROBLEMS: usize = 3;

impl Form {
    /// Everything that decides most is in sight.
    pub fn new() -> Self {
        Self { search: String::new(), only_changed: false, open: BTreeMap::new(), jump: None, jumps: 0 }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, settings: &Settings) {
        self.problems(ui, desk, settings);
        self.tools(ui);
        ScrollArea::vertical().id_salt("form").auto_shrink(false).show(ui, |ui| {
            let mut shown = false;
            for stage in stages() {
                shown |= self.stage(ui, desk, settings, stage);
            }
            if !shown {
                let hint = if self.only_changed { "Nothing differs from the preset" } else { "Try another word, such as `epochs`" };
                EmptyState::new(icon::SEARCH, "No such setting", hint).height(8.0 * Tokens::of(ui).sizes.row).show(ui);
            }
        });
    }

    fn tools(&mut self, ui: &mut Ui) {
        let row = egui::vec2(ui.available_width(), Tokens::of(ui).sizes.row);
        ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
            let only = Button::new("Only changed").icon(icon::FILTER).small().selected(self.only_changed);
            if only.tooltip("Only what differs from the preset").show(ui).clicked() {
                self.only_changed = !self.only_changed;
            }
            let width = ui.available_width();
            let field = TextEdit::singleline(&mut self.search).hint_text(format!("{}  Search settings", icon::SEARCH)).desired_width(width);
            ui.add(field).accessible_name("Search settings");
        });
    }

    /// How many problems there are, those that have no field here, and the way to the next one that has.
    fn problems(&mut self, ui: &mut Ui, desk: Desk<'_>, settings: &Settings) {
        let problems = desk.draft.problems();
        if problems.is_empty() {
            return;
        }
        let paths: Vec<String> = stages().iter().flat_map(|stage| rows(stage, desk, settings)).map(|row| row.path).collect();
        let (placed, homeless): (Vec<&Problem>, Vec<&Problem>) = problems.iter().partition(|problem| paths.contains(&problem.key));
        let heading = match problems.len() {
            1 => "1 problem: the recipe cannot be trained".to_owned(),
            count => format!("{count} problems: the recipe cannot be trained"),
        };
        let mut told: Vec<String> = homeless.iter().take(TOLD_PROBLEMS).map(|problem| in_a_sentence(problem)).collect();
        if homeless.len() > TOLD_PROBLEMS {
            told.push(format!("and {} more: see the TOML", homeless.len() - TOLD_PROBLEMS));
        }
        let told = told.join("\n");
        Banner::new(Tone::Bad, &heading).body(&told).show_with_actions(ui, |ui| {
            let next = Button::new("Next problem").icon(icon::ARROW_DOWN).small();
            if !placed.is_empty() && next.tooltip("Brings its field into sight").show(ui).clicked() {
                let key = placed[self.jumps % placed.len()].key.clone();
                self.jumps += 1;
                (self.search, self.only_changed) = (String::new(), false);
                self.jump = Some(key);
            }
            if desk.draft.can_undo_redo().0 && Button::new("Undo").icon(icon::UNDO).small().show(ui).clicked() {
                desk.ask(Edit::Undo);
            }
        });
    }

    /// Whether there was anything to show.
    fn stage(&mut self, ui: &mut Ui, desk: Desk<'_>, settings: &Settings, stage: &'static Stage) -> bool {
        let all = rows(stage, desk, settings);
        let num_changed = all.iter().filter(|row| row.changed).count();
        let wrong = all.iter().any(|row| desk.draft.problem_of(&row.path).is_some());
        let wanted: Vec<Row> = all.into_iter().filter(|row| self.wants(row)).collect();
        if wanted.is_empty() {
            return false;
        }
        let searching = !self.search.trim().is_empty() || self.only_changed;
        let known = self.open.entry(stage.name).or_insert_with(|| OPEN_AT_FIRST.contains(&stage.name));
        *known |= self.jump.as_ref().is_some_and(|jump| wanted.iter().any(|row| row.path == *jump));
        let mut open = *known || searching;
        let note = if num_changed == 0 { stage.doc.to_owned() } else { format!("{num_changed} changed") };
        let badge = |ui: &mut Ui| {
            if wrong {
                StateBadge::new("problem", Role::Bad).show(ui);
            }
        };
        let heading = if stage.name.is_empty() { "Recipe".to_owned() } else { title(stage.name) };
        let kind = settings.kind(desk.draft, stage);
        let jump = &mut self.jump;
        Section::new(&heading).note(&note).collapsible(&mut open).show_with_actions(ui, badge, |ui| {
            for row in &wanted {
                let shown = ui.push_id(&row.path, |ui| setting(ui, desk, settings, stage, &kind, row)).response;
                if jump.as_ref() == Some(&row.path) {
                    ui.scroll_to_rect(shown.rect, Some(Align::Center));
                    *jump = None;
                }
            }
            ui.add_space(Tokens::of(ui).sizes.gap);
        });
        if !searching {
            self.open.insert(stage.name, open);
        }
        true
    }

    fn wants(&self, row: &Row) -> bool {
        let text = format!("{} {} {}", row.path, title(row.knob.key), row.knob.doc).to_lowercase();
        let found = self.search.to_lowercase().split_whitespace().all(|word| text.contains(word));
        found && (row.changed || !self.only_changed)
    }
}

/// The settings of a stage of the chosen kind.
fn rows(stage: &Stage, desk: Desk<'_>, settings: &Settings) -> Vec<Row> {
    let kind = settings.kind(desk.draft, stage);
    let visible = |knob: &Knob| !HIDDEN.contains(&stage.path(knob.key).as_str()) && !matches!(knob.range, Range::Choice([_]));
    let knobs = stage.knobs_of(&kind).into_iter().filter(visible);
    knobs
        .map(|knob| {
            let path = stage.path(knob.key);
            let value = settings.value(desk.draft, &path).unwrap_or_else(|| knob.default_value());
            let changed = settings.is_changed(desk.draft, &path, &knob);
            Row { path, knob, value, changed }
        })
        .collect()
}

fn setting(ui: &mut Ui, desk: Desk<'_>, settings: &Settings, stage: &Stage, kind: &str, row: &Row) {
    let (label, problem) = (title(row.knob.key), desk.draft.problem_of(&row.path));
    let kinds = if row.knob.key == "kind" { (stage.kinds)() } else { Vec::new() };
    let doc = explanation(row, settings, &kinds);
    let field = Field::new(&label).doc(&doc).problem(problem.as_deref()).default_differs(row.changed);
    let names: Vec<&str> = match row.path.as_str() {
        "backbone.preset" => backbone_names().to_vec(),
        _ => kinds.iter().map(|kind| kind.name).collect(),
    };
    let wish = if names.is_empty() {
        knob_field::show(ui, field, &row.knob, &row.value)
    } else {
        let mut name = row.value.as_text().map_or_else(|| row.value.to_string(), str::to_owned);
        let response = field.choice(ui, &mut name, &names);
        if response.reset { Some(Wish::Reset) } else { response.changed.then_some(Wish::Set(Value::Text(name))) }
    };
    if let Some(chosen) = kinds.iter().find(|known| known.name == kind) {
        let tokens = Tokens::of(ui);
        let text = RichText::new(chosen.summary).text_style(TextStyle::Small).color(tokens.text_muted);
        ui.add(Label::new(text).wrap()).on_hover_text(chosen.source);
    }
    match wish {
        Some(Wish::Set(value)) => desk.ask(Edit::Set { path: row.path.clone(), value: value.to_toml() }),
        Some(Wish::Reset) => desk.ask(Edit::Reset { path: row.path.clone() }),
        None => {}
    }
}

/// What a setting does, what it may be, and what it usually is.
fn explanation(row: &Row, settings: &Settings, kinds: &[Kind]) -> String {
    let knob = &row.knob;
    let mut lines = vec![knob.doc.to_owned()];
    lines.extend(kinds.iter().map(|kind| format!("{}: {}", kind.name, kind.summary)));
    let range = if kinds.is_empty() { knob.range.describe() } else { String::new() };
    let facts = [knob.unit.to_owned(), range, settings.usual(&row.path).map_or_else(String::new, |usual| format!("usually {usual}"))];
    lines.push(facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join("; "));
    lines.push(row.path.clone());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// A problem as one line.
pub fn in_a_sentence(problem: &Problem) -> String {
    let parts = [&problem.key, &problem.what, &problem.cure];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(": ")
}
