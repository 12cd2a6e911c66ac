//! Histograms of oriented gradients: the golden vectors of known directions, and a second implementation in the words of the definition.

use std::f64::consts::PI;

use super::hog::Hog;
use super::*;
use crate::backbone::patch_embed::patchify;
use crate::random::{Purpose, Stream};

const PLAIN: Hog = Hog { bins: 9, cell: 8, gaussian: false };
/// ImageNet's, so that nothing is exact by chance.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// An image of levels, 0 to 255 or with fractions, normalized as a network's input is.
struct Levels {
    values: Vec<f32>,
    patches: Vec<f32>,
    shape: ImageShape,
}

impl Levels {
    fn new(shape: ImageShape, level: impl Fn(usize, usize, usize) -> f64) -> Self {
        let ImageShape { height, width, channels, patch } = shape;
        let place = |index: usize| (index / channels / width, index / channels % width, index % channels);
        let values: Vec<f32> = (0..shape.image_values())
            .map(|index| {
                let (y, x, channel) = place(index);
                ((level(y, x, channel) / 255.0) as f32 - MEAN[channel]) / STD[channel]
            })
            .collect();
        let patches = patchify(&values, height, width, channels, patch);
        Self { values, patches, shape }
    }

    fn image(&self) -> TargetImage<'_> {
        TargetImage { values: &self.values, patches: &self.patches, shape: self.shape, mean: &MEAN, std: &STD }
    }
}

fn gray(side: usize, patch: usize) -> ImageShape {
    ImageShape { height: side, width: side, channels: 1, patch }
}

/// The strongest bin of the inner cell of an image that grows brighter towards `degrees`, counted from the right over the bottom.
fn bin_towards(degrees: f64) -> usize {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let levels = Levels::new(gray(24, 8), |y, x, _| 128.0 + 5.0 * (cos * (x as f64 - 12.0) + sin * (y as f64 - 12.0)));
    let row = &PLAIN.rows(&levels.image())[4 * 9..][..9];
    (0..9).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
}

#[test]
fn gradients_fall_into_the_published_bins() {
    let expected = [(0, 4), (20, 3), (40, 2), (45, 2), (60, 1), (80, 0), (90, 0), (100, 8), (120, 7), (135, 6), (140, 6), (160, 5)];
    for (degrees, bin) in expected {
        assert_eq!(bin_towards(f64::from(degrees)), bin, "{degrees}°");
        assert_eq!(bin_towards(f64::from(degrees) + 180.0), bin, "{degrees}° the other way");
    }
}

#[test]
fn a_cell_at_the_border_is_that_of_g19() {
    // A ramp to the right over 8 x 8 px: the two outer columns have no gradient because the border mirrors.
    let ramp = Levels::new(gray(8, 8), |_, x, _| x as f64);
    let mut unit = [0.0; 9];
    unit[4] = 1.0;
    assert_eq!(PLAIN.rows(&ramp.image()), unit);

    let (sin, cos) = 40_f64.to_radians().sin_cos();
    let slanted = Levels::new(gray(8, 8), |y, x, _| cos * x as f64 + sin * y as f64);
    let row = PLAIN.rows(&slanted.image());
    for (bin, (have, want)) in row.iter().zip([0.2033, 0.0, 0.9487, 0.0, 0.2422, 0.0, 0.0, 0.0, 0.0]).enumerate() {
        assert!((have - want).abs() < 3e-4, "bin {bin}: {row:?}");
    }
}

#[test]
fn sizes_are_those_of_the_paper_and_cells_must_fit() {
    let shape = ImageShape { height: 224, width: 224, channels: 3, patch: 16 };
    assert_eq!(PLAIN.output(shape), Output::Values { width: 108 });
    assert!(PLAIN.problems(shape).is_empty());
    let problem = &PLAIN.problems(ImageShape { patch: 4, ..shape })[0];
    assert_eq!(problem.to_string(), "target.cell: a patch of 4 px does not consist of cells of 8 px: use a cell of 1, 2, 4 px");
    assert_eq!(PLAIN.problems(ImageShape { patch: 14, ..shape }).len(), 1);
}

/// The definition, pixel by pixel, on levels: gradient, angle, bin, sum, length.
fn by_the_book(hog: &Hog, shape: ImageShape, level: impl Fn(usize, usize, usize) -> f64) -> Vec<f32> {
    let [rows, cols] = shape.grid();
    let reflect = |at: isize, size: usize| {
        let at = at.unsigned_abs();
        if at >= size { 2 * size - 2 - at } else { at }
    };
    let mut all = Vec::new();
    for patch in 0..rows * cols {
        for channel in 0..shape.channels {
            let mut histograms = vec![vec![0.0; hog.bins]; (shape.patch / hog.cell).pow(2)];
            for inner in 0..shape.patch.pow(2) {
                let (py, px) = (inner / shape.patch, inner % shape.patch);
                let (y, x) = (patch / cols * shape.patch + py, patch % cols * shape.patch + px);
                let at =
                    |dy: isize, dx: isize| level(reflect(y as isize + dy, shape.height), reflect(x as isize + dx, shape.width), channel);
                let gx = at(-1, -1) + 2.0 * at(0, -1) + at(1, -1) - at(-1, 1) - 2.0 * at(0, 1) - at(1, 1);
                let gy = at(-1, -1) + 2.0 * at(-1, 0) + at(-1, 1) - at(1, -1) - 2.0 * at(1, 0) - at(1, 1);
                let phase = gx.atan2(gy) / PI * hog.bins as f64;
                let bin = (phase.floor() as isize).rem_euclid(hog.bins as isize) as usize;
                let weight = |place: usize| (-0.5 * (((place % 16) as f64 - 7.5) / 8.0).powi(2)).exp();
                let window = if hog.gaussian { weight(y) * weight(x) } else { 1.0 };
                histograms[py / hog.cell * (shape.patch / hog.cell) + px / hog.cell][bin] += (gx * gx + gy * gy).sqrt() * window;
            }
            for bin in 0..hog.bins {
                for histogram in &histograms {
                    let length = histogram.iter().map(|value| value * value).sum::<f64>().sqrt();
                    all.push((histogram[bin] / length.max(1e-12)) as f32);
                }
            }
        }
    }
    all
}

#[test]
fn random_images_have_the_histograms_of_the_definition() {
    let shape = ImageShape { height: 32, width: 48, channels: 3, patch: 16 };
    let mut stream = Stream::new(1, 0, 0, Purpose::Bench);
    // Few levels, so that many gradients are exactly equal, opposite, or zero.
    let noise: Vec<f64> = (0..shape.image_values()).map(|_| stream.below(6) as f64 * 51.0).collect();
    let level = |y: usize, x: usize, channel: usize| noise[(y * 48 + x) * 3 + channel];
    for hog in [PLAIN, Hog { gaussian: true, ..PLAIN }, Hog { cell: 4, bins: 12, ..PLAIN }] {
        let (have, want) = (hog.rows(&Levels::new(shape, level).image()), by_the_book(&hog, shape, level));
        assert_eq!(have.len(), want.len());
        for (index, (have, want)) in have.iter().zip(want).enumerate() {
            assert!((have - want).abs() < 1e-5, "{index}: {have} {want}");
        }
    }
}

#[test]
fn brightness_and_contrast_make_no_difference_and_flat_cells_are_zero() {
    let shape = ImageShape { height: 16, width: 32, channels: 1, patch: 16 };
    let level = |y: usize, x: usize| if x < 16 { ((y * 7 + x * 13) % 50) as f64 } else { 20.0 };
    let rows = |scale: f64, offset: f64| PLAIN.rows(&Levels::new(shape, |y, x, _| level(y, x) * scale + offset).image());
    let (plain, stretched) = (rows(1.0, 0.0), rows(4.0, 30.0));
    assert!(plain.iter().zip(&stretched).all(|(a, b)| (a - b).abs() < 1e-5));
    let last_cells: Vec<f32> = plain[36..].iter().skip(1).step_by(2).copied().collect();
    assert!(last_cells.iter().all(|&value| value == 0.0), "{last_cells:?}");
}

#[test]
fn turning_an_image_by_a_bin_turns_the_histogram_by_one() {
    let bins: Vec<usize> = (0..9).map(|step| bin_towards(20.0 * f64::from(step))).collect();
    assert_eq!(bins, [4, 3, 2, 1, 0, 8, 7, 6, 5]);
}
