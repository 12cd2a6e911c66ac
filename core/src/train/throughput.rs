//! How much arithmetic a step needs, and how much this machine can do: the two halves of every speed figure.

use std::time::Instant;

use crate::augment::ViewOptions;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::pvt::PvtConfig;
use crate::backbone::pvt_block::Reduction;
use crate::backbone::resnet::{ConvolutionSizes, ResNetConfig};
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::VitConfig;
use crate::kernel::matrix::{Onto, Panels, View, multiply_in_parallel};
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::{Hidden, MaskedConfig};
use crate::method::view_sizes;
use crate::method::views_model::ViewsConfig;
use crate::recipe::Recipe;

/// The matrix arithmetic of one image's training step, one of `batch` images, in floating-point operations: forward plus the two products of
/// backward, no recomputation, and only products whose results are used, each of them once. `visible` patches are shown to an encoder that
/// is not shown all; `predicted` rows leave the decoder, which predicts so many `blocks` of them one by one, or all at once.
pub fn flops_per_image(config: &MaskedConfig, batch: usize, visible: usize, predicted: usize, blocks: Option<usize>) -> f64 {
    let (encoder, [rows, cols]) = (&config.encoder, config.units());
    let (patches, is_packed) = (rows * cols, config.hidden == Hidden::Packed);
    let shown = if config.hidden == Hidden::MaskTokens { patches } else { visible };
    let values = (encoder.patch() * encoder.patch() * encoder.channels()) as f64;
    let embedded = match encoder {
        EncoderConfig::Vit(_) => shown,
        _ => encoder.grid()[0] * encoder.grid()[1] / if is_packed { 4 } else { 1 },
    };
    let embed = 2.0 * embedded as f64 * values * encoder.first_width() as f64;
    let (encoded, leaving) = match encoder {
        EncoderConfig::Vit(vit) => {
            let tokens = vit.num_prefix() + shown;
            (vit_blocks_flops(vit, tokens), tokens)
        }
        EncoderConfig::Swin(swin) => (swin_flops(swin, embedded), embedded / (encoder.stride() * encoder.stride())),
        EncoderConfig::Pvt(pvt) => (pvt_flops(pvt, embedded), embedded / (encoder.stride() * encoder.stride())),
        EncoderConfig::ResNet(resnet) => {
            let [stem, behind] = resnet_flops(resnet, resnet.grid);
            (stem + behind, embedded.div_ceil(encoder.stride() * encoder.stride()))
        }
    };
    let inputs = encoder.last_width();
    let decoded = match config.decoder {
        DecoderConfig::Linear if encoder.stride() == 1 => matrix(predicted, inputs, config.prediction_width),
        DecoderConfig::Linear => matrix(leaving, inputs, encoder.stride() * encoder.stride() * config.prediction_width),
        DecoderConfig::Transformer { width, depth, mlp_ratio, .. } => {
            let has_class_token = matches!(encoder, EncoderConfig::Vit(vit) if vit.has_class_token);
            let (per_token, lead) = (if is_packed { 4 } else { 1 }, usize::from(has_class_token));
            let decoding = match blocks {
                Some(count) => count as f64 * blocks_flops(width, depth, mlp_ratio, visible + predicted / count.max(1)),
                None => blocks_flops(width, depth, mlp_ratio, lead + patches),
            };
            // Of what the last block is given and nobody reads, nothing but keys and values is needed.
            let unread = match blocks {
                Some(count) => count as f64 * unread_flops(width, mlp_ratio, visible, visible + predicted / count.max(1)),
                None => unread_flops(width, mlp_ratio, lead + patches - predicted.min(patches), lead + patches),
            };
            let missing = match config.hidden {
                Hidden::MaskTokens => 0,
                Hidden::Packed => patches - patches / 4,
                Hidden::Dropped => patches - visible,
            };
            let repeated = if blocks.is_none() { repeated_flops(width, missing, patches, batch) } else { 0.0 };
            let decoding = decoding - if depth > 0 { unread + repeated } else { 0.0 };
            matrix(leaving, inputs, per_token * width) + decoding + matrix(predicted, width, config.prediction_width)
        }
    };
    // The images need no gradient, so the patch embedding has one backward product instead of two.
    3.0 * (encoded + decoded) + 2.0 * embed
}

/// The same of an image whose views are compared: forward and backward for every view, forward alone for what the teacher is shown. Only the
/// class token leaves a plain transformer that has one, so that of its last block's other tokens nothing but keys and values is needed,
/// unless hidden patches are told.
pub fn view_flops_per_image(recipe: &Recipe) -> f64 {
    let ViewsConfig { encoder, head, .. } = view_sizes(recipe);
    let hidden = recipe.hidden_patches();
    let chance = recipe.target.number("masked_chance").unwrap_or(0.0);
    // Hidden patches of a global view that are told, on average.
    let told = hidden.map_or(0.0, |[fewest, most]| chance * (fewest + most) as f64 / 2.0);
    let (patch, values) = (encoder.patch(), encoder.patch() * encoder.patch() * encoder.channels());
    let of_view = |(place, view): (usize, &ViewOptions)| {
        let patches = view.height / patch * (view.width / patch);
        let is_read = hidden.is_some() && place < recipe.augment.views;
        let encoded = match &encoder {
            EncoderConfig::Vit(vit) => {
                let tokens = vit.num_prefix() + patches;
                let unread = unread_flops(vit.width, vit.mlp_ratio, tokens - 1, tokens);
                vit_blocks_flops(vit, tokens) - if vit.depth > 0 && !is_read && vit.has_class_token { unread } else { 0.0 }
            }
            EncoderConfig::Swin(swin) => swin_flops(swin, patches),
            EncoderConfig::Pvt(pvt) => pvt_flops(pvt, patches),
            EncoderConfig::ResNet(resnet) => {
                let [stem, behind] = resnet_flops(resnet, [view.height, view.width]);
                return [behind + head.flops(), stem];
            }
        };
        let answers = if is_read { 1.0 + told } else { 1.0 };
        [encoded + answers * head.flops(), matrix(patches, values, encoder.first_width())]
    };
    let mut views = recipe.views();
    if recipe.target.kind == "rotation" {
        // One view, shown four times.
        views = vec![views[0].clone(); 4];
    }
    // Among earlier keys, one view is asked about, and one is its key.
    let one_each = recipe.objective.word("among") == Some("earlier");
    let asked = if one_each { 1 } else { views.len() };
    let learned: f64 = views.iter().take(asked).enumerate().map(of_view).map(|[behind, embed]| 3.0 * behind + 2.0 * embed).sum();
    let global = if recipe.target.word("teacher") != Some("average") {
        0
    } else if one_each {
        1
    } else {
        recipe.augment.views
    };
    let taught: f64 = views.iter().take(global).enumerate().map(of_view).map(|[behind, embed]| behind + embed).sum();
    learned + taught
}

/// Forward arithmetic of a ViT's blocks on so many tokens.
pub fn vit_blocks_flops(config: &VitConfig, tokens: usize) -> f64 {
    blocks_flops(config.width, config.depth, config.mlp_ratio, tokens)
}

/// Forward arithmetic of a Swin's stages, the first of which has so many tokens.
fn swin_flops(config: &SwinConfig, tokens: usize) -> f64 {
    let of_stage = |stage: usize| {
        let (tokens, width) = (tokens >> (2 * stage), config.width << stage);
        let side = (tokens as f64).sqrt().min(config.window as f64);
        let merging = if stage == 0 { 0.0 } else { matrix(tokens, 2 * width, width) };
        merging + config.depths[stage] as f64 * block_flops(width, config.mlp_ratio, tokens, side * side)
    };
    (0..config.depths.len()).map(of_stage).sum()
}

/// Forward arithmetic of a PVT's stages, the first of which has so many tokens.
fn pvt_flops(config: &PvtConfig, tokens: usize) -> f64 {
    let of_stage = |stage: usize| {
        let (tokens, width) = (tokens >> (2 * stage), config.widths[stage]);
        let area = config.reductions[stage] * config.reductions[stage];
        let merging = if stage == 0 { 0.0 } else { matrix(tokens, 4 * config.widths[stage - 1], width) };
        let reducing =
            if area > 1 && config.reduce_by == Reduction::Convolution { matrix(tokens / area, area * width, width) } else { 0.0 };
        // The plain block, less the keys and values of the tokens that have none.
        let keys = matrix(tokens, width, 2 * width) - matrix(tokens / area, width, 2 * width);
        let block = block_flops(width, config.mlp_ratios[stage], tokens, (tokens / area) as f64) - keys + reducing;
        merging + config.depths[stage] as f64 * block
    };
    (0..config.depths.len()).map(of_stage).sum()
}

/// Forward arithmetic of a residual network on images of so many pixels: of its stem's convolution, and of what comes after it.
fn resnet_flops(config: &ResNetConfig, grid: [usize; 2]) -> [f64; 2] {
    let of = |([inputs, outputs], window): ConvolutionSizes| matrix(window.pixels_seen(), inputs, outputs);
    let (window, pool) = config.stem_windows(grid);
    let (mut grid, mut inputs, mut behind) = (pool.unwrap_or(window).places(), config.width, 0.0);
    for (stage, &depth) in config.depths.iter().enumerate() {
        for index in 0..depth {
            let (convolutions, shortcut) = config.convolutions([stage, index, inputs], grid);
            grid = convolutions.last().map_or(grid, |(_, window)| window.places());
            behind += convolutions.into_iter().chain(shortcut).map(of).sum::<f64>();
            inputs = config.width_of_stage(stage);
        }
    }
    [of(([config.channels, config.width], window)), behind]
}

fn blocks_flops(width: usize, depth: usize, mlp_ratio: f64, tokens: usize) -> f64 {
    depth as f64 * block_flops(width, mlp_ratio, tokens, tokens as f64)
}

/// One block on so many tokens, each of which attends to `keys`.
fn block_flops(width: usize, mlp_ratio: f64, tokens: usize, keys: f64) -> f64 {
    let (width, tokens) = (width as f64, tokens as f64);
    2.0 * tokens * width * width * (4.0 + 2.0 * mlp_ratio) + 2.0 * 2.0 * tokens * keys * width
}

/// What one block need not compute of so many tokens, out of `tokens`, that others only attend to.
fn unread_flops(width: usize, mlp_ratio: f64, unread: usize, tokens: usize) -> f64 {
    block_flops(width, mlp_ratio, unread, tokens as f64) - matrix(unread, width, 2 * width)
}

/// What one of `batch` images need not compute because others have: mask tokens of the same patch are equal before the first block, so
/// that their queries, keys and values are, too.
fn repeated_flops(width: usize, missing: usize, patches: usize, batch: usize) -> f64 {
    let once = patches as f64 / batch.max(1) as f64;
    (missing as f64 - once).max(0.0) * matrix(1, width, 3 * width)
}

fn matrix(rows: usize, inputs: usize, outputs: usize) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::sizes::sizes;
    use crate::recipe::Base;

    /// Products of `(rows, inputs, outputs)`, forward, and those of both gradients.
    fn step(products: &[(usize, usize, usize)]) -> f64 {
        3.0 * products.iter().map(|&(rows, inputs, outputs)| 2.0 * (rows * inputs * outputs) as f64).sum::<f64>()
    }

    #[test]
    fn a_masked_autoencoder_needs_each_of_its_products_once() {
        let sets = [("backbone.preset", "vit-nano"), ("decoder.depth", "1"), ("backbone.depth", "1")];
        let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let config = sizes(&Recipe::resolve(Base::Preset("mae"), &sets).unwrap()).unwrap();
        let (EncoderConfig::Vit(vit), &DecoderConfig::Transformer { width: narrow, .. }) = (&config.encoder, &config.decoder) else {
            panic!("{config:?}");
        };
        let (width, hidden, batch) = (vit.width, 4 * vit.width, 8);
        let (patches, shown) = (64, 16);
        let (tokens, all, missing) = (1 + shown, 1 + patches, patches - shown);
        let encoder = [
            (tokens, width, 3 * width),
            // Attention heads together: scores and sums.
            (tokens, width, tokens),
            (tokens, tokens, width),
            (tokens, width, width),
            (tokens, width, hidden),
            (tokens, hidden, width),
            (tokens, width, narrow),
        ];
        let decoder = [
            // The only block is the last one: keys and values of all, mask tokens' once for all images, and the rest of what is read.
            (1 + shown, narrow, 2 * narrow),
            (patches / batch, narrow, 3 * narrow),
            (missing, narrow, all),
            (missing, all, narrow),
            (missing, narrow, narrow),
            (missing, narrow, 4 * narrow),
            (missing, 4 * narrow, narrow),
            (missing, narrow, config.prediction_width),
        ];
        let embed = 2.0 * 2.0 * (shown * 4 * 4 * 3 * width) as f64;
        let expected = step(&encoder) + step(&decoder) + embed;
        let found = flops_per_image(&config, batch, shown, missing, None);
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
        assert!(flops_per_image(&config, 1, shown, missing, None) > found, "a single image shares with none");
    }
}
