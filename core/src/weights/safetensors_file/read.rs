//! Reading safetensors: names, shapes and metadata when a file is opened, numbers when they are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::header::{self, Header};
use super::{HostTensor, TensorMap};
use crate::error::{Error, Result};
use crate::weights::source::{ReadAt, Source};

/// An open file. Tensors of numbers that weights are not made of, counters and the like, are checked and passed over: a missing parameter is
/// reported by name where it is needed.
#[derive(Debug)]
pub struct SafetensorsFile<R = File> {
    source: Source<R>,
    header: Header,
}

impl SafetensorsFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Data`] if anything of its header is not as it must be.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(File::open(path).map_err(Error::io("read", path))?).map_err(|reason| damaged(path, &reason))
    }
}

impl<R: ReadAt> SafetensorsFile<R> {
    /// Reads the header.
    pub(in crate::weights) fn new(reader: R) -> Result<Self, String> {
        let source = Source::new(reader).map_err(|error| error.to_string())?;
        let header = header::read(&source)?;
        Ok(Self { source, header })
    }

    /// Words beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// Names and shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.header.tensors.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// A tensor as f32: f16 and bf16 are widened, f64 is narrowed. `None` if there is none of that name.
    ///
    /// # Errors
    /// Why it cannot be read, and nothing that was wrong when the file was opened.
    pub fn tensor(&self, name: &str) -> Option<Result<HostTensor, String>> {
        let entry = self.header.tensors.get(name)?;
        let values = self.source.numbers(entry.place, entry.dtype);
        Some(values.map(|values| HostTensor::new(entry.shape.as_slice(), values)))
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::data(path, format!("not a readable safetensors file: {reason}"), "use another copy of the file")
}

/// Reads the metadata alone, however large the file.
///
/// # Errors
/// As [`SafetensorsFile::open`].
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(SafetensorsFile::open(path)?.header.metadata)
}

/// Reads all tensors as f32 (f16 and bf16 are widened, f64 is narrowed) and the metadata.
///
/// # Errors
/// As [`SafetensorsFile::open`], and if the file cannot be read to its end.
pub fn read(path: &Path) -> Result<(TensorMap, BTreeMap<String, String>)> {
    let file = SafetensorsFile::open(path)?;
    let read = |(name, _): (&str, &[usize])| Some(file.tensor(name)?.map(|tensor| (name.to_owned(), tensor)));
    let tensors = file.shapes().filter_map(read).collect::<Result<_, _>>().map_err(|reason| damaged(path, &reason))?;
    Ok((tensors, file.header.metadata))
}
