//! Which run it is, what it is doing, what can be done with it, and how far it is.

use egui::Ui;
use maskroom_widgets::{Progress, StateBadge, Tokens, format};

use super::controls;
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::panels::controls::menu;
use crate::studio::panels::runs::badge;
use crate::studio::runs::{Run, RunState};

/// Draws it.
pub fn show(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    let tokens = Tokens::of(ui);
    ui.horizontal(|ui| {
        let badge_room = 160.0;
        let width = (ui.available_width() - badge_room).clamp(120.0, 320.0);
        let name = run.name();
        menu(ui, "Shown run", &name, width, |ui| {
            for other in desk.runs.list() {
                let is_selected = desk.runs.is_selected(&other.folder.root);
                if ui.selectable_label(is_selected, other.name()).clicked() && !is_selected {
                    desk.ask(Ask::SelectRun(other.folder.root.clone()));
                }
            }
        });
        let (words, role) = badge::of(run.state());
        StateBadge::new(words, role).show(ui);
    });
    ui.add_space(tokens.sizes.gap);
    controls::show(ui, desk, run);
    ui.add_space(tokens.sizes.gap);
    progress(ui, run);
}

fn progress(ui: &mut Ui, run: &Run) {
    let (view, state) = (&run.view, run.state());
    let steps = run.steps();
    if steps == 0 {
        return;
    }
    let label = match () {
        () if view.seconds() > 0.0 => format!("Epoch {:.1} · trained for {}", view.epoch(), clock(view.seconds())),
        () if state == RunState::Starting => "Coming up".to_owned(),
        () => "Not trained yet".to_owned(),
    };
    let bar = Progress::new(view.step(), steps).label(&label);
    match view.eta_secs().filter(|_| state == RunState::Training) {
        Some(secs) => bar.eta_secs(secs).show(ui),
        None => bar.show(ui),
    };
}

/// A time of seconds as a clock shows it, longer ones in words.
pub fn clock(secs: f64) -> String {
    let whole = secs.max(0.0) as u64;
    if whole < 3600 { format!("{}:{:02} min", whole / 60, whole % 60) } else { format::duration(secs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_seconds_and_long_ones_words() {
        assert_eq!([clock(-1.0), clock(7.9), clock(754.0), clock(3661.0)], ["0:00 min", "0:07 min", "12:34 min", "1 h 1 min"]);
    }
}
