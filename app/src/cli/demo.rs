//! `maskroom demo`: the main job on built-in toy scenes, ending in one report with pictures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use maskroom_core::dataset::{Dataset, Split, toy_scenes};
use maskroom_core::device::{DeviceChoice, OpenDevice};
use maskroom_core::error::Error;
use maskroom_core::evaluate::attention::{Where, attention_jaccard};
use maskroom_core::evaluate::{JaccardFigures, JaccardOptions};
use maskroom_core::export::{Exports, ImageMasks, Instance};
use maskroom_core::inspect::colormap::head_color;
use maskroom_core::inspect::encoder::Query;
use maskroom_core::inspect::look::{Fit, for_each_batch};
use maskroom_core::inspect::picture::strip;
use maskroom_core::inspect::strips::{heat_map, to_picture};
use maskroom_core::method::Network;
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::{RunFolder, RunInfo, read_all};
use maskroom_core::segment::attention::{HeadChoice, MaskRule, map_of};
use maskroom_core::train::bench::bench_train;
use maskroom_core::train::control::Ending;
use maskroom_core::train::session::prepare;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use serde_json::json;

use super::INTERRUPTED;
use super::context::Context;
use super::progress::Progress;
use super::train::engine;
use crate::report::run_report::{last_validation, of_run, save};
use crate::report::{Bar, Picture, Report, Section};

#[derive(Args)]
pub struct Arguments {
    /// The folder to make; it must be new or empty.
    #[arg(long, default_value = "maskroom-demo")]
    out: PathBuf,
    /// Minutes of pre-training.
    #[arg(long, default_value_t = 2.5)]
    minutes: f64,
}

/// Toy scenes to paint: enough that none is seen too often in the time there is.
const SCENES: usize = 4096;
/// Their side in pixels.
const SIDE_PX: usize = 32;
/// Images shown with their masks.
const SHOWN: usize = 8;

/// What the demo changes of MAE's recipe: a network that learns in minutes on a CPU, and a shorter memory of what to learn from. Raw
/// pixels, so that every picture in the report is the network's own.
const SETTINGS: &[(&str, &str)] = &[
    ("backbone.preset", "vit-nano"),
    ("target.norm_pix", "false"),
    ("optim.batch", "64"),
    ("optim.base_lr", "8e-3"),
    ("augment.crop_scale", "[0.6, 1.0]"),
    ("train.log_every_steps", "20"),
    ("train.keep_best", "false"),
];

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let begin = Instant::now();
    if !(arguments.minutes > 0.0 && arguments.minutes <= 10_000.0) {
        bail!(Error::Usage(format!("{} minutes make no training: use a number above 0", arguments.minutes)));
    }
    refuse_used_folder(&arguments.out)?;
    let data = arguments.out.join("data");
    let mut progress = Progress::new("painting", SCENES as u64);
    toy_scenes::make_toy(&data, SCENES, (SIDE_PX, SIDE_PX), context.seed.unwrap_or(0), &mut |done| {
        progress.set(done as u64, String::new());
    })?;
    drop(progress);

    let recipe = timed_recipe(context, arguments.minutes)?;
    let info = RunInfo { name: "Toy scenes".into(), device: "auto".into(), ..RunInfo::default() };
    let run = prepare(&arguments.out.join("run"), &data, &recipe, info)?;
    let summary = engine(context, &run, None)?;
    if summary.ending != Ending::Finished {
        context.say(format!("interrupted: go on with `maskroom train {} --resume`", run.root.display()));
        return Ok(ExitCode::from(INTERRUPTED));
    }

    let look = Look::new(&run, &data)?;
    let masks = look.export_masks(&arguments.out)?;
    let mut report = of_run(&run)?;
    let pictures = Section::Pictures {
        title: "Masks".into(),
        note: format!(
            "The strongest patches of head {} in block {} that hold 60 % of its attention, outlined on held-out scenes. The same masks are \
             exported to {} and read back {}.",
            look.head,
            look.place.layer,
            masks.folder.display(),
            if masks.exact { "without a difference" } else { "WITH DIFFERENCES" }
        ),
        headings: ["Scene", "Attention", "Mask", "Truth"].map(str::to_owned).to_vec(),
        images: masks.pictures,
    };
    let at = report.sections.len() - 1;
    report.sections.splice(at..at, [pictures, look.bars()]);
    let page = finish_report(&mut report, begin, &arguments.out)?;

    let events = read_all(&run.events_path())?.events;
    let validation = last_validation(&events).context("the run has no validation")?;
    let (trained, seconds) = (&look.trained, begin.elapsed().as_secs_f64());
    context.say(report.verdict.text.as_str());
    context.say(format!("report {}", page.display()));
    Ok(context.result(&json!({
        "loss": validation.loss,
        "baseline_patch_mean": validation.baseline_patch_mean,
        "baseline_nearest": validation.baseline_nearest,
        "jaccard": trained.jaccard_best_head,
        "jaccard_random_expectation": trained.jaccard_random_expectation,
        "jaccard_random_weights": look.random.jaccard_best_head,
        "jaccard_all": trained.jaccard_all,
        "jaccard_center_box": trained.jaccard_center_box,
        "jaccard_oracle": trained.jaccard_oracle,
        "jaccard_mean_head": trained.jaccard_mean_head,
        "best_layer": look.place.layer,
        "best_head": look.head,
        "steps": summary.steps,
        "images_per_second": summary.images_per_second,
        "run": std::path::absolute(&run.root)?,
        "seconds": seconds,
        "report": page,
    })))
}

fn refuse_used_folder(out: &Path) -> Result<()> {
    let used = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if used || out.is_file() {
        bail!(Error::Usage(format!("{} exists already: remove it, or give --out another folder", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Error::io("create", out))?;
    Ok(())
}

/// The demo's recipe with as many steps as fit into the time, by a short measurement on this machine.
fn timed_recipe(context: &Context, minutes: f64) -> Result<Recipe> {
    let mut sets: Vec<(String, String)> = SETTINGS.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    sets.extend(context.seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    let recipe = Recipe::resolve(Base::Preset("mae"), &sets)?;
    let device = OpenDevice::open(context.device.unwrap_or(DeviceChoice::Auto))?;
    let figures = bench_train(&recipe, &device, 6)?;
    let steps = ((minutes * 60.0 / figures.seconds_per_step) as usize).max(20);
    let every = (steps / 10).max(1);
    let lengths = [("steps", steps), ("validate_every_steps", every), ("preview_every_steps", every), ("checkpoint_every_steps", steps)];
    sets.extend(lengths.map(|(key, value)| (format!("train.{key}"), value.to_string())));
    Ok(Recipe::resolve(Base::Preset("mae"), &sets)?)
}

/// The trained network beside the held-out scenes and their truth.
struct Look {
    network: Network,
    recipe: Recipe,
    scenes: Dataset,
    trained: JaccardFigures,
    random: JaccardFigures,
    /// The block and the head that are looked at.
    place: Where,
    head: usize,
}

/// What was exported.
struct Masks {
    folder: PathBuf,
    exact: bool,
    pictures: Vec<Picture>,
}

const CLS: Where = Where { layer: -1, query: Query::Cls, rollout: false };
const RULE: MaskRule = MaskRule { mass: 0.6, min_area_px: 0, largest_only: false };

impl Look {
    fn new(run: &RunFolder, data: &Path) -> Result<Self> {
        let weights = Weights::open(&run.root)?;
        let network = weights.network(WeightsKind::Best, &OpenDevice::cpu("looking").device)?;
        let recipe = weights.recipe;
        let mut scenes = Dataset::open(data)?;
        scenes.keep_split(Split::Val);
        let (options, seed) = (JaccardOptions::default(), recipe.seed);
        // Of all blocks' heads: a masked autoencoder's last block attends to what it draws, and objects show in the blocks before.
        let places = CLS.in_every_layer(&network);
        let trained = attention_jaccard(&network, &recipe, &scenes, &places, options, seed)?;
        let twin = Network::untrained_twin(&recipe, network.device())?;
        let random = attention_jaccard(&twin, &recipe, &scenes, &places, options, seed)?;
        let (best, heads) = (trained.best_head.unwrap_or(0), trained.heads / places.len());
        Ok(Self { place: places[best / heads], head: best % heads, network, recipe, scenes, trained, random })
    }

    /// Exports the masks of all held-out scenes and pictures some of them.
    fn export_masks(&self, out: &Path) -> Result<Masks> {
        let folder = out.join("masks");
        let mut exports = Exports::begin(&["png", "coco"], &folder, &["object".to_owned()])?;
        let all: Vec<usize> = (0..self.scenes.items.len()).collect();
        let mut pictures = Vec::new();
        for_each_batch(&self.scenes, &all, &self.recipe, Fit::Keep, |images, prepared| {
            let maps = self.place.maps(&self.network, images)?;
            for (index, image) in prepared.iter().enumerate() {
                let map = map_of(&maps, index, self.place.query, HeadChoice::One(self.head))?;
                let size = [image.source_height, image.source_width];
                let mask = RULE.mask(&map, maps.grid, size);
                if pictures.len() < SHOWN {
                    let scene = to_picture(&image.values, image.height, image.width, &self.recipe)?.enlarged(4);
                    let enlarge = |mask: &[bool]| enlarged(mask, size, 4);
                    let (mut outlined, mut truth) = (scene.clone(), scene.clone());
                    outlined.tint(&enlarge(&mask), head_color(self.head), 0.45);
                    outlined.contour(&enlarge(&mask), head_color(self.head), 2);
                    if let Some(labels) = self.scenes.truth(image.sample)? {
                        let objects: Vec<bool> = labels.labels.iter().map(|&label| label > 0 && label != 255).collect();
                        truth.tint(&enlarge(&objects), head_color(self.head + 1), 0.45);
                        truth.contour(&enlarge(&objects), head_color(self.head + 1), 2);
                    }
                    let heat = heat_map(&map, maps.grid, image.height, image.width).enlarged(4);
                    pictures.push(strip(&[scene, heat, outlined, truth], 4, [3, 2, 1]).to_png([3, 2, 1])?);
                }
                let labels = mask.iter().map(|&kept| u8::from(kept)).collect();
                let file_name = self.scenes.items[image.sample].mask_name().to_owned();
                let instances = vec![Instance { category: 1, mask }];
                exports.add(&ImageMasks { file_name, height: size[0], width: size[1], labels, instances })?;
            }
            Ok(())
        })?;
        let exact = exports.finish()?.iter().all(|report| report.exact);
        let pictures = pictures.into_iter().map(|png| Picture { png, caption: String::new(), width_css: "720px".into() }).collect();
        Ok(Masks { folder, exact, pictures })
    }

    /// The Jaccard figures as bars.
    fn bars(&self) -> Section {
        let bar = |label: &str, value: f64, emphasis: bool, note: &str| Bar { label: label.into(), value, emphasis, note: note.into() };
        let (trained, random) = (&self.trained, &self.random);
        let best = |figures: &JaccardFigures| figures.jaccard_best_head.unwrap_or(f64::NAN);
        Section::Bars {
            title: "Overlap with the known objects".into(),
            note: format!("Jaccard index on {} held-out scenes. {}", trained.images, trained.protocol),
            rows: vec![
                bar("Best single head", best(trained), true, "of all blocks, chosen on one half of the scenes, scored on the other"),
                bar("Mean of heads", trained.jaccard_mean_head, false, "a head taken at random"),
                bar("Oracle", trained.jaccard_oracle, false, "the best head for each object, chosen with the truth: an upper bound"),
                bar("Random weights", best(random), false, "the same network before any training, the same choice"),
                bar("Random masks", trained.jaccard_random_expectation, false, "expected of masks of the same share"),
                bar("Centered box", trained.jaccard_center_box, false, "60 % of the image"),
                bar("Everything is object", trained.jaccard_all, false, ""),
            ],
        }
    }
}

/// A mask `[H, W]` with every pixel repeated `factor` times in both directions.
fn enlarged(mask: &[bool], [height, width]: [usize; 2], factor: usize) -> Vec<bool> {
    (0..height * factor).flat_map(|y| (0..width * factor).map(move |x| mask[y / factor * width + x / factor])).collect()
}

fn finish_report(report: &mut Report, begin: Instant, out: &Path) -> Result<PathBuf> {
    report.title = "Maskroom on toy scenes".into();
    report.facts.push(("Whole demo".into(), crate::report::duration(begin.elapsed().as_secs_f64())));
    save(report, &out.join("report.html"))
}
