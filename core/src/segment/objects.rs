//! Objects from the keys of a plain transformer's last block, without any training: LOST, TokenCut and MaskCut. All of them look at which
//! patches are like which; masks are of patches, and no border is refined.

use std::str::FromStr;

use super::components::{Connectivity, connected_components};
use crate::target::principal_components::leading_eigenvectors;

/// A way to find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finder {
    /// The patch that is like the fewest others, and what is like it (Siméoni et al., *Localizing Objects with Self-Supervised Transformers and
    /// no Labels*, 2021).
    Lost,
    /// The smaller part of a normalized cut (Wang et al., *Self-Supervised Transformers for Unsupervised Object Discovery using Normalized
    /// Cut*, 2022).
    TokenCut,
    /// Up to three such cuts, one after the other (Wang et al., *Cut and Learn for Unsupervised Object Detection and Instance Segmentation*,
    /// 2023); without its random field.
    MaskCut,
}

/// Likeness from which on two patches belong together.
const TOKEN_CUT: f64 = 0.2;
const MASK_CUT: f64 = 0.15;
/// What joins all others, so that the graph does not fall apart.
const LOOSE: f64 = 1e-5;
/// Patches that LOST's seed may grow over.
const CANDIDATES: usize = 100;
/// Objects that MaskCut looks for, the smallest share of an image that is one, and what two may share.
const ROUNDS: usize = 3;
const LEAST_AREA: f64 = 0.01;
const MOST_SHARED: f64 = 0.5;
/// Corners of an image from which on what touches them is the background.
const CORNERS: usize = 3;

impl FromStr for Finder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lost" => Ok(Self::Lost),
            "tokencut" => Ok(Self::TokenCut),
            "maskcut" => Ok(Self::MaskCut),
            other => Err(format!("`{other}` finds no objects: use lost, tokencut or maskcut")),
        }
    }
}

impl Finder {
    /// Masks of objects, the surest first, each `[N]`; at least one unless there are no patches. `keys` is `[N, D]`, patches of `grid` in raster
    /// order.
    pub fn find(self, keys: &[f32], grid: [usize; 2]) -> Vec<Vec<bool>> {
        let count = grid[0] * grid[1];
        if count == 0 || keys.len() < count {
            return Vec::new();
        }
        let rows: Vec<Vec<f64>> =
            keys.chunks_exact(keys.len() / count).map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect();
        match self {
            Self::Lost => vec![lost(&rows, grid)],
            Self::TokenCut => vec![token_cut(&rows, grid)],
            Self::MaskCut => mask_cut(rows, grid),
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn lost(keys: &[Vec<f64>], grid: [usize; 2]) -> Vec<bool> {
    let count = keys.len();
    let likeness: Vec<Vec<f64>> = keys.iter().map(|a| keys.iter().map(|b| dot(a, b)).collect()).collect();
    let degree = |patch: usize| (0..count).filter(|&other| other != patch && likeness[patch][other] > 0.0).count();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&patch| degree(patch));
    let seed = order[0];
    let grown: Vec<usize> = order.into_iter().take(CANDIDATES).filter(|&patch| patch == seed || likeness[seed][patch] > 0.0).collect();
    let mask: Vec<bool> =
        (0..count).map(|patch| patch == seed || grown.iter().map(|&one| likeness[one][patch]).sum::<f64>() > 0.0).collect();
    connected_components(&mask, grid, Connectivity::Four).containing(seed)
}

fn token_cut(keys: &[Vec<f64>], grid: [usize; 2]) -> Vec<bool> {
    let vector = second_vector(keys, TOKEN_CUT);
    let seed = place_of_largest(vector.iter().map(|value| value.abs()));
    let mut mask = above_mean(&vector);
    if !mask[seed] {
        mask.iter_mut().for_each(|part| *part = !*part);
    }
    connected_components(&mask, grid, Connectivity::Four).containing(seed)
}

fn mask_cut(mut keys: Vec<Vec<f64>>, grid: [usize; 2]) -> Vec<Vec<bool>> {
    let [rows, cols] = grid;
    let mut found: Vec<Vec<bool>> = Vec::new();
    for _ in 0..ROUNDS {
        let mut vector = second_vector(&keys, MASK_CUT);
        let seed = place_of_largest(vector.iter().map(|value| value.abs()));
        let mask = above_mean(&vector);
        let corners = [0, cols - 1, (rows - 1) * cols, rows * cols - 1];
        let is_background = corners.into_iter().filter(|&corner| mask[corner]).count() >= CORNERS;
        if is_background || !mask[seed] {
            vector.iter_mut().for_each(|value| *value = -*value);
        }
        let seed = place_of_largest(vector.iter().copied());
        let mask = connected_components(&above_mean(&vector), grid, Connectivity::Four).containing(seed);
        let area = mask.iter().filter(|&&kept| kept).count();
        let shares_much = |other: &Vec<bool>| {
            let both = mask.iter().zip(other).filter(|(a, b)| **a && **b).count();
            let either = mask.iter().zip(other).filter(|(a, b)| **a || **b).count();
            both as f64 > MOST_SHARED * either as f64
        };
        // What was found is like nothing from now on.
        keys.iter_mut().zip(&mask).filter(|(_, found)| **found).for_each(|(key, _)| key.iter_mut().for_each(|value| *value = 0.0));
        let is_new = !found.iter().any(shares_much) && area as f64 > LEAST_AREA * mask.len() as f64;
        if is_new || found.is_empty() {
            found.push(mask);
        }
    }
    found
}

/// Of the generalized problem `(D - A) x = λ D x`, the vector of the second smallest λ; of it and its opposite, either. A joins patches whose
/// likeness is above `threshold` by 1, and all others by nearly nothing.
fn second_vector(keys: &[Vec<f64>], threshold: f64) -> Vec<f64> {
    let directions: Vec<Vec<f64>> = keys
        .iter()
        .map(|key| {
            let length = dot(key, key).sqrt().max(1e-12);
            key.iter().map(|value| value / length).collect()
        })
        .collect();
    let joined = |a: &Vec<f64>, b: &Vec<f64>| if dot(a, b) > threshold { 1.0 } else { LOOSE };
    let mut matrix: Vec<Vec<f64>> = directions.iter().map(|a| directions.iter().map(|b| joined(a, b)).collect()).collect();
    let roots: Vec<f64> = matrix.iter().map(|row| row.iter().sum::<f64>().sqrt()).collect();
    // The same as the largest of a symmetric matrix, moved by one so that none is negative.
    for (place, row) in matrix.iter_mut().enumerate() {
        row.iter_mut().zip(&roots).for_each(|(value, root)| *value /= root * roots[place]);
        row[place] += 1.0;
    }
    let wanted = matrix.len().min(2);
    let vector = leading_eigenvectors(&matrix, wanted, 0).pop().unwrap_or_default();
    vector.iter().zip(&roots).map(|(value, root)| value / root).collect()
}

fn above_mean(vector: &[f64]) -> Vec<bool> {
    let mean = vector.iter().sum::<f64>() / vector.len().max(1) as f64;
    vector.iter().map(|&value| value > mean).collect()
}

/// The place of the largest number, the first of equals.
fn place_of_largest(values: impl Iterator<Item = f64>) -> usize {
    values.enumerate().fold((0, f64::NEG_INFINITY), |best, (place, value)| if value > best.1 { (place, value) } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    const GRID: [usize; 2] = [8, 10];

    /// Keys of a scene: rectangles (top, left, height, width), each with a direction of its own, on a background with another, and noise.
    fn scene(rectangles: &[[usize; 4]]) -> (Vec<f32>, Vec<Vec<bool>>) {
        let mut stream = Stream::new(5, 0, 0, Purpose::Bench);
        let inside = |[top, left, height, width]: [usize; 4], patch: usize| {
            let (y, x) = (patch / GRID[1], patch % GRID[1]);
            (top..top + height).contains(&y) && (left..left + width).contains(&x)
        };
        let keys = (0..80).flat_map(|patch| {
            let own = rectangles.iter().position(|&rectangle| inside(rectangle, patch)).map_or(0, |place| place + 1);
            let noise: Vec<f32> = (0..6).map(|_| (stream.normal() * 0.05) as f32).collect();
            noise.into_iter().enumerate().map(move |(axis, noise)| noise + if axis == own { 1.0 } else { -0.15 })
        });
        (keys.collect(), rectangles.iter().map(|&rectangle| (0..80).map(|patch| inside(rectangle, patch)).collect()).collect())
    }

    #[test]
    fn one_object_is_found_by_each() {
        let (keys, truth) = scene(&[[2, 3, 4, 4]]);
        for finder in [Finder::Lost, Finder::TokenCut, Finder::MaskCut] {
            assert_eq!(finder.find(&keys, GRID)[0], truth[0], "{finder:?}");
        }
    }

    #[test]
    fn several_objects_are_found_one_after_the_other() {
        let (keys, truth) = scene(&[[1, 1, 3, 3], [4, 5, 3, 4]]);
        let mut found = Finder::MaskCut.find(&keys, GRID);
        found.truncate(2);
        found.sort();
        let mut truth = truth;
        truth.sort();
        assert_eq!(found, truth);
        assert_eq!(Finder::TokenCut.find(&keys, GRID).len(), 1);
    }

    #[test]
    fn the_cut_is_that_of_the_definition() {
        // Two cliques of unequal size: the vector is constant on each, with opposite signs, and weighted by D it has mean zero.
        let keys: Vec<Vec<f64>> = (0..9).map(|patch| if patch < 3 { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect();
        let vector = second_vector(&keys, 0.5);
        assert!(vector[..3].iter().all(|value| (value - vector[0]).abs() < 1e-6) && vector[0] * vector[8] < 0.0, "{vector:?}");
        let weighted: f64 = vector.iter().enumerate().map(|(patch, value)| value * if patch < 3 { 3.0 } else { 6.0 }).sum();
        assert!(weighted.abs() < 1e-3, "{weighted}");
    }

    #[test]
    fn flat_and_tiny_images_are_no_trouble() {
        for finder in [Finder::Lost, Finder::TokenCut, Finder::MaskCut] {
            assert!(finder.find(&[], [0, 0]).is_empty());
            assert_eq!(finder.find(&[1.0, 2.0], [1, 1])[0].len(), 1);
            assert_eq!(finder.find(&[0.5; 12], [2, 3])[0].len(), 6);
            assert_eq!(finder.find(&[0.0; 12], [2, 3])[0].len(), 6);
        }
    }
}
