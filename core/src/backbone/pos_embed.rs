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

/// A rule to bring a table to another grid. All are bicubic with `align_corners = False`, and keep the class token's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resizing {
    /// PyTorch's (`a = -0.75`) without antialiasing: MAE's, Hugging Face's, and that of all tables that are not learned.
    #[default]
    Bicubic,
    /// PyTorch's with antialiasing (`a = -0.5`): timm's, and that of DINOv2 with registers.
    Antialiased,
    /// The first, but the new grid is taken to be a tenth of a patch larger than it is: DINO's, iBOT's and DINOv2's without registers,
    /// whose code so kept rounding from losing a row.
    Offset,
}

/// What [`Resizing::Offset`] adds to each side of the new grid.
const OFFSET: f64 = 0.1;

impl Resizing {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bicubic" => Self::Bicubic,
            "antialiased" => Self::Antialiased,
            "offset" => Self::Offset,
            _ => return None,
        })
    }

    /// A table `[1 + h·w, D]` for another grid.
    pub fn resize(self, table: &[f32], width: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        if from == to {
            return table.to_vec();
        }
        let (rows, cols) = (self.taps(from[0], to[0]), self.taps(from[1], to[1]));
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
    pub fn matrix(self, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        let count = from[0] * from[1];
        let mut table = vec![0.0; (1 + count) * count];
        (0..count).for_each(|place| table[(1 + place) * count + place] = 1.0);
        self.resize(&table, count, from, to).split_off(count)
    }

    /// For each output position, sources and their weights.
    fn taps(self, from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
        match self {
            Self::Bicubic => bicubic_taps(from, from as f64 / to as f64, to),
            Self::Offset => bicubic_taps(from, from as f64 / (to as f64 + OFFSET), to),
            Self::Antialiased => antialiased_taps(from, to),
        }
    }
}

/// Resizes a table `[1 + h·w, D]` to another grid by [`Resizing::Bicubic`].
pub fn resize(table: &[f32], width: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    Resizing::Bicubic.resize(table, width, from, to)
}

/// The cubic kernel with parameter `a` (Keys, 1981), at a distance from its center.
fn kernel(a: f64, distance: f64) -> f64 {
    let t = distance.abs();
    match t {
        t if t < 1.0 => ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
        t if t < 2.0 => ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a,
        _ => 0.0,
    }
}

/// Four sources each; those beyond the edge repeat it.
fn bicubic_taps(from: usize, scale: f64, to: usize) -> Vec<Vec<(usize, f64)>> {
    const A: f64 = -0.75;
    let taps = |index: usize| {
        let center = (index as f64 + 0.5) * scale - 0.5;
        let base = center.floor();
        let tap = |tap: i64| ((base as i64 + tap).clamp(0, from as i64 - 1) as usize, kernel(A, center - base - tap as f64));
        (-1..3).map(tap).collect()
    };
    (0..to).map(taps).collect()
}

/// As many sources as fall into an output position, and two more on each side; those beyond the edge are left out.
fn antialiased_taps(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    const A: f64 = -0.5;
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let taps = |index: usize| {
        let (center, reach) = (scale * (index as f64 + 0.5), 2.0 * stretch);
        let first = (center - reach + 0.5).max(0.0) as usize;
        let last = ((center + reach + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..last).map(|source| kernel(A, (source as f64 + 0.5 - center) / stretch)).collect();
        let total: f64 = weights.iter().sum();
        (first..last).zip(weights).map(|(source, weight)| (source, weight / total)).collect()
    };
    (0..to).map(taps).collect()
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
        for (rule, to) in [(Resizing::Bicubic, [5, 7]), (Resizing::Antialiased, [2, 9]), (Resizing::Offset, [2, 4])] {
            let resized = rule.resize(&table, 2, [3, 4], to);
            assert_eq!(resized.len(), 2 * (1 + to[0] * to[1]));
            assert_eq!(&resized[..2], &[7.0, 7.0]);
            assert!(resized[2..].iter().all(|value| (value - 3.0).abs() < 1e-5), "{rule:?}");
            assert_eq!(rule.resize(&table, 2, [3, 4], [3, 4]), table);
        }
    }

    #[test]
    fn resizing_is_a_product() {
        let (from, to, width) = ([3, 4], [2, 5], 3);
        let table: Vec<f32> = (0..13 * width).map(|index| (index as f32 * 0.7).sin()).collect();
        for rule in [Resizing::Bicubic, Resizing::Antialiased, Resizing::Offset] {
            let (resized, matrix) = (rule.resize(&table, width, from, to), rule.matrix(from, to));
            assert_eq!(matrix.len(), 10 * 12);
            for (place, taps) in matrix.chunks_exact(12).enumerate() {
                for column in 0..width {
                    let sum: f32 = taps.iter().enumerate().map(|(source, tap)| tap * table[(1 + source) * width + column]).sum();
                    assert!((sum - resized[(1 + place) * width + column]).abs() < 1e-5, "{rule:?}");
                }
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

    #[test]
    fn other_rules_match_pytorch_too() {
        // x = torch.arange(20.).view(1, 1, 4, 5) ** 1.5
        let mut table = vec![0.0_f32];
        table.extend((0..20).map(|value| (value as f32).powf(1.5)));
        let near = |rule: Resizing, to: [usize; 2], want: &[f32]| {
            let have = rule.resize(&table, 1, [4, 5], to).split_off(1);
            assert!(have.len() == want.len() && have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{rule:?}: {have:?}");
        };
        // torch.nn.functional.interpolate(x, size=(2, 3), mode="bicubic", antialias=True)
        let antialiased = [7.573_065, 12.202_342, 17.904_327, 44.356_304, 53.350_483, 62.844_345];
        near(Resizing::Antialiased, [2, 3], &antialiased);
        // torch.nn.functional.interpolate(x, scale_factor=(3.1 / 4, 6.1 / 5), mode="bicubic")
        let offset = [
            1.028_33, 1.850_15, 3.381_08, 5.391_3, 7.745_16, 10.014_87, 18.719_79, 21.684_96, 25.596_93, 29.563_6, 33.693_79, 37.416_41,
            51.948_8, 55.916_82, 61.093_02, 66.251_41, 71.532_31, 76.234_28,
        ];
        near(Resizing::Offset, [3, 6], &offset);
    }
}
