//! A recipe: everything that decides what a pre-training does, one struct per stage, without paths or devices. Read from TOML, completed
//! from presets, checked as a whole, and written back with every setting explained.

mod backbones;
mod fitted;
mod preset;
mod problems;
mod recommend;
mod resolve;
mod stages;
mod toml_text;
mod view_problems;
mod views;

use serde::{Deserialize, Serialize};

pub(crate) use backbones::resnet_knobs;
pub use backbones::{BACKBONES, DECODERS, Sizes, backbone_names, backbone_sizes};
pub use preset::{METHODS, ON_SMALL_IMAGES, Preset, RESNET_ON_SMALL_IMAGES};
pub use recommend::{Recommendation, recommend};
pub use resolve::Base;
pub use stages::{Augment, Backbone, Data, Optim, Part, Stage, Train, stages};

use crate::error::{Error, Problem, Result};
use crate::mask::{Grid, MASKS, MaskStrategy};
use crate::method::masked_batch::ImageShape;
use crate::objective::{OBJECTIVES, Objective};
use crate::registry::{self, Entry};
use crate::target::{TARGETS, Target};
use resolve::Draft;

/// The version of the recipe format that this Maskroom writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// A complete recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Version of the format.
    pub version: u32,
    /// The method's name, such as `mae`; its preset fills in what is not said.
    pub method: String,
    /// Start of every random decision; at most `i64::MAX`, since TOML has no larger numbers.
    pub seed: u64,
    /// What is read.
    pub data: Data,
    /// What is done to an image before the model sees it.
    pub augment: Augment,
    /// Which patches are hidden: a member of [`MASKS`].
    pub mask: Part,
    /// The encoder.
    pub backbone: Backbone,
    /// What turns the encoder's output into predictions: a member of [`DECODERS`].
    pub decoder: Part,
    /// What a masked patch must be turned into.
    pub target: Part,
    /// How far a prediction is from its target.
    pub objective: Part,
    /// How the weights are moved, and for how long.
    pub optim: Optim,
    /// What the run does besides learning.
    pub train: Train,
}

impl Recipe {
    /// The preset of a method, such as `mae`.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the nearest preset.
    pub fn preset(name: &str) -> Result<Self> {
        Self::resolve(Base::Preset(name), &[])
    }

    /// The preset of a method, changed by `key=value` settings, and what is still to be said before it can be used: BEiT needs a tokenizer.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the nearest preset, or with every problem that the settings make.
    pub fn unchecked_preset(name: &str, sets: &[(String, String)]) -> Result<(Self, Vec<Problem>)> {
        let draft_of = |sets| Draft::of(Base::Preset(name), sets).map_err(Error::Recipe);
        let open = draft_of(&[])?.all_problems();
        let draft = draft_of(sets)?;
        let problems = draft.all_problems();
        let is_open = |problem: &Problem| problem.key != "method" && open.iter().any(|other| other.key == problem.key);
        if problems.iter().all(is_open) { Ok((draft.recipe, problems)) } else { Err(Error::Recipe(problems)) }
    }

    /// A preset or a recipe's text, changed by `key=value` settings. Explicit keys beat presets, in any order: the method's preset and
    /// the sizes of `backbone.preset` fill in only what neither `sets` nor the text says.
    ///
    /// What a text merely repeats from its own presets does not count as said where `sets` choose other presets, so that a complete
    /// recipe can be given another back-bone. A mask, target or objective of another `kind` starts from its own defaults. A warm-up that
    /// nobody set is at most a tenth of the epochs that somebody did.
    ///
    /// # Errors
    /// [`Error::Recipe`] with every problem at once.
    pub fn resolve(base: Base<'_>, sets: &[(String, String)]) -> Result<Self> {
        let draft = Draft::of(base, sets).map_err(Error::Recipe)?;
        match draft.all_problems() {
            problems if problems.is_empty() => Ok(draft.recipe),
            problems => Err(Error::Recipe(problems)),
        }
    }

    /// Reads a recipe; keys that it lacks are filled in as [`Recipe::resolve`] says.
    ///
    /// # Errors
    /// [`Error::Recipe`] with every problem at once.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::resolve(Base::Toml(text), &[])
    }

    /// The complete recipe as TOML, each setting with its explanation, unit and range. Reads back to an equal recipe.
    pub fn to_toml(&self) -> String {
        toml_text::commented(self)
    }

    /// Only what the presets that it names would not give. Reads back to an equal recipe, and lets another preset take effect.
    pub fn to_short_toml(&self) -> toml::Table {
        toml_text::short(self)
    }

    /// SHA-256, in hexadecimal, of all settings in a fixed order; comments, layout and omitted defaults make no difference.
    pub fn hash(&self) -> String {
        toml_text::hash(self)
    }

    /// Everything that is wrong with the recipe, each with its cure.
    pub fn validate(&self) -> Vec<Problem> {
        match Draft::from_layer(resolve::layer_of(self)) {
            Ok(draft) => draft.all_problems(),
            Err(problems) => problems,
        }
    }

    /// The patches of one image that a mask hides or shows as a whole: rows and columns of [`Recipe::unit`].
    pub fn grid(&self) -> Grid {
        let unit = self.unit().max(1);
        Grid::still(self.data.image[0] / unit, self.data.image[1] / unit)
    }

    /// The side in pixels of what a mask hides or shows as a whole, and of what is predicted in its place: the encoder's patch, and in a
    /// pyramid whose visible patches are packed, half of what one token of its last stage stands for (UM-MAE: 16 px).
    pub fn unit(&self) -> usize {
        match self.backbone.tokens.as_str() {
            "compact" => self.backbone.patch << self.backbone.num_stages().saturating_sub(2),
            _ => self.backbone.patch,
        }
    }

    /// The geometry of its images.
    pub fn shape(&self) -> ImageShape {
        let [height, width] = self.data.image;
        ImageShape { height, width, channels: self.data.channels, patch: self.unit() }
    }

    /// The highest learning rate: `base_lr` scaled by the images of one step, accumulated ones included, per `lr_images`, if there are any.
    pub fn lr(&self) -> f64 {
        self.optim.base_lr * self.lr_scale()
    }

    /// The learning rates at the beginning of the warm-up and at the end.
    pub fn lr_at_ends(&self) -> [f64; 2] {
        let scale = if self.optim.scale_ends { self.lr_scale() } else { 1.0 };
        [self.optim.warmup_lr, self.optim.min_lr].map(|lr| lr * scale)
    }

    fn lr_scale(&self) -> f64 {
        match self.optim.lr_images {
            0 => 1.0,
            images => self.effective_batch() as f64 / images as f64,
        }
    }

    /// Images of one step of the optimizer.
    pub fn effective_batch(&self) -> usize {
        self.optim.batch.saturating_mul(self.optim.accumulate)
    }

    /// Whether the masking strategy ever hides a patch.
    fn hides(&self) -> bool {
        self.mask().is_ok_and(|strategy| strategy.num_masked(self.grid()).1 > 0)
    }

    /// The masking strategy, a unit in pixels turned into patches.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an unknown kind or bad knobs.
    pub fn mask(&self) -> Result<Box<dyn MaskStrategy>> {
        let part = self.mask.in_patches(self.unit()).map_err(|problem| Error::Recipe(vec![problem]))?;
        member(MASKS, "mask", &part)
    }

    /// What a masked patch must be turned into.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an unknown kind or bad knobs.
    pub fn target(&self) -> Result<Box<dyn Target>> {
        member(TARGETS, "target", &self.target)
    }

    /// How far a prediction is from its target.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an unknown kind or bad knobs.
    pub fn objective(&self) -> Result<Box<dyn Objective>> {
        member(OBJECTIVES, "objective", &self.objective)
    }

    /// Whether views of an image are compared; else, what is hidden of it is predicted.
    pub fn compares_views(&self) -> bool {
        views::is_head(&self.decoder.kind)
    }

    /// Whether some visible patches are replaced by a mask token before encoding (UM-MAE's secondary masking).
    pub fn masks_secondarily(&self) -> bool {
        self.mask.number("secondary").is_some_and(|share| share > 0.0)
    }
}

/// Makes the member of a family that a recipe's part names.
fn member<T: ?Sized>(list: &[Entry<T>], table: &str, part: &Part) -> Result<Box<T>> {
    let Some(entry) = list.iter().find(|entry| entry.name == part.kind) else {
        let cure = registry::suggestion(&part.kind, list.iter().map(|entry| entry.name));
        return Err(Error::Recipe(vec![Problem::new(format!("{table}.kind"), format!("unknown kind `{}`", part.kind), cure)]));
    };
    let (settings, problems) = registry::complete(table, entry.knobs, &part.knobs);
    if problems.is_empty() { (entry.build)(&settings).map_err(Error::Recipe) } else { Err(Error::Recipe(problems)) }
}

/// Everything that is wrong with a recipe's text, each with its cure: TOML that does not parse, unknown keys, values out of range, and
/// settings that do not go together.
pub fn check(text: &str) -> Vec<Problem> {
    match Draft::of(Base::Toml(text), &[]) {
        Ok(draft) => draft.all_problems(),
        Err(problems) => problems,
    }
}

#[cfg(test)]
mod tests;
