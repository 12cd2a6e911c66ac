//! Writing and reading safetensors. Written here rather than by the crate because two equal runs must give equal bytes: keys are sorted
//! and the header holds nothing but the tensors and the metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::files;

/// A tensor on the host: its shape and its values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// `values` must hold as many numbers as `shape` says.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        Self { shape, values }
    }
}

/// Tensors by name.
pub type TensorMap = BTreeMap<String, HostTensor>;

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

/// Headers longer than this are no headers.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads the metadata alone, however large the file.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let damaged = || Error::data(path, "not a readable safetensors file", "use another copy of the file");
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| damaged())?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    file.take(length.min(MAX_HEADER_BYTES)).read_to_end(&mut header).map_err(Error::io("read", path))?;
    let header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| damaged())?;
    let metadata = header.get("__metadata__").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(metadata).map_err(|_| damaged())
}

/// Reads all tensors as f32 (f16 and bf16 are widened, f64 is narrowed) and the metadata.
pub fn read(path: &Path) -> Result<(TensorMap, BTreeMap<String, String>)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let damaged = |reason: String| Error::data(path, format!("not a readable safetensors file: {reason}"), "use another copy of the file");
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let mut map = TensorMap::new();
    for (name, view) in tensors.iter() {
        let values = match view.dtype() {
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Dtype::F16 => view.data().as_chunks::<2>().0.iter().map(|&bytes| f32_from_f16(u16::from_le_bytes(bytes))).collect(),
            Dtype::BF16 => view.data().as_chunks::<2>().0.iter().map(|&[low, high]| f32::from_le_bytes([0, 0, low, high])).collect(),
            Dtype::F64 => view.data().as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
            _ => continue, // counters and the like; a missing parameter is reported by name where it is needed
        };
        map.insert(name.to_owned(), HostTensor { shape: view.shape().to_vec(), values });
    }
    Ok((map, metadata))
}

/// A number of 16 bits (IEEE 754 half precision) as one of 32.
pub(super) fn f32_from_f16(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, (bits >> 10) & 0x1f, f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2.0_f32.powi(i32::from(exponent) - 15),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_and_equal_inputs_give_equal_bytes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        let tensors = TensorMap::from([
            ("b".to_owned(), HostTensor::new([2, 2], vec![1.0, -2.5, f32::MIN_POSITIVE, 4.0])),
            ("a".to_owned(), HostTensor::new([0], vec![])),
        ]);
        let metadata = BTreeMap::from([("step".to_owned(), "7".to_owned()), ("recipe".to_owned(), "x = \"1\"\n".to_owned())]);
        write(&path, &tensors, &metadata).expect("a written file");
        assert_eq!(read(&path).expect("a read file"), (tensors.clone(), metadata.clone()));
        assert_eq!(read_metadata(&path).expect("a read header"), metadata);
        assert_eq!(to_bytes(&tensors, &metadata), to_bytes(&tensors.clone(), &metadata.clone()));
        std::fs::write(&path, b"garbage").expect("a written file");
        assert_eq!(read_metadata(&path).expect_err("garbage is refused").exit_status(), 3);
        assert_eq!(read(&path).expect_err("garbage is refused").exit_status(), 3);
    }

    #[test]
    fn half_precision_is_widened() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0)] {
            assert_eq!(f32_from_f16(bits), value);
        }
        assert!(f32_from_f16(0x7e00).is_nan() && f32_from_f16(0xfc00) == f32::NEG_INFINITY);
    }
}
