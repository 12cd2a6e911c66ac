//! Looks into networks for the window, on a thread of its own: weights are opened once, an image is shown to them once, and what they
//! attend to is kept.

mod head_figures;
mod look;
mod weights_shelf;

use std::sync::Arc;

use anyhow::Result;
use maskroom_core::dataset::Dataset;
use maskroom_core::inspect::encoder::{attention, resolve_layer};
use maskroom_widgets::HeatRows;

use super::attention_choice::WeightsChoice;
use super::byte_cache::ByteCache;
pub use head_figures::HeadFigures;
pub use look::{Look, MAX_PATCHES, Overview};
use weights_shelf::{WeightsKey, WeightsShelf};

/// What is asked of the explorer.
#[derive(Clone)]
pub struct Question {
    /// The images.
    pub dataset: Arc<Dataset>,
    /// Which of them.
    pub sample: usize,
    /// One choice, or two to be compared.
    pub weights: Vec<WeightsChoice>,
    /// The stage of a pyramid that is looked at; negative counts from the end, and what does not exist stands for the last.
    pub stage: i64,
    /// The block of that stage whose patches may be asked, in the same way.
    pub layer: i64,
    /// The newest checkpoint that the run has told of: with another one, the question is another.
    pub newest: Option<u64>,
    /// Leave most of the machine to the run that trains.
    pub gently: bool,
}

/// What the explorer found.
pub struct Answer {
    /// What was asked.
    pub question: Question,
    /// Steps of the first run's checkpoints, as they lie on the disk now.
    pub checkpoints: Vec<u64>,
    /// For each choice of weights, the look or why there is none.
    pub looks: Vec<Result<Look, String>>,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dataset, &other.dataset)
            && (self.sample, &self.weights, self.stage, self.layer, self.newest)
                == (other.sample, &other.weights, other.stage, other.layer, other.newest)
    }
}

/// Everything that is kept between questions.
pub struct Explorer {
    weights: WeightsShelf,
    overviews: ByteCache<Place, Arc<Overview>>,
    rows: ByteCache<(Place, usize), HeatRows>,
    /// The images that the kept looks are of.
    dataset: Option<Arc<Dataset>>,
    /// A few threads, made when a run trains beside.
    few_threads: Option<rayon::ThreadPool>,
}

/// An image seen by a stage of certain weights.
type Place = (WeightsKey, usize, usize);

const OVERVIEWS_BYTES: usize = 256 << 20;
const ROWS_BYTES: usize = 256 << 20;

impl Default for Explorer {
    fn default() -> Self {
        Self {
            weights: WeightsShelf::default(),
            overviews: ByteCache::new(OVERVIEWS_BYTES),
            rows: ByteCache::new(ROWS_BYTES),
            dataset: None,
            few_threads: None,
        }
    }
}

impl Explorer {
    /// Answers, however long it takes.
    pub fn answer(&mut self, question: Question) -> Answer {
        if !self.dataset.as_ref().is_some_and(|known| Arc::ptr_eq(known, &question.dataset)) {
            self.overviews.clear();
            self.rows.clear();
            self.dataset = Some(Arc::clone(&question.dataset));
        }
        let pool = if question.gently { self.take_few_threads() } else { None };
        let mut look =
            || question.weights.iter().map(|choice| self.look(&question, choice).map_err(|error| crate::cli::in_words(&error))).collect();
        let looks = match &pool {
            Some(pool) => pool.install(look),
            None => look(),
        };
        if pool.is_some() {
            self.few_threads = pool;
        }
        let checkpoints = question.weights.first().map(weights_shelf::steps_of).unwrap_or_default();
        Answer { question, checkpoints, looks }
    }

    fn look(&mut self, question: &Question, choice: &WeightsChoice) -> Result<Look> {
        let (key, weights) = self.weights.open(choice)?;
        let config = weights.network.encoder().config();
        let or_last = |index: i64, count: usize| resolve_layer(index, count).unwrap_or(count.saturating_sub(1));
        let stage = or_last(question.stage, config.num_stages());
        let (blocks, place) = (config.blocks_of(stage), (key, question.sample, stage));
        let layer = or_last(question.layer, blocks.len());
        let known = self.overviews.get(&place).map(Arc::clone);
        let overview = if let Some(known) = known {
            known
        } else {
            let (overview, rows) = Overview::new(&weights, &question.dataset, question.sample, stage, layer)?;
            let overview = Arc::new(overview);
            self.overviews.put(place.clone(), Arc::clone(&overview), overview.bytes());
            self.keep_rows((place.clone(), layer), rows.as_ref());
            overview
        };
        let mut rows = self.rows.get(&(place.clone(), layer)).cloned();
        if rows.is_none() && overview.has_patch_rows() {
            rows = look::patch_rows(&attention(&weights.network, &overview.shown, (blocks.start + layer) as i64)?)?;
            self.keep_rows((place, layer), rows.as_ref());
        }
        Ok(Look { overview, layer, rows })
    }

    fn keep_rows(&mut self, key: (Place, usize), rows: Option<&HeatRows>) {
        if let Some(rows) = rows {
            self.rows.put(key, rows.clone(), look::bytes_of(rows));
        }
    }

    /// A quarter of the machine, at most two threads.
    fn take_few_threads(&mut self) -> Option<rayon::ThreadPool> {
        let threads = (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / 4).clamp(1, 2);
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("explorer {index}")).build().ok();
        self.few_threads.take().or_else(build)
    }
}

#[cfg(test)]
mod tests;
