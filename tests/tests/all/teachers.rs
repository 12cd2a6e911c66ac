//! Runs whose targets a network makes: its own running average, or other weights.

use std::path::Path;

use crate::harness::{Call, events_of, maskroom, number, toy, toy_picture};
use crate::readers::{tensor, tensors};

/// Training a small network by a method into a new run folder.
fn pretrain(method: &str, run: &Path) -> Call {
    let words = "--set backbone.preset=vit-nano --set backbone.depth=2 --set optim.batch=16 --device cpu";
    maskroom(&format!("pretrain --recipe {method} {words}")).with("--data", toy()).with("--out", run)
}

#[test]
fn a_run_that_its_own_average_teaches_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for method in ["data2vec", "ijepa"] {
        let [whole, resumed] = ["whole", "resumed"].map(|name| folder.path().join(format!("{method}-{name}")));
        let run = |run: &Path| {
            let every_third = "--set train.checkpoint_every_steps=3 --set train.validate_every_steps=3";
            pretrain(method, run).and("--set train.steps=6 --set optim.ema=0.9").and(every_third).json();
        };
        [&whole, &resumed].into_iter().for_each(|folder| run(folder));
        std::fs::remove_dir_all(resumed.join("checkpoints/00000006")).expect("the last checkpoint");
        assert_eq!(maskroom("train --resume").arg(&resumed).json()["resumed_from"], 3);
        let file = |run: &Path, name: &str| std::fs::read(run.join("checkpoints/00000006").join(name)).expect("a checkpoint's file");
        for name in ["model.safetensors", "optimizer.safetensors"] {
            assert_eq!(file(&whole, name), file(&resumed, name), "{method}: {name}");
        }
        // What is asked for differs from patch to patch, and what needs no network is told beside each validation.
        for validation in events_of(&whole, "validation") {
            let spread = number(&validation, "/metrics/target_spread");
            assert!((0.1..=1.0).contains(&spread) && number(&validation, "baseline_patch_mean") > 0.0, "{method}: {validation}");
        }
    }
}

#[test]
fn a_run_keeps_its_teacher_and_needs_no_other_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [teacher, student] = ["teacher", "student"].map(|name| folder.path().join(name));
    pretrain("mae", &teacher).and("--steps 2").json();
    let targets = folder.path().join("targets.safetensors");
    let image = toy_picture(0);
    let call = maskroom("target --kind features --set scaling=none --set backbone.patch=4 --set data.image=32 --fit --images").arg(&image);
    call.and("--set").arg(format!("teacher={}", teacher.display())).with("--out", &targets).json();
    assert_eq!(tensor(&targets, "target").shape, [1, 64, 96]);

    let call = pretrain("maskfeat", &student).and("--set target.kind=features --set mask.min_block=4 --steps 2");
    call.and("--set").arg(format!("target.teacher={}", teacher.display())).json();
    std::fs::remove_dir_all(&teacher).expect("the teacher's run");
    let kept = tensors(&student.join("target.safetensors"));
    assert!(kept.keys().any(|name| name.starts_with("teacher.blocks.0.")), "{:?}", kept.keys());
    maskroom("train --resume --steps 4").arg(&student).json();
    let strips = folder.path().join("strips");
    let printed = maskroom("reconstruct --weights").arg(&student).and("--images").arg(&image).with("--out", &strips).json();
    assert!(number(&printed, "loss") > 0.0);
}
