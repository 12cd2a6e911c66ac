//! Writing safetensors. Two equal runs must give equal bytes: keys are sorted and the header holds nothing but the tensors and the metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::TensorMap;
use crate::error::Result;
use crate::files;
use crate::weights::narrow;
use crate::weights::precision::Precision;

/// Serializes tensors and metadata; equal inputs give equal bytes.
pub fn to_bytes(tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut bytes = header(tensors, &BTreeSet::new(), Precision::F32, metadata);
    bytes.reserve_exact(tensors.values().map(|tensor| tensor.values.len() * 4).sum());
    for tensor in tensors.values() {
        if cfg!(target_endian = "little") {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.values));
        } else {
            tensor.values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
    }
    bytes
}

/// Writes tensors in a precision, and counters: whole numbers that PyTorch's networks have beside their tensors, here zero.
pub fn write_as(
    writer: &mut dyn Write,
    tensors: &TensorMap,
    counters: &BTreeSet<String>,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> std::io::Result<()> {
    writer.write_all(&header(tensors, counters, precision, metadata))?;
    counters.iter().try_for_each(|_| writer.write_all(&0_i64.to_le_bytes()))?;
    tensors.values().try_for_each(|tensor| narrow::write(writer, &tensor.values, precision))
}

/// The length of the header and the header, padded to a multiple of eight bytes. Counters come first: PyTorch wants theirs at such a
/// multiple.
fn header(tensors: &TensorMap, counters: &BTreeSet<String>, precision: Precision, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut begin = 0;
    let mut add = |name: &String, dtype: &str, shape: &[usize], length: usize| {
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + length]}));
        begin += length;
    };
    counters.iter().for_each(|name| add(name, "I64", &[], 8));
    let (dtype, bytes) = precision.dtype();
    tensors.iter().for_each(|(name, tensor)| add(name, dtype, &tensor.shape, tensor.values.len() * bytes));
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

/// Writes a file in one atomic step.
pub fn write(path: &Path, tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> Result<()> {
    files::write_atomic(path, &to_bytes(tensors, metadata))
}

/// Writes to an open file, for files that become part of a folder that is renamed as a whole.
pub fn write_to(writer: &mut dyn Write, tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> std::io::Result<()> {
    writer.write_all(&to_bytes(tensors, metadata))
}
