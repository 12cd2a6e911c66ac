//! A window with every widget of the gallery: `cargo run --release -p maskroom-widgets --example gallery`.

use maskroom_widgets::gallery::EXHIBITS;
use maskroom_widgets::{Card, Segmented, theme};

fn main() -> eframe::Result {
    eframe::run_native(
        "Gallery",
        eframe::NativeOptions::default(),
        Box::new(|creation| {
            theme::install(&creation.egui_ctx);
            Ok(Box::new(Gallery))
        }),
    )
}

struct Gallery;

impl eframe::App for Gallery {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        egui::CentralPanel::default().show(ui, |ui| {
            let themes = [egui::ThemePreference::System, egui::ThemePreference::Dark, egui::ThemePreference::Light];
            let now = ui.ctx().options(|options| options.theme_preference);
            let mut chosen = themes.iter().position(|theme| *theme == now).unwrap_or_default();
            if Segmented::new("Theme", &["System", "Dark", "Light"]).show(ui, &mut chosen).changed() {
                ui.ctx().set_theme(themes[chosen]);
            }
            egui::ScrollArea::vertical().show(ui, |ui| {
                for exhibit in EXHIBITS.iter().copied().flatten() {
                    Card::new().title(exhibit.name).show(ui, |ui| {
                        ui.push_id(exhibit.name, |ui| {
                            ui.set_max_size(exhibit.size);
                            (exhibit.show)(ui);
                        });
                    });
                }
            });
        });
    }
}
