//! What lies over the panels for a moment: palette, cheat sheet, notifications, preferences, a path to type, what weights are and how they
//! are exported, and the question before closing.

mod about;
mod open_path;
mod preferences_dialog;
mod weights_card;
mod weights_export;

use std::path::PathBuf;

use egui::{Context, ViewportCommand, vec2};
use maskroom_core::run::Action;
use maskroom_widgets::log_list::{LogLine, LogList, LogState};
use maskroom_widgets::modal::{Answer, Confirm, Dialog};
use maskroom_widgets::toast::{Toast, ToastAnswer, Toasts};
use maskroom_widgets::{CheatSheet, CommandPalette, PaletteItem};

use super::ask::Ask;
use super::command::{self, About, Command};
use super::desk::Desk;
use super::menu::Usable;
use super::notices::Notices;
use super::panels::PANELS;

/// Which of them is open, and what is being typed into it.
#[derive(Default)]
pub struct Overlays {
    palette: CommandPalette,
    cheat_sheet: CheatSheet,
    notifications: Option<LogState>,
    preferences: Option<preferences_dialog::PreferencesDialog>,
    open_path: Option<open_path::OpenPath>,
    about: bool,
    weights_card: weights_card::WeightsCard,
    weights_export: weights_export::WeightsExport,
    toasts: Toasts,
    closing: Closing,
}

const NOTIFICATIONS_HEIGHT: f32 = 360.0;

/// Where the question before closing stands.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    Asked,
    Decided,
}

impl Overlays {
    /// Opens one, or closes it if it is open.
    pub fn toggle(&mut self, command: Command) {
        match command {
            Command::Palette if self.palette.open => self.palette.open = false,
            Command::Palette => self.palette.open(),
            Command::CheatSheet => self.cheat_sheet.open ^= true,
            Command::Notifications => self.notifications = self.notifications.take().map_or_else(|| Some(LogState::default()), |_| None),
            Command::Preferences => self.preferences = self.preferences.take().map_or_else(|| Some(Default::default()), |_| None),
            Command::OpenPath => self.open_path = Some(open_path::OpenPath::default()),
            Command::About => self.about ^= true,
            _ => {}
        }
    }

    /// Asks how weights are to be exported.
    pub fn export_weights(&mut self, weights: PathBuf, name: String) {
        self.weights_export.open(weights, name);
    }

    /// Asks whether the run shall go on without the window.
    pub fn ask_before_closing(&mut self) {
        self.closing = Closing::Asked;
    }

    /// Whether the person has decided how to close.
    pub fn may_close(&self) -> bool {
        self.closing == Closing::Decided
    }

    /// Shows what was told as toasts.
    pub fn tell(&mut self, fresh: Vec<LogLine>) {
        fresh.into_iter().for_each(|notice| self.toasts.push(Toast::new(notice.tone, notice.text)));
    }

    /// Draws those that are open.
    pub fn show(&mut self, context: &Context, desk: Desk<'_>, notices: &Notices, usable: Usable<'_>) {
        self.commands(context, desk, usable);
        if let Some(dialog) = &mut self.preferences
            && dialog.show(context, desk)
        {
            self.preferences = None;
        }
        if let Some(dialog) = &mut self.open_path
            && dialog.show(context, desk)
        {
            self.open_path = None;
        }
        if let Some(state) = &mut self.notifications {
            let list = LogList::new(notices.history()).empty("Nothing was told yet", "What happens is told here, and stays");
            let closed = Dialog::new("Notifications").width(640.0).show(context, |ui| {
                ui.allocate_ui(vec2(ui.available_width(), NOTIFICATIONS_HEIGHT), |ui| {
                    ui.set_min_height(NOTIFICATIONS_HEIGHT);
                    list.show(ui, state);
                });
            });
            if closed.closed {
                self.notifications = None;
            }
        }
        if self.about && about::show(context) {
            self.about = false;
        }
        self.weights_card.show(context, desk);
        self.weights_export.show(context, desk);
        if self.closing == Closing::Asked {
            self.closing_question(context, desk);
        }
        let margin = maskroom_widgets::Tokens::dark().sizes.row + maskroom_widgets::Tokens::dark().sizes.gap;
        if let Some(ToastAnswer::ShowAll) = self.toasts.show(context, margin) {
            self.notifications = Some(LogState::default());
        }
    }

    /// Palette and cheat sheet, both made from the list of commands.
    fn commands(&mut self, context: &Context, desk: Desk<'_>, usable: Usable<'_>) {
        if !self.palette.open && !self.cheat_sheet.open {
            return;
        }
        let all: Vec<About> = command::all().collect();
        let items: Vec<PaletteItem<'_>> = all.iter().enumerate().map(|(id, about)| item_of(id, about, context, usable)).collect();
        if let Some(chosen) = self.palette.show(context, &items) {
            desk.ask(all[chosen].command);
        }
        self.cheat_sheet.show(context, &items);
    }

    fn closing_question(&mut self, context: &Context, desk: Desk<'_>) {
        let Some(run) = desk.runs.active() else {
            self.closing = Closing::No;
            return;
        };
        let title = format!("{} is still training", run.name());
        let question = Confirm::new(
            &title,
            "Training can go on without the window: the next window finds it. Or the engine writes a checkpoint and stops.",
        );
        match question.primary("Keep training").danger("Checkpoint and stop").show(context) {
            None => return,
            Some(Answer::Cancel) => self.closing = Closing::No,
            Some(Answer::Primary) => self.closing = Closing::Decided,
            Some(Answer::Danger) => {
                desk.ask(Ask::Control { run: run.folder.root.clone(), action: Action::Stop });
                self.closing = Closing::Decided;
            }
        }
        if self.closing == Closing::Decided {
            context.send_viewport_cmd(ViewportCommand::Close);
        }
    }
}

fn item_of<'a>(id: usize, about: &About, context: &Context, usable: Usable<'_>) -> PaletteItem<'a> {
    let icon = match about.command {
        Command::ShowPanel(index) => PANELS[index].icon,
        _ => "",
    };
    PaletteItem {
        id,
        group: about.menu.title(),
        icon,
        title: about.title,
        hint: about.hint,
        shortcut: about.key.map(|key| context.format_shortcut(&key)).unwrap_or_default(),
        enabled: usable(about.command).map_err(str::to_owned),
    }
}
