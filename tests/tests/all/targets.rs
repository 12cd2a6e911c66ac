//! What is predicted beside MAE's pixels: `target`, `tokenizer train`, and runs that learn such targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::RgbImage;
use serde_json::Value;

use crate::harness::{Call, events_of, maskroom, number, pretrain, suite_folder, toy, toy_picture, workspace};
use crate::pictures::photos;
use crate::readers::{Tensor, patches, rgb, tensor, tensors};

/// The target of the first two toy scenes.
fn target(words: &str) -> Tensor {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("target.safetensors");
    let call = maskroom(&format!("target {words} --images")).arg(toy_picture(0)).arg(toy_picture(1));
    let printed = call.with("--out", &out).json();
    let found = tensor(&out, "target");
    assert_eq!(printed["shape"], serde_json::json!(found.shape));
    found
}

/// MaskFeat's histogram of one cell of 8 × 8 px and one channel, by the definition.
fn histogram(picture: &RgbImage, channel: usize, top: i64, left: i64) -> Vec<f64> {
    let (height, width) = (i64::from(picture.height()), i64::from(picture.width()));
    let mirrored = |at: i64, size: i64| {
        if at < 0 {
            -at
        } else if at >= size {
            2 * size - 2 - at
        } else {
            at
        }
    };
    let level = |y: i64, x: i64| f64::from(picture.get_pixel(mirrored(x, width) as u32, mirrored(y, height) as u32).0[channel]);
    let mut bins = [0.0; 9];
    for (y, x) in (0..64).map(|at| (top + at / 8, left + at % 8)) {
        let (mut gx, mut gy) = (0.0, 0.0);
        for (step, weight) in [(-1, 1.0), (0, 2.0), (1, 1.0)] {
            gx += weight * (level(y + step, x - 1) - level(y + step, x + 1));
            gy += weight * (level(y - 1, x + step) - level(y + 1, x + step));
        }
        let phase = gx.atan2(gy) / std::f64::consts::PI * 9.0;
        bins[(phase.floor() as i64).rem_euclid(9) as usize] += gx.hypot(gy);
    }
    let length = bins.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    bins.iter().map(|value| value / length).collect()
}

#[test]
fn hog_is_the_histogram_of_every_cell() {
    let found = target("--kind hog");
    assert_eq!(found.shape, [2, 4, 108], "patches of 16 px with 2 x 2 cells, 3 channels and 9 bins");
    for image in 0..2 {
        let picture = rgb(&toy_picture(image));
        for patch in 0..4 {
            for (cell, channel) in (0..12).map(|at| (at % 4, at / 4)) {
                let (top, left) = (patch / 2 * 16 + cell / 2 * 8, patch % 2 * 16 + cell % 2 * 8);
                let expected = histogram(&picture, channel, top as i64, left as i64);
                for (bin, want) in expected.into_iter().enumerate() {
                    let have = f64::from(found.row(&[image, patch])[(channel * 9 + bin) * 4 + cell]);
                    assert!((have - want).abs() < 1e-5, "image {image}, patch {patch}, cell {cell}, channel {channel}, bin {bin}");
                }
            }
        }
    }
    assert_eq!(target("--kind hog --set patch=8").shape, [2, 16, 27]);
    assert_eq!(target("--kind hog --set patch=4 --set cell=2 --set bins=6").shape, [2, 64, 3 * 6 * 4]);
    assert_ne!(target("--kind hog --set window=gaussian").values, found.values);
    let out = PathBuf::from("/nonexistent/target.safetensors");
    let call = |words: &str| maskroom(&format!("target --kind hog {words} --images")).arg(toy_picture(0)).with("--out", &out);
    call("--set patch=4 --set cell=8").refused(2, &["target.cell", "does not consist of cells of 8 px", "1, 2, 4"]);
}

#[test]
fn principal_components_are_decorrelated_and_sorted() {
    let found = target("--kind pca --set patch=4 --set components=6");
    assert_eq!(found.shape, [2, 64, 6]);
    let rows: Vec<&[f32]> = found.values.chunks_exact(6).collect();
    let moment = |a: usize, b: usize| rows.iter().map(|row| f64::from(row[a]) * f64::from(row[b])).sum::<f64>() / rows.len() as f64;
    assert!((0..6).all(|a| (rows.iter().map(|row| f64::from(row[a])).sum::<f64>() / 128.0).abs() < 1e-4), "mean zero");
    for a in 0..6 {
        assert!(a == 0 || moment(a, a) <= moment(a - 1, a - 1) * 1.0001);
        assert!((0..a).all(|b| moment(a, b).abs() < 1e-3 * moment(0, 0)), "{a}");
    }
    // All components hold all of a patch: its squared distance from the mean patch.
    let all = target("--kind pca --set patch=4");
    assert_eq!(all.shape, [2, 64, 48], "a patch has 48 numbers, fewer than the usual 96 components");
    let pixels: Vec<Vec<f64>> = (0..2).flat_map(|image| patches(&rgb(&toy_picture(image)), 4)).collect();
    let mean: Vec<f64> = (0..48).map(|at| pixels.iter().map(|patch| patch[at]).sum::<f64>() / 128.0).collect();
    for (row, patch) in all.values.chunks_exact(48).zip(&pixels) {
        let energy: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
        let expected: f64 = patch.iter().zip(&mean).map(|(value, mean)| (value - mean).powi(2)).sum();
        assert!((energy - expected).abs() < 1e-3 * expected.max(1.0), "{energy} {expected}");
    }
}

/// A tokenizer of 32 codes for patches of 4 px, trained for a moment on [`toy`], and what was printed. Never written to.
fn tokenizer() -> &'static (PathBuf, Value) {
    static TOKENIZER: OnceLock<(PathBuf, Value)> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let out = suite_folder().join("tokenizer.safetensors");
        (out.clone(), train_tokenizer(&out, "--steps 60 --threads 2"))
    })
}

fn train_tokenizer(out: &Path, words: &str) -> Value {
    let sets = "--set patch=4 --set data.image=32 --set codes=32 --set width=16 --set optim.batch=8";
    maskroom(&format!("tokenizer train {sets} {words}")).with("--data", toy()).with("--out", out).json()
}

#[test]
fn a_tokenizer_tells_how_its_codes_are_used() {
    let (out, printed) = tokenizer();
    assert_eq!((number(printed, "steps"), number(printed, "codes"), number(printed, "patch")), (60.0, 32.0, 4.0));
    assert_eq!(printed["out"], out.display().to_string());
    let (perplexity, dead) = (number(printed, "perplexity"), number(printed, "dead_codes"));
    assert!(perplexity > 1.0 && perplexity <= 32.0 - dead + 1e-9 && number(printed, "seconds") > 0.0, "{printed}");
    assert!(number(printed, "loss") > 0.0);
    let pictures = rgb(Path::new(printed["pictures"].as_str().expect("a path")));
    assert!(pictures.width() > 500 && pictures.height() > 200, "{:?}", pictures.dimensions());
    // The seed decides, not the number of threads.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let again = folder.path().join("again.safetensors");
    train_tokenizer(&again, "--steps 60 --threads 1");
    assert!(std::fs::read(&again).expect("a tokenizer") == std::fs::read(out).expect("a tokenizer"));
}

#[test]
fn tokens_are_codes_of_patches() {
    let (file, _) = tokenizer();
    let found = target(&format!("--kind tokens --set tokenizer={}", file.display()));
    assert_eq!(found.shape, [2, 64, 1], "the patch is the tokenizer's");
    assert!(found.values.iter().all(|&id| id.fract() == 0.0 && (0.0..32.0).contains(&id)));
    let different: std::collections::BTreeSet<u32> = found.values.iter().map(|&id| id as u32).collect();
    assert!(different.len() > 1, "{different:?}");
    // Any size that has whole patches, and any normalization.
    let other =
        target(&format!("--kind tokens --set tokenizer={} --set data.mean=[0.5,0.5,0.5] --set data.std=[0.5,0.5,0.5]", file.display()));
    let same = other.values.iter().zip(&found.values).filter(|(a, b)| a == b).count();
    assert!(same >= 126, "{same} of 128");
    let folder = tempfile::tempdir().expect("a temporary folder");
    photos(&folder.path().join("wide"), 1, 40, 60);
    let out = folder.path().join("target.safetensors");
    let call = maskroom(&format!("target --kind tokens --set tokenizer={} --images", file.display()));
    call.arg(folder.path().join("wide/00.png")).with("--out", &out).json();
    assert_eq!(tensor(&out, "target").shape, [1, 150, 1]);
}

#[test]
fn the_codes_of_dalle_are_predicted_whatever_the_patch() {
    let golden = workspace().join("tests/golden/dalle");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, out) = (folder.path().join("tokenizer.safetensors"), folder.path().join("target.png"));
    let import = |decoder: bool| {
        let call = maskroom("tokenizer import").arg(golden.join("encoder.pkl")).with("--out", &file);
        let printed = if decoder { call.with("--decoder", golden.join("decoder.pkl")).json() } else { call.json() };
        assert_eq!((number(&printed, "codes"), number(&printed, "patch"), &printed["decoder"]), (8.0, 2.0, &decoder.into()));
    };
    import(true);
    let words = format!("--kind tokens --set tokenizer={}", file.display());
    for (patch, count) in [(4, 64), (8, 16), (16, 4)] {
        let found = target(&format!("{words} --set patch={patch}"));
        assert!(found.shape == [2, count, 1] && found.values.iter().all(|&id| id.fract() == 0.0 && (0.0..8.0).contains(&id)));
    }
    let drawn = || maskroom(&format!("target {words} --set patch=4 --images")).arg(toy_picture(0)).with("--out", &out);
    drawn().json();
    let run = folder.path().join("run");
    let sets = format!("--set target.kind=tokens --set target.tokenizer={} --set objective.kind=cross_entropy", file.display());
    learn(&run, &format!("--steps 2 {sets}")).json();
    assert!(rgb(Path::new(reconstruct(&run, &folder.path().join("strips"))["files"][0].as_str().expect("a strip"))).width() >= 4 * 128);
    import(false);
    drawn().refused(2, &["cannot be drawn", "without its decoder"]);
    let pickle = golden.join("encoder.pkl");
    let again = folder.path().join("again.safetensors");
    maskroom("weights import").arg(&pickle).with("--out", &again).json();
    assert_eq!(std::fs::read(&again).expect("a tokenizer"), std::fs::read(&file).expect("a tokenizer"));
    maskroom("weights inspect").arg(&pickle).refused(3, &["DALL-E's", "maskroom tokenizer import"]);
    maskroom(&format!("target --kind tokens --set tokenizer={} --images", pickle.display()))
        .arg(toy_picture(0))
        .with("--out", &out)
        .refused(2, &["encoder.pkl", "maskroom tokenizer import"]);
    maskroom("tokenizer import")
        .arg(golden.join("decoder.pkl"))
        .with("--out", &file)
        .refused(3, &["DALL-E's decoder", "encoder is expected"]);
}

#[test]
fn tokenizers_that_are_none_or_do_not_fit_are_refused() {
    let (file, _) = tokenizer();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("target.safetensors");
    let call = |words: &str| maskroom(&format!("target --kind tokens {words} --images")).arg(toy_picture(0)).with("--out", &out);
    call("").refused(2, &["target.tokenizer", "maskroom tokenizer train"]);
    call("--set tokenizer=/nonexistent").refused(2, &["/nonexistent"]);
    call(&format!("--set tokenizer={} --set patch=8", file.display())).refused(2, &["backbone.patch", "8", "4"]);
    call(&format!("--set tokenizer={} --set codes=64", file.display())).refused(2, &["target.codes", "64", "32"]);
    let broken = folder.path().join("broken.safetensors");
    let bytes = std::fs::read(file).expect("a tokenizer");
    for end in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&broken, &bytes[..end]).expect("a new file");
        let outcome = call(&format!("--set tokenizer={}", broken.display())).run();
        assert!(matches!(outcome.status, Some(2 | 3)) && outcome.stderr.contains("broken.safetensors"), "{end}: {outcome:?}");
    }
    call("--set tokenizer=").refused(2, &["no tokenizer is named"]);
    let refuse = |words: &str, expected: &[&str]| {
        maskroom(&format!("tokenizer train {words}")).with("--data", toy()).with("--out", &out).refused(2, expected);
    };
    refuse("--set codes=1", &["tokenizer.codes", "out of range"]);
    refuse("--set patch=6 --set data.image=30", &["cannot be halved"]);
    refuse("--set coeds=8", &["unknown key"]);
}

/// A run of a few steps with a target of its own.
fn learn(run: &Path, words: &str) -> Call {
    pretrain(toy(), run).and(&format!("--threads 2 --set train.checkpoint_every_steps=2 {words}"))
}

/// The tensors of a run's last checkpoint.
fn weights(run: &Path) -> BTreeMap<String, Tensor> {
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).expect("checkpoints");
    let last = checkpoints.map(|entry| entry.expect("an entry").path()).max().expect("a checkpoint");
    tensors(&last.join("model.safetensors"))
}

fn reconstruct(run: &Path, out: &Path) -> Value {
    let raw = out.join("raw.safetensors");
    std::fs::create_dir_all(out).expect("a folder");
    maskroom("reconstruct").with("--weights", run).with("--images", toy_picture(0)).with("--out", out).with("--raw", raw).json()
}

#[test]
fn runs_keep_the_components_they_were_measured_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    learn(&run, "--steps 4 --set target.kind=pca --set target.components=12").json();
    let basis = tensor(&run.join("target.safetensors"), "basis");
    assert_eq!(basis.shape, [12, 48]);
    assert_eq!(weights(&run)["target.basis"].values, basis.values);
    maskroom("train").arg(&run).and("--resume --steps 6 --device cpu").json();
    assert_eq!(weights(&run)["target.basis"].values, basis.values, "resuming does not measure again");
    let drawn = reconstruct(&run, &folder.path().join("strips"));
    assert!(number(&drawn, "loss") > 0.0 && drawn["accuracy"].is_null(), "{drawn}");
    let strip = rgb(Path::new(drawn["files"][0].as_str().expect("a strip")));
    assert!(strip.width() >= 4 * 128, "original, masked, prediction and pasted: {:?}", strip.dimensions());
    assert_eq!(tensor(&folder.path().join("strips/raw.safetensors"), "prediction").shape, [1, 64, 12]);
    let validation = events_of(&run, "validation");
    assert!(number(&validation[0], "baseline_patch_mean") > 0.0 && number(&validation[0], "baseline_nearest") > 0.0);
}

#[test]
fn runs_that_predict_histograms_learn_and_draw_them_beside_the_target() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    learn(&run, "--steps 60 --set target.kind=hog --set target.cell=4 --set optim.base_lr=1e-2").json();
    let losses = events_of(&run, "step");
    let (first, last) = (number(&losses[0], "loss"), number(losses.last().expect("steps"), "loss"));
    assert!(last < 0.8 * first, "{first} to {last}");
    let trivial = number(&events_of(&run, "probe")[0], "/figures/trivial");
    assert!((trivial - 1.0 / 9.0).abs() < 1e-9);
    let drawn = reconstruct(&run, &folder.path().join("strips"));
    let strip = rgb(Path::new(drawn["files"][0].as_str().expect("a strip")));
    // Cells of 4 px are drawn four times as large, and so is the image beside them.
    assert_eq!((strip.width(), strip.height() > 128), (4 * 128 + 3 * 4, true), "original, masked, prediction and target");
    let black = |panel: u32| {
        let left = panel * 132;
        (left..left + 128).flat_map(|x| (17..140).map(move |y| (x, y))).filter(|&(x, y)| strip.get_pixel(x, y).0 == [0; 3]).count()
    };
    assert!(black(2) > 1_000 && black(3) > 1_000, "strokes on black: {} and {}", black(2), black(3));
    let page = std::fs::read_to_string(run.join("report/report.html")).expect("a report");
    assert!(page.contains("<span>Target</span>") && page.contains("a stroke is the share of edges"));
    let previews = std::fs::read_dir(run.join("previews")).expect("previews").map(|entry| entry.expect("an entry").path());
    let preview = tensors(&previews.max().expect("a preview"));
    assert_eq!(preview["target"].shape, preview["prediction"].shape);
}

#[test]
fn targets_are_drawn_beside_their_images() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("target.png");
    let drawn = |words: &str| {
        let call = maskroom(&format!("target {words} --images")).arg(toy_picture(0)).arg(toy_picture(1));
        assert_eq!(number(&call.with("--out", &out).json(), "pictures"), 2.0);
        rgb(&out)
    };
    let sheet = drawn("--kind hog --set patch=8");
    assert!(sheet.width() >= 2 * 128 && sheet.height() >= 2 * 128, "{:?}", sheet.dimensions());
    // Plain pixels are the image itself.
    let sheet = drawn("--kind pixels --set norm_pix=false --set patch=8");
    let source = rgb(&toy_picture(0));
    let pixel = |panel: u32, x: u32, y: u32| *sheet.get_pixel(panel * 132 + x * 4, 16 + y * 4);
    assert!((0..32).all(|at| pixel(0, at, 31 - at) == *source.get_pixel(at, 31 - at) && pixel(1, at, 31 - at) == pixel(0, at, 31 - at)));
    drawn("--kind pca --set patch=8 --set components=8");
    drawn(&format!("--kind tokens --set tokenizer={}", tokenizer().0.display()));
}

#[test]
fn runs_that_predict_codes_have_the_tokenizer_inside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tokenizer.safetensors");
    std::fs::copy(&tokenizer().0, &file).expect("a copy");
    let run = folder.path().join("run");
    let sets = format!("--set target.kind=tokens --set target.tokenizer={} --set objective.kind=cross_entropy", file.display());
    learn(&run, &format!("--steps 4 {sets}")).json();
    std::fs::remove_file(&file).expect("the file is not needed any more");
    let recipe = std::fs::read_to_string(run.join("recipe.toml")).expect("the recipe");
    assert!(recipe.contains("codes = 32") && !recipe.contains("safetensors"), "{recipe}");
    maskroom("recipe check").arg(run.join("recipe.toml")).json();
    maskroom("train").arg(&run).and("--resume --steps 6 --device cpu").json();
    let drawn = reconstruct(&run, &folder.path().join("strips"));
    assert!((0.0..=1.0).contains(&number(&drawn, "accuracy")), "{drawn}");
    // Almost untrained, a network is not surer than it may be.
    assert!(number(&drawn, "loss") > 0.0 && number(&drawn, "loss") < 32_f64.ln() + 0.5, "{drawn}");
    assert!(rgb(Path::new(drawn["files"][0].as_str().expect("a strip"))).width() >= 4 * 128, "codes can be drawn");
    let validation = &events_of(&run, "validation")[0];
    assert!(number(validation, "/metrics/accuracy") >= 0.0 && number(validation, "baseline_patch_mean") < 32_f64.ln());
    assert!(run.join("report/report.html").is_file());
}

#[test]
fn objectives_that_do_not_fit_their_target_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let refuse = |words: &str, expected: &[&str]| {
        learn(&run, words).refused(2, expected);
    };
    refuse("--set target.kind=hog --set target.cell=4 --set objective.kind=cross_entropy", &["objective.kind", "numbers per patch", "mse"]);
    let tokens = format!("--set target.kind=tokens --set target.tokenizer={}", tokenizer().0.display());
    for objective in ["mse", "l1", "smooth_l1", "cosine"] {
        refuse(&format!("{tokens} --set objective.kind={objective}"), &["objective.kind", objective, "cross_entropy"]);
    }
    refuse("--set target.kind=hog --set target.cell=8", &["target.cell", "patch of 4 px"]);
    assert!(!run.exists());
}

#[test]
fn every_objective_of_numbers_trains() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for objective in ["l1", "smooth_l1", "cosine"] {
        let run = folder.path().join(objective);
        learn(&run, &format!("--steps 40 --set objective.kind={objective} --set target.norm_pix=false --set optim.base_lr=1e-2")).json();
        let losses = events_of(&run, "step");
        let (first, last) = (number(&losses[0], "loss"), number(losses.last().expect("steps"), "loss"));
        assert!(last < first, "{objective}: {first} to {last}");
        // Baselines are in the loss's own units: guessing the mean color is better than an untrained network.
        let validation = events_of(&run, "validation");
        assert!(number(&validation[0], "baseline_patch_mean") < first, "{objective}");
    }
}

#[test]
fn gray_targets_are_normalized_as_their_images_are() {
    let found = target("--kind pixels --set data.channels=1 --set norm_pix=false");
    assert_eq!(found.shape, [2, 4, 256]);
    let count = found.values.len() as f32;
    let mean = found.values.iter().sum::<f32>() / count;
    let variance = found.values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
    assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-2, "{mean} {variance}");
}
