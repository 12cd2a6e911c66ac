//! How the learning rate goes over a training: a linear rise, then a half cosine down, set anew at every step (MAE, `util/lr_sched.py`).

use crate::method::Place;
use crate::recipe::Recipe;

/// The learning rate at `progress`, in the unit of `warmup` and `total` (epochs or steps): `base · progress / warmup` while it rises,
/// then `min + (base − min) · (1 + cos π·x) / 2` with `x` going from 0 to 1; `min` after the end.
pub fn warmup_cosine(progress: f64, warmup: f64, total: f64, base: f64, min: f64) -> f64 {
    if progress < warmup {
        return base * progress.max(0.0) / warmup;
    }
    if progress >= total {
        return min;
    }
    let share = (progress - warmup) / (total - warmup);
    half_cosine([base, min], share)
}

/// From the first value to the second along half a cosine, as `share` goes from 0 to 1.
fn half_cosine([begin, end]: [f64; 2], share: f64) -> f64 {
    end + (begin - end) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Where in a training a schedule of one step falls (SimMIM's 800 epochs: at epoch 700), where one of two does (MoCo's 200: at 120 and 160),
/// and to what each time.
const STEP_AT: &[f64] = &[7.0 / 8.0];
const STEPS_AT: &[f64] = &[0.6, 0.8];
const STEP: f64 = 0.1;

/// The length of a training in steps, and its learning rate at each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Steps of the whole training.
    pub steps_total: usize,
    /// Steps in which the learning rate rises.
    pub warmup_steps: usize,
    /// Steps of one pass over the data; the images that do not fill a last step are left for another epoch.
    pub steps_per_epoch: usize,
    base_lr: f64,
    min_lr: f64,
    warmup_lr: f64,
    shape: Shape,
    /// At the beginning and at the end.
    ema: [f64; 2],
    weight_decay: [f64; 2],
}

/// How the learning rate goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Cosine,
    /// At once to a tenth, at each of these shares of the training.
    Steps(&'static [f64]),
    /// A cosine after a warm-up whose last step has the full rate already.
    Dino,
}

impl Plan {
    /// The plan of `recipe` for a training set of `images` images. With `train.steps` set, the schedule spans that many steps, and the
    /// warm-up is at most a tenth of them; else both come from the epochs.
    pub fn new(recipe: &Recipe, images: usize) -> Self {
        let steps_per_epoch = (images / recipe.effective_batch().max(1)).max(1);
        let steps_of = |epochs: f64| (epochs * steps_per_epoch as f64).round() as usize;
        let warmup_steps = steps_of(recipe.optim.warmup_epochs);
        let (steps_total, warmup_steps) = match recipe.train.steps {
            0 => (steps_of(recipe.optim.epochs).max(1), warmup_steps),
            steps => (steps, warmup_steps.min(steps / 10)),
        };
        let optim = &recipe.optim;
        let [warmup_lr, min_lr] = recipe.lr_at_ends();
        let shape = match optim.schedule.as_str() {
            "step" => Shape::Steps(STEP_AT),
            "steps" => Shape::Steps(STEPS_AT),
            "dino" => Shape::Dino,
            _ => Shape::Cosine,
        };
        let ends = |begin: f64, end: f64| [begin, if end > 0.0 { end } else { begin }];
        let (ema, weight_decay) = (ends(optim.ema, optim.ema_end), ends(optim.weight_decay, optim.weight_decay_end));
        Self { steps_total, warmup_steps, steps_per_epoch, base_lr: recipe.lr(), min_lr, warmup_lr, shape, ema, weight_decay }
    }

    /// The learning rate of a step, counted from 0.
    pub fn lr_at(&self, step: usize) -> f64 {
        let (step, warmup, total) = (step as f64, self.warmup_steps as f64, self.steps_total as f64);
        if step < warmup {
            let until = if self.shape == Shape::Dino { (warmup - 1.0).max(1.0) } else { warmup };
            return self.warmup_lr + (self.base_lr - self.warmup_lr) * step / until;
        }
        if let Shape::Steps(shares) = self.shape {
            let fallen = shares.iter().filter(|&&share| step >= share * total).count();
            return self.base_lr * STEP.powi(fallen as i32);
        }
        warmup_cosine(step, warmup, total, self.base_lr, self.min_lr)
    }

    /// The decay of the running average at a step, counted from 0: half a cosine from its value at the beginning to that at the end (BYOL,
    /// DINO).
    pub fn ema_at(&self, step: usize) -> f64 {
        half_cosine(self.ema, self.share_at(step))
    }

    /// The weight decay at a step, counted from 0, along such a curve (DINO, I-JEPA).
    pub fn weight_decay_at(&self, step: usize) -> f64 {
        half_cosine(self.weight_decay, self.share_at(step))
    }

    fn share_at(&self, step: usize) -> f64 {
        (step as f64 / self.steps_total as f64).min(1.0)
    }

    /// Where in the training a step is, counted from 0.
    pub fn place_of(&self, step: usize) -> Place {
        let [step, steps, steps_per_epoch] = [step, self.steps_total, self.steps_per_epoch].map(|steps| steps as u64);
        Place { epoch: step / steps_per_epoch.max(1), step, steps, steps_per_epoch }
    }

    /// How many passes over the data lie before a step.
    pub fn epoch_at(&self, step: usize) -> f64 {
        step as f64 / self.steps_per_epoch as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Base;

    #[test]
    fn golden_learning_rates() {
        for (epoch, lr) in [(0.0, 0.0), (20.0, 0.5), (40.0, 1.0), (420.0, 0.5), (800.0, 0.0), (900.0, 0.0)] {
            assert!((warmup_cosine(epoch, 40.0, 800.0, 1.0, 0.0) - lr).abs() < 1e-12, "{epoch}");
        }
        assert!((warmup_cosine(420.0, 40.0, 800.0, 1.0, 0.2) - 0.6).abs() < 1e-12);
        assert_eq!(warmup_cosine(0.0, 0.0, 10.0, 1.0, 0.0), 1.0);
        assert_eq!(warmup_cosine(5.0, 5.0, 5.0, 1.0, 0.1), 0.1);
    }

    #[test]
    fn simmim_rises_from_its_own_rate_and_falls_at_seven_eighths() {
        let sets = [("optim.schedule", "step"), ("optim.warmup_lr", "1e-6"), ("train.steps", "80"), ("optim.lr_images", "64")];
        let plan = plan(&sets, 1_000);
        assert_eq!((plan.warmup_steps, plan.lr_at(0)), (8, 1e-6));
        assert!((plan.lr_at(4) - (1e-6 + (1.5e-4 - 1e-6) / 2.0)).abs() < 1e-12);
        assert_eq!((plan.lr_at(8), plan.lr_at(69)), (1.5e-4, 1.5e-4));
        assert!((plan.lr_at(70) - 1.5e-5).abs() < 1e-12 && (plan.lr_at(79) - 1.5e-5).abs() < 1e-12);
    }

    #[test]
    fn golden_dino_array() {
        // 10 epochs of 4 steps, 2 of them warm-up, from 1 to 0.1.
        let sets = [
            ("optim.schedule", "dino"),
            ("optim.epochs", "10"),
            ("optim.warmup_epochs", "2"),
            ("optim.base_lr", "1.0"),
            ("optim.min_lr", "0.1"),
            ("optim.batch", "64"),
            ("optim.lr_images", "64"),
        ];
        let plan = plan(&sets, 256);
        for (step, lr) in [(0, 0.0), (1, 0.142_857), (7, 1.0), (8, 1.0), (24, 0.55), (39, 0.102_167)] {
            assert!((plan.lr_at(step) - lr).abs() < 1e-6, "{step}: {}", plan.lr_at(step));
        }
        let momentum = [("optim.ema", "0.996"), ("optim.ema_end", "1.0")];
        let plan = self::plan(&[&sets[..], &momentum].concat(), 256);
        for (step, ema) in [(0, 0.996), (20, 0.998), (39, 0.999_994)] {
            assert!((plan.ema_at(step) - ema).abs() < 1e-6, "{step}: {}", plan.ema_at(step));
        }
        let place = plan.place_of(9);
        assert_eq!((place.epoch, place.step, place.steps, place.epochs()), (2, 9, 40, 10.0));
    }

    fn plan(sets: &[(&str, &str)], images: usize) -> Plan {
        let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_string(), value.to_string())).collect();
        Plan::new(&Recipe::resolve(Base::Preset("mae"), &sets).expect("valid"), images)
    }

    #[test]
    fn epochs_give_the_official_fractional_schedule() {
        let plan = plan(&[("optim.batch", "32"), ("optim.accumulate", "2")], 1_000);
        assert_eq!((plan.steps_per_epoch, plan.warmup_steps, plan.steps_total), (15, 600, 12_000));
        let peak = 1.5e-4 * 64.0 / 256.0;
        assert_eq!((plan.lr_at(0), plan.epoch_at(300)), (0.0, 20.0));
        assert!((plan.lr_at(300) - peak * 0.5).abs() < 1e-18 && (plan.lr_at(600) - peak).abs() < 1e-18);
        assert!((plan.lr_at(420 * 15) - peak * 0.5).abs() < 1e-15);
    }

    #[test]
    fn an_average_slows_down_to_its_end_or_stays_as_it_is() {
        let decays = |sets: &[(&str, &str)]| {
            let plan = plan(&[&[("train.steps", "100")], sets].concat(), 1_000);
            [0, 50, 100, 120].map(|step| plan.ema_at(step))
        };
        assert_eq!(decays(&[("optim.ema", "0.996")]), [0.996; 4]);
        for (have, want) in decays(&[("optim.ema", "0.996"), ("optim.ema_end", "1")]).into_iter().zip([0.996, 0.998, 1.0, 1.0]) {
            assert!((have - want).abs() < 1e-12, "{have}");
        }
        let plan = plan(&[("train.steps", "100"), ("optim.weight_decay", "0.04"), ("optim.weight_decay_end", "0.4")], 1_000);
        for (step, want) in [(0, 0.04), (50, 0.22), (100, 0.4)] {
            assert!((plan.weight_decay_at(step) - want).abs() < 1e-12, "{step}");
        }
    }

    #[test]
    fn a_length_in_steps_spans_the_schedule() {
        let long = plan(&[("train.steps", "200")], 1_000);
        assert_eq!((long.steps_total, long.warmup_steps), (200, 20));
        assert_eq!(long.lr_at(200), 0.0);
        let short = plan(&[("train.steps", "5")], 1_000);
        assert_eq!((short.steps_total, short.warmup_steps), (5, 0));
        assert!(short.lr_at(0) > 0.0);
        let own = plan(&[("train.steps", "1000"), ("optim.warmup_epochs", "2")], 1_000);
        assert_eq!(own.warmup_steps, 30);
        assert_eq!(plan(&[], 3).steps_per_epoch, 1);
    }
}
