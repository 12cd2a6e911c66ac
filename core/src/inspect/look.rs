//! Showing a data set to a network: images are fitted, normalized and gathered into batches of one size.

use rayon::prelude::*;

use super::encoder::{Images, Pool, feature_width, features};
use crate::augment::{Area, Resizer, fit, prepare_eval};
use crate::dataset::{Dataset, Limits, Picture, Unreadable};
use crate::error::{Error, Result};
use crate::method::Network;
use crate::recipe::Recipe;

/// How an image is brought to a size that has whole patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Sides that are multiples of the patch stay; any other image is scaled so that its shorter side is the network's, sides rounded to
    /// multiples of the patch.
    Keep,
    /// Stretched to the network's size.
    Stretch,
    /// Scaled and center-cropped to the network's size, as evaluation protocols do.
    Crop,
}

/// An image ready for a network.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its index in the data set.
    pub sample: usize,
    /// Normalized, `[H, W, C]`.
    pub values: Vec<f32>,
    /// H in pixels.
    pub height: usize,
    /// W in pixels.
    pub width: usize,
    /// Height of the source in pixels.
    pub source_height: usize,
    /// Width of the source in pixels.
    pub source_width: usize,
}

/// Reads and fits one image.
///
/// # Errors
/// [`Error::Data`] naming the file.
pub fn prepare(dataset: &Dataset, sample: usize, recipe: &Recipe, how: Fit) -> Result<Prepared> {
    let picture = dataset.decode(sample, &Limits::default())?;
    let data = &recipe.data;
    let (height, width) = match how {
        Fit::Crop => data.image.into(),
        Fit::Keep | Fit::Stretch => fit(picture.height, picture.width, data.image, recipe.backbone.step(), how == Fit::Stretch),
    };
    let (source_height, source_width) = (picture.height, picture.width);
    let values = match how {
        Fit::Crop => {
            let (mean, std) = data.normalization();
            prepare_eval(&picture, height, width, data.channels, &mean, &std)
        }
        Fit::Keep | Fit::Stretch => normalized(&picture, height, width, recipe),
    };
    let values = values.map_err(|reason| Error::data(dataset.root.join(&dataset.items[sample].name), reason, "leave the image out"))?;
    Ok(Prepared { sample, values, height, width, source_height, source_width })
}

fn normalized(picture: &Picture, height: usize, width: usize, recipe: &Recipe) -> Result<Vec<f32>, String> {
    let data = &recipe.data;
    let (mean, std) = data.normalization();
    let mut values = vec![0.0; height * width * data.channels];
    if (picture.height, picture.width) == (height, width) {
        picture.write_normalized(data.channels, &mean, &std, &mut values)?;
    } else {
        let resized = Resizer::new().resize(picture, Area::whole(picture), height, width, data.channels)?;
        resized.write_normalized(data.channels, &mean, &std, &mut values)?;
    }
    Ok(values)
}

/// What the recipe's network is shown of normalized images: all of them, or what its target leaves. Shapes: `[B, H, W, C]` to the same.
pub fn shown(recipe: &Recipe, images: Vec<f32>) -> Vec<f32> {
    let (mean, std) = recipe.data.normalization();
    // Where views are compared, there is no target of this kind.
    recipe.target().ok().and_then(|target| target.shown(&images, &mean, &std)).unwrap_or(images)
}

/// Images of a batch at most.
const BATCH: usize = 32;

/// Shows images to `look` in batches of one size, in order, as the network is shown them and as they are; decoding runs ahead of it on all
/// threads. Returns what could not be read.
///
/// # Errors
/// What `look` returns.
pub fn for_each_batch(
    dataset: &Dataset,
    samples: &[usize],
    recipe: &Recipe,
    how: Fit,
    mut look: impl FnMut(&Images, &[Prepared]) -> Result<()>,
) -> Result<Vec<Unreadable>> {
    let mut unreadable = Vec::new();
    for chunk in samples.chunks(2 * BATCH) {
        let read: Vec<_> = chunk.par_iter().map(|&sample| (sample, prepare(dataset, sample, recipe, how))).collect();
        let mut prepared = Vec::new();
        for (sample, result) in read {
            match result {
                Ok(image) => prepared.push(image),
                Err(Error::Data { reason, .. }) => unreadable.push(Unreadable { path: dataset.items[sample].name.clone(), reason }),
                Err(other) => return Err(other),
            }
        }
        for batch in prepared.chunk_by(|a, b| (a.height, a.width) == (b.height, b.width)) {
            for batch in batch.chunks(BATCH) {
                let values = batch.iter().flat_map(|image| image.values.iter().copied()).collect();
                let values = shown(recipe, values);
                look(&Images { values, batch: batch.len(), height: batch[0].height, width: batch[0].width }, batch)?;
            }
        }
    }
    Ok(unreadable)
}

/// Features of many images.
#[derive(Debug, Clone, Default)]
pub struct Features {
    /// `[n, D]`, or `[n, N, D]` for patches.
    pub values: Vec<f32>,
    /// D
    pub width: usize,
    /// N, for patches.
    pub patches: Option<usize>,
    /// The images' indices, in order.
    pub samples: Vec<usize>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Features of a data set's images after block `layer`.
///
/// # Errors
/// If the layer does not exist, the device fails, or patches are asked of images of different sizes.
pub fn embed_all(
    network: &Network,
    recipe: &Recipe,
    dataset: &Dataset,
    samples: &[usize],
    how: Fit,
    layer: i64,
    pool: Pool,
) -> Result<Features> {
    let mut all = Features { width: feature_width(network, layer)?, ..Features::default() };
    all.unreadable = for_each_batch(dataset, samples, recipe, how, |images, prepared| {
        let values = features(network, images, layer, pool)?;
        let patches = values.len() / (all.width * images.batch).max(1);
        if pool == Pool::Patches && *all.patches.get_or_insert(patches) != patches {
            let name = &dataset.items[prepared[0].sample].name;
            return Err(Error::Usage(format!("{name} has another number of patches than the first image: use --fit")));
        }
        all.values.extend(values);
        all.samples.extend(prepared.iter().map(|image| image.sample));
        Ok(())
    })?;
    if all.samples.is_empty() {
        return Err(Error::data(&dataset.root, "none of the images can be read", "see `maskroom data inspect`"));
    }
    Ok(all)
}
