//! What a masked patch must be turned into.

mod color_bins;
mod feature_colors;
#[cfg(test)]
mod features_tests;
mod glyphs;
pub mod lab;
mod normalization;
pub(crate) mod principal_components;
pub mod teacher;
#[cfg(test)]
mod tests;

use burn::tensor::{Device, Tensor};

use crate::backbone::encoder::Encoder;
use crate::error::{Problem, Result};
use crate::inspect::picture::Picture;
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::registry;
use crate::registry::Settings;
use crate::weights::safetensors_file::TensorMap;
use teacher::Teacher;

registry! {
    /// Every target.
    TARGETS: dyn Target { pixels, hog, pca, tokens, features, labels, color }
}

/// Turns the patches of an image into rows to be predicted.
pub trait Target: Send + Sync {
    /// What it asks for in each patch of such images.
    fn output(&self, shape: ImageShape) -> Output;

    /// Shape: `[N, row width]`, patches in raster order.
    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32>;

    /// The rows of a whole batch, where a network makes them on a device: what it says stays there. Shapes: `images [B, H, W, C]`, normalized
    /// by a mean and a deviation, `[C]` each, to `[B, N, row width]`.
    ///
    /// # Errors
    /// If the device fails.
    fn rows_of_batch(&self, images: &[f32], shape: ImageShape, normalization: (&[f32], &[f32])) -> Result<Option<Tensor<3>>> {
        let _ = (images, shape, normalization);
        Ok(None)
    }

    /// Why it cannot be made of such images.
    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        let _ = shape;
        Vec::new()
    }

    /// Predictions `[N, prediction width]` of an image as normalized pixels `[N, P·P·C]`; `None` where they do not determine any.
    fn draw(&self, image: &TargetImage<'_>, predictions: &[f32]) -> Option<Vec<f32>> {
        let _ = (image, predictions);
        None
    }

    /// Predictions `[N, prediction width]` and what was asked for, `[N, row width]`, as pictures, where they do not determine pixels: by
    /// default, features as colors. `None` where that is impossible.
    fn depict(&self, shape: ImageShape, predictions: &[f32], targets: &[f32]) -> Option<Depiction> {
        match self.output(shape) {
            Output::Values { width } => feature_colors::depict(shape, width, predictions, targets),
            Output::Classes { .. } | Output::Distributions { .. } => None,
        }
    }

    /// Why a prediction cannot be seen, as a clause, where there is more to say than that.
    fn why_unseen(&self) -> Option<&'static str> {
        None
    }

    /// What the network is shown of normalized images, one after the other, where that is not all of them. `mean` and `std` are `[C]` each:
    /// what was subtracted from pixels of 0..1, and what they were divided by then.
    fn shown(&self, images: &[f32], mean: &[f32], std: &[f32]) -> Option<Vec<f32>> {
        let _ = (images, mean, std);
        None
    }

    /// True if the numbers of a row are those of the patch's pixels, in the order (row, column, channel).
    fn is_pixels(&self) -> bool {
        false
    }

    /// True if a prediction can be drawn only with the original patch's brightness and contrast.
    fn borrows_brightness(&self) -> bool {
        false
    }

    /// The squared error, or the cross-entropy of a class, of a network that has learned nothing but the most obvious, where that is known:
    /// of classes, that all are equally probable.
    fn trivial_loss(&self, shape: ImageShape) -> Option<f64> {
        match self.output(shape) {
            Output::Values { .. } | Output::Distributions { .. } => None,
            Output::Classes { count } => Some((count as f64).ln()),
        }
    }

    /// What has to be known before training and is kept with the weights: measured on images, or read from elsewhere. Empty for most
    /// targets.
    ///
    /// # Errors
    /// If it cannot be had.
    fn measure(&self, sample: &Sample<'_>) -> Result<TensorMap> {
        let _ = sample;
        Ok(TensorMap::new())
    }

    /// Takes what [`Target::measure`] gave, for use on a device. Until then, a target that needs it gives rows of the right shape that mean
    /// nothing, which is enough to time a step.
    ///
    /// # Errors
    /// If it is not of this target.
    fn restore(&mut self, measured: &TensorMap, device: &Device) -> Result<()> {
        let _ = (measured, device);
        Ok(())
    }

    /// The network that makes the rows of whole batches, where one does.
    fn teacher(&self) -> Option<&Teacher> {
        None
    }

    /// Whether that network is the running average of the one in training.
    fn follows_average(&self) -> bool {
        false
    }

    /// Takes the running average as it is now as the teacher, if it is to be followed.
    fn follow(&mut self, average: &Encoder, device: &Device) {
        let _ = (average, device);
    }

    /// Whether what has to be known before training is known, so that rows mean something.
    fn is_known(&self) -> bool {
        true
    }

    /// Writes into its own settings what [`Target::measure`] has made superfluous or known, so that a recipe stays without paths.
    fn settle(&self, settings: &mut Settings) {
        let _ = settings;
    }
}

/// What is predicted and what was asked for, made visible in the same way. Both pictures have a whole multiple of the image's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depiction {
    /// The prediction.
    pub prediction: Picture,
    /// What was asked for.
    pub target: Picture,
    /// What must be known to read them, as a clause.
    pub note: &'static str,
}

/// What a target asks for in each patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// So many real numbers.
    Values {
        /// Numbers per patch.
        width: usize,
    },
    /// One class of so many. The row is the class's number, the prediction a score for each.
    Classes {
        /// Number of classes.
        count: usize,
    },
    /// In each of so many places a distribution over so many classes. A row has the places' distributions one after the other, each times
    /// what its place counts, the prediction a score for each of their numbers.
    Distributions {
        /// Places of a patch.
        places: usize,
        /// Number of classes.
        count: usize,
    },
}

impl Output {
    /// Numbers of a row that is to be predicted.
    pub fn row_width(self) -> usize {
        match self {
            Self::Values { width } => width,
            Self::Classes { .. } => 1,
            Self::Distributions { places, count } => places * count,
        }
    }

    /// Numbers that a network gives for each patch.
    pub fn prediction_width(self) -> usize {
        match self {
            Self::Values { width } => width,
            Self::Classes { count } => count,
            Self::Distributions { places, count } => places * count,
        }
    }
}

/// One normalized image, whole and cut.
#[derive(Debug, Clone, Copy)]
pub struct TargetImage<'a> {
    /// `[H, W, C]`
    pub values: &'a [f32],
    /// The same as patches, `[N, P·P·C]`, as [`patchify`](crate::backbone::patch_embed::patchify) cuts them.
    pub patches: &'a [f32],
    /// Its geometry.
    pub shape: ImageShape,
    /// `[C]`: what was subtracted from pixels of 0..1; empty where nobody has measured it yet.
    pub mean: &'a [f32],
    /// `[C]`: what they were divided by then; empty as `mean`.
    pub std: &'a [f32],
}

impl TargetImage<'_> {
    /// What was subtracted from a channel and what it was divided by.
    pub fn normalization(&self, channel: usize) -> (f32, f32) {
        (self.mean.get(channel).copied().unwrap_or(0.0), self.std.get(channel).copied().unwrap_or(1.0))
    }
}

/// What a target may be measured on.
pub struct Sample<'a> {
    /// The geometry of the images.
    pub shape: ImageShape,
    /// The recipe's seed.
    pub seed: u64,
    /// `[C]`: what was subtracted from pixels of 0..1; empty where nobody has measured it yet.
    pub mean: Vec<f32>,
    /// `[C]`: what they were divided by then; empty as `mean`.
    pub std: Vec<f32>,
    /// Up to so many normalized patches, drawn from all over the data: `[n, P·P·C]`.
    pub patches: &'a dyn Fn(usize) -> Result<Vec<f32>>,
}

impl<'a> Sample<'a> {
    /// Of images of a recipe.
    pub fn new(recipe: &Recipe, patches: &'a dyn Fn(usize) -> Result<Vec<f32>>) -> Self {
        let (mean, std) = recipe.data.normalization();
        Self { shape: recipe.shape(), seed: recipe.seed, mean, std, patches }
    }
}
