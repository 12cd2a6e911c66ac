//! What one step of a masked method is made from, on the host: the visible patches, the order of tokens, and the rows to be predicted.
//!
//! Attention does not care about the order of tokens, so nothing is ever shuffled back: each sample's tokens stand in the order of its
//! `ids_shuffle`, visible ones first, and take their positions with them. Dropping, restoring and picking the masked ones are then slices.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::Task;
use crate::backbone::patch_embed::patchify;
use crate::kernel::cube::Order;
use crate::mask::Mask;

/// The geometry of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// H in pixels.
    pub height: usize,
    /// W in pixels.
    pub width: usize,
    /// C
    pub channels: usize,
    /// P in pixels.
    pub patch: usize,
}

impl ImageShape {
    /// Patches down and across.
    pub fn grid(&self) -> [usize; 2] {
        [self.height / self.patch, self.width / self.patch]
    }

    /// N
    pub fn num_patches(&self) -> usize {
        self.grid()[0] * self.grid()[1]
    }

    /// P·P·C
    pub fn patch_values(&self) -> usize {
        self.patch * self.patch * self.channels
    }

    /// H·W·C
    pub fn image_values(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Where the class token in front of a sequence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// It is learned, and the sequence ends with what is visible.
    Learned,
    /// It is the first of so many rows before the visible ones, and the sequence goes on to all patches.
    Rows(usize),
}

/// One batch, ready to be uploaded. Rows of `order`, `targets` and `weights` belong together.
#[derive(Debug, Clone)]
pub struct MaskedBatch {
    /// B
    pub batch: usize,
    /// N
    pub num_patches: usize,
    /// V: the smallest count of visible patches in the batch; what a sample shows beyond it is neither encoded nor counted.
    pub visible: usize,
    /// The first predicted row: V, or 0 if visible patches are predicted too.
    pub first_predicted: usize,
    /// `[B, V, P·P·C]`
    pub visible_patches: Vec<f32>,
    /// 1 where a visible patch is replaced by the mask token before encoding (UM-MAE's secondary masking). `[B, V]`
    pub secondary: Vec<f32>,
    /// The raster index of every token, `ids_shuffle` of each sample. `[B, N]`
    pub order: Vec<i32>,
    /// `[B, N - first_predicted, row width]`
    pub targets: Vec<f32>,
    /// 1 where a row counts. `[B, N - first_predicted]`
    pub weights: Vec<f32>,
    values: usize,
    row_width: usize,
}

impl MaskedBatch {
    /// Shapes: `images [B, H, W, C]`, normalized; one mask per image.
    pub fn new(task: &Task, images: &[f32], masks: &[Mask], predict_visible: bool) -> Self {
        let shape = task.shape;
        let (num_patches, values) = (shape.num_patches(), shape.patch_values());
        let width = task.output().row_width();
        let visible = masks.iter().map(Mask::num_visible).min().unwrap_or(0);
        let first_predicted = if predict_visible { 0 } else { visible };
        let rows = num_patches - first_predicted;
        let batch = masks.len();
        let mut this = Self {
            batch,
            num_patches,
            visible,
            first_predicted,
            visible_patches: vec![0.0; batch * visible * values],
            secondary: vec![0.0; batch * visible],
            order: vec![0; batch * num_patches],
            targets: vec![0.0; batch * rows * width],
            weights: vec![0.0; batch * rows],
            values,
            row_width: width,
        };
        let samples = (images.par_chunks_exact(shape.image_values()), masks.par_iter());
        let encoded = (this.visible_patches.par_chunks_exact_mut(visible * values), this.secondary.par_chunks_exact_mut(visible));
        let predicted = (
            this.order.par_chunks_exact_mut(num_patches),
            this.targets.par_chunks_exact_mut(rows * width),
            this.weights.par_chunks_exact_mut(rows),
        );
        (samples, encoded, predicted).into_par_iter().for_each(
            |((image, mask), (visible_patches, secondary), (order, targets, weights))| {
                let patches = patchify(image, shape.height, shape.width, shape.channels, shape.patch);
                let all_targets = task.target.rows(&task.image(image, &patches));
                for (place, &id) in mask.ids_shuffle.iter().enumerate() {
                    order[place] = id as i32;
                    if place < visible {
                        visible_patches[place * values..][..values].copy_from_slice(&patches[id * values..][..values]);
                        secondary[place] = f32::from(u8::from(mask.secondary[id]));
                    }
                    if let Some(row) = place.checked_sub(first_predicted) {
                        targets[row * width..][..width].copy_from_slice(&all_targets[id * width..][..width]);
                        weights[row] = f32::from(u8::from(predict_visible || mask.masked[id]));
                    }
                }
            },
        );
        this
    }

    /// `[B, V, P·P·C]`
    pub fn visible_patches(&self, device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(self.visible_patches.clone(), [self.batch, self.visible, self.values]), device)
    }

    /// `[B, V, 1]`, or nothing if no visible patch is hidden by secondary masking.
    pub fn secondary(&self, device: &Device) -> Option<Tensor<3>> {
        let any = self.secondary.iter().any(|&hidden| hidden > 0.0);
        any.then(|| Tensor::from_data(TensorData::new(self.secondary.clone(), [self.batch, self.visible, 1]), device))
    }

    /// The raster indices of the tokens `from..to` of every sample, flat: `[B·(to - from)]`.
    pub fn places(&self, from: usize, to: usize, device: &Device) -> Tensor<1, Int> {
        let places: Vec<i32> = self.order.chunks_exact(self.num_patches).flat_map(|order| order[from..to].iter().copied()).collect();
        let count = places.len();
        Tensor::from_data(TensorData::new(places, [count]), device)
    }

    /// The class token and the first tokens of every sample, with their positions: what the encoder is shown, `visible` of them, or what
    /// the decoder is shown, all of them, the missing ones learned.
    pub fn tokens(&self, shown: usize, lead: Lead) -> Order {
        let (first, prefix, made) = match lead {
            Lead::Learned => (-1, 0, shown),
            Lead::Rows(prefix) => (0, prefix, self.num_patches),
        };
        let source = |token: usize| if token < shown { (prefix + token) as i32 } else { -1 };
        let places = |order: &[i32]| [0].into_iter().chain(order[..made].iter().map(|place| place + 1)).collect::<Vec<_>>();
        Order {
            sources: [first].into_iter().chain((0..made).map(source)).collect(),
            places: self.order.chunks_exact(self.num_patches).flat_map(places).collect(),
        }
    }

    /// `[B, N - first_predicted, row width]`
    pub fn targets(&self, device: &Device) -> Tensor<3> {
        let shape = [self.batch, self.num_patches - self.first_predicted, self.row_width];
        Tensor::from_data(TensorData::new(self.targets.clone(), shape), device)
    }

    /// `[B, N - first_predicted]`
    pub fn weights(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.weights.clone(), [self.batch, self.num_patches - self.first_predicted]), device)
    }

    /// Brings predicted rows back to raster order. Shapes: `rows [B, N - first_predicted, width]` to `[B, N, width]`; patches that were
    /// not predicted are zero.
    pub fn to_raster(&self, rows: &[f32]) -> Vec<f32> {
        let predicted = self.num_patches - self.first_predicted;
        let width = rows.len() / (self.batch * predicted).max(1);
        let mut raster = vec![0.0; self.batch * self.num_patches * width];
        for sample in 0..self.batch {
            for row in 0..predicted {
                let id = self.order[sample * self.num_patches + self.first_predicted + row] as usize;
                let to = &mut raster[(sample * self.num_patches + id) * width..][..width];
                to.copy_from_slice(&rows[(sample * predicted + row) * width..][..width]);
            }
        }
        raster
    }
}
