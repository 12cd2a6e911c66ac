//! How much of a code book is in use.

/// How often each code was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    counts: Vec<u64>,
}

impl Usage {
    /// Of so many codes, none yet.
    pub fn new(codes: usize) -> Self {
        Self { counts: vec![0; codes] }
    }

    /// Counts choices.
    pub fn add(&mut self, ids: &[usize]) {
        for &id in ids {
            if let Some(count) = self.counts.get_mut(id) {
                *count += 1;
            }
        }
    }

    /// How many codes, all chosen equally often, would be as hard to guess: the exponential of the entropy. 1 when nothing was counted.
    pub fn perplexity(&self) -> f64 {
        let total = self.counts.iter().sum::<u64>() as f64;
        let shares = self.counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
        shares.map(|share| -share * share.ln()).sum::<f64>().exp()
    }

    /// Codes that were never chosen.
    pub fn dead(&self) -> usize {
        self.counts.iter().filter(|&&count| count == 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perplexity_counts_codes_by_how_evenly_they_are_used() {
        let mut usage = Usage::new(8);
        assert_eq!((usage.perplexity(), usage.dead()), (1.0, 8));
        usage.add(&[1, 3, 5, 7]);
        assert!((usage.perplexity() - 4.0).abs() < 1e-12 && usage.dead() == 4);
        usage.add(&[1; 10_000]);
        assert!(usage.perplexity() < 1.01 && usage.dead() == 4);
    }
}
