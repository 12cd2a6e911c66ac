//! What the demo trains: every setting that it changes, and how its time is shared out.

use anyhow::Result;
use maskroom_core::device::{DeviceChoice, OpenDevice};
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::train::bench::bench_train;

use super::super::context::Context;

/// One of the demo's trainings.
pub struct Training {
    /// The preset that it starts from.
    pub method: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// Its run folder within the demo's.
    pub folder: &'static str,
    /// Its share of the time.
    share: f64,
    /// What it changes of the preset.
    settings: &'static [(&'static str, &'static str)],
}

/// Draws what is hidden: a network that learns in minutes on a CPU, and a shorter memory of what to learn from. Raw pixels, so that every
/// picture in the report is the network's own.
pub const MAE: Training = Training {
    method: "mae",
    name: "MAE",
    folder: "run",
    share: 0.5,
    settings: &[
        ("backbone.preset", "vit-nano"),
        ("target.norm_pix", "false"),
        ("optim.batch", "64"),
        ("optim.base_lr", "8e-3"),
        ("augment.crop_scale", "[0.6, 1.0]"),
    ],
};

/// Attends to objects: what the preset makes of small images, beginning with the other network's encoder. Its usual rate, a twentieth of which is
/// taken here, is for beginning with nothing: in minutes, it unlearns what heads there are before it finds others.
pub const DINO: Training = Training {
    method: "dino",
    name: "DINO",
    folder: "run-dino",
    share: 0.5,
    settings: &[("backbone.preset", "vit-nano"), ("optim.batch", "64"), ("optim.base_lr", "1e-4")],
};

/// What both change.
const COMMON: &[(&str, &str)] = &[("train.log_every_steps", "20"), ("train.keep_best", "false")];
/// Steps that are taken however short the time is, and of those looks at the network that are taken on the way.
const FEWEST_STEPS: usize = 20;
const LOOKS: usize = 10;

impl Training {
    /// The recipe with as many steps as fit into its share of the time, by a short measurement on this machine.
    pub fn timed_recipe(&self, context: &Context, minutes: f64) -> Result<Recipe> {
        let mut sets: Vec<(String, String)> =
            self.settings.iter().chain(COMMON).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        sets.extend(context.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
        let recipe = Recipe::resolve(Base::Preset(self.method), &sets)?;
        let device = OpenDevice::open(context.device.unwrap_or(DeviceChoice::Auto))?;
        let figures = bench_train(&recipe, &device, 6)?;
        let steps = ((self.share * minutes * 60.0 / figures.seconds_per_step) as usize).max(FEWEST_STEPS);
        let every = (steps / LOOKS).max(1);
        let lengths =
            [("steps", steps), ("validate_every_steps", every), ("preview_every_steps", every), ("checkpoint_every_steps", steps)];
        sets.extend(lengths.map(|(key, value)| (format!("train.{key}"), value.to_string())));
        Ok(Recipe::resolve(Base::Preset(self.method), &sets)?)
    }
}
