//! How much of their space features use: two figures by which a collapse shows before anything is evaluated.

use nalgebra::DMatrix;

/// The deviation of the numbers of features of length one, as a share of what it is where features point everywhere alike, 1/√D: 0 if all
/// are the same. `features` is `[n, D]`.
pub fn spread(features: &[f32], width: usize) -> f64 {
    let rows = directions(features, width);
    let count = rows.len().max(1) as f64;
    let deviation = |column: usize| {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / count;
        (rows.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    (0..width).map(deviation).sum::<f64>() / width.max(1) as f64 * (width as f64).sqrt()
}

/// How many dimensions features of length one take up: the exponential of the entropy of their singular values, each as a share of the sum
/// (Roy and Vetterli, *The effective rank*, 2007), after their mean is subtracted. From 0, if all are the same, to the smaller of n - 1 and D.
/// `features` is `[n, D]`.
pub fn effective_rank(features: &[f32], width: usize) -> f64 {
    let mut rows = directions(features, width);
    for column in 0..width {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / rows.len().max(1) as f64;
        rows.iter_mut().for_each(|row| row[column] -= mean);
    }
    // The products of rows, or of columns if there are fewer, have the squares of the singular values.
    let vectors = if rows.len() <= width { rows } else { (0..width).map(|column| rows.iter().map(|row| row[column]).collect()).collect() };
    if vectors.is_empty() {
        return 0.0;
    }
    let product = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let products = DMatrix::from_fn(vectors.len(), vectors.len(), |row, column| product(&vectors[row], &vectors[column]));
    let values: Vec<f64> = products.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).collect();
    let (total, largest) = (values.iter().sum::<f64>(), values.iter().copied().fold(0.0, f64::max));
    /// Below it, a singular value is what rounding left.
    const LEAST: f64 = 1e-6;
    if largest < LEAST {
        return 0.0;
    }
    let shares = values.into_iter().filter(|&value| value > LEAST * largest).map(|value| value / total);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}

fn directions(features: &[f32], width: usize) -> Vec<Vec<f64>> {
    let direction = |row: &[f32]| {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter().map(|&value| f64::from(value) / length).collect()
    };
    features.chunks_exact(width.max(1)).map(direction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn random_directions_fill_their_space() {
        let mut stream = Stream::new(1, 0, 0, Purpose::Bench);
        let features: Vec<f32> = (0..4000 * 12).map(|_| stream.normal() as f32).collect();
        assert!((spread(&features, 12) - 1.0).abs() < 0.02, "{}", spread(&features, 12));
        assert!((effective_rank(&features, 12) - 12.0).abs() < 0.05, "{}", effective_rank(&features, 12));
        // Fewer rows than columns: at most one dimension less than rows.
        let few = effective_rank(&features[..5 * 600], 600);
        assert!((3.5..=4.0).contains(&few), "{few}");
    }

    #[test]
    fn what_is_the_same_or_lies_on_a_line_is_found_out() {
        let same = [0.3, -0.2, 0.5].repeat(20);
        assert!(spread(&same, 3) < 1e-6 && effective_rank(&same, 3) == 0.0);
        let line: Vec<f32> = (0..20).flat_map(|row| [1.0, row as f32 % 2.0 * 2.0 - 1.0, 0.0]).collect();
        assert!((effective_rank(&line, 3) - 1.0).abs() < 1e-6, "{}", effective_rank(&line, 3));
    }
}
