//! One strategy with its knobs, and the masks it draws.

use std::sync::Arc;

use maskroom_core::error::{Error, Problem};
use maskroom_core::knob::{Knob, Value};
use maskroom_core::mask::{Grid, MASKS, Mask, MaskStrategy};
use maskroom_core::random::{Purpose, Stream};
use maskroom_core::recipe::{Part, Recipe};
use maskroom_core::registry::{Kind, Settings, kinds};

use crate::studio::draft::{Draft, Edit};

/// A strategy as a card shows it.
pub struct Strategy {
    /// What the registry says of it.
    pub kind: Kind,
    /// Whether the recipe uses it; then its knobs are the draft's.
    pub in_use: bool,
    /// Its knobs, complete; what the person wrote even where it is wrong.
    pub knobs: Settings,
    /// What is wrong with the knobs, or with the grid for them.
    pub problems: Vec<Problem>,
    /// One mask for each image shown; none while the knobs are wrong.
    pub masks: Vec<Mask>,
    /// The share that is masked on average.
    pub mean_ratio: f64,
    /// How often each patch was masked, `[N]`, in so many draws.
    pub counts: Vec<u32>,
    /// Draws that were counted.
    pub draws: u32,
    /// Grows when masks of another distribution are drawn.
    pub version: u64,
    sampler: Option<Arc<dyn MaskStrategy>>,
    drawn: Option<Key>,
}

/// Whose masks are drawn: the very streams of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The images.
    pub samples: Vec<usize>,
}

/// What masks depend on.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    grid: Grid,
    patch: usize,
    knobs: Settings,
    draw: Draw,
}

/// Draws from which the mean ratio is taken where the count varies.
const MEAN_DRAWS: u64 = 32;

/// Every strategy there is, with its usual knobs.
pub fn all() -> Vec<Strategy> {
    let new = |kind: Kind| Strategy {
        knobs: kind.knobs.iter().map(|knob| (knob.key.to_owned(), knob.default_value())).collect(),
        kind,
        in_use: false,
        problems: Vec::new(),
        masks: Vec::new(),
        mean_ratio: 0.0,
        counts: Vec::new(),
        draws: 0,
        version: 0,
        sampler: None,
        drawn: None,
    };
    kinds(MASKS).into_iter().map(new).collect()
}

impl Strategy {
    /// Takes the draft's knobs if it is in use, and draws anew if anything has changed.
    pub fn follow(&mut self, draft: &Draft, draw: &Draw) {
        let recipe = draft.recipe();
        let chosen = draft.set_value("mask.kind").and_then(toml::Value::as_str).unwrap_or(&recipe.mask.kind);
        self.in_use = chosen == self.kind.name;
        if self.in_use {
            self.take_knobs(draft);
        }
        let key = Key { grid: recipe.grid(), patch: recipe.backbone.patch, knobs: self.knobs.clone(), draw: draw.clone() };
        if self.drawn.as_ref() == Some(&key) {
            return;
        }
        let same_distribution =
            self.drawn.as_ref().is_some_and(|drawn| (drawn.grid, drawn.patch, &drawn.knobs) == (key.grid, key.patch, &key.knobs));
        if !same_distribution {
            self.make_sampler(recipe);
        }
        self.draw(key.grid, draw);
        self.drawn = Some(key);
    }

    /// What puts it into the recipe: its kind, and the knobs that are not as usual.
    pub fn use_it(&self) -> Edit {
        let changed = self.kind.knobs.iter().filter(|knob| self.is_changed(knob));
        let knobs = changed.map(|knob| (format!("mask.{}", knob.key), knob.of(&self.knobs).to_toml()));
        let kind = ("mask.kind".to_owned(), self.kind.name.into());
        Edit::SetAll(std::iter::once(kind).chain(knobs).collect())
    }

    /// Whether a knob is not as usual.
    pub fn is_changed(&self, knob: &Knob) -> bool {
        knob.of(&self.knobs) != knob.default_value()
    }

    /// What builds masks and may go to another thread.
    pub fn sampler(&self) -> Option<&Arc<dyn MaskStrategy>> {
        self.sampler.as_ref()
    }

    fn take_knobs(&mut self, draft: &Draft) {
        let recipe = draft.recipe();
        for knob in self.kind.knobs {
            let resolved = || recipe.mask.knobs.get(knob.key).filter(|_| recipe.mask.kind == self.kind.name).cloned();
            let written = draft.set_value(&format!("mask.{}", knob.key)).and_then(Value::from_toml);
            // A whole number serves as a real one.
            let written = written.map(|value| knob.check(knob.key, &value).unwrap_or(value));
            let value = written.or_else(resolved).unwrap_or_else(|| knob.default_value());
            self.knobs.insert(knob.key.to_owned(), value);
        }
    }

    fn make_sampler(&mut self, recipe: &Recipe) {
        let mut recipe = recipe.clone();
        recipe.mask = Part { kind: self.kind.name.to_owned(), knobs: self.knobs.clone() };
        (self.sampler, self.problems) = match recipe.mask() {
            Ok(sampler) => {
                // Where views are compared, nothing is to be hidden.
                let hides_nothing = recipe.compares_views() && sampler.num_masked(recipe.grid()).1 == 0;
                let problems = if hides_nothing { Vec::new() } else { sampler.check(recipe.grid()) };
                (Some(Arc::from(sampler)), problems)
            }
            Err(Error::Recipe(problems)) => (None, problems),
            Err(other) => (None, vec![Problem::new("mask.kind", other.to_string(), "")]),
        };
        self.version += 1;
        (self.counts, self.draws) = (Vec::new(), 0);
        self.mean_ratio = self.sampler.as_deref().map_or(0.0, |sampler| mean_ratio(sampler, recipe.grid()));
    }

    fn draw(&mut self, grid: Grid, draw: &Draw) {
        // Without an image there is still a mask to see.
        let samples = if draw.samples.is_empty() { &[0][..] } else { &draw.samples };
        let mask = |sampler: &Arc<dyn MaskStrategy>, &sample: &usize| {
            sampler.sample(grid, &mut Stream::new(draw.seed, draw.epoch, sample as u64, Purpose::Mask))
        };
        self.masks = self.sampler.as_ref().map_or_else(Vec::new, |sampler| samples.iter().map(|sample| mask(sampler, sample)).collect());
    }
}

fn mean_ratio(sampler: &dyn MaskStrategy, grid: Grid) -> f64 {
    let (fewest, most) = sampler.num_masked(grid);
    let masked = if fewest == most {
        most as f64
    } else {
        let draws = (0..MEAN_DRAWS).map(|draw| sampler.sample(grid, &mut Stream::new(0, draw, 0, Purpose::Mask)).num_masked());
        draws.sum::<usize>() as f64 / MEAN_DRAWS as f64
    };
    masked / grid.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(strategies: &'a mut [Strategy], name: &str) -> &'a mut Strategy {
        strategies.iter_mut().find(|strategy| strategy.kind.name == name).unwrap()
    }

    #[test]
    fn the_strategy_in_use_follows_the_draft_and_others_keep_their_own_knobs() {
        let (mut strategies, mut draft) = (all(), Draft::default());
        let draw = Draw { seed: 0, epoch: 0, samples: vec![0, 1] };
        strategies.iter_mut().for_each(|strategy| strategy.follow(&draft, &draw));
        assert!(of(&mut strategies, "random").in_use && !of(&mut strategies, "block").in_use);
        assert!(strategies.iter().all(|strategy| strategy.masks.len() == 2 && strategy.problems.is_empty()));

        draft.apply(Edit::Set { path: "mask.ratio".into(), value: 0.5.into() });
        of(&mut strategies, "block").knobs.insert("ratio".into(), Value::Float(0.6));
        strategies.iter_mut().for_each(|strategy| strategy.follow(&draft, &draw));
        assert_eq!(of(&mut strategies, "random").mean_ratio, 0.5);
        let block = of(&mut strategies, "block");
        assert!((0.3..=0.6).contains(&block.mean_ratio), "{}", block.mean_ratio);
        draft.apply(block.use_it());
        assert_eq!((draft.recipe().mask.kind.as_str(), draft.recipe().mask.number("ratio")), ("block", Some(0.6)));
    }

    #[test]
    fn masks_are_those_of_a_training_and_problems_name_the_cure() {
        let (mut strategies, draft) = (all(), Draft::default());
        let random = of(&mut strategies, "random");
        random.follow(&draft, &Draw { seed: 7, epoch: 3, samples: vec![5] });
        let recipe = draft.recipe();
        let trained = recipe.mask().unwrap().sample(recipe.grid(), &mut Stream::new(7, 3, 5, Purpose::Mask));
        assert_eq!(random.masks, [trained]);
        let lattice = of(&mut strategies, "grid");
        lattice.knobs.insert("cell".into(), Value::Int(5));
        lattice.follow(&draft, &Draw { seed: 0, epoch: 0, samples: vec![0] });
        assert!(lattice.problems[0].cure.contains("a side of 2"), "{:?}", lattice.problems);
        let before = lattice.version;
        lattice.follow(&draft, &Draw { seed: 1, epoch: 0, samples: vec![0] });
        assert_eq!(lattice.version, before, "another draw is of the same distribution");
    }
}
