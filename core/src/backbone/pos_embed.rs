//! Position tables: the fixed two-dimensional sine-cosine code of MAE, and resizing of any table to another grid.

/// The fixed code of MAE's encoder and decoder. Shape: `[1 + rows·cols, D]`, the class token's row is zero.
///
/// The first half of the channels encodes the column and the second half the row; within each, all sines come before all cosines
/// (golden vector G1). `width` must be a multiple of 4.
pub fn sincos_2d(width: usize, rows: usize, cols: usize) -> Vec<f32> {
    let frequencies: Vec<f64> = (0..width / 4).map(|i| 10_000_f64.powf(-(i as f64) / (width as f64 / 4.0))).collect();
    let mut table = vec![0.0_f32; width];
    table.reserve(rows * cols * width);
    for row in 0..rows {
        for col in 0..cols {
            for position in [col, row] {
                table.extend(frequencies.iter().map(|w| (position as f64 * w).sin() as f32));
                table.extend(frequencies.iter().map(|w| (position as f64 * w).cos() as f32));
            }
        }
    }
    table
}

/// Resizes a table `[1 + h·w, D]` to another grid with the bicubic rule of PyTorch (`a = -0.75`, `align_corners = False`, no
/// antialiasing), as MAE does for learned and for sine-cosine tables. The class token's row is kept.
pub fn resize(table: &[f32], width: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let (rows, cols) = (bicubic_taps(from[0], to[0]), bicubic_taps(from[1], to[1]));
    let mut resized = table[..width].to_vec();
    resized.resize((1 + to[0] * to[1]) * width, 0.0);
    for (y, row_taps) in rows.iter().enumerate() {
        for (x, col_taps) in cols.iter().enumerate() {
            let target = &mut resized[(1 + y * to[1] + x) * width..][..width];
            for &(source_y, weight_y) in row_taps {
                for &(source_x, weight_x) in col_taps {
                    let source = &table[(1 + source_y * from[1] + source_x) * width..][..width];
                    let weight = (weight_y * weight_x) as f32;
                    target.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
                }
            }
        }
    }
    resized
}

/// The same as a matrix, for the patches alone: `[h'·w', h·w]`.
pub fn resizing(from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let count = from[0] * from[1];
    let mut table = vec![0.0; (1 + count) * count];
    (0..count).for_each(|place| table[(1 + place) * count + place] = 1.0);
    resize(&table, count, from, to).split_off(count)
}

/// For each output position, four (source, weight) pairs; sources beyond the edge repeat it.
fn bicubic_taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let scale = from as f64 / to as f64;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    const A: f64 = -0.75;
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale - 0.5;
            let (base, t) = (center.floor(), center - center.floor());
            let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
            std::array::from_fn(|tap| {
                let source = (base as i64 + tap as i64 - 1).clamp(0, from as i64 - 1);
                (source as usize, weights[tap])
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sincos_matches_g1() {
        let table = sincos_2d(8, 2, 2);
        let close = |token: usize, expected: [f32; 8]| {
            for (have, want) in table[token * 8..][..8].iter().zip(expected) {
                assert!((have - want).abs() < 1e-6, "{have} {want}");
            }
        };
        close(0, [0.0; 8]);
        close(2, [0.841_471, 0.010_000, 0.540_302, 0.999_950, 0.0, 0.0, 1.0, 1.0]);
        close(3, [0.0, 0.0, 1.0, 1.0, 0.841_471, 0.010_000, 0.540_302, 0.999_950]);
    }

    #[test]
    fn resizing_keeps_constants_and_the_class_row() {
        let mut table = vec![7.0_f32; 2];
        table.extend([3.0_f32; 2 * 12]);
        let resized = resize(&table, 2, [3, 4], [5, 7]);
        assert_eq!(resized.len(), 2 * 36);
        assert_eq!(&resized[..2], &[7.0, 7.0]);
        assert!(resized[2..].iter().all(|value| (value - 3.0).abs() < 1e-5));
    }

    #[test]
    fn resizing_is_a_product() {
        let (from, to, width) = ([3, 4], [2, 5], 3);
        let table: Vec<f32> = (0..13 * width).map(|index| (index as f32 * 0.7).sin()).collect();
        let (resized, matrix) = (resize(&table, width, from, to), resizing(from, to));
        assert_eq!(matrix.len(), 10 * 12);
        for (place, taps) in matrix.chunks_exact(12).enumerate() {
            for column in 0..width {
                let sum: f32 = taps.iter().enumerate().map(|(source, tap)| tap * table[(1 + source) * width + column]).sum();
                assert!((sum - resized[(1 + place) * width + column]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn resizing_matches_pytorch() {
        // torch.nn.functional.interpolate(torch.arange(9.).view(1, 1, 3, 3), size=(2, 4), mode="bicubic", align_corners=False)
        let mut table = vec![0.0_f32];
        table.extend((0..9).map(|value| value as f32));
        let resized = resize(&table, 1, [3, 3], [2, 4]);
        let expected = [0.502_441, 1.104_004, 2.044_434, 2.645_996, 5.354_004, 5.955_566, 6.895_996, 7.497_559];
        for (have, want) in resized[1..].iter().zip(expected) {
            assert!((have - want).abs() < 1e-5, "{resized:?}");
        }
    }
}
