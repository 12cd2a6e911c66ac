//! How often each patch is masked: many draws, counted on a thread of their own, a few hundred at a time, so that a moved slider never waits.

use std::sync::Arc;

use egui::Context;
use maskroom_core::mask::{Grid, MaskStrategy};
use maskroom_core::random::{Purpose, Stream};

use super::strategy::Strategy;
use crate::studio::worker::Worker;

/// Draws that are counted of each strategy.
pub const DRAWS: u32 = 2_000;
/// Draws counted in one go.
const CHUNK: u32 = 200;

/// Counts for all strategies in turn.
pub struct Probability {
    worker: Worker<Question, Counted>,
}

struct Question {
    strategy: usize,
    version: u64,
    sampler: Arc<dyn MaskStrategy>,
    grid: Grid,
    from: u32,
}

struct Counted {
    strategy: usize,
    version: u64,
    counts: Vec<u32>,
}

impl Probability {
    /// Nothing counted yet.
    pub fn new(context: &Context) -> Self {
        Self { worker: Worker::start("mask probability", context, |question| count(&question)) }
    }

    /// Takes what was counted, and has the strategy counted on that has the fewest draws.
    pub fn follow(&self, strategies: &mut [Strategy], grid: Grid) {
        for counted in self.worker.answers() {
            let Some(strategy) = strategies.get_mut(counted.strategy).filter(|strategy| strategy.version == counted.version) else {
                continue;
            };
            strategy.counts.resize(counted.counts.len(), 0);
            strategy.counts.iter_mut().zip(&counted.counts).for_each(|(total, more)| *total += more);
            strategy.draws += CHUNK;
        }
        if self.worker.is_busy() {
            return;
        }
        let behind = strategies.iter().enumerate().filter(|(_, strategy)| strategy.draws < DRAWS);
        let behind = behind.filter_map(|(index, strategy)| Some((index, strategy, strategy.sampler()?)));
        if let Some((index, strategy, sampler)) = behind.min_by_key(|(_, strategy, _)| strategy.draws) {
            let (version, from) = (strategy.version, strategy.draws);
            self.worker.ask(Question { strategy: index, version, sampler: Arc::clone(sampler), grid, from });
        }
    }
}

/// The masks of one image over so many epochs.
fn count(question: &Question) -> Counted {
    let mut counts = vec![0; question.grid.len()];
    for draw in question.from..question.from + CHUNK {
        let mask = question.sampler.sample(question.grid, &mut Stream::new(0, u64::from(draw), 0, Purpose::Mask));
        counts.iter_mut().zip(&mask.masked).for_each(|(count, &masked)| *count += u32::from(masked));
    }
    Counted { strategy: question.strategy, version: question.version, counts }
}

#[cfg(test)]
mod tests {
    use super::super::strategy::{Draw, all};
    use super::*;
    use crate::studio::draft::Draft;

    #[test]
    fn every_strategy_is_counted_to_the_end() {
        let (mut strategies, draft) = (all(), Draft::default());
        let draw = Draw { seed: 0, epoch: 0, samples: Vec::new() };
        strategies.iter_mut().for_each(|strategy| strategy.follow(&draft, &draw));
        let probability = Probability::new(&Context::default());
        for _ in 0..20_000 {
            probability.follow(&mut strategies, draft.recipe().grid());
            if strategies.iter().all(|strategy| strategy.draws == DRAWS) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for strategy in &strategies {
            assert_eq!(strategy.draws, DRAWS, "{}", strategy.kind.name);
            let mean = strategy.counts.iter().sum::<u32>() as f64 / (f64::from(DRAWS) * strategy.counts.len() as f64);
            assert!((mean - strategy.mean_ratio).abs() < 0.05, "{}: {mean} and {}", strategy.kind.name, strategy.mean_ratio);
        }
    }
}
