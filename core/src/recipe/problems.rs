//! What is wrong with settings that are each within their range but do not go together, and the cures.

use std::collections::BTreeSet;

use super::{METHODS, Recipe, backbone_names, backbone_sizes};
use crate::error::{Error, Problem, neighbors};
use crate::registry::suggestion;

/// All problems between settings. A rule that looks at a setting in `faulty`, which has a problem of its own, is passed over.
pub(super) fn across(recipe: &Recipe, faulty: &BTreeSet<&str>) -> Vec<Problem> {
    let rules: [(&[&str], Vec<Problem>); 9] = [
        (&["method"], method(recipe)),
        (&["backbone.preset"], backbone_preset(recipe)),
        (&["data.image", "backbone.patch"], patches(recipe)),
        (&["backbone.width", "backbone.heads"], heads("backbone", recipe.backbone.width, recipe.backbone.heads)),
        (
            &["decoder.width", "decoder.heads"],
            if recipe.decoder.depth == 0 { Vec::new() } else { heads("decoder", recipe.decoder.width, recipe.decoder.heads) },
        ),
        (&["backbone.width", "decoder.width", "backbone.pos"], position_codes(recipe)),
        (&["data.mean", "data.std", "data.channels"], channels(recipe)),
        (&["augment.crop_scale", "augment.crop_ratio"], crops(recipe)),
        (&["optim.betas", "optim.epochs", "optim.warmup_epochs", "optim.base_lr", "optim.min_lr", "train.steps"], optimization(recipe)),
    ];
    let sound = |key: &&str| !faulty.contains(key);
    let mut found: Vec<Problem> = rules.into_iter().filter(|(keys, _)| keys.iter().all(sound)).flat_map(|(_, problems)| problems).collect();
    // Where the patch does not divide the image, the whole patches of it still show what is wrong with the mask.
    let size_known = ["data.image", "backbone.patch"].iter().all(sound) && !recipe.grid().is_empty();
    if size_known && !faulty.iter().any(|key| key.starts_with("mask.")) {
        found.extend(mask(recipe));
    }
    let target_known = !faulty.iter().any(|key| key.starts_with("target.") || key.starts_with("objective."));
    if target_known && ["data.channels", "backbone.patch"].iter().all(sound) {
        found.extend(target(recipe));
    }
    found
}

fn method(recipe: &Recipe) -> Vec<Problem> {
    let name = &recipe.method;
    if METHODS.iter().any(|preset| preset.name == name) {
        return Vec::new();
    }
    vec![Problem::new("method", format!("unknown method `{name}`"), suggestion(name, METHODS.iter().map(|preset| preset.name)))]
}

fn backbone_preset(recipe: &Recipe) -> Vec<Problem> {
    let name = &recipe.backbone.preset;
    if name.is_empty() || backbone_sizes(name).is_some() {
        return Vec::new();
    }
    vec![Problem::new("backbone.preset", format!("unknown back-bone `{name}`"), suggestion(name, backbone_names().iter().copied()))]
}

fn patches(recipe: &Recipe) -> Vec<Problem> {
    let (patch, image) = (recipe.backbone.patch, recipe.data.image);
    let mut sides = vec![("height", image[0]), ("width", image[1])];
    if image[0] == image[1] {
        sides = vec![("side", image[0])];
    }
    sides
        .into_iter()
        .filter(|&(_, side)| patch == 0 || side < patch || !side.is_multiple_of(patch))
        .map(|(name, side)| {
            if patch == 0 || side < patch {
                let cure = format!("use an image of at least {} px, or a smaller patch", 2 * patch);
                Problem::new("data.image", format!("the {name} {side} is smaller than the patch {patch}"), cure)
            } else {
                Problem::new("data.image", format!("{side} is not a multiple of patch {patch}"), format!("use {}", neighbors(side, patch)))
            }
        })
        .collect()
}

fn heads(stage: &str, width: usize, heads: usize) -> Vec<Problem> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Vec::new();
    }
    let divisors: Vec<usize> = (1..=width).filter(|&heads| width.is_multiple_of(heads)).collect();
    let below = divisors.iter().rev().find(|&&divisor| divisor < heads);
    let above = divisors.iter().find(|&&divisor| divisor > heads);
    let fitting: Vec<String> = [below, above].into_iter().flatten().map(usize::to_string).collect();
    let cure = format!("use {} heads, or a width of {}", fitting.join(" or "), neighbors(width, heads.max(1)));
    vec![Problem::new(format!("{stage}.heads"), format!("the width {width} does not divide into {heads} heads"), cure)]
}

fn position_codes(recipe: &Recipe) -> Vec<Problem> {
    let mut widths = vec![("decoder.width", recipe.decoder.width)];
    if recipe.backbone.pos == "sincos" {
        widths.insert(0, ("backbone.width", recipe.backbone.width));
    }
    let uneven = widths.into_iter().filter(|(_, width)| !width.is_multiple_of(4));
    uneven
        .map(|(key, width)| {
            Problem::new(
                key,
                format!("{width} is not a multiple of 4, which sine and cosine positions need"),
                format!("use {}", neighbors(width, 4)),
            )
        })
        .collect()
}

fn channels(recipe: &Recipe) -> Vec<Problem> {
    let data = &recipe.data;
    let mut found = Vec::new();
    for (key, list) in [("data.mean", &data.mean), ("data.std", &data.std)] {
        if !list.is_empty() && list.len() != data.channels {
            let what = format!("it has {} values for {} channels", list.len(), data.channels);
            found.push(Problem::new(key, what, "write one value for each channel, or [] to have it measured on the data"));
        }
    }
    if data.mean.is_empty() != data.std.is_empty() {
        found.push(Problem::new(
            "data.std",
            "only one of mean and std is given",
            "give both, or [] for both to have them measured on the data",
        ));
    }
    if data.std.iter().any(|&std| std <= 0.0) {
        found.push(Problem::new(
            "data.std",
            "a deviation of 0 cannot be divided by",
            "write positive numbers, or [] to have them measured on the data",
        ));
    }
    found
}

fn crops(recipe: &Recipe) -> Vec<Problem> {
    let augment = &recipe.augment;
    [("augment.crop_scale", &augment.crop_scale, "[0.2, 1.0]"), ("augment.crop_ratio", &augment.crop_ratio, "[0.75, 1.3333333333333333]")]
        .into_iter()
        .filter(|(_, list, _)| !matches!(list[..], [low, high] if 0.0 < low && low <= high))
        .map(|(key, list, usual)| {
            let what = format!("{list:?} is not a pair of positive numbers, the smaller one first");
            Problem::new(key, what, format!("write for instance `{usual}`"))
        })
        .collect()
}

fn optimization(recipe: &Recipe) -> Vec<Problem> {
    let (optim, mut found) = (&recipe.optim, Vec::new());
    if !matches!(optim.betas[..], [first, second] if (0.0..1.0).contains(&first) && (0.0..1.0).contains(&second)) {
        let what = format!("{:?} is not a pair of numbers from 0 to below 1", optim.betas);
        found.push(Problem::new("optim.betas", what, "write for instance `[0.9, 0.95]`"));
    }
    if optim.ema >= 1.0 {
        found.push(Problem::new(
            "optim.ema",
            "an average that decays by 1 never moves",
            "use a value below 1, such as 0.999, or 0 for no average",
        ));
    }
    if recipe.train.steps == 0 {
        if optim.epochs <= 0.0 {
            found.push(Problem::new("optim.epochs", "the training has no length", "set the epochs, or `train.steps`"));
        } else if optim.warmup_epochs >= optim.epochs {
            let what = format!("a warm-up of {} epochs is not shorter than the schedule of {}", optim.warmup_epochs, optim.epochs);
            let cure = format!("use at most a tenth, {} epochs, or train longer", optim.epochs / 10.0);
            found.push(Problem::new("optim.warmup_epochs", what, cure));
        }
    }
    if optim.min_lr > recipe.lr() {
        let what = format!(
            "{} is above the highest learning rate, {:e} = base_lr x {} images / 256",
            optim.min_lr,
            recipe.lr(),
            recipe.effective_batch()
        );
        found.push(Problem::new("optim.min_lr", what, "lower it, or raise `optim.base_lr`"));
    }
    found
}

/// What the masking strategy has against its knobs or the grid.
fn mask(recipe: &Recipe) -> Vec<Problem> {
    match recipe.mask() {
        Ok(strategy) => strategy.check(recipe.grid()),
        Err(Error::Recipe(problems)) => problems,
        Err(other) => vec![Problem::new("mask.kind", other.to_string(), "choose another strategy")],
    }
}

/// What the target has against its knobs or the patches, and the objective against the target.
fn target(recipe: &Recipe) -> Vec<Problem> {
    let unexpected = |error: Error| match error {
        Error::Recipe(problems) => problems,
        other => vec![Problem::new("target.kind", other.to_string(), "choose another target")],
    };
    let (target, objective) = match (recipe.target(), recipe.objective()) {
        (Ok(target), Ok(objective)) => (target, objective),
        (target, objective) => {
            return [target.err(), objective.err()].into_iter().flatten().flat_map(unexpected).collect();
        }
    };
    let mut found = target.problems(recipe.shape());
    found.extend(objective.objection(target.output(recipe.shape())));
    found
}
