//! From bytes of a storage to the numbers of a tensor, in row-major order.

use super::value::Tensor;
use crate::weights::safetensors_file::HostTensor;
use crate::weights::source::{Place, ReadAt, Source};

/// Numbers of one tensor at most; the largest ones in use have a few hundred millions.
const MAX_COUNT: u64 = 1 << 29;
/// Numbers that a tensor of gaps may pass over, besides seven for each of its own.
const MAX_GAP: u64 = 1 << 24;

/// Reads a tensor from the storage at `place`.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read<R: ReadAt>(source: &Source<R>, place: Place, tensor: &Tensor) -> Result<HostTensor, String> {
    let (count, span, size) = (tensor.count(), tensor.span(), tensor.dtype.size());
    if count > MAX_COUNT || span > count.saturating_mul(8).saturating_add(MAX_GAP) {
        return Err(format!("a tensor of {:?} is too large, or its numbers lie too far apart", tensor.shape));
    }
    let (start, length) = (tensor.offset.checked_mul(size), span.checked_mul(size));
    let part = start.zip(length).filter(|&(start, length)| start.checked_add(length).is_some_and(|end| end <= place.size));
    let (start, length) = part.ok_or_else(|| format!("a tensor of {:?} reaches beyond its storage", tensor.shape))?;
    let stored = source.numbers(Place { offset: place.offset.saturating_add(start), size: length }, tensor.dtype)?;
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
