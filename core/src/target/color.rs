//! The color of a patch whose lightness is shown: a distribution over bins of the plane of a and b (Zhang, Isola and Efros, *Colorful Image
//! Colorization*, 2016), in one place or in several of the patch.

use burn::tensor::Device;

use super::color_bins::{BINS, annealed_mean, rebalanced, spread};
use super::lab::{gray_from_srgb, lab_from_srgb, srgb_from_lab};
use super::{Output, Sample, Target, TargetImage};
use crate::backbone::patch_embed::patchify;
use crate::error::{Error, Problem, Result};
use crate::knob::Knob;
use crate::method::masked_batch::ImageShape;
use crate::objective::cross_entropy::largest;
use crate::registry::{Entry, Settings};
use crate::segment::upsample_map;
use crate::weights::safetensors_file::{HostTensor, TensorMap};

const CELLS: Knob = Knob::int("cells", "places along a patch's side that each have a color of their own", "", (1, 64), 1);
const EQUAL: Knob = Knob::float(
    "equal",
    "how far colors count alike: rare ones count inversely as their frequency, mixed with such a share of equal ones; 1: all alike",
    "",
    (0.0, 1.0),
    0.5,
);
const TEMPERATURE: Knob =
    Knob::float("temperature", "of the mean over bins that is shown as a prediction; lower is more vivid", "", (0.01, 1.0), 0.38);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "color",
    summary: "which color it has, of which the network sees the lightness alone",
    source: "Zhang, Isola and Efros, Colorful Image Colorization, 2016",
    knobs: &[CELLS, EQUAL, TEMPERATURE],
    build: |settings| Ok(Box::new(Color::new(settings))),
};

/// Patches that frequencies of colors are measured on.
const PATCHES: usize = 65_536;
/// What frequencies are called among what was measured: `[bins]`, adding up to 1.
const FREQUENCIES: &str = "frequencies";

/// Distributions over bins of colors.
pub struct Color {
    cells: usize,
    share_of_equal: f32,
    temperature: f32,
    /// What each bin counts, `[bins]`, where frequencies are known; else, all count alike.
    weights: Option<Vec<f32>>,
}

impl Color {
    fn new(settings: &Settings) -> Self {
        Self {
            cells: CELLS.count_of(settings).max(1),
            share_of_equal: EQUAL.float_of(settings) as f32,
            temperature: TEMPERATURE.float_of(settings) as f32,
            weights: None,
        }
    }

    /// The mean color, [a, b], of each place of normalized patches, place by place: `[n, P·P·3]` to `[n · cells²]`.
    fn places(&self, patches: &[f32], patch: usize, normal: &Normal<'_>) -> Vec<[f32; 2]> {
        let (cells, side) = (self.cells, patch / self.cells);
        let of_patch = |values: &[f32]| {
            let mut sums = vec![[0.0_f32; 2]; cells * cells];
            for (at, pixel) in values.chunks_exact(3).enumerate() {
                let [_, a, b] = lab_from_srgb(normal.levels(pixel));
                let sum = &mut sums[at / patch / side * cells + at % patch / side];
                *sum = [sum[0] + a, sum[1] + b];
            }
            sums
        };
        let pixels = (side * side) as f32;
        patches.chunks_exact(patch * patch * 3).flat_map(of_patch).map(|sum| sum.map(|value| value / pixels)).collect()
    }
}

/// What normalized pixels mean.
struct Normal<'a> {
    mean: &'a [f32],
    std: &'a [f32],
}

impl Normal<'_> {
    fn of(&self, channel: usize) -> (f32, f32) {
        (self.mean.get(channel).copied().unwrap_or(0.0), self.std.get(channel).copied().unwrap_or(1.0))
    }

    /// Levels of 0..1 of a normalized pixel.
    fn levels(&self, pixel: &[f32]) -> [f32; 3] {
        std::array::from_fn(|channel| {
            let (mean, std) = self.of(channel);
            pixel[channel] * std + mean
        })
    }

    fn normalized(&self, levels: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|channel| {
            let (mean, std) = self.of(channel);
            (levels[channel] - mean) / std
        })
    }
}

impl Target for Color {
    fn output(&self, _: ImageShape) -> Output {
        Output::Distributions { places: self.cells * self.cells, count: BINS.len() }
    }

    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        let channels = (shape.channels != 3).then(|| {
            let what = format!("colors are made of red, green and blue, and images have {} channels here", shape.channels);
            Problem::new("data.channels", what, "use 3, or another target")
        });
        let cells = (!shape.patch.is_multiple_of(self.cells)).then(|| {
            let fitting = (1..=shape.patch).filter(|cells| shape.patch.is_multiple_of(*cells));
            let fitting = fitting.map(|cells| cells.to_string()).collect::<Vec<_>>().join(", ");
            let what = format!("{} px of a patch cannot be cut into {}", shape.patch, self.cells);
            Problem::new("target.cells", what, format!("use {fitting}"))
        });
        channels.into_iter().chain(cells).collect()
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let places = self.places(image.patches, image.shape.patch, &Normal { mean: image.mean, std: image.std });
        let distribution = |ab: [f32; 2]| {
            let mut distribution = spread(ab);
            if let Some(weights) = &self.weights {
                let counts = weights[largest(&distribution)];
                distribution.iter_mut().for_each(|share| *share *= counts);
            }
            distribution
        };
        places.into_iter().flat_map(distribution).collect()
    }

    fn draw(&self, image: &TargetImage<'_>, predictions: &[f32]) -> Option<Vec<f32>> {
        let ImageShape { height, width, channels, patch } = image.shape;
        let ([rows, cols], cells) = (image.shape.grid(), self.cells);
        let fine = [rows * cells, cols * cells];
        let mut maps = [0, 1].map(|_| vec![0.0; fine[0] * fine[1]]);
        for (index, scores) in predictions.chunks_exact(BINS.len()).enumerate() {
            let (id, cell) = (index / (cells * cells), index % (cells * cells));
            let place = (id / cols * cells + cell / cells) * fine[1] + id % cols * cells + cell % cells;
            let color = annealed_mean(scores, self.temperature);
            maps.iter_mut().zip(color).for_each(|(map, value)| map[place] = value);
        }
        let [a, b] = maps.map(|map| upsample_map(&map, fine, [height, width]));
        let normal = Normal { mean: image.mean, std: image.std };
        let drawn = image.values.chunks_exact(3).zip(a.iter().zip(&b)).flat_map(|(pixel, (&a, &b))| {
            let [lightness, ..] = lab_from_srgb(normal.levels(pixel));
            normal.normalized(srgb_from_lab([lightness, a, b]))
        });
        Some(patchify(&drawn.collect::<Vec<f32>>(), height, width, channels, patch))
    }

    fn shown(&self, images: &[f32], mean: &[f32], std: &[f32]) -> Option<Vec<f32>> {
        let normal = Normal { mean, std };
        let gray = |pixel: &[f32]| normal.normalized([gray_from_srgb(normal.levels(pixel)); 3]);
        Some(images.chunks_exact(3).flat_map(gray).collect())
    }

    fn measure(&self, sample: &Sample<'_>) -> Result<TensorMap> {
        let patches = (sample.patches)(PATCHES)?;
        let normal = Normal { mean: &sample.mean, std: &sample.std };
        let mut sums = vec![0.0_f64; BINS.len()];
        for ab in self.places(&patches, sample.shape.patch, &normal) {
            sums.iter_mut().zip(spread(ab)).for_each(|(sum, share)| *sum += f64::from(share));
        }
        let total: f64 = sums.iter().sum();
        let frequencies = sums.iter().map(|sum| (sum / total.max(f64::MIN_POSITIVE)) as f32).collect();
        Ok(TensorMap::from([(FREQUENCIES.to_owned(), HostTensor::new([BINS.len()], frequencies))]))
    }

    fn restore(&mut self, measured: &TensorMap, _: &Device) -> Result<()> {
        let Some(frequencies) = measured.get(FREQUENCIES).filter(|frequencies| frequencies.values.len() == BINS.len()) else {
            return Err(Error::Failed("the run lacks the frequencies of colors that its target was measured to have: start it anew".into()));
        };
        self.weights = Some(rebalanced(&frequencies.values, self.share_of_equal));
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.weights.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 8, width: 12, channels: 3, patch: 4 };
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const STD: [f32; 3] = [0.229, 0.224, 0.225];
    /// One for each of six patches.
    const COLORS: [[f32; 3]; 6] =
        [[0.8, 0.2, 0.2], [0.2, 0.6, 0.3], [0.2, 0.3, 0.8], [0.5, 0.5, 0.5], [0.9, 0.8, 0.2], [0.6, 0.3, 0.6]];

    fn color(cells: usize) -> Color {
        Color { cells, share_of_equal: 0.5, temperature: 0.38, weights: None }
    }

    /// Patches of one color each, darker towards the bottom.
    fn image() -> Vec<f32> {
        let normal = Normal { mean: &MEAN, std: &STD };
        let pixel = |at: usize| {
            let (y, x) = (at / 12, at % 12);
            let light = 1.0 - 0.1 * (y % 4) as f32;
            normal.normalized(COLORS[y / 4 * 3 + x / 4].map(|level| level * light))
        };
        (0..96).flat_map(pixel).collect()
    }

    fn with_image<T>(look: impl FnOnce(&TargetImage<'_>) -> T) -> T {
        let values = image();
        let patches = patchify(&values, 8, 12, 3, 4);
        look(&TargetImage { values: &values, patches: &patches, shape: SHAPE, mean: &MEAN, std: &STD })
    }

    #[test]
    fn what_is_shown_is_the_lightness_alone() {
        let (image, normal) = (image(), Normal { mean: &MEAN, std: &STD });
        let shown = color(1).shown(&image, &MEAN, &STD).unwrap();
        for (own, shown) in image.chunks_exact(3).zip(shown.chunks_exact(3)) {
            let (own, [lightness, a, b]) = (lab_from_srgb(normal.levels(own)), lab_from_srgb(normal.levels(shown)));
            assert!((own[0] - lightness).abs() < 0.02 && a.abs() < 0.02 && b.abs() < 0.02, "{own:?}");
        }
    }

    #[test]
    fn rows_are_distributions_over_the_bins_of_each_place() {
        for cells in [1, 2] {
            let target = color(cells);
            let (width, rows) = (BINS.len(), with_image(|image| target.rows(image)));
            assert_eq!(rows.len(), 6 * cells * cells * width);
            assert_eq!(target.output(SHAPE).row_width(), cells * cells * width);
            for (place, distribution) in rows.chunks_exact(width).enumerate() {
                assert!((distribution.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                // Of the rows of a patch, which are one darker than the other, a place has all or two.
                let light = if cells == 1 { 0.85 } else { [0.95, 0.75][place % 4 / 2] };
                let color = COLORS[place / (cells * cells)].map(|level| level * light);
                let (bin, [_, a, b]) = (BINS[largest(distribution)], lab_from_srgb(color));
                assert!((bin[0] - a).hypot(bin[1] - b) < 10.0, "{place}: {bin:?} {a} {b}");
            }
        }
    }

    #[test]
    fn what_is_asked_for_draws_the_image_again() {
        with_image(|image| {
            let target = Color { temperature: 1.0, ..color(4) };
            let scores: Vec<f32> = target.rows(image).iter().map(|share| share.ln()).collect();
            let drawn = target.draw(image, &scores).unwrap();
            let normal = Normal { mean: &MEAN, std: &STD };
            let mut farthest = 0.0_f32;
            for (own, drawn) in image.patches.chunks_exact(3).zip(drawn.chunks_exact(3)) {
                let (own, drawn) = (lab_from_srgb(normal.levels(own)), lab_from_srgb(normal.levels(drawn)));
                assert!((own[0] - drawn[0]).abs() < 1.5, "the lightness is the image's: {own:?} {drawn:?}");
                farthest = farthest.max((own[1] - drawn[1]).hypot(own[2] - drawn[2]));
            }
            assert!(farthest < 8.0, "{farthest}");
        });
    }

    #[test]
    fn rare_colors_count_more_once_their_frequencies_are_measured() {
        // Five patches in six are of the first color.
        let normal = Normal { mean: &MEAN, std: &STD };
        let patch = |color: [f32; 3]| normal.normalized(color).repeat(16);
        let patches = [patch(COLORS[0]).repeat(5), patch(COLORS[2])].concat();
        let target = color(1);
        let sample = Sample { shape: SHAPE, seed: 0, mean: MEAN.into(), std: STD.into(), patches: &|_| Ok(patches.clone()) };
        let measured = target.measure(&sample).unwrap();
        assert!((measured[FREQUENCIES].values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let mut target = target;
        assert!(!target.is_known() && target.restore(&TensorMap::new(), &Device::flex()).is_err());
        target.restore(&measured, &Device::flex()).unwrap();
        assert!(target.is_known());
        let rows = with_image(|image| target.rows(image));
        let counts: Vec<f32> = rows.chunks_exact(BINS.len()).map(|row| row.iter().sum()).collect();
        assert!(counts[2] > 2.0 * counts[0] && counts[1] > counts[2], "frequent, rare, never: {counts:?}");
        let mut alike = Color { share_of_equal: 1.0, ..color(1) };
        alike.restore(&measured, &Device::flex()).unwrap();
        let rows = with_image(|image| alike.rows(image));
        assert!(rows.chunks_exact(BINS.len()).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    }

    #[test]
    fn what_has_no_colors_or_does_not_divide_is_refused() {
        let problems = |cells: usize, channels: usize| color(cells).problems(ImageShape { channels, ..SHAPE }).len();
        assert_eq!([problems(1, 3), problems(4, 3), problems(3, 3), problems(1, 1), problems(3, 4)], [0, 0, 1, 1, 2]);
    }
}
