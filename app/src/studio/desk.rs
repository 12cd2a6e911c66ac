//! What lies on the desk while a frame is drawn: everything a panel may look at, nothing it may change.

use std::path::Path;

use super::ask::{Ask, Asks};
use super::attention_choice::AttentionChoice;
use super::draft::Draft;
use super::imported::Imported;
use super::looked_at::LookedAt;
use super::preferences::Preferences;
use super::project::Project;
use super::runs::Runs;

/// The state of the studio as panels see it.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The folder that is open.
    pub project: &'a Project,
    /// The recipe being edited.
    pub draft: &'a Draft,
    /// The runs of the project.
    pub runs: &'a Runs,
    /// Weights from elsewhere.
    pub imported: &'a Imported,
    /// What the person prefers.
    pub preferences: &'a Preferences,
    /// The attention that was chosen to make masks.
    pub mask_choice: Option<&'a AttentionChoice>,
    /// The program that trains, for questions that are better put to a process of their own.
    pub engine: &'a Path,
    /// Where to ask for things.
    pub asks: &'a Asks,
}

impl<'a> Desk<'a> {
    /// Whose network is looked through: weights from elsewhere that were chosen for that, else the selected run.
    pub fn looked_at(&self) -> Option<LookedAt<'a>> {
        let imported = self.imported.explored().map(|known| LookedAt::Imported(known));
        imported.or_else(|| self.runs.selected().map(LookedAt::Run))
    }

    /// Asks for something, to be done after the frame.
    pub fn ask(&self, ask: impl Into<Ask>) {
        self.asks.push(ask);
    }
}
