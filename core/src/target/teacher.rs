//! A network that says what is to be predicted: what its last blocks make of every patch of the whole image.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::normalization::renormalized;
use crate::backbone::encoder::{Encoder, EncoderConfig};
use crate::backbone::linear::LayerNorm;
use crate::error::{Error, Problem, Result};
use crate::method::encoder_sizes;
use crate::method::masked_batch::ImageShape;
use crate::random::Stream;
use crate::recipe::Recipe;
use crate::weights::model_file::{Weights, WeightsKind, load_parameters, tensors_of};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// What is added to a feature's variance, or is the least that it is divided by.
const LAYER_EPS: f64 = 1e-5;
const LENGTH_EPS: f64 = 1e-12;

/// How a block's features are scaled, each patch's by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scaling {
    /// As they are.
    #[default]
    Plain,
    /// To length 1 (MaskFeat).
    Length,
    /// To mean 0 and deviation 1 (data2vec, I-JEPA).
    Layer,
}

/// How features are read off a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Features of so many last blocks are averaged. Those of the last alone pass the network's final norm.
    pub layers: usize,
    /// How each block's are scaled before that.
    pub scaling: Scaling,
}

/// A plain transformer that is not trained here.
#[derive(Debug, Clone)]
pub struct Teacher {
    encoder: Encoder,
    reading: Reading,
    norm: LayerNorm,
    device: Device,
    /// What it subtracts from pixels of 0..1, and divides them by then, if that is not what the student does: `[C]` each.
    normalization: Option<(Vec<f32>, Vec<f32>)>,
}

impl Teacher {
    /// A teacher with this encoder, which has its pixels normalized as the student has them.
    pub fn new(encoder: &Encoder, reading: Reading, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let norm = LayerNorm::with_eps(encoder.config().last_width(), LAYER_EPS, &device);
        Self { encoder: encoder.valid(), reading, norm, device, normalization: None }
    }

    /// The same teacher with other weights of the same sizes.
    pub fn with_weights_of(self, encoder: &Encoder) -> Self {
        Self { encoder: encoder.valid(), ..self }
    }

    /// The teacher that a run has among its measured tensors, see [`tensors`].
    ///
    /// # Errors
    /// If it is missing or damaged, or has not so many numbers and blocks.
    pub fn of_run(measured: &TensorMap, reading: Reading, width: usize, device: &Device) -> Result<Self> {
        let unfit = |reason: String| Error::Failed(format!("the teacher of the run cannot be used: {reason}; start the run anew"));
        let text = measured.get(RECIPE).ok_or_else(|| unfit("it is missing".into()))?;
        let text = String::from_utf8(text.values.iter().map(|&byte| byte as u8).collect()).map_err(|error| unfit(error.to_string()))?;
        let recipe = Recipe::from_toml(&text)?;
        let sizes = encoder_sizes(&recipe);
        if sizes.last_width() != width || reading.layers > sizes.num_blocks() {
            return Err(unfit(format!("{} numbers of {} blocks do not fit the recipe", sizes.last_width(), sizes.num_blocks())));
        }
        let mut encoder = sizes.init(&mut Stream::blank(), &device.clone().without_autodiff());
        load_parameters(&mut encoder, device, Path::new("target"), measured, |name| Some(format!("{WEIGHTS}{name}")), |_| false)?;
        Ok(Self { normalization: Some(recipe.data.normalization()), ..Self::new(&encoder, reading, device) })
    }

    /// Why it cannot teach about such images.
    pub fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        misfits(&self.encoder.config(), shape)
    }

    /// Features of every patch of whole images. Shapes: `patches [B, N, P·P·C]` of `grid`, normalized by a mean and a deviation, `[C]`
    /// each, to `[B, N, D]`.
    ///
    /// # Errors
    /// If the images do not consist of such patches, or the device fails.
    pub fn features(&self, patches: Vec<f32>, grid: [usize; 2], normalization: (&[f32], &[f32])) -> Result<Tensor<3>> {
        let (config, count) = (self.encoder.config(), grid[0] * grid[1]);
        let values = config.patch() * config.patch() * config.channels();
        if count == 0 || !patches.len().is_multiple_of(count * values) {
            let what = format!("the teacher has patches of {} px and {} channels", config.patch(), config.channels());
            return Err(Error::Failed(format!("{what}, which these are not")));
        }
        let patches = match &self.normalization {
            Some((mean, std)) => renormalized(&patches, normalization, (mean, std)),
            None => patches,
        };
        let shape = [patches.len() / (count * values), count, values];
        let patches = Tensor::from_data(TensorData::new(patches, shape), &self.device);
        let resized = (config.grid() != grid).then(|| self.encoder.clone().for_grid(grid)).transpose()?;
        let encoder = resized.as_ref().unwrap_or(&self.encoder);
        let (first, mut sum) = (config.num_blocks().saturating_sub(self.reading.layers), None);
        encoder.each_block(encoder.tokens(patches), &mut |block| {
            if block.index >= first {
                let tokens = (block.forward)();
                let tokens = if self.reading.layers == 1 { encoder.normed(tokens) } else { tokens };
                let features = self.scaled(tokens.narrow(1, block.prefix, count));
                sum = Some(match sum.take() {
                    None => features,
                    Some(sum) => sum + features,
                });
            }
            Ok(true)
        })?;
        let sum = sum.ok_or_else(|| Error::Failed("the teacher has no blocks".into()))?;
        Ok(sum / (config.num_blocks() - first) as f64)
    }

    fn scaled(&self, features: Tensor<3>) -> Tensor<3> {
        match self.reading.scaling {
            Scaling::Plain => features,
            Scaling::Layer => self.norm.forward(features),
            Scaling::Length => {
                let length = features.clone().square().sum_dim(2).sqrt().clamp_min(LENGTH_EPS);
                features / length
            }
        }
    }
}

/// Names of a teacher among what was measured: its weights begin with the first, and the other is its recipe, each byte of it a number.
const WEIGHTS: &str = "teacher.";
const RECIPE: &str = "teacher_recipe";

/// The recipe of weights that can teach, without reading them.
///
/// # Errors
/// If they cannot be read or are of a pyramid.
pub fn recipe_of(path: &Path) -> Result<Recipe, Problem> {
    let unusable = |reason: String| {
        let cure = "name a run, a checkpoint or a Hugging Face folder of a plain vision transformer";
        Problem::new("target.teacher", format!("{} cannot teach: {reason}", path.display()), cure)
    };
    let (recipe, _) = Weights::origin(path).map_err(|error| unusable(error.to_string()))?;
    match encoder_sizes(&recipe) {
        EncoderConfig::Vit(_) => Ok(recipe),
        _ => Err(unusable("the last tokens of a pyramid stand for many patches".into())),
    }
}

/// What a run keeps of a teacher with these weights.
///
/// # Errors
/// If they cannot be used.
pub fn tensors(weights: &Weights) -> Result<TensorMap> {
    let network = weights.network(WeightsKind::Best, &Device::flex())?;
    let named = |(name, tensor): (String, HostTensor)| (format!("{WEIGHTS}{name}"), tensor);
    let mut tensors: TensorMap = tensors_of(network.encoder())?.into_iter().map(named).collect();
    let recipe = weights.recipe.to_short_toml().to_string().into_bytes();
    tensors.insert(RECIPE.into(), HostTensor::new([recipe.len()], recipe.into_iter().map(f32::from).collect()));
    Ok(tensors)
}

/// Why a teacher of these sizes cannot teach about such images.
pub fn misfits(teacher: &EncoderConfig, shape: ImageShape) -> Vec<Problem> {
    let misfit = |key: &str, what: &str, has: usize, wanted: usize| {
        let what = format!("the teacher has {what} {has}, and what is predicted here {wanted}");
        (wanted != has).then(|| Problem::new(key, what, format!("set {key} to {has}, or take another teacher")))
    };
    let patch = misfit("backbone.patch", "patches of, in px,", teacher.patch(), shape.patch);
    patch.into_iter().chain(misfit("data.channels", "a number of channels of", teacher.channels(), shape.channels)).collect()
}
