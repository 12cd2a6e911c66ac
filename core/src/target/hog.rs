//! Histograms of oriented gradients (Dalal and Triggs, 2005), as MaskFeat predicts them (Wei et al., 2021): for each channel and cell,
//! how much gradient there is in each direction, without regard to its sign, scaled to length one.

use std::f64::consts::PI;

use super::{Depiction, Output, Target, TargetImage, glyphs};
use crate::error::Problem;
use crate::knob::Knob;
use crate::method::masked_batch::ImageShape;
use crate::registry::Entry;

const BINS: Knob = Knob::int("bins", "directions that gradients are counted by, over half a turn", "", (2, 36), 9);
const CELL: Knob = Knob::int("cell", "side of the squares that have a histogram of their own; divides the patch", "px", (1, 128), 8);
const WINDOW: Knob = Knob::choice(
    "window",
    "weight of a gradient by its place: none, or a Gaussian over two by two cells, as in another published implementation",
    &["none", "gaussian"],
    "none",
);

/// The registry's line.
pub const ENTRY: Entry<dyn Target> = Entry {
    name: "hog",
    summary: "histograms of oriented gradients: how much edge there is in each direction",
    source: "Wei et al., Masked Feature Prediction for Self-Supervised Visual Pre-Training, 2021",
    knobs: &[BINS, CELL, WINDOW],
    build: |settings| {
        let gaussian = WINDOW.of(settings).as_text() == Some("gaussian");
        Ok(Box::new(Hog { bins: BINS.count_of(settings).max(2), cell: CELL.count_of(settings).max(1), gaussian }))
    },
};

/// What must be known to read its pictures.
const NOTE: &str = "a stroke is the share of edges along it in its cell, averaged over channels";

/// Histograms in the order (channel, bin, cell row, cell column).
pub struct Hog {
    /// Directions.
    pub bins: usize,
    /// Side of a cell in pixels.
    pub cell: usize,
    /// Gradients count by a Gaussian that repeats every two cells, with a deviation of one.
    pub gaussian: bool,
}

impl Target for Hog {
    fn output(&self, shape: ImageShape) -> Output {
        Output::Values { width: shape.channels * self.bins * self.cells(shape).pow(2) }
    }

    fn problems(&self, shape: ImageShape) -> Vec<Problem> {
        if shape.patch.is_multiple_of(self.cell) {
            return Vec::new();
        }
        let divisors: Vec<String> = (1..=shape.patch).filter(|&cell| shape.patch.is_multiple_of(cell)).map(|cell| cell.to_string()).collect();
        let what = format!("a patch of {} px does not consist of cells of {} px", shape.patch, self.cell);
        vec![Problem::new("target.cell", what, format!("use a cell of {} px", divisors.join(", ")))]
    }

    fn rows(&self, image: &TargetImage<'_>) -> Vec<f32> {
        let (shape, side) = (image.shape, self.cells(image.shape));
        let ([grid_rows, cols], width) = (shape.grid(), self.output(shape).row_width());
        // Where the histograms of a pixel's row and column are, and how much the pixel counts.
        let along = |patches: usize, patch_step: usize, cell_step: usize| {
            (0..patches * shape.patch)
                .map(|place| (place / shape.patch * patch_step + place % shape.patch / self.cell * cell_step, self.weight(place)))
                .collect::<Vec<(usize, f32)>>()
        };
        let (down, across) = (along(grid_rows, cols * width, side), along(cols, width, 1));
        let directions = self.directions();
        let mut rows = vec![0.0; shape.num_patches() * width];
        for channel in 0..shape.channels {
            let plane = Plane::new(image, channel);
            for (y, (row, row_weight)) in down.iter().enumerate() {
                for (x, (col, col_weight)) in across.iter().enumerate() {
                    let (gx, gy) = plane.gradient(y, x);
                    let (gx, gy) = (f64::from(gx), f64::from(gy));
                    let histogram = channel * self.bins + bin(gx, gy, &directions);
                    rows[row + col + histogram * side * side] += (gx * gx + gy * gy).sqrt() as f32 * row_weight * col_weight;
                }
            }
        }
        self.to_length_one(&mut rows, side);
        rows
    }

    fn depict(&self, shape: ImageShape, predictions: &[f32], targets: &[f32]) -> Option<Depiction> {
        let width = self.output(shape).row_width();
        let [prediction, target] = [predictions, targets].map(|rows| (rows.len() == shape.num_patches() * width).then(|| glyphs::draw(self, shape, rows)));
        Some(Depiction { prediction: prediction?, target: target?, note: NOTE })
    }

    /// Zeros are as far from a histogram of length one, which all but flat cells have.
    fn trivial_loss(&self, _: ImageShape) -> Option<f64> {
        Some(1.0 / self.bins as f64)
    }
}

impl Hog {
    /// Cells along a side of a patch.
    fn cells(&self, shape: ImageShape) -> usize {
        shape.patch / self.cell
    }

    /// The boundaries between bins as (cosine, sine), but for the one at zero.
    fn directions(&self) -> Vec<(f64, f64)> {
        (1..self.bins).map(|bin| (PI * bin as f64 / self.bins as f64).sin_cos()).map(|(sin, cos)| (cos, sin)).collect()
    }

    /// How much a row or column counts.
    fn weight(&self, place: usize) -> f32 {
        let middle = self.cell as f64 - 0.5;
        let distance = ((place % (2 * self.cell)) as f64 - middle) / self.cell as f64;
        if self.gaussian { (-0.5 * distance.powi(2)).exp() as f32 } else { 1.0 }
    }

    /// Divides each histogram by its length; flat cells stay zero.
    fn to_length_one(&self, rows: &mut [f32], side: usize) {
        let cells = side * side;
        for histograms in rows.chunks_exact_mut(self.bins * cells) {
            for cell in 0..cells {
                let squares: f32 = histograms[cell..].iter().step_by(cells).map(|value| value * value).sum();
                if squares > 0.0 {
                    let length = squares.sqrt();
                    histograms[cell..].iter_mut().step_by(cells).for_each(|value| *value /= length);
                }
            }
        }
    }
}

/// `floor(bins · atan2(gx, gy) / π) mod bins`, found by comparing with the boundaries: no rounding can move a gradient of whole numbers
/// across one.
fn bin(gx: f64, gy: f64, directions: &[(f64, f64)]) -> usize {
    // Opposite directions are one.
    let (gx, gy) = if gx < 0.0 || (gx == 0.0 && gy < 0.0) { (-gx, -gy) } else { (gx, gy) };
    directions.iter().map(|(cos, sin)| usize::from(cos * gx - sin * gy >= 0.0)).sum()
}

/// One channel of an image in whole numbers, with a mirrored border of one pixel.
struct Plane {
    values: Vec<i32>,
    stride: usize,
}

/// White. 8-bit values are multiples of 257 of it, so that they and 16-bit values are whole.
const WHITE: f64 = 65_535.0;

impl Plane {
    /// Undoes the normalization: the mean cancels in a gradient and the deviation in a histogram of length one, but in the network's
    /// inputs equal steps of gray are not quite equal, and flat directions would fall into one bin or the next by rounding.
    fn new(image: &TargetImage<'_>, channel: usize) -> Self {
        let ImageShape { height, width, channels, .. } = image.shape;
        let (mean, std) = image.normalization(channel);
        let level = |y: usize, x: usize| {
            let value = f64::from(image.values[(y * width + x) * channels + channel]);
            ((value * f64::from(std) + f64::from(mean)) * WHITE).round() as i32
        };
        let (rows, stride) = (height + 2, width + 2);
        let mut values = Vec::with_capacity(rows * stride);
        for y in 0..rows {
            let y = mirrored(y, height);
            let start = values.len() + 1;
            values.push(0);
            values.extend((0..width).map(|x| level(y, x)));
            values.push(values[start + mirrored(width + 1, width)]);
            values[start - 1] = values[start + mirrored(0, width)];
        }
        Self { values, stride }
    }

    /// Sobel's gradient at a pixel, across and down, positive where the values fall.
    fn gradient(&self, y: usize, x: usize) -> (i32, i32) {
        let row = |row: usize| {
            let start = (y + row) * self.stride + x;
            [self.values[start], self.values[start + 1], self.values[start + 2]]
        };
        let ([a, b, c], [d, _, e], [f, g, h]) = (row(0), row(1), row(2));
        (a + 2 * d + f - c - 2 * e - h, a + 2 * b + c - f - 2 * g - h)
    }
}

/// The row or column that stands at `place` of the bordered image: the edge itself is not repeated.
fn mirrored(place: usize, size: usize) -> usize {
    match place {
        0 => 1.min(size - 1),
        place if place > size => size.saturating_sub(2),
        place => place - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirrored_border_has_no_gradient_across_it() {
        let values: Vec<f32> = (0..64_u8).map(|at| f32::from(at % 8) / 255.0).collect();
        let shape = ImageShape { height: 8, width: 8, channels: 1, patch: 8 };
        let plane = Plane::new(&TargetImage { values: &values, patches: &values, shape, mean: &[], std: &[] }, 0);
        let total: i32 = (0..64).map(|at| plane.gradient(at / 8, at % 8).0.abs()).sum();
        // A ramp to the right (G19), in steps of one level of 255: the outer columns add nothing to the 48 others.
        assert_eq!((total, plane.gradient(3, 3), plane.gradient(3, 0)), (384 * 257, (-8 * 257, 0), (0, 0)));
    }
}
