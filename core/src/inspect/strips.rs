//! Pictures of what a network sees and draws: strips of original, masked, prediction and pasted, and attention over the image.

use super::colormap::{ColorMap, finite_range};
use super::picture::Picture;
use super::reconstruct::paste;
use crate::backbone::patch_embed::unpatchify;
use crate::error::Result;
use crate::mask::Mask;
use crate::method::Task;
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::segment::upsample_map;

/// What a picture of a network that predicts normalized patches must say.
pub const BORROWED: &str = "brightness and contrast of the prediction are borrowed from the original";
/// What a picture of a network that predicts no pixels must say.
pub const NOT_DRAWN: &str = "what the network predicts are no pixels and cannot be drawn";
/// The columns of a reconstruction; only the first two where what is predicted cannot be drawn.
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

/// Original, masked, prediction and pasted of one image; without a prediction that can be drawn, the first two. Shapes: `image` and `drawn`
/// `[H, W, C]`, normalized.
///
/// # Errors
/// If the sizes disagree.
pub fn reconstruction(task: &Task, recipe: &Recipe, image: &[f32], drawn: Option<&[f32]>, mask: &Mask) -> Result<Vec<Picture>> {
    let shape = task.shape;
    let picture = |values: &[f32]| to_picture(values, shape.height, shape.width, recipe);
    let original = picture(image)?;
    let mut masked = original.clone();
    masked.tint(&hidden_pixels(&mask.masked, shape), MASKED, 1.0);
    let mut pictures = vec![original, masked];
    if let Some(drawn) = drawn {
        pictures.extend([picture(drawn)?, picture(&paste(task, image, drawn, mask))?]);
    }
    Ok(pictures)
}

/// The prediction of one image as a preview file holds it, as an image `[H, W, C]`: normalized patches as they are predicted, everything else
/// that can be drawn as pixels.
pub fn drawn_in_preview(task: &Task, image: &[f32], stored: &[f32]) -> Option<Vec<f32>> {
    let ([rows, cols], shape) = (task.shape.grid(), task.shape);
    if task.target.borrows_brightness() {
        return task.draw(image, stored);
    }
    (stored.len() == shape.image_values()).then(|| unpatchify(stored, rows, cols, shape.channels, shape.patch))
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
