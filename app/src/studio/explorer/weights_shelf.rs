//! The networks that were opened last.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use maskroom_core::device::OpenDevice;
use maskroom_core::method::Network;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::RunFolder;
use maskroom_core::weights::model_file::{Weights, WeightsKind};

use crate::studio::attention_choice::{Checkpoint, WeightsChoice};

/// Networks kept at most: two to be compared, and the one before.
const KEPT: usize = 3;

/// The file that weights come from, and when it was written: a run that is resumed writes some steps again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsKey {
    file: PathBuf,
    written: Option<SystemTime>,
}

/// A network ready to be shown images.
pub struct OpenedWeights {
    /// The weights.
    pub network: Network,
    /// Their recipe.
    pub recipe: Recipe,
    /// Training steps behind them; none before training.
    pub step: Option<u64>,
}

/// Opened networks, the latest first.
#[derive(Default)]
pub struct WeightsShelf {
    opened: VecDeque<(WeightsKey, Arc<OpenedWeights>)>,
    /// A run, its newest checkpoint, and the newest of those that are whole: finding that out reads all of it.
    good: Option<(PathBuf, u64, u64)>,
}

impl WeightsShelf {
    /// The network, opened if it is not yet.
    ///
    /// # Errors
    /// If there are no such weights, or they are damaged.
    pub fn open(&mut self, choice: &WeightsChoice) -> Result<(WeightsKey, Arc<OpenedWeights>)> {
        let run = RunFolder { root: choice.path().to_path_buf() };
        let (file, is_trained) = match choice {
            WeightsChoice::Imported(path) => (path.clone(), true),
            WeightsChoice::OfRun { checkpoint: Checkpoint::Latest, .. } => {
                (run.checkpoint_path(self.last_good(&run)?).join("model.safetensors"), true)
            }
            WeightsChoice::OfRun { checkpoint: Checkpoint::Step(step), .. } => (run.checkpoint_path(*step).join("model.safetensors"), true),
            WeightsChoice::OfRun { checkpoint: Checkpoint::Untrained, .. } => (run.recipe_path(), false),
        };
        let key = WeightsKey { written: std::fs::metadata(&file).and_then(|meta| meta.modified()).ok(), file };
        let place = self.opened.iter().position(|(known, _)| *known == key);
        let entry = match place.and_then(|place| self.opened.remove(place)) {
            Some(known) => known,
            None => (key.clone(), Arc::new(opened(&key.file, is_trained)?)),
        };
        let weights = Arc::clone(&entry.1);
        self.opened.push_front(entry);
        self.opened.truncate(KEPT);
        Ok((key, weights))
    }

    fn last_good(&mut self, run: &RunFolder) -> Result<u64> {
        let newest = run.checkpoints().last().map(|(step, _)| *step).context("the run has no complete checkpoint yet")?;
        if let Some((known, at, good)) = &self.good
            && (known, *at) == (&run.root, newest)
        {
            return Ok(*good);
        }
        let (good, complaints) = run.last_good_checkpoint();
        let (step, _) = good.with_context(|| format!("no checkpoint of the run is whole: {}", complaints.join("; ")))?;
        self.good = Some((run.root.clone(), newest, step));
        Ok(step)
    }
}

fn opened(file: &Path, is_trained: bool) -> Result<OpenedWeights> {
    let device = OpenDevice::cpu("for looking").device;
    if !is_trained {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let recipe = Recipe::from_toml(&text)?;
        return Ok(OpenedWeights { network: Network::new(&recipe, &device)?, recipe, step: None });
    }
    let weights = Weights::open(file)?;
    let network = weights.network(WeightsKind::Best, &device)?;
    Ok(OpenedWeights { network, step: Some(weights.step), recipe: weights.recipe })
}

/// Steps of the checkpoints that lie on the disk; none of weights from elsewhere.
pub fn steps_of(choice: &WeightsChoice) -> Vec<u64> {
    match choice {
        WeightsChoice::OfRun { run, .. } => RunFolder { root: run.clone() }.checkpoints().into_iter().map(|(step, _)| step).collect(),
        WeightsChoice::Imported(_) => Vec::new(),
    }
}
