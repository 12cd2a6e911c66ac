//! What a panel may ask for. Panels draw and ask; [`super::Studio`] does it after the frame was drawn.

use std::cell::RefCell;
use std::path::PathBuf;

use maskroom_core::run::Action;
use maskroom_widgets::Tone;

use super::attention_choice::AttentionChoice;
use super::command::Command;
use super::dialogs::{Kind, PathSlot, Question};
use super::draft::Edit;
use super::preferences::Preferences;

/// Something to be done after the frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// As from the menu, the palette or a key.
    Command(Command),
    /// Open a folder of images, or an archive, as the project.
    Open(PathBuf),
    /// Look at this image of the data set in every panel that shows one.
    SelectImage(usize),
    /// Change the recipe.
    Edit(Edit),
    /// Make a run of the recipe and start it, or let it wait its turn.
    Start {
        /// What to call it; empty for a name made of the method and the date.
        name: String,
    },
    /// Go on with a run that was interrupted or stopped, or train a finished one up to `steps`.
    Continue {
        /// The run folder.
        run: PathBuf,
        /// Train to this step; the run's own length when `None`.
        steps: Option<u64>,
    },
    /// Tell a run's engine something.
    Control {
        /// The run folder.
        run: PathBuf,
        /// What it shall do.
        action: Action,
    },
    /// Show this run in the panels.
    SelectRun(PathBuf),
    /// Draw this run's curves beside the selected one's, or no longer.
    Compare {
        /// The run folder.
        run: PathBuf,
        /// Whether to draw it.
        shown: bool,
    },
    /// Change a run's name and notes.
    Describe {
        /// The run folder.
        run: PathBuf,
        /// Its name.
        name: String,
        /// Its notes.
        notes: String,
    },
    /// Take a run's recipe as the draft.
    Clone(PathBuf),
    /// Delete a run, once the person has confirmed it.
    Delete(PathBuf),
    /// No longer wait for a turn.
    Unqueue(PathBuf),
    /// Ask for a path, to be found in the slot.
    Path(Kind, Question, PathSlot),
    /// Make masks of this attention.
    UseForMasks(AttentionChoice),
    /// Look into a file or folder of weights, and tell what it is.
    OpenWeights(PathBuf),
    /// No longer tell of weights that are being opened, or have been.
    CloseWeights,
    /// Let panels look through these weights from elsewhere; `None` for those of runs again.
    Explore(Option<PathBuf>),
    /// Ask how the weights of a run, a file or a folder are to be exported.
    ExportWeights {
        /// The run folder, or the file or folder of weights.
        weights: PathBuf,
        /// What people call it.
        name: String,
    },
    /// Prefer something else.
    Prefer(Box<Preferences>),
    /// Show a file or folder in the file manager.
    Reveal(PathBuf),
    /// Tell the person something.
    Tell(Tone, String),
}

impl From<Command> for Ask {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl From<Edit> for Ask {
    fn from(edit: Edit) -> Self {
        Self::Edit(edit)
    }
}

/// What has been asked for in this frame.
#[derive(Debug, Default)]
pub struct Asks(RefCell<Vec<Ask>>);

impl Asks {
    /// Adds one.
    pub fn push(&self, ask: impl Into<Ask>) {
        self.0.borrow_mut().push(ask.into());
    }

    /// Takes them all, in the order they were asked.
    pub fn take(&self) -> Vec<Ask> {
        self.0.take()
    }
}
