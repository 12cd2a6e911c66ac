//! The weights of a convolution in the orders in which products need them.

use rayon::prelude::*;

use super::super::matrix::{Panels, View};
use super::super::pool::Pooled;
use super::Sizes;

/// From `[O, C, side, side]` to the right operand of products with images: `[taps · C, O]`.
pub fn to_outputs(weight: &[f32], sizes: Sizes) -> Panels {
    let weight = taps_first(weight, sizes);
    Panels::new(View::new(&weight, [sizes.outputs, sizes.window.taps() * sizes.channels]).transposed())
}

/// From `[O, C, side, side]` to the right operand of products with gradients of outputs: `[taps · O, C]`, the taps in the order that `tap`
/// gives.
pub fn to_inputs(weight: &[f32], sizes: Sizes, tap: impl Fn(usize) -> usize + Sync) -> Panels {
    let Sizes { channels, outputs, window, .. } = sizes;
    let weight = taps_first(weight, sizes);
    Panels::of_rows([window.taps() * outputs, channels], |row| {
        &weight[(row % outputs * window.taps() + tap(row / outputs)) * channels..][..channels]
    })
}

/// From `[O, C, side, side]` to `[O, taps, C]`.
fn taps_first(weight: &[f32], sizes: Sizes) -> Pooled {
    let (channels, taps) = (sizes.channels, sizes.window.taps());
    let mut ordered = Pooled::new(weight.len());
    ordered.par_chunks_mut(taps * channels).zip(weight.par_chunks(taps * channels)).for_each(|(to, from)| {
        for (tap, to) in to.chunks_exact_mut(channels).enumerate() {
            to.iter_mut().zip(from[tap..].iter().step_by(taps)).for_each(|(to, from)| *to = *from);
        }
    });
    ordered
}

/// From `[taps · C, O]` to `[O, C, side, side]`.
pub fn as_stored(weight: &[f32], sizes: Sizes) -> Pooled {
    /// Outputs that are written together: a cache line is read at once.
    const TOGETHER: usize = 16;
    let Sizes { channels, outputs, window, .. } = sizes;
    let (taps, size) = (window.taps(), window.taps() * channels);
    let mut stored = Pooled::new(weight.len());
    stored.par_chunks_mut(TOGETHER * size).enumerate().for_each(|(index, stored)| {
        let count = stored.len() / size;
        for number in 0..size {
            let (channel, tap) = (number / taps, number % taps);
            let from = &weight[(tap * channels + channel) * outputs + index * TOGETHER..][..count];
            from.iter().enumerate().for_each(|(output, value)| stored[output * size + number] = *value);
        }
    });
    stored
}
