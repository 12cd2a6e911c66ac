//! Rotary positions (Su et al., *RoFormer*, 2021), down and across the image as DINOv3 has them (Siméoni et al., 2025): queries and keys of
//! patches are turned by angles that grow with their place, so that scores know of distances. Class token and registers have no place, and
//! stay as they are.
//!
//! A head's numbers go in pairs, the first of its first half with the first of its second half. A quarter of the head turns with the row of
//! a patch and the next quarter with its column, each pair more slowly than the one before. Rows and columns go from -1 to 1 whatever the
//! size of the image, which needs no table and fits every grid.

use burn::tensor::{Device, Tensor, TensorData};

/// Cosines and sines of the angles by which tokens are turned.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[S, tokens, 1, d / 2]`, for S samples or one for all.
    cos: Tensor<4>,
    /// In the same shape.
    sin: Tensor<4>,
}

/// Cosines and sines of every patch of a grid, in front those of a token without a place: `[1 + N, d]`. `head` is d, a multiple of 4; the
/// period of pair i of a quarter is `base^(4 i / d)`.
pub fn turns([rows, cols]: [usize; 2], head: usize, base: f64) -> Vec<f32> {
    let quarter = head / 4;
    let speeds: Vec<f64> = (0..quarter).map(|pair| std::f64::consts::TAU / base.powf(pair as f64 / quarter as f64)).collect();
    let centers = |count: usize| (0..count).map(|index| 2.0 * (index as f64 + 0.5) / count as f64 - 1.0).collect::<Vec<_>>();
    let (down, across) = (centers(rows), centers(cols));
    let mut table = [vec![1.0; head / 2], vec![0.0; head / 2]].concat();
    for (y, x) in down.iter().flat_map(|y| across.iter().map(move |x| (y, x))) {
        let angles: Vec<f64> = [y, x].into_iter().flat_map(|center| speeds.iter().map(move |speed| center * speed)).collect();
        table.extend(angles.iter().map(|angle| angle.cos() as f32));
        table.extend(angles.iter().map(|angle| angle.sin() as f32));
    }
    table
}

/// How the patches of a grid are turned, as a table like those of positions: `[1, 1 + N, d]`.
pub fn table(grid: [usize; 2], head: usize, base: f64, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(turns(grid, head, base), [1, 1 + grid[0] * grid[1], head]), device)
}

impl Rotary {
    /// For patches with the given rows of a [`table`], behind `prefix` tokens without a place. Shape: `patches [S, n, d]`.
    pub fn behind(prefix: usize, patches: &Tensor<3>) -> Self {
        let ([samples, count, head], device) = (patches.dims(), patches.device());
        let half = head / 2;
        let part = |first: usize, still: f64| {
            let mut parts = vec![patches.clone().narrow(2, first, half)];
            if prefix > 0 {
                parts.insert(0, Tensor::full([samples, prefix, half], still, &device));
            }
            Tensor::cat(parts, 1).reshape([samples, prefix + count, 1, half])
        };
        Self { cos: part(0, 1.0), sin: part(half, 0.0) }
    }

    /// Turns the first `turned` numbers of every token, which are heads one after the other. Shapes: `x [B, tokens, W]` to the same.
    pub fn turn(&self, x: Tensor<3>, turned: usize) -> Tensor<3> {
        let ([batch, tokens, width], half) = (x.dims(), self.cos.dims()[3]);
        let heads: Tensor<4> = x.clone().narrow(2, 0, turned).reshape([batch, tokens, turned / (2 * half), 2 * half]);
        let [first, second] = [0, half].map(|start| heads.clone().narrow(3, start, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let pairs = vec![first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin];
        let heads = Tensor::cat(pairs, 3).reshape([batch, tokens, turned]);
        if turned == width { heads } else { Tensor::cat(vec![heads, x.narrow(2, turned, width - turned)], 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn angles_are_dinov3s() {
        // Two rows and one column: centers -1/2, 1/2 and 0. Heads of 8: periods 1 and 10.
        let table = turns([2, 1], 8, 100.0);
        let (pi, tenth) = (std::f64::consts::PI, std::f64::consts::PI / 10.0);
        let expected: [[f64; 8]; 3] = [
            [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [(-pi).cos(), (-tenth).cos(), 1.0, 1.0, (-pi).sin(), (-tenth).sin(), 0.0, 0.0],
            [pi.cos(), tenth.cos(), 1.0, 1.0, pi.sin(), tenth.sin(), 0.0, 0.0],
        ];
        assert_eq!(table.len(), 24);
        for (have, want) in table.iter().zip(expected.iter().flatten()) {
            assert!((f64::from(*have) - want).abs() < 1e-6, "{table:?}");
        }
    }

    #[test]
    fn scores_depend_on_distances_alone() {
        let device = Device::flex();
        let rotary = Rotary::behind(1, &table([3, 3], 8, 100.0, &device).narrow(1, 1, 9));
        let same = |values: [f32; 8]| Tensor::<1>::from_data(TensorData::from(values), &device).reshape([1, 1, 8]).repeat_dim(1, 10);
        let (q, k) = (same([0.3, -1.0, 0.5, 2.0, 1.0, 0.1, -0.7, 0.4]), same([1.0, 0.2, 0.9, -0.3, 0.5, -0.6, 0.8, 1.5]));
        let scores = rotary.turn(q.clone(), 8).matmul(rotary.turn(k.clone(), 8).swap_dims(1, 2));
        let scores = to_host(scores).unwrap();
        let score = |query: usize, key: usize| scores[query * 10 + key];
        // Patch 1 lies below and to the right of patch 5, one further each, as patch 5 does of patch 9.
        assert!((score(1, 5) - score(5, 9)).abs() < 1e-5 && (score(1, 2) - score(8, 9)).abs() < 1e-5);
        assert!((score(1, 5) - score(5, 1)).abs() > 1e-2 && (score(1, 2) - score(1, 4)).abs() > 1e-2);
        let plain = to_host((q.clone() * k).sum_dim(2)).unwrap()[0];
        assert!((0..10).all(|token| (score(token, token) - plain).abs() < 1e-5));
        let (whole, part) =
            (to_host(rotary.turn(q.clone(), 8)).unwrap(), to_host(rotary.turn(Tensor::cat(vec![q.clone(), q], 2), 8)).unwrap());
        assert!(part.chunks_exact(16).zip(whole.chunks_exact(8)).all(|(part, whole)| &part[..8] == whole));
        assert!(part.chunks_exact(16).all(|token| token[8..] == part[..8]), "the class token is not turned, nor is what lies behind");
    }
}
