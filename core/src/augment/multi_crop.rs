//! Several views of one image, large and small ones (Caron et al., *Unsupervised Learning of Visual Features by Contrasting Cluster
//! Assignments*, 2020: "multi-crop"). One view is the usual random resized crop.

use super::CropBox;
use super::View;
use super::colors::Colors;
use super::resize::Area;
use crate::dataset::decode::Need;
use crate::random::{Purpose, Stream, seed_of_view};

/// How a view of an image is made.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewOptions {
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// The smallest and largest share of an image's area that is shown.
    pub crop_scale: [f64; 2],
    /// The smallest and largest width ÷ height of what is shown.
    pub crop_ratio: [f64; 2],
    /// The probability that left and right are swapped.
    pub flip: f64,
    /// What is done to its colors.
    pub colors: Colors,
}

impl ViewOptions {
    /// Whole images of this size, unchanged in any other way.
    pub fn plain(height: usize, width: usize) -> Self {
        Self { height, width, crop_scale: [1.0; 2], crop_ratio: [1.0; 2], flip: 0.0, colors: Colors::default() }
    }
}

/// What of an image of `height` × `width` pixels each view shows: a function of seed, epoch, key and the view's number.
pub fn sample_views(options: &[ViewOptions], [height, width]: [usize; 2], seed: u64, epoch: u64, key: u64) -> Vec<View> {
    let sample = |(number, of): (usize, &ViewOptions)| {
        let mut stream = Stream::new(seed_of_view(seed, number), epoch, key, Purpose::Crop);
        View::sample(height, width, of.crop_scale, of.crop_ratio, of.flip, &mut stream)
    };
    options.iter().enumerate().map(sample).collect()
}

/// What has to be decoded of an image so that none of its views is blurred by it.
pub fn need_of(options: &[ViewOptions], views: &[View], [height, width]: [usize; 2]) -> Need {
    let of_each = || views.iter().zip(options);
    let divisor = of_each().map(|(view, of)| view.largest_divisor(of.height, of.width)).min().unwrap_or(1);
    let windows = of_each().map(|(view, of)| Area::reduced(view.crop, 1).window((height, width), (of.height, of.width)));
    Need { divisor, part: windows.reduce(around).filter(|_| divisor == 1) }
}

/// The smallest box that has both in it.
fn around(a: CropBox, b: CropBox) -> CropBox {
    let (top, left) = (a.top.min(b.top), a.left.min(b.left));
    let (bottom, right) = ((a.top + a.height).max(b.top + b.height), (a.left + a.width).max(b.left + b.width));
    CropBox { top, left, height: bottom - top, width: right - left }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Vec<ViewOptions> {
        let global = ViewOptions { crop_scale: [0.4, 1.0], crop_ratio: [0.75, 4.0 / 3.0], flip: 0.5, ..ViewOptions::plain(224, 224) };
        let local = ViewOptions { crop_scale: [0.05, 0.4], height: 96, width: 96, ..global };
        vec![global.clone(), global, local.clone(), local]
    }

    #[test]
    fn views_differ_and_have_their_shares_of_the_area() {
        let (options, size) = (options(), [375, 500]);
        let mut distinct = std::collections::BTreeSet::new();
        for key in 0..500 {
            let views = sample_views(&options, size, 3, 1, key);
            assert_eq!(views, sample_views(&options, size, 3, 1, key));
            for (view, of) in views.iter().zip(&options) {
                let share = (view.crop.height * view.crop.width) as f64 / (375.0 * 500.0);
                assert!(share > of.crop_scale[0] * 0.97 && share < of.crop_scale[1] * 1.03, "{share} of {:?}", of.crop_scale);
                distinct.insert((view.crop.top, view.crop.left, view.crop.height, view.crop.width));
            }
        }
        assert!(distinct.len() > 1990, "{} of 2000", distinct.len());
        let alone = sample_views(&options[..1], size, 3, 1, 7);
        assert_eq!(alone[0], sample_views(&options, size, 3, 1, 7)[0], "further views leave the first as it is");
    }

    #[test]
    fn what_is_decoded_serves_the_most_demanding_view() {
        let (options, size) = (options(), [3000, 4000]);
        let crop = |top, left, height, width| View { crop: CropBox { top, left, height, width }, flip: false };
        let large = [crop(0, 0, 2000, 2000), crop(100, 900, 2500, 3000), crop(50, 60, 400, 400), crop(0, 3500, 500, 500)];
        assert_eq!(need_of(&options, &large, size), Need::whole(4));
        let small = [crop(0, 0, 300, 300), crop(100, 900, 2500, 3000), crop(50, 60, 400, 400), crop(0, 3500, 500, 500)];
        let need = need_of(&options, &small, size);
        assert_eq!(need.divisor, 1);
        let part = need.part.unwrap();
        assert!(part.top == 0 && part.left == 0 && part.width == 4000 && (2600..2700).contains(&part.height), "{part:?}");
    }
}
