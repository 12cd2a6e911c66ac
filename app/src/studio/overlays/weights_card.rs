//! What weights from elsewhere are: their network, its sizes, what becomes of each tensor; and what can be done with them.

use std::collections::BTreeSet;
use std::path::Path;

use egui::{Context, Label, RichText, ScrollArea, Spinner, Ui};
use maskroom_widgets::format::count;
use maskroom_widgets::modal::Dialog;
use maskroom_widgets::{Banner, Button, ElidedLabel, Role, Section, Tokens, Tone, fonts, icon};

use crate::cli::sizes_in_words;
use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use crate::studio::imported::{Known, Opening, Reason};
use crate::studio::panels::index_of;
use crate::studio::project::name_of;

/// What is unfolded on the card.
#[derive(Default)]
pub struct WeightsCard {
    unfolded: BTreeSet<String>,
    /// Whether the first button has had the focus.
    is_focused: bool,
}

const WIDTH: f32 = 640.0;
/// Of a list of names.
const LIST_HEIGHT: f32 = 160.0;
/// What the window keeps around the facts, for title, buttons and edges.
const AROUND: f32 = 220.0;

impl WeightsCard {
    /// Draws it while weights are being opened, and when they are.
    pub fn show(&mut self, context: &Context, desk: Desk<'_>) {
        let Some(opening) = desk.imported.opening() else {
            *self = Self::default();
            return;
        };
        let response = Dialog::new("What this is").width(WIDTH).show(context, |ui| match opening {
            Opening::Reading { path, .. } => reading(ui, desk, &name_of(path)),
            Opening::Refused { path, reason } => refused(ui, desk, path, reason),
            Opening::Known(known) => self.known(ui, desk, known),
        });
        if response.closed {
            desk.ask(Ask::CloseWeights);
        }
    }

    fn known(&mut self, ui: &mut Ui, desk: Desk<'_>, known: &Known) {
        let gap = Tokens::of(ui).sizes.gap;
        let room = (ui.ctx().content_rect().height() - AROUND).max(LIST_HEIGHT);
        ScrollArea::vertical().max_height(room).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = Tokens::of(ui).sizes.gap_small;
            facts(ui, known);
            ui.add_space(gap);
            let used = &known.found.mapped;
            self.list(ui, "used", "Used", used.len(), |place| format!("{}, from {}", used[place].ours, used[place].theirs));
            self.reasons(ui, "Missing", &known.missing);
            self.reasons(ui, "Left over", &known.left_over);
            for note in &known.found.notes {
                ui.add(Label::new(RichText::new(format!("Note: {note}")).color(Tokens::of(ui).text_muted)).wrap());
            }
        });
        ui.add_space(gap);
        self.buttons(ui, desk, known);
    }

    /// What has no use or is not there: a list of names for each reason.
    fn reasons(&mut self, ui: &mut Ui, title: &str, reasons: &[Reason]) {
        let all: usize = reasons.iter().map(|reason| reason.names.len()).sum();
        if all > 0 {
            Section::new(title).note(&count(all as u64)).show(ui, |ui| {
                ui.push_id(title, |ui| {
                    for Reason { why, names } in reasons {
                        self.list(ui, title, why, names.len(), |place| names[place].clone());
                    }
                });
            });
        }
    }

    /// A list that unfolds; only what is in sight is laid out, because there may be thousands.
    fn list(&mut self, ui: &mut Ui, group: &str, title: &str, len: usize, name: impl Fn(usize) -> String) {
        let key = format!("{group}: {title}");
        let mut is_open = self.unfolded.contains(&key);
        Section::new(title).note(&count(len as u64)).collapsible(&mut is_open).show(ui, |ui| {
            let row = Tokens::of(ui).sizes.row_small;
            ScrollArea::vertical().id_salt(title).max_height(LIST_HEIGHT).auto_shrink([false, true]).show_rows(
                ui,
                row,
                len,
                |ui, places| {
                    for place in places {
                        ElidedLabel::new(&name(place)).style(fonts::mono_small()).role(Role::TextMuted).show(ui);
                    }
                },
            );
        });
        if is_open {
            self.unfolded.insert(key);
        } else {
            self.unfolded.remove(&key);
        }
    }

    fn buttons(&mut self, ui: &mut Ui, desk: Desk<'_>, known: &Known) {
        ui.horizontal_wrapped(|ui| {
            let tip = "Attention, Reconstructions and Masks look through these weights in the place of a run's";
            let explore = Button::new("Explore").icon(icon::ATTENTION).primary().tooltip(tip).show(ui);
            if !std::mem::replace(&mut self.is_focused, true) {
                explore.request_focus();
            }
            if explore.clicked() {
                desk.ask(Ask::Explore(Some(known.path.clone())));
            }
            let tip = "The next run of the recipe begins with them";
            if Button::new("Start a training from it").icon(icon::PLAY).tooltip(tip).show(ui).clicked() {
                desk.ask(Edit::StartFrom(Some(known.path.clone())));
                desk.ask(Ask::CloseWeights);
                desk.ask(Ask::Tell(Tone::Info, format!("the next run starts from {}", known.name())));
                index_of("recipe").into_iter().for_each(|index| desk.ask(Command::ShowPanel(index)));
            }
            if Button::new("Export…").icon(icon::EXPORT).tooltip("For timm, Hugging Face, ONNX or Maskroom").show(ui).clicked() {
                desk.ask(Ask::CloseWeights);
                desk.ask(Ask::ExportWeights { weights: known.path.clone(), name: known.name() });
            }
        });
    }
}

fn reading(ui: &mut Ui, desk: Desk<'_>, name: &str) {
    let tokens = Tokens::of(ui);
    ui.horizontal(|ui| {
        ui.add(Spinner::new().size(tokens.sizes.icon).color(tokens.accent));
        ElidedLabel::new(&format!("Looking into {name}")).show(ui);
    });
    ui.add_space(tokens.sizes.gap);
    if Button::new("Cancel").show(ui).clicked() {
        desk.ask(Ask::CloseWeights);
    }
}

fn refused(ui: &mut Ui, desk: Desk<'_>, path: &Path, reason: &str) {
    Banner::new(Tone::Bad, &format!("{} cannot be used", name_of(path))).body(reason).show_with_actions(ui, |ui| {
        if Button::new("Open other weights…").icon(icon::MODEL).show(ui).clicked() {
            desk.ask(Ask::CloseWeights);
            desk.ask(Command::OpenWeights);
        }
        let is_remembered = desk.preferences.recent_weights.iter().any(|known| known == path);
        if is_remembered && Button::new("Forget it").tooltip("It is no longer offered; the file stays as it is").show(ui).clicked() {
            desk.ask(Ask::Prefer(Box::new(desk.preferences.without_weights(path))));
            desk.ask(Ask::CloseWeights);
        }
    });
}

/// What is known at a glance.
fn facts(ui: &mut Ui, known: &Known) {
    let (found, data) = (&known.found, &known.found.recipe.data);
    fact(ui, "File", &known.path.display().to_string());
    fact(ui, "Network", &found.what);
    fact(ui, "Format", &found.format);
    fact(ui, "Sizes", &sizes_in_words(&found.recipe));
    fact(ui, "Pixels", &format!("mean {}, deviation {} of pixels from 0 to 1", listed(&data.mean), listed(&data.std)));
    let steps = if found.step > 0 { format!(", {} steps behind them", count(found.step)) } else { String::new() };
    let numbers = count(known.num_parameters() as u64);
    fact(ui, "Weights", &format!("{} tensors are used, {numbers} numbers{steps}", count(found.mapped.len() as u64)));
}

fn fact(ui: &mut Ui, name: &str, value: &str) {
    let tokens = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        let column = egui::vec2(tokens.sizes.label_column, tokens.sizes.row_small);
        ui.allocate_ui_with_layout(column, egui::Layout::left_to_right(egui::Align::Min), |ui| {
            ui.set_min_width(column.x);
            ui.label(RichText::new(name).color(tokens.text_muted));
        });
        ui.add(Label::new(value).wrap());
    });
}

fn listed(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| ((value * 1e4).round() / 1e4).to_string()).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_told_as_papers_print_them() {
        assert_eq!(listed(&[0.485, 0.456, 0.406]), "0.485, 0.456, 0.406");
        assert_eq!(listed(&[0.481_454_66, 0.5]), "0.4815, 0.5");
    }
}
