//! The columns of the table: what a cell shows, and what a column sorts by.

use std::cmp::Ordering;

use egui::{Label, RichText, Ui, vec2};
use maskroom_core::run::now_secs;
use maskroom_widgets::{Column, Role, Sort, Sparkline, StateBadge, Tokens, Trace, format};

use super::super::train::{clock, figure, swatch};
use super::{ago, badge};
use crate::studio::desk::Desk;
use crate::studio::runs::Run;

const fn words(title: &'static str, width: f32) -> Column<'static> {
    Column { title, unit: "", numeric: false, width }
}

const fn number(title: &'static str, width: f32) -> Column<'static> {
    Column { title, unit: "", numeric: true, width }
}

/// The columns, in order; [`cell`] and [`compared`] count them the same way.
pub const COLUMNS: &[Column<'static>] = &[
    words("Name", 152.0),
    words("State", 160.0),
    number("Step", 128.0),
    number("Loss", 72.0),
    number("Held out", 80.0),
    words("Course", 112.0),
    number("Trained", 88.0),
    words("Created", 96.0),
    words("Recipe", 128.0),
];

/// The place of the column that tells when a run was made.
pub const CREATED: usize = 7;

/// Draws the cell of a run.
pub fn cell(ui: &mut Ui, desk: Desk<'_>, run: &Run, column: usize) {
    let view = &run.view;
    match column {
        0 => name(ui, desk, run),
        1 => {
            let (words, role) = badge::of(run.state());
            StateBadge::new(words, role).show(ui);
        }
        2 => {
            let steps = format!("{} / {}", format::count(view.step()), format::count(run.steps()));
            text(ui, if run.steps() > 0 { &steps } else { "" });
        }
        3 => text(ui, &view.latest("loss").map(figure).unwrap_or_default()),
        4 => text(ui, &held_out(run).map(figure).unwrap_or_default()),
        5 => course(ui, run),
        6 => text(ui, &if view.seconds() > 0.0 { clock(view.seconds()) } else { String::new() }),
        CREATED => {
            let label = Label::new(RichText::new(ago::ago(now_secs(), run.info.created)).color(Tokens::of(ui).text_muted));
            ui.add(label.selectable(false).truncate()).on_hover_text(ago::at(run.info.created));
        }
        _ => text(ui, &recipe(run)),
    }
}

fn name(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    let tokens = Tokens::of(ui);
    swatch(ui, run.color_index);
    let mut name = RichText::new(run.name());
    if desk.runs.is_selected(&run.folder.root) {
        name = name.text_style(maskroom_widgets::fonts::strong());
    }
    if run.problem.is_some() {
        name = name.color(tokens.text_muted);
    }
    ui.add(Label::new(name).selectable(false).truncate());
}

fn text(ui: &mut Ui, text: &str) {
    ui.add(Label::new(if text.is_empty() { "–" } else { text }).selectable(false).truncate());
}

fn course(ui: &mut Ui, run: &Run) {
    let mut trace = Trace::default();
    trace.extend(run.view.course.points().iter().map(|&(step, loss)| (step as f64, loss)));
    let name = format!("Course of the loss of {}", run.name());
    let size = vec2(ui.available_width(), Tokens::of(ui).sizes.row_small);
    Sparkline::new(&name, &trace).size(size).role(Role::Series(run.color_index)).show(ui);
}

/// Method and backbone in short.
pub fn recipe(run: &Run) -> String {
    run.recipe.as_ref().map(|recipe| format!("{} · {}", recipe.method, recipe.backbone.sizes.kind)).unwrap_or_default()
}

fn held_out(run: &Run) -> Option<f64> {
    run.view.validations.last().map(|validation| validation.loss).filter(|loss| loss.is_finite())
}

/// The order of two runs by a column; runs without a figure come last either way.
pub fn compared(a: &Run, b: &Run, sort: Sort) -> Ordering {
    let order = match sort.column {
        0 => a.name().to_lowercase().cmp(&b.name().to_lowercase()),
        1 => a.state().cmp(&b.state()),
        2 => a.view.step().cmp(&b.view.step()),
        3 | 5 => return missing_last(a.view.latest("loss"), b.view.latest("loss"), sort.descending),
        4 => return missing_last(held_out(a), held_out(b), sort.descending),
        6 => a.view.seconds().total_cmp(&b.view.seconds()),
        CREATED => a.info.created.total_cmp(&b.info.created),
        _ => recipe(a).cmp(&recipe(b)),
    };
    if sort.descending { order.reverse() } else { order }
}

fn missing_last(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use maskroom_core::recipe::Recipe;
    use maskroom_core::run::{Event, RunFolder, RunInfo, Step};

    use super::*;
    use crate::studio::runs::Runs;

    fn runs() -> Runs {
        let mut runs = Runs::default();
        for (number, loss) in [(1, Some(0.5)), (2, None), (3, Some(0.2))] {
            let info = RunInfo { name: format!("run {number}"), created: f64::from(number), ..RunInfo::default() };
            let folder = RunFolder { root: format!("/runs/{number}").into() };
            runs.add(folder.clone(), info, Recipe::preset("mae").unwrap());
            let run = runs.get_mut(&folder.root).unwrap();
            loss.into_iter().for_each(|loss| run.view.apply(Event::Step(Step { step: 10, loss, ..Step::default() })));
        }
        runs
    }

    #[test]
    fn runs_without_a_figure_come_last_either_way() {
        let runs = runs();
        let order = |sort| {
            let mut list: Vec<&Run> = runs.list().iter().collect();
            list.sort_by(|a, b| compared(a, b, sort));
            list.iter().map(|run| run.name()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(order(Sort { column: 3, descending: false }), "run 3, run 1, run 2");
        assert_eq!(order(Sort { column: 3, descending: true }), "run 1, run 3, run 2");
        assert_eq!(order(Sort { column: CREATED, descending: true }), "run 3, run 2, run 1");
        assert_eq!(order(Sort { column: 0, descending: false }), "run 1, run 2, run 3");
    }
}
