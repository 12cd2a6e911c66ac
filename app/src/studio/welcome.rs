//! What is seen before a folder is open: how to begin, and where the person was before.

use egui::{Align, Layout, RichText, TextStyle, Ui, vec2};
use maskroom_widgets::{Button, ElidedLabel, Role, Tokens, icon};

use super::ask::{Ask, Asks};
use super::command::Command;
use super::preferences::Preferences;
use super::project::name_of;

/// Draws the screen. `failed` says why the last folder could not be opened.
pub fn screen(ui: &mut Ui, preferences: &Preferences, failed: Option<&str>, asks: &Asks) {
    let tokens = Tokens::of(ui);
    let hovering = ui.input(|input| !input.raw.hovered_files.is_empty());
    let width = 560.0_f32.min(ui.available_width() - tokens.sizes.gap_section);
    let top = (ui.available_height() * 0.16).max(tokens.sizes.gap_large);
    ui.vertical_centered(|ui| {
        ui.set_max_width(width);
        ui.add_space(top);
        ui.label(RichText::new("Maskroom").size(tokens.fonts.title).strong());
        ui.label(RichText::new("A darkroom for masked images").color(tokens.text_muted));
        ui.add_space(tokens.sizes.gap_section);
        let words = if hovering { "Let go to open it" } else { "Drop a folder of images here" };
        let edge = if hovering { tokens.accent } else { tokens.line };
        egui::Frame::new()
            .fill(tokens.surface_raised)
            .corner_radius(tokens.sizes.radius_large)
            .stroke(egui::Stroke::new(tokens.sizes.hairline, edge))
            .inner_margin(tokens.sizes.gap_large)
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.label(RichText::new(icon::FOLDER_OPEN).size(tokens.fonts.title).color(if hovering {
                    tokens.accent
                } else {
                    tokens.text_muted
                }));
                ui.label(RichText::new(words).size(tokens.fonts.heading));
                ui.add_space(tokens.sizes.gap);
                ui.label(
                    RichText::new("JPEG, PNG, WebP, TIFF and more; VOC and COCO folders, CIFAR, zip and tar")
                        .color(tokens.text_muted)
                        .small(),
                );
                ui.label(
                    RichText::new("Or weights: .pth, .pt, .safetensors and the like, a Hugging Face folder")
                        .color(tokens.text_muted)
                        .small(),
                );
            });
        if let Some(reason) = failed {
            ui.add_space(tokens.sizes.gap);
            ui.label(RichText::new(reason).color(tokens.bad));
        }
        ui.add_space(tokens.sizes.gap_large);
        ui.horizontal(|ui| {
            for (command, button) in [
                (Command::OpenFolder, Button::new("Open folder…").icon(icon::FOLDER_OPEN).primary()),
                (Command::OpenPath, Button::new("Open path…").icon(icon::EDIT)),
                (Command::TryToyScenes, Button::new("Try the toy scenes").icon(icon::SCENES)),
            ] {
                if button.show(ui).clicked() {
                    asks.push(command);
                }
            }
        });
        ui.add_space(tokens.sizes.gap_section);
        recent(ui, preferences, asks);
    });
}

fn recent(ui: &mut Ui, preferences: &Preferences, asks: &Asks) {
    let tokens = Tokens::of(ui);
    if preferences.recent.is_empty() {
        return;
    }
    ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
        ui.label(RichText::new("Recent").color(tokens.text_muted));
        for path in &preferences.recent {
            let name = name_of(path);
            ui.horizontal(|ui| {
                // A long name leaves room for the place.
                let room = vec2(0.6 * ui.available_width(), tokens.sizes.row_small);
                let button = Button::new(name).icon(icon::FOLDER).small();
                let layout = Layout::left_to_right(Align::Center);
                if ui.allocate_ui_with_layout(room, layout, |ui| button.show(ui)).inner.clicked() {
                    asks.push(Ask::Open(path.clone()));
                }
                let place = path.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
                ElidedLabel::new(&place).style(TextStyle::Small).role(Role::TextMuted).keep_end().show(ui);
            });
        }
    });
}
