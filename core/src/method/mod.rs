//! One paper, one file: how data, mask, network, target and objective are wired together.

pub mod balance;
pub mod beit;
pub mod byol;
pub mod colorization;
pub mod contrast;
pub mod data2vec;
pub mod decoder;
pub mod dino;
pub mod dinov2;
pub mod distillation;
pub mod head;
pub mod hidden_patches;
pub mod ibot;
pub mod ijepa;
pub mod inpainting;
pub mod jigsaw;
pub mod joint_embedding;
pub mod koleo;
pub mod lejepa;
pub mod lesson;
pub mod mae;
pub mod masked_batch;
pub mod masked_model;
pub mod maskfeat;
pub mod moco;
pub mod pretext;
pub mod projector;
pub mod prototypes;
pub mod rotation;
pub mod sigreg;
pub mod simclr;
pub mod simmim;
pub mod simsiam;
pub mod sizes;
pub mod swav;
pub mod um_mae;
pub mod view_batch;
pub mod view_lesson;
pub mod views_model;

#[cfg(test)]
mod every_method;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::backbone::drop_path::DropPath;
use crate::backbone::encoder::Encoder;
use crate::backbone::patch_embed::{patchify, unpatchify};
use crate::error::{Error, Result};
use crate::mask::Mask;
use crate::objective::Objective;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::target::{Output, Target, TargetImage};
use crate::weights::parameters::Parameters;
use crate::weights::safetensors_file::TensorMap;
use head::Head;
use masked_batch::{Feed, ImageShape, MaskedBatch};
use masked_model::{Hidden, MaskedModel};
use prototypes::{PATCH_PROTOTYPES, PROTOTYPES, normalized};
use sizes::hidden;
use views_model::ViewsModel;

pub use lesson::{Lesson, Outcome, Place};
pub use sizes::{encoder_sizes, sizes, view_sizes};

/// The network of one recipe, ready to train or to look at.
#[derive(Debug, Clone)]
pub struct Network {
    model: Model,
    device: Device,
}

/// What a network consists of.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a network, and Burn derives modules for no boxes")]
enum Model {
    /// An encoder, and a decoder that predicts what is hidden.
    Masked(MaskedModel),
    /// An encoder, and a head that compares views.
    Views(ViewsModel),
}

/// The parts of a recipe that need no tensors: what is shown and what is asked for.
pub struct Task {
    /// The geometry of its images.
    pub shape: ImageShape,
    /// What a masked patch must be turned into.
    pub target: Box<dyn Target>,
    /// How far a prediction is from it.
    pub objective: Box<dyn Objective>,
    /// What the encoder is given.
    pub feed: Feed,
    /// `[C]` each: what is subtracted from pixels of 0..1, and what they are divided by then.
    normalization: (Vec<f32>, Vec<f32>),
}

impl Task {
    /// The recipe's task.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist or does not fit.
    pub fn new(recipe: &Recipe) -> Result<Self> {
        let (shape, target, mut objective) = (recipe.shape(), recipe.target()?, recipe.objective()?);
        objective.prepare_for(target.output(shape));
        Ok(Self { shape, target, objective, feed: feed(recipe), normalization: recipe.data.normalization() })
    }

    /// The same task on images of another size, whose sides are multiples of the patch.
    pub fn for_size(recipe: &Recipe, height: usize, width: usize) -> Result<Self> {
        let task = Self::new(recipe)?;
        Ok(Self { shape: ImageShape { height, width, ..task.shape }, ..task })
    }

    /// The task with what its target was measured to be, for use on a device: see [`Target::measure`].
    ///
    /// # Errors
    /// If that is not of this target.
    pub fn with_measured(mut self, measured: &TensorMap, device: &Device) -> Result<Self> {
        self.target.restore(measured, device)?;
        match self.target.problems(self.shape) {
            problems if problems.is_empty() => Ok(self),
            problems => Err(Error::Recipe(problems)),
        }
    }

    /// The task with this network as its teacher, if what is asked for are features of the running average.
    pub fn following(mut self, average: &Network) -> Self {
        self.follow(average);
        self
    }

    /// See [`Task::following`].
    pub fn follow(&mut self, average: &Network) {
        self.target.follow(average.encoder(), average.device());
    }

    /// What is asked for in each patch.
    pub fn output(&self) -> Output {
        self.target.output(self.shape)
    }

    /// Prepares a step. Shapes: `images [B, H, W, C]`, normalized; one mask per image.
    ///
    /// # Errors
    /// If the masks are to be packed and cannot be, or a teacher fails.
    pub fn batch(&self, images: &[f32], masks: &[Mask]) -> Result<MaskedBatch> {
        MaskedBatch::new(self, images, masks, self.objective.covers_visible())
    }

    /// Prepares a look at every patch, visible ones too.
    ///
    /// # Errors
    /// If the masks are to be packed and cannot be, or a teacher fails.
    pub fn batch_of_everything(&self, images: &[f32], masks: &[Mask]) -> Result<MaskedBatch> {
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

    /// What the network is shown of images where that is not all of them. Shapes: `[B, H, W, C]`, normalized, to the same.
    pub fn shown(&self, images: &[f32]) -> Option<Vec<f32>> {
        let (mean, std) = &self.normalization;
        self.target.shown(images, mean, std)
    }

    /// An image as its target sees it. Shapes: `[H, W, C]` and, of the same image, `[N, P·P·C]`.
    pub fn image<'a>(&'a self, values: &'a [f32], patches: &'a [f32]) -> TargetImage<'a> {
        let (mean, std) = &self.normalization;
        TargetImage { values, patches, shape: self.shape, mean, std }
    }

    /// What a teacher or the target's own network, where there is one, makes of images. Shapes: `[B, H, W, C]`, normalized, to `[B, N, row width]`.
    fn taught(&self, images: &[f32]) -> Result<Option<Tensor<3>>> {
        let (mean, std) = &self.normalization;
        let Some(teacher) = self.target.teacher() else { return self.target.rows_of_batch(images, self.shape, (mean, std)) };
        let patches: Vec<f32> = images.par_chunks_exact(self.shape.image_values()).flat_map_iter(|image| self.patches(image)).collect();
        teacher.features(patches, self.shape.grid(), (mean, std)).map(Some)
    }

    fn patches(&self, image: &[f32]) -> Vec<f32> {
        let ImageShape { height, width, channels, patch } = self.shape;
        patchify(image, height, width, channels, patch)
    }
}

/// What the recipe's encoder is given.
fn feed(recipe: &Recipe) -> Feed {
    let backbone = &recipe.backbone;
    match hidden(recipe) {
        Hidden::Dropped => Feed::Visible,
        Hidden::MaskTokens => Feed::Everything { predicts_all: backbone.num_stages() > 1 },
        Hidden::Packed => Feed::Packed { patch: backbone.patch, official_order: recipe.decoder.word("pos_order") == Some("official") },
    }
}

impl Network {
    /// The recipe's network with initial weights that depend on the recipe's seed and nothing else.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist.
    pub fn new(recipe: &Recipe, device: &Device) -> Result<Self> {
        Self::drawn(recipe, &mut Stream::new(recipe.seed, 0, 0, Purpose::Init), device)
    }

    /// The recipe's network for weights that are there already: zeros stand where initial weights would, and take neither time nor memory.
    ///
    /// # Errors
    /// If the recipe names a part that does not exist.
    pub fn blank(recipe: &Recipe, device: &Device) -> Result<Self> {
        Self::drawn(recipe, &mut Stream::blank(), device)
    }

    fn drawn(recipe: &Recipe, stream: &mut Stream, device: &Device) -> Result<Self> {
        let model = match recipe.compares_views() {
            true => Model::Views(view_sizes(recipe).init(stream, device)),
            false => Model::Masked(sizes(recipe)?.init(stream, device)),
        };
        Ok(Self { model, device: device.clone() })
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

    /// The same network for images of [height, width] in pixels.
    ///
    /// # Errors
    /// [`Error::Recipe`] if a pyramid cannot encode them, or if the device fails to hand out a table of positions.
    pub fn for_image(&self, image: [usize; 2]) -> Result<Self> {
        let (config, packed) = (self.encoder().config(), self.masked().is_ok_and(|model| model.config().hidden == Hidden::Packed));
        let grid = image.map(|side| side / config.patch().max(1));
        if config.grid() == grid {
            return Ok(self.clone());
        }
        let problems = config.problems(image, packed);
        if !problems.is_empty() {
            return Err(Error::Recipe(problems));
        }
        let model = match self.model.clone() {
            Model::Masked(model) => Model::Masked(model.for_grid(grid)?),
            Model::Views(model) => Model::Views(model.for_grid(grid)?),
        };
        Ok(Self { model, device: self.device.clone() })
    }

    /// Which branches of which samples are dropped in a step of these keys, once for each of `views`.
    pub fn drop_path(&self, seed: u64, epoch: u64, keys: &[u64], views: Range<usize>) -> Option<DropPath> {
        let config = self.encoder().config();
        DropPath::sample(config.drop_path(), config.num_blocks(), seed, epoch, keys, views)
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The encoder, which is what is kept after pre-training.
    pub fn encoder(&self) -> &Encoder {
        match &self.model {
            Model::Masked(model) => &model.encoder,
            Model::Views(model) => &model.encoder,
        }
    }

    /// All of it, where it predicts what is hidden.
    ///
    /// # Errors
    /// If it compares views.
    pub fn masked(&self) -> Result<&MaskedModel> {
        match &self.model {
            Model::Masked(model) => Ok(model),
            Model::Views(_) => Err(Error::Usage("this network compares views of images: nothing in it predicts what is masked".into())),
        }
    }

    /// All of it, where it compares views.
    ///
    /// # Errors
    /// If it predicts what is hidden.
    pub fn views(&self) -> Result<&ViewsModel> {
        match &self.model {
            Model::Views(model) => Ok(model),
            Model::Masked(_) => Err(Error::Usage("this network predicts what is masked: it has no head that compares views".into())),
        }
    }

    /// Gives prototypes that have no length of their own length one again.
    pub fn bring_back_prototypes(&mut self) {
        let are_reset = |head: &Head| head.prototypes().is_ok_and(|head| head.last_layer.weight_g.is_none());
        if self.views().is_ok_and(|model| are_reset(&model.head)) {
            self.parameters_mut().update_parameters(&mut |name, shape, value| match (name, shape) {
                (PROTOTYPES | PATCH_PROTOTYPES, &[count, width]) => normalized(value.reshape([count, width])).reshape([-1]),
                _ => value,
            });
        }
    }

    /// Its parameters, by name.
    pub fn parameters(&self) -> &dyn Parameters {
        &self.model
    }

    /// Its parameters, to be changed.
    pub fn parameters_mut(&mut self) -> &mut dyn Parameters {
        &mut self.model
    }

    /// Predicted rows in the batch's token order: `[B, R, target width]`.
    ///
    /// # Errors
    /// If it compares views.
    pub fn predict(&self, batch: &MaskedBatch, drop_path: Option<&DropPath>) -> Result<Tensor<3>> {
        Ok(self.masked()?.predict(batch, drop_path, &self.device))
    }

    /// The loss of a step. Shape: `[1]`.
    ///
    /// # Errors
    /// If it compares views.
    pub fn loss(&self, batch: &MaskedBatch, objective: &dyn Objective, drop_path: Option<&DropPath>) -> Result<Tensor<1>> {
        Ok(objective.loss(self.predict(batch, drop_path)?, batch.targets(&self.device), batch.weights(&self.device)))
    }
}
