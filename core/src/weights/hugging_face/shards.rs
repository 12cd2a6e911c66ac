//! The tensors of a folder: in one file, in several that an index lists, or in one of PyTorch's.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::weights::published::listing::Listing;
use crate::weights::safetensors_file::SafetensorsFile;

/// All weights in one file.
pub(super) const WHOLE: &str = "model.safetensors";
/// The same as older versions of the library wrote it, by `torch.save`.
pub(super) const OF_TORCH: &str = "pytorch_model.bin";
const INDEX: &str = "model.safetensors.index.json";

/// All tensors, of which no numbers are read yet.
///
/// # Errors
/// [`Error::Data`] if there are none, or a part is missing or damaged.
pub(super) fn read(folder: &Path) -> Result<Listing> {
    let [whole, index, of_torch] = [WHOLE, INDEX, OF_TORCH].map(|name| folder.join(name));
    if whole.is_file() {
        return Listing::of_parts(&whole, vec![SafetensorsFile::open(&whole)?]);
    }
    if !index.is_file() && of_torch.is_file() {
        return Ok(Listing::read(&of_torch)?.of_weights_alone());
    }
    if !index.is_file() {
        let reason = format!("there is a config.json, and neither {WHOLE} nor {INDEX} nor {OF_TORCH} beside it");
        return Err(Error::data(folder, reason, "save the model again by `save_pretrained`, which writes safetensors"));
    }
    let mut files = Vec::new();
    for part in parts(&Fields::read(&index)?)? {
        let part = folder.join(part);
        if !part.is_file() {
            return Err(Error::data(part, format!("{INDEX} lists this part, and it is not there"), "fetch all parts of the model"));
        }
        files.push(SafetensorsFile::open(&part)?);
    }
    Listing::of_parts(&index, files)
}

/// The files that an index lists.
///
/// # Errors
/// [`Error::Data`] if it lists none, or what is no file in the same folder.
pub(super) fn parts(index: &Fields) -> Result<BTreeSet<String>> {
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err(index.misfit("weight_map", index.get("weight_map"), "a table of tensors and files"));
    };
    let file = |value: &Value| {
        let name = value.as_str().filter(|name| Path::new(name).file_name().is_some_and(|last| last == *name));
        name.map(str::to_owned).ok_or_else(|| index.misfit("weight_map", Some(value), "the name of a file in the same folder"))
    };
    map.values().map(file).collect()
}
