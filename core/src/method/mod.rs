//! One paper, one file: how data, mask, network, target and objective are wired together.

pub mod mae;
pub mod masked_batch;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::backbone::drop_path::DropPath;
use crate::backbone::patch_embed::{patchify, unpatchify};
use crate::backbone::vit::{Vit, VitConfig};
use crate::error::{Error, Result};
use crate::mask::Mask;
use crate::objective::Objective;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::target::{Output, Target, TargetImage};
use crate::weights::parameters::Parameters;
use crate::weights::safetensors_file::TensorMap;
use mae::{Mae, MaeConfig};
use masked_batch::{ImageShape, MaskedBatch};

/// A masked method ready to train or to look at: network, target and objective of one recipe.
#[derive(Debug, Clone)]
pub struct Network {
    /// The trained part.
    pub model: Mae,
    device: Device,
}

/// The parts of a recipe that need no tensors: what is shown and what is asked for.
pub struct Task {
    /// The geometry of its images.
    pub shape: ImageShape,
    /// What a masked patch must be turned into.
    pub target: Box<dyn Target>,
    /// How far a prediction is from it.
    pub objective: Box<dyn Objective>,
    /// `[C]` each: what is subtracted from pixels of 0..1, and what they are divided by then.
    normalization: (Vec<f32>, Vec<f32>),
}

impl Task {
    /// The recipe's task.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist or does not fit.
    pub fn new(recipe: &Recipe) -> Result<Self> {
        Ok(Self {
            shape: recipe.shape(),
            target: recipe.target()?,
            objective: recipe.objective()?,
            normalization: recipe.data.normalization(),
        })
    }

    /// The same task on images of another size, whose sides are multiples of the patch.
    pub fn for_size(recipe: &Recipe, height: usize, width: usize) -> Result<Self> {
        let task = Self::new(recipe)?;
        Ok(Self { shape: ImageShape { height, width, ..task.shape }, ..task })
    }

    /// The task with what its target was measured to be: see [`Target::measure`].
    ///
    /// # Errors
    /// If that is not of this target.
    pub fn with_measured(mut self, measured: &TensorMap) -> Result<Self> {
        self.target.restore(measured)?;
        match self.target.problems(self.shape) {
            problems if problems.is_empty() => Ok(self),
            problems => Err(Error::Recipe(problems)),
        }
    }

    /// What is asked for in each patch.
    pub fn output(&self) -> Output {
        self.target.output(self.shape)
    }

    /// Prepares a step. Shapes: `images [B, H, W, C]`, normalized; one mask per image.
    pub fn batch(&self, images: &[f32], masks: &[Mask]) -> MaskedBatch {
        MaskedBatch::new(self, images, masks, self.objective.covers_visible())
    }

    /// Prepares a look at every patch, visible ones too.
    pub fn batch_of_everything(&self, images: &[f32], masks: &[Mask]) -> MaskedBatch {
        MaskedBatch::new(self, images, masks, true)
    }

    /// The rows to be predicted of one image. Shapes: `[H, W, C]`, normalized, to `[N, row width]`.
    pub fn targets(&self, image: &[f32]) -> Vec<f32> {
        self.target.rows(&self.image(image, &self.patches(image)))
    }

    /// Predictions of one image as a normalized image, where they determine one. Shapes: `image [H, W, C]`,
    /// `predictions [N, prediction width]`; returns `[H, W, C]`.
    pub fn draw(&self, image: &[f32], predictions: &[f32]) -> Option<Vec<f32>> {
        let patches = self.target.draw(&self.image(image, &self.patches(image)), predictions)?;
        let [rows, cols] = self.shape.grid();
        Some(unpatchify(&patches, rows, cols, self.shape.channels, self.shape.patch))
    }

    /// An image as its target sees it. Shapes: `[H, W, C]` and, of the same image, `[N, P·P·C]`.
    pub fn image<'a>(&'a self, values: &'a [f32], patches: &'a [f32]) -> TargetImage<'a> {
        let (mean, std) = &self.normalization;
        TargetImage { values, patches, shape: self.shape, mean, std }
    }

    fn patches(&self, image: &[f32]) -> Vec<f32> {
        let ImageShape { height, width, channels, patch } = self.shape;
        patchify(image, height, width, channels, patch)
    }
}

/// The sizes of the recipe's network.
///
/// # Errors
/// If the recipe's target does not exist.
pub fn sizes(recipe: &Recipe) -> Result<MaeConfig> {
    let task = Task::new(recipe)?;
    let backbone = &recipe.backbone;
    Ok(MaeConfig {
        encoder: VitConfig {
            grid: task.shape.grid(),
            channels: recipe.data.channels,
            patch: backbone.patch,
            width: backbone.width,
            depth: backbone.depth,
            heads: backbone.heads,
            mlp_ratio: backbone.mlp_ratio,
            registers: backbone.registers,
            learned_pos: backbone.pos == "learned",
            drop_path: backbone.drop_path,
            recompute: recipe.optim.recompute,
        },
        decoder_width: recipe.decoder.width,
        decoder_depth: recipe.decoder.depth,
        decoder_heads: recipe.decoder.heads,
        target_width: task.output().prediction_width(),
        mask_tokens_in_encoder: backbone.tokens == "mask",
        secondary_masking: recipe.masks_secondarily(),
    })
}

impl Network {
    /// The recipe's network with initial weights that depend on the recipe's seed and nothing else.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist.
    pub fn new(recipe: &Recipe, device: &Device) -> Result<Self> {
        let mut stream = Stream::new(recipe.seed, 0, 0, Purpose::Init);
        Ok(Self { model: sizes(recipe)?.init(&mut stream, device), device: device.clone() })
    }

    /// The recipe's network before any training, with other weights than a run of it begins with: what training is held against.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist.
    pub fn untrained_twin(recipe: &Recipe, device: &Device) -> Result<Self> {
        Self::new(&Recipe { seed: recipe.seed ^ 0x5eed, ..recipe.clone() }, device)
    }

    /// The same weights without differentiation, for looking.
    pub fn for_inference(&self) -> Self {
        Self { model: self.model.valid(), device: self.device.clone().without_autodiff() }
    }

    /// The same network for images of `grid` patches.
    pub fn for_grid(&self, grid: [usize; 2]) -> Self {
        if self.encoder().config().grid == grid {
            return self.clone();
        }
        Self { model: self.model.clone().for_grid(grid), device: self.device.clone() }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The encoder, which is what is kept after pre-training.
    pub fn encoder(&self) -> &Vit {
        &self.model.encoder
    }

    /// Its parameters, by name.
    pub fn parameters(&self) -> &dyn Parameters {
        &self.model
    }

    /// Its parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut dyn Parameters {
        &mut self.model
    }

    /// Predicted rows in the batch's token order: `[B, N - first_predicted, target width]`.
    pub fn predict(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>) -> Tensor<3> {
        self.model.predict(batch, drop_path, &self.device)
    }

    /// The loss of a step. Shape: `[1]`.
    pub fn loss(&self, batch: &MaskedBatch, objective: &dyn Objective, drop_path: Option<&DropPath>) -> Tensor<1> {
        objective.loss(self.predict(batch, drop_path), batch.targets(&self.device), batch.weights(&self.device))
    }
}
