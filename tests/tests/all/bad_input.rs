//! What input nobody wished for does to the product: bad files are skipped and named, bad wishes are refused with the cure.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::harness::{Call, events_of, maskroom, number, pretrain, toy, toy_picture, trained};
use crate::pictures::{animation, broken_files, cmyk_jpeg, deep, flat, gray, photo, photos, save, translucent};

/// Three training steps on `data` into a new run beside it.
fn train(data: &Path, run: &Path) -> Call {
    pretrain(data, run).and("--steps 3 --threads 1 --set train.log_every_steps=1")
}

#[test]
fn data_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).expect("a folder");
    std::fs::create_dir(at("texts")).expect("a folder");
    std::fs::write(at("texts/notes.txt"), "no image").expect("a file");
    std::fs::write(at("thesis.pdf"), "%PDF").expect("a file");
    for (data, words) in [("gone", "no such folder"), ("empty", "no image"), ("texts", "no image"), ("thesis.pdf", "neither a folder")] {
        let data = at(data);
        let name = data.display().to_string();
        train(&data, &run).refused(3, &[&name, words]);
        maskroom("data inspect").arg(&data).refused(3, &[&name]);
        maskroom("embed --out f.npy").with("--weights", trained()).with("--data", &data).refused(3, &[&name]);
        maskroom("segment --out masks").with("--weights", trained()).with("--data", &data).refused(3, &[&name]);
        assert!(!run.exists(), "no run is made for data that is not there");
    }
}

#[test]
fn damaged_files_among_good_ones_are_named_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    photos(&data, 20, 40, 40);
    let broken = broken_files(&data);
    let printed = pretrain(&data, &run).and("--steps 8 --threads 1 --set data.held_out=0").json();
    assert!(printed["steps"] == json!(8) && number(&printed, "last_loss").is_finite(), "{printed}");
    let warned: BTreeSet<String> =
        events_of(&run, "warning").iter().map(|warning| warning["message"].as_str().expect("a message").to_owned()).collect();
    for name in &broken {
        let about: Vec<_> = warned.iter().filter(|message| message.contains(name)).collect();
        assert_eq!(about.len(), 1, "{name} is named once: {warned:?}");
    }
    // Looking leaves them out too, and says so.
    let out = folder.path().join("f.npy");
    let embedded = maskroom("embed").with("--weights", &run).with("--data", &data).with("--out", &out).json();
    assert_eq!(embedded["shape"], json!([20, 96]));
    assert_eq!(embedded["unreadable"].as_array().map(Vec::len), Some(broken.len()), "{embedded}");
    let outcome = maskroom("segment").with("--weights", &run).with("--data", &data).with("--out", folder.path().join("masks")).run();
    assert_eq!(outcome.status, Some(0));
    assert!(broken.iter().all(|name| outcome.stderr.contains(name)), "{}", outcome.stderr);
}

#[test]
fn files_that_claim_more_pixels_than_any_memory_holds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let claims: [(&str, &[u8]); 4] = [
        ("a.ppm", b"P6 100000 100000 255\n\0\0\0"),
        ("b.ppm", b"P6 4294967295 4294967295 255\n\0\0\0"),
        ("c.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;"),
        ("d.ppm", b"P6 0 7 255\n"),
    ];
    claims.iter().for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).expect("a file"));
    save(photo(32, 32, 0), &folder.path().join("good.png"));
    let found = maskroom("data inspect").arg(folder.path()).json();
    let named: Vec<_> = found["unreadable"].as_array().expect("a list").iter().map(|file| file["path"].as_str().expect("a path")).collect();
    assert_eq!((named, &found["images"]), (claims.map(|(name, _)| name).to_vec(), &json!(1)));
}

#[test]
fn nothing_but_damaged_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    std::fs::create_dir(&data).expect("a folder");
    broken_files(&data);
    train(&data, &run).refused(3, &[]);
    maskroom("embed --out f.npy").with("--weights", trained()).with("--data", &data).refused(3, &["none of the images"]);
    assert_eq!(maskroom("data inspect").arg(&data).json()["images"], json!(0));
}

#[test]
fn one_image_and_fewer_than_a_batch() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for count in [1, 5] {
        let (data, run) = (folder.path().join(format!("data{count}")), folder.path().join(format!("run{count}")));
        photos(&data, count, 32, 32);
        let printed = train(&data, &run).and("--set optim.batch=64").json();
        assert!(printed["steps"] == json!(3) && number(&printed, "last_loss").is_finite(), "{count}: {printed}");
    }
    maskroom("evaluate knn").with("--weights", trained()).with("--data", folder.path().join("data1")).refused(3, &["class"]);
}

#[test]
fn images_smaller_than_the_crop_and_needles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    for (index, (height, width)) in [(5, 7), (1, 1), (3, 200), (200, 2), (31, 33), (2, 2)].into_iter().enumerate() {
        save(photo(height, width, index as u32), &data.join(format!("{index}.png")));
    }
    assert!(number(&train(&data, &run).and("--set optim.batch=4").json(), "last_loss").is_finite());
    let out = folder.path().join("masks");
    let printed = maskroom("segment").with("--weights", &run).with("--data", &data).with("--out", &out).json();
    assert_eq!(printed["images"], json!(6));
    assert_eq!(image::image_dimensions(out.join("masks/2.png")).expect("a mask"), (200, 3));
}

#[test]
fn every_kind_of_picture_trains() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    let at = |name: &str| data.join(name);
    save(photo(40, 40, 0), &at("color.jpg"));
    save(gray(40, 40, 1), &at("gray.png"));
    save(image::DynamicImage::ImageLuma16(deep(&gray(40, 40, 2))), &at("deep.png"));
    save(translucent(40, 40, 3), &at("alpha.png"));
    save(flat(40, 40, [0; 3]), &at("black.bmp"));
    animation(40, 40, &at("animated.gif"));
    std::fs::write(at("print.jpg"), cmyk_jpeg(40)).expect("a file");
    save(photo(40, 40, 4), &at("sp ace ünïcode 漢字.webp"));
    save(photo(40, 40, 5), &at("UPPER.PNG"));
    let printed = train(&data, &run).and("--set optim.batch=9 --set data.held_out=0").json();
    assert!(number(&printed, "last_loss").is_finite());
    assert_eq!(events_of(&run, "warning"), [json!(null); 0], "each of them is read");
    assert_eq!(events_of(&run, "started")[0]["images"], json!(9));
}

#[test]
fn places_that_cannot_be_written() {
    // A file as parent cannot be written below, whoever asks: permissions do not bind root.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let below = |name: &str| file.join(name);
    let shown = file.display().to_string();
    let refused = |call: Call| {
        let outcome = call.run();
        assert!(matches!(outcome.status, Some(1..=2)) && outcome.stderr.contains(&shown), "{outcome:?}");
    };
    refused(train(toy(), &below("run")));
    refused(train(toy(), &file));
    refused(maskroom("mask --strategy random --grid 4x4 --count 1").with("--out", below("m.npy")));
    refused(maskroom("data make-toy --count 1").with("--out", below("toy")));
    let look = |command: &str, out: &str| {
        maskroom(command).with("--weights", trained()).with("--images", toy_picture(0)).with("--out", below(out))
    };
    refused(look("embed", "f.npy"));
    refused(look("embed", "f.csv"));
    refused(look("embed", "f.safetensors"));
    refused(look("attend", "a.safetensors"));
    refused(look("attend", "maps"));
    refused(look("reconstruct", "strips"));
    refused(maskroom("segment").with("--weights", trained()).with("--data", toy()).with("--out", below("masks")));
    refused(maskroom("target --kind pixels").with("--images", toy_picture(0)).with("--out", below("t.safetensors")));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "in the way");
}

#[test]
fn a_reason_is_said_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let outcome = maskroom("mask --strategy random --grid 4x4 --count 1").with("--out", file.join("m.npy")).refused(1, &["cannot write"]);
    assert_eq!(outcome.stderr.matches("(os error").count(), 1, "{}", outcome.stderr);
}

#[test]
fn wishes_that_contradict_themselves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    let refused = |settings: &str, words: &[&str]| {
        train(toy(), &run).and(settings).refused(2, words);
        assert!(!run.exists(), "{settings}: no run is made");
    };
    refused("--set mask.ratio=1.0", &["mask.ratio", "visible"]);
    refused("--set mask.ratio=0.0", &["mask.ratio", "masks none"]);
    refused("--set data.image=[16,16] --set backbone.patch=32", &["data.image", "smaller than the patch"]);
    refused("--set data.image=[33,32]", &["33", "32 or 36"]);
    refused("--set optim.bach=64", &["optim.bach", "did you mean `optim.batch`"]);
    refused("--set batch=64", &["batch", "optim.batch"]);
    refused("--set optim.batch=lots", &["optim.batch", "lots", "whole number"]);
    refused("--set optim.batch=0", &["optim.batch", "1 to"]);
    refused("--set mask.kind=randon", &["did you mean `random`"]);
    refused("--set target.kind=pixel", &["pixels"]);
    refused("--set backbone.preset=vit-nono", &["vit-nano"]);
    refused("--set backbone.heads=5", &["backbone.heads", "96"]);
    refused("--set optim.base_lr=-1", &["optim.base_lr"]);
    refused("--set optim.base_lr=nan", &["optim.base_lr"]);
    refused("--set optim", &["KEY=VALUE"]);
    let outcome = train(toy(), &run).and("--set optim.bach=64 --set mask.ratio=1.0 --set backbone.heads=5").run();
    assert!(
        ["optim.bach", "mask.ratio", "backbone.heads"].iter().all(|key| outcome.stderr.contains(key)),
        "all at once: {}",
        outcome.stderr
    );
    let preset = maskroom("pretrain --recipe mea --steps 1").with("--data", toy()).with("--out", &run);
    preset.refused(2, &["mea", "did you mean `mae`"]);
    let file = maskroom("pretrain --recipe ./gone.toml --steps 1").with("--data", toy()).with("--out", &run);
    file.refused(2, &["gone.toml"]);
    train(toy(), &run).and("--device gpu:99").run();
}

#[test]
fn weights_that_are_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = std::fs::read(trained().join("checkpoints/00000030/model.safetensors")).expect("a model");
    let file = folder.path().join("w.safetensors");
    let mut header_gone = good.clone();
    header_gone[..64].fill(0xFF);
    let mut huge_header = good.clone();
    huge_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let text = |from: &str, to: &str| -> Vec<u8> {
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap_or_else(|| panic!("no {from}"));
        [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
    };
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty", Vec::new()),
        ("text", b"these are no weights".to_vec()),
        ("half", good[..good.len() / 2].to_vec()),
        ("one byte short", good[..good.len() - 1].to_vec()),
        ("header", header_gone),
        ("huge header", huge_header),
        ("other shape", text("[288,96]", "[96,288]")),
        ("other name", text("\"norm.weight\"", "\"form.weight\"")),
    ];
    for (case, bytes) in cases {
        std::fs::write(&file, bytes).expect("a file");
        for command in ["embed --out f.npy", "attend --out a.safetensors", "reconstruct --out strips"] {
            let outcome = maskroom(command).with("--weights", &file).with("--images", toy_picture(0)).run();
            assert_eq!(outcome.status, Some(3), "{case}: {command}: {outcome:?}");
            assert!(outcome.stderr.contains("w.safetensors"), "{case}: {}", outcome.stderr);
        }
    }
    let embed = |weights: &Path| maskroom("embed --out f.npy").with("--weights", weights).with("--images", toy_picture(0));
    embed(Path::new("/nowhere")).refused(3, &["/nowhere"]);
    embed(folder.path()).refused(3, &["neither a run nor a checkpoint"]);
    embed(&toy_picture(0)).refused(3, &["toy_000000.png"]);
}
