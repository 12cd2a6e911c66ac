//! The report of any run, made from its folder alone: curves, the latest reconstructions and attention heads, and the recipe.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use maskroom_core::error::Error;
use maskroom_core::files::write_atomic;
use maskroom_core::inspect::picture::{Picture as Pixels, contact_sheet, strip};
use maskroom_core::inspect::puzzles::{self, Solved};
use maskroom_core::inspect::strips::{BORROWED, Drawn, heat_map, reconstruction, to_picture};
use maskroom_core::mask::Mask;
use maskroom_core::method::Task;
use maskroom_core::method::masked_batch::ImageShape;
use maskroom_core::method::pretext::Pretext;
use maskroom_core::recipe::Recipe;
use maskroom_core::run::{Event, RunFolder, Started, Validation, read_all};
use maskroom_core::weights::safetensors_file::{self, HostTensor, TensorMap};
use maskroom_widgets::tokens::Tokens;

use super::curves::last_class_probe;
use super::{Picture, Report, Section, Verdict, curves_from_events, duration, figure, stack_svg};
use crate::guesses::Guesses;

/// Pixels between pictures that stand side by side on the page, where the page shows through.
const GUTTER: usize = 4;
/// The color of those pixels; transparent on the page, nearly black elsewhere.
const GAP: [u8; 3] = [3, 2, 1];
/// Small images are enlarged to about this many pixels, without smoothing, so that patches stay patches.
const SHOWN_PX: usize = 128;
/// Preview images on the page at most.
const SHOWN_IMAGES: usize = 8;

/// Writes `report/report.html`, `curves.svg`, `reconstructions.png` and `attention.png`; returns the page's path.
///
/// # Errors
/// If the run cannot be read or the folder cannot be written.
pub fn write(run: &RunFolder) -> Result<PathBuf> {
    let report = of_run(run)?;
    save(&report, &run.report_path().join("report.html"))
}

/// Writes a page.
pub fn save(report: &Report, path: &Path) -> Result<PathBuf> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    write_atomic(path, report.to_html(Tokens::dark(), Tokens::light()).as_bytes())?;
    Ok(std::path::absolute(path)?)
}

/// The report of a run; its pictures are also written beside it as files.
pub fn of_run(run: &RunFolder) -> Result<Report> {
    let text = std::fs::read_to_string(run.recipe_path()).map_err(Error::io("read", run.recipe_path()))?;
    let (recipe, info) = (Recipe::from_toml(&text)?, run.info()?);
    let events = read_all(&run.events_path())?.events;
    let folder = run.report_path();
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let charts = curves_from_events(&events);
    write_atomic(&folder.join("curves.svg"), stack_svg(&charts, Tokens::light()).as_bytes())?;
    let mut sections = vec![Section::Curves { title: "Curves".into(), note: probe_note(&events), charts }];
    if let Some((step, path)) = run.previews().pop() {
        sections.extend(preview(&recipe, &path, step, &folder).with_context(|| format!("cannot show {}", path.display()))?);
    }
    sections.extend(figures(&events, &recipe));
    sections.push(Section::Code { title: "Recipe".into(), text });
    Ok(Report {
        title: info.name,
        subtitle: in_words(&recipe),
        facts: facts(&events, &recipe),
        verdict: verdict(&events, &recipe),
        sections,
        footer: format!("Maskroom {}", env!("CARGO_PKG_VERSION")),
    })
}

/// The last loss on fixed masks beside its baselines.
pub fn last_validation(events: &[Event]) -> Option<&Validation> {
    events.iter().rev().find_map(|event| if let Event::Validation(found) = event { Some(found) } else { None })
}

/// Whether the network says which of several answers is right.
fn has_answers(recipe: &Recipe) -> bool {
    recipe.objective.kind == "cross_entropy"
}

fn verdict(events: &[Event], recipe: &Recipe) -> Verdict {
    match last_validation(events) {
        Some(Validation { metrics, .. }) if Pretext::of(recipe).is_some() && metrics.contains_key("accuracy") => {
            Verdict::from_accuracy(metrics["accuracy"], recipe.decoder.count("classes"))
        }
        Some(found) if has_answers(recipe) => {
            Verdict::from_guesses(found.loss, &[(Guesses::of(&recipe.target.kind).mean[1], found.baseline_patch_mean)])
        }
        Some(found) if found.metrics.contains_key("effective_rank") => Verdict::from_features(&found.metrics),
        Some(found) => Verdict::from_baselines(found.loss, found.baseline_patch_mean, found.baseline_nearest),
        None => Verdict { good: false, text: "Not judged yet: the run has not reached its first validation.".into() },
    }
}

/// How classes are told apart, where a curve shows how well.
fn probe_note(events: &[Event]) -> String {
    let note = last_class_probe(events).map_or("", |probe| probe.note.as_str());
    if note.is_empty() { String::new() } else { format!("k-NN top-1: {note}.") }
}

fn in_words(recipe: &Recipe) -> String {
    let ([height, width], backbone) = (recipe.data.image, &recipe.backbone);
    let ratio = recipe.mask.number("ratio").map_or(String::new(), |ratio| format!(" {:.0} %", ratio * 100.0));
    let network = if backbone.preset.is_empty() {
        format!("{} of {} blocks", backbone.sizes.kind, backbone.num_blocks())
    } else {
        backbone.preset.clone()
    };
    let shown = match recipe.target.kind.as_str() {
        "rotation" => "each image turned four times".to_owned(),
        "jigsaw" => "nine tiles shuffled".to_owned(),
        _ if recipe.compares_views() => format!("{} large and {} small views", recipe.augment.views, recipe.augment.local_views),
        _ if recipe.mask.number("ratio") == Some(0.0) => "nothing hidden".to_owned(),
        _ => format!("{} mask{ratio}", recipe.mask.kind),
    };
    format!("{} on {network}, {height}x{width} px in {} px patches, {shown}", recipe.method.to_uppercase(), backbone.patch)
}

fn facts(events: &[Event], recipe: &Recipe) -> Vec<(String, String)> {
    let started = events.iter().find_map(|event| if let Event::Started(started) = event { Some(started.clone()) } else { None });
    let Started { device, images, parameters, .. } = started.unwrap_or_default();
    let last = events.iter().rev().find_map(|event| if let Event::Step(step) = event { Some(step) } else { None });
    let mut facts = vec![
        ("Device".to_owned(), device.split(" (").next().unwrap_or_default().to_owned()),
        ("Images".to_owned(), images.to_string()),
        ("Parameters".to_owned(), format!("{:.2} M", parameters as f64 / 1e6)),
        ("Batch".to_owned(), recipe.effective_batch().to_string()),
    ];
    facts.extend(last.map(|step| ("Steps".to_owned(), step.step.to_string())));
    facts.extend(last.map(|step| ("Epochs".to_owned(), figure(step.epoch))));
    facts.extend(last.map(|step| ("Training time".to_owned(), duration(step.seconds))));
    facts
}

/// The loss on fixed masks over the run, beside what guessing reaches.
fn figures(events: &[Event], recipe: &Recipe) -> Option<Section> {
    let found: Vec<_> = events.iter().filter_map(|event| if let Event::Validation(found) = event { Some(found) } else { None }).collect();
    let row = |found: &&Validation| {
        let share = super::percent(1.0 - found.loss / found.baseline_patch_mean.min(found.baseline_nearest));
        vec![found.step.to_string(), figure(found.loss), figure(found.baseline_patch_mean), figure(found.baseline_nearest), share]
    };
    if found.iter().any(|found| found.metrics.contains_key("effective_rank")) {
        return Some(feature_figures(&found));
    }
    if has_answers(recipe) && !found.is_empty() {
        return Some(answer_figures(&found, Guesses::of(&recipe.target.kind)));
    }
    (!found.is_empty()).then(|| Section::Table {
        title: "Figures".into(),
        note: "The loss over masked patches of images with fixed masks, in the target's units.".into(),
        headings: ["Step", "Loss", "Patch mean", "Nearest patch", "Below the better guess"].map(str::to_owned).to_vec(),
        rows: found.iter().map(row).collect(),
    })
}

/// The loss on fixed images over the run, where there are several answers, and the share of right ones.
fn answer_figures(found: &[&Validation], guesses: &Guesses) -> Section {
    let row = |found: &&Validation| {
        let share = super::percent(1.0 - found.loss / found.baseline_patch_mean);
        let right = found.metrics.get("accuracy").map_or(String::new(), |&accuracy| super::percent(accuracy));
        vec![found.step.to_string(), figure(found.loss), figure(found.baseline_patch_mean), share, right]
    };
    Section::Table {
        title: "Figures".into(),
        note: format!(
            "The cross-entropy of patches of images that are always shown alike, beside that of {} and no more.",
            guesses.mean[1]
        ),
        headings: ["Step", "Loss", &sentence_case(guesses.mean[0]), "Below it", "Right"].map(str::to_owned).to_vec(),
        rows: found.iter().map(row).collect(),
    }
}

/// The loss on fixed views over the run, and what features use of their space.
fn feature_figures(found: &[&Validation]) -> Section {
    let has_accuracy = found.iter().any(|found| found.metrics.contains_key("accuracy"));
    let row = |found: &&Validation| {
        let metric = |name: &str| found.metrics.get(name).map_or(String::new(), |&value| figure(value));
        let right = has_accuracy.then(|| found.metrics.get("accuracy").map_or(String::new(), |&accuracy| super::percent(accuracy)));
        let first = [found.step.to_string(), figure(found.loss), metric("feature_spread"), metric("effective_rank")];
        first.into_iter().chain(right).collect()
    };
    let meaning = match has_accuracy {
        true => "The loss on held-out images whose puzzles are always the same, and the share of them that is solved.",
        false => {
            "The loss on images whose views are always the same; it falls and rises with the teacher, so that a lower one is not a better \
             one."
        }
    };
    Section::Table {
        title: "Figures".into(),
        note: format!(
            "{meaning} A spread of 1 is that of features that point everywhere alike, 0 that of features that are all the same; the \
             effective rank is how many dimensions they take up."
        ),
        headings: ["Step", "Loss", "Feature spread", "Effective rank"]
            .into_iter()
            .chain(has_accuracy.then_some("Right"))
            .map(str::to_owned)
            .collect(),
        rows: found.iter().map(row).collect(),
    }
}

/// Reconstructions, where anything was hidden, and attention of a preview file.
fn preview(recipe: &Recipe, path: &Path, step: u64, folder: &Path) -> Result<Vec<Section>> {
    let (tensors, _) = safetensors_file::read(path)?;
    let reconstructions = tensors.contains_key("prediction").then(|| reconstructions(recipe, &tensors, step, folder));
    let puzzles = puzzles::solved(recipe, &tensors)?.map(|solved| solved_puzzles(&solved, step, folder));
    let attention = attention(recipe, &tensors, folder)?;
    [reconstructions, puzzles].into_iter().flatten().chain([Ok(attention)]).collect()
}

fn tensor<'a>(tensors: &'a TensorMap, name: &str) -> Result<&'a HostTensor> {
    tensors.get(name).with_context(|| format!("the preview lacks `{name}`"))
}

/// The images of a preview with their H and W.
fn images(tensors: &TensorMap) -> Result<(&[f32], [usize; 3])> {
    let images = tensor(tensors, "images")?;
    let [count, height, width, _] = images.shape[..] else { anyhow::bail!("the preview's images have shape {:?}", images.shape) };
    Ok((&images.values, [count, height, width]))
}

fn reconstructions(recipe: &Recipe, tensors: &TensorMap, step: u64, folder: &Path) -> Result<Section> {
    let (values, [count, height, width]) = images(tensors)?;
    let predictions = tensor(tensors, "prediction")?;
    let task = Task::for_size(recipe, height, width)?;
    let (mut strips, mut headings, mut remark) = (Vec::new(), Vec::new(), "");
    let size = |values: &[f32]| (values.len() / count.max(1)).max(1);
    let rows = values.chunks_exact(size(values)).zip(predictions.values.chunks_exact(size(&predictions.values)));
    let patches = task.shape.num_patches();
    let masks = tensor(tensors, "mask")?.values.chunks_exact(patches);
    let withheld = tensors.get("left_out").map(|flags| flags.values.as_slice());
    let targets = tensors.get("target").map(|targets| targets.values.as_slice());
    for (index, ((image, prediction), mask)) in rows.zip(masks).take(SHOWN_IMAGES).enumerate() {
        let flags = |values: &[f32]| values.iter().map(|&flag| flag > 0.5).collect::<Vec<_>>();
        let mut mask = Mask::in_raster_order(recipe.grid(), flags(mask));
        if let Some(withheld) = withheld.and_then(|withheld| withheld.chunks_exact(patches).nth(index)) {
            mask.left_out = flags(withheld);
        }
        let targets = targets.and_then(|targets| targets.chunks_exact(size(targets)).nth(index));
        let drawn = Drawn::in_preview(&task, image, prediction, targets);
        remark = drawn.remark(&task);
        let columns = reconstruction(&task, recipe, image, &drawn, &mask)?;
        headings = columns.iter().map(|(heading, _)| sentence_case(heading)).collect();
        let enlarged = |picture: &Pixels| picture.enlarged((SHOWN_PX / picture.height.max(picture.width).max(1)).max(1));
        let pictures: Vec<Pixels> = columns.iter().map(|(_, picture)| enlarged(picture)).collect();
        strips.push(strip(&pictures, GUTTER, GAP));
    }
    let remark = match remark {
        BORROWED => " The network predicts patches without their brightness and contrast: both are borrowed from the original.".to_owned(),
        "" => String::new(),
        other => format!(" Here, {other}."),
    };
    let hides = tensor(tensors, "mask")?.values.iter().any(|&masked| masked > 0.5);
    let what = match hides {
        true if task.objective.covers_visible() => {
            format!("Images with fixed masks after step {step}. All patches count, visible ones too.")
        }
        true => format!("Images with fixed masks after step {step}. Visible patches carry no loss, so only the masked ones count."),
        false => format!("Images after step {step}, of which nothing is hidden: the network predicts all of it from what it is shown."),
    };
    Ok(Section::Pictures {
        title: "Reconstructions".into(),
        note: format!("{what}{remark}"),
        headings,
        images: sheet(&strips, &folder.join("reconstructions.png"))?,
    })
}

/// What the network was posed, and what it answered.
fn solved_puzzles(solved: &Solved, step: u64, folder: &Path) -> Result<Section> {
    let strips: Vec<Pixels> = solved.pictures.iter().take(SHOWN_IMAGES).map(|pictures| strip(pictures, GUTTER, GAP)).collect();
    Ok(Section::Pictures {
        title: "Puzzles".into(),
        note: format!("{} of {} are solved after step {step}; {}.", solved.num_right, solved.num_posed, puzzles::NOTE),
        headings: solved.columns.clone(),
        images: sheet(&strips, &folder.join("puzzles.png"))?,
    })
}

fn attention(recipe: &Recipe, tensors: &TensorMap, folder: &Path) -> Result<Section> {
    let (values, [count, height, width]) = images(tensors)?;
    let attention = tensor(tensors, "attention")?;
    let (grid, heads) = (ImageShape { height, width, ..recipe.shape() }.grid(), attention.shape.get(1).copied().unwrap_or(0));
    let (patches, factor) = (grid[0] * grid[1], (SHOWN_PX / height.max(width)).max(1));
    let mut rows = Vec::new();
    for (index, image) in values.chunks_exact((values.len() / count.max(1)).max(1)).take(SHOWN_IMAGES).enumerate() {
        let map = |head: usize| heat_map(&attention.values[(index * heads + head) * patches..][..patches], grid, height, width);
        let pictures = [to_picture(image, height, width, recipe)?].into_iter().chain((0..heads).map(map));
        rows.push(strip(&pictures.map(|picture| picture.enlarged(factor)).collect::<Vec<_>>(), GUTTER, GAP));
    }
    Ok(Section::Pictures {
        title: "Attention heads".into(),
        note: "Where the class token of the last block looks, head by head: dark is little, bright is much, each map on its own scale."
            .into(),
        headings: std::iter::once("Original".to_owned()).chain((0..heads).map(|head| format!("Head {head}"))).collect(),
        images: sheet(&rows, &folder.join("attention.png"))?,
    })
}

/// Saves rows of pictures as one, and returns them for the page.
fn sheet(rows: &[Pixels], path: &Path) -> Result<Vec<Picture>> {
    contact_sheet(rows, 1, GUTTER, GAP).save_png(path)?;
    rows.iter().map(on_page).collect()
}

/// A word as a heading begins.
fn sentence_case(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A strip as a picture on the page.
fn on_page(strip: &Pixels) -> Result<Picture> {
    Ok(Picture { png: strip.to_png(GAP)?, caption: String::new(), width_css: "720px".into() })
}
