//! Safetensors: a header that names the tensors, and their numbers. Written and read here rather than by the crate: writing gives equal bytes
//! for equal tensors, and reading takes no more of a file into memory than is asked for, and nothing in it for granted.

mod header;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

pub use read::{SafetensorsFile, read, read_metadata};
pub use write::{to_bytes, write, write_to};

pub(super) use write::write_as;

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
