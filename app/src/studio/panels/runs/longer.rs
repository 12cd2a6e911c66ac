//! Training a run longer: up to which step?

use std::path::PathBuf;

use egui::{Align, Layout, RichText, Ui};
use maskroom_widgets::{Button, Dialog, Field, Tokens, format};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::runs::Run;

/// The dialog, while it is open.
#[derive(Default)]
pub struct Longer {
    run: Option<PathBuf>,
    steps: f64,
}

impl Longer {
    /// Opens it.
    pub fn ask(&mut self, run: &Run) {
        // Half as long again is a change that shows.
        let steps = run.steps().max(run.view.step());
        (self.run, self.steps) = (Some(run.folder.root.clone()), (steps + steps.div_ceil(2)).max(1) as f64);
    }

    /// Draws it while it is open.
    pub fn ui(&mut self, ui: &Ui, desk: Desk<'_>) {
        let Some(run) = self.run.as_ref().and_then(|run| desk.runs.get(run)) else {
            self.run = None;
            return;
        };
        let done = run.view.step();
        let dialog = Dialog::new("Train longer").width(400.0).show(ui.ctx(), |ui| {
            let tokens = Tokens::of(ui);
            let words = format!("{} has {} steps behind it. It goes on from its last checkpoint.", run.name(), format::count(done));
            ui.add(egui::Label::new(RichText::new(words).color(tokens.text_muted)).wrap());
            ui.add_space(tokens.sizes.gap);
            let range = (done + 1) as f64..=1e9;
            Field::new("Steps in all").number(ui, &mut self.steps, range, true);
            ui.add_space(tokens.sizes.gap_large);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let train = Button::new("Train").primary().show(ui).clicked();
                let cancel = Button::new("Cancel").show(ui).clicked();
                (train, cancel)
            })
            .inner
        });
        let (train, cancel) = dialog.inner;
        if train {
            desk.ask(Ask::Continue { run: run.folder.root.clone(), steps: Some((self.steps as u64).max(done + 1)) });
        }
        if train || cancel || dialog.closed {
            self.run = None;
        }
    }
}
