//! `maskroom segment`: attention to masks, exported and re-read.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use maskroom_core::dataset::Dataset;
use maskroom_core::error::Error;
use maskroom_core::evaluate::JaccardOptions;
use maskroom_core::evaluate::attention::attention_jaccard;
use maskroom_core::export::{EXPORTERS, Exports, ImageMasks};
use maskroom_core::inspect::look::Prepared;
use maskroom_core::segment::MassChoice;
use maskroom_core::segment::attention::{HeadChoice, MaskRule};
use maskroom_core::segment::folder::{MaskSource, for_each_mask, for_each_object, image_masks, image_objects};
use maskroom_core::segment::objects::Finder;
use serde_json::json;

use super::attend::PlaceArguments;
use super::context::Context;
use super::looking::WeightsArguments;
use super::progress::Progress;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,
    /// A folder of images, or an archive.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    place: PlaceArguments,
    /// How masks are made: from attention, or from which patches are like which.
    #[arg(long, value_enum, default_value_t = Method::Mass)]
    method: Method,
    /// The share of the attention's mass that is kept, or `best` (with `--head best`): chosen together with the head.
    #[arg(long, default_value = "0.6")]
    mass: MassChoice,
    /// The mask is what that leaves of the image: for heads that look at the background.
    #[arg(long)]
    inverted: bool,
    /// mean, a head's number, composite, or best (needs ground truth).
    #[arg(long, default_value = "mean")]
    head: HeadChoice,
    /// Drop components of fewer source pixels.
    #[arg(long, default_value_t = 0)]
    min_area: usize,
    /// Keep only the largest component.
    #[arg(long)]
    largest: bool,
    /// Export every connected component as an instance of its own.
    #[arg(long)]
    split: bool,
    /// The name of what is masked.
    #[arg(long, default_value = "object")]
    category: String,
    /// Formats, separated by commas: png, coco.
    #[arg(long, value_delimiter = ',', default_value = "png,coco")]
    format: Vec<String>,
    /// The folder to export into.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// The strongest patches that hold the share `--mass` of the attention.
    Mass,
    /// One object, grown from the patch that is like the fewest others.
    Lost,
    /// One object, the smaller part of a normalized cut.
    #[value(name = "tokencut")]
    TokenCut,
    /// Up to three objects, cut out one after the other.
    #[value(name = "maskcut")]
    MaskCut,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    if let Some(unknown) = arguments.format.iter().find(|name| !EXPORTERS.iter().any(|entry| entry.name == name.as_str())) {
        let known = EXPORTERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        bail!(Error::Usage(format!("there is no export format `{unknown}`: choose among {known}")));
    }
    let finder = match arguments.method {
        Method::Mass => None,
        Method::Lost => Some(Finder::Lost),
        Method::TokenCut => Some(Finder::TokenCut),
        Method::MaskCut => Some(Finder::MaskCut),
    };
    let looking = arguments.weights.open(context)?;
    let (network, recipe, place) = (&looking.network, &looking.recipe, arguments.place.place());
    place.check(network)?;
    let dataset = Dataset::open(&arguments.data)?;
    if let (Ok(out), Ok(data)) = (std::path::absolute(&arguments.out), std::path::absolute(&arguments.data))
        && out.starts_with(data)
    {
        tracing::warn!("{} lies inside the data: its masks will be images of the next call", arguments.out.display());
    }
    let (head, mass) = match (arguments.head, arguments.mass) {
        (HeadChoice::Best, mass) if finder.is_none() => {
            let options = JaccardOptions { mass, inverted: arguments.inverted, ..JaccardOptions::default() };
            let figures = attention_jaccard(network, recipe, &dataset, &[place], options, context.seed.unwrap_or(0))?;
            let head = figures.best_head.unwrap_or(0);
            context.say(format!("head {head} overlaps the ground truth best, with {} of its mass", figures.mass));
            (HeadChoice::One(head), figures.mass)
        }
        (head, MassChoice::Share(mass)) => (head, mass),
        (_, MassChoice::Best) => {
            bail!(Error::Usage("the best mass is chosen together with a head: add --head best, or give a share".into()))
        }
    };
    let (min_area_px, largest_only) = (arguments.min_area, arguments.largest);
    let rule = MaskRule { mass, inverted: arguments.inverted, min_area_px, largest_only };
    let formats: Vec<&str> = arguments.format.iter().map(String::as_str).collect();
    let mut exports = Exports::begin(&formats, &arguments.out, std::slice::from_ref(&arguments.category))?;
    let mut progress = Progress::new("masking", dataset.items.len() as u64);
    let all: Vec<usize> = (0..dataset.items.len()).collect();
    let (mut images_done, mut masks) = (0_usize, 0_usize);
    let mut export = |exported: ImageMasks| {
        masks += exported.instances.len();
        exports.add(&exported)?;
        images_done += 1;
        progress.set(images_done as u64, String::new());
        Ok(())
    };
    let named = |image: &Prepared| (dataset.items[image.sample].mask_name(), [image.source_height, image.source_width]);
    let unreadable = match finder {
        Some(finder) => for_each_object(network, recipe, &dataset, &all, looking.fit, (finder, place.layer), |image, masks| {
            let (name, size) = named(image);
            let masks = masks.into_iter().map(|mask| rule.cleaned(mask, size)).collect();
            export(image_objects(name, size, masks))
        })?,
        None => {
            let source = MaskSource { place, head, rule };
            for_each_mask(network, recipe, &dataset, &all, looking.fit, &source, |image, mask| {
                let (name, size) = named(image);
                export(image_masks(name, size, mask, arguments.split))
            })?
        }
    };
    drop(progress);
    unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
    if images_done == 0 {
        bail!(Error::data(&arguments.data, "none of the images can be read", "see `maskroom data inspect`"));
    }
    let reports = exports.finish()?;
    for report in &reports {
        let verdict = if report.exact { "read back and equal" } else { "READ BACK DIFFERENT" };
        context.say(format!("{:<6} {} masks in {} ({verdict})", report.format, report.masks, report.path.display()));
    }
    context.result(&json!({"images": images_done, "masks": masks, "exports": reports, "unreadable": unreadable, "out": arguments.out}));
    if reports.iter().any(|report| !report.exact) {
        bail!("an export did not read back as it was written: the disk or the folder is at fault; export again elsewhere");
    }
    Ok(ExitCode::SUCCESS)
}
