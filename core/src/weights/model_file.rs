//! `model.safetensors`: a network's weights, its running average, and what one must know to use them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::parameters::{Named, Parameters};
use super::published::listing::Listing;
use super::published::plan::Take;
use super::safetensors_file::{HostTensor, SafetensorsFile, TensorMap, read_metadata};
use super::tensors::{ByName, Tensors};
use super::{hugging_face, published};
use crate::error::{Error, Result};
use crate::method::Network;
use crate::recipe::Recipe;
use crate::run::RunFolder;

/// The layout version of `model.safetensors`.
const FORMAT: &str = "1";
/// Metadata of a file of imported weights without anything that predicts or compares: what they were.
pub(super) const ENCODER_ALONE: &str = "encoder_alone";
/// Prefix of the running average's tensors: where it teaches by comparing views, it is the teacher.
const EMA: &str = "ema.";
const TEACHER: &str = "teacher.";
/// Prefix of what the target was measured to be.
pub(super) const TARGET: &str = "target.";

/// Which of a file's weights to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsKind {
    /// The running average where there is one, else the trained weights.
    #[default]
    Best,
    /// The trained weights.
    Raw,
    /// The running average.
    Ema,
}

/// Opened weights. Their numbers are in memory when somebody asks for them, and not before: the files must stay where they are.
pub struct Weights {
    /// The recipe they were trained with.
    pub recipe: Recipe,
    /// Training steps behind them.
    pub step: u64,
    /// The file they came from.
    pub path: PathBuf,
    /// What an encoder alone is called: the class of a Hugging Face model, or whose it is. It has nothing that predicts what is masked or
    /// compares views.
    pub encoder_alone: Option<&'static str>,
    tensors: Tensors,
}

/// All parameters of a model on the host.
///
/// # Errors
/// If the device fails.
pub fn tensors_of(model: &dyn Parameters) -> Result<TensorMap> {
    tensors_with_average(model, "", None)
}

/// All parameters of a recipe's network on the host, and the running average under `ema.`, or `teacher.` where it teaches by comparing views.
///
/// # Errors
/// If the device fails.
pub fn tensors_of_run(recipe: &Recipe, model: &dyn Parameters, average: Option<&Named<Tensor<1>>>) -> Result<TensorMap> {
    tensors_with_average(model, if recipe.compares_views() { TEACHER } else { EMA }, average)
}

fn tensors_with_average(model: &dyn Parameters, prefix: &str, average: Option<&Named<Tensor<1>>>) -> Result<TensorMap> {
    let mut tensors = TensorMap::new();
    let mut failed = None;
    model.visit_parameters(&mut |name, shape, value| {
        let average = average.and_then(|average| average.get(name)).cloned();
        for (name, value) in [(name.to_owned(), Some(value)), (format!("{prefix}{name}"), average)] {
            let Some(value) = value else { continue };
            match to_host(value) {
                Ok(values) => drop(tensors.insert(name, HostTensor::new(shape, values))),
                Err(error) => failed = Some(error),
            }
        }
    });
    failed.map_or(Ok(tensors), Err)
}

/// What a target was measured to be, under the names that a model file has for it.
pub fn measured_tensors(measured: &TensorMap) -> TensorMap {
    measured.iter().map(|(name, tensor)| (format!("{TARGET}{name}"), tensor.clone())).collect()
}

/// Reads a tensor back from the device.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|error| Error::Failed(format!("the device failed while its result was read: {error:?}")))?;
    data.try_into_vec::<f32>().map_err(|error| Error::Failed(format!("a tensor is not f32: {error:?}")))
}

/// The metadata of a model file: the same for equal runs.
pub fn metadata(recipe: &Recipe, step: u64) -> BTreeMap<String, String> {
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    BTreeMap::from([
        ("maskroom_format".to_owned(), FORMAT.to_owned()),
        ("recipe".to_owned(), recipe.to_toml()),
        ("step".to_owned(), step.to_string()),
        ("mean".to_owned(), list(&recipe.data.mean)),
        ("std".to_owned(), list(&recipe.data.std)),
    ])
}

impl Weights {
    /// Opens a run folder (its last complete checkpoint), a checkpoint folder, a Hugging Face folder, or a file: one that Maskroom wrote, or
    /// one of safetensors or PyTorch with a network that it recognizes.
    ///
    /// # Errors
    /// [`Error::Data`] if there is nothing to open or it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = hugging_face::folder_of(path) {
            let hugging_face::Folder { recipe, path, tensors, encoder_alone } = hugging_face::open(folder)?;
            return Ok(Self { recipe, step: 0, path, encoder_alone, tensors });
        }
        let file = Self::locate(path)?;
        if published::is_published(&file) {
            let published::Published { recipe, tensors, encoder_alone } = published::open(&file)?;
            return Ok(Self { recipe, step: 0, path: file, encoder_alone, tensors });
        }
        let opened = SafetensorsFile::open(&file)?;
        let (recipe, step) = origin(&file, opened.metadata())?;
        let encoder_alone = opened.metadata().contains_key(ENCODER_ALONE).then_some("imported encoder");
        let tensors = Tensors::of_own(Listing::of_parts(&file, vec![opened])?);
        Ok(Self { recipe, step, path: file, encoder_alone, tensors })
    }

    /// The recipe that weights were trained with, and the training steps behind them, without reading the weights. Takes what
    /// [`Weights::open`] takes.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn origin(path: &Path) -> Result<(Recipe, u64)> {
        if let Some(folder) = hugging_face::folder_of(path) {
            return Ok((hugging_face::recipe(folder)?, 0));
        }
        let file = Self::locate(path)?;
        if published::is_published(&file) {
            return Ok((published::recipe(&file)?, 0));
        }
        origin(&file, &read_metadata(&file)?)
    }

    /// How many classes a Hugging Face folder's classifier tells apart, without reading the weights.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no such folder, or none of a classifier.
    pub fn num_classes(path: &Path) -> Result<usize> {
        let folder = hugging_face::folder_of(path)
            .ok_or_else(|| Error::data(path, "it is no Hugging Face folder", "give a folder with a config.json"))?;
        hugging_face::num_classes(folder)
    }

    /// A tensor by its name in Maskroom, read anew each time; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Option<HostTensor>> {
        self.tensors.read(name)
    }

    /// All tensors, and how each is made of the file's.
    pub(super) fn takes(&self) -> impl Iterator<Item = &Take> {
        self.tensors.iter()
    }

    /// The file that a path stands for.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub(super) fn locate(path: &Path) -> Result<PathBuf> {
        let cure = "give a run folder, a checkpoint folder, a Hugging Face folder with a config.json, a model.safetensors or a .pth";
        if path.is_file() {
            return Ok(path.to_path_buf());
        }
        if !path.exists() {
            return Err(Error::data(path, "no such file or folder", cure));
        }
        if path.join("model.safetensors").is_file() {
            return Ok(path.join("model.safetensors"));
        }
        if !path.join("recipe.toml").is_file() {
            return Err(Error::data(path, "neither a run nor a checkpoint", cure));
        }
        let run = RunFolder::open(path)?;
        let (_, folder) = run
            .last_good_checkpoint()
            .0
            .ok_or_else(|| Error::data(path, "the run has no complete checkpoint yet", "wait for its first checkpoint"))?;
        Ok(folder.join("model.safetensors"))
    }

    /// The network with these weights, ready for looking. Of an encoder alone, everything else is zero.
    ///
    /// # Errors
    /// If parameters are missing or have other shapes than the recipe's network.
    pub fn network(&self, kind: WeightsKind, device: &Device) -> Result<Network> {
        let mut network = Network::blank(&self.recipe, device)?;
        self.load_into(network.parameters_mut(), kind, device)?;
        Ok(network)
    }

    /// Puts the weights into a model's parameters.
    ///
    /// # Errors
    /// If parameters are missing or have other shapes; all of them are named. Where the weights are an encoder alone, everything else may be
    /// missing and stays as it is.
    pub fn load_into(&self, model: &mut dyn Parameters, kind: WeightsKind, device: &Device) -> Result<()> {
        let prefix = self.prefix(kind)?;
        let may_lack = |name: &str| self.encoder_alone.is_some() && is_of_training(name);
        load_parameters(model, device, &self.path, &self.tensors, |name| Some(format!("{prefix}{name}")), may_lack)
    }

    /// Lets a network begin with these weights, whatever it is to be trained for: of decoder, head and mask token, what the weights do not have,
    /// or in another shape, stays as it is. Returns the names of that.
    ///
    /// # Errors
    /// If parameters of the encoder are missing or have other shapes; all of them are named.
    pub fn begin(&self, model: &mut dyn Parameters, device: &Device) -> Result<Vec<String>> {
        let prefix = self.prefix(WeightsKind::Best)?;
        let mut fresh = Vec::new();
        model.visit_parameters(&mut |name, shape, _| {
            let fits = self.tensors.shape(&format!("{prefix}{name}")) == Some(shape);
            fresh.extend((!fits && is_of_training(name)).then(|| name.to_owned()));
        });
        let is_fresh = |name: &str| fresh.iter().any(|fresh| fresh == name);
        let name_of = |name: &str| (!is_fresh(name)).then(|| format!("{prefix}{name}"));
        load_parameters(model, device, &self.path, &self.tensors, name_of, is_fresh)?;
        Ok(fresh)
    }

    /// The tensors of weights of a kind, under the names of parameters.
    ///
    /// # Errors
    /// If there is no running average, and that is asked for.
    pub(super) fn tensors_of_kind(&self, kind: WeightsKind) -> Result<TensorMap> {
        let prefix = self.prefix(kind)?;
        let is_other = |name: &str| [EMA, TEACHER, TARGET].iter().any(|other| name.starts_with(other));
        self.tensors.read_as(|name| name.strip_prefix(prefix).filter(|name| !is_other(name)))
    }

    /// All tensors by the names that Maskroom's own files have for them: the trained weights, their average, what a target was measured to
    /// be.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn all_tensors(&self) -> Result<TensorMap> {
        self.tensors.read_below("")
    }

    /// Whether there is a running average beside the trained weights.
    pub(super) fn has_average(&self) -> bool {
        self.average_prefix().is_some()
    }

    /// What stands before the names of weights of a kind.
    fn prefix(&self, kind: WeightsKind) -> Result<&'static str> {
        Ok(match (kind, self.average_prefix()) {
            (WeightsKind::Raw, _) | (WeightsKind::Best, None) => "",
            (WeightsKind::Ema, None) => {
                return Err(Error::data(&self.path, "there is no running average in it", "use --weights-kind raw"));
            }
            (WeightsKind::Best | WeightsKind::Ema, Some(prefix)) => prefix,
        })
    }

    /// What the target was measured to be, for [`Target::restore`](crate::target::Target::restore); empty for most targets.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn measured(&self) -> Result<TensorMap> {
        self.tensors.read_below(TARGET)
    }

    /// The running average, flat, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn ema(&self, device: &Device) -> Result<Option<Named<Tensor<1>>>> {
        let Some(prefix) = self.average_prefix() else { return Ok(None) };
        let average = self.tensors.read_below(prefix)?;
        Ok(Some(average.into_iter().map(|(name, tensor)| (name, on_device(tensor.values, device))).collect()))
    }

    fn average_prefix(&self) -> Option<&'static str> {
        [EMA, TEACHER].into_iter().find(|prefix| self.tensors.iter().any(|take| take.ours.starts_with(prefix)))
    }
}

/// Whether a parameter serves training alone, and is no part of the encoder.
pub(super) fn is_of_training(name: &str) -> bool {
    ["decoder.", "head.", "patch_head."].iter().any(|part| name.starts_with(part)) || name == "mask_token"
}

fn origin(file: &Path, metadata: &BTreeMap<String, String>) -> Result<(Recipe, u64)> {
    let Some(recipe) = metadata.get("recipe") else {
        let cure = "use a run folder, a checkpoint folder or a model.safetensors that Maskroom wrote";
        return Err(Error::data(file, "these weights do not say which recipe made them", cure));
    };
    Ok((Recipe::from_toml(recipe)?, metadata.get("step").and_then(|step| step.parse().ok()).unwrap_or(0)))
}

/// A flat tensor on the device.
pub fn flat(tensor: &HostTensor, device: &Device) -> Tensor<1> {
    on_device(tensor.values.clone(), device)
}

/// The same of numbers that nobody else needs; on the CPU they stay where they are.
fn on_device(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// Gives parameters the values that `values` has under the names of `name_of`, one after the other: no two of them are in memory twice. What has
/// no name or is not there and `may_lack` excuses stays as it is.
///
/// # Errors
/// [`Error::Data`] naming the parameters that are missing or of another shape, or else one that has numbers which are not finite.
pub(crate) fn load_parameters(
    model: &mut dyn Parameters,
    device: &Device,
    path: &Path,
    values: &dyn ByName,
    name_of: impl Fn(&str) -> Option<String>,
    may_lack: impl Fn(&str) -> bool,
) -> Result<()> {
    let device = device.clone().without_autodiff();
    let (mut wrong, mut failed, mut broken) = (Vec::new(), None, None);
    model.update_parameters(&mut |name, shape, value| {
        let there = name_of(name).and_then(|theirs| Some((values.shape(&theirs)?, theirs)));
        match there {
            Some((found, theirs)) if found == shape => match values.read(&theirs) {
                Ok(Some(tensor)) => {
                    let is_broken = !tensor.values.iter().all(|value| value.is_finite());
                    broken = broken.take().or_else(|| is_broken.then(|| name.to_owned()));
                    return on_device(tensor.values, &device);
                }
                Ok(None) => wrong.push(format!("{name} is missing")),
                Err(error) => failed = Some(error),
            },
            Some((found, _)) => wrong.push(format!("{name} is {found:?} instead of {shape:?}")),
            None if may_lack(name) => {}
            None => wrong.push(format!("{name} is missing")),
        }
        value
    });
    match (failed, broken) {
        (Some(error), _) => Err(error),
        (None, _) if !wrong.is_empty() => {
            Err(Error::data(path, listed(&wrong), "these weights belong to another network: use the recipe that made them"))
        }
        (None, Some(name)) => Err(Error::data(path, format!("{name} has numbers that are not finite"), "use an earlier checkpoint")),
        (None, None) => Ok(()),
    }
}

/// What is wrong with tensors, in one line: the first few of them in full.
pub(super) fn listed(wrong: &[String]) -> String {
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("; ");
    let more = wrong.len().saturating_sub(8);
    if more > 0 { format!("{shown}; and {more} more") } else { shown }
}
