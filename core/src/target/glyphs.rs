//! Histograms of gradients as people draw them: in every cell a stroke for each bin, along the edges whose gradients the bin counts.

use std::f64::consts::PI;

use super::Target as _;
use super::hog::Hog;
use crate::inspect::picture::Picture;
use crate::method::masked_batch::ImageShape;

/// Side of a cell on the picture at least, in pixels: below it strokes are no strokes any more.
const CELL_PX: usize = 16;
/// Side of a picture above which its cells are not enlarged further, in pixels.
const LARGEST_PX: usize = 2048;
/// Length of a stroke, as a share of its cell.
const LENGTH: f64 = 0.92;
/// Width of a stroke, as a share of its cell, and at least in pixels: thinner ones vanish where pictures are shown small.
const WIDTH: f64 = 0.11;
const WIDTH_PX: f64 = 2.0;

/// Rows `[N, channels · bins · cells]` on black. A stroke's brightness is its bin's weight, the mean over channels, white at 1; where strokes
/// cross, the strongest is seen, and what is below zero is not.
///
/// A bin counts a range of directions, and its stroke stands for the middle of it: of nine bins, upright edges have one in their middle, and
/// level edges lie between two.
pub(super) fn draw(hog: &Hog, shape: ImageShape, rows: &[f32]) -> Picture {
    let side = hog.cell * enlargement(hog.cell, shape);
    let strokes: Vec<Vec<f32>> = (0..hog.bins).map(|bin| stroke(bin, hog.bins, side)).collect();
    let ([grid_rows, cols], per_side) = (shape.grid(), shape.patch / hog.cell);
    let (cells, width) = (per_side * per_side, hog.output(shape).row_width());
    let mut picture = Picture::filled(grid_rows * per_side * side, cols * per_side * side, [0; 3]);
    for (patch, row) in rows.chunks_exact(width).take(shape.num_patches()).enumerate() {
        for cell in 0..cells {
            let of_channel = |channel: usize, bin: usize| row[(channel * hog.bins + bin) * cells + cell];
            let mean = |bin: usize| (0..shape.channels).map(|channel| of_channel(channel, bin)).sum::<f32>() / shape.channels as f32;
            let mut glyph = vec![0.0_f32; side * side];
            for (bin, stroke) in strokes.iter().enumerate() {
                let weight = mean(bin);
                glyph.iter_mut().zip(stroke).for_each(|(light, covered)| *light = light.max(weight * covered));
            }
            let rgb = glyph.into_iter().flat_map(|light| [(light.clamp(0.0, 1.0) * 255.0).round() as u8; 3]).collect();
            let (down, across) = (patch / cols * per_side + cell / per_side, patch % cols * per_side + cell % per_side);
            picture.paste(&Picture { height: side, width: side, rgb }, down * side, across * side);
        }
    }
    picture
}

/// Pixels of the picture along one of the image.
fn enlargement(cell: usize, shape: ImageShape) -> usize {
    let largest = LARGEST_PX / shape.height.max(shape.width).max(1);
    CELL_PX.div_ceil(cell).min(largest).max(1)
}

/// How much of each pixel of a cell the stroke of a bin covers, `[side, side]` in 0..1. Gradients of the bin's middle point along
/// (sin φ, cos φ), across and down, and the edge is perpendicular to them.
fn stroke(bin: usize, bins: usize, side: usize) -> Vec<f32> {
    let (sin, cos) = (PI * (bin as f64 + 0.5) / bins as f64).sin_cos();
    let size = side as f64;
    let (half_length, half_width) = (LENGTH * size / 2.0, (WIDTH * size).max(WIDTH_PX) / 2.0);
    let covered = |from_middle: f64, half: f64| (half + 0.5 - from_middle.abs()).clamp(0.0, 1.0);
    let pixel = |index: usize| {
        let [down, across] = [index / side, index % side].map(|place| place as f64 + 0.5 - size / 2.0);
        (covered(across * cos - down * sin, half_length) * covered(across * sin + down * cos, half_width)) as f32
    };
    (0..side * side).map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TargetImage;

    const HOG: Hog = Hog { bins: 9, cell: 8, gaussian: false };
    const SHAPE: ImageShape = ImageShape { height: 24, width: 24, channels: 1, patch: 8 };

    /// The direction, in degrees from the right over the bottom within half a turn, along which the light of the middle cell's glyph is
    /// spread, for an image of these levels.
    fn direction_of_light(level: impl Fn(f64, f64) -> f64) -> f64 {
        let values: Vec<f32> = (0..576).map(|at| level((at % 24) as f64 - 11.5, (at / 24) as f64 - 11.5) as f32).collect();
        let patches = crate::backbone::patch_embed::patchify(&values, 24, 24, 1, 8);
        let rows = HOG.rows(&TargetImage { values: &values, patches: &patches, shape: SHAPE, mean: &[], std: &[] });
        let picture = draw(&HOG, SHAPE, &rows);
        assert_eq!((picture.height, picture.width), (48, 48), "cells of 8 px are drawn twice as large");
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (y, x) in (16..32).flat_map(|y| (16..32).map(move |x| (y, x))) {
            let light = f64::from(picture.rgb[(y * 48 + x) * 3]);
            let (dy, dx) = (y as f64 - 23.5, x as f64 - 23.5);
            (xx, xy, yy) = (xx + light * dx * dx, xy + light * dx * dy, yy + light * dy * dy);
        }
        assert!(xx + yy > 1e4, "the glyph is bright");
        (0.5 * (2.0 * xy).atan2(xx - yy)).to_degrees().rem_euclid(180.0)
    }

    #[test]
    fn strokes_run_along_edges() {
        // Brightness that grows towards a direction has edges perpendicular to it; half a bin is what a bin may be off.
        for degrees in [0.0, 20.0, 45.0, 60.0, 80.0, 100.0, 120.0, 135.0, 160.0_f64] {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let found = direction_of_light(|x, y| 0.5 + 0.01 * (cos * x + sin * y));
            let off = (found - degrees - 90.0).rem_euclid(180.0);
            assert!(off.min(180.0 - off) <= 10.5, "{degrees}: {found}");
        }
        let upright = direction_of_light(|x, _| if x > 0.0 { 0.8 } else { 0.2 });
        assert!((upright - 90.0).abs() < 0.5, "an upright edge is an upright stroke: {upright}");
    }

    #[test]
    fn light_is_the_mean_weight_and_nothing_below_zero() {
        let shape = ImageShape { height: 8, width: 8, channels: 2, patch: 8 };
        let brightest = |first: [f32; 9], second: [f32; 9]| {
            let picture = draw(&HOG, shape, &[first, second].concat());
            picture.rgb.into_iter().max().unwrap()
        };
        let one = |bin: usize, weight: f32| std::array::from_fn(|at| if at == bin { weight } else { 0.0 });
        let white = f64::from(brightest(one(4, 1.0), one(4, 1.0)));
        assert_eq!(white, 255.0, "a stroke between two columns of pixels covers both");
        let share = |first, second| f64::from(brightest(first, second)) / white;
        assert!((share(one(4, 1.0), one(4, 0.2)) - 0.6).abs() < 0.01);
        assert!((share(one(4, 1.0), one(4, 0.0)) - 0.5).abs() < 0.01, "the channels' mean, bin by bin");
        assert_eq!(brightest(one(2, -3.0), one(2, -1.0)), 0);
        assert_eq!(brightest(one(2, 9.0), one(2, 9.0)), 255);
    }

    #[test]
    fn places_are_those_of_cells_and_large_pictures_stay_bounded() {
        // Two patches of four cells each: light in the lower left cell of the second patch alone.
        let shape = ImageShape { height: 8, width: 16, channels: 1, patch: 8 };
        let hog = Hog { cell: 4, ..HOG };
        let mut rows = vec![0.0; 2 * 9 * 4];
        rows[36 + 4 * 4 + 2] = 1.0;
        let picture = draw(&hog, shape, &rows);
        assert_eq!((picture.height, picture.width), (32, 64));
        for (index, pixel) in picture.rgb.chunks_exact(3).enumerate().filter(|(_, pixel)| pixel[0] > 0) {
            assert!((16..32).contains(&(index / 64)) && (32..48).contains(&(index % 64)), "{index}: {pixel:?}");
        }
        assert_eq!(enlargement(8, ImageShape { height: 1500, width: 4000, ..shape }), 1);
        assert_eq!(enlargement(1, ImageShape { height: 256, width: 256, ..shape }), 8);
    }
}
