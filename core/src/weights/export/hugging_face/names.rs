//! From Maskroom's names and layouts to Hugging Face's, as files have them: the inverse of how folders are read.

use super::class::Class;
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::swin::SwinConfig;
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::backbone::window::side_within;
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::MaskedConfig;
use crate::weights::export::renaming::{BlockNames, Qkv, Renaming, hidden};
use crate::weights::export::timm::{At, convolution, each_convolution};
use crate::weights::hugging_face::unshuffled;

const TABLE: &str = "relative_position_bias_table";

const PARTS: [&str; 3] = ["attention.attention.query", "attention.attention.key", "attention.attention.value"];
const PARTS_OF_SWIN: [&str; 3] = ["attention.self.query", "attention.self.key", "attention.self.value"];
const BLOCK: BlockNames = BlockNames {
    norms: ["layernorm_before", "layernorm_after"],
    proj: "attention.output.dense",
    mlp: ["intermediate.dense", "output.dense"],
    qkv: Qkv::Apart(PARTS, [true; 3]),
};
const DINOV2_BLOCK: BlockNames = BlockNames { norms: ["norm1", "norm2"], mlp: ["mlp.fc1", "mlp.fc2"], ..BLOCK };
const SWIN_BLOCK: BlockNames = BlockNames { qkv: Qkv::Apart(PARTS_OF_SWIN, [true; 3]), ..BLOCK };

/// Renames everything that the class has. Of plain transformers, queries, keys and values may have no bias.
pub(super) fn rename(renaming: &mut Renaming, class: Class, encoder: &EncoderConfig, sizes: Option<&MaskedConfig>, has_bias: bool) {
    let base = class.base();
    match encoder {
        EncoderConfig::Vit(vit) => {
            let bias = if class.is_beit() { [true, false, true] } else { [has_bias; 3] };
            let names = match class {
                Class::Dinov2 | Class::Dinov2WithRegisters if vit.activation.is_gated() => {
                    BlockNames { mlp: ["mlp.weights_in", "mlp.weights_out"], ..DINOV2_BLOCK }
                }
                Class::Dinov2 | Class::Dinov2WithRegisters => DINOV2_BLOCK,
                _ => BlockNames { qkv: Qkv::Apart(PARTS, bias), ..BLOCK },
            };
            plain(renaming, class, vit, &names);
            if let (Class::VitMae, Some(sizes)) = (class, sizes) {
                decoder(renaming, sizes, &names);
            }
        }
        EncoderConfig::Swin(swin) => pyramid(renaming, base, swin),
        EncoderConfig::ResNet(resnet) => each_convolution(resnet, |ours, shape, at| {
            let at = match at {
                At::Stem => "embedder.embedder".to_owned(),
                At::Block([stage, index, place]) => format!("encoder.stages.{stage}.layers.{index}.layer.{place}"),
                At::Shortcut([stage, index]) => format!("encoder.stages.{stage}.layers.{index}.shortcut"),
            };
            let names = ["convolution", "normalization"].map(|part| format!("{at}.{part}"));
            convolution(renaming, ours, [&names[0], &names[1]], shape);
        }),
        EncoderConfig::Pvt(_) => {}
    }
    if let Some(sizes) = sizes {
        predictor(renaming, class, sizes);
    }
}

fn plain(renaming: &mut Renaming, class: Class, vit: &VitConfig, names: &BlockNames) {
    let (base, &VitConfig { width, grid: [rows, cols], patch, .. }) = (class.base(), vit);
    let in_front = |name: &str| format!("{base}embeddings.{name}");
    if vit.has_class_token {
        renaming.copy("cls_token", &in_front("cls_token"), &[1, 1, width]);
    }
    if class == Class::IJepa {
        renaming.without_first("pos_embed", &in_front("position_embeddings"), [1 + rows * cols, width]);
    } else if class.is_beit() && vit.positions == Positions::Absent {
        renaming.leave("pos_embed");
    } else {
        renaming.copy("pos_embed", &in_front("position_embeddings"), &[1, 1 + rows * cols, width]);
    }
    renaming.layer("patch_embed.proj", &in_front("patch_embeddings.projection"), &[width, vit.channels, patch, patch]);
    let norm = if class == Class::BeitMasked { "layernorm".to_owned() } else { format!("{base}layernorm") };
    renaming.norm("norm", &norm, width);
    tokens(renaming, class, vit);
    let table = [(2 * rows - 1) * (2 * cols - 1) + 3, vit.heads];
    if vit.relative == Relative::Shared {
        renaming.copy(&format!("rel_pos_bias.{TABLE}"), &format!("{base}encoder.relative_position_bias.{TABLE}"), &table);
    }
    for index in 0..vit.depth {
        let (ours, theirs) = (format!("blocks.{index}"), format!("{base}encoder.layer.{index}"));
        renaming.block(&ours, &theirs, names, [width, hidden(width, vit.mlp_ratio)], vit.activation.is_gated());
        if vit.relative == Relative::Own {
            let there = format!("{theirs}.attention.attention.relative_position_bias.{TABLE}");
            renaming.copy(&format!("{ours}.attn.rel_pos_bias.{TABLE}"), &there, &table);
        }
        for branch in 1..=2 {
            let there = match class {
                Class::Dinov2 | Class::Dinov2WithRegisters => format!("{theirs}.layer_scale{branch}.lambda1"),
                _ => format!("{theirs}.lambda_{branch}"),
            };
            match (vit.layer_scale > 0.0, class) {
                (true, _) => renaming.copy(&format!("{ours}.ls{branch}.gamma"), &there, &[width]),
                (false, Class::Dinov2 | Class::Dinov2WithRegisters) => renaming.put(&there, &[width], vec![1.0; width]),
                (false, _) => {}
            }
        }
    }
    if class == Class::Vit {
        let identity = (0..width * width).map(|place| if place / width == place % width { 1.0 } else { 0.0 }).collect();
        renaming.put("pooler.dense.weight", &[width, width], identity);
        renaming.put("pooler.dense.bias", &[width], vec![0.0; width]);
    }
}

/// Registers, and what stands in the place of hidden patches.
fn tokens(renaming: &mut Renaming, class: Class, vit: &VitConfig) {
    let (width, there) = (vit.width, format!("{}embeddings.mask_token", class.base()));
    match class {
        Class::Dinov2 | Class::Dinov2WithRegisters if renaming.has("mask_token") => {
            renaming.reshaped("mask_token", &there, &[1, 1, width], &[1, width]);
        }
        Class::Dinov2 | Class::Dinov2WithRegisters => renaming.put(&there, &[1, width], vec![0.0; width]),
        Class::VitMasked | Class::BeitMasked => renaming.copy("mask_token", &there, &[1, 1, width]),
        Class::Beit if renaming.has("mask_token") => renaming.copy("mask_token", &there, &[1, 1, width]),
        _ => renaming.leave("mask_token"),
    }
    if vit.registers > 0 {
        renaming.copy("reg_token", "embeddings.register_tokens", &[1, vit.registers, width]);
    }
}

fn pyramid(renaming: &mut Renaming, base: &str, swin: &SwinConfig) {
    let width = swin.width;
    let proj = format!("{base}embeddings.patch_embeddings.projection");
    renaming.layer("patch_embed.proj", &proj, &[width, swin.channels, swin.patch, swin.patch]);
    renaming.norm("patch_embed.norm", &format!("{base}embeddings.norm"), width);
    renaming.norm("norm", &format!("{base}layernorm"), swin.last_width());
    if base.is_empty() {
        renaming.leave("mask_token");
    } else {
        renaming.copy("mask_token", &format!("{base}embeddings.mask_token"), &[1, 1, width]);
    }
    for (stage, ((&depth, &heads), grid)) in swin.depths.iter().zip(&swin.heads).zip(swin.grids()).enumerate() {
        let width = width << stage;
        let reach = 2 * side_within(grid, swin.window) - 1;
        for index in 0..depth {
            let (ours, theirs) = (format!("layers.{stage}.blocks.{index}"), format!("{base}encoder.layers.{stage}.blocks.{index}"));
            renaming.block(&ours, &theirs, &SWIN_BLOCK, [width, hidden(width, swin.mlp_ratio)], false);
            renaming.copy(&format!("{ours}.attn.{TABLE}"), &format!("{theirs}.attention.self.{TABLE}"), &[reach * reach, heads]);
        }
        // It stands at the beginning of a stage here, and at the end of the one before there.
        if stage > 0 {
            let (ours, theirs) = (format!("layers.{stage}.downsample"), format!("{base}encoder.layers.{}.downsample", stage - 1));
            renaming.norm(&format!("{ours}.norm"), &format!("{theirs}.norm"), 2 * width);
            renaming.copy(&format!("{ours}.reduction.weight"), &format!("{theirs}.reduction.weight"), &[width, 2 * width]);
        }
    }
}

/// MAE's.
fn decoder(renaming: &mut Renaming, sizes: &MaskedConfig, names: &BlockNames) {
    let DecoderConfig::Transformer { width, depth, mlp_ratio, .. } = sizes.decoder else { return };
    let [rows, cols] = sizes.units();
    renaming.copy("decoder.mask_token", "decoder.mask_token", &[1, 1, width]);
    renaming.copy("decoder.pos_embed", "decoder.decoder_pos_embed", &[1, 1 + rows * cols, width]);
    renaming.layer("decoder.embed", "decoder.decoder_embed", &[width, sizes.encoder.last_width()]);
    renaming.norm("decoder.norm", "decoder.decoder_norm", width);
    renaming.layer("decoder.pred", "decoder.decoder_pred", &[sizes.prediction_width, width]);
    for index in 0..depth {
        let (ours, theirs) = (format!("decoder.blocks.{index}"), format!("decoder.decoder_layers.{index}"));
        renaming.block(&ours, &theirs, names, [width, hidden(width, mlp_ratio)], false);
    }
}

/// One linear layer: to classes, or to the pixels of the square that a token stands for, in the order of a shuffle of channels to places.
fn predictor(renaming: &mut Renaming, class: Class, sizes: &MaskedConfig) {
    let (inputs, stride) = (sizes.encoder.last_width(), sizes.encoder.stride());
    let outputs = stride * stride * sizes.prediction_width;
    match class {
        Class::BeitMasked => renaming.layer("decoder.pred", "lm_head", &[outputs, inputs]),
        Class::VitMasked | Class::SwinMasked => {
            let order = unshuffled(stride, sizes.encoder.patch(), sizes.encoder.channels());
            let shuffled = |values: Vec<f32>| {
                let row = values.len() / outputs.max(1);
                let mut there = vec![0.0; values.len()];
                for (values, to) in values.chunks_exact(row.max(1)).zip(&order) {
                    there[to * row..(to + 1) * row].copy_from_slice(values);
                }
                there
            };
            renaming.made("decoder.pred.weight", "decoder.0.weight", &[outputs, inputs], &[outputs, inputs, 1, 1], shuffled);
            renaming.made("decoder.pred.bias", "decoder.0.bias", &[outputs], &[outputs], shuffled);
        }
        _ => {}
    }
}
