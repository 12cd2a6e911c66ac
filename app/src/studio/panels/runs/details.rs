//! What is known of the run that is chosen in the table, its name and notes to be edited, and what can be done with it.

use std::path::PathBuf;

use egui::{RichText, TextEdit, Ui};
use maskroom_widgets::{Banner, Button, ElidedLabel, Role, StateBadge, Tokens, Tone, icon};

use super::{Action, ago, badge, table};
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::runs::{Run, RunState};

/// The texts that are being edited.
#[derive(Default)]
pub struct Details {
    run: Option<PathBuf>,
    name: String,
    notes: String,
    is_edited: bool,
}

impl Details {
    /// Draws it. Returns what needs a dialog.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run) -> Option<Action> {
        self.follow(desk, run);
        let tokens = Tokens::of(ui);
        ui.spacing_mut().item_spacing.y = tokens.sizes.gap;
        let is_editable = run.problem.is_none();
        ui.add_enabled_ui(is_editable, |ui| self.texts(ui, desk, run));
        if let Some(problem) = &run.problem {
            Banner::new(Tone::Bad, "Its files cannot be read").body(problem).show(ui);
        }
        let (words, role) = badge::of(run.state());
        ui.horizontal(|ui| {
            StateBadge::new(words, role).show(ui);
            ElidedLabel::new(&ago::at(run.info.created)).style(egui::TextStyle::Small).role(Role::TextMuted).show(ui);
        });
        let facts = [table::recipe(run), run.view.device.clone()];
        let facts = facts.into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>().join(", ");
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = tokens.sizes.gap_small;
            ElidedLabel::new(&facts).style(egui::TextStyle::Small).role(Role::TextMuted).show(ui);
            let folder = run.folder.root.display().to_string();
            ElidedLabel::new(&folder).style(egui::TextStyle::Small).role(Role::TextMuted).keep_end().show(ui);
        });
        if let Some(error) = run.error().filter(|_| run.state() == RunState::Failed) {
            ui.add(egui::Label::new(RichText::new(error).small().color(tokens.bad)).wrap());
        }
        buttons(ui, desk, run)
    }

    /// Other text for another run; what was being written is kept first.
    fn follow(&mut self, desk: Desk<'_>, run: &Run) {
        if self.run.as_ref() != Some(&run.folder.root) {
            self.keep(desk);
            (self.run, self.is_edited) = (Some(run.folder.root.clone()), false);
        }
        if !self.is_edited {
            (self.name, self.notes) = (run.info.name.clone(), run.info.notes.clone());
        }
    }

    /// Saves what was edited.
    pub fn keep(&mut self, desk: Desk<'_>) {
        if let Some(run) = self.run.clone().filter(|_| self.is_edited) {
            desk.ask(Ask::Describe { run, name: self.name.trim().to_owned(), notes: self.notes.clone() });
            self.is_edited = false;
        }
    }

    fn texts(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run) {
        let tokens = Tokens::of(ui);
        let margin = egui::Margin::symmetric(6, 3);
        let label = |ui: &mut Ui, text: &str| ui.label(RichText::new(text).small().color(tokens.text_muted)).id;
        let name_label = label(ui, "Name");
        let hint = run.name();
        let name = TextEdit::singleline(&mut self.name).hint_text(hint).desired_width(f32::INFINITY).margin(margin);
        let name = ui.add(name).labelled_by(name_label);
        let notes_label = label(ui, "Notes");
        let notes = TextEdit::multiline(&mut self.notes).hint_text("What this run is to show").desired_width(f32::INFINITY).margin(margin);
        let notes = ui.add(notes.desired_rows(3)).labelled_by(notes_label);
        self.is_edited |= name.changed() || notes.changed();
        if name.lost_focus() || notes.lost_focus() {
            self.keep(desk);
        }
    }
}

fn buttons(ui: &mut Ui, desk: Desk<'_>, run: &Run) -> Option<Action> {
    let folder = &run.folder.root;
    let mut action = None;
    ui.horizontal_wrapped(|ui| {
        if Button::new("Show").icon(icon::CURVES).primary().tooltip("Its curves, in the Train panel").show(ui).clicked() {
            action = Some(Action::Show(folder.clone()));
        }
        let compared = desk.runs.is_compared(folder);
        if Button::new("Compare")
            .icon(icon::COMPARE)
            .selected(compared)
            .tooltip("Draws its curves beside the shown run's")
            .show(ui)
            .clicked()
        {
            desk.ask(Ask::Compare { run: folder.clone(), shown: !compared });
        }
        let clone = Button::new("Clone").icon(icon::RECIPE).enabled(run.recipe.is_some());
        if clone.tooltip("Takes its recipe as the one to be edited").show(ui).clicked() {
            desk.ask(Ask::Clone(folder.clone()));
        }
        let longer = Button::new("Train longer…").icon(icon::PLAY).enabled(super::can_train_longer(run));
        if longer.tooltip("Trains it up to another step").show(ui).clicked() {
            action = Some(Action::Longer(folder.clone()));
        }
        let has_weights = !run.view.checkpoints.is_empty();
        let tip = if has_weights { "Export weights…" } else { "It has no checkpoint yet" };
        if Button::icon_only(icon::EXPORT, "Export weights…").enabled(has_weights).tooltip(tip).show(ui).clicked() {
            desk.ask(Ask::ExportWeights { weights: folder.clone(), name: run.name() });
        }
        if Button::icon_only(icon::FOLDER_OPEN, "Show its folder").show(ui).clicked() {
            desk.ask(Ask::Reveal(folder.clone()));
        }
        if Button::icon_only(icon::COPY, "Copy its path").show(ui).clicked() {
            ui.ctx().copy_text(folder.display().to_string());
        }
        let delete = Button::icon_only(icon::DELETE, "Delete…").danger().enabled(!run.state().is_active());
        if delete.tooltip(if run.state().is_active() { "Stop it before deleting it" } else { "Delete…" }).show(ui).clicked() {
            action = Some(Action::Delete(vec![folder.clone()]));
        }
    });
    action
}
