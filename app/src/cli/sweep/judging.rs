//! The figures of a finished run: its losses as it logged them, and what frozen features are worth beside those of random weights.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use maskroom_core::dataset::Dataset;
use maskroom_core::evaluate::Probe;
use maskroom_core::evaluate::knn::MAIN_K;
use maskroom_core::files::write_atomic;
use maskroom_core::inspect::encoder::Pool;
use maskroom_core::method::Network;
use maskroom_core::run::Event;
use maskroom_core::sweep::Figures;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use serde::{Deserialize, Serialize};

use super::Job;
use super::runs::Run;
use crate::report::run_report::last_validation;

/// How to read the losses of a table.
pub const LOSSES: &str = "Training loss: the mean over the last logged steps. Held-out loss: over masked patches of held-out images with \
                          fixed masks, also as a share of what the better of two guesses reaches there, the mean of the visible patches \
                          or the nearest one. Each row is in the units of its own target and under its own masks.";
/// What k-NN is not for.
const KNN_CAUTION: &str = "methods that predict masked patches are poor at it by nature, so rows are not to be ranked by it";

/// What was measured of a run, and how.
#[derive(Serialize, Deserialize)]
pub struct Judged {
    /// The step of the weights.
    step: u64,
    /// The data whose classes were asked for; another folder is measured anew.
    data: PathBuf,
    /// The figures.
    pub figures: Figures,
    /// Their protocols.
    pub notes: Vec<String>,
}

impl Judged {
    /// The main figures in a line.
    pub fn in_words(&self) -> String {
        let figure = |key: &str| self.figures.get(key).copied();
        let loss = figure("validation_loss").or_else(|| figure("training_loss")).map(|loss| format!("loss {loss:.4}"));
        let linear = figure("linear").zip(figure("linear_random"));
        let linear = linear
            .map(|(trained, random)| format!("linear probe {:.1} % against {:.1} % with random weights", trained * 100.0, random * 100.0));
        [loss, linear].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Measures a run, once: the figures are kept in its folder.
///
/// # Errors
/// If its log or its weights cannot be read.
pub fn judge(job: &Job<'_>, run: &Run) -> Result<Judged> {
    let kept = run.folder.root.join("figures.json");
    let step = run.folder.checkpoints().last().map(|(step, _)| *step).context("the run has no checkpoint")?;
    let earlier = std::fs::read(&kept).ok().and_then(|text| serde_json::from_slice::<Judged>(&text).ok());
    if let Some(judged) = earlier.filter(|judged| judged.step == step && judged.data == job.data) {
        return Ok(judged);
    }
    let mut judged = Judged { step, data: job.data.clone(), figures: losses(&run.events()), notes: Vec::new() };
    let dataset = Dataset::open(&job.data)?;
    let mut classes: Vec<_> = dataset.items.iter().filter_map(|item| item.class).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() > 1 {
        // A probe that cannot be made, of very few images for instance, takes the losses nothing.
        if let Err(error) = probe(job, run, &dataset, &mut judged) {
            tracing::warn!("{} could not be probed: {error:#}", run.name);
        }
    } else {
        judged.notes.push("No probes: the images have no classes.".into());
    }
    write_atomic(&kept, &serde_json::to_vec_pretty(&judged)?)?;
    Ok(judged)
}

fn losses(events: &[Event]) -> Figures {
    let mut figures = Figures::new();
    let mut put = |key: &str, value: f64| {
        if value.is_finite() {
            figures.insert(key.to_owned(), value);
        }
    };
    if let Some(step) = events.iter().rev().find_map(|event| if let Event::Step(step) = event { Some(step) } else { None }) {
        put("training_loss", step.loss);
        put("seconds", step.seconds);
    }
    if let Some(found) = last_validation(events) {
        put("validation_loss", found.loss);
        put("of_guess", found.loss / found.baseline_patch_mean.min(found.baseline_nearest));
    }
    figures
}

/// Linear probe and nearest neighbors on the trained features and on those of the same network before any training.
fn probe(job: &Job<'_>, run: &Run, dataset: &Dataset, judged: &mut Judged) -> Result<()> {
    let weights = Weights::open(&run.folder.root)?;
    let network = weights.network(WeightsKind::Best, &job.context.looking_device()?.device)?;
    let recipe = &weights.recipe;
    let twin = Network::untrained_twin(recipe, network.device())?;
    for (network, suffix) in [(&network, ""), (&twin, "_random")] {
        let probe = Probe::new(network, recipe, dataset, -1, Pool::Mean)?;
        let (linear, knn) = (probe.linear(run.seed)?, probe.knn(&[MAIN_K])?);
        judged.figures.insert(format!("linear{suffix}"), linear.top1);
        judged.figures.insert(format!("knn{suffix}"), knn.top1);
        judged.notes = vec![
            format!("Linear probe, top-1: {}; {}.", linear.protocol, probe.note),
            format!("k-NN, top-1: {}; {}; {KNN_CAUTION}.", knn.protocol, probe.note),
        ];
    }
    Ok(())
}
