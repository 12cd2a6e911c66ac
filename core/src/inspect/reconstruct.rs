//! What a trained masked autoencoder draws in the places it was not shown.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::mask::Mask;
use crate::method::masked_batch::Feed;
use crate::method::{Network, Task};
use crate::weights::model_file::to_host;

/// Reconstructions of a batch.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// The network's output in its target space, all patches in raster order: `[B, N, prediction width]`. Rows of visible patches carry
    /// no loss and mean little.
    pub prediction: Vec<f32>,
    /// What was asked for, all patches in raster order: `[B, N, row width]`.
    pub targets: Vec<f32>,
    /// The objective's error per masked patch in target space; 0 for visible ones: `[B, N]`.
    pub patch_error: Vec<f32>,
    /// The objective, over the whole batch, in target space.
    pub loss: f64,
    /// Share of the patches that are predicted right, where there is right and wrong.
    pub accuracy: Option<f64>,
}

/// Runs the network on normalized images `[B, H, W, C]` with the given masks. Each image is drawn from all that its own mask shows, whatever
/// masks others have.
///
/// # Errors
/// If the masks are to be packed and cannot be, or the device fails.
pub fn reconstruct(network: &Network, task: &Task, images: &[f32], masks: &[Mask]) -> Result<Reconstruction> {
    let (values, output) = (task.shape.image_values(), task.output());
    let widths = [output.prediction_width(), output.row_width()].map(|width| task.shape.num_patches() * width);
    let [mut prediction, mut targets] = widths.map(|width| vec![0.0; masks.len() * width]);
    for group in alike(task, masks) {
        let images: Vec<f32> = group.iter().flat_map(|&sample| &images[sample * values..][..values]).copied().collect();
        let masks: Vec<Mask> = group.iter().map(|&sample| masks[sample].clone()).collect();
        let drawn = predicted(network, task, &images, &masks)?;
        for ((all, drawn), width) in [&mut prediction, &mut targets].into_iter().zip(drawn).zip(widths) {
            let samples = group.iter().zip(drawn.chunks_exact(width));
            samples.for_each(|(sample, drawn)| all[sample * width..][..width].copy_from_slice(drawn));
        }
    }
    let (row, width) = (output.row_width(), output.prediction_width());
    let masked: Vec<bool> = masks.iter().flat_map(|mask| mask.masked.iter().copied()).collect();
    let mut patch_error = vec![0.0; masked.len()];
    let (mut sum, mut count, mut right) = (0.0, 0_usize, None);
    for (patch, stored) in patch_error.iter_mut().enumerate() {
        if masked[patch] || task.objective.covers_visible() {
            let (have, want) = (&prediction[patch * width..][..width], &targets[patch * row..][..row]);
            let error = task.objective.error(have, want);
            *stored = error as f32;
            sum += error;
            count += 1;
            if let Some(is_right) = task.objective.is_right(have, want) {
                *right.get_or_insert(0_usize) += usize::from(is_right);
            }
        }
    }
    let mean = |sum: f64| sum / count.max(1) as f64;
    Ok(Reconstruction { prediction, targets, patch_error, loss: mean(sum), accuracy: right.map(|right| mean(right as f64)) })
}

/// The images that one batch may hold without any of them being shown less than alone: where only what is visible is encoded, as much of
/// each as of the one that shows least.
fn alike(task: &Task, masks: &[Mask]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<(usize, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for (sample, mask) in masks.iter().enumerate() {
        let shown = match task.feed {
            Feed::Visible => (mask.num_visible(), mask.blocks.iter().map(Vec::len).collect()),
            Feed::Everything { .. } | Feed::Packed { .. } => Default::default(),
        };
        groups.entry(shown).or_default().push(sample);
    }
    groups.into_values().collect()
}

/// What the network draws and what was asked for, of masks that are [`alike`].
fn predicted(network: &Network, task: &Task, images: &[f32], masks: &[Mask]) -> Result<[Vec<f32>; 2]> {
    let batch = task.batch_of_everything(images, masks)?;
    let prediction = batch.to_raster(&to_host(network.predict(&batch, None)?)?);
    let targets = match batch.blocks {
        // What lies outside of the blocks is not in the batch, and still worth looking at.
        Some(_) => images.chunks_exact(task.shape.image_values()).flat_map(|image| task.targets(image)).collect(),
        None => batch.to_raster(&to_host(batch.targets(network.device()))?),
    };
    Ok([prediction, targets])
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
