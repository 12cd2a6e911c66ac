//! Randomness that does not depend on threads: every decision is a function of (seed, epoch, sample, purpose).
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, 2014), written out here because recipes promise the same masks and crops for
//! ever, and a library may change how it turns bits into numbers.

/// What a stream of numbers is for, so that two decisions about the same sample never share bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Which patches are masked.
    Mask = 1,
    /// Where an image is cropped and whether it is flipped.
    Crop = 2,
    /// Which residual branches are dropped.
    DropPath = 3,
    /// The order of an epoch.
    Shuffle = 4,
    /// Initial weights.
    Init = 5,
    /// Toy scenes.
    Toy = 6,
    /// Which images are held out, or which half of them chooses.
    Split = 7,
    /// The fixed masks of validation and previews.
    Validation = 8,
    /// Stand-in data of a benchmark or a probe.
    Bench = 9,
    /// What a target is measured on before training.
    Measure = 10,
    /// The noise that makes a choice of codes differentiable.
    Gumbel = 11,
    /// How large the masked blocks of a batch are.
    MaskSize = 12,
    /// How colors are changed, and what is blurred.
    Color = 13,
    /// What stands in a queue before anything has been put there.
    Queue = 14,
    /// Which puzzle is made of an image.
    Pretext = 15,
    /// Along which directions a batch of answers is looked at.
    Slices = 16,
    /// Which images a probe looks at during training.
    Probe = 17,
}

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
    is_blank: bool,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The seed of what is decided anew for each of several views of a sample; the first view's is the seed itself.
pub fn seed_of_view(seed: u64, view: usize) -> u64 {
    if view == 0 { seed } else { mix(seed ^ mix((view as u64).wrapping_add(GOLDEN))) }
}

impl Stream {
    /// The stream of one decision.
    pub fn new(seed: u64, epoch: u64, sample: u64, purpose: Purpose) -> Self {
        let key = [seed, epoch, sample, purpose as u64]
            .iter()
            .fold(0x6D61_736B_726F_6F6D, |key, &part| mix(key ^ mix(part.wrapping_add(GOLDEN))));
        Self { state: key, is_blank: false }
    }

    /// A stream for initial weights that are replaced before anybody looks at them: zeros take their places, as nobody draws millions of
    /// numbers in vain.
    pub fn blank() -> Self {
        Self { state: 0, is_blank: true }
    }

    /// Whether what is drawn from it is for nobody.
    pub fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`; `low` if the interval is empty.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller's transform).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A random order of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_every_part_and_repeat() {
        let first = |seed, epoch, sample, purpose| Stream::new(seed, epoch, sample, purpose).next_u64();
        let base = first(1, 2, 3, Purpose::Mask);
        assert_eq!(base, first(1, 2, 3, Purpose::Mask));
        for other in [
            first(2, 2, 3, Purpose::Mask),
            first(1, 3, 3, Purpose::Mask),
            first(1, 2, 4, Purpose::Mask),
            first(1, 2, 3, Purpose::Crop),
            first(2, 1, 3, Purpose::Mask),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn numbers_have_the_moments_they_should() {
        let mut stream = Stream::new(7, 0, 0, Purpose::Bench);
        let n = 100_000;
        let (mut mean, mut square, mut counts) = (0.0, 0.0, [0_usize; 7]);
        for _ in 0..n {
            let x = stream.normal();
            mean += x / n as f64;
            square += x * x / n as f64;
            counts[stream.below(7)] += 1;
        }
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03, "{mean} {square}");
        assert!(counts.iter().all(|&count| (count as f64 / n as f64 - 1.0 / 7.0).abs() < 0.01), "{counts:?}");
    }

    #[test]
    fn views_have_seeds_of_their_own() {
        let seeds: std::collections::BTreeSet<u64> = (0..4).flat_map(|seed| (0..12).map(move |view| seed_of_view(seed, view))).collect();
        assert!(seeds.len() == 48 && seed_of_view(7, 0) == 7);
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(0, 0, 0, Purpose::Shuffle).permutation(50);
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
