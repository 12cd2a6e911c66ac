//! What a target has to know before training, such as principal components: measured once when a run is prepared, kept in its folder, and
//! in every file of weights, so that resuming and looking at results never measure again.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::data::TrainingData;
use crate::backbone::patch_embed::patchify;
use crate::error::{Error, Result};
use crate::method::masked_batch::ImageShape;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::run::RunFolder;
use crate::target::Sample;
use crate::weights::safetensors_file::{self, TensorMap};

/// Images that a target is measured on at most.
const IMAGES: usize = 1024;

/// Measures the recipe's target on the images that train; the recipe is left with what it then needs to say. Empty for most targets, for
/// which nothing is read.
///
/// # Errors
/// Unreadable data, or what the target itself finds wrong.
pub fn measure(data: &Path, recipe: &mut Recipe) -> Result<TensorMap> {
    if recipe.compares_views() {
        return Ok(TensorMap::new());
    }
    let target = recipe.target()?;
    let patches = |count: usize| sample_patches(&TrainingData::open(data, recipe)?, recipe, count);
    let measured = target.measure(&Sample::new(recipe, &patches))?;
    target.settle(&mut recipe.target.knobs);
    Ok(measured)
}

/// Writes what was measured into the folder of a run.
///
/// # Errors
/// If it cannot be written.
pub fn write(run: &RunFolder, measured: &TensorMap) -> Result<()> {
    if measured.is_empty() { Ok(()) } else { safetensors_file::write(&run.target_path(), measured, &BTreeMap::new()) }
}

/// What was measured when a run was prepared.
///
/// # Errors
/// If the file is damaged.
pub fn read(run: &RunFolder) -> Result<TensorMap> {
    let path = run.target_path();
    if path.is_file() { safetensors_file::read(&path).map(|(measured, _)| measured) } else { Ok(TensorMap::new()) }
}

/// About `count` normalized patches, equally many of each of some images that are spread evenly over those that train: `[n, P·P·C]`. Images
/// that cannot be read are left out.
fn sample_patches(data: &TrainingData, recipe: &Recipe, count: usize) -> Result<Vec<f32>> {
    let ImageShape { height, width, channels, patch } = recipe.shape();
    let (values, num_patches) = (recipe.shape().patch_values(), recipe.shape().num_patches());
    let images = data.train.len().min(IMAGES);
    let per_image = count.div_ceil(images.max(1)).clamp(1, num_patches);
    let of_image = |place: usize| {
        let sample = data.train[place * data.train.len() / images];
        let patches = patchify(&data.look(sample, recipe)?, height, width, channels, patch);
        let order = Stream::new(recipe.seed, 0, sample as u64, Purpose::Measure).permutation(num_patches);
        Some(order[..per_image].iter().flat_map(|&id| &patches[id * values..][..values]).copied().collect::<Vec<f32>>())
    };
    let patches: Vec<f32> = (0..images).into_par_iter().filter_map(of_image).collect::<Vec<_>>().concat();
    if patches.is_empty() {
        let first = data.train.first().map_or_else(String::new, |&sample| data.source.name(sample));
        return Err(Error::data(first, "neither this image nor any other can be read", "see `maskroom data inspect`"));
    }
    Ok(patches)
}
