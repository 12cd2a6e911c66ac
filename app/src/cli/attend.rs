//! `maskroom attend`: what the network attends to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use maskroom_core::error::Error;
use maskroom_core::evaluate::attention::Where;
use maskroom_core::inspect::animation::write_gif;
use maskroom_core::inspect::caption::labeled_strip;
use maskroom_core::inspect::colormap::{ColorMap, legend};
use maskroom_core::inspect::encoder::Query;
use maskroom_core::inspect::look::for_each_batch;
use maskroom_core::inspect::picture::strip;
use maskroom_core::inspect::strips::{heads_in_color, heat_map, to_picture};
use maskroom_core::weights::safetensors_file::{self, HostTensor};
use serde_json::json;

use super::context::Context;
use super::looking::{ImageArguments, Outputs, WeightsArguments};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    place: PlaceArguments,
    /// Write every token's attention, `[B, heads, tokens, tokens]`, instead of the query's over patches.
    #[arg(long)]
    full: bool,
    /// A .safetensors file, a folder for heat maps, or a .gif: the images as frames, each head's 60 % in a color that it keeps.
    #[arg(long)]
    out: PathBuf,
    /// Frames per second of a .gif.
    #[arg(long, default_value_t = 8.0)]
    fps: f64,
}

/// Frames are enlarged to about this many pixels, without smoothing.
const FRAME_PX: usize = 256;
/// Between the image and its heads in a frame.
const GAP: [u8; 3] = [24, 24, 24];

/// What the colors of a heat map mean.
const SCALE: &str = "attention from little (dark) to much (bright), each map on its own scale";

/// Which attention.
#[derive(Args)]
pub struct PlaceArguments {
    /// The block; negative counts from the end.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    layer: i64,
    /// Whose attention: `cls`, or a patch's row and column as `R,C`.
    #[arg(long, default_value = "cls", value_parser = query)]
    query: Query,
    /// Attention rollout over all blocks instead of one block's heads.
    #[arg(long)]
    rollout: bool,
}

impl PlaceArguments {
    /// The library's word for it.
    pub fn place(&self) -> Where {
        Where { layer: self.layer, query: self.query, rollout: self.rollout }
    }
}

fn query(text: &str) -> Result<Query, String> {
    if text == "cls" {
        return Ok(Query::Cls);
    }
    let patch = text.split_once(',').and_then(|(row, col)| Some(Query::Patch(row.trim().parse().ok()?, col.trim().parse().ok()?)));
    patch.ok_or_else(|| format!("`{text}` is no query: use cls, or a patch's row and column such as 3,5"))
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let looking = arguments.weights.open(context)?;
    let (network, recipe, place) = (&looking.network, &looking.recipe, arguments.place.place());
    place.check(network)?;
    let dataset = arguments.images.open()?;
    let ends_with = |wanted: &str| arguments.out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
    let (to_file, to_frames) = (ends_with("safetensors"), ends_with("gif"));
    if to_frames && !(arguments.fps > 0.0 && arguments.fps <= 100.0) {
        bail!(Error::Usage(format!("{} frames per second cannot be shown: use a number above 0 and up to 100", arguments.fps)));
    }
    let mut frames = Vec::new();
    if !to_file && !to_frames {
        std::fs::create_dir_all(&arguments.out).map_err(Error::io("create", &arguments.out))?;
    }
    let outputs = Outputs::below(&arguments.out, &dataset);
    let (mut values, mut shape, mut shown, mut grids) = (Vec::new(), None, Vec::new(), Vec::new());
    let all: Vec<usize> = (0..dataset.items.len()).collect();
    let unreadable = for_each_batch(&dataset, &all, recipe, looking.fit, |images, prepared| {
        let maps = place.maps(network, images)?;
        let patches = maps.grid[0] * maps.grid[1];
        for (index, image) in prepared.iter().enumerate() {
            let heads = (0..maps.heads).map(|head| maps.query(index, head, place.query)).collect::<Result<Vec<_>, Error>>()?;
            shown.push(dataset.items[image.sample].name.clone());
            grids.push(maps.grid);
            if to_frames {
                let picture = to_picture(&image.values, image.height, image.width, recipe)?;
                let factor = (FRAME_PX / image.height.max(image.width).max(1)).max(1);
                let maps_of: Vec<&[f32]> = heads.iter().map(|map| &**map).collect();
                let colored = heads_in_color(picture.clone(), &maps_of, maps.grid);
                frames.push(strip(&[picture.enlarged(factor), colored.enlarged(factor)], 4, GAP));
                continue;
            }
            if !to_file {
                let picture = to_picture(&image.values, image.height, image.width, recipe)?;
                let mut columns = vec![("image".to_owned(), picture)];
                let head =
                    |(index, map): (usize, &Cow<'_, [f32]>)| (format!("head {index}"), heat_map(map, maps.grid, image.height, image.width));
                columns.extend(heads.iter().enumerate().map(head));
                columns.push((String::new(), legend(ColorMap::Inferno, image.height, (image.height / 16).max(4))));
                outputs.save(image.sample, &labeled_strip(&columns, SCALE))?;
                continue;
            }
            let this = if arguments.full { vec![maps.heads, maps.tokens, maps.tokens] } else { vec![maps.heads, patches] };
            if *shape.get_or_insert_with(|| this.clone()) != this {
                return Err(Error::Usage("the images have different sizes: use --fit, or give them one by one".into()));
            }
            if arguments.full {
                let size = maps.heads * maps.tokens * maps.tokens;
                values.extend_from_slice(&maps.values[index * size..(index + 1) * size]);
            } else {
                heads.iter().for_each(|map| values.extend_from_slice(map));
            }
        }
        Ok(())
    })?;
    unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
    if shown.is_empty() {
        bail!(Error::data(&dataset.root, "none of the images can be read", "see the reasons above"));
    }
    let shape = shape.map(|shape| [vec![shown.len()], shape].concat());
    if to_frames {
        write_gif(&frames, arguments.fps, &arguments.out)?;
        context.say(format!("{} frames in {}: the image, then each head's 60 % in its color", frames.len(), arguments.out.display()));
    } else if let Some(shape) = &shape {
        let tensors = BTreeMap::from([("attention".to_owned(), HostTensor::new(shape.clone(), values))]);
        let metadata =
            BTreeMap::from([("names".to_owned(), serde_json::to_string(&shown)?), ("grids".to_owned(), serde_json::to_string(&grids)?)]);
        safetensors_file::write(&arguments.out, &tensors, &metadata)?;
        context.say(format!("attention {shape:?} in {}", arguments.out.display()));
    } else {
        context.say(format!("{} heat maps in {}: the image, then one map per head, dark to bright", shown.len(), arguments.out.display()));
    }
    Ok(context.result(&json!({"out": arguments.out, "shape": shape, "names": shown, "grids": grids, "unreadable": unreadable})))
}
