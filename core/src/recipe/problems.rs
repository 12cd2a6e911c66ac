//! What is wrong with settings that are each within their range but do not go together, and the cures.

use std::collections::BTreeSet;

use super::{METHODS, Recipe, backbone_names, backbone_sizes, view_problems, views};
use crate::error::{Error, Problem, neighbors};
use crate::method::encoder_sizes;
use crate::registry::suggestion;
use crate::target::features::AVERAGE;

/// All problems between settings. A rule that looks at a setting in `faulty`, which has a problem of its own, is passed over.
pub(super) fn across(recipe: &Recipe, faulty: &BTreeSet<&str>) -> Vec<Problem> {
    let rules: [(&[&str], Vec<Problem>); 12] = [
        (&["method"], method(recipe)),
        (&["backbone.preset"], backbone_preset(recipe)),
        (&["data.image", "backbone.patch"], patches(recipe)),
        (&["backbone", "decoder.width", "decoder.heads"], networks(recipe)),
        (&["backbone.tokens", "decoder.kind", "mask.kind", "backbone"], together(recipe)),
        (&["target", "backbone", "optim.ema"], own_average(recipe)),
        (&["data.mean", "data.std", "data.channels"], channels(recipe)),
        (&["augment.crop_scale", "augment.crop_ratio"], crops(recipe)),
        (&["augment.jitter"], jitter(recipe)),
        (&["augment.blur", "augment.blur_sigma", "augment.solarize"], colors(recipe)),
        (&["augment", "backbone", "decoder.kind", "target.kind", "objective.kind", "optim.ema"], view_problems::compared(recipe)),
        (&["optim.betas", "optim.epochs", "optim.warmup_epochs", "optim.base_lr", "optim.min_lr", "train.steps"], optimization(recipe)),
    ];
    // A table's name stands for all of its settings.
    let sound = |key: &&str| !faulty.iter().any(|faulty| faulty == key || faulty.split_once('.').is_some_and(|(table, _)| table == *key));
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
    let kind = &recipe.backbone.sizes.kind;
    match backbone_sizes(name) {
        Some(sizes) if sizes.kind != kind => {
            let what = format!("`{name}` is a {}, and this is a {kind}", sizes.kind);
            return vec![Problem::new("backbone.preset", what, format!("leave out `backbone.kind`, or name a {kind}"))];
        }
        Some(_) => return Vec::new(),
        None if name.is_empty() => return Vec::new(),
        None => {}
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

/// What does not go together with a plain transformer's tokens that stand for no patch.
fn extra_tokens(recipe: &Recipe) -> Vec<Problem> {
    let sizes = &recipe.backbone.sizes;
    let (has_distances, has_class_token) = (sizes.word("relative") != Some("none"), sizes.flag("class_token") != Some(false));
    let mut found = Vec::new();
    if !has_class_token && sizes.count("registers") > 0 {
        let what = "registers come after a class token, and there is none";
        found.push(Problem::new("backbone.registers", what, "use 0 registers, or `backbone.class_token = true`"));
    }
    if !has_class_token && has_distances {
        let what = "tables of distances have numbers of the class token, and there is none";
        let cure = "use `backbone.class_token = true`, or `none` with `backbone.pos = \"learned\"`";
        found.push(Problem::new("backbone.relative", what, cure));
    }
    found
}

/// What is wrong with the sizes of encoder and decoder.
fn networks(recipe: &Recipe) -> Vec<Problem> {
    let (sizes, decoder) = (&recipe.backbone.sizes, &recipe.decoder);
    let mut found = Vec::new();
    let mut widths = Vec::new();
    if sizes.kind == "vit" {
        found.extend(heads("backbone", sizes.count("width"), sizes.count("heads")));
        widths.extend((sizes.word("pos") == Some("sincos")).then(|| ("backbone.width", sizes.count("width"))));
        found.extend(extra_tokens(recipe));
        found.extend(by_parts(recipe));
    } else {
        if sizes.kind == "resnet" && recipe.backbone.patch != 1 {
            found.push(Problem::new("backbone.patch", "a residual network sees pixels, not patches", "use 1, or leave the setting out"));
        }
        let image = recipe.data.image;
        let mut of_pyramid = encoder_sizes(recipe).problems(image, recipe.backbone.tokens == "compact");
        // That the patch does not divide the image is said already.
        of_pyramid.retain(|problem| problem.key != "data.image" || patches(recipe).is_empty());
        found.extend(of_pyramid);
    }
    if decoder.kind == "transformer" {
        if decoder.count("depth") > 0 {
            found.extend(heads("decoder", decoder.count("width"), decoder.count("heads")));
        }
        widths.push(("decoder.width", decoder.count("width")));
    }
    found.extend(position_codes(widths));
    found
}

/// What is wrong with rotary positions and gates.
fn by_parts(recipe: &Recipe) -> Vec<Problem> {
    let (sizes, mut found) = (&recipe.backbone.sizes, Vec::new());
    let (width, heads, turns) = (sizes.count("width"), sizes.count("heads"), sizes.word("pos") == Some("rope"));
    if turns && heads > 0 && width.is_multiple_of(heads) && !(width / heads).is_multiple_of(4) {
        let what = format!("rotary positions turn quarters of a head, and each has {} numbers", width / heads);
        found.push(Problem::new("backbone.heads", what, format!("use heads of {} numbers", neighbors(width / heads, 4))));
    }
    if recipe.optim.recompute && (turns || sizes.word("mlp") != Some("gelu")) {
        let what = "blocks with rotary positions or gates cannot be computed again";
        found.push(Problem::new("optim.recompute", what, "use false, or `backbone.mlp = \"gelu\"` and other positions"));
    }
    found
}

/// What of encoder, decoder and mask does not go together.
fn together(recipe: &Recipe) -> Vec<Problem> {
    let (backbone, is_linear) = (&recipe.backbone, recipe.decoder.kind == "linear");
    let is_vit = backbone.sizes.kind == "vit";
    let has_distances = backbone.sizes.word("relative").is_some_and(|relative| relative != "none");
    if recipe.compares_views() {
        return Vec::new();
    }
    if backbone.sizes.kind == "resnet" {
        let what = "a residual network has no place for what is hidden: its windows see all of the image";
        return vec![Problem::new("backbone.kind", what, "use a method that compares views, such as simclr, or another back-bone")];
    }
    let hides = recipe.hides();
    let is_without_blocks = recipe.decoder.kind == "transformer" && recipe.decoder.count("depth") == 0;
    let tokens = |what: &str, cure: &str| vec![Problem::new("backbone.tokens", what, cure)];
    match backbone.tokens.as_str() {
        "mask" | "compact" if recipe.mask.kind == "multi_block" => {
            let what = "`multi_block` leaves patches out that are neither shown nor predicted, and here every patch is one or the other";
            vec![Problem::new("mask.kind", what, "use `backbone.tokens = \"drop\"`, or another mask")]
        }
        "drop" if !is_vit => tokens("a pyramid cannot leave single patches out", "use `mask`, or `compact` with `mask.kind = \"uniform\"`"),
        "drop" if has_distances => {
            tokens("distances between patches are those of whole images", "use `mask`, or `backbone.relative = \"none\"`")
        }
        "compact" if is_vit => tokens("a plain transformer needs no packing", "use `drop`, which leaves hidden patches out just as well"),
        "compact" if recipe.mask.kind != "uniform" => {
            let what = format!("what `{}` leaves visible cannot be packed into a smaller image", recipe.mask.kind);
            vec![Problem::new("mask.kind", what, "use `mask.kind = \"uniform\"`, or `backbone.tokens = \"mask\"`")]
        }
        "drop" | "compact" if is_linear => {
            let what = "a linear layer predicts only where the encoder has a token, and hidden patches have none";
            vec![Problem::new("decoder.kind", what, "use `decoder.kind = \"transformer\"`, or `backbone.tokens = \"mask\"`")]
        }
        "drop" | "compact" if hides && is_without_blocks => {
            let what = "without a block, what is predicted of a hidden patch depends on its place alone";
            vec![Problem::new("decoder.depth", what, "use 1 or more, or `backbone.tokens = \"mask\"`")]
        }
        "mask" if hides && is_vit && is_linear && !has_distances && backbone.sizes.word("pos") == Some("none") => {
            let what = "mask tokens that have no position are all the same, and so is what is predicted in their places";
            vec![Problem::new("backbone.pos", what, "use `learned`, `sincos` or `rope`, or another `backbone.relative`")]
        }
        "mask" if !is_vit && !is_linear => {
            let what = "the tokens of a pyramid's last stage stand for many patches each, and this decoder wants one each";
            vec![Problem::new("decoder.kind", what, "use `decoder.kind = \"linear\"`, or `backbone.tokens = \"compact\"`")]
        }
        _ => Vec::new(),
    }
}

/// What keeps the running average from being the teacher.
fn own_average(recipe: &Recipe) -> Vec<Problem> {
    let (target, sizes) = (&recipe.target, &recipe.backbone.sizes);
    if target.kind != "features" || target.word("teacher") != Some(AVERAGE) {
        return Vec::new();
    }
    let elsewhere = "name other weights as `target.teacher`";
    if sizes.kind != "vit" {
        let what = "the last tokens of a pyramid stand for many patches: its average has nothing to say about one";
        return vec![Problem::new("target.teacher", what, format!("use a vit, or {elsewhere}"))];
    }
    let mut found = Vec::new();
    if recipe.optim.ema <= 0.0 {
        let what = "the teacher is the running average of the weights, and nothing is averaged";
        found.push(Problem::new("optim.ema", what, format!("set it, to 0.999 for instance, or {elsewhere}")));
    }
    for (key, own, what) in
        [("width", sizes.count("width"), "features of that width"), ("layers", sizes.count("depth"), "that many blocks")]
    {
        let asked = target.count(key);
        if asked > own || (key == "width" && asked != own) {
            let what = format!("{asked} is asked for, and the network itself does not have {what}");
            found.push(Problem::new(format!("target.{key}"), what, format!("use {own}, or leave the setting out")));
        }
    }
    found
}

fn position_codes(widths: Vec<(&str, usize)>) -> Vec<Problem> {
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
    [
        ("augment.crop_scale", &augment.crop_scale, "[0.2, 1.0]"),
        ("augment.crop_ratio", &augment.crop_ratio, "[0.75, 1.3333333333333333]"),
        ("augment.local_scale", &augment.local_scale, "[0.05, 0.4]"),
        ("augment.blur_sigma", &augment.blur_sigma, "[0.1, 2.0]"),
    ]
    .into_iter()
    .filter(|(_, list, _)| !matches!(list[..], [low, high] if 0.0 < low && low <= high))
    .map(|(key, list, usual)| {
        let what = format!("{list:?} is not a pair of positive numbers, the smaller one first");
        Problem::new(key, what, format!("write for instance `{usual}`"))
    })
    .collect()
}

fn jitter(recipe: &Recipe) -> Vec<Problem> {
    let jitter = &recipe.augment.jitter;
    if matches!(jitter[..], [_, _, _, hue] if hue <= 0.5) {
        return Vec::new();
    }
    let what = format!("{jitter:?} is not brightness, contrast, saturation and hue, the last of them at most 0.5");
    vec![Problem::new("augment.jitter", what, "write for instance `[0.4, 0.4, 0.4, 0.1]`, or zeros for no change")]
}

/// Probabilities that are one of the first view, one of other global ones and one of local ones.
fn colors(recipe: &Recipe) -> Vec<Problem> {
    let lists = [("augment.blur", &recipe.augment.blur), ("augment.solarize", &recipe.augment.solarize)];
    let wrong = lists.into_iter().filter(|(_, list)| list.len() != 3);
    let problem = |(key, list): (&str, &Vec<f64>)| {
        let what = format!("{list:?} is not three numbers: of the first view, of other global ones, of local ones");
        Problem::new(key, what, "write for instance `[1.0, 0.1, 0.5]`, or zeros for none")
    };
    wrong.map(problem).collect()
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
    if recipe.lr_at_ends()[1] > recipe.lr() {
        let what = format!(
            "{} is above the highest learning rate, {:e}{}",
            optim.min_lr,
            recipe.lr(),
            match optim.lr_images {
                0 => String::new(),
                images => format!(" = base_lr x {} images / {images}", recipe.effective_batch()),
            }
        );
        found.push(Problem::new("optim.min_lr", what, "lower it, or raise `optim.base_lr`"));
    }
    found
}

/// What the masking strategy has against its knobs or the grid.
fn mask(recipe: &Recipe) -> Vec<Problem> {
    match recipe.mask() {
        // Where views are compared, nothing may be hidden, which is said elsewhere.
        Ok(_) if recipe.compares_views() => Vec::new(),
        // A loss over all patches needs no mask: BEiT's ablation without one.
        Ok(strategy) if strategy.num_masked(recipe.grid()).1 == 0 && recipe.objective.word("over") == Some("all") => Vec::new(),
        Ok(strategy) => strategy.check(recipe.grid()),
        Err(Error::Recipe(problems)) => problems,
        Err(other) => vec![Problem::new("mask.kind", other.to_string(), "choose another strategy")],
    }
}

/// What the target has against its knobs or the patches, and the objective against the target.
fn target(recipe: &Recipe) -> Vec<Problem> {
    if recipe.compares_views() || [&recipe.target.kind, &recipe.objective.kind].into_iter().any(|kind| views::is_of_views(kind)) {
        return Vec::new();
    }
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
    if recipe.mask.kind == "multi_block" && recipe.objective.word("over") == Some("all") {
        let what = "`multi_block` asks for blocks alone, and what lies outside of them is never predicted";
        found.push(Problem::new("objective.over", what, "use `masked`, or another mask"));
    }
    found.extend(objective.objection(target.output(recipe.shape())));
    found
}
