//! The model card: what somebody who finds the weights must know, from what is known here and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use super::Options;
use crate::knob::Value;
use crate::method::encoder_sizes;
use crate::recipe::{METHODS, Part, Recipe};
use crate::run::{Event, RunFolder, Started, read_all};
use crate::weights::model_file::Weights;

/// Whom weights are for.
pub(super) struct Library {
    /// As hubs of models call it.
    pub name: &'static str,
    /// How they are loaded; `PATH` stands for where they are.
    pub code: String,
}

/// The card of weights that were opened from `source` and go to `to`.
pub(super) fn text(weights: &Weights, source: &Path, to: &Path, library: &Library, options: &Options, notes: &[String]) -> String {
    let name = to.file_name().map_or_else(|| "model".to_owned(), |name| one_line(&name.to_string_lossy()));
    let run = run_of(source);
    let recipe = &weights.recipe;
    let mut card = front_matter(recipe, library, options.licence.as_deref());
    let mut add = |title: &str, text: String| {
        // Writing to a text does not fail.
        let _ = write!(card, "\n{title}\n\n{text}\n");
    };
    add(&format!("# {name}"), summary(weights));
    add("## Network", network(recipe, options));
    add("## Images", images(recipe));
    add("## Training", training(weights));
    add("## Data", data(run.as_ref()));
    add("## Figures", figures(run.as_ref(), weights.step));
    let language = if library.name == "maskroom" { "sh" } else { "python" };
    add("## Use", format!("```{language}\n{}\n```", library.code.replace("PATH", &format!("path/to/{name}"))));
    if !notes.is_empty() {
        add("## What to mind", list(notes.iter().cloned()));
    }
    let unsaid =
        "Not said. Whoever passes these weights on has to say under which licence others may use them, and to mind that of the data.";
    add("## Licence", options.licence.as_deref().map_or_else(|| unsaid.to_owned(), one_line));
    card
}

/// What hubs of models read.
fn front_matter(recipe: &Recipe, library: &Library, licence: Option<&str>) -> String {
    let is_identifier = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let licence = match licence {
        Some(text) if is_identifier(text) => format!("license: {}", text.to_lowercase()),
        // Text in quotes of JSON is text in YAML too.
        Some(text) => format!("license: other\nlicense_name: {}", serde_json::Value::from(one_line(text))),
        None => "license: other".to_owned(),
    };
    let tags = ["maskroom", "self-supervised-learning", &recipe.method, &recipe.backbone.sizes.kind];
    let tags: Vec<String> = tags.iter().map(|tag| format!("- {tag}")).collect();
    format!("---\n{licence}\nlibrary_name: {}\npipeline_tag: image-feature-extraction\ntags:\n{}\n---\n", library.name, tags.join("\n"))
}

fn summary(weights: &Weights) -> String {
    let Recipe { method, backbone, .. } = &weights.recipe;
    let network = match backbone.sizes.kind.as_str() {
        "vit" => "A vision transformer",
        "swin" => "A Swin transformer",
        "pvt" => "A pyramid vision transformer",
        "resnet" => "A residual network",
        _ => "A network",
    };
    match weights.step {
        0 => format!("{network} for features of images, written by Maskroom."),
        step => format!("{network} for features of images, pre-trained without labels by {method} for {step} steps with Maskroom."),
    }
}

fn network(recipe: &Recipe, options: &Options) -> String {
    let (encoder, [height, width]) = (encoder_sizes(recipe), recipe.data.image);
    list(
        [
            format!("{}: {}", recipe.backbone.sizes.kind, knobs(&recipe.backbone.sizes)),
            format!("{} blocks; what leaves the last has {} numbers a place", encoder.num_blocks(), encoder.last_width()),
            format!("patches of {0}x{0} pixels, images of {height}x{width}, {1} channels", encoder.patch(), encoder.channels()),
            format!("numbers: {}", options.precision.name()),
        ]
        .into_iter(),
    )
}

fn images(recipe: &Recipe) -> String {
    format!(
        "Pixels are scaled to 0 to 1; then the mean {:?} is subtracted from the channels, and they are divided by the deviation {:?}.",
        recipe.data.mean, recipe.data.std
    )
}

fn training(weights: &Weights) -> String {
    let recipe = &weights.recipe;
    if weights.step == 0 {
        return "Nothing is known of it here: the weights were imported, or not trained yet.".to_owned();
    }
    let mut lines = vec![format!("method: {}", recipe.method)];
    lines.extend(METHODS.iter().find(|preset| preset.name == recipe.method).map(|preset| format!("after {}", preset.source)));
    if !recipe.compares_views() {
        for (what, part) in [("mask", &recipe.mask), ("target", &recipe.target), ("objective", &recipe.objective)] {
            lines.push(format!("{what}: {} {}", part.kind, knobs(part)).trim_end().to_owned());
        }
    }
    let optim = &recipe.optim;
    lines.push(format!(
        "{} steps of {} images, {}, highest learning rate {:e}",
        weights.step,
        recipe.effective_batch(),
        optim.kind,
        recipe.lr()
    ));
    list(lines.into_iter())
}

/// A part's settings; paths are of the machine it was trained on and of no use elsewhere.
fn knobs(part: &Part) -> String {
    let is_path = |value: &Value| matches!(value, Value::Text(text) if text.contains(['/', '\\']));
    let knobs = part.knobs.iter().filter(|(_, value)| !is_path(value));
    knobs.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

/// The run that weights are of: theirs is one of the folders that they are in.
fn run_of(source: &Path) -> Option<RunFolder> {
    const DEPTH: usize = 4;
    source.ancestors().take(DEPTH).filter(|folder| !folder.as_os_str().is_empty()).find_map(|folder| RunFolder::open(folder).ok())
}

fn events(run: Option<&RunFolder>) -> Vec<Event> {
    run.and_then(|run| read_all(&run.events_path()).ok()).map(|log| log.events).unwrap_or_default()
}

fn data(run: Option<&RunFolder>) -> String {
    let folder = run.and_then(|run| run.info().ok()?.data?.file_name().map(|name| one_line(&name.to_string_lossy())));
    let images = events(run).iter().rev().find_map(|event| match event {
        Event::Started(Started { images, .. }) if *images > 0 => Some(*images),
        _ => None,
    });
    match (folder, images) {
        (Some(folder), Some(images)) => format!("{images} images of `{folder}`."),
        (Some(folder), None) => format!("Images of `{folder}`."),
        (None, Some(images)) => format!("{images} images."),
        (None, None) => "Nothing is known of it here.".to_owned(),
    }
}

/// What the run says of the step of the weights, or of the last before it.
fn figures(run: Option<&RunFolder>, step: u64) -> String {
    let events: Vec<Event> = events(run).into_iter().filter(|event| event.step().is_some_and(|of| of <= step)).collect();
    let mut lines = Vec::new();
    lines.extend(events.iter().rev().find_map(|event| match event {
        Event::Step(of) if of.loss.is_finite() => Some(format!("training loss: {:.4}, around step {}", of.loss, of.step)),
        _ => None,
    }));
    lines.extend(events.iter().rev().find_map(|event| match event {
        Event::Validation(of) if of.loss.is_finite() => {
            let guesses = [("the mean of what is visible", of.baseline_patch_mean), ("the nearest visible patch", of.baseline_nearest)];
            let guesses =
                guesses.iter().filter(|(_, loss)| loss.is_finite()).map(|(what, loss)| format!("; {what} in its place: {loss:.4}"));
            Some(format!("loss on held-out images: {:.4}, at step {}{}", of.loss, of.step, guesses.collect::<String>()))
        }
        _ => None,
    }));
    let mut protocols = Vec::new();
    for event in events.iter().rev() {
        let Event::Probe(probe) = event else { continue };
        if !protocols.contains(&&probe.protocol) {
            protocols.push(&probe.protocol);
            let figures =
                probe.figures.iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| format!("{name} {}", brief(*value)));
            let how = if probe.note.is_empty() { String::new() } else { format!(" ({})", one_line(&probe.note)) };
            lines.push(format!("{}, at step {}: {}{how}", probe.protocol, probe.step, figures.collect::<Vec<_>>().join(", ")));
        }
    }
    if lines.is_empty() { "None are known.".to_owned() } else { list(lines.into_iter()) }
}

/// Counts as they are, all else with four decimals.
fn brief(value: f64) -> String {
    if value >= 2.0 && value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

fn list(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}

/// Text of somebody else's without line breaks, which would begin something new in a card.
fn one_line(text: &str) -> String {
    text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
