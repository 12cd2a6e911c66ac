//! How a model's images are normalized: as `preprocessor_config.json` says, else as its family usually is.

use std::path::Path;

use serde_json::Value;

use super::fields::Fields;
use crate::error::Result;

/// Mean and deviation of each channel, pixels from 0 to 1.
pub(super) type Normalization = (Vec<f64>, Vec<f64>);

/// What published ViTs and BEiTs, and all image processors that are told nothing, use for each channel.
pub(super) const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);
/// What published ViTMAEs and Swins say in their `preprocessor_config.json`.
pub(super) const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

const FILE: &str = "preprocessor_config.json";

/// The normalization of a folder's images.
///
/// # Errors
/// [`Error::Data`](crate::error::Error::Data) naming the field that makes no sense.
pub(super) fn read(folder: &Path, channels: usize, usual: ([f64; 3], [f64; 3])) -> Result<Normalization> {
    let usual = if channels == 3 { (usual.0.to_vec(), usual.1.to_vec()) } else { (vec![0.5; channels], vec![0.5; channels]) };
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(usual);
    }
    let fields = Fields::read(&path)?;
    let factor = if fields.flag_or("do_rescale", true)? { fields.real_or("rescale_factor", 1.0 / 255.0, 1e-9..=1e9)? } else { 1.0 };
    let (mean, std) = if fields.flag_or("do_normalize", true)? {
        (list(&fields, "image_mean", usual.0)?, list(&fields, "image_std", usual.1)?)
    } else {
        (vec![0.0; channels], vec![1.0; channels])
    };
    if std.iter().any(|&std| std <= 0.0) {
        return Err(fields.misfit("image_std", fields.get("image_std"), "above 0"));
    }
    // The processor normalizes bytes times the factor, Maskroom bytes over 255.
    let white = 255.0 * factor;
    let white = if (white - 1.0).abs() < 1e-9 { 1.0 } else { white };
    let of_white = |values: Vec<f64>| values.into_iter().map(|value| value / white).collect();
    Ok((of_white(mean), of_white(std)))
}

/// A number for each channel, written as a list or as one for all.
fn list(fields: &Fields, key: &str, usual: Vec<f64>) -> Result<Vec<f64>> {
    let wanted = format!("{} numbers, one for each channel", usual.len());
    match fields.get(key) {
        None => Ok(usual),
        Some(Value::Number(number)) => Ok(vec![number.as_f64().unwrap_or_default(); usual.len()]),
        Some(value @ Value::Array(numbers)) if numbers.len() == usual.len() => {
            let numbers: Option<Vec<f64>> = numbers.iter().map(Value::as_f64).collect();
            numbers.ok_or_else(|| fields.misfit(key, Some(value), &wanted))
        }
        value => Err(fields.misfit(key, value, &wanted)),
    }
}
