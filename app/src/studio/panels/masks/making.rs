//! Making masks for a whole folder, away from the window: weights, images and a rule go in, one run-length mask an image comes out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use egui::Context;
use maskroom_core::dataset::{Dataset, Unreadable};
use maskroom_core::device::OpenDevice;
use maskroom_core::error::Error;
use maskroom_core::evaluate::JaccardOptions;
use maskroom_core::evaluate::attention::attention_jaccard;
use maskroom_core::export::Rle;
use maskroom_core::inspect::look::Fit;
use maskroom_core::segment::MassChoice;
use maskroom_core::segment::attention::{HeadChoice, MaskRule};
use maskroom_core::segment::folder::{MaskSource, for_each_mask};
use maskroom_core::weights::model_file::{Weights, WeightsKind};

use crate::studio::job::{Job, JobProgress};

/// What is to be made.
pub struct Order {
    /// A run or a checkpoint.
    pub weights: PathBuf,
    /// The images.
    pub dataset: Arc<Dataset>,
    /// From attention to masks; [`HeadChoice::Best`] is chosen with the data's ground truth first.
    pub source: MaskSource,
    /// How images are fitted.
    pub fit: Fit,
}

/// One mask.
pub struct Made {
    /// The image's place in the data set.
    pub sample: usize,
    /// The mask, at the image's own size.
    pub mask: Rle,
    /// Masked share of the image.
    pub share: f32,
}

/// What is known when all masks are made.
pub struct Outcome {
    /// Images that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// The head that ground truth chose, and its Jaccard index on the images that did not choose it.
    pub best: Option<(usize, f64)>,
}

/// Masks as they come.
pub struct Making {
    /// The work.
    pub job: Job<Outcome>,
    pile: Arc<Mutex<Vec<Made>>>,
}

impl Making {
    /// Begins.
    pub fn start(order: Order, context: &Context) -> Self {
        let pile = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&pile);
        Self { job: Job::start("making masks", context, move |progress| make(order, &out, progress)), pile }
    }

    /// Masks made since the last look.
    pub fn take(&self) -> Vec<Made> {
        std::mem::take(&mut *self.pile.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn make(mut order: Order, pile: &Mutex<Vec<Made>>, progress: &JobProgress) -> Result<Outcome> {
    let weights = Weights::open(&order.weights)?;
    let network = weights.network(WeightsKind::Best, &OpenDevice::cpu("looking needs no warming up").device)?;
    let (recipe, dataset) = (&weights.recipe, &order.dataset);
    let total = dataset.items.len();
    progress.set(0, total);
    let mut best = None;
    if order.source.head == HeadChoice::Best {
        let MaskRule { mass, inverted, .. } = order.source.rule;
        let options = JaccardOptions { mass: MassChoice::Share(mass), inverted, ..JaccardOptions::default() };
        let figures = attention_jaccard(&network, recipe, dataset, &[order.source.place], options, 0)?;
        let chosen = figures.best_head.zip(figures.jaccard_best_head);
        let (head, jaccard) = chosen.context("no head can be chosen: too few images have ground truth")?;
        order.source.head = HeadChoice::One(head);
        best = Some((head, jaccard));
    }
    let all: Vec<usize> = (0..total).collect();
    let mut done = 0;
    let unreadable = for_each_mask(&network, recipe, dataset, &all, order.fit, &order.source, |image, mask| {
        if progress.is_cancelled() {
            return Err(Error::Failed("cancelled".into()));
        }
        let size = [image.source_height, image.source_width];
        let masked = mask.iter().filter(|&&kept| kept).count();
        let share = masked as f32 / mask.len().max(1) as f32;
        if let Some(mask) = Rle::from_mask(&mask, size[0], size[1]) {
            pile.lock().unwrap_or_else(PoisonError::into_inner).push(Made { sample: image.sample, mask, share });
        }
        done += 1;
        progress.set(done, total);
        Ok(())
    })?;
    if done == 0 {
        bail!("none of the images can be read: see the health report of the data panel");
    }
    Ok(Outcome { unreadable, best })
}
