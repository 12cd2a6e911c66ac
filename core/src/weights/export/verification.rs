//! What was written, read again: every number must be the one that went out, in as many bits as it was written with.

use std::path::Path;

use super::{Format, Made, Options};
use crate::error::{Error, Result};
use crate::weights::model_file::Weights;
use crate::weights::narrow::rounded;
use crate::weights::precision::Precision;
use crate::weights::safetensors_file::{HostTensor, SafetensorsFile};

/// What was found.
pub(super) struct Found {
    /// How far a number is from the one of 32 bits that went out, at most.
    pub largest_difference: f32,
    /// What could not be looked at.
    pub note: Option<String>,
}

/// Reads a file of weights in the folder that it belongs to, tensor by tensor, and then as a person would who opens it in Maskroom.
///
/// # Errors
/// [`Error::Failed`] if a number is another one. The file is as it should be, so that a failure is Maskroom's, or the disk's.
pub(super) fn verify(file: &Path, made: &Made, options: &Options) -> Result<Found> {
    let written = SafetensorsFile::open(file)?;
    let mut largest_difference = 0.0_f32;
    for (name, tensor) in &made.tensors {
        let found = written.tensor(name).ok_or_else(|| failed(name, "is not there"))?.map_err(|reason| failed(name, &reason))?;
        compare(name, &found, tensor, options.precision)?;
        let differences = found.values.iter().zip(&tensor.values).map(|(found, value)| (found - value).abs());
        // Where there was no number, the difference is none either.
        largest_difference = differences.fold(largest_difference, f32::max);
    }
    let note = match Weights::open(file) {
        Ok(opened) => come_back(&opened, made, options)?,
        Err(error) if options.format == Format::Maskroom => return Err(error),
        Err(Error::Data { reason, .. }) => Some(reason),
        Err(other) => Some(other.to_string()),
    };
    let in_words =
        |reason| format!("every tensor came back as it was written, but Maskroom does not take the whole for this network: {reason}");
    Ok(Found { largest_difference, note: note.map(in_words) })
}

/// Whether opened weights are those that went out; why not, if they are taken for another network.
fn come_back(opened: &Weights, made: &Made, options: &Options) -> Result<Option<String>> {
    for (name, tensor) in &made.carried {
        let Some(found) = opened.tensor(name)? else { return Ok(Some(format!("{name} is not there"))) };
        if found.shape != tensor.shape {
            return Ok(Some(format!("{name} is {:?} instead of {:?}", found.shape, tensor.shape)));
        }
        compare(name, &found, tensor, options.precision)?;
    }
    Ok(None)
}

fn failed(name: &str, what: &str) -> Error {
    Error::Failed(format!("what was written was read again, and {name} {what}; nothing is left of it: check the disk, and try once more"))
}

/// Whether a tensor is what is left of another in a precision.
fn compare(name: &str, found: &HostTensor, tensor: &HostTensor, precision: Precision) -> Result<()> {
    if found.shape != tensor.shape {
        return Err(failed(name, &format!("is {:?} instead of {:?}", found.shape, tensor.shape)));
    }
    let differs = |(found, value): (&f32, &f32)| {
        let wanted = rounded(*value, precision);
        *found != wanted && !(found.is_nan() && wanted.is_nan())
    };
    match found.values.iter().zip(&tensor.values).position(differs) {
        Some(place) => Err(failed(name, &format!("has {} for {} at {place}", found.values[place], tensor.values[place]))),
        None => Ok(()),
    }
}
