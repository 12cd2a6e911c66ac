//! The window. Facts come in (a folder listing, the events of runs, answers of workers), panels draw them and ask for things, and what was
//! asked for is done once a frame, in one place.
//!
//! ```text
//! project · watcher · workers ──► Studio ──► Desk (read only) ──► panels ──► Ask ──► Studio::act ──► draft, runs, engine processes
//! ```
//!
//! The window computes no training step: a run is a process of its own (`session`) that shares nothing with it but the run folder.

pub mod app;
pub mod ask;
pub mod attention_choice;
mod awake;
pub mod byte_cache;
mod chores;
pub mod column_file;
pub mod command;
pub mod course;
pub mod desk;
pub mod dialogs;
mod display;
pub mod draft;
pub mod engine_question;
pub mod engines;
mod errands;
pub mod explorer;
pub mod imported;
pub mod job;
pub mod layout;
pub mod looked_at;
pub mod menu;
pub mod notices;
mod overlays;
pub mod panels;
pub mod preferences;
pub mod project;
pub mod queue;
mod resident_memory;
pub mod run_view;
pub mod runs;
pub mod session;
pub mod shelf;
mod status;
pub mod watcher;
pub mod weights_out;
mod welcome;
pub mod worker;

use std::path::PathBuf;

use anyhow::Result;

pub use app::Studio;

/// What a window is opened with.
pub struct Setup {
    /// A folder to open at once.
    pub folder: Option<PathBuf>,
    /// Where preferences, layout and recent projects are kept.
    pub state: PathBuf,
    /// The program that trains: `maskroom` itself.
    pub engine: PathBuf,
    /// How paths are asked for.
    pub dialogs: Box<dyn dialogs::Dialogs>,
}

impl Setup {
    /// Native dialogs, the platform's folders, and this very program as the engine.
    ///
    /// # Errors
    /// If the program cannot tell where it lies.
    pub fn native(folder: Option<PathBuf>) -> Result<Self> {
        let engine = std::env::current_exe()?;
        Ok(Self { folder, state: preferences::state_folder(), engine, dialogs: Box::new(dialogs::Native) })
    }
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// In words, if there is no display or no way to draw on it.
pub fn run(folder: Option<PathBuf>) -> Result<()> {
    let setup = Setup::native(folder)?;
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Maskroom")
            .with_app_id("maskroom")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([800.0, 600.0]),
        renderer: eframe::Renderer::Wgpu,
        persist_window: false,
        ..eframe::NativeOptions::default()
    };
    let make: eframe::AppCreator<'_> = Box::new(|creation| {
        if let Some(state) = &creation.wgpu_render_state {
            maskroom_widgets::heatmap::set_target_format(&creation.egui_ctx, state.target_format);
        }
        Ok(Box::new(Studio::new(&creation.egui_ctx, setup)))
    });
    eframe::run_native("Maskroom", options, make).map_err(|error| {
        anyhow::anyhow!("the window cannot be opened: {error}; on a machine without a display use the commands of `maskroom --help`")
    })
}
