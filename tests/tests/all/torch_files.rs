//! Checkpoints of PyTorch as weights: what the commands write is what PyTorch computed, and what would run something is refused.

use std::path::PathBuf;

use crate::harness::{Call, maskroom, toy, workspace};
use crate::readers::{tensor, tensors};

fn golden() -> PathBuf {
    workspace().join("tests/golden/torch")
}

/// A command on a file and the two images.
fn on(file: &str, command: &str) -> Call {
    let images = workspace().join("tests/golden/hugging_face/vit/image_*.png");
    maskroom(command).and("--device cpu").with("--weights", golden().join(file)).with("--images", images)
}

/// Differences are at most 1e-4 of the largest number.
#[track_caller]
fn assert_close(what: &str, have: &[f32], want: &[f32]) {
    assert_eq!(have.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let furthest = have.iter().zip(want).fold(0.0_f32, |furthest, (have, want)| furthest.max((have - want).abs()));
    assert!(furthest <= 1e-4 * largest, "{what}: off by {furthest} on a scale of {largest}");
}

#[test]
fn attention_and_features_are_pytorchs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = tensors(&golden().join("expected.safetensors"));
    for file in ["dino_full.pth", "dino_backbone.pth", "mae_full.pth", "moco_v3.pth.tar", "whole_module.pth"] {
        let name = file.split('.').next().expect("a name");
        let (out, written) = (folder.path().join("a.safetensors"), folder.path().join("f.safetensors"));
        on(file, "attend --full").with("--out", &out).json();
        let (have, want) = (tensor(&out, "attention"), &expected[&format!("{name}/attention")]);
        assert_eq!(have.shape[1..], want.shape[1..], "{file}");
        assert_close(file, &have.values[..want.values.len()], &want.values);
        on(file, "embed --pool cls").with("--out", &written).json();
        let (have, want) = (tensor(&written, "features"), &expected[&format!("{name}/features")]);
        (0..2).for_each(|image| assert_close(file, have.row(&[image]), want.row(&[image, 0])));
    }
}

#[test]
fn reconstructions_are_pytorchs_and_encoders_alone_draw_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    on("mae_full.pth", "reconstruct").with("--out", folder.path()).json();
    assert!(folder.path().join("image_0.png").is_file());
    on("encoder_of_positions.pth", "reconstruct").with("--out", folder.path()).refused(2, &["MAE encoder", "encoder alone"]);
    on("dino_backbone.pth", "reconstruct").with("--out", folder.path()).refused(2, &["DINO backbone", "encoder alone"]);
    on("dino_full.pth", "reconstruct").with("--out", folder.path()).refused(2, &["compares views"]);
}

#[test]
fn training_starts_from_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sizes = "data.image=[16,16] backbone.patch=4 backbone.width=12 backbone.depth=1 backbone.heads=3 backbone.mlp_ratio=2 \
                 decoder.width=8 decoder.depth=1 decoder.heads=2 decoder.mlp_ratio=2.5";
    let call =
        sizes.split_whitespace().fold(maskroom("pretrain --recipe mae --device cpu --steps 2"), |call, set| call.and("--set").arg(set));
    for (index, file) in ["mae_full.pth", "encoder_of_positions.pth"].into_iter().enumerate() {
        let out = folder.path().join(index.to_string());
        call.clone().with("--data", toy()).with("--init", golden().join(file)).with("--out", out).json();
    }
}

#[test]
fn inspection_says_what_a_file_is() {
    let inspect = |file: &str| maskroom("weights inspect").arg(golden().join(file));
    let found = inspect("dino_full.pth").json();
    assert_eq!((&found["method"], &found["format"], &found["image"][0]), (&"dino".into(), &"PyTorch".into(), &16.into()));
    assert!(found["what"].as_str().is_some_and(|what| what.contains("DINO") && what.contains("head")), "{found}");
    assert_eq!(found["left_over"].as_array().map(Vec::len), Some(3), "{found}");
    assert_eq!(found["backbone"]["settings"]["heads"], 3, "{found}");
    let found = inspect("deit_distilled.pth").json();
    assert_eq!((&found["encoder_alone"], &found["left_over"][0]["why"]), (&"DeiT".into(), &"a classifier".into()));
    let words = inspect("mae_full.pth").run();
    assert!(
        words.status == Some(0) && words.stdout.contains("MAE, encoder and decoder") && words.stdout.contains("heads 3"),
        "{}",
        words.stdout
    );
    // Maskroom's own files and folders of Hugging Face too.
    let found = maskroom("weights inspect").arg(workspace().join("tests/golden/hugging_face/vit_mae")).json();
    assert_eq!((&found["method"], &found["encoder_alone"]), (&"mae".into(), &serde_json::Value::Null));
    let found = maskroom("weights inspect").arg(crate::harness::trained()).json();
    assert!(found["step"].as_u64().is_some_and(|step| step > 0) && found["mapped"].as_array().is_some_and(|list| list.len() > 10));
}

#[test]
fn what_would_run_something_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, proof) = (folder.path().join("model.pth"), folder.path().join("proof"));
    // The format of before version 1.6: the magic number, the version, the system, and a call in the place of the weights.
    let touch = format!("touch {}", proof.display());
    let call = [&b"\x80\x02cposix\nsystem\nX"[..], &(touch.len() as u32).to_le_bytes(), touch.as_bytes(), b"\x85R."].concat();
    let start = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    std::fs::write(&path, [&start[..], &call, b"\x80\x02]."].concat()).expect("a file");
    for call in [
        maskroom("weights inspect").arg(&path),
        maskroom("attend").with("--weights", &path).with("--images", folder.path()).with("--out", folder.path().join("a.safetensors")),
    ] {
        call.refused(3, &["model.pth", "`posix.system`", "not a tensor or a plain container", "state_dict"]);
    }
    assert!(!proof.exists());
    std::fs::write(&path, b"not a checkpoint").expect("a file");
    maskroom("weights inspect").arg(&path).refused(3, &["model.pth", "not a readable PyTorch checkpoint"]);
    std::fs::copy(workspace().join("tests/golden/pvt.safetensors"), folder.path().join("x.safetensors")).expect("a copy");
    maskroom("weights inspect").arg(folder.path().join("x.safetensors")).refused(3, &["not understood", "MAE, DINO", "tensors: "]);
}
