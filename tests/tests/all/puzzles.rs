//! Tasks without masks: colors told from lightness, and puzzles, with what is kept and shown of them.

use std::path::Path;

use crate::harness::{Call, events_of, maskroom, number, toy, toy_picture};
use crate::readers::{rgb, tensor, tensors};

/// Training a small network by a method into a new run folder.
fn pretrain(method: &str, run: &Path) -> Call {
    let words = "--set backbone.preset=vit-nano --set backbone.depth=2 --set optim.batch=16 --device cpu --threads 2";
    maskroom(&format!("pretrain --recipe {method} {words}")).with("--data", toy()).with("--out", run)
}

#[test]
fn colors_are_distributions_over_bins_and_are_drawn() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("target.safetensors");
    let target = |words: &str| {
        maskroom(&format!("target --kind color --set patch=8 {words} --images")).arg(toy_picture(0)).with("--out", &out).json();
        tensor(&out, "target")
    };
    let alike = target("--set equal=1");
    let (bins, rows) = (alike.shape[2], &alike.values);
    assert_eq!(alike.shape[..2], [1, 16]);
    assert!(
        rows.chunks_exact(bins)
            .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-3 && row.iter().filter(|&&share| share > 0.0).count() == 5)
    );
    let weighted = target("--set cells=2");
    assert_eq!(weighted.shape, [1, 16, 4 * bins]);
    let counts: Vec<f32> = weighted.values.chunks_exact(bins).map(|row| row.iter().sum()).collect();
    let (least, most) = counts.iter().fold((f32::MAX, 0.0_f32), |(least, most), &count| (least.min(count), most.max(count)));
    assert!(least < 1.0 && most > 1.0, "frequent colors count less, rare ones more: {least} to {most}");
    let drawn = folder.path().join("target.png");
    maskroom("target --kind color --set patch=4 --images").arg(toy_picture(0)).with("--out", &drawn).json();
    assert!(rgb(&drawn).width() >= 2 * 128);
    let call = |words: &str| maskroom(&format!("target --kind color {words} --images")).arg(toy_picture(0)).with("--out", &out);
    call("--set patch=8 --set cells=3").refused(2, &["target.cells", "1, 2, 4, 8"]);
    call("--set data.channels=1").refused(2, &["data.channels", "red, green and blue"]);
}

#[test]
fn a_run_that_colors_goes_on_bit_for_bit_and_shows_gray_images_beside_its_colors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = ["whole", "resumed"].map(|name| folder.path().join(name));
    let every = "--set train.checkpoint_every_steps=3 --set train.validate_every_steps=3 --set train.preview_every_steps=3";
    for run in &runs {
        pretrain("colorization", run).and(&format!("--set train.steps=6 {every}")).json();
    }
    std::fs::remove_dir_all(runs[1].join("checkpoints/00000006")).expect("the last checkpoint");
    maskroom("train --resume").arg(&runs[1]).json();
    let [one, other] = runs.each_ref().map(|run| std::fs::read(run.join("checkpoints/00000006/model.safetensors")).expect("weights"));
    assert!(one == other);
    let run = &runs[0];
    let frequencies = tensor(&run.join("target.safetensors"), "frequencies");
    assert!((frequencies.values.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    for validation in events_of(run, "validation") {
        let (loss, guess) = (number(&validation, "loss"), number(&validation, "baseline_patch_mean"));
        assert!(loss > 0.0 && guess > 0.5 && guess < 262_f64.ln() && validation["baseline_nearest"].is_null(), "{validation}");
    }
    let preview = tensors(&run.join("previews/00000006.safetensors"));
    let (shown, images) = (&preview["shown"], &preview["images"]);
    assert!(shown.shape == images.shape && shown.values != images.values);
    let page = std::fs::read_to_string(run.join("report/report.html")).expect("a report");
    assert!(page.contains("<span>Shown</span>") && !page.contains("<span>Pasted</span>") && page.contains("nothing is hidden"));

    let out = folder.path().join("strips");
    let printed = maskroom("reconstruct").with("--weights", run).with("--images", toy_picture(0)).with("--out", &out).json();
    let strip = rgb(Path::new(printed["files"][0].as_str().expect("a strip")));
    assert_eq!(strip.width(), 3 * 128 + 2 * 4, "original, shown and prediction");
    assert!(number(&printed, "loss") > 0.0);
    // In the second column, red, green and blue are the same but for rounding.
    let is_gray = |x: u32, y: u32| {
        let [red, _, blue] = strip.get_pixel(132 + x, 17 + y).0;
        red.abs_diff(blue) <= 1
    };
    assert!((0..120).all(|at| is_gray(at, at)));
}

#[test]
fn features_of_a_network_that_colors_do_not_depend_on_colors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    pretrain("colorization", &run).and("--steps 2").json();
    // Two pictures of one lightness each, of other colors: a red and the gray that is as light.
    let [red, gray] = ["red.png", "gray.png"].map(|name| folder.path().join(name));
    image::RgbImage::from_pixel(32, 32, image::Rgb([255, 0, 0])).save(&red).expect("a picture");
    image::RgbImage::from_pixel(32, 32, image::Rgb([127, 127, 127])).save(&gray).expect("a picture");
    let features = |picture: &Path| {
        let out = folder.path().join("features.safetensors");
        maskroom("embed --weights").arg(&run).and("--images").arg(picture).with("--out", &out).json();
        tensor(&out, "features").values
    };
    let (of_red, of_gray) = (features(&red), features(&gray));
    let size = of_gray.iter().map(|value| value * value).sum::<f32>().sqrt();
    let apart = of_red.iter().zip(&of_gray).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    assert!(apart < 0.02 * size, "{apart} of {size}");
}

#[test]
fn puzzles_and_answers_are_kept_with_previews_and_shown_in_the_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (method, sets, each, classes, headings) in
        [("rotation", "", 4, 4, ["Turned 0°", "Turned 270°"]), ("jigsaw", "--set data.image=24", 1, 24, ["Shuffled", "Put back"])]
    {
        let run = folder.path().join(method);
        pretrain(method, &run).and(&format!("--steps 4 --set train.preview_images=3 {sets}")).json();
        let preview = tensors(&run.join("previews/00000004.safetensors"));
        assert_eq!(preview["puzzles"].shape[..2], [3, each], "{method}");
        assert_eq!((&preview["answers"].shape[..], &preview["probabilities"].shape[..]), (&[3, each][..], &[3, each, classes][..]));
        let sums: Vec<f32> = preview["probabilities"].values.chunks_exact(classes).map(|row| row.iter().sum()).collect();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{method}: {sums:?}");
        assert!(preview["answers"].values.iter().all(|&class| class >= 0.0 && class < classes as f32));
        let page = std::fs::read_to_string(run.join("report/report.html")).expect("a report");
        assert!(headings.iter().all(|heading| page.contains(&format!("<span>{heading}</span>"))), "{method}");
        assert!(page.contains("where guessing solves"), "{method}: the verdict is about puzzles");
        assert!(run.join("report/puzzles.png").is_file());
        let accuracy = number(events_of(&run, "validation").last().expect("a validation"), "/metrics/accuracy");
        assert!((0.0..=1.0).contains(&accuracy));
    }
}
