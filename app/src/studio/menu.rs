//! The menu bar, made from the list of commands.

use egui::{MenuBar, Ui};
use maskroom_widgets::{Tokens, icon};

use super::ask::{Ask, Asks};
use super::command::{self, Menu};

/// Whether a command can be used just now, or why it cannot.
pub type Usable<'a> = &'a dyn Fn(command::Command) -> Result<(), &'static str>;

/// Draws the bar. Commands that cannot be used are dim and say why.
pub fn bar(ui: &mut Ui, asks: &Asks, usable: Usable<'_>, title: &str) {
    let tokens = Tokens::of(ui);
    MenuBar::new().ui(ui, |ui| {
        for menu in Menu::ALL {
            ui.menu_button(menu.title(), |ui| {
                ui.set_min_width(240.0);
                command::all().filter(|about| about.menu == menu).for_each(|about| item(ui, asks, usable, &about));
            });
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let search = maskroom_widgets::Button::icon_only(icon::SEARCH, "Find a command").small();
            if search.tooltip("Find a command").show(ui).clicked() {
                asks.push(command::Command::Palette);
            }
            ui.add_space(tokens.sizes.gap);
            ui.add(egui::Label::new(egui::RichText::new(title).color(tokens.text_muted)).truncate());
        });
    });
}

fn item(ui: &mut Ui, asks: &Asks, usable: Usable<'_>, about: &command::About) {
    let allowed = usable(about.command);
    let mut button = egui::Button::new(about.title);
    if let Some(key) = about.key {
        button = button.shortcut_text(ui.ctx().format_shortcut(&key));
    }
    let response = ui.add_enabled(allowed.is_ok(), button).on_hover_text(about.hint);
    let response = match allowed {
        Ok(()) => response,
        Err(reason) => response.on_disabled_hover_text(reason),
    };
    if response.clicked() {
        asks.push(Ask::Command(about.command));
        ui.close();
    }
}
