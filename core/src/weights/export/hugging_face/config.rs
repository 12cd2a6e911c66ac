//! `config.json` of each class: all that decides what it computes.

use serde_json::{Value, json};

use super::class::{Class, dinov2_ratio};
use crate::backbone::encoder::EncoderConfig;
use crate::backbone::resnet::ResNetConfig;
use crate::backbone::swin::{self, SwinConfig};
use crate::backbone::vit::{Positions, Relative, VitConfig};
use crate::method::decoder::DecoderConfig;
use crate::method::masked_model::MaskedConfig;
use crate::weights::export::renaming::hidden;
use crate::weights::export::source::Source;

/// The settings of a network as a class has them.
pub(super) fn of(class: Class, source: &Source<'_>, sizes: Option<&MaskedConfig>, has_mask_token: bool, has_bias: bool) -> Value {
    let mut config = match &source.encoder {
        EncoderConfig::Vit(vit) => plain(class, vit),
        EncoderConfig::Swin(swin) => pyramid(swin),
        EncoderConfig::ResNet(resnet) => residual(resnet),
        EncoderConfig::Pvt(_) => json!({}),
    };
    let mut set = |key: &str, value: Value| config[key] = value;
    set("architectures", json!([class.name()]));
    set("model_type", json!(class.model_type()));
    set("num_channels", json!(source.encoder.channels()));
    if class != Class::ResNet {
        set("image_size", sides(source.recipe.data.image));
        set("patch_size", json!(source.encoder.patch()));
    }
    match class {
        Class::VitMae => {
            set("qkv_bias", json!(has_bias));
            set("mask_ratio", json!(source.recipe.mask.number("ratio").unwrap_or(0.75)));
            set("norm_pix_loss", json!(source.recipe.target.flag("norm_pix").unwrap_or(false)));
            if let Some(DecoderConfig::Transformer { width, depth, heads, mlp_ratio, .. }) = sizes.map(|sizes| &sizes.decoder) {
                set("decoder_hidden_size", json!(width));
                set("decoder_num_hidden_layers", json!(depth));
                set("decoder_num_attention_heads", json!(heads));
                set("decoder_intermediate_size", json!(hidden(*width, *mlp_ratio)));
            }
        }
        Class::IJepa => set("qkv_bias", json!(has_bias)),
        Class::Vit | Class::VitMasked => {
            set("qkv_bias", json!(has_bias));
            set("encoder_stride", json!(source.encoder.patch()));
            // What is pooled is the class token as it is: there is no layer that was trained for it.
            set("pooler_output_size", json!(source.encoder.last_width()));
            set("pooler_act", json!("linear"));
        }
        Class::Beit => {
            // The last norm stands where everybody's does.
            set("use_mean_pooling", json!(false));
            set("use_mask_token", json!(has_mask_token));
        }
        Class::BeitMasked => {
            set("use_mean_pooling", json!(true));
            set("use_mask_token", json!(true));
            set("vocab_size", json!(sizes.map_or(0, |sizes| sizes.prediction_width)));
        }
        Class::SwinMasked | Class::Swin => set("encoder_stride", json!(source.encoder.patch() * source.encoder.stride())),
        Class::Dinov2 => set("use_mask_token", json!(true)),
        Class::Dinov2WithRegisters | Class::ResNet => {}
    }
    config
}

fn sides([height, width]: [usize; 2]) -> Value {
    if height == width { json!(height) } else { json!([height, width]) }
}

/// What nothing is dropped of.
fn without_dropout(mut config: Value) -> Value {
    for key in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        config[key] = json!(0.0);
    }
    config["hidden_act"] = json!("gelu");
    config["initializer_range"] = json!(0.02);
    config
}

fn plain(class: Class, vit: &VitConfig) -> Value {
    let mut config = without_dropout(json!({
        "hidden_size": vit.width,
        "num_hidden_layers": vit.depth,
        "num_attention_heads": vit.heads,
        "layer_norm_eps": vit.eps,
    }));
    match class {
        Class::Dinov2 | Class::Dinov2WithRegisters => {
            config["mlp_ratio"] = json!(dinov2_ratio(vit).unwrap_or(4));
            config["qkv_bias"] = json!(true);
            config["layerscale_value"] = json!(if vit.layer_scale > 0.0 { vit.layer_scale } else { 1.0 });
            config["drop_path_rate"] = json!(0.0);
            config["use_swiglu_ffn"] = json!(vit.activation.is_gated());
            if class == Class::Dinov2WithRegisters {
                config["num_register_tokens"] = json!(vit.registers);
            }
        }
        _ => config["intermediate_size"] = json!(hidden(vit.width, vit.mlp_ratio)),
    }
    if class.is_beit() {
        config["use_absolute_position_embeddings"] = json!(vit.positions != Positions::Absent);
        config["use_relative_position_bias"] = json!(vit.relative == Relative::Own);
        config["use_shared_relative_position_bias"] = json!(vit.relative == Relative::Shared);
        config["layer_scale_init_value"] = json!(vit.layer_scale.max(0.0));
        config["drop_path_rate"] = json!(0.0);
    }
    config
}

fn pyramid(sizes: &SwinConfig) -> Value {
    without_dropout(json!({
        "embed_dim": sizes.width,
        "hidden_size": sizes.last_width(),
        "num_layers": sizes.depths.len(),
        "depths": sizes.depths,
        "num_heads": sizes.heads,
        "window_size": sizes.window,
        "mlp_ratio": sizes.mlp_ratio,
        "qkv_bias": true,
        "use_absolute_embeddings": false,
        "drop_path_rate": 0.0,
        "layer_norm_eps": swin::EPS,
    }))
}

fn residual(resnet: &ResNetConfig) -> Value {
    let widths: Vec<usize> = (0..resnet.depths.len()).map(|stage| resnet.width_of_stage(stage)).collect();
    json!({
        "embedding_size": resnet.width,
        "hidden_sizes": widths,
        "depths": resnet.depths,
        "layer_type": if resnet.bottleneck { "bottleneck" } else { "basic" },
        "hidden_act": "relu",
        "downsample_in_first_stage": false,
        "downsample_in_bottleneck": false,
    })
}
