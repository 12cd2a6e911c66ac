//! What there is to know about a data set before training on it: counts, sizes, unreadable files, duplicates, pixel statistics.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::duplicates::{self, Fingerprint};
use super::{Dataset, Limits, Picture, Pixels, Split, Unreadable, decode};
use crate::augment::{Area, Resizer};

/// The findings of [`inspect`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// How many images are readable.
    pub images: usize,
    /// The others, with reasons: first what could not be listed, then by name.
    pub unreadable: Vec<Unreadable>,
    /// Each class and how many readable images it has, in the order of the classes.
    pub classes: Vec<(String, usize)>,
    /// How many readable images each split has; empty when the layout has none.
    pub splits: BTreeMap<Split, usize>,
    /// How large the images are; nothing when none is readable.
    pub sizes: Option<Sizes>,
    /// How many images have how many channels (2 and 4 with alpha).
    pub channels: BTreeMap<usize, usize>,
    /// How many images have samples of how many bits: 8, 16 or 32.
    pub bit_depths: BTreeMap<u32, usize>,
    /// Groups of files with equal bytes, by name.
    pub duplicates: Vec<Vec<String>>,
    /// Groups of images that look alike without being equal, by name; equal files are represented by their first.
    pub near_duplicates: Vec<Vec<String>>,
    /// Statistics of the pixels, over the images with the most frequent number of channels; nothing when none is readable.
    pub mean_std: Option<ChannelStatistics>,
    /// False when the inspection was canceled; the rest then covers what was read until then.
    pub complete: bool,
}

/// Sizes of images in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Smallest height and smallest width.
    pub min: [usize; 2],
    /// Median height and median width.
    pub median: [usize; 2],
    /// Largest height and largest width.
    pub max: [usize; 2],
    /// How many images have a shorter side in `[low, 2 * low)`, as `(low, count)`, for powers of two.
    pub histogram: Vec<(usize, usize)>,
}

/// Mean and standard deviation of each channel, of pixels in 0..1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelStatistics {
    /// C.
    pub channels: usize,
    /// A mean for each channel.
    pub mean: Vec<f64>,
    /// A deviation for each channel.
    pub std: Vec<f64>,
}

/// Reads and decodes every image, on all of rayon's threads. `progress(done, all)` is called from them after each image. When `cancel` becomes
/// true, the rest is left out. The result does not depend on threads.
pub fn inspect(dataset: &Dataset, progress: &(dyn Fn(usize, usize) + Sync), cancel: &AtomicBool) -> Health {
    let done = AtomicUsize::new(0);
    let all = dataset.items.len();
    let examined: Vec<Option<Result<Examined, String>>> = (0..all)
        .into_par_iter()
        .map_init(Resizer::new, |resizer, index| {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            let outcome = examine(dataset, index, resizer);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            Some(outcome)
        })
        .collect();
    summarize(dataset, examined)
}

/// Mean and deviation of the pixels in 0..1 as a network with `channels` channels sees them, over at most `max_images` images spread evenly
/// over the data. Nothing when none of them is readable or has a rule for that number of channels.
pub fn channel_statistics(dataset: &Dataset, channels: usize, max_images: usize) -> Option<ChannelStatistics> {
    let count = dataset.items.len().min(max_images.max(1));
    let sums: Vec<Option<Sums>> = (0..count)
        .into_par_iter()
        .map(|place| {
            let index = place * dataset.items.len() / count;
            let picture = dataset.bytes(index).and_then(|bytes| decode::decode(&bytes, &Limits::default())).ok()?;
            let unit = picture.to_unit(channels).ok()?;
            Some(Sums::of(&unit.pixels, channels, f64::from))
        })
        .collect();
    statistics(channels, sums.iter().flatten())
}

/// What is kept of a readable image.
struct Examined {
    height: usize,
    width: usize,
    channels: usize,
    bit_depth: u32,
    digest: [u8; 32],
    print: Option<Fingerprint>,
    sums: Sums,
}

/// Sums over the pixels of an image, per channel.
struct Sums {
    pixels: f64,
    sum: Vec<f64>,
    square: Vec<f64>,
}

impl Sums {
    fn of<T: Copy>(samples: &[T], channels: usize, unit: impl Fn(T) -> f64) -> Self {
        let (mut sum, mut square) = (vec![0.0; channels], vec![0.0; channels]);
        for pixel in samples.chunks_exact(channels) {
            for ((sum, square), &value) in sum.iter_mut().zip(&mut square).zip(pixel) {
                let value = unit(value);
                *sum += value;
                *square += value * value;
            }
        }
        Self { pixels: (samples.len() / channels) as f64, sum, square }
    }

    fn of_picture(picture: &Picture) -> Self {
        match &picture.pixels {
            Pixels::U8(samples) => Self::of(samples, picture.channels, |value| f64::from(value) / 255.0),
            Pixels::U16(samples) => Self::of(samples, picture.channels, |value| f64::from(value) / 65535.0),
            Pixels::F32(samples) => Self::of(samples, picture.channels, f64::from),
        }
    }
}

fn examine(dataset: &Dataset, index: usize, resizer: &mut Resizer) -> Result<Examined, String> {
    let bytes = dataset.bytes(index)?;
    let picture = decode::decode(&bytes, &Limits::default())?;
    decode::isolated(|| {
        let side = Fingerprint::SIDE;
        // Images of other channel counts (multispectral) are compared by their first channel.
        let thumbnail = resizer.resize(&picture, Area::whole(&picture), side, side, 3)?;
        let thumbnail = thumbnail.to_unit(3).or_else(|_| first_channel(&thumbnail)?.to_unit(3))?;
        Ok(Examined {
            height: picture.height,
            width: picture.width,
            channels: picture.channels,
            bit_depth: picture.bit_depth(),
            digest: Sha256::digest(&bytes).into(),
            print: Fingerprint::new(&thumbnail),
            sums: Sums::of_picture(&picture),
        })
    })
}

fn first_channel(picture: &Picture) -> Result<Picture, String> {
    let pixels = match &picture.pixels {
        Pixels::U8(samples) => Pixels::U8(samples.iter().step_by(picture.channels).copied().collect()),
        Pixels::U16(samples) => Pixels::U16(samples.iter().step_by(picture.channels).copied().collect()),
        Pixels::F32(samples) => Pixels::F32(samples.iter().step_by(picture.channels).copied().collect()),
    };
    Picture::new(picture.height, picture.width, 1, pixels)
}

fn summarize(dataset: &Dataset, examined: Vec<Option<Result<Examined, String>>>) -> Health {
    let complete = examined.iter().all(Option::is_some);
    let mut unreadable = dataset.unreadable.clone();
    let mut readable = Vec::new();
    for (item, outcome) in dataset.items.iter().zip(examined) {
        match outcome {
            Some(Ok(image)) => readable.push((item, image)),
            Some(Err(reason)) => unreadable.push(Unreadable { path: item.name.clone(), reason }),
            None => {}
        }
    }
    let mut classes: Vec<(String, usize)> = dataset.classes.iter().map(|class| (class.clone(), 0)).collect();
    let (mut splits, mut channels, mut bit_depths) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (item, image) in &readable {
        if let Some((_, count)) = item.class.and_then(|class| classes.get_mut(class)) {
            *count += 1;
        }
        if let Some(split) = item.split {
            *splits.entry(split).or_insert(0) += 1;
        }
        *channels.entry(image.channels).or_insert(0) += 1;
        *bit_depths.entry(image.bit_depth).or_insert(0) += 1;
    }
    // Of equally frequent counts, the larger one.
    let usual = channels.iter().max_by_key(|(channels, count)| (**count, **channels)).map(|(&channels, _)| channels);
    let mean_std =
        usual.and_then(|usual| statistics(usual, readable.iter().map(|(_, image)| &image.sums).filter(|sums| sums.sum.len() == usual)));
    let names = |positions: &[usize]| positions.iter().map(|&position| readable[position].0.name.clone()).collect::<Vec<_>>();
    let equal = equal_files(&readable.iter().map(|(_, image)| image.digest).collect::<Vec<_>>());
    let mut prints: Vec<Option<Fingerprint>> = readable.iter().map(|(_, image)| image.print.clone()).collect();
    equal.iter().flat_map(|group| &group[1..]).for_each(|&copy| prints[copy] = None);
    Health {
        images: readable.len(),
        unreadable,
        classes,
        splits,
        sizes: sizes(&readable.iter().map(|(_, image)| [image.height, image.width]).collect::<Vec<_>>()),
        channels,
        bit_depths,
        duplicates: equal.iter().map(|group| names(group)).collect(),
        near_duplicates: duplicates::groups(&prints).iter().map(|group| names(group)).collect(),
        mean_std,
        complete,
    }
}

fn equal_files(digests: &[[u8; 32]]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    digests.iter().enumerate().for_each(|(position, digest)| groups.entry(*digest).or_default().push(position));
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    groups
}

fn sizes(all: &[[usize; 2]]) -> Option<Sizes> {
    let sorted = |axis: usize| {
        let mut sides: Vec<usize> = all.iter().map(|size| size[axis]).collect();
        sides.sort_unstable();
        sides
    };
    let (heights, widths) = (sorted(0), sorted(1));
    let both = |place: usize| Some([*heights.get(place)?, *widths.get(place)?]);
    let mut histogram = BTreeMap::new();
    for size in all {
        *histogram.entry(1_usize << size[0].min(size[1]).max(1).ilog2()).or_insert(0) += 1;
    }
    let last = all.len().checked_sub(1)?;
    Some(Sizes { min: both(0)?, median: both(last / 2)?, max: both(last)?, histogram: histogram.into_iter().collect() })
}

fn statistics<'a>(channels: usize, images: impl Iterator<Item = &'a Sums>) -> Option<ChannelStatistics> {
    let mut total = Sums { pixels: 0.0, sum: vec![0.0; channels], square: vec![0.0; channels] };
    for image in images {
        total.pixels += image.pixels;
        total.sum.iter_mut().zip(&image.sum).for_each(|(total, value)| *total += value);
        total.square.iter_mut().zip(&image.square).for_each(|(total, value)| *total += value);
    }
    if total.pixels == 0.0 {
        return None;
    }
    let mean: Vec<f64> = total.sum.iter().map(|sum| sum / total.pixels).collect();
    let std = total.square.iter().zip(&mean).map(|(square, mean)| (square / total.pixels - mean * mean).max(0.0).sqrt()).collect();
    Some(ChannelStatistics { channels, mean, std })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, jpeg, varied_photo};
    use image::{DynamicImage, ImageFormat, imageops};

    fn look(root: &std::path::Path) -> Health {
        inspect(&Dataset::open(root).unwrap(), &|_, _| {}, &AtomicBool::new(false))
    }

    #[test]
    fn everything_worth_knowing_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| crate::dataset::tests::write(folder.path(), name, bytes);
        let photo = varied_photo(120, 160, 1);
        write("a/first.jpg", &jpeg(&photo));
        write("b/copy.jpg", &jpeg(&photo));
        write("a/smaller.png", &encoded(&imageops::resize(&photo, 80, 60, imageops::FilterType::Triangle).into(), ImageFormat::Png));
        write("b/brighter.png", &encoded(&DynamicImage::from(photo).brighten(12), ImageFormat::Png));
        (2..40).for_each(|variant| {
            write(&format!("a/other {variant}.png"), &encoded(&varied_photo(30, 40, variant).into(), ImageFormat::Png));
        });
        for (name, value) in [("black", 0), ("gray", 90), ("white", 255)] {
            write(&format!("b/{name}.png"), &encoded(&image::GrayImage::from_pixel(20, 20, image::Luma([value])).into(), ImageFormat::Png));
        }
        write("b/empty.jpg", b"");
        write("b/cut.jpg", &jpeg(&varied_photo(50, 50, 3))[..700]);
        write("b/text.png", b"this is text");
        let health = look(folder.path());
        assert_eq!((health.images, health.complete), (4 + 38 + 3, true));
        assert_eq!(health.unreadable.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["b/cut.jpg", "b/empty.jpg", "b/text.png"]);
        assert!(health.unreadable[0].reason.contains("truncated"));
        assert_eq!(health.classes, [("a".to_owned(), 40), ("b".to_owned(), 5)]);
        assert_eq!(health.duplicates, [["a/first.jpg", "b/copy.jpg"]]);
        assert_eq!(health.near_duplicates, [["a/first.jpg", "a/smaller.png", "b/brighter.png"]]);
        assert_eq!(health.channels, BTreeMap::from([(1, 3), (3, 42)]));
        assert_eq!(health.bit_depths, BTreeMap::from([(8, 45)]));
        let sizes = health.sizes.as_ref().unwrap();
        assert_eq!((sizes.min, sizes.median, sizes.max), ([20, 20], [30, 40], [120, 160]));
        assert_eq!(sizes.histogram, [(16, 41), (32, 1), (64, 3)]);
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(json["unreadable"][1]["path"], "b/empty.jpg");
        assert!(json["images"] == 45 && json["classes"][0][0] == "a" && json["duplicates"][0][0] == "a/first.jpg");
    }

    #[test]
    fn pixel_statistics_are_those_of_all_pixels() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("a", 0), ("b", 51)] {
            let image = image::GrayImage::from_pixel(4, 4, image::Luma([value]));
            crate::dataset::tests::write(folder.path(), &format!("{name}.png"), &encoded(&image.into(), ImageFormat::Png));
        }
        let statistics = look(folder.path()).mean_std.unwrap();
        assert_eq!(statistics.channels, 1);
        assert!((statistics.mean[0] - 0.1).abs() < 1e-9 && (statistics.std[0] - 0.1).abs() < 1e-9);
        let measured = channel_statistics(&Dataset::open(folder.path()).unwrap(), 4, 100).unwrap();
        assert!((measured.mean[2] - 0.1).abs() < 1e-6 && (measured.mean[3] - 1.0).abs() < 1e-9 && measured.std[3] < 1e-6);
    }

    #[test]
    fn a_canceled_inspection_says_so() {
        let folder = tempfile::tempdir().unwrap();
        crate::dataset::tests::write(folder.path(), "a.png", b"");
        let health = inspect(&Dataset::open(folder.path()).unwrap(), &|_, _| {}, &AtomicBool::new(true));
        assert!(!health.complete && health.images == 0 && health.unreadable.is_empty() && health.sizes.is_none());
    }
}
