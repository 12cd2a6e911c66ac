//! Pictures of what a network sees and draws: strips of original, masked or shown, prediction and pasted, and attention over the image.

use std::borrow::Cow;

use super::colormap::{ColorMap, finite_range, head_color};
use super::picture::Picture;
use super::reconstruct::paste;
use crate::backbone::patch_embed::unpatchify;
use crate::error::{Error, Result};
use crate::mask::{Grid, Mask};
use crate::method::Task;
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::segment::{DEFAULT_MASS, mass_mask, upsample_map, upsample_mask};
use crate::target::{Depiction, Output};

/// What a picture of a network that predicts normalized patches must say.
pub const BORROWED: &str = "brightness and contrast of the prediction are borrowed from the original";
/// What a picture of a network that predicts no pixels must say where nothing else is known of them.
pub const NOT_DRAWN: &str = "what the network predicts are no pixels and cannot be drawn";
/// Gray of masked patches, as papers print them.
pub(super) const MASKED: [u8; 3] = [127, 127, 127];

/// A normalized image `[H, W, C]` as 8-bit RGB: one or two channels show the first as gray, more show the first three.
///
/// # Errors
/// If the number of values is not that of the size.
pub fn to_picture(values: &[f32], height: usize, width: usize, recipe: &Recipe) -> Result<Picture> {
    from_normalized(values, [height, width, recipe.data.channels], &recipe.data.mean, &recipe.data.std)
}

/// The same for `[H, W, C]` values with the channels' statistics.
pub(super) fn from_normalized(values: &[f32], [height, width, channels]: [usize; 3], mean: &[f64], std: &[f64]) -> Result<Picture> {
    let byte = |value: f32, channel: usize| ((f64::from(value) * std[channel] + mean[channel]).clamp(0.0, 1.0) * 255.0).round() as u8;
    let shown = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    let rgb = values.chunks_exact(channels).flat_map(|pixel| shown.map(|channel| byte(pixel[channel], channel))).collect();
    Picture::from_rgb(height, width, rgb)
}

/// What can be seen of the prediction for one image.
pub enum Drawn {
    /// A normalized image `[H, W, C]`.
    Pixels(Vec<f32>),
    /// Pictures of other things than pixels.
    Depicted(Depiction),
    /// Nothing.
    Nothing,
}

impl Drawn {
    /// Shapes: `image [H, W, C]`, normalized, `predictions [N, prediction width]`, and what was asked for, `targets [N, row width]`.
    pub fn new(task: &Task, image: &[f32], mask: &Mask, predictions: &[f32], targets: &[f32]) -> Self {
        match task.draw(image, &with_known_classes(task, mask, predictions, targets)) {
            Some(pixels) => Self::Pixels(pixels),
            None => task.target.depict(task.shape, predictions, targets).map_or(Self::Nothing, Self::Depicted),
        }
    }

    /// The same of a prediction as a preview file holds it: normalized patches as they are predicted, other pixels as pixels, and everything
    /// else beside its targets.
    pub fn in_preview(task: &Task, image: &[f32], stored: &[f32], targets: Option<&[f32]>) -> Self {
        let ([rows, cols], shape) = (task.shape.grid(), task.shape);
        match targets {
            Some(targets) => task.target.depict(shape, stored, targets).map_or(Self::Nothing, Self::Depicted),
            None if task.target.borrows_brightness() => task.draw(image, stored).map_or(Self::Nothing, Self::Pixels),
            None if stored.len() == shape.image_values() => Self::Pixels(unpatchify(stored, rows, cols, shape.channels, shape.patch)),
            None => Self::Nothing,
        }
    }

    /// What must be known to read the pictures, as a clause; empty where they explain themselves.
    pub fn remark(&self, task: &Task) -> &'static str {
        match self {
            Self::Pixels(_) if task.target.borrows_brightness() => BORROWED,
            Self::Pixels(_) => "",
            Self::Depicted(depiction) => depiction.note,
            Self::Nothing => task.target.why_unseen().unwrap_or(NOT_DRAWN),
        }
    }
}

/// Predictions of classes, where patches that nothing is asked of have the class that they are known to be: what is drawn of a patch may
/// depend on its neighbors' classes. Other predictions are as they are. Shapes: `predictions [N, prediction width]`, `targets [N, row width]`.
pub fn with_known_classes<'a>(task: &Task, mask: &Mask, predictions: &'a [f32], targets: &[f32]) -> Cow<'a, [f32]> {
    let Output::Classes { count } = task.output() else { return Cow::Borrowed(predictions) };
    if task.objective.covers_visible() || !task.target.is_known() {
        return Cow::Borrowed(predictions);
    }
    let mut known = predictions.to_vec();
    for ((scores, &class), _) in known.chunks_exact_mut(count).zip(targets).zip(&mask.masked).filter(|(_, masked)| !**masked) {
        scores.iter_mut().enumerate().for_each(|(code, score)| *score = f32::from(u8::from(code == class as usize)));
    }
    Cow::Owned(known)
}

/// Original, masked, prediction and pasted of one image, each with its heading; beside a prediction that is no pixels stands what was asked
/// for, and without one that can be seen there are the first two. Where the network is not shown all of the image, what it is shown is the
/// second, and where nothing is hidden, nothing is pasted. All have one size. Shapes: `image [H, W, C]`, normalized.
///
/// # Errors
/// If the sizes disagree.
pub fn reconstruction(task: &Task, recipe: &Recipe, image: &[f32], drawn: &Drawn, mask: &Mask) -> Result<Vec<(&'static str, Picture)>> {
    let shape = task.shape;
    let picture = |values: &[f32]| to_picture(values, shape.height, shape.width, recipe);
    let original = picture(image)?;
    let (given, mut masked) = match task.shown(image) {
        Some(shown) => ("shown", picture(&shown)?),
        None => ("masked", original.clone()),
    };
    masked.tint(&hidden_pixels(&mask.unseen(), shape), MASKED, 1.0);
    Ok(match drawn {
        Drawn::Nothing => vec![("original", original), (given, masked)],
        Drawn::Pixels(pixels) if mask.num_masked() == 0 => vec![("original", original), (given, masked), ("prediction", picture(pixels)?)],
        Drawn::Pixels(pixels) => {
            let mut pasted = picture(&paste(task, image, pixels, mask))?;
            pasted.tint(&hidden_pixels(&mask.withheld(), shape), MASKED, 1.0);
            vec![("original", original), (given, masked), ("prediction", picture(pixels)?), ("pasted", pasted)]
        }
        Drawn::Depicted(Depiction { prediction, target, .. }) => {
            let [original, masked] = [original, masked].map(|picture| picture.enlarged(prediction.width / picture.width.max(1)));
            vec![("original", original), (given, masked), ("prediction", prediction.clone()), ("target", target.clone())]
        }
    })
}

/// What is asked for in one image, `targets [N, row width]`, as a picture; with it, what must be known to read that.
///
/// # Errors
/// If it cannot be seen, or the sizes disagree.
pub fn target_picture(task: &Task, recipe: &Recipe, image: &[f32], targets: &[f32]) -> Result<(Picture, &'static str)> {
    // A prediction that is right.
    let predictions = match task.output() {
        Output::Values { .. } => targets.to_vec(),
        Output::Distributions { .. } => targets.iter().map(|share| share.ln()).collect(),
        Output::Classes { count } => {
            targets.iter().flat_map(|&class| (0..count).map(move |code| f32::from(u8::from(code == class as usize)))).collect()
        }
    };
    let grid = task.shape.grid();
    let everything = Mask::in_raster_order(Grid::still(grid[0], grid[1]), vec![true; task.shape.num_patches()]);
    let drawn = Drawn::new(task, image, &everything, &predictions, targets);
    let remark = drawn.remark(task);
    match drawn {
        Drawn::Pixels(pixels) => Ok((to_picture(&pixels, task.shape.height, task.shape.width, recipe)?, remark)),
        Drawn::Depicted(depiction) => Ok((depiction.target, remark)),
        Drawn::Nothing => {
            let why = task.target.why_unseen().map_or_else(String::new, |why| format!(" ({why})"));
            Err(Error::Usage(format!("this target cannot be drawn{why}: give --out another ending than .png")))
        }
    }
}

/// A mask `[N]` at the pixels `[H, W]`.
pub(super) fn hidden_pixels(masked: &[bool], shape: ImageShape) -> Vec<bool> {
    let (width, patch, cols) = (shape.width, shape.patch, shape.grid()[1]);
    (0..shape.height * width).map(|index| masked.get(index / width / patch * cols + index % width / patch) == Some(&true)).collect()
}

/// A map `[N]` over the grid as an opaque heat map of the given size.
pub fn heat_map(map: &[f32], grid: [usize; 2], height: usize, width: usize) -> Picture {
    let values = upsample_map(map, grid, [height, width]);
    Picture::from_map(&values, height, width, ColorMap::Inferno, finite_range(&values))
}

/// The image with the mask of every head, where 60 % of its attention is, in a color that the head always has; where masks overlap, the head
/// that looks there most. Each of `maps` is `[N]` over the grid.
pub fn heads_in_color(mut image: Picture, maps: &[&[f32]], grid: [usize; 2]) -> Picture {
    /// How strongly a head's color covers the image.
    const COVER: f32 = 0.55;
    let share = |map: &[f32]| {
        let total = map.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        map.iter().map(|value| value / total).collect::<Vec<f32>>()
    };
    let (masks, shares): (Vec<_>, Vec<_>) = maps.iter().map(|map| (mass_mask(map, DEFAULT_MASS), share(map))).unzip();
    let strongest =
        |patch: usize| (0..maps.len()).filter(|&head| masks[head][patch]).max_by(|&a, &b| shares[a][patch].total_cmp(&shares[b][patch]));
    let owners: Vec<Option<usize>> = (0..grid[0] * grid[1]).map(strongest).collect();
    for head in 0..maps.len() {
        let own: Vec<bool> = owners.iter().map(|&owner| owner == Some(head)).collect();
        image.tint(&upsample_mask(&own, grid, [image.height, image.width]), head_color(head), COVER);
    }
    image
}
