//! Folders of Hugging Face transformers as weights: what the commands write is what the library's own classes computed.

use std::path::{Path, PathBuf};

use crate::harness::{Call, maskroom, number, toy, workspace};
use crate::readers::{Tensor, npy, tensor, tensors};

const MODELS: [&str; 5] = ["vit_mae", "vit", "beit_shared", "beit_own", "swin"];

fn golden() -> PathBuf {
    workspace().join("tests/golden/hugging_face")
}

/// A command on a model's folder and its two images.
fn on(model: &str, command: &str) -> Call {
    let folder = golden().join(model);
    let images = folder.join("image_*.png");
    maskroom(command).and("--device cpu").with("--weights", folder).with("--images", images)
}

/// Differences are at most 1e-5 of the largest number.
#[track_caller]
fn assert_close(what: &str, have: &[f32], want: &[f32]) {
    assert_eq!(have.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let furthest = have.iter().zip(want).fold(0.0_f32, |furthest, (have, want)| furthest.max((have - want).abs()));
    assert!(furthest <= 1e-5 * largest, "{what}: off by {furthest} on a scale of {largest}");
}

#[test]
fn reconstructions_are_the_librarys() {
    for model in MODELS {
        let (out, masks) = (tempfile::tempdir().expect("a temporary folder"), golden().join(model).join("masks.npy"));
        let raw = out.path().join("raw.safetensors");
        let call = on(model, "reconstruct").with("--mask", &masks).with("--out", out.path()).with("--raw", &raw);
        let printed = call.json();
        let expected = tensors(&golden().join(format!("{model}.safetensors")));
        let prediction = tensor(&raw, "prediction");
        assert_eq!(prediction.shape, expected["prediction"].shape, "{model}");
        assert_close(model, &prediction.values, &expected["prediction"].values);
        let hidden: Vec<f32> = npy(&masks).bools().iter().map(|&hidden| f32::from(u8::from(hidden))).collect();
        assert_eq!(tensor(&raw, "mask").values, hidden, "{model}");
        if model.starts_with("beit") {
            // Which classes are right, only the tokenizer knows.
            assert!(printed["loss"].is_null() && printed["accuracy"].is_null(), "{printed}");
        } else {
            assert_close(model, &[number(&printed, "loss") as f32], &expected["loss"].values);
        }
        assert!(out.path().join("image_0.png").is_file() && out.path().join("image_1.png").is_file());
    }
}

#[test]
fn attention_and_features_are_the_librarys() {
    for model in MODELS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (attention, features) = (folder.path().join("a.safetensors"), folder.path().join("f.safetensors"));
        let expected = tensors(&golden().join(format!("{model}.safetensors")));
        let maps: Vec<&Tensor> = expected.iter().filter(|(name, _)| name.starts_with("attention.")).map(|(_, map)| map).collect();
        for (layer, want) in [("0", maps[0]), ("-1", maps[maps.len() - 1])] {
            on(model, "attend --full").with("--layer", layer).with("--out", &attention).json();
            let have = tensor(&attention, "attention");
            assert_eq!(have.shape[1..], want.shape[1..], "{model} layer {layer}");
            // Of a Swin, the first image's attention is known.
            assert_close(&format!("{model} layer {layer}"), &have.values[..want.values.len()], &want.values);
        }
        on(model, "embed --pool patches").with("--out", &features).json();
        let (have, want) = (tensor(&features, "features"), &expected["features"]);
        let prefix = want.shape[1] - have.shape[1];
        for image in 0..want.shape[0] {
            assert_close(model, have.row(&[image]), &want.row(&[image])[prefix * want.shape[2]..]);
        }
    }
}

#[test]
fn training_starts_from_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sizes = "data.image=[16,16] backbone.patch=4 backbone.width=12 backbone.depth=2 backbone.heads=3 backbone.mlp_ratio=2.59 \
                 decoder.width=8 decoder.depth=1 decoder.heads=2 decoder.mlp_ratio=2.5";
    let call =
        sizes.split_whitespace().fold(maskroom("pretrain --recipe mae --device cpu --steps 2"), |call, set| call.and("--set").arg(set));
    let run = |init: &Path, name: &str| call.clone().with("--data", toy()).with("--init", init).with("--out", folder.path().join(name));
    run(&golden().join("vit_mae"), "run").json();
    run(&golden().join("vit"), "other").refused(3, &["blocks.0.mlp.fc1.weight is [30, 12]", "another network"]);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = |config: &str| {
        std::fs::write(folder.path().join("config.json"), config).expect("a config");
        std::fs::copy(golden().join("vit/model.safetensors"), folder.path().join("model.safetensors")).expect("a copy");
        let call = maskroom("reconstruct").with("--weights", folder.path()).with("--images", golden().join("vit/image_0.png"));
        call.with("--out", folder.path().join("strips"))
    };
    let config = std::fs::read_to_string(golden().join("vit/config.json")).expect("a config");
    copy(&config.replace("ViTForMaskedImageModeling", "ViTModel")).refused(2, &["ViTModel", "encoder alone", "maskroom attend"]);
    copy(&config.replace("ViTForMaskedImageModeling", "DeiTModel")).refused(3, &["config.json", "architectures", "DeiTModel"]);
    copy(&config.replace("\"gelu\"", "\"relu\"")).refused(3, &["hidden_act", "relu"]);
    copy("{}").refused(3, &["architectures", "missing"]);
}
