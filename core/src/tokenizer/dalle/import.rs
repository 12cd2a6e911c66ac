//! The published `encoder.pkl` and `decoder.pkl`, each a whole network as `torch.save` writes it, as a tokenizer. Their `state_dict`s and
//! safetensors of these serve as well, below any names.

use std::path::Path;

use burn::tensor::Device;

use super::layout::{self, Part};
use super::{DallE, Sizes};
use crate::error::{Error, Result};
use crate::tokenizer::file;
use crate::weights::safetensors_file::{self, TensorMap};
use crate::weights::torch_file;

/// What every such network has, below any names.
pub(crate) const FIRST: &str = "blocks.input.w";

/// A tokenizer made of files.
#[derive(Debug)]
pub struct Imported {
    /// Its sizes.
    pub sizes: Sizes,
    /// Whether its codes can be drawn.
    pub has_decoder: bool,
    pub(super) tensors: TensorMap,
}

/// Whether a file of PyTorch holds a network whose names are those of DALL-E's encoder or decoder.
pub fn is_dalle(path: &Path) -> bool {
    let is_first = |name: &String| name.strip_suffix(FIRST).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    torch_file::is_torch_file(path) && torch_file::open(path).is_ok_and(|file| file.contents.tensors.keys().any(is_first))
}

/// Reads an encoder, and a decoder if there is one.
///
/// # Errors
/// [`Error::Data`] naming the file that cannot be read or is something else.
pub fn import(encoder: &Path, decoder: Option<&Path>) -> Result<Imported> {
    let (device, mut tensors) = (Device::flex(), read(encoder, Part::Encoder)?);
    let half = |tensors: &TensorMap, path: &Path, part: Part| layout::half(tensors, part, &device).map_err(|reason| unfit(path, &reason));
    let own = half(&tensors, encoder, Part::Encoder)?;
    let drawing = match decoder {
        Some(path) => {
            tensors.extend(read(path, Part::Decoder)?);
            Some(half(&tensors, path, Part::Decoder)?)
        }
        None => None,
    };
    let network = DallE::joined(own, drawing, device.clone()).map_err(|reason| unfit(decoder.unwrap_or(encoder), &reason))?;
    Ok(Imported { sizes: network.sizes(), has_decoder: network.has_decoder(), tensors })
}

impl Imported {
    /// Writes it to a file, in one atomic step; equal files give equal ones.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        file::save_dalle(path, self.sizes, self.has_decoder, &self.tensors)
    }
}

/// The tensors of a network by their names in a tokenizer's file.
fn read(path: &Path, part: Part) -> Result<TensorMap> {
    let tensors = tensors_of(path)?;
    let networks: Vec<(&str, Option<Part>)> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(FIRST))
        .filter(|before| before.is_empty() || before.ends_with('.'))
        .map(|before| (before, Part::of(&tensors, before)))
        .collect();
    let Some(&(prefix, _)) = networks.iter().find(|(_, found)| *found == Some(part)) else {
        let wanted = part.name();
        return Err(match networks.iter().find_map(|(_, found)| *found) {
            Some(other) => Error::data(
                path,
                format!("it is a network like DALL-E's {}, where the {wanted} is expected", other.name()),
                "give the encoder first, and the decoder by --decoder",
            ),
            None => unfit(path, &format!("it has no {wanted}'s first block")),
        });
    };
    let prefix = prefix.to_owned();
    let own = tensors.into_iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(&prefix).filter(|name| name.starts_with("blocks."))?;
        Some((format!("{}{name}", part.prefix()), tensor))
    });
    Ok(own.collect())
}

fn tensors_of(path: &Path) -> Result<TensorMap> {
    let is_safetensors = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    if is_safetensors && !torch_file::is_torch_file(path) {
        return Ok(safetensors_file::read(path)?.0);
    }
    let file = torch_file::open(path)?;
    let read = |(name, tensor): (&String, &torch_file::Tensor)| match file.read(tensor) {
        Ok(read) => Ok((name.clone(), read)),
        Err(reason) => Err(Error::data(path, format!("{name}: {reason}"), "use another copy of the file")),
    };
    file.contents.tensors.iter().filter(|(_, tensor)| tensor.is_real()).map(read).collect()
}

fn unfit(path: &Path, reason: &str) -> Error {
    Error::data(
        path,
        format!("it is not a network of DALL-E's make: {reason}"),
        "use the encoder.pkl and decoder.pkl that DALL-E's authors published",
    )
}
