//! `maskroom target`: what a masked patch must be turned into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use maskroom_core::backbone::patch_embed::patchify;
use maskroom_core::dataset::Dataset;
use maskroom_core::error::Error;
use maskroom_core::inspect::caption::labeled_strip;
use maskroom_core::inspect::look::{Fit, prepare};
use maskroom_core::inspect::picture::{Picture, contact_sheet};
use maskroom_core::inspect::strips::{target_picture, to_picture};
use maskroom_core::method::Task;
use maskroom_core::recipe::{Base, Recipe, stages};
use maskroom_core::registry::suggestion;
use maskroom_core::target::{Sample, TARGETS};
use maskroom_core::tokenizer::file::{Facts, facts};
use maskroom_core::train::session::normalize_as;
use maskroom_core::weights::model_file::Weights;
use maskroom_core::weights::safetensors_file::{self, HostTensor};
use serde_json::json;

use super::context::Context;
use super::looking::image_files;
use super::pretrain::key_value;

#[derive(Args)]
pub struct Arguments {
    /// pixels, hog, pca, tokens, features, labels or color.
    #[arg(long)]
    kind: String,
    /// Change a knob of the target, or a setting of the recipe such as `backbone.patch=8`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
    /// Image files or globs. Principal components and frequencies of colors are measured on them.
    #[arg(long, num_args = 1.., required = true)]
    images: Vec<PathBuf>,
    /// Stretch every image to the recipe's size.
    #[arg(long)]
    fit: bool,
    /// The file: tensor `target [images, N, width]`; with the ending `.png`, pictures of it beside the images.
    #[arg(long)]
    out: PathBuf,
}

/// Side of the images that are not used as they are, at most, in pixels.
const USUAL_SIDE: usize = 224;

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    if !TARGETS.iter().any(|entry| entry.name == arguments.kind) {
        let cure = suggestion(&arguments.kind, TARGETS.iter().map(|entry| entry.name));
        bail!(Error::Usage(format!("unknown target `{}`: {cure}", arguments.kind)));
    }
    let (mut recipe, device) = (recipe_for(context, arguments)?, context.looking_device()?.device);
    let dataset = image_files(&arguments.images)?;
    normalize_as(&dataset, &dataset.root, &mut recipe)?;
    let fit = if arguments.fit { Fit::Stretch } else { Fit::Keep };
    let patches = |count: usize| first_patches(&dataset, &recipe, fit, count);
    let measured = recipe.target()?.measure(&Sample::new(&recipe, &patches))?;
    let is_picture = arguments.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    let (mut values, mut strips, mut found) = (Vec::new(), Vec::new(), None);
    let mut latest: Option<Task> = None;
    for index in 0..dataset.items.len() {
        let image = prepare(&dataset, index, &recipe, fit)?;
        // What a target needs to know may be a large network: it is not made anew for every image.
        let fits = |task: &Task| [task.shape.height, task.shape.width] == [image.height, image.width];
        let task = match latest.take().filter(fits) {
            Some(task) => task,
            None => Task::for_size(&recipe, image.height, image.width)?.with_measured(&measured, &device)?,
        };
        let task = latest.insert(task);
        let (count, width) = (task.shape.num_patches(), task.output().row_width());
        let rows = task.targets(&image.values);
        if is_picture {
            strips.push(beside_image(task, &recipe, &image.values, &rows)?);
            continue;
        }
        if *found.get_or_insert((count, width)) != (count, width) {
            bail!(Error::Usage(format!("{} has another grid than the first image: use --fit", dataset.items[index].name)));
        }
        values.extend(rows);
    }
    if is_picture {
        contact_sheet(&strips, 1, GUTTER, PAPER).save_png(&arguments.out)?;
        context.say(format!("{} images and their targets in {}", strips.len(), arguments.out.display()));
        return Ok(context.result(&json!({"out": arguments.out, "pictures": strips.len()})));
    }
    let (images, (patches, width)) = (dataset.items.len(), found.unwrap_or_default());
    let tensors = BTreeMap::from([("target".to_owned(), HostTensor::new([images, patches, width], values))]);
    safetensors_file::write(&arguments.out, &tensors, &BTreeMap::new())?;
    context.say(format!("target [{images}, {patches}, {width}] in {}", arguments.out.display()));
    Ok(context.result(&json!({"out": arguments.out, "shape": [images, patches, width]})))
}

/// Pixels of paper between the strips of two images.
const GUTTER: usize = 8;
const PAPER: [u8; 3] = [255; 3];

/// An image and what is asked for in it.
fn beside_image(task: &Task, recipe: &Recipe, image: &[f32], rows: &[f32]) -> Result<Picture, Error> {
    let original = to_picture(image, task.shape.height, task.shape.width, recipe)?;
    let (target, remark) = target_picture(task, recipe, image, rows)?;
    let original = original.enlarged((target.width / original.width.max(1)).max(1));
    Ok(labeled_strip(&[("image", original), ("target", target)], remark))
}

/// MAE's recipe with this target, and an objective that goes with it. With a tokenizer or a teacher, what it was made for is what is not said.
fn recipe_for(context: &Context, arguments: &Arguments) -> Result<Recipe> {
    let mut sets: Vec<(String, String)> = arguments.sets.iter().map(|(key, value)| (in_recipe(key), value.clone())).collect();
    sets.push(("target.kind".into(), arguments.kind.clone()));
    if ["tokens", "labels", "color"].contains(&arguments.kind.as_str()) {
        sets.push(("objective.kind".into(), "cross_entropy".into()));
    }
    let said = |key: &str| sets.iter().find(|(said, _)| said == key).map(|(_, value)| value.clone());
    let fitting = match arguments.kind.as_str() {
        "tokens" => said("target.tokenizer").and_then(|path| facts(Path::new(&path)).ok()).map(of_tokenizer),
        "features" | "labels" => {
            let Some(teacher) = said("target.teacher") else {
                let what = "name the network that makes them: --set teacher=RUN, a checkpoint or a Hugging Face folder";
                return Err(Error::Usage(what.into()).into());
            };
            Weights::origin(Path::new(&teacher)).ok().map(|(recipe, _)| of_teacher(&recipe))
        }
        _ => None,
    };
    let unsaid: Vec<_> = fitting.into_iter().flatten().filter(|(key, _)| said(key).is_none()).collect();
    sets.extend(unsaid.into_iter().map(|(key, value)| (key.to_owned(), value)));
    sets.extend(context.seed.map(|seed| ("seed".into(), seed.to_string())));
    Ok(Recipe::resolve(Base::Preset("mae"), &sets)?)
}

/// Settings that go with a tokenizer.
fn of_tokenizer(Facts { sizes, mean, std, is_scaling }: Facts) -> Vec<(&'static str, String)> {
    let mut fitting =
        vec![("data.channels", sizes.channels.to_string()), ("data.mean", format!("{mean:?}")), ("data.std", format!("{std:?}"))];
    if !is_scaling {
        fitting.push(("backbone.patch", sizes.patch.to_string()));
        fitting.push(("data.image", (USUAL_SIDE / sizes.patch * sizes.patch).to_string()));
    }
    fitting
}

/// Settings that go with a teacher.
fn of_teacher(Recipe { data, backbone, .. }: &Recipe) -> Vec<(&'static str, String)> {
    vec![
        ("data.image", format!("{:?}", data.image)),
        ("data.channels", data.channels.to_string()),
        ("data.mean", format!("{:?}", data.mean)),
        ("data.std", format!("{:?}", data.std)),
        ("backbone.patch", backbone.patch.to_string()),
    ]
}

/// The patches of the first images, at least so many if there are.
fn first_patches(dataset: &Dataset, recipe: &Recipe, fit: Fit, count: usize) -> Result<Vec<f32>, Error> {
    let (shape, mut patches) = (recipe.shape(), Vec::new());
    for index in 0..dataset.items.len() {
        if patches.len() >= count * shape.patch_values() {
            break;
        }
        let image = prepare(dataset, index, recipe, fit)?;
        patches.extend(patchify(&image.values, image.height, image.width, shape.channels, shape.patch));
    }
    Ok(patches)
}

/// The recipe's path of a setting written without its table: the target's own, or what only one other table has, such as `patch`.
pub fn in_recipe(key: &str) -> String {
    let of_target = TARGETS.iter().any(|entry| entry.knobs.iter().any(|knob| knob.key == key));
    let others: Vec<_> = stages().iter().filter(|stage| stage.knobs.iter().any(|knob| knob.key == key)).collect();
    match others[..] {
        [stage] if !of_target && !key.contains('.') => stage.path(key),
        _ if key.contains('.') => key.to_owned(),
        _ => format!("target.{key}"),
    }
}
