//! What is wrong with recipes that compare views, and with those that name parts of them and do not.

use super::Recipe;
use super::views::{is_of_views, of_head};
use crate::error::{Problem, neighbors};

/// What of views and of what is done with them does not go together.
pub(super) fn compared(recipe: &Recipe) -> Vec<Problem> {
    let (augment, mut found) = (&recipe.augment, Vec::new());
    let mut problem = |key: &str, what: String, cure: &str| found.push(Problem::new(key, what, cure));
    let of_views = [("target", &recipe.target.kind), ("objective", &recipe.objective.kind)];
    let (decoder, kind) = (&recipe.decoder.kind, &recipe.backbone.sizes.kind);
    if !recipe.compares_views() {
        for (table, kind) in of_views.into_iter().filter(|(_, kind)| is_of_views(kind)) {
            let what = format!("`{kind}` is about whole views, and `{decoder}` predicts patches");
            problem(&format!("{table}.kind"), what, "use `decoder.kind = \"prototypes\"`, or another kind here");
        }
        if augment.views > 1 || augment.local_views > 0 {
            let key = if augment.views > 1 { "augment.views" } else { "augment.local_views" };
            let what = format!("`{decoder}` predicts patches of one view: there is nothing to do with more");
            problem(key, what, "use `augment.views = 1` and `augment.local_views = 0`, or `decoder.kind = \"prototypes\"`");
        }
        return found;
    }
    let (targets, objectives) = of_head(decoder);
    for ((table, kind), fitting) in of_views.into_iter().zip([targets, objectives]) {
        if !fitting.contains(&kind.as_str()) {
            let what = format!("`{decoder}` says something of whole views that `{kind}` does not understand");
            let fitting = fitting.iter().map(|kind| format!("`{table}.kind = \"{kind}\"`")).collect::<Vec<_>>().join(" or ");
            problem(&format!("{table}.kind"), what, &format!("use {fitting}, or another decoder"));
        }
    }
    let is_normality = recipe.objective.kind == "sigreg";
    if decoder == "projector" && is_normality != (recipe.target.kind == "mean_view") {
        let what = format!("`{}` does not tell how far a view is from `{}`", recipe.objective.kind, recipe.target.kind);
        problem("objective.kind", what, "use `sigreg` with `target.kind = \"mean_view\"`, or another with `target.kind = \"views\"`");
    }
    if is_normality && recipe.decoder.count("predictor_layers") > 0 {
        problem("decoder.predictor_layers", "all views have the same answer: nothing predicts another".into(), "use 0");
    }
    if decoder == "projector" {
        if !is_normality && (augment.views != 2 || augment.local_views > 0) {
            let what = format!("two sides are compared, and there are {} views", augment.views + augment.local_views);
            problem("augment.views", what, "use `augment.views = 2` and `augment.local_views = 0`");
        }
        let (queue, is_queued) = (recipe.target.count("queue"), recipe.objective.word("among") == Some("earlier"));
        if is_queued && (queue == 0 || !queue.is_multiple_of(recipe.optim.batch.max(1))) {
            let what = format!("a queue of {queue} is not filled by batches of {}", recipe.optim.batch);
            problem("target.queue", what, &format!("use a multiple of {}", recipe.optim.batch));
        }
        if recipe.optim.batch < 2 {
            problem("optim.batch", "a single image has no others to be told from".into(), "use at least 2, better hundreds");
        }
    }
    if !recipe.optim.steady.is_empty() && recipe.optim.kind == "adamw" {
        problem("optim.steady", "adamw moves all parameters at one rate".into(), "use `optim.kind = \"sgd\"`, or `optim.steady = []`");
    }
    if decoder == "classifier" {
        let [height, width] = recipe.data.image;
        if augment.views != 1 || augment.local_views > 0 {
            let what = "a puzzle is made of one view of the image".to_owned();
            problem("augment.views", what, "use `augment.views = 1` and `augment.local_views = 0`");
        }
        if recipe.target.kind == "rotation" && height != width {
            problem("data.image", format!("turned by a quarter, {width}×{height} px do not fit the network"), "use a square image");
        }
        if recipe.target.kind == "rotation" && recipe.decoder.count("classes") != 4 {
            problem("decoder.classes", "there are four quarters".into(), "use 4");
        }
    } else if augment.views < 2 {
        problem("augment.views", "a single global view has no other to be compared with".into(), "use 2");
    }
    found.extend(hidden_patches(recipe));
    let mut problem = |key: &str, what: String, cure: &str| found.push(Problem::new(key, what, cure));
    let hides = recipe.hidden_patches().is_some();
    if !hides && recipe.hides() {
        problem(
            "mask.ratio",
            "where views are compared, nothing is hidden of them".into(),
            "use `mask.kind = \"random\"` with a ratio of 0",
        );
    }
    if recipe.optim.ema <= 0.0 && recipe.target.word("teacher") == Some("average") {
        let what = "the teacher is the running average of the weights, and nothing is averaged".to_owned();
        problem("optim.ema", what, "set it, to 0.996 for instance, or use `target.teacher = \"itself\"`");
    }
    if augment.local_views > 0 {
        let (patch, local) = (recipe.backbone.patch.max(1), augment.local_image);
        if let Some(side) = local.into_iter().find(|side| side % patch != 0) {
            let cure = format!("use {}", neighbors(side, patch));
            problem("augment.local_image", format!("{side} is not a multiple of patch {patch}"), &cure);
        }
        if local != recipe.data.image && !["vit", "resnet"].contains(&kind.as_str()) {
            problem("augment.local_views", format!("a {kind} sees images of one size only"), "use 0 local views, a vit or a resnet");
        }
        if local != recipe.data.image && recipe.backbone.sizes.word("relative").is_some_and(|relative| relative != "none") {
            let what = "distances between patches are those of the large views".to_owned();
            problem("backbone.relative", what, "use `none`, or 0 local views");
        }
    }
    found
}

/// What keeps patches of global views from being hidden and asked for.
fn hidden_patches(recipe: &Recipe) -> Vec<Problem> {
    let Some([fewest, most]) = recipe.hidden_patches() else { return Vec::new() };
    let (mask, kind, mut found) = (&recipe.mask, &recipe.backbone.sizes.kind, Vec::new());
    let mut problem = |key: &str, what: String, cure: &str| found.push(Problem::new(key, what, cure));
    if kind != "vit" {
        let what = format!("a token that leaves a {kind} stands for many patches, and hidden ones are told one by one");
        problem("decoder.patches", what, "use `none`, or a vit");
    }
    if recipe.target.word("teacher") == Some("itself") {
        let what = "the network cannot tell itself what is hidden from it".to_owned();
        problem("target.teacher", what, "use `average`, or `decoder.patches = \"none\"`");
    }
    if !["random", "block"].contains(&mask.kind.as_str()) {
        let what = format!("how many patches are hidden is drawn for each view, and `{}` does not hide any number of them", mask.kind);
        problem("mask.kind", what, "use `block` or `random`");
    } else if mask.count("masked") > 0 {
        let what = "how many patches are hidden is drawn for each view".to_owned();
        problem("mask.masked", what, "use 0, and the share as `mask.ratio`");
    } else if mask.number("ratio") == Some(0.0) {
        problem("mask.ratio", "patches are asked for, and nothing is hidden".into(), "use 0.3, or `decoder.patches = \"none\"`");
    } else {
        let of_count = |count: usize| recipe.mask_of(count).map_or_else(|_| Vec::new(), |strategy| strategy.check(recipe.grid()));
        let [few, many] = [fewest, most].map(of_count);
        found.extend(if few.is_empty() { many } else { few });
    }
    found
}
