//! The panels: one file and one line here each. The line gives a tab, a menu entry, a palette entry and a key, and its place in the tests.

mod attention;
mod controls;
mod data;
mod elsewhere;
mod image_strip;
mod knob_field;
mod masking;
mod masks;
mod recipe;
mod reconstructions;
mod runs;
mod save_as;
mod train;

use egui::Ui;
use maskroom_widgets::icon;

use super::desk::Desk;

/// A tab of the window. Its fields are what it shows now; what must outlive it lies on the desk or on disk.
pub trait Panel {
    /// Draws it and asks for what the person wants.
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>);
}

/// One line of the list.
pub struct PanelEntry {
    /// Its name in saved layouts.
    pub key: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it is for, in a few words.
    pub hint: &'static str,
    /// Its icon.
    pub icon: &'static str,
    /// Makes it.
    pub make: fn(&egui::Context) -> Box<dyn Panel>,
}

/// Every panel, in the order of the work.
pub static PANELS: &[PanelEntry] = &[
    PanelEntry {
        key: "data",
        title: "Data",
        hint: "images, their health, and what training sees of them",
        icon: icon::IMAGE,
        make: |context| Box::new(data::DataPanel::new(context)),
    },
    PanelEntry {
        key: "masking",
        title: "Masking",
        hint: "what each strategy hides on your images",
        icon: icon::MASK,
        make: |context| Box::new(masking::MaskingPanel::new(context)),
    },
    PanelEntry {
        key: "recipe",
        title: "Recipe",
        hint: "every setting of a run, its problems and its cost",
        icon: icon::RECIPE,
        make: |context| Box::new(recipe::RecipePanel::new(context)),
    },
    PanelEntry {
        key: "train",
        title: "Train",
        hint: "curves and controls of a run",
        icon: icon::CURVES,
        make: |context| Box::new(train::TrainPanel::new(context)),
    },
    PanelEntry {
        key: "reconstructions",
        title: "Reconstructions",
        hint: "what the network draws where it was hidden",
        icon: icon::COMPARE,
        make: |context| Box::new(reconstructions::ReconstructionsPanel::new(context)),
    },
    PanelEntry {
        key: "attention",
        title: "Attention",
        hint: "what each head looks at",
        icon: icon::ATTENTION,
        make: |context| Box::new(attention::AttentionPanel::new(context)),
    },
    PanelEntry {
        key: "masks",
        title: "Masks",
        hint: "attention to masks, reviewed and exported",
        icon: icon::LAYERS,
        make: |context| Box::new(masks::MasksPanel::new(context)),
    },
    PanelEntry {
        key: "runs",
        title: "Runs",
        hint: "all runs of this project",
        icon: icon::RUNS,
        make: |context| Box::new(runs::RunsPanel::new(context)),
    },
];

/// The place of a panel in [`PANELS`].
pub fn index_of(key: &str) -> Option<usize> {
    PANELS.iter().position(|entry| entry.key == key)
}
