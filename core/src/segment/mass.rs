//! The mass rule of DINO: keep the strongest cells that together hold a share of a map's mass (Caron et al., 2021,
//! `visualize_attention.py`), and what a random mask would score.

use std::str::FromStr;

/// The share of the mass that DINO's figures keep.
pub const DEFAULT_MASS: f64 = 0.6;

/// How much of a map's mass its mask keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MassChoice {
    /// This share of it.
    Share(f64),
    /// The one of [`MassChoice::CANDIDATES`] that overlaps the ground truth best, chosen together with the head. Heads of networks that
    /// trained for minutes hold most of their mass in a few patches of an object, and cover it only with more than 60 %.
    Best,
}

impl MassChoice {
    /// The shares that are tried, the published one first.
    pub const CANDIDATES: [f64; 6] = [DEFAULT_MASS, 0.7, 0.8, 0.85, 0.9, 0.95];

    /// The shares to try.
    pub fn shares(self) -> Vec<f64> {
        match self {
            Self::Share(share) => vec![share],
            Self::Best => Self::CANDIDATES.to_vec(),
        }
    }
}

impl FromStr for MassChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Self::Share(share)),
            _ if text == "best" => Ok(Self::Best),
            _ => Err(format!("`{text}` is no share of the mass: use a number above 0 and up to 1, such as 0.6, or best")),
        }
    }
}

/// Keeps the largest cells of `map` that together hold at least `mass` of its sum, with at most one cell too many.
///
/// Cells are sorted ascending, equal ones by index, and summed in `f64`; a cell is kept if the running share is strictly above
/// `1 - mass`. Negative and non-finite cells hold no mass and are never kept; a map without mass keeps nothing. `mass` is clamped to
/// `0..=1`.
pub fn mass_mask(map: &[f32], mass: f64) -> Vec<bool> {
    let value = |index: usize| {
        let value = f64::from(map[index]);
        if value.is_finite() && value > 0.0 { value } else { 0.0 }
    };
    let total: f64 = (0..map.len()).map(value).sum();
    let mut keep = vec![false; map.len()];
    if total <= 0.0 || mass.is_nan() || mass <= 0.0 {
        return keep;
    }
    let mut order: Vec<usize> = (0..map.len()).collect();
    // A stable sort, so that equal cells stay in the order of their indices.
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let threshold = 1.0 - mass.min(1.0);
    let mut share = 0.0;
    for index in order {
        share += value(index) / total;
        keep[index] = share > threshold;
    }
    keep
}

/// The expected intersection over union of a random mask that covers the share `p` of an image with an object that covers the share
/// `f`: `p f / (p + f - p f)`; 0 if both are empty.
pub fn random_mask_iou(p: f64, f: f64) -> f64 {
    let union = p + f - p * f;
    if union > 0.0 { p * f / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn bits(mask: &[bool]) -> Vec<u8> {
        mask.iter().map(|&kept| u8::from(kept)).collect()
    }

    #[test]
    fn golden_g8() {
        assert_eq!(bits(&mass_mask(&[0.05, 0.30, 0.10, 0.25, 0.20, 0.10], 0.6)), [0, 1, 0, 1, 1, 0]);
        assert_eq!(bits(&mass_mask(&[0.7; 5], 0.6)), [0, 0, 1, 1, 1]);
        assert_eq!(bits(&mass_mask(&[2.0, 1.0, 1.0], 0.6)), [1, 0, 1]);
    }

    #[test]
    fn golden_g9() {
        for (f, expected) in [(0.1, 0.094), (0.2, 0.176), (0.25, 0.214), (0.3, 0.250), (0.5, 0.375)] {
            assert!((random_mask_iou(0.6, f) - expected).abs() < 5e-4, "{f}");
        }
        assert_eq!(random_mask_iou(0.0, 0.0), 0.0);
        assert_eq!(random_mask_iou(1.0, 1.0), 1.0);
    }

    #[test]
    fn the_random_expectation_is_what_random_masks_score() {
        let mut stream = Stream::new(1, 0, 0, Purpose::Mask);
        let (n, object) = (20_000, 6_000);
        let kept: Vec<bool> = (0..n).map(|_| stream.chance(0.6)).collect();
        let inter = kept[..object].iter().filter(|&&k| k).count() as f64;
        let union = object as f64 + kept[object..].iter().filter(|&&k| k).count() as f64;
        assert!((inter / union - random_mask_iou(0.6, 0.3)).abs() < 0.01);
    }

    #[test]
    fn kept_mass_reaches_the_share_and_overshoots_by_less_than_one_cell() {
        for case in 0..200 {
            let mut stream = Stream::new(2, 0, case, Purpose::Mask);
            let n = 1 + stream.below(300);
            let mass = stream.range(0.05, 0.95);
            let map: Vec<f32> = (0..n).map(|_| stream.unit().powi(3) as f32 + 1e-6).collect();
            let keep = mass_mask(&map, mass);
            let total: f64 = map.iter().map(|&v| f64::from(v)).sum();
            let kept: Vec<f64> = (0..n).filter(|&i| keep[i]).map(|i| f64::from(map[i]) / total).collect();
            let (sum, least) = (kept.iter().sum::<f64>(), kept.iter().copied().fold(f64::INFINITY, f64::min));
            assert!(sum >= mass - 1e-9 && sum - least <= mass + 1e-9, "case {case}: {sum} of {mass}");
            let most_dropped = (0..n).filter(|&i| !keep[i]).map(|i| f64::from(map[i]) / total).fold(0.0, f64::max);
            assert!(least >= most_dropped, "case {case}");
        }
    }

    #[test]
    fn odd_maps_have_defined_masks() {
        assert!(mass_mask(&[], 0.6).is_empty());
        assert_eq!(bits(&mass_mask(&[0.0; 4], 0.6)), [0; 4]);
        assert_eq!(bits(&mass_mask(&[f32::NAN, f32::INFINITY, -3.0, 1.0, 0.0], 0.6)), [0, 0, 0, 1, 0]);
        assert_eq!(bits(&mass_mask(&[f32::NAN; 3], 0.6)), [0; 3]);
        assert_eq!(bits(&mass_mask(&[1.0, 2.0, 0.0], 1.0)), [1, 1, 0]);
        assert_eq!(bits(&mass_mask(&[1.0, 2.0], 0.0)), [0, 0]);
        assert_eq!(bits(&mass_mask(&[1.0, 2.0], f64::NAN)), [0, 0]);
        assert_eq!(bits(&mass_mask(&[f32::MAX; 5], 0.6)), [0, 0, 1, 1, 1]);
    }
}
