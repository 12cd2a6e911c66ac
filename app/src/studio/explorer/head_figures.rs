//! Two numbers that tell heads apart: how many patches one spreads over, and how far it looks.

use maskroom_core::inspect::encoder::{AttentionMaps, Query};

/// What is known of one head on one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadFigures {
    /// How many patches the class token's attention spreads over: the exponential of its entropy, 1 to N.
    pub spread_patches: f32,
    /// How far a patch looks on average, in patches, weighted by attention.
    pub distance_patches: f32,
}

/// The figures of each head of a layer, for the first image.
pub fn of_layer(maps: &AttentionMaps) -> Vec<HeadFigures> {
    (0..maps.heads).map(|head| HeadFigures { spread_patches: spread(maps, head), distance_patches: distance(maps, head) }).collect()
}

fn spread(maps: &AttentionMaps, head: usize) -> f32 {
    let Ok(row) = maps.query(0, head, Query::Cls) else { return f32::NAN };
    let total: f64 = row.iter().map(|&value| f64::from(value)).sum();
    let entropy: f64 =
        row.iter().map(|&value| f64::from(value) / total).filter(|share| *share > 0.0).map(|share| -share * share.ln()).sum();
    entropy.exp() as f32
}

fn distance(maps: &AttentionMaps, head: usize) -> f32 {
    let [rows, cols] = maps.grid;
    let (mut sum, mut weight) = (0.0_f64, 0.0_f64);
    for patch in 0..rows * cols {
        let Ok(row) = maps.query(0, head, Query::Patch(patch / cols, patch % cols)) else { continue };
        for (other, &value) in row.iter().enumerate() {
            let (down, right) = ((other / cols).abs_diff(patch / cols) as f32, (other % cols).abs_diff(patch % cols) as f32);
            sum += f64::from(value * down.hypot(right));
            weight += f64::from(value);
        }
    }
    (sum / weight.max(f64::MIN_POSITIVE)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_head_spreads_over_everything_and_a_sharp_one_over_one_patch() {
        // Two heads over a class token and 1x2 patches: the first even, the second on its own patch alone.
        let even = vec![1.0 / 3.0; 9];
        let sharp = vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let maps = AttentionMaps { values: [even, sharp].concat(), batch: 1, heads: 2, tokens: 3, prefix: 1, grid: [1, 2] };
        let figures = of_layer(&maps);
        assert!((figures[0].spread_patches - 2.0).abs() < 1e-5 && (figures[0].distance_patches - 0.5).abs() < 1e-5, "{figures:?}");
        assert!((figures[1].spread_patches - 1.0).abs() < 1e-5 && figures[1].distance_patches == 0.0, "{figures:?}");
    }
}
