//! `embed`, `attend` and `target`: looking inside.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Call, maskroom, toy, toy_picture, trained};
use crate::pictures::photos;
use crate::readers::{Tensor, find_inside, metadata, norm_pix, npy, patches, rgb, tensor};

/// A command on the shared run and its first four training images, writing to `out`.
fn on_four_images(command: &str, out: &Path) -> Call {
    let images = toy().join("JPEGImages/toy_00000[0-3].png");
    maskroom(command).with("--weights", trained()).with("--images", images).with("--out", out)
}

/// The one tensor that a command on four images writes.
fn tensor_of(command: &str, name: &str) -> Tensor {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out.safetensors");
    on_four_images(command, &out).json();
    tensor(&out, name)
}

fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn features_are_the_same_in_every_format() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (pool, shape) in [("cls", vec![4, 96]), ("mean", vec![4, 96]), ("patches", vec![4, 64, 96])] {
        let write = |name: &str| {
            let out = folder.path().join(name);
            let printed = on_four_images(&format!("embed --pool {pool}"), &out).json();
            assert_eq!(printed["shape"], json!(shape), "{pool}");
            assert_eq!(printed["names"], json!(["toy_000000.png", "toy_000001.png", "toy_000002.png", "toy_000003.png"]));
            out
        };
        let features = tensor(&write("f.safetensors"), "features");
        assert_eq!(features.shape, shape, "{pool}");
        assert!(features.values.iter().all(|value| value.is_finite()) && features.row(&[0]) != features.row(&[1]), "{pool}");
        let array = npy(&write("f.npy"));
        assert_eq!((&array.shape, array.floats()), (&shape, features.values.clone()), "{pool}");
        let table = std::fs::read_to_string(write("f.csv")).expect("a table");
        let labels = if pool == "patches" { 2 } else { 1 };
        let numbers = table.lines().skip(1).flat_map(|line| line.split(',').skip(labels).map(|number| number.parse().expect("a number")));
        assert_eq!(numbers.collect::<Vec<f32>>(), features.values, "{pool}: numbers in text are exact");
        assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("\"toy_000000.png\",")), "{table}");
    }
    on_four_images("embed", &folder.path().join("f.xlsx")).refused(2, &["f.xlsx", ".npy"]);
}

#[test]
fn the_mean_feature_is_the_mean_of_the_patches_and_layers_count_from_both_ends() {
    let (mean, all) = (tensor_of("embed --pool mean", "features"), tensor_of("embed --pool patches", "features"));
    for image in 0..4 {
        let averaged: Vec<f32> = (0..96).map(|d| (0..64).map(|patch| all.row(&[image, patch])[d]).sum::<f32>() / 64.0).collect();
        assert!(close(mean.row(&[image]), &averaged, 1e-4));
    }
    let layer = |layer: &str| tensor_of(&format!("embed --layer {layer}"), "features");
    assert_eq!((layer("0"), layer("1")), (layer("-2"), layer("-1")));
    assert_ne!(layer("0"), layer("1"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in ["embed --layer 2", "attend --layer -3"] {
        on_four_images(command, &folder.path().join("x.safetensors")).refused(2, &["layer", "0 to 1"]);
    }
}

#[test]
fn images_are_given_by_name_by_pattern_or_by_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let embed = |call: Call| {
        let out = folder.path().join("f.npy");
        call.with("--weights", trained()).with("--out", &out).json();
        npy(&out)
    };
    let by_name = embed(maskroom("embed --images").arg(toy_picture(0)).arg(toy_picture(1)));
    assert_eq!(by_name, embed(maskroom("embed").with("--images", toy().join("JPEGImages/toy_00000[01].png"))));
    let whole = embed(maskroom("embed").with("--data", toy()));
    assert_eq!(whole.shape, [64, 96]);
    assert_eq!(whole.bytes[..by_name.bytes.len()], by_name.bytes, "one image's feature does not depend on its neighbors");
    maskroom("embed").with("--weights", trained()).with("--out", "f.npy").refused(2, &["--images", "--data"]);
    let call = || maskroom("embed").with("--weights", trained()).with("--out", folder.path().join("f.npy"));
    call().with("--images", "/nowhere/*.png").refused(3, &["/nowhere/*.png", "no file matches"]);
    call().with("--images", "/nowhere/1.png").refused(3, &["/nowhere/1.png"]);
}

#[test]
fn weights_may_be_a_run_a_checkpoint_or_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let embed = |weights: PathBuf| {
        let out = folder.path().join("f.npy");
        maskroom("embed").with("--weights", weights).with("--images", toy_picture(5)).with("--out", &out).json();
        npy(&out)
    };
    let checkpoint = trained().join("checkpoints/00000030");
    let of_run = embed(trained().to_path_buf());
    assert_eq!(of_run, embed(checkpoint.clone()));
    assert_eq!(of_run, embed(checkpoint.join("model.safetensors")));
}

#[test]
fn attention_rows_are_shares() {
    let attention = tensor_of("attend", "attention");
    assert_eq!(attention.shape, [4, 3, 64]);
    let full = tensor_of("attend --full", "attention");
    assert_eq!(full.shape, [4, 3, 65, 65]);
    for (image, head) in (0..4).flat_map(|image| (0..3).map(move |head| (image, head))) {
        let row = attention.row(&[image, head]);
        let sum: f32 = row.iter().sum();
        assert!(row.iter().all(|&value| value >= 0.0) && 0.0 < sum && sum <= 1.0 + 1e-5, "what goes to the class token is left out: {sum}");
        assert!(close(row, &full.row(&[image, head, 0])[1..], 1e-7));
        for token in 0..65 {
            let sum: f32 = full.row(&[image, head, token]).iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }
    assert_ne!(full.row(&[0, 0]), full.row(&[0, 1]), "heads differ");
}

#[test]
fn a_patch_asks_by_row_and_column() {
    let (asked, full) = (tensor_of("attend --query 2,5", "attention"), tensor_of("attend --full", "attention"));
    for (image, head) in (0..4).flat_map(|image| (0..3).map(move |head| (image, head))) {
        assert!(close(asked.row(&[image, head]), &full.row(&[image, head, 1 + 2 * 8 + 5])[1..], 1e-7));
    }
    let out = PathBuf::from("/tmp/never-written.safetensors");
    on_four_images("attend --query 8,0", &out).refused(2, &["8,0", "8 rows"]);
    on_four_images("attend --query middle", &out).refused(2, &["middle"]);
}

#[test]
fn layers_of_attention_count_from_both_ends_and_the_last_is_the_default() {
    let layer = |layer: &str| tensor_of(&format!("attend {layer}"), "attention");
    assert_eq!(layer("--layer 0"), layer("--layer -2"));
    assert_eq!(layer("--layer 1"), layer(""));
    assert_ne!(layer("--layer 0"), layer("--layer 1"));
}

#[test]
fn rollout_multiplies_the_layers() {
    let rollout = tensor_of("attend --rollout --full", "attention");
    assert_eq!(rollout.shape, [4, 1, 65, 65]);
    // Half the heads' mean and half the identity, block after block (Abnar and Zuidema, 2020).
    let mixed = |layer: &str| -> Vec<Vec<f64>> {
        let full = tensor_of(&format!("attend --full --layer {layer}"), "attention");
        let mean = |row: usize, col: usize| (0..3).map(|head| f64::from(full.row(&[0, head, row])[col])).sum::<f64>() / 3.0;
        (0..65).map(|row| (0..65).map(|col| 0.5 * mean(row, col) + if row == col { 0.5 } else { 0.0 }).collect()).collect()
    };
    let (first, second) = (mixed("0"), mixed("1"));
    for (row, factors) in second.iter().enumerate() {
        for col in 0..65 {
            let expected: f64 = factors.iter().zip(&first).map(|(factor, row)| factor * row[col]).sum();
            assert!((f64::from(rollout.row(&[0, 0, row])[col]) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn heat_maps_go_into_a_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("maps");
    on_four_images("attend", &out).json();
    let mut names: Vec<String> =
        std::fs::read_dir(&out).expect("the folder").map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    assert_eq!(names, ["toy_000000.png", "toy_000001.png", "toy_000002.png", "toy_000003.png"]);
    let (strip, source) = (rgb(&out.join("toy_000000.png")), rgb(&toy_picture(0)));
    let (left, _, scale) = find_inside(&strip, &source).expect("the image comes first");
    assert!(strip.width() >= left + 4 * 32 * scale, "the image and three heads: {:?}", strip.dimensions());
}

#[test]
fn images_of_other_sizes_keep_their_shape_unless_fitted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    photos(&folder.path().join("wide"), 1, 40, 60);
    let out = folder.path().join("a.safetensors");
    let call = || maskroom("attend").with("--weights", trained()).with("--images", folder.path().join("wide/00.png")).with("--out", &out);
    call().json();
    assert_eq!(metadata(&out)["grids"], "[[10,15]]", "sides that are multiples of the patch stay");
    call().and("--fit").json();
    assert_eq!(metadata(&out)["grids"], "[[8,8]]");
    photos(&folder.path().join("odd"), 1, 45, 91);
    maskroom("attend").with("--weights", trained()).with("--images", folder.path().join("odd/00.png")).with("--out", &out).json();
    assert_eq!(metadata(&out)["grids"], "[[8,16]]", "the shorter side becomes the model's 32, 91 · 32 / 45 = 64.7 becomes 64");
    let both = call().arg(toy_picture(0));
    drop(both);
    let mixed = maskroom("attend --images")
        .arg(toy_picture(0))
        .arg(folder.path().join("wide/00.png"))
        .with("--weights", trained())
        .with("--out", &out);
    mixed.refused(2, &["different sizes", "--fit"]);
}

#[test]
fn targets_are_what_mae_predicts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("target.safetensors");
    let target = |words: &str| {
        let call = maskroom(&format!("target --kind pixels --set backbone.patch=4 {words} --images"));
        call.arg(toy_picture(0)).arg(toy_picture(1)).with("--out", &out).json();
        tensor(&out, "target")
    };
    let normalized = target("");
    assert_eq!(normalized.shape, [2, 64, 48]);
    let raw = target("--set norm_pix=false");
    for image in 0..2 {
        for (index, patch) in patches(&rgb(&toy_picture(image)), 4).iter().enumerate() {
            let (have, plain) = (normalized.row(&[image, index]), raw.row(&[image, index]));
            assert!((have.iter().sum::<f32>() / 48.0).abs() < 1e-4, "a normalized patch has mean 0");
            assert!(have.iter().zip(norm_pix(patch)).all(|(&have, want)| (f64::from(have) - want).abs() < 1e-3), "patch {index}");
            assert!(plain.iter().zip(patch).all(|(&have, want)| (f64::from(have) - want).abs() < 1e-5), "patch {index}");
        }
    }
    let call = |words: &str| maskroom(&format!("target {words} --images")).arg(toy_picture(0)).with("--out", &out);
    call("--kind pixles").refused(2, &["pixles", "pixels"]);
    call("--kind pixels --set norm_pics=false").refused(2, &["target.norm_pix"]);
}
