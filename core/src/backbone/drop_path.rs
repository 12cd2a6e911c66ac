//! Stochastic depth (Huang et al., 2016): whole residual branches are dropped, sample by sample, and survivors scaled up.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use crate::random::{Purpose, Stream, seed_of_view};

/// Which branches of which samples survive one step, decided by (seed, epoch, key) and by nothing else.
#[derive(Debug, Clone)]
pub struct DropPath {
    /// `[depth][branch]` factors of B samples: 0 or 1/(1 - rate).
    factors: Vec<[Vec<f32>; 2]>,
}

impl DropPath {
    /// Decides for every block of a stack; block i drops with probability `linspace(0, rate, depth)[i]`. The samples are those of `keys`, once
    /// for each of `views`. `None` when nothing is dropped.
    pub fn sample(rate: f64, depth: usize, seed: u64, epoch: u64, keys: &[u64], views: Range<usize>) -> Option<Self> {
        if rate <= 0.0 {
            return None;
        }
        let mut factors: Vec<[Vec<f32>; 2]> = vec![[Vec::new(), Vec::new()]; depth];
        for (seed, &key) in views.flat_map(|view| keys.iter().map(move |key| (seed_of_view(seed, view), key))) {
            let mut stream = Stream::new(seed, epoch, key, Purpose::DropPath);
            for (block, branches) in factors.iter_mut().enumerate() {
                let drop = rate * block as f64 / (depth.max(2) - 1) as f64;
                for branch in branches {
                    branch.push(if stream.chance(drop) { 0.0 } else { (1.0 / (1.0 - drop)) as f32 });
                }
            }
        }
        Some(Self { factors })
    }

    /// What the outputs of a block's two branches are scaled by, `[B]` each; `None` if all survive.
    pub fn factors(&self, block: usize) -> Option<[Vec<f32>; 2]> {
        let factors = &self.factors[block];
        (factors.iter().flatten().any(|&factor| factor != 1.0)).then(|| factors.clone())
    }

    /// Scales a branch's output. Shapes: `x [B, tokens, D]` to the same.
    pub fn apply(drop_path: Option<&Self>, block: usize, branch: usize, x: Tensor<3>) -> Tensor<3> {
        let Some([attention, mlp]) = drop_path.and_then(|drop_path| drop_path.factors(block)) else { return x };
        let factors = if branch == 0 { attention } else { mlp };
        let device: Device = x.device();
        let scale = Tensor::<3>::from_data(TensorData::new(factors, [x.dims()[0], 1, 1]), &device);
        x * scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_with_depth_and_expectation_is_kept() {
        let samples: Vec<u64> = (0..20_000).collect();
        let drop_path = DropPath::sample(0.3, 4, 1, 0, &samples, 0..1).expect("a rate above zero");
        for (block, branches) in drop_path.factors.iter().enumerate() {
            for branch in branches {
                let dropped = branch.iter().filter(|&&factor| factor == 0.0).count() as f64 / branch.len() as f64;
                assert!((dropped - 0.1 * block as f64).abs() < 0.01, "block {block}: {dropped}");
                let mean = branch.iter().sum::<f32>() / branch.len() as f32;
                assert!((mean - 1.0).abs() < 0.02, "block {block}: {mean}");
            }
        }
        assert!(DropPath::sample(0.0, 4, 1, 0, &samples, 0..1).is_none());
    }
}
