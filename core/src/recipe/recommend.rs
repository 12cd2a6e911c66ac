//! One recipe for these data on this machine: the largest model whose sensible training fits into a night.

use super::{Base, Recipe};
use crate::error::Result;

/// A recipe chosen for a folder of images and a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The recipe, complete.
    pub recipe: Recipe,
    /// Why this one, in a sentence or two for people.
    pub reason: String,
    /// Passes over the data.
    pub epochs: f64,
    /// How long they take on this machine; infinite if its speed is not known.
    pub hours: f64,
}

/// Longest training that is recommended.
const NIGHT_HOURS: f64 = 8.0;
/// Fewer epochs than this are not worth a night; then the data are many enough that the smallest model still learns.
const MIN_EPOCHS: f64 = 10.0;
/// Largest input that a machine of unknown speed is trusted with, in pixels.
const MODEST_SIDE: usize = 96;

/// A model on the list, largest first.
struct Candidate {
    name: &'static str,
    preset: &'static str,
    depth: Option<&'static str>,
    image: usize,
    /// Fewer images than this do not fill so large a model.
    min_images: usize,
    /// Smaller images than this would only be blown up.
    min_side: usize,
    /// Its rate, where the paper's, which is one for large networks and weeks, teaches it little in a night.
    base_lr: Option<&'static str>,
}

const CANDIDATES: &[Candidate] = &[
    Candidate {
        name: "ViT-B/16 at 224 px",
        preset: "vit-b/16",
        depth: None,
        image: 224,
        min_images: 100_000,
        min_side: 160,
        base_lr: None,
    },
    Candidate {
        name: "ViT-S/16 at 224 px",
        preset: "vit-s/16",
        depth: None,
        image: 224,
        min_images: 10_000,
        min_side: 160,
        base_lr: Some("1e-3"),
    },
    Candidate {
        name: "ViT-Ti/16 at 224 px",
        preset: "vit-ti/16",
        depth: None,
        image: 224,
        min_images: 2_000,
        min_side: 160,
        base_lr: Some("1e-3"),
    },
    Candidate {
        name: "ViT-Ti/8 with 6 blocks at 96 px",
        preset: "vit-ti/8",
        depth: Some("6"),
        image: 96,
        min_images: 300,
        min_side: 80,
        base_lr: Some("4e-3"),
    },
    Candidate {
        name: "ViT-Ti/8 with 6 blocks at 64 px",
        preset: "vit-ti/8",
        depth: Some("6"),
        image: 64,
        min_images: 0,
        min_side: 48,
        base_lr: Some("4e-3"),
    },
    Candidate {
        name: "ViT-Micro/4 at 32 px",
        preset: "vit-micro",
        depth: None,
        image: 32,
        min_images: 0,
        min_side: 0,
        base_lr: Some("4e-3"),
    },
    Candidate {
        name: "ViT-Nano/4 at 32 px",
        preset: "vit-nano",
        depth: None,
        image: 32,
        min_images: 0,
        min_side: 0,
        base_lr: Some("4e-3"),
    },
];

/// Recommends a recipe for `images` images of `channels` channels whose median height and width are `median_size` pixels.
/// `images_per_second` tells how fast this machine trains a recipe; an answer that is not positive means that it is not known.
///
/// # Errors
/// [`Error::Recipe`](crate::error::Error::Recipe) if no recipe takes so many channels.
pub fn recommend(
    images: usize,
    median_size: [usize; 2],
    channels: usize,
    images_per_second: &dyn Fn(&Recipe) -> f64,
) -> Result<Recommendation> {
    let side = median_size[0].min(median_size[1]);
    let epochs = sensible_epochs(images);
    let mut slower = None;
    let mut choice = Vec::new();
    for candidate in CANDIDATES.iter().filter(|candidate| images >= candidate.min_images && side >= candidate.min_side) {
        let recipe = candidate.recipe(images, channels, epochs)?;
        let hours = hours(images, epochs, images_per_second(&recipe));
        if hours <= NIGHT_HOURS {
            let reason = candidate.reason(images, side, epochs, hours, slower);
            return Ok(Recommendation { recipe, reason, epochs, hours });
        }
        slower.get_or_insert(candidate);
        choice.push((candidate, recipe, hours));
    }
    let smallest = &CANDIDATES[CANDIDATES.len() - 1];
    match choice.last().map(|(.., hours)| *hours).filter(|hours| hours.is_finite()) {
        // Not even the smallest fits: it gets as many epochs as the night allows.
        Some(hours) => {
            let fewer = (epochs * NIGHT_HOURS / hours).floor().max(MIN_EPOCHS);
            let reason = format!(
                "{}, {fewer} epochs over {images} images: more epochs or a larger model would take longer than a night here.",
                smallest.name
            );
            let recipe = smallest.recipe(images, channels, fewer)?;
            Ok(Recommendation { recipe, reason, epochs: fewer, hours: hours * fewer / epochs })
        }
        // The speed is not known: the largest that two cores can train.
        None => {
            let modest = choice.into_iter().find(|(candidate, ..)| candidate.image <= MODEST_SIDE);
            let (name, recipe) = match modest {
                Some((candidate, recipe, _)) => (candidate.name, recipe),
                None => (smallest.name, smallest.recipe(images, channels, epochs)?),
            };
            let reason = format!("{name}, {epochs} epochs: chosen by the data alone, because the speed of this machine is not known.");
            Ok(Recommendation { recipe, reason, epochs, hours: f64::INFINITY })
        }
    }
}

impl Candidate {
    fn recipe(&self, images: usize, channels: usize, epochs: f64) -> Result<Recipe> {
        let mut sets = vec![
            ("backbone.preset", self.preset.to_string()),
            ("data.image", self.image.to_string()),
            ("data.channels", channels.to_string()),
            ("optim.batch", sensible_batch(images).to_string()),
            ("optim.epochs", epochs.to_string()),
        ];
        sets.extend(self.depth.map(|depth| ("backbone.depth", depth.to_string())));
        sets.extend(self.base_lr.map(|rate| ("optim.base_lr", rate.to_string())));
        let sets: Vec<(String, String)> = sets.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Recipe::resolve(Base::Preset("mae"), &sets)
    }

    fn reason(&self, images: usize, side: usize, epochs: f64, hours: f64, slower: Option<&Self>) -> String {
        let why = match (slower, CANDIDATES.iter().take_while(|candidate| candidate.name != self.name).last()) {
            (Some(slower), _) => format!("{} would take longer than a night here", slower.name),
            (None, Some(larger)) if side < larger.min_side => {
                format!("your images are about {side} px, and a larger input would only blow them up")
            }
            (None, Some(larger)) => format!("a larger model is worth its time from {} images on", larger.min_images),
            (None, None) => "these data and this machine bear the largest model on the list".into(),
        };
        let duration = if hours < 1.0 { format!("{:.0} minutes", (hours * 60.0).max(1.0)) } else { format!("{hours:.1} hours") };
        let rate = self.base_lr.map_or_else(String::new, |rate| format!(" Its rate is {rate}: the paper's is one for large networks."));
        format!("{}, {epochs} epochs over {images} images, about {duration}: {why}.{rate}", self.name)
    }
}

/// 2000 epochs up to 1000 images, falling with the square root to 200 from 100 000 on: small sets need many passes to see enough masks.
fn sensible_epochs(images: usize) -> f64 {
    let images = (images as f64).clamp(1_000.0, 100_000.0);
    (2_000.0 / (images / 1_000.0).sqrt() / 10.0).round() * 10.0
}

/// 64, but at least some eight steps per epoch on small sets.
fn sensible_batch(images: usize) -> usize {
    (images / 8).clamp(8, 64).next_power_of_two().min(64)
}

fn hours(images: usize, epochs: f64, images_per_second: f64) -> f64 {
    if images_per_second > 0.0 { images as f64 * epochs / images_per_second / 3600.0 } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose speed falls with the work of one image, about `speed` images per second at ViT-Ti/16, 224 px.
    fn machine(speed: f64) -> impl Fn(&Recipe) -> f64 {
        move |recipe| {
            let work = |width: usize, depth: usize, tokens: usize| (width * width * depth * tokens) as f64;
            speed * work(192, 12, 196) / work(recipe.backbone.sizes.count("width"), recipe.backbone.num_blocks(), recipe.grid().len())
        }
    }

    #[test]
    fn the_model_grows_with_the_data_and_with_the_machine() {
        let choose = |images, side, speed| recommend(images, [side, side], 3, &machine(speed)).expect("valid");
        for (images, side, speed, preset, image) in [
            (150, 500, 30.0, "vit-ti/8", 64),
            (1_500, 500, 60.0, "vit-ti/8", 96),
            (5_000, 500, 30.0, "vit-ti/8", 64),
            (5_000, 500, 2_000.0, "vit-ti/16", 224),
            (50_000, 32, 60.0, "vit-micro", 32),
            (50_000, 500, 30.0, "vit-nano", 32),
            (200_000, 500, 40_000.0, "vit-b/16", 224),
        ] {
            let chosen = choose(images, side, speed);
            let about = format!("{images} images of {side} px at {speed}: {}", chosen.reason);
            assert_eq!((chosen.recipe.backbone.preset.as_str(), chosen.recipe.data.image), (preset, [image, image]), "{about}");
            assert!(chosen.hours <= NIGHT_HOURS * 1.01 && chosen.recipe.validate().is_empty(), "{about}");
            assert_eq!(chosen.recipe.optim.epochs, chosen.epochs, "{about}");
            let rate = chosen.recipe.optim.base_lr;
            assert_eq!(chosen.reason.contains("rate"), rate > 1.5e-4, "{about}");
            assert_eq!(rate > 1e-3, image < 224, "{about}");
        }
    }

    #[test]
    fn epochs_fall_with_the_number_of_images() {
        for (images, epochs) in [(0, 2_000.0), (999, 2_000.0), (4_000, 1_000.0), (100_000, 200.0), (5_000_000, 200.0)] {
            assert_eq!(sensible_epochs(images), epochs, "{images}");
        }
    }

    #[test]
    fn slow_unknown_and_strange_machines_get_a_recipe_too() {
        let slow = recommend(1_000_000, [300, 400], 3, &machine(0.1)).expect("valid");
        assert!(slow.epochs < 200.0 && slow.reason.contains("night"), "{}", slow.reason);
        let unknown = recommend(5_000, [300, 400], 1, &|_| 0.0).expect("valid");
        assert!(unknown.hours.is_infinite() && unknown.reason.contains("not known"), "{}", unknown.reason);
        assert!(unknown.recipe.data.mean.is_empty() && unknown.recipe.data.channels == 1);
        assert!(recommend(0, [0, 0], 3, &|_| f64::NAN).is_ok());
        assert!(recommend(10, [64, 64], 0, &|_| 1.0).is_err());
    }
}
