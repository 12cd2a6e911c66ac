//! From the patch grid back to source pixels: masks by the nearest cell, maps bilinearly. Pixel centers lie half a pixel inside, as in
//! `torch.nn.functional.interpolate(align_corners=False)`; beyond the outermost cell centers the edge value continues.

/// Brings a mask over a grid `[grid[0], grid[1]]` to `[size[0], size[1]]` pixels: each pixel takes the cell that contains its center.
///
/// # Panics
/// If `mask` does not have the grid's number of cells, or if the grid is empty and the picture is not.
pub fn upsample_mask(mask: &[bool], grid: [usize; 2], size: [usize; 2]) -> Vec<bool> {
    check(mask.len(), grid, size);
    let columns = nearest(grid[1], size[1]);
    let mut pixels = Vec::with_capacity(size[0] * size[1]);
    for row in nearest(grid[0], size[0]) {
        let cells = &mask[row * grid[1]..][..grid[1]];
        pixels.extend(columns.iter().map(|&column| cells[column]));
    }
    pixels
}

/// Brings a map over a grid `[grid[0], grid[1]]` to `[size[0], size[1]]` pixels by bilinear interpolation.
///
/// # Panics
/// As [`upsample_mask`].
pub fn upsample_map(map: &[f32], grid: [usize; 2], size: [usize; 2]) -> Vec<f32> {
    check(map.len(), grid, size);
    let columns = bilinear(grid[1], size[1]);
    let mut pixels = Vec::with_capacity(size[0] * size[1]);
    for (above, below, down) in bilinear(grid[0], size[0]) {
        let (above, below) = (&map[above * grid[1]..][..grid[1]], &map[below * grid[1]..][..grid[1]]);
        pixels.extend(columns.iter().map(|&(left, right, across)| {
            let upper = above[left] * (1.0 - across) + above[right] * across;
            let lower = below[left] * (1.0 - across) + below[right] * across;
            upper * (1.0 - down) + lower * down
        }));
    }
    pixels
}

fn check(len: usize, grid: [usize; 2], size: [usize; 2]) {
    assert_eq!(len, grid[0] * grid[1], "a grid of {}x{} cells", grid[0], grid[1]);
    assert!(len > 0 || size[0] * size[1] == 0, "an empty grid cannot fill {}x{} pixels", size[0], size[1]);
}

/// The cell under the center of each pixel: `floor((pixel + 1/2) cells / pixels)`, in whole numbers so that no edge is rounded away.
fn nearest(cells: usize, pixels: usize) -> Vec<usize> {
    (0..pixels).map(|pixel| (2 * pixel + 1) * cells / (2 * pixels)).collect()
}

/// For each pixel the two nearest cells and the weight of the second.
fn bilinear(cells: usize, pixels: usize) -> Vec<(usize, usize, f32)> {
    let scale = cells as f64 / pixels as f64;
    (0..pixels)
        .map(|pixel| {
            let at = ((pixel as f64 + 0.5) * scale - 0.5).clamp(0.0, cells.saturating_sub(1) as f64);
            let first = at as usize;
            (first, (first + 1).min(cells - 1), (at - first as f64) as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_factors_repeat_each_cell() {
        let mask = [true, false, false, true];
        assert_eq!(upsample_mask(&mask, [2, 2], [4, 4]), [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1].map(|m| m == 1));
        assert_eq!(upsample_mask(&mask, [1, 4], [1, 4]), mask);
    }

    #[test]
    fn other_factors_take_the_cell_under_the_pixel_center() {
        // Three cells over five pixels: centers at 0.3, 0.9, 1.5, 2.1, 2.7 cells.
        assert_eq!(nearest(3, 5), [0, 0, 1, 2, 2]);
        assert_eq!(nearest(5, 3), [0, 2, 4]);
        assert_eq!(upsample_mask(&[true, false, true], [3, 1], [5, 2]), [1, 1, 1, 1, 0, 0, 1, 1, 1, 1].map(|m| m == 1));
    }

    /// The expected numbers are those of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.
    #[test]
    fn maps_agree_with_torch() {
        let map = [0.0, 1.0, 4.0, 2.0, -1.0, 3.0];
        let larger = [
            0.0,
            0.142_857_15,
            0.571_428_6,
            1.0,
            2.285_714_4,
            3.571_428_8,
            4.0,
            0.2,
            0.285_714_3,
            0.542_857_2,
            0.799_999_95,
            2.128_571_3,
            3.457_142_8,
            3.9,
            1.0,
            0.857_142_87,
            0.428_571_43,
            0.0,
            1.5,
            3.0,
            3.5,
            1.8,
            1.428_571_5,
            0.314_285_7,
            -0.8,
            0.871_428_6,
            2.542_857_2,
            3.1,
            2.0,
            1.571_428_5,
            0.285_714_2,
            -1.0,
            0.714_285_8,
            2.428_571_7,
            3.0,
        ];
        let smaller = [0.25, 3.25, 0.75, 2.625, 1.25, 2.0];
        for (size, expected) in [([5, 7], &larger[..]), ([3, 2], &smaller[..])] {
            let found = upsample_map(&map, [2, 3], size);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn single_cells_fill_everything_and_empty_pictures_are_empty() {
        assert_eq!(upsample_map(&[3.0], [1, 1], [2, 2]), [3.0; 4]);
        assert!(upsample_map(&[3.0], [1, 1], [0, 7]).is_empty());
        assert!(upsample_mask(&[], [0, 0], [0, 0]).is_empty());
    }
}
