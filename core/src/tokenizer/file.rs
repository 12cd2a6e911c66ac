//! A tokenizer as tensors and as a file. The tensors say everything, so that a run can keep them among its own; the metadata say the sizes
//! again, for whoever only wants to know those.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;

use super::vae::DiscreteVae;
use super::{Asks, PatchTokenizer, Sizes, Tokenizer};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use crate::weights::model_file::{flat, tensors_of};
use crate::weights::parameters::Parameters as _;
use crate::weights::safetensors_file::{self, HostTensor, TensorMap};
use crate::weights::torch_file;

/// The version of the file's layout.
const FORMAT: &str = "1";
/// That of a file with DALL-E's networks, which earlier versions cannot read.
const DALLE_FORMAT: &str = "2";
/// What the metadata call such a file.
const KIND: &str = "tokenizer";
/// The tensor that holds channels, patch, codes and width.
const SIZES: &str = "sizes";

/// What a file says of its tokenizer without being read as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its sizes.
    pub sizes: Sizes,
    /// `[C]`: what it subtracts from pixels of 0..1.
    pub mean: Vec<f64>,
    /// `[C]`: what it divides them by then.
    pub std: Vec<f64>,
    /// Whether images are scaled so that patches of any side have that of `sizes`.
    pub is_scaling: bool,
}

impl Facts {
    /// What it asks of images.
    pub fn asks(&self) -> Asks {
        Asks { channels: self.sizes.channels, patch: (!self.is_scaling).then_some(self.sizes.patch) }
    }
}

/// Reads what a file says of its tokenizer.
///
/// # Errors
/// [`Error::Data`] or [`Error::Io`] if it is none or cannot be read.
pub fn facts(path: &Path) -> Result<Facts> {
    if torch_file::is_torch_file(path) {
        let cure = "if it is DALL-E's encoder.pkl, make a tokenizer of it by `maskroom tokenizer import FILE --out TOKENIZER`";
        return Err(Error::data(path, "it is a file of PyTorch", cure));
    }
    let metadata = safetensors_file::read_metadata(path)?;
    check_kind(path, &metadata)?;
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let list = |key: &str| metadata.get(key).map(|text| text.split(',').filter_map(|text| text.parse().ok()).collect::<Vec<f64>>());
    let sizes = Sizes { channels: number("channels"), patch: number("patch"), codes: number("codes"), width: number("width") };
    let (mean, std) = (list("mean").unwrap_or_default(), list("std").unwrap_or_default());
    sizes.check().map_err(|reason| damaged(path, &reason))?;
    if mean.len() != sizes.channels || std.len() != sizes.channels {
        return Err(damaged(path, "it does not say how its images are normalized"));
    }
    let is_scaling = metadata.get("maskroom_format").is_some_and(|format| format == DALLE_FORMAT);
    Ok(Facts { sizes, mean, std, is_scaling })
}

/// Everything that makes the tokenizer of a file, so that a run can keep it.
///
/// # Errors
/// [`Error::Data`] or [`Error::Io`] if the file is no tokenizer, is damaged or cannot be read.
pub fn tensors(path: &Path) -> Result<TensorMap> {
    let (tensors, metadata) = safetensors_file::read(path)?;
    check_kind(path, &metadata)?;
    Tokenizer::from_tensors(&tensors, &Device::flex()).map_err(|reason| damaged(path, &reason))?;
    Ok(tensors)
}

fn check_kind(path: &Path, metadata: &BTreeMap<String, String>) -> Result<()> {
    let said = |key: &str| metadata.get(key).map(String::as_str);
    if said("kind") != Some(KIND) {
        return Err(Error::data(
            path,
            "it is no tokenizer",
            "make one by `maskroom tokenizer train --data DIR --out FILE` or `maskroom tokenizer import ENCODER --out FILE`",
        ));
    }
    if ![Some(FORMAT), Some(DALLE_FORMAT)].contains(&said("maskroom_format")) {
        return Err(Error::data(path, "it was written by a newer Maskroom", "update Maskroom, or train a tokenizer anew"));
    }
    Ok(())
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::data(path, format!("the tokenizer is damaged: {reason}"), "use another copy of the file, or train a tokenizer anew")
}

/// Writes DALL-E's networks to a file.
pub(super) fn save_dalle(path: &Path, sizes: Sizes, has_decoder: bool, tensors: &TensorMap) -> Result<()> {
    let mut metadata = metadata(sizes, &vec![0.0; sizes.channels], &vec![1.0; sizes.channels], DALLE_FORMAT);
    metadata.insert("decoder".to_owned(), has_decoder.to_string());
    safetensors_file::write(path, tensors, &metadata)
}

fn metadata(sizes: Sizes, mean: &[f32], std: &[f32], format: &str) -> BTreeMap<String, String> {
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    BTreeMap::from([
        ("maskroom_format".to_owned(), format.to_owned()),
        ("kind".to_owned(), KIND.to_owned()),
        ("channels".to_owned(), sizes.channels.to_string()),
        ("patch".to_owned(), sizes.patch.to_string()),
        ("codes".to_owned(), sizes.codes.to_string()),
        ("width".to_owned(), sizes.width.to_string()),
        ("mean".to_owned(), list(mean)),
        ("std".to_owned(), list(std)),
    ])
}

impl PatchTokenizer {
    /// Initial weights that depend on the seed and nothing else.
    pub(crate) fn untrained(sizes: Sizes, mean: Vec<f32>, std: Vec<f32>, seed: u64, device: &Device) -> Self {
        let vae = DiscreteVae::new(sizes, &mut Stream::new(seed, 0, 0, Purpose::Init), device);
        Self { sizes, mean, std, vae, device: device.clone() }
    }

    /// Everything that makes this tokenizer.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tensors(&self) -> Result<TensorMap> {
        let Sizes { channels, patch, codes, width } = self.sizes;
        let mut tensors = tensors_of(&self.vae)?;
        tensors.insert(SIZES.into(), HostTensor::new([4], [channels, patch, codes, width].map(|size| size as f32).to_vec()));
        tensors.insert("mean".into(), HostTensor::new([channels], self.mean.clone()));
        tensors.insert("std".into(), HostTensor::new([channels], self.std.clone()));
        Ok(tensors)
    }

    /// The tokenizer that these tensors make, on the CPU.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_tensors(tensors: &TensorMap) -> Result<Self, String> {
        let values = |name: &str| tensors.get(name).map(|tensor| tensor.values.clone()).ok_or_else(|| format!("{name} is missing"));
        let sizes = values(SIZES)?;
        let &[channels, patch, codes, width] = &sizes[..] else { return Err("it does not say how large it is".into()) };
        let [channels, patch, codes, width] = [channels, patch, codes, width].map(|size| size as usize);
        let sizes = Sizes { channels, patch, codes, width };
        sizes.check()?;
        let (mean, std) = (values("mean")?, values("std")?);
        if mean.len() != channels || std.len() != channels || !std.iter().all(|&std| std > 0.0) {
            return Err("it does not say how its images are normalized".into());
        }
        let device = Device::flex();
        let mut tokenizer = Self::untrained(sizes, mean, std, 0, &device);
        let mut wrong = None;
        tokenizer.vae.update_parameters(&mut |name, shape, value| {
            let complaint = match tensors.get(name) {
                Some(tensor) if tensor.shape != shape => format!("{name} is {:?} instead of {shape:?}", tensor.shape),
                Some(tensor) if !tensor.values.iter().all(|value| value.is_finite()) => format!("{name} holds numbers that are none"),
                Some(tensor) => return flat(tensor, &device),
                None => format!("{name} is missing"),
            };
            wrong.get_or_insert(complaint);
            value
        });
        wrong.map_or(Ok(tokenizer), Err)
    }

    /// Writes it to a file, in one atomic step; equal tokenizers give equal files.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        safetensors_file::write(path, &self.tensors()?, &metadata(self.sizes, &self.mean, &self.std, FORMAT))
    }

    /// Reads it from a file, to be used on the CPU.
    ///
    /// # Errors
    /// [`Error::Data`] or [`Error::Io`] if the file is no tokenizer, is damaged or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let (tensors, metadata) = safetensors_file::read(path)?;
        check_kind(path, &metadata)?;
        Self::from_tensors(&tensors).map_err(|reason| damaged(path, &reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> PatchTokenizer {
        let sizes = Sizes { channels: 3, patch: 4, codes: 16, width: 8 };
        PatchTokenizer::untrained(sizes, vec![0.4, 0.5, 0.6], vec![0.2, 0.25, 0.3], 7, &Device::flex())
    }

    #[test]
    fn a_file_comes_back_with_the_same_codes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.safetensors");
        let first = tokenizer();
        first.save(&path).unwrap();
        let again = PatchTokenizer::open(&path).unwrap();
        assert_eq!((again.sizes, &again.mean, &again.std), (first.sizes, &first.mean, &first.std));
        let facts = facts(&path).unwrap();
        assert_eq!((facts.sizes, facts.mean.len(), facts.std[1]), (first.sizes, 3, 0.25));
        let mut stream = Stream::new(0, 0, 0, Purpose::Bench);
        let patches: Vec<f32> = (0..2 * 6 * 48).map(|_| stream.normal() as f32).collect();
        let ids = first.ids(&patches, [2, 3]).unwrap();
        assert_eq!((again.ids(&patches, [2, 3]).unwrap(), ids.len()), (ids.clone(), 12));
        assert!(ids.iter().all(|&id| id < 16));
        assert_eq!(first.draw(&ids, [2, 3]).unwrap(), again.draw(&ids, [2, 3]).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        again.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn what_is_no_tokenizer_or_damaged_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let write = |tensors: &TensorMap, kind: &str| {
            let metadata = [("kind", kind), ("maskroom_format", FORMAT)].map(|(key, value)| (key.to_owned(), value.to_owned()));
            safetensors_file::write(&path, tensors, &metadata.into()).unwrap();
            let error = PatchTokenizer::open(&path).unwrap_err();
            assert_eq!(error.exit_status(), 3);
            error.to_string()
        };
        let whole = tokenizer().tensors().unwrap();
        assert!(write(&whole, "model").contains("no tokenizer"));
        let mut tensors = whole.clone();
        tensors.remove("head.weight");
        assert!(write(&tensors, KIND).contains("head.weight is missing"));
        let mut tensors = whole.clone();
        tensors.get_mut("head.bias").unwrap().values[3] = f32::NAN;
        assert!(write(&tensors, KIND).contains("head.bias holds"));
        for (index, value) in [(0, 0.0), (1, 3.0), (1, 128.0), (2, 1e9), (3, f32::NAN), (2, 17.0)] {
            let mut tensors = whole.clone();
            tensors.get_mut(SIZES).unwrap().values[index] = value;
            assert!(write(&tensors, KIND).contains("damaged"), "{index} {value}");
        }
        std::fs::write(&path, b"half").unwrap();
        for error in [PatchTokenizer::open(&path).unwrap_err(), facts(&path).unwrap_err()] {
            assert_eq!(error.exit_status(), 3);
        }
        assert!(PatchTokenizer::open(&folder.path().join("absent")).is_err());
    }
}
