//! `maskroom reconstruct`: draws what was masked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use maskroom_core::error::Error;
use maskroom_core::inspect::caption::labeled_strip;
use maskroom_core::inspect::look::for_each_batch;
use maskroom_core::inspect::reconstruct::reconstruct;
use maskroom_core::inspect::strips::{Drawn, reconstruction};
use maskroom_core::mask::{Grid, Mask};
use maskroom_core::method::Task;
use maskroom_core::npy;
use maskroom_core::train::validate::fixed_mask;
use maskroom_core::weights::safetensors_file::{self, HostTensor};
use serde_json::json;

use super::context::Context;
use super::looking::{Outputs, WeightsArguments, image_files};

/// What is said in the place of a loss where there is none.
const NO_TRUTH: &str = "no loss, since these weights come without what their target is made by (a tokenizer)";

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    weights: WeightsArguments,
    /// Image files or globs.
    #[arg(long, num_args = 1.., required = true)]
    images: Vec<PathBuf>,
    /// Masks from `maskroom mask`: one per image, or one for all. Without it, the recipe's own, fixed by the seed.
    #[arg(long)]
    mask: Option<PathBuf>,
    /// The folder for the strips: original, masked or what the network is shown, prediction, and pasted or, where no pixels are
    /// predicted, target.
    #[arg(long)]
    out: PathBuf,
    /// Also write `prediction [B, N, width]` in the network's target space and `mask [B, N]` to this file.
    #[arg(long)]
    raw: Option<PathBuf>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let looking = arguments.weights.open(context)?;
    let (network, recipe) = (&looking.network, &looking.recipe);
    if let Some(class) = looking.encoder_alone {
        bail!(Error::Usage(format!(
            "{} is a {class}, an encoder alone: nothing in it predicts what is masked; use weights of a model that was trained to, \
             such as ViTMAEForPreTraining, or look into these by `maskroom attend` and `maskroom embed`",
            arguments.weights.weights.display()
        )));
    }
    if recipe.compares_views() {
        bail!(Error::Usage(format!(
            "{} compares views of images ({}): nothing in it predicts what is masked; look into it by `maskroom attend`, `maskroom segment` \
             and `maskroom embed`",
            arguments.weights.weights.display(),
            recipe.method
        )));
    }
    let dataset = image_files(&arguments.images)?;
    let given = arguments.mask.as_deref().map(|path| read_masks(path, dataset.items.len())).transpose()?;
    let (strategy, seed) = (recipe.mask()?, context.seed.unwrap_or(recipe.seed));
    std::fs::create_dir_all(&arguments.out).map_err(Error::io("create", &arguments.out))?;
    let outputs = Outputs::below(&arguments.out, &dataset);
    let (mut loss, mut count) = (0.0, 0.0);
    let (mut predictions, mut masks_written, mut files) = (Vec::new(), Vec::new(), Vec::new());
    let (mut borrowed, mut remark, mut headings) = (false, "", Vec::new());
    let (mut accuracy, mut knows_target) = (None, true);
    let all: Vec<usize> = (0..dataset.items.len()).collect();
    let unreadable = for_each_batch(&dataset, &all, recipe, looking.fit, |images, prepared| {
        let mut task = Task::for_size(recipe, images.height, images.width)?.following(&looking.network);
        // Weights from elsewhere may come without what their target was made by, such as BEiT's tokenizer: they predict all the same.
        if !looking.measured.is_empty() {
            task = task.with_measured(&looking.measured, looking.network.device())?;
        }
        knows_target = task.target.is_known();
        let [rows, cols] = task.shape.grid();
        let grid = Grid::still(rows, cols);
        let masks = prepared
            .iter()
            .map(|image| match &given {
                Some(given) => given.of(image.sample, grid),
                None => Ok(fixed_mask(strategy.as_ref(), grid, seed, image.sample)),
            })
            .collect::<Result<Vec<_>, Error>>()?;
        // As they are: what of them is shown to the network is the task's own business.
        let values: Vec<f32> = prepared.iter().flat_map(|image| image.values.iter().copied()).collect();
        let drawn = reconstruct(&network.for_image([images.height, images.width])?, &task, &values, &masks)?;
        let counted = |mask: &Mask| if task.objective.covers_visible() { mask.masked.len() } else { mask.num_masked() };
        let counted = masks.iter().map(counted).sum::<usize>() as f64;
        loss += drawn.loss * counted;
        count += counted;
        accuracy = drawn.accuracy.map(|share| accuracy.unwrap_or(0.0) + share * counted);
        borrowed = task.target.borrows_brightness();
        let [width, targets] = [&drawn.prediction, &drawn.targets].map(|rows| rows.len() / prepared.len());
        let rows = drawn.prediction.chunks_exact(width).zip(drawn.targets.chunks_exact(targets));
        for ((image, mask), (prediction, targets)) in prepared.iter().zip(&masks).zip(rows) {
            let seen = Drawn::new(&task, &image.values, mask, prediction, targets);
            remark = seen.remark(&task);
            let columns = reconstruction(&task, recipe, &image.values, &seen, mask)?;
            headings = columns.iter().map(|(heading, _)| *heading).collect();
            files.push(outputs.save(image.sample, &labeled_strip(&columns, remark))?);
            if arguments.raw.is_some() {
                predictions.push((grid, HostTensor::new([grid.len(), prediction.len() / grid.len()], prediction.to_vec())));
                masks_written.push(mask.masked.iter().map(|&masked| f32::from(u8::from(masked))).collect::<Vec<_>>());
            }
        }
        Ok(())
    })?;
    if let Some(raw) = &arguments.raw {
        write_raw(raw, &predictions, &masks_written)?;
    }
    unreadable.iter().for_each(|file| tracing::warn!("{} is left out: {}", file.path, file.reason));
    if files.is_empty() {
        bail!(Error::data(&arguments.out, "none of the images can be read", "see the reasons above"));
    }
    let count = f64::max(count, 1.0);
    let loss = knows_target.then_some(loss / count);
    let accuracy = accuracy.filter(|_| knows_target).map(|sum| sum / count);
    let judged = loss.map_or_else(|| NO_TRUTH.to_owned(), |loss| format!("loss {loss:.6}"));
    context.say(format!("{} strips in {}: {}; {judged}", files.len(), arguments.out.display(), headings.join(", ")));
    if !remark.is_empty() {
        context.say(remark);
    }
    Ok(context.result(&json!({
        "out": arguments.out,
        "files": files,
        "loss": loss,
        "accuracy": accuracy,
        "brightness_borrowed": borrowed,
        "step": looking.step,
        "unreadable": unreadable,
    })))
}

fn write_raw(path: &Path, predictions: &[(Grid, HostTensor)], masks: &[Vec<f32>]) -> Result<()> {
    let Some((grid, first)) = predictions.first() else { return Ok(()) };
    if predictions.iter().any(|(other, _)| other != grid) {
        bail!(Error::Usage("--raw needs images of one size: use --fit, or give them one by one".into()));
    }
    let (images, patches, width) = (predictions.len(), first.shape[0], first.shape[1]);
    let values = predictions.iter().flat_map(|(_, tensor)| tensor.values.iter().copied()).collect();
    let tensors = BTreeMap::from([
        ("prediction".to_owned(), HostTensor::new([images, patches, width], values)),
        ("mask".to_owned(), HostTensor::new([images, patches], masks.concat())),
    ]);
    Ok(safetensors_file::write(path, &tensors, &BTreeMap::new())?)
}

/// Masks read from a file.
struct GivenMasks {
    rows: usize,
    cols: usize,
    values: Vec<bool>,
}

fn read_masks(path: &Path, images: usize) -> Result<GivenMasks> {
    let (shape, values) = npy::read_bool(path)?;
    let (count, rows, cols) = match shape[..] {
        [rows, cols] => (1, rows, cols),
        [count, rows, cols] => (count, rows, cols),
        _ => bail!(Error::Usage(format!("{} has shape {shape:?}: masks of still images are [count, H, W]", path.display()))),
    };
    if count != 1 && count != images {
        bail!(Error::Usage(format!("{} holds {count} masks for {images} images: give one per image, or one for all", path.display())));
    }
    Ok(GivenMasks { rows, cols, values })
}

impl GivenMasks {
    fn of(&self, sample: usize, grid: Grid) -> Result<Mask, Error> {
        if (self.rows, self.cols) != (grid.rows, grid.cols) {
            return Err(Error::Usage(format!(
                "the masks are for a grid of {}x{} patches and the image has {grid}: make masks with --grid {grid}, or use --fit",
                self.rows, self.cols
            )));
        }
        let size = grid.len();
        let start = if self.values.len() == size { 0 } else { sample * size };
        let masked = self.values[start..start + size].to_vec();
        let hidden = masked.iter().filter(|&&masked| masked).count();
        if hidden == 0 || hidden == size {
            return Err(Error::Usage(format!(
                "mask {sample} hides {hidden} of {size} patches: something must be visible and something masked"
            )));
        }
        Ok(Mask::in_raster_order(grid, masked))
    }
}
