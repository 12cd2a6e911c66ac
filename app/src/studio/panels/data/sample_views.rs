//! What training sees of one image in its first epochs, made by the very code that feeds the trainer; where it is a puzzle, with what
//! solves it, and where it is the lightness alone, that.

use std::collections::HashSet;
use std::sync::Arc;

use egui::ColorImage;
use maskroom_core::augment::{CropBox, Resizer};
use maskroom_core::dataset::Dataset;
use maskroom_core::dataset::decode::Need;
use maskroom_core::dataset::images::ImageSource as _;
use maskroom_core::dataset::loader::LoaderOptions;
use maskroom_core::dataset::sample::{Sample, samples};
use maskroom_core::method::pretext::{Pretext, Puzzle};
use maskroom_core::recipe::Recipe;
use maskroom_core::train::data::{loader_options, repetitions};

use crate::studio::display::Display;

/// How many pictures are shown at least; those of an epoch come together.
const SAMPLES: usize = 12;
/// Pixels of the longer side of the whole image as it is shown beside.
const WHOLE_SIDE: usize = 640;

/// What is asked of the worker.
pub(super) struct Question {
    pub(super) dataset: Arc<Dataset>,
    pub(super) index: usize,
    pub(super) recipe: Recipe,
}

/// The whole image and its samples.
pub(super) struct Views {
    pub(super) whole: ColorImage,
    /// H and W of the whole image, in pixels.
    pub(super) full: [usize; 2],
    /// All views of the first epoch, then those of the next.
    pub(super) samples: Vec<SampleView>,
}

/// One view of a sample.
pub(super) struct SampleView {
    /// The epoch, from 0.
    pub(super) epoch: u64,
    /// Which of the epoch's views it is, from 0.
    pub(super) number: usize,
    pub(super) image: ColorImage,
    pub(super) crop: CropBox,
    pub(super) is_flipped: bool,
    /// What was done to it, where it is a puzzle.
    pub(super) puzzle: Option<String>,
}

/// Answers questions; keeps what takes long to find out about a folder.
#[derive(Default)]
pub(super) struct Maker {
    copies: Option<Copies>,
}

/// The names of copies among a folder's images without those left out by name: of equal ones, the first of these stays.
struct Copies {
    dataset: Arc<Dataset>,
    exclude: Vec<String>,
    names: HashSet<String>,
}

impl Maker {
    /// The views of an image. The error is a reason in plain words.
    pub(super) fn views(&mut self, question: &Question) -> Result<Views, String> {
        let Question { dataset, index, recipe, .. } = question;
        let index_in_run =
            self.index_in_run(dataset, *index, recipe).ok_or("The recipe leaves this image out: training does not see it")?;
        let mut options = loader_options(recipe, 1, (0, 0));
        if options.mean.is_empty() {
            // To be measured when a run is prepared; what is divided out below does not show.
            (options.mean, options.std) = (vec![0.5; options.channels], vec![0.25; options.channels]);
        }
        let (pretext, target) = (Pretext::of(recipe), recipe.target().ok());
        let of_epoch = match pretext.as_ref().map(Pretext::puzzle) {
            Some(Puzzle::Rotation) => 4,
            Some(Puzzle::Jigsaw(..)) => 2,
            None => options.views.len().max(1),
        };
        let samples = samples(&**dataset, *index, index_in_run, &options, 0..SAMPLES.div_ceil(of_epoch) as u64)?;
        let full = samples.first().map_or([1, 1], |sample| sample.full);
        let view = |sample: &Sample| {
            let picture = |pixels: &[f32], puzzle: Option<String>| SampleView {
                epoch: sample.epoch,
                number: sample.number,
                image: shown(pixels, sample.size, &options),
                crop: sample.view.crop,
                is_flipped: sample.view.flip,
                puzzle,
            };
            let Some(pretext) = &pretext else {
                let given = target.as_ref().and_then(|target| target.shown(&sample.pixels, &options.mean, &options.std));
                return vec![picture(given.as_ref().unwrap_or(&sample.pixels), None)];
            };
            // The solution stands before tiles that were shuffled; of four turns, it is one.
            let solution = matches!(pretext.puzzle(), Puzzle::Jigsaw(..)).then(|| picture(&sample.pixels, Some("solved".into())));
            let posed = pretext.posed(&sample.pixels, sample.epoch, index_in_run as u64);
            let posed = posed.iter().map(|(pixels, class)| picture(pixels, Some(pretext.in_words(*class))));
            solution.into_iter().chain(posed).collect()
        };
        let samples = samples.iter().flat_map(view).collect();
        Ok(Views { whole: whole(dataset, *index)?, full, samples })
    }

    /// The number an image has in a run, which numbers what its recipe leaves.
    fn index_in_run(&mut self, dataset: &Arc<Dataset>, index: usize, recipe: &Recipe) -> Option<usize> {
        let mut left_out: HashSet<&str> = recipe.data.exclude.iter().map(String::as_str).collect();
        if recipe.data.exclude_duplicates {
            let exclude = &recipe.data.exclude;
            let is_known = |copies: &Copies| Arc::ptr_eq(&copies.dataset, dataset) && copies.exclude == *exclude;
            if !self.copies.as_ref().is_some_and(is_known) {
                let mut named = Dataset::clone(dataset);
                named.exclude(&exclude.iter().cloned().collect());
                self.copies = Some(Copies { dataset: Arc::clone(dataset), exclude: exclude.clone(), names: repetitions(&named) });
            }
            left_out.extend(self.copies.iter().flat_map(|copies| &copies.names).map(String::as_str));
        }
        let is_in = |item: &&maskroom_core::dataset::Item| !left_out.contains(item.name.as_str());
        is_in(&dataset.items.get(index)?).then(|| dataset.items[..index].iter().filter(is_in).count())
    }
}

/// A sample as a picture: normalization undone, of more than four channels the first three.
fn shown(pixels: &[f32], [height, width]: [usize; 2], options: &LoaderOptions) -> ColorImage {
    let channels = options.channels;
    let mut rgb = Vec::with_capacity(height * width * 3);
    for pixel in pixels.chunks_exact(channels) {
        let byte = |channel: usize| {
            let unit = pixel[channel] * options.std[channel] + options.mean[channel];
            (unit.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        rgb.extend(if channels < 3 { [byte(0); 3] } else { [byte(0), byte(1), byte(2)] });
    }
    ColorImage::from_rgb([width, height], &rgb)
}

fn whole(dataset: &Dataset, index: usize) -> Result<ColorImage, String> {
    let divisor = |height: usize, width: usize| [8, 4].into_iter().find(|divisor| height.max(width) / divisor >= WHOLE_SIDE).unwrap_or(1);
    let picture = dataset.picture(index, &|height, width| Need::whole(divisor(height, width)))?.picture;
    let scale = (WHOLE_SIDE as f64 / picture.height.max(picture.width) as f64).min(1.0);
    let [height, width] = [picture.height, picture.width].map(|side| ((side as f64 * scale).round() as usize).max(1));
    let area = maskroom_core::augment::Area::whole(&picture);
    let small = Resizer::new().resize(&picture, area, height, width, picture.channels)?;
    Ok(Display::of(small.channels, small.bit_depth()).render(&small, WHOLE_SIDE)?.image)
}

#[cfg(test)]
mod tests {
    use maskroom_core::dataset::toy_scenes::make_toy;
    use maskroom_core::recipe::Base;
    use maskroom_core::train::data::TrainingData;

    use super::*;

    #[test]
    fn what_is_shown_is_what_a_run_trains_on() {
        let folder = std::env::temp_dir().join(format!("maskroom-sample-views-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        make_toy(&folder.join("toy"), 12, (96, 80), 3, &mut |_| {}).unwrap();
        let images = folder.join("toy/JPEGImages");
        std::fs::copy(images.join("toy_000003.png"), images.join("toy_000004_copy.png")).unwrap();
        let sets = [
            ("backbone.preset", "vit-nano"),
            ("data.image", "[32, 48]"),
            ("data.mean", "[0.4, 0.5, 0.6]"),
            ("data.std", "[0.2, 0.25, 0.3]"),
            ("data.exclude", "[\"toy_000001.png\"]"),
            ("data.exclude_duplicates", "true"),
            ("data.held_out", "0.0"),
            ("augment.flip", "0.5"),
            ("optim.batch", "3"),
            ("seed", "5"),
        ];
        let sets: Vec<(String, String)> = sets.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let recipe = Recipe::resolve(Base::Preset("mae"), &sets).unwrap();
        let dataset = Arc::new(Dataset::open(&images).unwrap());
        let mut maker = Maker::default();
        let mut views = |name: &str| {
            let index = dataset.items.iter().position(|item| item.name == name).unwrap();
            maker.views(&Question { dataset: Arc::clone(&dataset), index, recipe: recipe.clone() })
        };
        assert!(views("toy_000001.png").is_err() && views("toy_000004_copy.png").is_err(), "both are left out");

        let data = TrainingData::open(&images, &recipe).unwrap();
        let options = loader_options(&recipe, 2, (0, 0));
        let mut loader = data.loader(&recipe, 2, 0).unwrap();
        let mut num_compared = 0;
        for _ in 0..3 * loader.batches_per_epoch() {
            let batch = loader.next().unwrap();
            for (sample, pixels) in batch.samples.iter().zip(batch.images.chunks_exact(32 * 48 * 3)) {
                let views = views(&data.source.name(*sample)).unwrap();
                assert_eq!(
                    views.samples[batch.epoch as usize].image,
                    shown(pixels, [32, 48], &options),
                    "image {sample}, epoch {}",
                    batch.epoch
                );
                num_compared += 1;
            }
        }
        assert!(num_compared >= 27, "{num_compared}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn puzzles_are_shown_as_they_are_posed_and_colors_as_they_are_asked_for() {
        let folder = std::env::temp_dir().join(format!("maskroom-puzzle-views-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        make_toy(&folder.join("toy"), 2, (48, 48), 3, &mut |_| {}).unwrap();
        let dataset = Arc::new(Dataset::open(&folder.join("toy/JPEGImages")).unwrap());
        let views = |method: &str| {
            let sets = [("backbone.preset", "vit-nano"), ("data.image", "[24, 24]"), ("data.held_out", "0.0")];
            let sets: Vec<(String, String)> = sets.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let recipe = Recipe::resolve(Base::Preset(method), &sets).unwrap();
            Maker::default().views(&Question { dataset: Arc::clone(&dataset), index: 1, recipe }).unwrap().samples
        };
        let said = |samples: &[SampleView]| samples.iter().map(|sample| sample.puzzle.clone().unwrap_or_default()).collect::<Vec<_>>();
        let turned = views("rotation");
        assert_eq!(said(&turned), ["0°", "90°", "180°", "270°"].repeat(3));
        // A quarter counterclockwise: what was the upper right corner is the upper left one.
        assert_eq!(turned[1].image[(0, 0)], turned[0].image[(23, 0)]);
        let shuffled = views("jigsaw");
        assert_eq!(said(&shuffled).iter().filter(|said| *said == "solved").count(), 6);
        let (solved, posed) = (&shuffled[0], &shuffled[1]);
        let first: usize = posed.puzzle.as_ref().unwrap().split(' ').next().unwrap().parse().unwrap();
        let (row, col) = ((first - 1) / 3 * 8, (first - 1) % 3 * 8);
        assert!((0..8).all(|at| posed.image[(at, at)] == solved.image[(col + at, row + at)]), "the first place has tile {first}");
        let is_gray = |view: &SampleView| view.image.pixels.iter().all(|pixel| pixel.r().abs_diff(pixel.b()) <= 1);
        assert!(views("colorization").iter().all(is_gray) && !views("mae").iter().all(is_gray));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
