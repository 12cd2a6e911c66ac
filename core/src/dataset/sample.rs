//! One training sample: what (seed, epoch, key) makes of an image. The loader's threads come here, and so does whoever shows a person what
//! training sees: there is no second way that could differ.

use std::ops::Range;
use std::sync::Arc;

use super::decode::{Need, Reduced, isolated};
use super::images::ImageSource;
use super::loader::LoaderOptions;
use super::memory::PictureMemory;
use super::picture::{Picture, Pixels};
use crate::augment::horizontal_flip::flip_horizontally;
use crate::augment::multi_crop::{need_of, sample_views};
use crate::augment::{Area, CropBox, Resizer, View, ViewOptions};
use crate::random::{Purpose, Stream, seed_of_view};

/// A view of a training sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The epoch it comes in, from 0.
    pub epoch: u64,
    /// Which of the sample's views it is, from 0.
    pub number: usize,
    /// What of the image it shows.
    pub view: View,
    /// H and W of the whole image, in pixels.
    pub full: [usize; 2],
    /// H and W of the view, in pixels.
    pub size: [usize; 2],
    /// The normalized pixels `[H, W, C]`.
    pub pixels: Vec<f32>,
}

/// The key of an image's sample in an epoch: its index, and above bit 40 how often the image came before in that epoch.
pub(super) fn key(index: usize, repetition: u64) -> u64 {
    index as u64 | repetition << 40
}

/// A sample that is not normalized yet.
pub(super) struct Rendered {
    /// What each of its views shows.
    pub(super) views: Vec<View>,
    /// H and W of the whole image, in pixels.
    pub(super) full: [usize; 2],
    /// Each view, H × W pixels with the image's own channels and type.
    pub(super) pictures: Vec<Picture>,
}

/// Renders a sample. `decode` brings the picture, or as much of it as it is told.
pub(super) fn render(
    options: &LoaderOptions,
    epoch: u64,
    key: u64,
    decode: impl FnOnce(&dyn Fn(usize, usize) -> Need) -> Result<Arc<Reduced>, String>,
    resizer: &mut Resizer,
) -> Result<Rendered, String> {
    let views = |size: [usize; 2]| sample_views(&options.views, size, options.seed, epoch, key);
    let decoded = decode(&|height, width| need_of(&options.views, &views([height, width]), [height, width]))?;
    let full = [decoded.full_height, decoded.full_width];
    let views = views(full);
    let mut draw = |(number, (view, of)): (usize, (&View, &ViewOptions))| {
        let picture = drawn(&decoded, *view, of, options.channels, resizer)?;
        let mut stream = Stream::new(seed_of_view(options.seed, number), epoch, key, Purpose::Color);
        colored(picture, of, options.channels, &mut stream)
    };
    let pictures = views.iter().zip(&options.views).enumerate().map(&mut draw).collect::<Result<_, _>>()?;
    Ok(Rendered { views, full, pictures })
}

/// What a view shows, at its size.
fn drawn(decoded: &Reduced, view: View, of: &ViewOptions, channels: usize, resizer: &mut Resizer) -> Result<Picture, String> {
    let target = (of.height, of.width);
    let area = Area::reduced(view.crop, decoded.divisor);
    // The same pixels are looked at whether more of the picture is there or not, so that no rounding tells the difference.
    let window = area.window(decoded.whole_size(), target);
    let (top, left) = (window.top - decoded.top, window.left - decoded.left);
    let area = Area { top: area.top - window.top as f64, left: area.left - window.left as f64, ..area };
    let window = CropBox { top, left, ..window };
    let mut picture = resizer.resize_within(&decoded.picture, window, area, target, channels)?;
    picture.check_channels(channels)?;
    if view.flip {
        match &mut picture.pixels {
            Pixels::U8(samples) => flip_horizontally(samples, picture.width, picture.channels),
            Pixels::U16(samples) => flip_horizontally(samples, picture.width, picture.channels),
            Pixels::F32(samples) => flip_horizontally(samples, picture.width, picture.channels),
        }
    }
    Ok(picture)
}

/// A view with its colors changed.
fn colored(picture: Picture, of: &ViewOptions, channels: usize, stream: &mut Stream) -> Result<Picture, String> {
    if !of.colors.are_active(channels) {
        return Ok(picture);
    }
    let mut unit = picture.to_unit(channels)?;
    of.colors.apply(&mut unit.pixels, [unit.height, unit.width, channels], stream);
    Picture::new(unit.height, unit.width, channels, Pixels::F32(unit.pixels))
}

/// The views that a [`super::loader::Loader`] of these options makes of one image in these epochs, the first sample of each: all views of
/// the first epoch, then those of the next.
///
/// The image is number `index` of `source`; `index_in_run` is the number it has in the loader's own source, where images may be left out.
/// The error is the reason in plain words.
pub fn samples(
    source: &dyn ImageSource,
    index: usize,
    index_in_run: usize,
    options: &LoaderOptions,
    epochs: Range<u64>,
) -> Result<Vec<Sample>, String> {
    /// MiB for the picture at each of the reductions it is decoded at.
    const MEMORY_MIB: usize = 512;
    let memory = PictureMemory::new(MEMORY_MIB);
    let mut resizer = Resizer::new();
    let mut all = Vec::new();
    for epoch in epochs {
        let decode = |need: &dyn Fn(usize, usize) -> Need| memory.picture(source, index, need);
        let Rendered { views, full, pictures } = isolated(|| render(options, epoch, key(index_in_run, 0), decode, &mut resizer))?;
        for (number, (view, picture)) in views.into_iter().zip(pictures).enumerate() {
            let size = [picture.height, picture.width];
            let mut pixels = vec![0.0; size[0] * size[1] * options.channels];
            picture.write_normalized(options.channels, &options.mean, &options.std, &mut pixels)?;
            all.push(Sample { epoch, number, view, full, size, pixels });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::{ColorJitter, Colors};
    use crate::dataset::Dataset;
    use crate::dataset::loader::Loader;
    use crate::dataset::sample_files::{jpeg, varied_photo};

    #[test]
    fn what_is_shown_is_what_is_trained_on_colors_and_all() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..6_u32 {
            // Large enough that some crops are decoded at a quarter.
            let bytes = jpeg(&varied_photo(90 + 60 * index, 120 + 50 * index, u64::from(index)));
            std::fs::write(folder.path().join(format!("{index}.jpg")), bytes).unwrap();
        }
        let source: Arc<dyn ImageSource> = Arc::new(Dataset::open(folder.path()).unwrap());
        let colors =
            Colors { jitter: ColorJitter::new(&[0.4, 0.4, 0.4, 0.1], 0.8), gray: 0.2, blur: 0.5, sigma: [0.1, 2.0], solarize: 0.2 };
        let global = ViewOptions { crop_scale: [0.2, 1.0], crop_ratio: [0.75, 4.0 / 3.0], flip: 0.5, colors, ..ViewOptions::plain(16, 24) };
        let options = LoaderOptions {
            views: vec![global.clone(), ViewOptions { height: 8, width: 8, crop_scale: [0.05, 0.4], ..global }],
            channels: 3,
            mean: vec![0.4, 0.5, 0.6],
            std: vec![0.2, 0.25, 0.3],
            batch: 2,
            seed: 11,
            threads: 2,
            cache_mib: 0,
            start: (0, 0),
        };
        let shown: Vec<Vec<Sample>> = (0..6).map(|index| samples(&*source, index, index, &options, 0..4).unwrap()).collect();
        let mut loader = Loader::start(source, (0..6).collect(), options).unwrap();
        for _ in 0..4 * 3 {
            let batch = loader.next().unwrap();
            // All large views come before all small ones.
            let (large, small) = batch.images.split_at(2 * 16 * 24 * 3);
            let views = large.chunks_exact(16 * 24 * 3).zip(small.chunks_exact(8 * 8 * 3));
            for (sample, (large, small)) in batch.samples.iter().zip(views) {
                let of_epoch = &shown[*sample][2 * batch.epoch as usize..][..2];
                assert_eq!([&of_epoch[0].pixels[..], &of_epoch[1].pixels], [large, small], "image {sample} in epoch {}", batch.epoch);
            }
        }
        assert!(shown.iter().flatten().any(|sample| sample.view.flip) && shown[5].windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(shown[2][0].full, [210, 220]);
    }

    #[test]
    fn an_image_that_cannot_be_read_has_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"garbage").unwrap();
        let source = Dataset::open(folder.path()).unwrap();
        let options = LoaderOptions {
            views: vec![ViewOptions::plain(8, 8)],
            channels: 1,
            mean: vec![0.5],
            std: vec![0.5],
            batch: 1,
            seed: 0,
            threads: 1,
            cache_mib: 0,
            start: (0, 0),
        };
        assert!(samples(&source, 0, 0, &options, 0..2).unwrap_err().contains("first bytes"));
    }
}
