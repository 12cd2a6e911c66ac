//! The masks panel: attention becomes masks for the whole folder, a person reviews them, and exports what was accepted.

mod export_form;
mod making;
mod review;
mod settings;

use std::path::PathBuf;

use egui::{Context, TextStyle, Ui};
use maskroom_core::export::ExportReport;
use maskroom_core::inspect::look::Fit;
use maskroom_widgets::{Banner, Button, ElidedLabel, EmptyState, Progress, Role, Segmented, Tone, format, icon};

use super::{Panel, elsewhere};
use crate::studio::ask::Ask;
use crate::studio::attention_choice::{AttentionChoice, Checkpoint, WeightsChoice};
use crate::studio::desk::Desk;
use crate::studio::job::Job;
use crate::studio::looked_at::LookedAt;
use export_form::ExportForm;
use making::{Making, Order, Outcome};
use review::{Review, Shown};
use settings::Settings;

/// What the panel shows now.
pub struct MasksPanel {
    settings: Settings,
    making: Option<Making>,
    outcome: Option<Outcome>,
    review: Review,
    form: Option<ExportForm>,
    exporting: Option<Job<Vec<ExportReport>>>,
    cell: f32,
    /// What the attention panel handed over last.
    adopted: Option<AttentionChoice>,
}

impl MasksPanel {
    /// No masks yet.
    pub fn new(_context: &Context) -> Self {
        Self {
            settings: Settings::default(),
            making: None,
            outcome: None,
            review: Review::default(),
            form: None,
            exporting: None,
            cell: 120.0,
            adopted: None,
        }
    }

    /// Takes what was chosen in the attention panel, once.
    fn adopt(&mut self, desk: Desk<'_>) {
        if desk.mask_choice == self.adopted.as_ref() {
            return;
        }
        self.adopted = desk.mask_choice.cloned();
        if let Some(choice) = &self.adopted {
            self.settings.adopt(choice);
        }
    }

    /// The step of the checkpoint that was chosen in the attention panel; none for the run's last one.
    fn chosen_step(&self, looked_at: LookedAt<'_>) -> Option<u64> {
        match &self.adopted.as_ref()?.weights {
            WeightsChoice::OfRun { run, checkpoint: Checkpoint::Step(step) } if *run == looked_at.path() => Some(*step),
            _ => None,
        }
    }

    fn weights(&self, looked_at: LookedAt<'_>) -> PathBuf {
        match (looked_at, self.chosen_step(looked_at)) {
            (LookedAt::Run(run), Some(step)) => run.folder.checkpoint_path(step),
            _ => looked_at.path().to_path_buf(),
        }
    }

    fn receive(&mut self, desk: Desk<'_>) {
        if let Some(making) = &self.making {
            self.review.add(making.take());
            if let Some(result) = making.job.poll() {
                self.review.add(making.take());
                self.making = None;
                match result {
                    Ok(outcome) => {
                        desk.ask(Ask::Tell(Tone::Good, format!("{} masks are made", format::count(self.review.num_masks() as u64))));
                        self.outcome = Some(outcome);
                    }
                    Err(error) => desk.ask(Ask::Tell(Tone::Bad, crate::cli::in_words(&error))),
                }
            }
        }
        if let Some(result) = self.exporting.as_ref().and_then(Job::poll) {
            self.exporting = None;
            match result {
                Ok(reports) => reports.iter().for_each(|report| {
                    let words = format!("{} masks in {}, read back and equal", report.masks, report.path.display());
                    desk.ask(Ask::Tell(Tone::Good, words));
                }),
                Err(error) => desk.ask(Ask::Tell(Tone::Bad, crate::cli::in_words(&error))),
            }
        }
    }

    fn make(&mut self, ui: &Ui, desk: Desk<'_>) {
        let (Some(looked_at), Some(dataset)) = (desk.looked_at(), desk.project.dataset()) else { return };
        match self.settings.source() {
            Ok(source) => {
                self.review = Review::default();
                self.outcome = None;
                let order = Order { weights: self.weights(looked_at), dataset: dataset.clone(), source, fit: Fit::Keep };
                self.making = Some(Making::start(order, ui.ctx()));
            }
            Err(problem) => desk.ask(Ask::Tell(Tone::Bad, problem)),
        }
    }

    /// What can be done: begin, and take out what was accepted.
    fn actions_ui(&mut self, ui: &mut Ui, desk: Desk<'_>, [all, accepted, _]: [usize; 3]) {
        let looked_at = desk.looked_at();
        let has_weights = looked_at.is_some_and(LookedAt::has_weights);
        let mut wanted = false;
        ui.horizontal(|ui| {
            let mut button = Button::new(if all > 0 { "Make them again" } else { "Make masks" }).icon(icon::LAYERS);
            if all == 0 {
                button = button.primary();
            }
            wanted = button.enabled(has_weights && self.making.is_none()).show(ui).clicked();
            if all > 0 {
                let mut export = Button::new("Export…").icon(icon::EXPORT).enabled(accepted > 0 && self.exporting.is_none());
                if self.making.is_none() {
                    export = export.primary();
                }
                if export.show(ui).clicked() {
                    self.form = Some(ExportForm::default());
                }
            }
            if let Some(run) = looked_at.filter(|looked_at| matches!(looked_at, LookedAt::Run(_))) {
                let words = match self.chosen_step(run) {
                    _ if !has_weights => format!("{} has no checkpoint yet", run.name()),
                    Some(step) => format!("With step {} of {}", format::count(step), run.name()),
                    None => format!("With the latest weights of {}", run.name()),
                };
                ElidedLabel::new(&words).style(TextStyle::Small).role(Role::TextMuted).show(ui);
            }
        });
        if wanted {
            self.make(ui, desk);
        }
    }

    fn progress_ui(&mut self, ui: &mut Ui) {
        let bar = |ui: &mut Ui, label: &str, (done, total): (u64, u64), eta: Option<f64>| {
            let mut cancelled = false;
            let mut bar = Progress::new(done, total).label(label).cancel(&mut cancelled);
            if let Some(eta) = eta {
                bar = bar.eta_secs(eta);
            }
            bar.show(ui);
            cancelled
        };
        if let Some(making) = &self.making
            && bar(ui, "Making masks", making.job.done_of(), making.job.eta_secs())
        {
            self.making = None;
        }
        if let Some(job) = &self.exporting
            && bar(ui, "Exporting", job.done_of(), job.eta_secs())
        {
            job.cancel();
        }
    }

    fn review_ui(&mut self, ui: &mut Ui, desk: Desk<'_>, [all, accepted, rejected]: [usize; 3]) {
        if let Some(outcome) = &self.outcome {
            if let Some((head, jaccard)) = outcome.best {
                ui.label(format!("Head {head} overlaps the ground truth best: Jaccard {jaccard:.3} on the images that did not choose it"));
            }
            if !outcome.unreadable.is_empty() {
                let body =
                    outcome.unreadable.iter().take(5).map(|file| format!("{}: {}", file.path, file.reason)).collect::<Vec<_>>().join("\n");
                let title = format!("{} images could not be read", outcome.unreadable.len());
                Banner::new(Tone::Warning, &title).body(&body).show(ui);
            }
        }
        ui.horizontal_wrapped(|ui| {
            let words = [("All", all), ("Accepted", accepted), ("Rejected", rejected)];
            let words = words.map(|(word, number)| format!("{word} {}", format::count(number as u64)));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut at = *self.review.shown() as usize;
            Segmented::new("Shown masks", &words).show(ui, &mut at);
            *self.review.shown() = [Shown::All, Shown::Accepted, Shown::Rejected][at];
            if Button::new("Accept shown").icon(icon::CHECK).small().show(ui).clicked() {
                self.review.judge_shown(true);
            }
            if Button::new("Reject shown").icon(icon::CLOSE).small().show(ui).clicked() {
                self.review.judge_shown(false);
            }
        });
        ElidedLabel::new("Space accepts or rejects the selected mask").style(TextStyle::Small).role(Role::TextMuted).show(ui);
        self.review.grid(ui, desk, self.cell);
    }
}

impl Panel for MasksPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.receive(desk);
        self.adopt(desk);
        if desk.project.dataset().is_none() {
            EmptyState::new(icon::LAYERS, "No images yet", "Open a folder: its images become masks here").show(ui);
            return;
        }
        let Some(looked_at) = desk.looked_at() else {
            let state = EmptyState::new(icon::LAYERS, "No weights yet", "Masks are made of what a trained network looks at");
            return state.show_with_actions(ui, |ui| {
                super::train::start_button(ui, desk);
                elsewhere::instead_of_a_run(ui, desk);
            });
        };
        if let LookedAt::Imported(known) = looked_at {
            elsewhere::line(ui, desk, known);
        }
        self.settings.ui(ui, looked_at.recipe());
        let counts = self.review.counts();
        self.actions_ui(ui, desk, counts);
        self.progress_ui(ui);
        if self.review.num_masks() == 0 {
            EmptyState::new(icon::LAYERS, "No masks yet", "Choose head and mass, perhaps in the attention panel, then make masks").show(ui);
        } else {
            self.review_ui(ui, desk, counts);
        }
        if let Some(answer) = self.form.as_mut().and_then(|form| form.show(ui, desk, counts[1])) {
            self.form = None;
            if let (Some(order), Some(dataset)) = (answer, desk.project.dataset()) {
                self.exporting = Some(export_form::start(order, dataset.clone(), self.review.accepted(), ui.ctx()));
            }
        }
    }
}
