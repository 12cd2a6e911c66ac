//! Published networks that see mask tokens or have no class token, by the shapes of their tensors, and files that are of none.

use std::collections::BTreeMap;

use super::super::listing::Listing;
use super::tests::{Shapes, blocks, inspected, recognized, refused, sizes, vit};
use crate::weights::inspection::Inspection;
use crate::weights::torch_file::Setting;

const TABLE: &str = "relative_position_bias_table";

/// BEiT's encoder: width, blocks, patch, patches along a side; with one table of distances, or one in each block.
fn beit(prefix: &str, [width, depth, patch, side]: [usize; 4], is_shared: bool) -> Shapes {
    let mut shapes = vit("", [width, depth, patch, 1 + side * side]);
    shapes.remove("pos_embed");
    let table = vec![(2 * side - 1) * (2 * side - 1) + 3, width / 64];
    for index in 0..depth {
        shapes.remove(&format!("blocks.{index}.attn.qkv.bias"));
        for part in ["attn.q_bias", "attn.v_bias", "gamma_1", "gamma_2"] {
            shapes.insert(format!("blocks.{index}.{part}"), vec![width]);
        }
        if !is_shared {
            shapes.insert(format!("blocks.{index}.attn.{TABLE}"), table.clone());
            shapes.insert(format!("blocks.{index}.attn.relative_position_index"), vec![1 + side * side; 2]);
        }
    }
    if is_shared {
        shapes.insert(format!("rel_pos_bias.{TABLE}"), table);
        shapes.insert("rel_pos_bias.relative_position_index".into(), vec![1 + side * side; 2]);
    }
    shapes.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
}

fn with(mut shapes: Shapes, more: &[(&str, &[usize])]) -> Shapes {
    shapes.extend(more.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())));
    shapes
}

/// BEiT's file as it was published: the encoder, a mask token, and scores of words.
fn with_words(words: usize) -> Shapes {
    let more: [(&str, &[usize]); 3] =
        [("model.mask_token", &[1, 1, 768]), ("model.lm_head.weight", &[words, 768]), ("model.lm_head.bias", &[words])];
    with(beit("model.", [768, 12, 16, 14], true), &more)
}

fn why(found: &Inspection, part: &str) -> String {
    found.left_over.iter().find(|tensor| tensor.name.contains(part)).map(|tensor| tensor.why.clone()).unwrap_or_default()
}

fn said(name: &str, shapes: Shapes, settings: &[(&str, Setting)]) -> Inspection {
    let settings = settings.iter().map(|(key, setting)| ((*key).to_owned(), setting.clone())).collect();
    inspected(&Listing::of_shapes(name, shapes, settings)).unwrap()
}

#[test]
fn beit_has_no_positions_and_predicts_words() {
    let found = recognized("beit_base_patch16_224_pt22k.pth", with_words(8192));
    let (recipe, backbone) = (&found.recipe, &found.recipe.backbone.sizes);
    assert_eq!((sizes(&found), recipe.method.as_str()), ([768, 12, 12, 16, 224], "beit"));
    assert_eq!((recipe.target.count("codes"), found.encoder_alone, &recipe.data.std[..]), (8192, None, &[0.5; 3][..]));
    assert_eq!((backbone.word("pos"), backbone.word("relative"), backbone.flag("key_bias")), (Some("none"), Some("shared"), Some(false)));
    assert_eq!((backbone.number("eps"), backbone.flag("class_token")), (Some(1e-6), Some(true)));
    assert!(found.notes.is_empty(), "the table says how many heads there are: {:?}", found.notes);
    let named = |name: &str| found.mapped.iter().find(|tensor| tensor.ours == name).unwrap().theirs.clone();
    assert_eq!(named("blocks.3.attn.qkv.bias"), "model.blocks.3.attn.q_bias, zeros, model.blocks.3.attn.v_bias");
    assert_eq!(named("mask_token"), "model.mask_token");
    assert!(found.missing.iter().any(|tensor| tensor.name == "pos_embed"));
    let told = ("args.imagenet_default_mean_and_std", Setting::Flag(true));
    assert_eq!(said("beit.pth", with_words(8192), &[told]).recipe.data.mean, [0.485, 0.456, 0.406]);
}

#[test]
fn beit_that_tells_classes_is_an_encoder_alone() {
    let mut shapes = beit("", [1024, 24, 16, 24], false);
    for kind in ["weight", "bias"] {
        let norm = shapes.remove(&format!("norm.{kind}")).unwrap();
        shapes.insert(format!("fc_norm.{kind}"), norm);
    }
    let found = recognized("beit_large_patch16_384.pth", with(shapes, &[("head.weight", &[1000, 1024]), ("head.bias", &[1000])]));
    assert_eq!((sizes(&found), found.encoder_alone), ([1024, 24, 16, 16, 384], Some("BEiT encoder")));
    assert_eq!((found.recipe.method.as_str(), found.recipe.backbone.sizes.word("relative")), ("simmim", Some("own")));
    assert!(why(&found, "head.weight") == "a classifier" && why(&found, "blocks.3.attn.relative_position_index").contains("computed"));
}

#[test]
fn the_second_beit_keeps_what_served_its_class_token() {
    let mut shapes = with_words(8192);
    shapes.append(&mut blocks("model.cls_pt_layers", 768, 2));
    let found = recognized("pretrained.pth", shapes);
    assert!(found.what.starts_with("BEiT v2, backbone and head"), "{}", found.what);
    assert_eq!((found.recipe.data.mean[0], found.encoder_alone), (0.485, None));
    assert!(why(&found, "cls_pt_layers").contains("class token"));
}

#[test]
fn data2vec_is_told_by_what_the_file_says() {
    let setting = [("args.l1_beta", Setting::Number(2.0))];
    let found = said("checkpoint-799.pth", with_words(768), &setting);
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone, found.recipe.target.count("layers")), ("data2vec", None, 6));
    assert_eq!(found.recipe.target.count("width"), 768);
    let mut pair = with_words(768);
    pair.append(&mut beit("model_ema.", [768, 12, 16, 14], true));
    let found = said("checkpoint-799.pth", pair, &setting);
    let named = |name: &str| found.mapped.iter().find(|tensor| tensor.ours == name).unwrap().theirs.clone();
    assert_eq!(named("teacher.norm.bias"), "model_ema.norm.bias");
    assert_eq!(named("teacher.decoder.pred.weight"), "model.lm_head.weight", "the average has none of its own");
    assert_eq!(recognized("unknown.pth", with_words(768)).recipe.method, "beit");
}

#[test]
fn simmim_has_its_encoder_in_a_place_of_its_own() {
    let encoder = with(beit("model.encoder.", [768, 12, 16, 14], true), &[("model.encoder.mask_token", &[1, 1, 768])]);
    let whole = with(encoder.clone(), &[("model.decoder.0.weight", &[768, 768, 1, 1]), ("model.decoder.0.bias", &[768])]);
    let found = recognized("simmim_pretrain__vit_base__img224__800ep.pth", whole);
    assert_eq!((sizes(&found), found.recipe.method.as_str(), found.encoder_alone), ([768, 12, 12, 16, 224], "simmim", None));
    assert_eq!((found.recipe.data.mean[0], found.recipe.target.kind.as_str()), (0.485, "pixels"));
    let other = with(encoder.clone(), &[("model.decoder.0.weight", &[3072, 768, 1, 1]), ("model.decoder.0.bias", &[3072])]);
    assert_eq!(recognized("simmim.pth", other).encoder_alone, Some("SimMIM encoder"));
    refused(with(encoder, &[("model.decoder.0.weight", &[768, 768, 1, 1])]), &["model.decoder.0.bias is missing"]);
}

#[test]
fn um_mae_is_mae_with_a_token_for_visible_patches() {
    let mut shapes = vit("model.", [768, 12, 16, 197]);
    shapes.append(&mut blocks("model.decoder_blocks", 512, 2));
    let more: [(&str, &[usize]); 9] = [
        ("model.mask_token", &[1, 1, 512]),
        ("model.decoder_pos_embed", &[1, 197, 512]),
        ("model.decoder_embed.weight", &[512, 768]),
        ("model.decoder_embed.bias", &[512]),
        ("model.decoder_norm.weight", &[512]),
        ("model.decoder_norm.bias", &[512]),
        ("model.decoder_pred.weight", &[768, 512]),
        ("model.decoder_pred.bias", &[768]),
        ("model.vis_mask_token", &[1, 1, 768]),
    ];
    let found = said("checkpoint-199.pth", with(shapes, &more), &[("args.vis_mask_ratio", Setting::Number(0.15))]);
    assert_eq!((found.recipe.method.as_str(), found.recipe.mask.number("secondary"), found.encoder_alone), ("um-mae", Some(0.15), None));
    assert!(found.mapped.iter().any(|tensor| tensor.ours == "mask_token" && tensor.theirs == "model.vis_mask_token"));
    assert!(found.left_over.is_empty() && found.what == "UM-MAE, encoder and decoder", "{}", found.what);
}

#[test]
fn maskfeat_is_told_by_its_head() {
    let mut shapes = vit("model_state.", [768, 12, 16, 197]);
    for kind in ["weight", "bias"] {
        let norm = shapes.remove(&format!("model_state.norm.{kind}")).unwrap();
        shapes.insert(format!("model_state.pred_head.transforms.0.0.{kind}"), norm);
    }
    let more: [(&str, &[usize]); 3] = [
        ("model_state.mask_token", &[1, 1, 768]),
        ("model_state.pred_head.projections.0.weight", &[108, 768]),
        ("model_state.pred_head.projections.0.bias", &[108]),
    ];
    let found = recognized("in1k_VIT_B_MaskFeat_PT_epoch_01600.pyth", with(shapes.clone(), &more));
    assert_eq!((sizes(&found), found.recipe.method.as_str(), found.encoder_alone), ([768, 12, 12, 16, 224], "maskfeat", None));
    assert!(found.left_over.is_empty());
    let pixels = with(shapes.clone(), &[more[0], ("model_state.pred_head.projections.0.weight", &[768, 768])]);
    assert_eq!(recognized("x.pyth", pixels).encoder_alone, Some("MaskFeat encoder"));
    refused(with(shapes.clone(), &[("model_state.blocks.3.attn.pool_q.weight", &[96, 1, 3, 3, 3])]), &["attn.pool_q.weight", "MViT"]);
    shapes.remove("model_state.pos_embed");
    let apart = [("model_state.pos_embed_spatial", &[1, 196, 768][..]), ("model_state.pos_embed_temporal", &[1, 8, 768][..])];
    refused(with(shapes, &apart), &["positions must be in one table"]);
}

/// I-JEPA's encoder, whose table of positions has none for a class token.
fn ijepa(prefix: &str, [width, depth, patch, side]: [usize; 4]) -> Shapes {
    let mut shapes = vit(prefix, [width, depth, patch, side * side]);
    shapes.remove(&format!("{prefix}cls_token"));
    shapes
}

#[test]
fn ijepa_brings_its_predictor() {
    let mut shapes = ijepa("encoder.module.", [1280, 32, 14, 16]);
    shapes.append(&mut ijepa("target_encoder.module.", [1280, 32, 14, 16]));
    let encoders = shapes.clone();
    shapes.append(&mut blocks("predictor.module.predictor_blocks", 384, 12));
    let more: [(&str, &[usize]); 8] = [
        ("predictor.module.mask_token", &[1, 1, 384]),
        ("predictor.module.predictor_pos_embed", &[1, 256, 384]),
        ("predictor.module.predictor_embed.weight", &[384, 1280]),
        ("predictor.module.predictor_embed.bias", &[384]),
        ("predictor.module.predictor_norm.weight", &[384]),
        ("predictor.module.predictor_norm.bias", &[384]),
        ("predictor.module.predictor_proj.weight", &[1280, 384]),
        ("predictor.module.predictor_proj.bias", &[1280]),
    ];
    let found = recognized("IN1K-vit.h.14-300e.pth.tar", with(shapes.clone(), &more));
    let recipe = &found.recipe;
    assert_eq!((sizes(&found), recipe.method.as_str(), found.encoder_alone), ([1280, 32, 16, 14, 224], "ijepa", None));
    assert_eq!(["width", "depth", "heads"].map(|key| recipe.decoder.count(key)), [384, 12, 16]);
    let backbone = &recipe.backbone.sizes;
    assert_eq!(
        (backbone.flag("class_token"), backbone.word("pos"), recipe.mask.kind.as_str()),
        (Some(false), Some("sincos"), "multi_block")
    );
    let named = |name: &str| found.mapped.iter().find(|tensor| tensor.ours == name).unwrap().theirs.clone();
    assert!(named("teacher.pos_embed").starts_with("target_encoder.module.pos_embed, and nothing for the class token"));
    assert_eq!(named("teacher.decoder.pred.weight"), named("decoder.pred.weight"));
    assert!(found.left_over.is_empty());
    assert_eq!(recognized("x.pth.tar", encoders).encoder_alone, Some("I-JEPA encoder"));
    refused(with(shapes, &more[..7]), &["predictor.module.predictor_proj.bias is missing"]);
}

#[test]
fn networks_of_other_kinds_are_refused_in_words() {
    let of_beit = || beit("", [384, 2, 16, 14], true);
    let table = format!("rel_pos_bias.{TABLE}");
    let table = table.as_str();
    refused(with(of_beit(), &[(table, &[731, 6])]), &["731 rows"]);
    refused(with(of_beit(), &[(table, &[732, 7])]), &["must divide the width 384"]);
    refused(with(of_beit(), &[(table, &[732])]), &["[732]"]);
    refused(with(of_beit(), &[(table, &[1 << 40, 6])]), &["its table of distances is"]);
    refused(with(of_beit(), &[("blocks.0.attn.relative_position_bias_table", &[732, 6])]), &["both"]);
    refused(with(of_beit(), &[("pos_embed", &[1, 170, 384])]), &["rel_pos_bias.relative_position_bias_table is [732, 6] instead of"]);
    refused(with(of_beit(), &[("reg_token", &[1, 4, 384])]), &["registers"]);
    refused(with(of_beit(), &[("blocks.1.attn.v_bias", &[383])]), &["blocks.1.attn.v_bias is [383] instead of [384]"]);
    refused(with(of_beit(), &[("blocks.1.attn.k_norm.weight", &[64])]), &["k_norm.weight is unknown"]);
    let mut headless = of_beit();
    headless.remove("cls_token");
    refused(headless, &["class token"]);
    let gap = || ijepa("", [384, 2, 16, 14]);
    refused(with(gap(), &[("reg_token", &[1, 4, 384])]), &["class token"]);
    refused(with(gap(), &[("cls_token", &[1, 2, 384])]), &["cls_token"]);
    refused(with(gap(), &[("attn_pool.latent", &[1, 1, 384])]), &["attn_pool.latent is unknown"]);
    refused(with(gap(), &[("pos_embed", &[1, 197, 384])]), &["197 places"]);
    let settings = BTreeMap::from([("args.num_heads".to_owned(), Setting::Number(8.0))]);
    let found = inspected(&Listing::of_shapes("jepa.pth", gap(), settings)).unwrap();
    assert_eq!((found.recipe.method.as_str(), found.recipe.backbone.sizes.count("heads")), ("ijepa", 8));
}
