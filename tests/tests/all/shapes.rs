//! Images of other shapes, channels, depths and formats than the usual: trained on, looked into and segmented.

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbaImage};
use serde_json::json;

use crate::harness::{NANO, maskroom, number, pretrain};
use crate::pictures::{animation, cmyk_jpeg, deep, flat, gray, photo, photos, save, translucent};
use crate::readers::{Tensor, metadata, rgb, tensor};

/// Trains three steps on `data` with these settings and looks into the result in every way; the raw prediction's shape and the grid.
fn train_and_look(data: &Path, image: &Path, settings: &str) -> (Vec<usize>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let printed = pretrain(data, &run).and("--steps 3 --threads 1").and(settings).json();
    assert!(number(&printed, "last_loss").is_finite());
    let [raw, maps] = ["raw.safetensors", "maps.safetensors"].map(|name| folder.path().join(name));
    let look = |command: &str| maskroom(command).with("--weights", &run);
    let drawn = look("reconstruct").with("--images", image).with("--out", folder.path().join("strips")).with("--raw", &raw).json();
    assert!(
        number(&drawn, "loss") > 0.0
            && rgb(&folder.path().join("strips").join(image.with_extension("png").file_name().expect("a name"))).width() > 96
    );
    look("attend").with("--images", image).with("--out", &maps).json();
    look("attend").with("--images", image).with("--out", folder.path().join("heat")).json();
    let embedded = look("embed").with("--data", data).with("--out", folder.path().join("f.npy")).json();
    let segmented = look("segment").with("--data", data).with("--out", folder.path().join("masks")).json();
    assert_eq!(embedded["shape"], json!([segmented["images"], 96]));
    assert!(
        segmented["exports"].as_array().is_some_and(|exports| exports.iter().all(|export| export["exact"] == json!(true))),
        "{segmented}"
    );
    (tensor(&raw, "prediction").shape, metadata(&maps)["grids"].clone())
}

#[test]
fn rectangles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    photos(folder.path(), 20, 32, 48);
    let found = train_and_look(folder.path(), &folder.path().join("03.png"), "--set data.image=[32,48]");
    assert_eq!(found, (vec![1, 96, 48], "[[8,12]]".to_owned()));
}

#[test]
fn one_channel_normalized_by_what_the_data_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    (0..20).for_each(|variant| save(gray(32, 32, variant), &data.join(format!("{variant:02}.png"))));
    let found = train_and_look(&data, &data.join("03.png"), "--set data.channels=1");
    assert_eq!(found, (vec![1, 64, 16], "[[8,8]]".to_owned()));
    pretrain(&data, &run).and("--steps 1 --threads 1 --set data.channels=1").json();
    let recipe: toml::Table = std::fs::read_to_string(run.join("recipe.toml")).expect("a recipe").parse().expect("TOML");
    let single = |key: &str| match recipe["data"][key].as_array().map(Vec::as_slice) {
        Some([value]) => value.as_float().expect("a number"),
        other => panic!("one {key} is stored in the recipe, not {other:?}"),
    };
    let values: Vec<f64> = (0..20).flat_map(|variant| gray(32, 32, variant).into_raw()).map(|value| f64::from(value) / 255.0).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    assert!((single("mean") - mean).abs() < 1e-3 && (single("std") - deviation).abs() < 1e-3, "{mean} {deviation}");
}

#[test]
fn four_channels() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (0..20).for_each(|variant| save(translucent(32, 32, variant), &folder.path().join(format!("{variant:02}.png"))));
    let found = train_and_look(folder.path(), &folder.path().join("03.png"), "--set data.channels=4");
    assert_eq!(found, (vec![1, 64, 64], "[[8,8]]".to_owned()));
}

#[test]
fn sixteen_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for variant in 0..20 {
        save(DynamicImage::ImageLuma16(deep(&gray(40, 36, variant))), &folder.path().join(format!("{variant:02}.png")));
    }
    for channels in [1, 3] {
        let found = train_and_look(folder.path(), &folder.path().join("03.png"), &format!("--set data.channels={channels}"));
        assert_eq!(found, (vec![1, 90, 16 * channels], "[[10,9]]".to_owned()), "40 and 36 are multiples of the patch and stay");
    }
}

/// The pixels of image files as the network sees them: `[images, N, 48]` of patches of 4 px.
fn pixels(files: &[PathBuf]) -> Tensor {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("t.safetensors");
    let call = maskroom("target --kind pixels --set norm_pix=false --set backbone.patch=4").with("--out", &out).arg("--images");
    files.iter().fold(call, crate::harness::Call::arg).json();
    tensor(&out, "target")
}

#[test]
fn the_same_picture_is_the_same_in_every_lossless_format() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let picture = photo(32, 40, 5);
    let files: Vec<PathBuf> = ["png", "bmp", "tiff", "webp", "ppm"].map(|ending| folder.path().join(format!("picture.{ending}"))).to_vec();
    files.iter().for_each(|file| save(picture.clone(), file));
    let seen = pixels(&files);
    assert_eq!(seen.shape, [5, 80, 48]);
    assert!((1..5).all(|file| seen.row(&[file]) == seen.row(&[0])));
    let jpeg = folder.path().join("picture.jpg");
    save(picture, &jpeg);
    let (near, exact) = (pixels(&[jpeg]), seen.row(&[0]));
    let error = near.values.iter().zip(exact).map(|(a, b)| (a - b).abs()).sum::<f32>() / exact.len() as f32;
    assert!(error < 0.3, "{error}");
}

#[test]
fn depth_gray_and_alpha_are_understood() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let plain = gray(32, 32, 4);
    save(plain.clone(), &at("gray.png"));
    save(DynamicImage::ImageLuma16(deep(&plain)), &at("deep.png"));
    save(DynamicImage::ImageLuma8(plain).into_rgb8(), &at("color.png"));
    save(RgbaImage::from_pixel(32, 32, image::Rgba([255, 0, 0, 0])), &at("clear.png"));
    save(flat(32, 32, [128; 3]), &at("middle.png"));
    let seen = pixels(&["gray.png", "deep.png", "color.png", "clear.png", "middle.png"].map(at));
    let difference = |a: usize, b: usize| seen.row(&[a]).iter().zip(seen.row(&[b])).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference(0, 2) < 1e-5, "gray is replicated");
    assert!(difference(1, 2) < 1e-4, "65535 stands for 255: {}", difference(1, 2));
    assert!(difference(3, 4) < 0.02, "alpha is composited over mid gray: {}", difference(3, 4));
}

#[test]
fn animations_show_their_first_frame_and_four_inks_become_color() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [gif, png, cmyk] = ["animated.gif", "first.png", "print.jpg"].map(|name| folder.path().join(name));
    animation(32, 32, &gif);
    save(photo(32, 32, 0), &png);
    std::fs::write(&cmyk, cmyk_jpeg(32)).expect("a new file");
    let seen = pixels(&[gif, png, cmyk]);
    let error = seen.row(&[0]).iter().zip(seen.row(&[1])).map(|(a, b)| (a - b).abs()).sum::<f32>() / (64.0 * 48.0);
    assert!(error < 0.2, "{error}");
    let ink = seen.row(&[2]);
    assert!(
        ink.chunks_exact(3).all(|pixel| pixel == &ink[..3]) && ink.iter().all(|value| value.is_finite() && value.abs() < 3.0),
        "{:?}",
        &ink[..3]
    );
    assert_eq!(maskroom("data inspect").arg(folder.path()).json()["unreadable"], json!([]));
}

#[test]
fn channels_that_the_images_do_not_have_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    photos(folder.path(), 3, 32, 32);
    let call = maskroom(&format!("pretrain {NANO} --steps 1 --set data.channels=7")).with("--data", folder.path());
    call.with("--out", folder.path().join("run")).refused(3, &["7 channels", "data.channels"]);
}
