//! Runs that compare views of images: what they keep, what they tell, and what can be done with them.

use std::path::{Path, PathBuf};

use crate::harness::{Call, events_of, maskroom, number, toy, toy_picture};
use crate::readers::{tensor, tensors};

/// A small plain transformer, and a small residual network.
const VIT: &str = "--set backbone.preset=vit-nano --set backbone.depth=2";
const RESNET: &str = "--set backbone.preset=resnet-nano --set backbone.width=8";

/// Training a small network by a method into a new run folder.
fn pretrain(method: &str, backbone: &str, run: &Path) -> Call {
    let head = match method {
        "dino" | "ibot" | "dinov2" | "swav" => {
            "--set decoder.hidden=64 --set augment.local_views=2 --set decoder.prototypes=64 --set decoder.bottleneck=32"
        }
        "moco-v1" | "moco-v2" => "--set target.queue=64 --set decoder.width=32 --set decoder.hidden=64",
        "rotation" => "",
        "jigsaw" => "--set data.image=24",
        _ => "--set decoder.width=32 --set decoder.hidden=64",
    };
    maskroom(&format!("pretrain --recipe {method} {backbone} --set optim.batch=16 --device cpu {head}"))
        .with("--data", toy())
        .with("--out", run)
}

/// The checkpoint of step 6 of a run, and of one that lost it and went on from step 3.
fn whole_and_resumed(method: &str, backbone: &str, folder: &Path, sets: &str) -> [PathBuf; 2] {
    let runs = ["whole", "resumed"].map(|name| folder.join(format!("{method}-{name}")));
    for run in &runs {
        pretrain(method, backbone, run).and("--set train.steps=6 --set train.checkpoint_every_steps=3").and(sets).json();
    }
    std::fs::remove_dir_all(runs[1].join("checkpoints/00000006")).expect("the last checkpoint");
    assert_eq!(maskroom("train --resume").arg(&runs[1]).json()["resumed_from"], 3, "{method}");
    for name in ["model.safetensors", "optimizer.safetensors"] {
        let [one, other] =
            runs.each_ref().map(|run| std::fs::read(run.join("checkpoints/00000006").join(name)).expect("a checkpoint's file"));
        assert_eq!(one, other, "{method}: {name}");
    }
    runs
}

#[test]
fn every_method_goes_on_bit_for_bit_whatever_moves_its_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (method, sets) in [
        ("swav", "--set optim.kind=larc"),
        ("simclr", "--set optim.kind=lars"),
        ("moco-v2", ""),
        ("moco-v3", ""),
        ("byol", ""),
        ("simsiam", "--set optim.kind=sgd --set optim.steady=[\"head.predictor\"]"),
        ("lejepa", "--set augment.local_views=2 --set objective.slices=64"),
        ("rotation", ""),
        ("jigsaw", ""),
    ] {
        let [whole, _] = whole_and_resumed(method, VIT, folder.path(), &format!("--set train.log_every_steps=2 {sets}"));
        for step in events_of(&whole, "step") {
            let figure = if ["rotation", "jigsaw"].contains(&method) { "accuracy" } else { "feature_spread" };
            assert!(number(&step, &format!("/metrics/{figure}")) >= 0.0, "{method}: {step}");
            // What a contrast certifies is at most the logarithm of its candidates.
            if ["simclr", "moco-v2", "moco-v3"].contains(&method) {
                assert!(number(&step, "/metrics/information") <= 65_f64.ln(), "{method}: {step}");
            }
        }
        let model = tensors(&whole.join("checkpoints/00000006/model.safetensors"));
        let has_teacher = ["moco-v2", "moco-v3", "byol"].contains(&method);
        assert_eq!(model.contains_key("teacher.cls_token"), has_teacher, "{method}");
        assert_eq!(model.contains_key("head.predictor.layers.0.weight"), ["moco-v3", "byol", "simsiam"].contains(&method), "{method}");
    }
    // What is frozen stays as it was.
    let first = tensor(&folder.path().join("moco-v3-whole/checkpoints/00000003/model.safetensors"), "patch_embed.proj.weight");
    let last = tensor(&folder.path().join("moco-v3-whole/checkpoints/00000006/model.safetensors"), "patch_embed.proj.weight");
    assert_eq!(first.values, last.values);
}

#[test]
fn a_run_goes_on_bit_for_bit_center_and_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let every = "--set train.validate_every_steps=3 --set train.preview_every_steps=3 --set train.log_every_steps=1";
    let [whole, _] = whole_and_resumed("dino", VIT, folder.path(), &format!("{every} --set backbone.drop_path=0.2"));
    let path = |run: &Path, name: &str| run.join("checkpoints/00000006").join(name);
    let model = tensors(&path(&whole, "model.safetensors"));
    for name in ["cls_token", "teacher.cls_token", "head.mlp.0.weight", "teacher.head.last_layer.weight_v", "teacher.blocks.1.mlp.fc2.bias"]
    {
        assert!(model.contains_key(name), "{name} in {:?}", model.keys());
    }
    assert_eq!(tensor(&path(&whole, "optimizer.safetensors"), "lesson.center").shape, [1, 64]);

    // What tells of a collapse stands in every line of the log, and what features are good for beside each validation.
    for step in events_of(&whole, "step") {
        let metric = |name: &str| number(&step, &format!("/metrics/{name}"));
        assert!((0.0..=64_f64.ln() + 1e-3).contains(&metric("teacher_entropy")) && metric("kl") > -1e-4, "{step}");
        assert!((1.0 / 64.0..1.0).contains(&metric("teacher_peak")) && metric("feature_spread") > 0.0, "{step}");
        // The loss is what they add up to.
        assert!((number(&step, "loss") - metric("kl") - metric("teacher_entropy")).abs() < 1e-3, "{step}");
    }
    for validation in events_of(&whole, "validation") {
        let metric = |name: &str| number(&validation, &format!("/metrics/{name}"));
        assert!(metric("effective_rank") > 1.0 && metric("feature_spread") > 0.0 && number(&validation, "loss") > 0.0, "{validation}");
    }
    let preview = tensors(&whole.join("previews/00000006.safetensors"));
    assert!(preview.contains_key("attention") && !preview.contains_key("prediction"));
    assert!(whole.join("report/attention.png").is_file() && !whole.join("report/reconstructions.png").exists());
}

#[test]
fn runs_that_hide_patches_go_on_bit_for_bit_with_both_centers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let every = "--set train.validate_every_steps=3 --set train.log_every_steps=1 --set optim.accumulate=2";
    for (method, sets, centers) in [
        ("ibot", "--set decoder.patches=own --set backbone.drop_path=0.2", Some(2)),
        ("dinov2", "--set target.balance=sinkhorn --set mask.kind=random", None),
    ] {
        let [whole, _] = whole_and_resumed(method, VIT, folder.path(), &format!("{every} {sets}"));
        let checkpoint = whole.join("checkpoints/00000006");
        let model = tensors(&checkpoint.join("model.safetensors"));
        for name in ["mask_token", "teacher.mask_token", "head.last_layer.weight_v"] {
            assert!(model.contains_key(name), "{method}: {name} in {:?}", model.keys());
        }
        let has_own = method == "ibot";
        assert_eq!(model.contains_key("teacher.patch_head.last_layer.weight_v"), has_own, "{method}");
        let optimizer = tensors(&checkpoint.join("optimizer.safetensors"));
        assert_eq!(optimizer.contains_key("lesson.center"), centers.is_some(), "{method}");
        if let Some(rows) = centers {
            let center = tensor(&checkpoint.join("optimizer.safetensors"), "lesson.center");
            assert_eq!(center.shape, [rows, 64]);
            assert!(center.values.chunks_exact(64).all(|center| center.iter().any(|value| value.abs() > 1e-5)));
        }
        for step in events_of(&whole, "step") {
            let metric = |name: &str| number(&step, &format!("/metrics/{name}"));
            assert!(metric("patch_loss") >= 0.0 && (0.0..=64_f64.ln() + 1e-3).contains(&metric("patch_entropy")), "{step}");
            assert!((metric("class_loss") - metric("kl") - metric("teacher_entropy")).abs() < 1e-3, "{step}");
            let koleo = if method == "dinov2" { 0.1 * metric("koleo") } else { 0.0 };
            assert!((number(&step, "loss") - metric("class_loss") - metric("patch_loss") - koleo).abs() < 1e-3, "{step}");
        }
        assert!(events_of(&whole, "validation").iter().all(|found| number(found, "loss") > 0.0));
    }
}

#[test]
fn its_weights_are_looked_into_and_draw_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let printed = pretrain("dino", VIT, &run).and("--steps 4 --set optim.ema=0.5").json();
    assert!(number(&printed, "first_loss") > 0.0);
    let image = toy_picture(0);
    let [attention, features] = ["attention.safetensors", "features.safetensors"].map(|name| folder.path().join(name));
    maskroom("attend --weights").arg(&run).and("--images").arg(&image).with("--out", &attention).json();
    let heads = tensor(&attention, "attention").shape;
    assert_eq!(heads[..2], [1, 3]);
    let embed = |kind: &str| {
        maskroom("embed --pool cls --weights")
            .arg(&run)
            .and("--weights-kind")
            .arg(kind)
            .and("--images")
            .arg(&image)
            .with("--out", &features)
            .json();
        tensor(&features, "features").values
    };
    // The teacher is what is used unless something else is asked for.
    let [best, teacher, ema, raw] = ["best", "teacher", "ema", "raw"].map(embed);
    assert!(best == teacher && best == ema && best != raw);
    maskroom("evaluate knn --weights").arg(&run).with("--data", toy()).json();
    maskroom("evaluate jaccard --weights").arg(&run).with("--data", toy()).json();
    // Objects are found among its keys too: one, or up to three, in every image.
    for (method, most) in [("lost", 1), ("tokencut", 1), ("maskcut", 3)] {
        let masks = folder.path().join(method);
        let printed = maskroom(&format!("segment --method {method} --format png,coco --weights")).arg(&run);
        let printed = printed.with("--data", toy()).with("--out", &masks).json();
        let count = number(&printed, "masks") as usize;
        assert!((64..=64 * most).contains(&count), "{method}: {count}");
        assert!(printed["exports"].as_array().expect("exports").iter().all(|export| export["exact"] == true), "{printed}");
        assert!(masks.join("masks/toy_000063.png").is_file());
    }
    let animation = folder.path().join("heads.gif");
    let printed = maskroom("attend --fps 4 --weights").arg(&run).with("--data", toy()).with("--out", &animation).json();
    assert_eq!(printed["names"].as_array().map(Vec::len), Some(64));
    assert!(std::fs::read(&animation).expect("an animation").starts_with(b"GIF89a"));
    maskroom("reconstruct --weights").arg(&run).and("--images").arg(&image).with("--out", &out).refused(2, &["dino", "attend"]);
}

#[test]
fn what_does_not_go_together_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = |method: &str, sets: &[&str], words: &[&str]| {
        let run = folder.path().join("never");
        let call = maskroom(&format!("pretrain --recipe {method} --steps 1")).with("--data", toy()).with("--out", &run);
        sets.iter().fold(call, |call, set| call.and("--set").arg(set)).refused(2, words);
        assert!(!run.exists());
    };
    refused("dino", &["mask.ratio=0.5"], &["mask.ratio", "nothing is hidden"]);
    refused("dino", &["augment.views=1"], &["augment.views", "use 2"]);
    refused("dino", &["optim.ema=0"], &["optim.ema"]);
    refused("dino", &["target.kind=pixels"], &["target.kind", "assignments"]);
    refused("simclr", &["objective.kind=mse"], &["objective.kind", "info_nce", "view_cosine"]);
    refused("simclr", &["augment.local_views=2"], &["augment.views", "two sides"]);
    refused("moco-v2", &["target.queue=100"], &["target.queue", "multiple of 64"]);
    refused("simsiam", &["optim.steady=[\"head\"]"], &["optim.steady", "one rate"]);
    refused("dino", &["augment.local_image=[90, 90]"], &["augment.local_image", "16"]);
    refused("dino", &["backbone.preset=swin-t"], &["augment.local_views", "one size"]);
    refused("dino", &["augment.blur=[0.5]"], &["augment.blur", "three numbers"]);
    refused("ibot", &["backbone.preset=swin-t", "augment.local_views=0"], &["decoder.patches", "vit"]);
    refused("ibot", &["target.teacher=itself"], &["target.teacher", "average"]);
    refused("ibot", &["mask.kind=grid"], &["mask.kind", "block"]);
    refused("ibot", &["mask.masked=20"], &["mask.masked", "mask.ratio"]);
    refused("ibot", &["mask.ratio=0"], &["mask.ratio", "decoder.patches"]);
    refused("ibot", &["mask.ratio=0.9", "target.ratio_spread=0.1"], &["mask.ratio", "visible"]);
    refused("lejepa", &["objective.kind=info_nce"], &["objective.kind", "mean_view"]);
    refused("lejepa", &["target.kind=views"], &["objective.kind", "mean_view"]);
    refused("lejepa", &["decoder.predictor_layers=2"], &["decoder.predictor_layers", "use 0"]);
    refused("lejepa", &["augment.views=1"], &["augment.views", "use 2"]);
    refused("simclr", &["target.kind=mean_view"], &["objective.kind", "sigreg"]);
    refused("mae", &["augment.views=2"], &["augment.views", "one view"]);
    refused("mae", &["target.kind=assignments"], &["target.kind", "whole views"]);
}

#[test]
fn residual_networks_are_trained_kept_and_looked_into() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for method in ["simclr", "moco-v1", "moco-v2", "moco-v3", "byol", "simsiam", "swav", "dino", "rotation"] {
        let every = "--set train.preview_every_steps=3 --set train.validate_every_steps=3";
        let [whole, _] = whole_and_resumed(method, RESNET, folder.path(), every);
        let model = tensors(&whole.join("checkpoints/00000006/model.safetensors"));
        let running = |name: &str| model.get(name).unwrap_or_else(|| panic!("{method}: no {name}")).values.clone();
        assert!(running("bn1.running_var").iter().all(|&variance| variance > 0.0 && variance != 1.0), "{method}");
        assert_eq!(running("layer4.0.downsample.1.running_mean").len(), 64);
        let has_teacher = ["moco-v1", "moco-v2", "moco-v3", "byol", "dino"].contains(&method);
        assert_eq!(model.contains_key("teacher.layer1.0.bn2.running_mean"), has_teacher, "{method}");
        let preview = tensors(&whole.join("previews/00000006.safetensors"));
        assert_eq!(preview["attention"].shape[1..], [1, 32 * 32], "{method}: where features are long");
    }
    let run = folder.path().join("simclr-whole");
    let features = folder.path().join("features.safetensors");
    let embed = |pool: &str| {
        let call = maskroom("embed --weights").arg(&run).and(&format!("--pool {pool}"));
        call.with("--data", toy()).with("--out", &features)
    };
    embed("mean").json();
    assert_eq!(tensor(&features, "features").shape, [64, 64]);
    embed("patches").json();
    assert_eq!(tensor(&features, "features").shape[1..], [4 * 4, 64]);
    embed("cls").refused(2, &["--pool mean"]);
    maskroom("evaluate knn --weights").arg(&run).with("--data", toy()).json();
    maskroom("attend --weights").arg(&run).and("--images").arg(toy_picture(0)).with("--out", &features).refused(2, &["convolutions"]);
    pretrain("mae", RESNET, &folder.path().join("masked")).refused(2, &["backbone.kind", "simclr"]);
}

#[test]
fn an_encoder_goes_on_in_another_method() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [masked, views, back] = ["masked", "views", "back"].map(|name| folder.path().join(name));
    maskroom("pretrain --recipe mae --set optim.batch=16 --steps 2 --device cpu")
        .and(VIT)
        .with("--data", toy())
        .with("--out", &masked)
        .json();
    pretrain("dino", VIT, &views).and("--steps 1 --set optim.base_lr=0 --set optim.min_lr=0").with("--init", &masked).json();
    let of = |run: &Path, step: u64, name: &str| tensor(&run.join(format!("checkpoints/{step:08}/model.safetensors")), name).values;
    for name in ["blocks.1.mlp.fc1.weight", "cls_token", "norm.weight"] {
        assert_eq!(of(&masked, 2, name), of(&views, 1, name), "{name}");
    }
    pretrain("simclr", VIT, &back).and("--steps 1").with("--init", &views).json();
    let other = pretrain("simclr", VIT, &folder.path().join("other")).and("--steps 1 --set backbone.depth=3").with("--init", &views);
    other.refused(3, &["blocks.2"]);
}
