//! The Recipe panel: every setting of a run as a form and as text, what differs, what it costs, and the start.

mod cost;
mod difference;
mod form;
mod recommendation;
mod settings;
mod start;
mod toml_text;

use egui::{Align, CentralPanel, Context, Frame, Label, Layout, Margin, Panel as Bar, RichText, ScrollArea, TextStyle, Ui};
use maskroom_core::recipe::METHODS;
use maskroom_widgets::{Button, Segmented, Tokens, icon};

use super::Panel;
use super::controls::menu;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use cost::Cost;
use difference::Difference;
use form::Form;
use recommendation::Recommendation;
use settings::Settings;
use start::Start;
use toml_text::TomlText;

/// What the panel shows now.
pub struct RecipePanel {
    /// A place in [`TABS`].
    tab: usize,
    settings: Settings,
    form: Form,
    text: TomlText,
    difference: Difference,
    cost: Cost,
    recommendation: Recommendation,
    start: Start,
}

const TABS: [&str; 4] = ["Form", "TOML", "Difference", "Cost"];

impl RecipePanel {
    /// The form first.
    pub fn new(context: &Context) -> Self {
        Self {
            tab: 0,
            settings: Settings::default(),
            form: Form::new(),
            text: TomlText::default(),
            difference: Difference::new(),
            cost: Cost::default(),
            recommendation: Recommendation::default(),
            start: Start::new(context),
        }
    }
}

impl Panel for RecipePanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.settings.follow(desk.draft);
        if TABS[self.tab] != "TOML" {
            self.text.leave(desk);
        }
        let gap = Tokens::of(ui).sizes.gap as i8;
        let margin = |top: i8, bottom: i8| Frame::new().inner_margin(Margin { left: 0, right: 0, top, bottom });
        Bar::top("recipe head").frame(margin(0, gap)).show_separator_line(false).show(ui, |ui| {
            head(ui, desk);
            Segmented::new("View of the recipe", &TABS).show(ui, &mut self.tab);
        });
        Bar::bottom("recipe foot").frame(margin(gap, 0)).show_separator_line(true).show(ui, |ui| self.start.ui(ui, desk));
        CentralPanel::no_frame().show(ui, |ui| match self.tab {
            0 => self.form.ui(ui, desk, &self.settings),
            1 => self.text.ui(ui, desk),
            2 => self.difference.ui(ui, desk),
            _ => {
                ScrollArea::vertical().id_salt("cost").auto_shrink(false).show(ui, |ui| {
                    self.cost.ui(ui, desk);
                    ui.add_space(Tokens::of(ui).sizes.gap_large);
                    self.recommendation.ui(ui, desk);
                });
            }
        });
    }
}

/// The preset, and what can be done with the whole recipe.
fn head(ui: &mut Ui, desk: Desk<'_>) {
    let tokens = Tokens::of(ui);
    ui.horizontal(|ui| {
        ui.label(RichText::new("Preset").color(tokens.text_muted));
        let buttons_width = 4.0 * (tokens.sizes.row + tokens.sizes.gap);
        let method = &desk.draft.recipe().method;
        let width = (ui.available_width() - buttons_width).clamp(64.0, 240.0);
        let shown = menu(ui, "Preset", method, width, |ui| {
            ui.set_max_width(20.0 * tokens.sizes.row);
            for preset in METHODS {
                let chosen = ui.selectable_label(preset.name == method, preset.name).on_hover_text("Starts again from it; can be undone");
                let about = RichText::new(preset.summary).text_style(TextStyle::Small).color(tokens.text_muted);
                ui.add(Label::new(about).wrap()).on_hover_text(preset.source);
                if chosen.clicked() {
                    desk.ask(Edit::Preset(preset.name.to_owned()));
                    ui.close();
                }
            }
        });
        let about = METHODS.iter().find(|preset| preset.name == method).map_or("", |preset| preset.source);
        shown.on_hover_text(about);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = tokens.sizes.gap_small;
            let (undo, redo) = desk.draft.can_undo_redo();
            for (icon, name, command, enabled) in [
                (icon::SAVE, "Save recipe…", Command::SaveRecipe, true),
                (icon::FOLDER_OPEN, "Open recipe…", Command::OpenRecipe, true),
                (icon::REDO, "Redo", Command::Redo, redo),
                (icon::UNDO, "Undo", Command::Undo, undo),
            ] {
                if Button::icon_only(icon, name).enabled(enabled).show(ui).clicked() {
                    desk.ask(command);
                }
            }
        });
    });
}
