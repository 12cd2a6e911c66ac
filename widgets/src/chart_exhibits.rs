//! Charts for the gallery, with curves that look like those of real runs.

use std::sync::LazyLock;

use egui::{Ui, vec2};

use crate::gallery::Exhibit;
use crate::smooth::smoothed;
use crate::{Curve, LineChart, Mark, MarkKind, Reference, Role, Scatter, ScatterPoint, Sparkline, Trace, format};

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "line_chart_empty", size: vec2(560.0, 240.0), show: empty },
    Exhibit { name: "line_chart_typical", size: vec2(720.0, 320.0), show: typical },
    Exhibit { name: "line_chart_hovered", size: vec2(720.0, 320.0), show: hovered },
    Exhibit { name: "line_chart_narrow", size: vec2(320.0, 240.0), show: narrow },
    Exhibit { name: "line_chart_gaps", size: vec2(560.0, 240.0), show: gaps },
    Exhibit { name: "line_chart_log", size: vec2(560.0, 280.0), show: log },
    Exhibit { name: "line_chart_long", size: vec2(720.0, 280.0), show: long },
    Exhibit { name: "sparkline", size: vec2(280.0, 152.0), show: sparklines },
    Exhibit { name: "scatter", size: vec2(400.0, 320.0), show: scatter },
    Exhibit { name: "scatter_empty", size: vec2(400.0, 160.0), show: scatter_empty },
];

/// Noise from -1 to 1 that is the same each time.
fn noise(step: u32, seed: u32) -> f32 {
    let mixed = (step.wrapping_add(seed)).wrapping_mul(0x9e37_79b1) ^ (step.wrapping_mul(0x85eb_ca77) >> 7);
    (mixed.wrapping_mul(0xc2b2_ae3d) >> 8) as f32 / 8_388_608.0 - 1.0
}

/// A loss that falls quickly and then slowly.
fn loss(num_steps: u32, stride: u32, spread: f32, floor: f32, seed: u32) -> Trace {
    let value = |step: u32| {
        let progress = 30.0 * step as f32 / num_steps as f32;
        floor + 0.75 / (1.0 + progress) + spread * (noise(step, seed) + noise(step + 7919, seed)) / (1.0 + progress * 0.1)
    };
    let mut trace = Trace::default();
    trace.extend((0..=num_steps).step_by(stride as usize).map(|step| (f64::from(step), value(step))));
    trace
}

struct Run {
    raw: Trace,
    smooth: Trace,
}

impl Run {
    fn new(raw: Trace) -> Self {
        Self { smooth: smoothed(&raw, 0.97), raw }
    }

    fn curve<'a>(&'a self, name: &'a str, color_index: usize) -> Curve<'a> {
        Curve { name, color_index, raw: Some(&self.raw), smooth: Some(&self.smooth), ..Curve::default() }
    }
}

static TRAIN: LazyLock<Run> = LazyLock::new(|| Run::new(loss(12_000, 4, 0.05, 0.21, 1)));
static VALIDATION: LazyLock<Trace> = LazyLock::new(|| loss(12_000, 500, 0.004, 0.235, 2));
static LONG: LazyLock<Run> = LazyLock::new(|| Run::new(loss(2_400_000, 8, 0.08, 0.3, 5)));
static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let runs = [(12_000, 0.21), (12_000, 0.26), (7_300, 0.29), (12_000, 0.33), (4_800, 0.42)];
    (0..).zip(runs).map(|(seed, (num_steps, floor))| Run::new(loss(num_steps, 10, 0.02, floor, seed * 31))).collect()
});

const MARKS: &[Mark] = &[
    Mark { x: 2000.0, kind: MarkKind::Checkpoint },
    Mark { x: 4000.0, kind: MarkKind::Checkpoint },
    Mark { x: 4700.0, kind: MarkKind::Resumed },
    Mark { x: 6000.0, kind: MarkKind::Checkpoint },
    Mark { x: 8000.0, kind: MarkKind::Checkpoint },
    Mark { x: 8800.0, kind: MarkKind::Warning },
    Mark { x: 10_000.0, kind: MarkKind::Best },
];

fn empty(ui: &mut Ui) {
    LineChart::new("chart", "Loss").y_label("masked MSE").height(ui.available_height()).show(ui);
}

fn typical(ui: &mut Ui) {
    let train = Curve { marks: MARKS, ..TRAIN.curve("training", 0) };
    let validation = Curve { name: "validation", color_index: 1, raw: Some(&VALIDATION), dashed: true, ..Curve::default() };
    let references = [Reference { name: "mean color", y: 0.62, role: Role::TextMuted }];
    let chart = LineChart::new("chart", "Loss").y_label("masked MSE").height(ui.available_height());
    chart.curves(&[train, validation]).references(&references).show(ui);
}

fn hovered(ui: &mut Ui) {
    let names = [
        "block mask 60 %, patch 8, seed 1",
        "random mask 75 %, patch 16, warm-up of 500 steps, seed 1",
        "random mask 75 %, patch 16, no warm-up, seed 1",
        "grid mask 50 %",
        "no mask",
    ];
    let curves: Vec<_> = RUNS.iter().zip(names).enumerate().map(|(index, (run, name))| run.curve(name, index)).collect();
    let first = Curve { marks: MARKS, ..curves[0] };
    let curves = [&[first], &curves[1..]].concat();
    LineChart::new("chart", "Loss").y_label("masked MSE").height(ui.available_height()).curves(&curves).linked_x(Some(8_000.0)).show(ui);
}

fn narrow(ui: &mut Ui) {
    let names = ["one", "two", "three", "four", "five, and a long name at that"];
    let curves: Vec<_> = RUNS.iter().zip(names).enumerate().map(|(index, (run, name))| run.curve(name, index)).collect();
    LineChart::new("chart", "Loss").height(ui.available_height()).curves(&curves).linked_x(Some(11_900.0)).show(ui);
}

fn gaps(ui: &mut Ui) {
    let mut broken = Trace::default();
    broken.extend(TRAIN.raw.points().take(700).map(|(x, y)| (x, if (320..410).contains(&(x as u32 / 4)) { f32::NAN } else { y })));
    broken.push(3000.0, f32::NAN);
    broken.push(3050.0, 0.3);
    broken.push(3100.0, f32::NAN);
    let smooth = smoothed(&broken, 0.9);
    let curve = Curve { name: "diverged", color_index: 0, raw: Some(&broken), smooth: Some(&smooth), ..Curve::default() };
    LineChart::new("chart", "Loss").y_label("masked MSE").height(ui.available_height()).curves(&[curve]).linked_x(Some(1400.0)).show(ui);
}

fn log(ui: &mut Ui) {
    let mut norms = Trace::default();
    norms.extend(TRAIN.raw.points().map(|(step, y)| (step, (y - 0.235) * 12.0)));
    let smooth = smoothed(&norms, 0.99);
    let curves = [Curve { name: "gradient norm", color_index: 3, raw: Some(&norms), smooth: Some(&smooth), ..Curve::default() }];
    let references = [Reference { name: "clipped above", y: 1.0, role: Role::Warning }];
    let chart = LineChart::new("chart", "Gradient norm").log_y(true).height(ui.available_height());
    chart.curves(&curves).references(&references).show(ui);
}

fn long(ui: &mut Ui) {
    let curves = [LONG.curve("three hundred thousand points", 4)];
    LineChart::new("chart", "Loss").y_label("masked MSE").height(ui.available_height()).curves(&curves).show(ui);
}

fn sparklines(ui: &mut Ui) {
    let [empty, mut single] = [Trace::default(), Trace::default()];
    let few = loss(60, 1, 0.06, 0.2, 3);
    single.push(1.0, 0.5);
    let rows = [
        ("falling", &RUNS[0].smooth, Role::Series(0)),
        ("noisy", &few, Role::Series(1)),
        ("one point", &single, Role::Series(2)),
        ("empty", &empty, Role::Series(3)),
    ];
    egui::Grid::new("runs").show(ui, |ui| {
        for (name, trace, role) in rows {
            ui.label(name);
            Sparkline::new(name, trace).role(role).show(ui);
            ui.monospace(format::count(trace.len() as u64));
            ui.end_row();
        }
    });
}

fn scatter(ui: &mut Ui) {
    let point = |index: u32| {
        let class = index as usize % 6;
        let angle = class as f32 * std::f32::consts::TAU / 6.0;
        let jitter = |seed: u32| 0.5 * (noise(index, seed) + noise(index, seed + 1));
        ScatterPoint { x: 1.6 * angle.cos() + jitter(11), y: 1.6 * angle.sin() + jitter(77), color_index: class }
    };
    let points: Vec<_> = (0..600).map(point).collect();
    Scatter::new("Images by their embeddings", &points).height(ui.available_height()).selected(Some(7)).show(ui);
}

fn scatter_empty(ui: &mut Ui) {
    Scatter::new("Images by their embeddings", &[]).height(ui.available_height()).empty_text("Train a model to see its map").show(ui);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn num_vertices(primitive: &egui::ClippedPrimitive) -> usize {
        match &primitive.primitive {
            egui::epaint::Primitive::Mesh(mesh) => mesh.vertices.len(),
            egui::epaint::Primitive::Callback(_) => 0,
        }
    }

    /// Layout and tessellation of 20 curves of a million points each, raw and smoothed, 1000 pixels wide.
    #[test]
    fn twenty_million_points_are_drawn_in_a_frame() {
        let runs: Vec<Run> = (0..20).map(|seed| Run::new(loss(1_000_000, 1, 0.05, 0.2 + seed as f32 * 0.02, seed))).collect();
        let names: Vec<String> = (0..20).map(|index| format!("run {index}")).collect();
        let curves: Vec<_> = runs.iter().zip(&names).enumerate().map(|(index, (run, name))| run.curve(name, index)).collect();
        let context = egui::Context::default();
        crate::theme::install(&context);
        let input = || egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, vec2(1052.0, 480.0))),
            ..egui::RawInput::default()
        };
        let mut best = Duration::MAX;
        for frame in 0..12 {
            let start = Instant::now();
            let output = context.run_ui(input(), |ui| {
                LineChart::new("chart", "Loss").height(460.0).curves(&curves).linked_x((frame % 2 == 0).then_some(5e5)).show(ui);
            });
            let shown = start.elapsed();
            let primitives = context.tessellate(output.shapes, 1.0);
            let vertices: usize = primitives.iter().map(num_vertices).sum();
            println!("frame {frame}: {shown:.2?} + tessellation {:.2?}, {vertices} vertices", start.elapsed() - shown);
            best = best.min(start.elapsed());
        }
        println!("best frame: {best:.2?}");
        assert!(best < Duration::from_millis(25), "{best:?}");
    }
}
