//! What a network that has learned nothing would score, computed from the data: the floor every report holds a run against.

use serde::Serialize;

use crate::mask::Mask;

/// Mean squared errors over masked patches, in the target's own units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Baselines {
    /// Predicting, for every masked patch, the visible patches' mean color (their mean target, averaged over the patch, per channel).
    pub patch_mean: f64,
    /// Copying the target of the nearest visible patch (Euclidean distance on the grid, ties by raster order).
    pub nearest: f64,
}

/// Sums over images, so that baselines of many batches can be averaged patch by patch.
#[derive(Debug, Clone, Copy, Default)]
pub struct BaselineTally {
    patch_mean: f64,
    nearest: f64,
    patches: usize,
}

impl BaselineTally {
    /// Adds one image. Shapes: `targets [N, width]` in raster order; the numbers of a row are ordered (.., channel).
    pub fn add(&mut self, targets: &[f32], width: usize, channels: usize, mask: &Mask) {
        let rows: Vec<&[f32]> = targets.chunks_exact(width).collect();
        let visible: Vec<usize> = (0..rows.len()).filter(|&id| !mask.masked[id]).collect();
        let mean = channel_means(&rows, &visible, channels);
        for id in (0..rows.len()).filter(|&id| mask.masked[id]) {
            let error = |value: f32, guess: f64| (f64::from(value) - guess).powi(2) / width as f64;
            self.patch_mean += rows[id].iter().enumerate().map(|(i, &value)| error(value, mean[i % channels])).sum::<f64>();
            if let Some(nearest) = nearest_visible(id, mask.grid.cols, &visible) {
                self.nearest += rows[id].iter().zip(rows[nearest]).map(|(&value, &guess)| error(value, f64::from(guess))).sum::<f64>();
            }
            self.patches += 1;
        }
    }

    /// The averages; `None` before any masked patch was seen.
    pub fn finish(&self) -> Option<Baselines> {
        let patches = self.patches as f64;
        (self.patches > 0).then(|| Baselines { patch_mean: self.patch_mean / patches, nearest: self.nearest / patches })
    }
}

fn channel_means(rows: &[&[f32]], visible: &[usize], channels: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0_usize); channels];
    for &id in visible {
        for (i, &value) in rows[id].iter().enumerate() {
            sums[i % channels].0 += f64::from(value);
            sums[i % channels].1 += 1;
        }
    }
    sums.iter().map(|&(sum, count)| sum / count.max(1) as f64).collect()
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

    #[test]
    fn both_baselines_by_hand() {
        // A 1x4 grid of one-pixel patches with one channel: 1 and 3 are visible, 2 and 10 are masked.
        let masked = vec![false, true, false, true];
        let mask = Mask { grid: Grid { frames: 1, rows: 1, cols: 4 }, masked, secondary: vec![false; 4], ids_shuffle: vec![0, 2, 1, 3] };
        let mut tally = BaselineTally::default();
        tally.add(&[1.0, 2.0, 3.0, 10.0], 1, 1, &mask);
        let baselines = tally.finish().expect("two masked patches");
        assert_eq!(baselines.patch_mean, (0.0 + 64.0) / 2.0);
        assert_eq!(baselines.nearest, (1.0 + 49.0) / 2.0);
    }
}
