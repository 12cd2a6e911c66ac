//! Gumbel noise: the code that has the highest score after it is added is a draw from the scores' softmax (Gumbel, 1954).

use rayon::prelude::*;

use crate::random::{Purpose, Stream};

/// Noise for one step, a function of (seed, step, place in the batch). Shape: `[batch, per_sample]`.
pub fn noise(seed: u64, step: u64, batch: usize, per_sample: usize) -> Vec<f32> {
    let mut noise = vec![0.0; batch * per_sample];
    noise.par_chunks_mut(per_sample.max(1)).enumerate().for_each(|(sample, noise)| {
        let mut stream = Stream::new(seed, step, sample as u64, Purpose::Gumbel);
        for pair in noise.chunks_mut(2) {
            let bits = stream.next_u64();
            pair.iter_mut().zip([bits, bits >> 32]).for_each(|(value, bits)| *value = gumbel(bits));
        }
    });
    noise
}

/// A Gumbel number from 23 bits, which make a uniform one that is neither 0 nor 1.
fn gumbel(bits: u64) -> f32 {
    const STEPS: f32 = (1 << 23) as f32;
    let uniform = ((bits & ((1 << 23) - 1)) as f32 + 0.5) / STEPS;
    -(-uniform.ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_moments_of_gumbels_distribution_and_no_end() {
        let noise = noise(1, 2, 8, 20_001);
        let count = noise.len() as f64;
        let mean = noise.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = noise.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 0.577_215_7).abs() < 0.01 && (variance - std::f64::consts::PI.powi(2) / 6.0).abs() < 0.03, "{mean} {variance}");
        assert!([0, (1 << 23) - 1, u64::MAX].into_iter().all(|bits| gumbel(bits).is_finite()));
    }

    #[test]
    fn every_step_and_sample_has_its_own() {
        let first = noise(1, 0, 2, 4);
        assert_ne!(first[..4], first[4..]);
        assert_eq!(first[..4], noise(1, 0, 1, 4));
        assert_ne!(first, noise(1, 1, 2, 4));
    }
}
