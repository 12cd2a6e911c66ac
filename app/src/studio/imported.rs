//! Weights from elsewhere: a file or folder is looked into on a thread, what is in it is told, and panels may look through it in the place
//! of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::Context;
use maskroom_core::weights::inspection::{Inspection, inspect};

use super::job::Job;
use super::project::name_of;

/// What files of weights end in.
pub const WEIGHTS_ENDINGS: [&str; 6] = ["safetensors", "pth", "pt", "bin", "ckpt", "pth.tar"];
/// What a folder of Hugging Face has beside its `config.json`, one of them.
const IN_FOLDERS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
const CONFIG: &str = "config.json";

/// Weights that were recognized.
pub struct Known {
    /// The file or folder that was opened.
    pub path: PathBuf,
    /// What is in it.
    pub found: Inspection,
    /// Tensors that are not used, by reason.
    pub left_over: Vec<Reason>,
    /// What the network has and the file has not, by reason.
    pub missing: Vec<Reason>,
}

/// Names that share a reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Reason {
    /// The reason.
    pub why: String,
    /// The names, as they are listed in the file.
    pub names: Vec<String>,
}

/// How far the weights have come that were opened last.
pub enum Opening {
    /// They are being looked into.
    Reading {
        /// The file or folder.
        path: PathBuf,
        /// The work.
        job: Job<Known>,
        /// Whether panels look through them as soon as they are known, without a word.
        explore: bool,
    },
    /// They are recognized.
    Known(Arc<Known>),
    /// They cannot be used.
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

/// The weights that are being opened, and those that panels look through.
#[derive(Default)]
pub struct Imported {
    opening: Option<Opening>,
    explored: Option<Arc<Known>>,
    search: Option<Job<BTreeSet<PathBuf>>>,
    gone: BTreeSet<PathBuf>,
}

impl Imported {
    /// Begins to look into a file or folder; what was being opened is forgotten.
    pub fn open(&mut self, path: &Path, context: &Context) {
        self.read(path, false, context);
    }

    /// Lets panels look through these weights. True if they do at once, and not only when the weights have been read.
    pub fn explore(&mut self, path: &Path, context: &Context) -> bool {
        let is_open = matches!(&self.opening, Some(Opening::Known(known)) if known.path == path);
        if let Some(Opening::Known(known)) = self.opening.take_if(|_| is_open) {
            self.explored = Some(known);
            return true;
        }
        let is_explored = self.explored.as_ref().is_some_and(|known| known.path == path);
        if !is_explored {
            self.read(path, true, context);
        }
        is_explored
    }

    fn read(&mut self, path: &Path, explore: bool, context: &Context) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        // The settings of a model stand for its folder.
        let path = if path.ends_with(CONFIG) { path.parent().map_or(path.clone(), Path::to_path_buf) } else { path };
        let of = path.clone();
        let job = Job::start("looking into weights", context, move |_| Ok(Known::of(of)?));
        self.opening = Some(Opening::Reading { path, job, explore });
    }

    /// Takes what has come: the weights, in the frame in which they become known.
    pub fn receive(&mut self) -> Option<Arc<Known>> {
        if let Some(found) = self.search.as_ref().and_then(Job::poll) {
            (self.gone, self.search) = (found.unwrap_or_default(), None);
        }
        let Some(Opening::Reading { path, job, explore }) = &self.opening else { return None };
        let outcome = job.poll()?;
        let (path, explore) = (path.clone(), *explore);
        match outcome {
            Ok(known) => {
                let known = Arc::new(known);
                self.gone.remove(&path);
                self.opening = (!explore).then(|| Opening::Known(Arc::clone(&known)));
                if explore {
                    self.explored = Some(Arc::clone(&known));
                }
                Some(known)
            }
            Err(error) => {
                let reason = crate::cli::in_words(&error);
                if !path.exists() {
                    self.gone.insert(path.clone());
                }
                self.opening = Some(Opening::Refused { path, reason });
                None
            }
        }
    }

    /// Weights that are being opened, or have just been.
    pub fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// No longer tells of them; what is being read is not waited for.
    pub fn close(&mut self) {
        self.opening = None;
    }

    /// The weights that panels look through, if these are not a run's.
    pub fn explored(&self) -> Option<&Arc<Known>> {
        self.explored.as_ref()
    }

    /// Panels look through runs again.
    pub fn leave(&mut self) {
        self.explored = None;
    }

    /// Finds out which of these files and folders are no longer there, on a thread: a disk may be asleep, or in another house.
    pub fn look_for(&mut self, paths: Vec<PathBuf>, context: &Context) {
        if !paths.is_empty() {
            let search = move || paths.into_iter().filter(|path| !path.exists()).collect();
            self.search = Some(Job::start("looking for weights", context, move |_| Ok(search())));
        }
    }

    /// Whether weights were not there when they were last looked for.
    pub fn is_gone(&self, path: &Path) -> bool {
        self.gone.contains(path)
    }
}

impl Known {
    fn of(path: PathBuf) -> maskroom_core::error::Result<Self> {
        let found = inspect(&path)?;
        let left_over = by_reason(found.left_over.iter().map(|tensor| (&*tensor.name, &*tensor.why)));
        let missing = by_reason(found.missing.iter().map(|part| (&*part.name, &*part.why)));
        Ok(Self { path, found, left_over, missing })
    }

    /// What people call them.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Numbers in all tensors that are used.
    pub fn num_parameters(&self) -> usize {
        self.found.mapped.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// Why nothing can be reconstructed with them, and what to open for that; nothing where it can.
    pub fn draws_nothing(&self) -> Option<String> {
        if let Some(class) = self.found.encoder_alone {
            return Some(format!(
                "{} holds an encoder alone ({class}): there is no decoder in it, and nothing else that predicts what is hidden. Open the \
                 whole checkpoint for that, with its decoder, such as mae_pretrain_vit_base_full.pth or a folder of ViTMAEForPreTraining",
                self.name()
            ));
        }
        self.found.recipe.compares_views().then(|| {
            format!(
                "{} comes from {}, which compares views of images: it was never trained to predict what is hidden. Open weights of a \
                 masked autoencoder for that",
                self.name(),
                self.found.recipe.method
            )
        })
    }
}

/// Names by their reasons, in the order in which the reasons first appear.
fn by_reason<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Reason> {
    let (mut reasons, mut places): (Vec<Reason>, BTreeMap<&str, usize>) = (Vec::new(), BTreeMap::new());
    for (name, why) in names {
        let place = *places.entry(why).or_insert(reasons.len());
        if place == reasons.len() {
            reasons.push(Reason { why: why.to_owned(), names: Vec::new() });
        }
        reasons[place].names.push(name.to_owned());
    }
    reasons
}

/// Whether a path is taken for weights rather than for images: by the ending of a file, and by what lies in a folder.
pub fn are_weights(path: &Path) -> bool {
    let name = name_of(path).to_lowercase();
    if path.is_dir() {
        let has = |name: &str| path.join(name).is_file();
        return (has(CONFIG) && IN_FOLDERS.iter().any(|name| has(name))) || (has("recipe.toml") && path.join("checkpoints").is_dir());
    }
    name == CONFIG || IN_FOLDERS.contains(&name.as_str()) || WEIGHTS_ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}")))
}

#[cfg(test)]
mod tests;
