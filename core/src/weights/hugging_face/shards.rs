//! The tensors of a folder: in one file, in several that an index lists, or in one of PyTorch's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::weights::safetensors_file::{self, TensorMap};
use crate::weights::torch_file;

/// All weights in one file.
pub(super) const WHOLE: &str = "model.safetensors";
/// The same as older versions of the library wrote it, by `torch.save`.
pub(super) const OF_TORCH: &str = "pytorch_model.bin";
const INDEX: &str = "model.safetensors.index.json";

/// All tensors, and the file that stands for them.
///
/// # Errors
/// [`Error::Data`] if there are none, or a part is missing or damaged.
pub(super) fn read(folder: &Path) -> Result<(PathBuf, TensorMap)> {
    let (whole, index) = (folder.join(WHOLE), folder.join(INDEX));
    if whole.is_file() {
        let (tensors, _) = safetensors_file::read(&whole)?;
        return Ok((whole, tensors));
    }
    let of_torch = folder.join(OF_TORCH);
    if !index.is_file() && of_torch.is_file() {
        let tensors = torch_file::open(&of_torch)?.read_all(&of_torch)?;
        return Ok((of_torch, tensors));
    }
    if !index.is_file() {
        let reason = format!("there is a config.json, and neither {WHOLE} nor {INDEX} nor {OF_TORCH} beside it");
        return Err(Error::data(folder, reason, "save the model again by `save_pretrained`, which writes safetensors"));
    }
    let mut tensors = TensorMap::new();
    for part in parts(&Fields::read(&index)?)? {
        let part = folder.join(part);
        if !part.is_file() {
            return Err(Error::data(part, format!("{INDEX} lists this part, and it is not there"), "fetch all parts of the model"));
        }
        tensors.append(&mut safetensors_file::read(&part)?.0);
    }
    Ok((index, tensors))
}

/// The files that an index lists.
fn parts(index: &Fields) -> Result<BTreeSet<String>> {
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err(index.misfit("weight_map", index.get("weight_map"), "a table of tensors and files"));
    };
    let file = |value: &Value| {
        let name = value.as_str().filter(|name| Path::new(name).file_name().is_some_and(|last| last == *name));
        name.map(str::to_owned).ok_or_else(|| index.misfit("weight_map", Some(value), "the name of a file in the same folder"))
    };
    map.values().map(file).collect()
}
