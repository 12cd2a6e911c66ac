//! Checkpoints of PyTorch (`torch.save`), in the zip format and in that of before version 1.6, read with suspicion.
//!
//! Such a file is a program for a stack machine (a pickle) and the numbers of tensors. Whoever runs the program with Python's `pickle` does
//! what its author wanted, which may be anything. Here, a [machine](machine) of our own reads it: it makes tensors, plain containers and
//! records, [refuses](calls) to make anything else, and calls nothing. Numbers are read when they are asked for.

mod calls;
mod contents;
#[cfg(test)]
pub(super) mod hand_made;
mod legacy;
mod machine;
mod numbers;
#[cfg(test)]
mod tests;
mod value;
mod zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use contents::{Contents, Setting};
use machine::Pickle;
pub use value::Tensor;
use value::Value;

use super::dtype::Dtype;
use super::safetensors_file::HostTensor;
use super::source::{Place, ReadAt, Source};
use crate::error::{Error, Result};

/// Pickles are no longer than this: what is long in a checkpoint, its numbers, lies beside them.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// Numbers that all tensors of a file may have besides one for each of its bytes. More than those are there only if tensors repeat them.
const MAX_REPEATED: u64 = 1 << 20;

/// An open checkpoint.
#[derive(Debug)]
pub struct TorchFile<R = File> {
    source: Source<R>,
    /// What it holds.
    pub contents: Contents,
    /// Which of its two formats it has, in words.
    pub format: &'static str,
    storages: BTreeMap<Arc<str>, Place>,
}

/// Whether a file begins like a checkpoint of PyTorch's.
pub fn is_torch_file(path: &Path) -> bool {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .is_ok_and(|_| start.starts_with(b"PK\x03\x04") || legacy::is_start(&start))
}

/// Opens a file.
///
/// # Errors
/// [`Error::Data`] if it is damaged, or asks for what is no tensor or plain container.
pub fn open(path: &Path) -> Result<TorchFile> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    TorchFile::new(file).map_err(|reason| {
        let cure = if reason.starts_with(calls::ASKS) {
            "save the weights alone, by `torch.save(model.state_dict(), …)`, or as safetensors"
        } else {
            "use another copy of the file, as `torch.save` wrote it"
        };
        Error::data(path, format!("not a readable PyTorch checkpoint: {reason}"), cure)
    })
}

impl<R: ReadAt> TorchFile<R> {
    /// Reads what a file describes, and no numbers.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn new(reader: R) -> Result<Self, String> {
        let source = Source::new(reader).map_err(|error| error.to_string())?;
        let is_zip = source.start(4)?.starts_with(b"PK\x03\x04");
        let (pickle, storages) = if is_zip { Self::of_zip(&source)? } else { legacy::read(&source)? };
        check_storages(&pickle, &storages)?;
        let contents = contents::of(&pickle)?;
        let count = contents.tensors.values().fold(0_u64, |count, tensor| count.saturating_add(tensor.count()));
        if count > source.size().saturating_add(MAX_REPEATED) {
            return Err("its tensors have far more numbers than the file: they repeat the same ones again and again".into());
        }
        let format = if is_zip { "PyTorch" } else { "PyTorch, the format of before version 1.6" };
        Ok(Self { source, contents, format, storages })
    }

    /// Entries below a folder of any name: `data.pkl`, `byteorder`, and `data/KEY` for each storage.
    fn of_zip(source: &Source<R>) -> Result<(Pickle, BTreeMap<Arc<str>, Place>), String> {
        const PICKLE: &str = "data.pkl";
        let entries = zip::entries(source)?;
        let main = entries.iter().filter(|entry| entry.name.rsplit('/').next() == Some(PICKLE)).min_by_key(|entry| entry.name.len());
        let main = main.ok_or("it is a zip file without a `data.pkl`, which `torch.save` writes")?;
        let folder = main.name.strip_suffix(PICKLE).unwrap_or_default();
        let named = |name: &str| entries.iter().find(|entry| entry.name.strip_prefix(folder) == Some(name));
        if named("constants.pkl").is_some() {
            return Err(format!("{}a program of TorchScript, which is not weights alone", calls::ASKS));
        }
        if let Some(order) = named("byteorder") {
            let place = order.place(source)?;
            if place.size > 16 || source.read(place)? != b"little" {
                return Err("its numbers are not written with the least byte first".into());
            }
        }
        let place = main.place(source)?;
        if place.size > MAX_PICKLE_BYTES {
            return Err(format!("its pickle has {} MiB", place.size >> 20));
        }
        let pickle = machine::run(&source.read(place)?)?;
        let data = format!("{folder}data/");
        let mut storages = BTreeMap::new();
        for entry in &entries {
            if let Some(key) = entry.name.strip_prefix(&data) {
                storages.insert(key.into(), entry.place(source)?);
            }
        }
        Ok((pickle, storages))
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn read(&self, tensor: &Tensor) -> Result<HostTensor, String> {
        let place = self.storages.get(&tensor.key).copied().ok_or_else(|| format!("storage `{}` is missing", tensor.key))?;
        numbers::read(&self.source, place, tensor)
    }
}

/// Every storage is there, as long as it is said to be.
fn check_storages(pickle: &Pickle, places: &BTreeMap<Arc<str>, Place>) -> Result<(), String> {
    for value in pickle.values.iter() {
        let Value::Storage(storage) = value else { continue };
        let size = storage.dtype.map_or(1, Dtype::size);
        let place = places.get(&storage.key).ok_or_else(|| format!("it is truncated: storage `{}` is missing", storage.key))?;
        let wanted = storage.first.checked_add(storage.count).and_then(|count| count.checked_mul(size));
        if wanted.is_none_or(|wanted| wanted > place.size) {
            return Err(format!(
                "storage `{}` has {} bytes, and {} numbers of {size} bytes are said to be in it",
                storage.key, place.size, storage.count
            ));
        }
    }
    Ok(())
}
