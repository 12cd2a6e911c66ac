//! What a trained masked autoencoder draws in the places it was not shown.

use crate::backbone::patch_embed::{patchify, unpatchify};
use crate::error::Result;
use crate::mask::Mask;
use crate::method::{Network, Task};
use crate::target::pixels::patch_statistics;
use crate::weights::model_file::to_host;

/// Reconstructions of a batch.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// The network's output in its target space, all patches in raster order: `[B, N, width]`. Rows of visible patches carry no loss and
    /// mean little.
    pub prediction: Vec<f32>,
    /// Mean squared error per masked patch in target space; 0 for visible ones: `[B, N]`.
    pub patch_error: Vec<f32>,
    /// The objective, over the whole batch, in target space.
    pub loss: f64,
}

/// Runs the network on normalized images `[B, H, W, C]` with the given masks.
///
/// # Errors
/// If the device fails.
pub fn reconstruct(network: &Network, task: &Task, images: &[f32], masks: &[Mask]) -> Result<Reconstruction> {
    let batch = task.batch_of_everything(images, masks);
    let prediction = batch.to_raster(&to_host(network.predict(&batch, None))?);
    let targets = batch.to_raster(&batch.targets);
    let width = task.target.width(task.shape.patch_values());
    let masked: Vec<bool> = masks.iter().flat_map(|mask| mask.masked.iter().copied()).collect();
    let mut patch_error = vec![0.0; masked.len()];
    let (mut sum, mut count) = (0.0, 0_usize);
    for (row, error) in patch_error.iter_mut().enumerate() {
        if masked[row] || task.objective.covers_visible() {
            let (have, want) = (&prediction[row * width..][..width], &targets[row * width..][..width]);
            let squares: f64 = have.iter().zip(want).map(|(&have, &want)| f64::from(have - want).powi(2)).sum();
            *error = (squares / width as f64) as f32;
            sum += squares / width as f64;
            count += 1;
        }
    }
    Ok(Reconstruction { prediction, patch_error, loss: sum / count.max(1) as f64 })
}

/// A prediction as a normalized image `[H, W, C]`. With per-patch normalization, each patch gets the *original* patch's mean and deviation
/// back: brightness and contrast are borrowed, and a picture of it must say so.
pub fn to_image(task: &Task, image: &[f32], prediction: &[f32]) -> Vec<f32> {
    let shape = task.shape;
    let values = shape.patch_values();
    let mut patches = prediction.to_vec();
    if task.target.borrows_brightness() {
        let originals = patchify(image, shape.height, shape.width, shape.channels, shape.patch);
        for (patch, original) in patches.chunks_exact_mut(values).zip(originals.chunks_exact(values)) {
            let (mean, deviation) = patch_statistics(original);
            patch.iter_mut().for_each(|value| *value = *value * deviation + mean);
        }
    }
    let [rows, cols] = shape.grid();
    unpatchify(&patches, rows, cols, shape.channels, shape.patch)
}

/// The visible patches of `image` and, in masked places, those of `other`. Shapes: `[H, W, C]`.
pub fn paste(task: &Task, image: &[f32], other: &[f32], mask: &Mask) -> Vec<f32> {
    let (shape, cols) = (task.shape, task.shape.grid()[1]);
    let mut pasted = image.to_vec();
    for (index, values) in pasted.chunks_exact_mut(shape.channels).enumerate() {
        let (y, x) = (index / shape.width, index % shape.width);
        if mask.masked.get(y / shape.patch * cols + x / shape.patch) == Some(&true) {
            values.copy_from_slice(&other[index * shape.channels..][..shape.channels]);
        }
    }
    pasted
}
