//! The frame in four steps: take in what is new, hear the keys, draw, do what was asked for.

use std::path::{Path, PathBuf};

use egui::{CentralPanel, Context, Panel, Ui, ViewportCommand};
use maskroom_widgets::{Tokens, Tone, theme};

use super::Setup;
use super::ask::{Ask, Asks};
use super::attention_choice::AttentionChoice;
use super::command::{self, Command};
use super::desk::Desk;
use super::dialogs::Dialogs;
use super::draft::{Draft, Edit};
use super::engines::Engines;
use super::errands::Errands;
use super::imported::{Imported, are_weights};
use super::job::PANICKED;
use super::layout::Layout;
use super::notices::Notices;
use super::overlays::Overlays;
use super::panels::PANELS;
use super::preferences::{self, Preferences};
use super::project::{Listing, Project};
use super::{menu, status, welcome, worker};

/// The window.
pub struct Studio {
    state: PathBuf,
    preferences: Preferences,
    saved_preferences: Preferences,
    project: Project,
    draft: Draft,
    mask_choice: Option<AttentionChoice>,
    imported: Imported,
    engines: Engines,
    errands: Errands,
    dialogs: Box<dyn Dialogs>,
    notices: Notices,
    overlays: Overlays,
    layout: Layout,
    asks: Asks,
    title: String,
}

impl Studio {
    /// Opens with what was remembered, and the folder of the setup if there is one.
    pub fn new(context: &Context, setup: Setup) -> Self {
        theme::install(context);
        let preferences: Preferences = preferences::load(&setup.state.join("preferences.json"));
        let asks = Asks::default();
        if let Some(folder) = setup.folder {
            asks.push(Ask::Open(folder));
        }
        let layout = Layout::load(&setup.state.join("layout.json"), context);
        let mut studio = Self {
            engines: Engines::new(setup.engine, &setup.state),
            state: setup.state,
            saved_preferences: preferences.clone(),
            preferences,
            project: Project::closed(),
            draft: Draft::default(),
            mask_choice: None,
            imported: Imported::default(),
            errands: Errands::default(),
            dialogs: setup.dialogs,
            notices: Notices::default(),
            overlays: Overlays::default(),
            layout,
            asks,
            title: String::new(),
        };
        studio.imported.look_for(studio.preferences.recent_weights.clone(), context);
        studio.act(context);
        studio
    }

    /// What the watcher, the workers, the dialogs and dropped files brought.
    fn receive(&mut self, context: &Context) {
        if self.project.receive(context, &self.preferences)
            && let Some(path) = self.project.path()
        {
            self.preferences.remember(path);
        }
        self.engines.receive(&self.preferences, &mut self.notices, context);
        self.errands.receive(&self.asks, &mut self.draft, &mut self.notices);
        if let Some(known) = self.imported.receive() {
            self.preferences.remember_weights(&known.path);
            if self.imported.explored().is_some_and(|explored| explored.path == known.path) && self.imported.opening().is_none() {
                self.show_explored();
            }
        }
        worker::take_broken(context).into_iter().for_each(|name| self.notices.tell(Tone::Bad, format!("{name}: {PANICKED}")));
        self.overlays.tell(self.notices.take_fresh());
        let dropped: Vec<PathBuf> = context.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).collect());
        // Of a model's files that are dropped together, its weights tell what they are.
        let weights = dropped.iter().find(|path| are_weights(path)).cloned();
        if let Some(path) = weights.or_else(|| dropped.into_iter().next()) {
            self.asks.push(Ask::Open(path));
        }
    }

    fn draw(&mut self, ui: &mut Ui) {
        let tokens = Tokens::of(ui);
        let usable = |command| usable(command, &self.project, &self.draft, &self.engines, &self.imported);
        let bar = |fill| egui::Frame::new().fill(fill).inner_margin(egui::Margin::symmetric(tokens.sizes.gap as i8, 2));
        Panel::top("menu").frame(bar(tokens.surface_raised)).show_separator_line(false).show(ui, |ui| {
            menu::bar(ui, &self.asks, &usable, &self.title);
        });
        let desk = Desk {
            project: &self.project,
            draft: &self.draft,
            runs: self.engines.runs(),
            imported: &self.imported,
            preferences: &self.preferences,
            mask_choice: self.mask_choice.as_ref(),
            engine: self.engines.engine(),
            asks: &self.asks,
        };
        Panel::bottom("status").frame(bar(tokens.surface_raised)).show_separator_line(false).exact_size(tokens.sizes.row + 4.0).show(
            ui,
            |ui| {
                status::bar(ui, desk, &self.notices, self.engines.memory_mib());
            },
        );
        CentralPanel::no_frame().frame(egui::Frame::new().fill(tokens.canvas)).show(ui, |ui| match self.project.listing() {
            Listing::Closed => welcome::screen(ui, &self.preferences, None, &self.asks),
            Listing::Failed(reason) => welcome::screen(ui, &self.preferences, Some(reason), &self.asks),
            Listing::Reading(_) | Listing::Ready(_) => self.layout.ui(ui, desk),
        });
        self.overlays.show(ui.ctx(), desk, &self.notices, &usable);
    }

    /// Does what was asked for in this frame.
    fn act(&mut self, context: &Context) {
        for ask in self.asks.take() {
            if let Err(error) = self.fulfil(ask, context) {
                self.notices.tell(Tone::Bad, crate::cli::in_words(&error));
            }
        }
        self.remember(context);
    }

    fn fulfil(&mut self, ask: Ask, context: &Context) -> anyhow::Result<()> {
        match ask {
            Ask::Command(command) => return self.command(command, context),
            Ask::Open(path) if are_weights(&path) => self.imported.open(&path, context),
            Ask::Open(path) => self.open(&path, context),
            Ask::OpenWeights(path) => self.imported.open(&path, context),
            Ask::CloseWeights => self.imported.close(),
            Ask::Explore(None) => self.imported.leave(),
            Ask::Explore(Some(path)) => {
                if self.imported.explore(&path, context) {
                    self.show_explored();
                }
            }
            Ask::ExportWeights { weights, name } => self.overlays.export_weights(weights, name),
            Ask::SelectImage(index) => self.project.select(index),
            Ask::Edit(edit) => self.draft.apply(edit),
            Ask::Start { name } => {
                let run = self.engines.start(&self.project, &self.draft, &name, &self.preferences)?;
                self.notices.tell(Tone::Info, run);
                self.draft.apply(Edit::Name(String::new()));
                self.imported.leave();
                self.show("train");
            }
            Ask::Continue { run, steps } => self.engines.proceed(&run, steps, &self.preferences)?,
            Ask::Control { run, action } => self.engines.control(&run, action)?,
            Ask::SelectRun(run) => {
                self.imported.leave();
                self.engines.runs_mut().select(run);
            }
            Ask::Compare { run, shown } => self.engines.runs_mut().compare(run, shown),
            Ask::Describe { run, name, notes } => self.engines.describe(&run, name, notes)?,
            Ask::Clone(run) => {
                if let Some(recipe) = self.engines.runs().get(&run).and_then(|run| run.recipe.clone()) {
                    self.draft.replace(&recipe);
                    self.show("recipe");
                }
            }
            Ask::Delete(run) => self.engines.delete(&run)?,
            Ask::Unqueue(run) => self.engines.unqueue(&run)?,
            Ask::Path(kind, question, slot) => self.errands.ask_for(slot, kind, &question, &*self.dialogs, context),
            Ask::UseForMasks(choice) => {
                self.mask_choice = Some(choice);
                self.show("masks");
            }
            Ask::Prefer(preferences) => self.preferences = *preferences,
            Ask::Reveal(path) => opener::reveal(&path)?,
            Ask::Tell(level, text) => self.notices.tell(level, text),
        }
        Ok(())
    }

    fn command(&mut self, command: Command, context: &Context) -> anyhow::Result<()> {
        if usable(command, &self.project, &self.draft, &self.engines, &self.imported).is_err() {
            return Ok(());
        }
        match command {
            Command::OpenFolder | Command::OpenWeights | Command::OpenRecipe | Command::SaveRecipe | Command::ChooseWeights => {
                self.errands.ask(command, &*self.dialogs, self.project.path(), &self.draft, context);
            }
            Command::ExportWeights => {
                let exported = self.imported.explored().map(|known| (known.path.clone(), known.name()));
                let of_run = || self.engines.runs().selected().map(|run| (run.folder.root.clone(), run.name()));
                if let Some((weights, name)) = exported.or_else(of_run) {
                    self.overlays.export_weights(weights, name);
                }
            }
            Command::TryToyScenes => self.errands.make_toy_scenes(context),
            Command::CloseProject => {
                self.project = Project::closed();
                self.imported.leave();
                self.engines.close();
            }
            Command::Quit => context.send_viewport_cmd(ViewportCommand::Close),
            Command::Undo => self.draft.apply(Edit::Undo),
            Command::Redo => self.draft.apply(Edit::Redo),
            Command::StartRun => self.asks.push(Ask::Start { name: self.draft.name().to_owned() }),
            Command::PauseRun | Command::ResumeRun | Command::CheckpointRun | Command::StopRun | Command::ContinueRun => {
                self.engines.command(command, &self.preferences)?;
            }
            Command::PreviousImage => self.project.select(self.project.selected().saturating_sub(1)),
            Command::NextImage => self.project.select(self.project.selected() + 1),
            Command::ShowPanel(index) => self.layout.show_panel(index),
            Command::ResetLayout => self.layout.reset(),
            Command::ZoomIn => self.preferences.zoom = (self.preferences.zoom + 0.1).min(3.0),
            Command::ZoomOut => self.preferences.zoom = (self.preferences.zoom - 0.1).max(0.5),
            Command::ZoomReset => self.preferences.zoom = 1.0,
            Command::NextTheme => {
                self.preferences.theme = match self.preferences.theme {
                    egui::ThemePreference::Dark => egui::ThemePreference::Light,
                    egui::ThemePreference::Light => egui::ThemePreference::System,
                    egui::ThemePreference::System => egui::ThemePreference::Dark,
                }
            }
            Command::OpenPath | Command::Palette | Command::Notifications | Command::Preferences | Command::CheatSheet | Command::About => {
                self.overlays.toggle(command);
            }
        }
        Ok(())
    }

    fn open(&mut self, path: &Path, context: &Context) {
        self.project = Project::open(path, context);
        self.mask_choice = None;
        self.imported.look_for(self.preferences.recent_weights.clone(), context);
        self.engines.watch(self.project.runs_folder(), context);
    }

    /// Brings the panel to the front that looks through the weights, or says what is missing for that.
    fn show_explored(&mut self) {
        let Some(known) = self.imported.explored() else { return };
        if self.project.path().is_none() {
            self.notices.tell(Tone::Info, format!("open a folder of images to look at them through {}", known.name()));
        }
        self.show("attention");
    }

    fn show(&mut self, panel: &str) {
        if let Some(index) = super::panels::index_of(panel) {
            self.layout.show_panel(index);
        }
    }

    /// What must be seen or kept at once: theme, zoom, title, preferences.
    fn remember(&mut self, context: &Context) {
        let title = self.project.name().map_or_else(|| "Maskroom".into(), |name| format!("Maskroom – {name}"));
        if title != self.title {
            context.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
        if context.options(|options| options.theme_preference) != self.preferences.theme {
            context.set_theme(self.preferences.theme);
        }
        if (context.zoom_factor() - self.preferences.zoom).abs() > 1e-3 {
            context.set_zoom_factor(self.preferences.zoom);
        }
        if self.preferences != self.saved_preferences {
            self.saved_preferences = self.preferences.clone();
            if let Err(error) = preferences::save(&self.state.join("preferences.json"), &self.preferences) {
                self.notices.tell(Tone::Warning, format!("preferences cannot be kept: {error:#}"));
            }
        }
    }

    /// Closing with a run in progress asks first; the layout is kept in any case.
    fn close_if_asked(&mut self, context: &Context) {
        if !context.input(|input| input.viewport().close_requested()) {
            return;
        }
        if let Err(error) = self.layout.save(&self.state.join("layout.json")) {
            tracing::warn!("the layout cannot be kept: {error:#}");
        }
        if self.engines.runs().active().is_some() && !self.overlays.may_close() {
            context.send_viewport_cmd(ViewportCommand::CancelClose);
            self.overlays.ask_before_closing();
        }
    }
}

impl eframe::App for Studio {
    /// Also called while the window is minimized: the next run must get its turn.
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        self.receive(context);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        command::pressed(&context).into_iter().for_each(|command| self.asks.push(command));
        self.draw(ui);
        self.act(&context);
        self.close_if_asked(&context);
    }

    fn persist_egui_memory(&self) -> bool {
        false
    }
}

/// Whether a command can be used just now, or why it cannot.
fn usable(command: Command, project: &Project, draft: &Draft, engines: &Engines, imported: &Imported) -> Result<(), &'static str> {
    let open = project.path().is_some();
    let (undo, redo) = draft.can_undo_redo();
    let need = |holds: bool, otherwise: &'static str| if holds { Ok(()) } else { Err(otherwise) };
    match command {
        Command::Undo => need(undo, "nothing to take back"),
        Command::Redo => need(redo, "nothing to make again"),
        Command::ExportWeights => {
            let has_checkpoint = engines.runs().selected().is_some_and(|run| !run.view.checkpoints.is_empty());
            need(imported.explored().is_some() || has_checkpoint, "train a network or open weights first")
        }
        Command::CloseProject => need(open, "no folder is open"),
        Command::StartRun => need(project.dataset().is_some(), "open a folder of images first")
            .and_then(|()| need(draft.is_valid(), "the recipe has problems: see the recipe panel")),
        Command::PauseRun | Command::ResumeRun | Command::CheckpointRun | Command::StopRun | Command::ContinueRun => {
            engines.usable(command)
        }
        Command::PreviousImage | Command::NextImage => need(project.dataset().is_some(), "open a folder of images first"),
        Command::ShowPanel(index) => need(open && index < PANELS.len(), "open a folder of images first"),
        _ => Ok(()),
    }
}
