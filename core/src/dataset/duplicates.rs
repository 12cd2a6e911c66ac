//! Images that look alike, found by a perceptual hash without comparing every pair.
//!
//! An image's fingerprint is a 64-bit difference hash (is each of 8×8 cells brighter than its right neighbor?) and a 16×16 color
//! thumbnail. Two images are near duplicates when at most four bits differ and their thumbnails agree: gray patterns correlate above 0.97
//! (brightness and contrast may differ), and mean colors are close. The thumbnail keeps apart images that merely share a large structure.
//!
//! * Without all pairs: among hashes that differ in at most four bits, one of five bands of the bits is equal (pigeonhole), so only images
//!   that share a band are compared.
//! * An image without contrast has no pattern to compare: all one-colored images share one hash, and noise decides the rest. Such images are
//!   near duplicates of nothing; only equal bytes make them duplicates.

use std::collections::HashMap;

use super::picture::UnitImage;

/// Bits in which the hashes of near duplicates differ at most.
const MAX_DISTANCE: u32 = 4;
/// The smallest standard deviation, of gray in 0..1, of a thumbnail that has a pattern.
const LEAST_CONTRAST: f32 = 0.01;
/// The smallest correlation of the gray thumbnails of near duplicates.
const LEAST_CORRELATION: f32 = 0.97;
/// The largest difference of the mean colors of near duplicates, in 0..1.
const MOST_COLOR_SHIFT: f32 = 0.15;
/// Side of a thumbnail.
const SIDE: usize = 16;

/// What is kept of an image to find its near duplicates.
#[derive(Debug, Clone)]
pub(super) struct Fingerprint {
    hash: u64,
    /// The gray thumbnail with mean 0 and length 1.
    pattern: Box<[f32]>,
    color: [f32; 3],
}

impl Fingerprint {
    /// The side of the thumbnail that [`Fingerprint::new`] wants.
    pub(super) const SIDE: usize = SIDE;

    /// From a `[16, 16, 3]` thumbnail. Nothing for an image without contrast.
    pub(super) fn new(thumbnail: &UnitImage) -> Option<Self> {
        let gray: Vec<f32> = thumbnail.pixels.chunks_exact(3).map(|pixel| 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]).collect();
        let count = gray.len() as f32;
        let mean = gray.iter().sum::<f32>() / count;
        let length = gray.iter().map(|value| (value - mean).powi(2)).sum::<f32>().sqrt();
        if gray.len() != SIDE * SIDE || length / count.sqrt() < LEAST_CONTRAST {
            return None;
        }
        let pattern = gray.iter().map(|value| (value - mean) / length).collect();
        let color = std::array::from_fn(|channel| thumbnail.pixels.iter().skip(channel).step_by(3).sum::<f32>() / count);
        Some(Self { hash: difference_hash(&gray), pattern, color })
    }

    fn resembles(&self, other: &Self) -> bool {
        let correlation: f32 = self.pattern.iter().zip(&other.pattern).map(|(a, b)| a * b).sum();
        (self.hash ^ other.hash).count_ones() <= MAX_DISTANCE
            && correlation >= LEAST_CORRELATION
            && self.color.iter().zip(&other.color).all(|(a, b)| (a - b).abs() <= MOST_COLOR_SHIFT)
    }
}

/// 8 × 8 cells of 2 × 2 pixels; each is compared with the next in its row, the last with the first.
fn difference_hash(gray: &[f32]) -> u64 {
    let cell = |row: usize, column: usize| -> f32 {
        let corner = row * 2 * SIDE + column * 2;
        gray[corner] + gray[corner + 1] + gray[corner + SIDE] + gray[corner + SIDE + 1]
    };
    (0..64).fold(0, |hash, bit| hash << 1 | u64::from(cell(bit / 8, bit % 8) > cell(bit / 8, (bit % 8 + 1) % 8)))
}

/// The groups of near duplicates, as ascending positions in `prints`, in order of their first members. Resembling the same image makes two
/// images members of one group.
pub(super) fn groups(prints: &[Option<Fingerprint>]) -> Vec<Vec<usize>> {
    let mut sets = DisjointSets { parents: (0..prints.len()).collect() };
    for band in 0..5 {
        // 13 + 13 + 13 + 13 + 12 bits.
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, print) in prints.iter().enumerate() {
            let Some(print) = print else { continue };
            let bucket = buckets.entry(print.hash >> (13 * band) & 0x1FFF).or_default();
            for &other in &*bucket {
                let known = sets.root(index) == sets.root(other);
                if !known && prints[other].as_ref().is_some_and(|other| other.resembles(print)) {
                    sets.join(index, other);
                }
            }
            bucket.push(index);
        }
    }
    let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
    for index in 0..prints.len() {
        groups.entry(sets.root(index)).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    groups
}

/// Which positions belong together (union-find with path halving).
struct DisjointSets {
    parents: Vec<usize>,
}

impl DisjointSets {
    fn root(&mut self, mut index: usize) -> usize {
        while self.parents[index] != index {
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn print(hash: u64) -> Option<Fingerprint> {
        Some(Fingerprint { hash, pattern: [0.6, 0.8].into(), color: [0.5; 3] })
    }

    #[test]
    fn all_pairs_within_four_bits_are_found_and_no_others() {
        let mut stream = Stream::new(2, 0, 0, Purpose::Bench);
        let mut hashes = Vec::new();
        for _ in 0..200 {
            let base = stream.next_u64();
            hashes.push(base);
            for distance in [3, 4, 5] {
                let mut bits = stream.permutation(64);
                bits.truncate(distance);
                hashes.push(bits.iter().fold(base, |hash, bit| hash ^ 1 << bit));
            }
        }
        let prints: Vec<_> = hashes.iter().map(|&hash| print(hash)).collect();
        let mut sets = DisjointSets { parents: (0..hashes.len()).collect() };
        for a in 0..hashes.len() {
            (0..a).filter(|&b| (hashes[a] ^ hashes[b]).count_ones() <= 4).for_each(|b| sets.join(a, b));
        }
        let together = |groups: &[Vec<usize>], a, b| groups.iter().any(|group| group.contains(&a) && group.contains(&b));
        let found = groups(&prints);
        for a in 0..hashes.len() {
            for b in (a.saturating_sub(6))..a {
                assert_eq!(together(&found, a, b), sets.root(a) == sets.root(b), "{a} {b}");
            }
        }
        assert!(found.iter().all(|group| group.is_sorted()) && found.len() >= 200);
    }

    #[test]
    fn a_hundred_thousand_take_no_time() {
        let mut stream = Stream::new(3, 0, 0, Purpose::Bench);
        let prints: Vec<_> = (0..100_000).map(|_| print(stream.next_u64())).collect();
        let start = std::time::Instant::now();
        assert!(groups(&prints).is_empty());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    #[test]
    fn one_colored_images_have_no_fingerprint() {
        let flat = |value| UnitImage { height: 16, width: 16, channels: 3, pixels: vec![value; 768] };
        assert!(Fingerprint::new(&flat(0.2)).is_none());
        let mut noisy = flat(0.5);
        noisy.pixels.iter_mut().enumerate().for_each(|(place, value)| *value += (place % 7) as f32 * 0.001);
        assert!(Fingerprint::new(&noisy).is_none());
    }
}
