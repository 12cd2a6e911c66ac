//! Attention to masks for every image of a data set: what the command line exports at once and the window shows for review first.

use rayon::prelude::*;

use super::attention::{HeadChoice, MaskRule, map_of};
use super::components::{Connectivity, connected_components};
use super::objects::Finder;
use super::upsample::upsample_mask;
use crate::dataset::{Dataset, Unreadable};
use crate::error::Result;
use crate::evaluate::attention::Where;
use crate::export::{ImageMasks, Instance};
use crate::inspect::encoder::keys;
use crate::inspect::look::{Fit, Prepared, for_each_batch};
use crate::method::Network;
use crate::recipe::Recipe;

/// Which attention becomes a mask, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskSource {
    /// Block and query.
    pub place: Where,
    /// Which head; never [`HeadChoice::Best`], which needs ground truth: choose with [`crate::evaluate::attention::attention_jaccard`].
    pub head: HeadChoice,
    /// From a map to a mask.
    pub rule: MaskRule,
}

/// Makes the mask of every image in `samples` and hands it to `each` at the source's size `[H, W]`, in order. Returns what could not be
/// read.
///
/// # Errors
/// What `each` returns; a layer or head that does not exist; a device that fails.
pub fn for_each_mask(
    network: &Network,
    recipe: &Recipe,
    dataset: &Dataset,
    samples: &[usize],
    how: Fit,
    source: &MaskSource,
    mut each: impl FnMut(&Prepared, Vec<bool>) -> Result<()>,
) -> Result<Vec<Unreadable>> {
    source.place.check(network)?;
    for_each_batch(dataset, samples, recipe, how, |images, prepared| {
        let maps = source.place.maps(network, images)?;
        for (index, image) in prepared.iter().enumerate() {
            let map = map_of(&maps, index, source.place.query, source.head)?;
            each(image, source.rule.mask(&map, maps.grid, [image.source_height, image.source_width]))?;
        }
        Ok(())
    })
}

/// Finds the objects of every image in `samples` among the keys of block `layer`, and hands their masks to `each` at the source's size
/// `[H, W]`, in order. Returns what could not be read.
///
/// # Errors
/// What `each` returns; a pyramid, or a layer that does not exist; a device that fails.
pub fn for_each_object(
    network: &Network,
    recipe: &Recipe,
    dataset: &Dataset,
    samples: &[usize],
    how: Fit,
    (finder, layer): (Finder, i64),
    mut each: impl FnMut(&Prepared, Vec<Vec<bool>>) -> Result<()>,
) -> Result<Vec<Unreadable>> {
    for_each_batch(dataset, samples, recipe, how, |images, prepared| {
        let (keys, grid) = keys(network, images, layer)?;
        let found: Vec<_> = keys.par_chunks_exact(keys.len() / images.batch).map(|keys| finder.find(keys, grid)).collect();
        for (image, masks) in prepared.iter().zip(found) {
            let size = [image.source_height, image.source_width];
            each(image, masks.iter().map(|mask| upsample_mask(mask, grid, size)).collect())?;
        }
        Ok(())
    })
}

/// Masks of several objects as they are exported, each an instance.
pub fn image_objects(name: &str, [height, width]: [usize; 2], masks: Vec<Vec<bool>>) -> ImageMasks {
    let is_object = |pixel: usize| masks.iter().any(|mask| mask[pixel]);
    let labels = (0..height * width).map(|pixel| u8::from(is_object(pixel))).collect();
    let instances = masks.into_iter().filter(|mask| mask.contains(&true)).map(|mask| Instance { category: 1, mask }).collect();
    ImageMasks { file_name: name.to_owned(), height, width, labels, instances }
}

/// A mask as it is exported: one instance, or one for every connected component.
pub fn image_masks(name: &str, [height, width]: [usize; 2], mask: Vec<bool>, split: bool) -> ImageMasks {
    let labels = mask.iter().map(|&kept| u8::from(kept)).collect();
    let instances = if split {
        let components = connected_components(&mask, [height, width], Connectivity::Eight);
        let count = components.areas.len() as u32;
        (1..=count).map(|label| Instance { category: 1, mask: components.mask(|this, _| this == label) }).collect()
    } else if mask.contains(&true) {
        vec![Instance { category: 1, mask }]
    } else {
        Vec::new()
    };
    ImageMasks { file_name: name.to_owned(), height, width, labels, instances }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_instances_when_asked_for() {
        let mask = vec![true, false, true, true, false, false];
        let whole = image_masks("a.png", [2, 3], mask.clone(), false);
        assert_eq!((whole.instances.len(), &whole.labels), (1, &vec![1, 0, 1, 1, 0, 0]));
        assert_eq!(image_masks("a.png", [2, 3], mask, true).instances.len(), 2);
        assert!(image_masks("a.png", [1, 2], vec![false; 2], false).instances.is_empty());
    }
}
