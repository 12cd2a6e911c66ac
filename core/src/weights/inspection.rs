//! What a file or folder of weights is, and what becomes of each of its tensors.

use std::path::{Path, PathBuf};

use super::model_file::Weights;
use super::{hugging_face, published};
use crate::error::Result;
use crate::recipe::Recipe;

/// What is known of weights.
#[derive(Debug)]
pub struct Inspection {
    /// The file that the tensors are in.
    pub path: PathBuf,
    /// Its format, in words.
    pub format: String,
    /// What they are, in words.
    pub what: String,
    /// The recipe that made them, or would make such a network here.
    pub recipe: Recipe,
    /// Training steps behind them, as far as is known.
    pub step: u64,
    /// What they are, if they are an encoder alone.
    pub encoder_alone: Option<&'static str>,
    /// Tensors that are used.
    pub mapped: Vec<Mapped>,
    /// Tensors that are not.
    pub left_over: Vec<LeftOver>,
    /// What a network of the recipe has and the file has not.
    pub missing: Vec<Missing>,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// A tensor that is used.
#[derive(Debug)]
pub struct Mapped {
    /// Its name in Maskroom.
    pub ours: String,
    /// Its name in the file, or how it is made of several.
    pub theirs: String,
    /// Its shape in Maskroom.
    pub shape: Vec<usize>,
}

/// A tensor that is not used.
#[derive(Debug)]
pub struct LeftOver {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Why.
    pub why: String,
}

/// What is not there.
#[derive(Debug)]
pub struct Missing {
    /// Its name in Maskroom; of a part, that of the part.
    pub name: String,
    /// What that means.
    pub why: String,
}

/// Says what weights are. Takes what [`Weights::open`] takes.
///
/// # Errors
/// As [`Weights::open`].
pub fn inspect(path: &Path) -> Result<Inspection> {
    let folder = hugging_face::folder_of(path);
    if folder.is_none() {
        let file = Weights::locate(path)?;
        if published::is_published(&file) {
            return published::inspect(&file);
        }
    }
    let weights = Weights::open(path)?;
    let alone = weights.encoder_alone;
    let (format, what) = match (folder, alone) {
        (Some(_), Some(class)) => ("a folder of Hugging Face", format!("{class}: an encoder alone")),
        (Some(_), None) => ("a folder of Hugging Face", weights.recipe.method.clone()),
        (None, Some(class)) => ("Maskroom's own", format!("{class}, as of {}", weights.recipe.method)),
        (None, None) => ("Maskroom's own", weights.recipe.method.clone()),
    };
    let part = if weights.recipe.compares_views() { "head" } else { "decoder" };
    let why = || "the model has none: a training that starts from it begins with a new one".to_owned();
    Ok(Inspection {
        mapped: weights
            .takes()
            .map(|take| Mapped { ours: take.ours.clone(), theirs: take.made.in_words(), shape: take.shape.clone() })
            .collect(),
        left_over: Vec::new(),
        missing: alone.map(|_| Missing { name: part.into(), why: why() }).into_iter().collect(),
        notes: Vec::new(),
        format: format.into(),
        what,
        step: weights.step,
        encoder_alone: alone,
        path: weights.path,
        recipe: weights.recipe,
    })
}
