//! The Train panel: a run as it trains. What it does now, what is wrong with it, and its curves.

mod charts;
mod controls;
mod engine_log;
mod export;
mod figures;
mod header;
mod health;
mod milestones;
mod toolbar;
mod traces;

use egui::{Context, ScrollArea, Ui};
use maskroom_widgets::{Banner, Button, EmptyState, Tokens, Tone, icon};

use self::charts::Charts;
use self::engine_log::EngineLog;
pub use self::figures::figure;
pub use self::header::clock;
use self::health::Finding;
pub use self::toolbar::swatch;
use super::Panel;
use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::runs::{Run, RunState};

/// What the panel shows now.
pub struct TrainPanel {
    charts: Charts,
    log: EngineLog,
    /// What the rules found, and of which state of which run.
    findings: Vec<Finding>,
    judged: (u64, u64),
    /// Titles of findings that the person has seen enough of, and of which run.
    dismissed: Vec<(std::path::PathBuf, String)>,
}

impl TrainPanel {
    /// Nothing shown yet.
    pub fn new(context: &Context) -> Self {
        Self { charts: Charts::new(context), log: EngineLog::new(context), findings: Vec::new(), judged: (0, 0), dismissed: Vec::new() }
    }

    fn run(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run) {
        header::show(ui, desk, run);
        ui.add_space(Tokens::of(ui).sizes.gap);
        let state = (run.view.history, run.view.generation);
        if self.judged != state {
            (self.findings, self.judged) = (health::findings(&run.view, run.target(), run.prototypes()), state);
        }
        state_banner(ui, desk, run, &self.findings);
        self.health(ui, run);
        if !run.read {
            EmptyState::new(icon::CURVES, "Reading the log", "A long run takes a moment the first time").height(240.0).show(ui);
        } else if has_curves(run) {
            figures::show(ui, run);
            ui.add_space(Tokens::of(ui).sizes.gap);
            self.charts.ui(ui, desk, run);
        } else {
            nothing_logged(ui, desk, run);
        }
        ui.add_space(Tokens::of(ui).sizes.gap);
        self.log.ui(ui, run);
    }

    fn health(&mut self, ui: &mut Ui, run: &Run) {
        let mut dismissed = None;
        for finding in self.findings.iter().filter(|finding| !is_told_by_state(run, finding)) {
            let known = |(of, title): &(std::path::PathBuf, String)| *of == run.folder.root && *title == finding.title;
            if self.dismissed.iter().any(known) {
                continue;
            }
            if Banner::new(finding.tone, &finding.title).body(&finding.advice).dismissible().show(ui) {
                dismissed = Some((run.folder.root.clone(), finding.title.clone()));
            }
            ui.add_space(Tokens::of(ui).sizes.gap);
        }
        self.dismissed.extend(dismissed);
    }
}

impl Panel for TrainPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        match desk.runs.selected() {
            Some(run) => drop(ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.run(ui, desk, run))),
            None => no_run(ui, desk),
        }
    }
}

fn has_curves(run: &Run) -> bool {
    !run.view.columns.is_empty() || run.view.is_folded() && !run.view.course.points().is_empty()
}

fn no_run(ui: &mut Ui, desk: Desk<'_>) {
    if let Some(name) = &desk.runs.preparing {
        let title = format!("Preparing {name}");
        return EmptyState::new(icon::TIMER, &title, "The images are listed and their colors measured; then training starts").show(ui);
    }
    if let Some(problem) = desk.runs.problem() {
        return EmptyState::new(icon::ERROR, "The runs cannot be listed", problem).show(ui);
    }
    if !desk.runs.is_listed() {
        return EmptyState::new(icon::RUNS, "Looking for runs", "They are kept beside the images").show(ui);
    }
    let empty = EmptyState::new(icon::CURVES, "No run yet", "Train on these images, and its curves grow here");
    empty.show_with_actions(ui, |ui| {
        controls::start(ui, desk, true);
        if Button::new("Look at the recipe").icon(icon::RECIPE).show(ui).clicked() {
            show_panel(desk, "recipe");
        }
    });
}

fn nothing_logged(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    let (icon, title, hint) = match run.state() {
        RunState::Starting | RunState::Training => {
            (icon::TIMER, "The engine is coming up", "The first step takes the longest; its figures appear here")
        }
        RunState::Queued => (icon::TIMER, "It waits for its turn", "It starts by itself as soon as the device is free"),
        RunState::Prepared => (icon::PLAY, "It has not been started", "Everything is ready for it"),
        RunState::Damaged => (icon::ERROR, "It cannot be read", "Nothing in its folder is changed; see above what is wrong with it"),
        _ => (icon::CURVES, "It ended before its first step was logged", "The engine's log below may say why"),
    };
    EmptyState::new(icon, title, hint).height(240.0).show_with_actions(ui, |ui| {
        if run.state() == RunState::Prepared && Button::new("Start it").icon(icon::PLAY).show(ui).clicked() {
            desk.ask(Command::ContinueRun);
        }
    });
}

/// Whether the banner of the run's state has this in it: what is bad about a run that has failed is why it failed.
fn is_told_by_state(run: &Run, finding: &Finding) -> bool {
    run.state() == RunState::Failed && finding.tone == Tone::Bad
}

/// What the state of the run asks of the person.
fn state_banner(ui: &mut Ui, desk: Desk<'_>, run: &Run, findings: &[Finding]) {
    let proceed = |ui: &mut Ui| {
        if Button::new("Continue").icon(icon::PLAY).show(ui).clicked() {
            desk.ask(Command::ContinueRun);
        }
    };
    let checkpoint = run.view.checkpoints.last().map_or("from the beginning".to_owned(), |step| format!("from step {step}"));
    match run.state() {
        RunState::Failed => {
            let error = run.error().unwrap_or("the engine did not say why");
            let advice = findings.iter().filter(|finding| is_told_by_state(run, finding)).map(|finding| finding.advice.as_str());
            let body = std::iter::once(error).chain(advice).collect::<Vec<_>>().join("\n");
            Banner::new(Tone::Bad, "The run has failed").body(&body).show_with_actions(ui, proceed);
        }
        RunState::EndedUnexpectedly => {
            let body =
                format!("The engine is gone without a word: killed, out of memory, or the machine went down. It can go on {checkpoint}");
            Banner::new(Tone::Warning, "The run ended unexpectedly").body(&body).show_with_actions(ui, proceed);
        }
        RunState::Damaged => {
            let body = run.problem.clone().unwrap_or_else(|| format!("none of the {} lines of its log is an event", run.view.junk_lines));
            Banner::new(Tone::Bad, "The run cannot be read").body(&body).show_with_actions(ui, |ui| {
                if Button::new("Show its folder").icon(icon::FOLDER_OPEN).show(ui).clicked() {
                    desk.ask(Ask::Reveal(run.folder.root.clone()));
                }
            });
        }
        RunState::Queued => {
            let busy = desk.runs.active().map_or_else(|| "the device is free".to_owned(), |busy| format!("{} is done", busy.name()));
            Banner::new(Tone::Info, &format!("It waits until {busy}")).show_with_actions(ui, |ui| {
                if Button::new("No longer wait").icon(icon::CLOSE).show(ui).clicked() {
                    desk.ask(Ask::Unqueue(run.folder.root.clone()));
                }
            });
        }
        _ => return,
    }
    ui.add_space(Tokens::of(ui).sizes.gap);
}

/// The button that makes a run of the recipe, where nothing else is to be done.
pub fn start_button(ui: &mut Ui, desk: Desk<'_>) {
    controls::start(ui, desk, true);
}

/// Brings a panel to the front.
fn show_panel(desk: Desk<'_>, key: &str) {
    if let Some(index) = super::index_of(key) {
        desk.ask(Command::ShowPanel(index));
    }
}
