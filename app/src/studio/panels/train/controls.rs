//! What can be done with a run just now: only the buttons that make sense, the next thing to do filled with the accent.

use egui::Ui;
use maskroom_widgets::{Button, icon};

use crate::studio::command::{self, Command};
use crate::studio::desk::Desk;
use crate::studio::runs::{Run, RunState};

/// Draws the buttons.
pub fn show(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    let state = run.state();
    let is_free = desk.runs.active().is_none();
    ui.horizontal_wrapped(|ui| {
        let mut button = |button: Button<'_>, command: Command| {
            let hint = command::of(command).map_or("", |about| about.hint);
            if button.tooltip(hint).show(ui).clicked() {
                desk.ask(command);
            }
        };
        match state {
            RunState::Training => button(Button::new("Pause").icon(icon::PAUSE).primary(), Command::PauseRun),
            RunState::Paused => button(Button::new("Resume").icon(icon::PLAY).primary(), Command::ResumeRun),
            _ => {}
        }
        if matches!(state, RunState::Training | RunState::Paused) {
            button(Button::new("Checkpoint now").icon(icon::CHECKPOINT), Command::CheckpointRun);
            button(Button::new("Stop").icon(icon::STOP), Command::StopRun);
        }
        if state.can_continue() {
            let words = if state == RunState::Prepared { "Start it" } else { "Continue" };
            let proceed = Button::new(words).icon(icon::PLAY);
            button(if is_free { proceed.primary() } else { proceed }, Command::ContinueRun);
        }
        if !matches!(state, RunState::Training | RunState::Paused | RunState::Starting) {
            start(ui, desk, is_free && !state.can_continue());
        }
    });
}

/// The button that makes a run of the recipe.
pub fn start(ui: &mut Ui, desk: Desk<'_>, is_primary: bool) {
    let problem = match () {
        () if desk.project.dataset().is_none() => Some("the folder is still being read"),
        () if !desk.draft.is_valid() => Some("the recipe has problems: see the Recipe panel"),
        () if desk.runs.preparing.is_some() => Some("a run is being prepared"),
        () => None,
    };
    let words = if desk.runs.list().is_empty() { "Start training" } else { "Start a new run" };
    let button = Button::new(words).icon(if is_primary { icon::PLAY } else { icon::ADD }).enabled(problem.is_none());
    let button = button.tooltip(problem.unwrap_or("makes a run of the recipe; a busy device lets it wait"));
    if (if is_primary { button.primary() } else { button }).show(ui).clicked() {
        desk.ask(Command::StartRun);
    }
}
