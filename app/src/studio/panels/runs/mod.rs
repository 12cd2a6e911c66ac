//! The Runs panel: all runs of the project in a table, and what can be done with them.

mod ago;
pub mod badge;
mod deletion;
mod details;
mod longer;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use egui::{Context, ScrollArea, Ui, UiBuilder, vec2};
use maskroom_widgets::{Banner, DataTable, EmptyState, Sort, TableState, Tokens, Tone, icon};

use self::deletion::Deletion;
use self::details::Details;
use self::longer::Longer;
use super::{Panel, index_of};
use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::runs::{Run, RunState};

/// What the panel shows now.
pub struct RunsPanel {
    table: TableState,
    /// The table counts runs by their places here: a run keeps its place while others come and go.
    places: Vec<PathBuf>,
    place_of: BTreeMap<PathBuf, usize>,
    details: Details,
    deletion: Deletion,
    longer: Longer,
}

/// Something that needs more than asking for it.
enum Action {
    Show(PathBuf),
    Longer(PathBuf),
    Delete(Vec<PathBuf>),
}

/// With less room than this the details lie below the table.
const WIDE: f32 = 640.0;
const DETAILS_WIDTH: f32 = 272.0;
const DETAILS_HEIGHT: f32 = 344.0;

impl RunsPanel {
    /// The latest run first.
    pub fn new(context: &Context) -> Self {
        let mut table = TableState::default();
        table.sort = Sort { column: table::CREATED, descending: true };
        Self {
            table,
            places: Vec::new(),
            place_of: BTreeMap::new(),
            details: Details::default(),
            deletion: Deletion::new(context),
            longer: Longer::default(),
        }
    }

    /// Runs by their places, sorted; places of runs that are gone are no longer chosen.
    fn order(&mut self, desk: Desk<'_>) -> Vec<usize> {
        let mut runs: Vec<(usize, &Run)> = Vec::new();
        for run in desk.runs.list() {
            let folder = &run.folder.root;
            let place = self.place_of.get(folder).copied().unwrap_or_else(|| {
                self.place_of.insert(folder.clone(), self.places.len());
                self.places.push(folder.clone());
                self.places.len() - 1
            });
            runs.push((place, run));
        }
        let sort = self.table.sort;
        runs.sort_by(|a, b| table::compared(a.1, b.1, sort));
        self.table.selected.retain(|place| runs.iter().any(|run| run.0 == *place));
        runs.into_iter().map(|run| run.0).collect()
    }

    /// The one run that is chosen, else the one that other panels show.
    fn chosen<'a>(&self, desk: Desk<'a>) -> Option<&'a Run> {
        let mut chosen = self.table.selected.iter();
        match (chosen.next(), chosen.next()) {
            (None, _) => desk.runs.selected(),
            (Some(&place), None) => desk.runs.get(self.places.get(place)?),
            _ => None,
        }
    }

    fn table(&mut self, ui: &mut Ui, desk: Desk<'_>, order: &[usize]) -> Option<Action> {
        let mut action = None;
        let places = &self.places;
        let run_at = |place: usize| desk.runs.get(places.get(place)?);
        let chosen = self.table.selected.clone();
        let mut menu = |ui: &mut Ui, place: usize| {
            // The run under the pointer is among those chosen; one that is not yet is chosen by the click.
            let several = chosen.len() > 1 && chosen.contains(&place);
            let acted_on = if several { chosen.iter().copied().collect() } else { vec![place] };
            let runs: Vec<&Run> = acted_on.into_iter().filter_map(run_at).collect();
            action = menu(ui, desk, &runs).or(action.take());
        };
        let table = DataTable::new("Runs", table::COLUMNS, order).menu(&mut menu);
        let response = table.show(ui, &mut self.table, |ui, place, column| {
            if let Some(run) = run_at(place) {
                table::cell(ui, desk, run, column);
            }
        });
        let opened = response.opened.and_then(|place| Some(Action::Show(self.places.get(place)?.clone())));
        opened.or(action)
    }

    fn act(&mut self, desk: Desk<'_>, action: Action) {
        match action {
            Action::Show(run) => {
                desk.ask(Ask::SelectRun(run));
                index_of("train").into_iter().for_each(|index| desk.ask(Command::ShowPanel(index)));
            }
            Action::Longer(run) => desk.runs.get(&run).into_iter().for_each(|run| self.longer.ask(run)),
            Action::Delete(runs) => self.deletion.ask(runs),
        }
    }

    fn details(&mut self, ui: &mut Ui, desk: Desk<'_>) -> Option<Action> {
        match self.chosen(desk) {
            Some(run) => self.details.ui(ui, desk, run),
            None => {
                self.details.keep(desk);
                let title = format!("{} runs are chosen", self.table.selected.len());
                EmptyState::new(icon::RUNS, &title, "Right-click them to compare or delete them").height(160.0).show(ui);
                None
            }
        }
    }
}

impl Panel for RunsPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        if let Some(problem) = desk.runs.problem() {
            Banner::new(Tone::Bad, "The runs cannot be listed").body(problem).show(ui);
        }
        let order = self.order(desk);
        if order.is_empty() {
            return nothing(ui, desk);
        }
        let gap = Tokens::of(ui).sizes.gap_large;
        let room = ui.available_rect_before_wrap();
        let is_wide = room.width() >= WIDE;
        let (left, right) = if is_wide {
            room.split_left_right_at_x(room.right() - DETAILS_WIDTH - gap)
        } else {
            room.split_top_bottom_at_y((room.bottom() - DETAILS_HEIGHT - gap).max(room.top() + 0.4 * room.height()))
        };
        let offset = if is_wide { vec2(gap, 0.0) } else { vec2(0.0, gap) };
        let part = |ui: &mut Ui, name: &str, rect: egui::Rect, body: &mut dyn FnMut(&mut Ui) -> Option<Action>| {
            ui.scope_builder(UiBuilder::new().id_salt(name).max_rect(rect), body).inner
        };
        let from_table = part(ui, "table", left, &mut |ui| self.table(ui, desk, &order));
        let details = egui::Rect::from_min_max(right.min + offset, right.max);
        let from_details =
            part(ui, "details", details, &mut |ui| ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.details(ui, desk)).inner);
        ui.advance_cursor_after_rect(room);
        from_table.into_iter().chain(from_details).for_each(|action| self.act(desk, action));
        self.longer.ui(ui, desk);
        self.deletion.ui(ui, desk);
    }
}

fn nothing(ui: &mut Ui, desk: Desk<'_>) {
    if !desk.runs.is_listed() {
        return EmptyState::new(icon::RUNS, "Looking for runs", "They are kept beside the images").show(ui);
    }
    EmptyState::new(icon::RUNS, "No run yet", "Every run that is started on this folder is listed here").show_with_actions(ui, |ui| {
        super::train::start_button(ui, desk);
    });
}

/// Whether a run may be given more steps.
fn can_train_longer(run: &Run) -> bool {
    let state = run.state();
    state == RunState::Finished || (state.can_continue() && run.view.has_begun())
}

/// What can be done with the runs that are chosen.
fn menu(ui: &mut Ui, desk: Desk<'_>, runs: &[&Run]) -> Option<Action> {
    let mut action = None;
    let item = |ui: &mut Ui, words: &str, enabled: bool| {
        let clicked = ui.add_enabled(enabled, egui::Button::new(words)).clicked();
        if clicked {
            ui.close();
        }
        clicked
    };
    let all_compared = runs.iter().all(|run| desk.runs.is_compared(&run.folder.root));
    if let [run] = runs {
        if item(ui, "Show", true) {
            action = Some(Action::Show(run.folder.root.clone()));
        }
        if item(ui, "Continue", run.state().can_continue()) {
            desk.ask(Ask::Continue { run: run.folder.root.clone(), steps: None });
        }
        if run.state() == RunState::Queued && item(ui, "No longer wait", true) {
            desk.ask(Ask::Unqueue(run.folder.root.clone()));
        }
        if item(ui, "Train longer…", can_train_longer(run)) {
            action = Some(Action::Longer(run.folder.root.clone()));
        }
        if item(ui, "Clone recipe", run.recipe.is_some()) {
            desk.ask(Ask::Clone(run.folder.root.clone()));
        }
        if item(ui, "Export weights…", !run.view.checkpoints.is_empty()) {
            desk.ask(Ask::ExportWeights { weights: run.folder.root.clone(), name: run.name() });
        }
    }
    if item(ui, if all_compared { "No longer compare" } else { "Compare" }, true) {
        runs.iter().for_each(|run| desk.ask(Ask::Compare { run: run.folder.root.clone(), shown: !all_compared }));
    }
    if let [run] = runs {
        if item(ui, "Show in file manager", true) {
            desk.ask(Ask::Reveal(run.folder.root.clone()));
        }
        if item(ui, "Copy path", true) {
            ui.ctx().copy_text(run.folder.root.display().to_string());
        }
    }
    let words = if runs.len() == 1 { "Delete…".to_owned() } else { format!("Delete {} runs…", runs.len()) };
    if item(ui, &words, runs.iter().all(|run| !run.state().is_active())) {
        action = Some(Action::Delete(runs.iter().map(|run| run.folder.root.clone()).collect()));
    }
    action
}
