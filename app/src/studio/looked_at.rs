//! Whose network panels look through: that of the selected run, or weights from elsewhere.

use std::path::Path;

use maskroom_core::recipe::Recipe;

use super::imported::Known;
use super::runs::Run;

/// The network that is looked through.
#[derive(Clone, Copy)]
pub enum LookedAt<'a> {
    /// That of a run.
    Run(&'a Run),
    /// Weights from elsewhere.
    Imported(&'a Known),
}

impl<'a> LookedAt<'a> {
    /// The run folder, or the file or folder of weights.
    pub fn path(self) -> &'a Path {
        match self {
            Self::Run(run) => &run.folder.root,
            Self::Imported(known) => &known.path,
        }
    }

    /// What people call it.
    pub fn name(self) -> String {
        match self {
            Self::Run(run) => run.name(),
            Self::Imported(known) => known.name(),
        }
    }

    /// Its recipe, when it can be read.
    pub fn recipe(self) -> Option<&'a Recipe> {
        match self {
            Self::Run(run) => run.recipe.as_ref(),
            Self::Imported(known) => Some(&known.found.recipe),
        }
    }

    /// Steps of the checkpoints that the run has told of; weights from elsewhere have none besides themselves.
    pub fn checkpoints(self) -> &'a [u64] {
        match self {
            Self::Run(run) => &run.view.checkpoints,
            Self::Imported(_) => &[],
        }
    }

    /// Whether there are weights to look through and to export.
    pub fn has_weights(self) -> bool {
        matches!(self, Self::Imported(_)) || !self.checkpoints().is_empty()
    }
}
