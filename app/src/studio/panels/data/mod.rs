//! The Data panel: the images of the folder, how healthy they are, and what training sees of them.

mod augmentation;
mod channels;
mod choice;
mod duplicates;
mod filter;
mod findings;
mod health;
mod histogram_window;
mod image_facts;
mod image_view;
mod images;
mod sample_views;
mod thumbnail_button;
mod truth;

use std::path::Path;
use std::sync::Arc;

use egui::{Align, Context, Layout, Ui};
use maskroom_core::dataset::Dataset;
use maskroom_widgets::{Button, EmptyState, Segmented, Tokens, icon};

use super::Panel;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::project::Listing;
use augmentation::AugmentationView;
use health::HealthView;
use images::ImagesView;

/// What the panel shows now.
pub struct DataPanel {
    tab: usize,
    /// The images that the views below are about.
    dataset: Option<Arc<Dataset>>,
    images: ImagesView,
    health: HealthView,
    augmentation: AugmentationView,
}

const TABS: [&str; 3] = ["Images", "Health", "Augmentation"];
const IMAGES: usize = 0;
const HEALTH: usize = 1;

impl DataPanel {
    /// Nothing shown yet.
    pub fn new(_context: &Context) -> Self {
        Self {
            tab: IMAGES,
            dataset: None,
            images: ImagesView::default(),
            health: HealthView::default(),
            augmentation: AugmentationView::default(),
        }
    }

    /// Another folder begins anew.
    fn follow(&mut self, dataset: &Arc<Dataset>) {
        if !self.dataset.as_ref().is_some_and(|known| Arc::ptr_eq(known, dataset)) {
            self.dataset = Some(Arc::clone(dataset));
            self.images = ImagesView::default();
            self.health = HealthView::default();
            self.augmentation = AugmentationView::default();
        }
    }

    fn views(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Arc<Dataset>) {
        ui.horizontal(|ui| {
            Segmented::new("View of the data", &TABS).show(ui, &mut self.tab);
            if self.tab == IMAGES {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.images.count(ui, dataset));
            }
        });
        ui.add_space(Tokens::of(ui).sizes.gap_small);
        match self.tab {
            IMAGES => self.images.ui(ui, desk, dataset),
            HEALTH => {
                if let Some(index) = self.health.ui(ui, desk, dataset) {
                    self.tab = IMAGES;
                    self.images.open(desk, index);
                }
            }
            _ => self.augmentation.ui(ui, desk, dataset),
        }
    }
}

impl Panel for DataPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        match desk.project.listing() {
            Listing::Ready(dataset) => {
                self.follow(dataset);
                self.views(ui, desk, dataset);
            }
            Listing::Reading(_) => {
                let path = desk.project.path().map_or_else(String::new, readable);
                EmptyState::new(icon::FOLDER_OPEN, "Reading the folder", &path).show(ui);
            }
            Listing::Closed => {
                open_folder(ui, desk, "No folder is open", "Open a folder of images or an archive of them. None is copied or changed");
            }
            Listing::Failed(reason) => open_folder(ui, desk, "The folder cannot be shown", reason),
        }
    }
}

fn readable(path: &Path) -> String {
    path.display().to_string()
}

fn open_folder(ui: &mut Ui, desk: Desk<'_>, title: &str, hint: &str) {
    let actions = |ui: &mut Ui| {
        if Button::new("Open folder…").icon(icon::FOLDER_OPEN).primary().show(ui).clicked() {
            desk.ask(Command::OpenFolder);
        }
    };
    EmptyState::new(icon::FOLDER, title, hint).show_with_actions(ui, actions);
}
