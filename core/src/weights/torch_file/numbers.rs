//! From bytes of a storage to the numbers of a tensor, in row-major order.

use std::io::{Read, Seek};

use super::source::{Place, Source};
use super::value::{Dtype, Tensor};
use crate::weights::safetensors_file::{HostTensor, f32_from_f16};

/// Numbers of one tensor at most; the largest ones in use have a few hundred millions.
const MAX_COUNT: u64 = 1 << 29;
/// Numbers that a tensor of gaps may pass over, besides seven for each of its own.
const MAX_GAP: u64 = 1 << 24;

/// Reads a tensor from the storage at `place`.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read<R: Read + Seek>(source: &mut Source<R>, place: Place, tensor: &Tensor) -> Result<HostTensor, String> {
    let (count, span, size) = (tensor.count(), tensor.span(), tensor.dtype.size());
    if count > MAX_COUNT || span > count.saturating_mul(8).saturating_add(MAX_GAP) {
        return Err(format!("a tensor of {:?} is too large, or its numbers lie too far apart", tensor.shape));
    }
    let (start, length) = (tensor.offset.checked_mul(size), span.checked_mul(size));
    let part = start.zip(length).filter(|&(start, length)| start.checked_add(length).is_some_and(|end| end <= place.size));
    let (start, length) = part.ok_or_else(|| format!("a tensor of {:?} reaches beyond its storage", tensor.shape))?;
    let bytes = source.read(Place { offset: place.offset.saturating_add(start), size: length })?;
    let stored = decoded(&bytes, tensor.dtype)?;
    drop(bytes);
    let values = if is_in_order(tensor) { stored } else { gathered(&stored, tensor, count as usize) };
    if values.len() as u64 != count {
        return Err(format!("a tensor of {:?} has {} numbers", tensor.shape, values.len()));
    }
    Ok(HostTensor::new(tensor.shape.clone(), values))
}

/// Numbers follow one another as they do in the result; sides of 1 have any stride.
fn is_in_order(tensor: &Tensor) -> bool {
    let mut expected = 1_u64;
    let mut fits = |(&side, &stride): (&usize, &u64)| {
        let fits = side == 1 || stride == expected;
        expected = expected.saturating_mul(side as u64);
        fits
    };
    tensor.count() == 0 || tensor.shape.iter().zip(&tensor.strides).rev().all(&mut fits)
}

fn gathered(stored: &[f32], tensor: &Tensor, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0_usize; tensor.shape.len()];
    let mut at = 0_u64;
    while values.len() < count {
        values.extend(stored.get(at as usize));
        let mut dimension = tensor.shape.len();
        loop {
            // The last one has gone through all its sides: that was the last number.
            let Some(next) = dimension.checked_sub(1) else { return values };
            dimension = next;
            index[dimension] += 1;
            at += tensor.strides[dimension];
            if index[dimension] < tensor.shape[dimension] {
                break;
            }
            at -= tensor.strides[dimension] * index[dimension] as u64;
            index[dimension] = 0;
        }
    }
    values
}

fn decoded(bytes: &[u8], dtype: Dtype) -> Result<Vec<f32>, String> {
    Ok(match dtype {
        Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |bytes| f32_from_f16(u16::from_le_bytes(bytes))),
        Dtype::Bf16 => each(bytes, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        Dtype::I32 => each(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
        Dtype::I16 => each(bytes, |bytes| f32::from(i16::from_le_bytes(bytes))),
        Dtype::I8 => each(bytes, |bytes| f32::from(i8::from_le_bytes(bytes))),
        Dtype::U8 => each(bytes, |[byte]| f32::from(byte)),
        Dtype::Bool => each(bytes, |[byte]| f32::from(u8::from(byte != 0))),
        Dtype::Other(size) => return Err(format!("a tensor is of numbers of {size} bytes that no weights are made of")),
    })
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| number(bytes)).collect()
}
