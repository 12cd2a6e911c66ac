//! Checkpoints: everything a run needs to go on bit for bit, written as one folder that appears whole or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::learner::Learner;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::run::{self, RunFolder};
use crate::weights::model_file::{self, Weights, WeightsKind, to_host};
use crate::weights::safetensors_file::{self, HostTensor, TensorMap};

/// Prefix, beside the optimizer's moments, of what a lesson keeps from step to step.
const LESSON: &str = "lesson.";

/// How many losses the figures `first_loss` and `last_loss` average.
pub const LOSS_WINDOW: usize = 10;

/// A run's progress: `state.json`. Two equal runs write equal states.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates done.
    pub step: u64,
    /// Losses of the first steps.
    pub first_losses: Vec<f32>,
    /// Losses of the latest steps.
    pub last_losses: Vec<f32>,
    /// The best validation loss so far and its step.
    pub best: Option<(u64, f64)>,
    /// Hash of the recipe.
    pub recipe_hash: String,
}

impl Progress {
    /// Records the loss of a step.
    pub fn record(&mut self, loss: f32) {
        if self.first_losses.len() < LOSS_WINDOW {
            self.first_losses.push(loss);
        }
        if self.last_losses.len() == LOSS_WINDOW {
            self.last_losses.remove(0);
        }
        self.last_losses.push(loss);
    }

    /// Mean of the first and of the last ten steps of the whole run.
    pub fn loss_means(&self) -> [f64; 2] {
        [&self.first_losses, &self.last_losses]
            .map(|losses| losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len().max(1) as f64)
    }
}

/// What a checkpoint holds.
pub struct Checkpoint<'a> {
    /// Weights, average, and the state of what moves them.
    pub learner: &'a Learner,
    /// Where the run is.
    pub progress: &'a Progress,
    /// How it was made.
    pub recipe: &'a Recipe,
    /// What its target was measured to be.
    pub measured: &'a TensorMap,
}

impl Checkpoint<'_> {
    /// Writes `checkpoints/STEP` and returns its path. The disk is checked first, so that a full one leaves no torn folder.
    ///
    /// # Errors
    /// If there is too little space or the folder cannot be written; the checkpoints before it stay as they are.
    pub fn save(&self, run: &RunFolder) -> Result<PathBuf> {
        let Learner { network, optimizer, ema, lesson, .. } = self.learner;
        let average = ema.as_ref().map(|ema| &ema.values);
        let tensors = model_file::tensors_of_run(self.recipe, network.parameters(), average)?;
        let mut moments = TensorMap::new();
        for (prefix, name, values) in optimizer.state() {
            let shape = tensors.get(name).map(|tensor| tensor.shape.clone()).unwrap_or_default();
            moments.insert(format!("{prefix}{name}"), HostTensor::new(shape, to_host(values)?));
        }
        for (name, values) in lesson.state() {
            moments.insert(format!("{LESSON}{name}"), HostTensor::new(values.dims(), to_host(values)?));
        }
        let tensors = tensors.into_iter().chain(model_file::measured_tensors(self.measured)).collect();
        let model = safetensors_file::to_bytes(&tensors, &model_file::metadata(self.recipe, self.progress.step));
        let optimizer = safetensors_file::to_bytes(&moments, &BTreeMap::from([("steps".into(), optimizer.steps().to_string())]));
        let state =
            serde_json::to_vec_pretty(self.progress).map_err(|error| Error::Failed(format!("the state cannot be written: {error}")))?;
        let needed = (model.len() + optimizer.len() + state.len()) as u64;
        require_space(&run.root, needed + needed / 8)?;
        let pending = run.begin_checkpoint(self.progress.step)?;
        for (name, bytes) in [("model.safetensors", model), ("optimizer.safetensors", optimizer), ("state.json", state)] {
            let path = pending.join(name);
            std::fs::write(&path, bytes).map_err(Error::io("write", &path))?;
        }
        run.commit_checkpoint(self.progress.step)
    }
}

/// Refuses to write where less than `needed` bytes are free.
fn require_space(path: &Path, needed: u64) -> Result<()> {
    match fs4::available_space(path) {
        Ok(free) if free < needed => Err(Error::Failed(format!(
            "the checkpoint needs {} MiB and only {} MiB are free at {}: free some space, then resume the run",
            needed.div_ceil(1 << 20),
            free >> 20,
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// A run's newest usable checkpoint, and what was wrong with newer ones.
pub struct Restored {
    /// Where the run was.
    pub progress: Progress,
    /// One line for each newer checkpoint that is damaged.
    pub warnings: Vec<String>,
}

/// Loads the newest undamaged checkpoint into `learner`; `None` if there is none.
///
/// # Errors
/// If checkpoints exist and all are damaged.
pub fn restore(folder: &RunFolder, learner: &mut Learner) -> Result<Option<Restored>> {
    let mut warnings = Vec::new();
    for (step, path) in folder.checkpoints().into_iter().rev() {
        let restored = run::verify(&path).map_err(|reason| Error::data(&path, reason, "")).and_then(|()| read(&path, learner));
        match restored {
            Ok(restored) => return Ok(Some(Restored { warnings, ..restored })),
            Err(Error::Data { reason, .. }) => warnings.push(format!("checkpoint {step} is damaged ({reason}); using the one before")),
            Err(other) => return Err(other),
        }
    }
    if warnings.is_empty() {
        return Ok(None);
    }
    Err(Error::data(
        &folder.root,
        format!("every checkpoint is damaged: {}", warnings.join("; ")),
        "start a new run, with --init from weights you trust",
    ))
}

fn read(path: &Path, learner: &mut Learner) -> Result<Restored> {
    let device: Device = learner.network.device().clone();
    let plain = device.clone().without_autodiff();
    let damaged = |what: &str| Error::data(path, what, "use an older checkpoint");
    let weights = Weights::open(&path.join("model.safetensors"))?;
    let (moments, metadata) = safetensors_file::read(&path.join("optimizer.safetensors"))?;
    let state = std::fs::read(path.join("state.json")).map_err(|error| damaged(&format!("state.json: {error}")))?;
    let progress: Progress = serde_json::from_slice(&state).map_err(|error| damaged(&format!("state.json: {error}")))?;
    let steps = metadata.get("steps").and_then(|steps| steps.parse().ok()).ok_or_else(|| damaged("the optimizer does not say its step"))?;
    if !learner.optimizer.restore(&moments, steps, &plain) {
        return Err(damaged("the optimizer lacks a second moment"));
    }
    let lesson = moments.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(LESSON)?.to_owned(), tensor.clone()))).collect();
    weights.load_into(learner.network.parameters_mut(), WeightsKind::Raw, &device)?;
    learner.lesson.restore(&lesson, &plain);
    if let (Some(ema), Some(values)) = (&mut learner.ema, weights.ema(&plain)?) {
        ema.values = values;
    }
    learner.follow_average();
    Ok(Restored { progress, warnings: Vec::new() })
}
