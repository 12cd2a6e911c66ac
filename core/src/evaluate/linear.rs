//! A linear probe in closed form: ridge regression on standardized features, its penalty chosen on held-out training images. Exact
//! and deterministic, seconds on a CPU, and no learning rate to tune.

use nalgebra::{Cholesky, DMatrix, DMatrixView, DMatrixViewMut};
use rayon::prelude::*;
use serde::Serialize;

use super::features::LabeledFeatures;
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};

/// The penalties that are tried, per training image: the one added to the covariance of standardized features.
pub const LAMBDAS: [f64; 13] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0, 30.0, 100.0];

/// Columns of a matrix product that one task computes; fixed, so that results do not depend on the number of threads.
const STRIPE: usize = 64;
/// Rows whose products are summed at a time.
const ROW_BLOCK: usize = 2048;

/// What a linear classifier gets right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinearFigures {
    /// How the figures were measured.
    pub protocol: String,
    /// The share of test images whose class has the highest score, in `0..=1`.
    pub top1: f64,
    /// The share whose class is among the five highest.
    pub top5: f64,
    /// The chosen penalty.
    pub lambda: f64,
    /// `top1` of the chosen penalty on the held-out fifth of the training images.
    pub held_out_top1: f64,
    /// `top1` of the final classifier on the images it was fitted to.
    pub train_top1: f64,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Classes among the training images.
    pub classes: usize,
    /// Features that are the same in every training image, and therefore left out.
    pub constant_features: usize,
}

/// Fits a linear classifier to `train` and applies it to `test`. `seed` decides which fifth of the training images is held out.
///
/// # Errors
/// [`Error::Failed`] for empty sets, widths that differ, features that are not finite, or fewer than two classes.
pub fn linear_probe(train: &LabeledFeatures<'_>, test: &LabeledFeatures<'_>, seed: u64) -> Result<LinearFigures> {
    LabeledFeatures::check_pair(train, test)?;
    let classes = {
        let mut classes = train.labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        classes
    };
    if classes.len() < 2 {
        return Err(Error::Failed(format!(
            "a linear probe tells classes apart, and all {} {} images have the same; give at least two classes",
            train.len(),
            train.name
        )));
    }
    let order = Stream::new(seed, 0, 0, Purpose::Split).permutation(train.len());
    let (held_out, fitted) = order.split_at((train.len() / 5).max(1));
    let (lambda, held_out_top1) = choose_lambda(train, fitted, held_out, &classes)?;
    let everything: Vec<usize> = (0..train.len()).collect();
    let problem = Ridge::new(train, &everything, &classes);
    let weights = problem.solve(lambda)?;
    let on_test = Hits::of(&problem.scores(test, &(0..test.len()).collect::<Vec<_>>(), &weights), test.labels.iter().copied(), &classes);
    let on_train = Hits::of(&problem.scores(train, &everything, &weights), train.labels.iter().copied(), &classes);
    Ok(LinearFigures {
        protocol: "linear probe in closed form: ridge regression of one-hot classes on standardized frozen features, the penalty chosen on a held-out fifth of the training images, then fitted to all of them".to_owned(),
        top1: on_test.top1,
        top5: on_test.top5,
        lambda,
        held_out_top1,
        train_top1: on_train.top1,
        train: train.len(),
        test: test.len(),
        classes: classes.len(),
        constant_features: train.width - problem.kept.len(),
    })
}

/// The penalty that gets most held-out images right, and that share; of equals the one with the least squared error.
fn choose_lambda(train: &LabeledFeatures<'_>, fitted: &[usize], held_out: &[usize], classes: &[u32]) -> Result<(f64, f64)> {
    let problem = Ridge::new(train, fitted, classes);
    let mut best = (LAMBDAS[0], Hits { top1: -1.0, top5: 0.0, squared_error: f64::INFINITY });
    for lambda in LAMBDAS {
        let scores = problem.scores(train, held_out, &problem.solve(lambda)?);
        let hits = Hits::of(&scores, held_out.iter().map(|&row| train.labels[row]), classes);
        if (hits.top1, -hits.squared_error) > (best.1.top1, -best.1.squared_error) {
            best = (lambda, hits);
        }
    }
    Ok((best.0, best.1.top1))
}

/// Ridge regression of `n` rows: standardized features X `[n, d]` against centered one-hot targets Y `[n, K]`.
struct Ridge {
    /// The features that vary, and their mean and deviation.
    kept: Vec<usize>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
    /// The share of each class: the intercepts.
    priors: Vec<f64>,
    /// X transposed, `[d, n]`.
    features: DMatrix<f64>,
    /// XᵀX `[d, d]` if `d <= n`, else XXᵀ `[n, n]`.
    gram: DMatrix<f64>,
    /// XᵀY `[d, K]` if `d <= n`, else Y `[n, K]`.
    right: DMatrix<f64>,
}

impl Ridge {
    fn new(set: &LabeledFeatures<'_>, rows: &[usize], classes: &[u32]) -> Self {
        let n = rows.len();
        let (mean, deviation) = moments(set, rows);
        // Rounding leaves a constant feature a deviation of about one part in 10^16 of its mean; f32 cannot hold less than one in 10^7.
        let kept: Vec<usize> =
            (0..set.width).filter(|&column| deviation[column] > 1e-9 * mean[column].abs() && deviation[column] > 1e-30).collect();
        let (mean, deviation) = (kept.iter().map(|&c| mean[c]).collect(), kept.iter().map(|&c| deviation[c]).collect());
        let mut targets = DMatrix::zeros(n, classes.len());
        for (index, &row) in rows.iter().enumerate() {
            if let Ok(class) = classes.binary_search(&set.labels[row]) {
                targets[(index, class)] = 1.0;
            }
        }
        let priors: Vec<f64> = targets.column_iter().map(|column| column.sum() / n as f64).collect();
        for (mut column, prior) in targets.column_iter_mut().zip(&priors) {
            column.add_scalar_mut(-prior);
        }
        let empty = || DMatrix::zeros(0, 0);
        let mut ridge = Self { kept, mean, deviation, priors, features: empty(), gram: empty(), right: empty() };
        ridge.features = ridge.standardized(set, rows);
        let features = &ridge.features;
        if features.nrows() <= n {
            ridge.gram = covariance(features);
            ridge.right = product(features, &targets);
        } else {
            ridge.gram = product(&features.transpose(), features);
            ridge.right = targets;
        }
        ridge
    }

    /// The weights W `[d, K]` that minimize `|Y - XW|² / n + lambda |W|²`: `(XᵀX + lambda n)⁻¹ XᵀY = Xᵀ (XXᵀ + lambda n)⁻¹ Y`.
    fn solve(&self, lambda: f64) -> Result<DMatrix<f64>> {
        let n = self.features.ncols();
        let mut penalized = self.gram.clone();
        for index in 0..penalized.nrows() {
            penalized[(index, index)] += lambda * n as f64;
        }
        let solved = Cholesky::new(penalized)
            .ok_or_else(|| {
                Error::Failed(format!(
                    "the linear probe's equations cannot be solved at lambda = {lambda}; the features are too large or too small for it"
                ))
            })?
            .solve(&self.right);
        Ok(if self.features.nrows() <= n { solved } else { product(&self.features, &solved) })
    }

    /// The scores `[K, rows]` of some rows of a set.
    fn scores(&self, set: &LabeledFeatures<'_>, rows: &[usize], weights: &DMatrix<f64>) -> DMatrix<f64> {
        let mut scores = product(&weights.transpose(), &self.standardized(set, rows));
        for mut column in scores.column_iter_mut() {
            column.iter_mut().zip(&self.priors).for_each(|(score, prior)| *score += prior);
        }
        scores
    }

    /// Some rows of a set as columns `[d, rows]`.
    fn standardized(&self, set: &LabeledFeatures<'_>, rows: &[usize]) -> DMatrix<f64> {
        let mut columns = DMatrix::zeros(self.kept.len(), rows.len());
        if !self.kept.is_empty() {
            columns.as_mut_slice().par_chunks_mut(self.kept.len()).zip(rows).for_each(|(column, &row)| {
                let features = &set.features[row * set.width..][..set.width];
                for (index, value) in column.iter_mut().enumerate() {
                    *value = (f64::from(features[self.kept[index]]) - self.mean[index]) / self.deviation[index];
                }
            });
        }
        columns
    }
}

/// Mean and deviation of every feature over some rows, in two passes.
fn moments(set: &LabeledFeatures<'_>, rows: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let n = rows.len().max(1) as f64;
    let row = |&row: &usize| &set.features[row * set.width..][..set.width];
    let mut mean = vec![0.0; set.width];
    for features in rows.iter().map(row) {
        mean.iter_mut().zip(features).for_each(|(mean, &value)| *mean += f64::from(value));
    }
    mean.iter_mut().for_each(|mean| *mean /= n);
    let mut variance = vec![0.0; set.width];
    for features in rows.iter().map(row) {
        variance.iter_mut().zip(features).zip(&mean).for_each(|((variance, &value), mean)| *variance += (f64::from(value) - mean).powi(2));
    }
    (mean, variance.into_iter().map(|variance: f64| (variance / n).sqrt()).collect())
}

/// XᵀX from X transposed, a block of rows at a time, so that X is not held twice.
fn covariance(features: &DMatrix<f64>) -> DMatrix<f64> {
    let (d, n) = features.shape();
    let mut sum = DMatrix::zeros(d, d);
    for start in (0..n).step_by(ROW_BLOCK) {
        let block = features.columns(start, ROW_BLOCK.min(n - start));
        accumulate(&mut sum, block, &block.transpose());
    }
    sum
}

/// `left` times `right`.
fn product(left: &DMatrix<f64>, right: &DMatrix<f64>) -> DMatrix<f64> {
    let mut result = DMatrix::zeros(left.nrows(), right.ncols());
    accumulate(&mut result, left.as_view(), right);
    result
}

/// Adds `left` times `right`, stripes of columns in parallel. Transposes are copies, never strided views: nalgebra's path for small
/// matrices miscounts the elements of a strided column.
fn accumulate(result: &mut DMatrix<f64>, left: DMatrixView<'_, f64>, right: &DMatrix<f64>) {
    let rows = result.nrows();
    if rows > 0 {
        result.as_mut_slice().par_chunks_mut(rows * STRIPE).enumerate().for_each(|(stripe, part)| {
            let width = part.len() / rows;
            DMatrixViewMut::from_slice(part, rows, width).gemm(1.0, &left, &right.columns(stripe * STRIPE, width), 1.0);
        });
    }
}

struct Hits {
    top1: f64,
    top5: f64,
    squared_error: f64,
}

impl Hits {
    /// From scores `[K, rows]`; a label that was not trained for is a miss. Ties by class index.
    fn of(scores: &DMatrix<f64>, labels: impl Iterator<Item = u32>, classes: &[u32]) -> Self {
        let mut hits = Self { top1: 0.0, top5: 0.0, squared_error: 0.0 };
        for (column, label) in scores.column_iter().zip(labels) {
            let own = classes.binary_search(&label).ok();
            for (class, score) in column.iter().enumerate() {
                hits.squared_error += (score - f64::from(u8::from(Some(class) == own))).powi(2);
            }
            if let Some(own) = own {
                let ahead = column
                    .iter()
                    .enumerate()
                    .filter(|&(class, &score)| score > column[own] || (score == column[own] && class < own))
                    .count();
                hits.top1 += f64::from(u8::from(ahead == 0));
                hits.top5 += f64::from(u8::from(ahead < 5));
            }
        }
        let n = scores.ncols().max(1) as f64;
        Self { top1: hits.top1 / n, top5: hits.top5 / n, squared_error: hits.squared_error / n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<'a>(features: &'a [f32], width: usize, labels: &'a [u32]) -> LabeledFeatures<'a> {
        LabeledFeatures { name: "training", features, width, labels }
    }

    /// Labels decided by a fixed linear rule on `informative` of `width` normal features, some of it noise.
    fn linear_data(seed: u64, n: usize, width: usize, classes: u32, noise: f64) -> (Vec<f32>, Vec<u32>) {
        let mut rule = Stream::new(99, 0, 0, Purpose::Bench);
        let rule: Vec<f64> = (0..classes as usize * width).map(|_| rule.normal()).collect();
        let mut stream = Stream::new(seed, 0, 1, Purpose::Bench);
        let features: Vec<f32> = (0..n * width).map(|_| stream.normal() as f32).collect();
        let labels = features
            .chunks(width)
            .map(|row| {
                let scores = rule
                    .chunks(width)
                    .map(|weights| weights.iter().zip(row).map(|(w, &x)| w * f64::from(x)).sum::<f64>() + noise * stream.normal());
                scores.enumerate().fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0 as u32 * 10
            })
            .collect();
        (features, labels)
    }

    #[test]
    fn both_forms_solve_the_same_equations() {
        let (features, labels) = linear_data(1, 40, 12, 3, 0.5);
        let rows: Vec<usize> = (0..40).collect();
        let primal = Ridge::new(&set(&features, 12, &labels), &rows, &[0, 10, 20]);
        let weights = primal.solve(0.1).unwrap();
        // The dual, by hand from the same X and Y.
        let x = primal.features.transpose();
        let mut gram = &x * x.transpose();
        (0..40).for_each(|i| gram[(i, i)] += 0.1 * 40.0);
        let mut y = DMatrix::from_fn(40, 3, |i, c| f64::from(u8::from(labels[i] == c as u32 * 10)));
        y.column_iter_mut().for_each(|mut column| {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        });
        let dual = x.transpose() * gram.lu().solve(&y).unwrap();
        assert!((&weights - &dual).amax() < 1e-10);
        // More features than rows takes the other path.
        let few = Ridge::new(&set(&features, 12, &labels), &rows[..8], &[0, 10, 20]);
        let x = few.features.transpose();
        let mut covariance = x.transpose() * &x;
        (0..12).for_each(|i| covariance[(i, i)] += 0.1 * 8.0);
        let residual = covariance * few.solve(0.1).unwrap() - x.transpose() * &few.right;
        assert!(few.gram.nrows() == 8 && residual.amax() < 1e-10);
    }

    #[test]
    fn a_linear_rule_is_found_and_noise_is_not() {
        let (train, train_labels) = linear_data(1, 1500, 20, 4, 0.0);
        let (test, test_labels) = linear_data(2, 500, 20, 4, 0.0);
        let figures = linear_probe(&set(&train, 20, &train_labels), &set(&test, 20, &test_labels), 0).unwrap();
        assert!(figures.top1 > 0.9 && figures.top5 == 1.0 && figures.held_out_top1 > 0.85, "{figures:?}");
        assert_eq!((figures.classes, figures.train, figures.test), (4, 1500, 500));
        let shuffled = Stream::new(5, 0, 0, Purpose::Shuffle).permutation(1500).into_iter().map(|i| train_labels[i]).collect::<Vec<_>>();
        let figures = linear_probe(&set(&train, 20, &shuffled), &set(&test, 20, &test_labels), 0).unwrap();
        assert!(figures.top1 < 0.4, "{figures:?}");
    }

    #[test]
    fn the_penalty_follows_the_data() {
        // Few rows, many features, much noise: a strong penalty; many clean rows: a weak one.
        let (train, labels) = linear_data(1, 100, 300, 2, 30.0);
        let noisy = linear_probe(&set(&train, 300, &labels), &set(&train, 300, &labels), 0).unwrap();
        let (train, labels) = linear_data(1, 2000, 10, 2, 0.0);
        let clean = linear_probe(&set(&train, 10, &labels), &set(&train, 10, &labels), 0).unwrap();
        assert!(clean.lambda < noisy.lambda && clean.train_top1 > 0.95, "{clean:?} {noisy:?}");
    }

    #[test]
    fn constant_and_badly_scaled_features_do_no_harm() {
        let (plain, labels) = linear_data(1, 300, 6, 3, 0.1);
        let wide: Vec<f32> =
            plain.chunks(6).flat_map(|row| [row[0] * 1e12, 0.1, row[1] + 1e3, row[2], row[3] * 1e-12, row[4], 7e20, row[5], 0.0]).collect();
        let plain = linear_probe(&set(&plain, 6, &labels), &set(&plain, 6, &labels), 0).unwrap();
        let wide = linear_probe(&set(&wide, 9, &labels), &set(&wide, 9, &labels), 0).unwrap();
        assert_eq!((plain.constant_features, wide.constant_features), (0, 3));
        assert_eq!((plain.lambda, plain.held_out_top1), (wide.lambda, wide.held_out_top1));
        assert!((plain.top1 - wide.top1).abs() < 0.01);
    }

    #[test]
    fn one_thread_and_many_agree_and_seeds_may_differ() {
        let (train, labels) = linear_data(1, 400, 150, 5, 1.0);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let problem = Ridge::new(&set(&train, 150, &labels), &(0..400).collect::<Vec<_>>(), &[0, 10, 20, 30, 40]);
                (problem.solve(0.01).unwrap(), linear_probe(&set(&train, 150, &labels), &set(&train, 150, &labels), 3).unwrap())
            })
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn degenerate_sets_have_an_answer_or_a_clear_error() {
        let error = |features: &[f32], width, labels: &[u32]| {
            linear_probe(&set(features, width, labels), &set(features, width, labels), 0).unwrap_err().to_string()
        };
        assert!(error(&[], 3, &[]).contains("none"));
        assert!(error(&[1.0, 2.0], 1, &[4, 4]).contains("two classes"));
        assert!(error(&[1.0], 1, &[4]).contains("two classes"));
        assert!(error(&[1.0, f32::INFINITY], 1, &[0, 1]).contains("row 1 holds inf"));
        // Two images, and features that never vary: the commonest class, without a fault.
        for features in [[0.0, 1.0], [3.0, 3.0]] {
            let figures = linear_probe(&set(&features, 1, &[0, 1]), &set(&features, 1, &[0, 1]), 0).unwrap();
            assert!((0.5..=1.0).contains(&figures.top1), "{figures:?}");
        }
        // A class that only the test set has is a miss.
        let figures = linear_probe(&set(&[0.0, 1.0], 1, &[0, 1]), &set(&[0.0, 1.0], 1, &[0, 9]), 0).unwrap();
        assert_eq!((figures.top1, figures.classes), (0.5, 2));
    }
}
