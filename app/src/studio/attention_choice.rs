//! Which attention makes masks: chosen by looking, used by whoever makes them.

use std::path::{Path, PathBuf};

use maskroom_core::evaluate::attention::Where;
use maskroom_core::inspect::encoder::Query;
use maskroom_core::segment::attention::HeadChoice;

/// Which of a run's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checkpoint {
    /// The latest that is whole.
    #[default]
    Latest,
    /// The one of that step.
    Step(u64),
    /// Weights before any training.
    Untrained,
}

/// The weights that are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WeightsChoice {
    /// Those of a run.
    OfRun {
        /// The run folder.
        run: PathBuf,
        /// Which of its weights.
        checkpoint: Checkpoint,
    },
    /// Those of a file, or of a folder of Hugging Face.
    Imported(PathBuf),
}

impl WeightsChoice {
    /// The run folder, or the file or folder of weights.
    pub fn path(&self) -> &Path {
        let (Self::OfRun { run: path, .. } | Self::Imported(path)) = self;
        path
    }
}

/// Attention of the class token, as the Attention panel hands it to the Masks panel.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionChoice {
    /// Whose attention.
    pub weights: WeightsChoice,
    /// The block, counted from 0.
    pub layer: usize,
    /// Which of its heads.
    pub head: HeadChoice,
    /// Rollout over all blocks instead; then layer and head do not matter.
    pub rollout: bool,
    /// The share of the mass that a mask keeps, 0 to 1.
    pub mass: f64,
}

impl AttentionChoice {
    /// The library's word for the place.
    pub fn place(&self) -> Where {
        Where { layer: self.layer as i64, query: Query::Cls, rollout: self.rollout }
    }
}
