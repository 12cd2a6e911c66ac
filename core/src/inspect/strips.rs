//! Pictures of what a network sees and draws: strips of original, masked, prediction and pasted, and attention over the image.

use super::colormap::{ColorMap, finite_range};
use super::picture::Picture;
use super::reconstruct::{paste, to_image};
use crate::error::Result;
use crate::mask::Mask;
use crate::method::Task;
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::segment::upsample_map;

/// What a picture of a network that predicts normalized patches must say.
pub const BORROWED: &str = "brightness and contrast of the prediction are borrowed from the original";
/// The columns of a reconstruction.
pub const COLUMNS: [&str; 4] = ["original", "masked", "prediction", "pasted"];
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

/// Original, masked, prediction and pasted of one image. Shapes: `image [H, W, C]` normalized, `prediction [N, width]` in target space.
///
/// # Errors
/// If the sizes disagree.
pub fn reconstruction(task: &Task, recipe: &Recipe, image: &[f32], prediction: &[f32], mask: &Mask) -> Result<[Picture; 4]> {
    let shape = task.shape;
    let picture = |values: &[f32]| to_picture(values, shape.height, shape.width, recipe);
    let drawn = to_image(task, image, prediction);
    let original = picture(image)?;
    let mut masked = original.clone();
    masked.tint(&hidden_pixels(&mask.masked, shape), MASKED, 1.0);
    Ok([original, masked, picture(&drawn)?, picture(&paste(task, image, &drawn, mask))?])
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
