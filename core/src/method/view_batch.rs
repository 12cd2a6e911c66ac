//! What one step of a method that compares views is made from, on the host: the patches of all views, those of one size together.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::hidden_patches::Hidden;
use crate::backbone::patch_embed::patchify;

/// One batch, ready to be uploaded.
#[derive(Debug, Clone)]
pub struct ViewBatch {
    /// B
    pub batch: usize,
    /// Views of one size each; all of them in order make the sample's views.
    pub groups: Vec<ViewGroup>,
    /// What is hidden of the global views from the network, where anything ever is.
    pub hidden: Option<Hidden>,
    /// The epoch it is of.
    pub epoch: u64,
    /// What tells its samples apart, `[B]`.
    pub keys: Vec<u64>,
}

/// Views of one size, which go through the network together.
#[derive(Debug, Clone)]
pub struct ViewGroup {
    /// Which of the sample's views come first here.
    pub first: usize,
    /// V
    pub count: usize,
    /// Patches down and across.
    pub grid: [usize; 2],
    /// `[V·B, N, P·P·C]`, view by view.
    patches: Vec<f32>,
    values: usize,
}

impl ViewBatch {
    /// Shapes: `images` has all first views `[B, H, W, C]`, then all second ones, and so on, of `sizes` (H, W) each.
    pub fn new(images: &[f32], sizes: &[[usize; 2]], [channels, patch]: [usize; 2], epoch: u64, keys: &[u64]) -> Self {
        let (batch, mut rest, mut first, mut groups) = (keys.len(), images, 0, Vec::new());
        for views in sizes.chunk_by(|a, b| a == b) {
            let [height, width] = views[0];
            let (these, others) = rest.split_at((views.len() * batch * height * width * channels).min(rest.len()));
            let cut = |image: &[f32]| patchify(image, height, width, channels, patch);
            let patches = these.par_chunks_exact((height * width * channels).max(1)).flat_map_iter(cut).collect();
            let (grid, values) = ([height / patch, width / patch], patch * patch * channels);
            groups.push(ViewGroup { first, count: views.len(), grid, patches, values });
            (rest, first) = (others, first + views.len());
        }
        Self { batch, groups, hidden: None, epoch, keys: keys.to_vec() }
    }
}

impl ViewGroup {
    /// Which of the sample's `views` are here.
    pub fn views_among(&self, views: &Range<usize>) -> Range<usize> {
        let [first, last] = [views.start, views.end].map(|view| view.clamp(self.first, self.first + self.count));
        first..last
    }

    /// The patches of views that are here: `[views·B, N, P·P·C]`.
    pub fn patches(&self, views: Range<usize>, device: &Device) -> Tensor<3> {
        let tokens = self.grid[0] * self.grid[1];
        let of_view = self.patches.len() / self.count.max(1);
        let values = self.patches[(views.start - self.first) * of_view..(views.end - self.first) * of_view].to_vec();
        Tensor::from_data(TensorData::new(values, [views.len() * of_view / (tokens * self.values).max(1), tokens, self.values]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::model_file::to_host;

    #[test]
    fn views_of_one_size_stay_together_in_their_order() {
        // Two samples; two views of 4×4 and three of 2×4, of one channel: each view is filled with its number and its sample's.
        let sizes = [[4, 4], [4, 4], [2, 4], [2, 4], [2, 4]];
        let fill = |(view, &[height, width]): (usize, &[usize; 2])| {
            (0..2).flat_map(move |sample| vec![(10 * view + sample) as f32; height * width]).collect::<Vec<f32>>()
        };
        let images: Vec<f32> = sizes.iter().enumerate().flat_map(fill).collect();
        let batch = ViewBatch::new(&images, &sizes, [1, 2], 3, &[7, 8]);
        let found: Vec<_> = batch.groups.iter().map(|group| (group.first, group.count, group.grid)).collect();
        assert_eq!(found, [(0, 2, [2, 2]), (2, 3, [1, 2])]);
        let firsts = |group: &ViewGroup, views: Range<usize>| {
            let patches = group.patches(views, &Device::flex());
            let per_image = patches.dims()[1] * patches.dims()[2];
            to_host(patches).unwrap().chunks_exact(per_image).map(|image| image[0]).collect::<Vec<f32>>()
        };
        assert_eq!(firsts(&batch.groups[0], 0..2), [0.0, 1.0, 10.0, 11.0]);
        assert_eq!(firsts(&batch.groups[1], 2..5), [20.0, 21.0, 30.0, 31.0, 40.0, 41.0]);
        assert_eq!(firsts(&batch.groups[1], 3..4), [30.0, 31.0]);
        assert_eq!([0..2, 1..3, 4..9].map(|views| batch.groups[1].views_among(&views)), [2..2, 2..3, 4..5]);
    }
}
