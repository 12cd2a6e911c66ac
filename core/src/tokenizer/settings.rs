//! What can be chosen about a tokenizer beside its images.

use crate::error::{Error, Result};
use crate::knob::Knob;
use crate::objective::Objective;
use crate::objective::mse::Mse;
use crate::objective::smooth_l1::SmoothL1;
use crate::registry::{self, complete};

const CODES: Knob = Knob::int("codes", "how many codes there are", "", (2, 65_536), 512);
const WIDTH: Knob = Knob::int("width", "numbers per place inside the network", "", (4, 1_024), 64);
const LOSS: Knob = Knob::choice("loss", "how far a drawing is from its image", &["mse", "smooth_l1"], "mse");
const KL_WEIGHT: Knob = Knob::float("kl_weight", "pull of each patch's shares towards all codes equally", "", (0.0, 100.0), 0.0);
const STRAIGHT_THROUGH: Knob =
    Knob::flag("straight_through", "draw from one code each in training too, with the gradient of shares", false);
const TEMPERATURE: Knob = Knob::float("temperature", "how soft the choice of a code is at first", "", (0.01, 10.0), 1.0);
const END_TEMPERATURE: Knob = Knob::float("end_temperature", "how soft it is at the end", "", (0.01, 10.0), 0.0625);
const LR: Knob = Knob::float("lr", "highest learning rate", "", (1e-6, 1.0), 4e-3);
const STEPS: Knob = Knob::int("steps", "length of the training", "steps", (1, 10_000_000), 2_000);

/// Every setting.
pub const KNOBS: &[Knob] = &[CODES, WIDTH, LOSS, KL_WEIGHT, STRAIGHT_THROUGH, TEMPERATURE, END_TEMPERATURE, LR, STEPS];

/// The settings of one training.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// K
    pub codes: usize,
    /// Numbers per place inside the network.
    pub width: usize,
    /// `mse` or `smooth_l1`.
    pub loss: String,
    /// Weight of the divergence of each patch's shares from equal ones, in nats per patch.
    pub kl_weight: f64,
    /// Draw from one code each in training too.
    pub straight_through: bool,
    /// Temperatures of the softmax at the first and at the last step.
    pub temperatures: [f64; 2],
    /// Highest learning rate.
    pub lr: f64,
    /// Updates.
    pub steps: usize,
}

impl Settings {
    /// Complete settings from those that were given.
    ///
    /// # Errors
    /// [`Error::Recipe`] with every problem.
    pub fn new(given: &registry::Settings) -> Result<Self> {
        let (settings, problems) = complete("tokenizer", KNOBS, given);
        if !problems.is_empty() {
            return Err(Error::Recipe(problems));
        }
        Ok(Self {
            codes: CODES.count_of(&settings),
            width: WIDTH.count_of(&settings),
            loss: LOSS.of(&settings).as_text().unwrap_or_default().to_owned(),
            kl_weight: KL_WEIGHT.float_of(&settings),
            straight_through: STRAIGHT_THROUGH.of(&settings).as_bool().unwrap_or(false),
            temperatures: [TEMPERATURE.float_of(&settings), END_TEMPERATURE.float_of(&settings)],
            lr: LR.float_of(&settings),
            steps: STEPS.count_of(&settings),
        })
    }

    /// The temperature of a step: from the first to the last along half a cosine.
    pub fn temperature_at(&self, step: usize) -> f64 {
        let ([begin, end], share) = (self.temperatures, step as f64 / self.steps.max(1) as f64);
        end + (begin - end) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }

    pub(super) fn objective(&self) -> Box<dyn Objective> {
        if self.loss == "smooth_l1" { Box::new(SmoothL1 { beta: 1.0, all: true }) } else { Box::new(Mse { all: true }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::Value;

    #[test]
    fn the_temperature_falls_from_one_to_a_sixteenth() {
        let settings = Settings::new(&registry::Settings::new()).unwrap();
        assert_eq!((settings.codes, settings.width, settings.kl_weight), (512, 64, 0.0));
        assert_eq!(settings.temperature_at(0), 1.0);
        assert!((settings.temperature_at(settings.steps) - 0.0625).abs() < 1e-12);
        assert!((1..=settings.steps).all(|step| settings.temperature_at(step) < settings.temperature_at(step - 1)));
    }

    #[test]
    fn unknown_settings_are_named() {
        let given = [("code".to_owned(), Value::Int(3)), ("lr".to_owned(), Value::Float(-1.0))].into();
        let message = Settings::new(&given).unwrap_err().to_string();
        assert!(message.contains("did you mean `tokenizer.codes`") && message.contains("tokenizer.lr"), "{message}");
    }
}
