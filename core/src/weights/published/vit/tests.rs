//! Published networks by the shapes of their tensors, and files that are of none.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;

use super::super::listing::Listing;
use super::super::{inspection, is_published, recognize};
use crate::backbone::vit::Positions;
use crate::error::Result;
use crate::method::encoder_sizes;
use crate::weights::inspection::{Inspection, inspect};
use crate::weights::model_file::{Weights, WeightsKind};
use crate::weights::safetensors_file::{HostTensor, TensorMap, write};
use crate::weights::torch_file::Setting;

pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// A plain transformer's tensors by timm's names: width, blocks, patch, places of the position table.
pub(super) fn vit(prefix: &str, [width, depth, patch, places]: [usize; 4]) -> Shapes {
    let mut shapes = Shapes::from([
        ("cls_token".into(), vec![1, 1, width]),
        ("pos_embed".into(), vec![1, places, width]),
        ("patch_embed.proj.weight".into(), vec![width, 3, patch, patch]),
        ("patch_embed.proj.bias".into(), vec![width]),
        ("norm.weight".into(), vec![width]),
        ("norm.bias".into(), vec![width]),
    ]);
    shapes.append(&mut blocks("blocks", width, depth));
    shapes.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
}

pub(super) fn blocks(stem: &str, width: usize, depth: usize) -> Shapes {
    let parts = [("norm1", 1, 0), ("norm2", 1, 0), ("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)];
    let of = |index: usize| {
        parts.into_iter().flat_map(move |(part, rows, cols)| {
            let weight = if cols == 0 { vec![width] } else { vec![rows * width, cols * width] };
            [(format!("{stem}.{index}.{part}.weight"), weight), (format!("{stem}.{index}.{part}.bias"), vec![rows * width])]
        })
    };
    (0..depth).flat_map(of).collect()
}

pub(super) fn recognized(name: &str, shapes: Shapes) -> Inspection {
    inspected(&Listing::of_shapes(name, shapes, BTreeMap::new())).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(super) fn inspected(listing: &Listing) -> Result<Inspection> {
    Ok(inspection(recognize(listing)?, listing))
}

#[track_caller]
pub(super) fn refused(shapes: Shapes, words: &[&str]) {
    let Err(error) = inspected(&Listing::of_shapes("x.pth", shapes, BTreeMap::new())) else { panic!("{words:?} is not refused") };
    let message = error.to_string();
    let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
    assert!(missing.is_empty() && error.exit_status() == 3, "{missing:?} not in: {message}");
}

/// Width, blocks, heads, patch, image.
pub(super) fn sizes(found: &Inspection) -> [usize; 5] {
    let (backbone, [height, width]) = (&found.recipe.backbone, found.recipe.data.image);
    assert_eq!(height, width);
    let count = |key: &str| backbone.sizes.count(key);
    [count("width"), count("depth"), count("heads"), backbone.patch, height]
}

#[test]
fn published_backbones_have_their_published_sizes() {
    let cases = [
        ("dino_deitsmall16_pretrain.pth", [384, 12, 16, 197], [384, 12, 6, 16, 224], "dino"),
        ("dino_deitsmall8_pretrain.pth", [384, 12, 8, 785], [384, 12, 6, 8, 224], "dino"),
        ("dino_vitbase16_pretrain.pth", [768, 12, 16, 197], [768, 12, 12, 16, 224], "dino"),
        ("ibot_vitl_16.pth", [1024, 24, 16, 197], [1024, 24, 16, 16, 224], "dino"),
        ("deit_tiny_patch16_224.pth", [192, 12, 16, 197], [192, 12, 3, 16, 224], "simmim"),
        ("deit_huge.pth", [1280, 32, 14, 257], [1280, 32, 16, 14, 224], "simmim"),
    ];
    for (name, shapes, want, method) in cases {
        let found = recognized(name, vit("", shapes));
        assert_eq!((sizes(&found), found.recipe.method.as_str()), (want, method), "{name}");
        let alone = found.encoder_alone.unwrap();
        assert!(method != "dino" || alone.ends_with("backbone"), "{alone}");
        assert_eq!(found.recipe.data.mean, [0.485, 0.456, 0.406], "{name}");
        assert_eq!(found.recipe.backbone.sizes.number("eps"), Some(1e-6), "{name}");
    }
}

#[test]
fn moco_v3_has_twelve_heads_and_an_average() {
    let mut shapes = vit("state_dict.module.base_encoder.", [384, 12, 16, 197]);
    shapes.append(&mut vit("state_dict.module.momentum_encoder.", [384, 12, 16, 197]));
    shapes.insert("state_dict.module.base_encoder.head.0.weight".into(), vec![4096, 384]);
    shapes.insert("state_dict.module.predictor.0.weight".into(), vec![4096, 256]);
    shapes.insert("optimizer.state.0.exp_avg".into(), vec![384]);
    let found = recognized("vit-s-300ep.pth.tar", shapes);
    assert_eq!((sizes(&found), found.recipe.method.as_str()), ([384, 12, 12, 16, 224], "moco-v3"));
    let why = |part: &str| found.left_over.iter().find(|tensor| tensor.name.contains(part)).map(|tensor| tensor.why.clone());
    assert!(why("head.0").unwrap().contains("head") && why("predictor").unwrap().contains("head"));
    assert!(why("optimizer").unwrap().contains("optimizer"));
    let named = |name: &str| found.mapped.iter().find(|tensor| tensor.ours == name).map(|tensor| tensor.theirs.clone());
    assert_eq!(named("blocks.3.attn.qkv.bias").unwrap(), "state_dict.module.base_encoder.blocks.3.attn.qkv.bias");
    assert_eq!(named("teacher.norm.bias").unwrap(), "state_dict.module.momentum_encoder.norm.bias");
}

#[test]
fn mae_brings_its_decoder() {
    let mut shapes = vit("", [768, 12, 16, 197]);
    shapes.append(&mut blocks("decoder_blocks", 512, 8));
    let more: [(&str, &[usize]); 8] = [
        ("mask_token", &[1, 1, 512]),
        ("decoder_pos_embed", &[1, 197, 512]),
        ("decoder_embed.weight", &[512, 768]),
        ("decoder_embed.bias", &[512]),
        ("decoder_norm.weight", &[512]),
        ("decoder_norm.bias", &[512]),
        ("decoder_pred.weight", &[768, 512]),
        ("decoder_pred.bias", &[768]),
    ];
    shapes.extend(more.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
    let with_decoder: Shapes = shapes.into_iter().map(|(name, shape)| (format!("model.{name}"), shape)).collect();
    let found = recognized("mae_visualize_vit_base.pth", with_decoder.clone());
    let recipe = &found.recipe;
    assert_eq!((sizes(&found), recipe.method.as_str()), ([768, 12, 12, 16, 224], "mae"));
    assert_eq!(["width", "depth", "heads"].map(|key| recipe.decoder.count(key)), [512, 8, 16]);
    assert_eq!((recipe.target.flag("norm_pix"), recipe.mask.number("ratio"), found.encoder_alone), (Some(false), Some(0.75), None));
    let full = recognized("mae_pretrain_vit_base_full.pth", with_decoder.clone());
    assert_eq!(full.recipe.target.flag("norm_pix"), Some(true));
    let mut strange = with_decoder.clone();
    strange.insert("model.decoder_blocks.0.cross.weight".into(), vec![512]);
    refused(strange, &["decoder_blocks.0.cross.weight is unknown"]);
    let mut part = with_decoder;
    part.remove("model.decoder_pred.bias");
    refused(part, &["model.decoder_pred.bias is missing", "model.blocks.0", "MAE, DINO"]);
}

#[test]
fn registers_factors_and_groups_of_blocks_are_dinov2s() {
    let mut shapes: Shapes = vit("", [384, 12, 14, 1 + 37 * 37])
        .into_iter()
        .map(|(name, shape)| match name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
            Some((index, rest)) => (format!("blocks.{}.{index}.{rest}", index.parse::<usize>().unwrap() / 6), shape),
            None => (name, shape),
        })
        .collect();
    for index in 0..12 {
        (1..3).for_each(|branch| drop(shapes.insert(format!("blocks.{}.{index}.ls{branch}.gamma", index / 6), vec![384])));
    }
    shapes.insert("register_tokens".into(), vec![1, 4, 384]);
    shapes.insert("mask_token".into(), vec![1, 384]);
    let found = recognized("x.pth", shapes);
    assert_eq!(sizes(&found), [384, 12, 6, 14, 518]);
    let sizes = &found.recipe.backbone.sizes;
    assert_eq!((found.encoder_alone, sizes.count("registers")), (Some("DINOv2 backbone"), 4));
    assert!(sizes.number("layer_scale").unwrap() > 0.0);
    assert!(found.mapped.iter().any(|tensor| tensor.ours == "reg_token" && tensor.theirs == "register_tokens"));
    assert!(found.left_over.iter().any(|tensor| tensor.name == "mask_token" && tensor.why.contains("hidden patches")));
}

/// DINOv3's tensors as timm names them: width, blocks, patch; the MLP's hidden width and whether it has a gate.
fn dinov3([width, depth, patch]: [usize; 3], hidden: usize, gated: bool) -> Shapes {
    let mut shapes = vit("", [width, depth, patch, 197]);
    shapes.remove("pos_embed");
    shapes.insert("reg_token".into(), vec![1, 4, width]);
    for index in 0..depth {
        let mut put = |name: &str, shape: &[usize]| drop(shapes.insert(format!("blocks.{index}.{name}"), shape.to_vec()));
        put("gamma_1", &[width]);
        put("gamma_2", &[width]);
        put("attn.q_bias", &[width]);
        put("attn.v_bias", &[width]);
        put("mlp.fc2.weight", &[width, hidden]);
        for layer in if gated { &["fc1_g", "fc1_x"][..] } else { &["fc1"] } {
            put(&format!("mlp.{layer}.weight"), &[hidden, width]);
            put(&format!("mlp.{layer}.bias"), &[hidden]);
        }
        let unused: &[&str] = if gated { &["attn.qkv.bias", "mlp.fc1.weight", "mlp.fc1.bias"] } else { &["attn.qkv.bias"] };
        unused.iter().for_each(|name| drop(shapes.remove(&format!("blocks.{index}.{name}"))));
    }
    shapes
}

#[test]
fn networks_without_a_table_of_positions_are_dinov3s() {
    let cases = [
        ([384, 12, 16], 1536, false, [384, 12, 6, 16, 224]),
        ([384, 12, 16], 1536, true, [384, 12, 6, 16, 224]),
        ([1280, 32, 16], 5120, true, [1280, 32, 20, 16, 224]),
        ([4096, 40, 16], 8192, true, [4096, 40, 32, 16, 224]),
    ];
    for (shapes, hidden, gated, want) in cases {
        let found = recognized("model.safetensors", dinov3(shapes, hidden, gated));
        assert_eq!((sizes(&found), found.encoder_alone), (want, Some("DINOv3 backbone")));
        let sizes = &found.recipe.backbone.sizes;
        assert_eq!(["mlp", "pos"].map(|key| sizes.word(key).unwrap()), [if gated { "swiglu" } else { "gelu" }, "rope"]);
        assert_eq!((sizes.number("eps"), sizes.flag("key_bias"), sizes.count("registers")), (Some(1e-5), Some(false), 4));
        let bias = found.mapped.iter().find(|tensor| tensor.ours == "blocks.1.attn.qkv.bias").unwrap();
        assert_eq!(bias.shape, [3 * shapes[0]]);
        assert!(found.missing.iter().any(|tensor| tensor.name == "pos_embed"));
    }
    let mut eva = dinov3([384, 2, 16], 1024, true);
    eva.insert("pos_embed".into(), vec![1, 197, 384]);
    refused(eva, &["EVA-02"]);
    let mut part = dinov3([384, 2, 16], 1024, true);
    part.remove("blocks.1.mlp.fc1_x.bias");
    part.insert("blocks.1.attn.v_bias".into(), vec![3]);
    refused(part, &["blocks.1.mlp.fc1_x.bias is missing", "blocks.1.attn.v_bias is [3] instead of [384]"]);
    let mut strange = dinov3([384, 2, 16], 1536, false);
    strange.insert("rope_embed.periods".into(), vec![100]);
    refused(strange, &["rope_embed.periods", "[100]"]);
    // Rotary positions of other kinds are in networks that have no registers.
    let mut other = dinov3([384, 2, 16], 1536, false);
    other.remove("reg_token");
    refused(other, &["positions"]);
}

#[test]
fn gates_of_dinov2_are_packed_with_what_they_let_through() {
    let packed = |first: &'static str, last: &'static str| -> Shapes {
        let rename = |(name, shape): (String, Vec<usize>)| match name.rsplit_once("mlp.") {
            Some((block, "fc1.weight")) => (format!("{block}mlp.{first}.weight"), vec![8192, 1536]),
            Some((block, "fc1.bias")) => (format!("{block}mlp.{first}.bias"), vec![8192]),
            Some((block, "fc2.weight")) => (format!("{block}mlp.{last}.weight"), vec![1536, 4096]),
            Some((block, "fc2.bias")) => (format!("{block}mlp.{last}.bias"), shape),
            _ => (name, shape),
        };
        vit("", [1536, 40, 14, 1 + 37 * 37]).into_iter().map(rename).collect()
    };
    for (first, last) in [("w12", "w3"), ("fc1", "fc2")] {
        let found = recognized("dinov2_vitg14_pretrain.pth", packed(first, last));
        assert_eq!(sizes(&found), [1536, 40, 24, 14, 518]);
        let backbone = &found.recipe.backbone.sizes;
        assert_eq!((backbone.word("mlp"), found.encoder_alone), (Some("swiglu"), Some("DINOv2 backbone")));
        assert_eq!((1536.0 * backbone.number("mlp_ratio").unwrap()) as usize, 4096);
        assert!(found.mapped.iter().any(|tensor| tensor.ours == "blocks.39.mlp.fc1.weight" && tensor.shape == [8192, 1536]));
    }
}

#[test]
fn what_the_file_says_beats_what_is_usual() {
    let settings = BTreeMap::from([("args.num_heads".to_owned(), Setting::Number(8.0))]);
    let found = inspected(&Listing::of_shapes("dino.pth", vit("", [384, 2, 16, 197]), settings)).unwrap();
    assert_eq!(sizes(&found), [384, 2, 8, 16, 224]);
    assert!(found.notes.is_empty());
    let guessed = recognized("dino.pth", vit("", [384, 2, 16, 197]));
    assert!(guessed.notes.iter().any(|note| note.contains("heads, 6")));
}

#[test]
fn networks_of_other_kinds_are_refused_with_what_was_found() {
    let with = |change: &dyn Fn(&mut Shapes)| {
        let mut shapes = vit("module.", [384, 2, 16, 197]);
        change(&mut shapes);
        shapes
    };
    let add = |name: &'static str, shape: &'static [usize]| with(&move |shapes| drop(shapes.insert(name.into(), shape.to_vec())));
    refused(Shapes::new(), &["no tensors"]);
    refused(
        Shapes::from([("conv1.weight".into(), vec![64, 3, 7, 7]), ("fc.bias".into(), vec![9])]),
        &["conv1.weight [64, 3, 7, 7]", "fc.bias [9]"],
    );
    refused(with(&|shapes| drop(shapes.remove("module.cls_token"))), &["class token"]);
    refused(with(&|shapes| drop(shapes.remove("module.pos_embed"))), &["positions"]);
    refused(with(&|shapes| drop(shapes.remove("module.blocks.1.mlp.fc2.bias"))), &["module.blocks.1.mlp.fc2.bias is missing"]);
    refused(add("module.pos_embed", &[1, 200, 384]), &["200 places"]);
    refused(add("module.patch_embed.proj.weight", &[384, 3, 16, 8]), &["square"]);
    refused(add("module.blocks.1.attn.q_norm.weight", &[64]), &["q_norm.weight is unknown"]);
    refused(
        add("module.blocks.0.attn.relative_position_bias_table", &[732, 6]),
        &["blocks.1.attn.relative_position_bias_table is missing"],
    );
    refused(add("module.blocks.1.attn.qkv.weight", &[384, 384]), &["[384, 384] instead of [1152, 384]"]);
    refused(add("module.blocks.99999999999.norm1.weight", &[384]), &["blocks.2.norm1.weight is missing"]);
    refused(add("module.norm_pre.weight", &[384]), &["norm_pre.weight is unknown"]);
    refused(add("module.blocks.0.mlp.fc1.weight", &[1 << 40, 384]), &["hidden width of 1099511627776"]);
}

/// A tiny transformer's tensors, all a half.
fn halves() -> TensorMap {
    vit("", [64, 1, 4, 17])
        .into_iter()
        .map(|(name, shape)| (name, HostTensor::new(shape.clone(), vec![0.5; shape.iter().product()])))
        .collect()
}

#[test]
fn safetensors_without_a_recipe_are_recognized_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timm.safetensors");
    let mut tensors = halves();
    tensors.insert("head.weight".into(), HostTensor::new([3, 64], vec![0.0; 192]));
    tensors.remove("blocks.0.attn.qkv.bias");
    write(&path, &tensors, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
    assert!(is_published(&path));
    let weights = Weights::open(&path).unwrap();
    assert_eq!((weights.encoder_alone, weights.recipe.method.as_str()), (Some("classifier"), "simmim"));
    assert_eq!(Weights::origin(&path).unwrap(), (weights.recipe.clone(), 0));
    assert!(weights.network(WeightsKind::Best, &Device::flex()).is_ok());
    let Inspection { left_over, missing, mapped, .. } = inspect(&path).unwrap();
    assert_eq!(left_over.iter().map(|tensor| (&*tensor.name, &*tensor.why)).collect::<Vec<_>>(), [("head.weight", "a classifier")]);
    assert!(missing.iter().any(|part| part.name == "blocks.0.attn.qkv.bias") && missing.iter().any(|part| part.name == "decoder"));
    assert_eq!(mapped.len(), tensors.len() - 1);
    assert!(!is_published(Path::new("nowhere.safetensors")));
}

#[test]
fn positions_without_the_class_token_leave_it_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timm.safetensors");
    let mut tensors = halves();
    tensors.insert("pos_embed".into(), HostTensor::new([1, 16, 64], vec![0.5; 16 * 64]));
    tensors.insert("reg_token".into(), HostTensor::new([1, 2, 64], vec![0.25; 128]));
    write(&path, &tensors, &BTreeMap::new()).unwrap();
    let weights = Weights::open(&path).unwrap();
    let table = weights.tensor("pos_embed").unwrap().unwrap();
    assert_eq!(table.shape, [1, 17, 64]);
    assert!(table.values[..64].iter().all(|&value| value == 0.0) && table.values[64..].iter().all(|&value| value == 0.5));
    assert_eq!(weights.tensor("reg_token").unwrap().unwrap().shape, [1, 2, 64]);
    let crate::backbone::encoder::EncoderConfig::Vit(config) = encoder_sizes(&weights.recipe) else { panic!("a vit") };
    assert_eq!((config.registers, config.positions), (2, Positions::Learned));
}
