//! A look at a network that compares views: the loss on fixed views of held-out images, and how much of their space features use.

use rayon::prelude::*;

use super::data::loader_options;
use super::engine::Engine;
use crate::dataset::sample::samples;
use crate::error::Result;
use crate::inspect::encoder::{Images, Pool, features};
use crate::inspect::spread::{effective_rank, spread};
use crate::method::Lesson;
use crate::run::Figures;
use crate::weights::model_file::to_host;

/// What the share of right answers is called, where there are any.
const ACCURACY: &str = "accuracy";
/// Images that go through the network at once.
const BATCH: usize = 32;

/// The loss of the network against its teacher on the validation images, the views of each always the same, and with it `feature_spread`
/// and `effective_rank` of the teacher's features of whole images; where puzzles are solved, the `accuracy` too. `None` if no image can be
/// read, or nothing compares views.
///
/// # Errors
/// If the device fails.
pub fn check(engine: &Engine) -> Result<Option<(f64, Figures)>> {
    let Lesson::Views(lesson) = &engine.learner.lesson else { return Ok(None) };
    let (options, place) = (loader_options(&engine.recipe, 1, (0, 0)), engine.plan.place_of(engine.progress.step as usize));
    let (network, judged) = (engine.learner.network.for_inference(), engine.learner.judged());
    let pool = Pool::usual(&judged);
    let (data, recipe, [height, width]) = (&engine.data, &engine.recipe, engine.recipe.data.image);
    let (mut sum, mut count, mut all, mut right) = (0.0, 0, Vec::new(), None);
    for chunk in data.validation.chunks(BATCH) {
        let view = |&sample: &usize| {
            let views = samples(&*data.source, sample, sample, &options, 0..1).ok()?;
            Some((sample as u64, views, data.look(sample, recipe)?))
        };
        let read: Vec<_> = chunk.par_iter().filter_map(view).collect();
        if read.is_empty() {
            continue;
        }
        let keys: Vec<u64> = read.iter().map(|(key, ..)| *key).collect();
        let of_view = |view: usize| read.iter().flat_map(move |(_, views, _)| views[view].pixels.iter().copied());
        let images: Vec<f32> = (0..options.views.len()).flat_map(of_view).collect();
        let outcome = lesson.outcome(&network, &lesson.batch(&images, 0, &keys), place, !lesson.can_collapse())?;
        if let Some((_, accuracy)) = outcome.figures.into_iter().find(|(name, _)| *name == ACCURACY) {
            let accuracy = to_host(accuracy)?.first().copied().unwrap_or(f32::NAN);
            *right.get_or_insert(0.0) += f64::from(accuracy) * read.len() as f64;
        }
        sum += f64::from(to_host(outcome.loss)?.first().copied().unwrap_or(f32::NAN)) * read.len() as f64;
        count += read.len();
        let values = read.into_iter().flat_map(|(.., whole)| whole).collect();
        all.extend(features(&judged, &Images { values, batch: keys.len(), height, width }, -1, pool)?);
    }
    let width = all.len() / count.max(1);
    let mut figures =
        Figures::from([("feature_spread".into(), spread(&all, width)), ("effective_rank".into(), effective_rank(&all, width))]);
    figures.extend(right.map(|right| (ACCURACY.into(), right / count.max(1) as f64)));
    Ok((count > 0).then(|| (sum / count as f64, figures)))
}
