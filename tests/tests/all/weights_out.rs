//! `weights export` and `weights import`: what goes out is read again by the product, and computes the same.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{maskroom, toy_picture, trained, workspace};
use crate::readers::{metadata, npy, tensors};

/// Features of one toy scene.
fn features(weights: &Path) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("f.npy");
    maskroom("embed --device cpu").with("--weights", weights).with("--images", toy_picture(3)).with("--out", &out).json();
    npy(&out).floats()
}

/// What was written, which must be as long as it says.
fn written(printed: &Value) -> Vec<PathBuf> {
    let files: Vec<PathBuf> =
        printed["files"].as_array().expect("a list").iter().map(|file| PathBuf::from(file.as_str().expect("a path"))).collect();
    let bytes: u64 = files.iter().map(|file| std::fs::metadata(file).expect("a file").len()).sum();
    assert_eq!(printed["bytes"], bytes, "{printed}");
    files
}

fn names(files: &[PathBuf]) -> Vec<&str> {
    files.iter().map(|file| file.file_name().and_then(|name| name.to_str()).expect("a name")).collect()
}

#[test]
fn every_format_that_is_read_here_computes_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wanted = features(trained());
    for (out, format, all) in [
        ("own.safetensors", "maskroom", &["own.safetensors"][..]),
        ("own", "maskroom", &["model.safetensors", "README.md"]),
        ("timm.safetensors", "timm", &["timm.safetensors"]),
        ("timm", "timm", &["model.safetensors", "config.json", "README.md"]),
        ("hf", "hf", &["model.safetensors", "config.json", "preprocessor_config.json", "README.md"]),
    ] {
        let to = folder.path().join(out);
        let printed = maskroom("weights export").arg(trained()).with("--format", format).with("--out", &to).json();
        assert_eq!((&printed["format"], &printed["precision"]), (&format.into(), &"f32".into()));
        assert_eq!((&printed["exact"], &printed["largest_difference"]), (&true.into(), &0.0.into()), "{printed}");
        assert!(printed["tensors"].as_u64().is_some_and(|count| count > 20), "{printed}");
        assert_eq!(names(&written(&printed)), all, "{printed}");
        assert!(!printed["notes"].to_string().contains("does not take"), "{printed}");
        assert_eq!(features(&to), wanted, "{out}");
    }
    let card = std::fs::read_to_string(folder.path().join("hf/README.md")).expect("a card");
    assert!(card.contains("library_name: transformers") && card.contains(" images of `toy`") && card.contains("training loss: "), "{card}");
    assert!(!card.contains(&*trained().to_string_lossy()), "no paths of this machine: {card}");
}

#[test]
fn sixteen_bits_are_half_as_long_and_say_how_far_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut bytes = Vec::new();
    for precision in ["f32", "f16", "bf16"] {
        let to = folder.path().join(precision);
        let call = maskroom("weights export --format hf --weights-kind raw").with("--weights", trained());
        let printed = call.with("--precision", precision).with("--out", &to).json();
        assert_eq!(printed["exact"], precision == "f32", "{printed}");
        let furthest = printed["largest_difference"].as_f64().expect("a number");
        assert!(furthest < if precision == "bf16" { 1e-2 } else { 1e-3 }, "{printed}");
        let dtype = ["float32", "float16", "bfloat16"][bytes.len()];
        let config = std::fs::read_to_string(to.join("config.json")).expect("settings");
        assert!(config.contains(&format!("\"dtype\": \"{dtype}\"")) && config.contains("ViTMAEForPreTraining"), "{config}");
        bytes.push(std::fs::metadata(to.join("model.safetensors")).expect("a file").len());
    }
    // The header says what kind of numbers they are, tensor by tensor, in words of different lengths.
    assert!(bytes[1..].iter().all(|half| half * 2 < bytes[0] * 102 / 100), "{bytes:?}");
}

#[test]
fn a_graph_is_one_file_or_a_folder_with_a_card() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let call = |out: &str| maskroom("weights export").arg(trained()).with("--out", folder.path().join(out));
    let printed = call("model.onnx").json();
    assert_eq!((&printed["format"], &printed["exact"], &printed["largest_difference"]), (&"onnx".into(), &true.into(), &0.0.into()));
    assert_eq!(names(&written(&printed)), ["model.onnx"]);
    let printed = call("graph").and("--format onnx --license MIT").json();
    assert_eq!(names(&written(&printed)), ["model.onnx", "README.md"]);
    let card = std::fs::read_to_string(folder.path().join("graph/README.md")).expect("a card");
    assert!(card.contains("license: mit") && card.contains("onnxruntime"), "{card}");
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let there = folder.path().join("there.safetensors");
    std::fs::write(&there, b"mine").expect("a file");
    let call = || maskroom("weights export").arg(trained());
    call().with("--out", &there).refused(2, &["there.safetensors", "there already", "another path"]);
    call().with("--out", folder.path()).refused(2, &["not empty"]);
    assert_eq!(std::fs::read(&there).expect("the file"), b"mine");
    call().with("--out", folder.path().join("x.safetensors")).and("--format hf").refused(2, &["folder", "ending"]);
    call().with("--out", folder.path().join("x")).and("--weights-kind ema").refused(3, &["no running average", "--weights-kind raw"]);
    maskroom("weights export --out x").refused(2, &["WEIGHTS", "--weights"]);
    call().with("--weights", trained()).with("--out", "x").refused(2, &["cannot be used with"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is left behind");
}

#[test]
fn other_peoples_checkpoints_become_files_of_the_products_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let golden = workspace().join("tests/golden");
    let picture = golden.join("hugging_face/vit/image_0.png");
    for (source, what) in [("torch/mae_full.pth", "MAE"), ("torch/dino_backbone.pth", "DINO"), ("hugging_face/swin", "simmim")] {
        let to = folder.path().join("imported.safetensors");
        let printed = maskroom("weights import").arg(golden.join(source)).with("--out", &to).json();
        assert!(printed["what"].as_str().is_some_and(|found| found.contains(what)), "{printed}");
        assert!(printed["missing"].is_array() && printed["left_over"].is_array() && printed["exact"] == true, "{printed}");
        assert!(metadata(&to)["recipe"].contains("[backbone]"));
        let embed = |weights: &Path| {
            let out = folder.path().join("f.safetensors");
            maskroom("embed --device cpu").with("--weights", weights).with("--images", &picture).with("--out", &out).json();
            tensors(&out)["features"].values.clone()
        };
        assert_eq!(embed(&to), embed(&golden.join(source)), "{source}");
        std::fs::remove_file(&to).expect("the file");
    }
    let words = maskroom("weights import")
        .with("--weights", golden.join("torch/deit_distilled.pth"))
        .with("--out", folder.path().join("d.safetensors"))
        .run();
    assert!(words.status == Some(0) && words.stdout.contains("left over") && words.stdout.contains("a classifier"), "{}", words.stdout);
    let call = maskroom("weights import").arg(golden.join("torch/mae_full.pth"));
    call.with("--out", folder.path().join("m.pth")).refused(2, &["m.pth", ".safetensors"]);
}
