//! Principal components: the eigenvectors of a covariance that belong to its largest eigenvalues, by subspace iteration (Bauer, 1957) with a
//! Rayleigh-Ritz step (Stewart, 1969). The same rows give the same components on any number of threads.

use rayon::prelude::*;

use crate::kernel::matrix::{Onto, Panels, View, multiply_in_parallel};
use crate::random::{Purpose, Stream};

/// The leading components.
pub struct Principal {
    /// `[d]`
    pub mean: Vec<f32>,
    /// `[count, d]`, orthonormal, largest variance first, the largest number of each positive.
    pub vectors: Vec<f32>,
}

/// Directions beyond the wanted ones: they make the wanted ones converge.
const SPARE: usize = 16;
/// Products with the covariance between two looks at how far it has come.
const PASSES: usize = 8;
/// Looks at most.
const LOOKS: usize = 40;
/// What the variance of the wanted directions may still gain between two looks.
const TOLERANCE: f64 = 1e-9;

/// Of rows `[n, width]`, the `count` (at most `width`) directions in which they differ most.
pub fn principal_components(rows: &[f32], width: usize, count: usize, seed: u64) -> Principal {
    let (mean, covariance) = moments(rows, width);
    let vectors = leading_eigenvectors(&covariance, count, seed).into_iter().flat_map(|vector| {
        let largest = vector.iter().fold(0.0_f64, |largest, &value| if value.abs() > largest.abs() { value } else { largest });
        vector.into_iter().map(move |value| (value * largest.signum()) as f32)
    });
    Principal { mean: mean.into_iter().map(|value| value as f32).collect(), vectors: vectors.collect() }
}

/// Of a symmetric matrix without negative eigenvalues, the `count` (at most its size) orthonormal eigenvectors of the largest, largest
/// first; of a vector and its opposite, either.
pub fn leading_eigenvectors(matrix: &[Vec<f64>], count: usize, seed: u64) -> Vec<Vec<f64>> {
    let width = matrix.len();
    let size = (count + SPARE).min(width);
    let mut stream = Stream::new(seed, 0, 0, Purpose::Measure);
    let mut vectors: Vec<Vec<f64>> = (0..size).map(|_| (0..width).map(|_| stream.normal()).collect()).collect();
    let mut reached = 0.0;
    for _ in 0..LOOKS {
        for _ in 0..PASSES {
            orthonormalize(&mut vectors);
            vectors = times(matrix, &vectors);
        }
        orthonormalize(&mut vectors);
        let variances = turn_to_eigenvectors(matrix, &mut vectors);
        let total: f64 = variances[..count].iter().sum();
        if total - reached <= TOLERANCE * total {
            break;
        }
        reached = total;
    }
    vectors.truncate(count);
    vectors
}

/// Mean `[d]` and covariance `[d][d]`.
fn moments(rows: &[f32], width: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    const CHUNK: usize = 1024;
    let count = (rows.len() / width).max(1) as f64;
    let mut mean = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) / count));
    let mut covariance = vec![vec![0.0; width]; width];
    let mut part = vec![0.0; width * width];
    for chunk in rows.chunks(CHUNK * width) {
        let centered = chunk.iter().enumerate().map(|(index, &value)| (f64::from(value) - mean[index % width]) as f32);
        let centered: Vec<f32> = centered.collect();
        let view = View::new(&centered, [centered.len() / width, width]);
        multiply_in_parallel(&mut part, view.transposed(), &Panels::new(view), Onto::Nothing);
        covariance.par_iter_mut().zip(part.par_chunks_exact(width)).for_each(|(sums, part)| {
            sums.iter_mut().zip(part).for_each(|(sum, &value)| *sum += f64::from(value) / count);
        });
    }
    (mean, covariance)
}

/// The product of a symmetric matrix with each vector.
fn times(matrix: &[Vec<f64>], vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
    // As many at once as share a row of the matrix while it is in the cache.
    const TOGETHER: usize = 8;
    let products = vectors.par_chunks(TOGETHER).flat_map_iter(|vectors| {
        let mut products = vec![vec![0.0; matrix.len()]; vectors.len()];
        for (place, row) in matrix.iter().enumerate() {
            for (product, vector) in products.iter_mut().zip(vectors) {
                let factor = vector[place];
                product.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        products
    });
    products.collect()
}

/// Makes vectors orthogonal and of length one (Gram and Schmidt, twice); one that depends on those before gives way to an axis.
fn orthonormalize(vectors: &mut [Vec<f64>]) {
    let width = vectors.first().map_or(0, Vec::len);
    let mut axes = 0..width;
    for index in 0..vectors.len() {
        loop {
            let (before, rest) = vectors.split_at_mut(index);
            let vector = &mut rest[0];
            let begin = dot(vector, vector).sqrt();
            for _ in 0..2 {
                for other in before.iter() {
                    let along = dot(other, vector);
                    vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
                }
            }
            let length = dot(vector, vector).sqrt();
            if length > 1e-10 * begin && length > 1e-150 {
                vector.iter_mut().for_each(|value| *value /= length);
                break;
            }
            let Some(axis) = axes.next() else { break };
            vector.iter_mut().enumerate().for_each(|(place, value)| *value = f64::from(u8::from(place == axis)));
        }
    }
}

/// Turns orthonormal vectors within the space that they span so that the matrix stretches each of them and turns none; returns by how much,
/// largest first.
fn turn_to_eigenvectors(matrix: &[Vec<f64>], vectors: &mut Vec<Vec<f64>>) -> Vec<f64> {
    let images = times(matrix, vectors);
    let small: Vec<Vec<f64>> = vectors.iter().map(|vector| images.iter().map(|image| dot(vector, image)).collect()).collect();
    let (values, turns) = symmetric_eigenvectors(small);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let turned = |&column: &usize| {
        let mut sum = vec![0.0; matrix.len()];
        for (vector, turn) in vectors.iter().zip(&turns) {
            sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += turn[column] * value);
        }
        sum
    };
    *vectors = order.iter().map(turned).collect();
    order.into_iter().map(|place| values[place].max(0.0)).collect()
}

/// Eigenvalues of a small symmetric matrix, and its eigenvectors as columns (Jacobi, 1846).
fn symmetric_eigenvectors(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    const SWEEPS: usize = 30;
    let size = a.len();
    let mut v: Vec<Vec<f64>> = (0..size).map(|row| (0..size).map(|col| f64::from(u8::from(row == col))).collect()).collect();
    for _ in 0..SWEEPS {
        let off: f64 = (0..size).flat_map(|row| (0..row).map(move |col| (row, col))).map(|(row, col)| a[row][col].powi(2)).sum();
        let diagonal: f64 = (0..size).map(|place| a[place][place].powi(2)).sum();
        if off <= 1e-28 * diagonal {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in a.iter_mut().chain(&mut v) {
                    (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
        }
    }
    ((0..size).map(|place| a[place][place]).collect(), v)
}

/// In eight sums side by side, which the processor adds up at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal rows whose numbers have these deviations, seen in a basis that is turned in every plane of neighbors.
    fn rows(deviations: &[f64], count: usize) -> (Vec<f32>, Vec<Vec<f64>>) {
        let width = deviations.len();
        let turn = |vector: &mut [f64]| {
            for place in 1..width {
                let (sin, cos) = (0.3 + place as f64).sin_cos();
                (vector[place - 1], vector[place]) =
                    (cos * vector[place - 1] - sin * vector[place], sin * vector[place - 1] + cos * vector[place]);
            }
        };
        let axes: Vec<Vec<f64>> = (0..width)
            .map(|axis| {
                let mut vector: Vec<f64> = (0..width).map(|place| f64::from(u8::from(place == axis))).collect();
                turn(&mut vector);
                vector
            })
            .collect();
        let mut stream = Stream::new(9, 0, 0, Purpose::Bench);
        let rows = (0..count).flat_map(|_| {
            let mut row: Vec<f64> = deviations.iter().map(|deviation| deviation * stream.normal()).collect();
            turn(&mut row);
            row.into_iter().map(|value| (value + 1.5) as f32).collect::<Vec<_>>()
        });
        (rows.collect(), axes)
    }

    #[test]
    fn known_directions_are_found_in_order() {
        // More numbers than directions are iterated with, so that iterating is needed.
        let deviations: Vec<f64> = (0..60).map(|place| 8.0 * 0.8_f64.powi(place)).collect();
        let (rows, axes) = rows(&deviations, 20_000);
        let found = principal_components(&rows, 60, 6, 3);
        assert!(found.mean.iter().all(|mean| (mean - 1.5).abs() < 0.3));
        for (vector, axis) in found.vectors.chunks_exact(60).zip(&axes) {
            let along: f64 = vector.iter().zip(axis).map(|(&a, b)| f64::from(a) * b).sum();
            assert!(along.abs() > 0.999, "{along}");
            let largest = vector.iter().copied().fold(0.0_f32, |largest, value| if value.abs() > largest.abs() { value } else { largest });
            assert!(largest > 0.0);
        }
    }

    #[test]
    fn components_are_orthonormal_and_diagonalize_the_covariance() {
        let deviations: Vec<f64> = (0..40).map(|place| 1.0 / (1.0 + f64::from(place))).collect();
        let (rows, _) = rows(&deviations, 3_000);
        let found = principal_components(&rows, 40, 10, 0);
        let (_, covariance) = moments(&rows, 40);
        let vectors: Vec<Vec<f64>> = found.vectors.chunks_exact(40).map(|vector| vector.iter().map(|&x| f64::from(x)).collect()).collect();
        let images = times(&covariance, &vectors);
        for (i, vector) in vectors.iter().enumerate() {
            for (j, (other, image)) in vectors.iter().zip(&images).enumerate() {
                assert!((dot(vector, other) - f64::from(u8::from(i == j))).abs() < 1e-5, "{i} {j}");
                assert!(i == j || dot(vector, image).abs() < 1e-5, "{i} {j}: {}", dot(vector, image));
            }
        }
    }

    #[test]
    fn rows_that_do_not_differ_have_components_too() {
        let found = principal_components(&[0.5; 30], 6, 3, 0);
        let vectors: Vec<&[f32]> = found.vectors.chunks_exact(6).collect();
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors.iter().enumerate() {
                let along: f32 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                assert!((along - f32::from(u8::from(i == j))).abs() < 1e-5, "{:?}", found.vectors);
            }
        }
    }
}
