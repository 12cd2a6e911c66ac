//! The Jaccard index of a network's attention heads on a data set with ground truth.

use super::jaccard::{JaccardFigures, JaccardOptions, JaccardTally};
use super::overlap::LabelMap;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::inspect::encoder::{AttentionMaps, Images, Query, attention, resolve_layer, rollout};
use crate::inspect::look::{Fit, for_each_batch};
use crate::method::Network;
use crate::recipe::Recipe;
use crate::segment::attention::MaskRule;

/// Which attention is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Where {
    /// The block; negative counts from the end.
    pub layer: i64,
    /// Whose attention.
    pub query: Query,
    /// Rollout over all blocks instead of one block's heads.
    pub rollout: bool,
}

impl Where {
    /// The attention of a batch.
    ///
    /// # Errors
    /// If the layer does not exist or the device fails.
    pub fn maps(&self, network: &Network, images: &Images) -> Result<AttentionMaps> {
        if self.rollout { rollout(network, images) } else { attention(network, images, self.layer) }
    }

    /// The same in every block.
    pub fn in_every_layer(&self, network: &Network) -> Vec<Self> {
        (0..network.encoder().config().num_blocks() as i64).map(|layer| Self { layer, rollout: false, ..*self }).collect()
    }

    /// Refuses a layer that the network does not have.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the layers there are.
    pub fn check(&self, network: &Network) -> Result<()> {
        resolve_layer(self.layer, network.encoder().config().num_blocks()).map(drop)
    }
}

/// Scores every head of every place on the images that have ground truth; `seed` splits them into the half that chooses (the mass too, where
/// that is to be chosen) and the half that scores. Heads are numbered on through the places: with H heads a block, head h of the second place
/// is H + h.
///
/// # Errors
/// If no image has ground truth, or the device fails.
pub fn attention_jaccard(
    network: &Network,
    recipe: &Recipe,
    dataset: &Dataset,
    places: &[Where],
    options: JaccardOptions,
    seed: u64,
) -> Result<JaccardFigures> {
    places.iter().try_for_each(|place| place.check(network))?;
    let samples: Vec<usize> = (0..dataset.items.len()).filter(|&sample| dataset.items[sample].has_truth()).collect();
    if samples.is_empty() {
        let cure = "give a VOC or COCO layout with masks, such as `maskroom data make-toy` writes";
        return Err(Error::data(&dataset.root, "no image has a ground-truth mask", cure));
    }
    let rule = MaskRule { mass: 1.0, inverted: options.inverted, min_area_px: 0, largest_only: false };
    let rules: Vec<_> = options.mass.shares().into_iter().map(|mass| MaskRule { mass, ..rule }).collect();
    let mut tallies: Vec<JaccardTally> = Vec::new();
    for_each_batch(dataset, &samples, recipe, Fit::Keep, |images, prepared| {
        let maps = places.iter().map(|place| place.maps(network, images)).collect::<Result<Vec<_>>>()?;
        for (index, image) in prepared.iter().enumerate() {
            let Some(truth) = dataset.truth(image.sample)? else { continue };
            let size = [truth.height, truth.width];
            // Labels beyond eight bits are objects too, but may not turn into the void label.
            let labels: Vec<u8> = truth.labels.iter().map(|&label| u8::try_from(label).unwrap_or(254)).collect();
            let labels = LabelMap { labels: &labels, height: truth.height, width: truth.width };
            for (position, rule) in rules.iter().enumerate() {
                let heads = maps.iter().zip(places).flat_map(|(maps, place)| (0..maps.heads).map(move |head| (maps, place, head)));
                let masks: Vec<Vec<bool>> = heads
                    .map(|(maps, place, head)| Ok(rule.mask(&maps.query(index, head, place.query)?, maps.grid, size)))
                    .collect::<Result<_>>()?;
                if tallies.len() == position {
                    tallies.push(JaccardTally::new(masks.len(), options, rule.mass)?);
                }
                tallies[position].add(&dataset.items[image.sample].name, labels, &masks)?;
            }
        }
        Ok(())
    })?;
    if tallies.is_empty() {
        return Err(Error::data(&dataset.root, "no image with ground truth can be read", "see `maskroom data inspect`"));
    }
    JaccardTally::finish_best(tallies, seed)
}
