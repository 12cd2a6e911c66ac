//! The curves: the loss with what it is held against, then every other figure, all over one x-axis and under one cross-hair.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Context, Id, Rect, Ui};
use maskroom_widgets::{Curve, LineChart, Mark, Reference, Role, Tokens, Trace};

use super::export::{Export, Named};
use super::health::baseline;
use super::milestones::{Milestones, Placed};
use super::toolbar::{self, Look, Wish};
use super::traces::{Drawn, Traces, X};
use crate::guesses::Guesses;
use crate::studio::desk::Desk;
use crate::studio::runs::Run;

/// The charts, and how they are drawn.
pub struct Charts {
    look: Look,
    traces: Traces,
    milestones: Milestones,
    hovered_x: Option<f64>,
    export: Export,
    /// Where they are on the screen.
    area: Rect,
}

const LOSS_HEIGHT: f32 = 280.0;
const HEIGHT: f32 = 176.0;

/// A chart below that of the loss.
struct Figure {
    column: String,
    title: String,
    unit: &'static str,
}

/// What is drawn of one run.
struct Shown<'a> {
    run: &'a Run,
    /// Unlike that of any other run that is drawn.
    name: String,
    color_index: usize,
    is_compared: bool,
}

impl Charts {
    /// None drawn yet.
    pub fn new(context: &Context) -> Self {
        Self {
            look: Look::default(),
            traces: Traces::new(context),
            milestones: Milestones::default(),
            hovered_x: None,
            export: Export::default(),
            area: Rect::NOTHING,
        }
    }

    /// Draws them; `run` is the one that is looked at.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run) {
        let tokens = Tokens::of(ui);
        let wish = toolbar::show(ui, desk, run, &mut self.look);
        ui.add_space(tokens.sizes.gap);
        let shown = shown(desk, run);
        self.traces.begin_frame();
        self.milestones.begin_frame();
        let x = self.look.x(run);
        let top = ui.cursor().top();
        let mut hovered = self.loss(ui, desk, &shown, x);
        hovered = hovered.or(self.class_probe(ui, desk, &shown, x));
        for figure in figures_of(&shown) {
            ui.add_space(tokens.sizes.gap);
            hovered = hovered.or(self.figure(ui, desk, &shown, &figure, x));
        }
        if hovered != self.hovered_x {
            self.hovered_x = hovered;
            ui.ctx().request_repaint();
        }
        self.area = ui.min_rect().with_min_y(top).intersect(ui.clip_rect());
        match wish {
            Some(Wish::Picture) => self.export.picture(ui.ctx()),
            Some(Wish::Table) => {
                let curves = self.named(desk, &shown, x);
                self.export.table(desk, &run.name(), x.label(), curves);
            }
            None => {}
        }
        self.export.go_on(ui.ctx(), desk, &run.name(), self.area);
    }

    fn loss(&mut self, ui: &mut Ui, desk: Desk<'_>, shown: &[Shown<'_>], x: X) -> Option<f64> {
        let drawn = self.drawn(desk, shown, "loss", x);
        let first = shown.first()?;
        let held_out: Vec<(String, Arc<Trace>)> =
            shown.iter().map(|shown| (format!("{}, held out", shown.name), self.milestones.of(shown.run, x).held_out)).collect();
        let marks = self.milestones.of(first.run, x).marks;
        let mut curves = Vec::new();
        for ((shown, drawn), (name, trace)) in shown.iter().zip(&drawn).zip(&held_out) {
            if let Some(drawn) = drawn {
                let marks: &[Mark] = if shown.is_compared { &[] } else { &marks };
                curves.push(Curve { marks, ..curve(shown, drawn) });
            }
            if !trace.is_empty() {
                curves.push(Curve { name, color_index: shown.color_index, raw: Some(trace), dashed: true, ..Curve::default() });
            }
        }
        let guesses = Guesses::of(first.run.target());
        let references = [(guesses.mean[0], "patch_mean"), (guesses.nearest[0], "nearest")];
        let references: Vec<Reference<'_>> = references
            .into_iter()
            .filter_map(|(name, key)| Some(Reference { name, y: baseline(&first.run.view, key)?, role: Role::TextMuted }))
            .collect();
        let chart = LineChart::new("loss", "Loss").log_y(self.look.log_y).height(LOSS_HEIGHT).curves(&curves).references(&references);
        self.show(ui, chart, first.run, x)
    }

    /// How well features tell classes apart, in runs whose images have classes.
    fn class_probe(&mut self, ui: &mut Ui, desk: Desk<'_>, shown: &[Shown<'_>], x: X) -> Option<f64> {
        let run = shown.first()?.run;
        let latest = shown.iter().find_map(|shown| shown.run.view.class_probes().next_back())?;
        let traces: Vec<Arc<Trace>> = shown.iter().map(|shown| self.milestones.of(shown.run, x).top1).collect();
        let curves: Vec<Curve<'_>> = (shown.iter().zip(&traces).filter(|(_, trace)| !trace.is_empty()))
            .map(|(shown, trace)| Curve { name: &shown.name, color_index: shown.color_index, raw: Some(trace), ..Curve::default() })
            .collect();
        let chance = latest.figure("chance").map(|y| Reference { name: "always the commonest class", y, role: Role::TextMuted });
        let references: Vec<Reference<'_>> = chance.into_iter().collect();
        let about = format!("How well features tell classes apart while they are learned: {}", latest.note);
        let chart = LineChart::new("class probe", "k-NN probe").y_label("share of images that find their class").about(&about);
        let chart = chart.height(HEIGHT).curves(&curves).references(&references);
        // The first probe comes late: its step stands below the same step of the loss.
        let losses = self.drawn(desk, shown, "loss", x);
        let ranges: Vec<[f64; 2]> =
            losses.iter().flatten().filter_map(|loss| loss.smooth.x_range()).map(|x| [*x.start(), *x.end()]).collect();
        let whole = ranges.into_iter().reduce(|[low, high], [from, to]| [low.min(from), high.max(to)]);
        ui.add_space(Tokens::of(ui).sizes.gap);
        self.show(ui, chart.at_least_x(whole), run, x)
    }

    fn figure(&mut self, ui: &mut Ui, desk: Desk<'_>, shown: &[Shown<'_>], figure: &Figure, x: X) -> Option<f64> {
        let drawn = self.drawn(desk, shown, &figure.column, x);
        let curves: Vec<Curve<'_>> = shown.iter().zip(&drawn).filter_map(|(shown, drawn)| Some(curve(shown, drawn.as_ref()?))).collect();
        let run = shown.first()?.run;
        let limits: Vec<Reference<'_>> = limit(run, &figure.column).into_iter().collect();
        let chart = LineChart::new(&figure.column, &figure.title).y_label(figure.unit).height(HEIGHT).curves(&curves).references(&limits);
        self.show(ui, chart, run, x)
    }

    fn show(&self, ui: &mut Ui, chart: LineChart<'_>, run: &Run, x: X) -> Option<f64> {
        // Another axis or another run is another view: what was zoomed into there means nothing here.
        let group = Id::unique(("curves", x, &run.folder.root));
        let empty = if run.view.is_folded() { "Reading the curves" } else { "No steps logged yet" };
        ui.push_id(group, |ui| chart.x_label(x.label()).link_group(group).linked_x(self.hovered_x).empty_text(empty).show(ui))
            .inner
            .hovered_x
    }

    fn drawn(&mut self, desk: Desk<'_>, shown: &[Shown<'_>], column: &str, x: X) -> Vec<Option<Drawn>> {
        let weight = if column == "lr" { 0.0 } else { desk.preferences.smoothing };
        shown.iter().map(|shown| self.traces.of(shown.run, column, x, weight, shown.is_compared)).collect()
    }

    /// Every curve with a name that tells run and figure.
    fn named(&mut self, desk: Desk<'_>, shown: &[Shown<'_>], x: X) -> Vec<Named> {
        let loss = Figure { column: "loss".into(), title: "Loss".into(), unit: "" };
        let mut named = Vec::new();
        for figure in std::iter::once(loss).chain(figures_of(shown)) {
            for (shown, drawn) in shown.iter().zip(self.drawn(desk, shown, &figure.column, x)) {
                let name = format!("{} {}", shown.name, figure.title.to_lowercase());
                named.extend(drawn.map(|drawn| Named { name, raw: drawn.raw, smooth: Some(drawn.smooth) }));
            }
        }
        for shown in shown {
            let Placed { held_out, top1, .. } = self.milestones.of(shown.run, x);
            for (what, raw) in [("held-out loss", held_out), ("k-NN top-1", top1)].into_iter().filter(|(_, trace)| !trace.is_empty()) {
                named.push(Named { name: format!("{} {what}", shown.name), raw, smooth: None });
            }
        }
        named
    }
}

/// The run that is looked at first, then those beside it, each with a name of its own.
fn shown<'a>(desk: Desk<'a>, run: &'a Run) -> Vec<Shown<'a>> {
    let others = desk.runs.shown().filter(|other| other.folder.root != run.folder.root);
    let runs: Vec<&Run> = std::iter::once(run).chain(others).collect();
    let names = unlike(&runs.iter().map(|run| (run.name(), folder_name(run))).collect::<Vec<_>>());
    runs.iter()
        .zip(names)
        .enumerate()
        .map(|(place, (run, name))| Shown { run, name, color_index: run.color_index, is_compared: place > 0 })
        .collect()
}

fn folder_name(run: &Run) -> String {
    run.folder.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Names with their folders where two are alike.
fn unlike(names: &[(String, String)]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.iter().for_each(|(name, _)| *counts.entry(name).or_default() += 1);
    names.iter().map(|(name, folder)| if counts[name.as_str()] > 1 { format!("{name} ({folder})") } else { name.clone() }).collect()
}

fn curve<'a>(shown: &'a Shown<'_>, drawn: &'a Drawn) -> Curve<'a> {
    // What is compared is drawn smoothed alone: raw curves over one another show nothing.
    let raw = (!shown.is_compared).then_some(&*drawn.raw);
    Curve { name: &shown.name, color_index: shown.color_index, raw, smooth: Some(&drawn.smooth), ..Curve::default() }
}

/// What a figure would be if the network told nothing apart: an entropy of answers as large as it can be.
fn limit(run: &Run, column: &str) -> Option<Reference<'static>> {
    let prototypes = run.recipe.as_ref()?.decoder.count("prototypes");
    let name = "all prototypes alike: ln K";
    (column == "teacher_entropy" && prototypes > 1).then(|| Reference { name, y: (prototypes as f64).ln(), role: Role::TextMuted })
}

/// Every figure that some run has logged and that is not the same all the time.
fn figures_of(shown: &[Shown<'_>]) -> Vec<Figure> {
    let known = [("lr", "Learning rate", ""), ("grad_norm", "Gradient norm", ""), ("images_per_second", "Throughput", "images/s")];
    // Those of networks that teach themselves.
    let of_methods = [
        ("teacher_entropy", "Entropy of the teacher's answers", "nats"),
        ("kl", "Divergence of network and teacher", "nats"),
        ("teacher_peak", "Share of the most frequent prototype", ""),
        ("feature_spread", "Spread of features, 1 being even", ""),
    ];
    let figure = |(column, title, unit): (&str, &str, &'static str)| Figure { column: column.into(), title: title.into(), unit };
    let is_logged = |(column, ..): &(&str, &str, &str)| shown.iter().any(|shown| shown.run.view.columns.values.contains_key(*column));
    let mut figures: Vec<Figure> = known.into_iter().chain(of_methods.into_iter().filter(is_logged)).map(figure).collect();
    let hidden = ["loss", "weight_decay", "data_wait_ratio"];
    let columns = shown.iter().flat_map(|shown| shown.run.view.columns.values.keys());
    for column in columns.filter(|column| !hidden.contains(&column.as_str())) {
        if !figures.iter().any(|figure| figure.column == *column) {
            figures.push(Figure { column: column.clone(), title: title_from_column(column), unit: "" });
        }
    }
    figures
}

/// `teacher_entropy` as `Teacher entropy`.
fn title_from_column(column: &str) -> String {
    let words = column.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_name_are_told_apart_by_their_folders() {
        let name = |name: &str, folder: &str| (name.to_owned(), folder.to_owned());
        let names = unlike(&[name("mae 1", "mae-001"), name("tuned", "mae-002"), name("mae 1", "mae-003")]);
        assert_eq!(names, ["mae 1 (mae-001)", "tuned", "mae 1 (mae-003)"]);
        assert_eq!(title_from_column("teacher_entropy"), "Teacher entropy");
    }
}
