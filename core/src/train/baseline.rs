//! What a network that has learned nothing would score, computed from the data: the floor every report holds a run against.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::mask::Mask;
use crate::objective::Objective;
use crate::target::Output;

/// Errors over masked patches, as the objective measures them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Baselines {
    /// Predicting, for every masked patch, the visible patches' mean color (their mean target, averaged over the patch, per channel), or
    /// their mean row where a target is no pixels. Where it is a class, or a distribution over classes: knowing how frequent each is, and
    /// no more.
    pub patch_mean: f64,
    /// Copying the target of the nearest visible patch (Euclidean distance on the grid, ties by raster order). NaN where it is a class or a
    /// distribution over classes.
    pub nearest: f64,
}

/// Sums over images, so that baselines of many batches can be averaged patch by patch.
pub struct BaselineTally<'a> {
    objective: &'a dyn Objective,
    output: Output,
    period: usize,
    patch_mean: f64,
    nearest: f64,
    patches: usize,
    /// How often each class is masked.
    classes: BTreeMap<usize, usize>,
    /// The sum of distributions, over all patches that count.
    distribution: Vec<f64>,
}

impl<'a> BaselineTally<'a> {
    /// No image yet. `period` is after how many numbers of a row the same feature comes again: the channels of pixels, else all of them.
    pub fn new(objective: &'a dyn Objective, output: Output, period: usize) -> Self {
        Self { objective, output, period, patch_mean: 0.0, nearest: 0.0, patches: 0, classes: BTreeMap::new(), distribution: Vec::new() }
    }

    /// Adds one image. Shapes: `targets [N, row width]` in raster order.
    pub fn add(&mut self, targets: &[f32], mask: &Mask) {
        let rows: Vec<&[f32]> = targets.chunks_exact(self.output.row_width()).collect();
        let masked: Vec<usize> = (0..rows.len()).filter(|&id| mask.masked[id]).collect();
        let unseen = mask.unseen();
        let visible: Vec<usize> = (0..rows.len()).filter(|&id| !unseen[id]).collect();
        if let Output::Distributions { count, .. } = self.output {
            let counted = if self.objective.covers_visible() { (0..rows.len()).collect() } else { masked };
            self.patches += counted.len();
            self.distribution.resize(count, 0.0);
            for place in counted.into_iter().flat_map(|id| rows[id].chunks_exact(count)) {
                self.distribution.iter_mut().zip(place).for_each(|(sum, &share)| *sum += f64::from(share));
            }
            return;
        }
        self.patches += masked.len();
        if let Output::Classes { .. } = self.output {
            masked.iter().for_each(|&id| *self.classes.entry(rows[id][0] as usize).or_default() += 1);
            return;
        }
        let mean = self.mean_row(&rows, &visible);
        for id in masked {
            self.patch_mean += self.objective.error(&mean, rows[id]);
            if let Some(nearest) = nearest_visible(id, mask.grid.cols, &visible) {
                self.nearest += self.objective.error(rows[nearest], rows[id]);
            }
        }
    }

    /// The averages; `None` before any masked patch was seen.
    pub fn finish(&self) -> Option<Baselines> {
        let patches = self.patches as f64;
        let entropy = || self.classes.values().map(|&count| count as f64 / patches).map(|share| -share * share.ln()).sum();
        (self.patches > 0).then(|| match self.output {
            Output::Values { .. } => Baselines { patch_mean: self.patch_mean / patches, nearest: self.nearest / patches },
            Output::Classes { .. } => Baselines { patch_mean: entropy(), nearest: f64::NAN },
            Output::Distributions { places, .. } => {
                let total: f64 = self.distribution.iter().sum();
                let of_class = |sum: &f64| if *sum > 0.0 { -sum * (sum / total).ln() } else { 0.0 };
                let patch_mean = self.distribution.iter().map(of_class).sum::<f64>() / (patches * places as f64);
                Baselines { patch_mean, nearest: f64::NAN }
            }
        })
    }

    fn mean_row(&self, rows: &[&[f32]], visible: &[usize]) -> Vec<f32> {
        let mut sums = vec![(0.0, 0_usize); self.period];
        for &id in visible {
            for (i, &value) in rows[id].iter().enumerate() {
                sums[i % self.period].0 += f64::from(value);
                sums[i % self.period].1 += 1;
            }
        }
        let mean = |i: usize| (sums[i % self.period].0 / sums[i % self.period].1.max(1) as f64) as f32;
        (0..self.output.row_width()).map(mean).collect()
    }
}

fn nearest_visible(id: usize, cols: usize, visible: &[usize]) -> Option<usize> {
    let distance = |other: usize| {
        let (dy, dx) = ((id / cols).abs_diff(other / cols), (id % cols).abs_diff(other % cols));
        dy * dy + dx * dx
    };
    visible.iter().copied().min_by_key(|&other| distance(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Grid;
    use crate::objective::cross_entropy::CrossEntropy;
    use crate::objective::mse::Mse;

    #[test]
    fn both_baselines_by_hand() {
        // A 1x4 grid of one-pixel patches with one channel: 1 and 3 are visible, 2 and 10 are masked.
        let masked = vec![false, true, false, true];
        let mask = Mask::in_raster_order(Grid::still(1, 4), masked);
        let mut tally = BaselineTally::new(&Mse { all: false }, Output::Values { width: 1 }, 1);
        tally.add(&[1.0, 2.0, 3.0, 10.0], &mask);
        let baselines = tally.finish().expect("two masked patches");
        assert_eq!(baselines.patch_mean, (0.0 + 64.0) / 2.0);
        assert_eq!(baselines.nearest, (1.0 + 49.0) / 2.0);
    }

    #[test]
    fn classes_are_guessed_by_their_frequency() {
        let mask = Mask::in_raster_order(Grid::still(1, 4), vec![true, true, false, true]);
        let mut tally = BaselineTally::new(&CrossEntropy { all: false, classes: 0 }, Output::Classes { count: 8 }, 1);
        tally.add(&[3.0, 7.0, 5.0, 3.0], &mask);
        let baselines = tally.finish().expect("three masked patches");
        let (a, b) = (2.0_f64 / 3.0, 1.0_f64 / 3.0);
        assert!((baselines.patch_mean + a * a.ln() + b * b.ln()).abs() < 1e-12 && baselines.nearest.is_nan(), "{baselines:?}");
    }

    #[test]
    fn distributions_are_guessed_by_their_mean_whatever_they_count() {
        let mask = Mask::in_raster_order(Grid::still(1, 2), vec![false, false]);
        let objective = CrossEntropy { all: true, classes: 2 };
        let mut tally = BaselineTally::new(&objective, Output::Distributions { places: 1, count: 2 }, 2);
        // The second patch counts three times as much, so that the best guess is (1/4, 3/4).
        let rows = [1.0, 0.0, 0.0, 3.0];
        tally.add(&rows, &mask);
        let guess = [0.25_f32.ln(), 0.75_f32.ln()];
        let want = rows.chunks_exact(2).map(|row| objective.error(&guess, row)).sum::<f64>() / 2.0;
        let baselines = tally.finish().expect("two patches that count");
        assert!((baselines.patch_mean - want).abs() < 1e-6 && baselines.nearest.is_nan(), "{baselines:?} {want}");
    }

    #[test]
    fn features_are_not_mixed_up_with_each_other() {
        let mask = Mask::in_raster_order(Grid::still(1, 3), vec![false, false, true]);
        let mut tally = BaselineTally::new(&Mse { all: false }, Output::Values { width: 2 }, 2);
        tally.add(&[1.0, 10.0, 3.0, 30.0, 2.0, 20.0], &mask);
        assert_eq!(tally.finish().expect("a masked patch").patch_mean, 0.0);
    }
}
