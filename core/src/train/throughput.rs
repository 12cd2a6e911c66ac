//! How much arithmetic a step needs, and how much this machine can do: the two halves of every speed figure.

use std::time::Instant;

use crate::backbone::vit::VitConfig;
use crate::kernel::matrix::{Onto, Panels, View, multiply_in_parallel};
use crate::method::mae::MaeConfig;

/// The matrix arithmetic of one image's training step in floating-point operations: forward plus the two products of backward, no
/// recomputation, and only products whose results are used. `visible` patches are encoded; `predicted` rows leave the decoder.
pub fn mae_flops_per_image(config: &MaeConfig, visible: usize, predicted: usize) -> f64 {
    let encoder = &config.encoder;
    let patches = encoder.grid[0] * encoder.grid[1];
    let shown = if config.mask_tokens_in_encoder { patches } else { visible };
    let tokens = 1 + encoder.registers + shown;
    let values = encoder.patch * encoder.patch * encoder.channels;
    let decoder_tokens = 1 + patches;
    let embed = 2.0 * visible as f64 * values as f64 * encoder.width as f64;
    let forward = vit_blocks_flops(encoder, tokens)
        + 2.0 * tokens as f64 * encoder.width as f64 * config.decoder_width as f64
        + blocks_flops(config.decoder_width, config.decoder_depth, encoder.mlp_ratio, decoder_tokens)
        + 2.0 * predicted as f64 * config.decoder_width as f64 * config.target_width as f64;
    // The images need no gradient, so the patch embedding has one backward product instead of two.
    3.0 * forward + 2.0 * embed
}

/// Forward arithmetic of a ViT's blocks on so many tokens.
pub fn vit_blocks_flops(config: &VitConfig, tokens: usize) -> f64 {
    blocks_flops(config.width, config.depth, config.mlp_ratio, tokens)
}

fn blocks_flops(width: usize, depth: usize, mlp_ratio: f64, tokens: usize) -> f64 {
    let (width, tokens) = (width as f64, tokens as f64);
    let linear = 2.0 * tokens * width * width * (4.0 + 2.0 * mlp_ratio);
    let attention = 2.0 * 2.0 * tokens * tokens * width;
    depth as f64 * (linear + attention)
}

/// This machine's matrix peak in GFLOP/s: the best of several 2048³ single-precision products, rows split over the threads in use and
/// each part computed by one thread.
pub fn matrix_peak_gflops() -> f64 {
    const SIDE: usize = 2048;
    let (a, b) = (vec![0.5_f32; SIDE * SIDE], vec![0.25_f32; SIDE * SIDE]);
    let mut c = vec![0.0_f32; SIDE * SIDE];
    let b = Panels::new(View::new(&b, [SIDE; 2]));
    let seconds = (0..4).map(|_| {
        let begin = Instant::now();
        multiply_in_parallel(&mut c, View::new(&a, [SIDE; 2]), &b, Onto::Nothing);
        begin.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    2.0 * (SIDE as f64).powi(3) / best / 1e9
}
