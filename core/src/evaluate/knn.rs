//! Weighted nearest neighbors on frozen features, as in DINO (`eval_knn.py`; Wu et al., 2018): cosine similarity, and a vote of the
//! `k` nearest with weights `exp(similarity / T)`.

use std::cmp::Ordering;

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut};
use rayon::prelude::*;
use serde::Serialize;

use super::features::LabeledFeatures;
use crate::error::{Error, Result};

/// The neighborhoods that DINO reports.
pub const KS: [usize; 4] = [10, 20, 100, 200];
/// The neighborhood whose accuracy is called `top1`; usually the best.
pub const MAIN_K: usize = 20;
/// The temperature of the votes.
pub const TEMPERATURE: f64 = 0.07;

/// Test images in one matrix product; fixed, so that results do not depend on the number of threads.
const TEST_BLOCK: usize = 64;
/// Training images in one matrix product: similarities of a block stay in the cache.
const TRAIN_BLOCK: usize = 2048;

/// What nearest neighbors get right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnnFigures {
    /// How the figures were measured.
    pub protocol: String,
    /// The share of test images whose class wins the vote of `k` neighbors, in `0..=1`.
    pub top1: f64,
    /// The share whose class is among the five best.
    pub top5: f64,
    /// The neighborhood of `top1`: 20, or as many as there are.
    pub k: usize,
    /// The figures of every neighborhood asked for.
    pub per_k: Vec<KnnOfK>,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// The share of the commonest class of the test images: what always answering it would score at best.
    pub commonest_class: f64,
}

/// The figures of one neighborhood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnnOfK {
    /// Neighbors asked for.
    pub requested: usize,
    /// Neighbors that voted: fewer where the training set is smaller.
    pub k: usize,
    /// As in [`KnnFigures`].
    pub top1: f64,
    /// As in [`KnnFigures`].
    pub top5: f64,
}

/// Classifies `test` by its neighbors in `train`.
///
/// # Errors
/// [`Error::Failed`] for empty sets, widths that differ, or features that are not finite; [`Error::Usage`] for a `k` of 0.
pub fn knn(train: &LabeledFeatures<'_>, test: &LabeledFeatures<'_>, ks: &[usize]) -> Result<KnnFigures> {
    LabeledFeatures::check_pair(train, test)?;
    figures(train, test, ks, false)
}

/// Classifies every image by its neighbors among all the others of the same set.
///
/// # Errors
/// As [`knn`]; also for a single image.
pub fn knn_leave_one_out(set: &LabeledFeatures<'_>, ks: &[usize]) -> Result<KnnFigures> {
    set.check()?;
    if set.len() < 2 {
        return Err(Error::Failed(format!("cannot leave one out of the {} features: there is only one image", set.name)));
    }
    figures(set, set, ks, true)
}

fn figures(train: &LabeledFeatures<'_>, test: &LabeledFeatures<'_>, ks: &[usize], leave_one_out: bool) -> Result<KnnFigures> {
    if ks.is_empty() || ks.contains(&0) {
        return Err(Error::Usage("the neighborhoods must be positive numbers, such as 10,20,100,200".to_owned()));
    }
    let available = train.len() - usize::from(leave_one_out);
    let largest = ks.iter().copied().max().unwrap_or(MAIN_K).min(available);
    let width = train.width;
    let train_blocks = blocks(&normalized(train), width);
    let test_rows = normalized(test);
    let hits: Vec<[u64; 2]> = test_rows
        .par_chunks(TEST_BLOCK * width)
        .zip(test.labels.par_chunks(TEST_BLOCK))
        .enumerate()
        .map(|(block, (rows, labels))| {
            let first = leave_one_out.then_some(block * TEST_BLOCK);
            let mut hits = vec![[0; 2]; ks.len()];
            for (neighbors, &label) in nearest(&train_blocks, rows, width, largest, first).iter().zip(labels) {
                let neighbors: Vec<(f32, u32)> = neighbors.iter().map(|&(similarity, index)| (similarity, train.labels[index])).collect();
                for (hits, &k) in hits.iter_mut().zip(ks) {
                    let rank = rank_of(label, &vote(&neighbors[..k.min(neighbors.len())], TEMPERATURE));
                    hits[0] += u64::from(rank == 0);
                    hits[1] += u64::from(rank < 5);
                }
            }
            hits
        })
        .reduce(|| vec![[0; 2]; ks.len()], |a, b| a.iter().zip(&b).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]).collect());
    let share = |hits: u64| hits as f64 / test.len() as f64;
    let per_k: Vec<KnnOfK> = ks
        .iter()
        .zip(&hits)
        .map(|(&requested, hits)| KnnOfK { requested, k: requested.min(available), top1: share(hits[0]), top5: share(hits[1]) })
        .collect();
    let main = per_k.iter().find(|of| of.requested == MAIN_K).or_else(|| per_k.iter().max_by_key(|of| of.requested)).cloned();
    let main = main.ok_or_else(|| Error::Failed("no neighborhood was measured".to_owned()))?;
    let against = if leave_one_out { "the other images of the same set (leave one out)" } else { "the training images" };
    let protocol = format!(
        "weighted k-NN against {against}: cosine similarity, votes exp(similarity / {TEMPERATURE}), ties by class index; top1 is k = {}",
        main.k
    );
    let commonest_class = commonest(test.labels) as f64 / test.len() as f64;
    Ok(KnnFigures { protocol, top1: main.top1, top5: main.top5, k: main.k, per_k, train: train.len(), test: test.len(), commonest_class })
}

/// The scores of the classes among the neighbors (similarity, class), best first, ties by class index: the sums of
/// `exp(similarity / temperature)`.
pub fn vote(neighbors: &[(f32, u32)], temperature: f64) -> Vec<(u32, f64)> {
    // Sorted by class, and within a class in the order given, so that sums do not depend on anything else.
    let mut votes: Vec<(u32, f64)> =
        neighbors.iter().map(|&(similarity, class)| (class, (f64::from(similarity) / temperature).exp())).collect();
    votes.sort_by_key(|vote| vote.0);
    let mut scores: Vec<(u32, f64)> = Vec::new();
    for (class, weight) in votes {
        match scores.last_mut() {
            Some(last) if last.0 == class => last.1 += weight,
            _ => scores.push((class, weight)),
        }
    }
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scores
}

/// The place of `label` in the ranking of all classes; those without a vote follow those with one, by index.
fn rank_of(label: u32, scores: &[(u32, f64)]) -> usize {
    scores
        .iter()
        .position(|score| score.0 == label)
        .unwrap_or_else(|| scores.len() + label as usize - scores.iter().filter(|score| score.0 < label).count())
}

fn commonest(labels: &[u32]) -> usize {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0)
}

/// The rows divided by their lengths; rows of zeros stay zero.
fn normalized(set: &LabeledFeatures<'_>) -> Vec<f32> {
    let mut rows = set.features.to_vec();
    rows.par_chunks_mut(set.width).for_each(|row| {
        let length = row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    });
    rows
}

/// The rows in blocks, each `[rows, width]` and stored column by column, as products need their left side. (A strided view would do
/// without the copy, but nalgebra's path for small matrices miscounts the elements of a strided column.)
fn blocks(rows: &[f32], width: usize) -> Vec<DMatrix<f32>> {
    rows.par_chunks(TRAIN_BLOCK * width).map(|block| DMatrix::from_row_slice(block.len() / width, width, block)).collect()
}

/// The `k` nearest training rows of every test row as (similarity, index), nearest first, ties by index. `own` is the index of the
/// first test row in the training set if a row may not be its own neighbor.
fn nearest(train: &[DMatrix<f32>], test: &[f32], width: usize, k: usize, own: Option<usize>) -> Vec<Vec<(f32, usize)>> {
    let num_test = test.len() / width;
    let mut found: Vec<Nearest> = (0..num_test).map(|_| Nearest::new(k)).collect();
    let mut similarities = vec![0.0; TRAIN_BLOCK * num_test];
    for (block, rows) in train.iter().enumerate() {
        let num_rows = rows.nrows();
        let similarities = &mut similarities[..num_rows * num_test];
        // Stored column by column, one column a test row: [num_rows, width] x [width, num_test].
        let tests = DMatrixView::from_slice(test, width, num_test);
        DMatrixViewMut::from_slice(similarities, num_rows, num_test).gemm(1.0, rows, &tests, 0.0);
        for (row, (found, similarities)) in found.iter_mut().zip(similarities.chunks(num_rows)).enumerate() {
            found.offer(similarities, block * TRAIN_BLOCK, own.map(|first| first + row));
        }
    }
    found.into_iter().map(Nearest::into_sorted).collect()
}

/// Collects the `k` largest of a stream of similarities.
struct Nearest {
    k: usize,
    found: Vec<(f32, usize)>,
    /// Nothing at or below it can be among the `k` largest any more.
    bar: f32,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, found: Vec::with_capacity(2 * k), bar: f32::NEG_INFINITY }
    }

    /// Takes the similarities of the training rows from `first` on, except to the row `own`.
    fn offer(&mut self, similarities: &[f32], first: usize, own: Option<usize>) {
        for (index, &similarity) in (first..).zip(similarities) {
            if similarity > self.bar && Some(index) != own {
                self.found.push((similarity, index));
                if self.found.len() == 2 * self.k {
                    self.shrink();
                }
            }
        }
    }

    fn shrink(&mut self) {
        if self.found.len() > self.k {
            self.found.select_nth_unstable_by(self.k - 1, nearer);
            self.found.truncate(self.k);
            self.bar = self.found[self.k - 1].0;
        }
    }

    fn into_sorted(mut self) -> Vec<(f32, usize)> {
        self.shrink();
        self.found.sort_unstable_by(nearer);
        self.found
    }
}

fn nearer(a: &(f32, usize), b: &(f32, usize)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn set<'a>(features: &'a [f32], width: usize, labels: &'a [u32]) -> LabeledFeatures<'a> {
        LabeledFeatures { name: "test", features, width, labels }
    }

    /// `n` points around `classes` centers.
    fn clouds(seed: u64, n: usize, width: usize, classes: u32, spread: f64) -> (Vec<f32>, Vec<u32>) {
        let mut centers = Stream::new(0, 0, 0, Purpose::Bench);
        let centers: Vec<f64> = (0..classes as usize * width).map(|_| centers.normal()).collect();
        let mut stream = Stream::new(seed, 0, 1, Purpose::Bench);
        let labels: Vec<u32> = (0..n).map(|_| stream.below(classes as usize) as u32).collect();
        let features = labels
            .iter()
            .flat_map(|&label| (0..width).map(move |i| (label as usize, i)))
            .map(|(label, i)| (centers[label * width + i] + spread * stream.normal()) as f32)
            .collect();
        (features, labels)
    }

    #[test]
    fn golden_g11() {
        let scores = vote(&[(0.90, 0), (0.88, 1), (0.86, 1)], TEMPERATURE);
        assert_eq!((scores[0].0, scores[1].0), (1, 0));
        assert!((scores[0].1 - 504_785.1).abs() < 0.6 && (scores[1].1 - 383_518.4).abs() < 0.6, "{scores:?}");
    }

    #[test]
    fn ties_go_to_the_smaller_class_and_ranks_count_every_class() {
        let scores = vote(&[(0.5, 7), (0.5, 3)], TEMPERATURE);
        assert_eq!(scores.iter().map(|score| score.0).collect::<Vec<_>>(), [3, 7]);
        assert_eq!([3, 7, 0, 1, 4, 8].map(|label| rank_of(label, &scores)), [0, 1, 2, 3, 5, 8]);
    }

    #[test]
    fn neighbors_agree_with_a_plain_search() {
        let (train, labels) = clouds(1, 5000, 13, 6, 1.5);
        let (test, _) = clouds(2, 100, 13, 6, 1.5);
        let (train, test) = (normalized(&set(&train, 13, &labels)), normalized(&set(&test, 13, &labels[..100])));
        for (row, found) in test.chunks(13).zip(nearest(&blocks(&train, 13), &test, 13, 20, None)) {
            let mut all: Vec<(f32, usize)> =
                train.chunks(13).map(|other| row.iter().zip(other).map(|(a, b)| a * b).sum()).zip(0..).collect();
            all.sort_by(nearer);
            assert_eq!(found.len(), 20);
            for (found, expected) in found.iter().zip(&all) {
                assert!((found.0 - expected.0).abs() < 1e-5, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn equal_similarities_keep_the_first_rows() {
        let found = nearest(&blocks(&[1.0; 500], 1), &[1.0], 1, 3, Some(1));
        assert_eq!(found[0].iter().map(|found| found.1).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn separable_classes_are_told_apart_and_noise_is_not() {
        let (train, train_labels) = clouds(1, 600, 16, 5, 0.2);
        let (test, test_labels) = clouds(2, 150, 16, 5, 0.2);
        let figures = knn(&set(&train, 16, &train_labels), &set(&test, 16, &test_labels), &KS).unwrap();
        assert!(figures.top1 > 0.99 && figures.top5 == 1.0, "{figures:?}");
        assert_eq!((figures.k, figures.per_k.len(), figures.train, figures.test), (20, 4, 600, 150));
        let (noise, _) = clouds(3, 600, 16, 1, 1.0);
        let figures = knn_leave_one_out(&set(&noise, 16, &train_labels), &KS).unwrap();
        assert!((0.1..0.3).contains(&figures.top1), "{figures:?}");
    }

    #[test]
    fn large_neighborhoods_are_clamped_and_said_so() {
        let (train, labels) = clouds(1, 12, 4, 2, 0.1);
        let figures = knn(&set(&train, 4, &labels), &set(&train, 4, &labels), &KS).unwrap();
        assert_eq!(figures.per_k.iter().map(|of| (of.requested, of.k)).collect::<Vec<_>>(), [(10, 10), (20, 12), (100, 12), (200, 12)]);
        assert_eq!(figures.k, 12);
        assert_eq!(knn_leave_one_out(&set(&train, 4, &labels), &[20]).unwrap().k, 11);
        assert_eq!(knn(&set(&train, 4, &labels), &set(&train, 4, &labels), &[1, 3]).unwrap().k, 3);
        // Its own nearest neighbor is always right; without itself it must ask others.
        assert_eq!(knn(&set(&train, 4, &labels), &set(&train, 4, &labels), &[1]).unwrap().top1, 1.0);
        assert_eq!(knn_leave_one_out(&set(&[1.0, 0.0, 1.0, 0.0], 2, &[0, 1]), &[1]).unwrap().top1, 0.0);
    }

    #[test]
    fn one_thread_and_many_agree() {
        let (train, labels) = clouds(1, 900, 24, 7, 3.0);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| knn_leave_one_out(&set(&train, 24, &labels), &KS).unwrap())
        };
        assert_eq!(run(1), run(5));
    }

    #[test]
    fn bad_features_are_named() {
        let good = [1.0, 0.0];
        let error = |train: LabeledFeatures<'_>, test: LabeledFeatures<'_>| knn(&train, &test, &KS).unwrap_err().to_string();
        let named = |name, features, width, labels| LabeledFeatures { name, features, width, labels };
        let train = named("training", &good, 2, &[0]);
        assert!(error(train, named("test", &[0.0, 1.0, 0.0, f32::NAN], 2, &[0, 1])).contains("test features: row 1 holds NaN"));
        assert!(error(train, named("test", &good, 1, &[0, 0])).contains("2 wide"));
        assert!(error(train, named("test", &good, 2, &[0, 0])).contains("rows of 2"));
        assert!(error(named("training", &[], 2, &[]), train).contains("none"));
        assert!(matches!(knn(&train, &train, &[]), Err(Error::Usage(_))));
        assert!(matches!(knn(&train, &train, &[0]), Err(Error::Usage(_))));
        assert!(knn_leave_one_out(&train, &KS).is_err());
        // Rows of zeros have no direction, but an answer.
        assert_eq!(knn(&named("training", &[0.0, 0.0], 2, &[3]), &named("test", &[0.0, 0.0], 2, &[3]), &KS).unwrap().top1, 1.0);
    }
}
