//! From attention to masks: which head, how much of its mass, which components.

use std::str::FromStr;

use super::components::{Connectivity, largest_component, remove_small};
use super::mass::mass_mask;
use super::upsample::upsample_mask;
use crate::error::{Error, Result};
use crate::inspect::encoder::{AttentionMaps, Query};

/// Which of a layer's heads makes the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadChoice {
    /// The mean of all heads.
    Mean,
    /// One head.
    One(usize),
    /// For every patch the strongest head, each head's map summing to one first.
    Composite,
    /// The head that overlaps the ground truth best on half of the images.
    Best,
}

impl FromStr for HeadChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" => Ok(Self::Mean),
            "composite" => Ok(Self::Composite),
            "best" => Ok(Self::Best),
            number => {
                number.parse().map(Self::One).map_err(|_| format!("`{text}` is no head: use mean, composite, best or a number from 0"))
            }
        }
    }
}

/// The map of an image, `[N]`, that the choice makes of its heads. `Best` must have been resolved before.
///
/// # Errors
/// [`Error::Usage`] for a head or a query that does not exist.
pub fn map_of(maps: &AttentionMaps, image: usize, query: Query, choice: HeadChoice) -> Result<Vec<f32>> {
    let head = |head: usize| maps.query(image, head, query);
    let merge = |merge: &dyn Fn(f32, f32) -> f32, normalize: bool| -> Result<Vec<f32>> {
        let mut merged = vec![0.0_f32; maps.grid[0] * maps.grid[1]];
        for index in 0..maps.heads {
            let map = head(index)?;
            let total: f32 = if normalize { map.iter().sum() } else { 1.0 };
            merged.iter_mut().zip(map.iter()).for_each(|(sum, value)| *sum = merge(*sum, value / total.max(f32::MIN_POSITIVE)));
        }
        Ok(merged)
    };
    match choice {
        HeadChoice::One(index) if index < maps.heads => Ok(head(index)?.to_vec()),
        HeadChoice::One(index) => {
            Err(Error::Usage(format!("there is no head {index}: this layer has {}, use 0 to {}", maps.heads, maps.heads - 1)))
        }
        HeadChoice::Mean => merge(&|sum, value| sum + value / maps.heads as f32, false),
        HeadChoice::Composite => merge(&f32::max, true),
        HeadChoice::Best => Err(Error::Usage("the best head is chosen with ground truth, and this data has none: name a head".into())),
    }
}

/// How a map becomes a mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskRule {
    /// The share of the map's mass that is kept.
    pub mass: f64,
    /// The mask is what is left of the image instead: where a head looks at the background, that is the objects.
    pub inverted: bool,
    /// Components of fewer pixels are dropped.
    pub min_area_px: usize,
    /// Only the largest component is kept.
    pub largest_only: bool,
}

impl MaskRule {
    /// The mask of a map, at the source's size. Shapes: `map [N]` on `grid` to `[H, W]`.
    pub fn mask(&self, map: &[f32], grid: [usize; 2], size: [usize; 2]) -> Vec<bool> {
        let kept: Vec<bool> = mass_mask(map, self.mass).into_iter().map(|kept| kept != self.inverted).collect();
        self.cleaned(upsample_mask(&kept, grid, size), size)
    }

    /// The mask `[H, W]` with nothing but the components that are to be kept.
    pub fn cleaned(&self, mut mask: Vec<bool>, size: [usize; 2]) -> Vec<bool> {
        if self.min_area_px > 1 {
            mask = remove_small(&mask, size, Connectivity::Eight, self.min_area_px);
        }
        if self.largest_only { largest_component(&mask, size, Connectivity::Eight) } else { mask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_heads() -> AttentionMaps {
        // One image, two heads, one class token and a 1x2 grid: only the class token's row matters here.
        let head = |first: f32, second: f32| [vec![0.0, first, second], vec![0.0; 6]].concat();
        AttentionMaps { values: [head(0.3, 0.1), head(0.1, 0.3)].concat(), batch: 1, heads: 2, tokens: 3, prefix: 1, grid: [1, 2] }
    }

    #[test]
    fn heads_are_chosen_and_merged() {
        let maps = two_heads();
        let map = |choice| map_of(&maps, 0, Query::Cls, choice).unwrap();
        assert_eq!(map(HeadChoice::One(1)), [0.1, 0.3]);
        assert!(map(HeadChoice::Mean).iter().all(|value| (value - 0.2).abs() < 1e-6));
        assert!(map(HeadChoice::Composite).iter().all(|value| (value - 0.75).abs() < 1e-6));
        assert!(map_of(&maps, 0, Query::Cls, HeadChoice::One(2)).unwrap_err().to_string().contains("0 to 1"));
        assert!(map_of(&maps, 0, Query::Patch(0, 2), HeadChoice::Mean).is_err());
    }

    #[test]
    fn the_rule_keeps_the_mass_at_the_source_size() {
        let rule = MaskRule { mass: 0.6, inverted: false, min_area_px: 0, largest_only: false };
        let mask = rule.mask(&[0.7, 0.1, 0.1, 0.1], [2, 2], [4, 4]);
        assert_eq!(mask.iter().filter(|&&kept| kept).count(), 4);
        assert!(mask[0] && mask[1] && mask[4] && mask[5]);
    }
}
