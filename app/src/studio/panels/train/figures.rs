//! The latest figures of a run in a row.

use egui::Ui;
use maskroom_widgets::{ElidedLabel, Role, Stat, Tokens, format, icon};

use crate::studio::runs::Run;

/// Draws them, and the device below.
pub fn show(ui: &mut Ui, run: &Run) {
    let view = &run.view;
    let latest = |column: &str| view.latest(column).map(figure).unwrap_or_default();
    let wait = view.latest("data_wait_ratio");
    let memory = run.memory_bytes.map(format::bytes).unwrap_or_default();
    let (memory, memory_unit) = memory.split_once(' ').unwrap_or((&memory, ""));
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(Tokens::of(ui).sizes.gap_large, Tokens::of(ui).sizes.gap);
        Stat::new("Loss", &latest("loss")).show(ui);
        let held_out = view.validations.last().map(|validation| figure(validation.loss)).unwrap_or_default();
        Stat::new("Held-out loss", &held_out).show(ui);
        if let Some(top1) = view.class_probes().next_back().and_then(|probe| probe.figure("top1")) {
            Stat::new("k-NN top-1", &format!("{:.1}", 100.0 * top1)).unit("%").show(ui);
        }
        Stat::new("Throughput", &latest("images_per_second")).unit("img/s").show(ui);
        Stat::new("Learning rate", &latest("lr")).show(ui);
        Stat::new("Gradient norm", &latest("grad_norm")).show(ui);
        let words = wait.map(|ratio| format!("{:.0}", 100.0 * ratio)).unwrap_or_default();
        let role = if wait.is_some_and(|ratio| ratio > 0.2) { Role::Warning } else { Role::Text };
        Stat::new("Data wait", &words).unit("%").role(role).show(ui);
        if run.memory_bytes.is_some() {
            Stat::new("Memory", memory).unit(memory_unit).show(ui);
        }
    });
    if !view.device.is_empty() {
        let device = format!("{} {}", icon::MEMORY, view.device);
        ElidedLabel::new(&device).style(egui::TextStyle::Small).role(Role::TextMuted).show(ui);
    }
}

/// A figure of any size in about four digits.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => String::new(),
        0.0 => "0".to_owned(),
        10_000.0.. => format!("{value:.2e}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        1.0.. => format!("{value:.3}"),
        0.001.. => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_about_four_digits() {
        let cases = [(0.0, "0"), (0.123_45, "0.1235"), (1.5e-4, "1.50e-4"), (83.456, "83.46"), (-2.5, "-2.500"), (123_456.0, "1.23e5")];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(f64::NAN), "");
    }
}
