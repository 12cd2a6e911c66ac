//! Folders as other versions and other classes of the library write them, and folders that nobody wrote.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::parity::folder;
use crate::inspect::encoder::{Images, attention};
use crate::method::Network;
use crate::weights::model_file::{Weights, WeightsKind, tensors_of};
use crate::weights::safetensors_file::{HostTensor, TensorMap, read, write};

/// A copy of a fixture's folder with another config and other tensors.
fn changed(name: &str, config: impl FnOnce(&mut Value), tensors: impl FnOnce(TensorMap) -> TensorMap) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(folder(name).join("config.json")).unwrap()).unwrap();
    config(&mut json);
    std::fs::write(copy.path().join("config.json"), json.to_string()).unwrap();
    let map = tensors(read(&folder(name).join("model.safetensors")).unwrap().0);
    write(&copy.path().join("model.safetensors"), &map, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
    copy
}

fn renamed(map: TensorMap, rename: impl Fn(&str) -> String) -> TensorMap {
    map.into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect()
}

fn network(path: &Path) -> Network {
    Weights::open(path).unwrap().network(WeightsKind::Best, &Device::flex()).unwrap()
}

fn tensors(path: &Path) -> TensorMap {
    tensors_of(network(path).parameters()).unwrap()
}

#[track_caller]
fn refused(path: &Path, words: &[&str]) {
    let error = Weights::open(path).err().unwrap_or_else(|| panic!("{words:?} is not refused"));
    let message = error.to_string();
    assert_eq!(error.exit_status(), 3, "{message}");
    let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?} not in: {message}");
}

#[test]
fn names_of_the_newest_classes_and_names_without_the_encoders_are_known() {
    let pairs = [
        ("attention.attention.relative_position_bias", "relative_position_bias"),
        ("encoder.relative_position_bias", "shared_position_bias"),
        ("encoder.layer.", "layers."),
        ("attention.output.dense", "attention.o_proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
        ("attention.attention.query", "attention.q_proj"),
        ("attention.attention.key", "attention.k_proj"),
        ("attention.attention.value", "attention.v_proj"),
        ("attention.self.query", "attention.q_proj"),
        ("attention.self.key", "attention.k_proj"),
        ("attention.self.value", "attention.v_proj"),
        ("attention.self.relative", "attention.relative_position_bias.relative"),
    ];
    for name in ["vit_mae", "vit", "beit_shared", "beit_own", "swin"] {
        let want = tensors(&folder(name));
        let newest = |old: &str| {
            pairs
                .iter()
                .fold(old.replace("decoder.decoder_encoder.layer", "decoder.decoder_layers"), |name, (old, new)| name.replace(old, new))
        };
        let copy = changed(name, |_| (), |map| renamed(map, newest));
        assert_eq!(tensors(copy.path()), want, "{name}");
        let bare = |old: &str| ["vit.", "beit.", "swin."].iter().fold(old.to_owned(), |name, base| name.replacen(base, "", 1));
        let copy = changed(name, |_| (), |map| renamed(map, bare));
        assert_eq!(tensors(copy.path()), want, "{name}");
    }
}

#[test]
fn dinos_are_read_by_the_librarys_newest_names_and_refused_by_their_fields() {
    let dino = |name: &str| format!("../dinos/{name}");
    let pairs = [("attention.attention.query", "attention.q_proj"), ("attention.attention.key", "attention.k_proj")];
    let more = [("attention.attention.value", "attention.v_proj"), ("attention.output.dense", "attention.o_proj")];
    let newest = |old: &str| pairs.iter().chain(&more).fold(old.to_owned(), |name, (old, new)| name.replace(old, new));
    for (name, base) in
        [("dinov2_gated", "dinov2"), ("dinov2_registers", "dinov2_with_registers"), ("dinov3", "model"), ("dinov3_gated", "model")]
    {
        let (name, want) = (dino(name), tensors(&folder(&dino(name))));
        assert_eq!(tensors(changed(&name, |_| (), |map| renamed(map, newest)).path()), want, "{name}");
        let based = |old: &str| format!("{base}.{old}");
        assert_eq!(tensors(changed(&name, |_| (), |map| renamed(map, based)).path()), want, "{name}");
    }
    let apart = |mut map: TensorMap| {
        for (name, tensor) in std::mem::take(&mut map) {
            let Some((block, kind)) = name.split_once("weights_in.").map(|(block, kind)| (block.to_owned(), kind.to_owned())) else {
                map.insert(name.replace("weights_out", "down_proj"), tensor);
                continue;
            };
            let (rows, half) = (tensor.shape[0] / 2, tensor.values.len() / 2);
            for (part, values) in ["gate_proj", "up_proj"].into_iter().zip(tensor.values.chunks_exact(half)) {
                let shape = [&[rows], &tensor.shape[1..]].concat();
                map.insert(format!("{block}{part}.{kind}"), HostTensor::new(shape, values.to_vec()));
            }
        }
        map
    };
    let (name, want) = (dino("dinov2_gated"), tensors(&folder(&dino("dinov2_gated"))));
    assert_eq!(tensors(changed(&name, |_| (), apart).path()), want);
    let classifier = |mut map: TensorMap| {
        map.insert("classifier.weight".into(), HostTensor::new([2, 32], vec![0.0; 64]));
        map
    };
    let copy = changed(&name, |config| config["architectures"] = json!(["Dinov2ForImageClassification"]), classifier);
    assert_eq!(tensors(copy.path()), want);
    assert!(Weights::num_classes(copy.path()).unwrap_err().to_string().contains("architectures"));
    let cases: &[(&str, &str, Value, &[&str])] = &[
        ("dinov2_gated", "mlp_ratio", json!(3), &["weights_in.weight is [96, 16] instead of [64, 16]"]),
        ("dinov2_gated", "mlp_ratio", json!(1e9), &["mlp_ratio"]),
        ("dinov2_gated", "use_swiglu_ffn", json!(false), &["intermediate.dense.weight is missing"]),
        ("dinov2_registers", "num_register_tokens", json!(65), &["num_register_tokens", "from 1 to 64"]),
        ("dinov2_registers", "num_register_tokens", json!(0), &["register_tokens is left over"]),
        ("dinov2_registers", "qkv_bias", json!(true), &["query.bias is missing"]),
        ("dinov3", "num_attention_heads", json!(8), &["num_attention_heads", "quarters"]),
        ("dinov3", "rope_theta", json!(0), &["rope_theta"]),
        ("dinov3", "hidden_act", json!("silu"), &["hidden_act", "silu"]),
        ("dinov3", "key_bias", json!(true), &["key.bias is missing"]),
        ("dinov3", "use_gated_mlp", json!(true), &["mlp.gate_proj.weight is missing"]),
        ("dinov3_gated", "hidden_act", json!("relu"), &["hidden_act", "relu"]),
        ("dinov3_gated", "mlp_bias", json!(true), &["output.dense.bias is missing", "gate_proj.bias is missing"]),
    ];
    for (name, key, value, words) in cases {
        refused(changed(&dino(name), |config| config[*key] = value.clone(), |map| map).path(), words);
    }
    let gelu = changed(&dino("dinov3_gated"), |config| config["hidden_act"] = json!("gelu"), |map| map);
    assert_eq!(Weights::origin(gelu.path()).unwrap().0.backbone.sizes.word("mlp"), Some("geglu"));
}

#[test]
fn parts_and_their_index_are_one_model() {
    let copy = tempfile::tempdir().unwrap();
    let at = |name: &str| copy.path().join(name);
    std::fs::copy(folder("vit").join("config.json"), at("config.json")).unwrap();
    let map = read(&folder("vit").join("model.safetensors")).unwrap().0;
    let part = |index: usize| format!("model-0000{}-of-00002.safetensors", index % 2 + 1);
    let weight_map: Value =
        map.keys().enumerate().map(|(index, name)| (name.clone(), json!(part(index)))).collect::<serde_json::Map<_, _>>().into();
    for half in 0..2 {
        let of_part =
            map.iter().enumerate().filter(|(index, _)| index % 2 == half).map(|(_, (name, tensor))| (name.clone(), tensor.clone()));
        write(&at(&part(half)), &of_part.collect(), &[].into()).unwrap();
    }
    std::fs::write(at("model.safetensors.index.json"), json!({"weight_map": weight_map}).to_string()).unwrap();
    assert_eq!(tensors(copy.path()), tensors(&folder("vit")));
    std::fs::remove_file(at(&part(1))).unwrap();
    refused(copy.path(), &["model-00002-of-00002.safetensors", "not there"]);
    std::fs::write(at("model.safetensors.index.json"), json!({"weight_map": {"a": "../a.safetensors"}}).to_string()).unwrap();
    refused(copy.path(), &["weight_map", "../a.safetensors"]);
    std::fs::remove_file(at("model.safetensors.index.json")).unwrap();
    refused(copy.path(), &["neither model.safetensors nor"]);
}

#[test]
fn encoders_alone_are_looked_into_and_start_a_network() {
    let of_encoder = |map: TensorMap, norm: &'static str| {
        let mut map = renamed(map, |name| {
            name.split_once('.').filter(|(base, _)| ["vit", "beit", "swin"].contains(base)).map_or(name, |(_, rest)| rest).to_owned()
        });
        map.retain(|name, _| !name.starts_with("decoder.") && !name.starts_with("lm_head.") && name != "embeddings.mask_token");
        let classes = HostTensor::new([2, 3], vec![0.5; 6]);
        map.extend([("classifier.weight".to_owned(), classes)]);
        renamed(map, |name| name.strip_prefix("layernorm.").map_or(name.to_owned(), |kind| format!("{norm}.{kind}")))
    };
    let cases = [
        ("vit_mae", "ViTMAEModel", "layernorm"),
        ("vit", "ViTForImageClassification", "layernorm"),
        ("beit_shared", "BeitModel", "pooler.layernorm"),
        ("beit_own", "BeitForImageClassification", "pooler.layernorm"),
        ("swin", "SwinModel", "layernorm"),
    ];
    for (name, class, norm) in cases {
        let copy = changed(name, |config| config["architectures"] = json!([class]), |map| of_encoder(map, norm));
        let weights = Weights::open(copy.path()).unwrap();
        assert_eq!(weights.encoder_alone, Some(class));
        let images = Images { values: (0..16 * 16 * 3).map(|index| (index as f32).sin()).collect(), batch: 1, height: 16, width: 16 };
        let maps = |path: &Path| attention(&network(path), &images, -1).unwrap().values;
        assert_eq!(maps(copy.path()), maps(&folder(name)), "{class}");
        // A run of the whole model may begin with it: what it lacks stays as it was.
        let whole = Weights::open(&folder(name)).unwrap();
        let mut fresh = Network::new(&whole.recipe, &Device::flex()).unwrap();
        weights.load_into(fresh.parameters_mut(), WeightsKind::Best, &Device::flex()).unwrap();
        assert_eq!(attention(&fresh, &images, -1).unwrap().values, maps(copy.path()), "{class}");
    }
}

#[test]
fn wrong_tensors_are_named() {
    let without = |name: &'static str| {
        move |mut map: TensorMap| {
            map.remove(name).unwrap();
            map
        }
    };
    let copy = changed("vit", |_| (), without("vit.encoder.layer.1.output.dense.bias"));
    refused(copy.path(), &["encoder.layer.1.output.dense.bias is missing", "config.json"]);
    let copy = changed("swin", |_| (), without("swin.encoder.layers.0.blocks.1.attention.self.relative_position_bias_table"));
    refused(copy.path(), &["encoder.layers.0.blocks.1.attention.self.relative_position_bias_table is missing"]);
    let copy = changed("vit_mae", |config| config["intermediate_size"] = json!(30), |map| map);
    refused(copy.path(), &["vit.encoder.layer.0.intermediate.dense.weight is [31, 12] instead of [30, 12]", "layer.1.output.dense.weight"]);
    let huge = |config: &mut Value| {
        for (key, size) in
            [("hidden_size", 16_384), ("intermediate_size", 65_536), ("num_hidden_layers", 256), ("num_attention_heads", 256)]
        {
            config[key] = json!(size);
        }
    };
    refused(changed("vit", huge, |map| map).path(), &["is [12, 3, 4, 4] instead of [16384, 3, 4, 4]", " more; these"]);
    let more = |mut map: TensorMap| {
        map.insert("vit.encoder.layer.2.lambda_1".into(), HostTensor::new([1], vec![0.0]));
        map
    };
    refused(changed("vit", |_| (), more).path(), &["vit.encoder.layer.2.lambda_1 is left over"]);
}

#[test]
fn no_config_is_trusted() {
    let cases: &[(&str, &str, Value, &[&str])] = &[
        ("vit", "architectures", json!(["ResNetModel"]), &["architectures", "ResNetModel", "ViTMAEForPreTraining"]),
        ("vit", "architectures", json!(null), &["architectures", "missing"]),
        ("vit", "architectures", json!([]), &["architectures"]),
        ("vit", "hidden_size", json!(null), &["hidden_size", "missing"]),
        ("vit", "hidden_size", json!(0), &["hidden_size", "from 1 to"]),
        ("vit", "hidden_size", json!(-12), &["hidden_size", "-12"]),
        ("vit", "hidden_size", json!(12.5), &["hidden_size", "12.5"]),
        ("vit", "hidden_size", json!("12"), &["hidden_size", "\"12\""]),
        ("vit", "hidden_size", json!(16_384), &["intermediate_size", "is 30", "16384"]),
        ("vit", "hidden_size", json!(u64::MAX), &["hidden_size"]),
        ("vit", "num_hidden_layers", json!(100_000), &["num_hidden_layers"]),
        ("vit", "num_hidden_layers", json!(256), &["is missing"]),
        ("vit", "num_attention_heads", json!(5), &["num_attention_heads", "does not divide"]),
        ("vit", "intermediate_size", json!(1), &["intermediate_size"]),
        ("vit", "image_size", json!(8192), &["[1, 4194305, 12]"]),
        ("beit_shared", "image_size", json!([8192, 8192]), &["relative_position_bias_table is"]),
        ("vit", "image_size", json!([16, 16, 16]), &["image_size", "or two"]),
        ("vit", "image_size", json!(18), &["image_size", "multiple of patch 4"]),
        ("vit", "patch_size", json!([4, 8]), &["patch_size", "square"]),
        ("vit", "patch_size", json!(8), &["encoder_stride", "4"]),
        ("vit", "encoder_stride", json!(8), &["encoder_stride", "is 8"]),
        ("vit", "num_channels", json!(1), &["[12, 1, 4, 4]"]),
        ("vit", "hidden_act", json!("gelu_new"), &["hidden_act", "gelu_new"]),
        ("vit", "layer_norm_eps", json!(0), &["layer_norm_eps"]),
        ("vit", "qkv_bias", json!(1), &["qkv_bias", "true or false"]),
        ("vit", "qkv_bias", json!(true), &["query.bias is missing"]),
        ("vit_mae", "mask_ratio", json!(7), &["mask_ratio"]),
        ("vit_mae", "decoder_hidden_size", json!(10), &["decoder_hidden_size"]),
        ("vit_mae", "decoder_num_attention_heads", json!(3), &["decoder_num_attention_heads"]),
        ("vit_mae", "decoder_num_hidden_layers", json!(256), &["is missing"]),
        ("beit_own", "use_shared_relative_position_bias", json!(true), &["use_shared_relative_position_bias"]),
        ("beit_own", "use_mean_pooling", json!(false), &["use_mean_pooling"]),
        ("beit_own", "use_mask_token", json!(false), &["use_mask_token"]),
        ("beit_own", "vocab_size", json!(1_u64 << 40), &["vocab_size"]),
        ("beit_own", "layer_scale_init_value", json!(0), &["lambda_1 is left over"]),
        ("swin", "layer_norm_eps", json!(1e-6), &["layer_norm_eps", "1e-5"]),
        ("swin", "use_absolute_embeddings", json!(true), &["use_absolute_embeddings"]),
        ("swin", "encoder_stride", json!(32), &["encoder_stride", "is 32"]),
        ("swin", "depths", json!([]), &["depths"]),
        ("swin", "depths", json!(vec![2; 40]), &["depths"]),
        ("swin", "depths", json!([2, "2"]), &["depths"]),
        ("swin", "num_heads", json!([1]), &["num_heads"]),
        ("swin", "num_heads", json!([1, 3]), &["num_heads"]),
        ("swin", "window_size", json!(5), &["window_size", "larger than the map of 4x4"]),
        ("swin", "mlp_ratio", json!("big"), &["mlp_ratio"]),
        ("pvt", "layer_norm_eps", json!(1e-5), &["layer_norm_eps", "1e-6"]),
        ("pvt", "patch_sizes", json!([4, 2, 4]), &["patch_sizes", "2 in every stage but the first"]),
        ("pvt", "strides", json!([2, 2, 2]), &["strides", "do not overlap"]),
        ("pvt", "depths", json!([2, 1]), &["patch_sizes", "as long as depths"]),
        ("pvt", "depths", json!([2, 1, 2]), &["encoder.block.2.1.layer_norm_1.weight is missing"]),
        ("pvt", "num_encoder_blocks", json!(4), &["num_encoder_blocks"]),
        ("pvt", "hidden_sizes", json!([8, 12]), &["hidden_sizes", "2 entries"]),
        ("pvt", "num_attention_heads", json!([3, 2, 4]), &["num_attention_heads", "3 heads"]),
        ("pvt", "sequence_reduction_ratios", json!([3, 1, 1]), &["sequence_reduction_ratios", "squares of 3x3"]),
        ("pvt", "mlp_ratios", json!([4, 2, 2]), &["mlp.dense1.weight is [24, 8] instead of [32, 8]"]),
        ("pvt", "image_size", json!(20), &["image_size", "multiple of 16"]),
        ("pvt", "image_size", json!(32), &["position_embeddings is [1, 16, 8] instead of [1, 64, 8]"]),
        ("pvt", "qkv_bias", json!(false), &["key.bias is left over"]),
    ];
    for (name, key, value, words) in cases {
        let copy = changed(name, |config| config[*key] = value.clone(), |map| map);
        refused(copy.path(), words);
    }
    let copy = changed("vit", |_| (), |map| map);
    for (text, words) in [
        ("{\"hidden_size\": NaN}", &["not readable JSON", "NaN"][..]),
        ("[1]", &["not a JSON object"]),
        ("", &["not readable JSON"]),
        ("\u{0}\u{ff}", &["not readable JSON"]),
    ] {
        std::fs::write(copy.path().join("config.json"), text).unwrap();
        refused(copy.path(), words);
    }
}

#[test]
fn images_are_normalized_as_the_processor_does() {
    let of = |text: &str| {
        let copy = changed("vit", |_| (), |map| map);
        std::fs::write(copy.path().join("preprocessor_config.json"), text).unwrap();
        (Weights::origin(copy.path()).map(|(recipe, _)| (recipe.data.mean, recipe.data.std)), copy)
    };
    let three = |value: f64| vec![value; 3];
    assert_eq!(of("{}").0.unwrap(), (three(0.5), three(0.5)));
    assert_eq!(of(r#"{"image_mean": [0, 0, 0.25], "image_std": 2}"#).0.unwrap(), (vec![0.0, 0.0, 0.25], three(2.0)));
    assert_eq!(of(r#"{"do_normalize": false, "rescale_factor": 0.00392156862745098}"#).0.unwrap(), (three(0.0), three(1.0)));
    assert_eq!(
        of(r#"{"do_rescale": false, "image_mean": [51, 51, 51], "image_std": [255, 255, 255]}"#).0.unwrap(),
        (three(0.2), three(1.0))
    );
    for (text, word) in [(r#"{"image_mean": [1]}"#, "image_mean"), (r#"{"image_std": [0, 1, 1]}"#, "image_std"), ("nonsense", "JSON")] {
        let (refusal, _copy) = of(text);
        let message = refusal.unwrap_err().to_string();
        assert!(message.contains(word) && message.contains("preprocessor_config.json"), "{message}");
    }
    let (recipe, _) = Weights::origin(&folder("swin")).unwrap();
    assert_eq!(recipe.data.std, [0.229, 0.224, 0.225]);
}

#[test]
fn numbers_that_are_not_finite_are_refused_when_a_network_is_made_of_them() {
    for value in [f32::NAN, f32::INFINITY] {
        let broken = changed(
            "vit",
            |_| {},
            |mut map| {
                let (name, last) = map.iter_mut().find(|(name, _)| name.contains("layernorm_before.weight")).unwrap();
                assert!(name.contains(".0."));
                *last.values.last_mut().unwrap() = value;
                map
            },
        );
        let weights = Weights::open(broken.path()).unwrap();
        let message = weights.network(WeightsKind::Best, &Device::flex()).err().unwrap().to_string();
        assert!(message.contains("blocks.0.norm1.weight has numbers that are not finite"), "{message}");
    }
}
