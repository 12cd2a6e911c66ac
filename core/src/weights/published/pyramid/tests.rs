//! Published pyramids by the shapes of their tensors.

use std::collections::BTreeMap;

use super::super::listing::Listing;
use super::super::{inspection, recognize};
use crate::error::Result;
use crate::weights::inspection::Inspection;
use crate::weights::torch_file::Setting;

pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

fn layer(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.insert(format!("{name}.weight"), weight.to_vec());
    shapes.insert(format!("{name}.bias"), weight[..1].to_vec());
}

fn prefixed(prefix: &str, shapes: Shapes) -> Shapes {
    shapes.into_iter().map(|(name, shape)| (format!("{prefix}{name}"), shape)).collect()
}

/// A Swin's tensors by the names of its own code: width, blocks of each stage, heads of the first, and the sides of the windows.
pub(super) fn swin(prefix: &str, width: usize, depths: &[usize], heads: usize, sides: &[usize]) -> Shapes {
    let mut shapes = Shapes::new();
    layer(&mut shapes, "patch_embed.proj", &[width, 3, 4, 4]);
    layer(&mut shapes, "patch_embed.norm", &[width]);
    layer(&mut shapes, "norm", &[width << (depths.len() - 1)]);
    for (stage, (&depth, &side)) in depths.iter().zip(sides).enumerate() {
        let width = width << stage;
        for index in 0..depth {
            let place = format!("layers.{stage}.blocks.{index}");
            layer(&mut shapes, &format!("{place}.norm1"), &[width]);
            layer(&mut shapes, &format!("{place}.norm2"), &[width]);
            layer(&mut shapes, &format!("{place}.attn.qkv"), &[3 * width, width]);
            layer(&mut shapes, &format!("{place}.attn.proj"), &[width, width]);
            layer(&mut shapes, &format!("{place}.mlp.fc1"), &[4 * width, width]);
            layer(&mut shapes, &format!("{place}.mlp.fc2"), &[width, 4 * width]);
            let reach = 2 * side - 1;
            shapes.insert(format!("{place}.attn.relative_position_bias_table"), vec![reach * reach, heads << stage]);
            shapes.insert(format!("{place}.attn.relative_position_index"), vec![side * side; 2]);
        }
        if stage + 1 < depths.len() {
            layer(&mut shapes, &format!("layers.{stage}.downsample.norm"), &[4 * width]);
            shapes.insert(format!("layers.{stage}.downsample.reduction.weight"), vec![2 * width, 4 * width]);
        }
    }
    prefixed(prefix, shapes)
}

/// A PVT's tensors by the names of its own code, for images of 224 px.
pub(super) fn pvt(prefix: &str, depths: [usize; 4]) -> Shapes {
    let (widths, mut shapes) = ([3, 64, 128, 320, 512], Shapes::from([("cls_token".into(), vec![1, 1, 512])]));
    layer(&mut shapes, "norm", &[512]);
    for (stage, depth) in depths.into_iter().enumerate() {
        let (inputs, width, reduction, ratio) = (widths[stage], widths[stage + 1], 8 >> stage, if stage < 2 { 8 } else { 4 });
        let (patch, side) = (if stage == 0 { 4 } else { 2 }, 56 >> stage);
        layer(&mut shapes, &format!("patch_embed{}.proj", stage + 1), &[width, inputs, patch, patch]);
        layer(&mut shapes, &format!("patch_embed{}.norm", stage + 1), &[width]);
        shapes.insert(format!("pos_embed{}", stage + 1), vec![1, side * side + usize::from(stage == 3), width]);
        for index in 0..depth {
            let place = format!("block{}.{index}", stage + 1);
            layer(&mut shapes, &format!("{place}.norm1"), &[width]);
            layer(&mut shapes, &format!("{place}.norm2"), &[width]);
            layer(&mut shapes, &format!("{place}.attn.q"), &[width, width]);
            layer(&mut shapes, &format!("{place}.attn.kv"), &[2 * width, width]);
            layer(&mut shapes, &format!("{place}.attn.proj"), &[width, width]);
            layer(&mut shapes, &format!("{place}.mlp.fc1"), &[ratio * width, width]);
            layer(&mut shapes, &format!("{place}.mlp.fc2"), &[width, ratio * width]);
            if reduction > 1 {
                layer(&mut shapes, &format!("{place}.attn.sr"), &[width, width, reduction, reduction]);
                layer(&mut shapes, &format!("{place}.attn.norm"), &[width]);
            }
        }
    }
    prefixed(prefix, shapes)
}

/// The same as timm has it: neighbors are merged where the next stage begins.
fn of_timm(shapes: Shapes) -> Shapes {
    let renamed = |name: String| match name.split_once(".downsample.") {
        Some((stage, rest)) => {
            let stage: usize = stage.rsplit('.').next().unwrap().parse().unwrap();
            format!("layers.{}.downsample.{rest}", stage + 1)
        }
        None => name,
    };
    let kept = shapes.into_iter().filter(|(name, _)| !name.ends_with("index"));
    kept.map(|(name, shape)| (renamed(name), shape)).collect()
}

pub(super) fn inspected(name: &str, shapes: Shapes, settings: &[(&str, f64)]) -> Result<Inspection> {
    let settings = settings.iter().map(|(key, number)| ((*key).to_owned(), Setting::Number(*number))).collect();
    let listing = Listing::of_shapes(name, shapes, settings);
    Ok(inspection(recognize(&listing)?, &listing))
}

fn recognized(name: &str, shapes: Shapes, settings: &[(&str, f64)]) -> Inspection {
    inspected(name, shapes, settings).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Width, window, image; blocks; heads.
fn sizes(found: &Inspection) -> ([usize; 3], Vec<usize>, Vec<usize>) {
    let (sizes, [height, width]) = (&found.recipe.backbone.sizes, found.recipe.data.image);
    assert_eq!((height, sizes.kind.as_str(), found.recipe.method.as_str()), (width, "swin", "simmim"));
    ([sizes.count("width"), sizes.count("window"), height], sizes.counts("depths"), sizes.counts("heads"))
}

#[test]
fn published_swins_have_their_published_sizes() {
    let (t, s) = ([2, 2, 6, 2], [2, 2, 18, 2]);
    let cases = [
        ("swin_tiny_patch4_window7_224.pth", 96, t, 3, [7; 4], 224),
        ("swin_small_patch4_window7_224.pth", 96, s, 3, [7; 4], 224),
        ("swin_base_patch4_window7_224.pth", 128, s, 4, [7; 4], 224),
        ("swin_base_patch4_window12_384.pth", 128, s, 4, [12; 4], 384),
        ("swin_large_patch4_window7_224_22k.pth", 192, s, 6, [7; 4], 224),
        ("swin_large_patch4_window12_384_22k.pth", 192, s, 6, [12; 4], 384),
        ("simmim_finetune__swin_base__img192_window6__800ep.pth", 128, s, 4, [6; 4], 192),
    ];
    for (name, width, depths, heads, sides, image) in cases {
        let want = ([width, sides[0], image], depths.to_vec(), (0..4).map(|stage| heads << stage).collect::<Vec<usize>>());
        let mut shapes = swin("model.", width, &depths, heads, &sides);
        shapes.insert("model.head.weight".into(), vec![1000, width * 8]);
        let found = recognized(name, shapes, &[]);
        assert_eq!(sizes(&found), want, "{name}");
        assert_eq!(found.encoder_alone, Some("Swin classifier"));
        assert!(found.notes[0].contains(&format!("{image}x{image}")), "{:?}", found.notes);
        assert_eq!(found.recipe.data.mean, [0.485, 0.456, 0.406]);
        let why = |part: &str| found.left_over.iter().find(|tensor| tensor.name.ends_with(part)).unwrap().why.clone();
        assert!(why("position_index").contains("computed here") && why("head.weight").contains("classifier"));

        let found = recognized("model.safetensors", of_timm(swin("", width, &depths, heads, &sides)), &[]);
        assert_eq!(sizes(&found), want, "{name}");
        assert_eq!((found.encoder_alone, found.left_over.len()), (Some("Swin"), 0));
        let merging = found.mapped.iter().find(|tensor| tensor.ours == "layers.3.downsample.norm.bias").unwrap();
        assert_eq!((merging.theirs.as_str(), &merging.shape[..]), ("layers.3.downsample.norm.bias", &[16 * width][..]));
    }
}

#[test]
fn the_size_of_images_is_said_by_tables_masks_and_settings() {
    let t = [2, 2, 6, 2];
    let image = |shapes: Shapes, settings: &[(&str, f64)]| {
        let found = recognized("x.pth", shapes, settings);
        (found.recipe.data.image[0], found.notes.len())
    };
    // SimMIM's Swin-L has windows of 12, and its last map on 192 px is one of 6.
    assert_eq!(image(swin("", 192, &t, 6, &[12, 12, 12, 6]), &[]), (192, 0));
    let masked = |windows: usize| {
        let mut shapes = swin("", 96, &t, 3, &[7; 4]);
        shapes.insert("layers.0.blocks.1.attn_mask".into(), vec![windows, 49, 49]);
        shapes
    };
    assert_eq!(image(masked(64), &[]), (224, 0));
    assert_eq!(image(masked(256), &[("config.DATA.IMG_SIZE", 224.0)]), (448, 0));
    let plain = || swin("", 96, &t, 3, &[7; 4]);
    assert_eq!(image(plain(), &[("config.DATA.IMG_SIZE", 448.0)]), (448, 0));
    assert_eq!(image(plain(), &[("args.img_size", 672.0)]), (672, 0));
    // What does not fit is not believed.
    for settings in [200.0, 256.0, 9e9] {
        assert_eq!(image(plain(), &[("args.img_size", settings)]), (224, 1), "{settings}");
    }
    assert_eq!(image(masked(65), &[]), (224, 1));
    assert_eq!(image(masked(usize::MAX), &[]), (224, 1));
}

#[test]
fn simmim_brings_its_decoder_and_mask_token() {
    let mut shapes = swin("model.encoder.", 128, &[2, 2, 18, 2], 4, &[6; 4]);
    shapes.insert("model.encoder.mask_token".into(), vec![1, 1, 128]);
    shapes.insert("model.decoder.0.weight".into(), vec![32 * 32 * 3, 1024, 1, 1]);
    let part = recognized("simmim_pretrain__swin_base__img192_window6__100ep.pth", shapes.clone(), &[]);
    assert_eq!(part.encoder_alone, Some("SimMIM encoder"));
    assert!(part.left_over.iter().any(|tensor| tensor.name == "model.decoder.0.weight" && tensor.why.contains("decoder")));
    shapes.insert("model.decoder.0.bias".into(), vec![32 * 32 * 3]);
    let found = recognized("simmim_pretrain__swin_base__img192_window6__100ep.pth", shapes.clone(), &[]);
    assert_eq!((sizes(&found).0, found.encoder_alone), ([128, 6, 192], None));
    assert_eq!((found.recipe.mask.kind.as_str(), found.recipe.decoder.kind.as_str()), ("patch_aligned", "linear"));
    assert!(found.missing.is_empty() && found.what.contains("decoder"), "{}", found.what);
    let named = |name: &str| found.mapped.iter().find(|tensor| tensor.ours == name).unwrap();
    assert_eq!(named("decoder.pred.weight").shape, [32 * 32 * 3, 1024]);
    assert!(named("decoder.pred.bias").theirs.starts_with("model.decoder.0.bias, its rows"));
    assert_eq!(named("mask_token").theirs, "model.encoder.mask_token");

    let average: Shapes = shapes.iter().map(|(name, shape)| (name.replace("model.", "state_dict_ema."), shape.clone())).collect();
    shapes.extend(average);
    let both = recognized("x.pth", shapes.clone(), &[]);
    assert!(both.encoder_alone.is_none() && both.mapped.iter().any(|tensor| tensor.ours == "teacher.decoder.pred.weight"));
    shapes.remove("state_dict_ema.decoder.0.bias");
    assert!(recognized("x.pth", shapes, &[]).encoder_alone.is_some(), "an average without a decoder predicts nothing");
}

#[test]
fn published_pvts_have_their_published_sizes() {
    for (name, depths) in
        [("pvt_tiny", [2, 2, 2, 2]), ("pvt_small", [3, 4, 6, 3]), ("pvt_medium", [3, 4, 18, 3]), ("pvt_large", [3, 8, 27, 3])]
    {
        let mut shapes = pvt("", depths);
        shapes.insert("head.bias".into(), vec![1000]);
        shapes.insert("head.weight".into(), vec![1000, 512]);
        let found = recognized(&format!("{name}.pth"), shapes, &[]);
        let (recipe, sizes) = (&found.recipe, &found.recipe.backbone.sizes);
        assert_eq!(
            (recipe.data.image, recipe.backbone.patch, sizes.kind.as_str(), found.encoder_alone),
            ([224; 2], 4, "pvt", Some("PVT classifier"))
        );
        assert_eq!(
            ["widths", "depths", "heads", "reductions"].map(|key| sizes.counts(key)),
            [vec![64, 128, 320, 512], depths.to_vec(), vec![1, 2, 5, 8], vec![8, 4, 2, 1]]
        );
        assert_eq!((sizes.numbers("mlp_ratios"), sizes.number("map_eps")), (vec![8.0, 8.0, 4.0, 4.0], Some(1e-5)));
        assert_eq!((sizes.word("pos"), sizes.flag("class_token")), (Some("learned"), Some(true)));
        assert_eq!((found.notes.len(), found.left_over.len()), (1, 2));
    }
    let said: Vec<(String, f64)> = (0..4).map(|stage| (format!("args.num_heads.{stage}"), 4.0)).collect();
    let said: Vec<(&str, f64)> = said.iter().map(|(key, heads)| (key.as_str(), *heads)).collect();
    let found = recognized("x.pth", pvt("module.", [1; 4]), &said);
    assert_eq!((found.recipe.backbone.sizes.counts("heads"), found.notes.len()), (vec![4; 4], 0));
}

#[test]
fn an_encoder_of_um_mae_takes_means_and_leaves_its_decoder() {
    // Images of 256 px, no convolutions that reduce, and a norm where a map is reduced.
    let of_um_mae = |name: &str, normed: usize| {
        let mut shapes = pvt("model.", [3, 4, 6, 3]);
        shapes.retain(|name, _| !name.contains(".attn.sr.") && !name.contains("cls_token"));
        shapes.retain(|name, _| !name.contains(".attn.norm.") || (1..=normed).any(|stage| name.contains(&format!("block{stage}."))));
        for (stage, width) in [64, 128, 320, 512].into_iter().enumerate() {
            shapes.insert(format!("model.pos_embed{}", stage + 1), vec![1, 4096 >> (2 * stage), width]);
        }
        if name.contains("pretrain") {
            shapes.insert("model.decoder_pred.bias".into(), vec![768]);
            shapes.insert("model.mask_token".into(), vec![1, 1, 512]);
        }
        recognized(name, shapes, &[])
    };
    let found = of_um_mae("pretrain.pth", 2);
    let sizes = &found.recipe.backbone.sizes;
    assert_eq!((found.recipe.method.as_str(), found.encoder_alone, found.recipe.data.image), ("um-mae", Some("UM-MAE encoder"), [256; 2]));
    assert_eq!((found.recipe.backbone.tokens.as_str(), sizes.counts("reductions")), ("compact", vec![4, 2, 1, 1]));
    assert_eq!((sizes.word("reduce_by"), sizes.word("pos"), sizes.flag("class_token")), (Some("mean"), Some("sincos"), Some(false)));
    assert!(found.left_over.iter().any(|tensor| tensor.name.contains("decoder_pred") && tensor.why.contains("decoder")));
    let found = of_um_mae("finetuned.pth", 3);
    assert_eq!((found.recipe.method.as_str(), found.recipe.backbone.sizes.counts("reductions")), ("simmim", vec![8, 4, 2, 1]));
}
