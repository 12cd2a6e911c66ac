//! Weights from elsewhere in panels: which are looked through, those that were opened lately, and the way back to runs.

use std::path::Path;

use egui::{TextStyle, Ui};
use maskroom_widgets::{Button, ElidedLabel, Role, icon};

use super::controls::menu;
use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::imported::Known;
use crate::studio::project::name_of;

/// Entries of a menu for the weights that were opened lately, and for others.
pub fn entries(ui: &mut Ui, desk: Desk<'_>, is_chosen: impl Fn(&Path) -> bool, choose: impl Fn(&Path)) {
    recent(ui, desk, is_chosen, choose);
    if ui.selectable_label(false, "Open weights…").clicked() {
        desk.ask(Command::OpenWeights);
    }
}

/// Those that were opened lately alone. What is no longer there says so.
pub fn recent(ui: &mut Ui, desk: Desk<'_>, is_chosen: impl Fn(&Path) -> bool, choose: impl Fn(&Path)) {
    for path in &desk.preferences.recent_weights {
        let (name, is_gone) = (name_of(path), desk.imported.is_gone(path));
        let words = if is_gone { format!("{name}, no longer there") } else { name };
        let entry = ui.add_enabled(!is_gone, egui::Button::selectable(is_chosen(path), words));
        if entry.on_hover_text(path.display().to_string()).on_disabled_hover_text(path.display().to_string()).clicked() {
            choose(path);
        }
    }
}

/// What can be done where there is no run to look through.
pub fn instead_of_a_run(ui: &mut Ui, desk: Desk<'_>) {
    if Button::new("Open weights…").icon(icon::MODEL).tooltip("Looks through a checkpoint from elsewhere").show(ui).clicked() {
        desk.ask(Command::OpenWeights);
    }
    if !desk.preferences.recent_weights.is_empty() {
        let width = 5.0 * maskroom_widgets::Tokens::of(ui).sizes.row;
        menu(ui, "Weights", "Recent weights", width, |ui| {
            entries(ui, desk, |_| false, |path| desk.ask(Ask::Explore(Some(path.to_path_buf()))));
        });
    }
}

/// What can be done with the weights that are looked through.
pub fn buttons(ui: &mut Ui, desk: Desk<'_>, known: &Known) {
    if Button::icon_only(icon::INFO, "What this is").tooltip(known.found.what.clone()).show(ui).clicked() {
        desk.ask(Ask::OpenWeights(known.path.clone()));
    }
    if Button::icon_only(icon::CLOSE, "Back to runs").show(ui).clicked() {
        desk.ask(Ask::Explore(None));
    }
}

/// Which weights are looked through, and what can be done with them.
pub fn line(ui: &mut Ui, desk: Desk<'_>, known: &Known) {
    ui.horizontal(|ui| {
        buttons(ui, desk, known);
        let words = format!("With {}, {}", known.name(), known.found.what);
        ElidedLabel::new(&words).style(TextStyle::Small).role(Role::TextMuted).show(ui);
    });
}
