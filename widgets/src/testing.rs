//! Pictures of every exhibit in both themes at two pixel ratios, compared with those kept in `tests/snapshots`.

use egui_kittest::{Harness, SnapshotResults};

use crate::gallery::EXHIBITS;
use crate::theme;

#[test]
fn every_exhibit_looks_as_it_did() {
    let mut results = SnapshotResults::new();
    for exhibit in EXHIBITS.iter().copied().flatten() {
        for theme in [egui::Theme::Dark, egui::Theme::Light] {
            for (pixels_per_point, ratio) in [(1.0, "1x"), (2.0, "2x")] {
                let mut harness = Harness::builder()
                    .with_size(exhibit.size)
                    .with_theme(theme)
                    .with_pixels_per_point(pixels_per_point)
                    .with_context_setup(theme::install)
                    .wgpu()
                    .build_ui(exhibit.show);
                harness.run();
                let theme = if theme == egui::Theme::Dark { "dark" } else { "light" };
                results.add(harness.try_snapshot(format!("{}_{theme}_{ratio}", exhibit.name)));
            }
        }
    }
}
