//! Writing safetensors. Two equal runs must give equal bytes: keys are sorted and the header holds nothing but the tensors and the metadata.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::TensorMap;
use crate::error::Result;
use crate::files;

/// Serializes tensors and metadata; equal inputs give equal bytes.
pub fn to_bytes(tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut offset = 0;
    for (name, tensor) in tensors {
        let end = offset + tensor.values.len() * 4;
        header.insert(name.clone(), json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + offset);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for tensor in tensors.values() {
        if cfg!(target_endian = "little") {
            bytes.extend_from_slice(bytemuck::cast_slice(&tensor.values));
        } else {
            tensor.values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
    }
    bytes
}

/// Writes a file in one atomic step.
pub fn write(path: &Path, tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> Result<()> {
    files::write_atomic(path, &to_bytes(tensors, metadata))
}

/// Writes to an open file, for files that become part of a folder that is renamed as a whole.
pub fn write_to(writer: &mut dyn Write, tensors: &TensorMap, metadata: &BTreeMap<String, String>) -> std::io::Result<()> {
    writer.write_all(&to_bytes(tensors, metadata))
}
