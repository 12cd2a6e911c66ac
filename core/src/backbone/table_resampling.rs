//! Bringing a table of relative positions to windows of another side, as SimMIM does before fine-tuning with larger ones: what a table
//! knows of near distances stays sharp and what it knows of far ones is stretched.
//!
//! The old distances are laid on the new axis in a geometric progression, and a cubic spline through them is read at the new distances.

/// Brings a table `[(2 F - 1)², heads]` of windows of side F = `from` to side T = `to`: `[(2 T - 1)², heads]`.
pub fn resample(table: &[f32], heads: usize, from: usize, to: usize) -> Vec<f32> {
    if from == to {
        return table.to_vec();
    }
    let (old, new) = (2 * from - 1, 2 * to - 1);
    let sources = stretched(old, new);
    let targets: Vec<f64> = (0..new).map(|at| at as f64 - (new / 2) as f64).collect();
    let weights = spline_weights(&sources, &targets);
    let mut resampled = Vec::with_capacity(new * new * heads);
    for (down, across) in weights.iter().flat_map(|down| weights.iter().map(move |across| (down, across))) {
        for head in 0..heads {
            let along = |y: usize| (0..old).map(|x| across[x] * f64::from(table[(y * old + x) * heads + head])).sum::<f64>();
            resampled.push((0..old).map(|y| down[y] * along(y)).sum::<f64>() as f32);
        }
    }
    resampled
}

/// Where `old` points lie among `new` unit steps: 0, ±1, ±(1 + q), ±(1 + q + q²), …, so that the last is the last step. The ratio q is
/// looked for between 1.01 and 1.5, as in the published code, so that a table that shrinks is hardly stretched.
fn stretched(old: usize, new: usize) -> Vec<f64> {
    let (steps, end) = ((old / 2) as i32, (new / 2) as f64);
    let reach = |ratio: f64, steps: i32| (1.0 - ratio.powi(steps)) / (1.0 - ratio);
    let (mut low, mut high, mut ratio) = (1.01_f64, 1.5_f64, 1.01_f64);
    while high - low > 1e-6 {
        ratio = (low + high) / 2.0;
        if reach(ratio, steps) > end {
            high = ratio;
        } else {
            low = ratio;
        }
    }
    let ahead: Vec<f64> = (1..=steps).map(|step| reach(ratio, step)).collect();
    ahead.iter().rev().map(|at| -at).chain([0.0]).chain(ahead.iter().copied()).collect()
}

/// The weight of each source in the value at each target: `[targets][sources]`. The curve is the cubic spline through all sources whose
/// pieces change at all of them but the first two and the last two; with fewer than four sources, the polynomial through them. Beyond the
/// ends it is constant.
fn spline_weights(sources: &[f64], targets: &[f64]) -> Vec<Vec<f64>> {
    let count = sources.len();
    let (first, last) = (sources[0], sources[count - 1]);
    // A basis: powers, and for each place of change a cube that begins there. Scaled, so that cubes stay near one.
    let scale = last.max(1.0);
    let basis = |at: f64| -> Vec<f64> {
        let cube_from = |start: f64| ((at - start) / scale).max(0.0).powi(3);
        let powers = (0..count.min(4)).map(|power| (at / scale).powi(power as i32));
        powers.chain((4..count).map(|index| cube_from(sources[index - 2]))).collect()
    };
    let inverse = inverted(sources.iter().map(|&source| basis(source)).collect());
    let weights_at = |&target: &f64| {
        let values = basis(target.clamp(first, last));
        (0..count).map(|source| values.iter().zip(&inverse).map(|(value, row)| value * row[source]).sum()).collect()
    };
    targets.iter().map(weights_at).collect()
}

/// The inverse of a regular matrix, by elimination with the largest pivot.
fn inverted(mut matrix: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let count = matrix.len();
    for (index, row) in matrix.iter_mut().enumerate() {
        row.extend((0..count).map(|column| f64::from(u8::from(column == index))));
    }
    for column in 0..count {
        let largest = (column..count).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()));
        matrix.swap(column, largest.unwrap_or(column));
        let pivot = matrix[column][column];
        matrix[column].iter_mut().for_each(|value| *value /= pivot);
        let pivot_row = matrix[column].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = row[column];
            row.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    matrix.into_iter().map(|mut row| row.split_off(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::golden;

    #[test]
    fn tables_match_scipys_cubic_interpolation() {
        // tests/golden/make_pyramid_fixtures.py
        let fixture = golden::read("swin_timm");
        for (from, to) in [(6, 7), (7, 6), (3, 5), (4, 12), (5, 2)] {
            let (old, new) = (&fixture[&format!("table.{from}")], &fixture[&format!("table.{from}.to.{to}")]);
            golden::assert_close(&format!("{from} to {to}"), &resample(&old.values, 2, from, to), new, 1e-5);
        }
    }

    #[test]
    fn a_spline_keeps_cubics_and_a_table_of_its_own_side() {
        let sources = stretched(13, 15);
        assert!((sources[12] - 7.0).abs() < 1e-4 && sources[7] == 1.0, "{sources:?}");
        let cubic = |at: f64| 1.0 - 2.0 * at + 0.5 * at * at - 0.1 * at.powi(3);
        let targets = [-6.5, -1.25, 0.0, 0.7, 6.1];
        for (weights, target) in spline_weights(&sources, &targets).iter().zip(targets) {
            let value: f64 = weights.iter().zip(&sources).map(|(weight, &source)| weight * cubic(source)).sum();
            assert!((value - cubic(target)).abs() < 1e-8, "{target}: {value}");
        }
        let table = [1.0, 2.0, 3.0];
        assert_eq!(resample(&table, 3, 1, 1), table);
        assert_eq!(resample(&table, 3, 1, 2), table.repeat(9));
    }
}
