//! Which images the previews show: the ones that the run began with, or others that the person chose in the Data panel.

use egui::{TextStyle, Ui};
use maskroom_core::run::Action;
use maskroom_widgets::{Button, ElidedLabel, Role, Section, icon};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::runs::{Run, RunState};

/// A list that is being changed.
#[derive(Default)]
pub struct PreviewImages {
    open: bool,
    /// The names, once the person has changed something.
    chosen: Option<Vec<String>>,
}

impl PreviewImages {
    /// Draws the list. `shown` are the names of the images in the latest preview, if they are known.
    pub fn show(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run, shown: &[String]) {
        let names = self.chosen.clone().unwrap_or_else(|| shown.iter().filter(|name| !name.is_empty()).cloned().collect());
        let Self { open, chosen } = self;
        Section::new("Preview images").note(&names.len().to_string()).collapsible(open).show(ui, |ui| {
            for (index, name) in names.iter().enumerate() {
                ui.horizontal(|ui| {
                    let tip = format!("Leave out {name}");
                    if Button::icon_only(icon::REMOVE, tip).small().show(ui).clicked() {
                        let mut fewer = names.clone();
                        fewer.remove(index);
                        *chosen = Some(fewer);
                    }
                    ElidedLabel::new(name).keep_end().show(ui);
                });
            }
            if let Some(item) = desk.project.dataset().and_then(|dataset| dataset.items.get(desk.project.selected())) {
                let is_new = !names.contains(&item.name);
                let tip = if is_new { "the image that is selected in the Data panel" } else { "the selected image is in the list" };
                let text = format!("Add {}", item.name);
                if Button::new(text).icon(icon::ADD).enabled(is_new).tooltip(tip).show(ui).clicked() {
                    *chosen = Some(names.iter().cloned().chain([item.name.clone()]).collect());
                }
            }
            let allowed = may_change(run.state(), &names, chosen.is_some());
            ui.horizontal(|ui| {
                let tip = allowed.unwrap_or_else(|reason| reason);
                if Button::new("Show these from now on").enabled(allowed.is_ok()).tooltip(tip).show(ui).clicked() {
                    desk.ask(Ask::Control { run: run.folder.root.clone(), action: Action::SetPreviewImages { images: names.clone() } });
                    *chosen = None;
                }
                if chosen.is_some() && Button::new("Undo").icon(icon::UNDO).show(ui).clicked() {
                    *chosen = None;
                }
            });
            let words = "Each image keeps its mask, so that previews can be compared over time.";
            ElidedLabel::new(words).style(TextStyle::Small).role(Role::TextMuted).show(ui);
        });
    }
}

/// Whether a run can be told, and when it hears; otherwise why not.
fn may_change(state: RunState, names: &[String], is_changed: bool) -> Result<&'static str, &'static str> {
    match state {
        _ if !is_changed => Err("add or remove images first"),
        _ if names.is_empty() => Err("at least one image is needed"),
        RunState::Finished => Err("the run has finished"),
        RunState::Training | RunState::Paused => Ok("the run makes a preview of them at once"),
        _ => Ok("the run hears of it when it goes on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_only_what_it_can_hear() {
        let names = ["a.png".to_owned()];
        assert!(may_change(RunState::Training, &names, true).is_ok_and(|words| words.contains("at once")));
        assert!(may_change(RunState::Stopped, &names, true).is_ok_and(|words| words.contains("goes on")));
        for (state, names, is_changed) in
            [(RunState::Training, &names[..], false), (RunState::Training, &[], true), (RunState::Finished, &names[..], true)]
        {
            assert!(may_change(state, names, is_changed).is_err());
        }
    }
}
