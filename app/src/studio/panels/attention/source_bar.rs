//! Whose attention is looked at: a run, one of its checkpoints, and perhaps another one beside it; or weights from elsewhere.

use std::path::PathBuf;

use egui::Ui;
use maskroom_widgets::format::count;
use maskroom_widgets::{Button, Tokens, icon};

use super::export::{self, Wish};
use crate::studio::ask::Ask;
use crate::studio::attention_choice::{Checkpoint, WeightsChoice};
use crate::studio::desk::Desk;
use crate::studio::looked_at::LookedAt;
use crate::studio::panels::controls::menu;
use crate::studio::panels::elsewhere;

/// Which weights of what is looked at.
#[derive(Default)]
pub struct Source {
    /// The run that the choices below are about, or the weights from elsewhere.
    of: PathBuf,
    is_imported: bool,
    /// The weights.
    pub checkpoint: Checkpoint,
    /// Others beside them.
    pub compared: Option<Checkpoint>,
}

impl Source {
    /// Begins anew when another run is selected, or other weights.
    pub fn follow(&mut self, looked_at: LookedAt<'_>) {
        let is_imported = matches!(looked_at, LookedAt::Imported(_));
        if self.of != looked_at.path() || self.is_imported != is_imported {
            *self = Self { of: looked_at.path().to_path_buf(), is_imported, ..Self::default() };
        }
    }

    /// What the explorer is asked.
    pub fn weights(&self) -> Vec<WeightsChoice> {
        if self.is_imported {
            return vec![WeightsChoice::Imported(self.of.clone())];
        }
        let choice = |checkpoint| WeightsChoice::OfRun { run: self.of.clone(), checkpoint };
        std::iter::once(self.checkpoint).chain(self.compared).map(choice).collect()
    }

    /// Whether a newer checkpoint changes what is shown.
    pub fn follows_latest(&self) -> bool {
        self.checkpoint == Checkpoint::Latest || self.compared == Some(Checkpoint::Latest)
    }
}

/// Run, checkpoint, comparison, and the way out of the window for what `can_export`. `on_disk` are the steps of checkpoints, as far as they
/// are known.
pub fn show(ui: &mut Ui, desk: Desk<'_>, looked_at: LookedAt<'_>, source: &mut Source, on_disk: &[u64], can_export: bool) -> Option<Wish> {
    let tokens = Tokens::of(ui);
    let mut wish = None;
    let steps = steps(on_disk, looked_at.checkpoints());
    ui.horizontal_wrapped(|ui| {
        let room = ui.available_width() - 3.0 * tokens.sizes.gap - tokens.sizes.row;
        let width = (room / 3.0).clamp(3.0 * tokens.sizes.row, 7.0 * tokens.sizes.row);
        menu(ui, "Run", &looked_at.name(), width, |ui| whose(ui, desk, looked_at));
        if let LookedAt::Imported(known) = looked_at {
            elsewhere::buttons(ui, desk, known);
            wish = export::button(ui, can_export);
            return;
        }
        let words = words_of(source.checkpoint, &steps);
        menu(ui, "Weights", &words, width, |ui| checkpoints(ui, &mut source.checkpoint, &steps));
        match &mut source.compared {
            None => {
                let tip = "shows the same attention of other weights beside it";
                if Button::new("Compare").icon(icon::COMPARE).tooltip(tip).show(ui).clicked() {
                    source.compared = Some(Checkpoint::Untrained);
                }
            }
            Some(compared) => {
                let words = words_of(*compared, &steps);
                menu(ui, "Compared weights", &words, width, |ui| checkpoints(ui, compared, &steps));
                if Button::icon_only(icon::CLOSE, "Compare no longer").show(ui).clicked() {
                    source.compared = None;
                }
            }
        }
        if let (Checkpoint::Step(step), Some(&newest)) = (source.checkpoint, steps.last())
            && newest > step
            && Button::new(format!("Newer: step {}", count(newest)))
                .small()
                .tooltip("follows the latest checkpoint again")
                .show(ui)
                .clicked()
        {
            source.checkpoint = Checkpoint::Latest;
        }
        wish = export::button(ui, can_export);
    });
    wish
}

/// The runs, and weights from elsewhere.
fn whose(ui: &mut Ui, desk: Desk<'_>, looked_at: LookedAt<'_>) {
    for other in desk.runs.list() {
        if ui.selectable_label(looked_at.path() == other.folder.root, other.name()).clicked() {
            desk.ask(Ask::SelectRun(other.folder.root.clone()));
        }
    }
    elsewhere::entries(ui, desk, |path| looked_at.path() == path, |path| desk.ask(Ask::Explore(Some(path.to_path_buf()))));
}

/// What lies on the disk, and what the run has written since it was looked at.
fn steps(on_disk: &[u64], told: &[u64]) -> Vec<u64> {
    let seen = on_disk.last().copied().unwrap_or(0);
    let mut steps: Vec<u64> = on_disk.iter().copied().chain(told.iter().copied().filter(|&step| step > seen)).collect();
    steps.dedup();
    steps
}

fn words_of(checkpoint: Checkpoint, steps: &[u64]) -> String {
    match checkpoint {
        Checkpoint::Latest => steps.last().map_or_else(|| "Latest".to_owned(), |&step| format!("Latest, step {}", count(step))),
        Checkpoint::Step(step) => format!("Step {}", count(step)),
        Checkpoint::Untrained => "Untrained".to_owned(),
    }
}

fn checkpoints(ui: &mut Ui, chosen: &mut Checkpoint, steps: &[u64]) {
    let all = [Checkpoint::Latest, Checkpoint::Untrained].into_iter().chain(steps.iter().rev().map(|&step| Checkpoint::Step(step)));
    for checkpoint in all {
        if ui.selectable_label(*chosen == checkpoint, words_of(checkpoint, steps)).clicked() {
            *chosen = checkpoint;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_that_were_thinned_out_are_not_offered_and_new_ones_are() {
        assert_eq!(steps(&[], &[100, 200]), [100, 200]);
        assert_eq!(steps(&[200, 300], &[100, 200, 300, 400]), [200, 300, 400]);
        assert_eq!(words_of(Checkpoint::Latest, &[1200]), "Latest, step 1,200");
    }
}
