//! `data`: what is in a folder, and toy scenes on disk.

use std::collections::{BTreeMap, BTreeSet};

use image::DynamicImage;
use serde_json::json;

use crate::harness::{maskroom, number, toy};
use crate::pictures::{broken_files, deep, gray, photo, save, translucent};
use crate::readers::{has_palette, rgb};

#[test]
fn a_folder_is_inspected_with_everything_that_is_wrong_with_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    (0..4).for_each(|variant| save(photo(48, 64, variant), &at(&format!("photo {variant}.png"))));
    save(DynamicImage::ImageLuma16(deep(&gray(40, 40, 9))), &at("deep.png"));
    save(translucent(40, 40, 9), &at("alpha.png"));
    std::fs::copy(at("photo 0.png"), at("copy.png")).expect("a copy");
    // The same picture in other bytes: a near duplicate.
    save(photo(48, 64, 1), &at("again.bmp"));
    std::fs::write(at("notes.txt"), "no image").expect("a new file");
    let broken = broken_files(folder.path());
    let found = maskroom("data inspect").arg(folder.path()).json();
    assert_eq!(found["images"], json!(8), "{found}");
    let reasons: BTreeMap<&str, &str> = found["unreadable"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (file["path"].as_str().expect("a path"), file["reason"].as_str().expect("a reason")))
        .collect();
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), broken, "a truncated file counts as unreadable");
    assert!(reasons.values().all(|reason| reason.len() > 5), "{reasons:?}");
    assert_eq!(found["duplicates"], json!([["copy.png", "photo 0.png"]]));
    assert_eq!(found["near_duplicates"], json!([["again.bmp", "photo 1.png"]]));
    assert_eq!(found["channels"], json!({"1": 1, "3": 6, "4": 1}));
    assert_eq!(found["bit_depths"], json!({"8": 7, "16": 1}));
    assert_eq!((&found["sizes"]["min"], &found["sizes"]["max"]), (&json!([40, 40]), &json!([48, 64])));
    assert_eq!(found["classes"], json!([]));
}

#[test]
fn classes_are_first_folders_and_splits_their_parents() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, name) in ["train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "val/dog/2.png"].iter().enumerate() {
        save(photo(20, 20, index as u32), &folder.path().join(name));
    }
    let found = maskroom("data inspect").arg(folder.path()).json();
    assert_eq!(found["classes"], json!([["cat", 2], ["dog", 2]]));
    assert_eq!(found["splits"], json!({"train": 3, "val": 1}));
    let words = maskroom("data inspect").arg(folder.path()).run();
    assert!(words.stdout.contains("4 images") && words.stdout.contains("cat 2"), "{}", words.stdout);
}

#[test]
fn archives_are_read_in_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inside = folder.path().join("inside");
    (0..3).for_each(|variant| save(photo(24, 24, variant), &inside.join(format!("{variant}.png"))));
    let tar = folder.path().join("images.tar");
    let packed = std::process::Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&inside).args(["0.png", "1.png", "2.png"]).status();
    if !packed.is_ok_and(|status| status.success()) {
        eprintln!("no tar here: archives are tested in the library alone");
        return;
    }
    assert_eq!(maskroom("data inspect").arg(&tar).json()["images"], json!(3));
    let bytes = std::fs::read(&tar).expect("the archive");
    let torn = folder.path().join("torn.tar");
    std::fs::write(&torn, &bytes[..bytes.len() / 3]).expect("a new file");
    let outcome = maskroom("data inspect --json").arg(&torn).run();
    let told = outcome.status == Some(3) || !outcome.json()["unreadable"].as_array().expect("a list").is_empty();
    assert!(told, "half an archive is not a whole one: {}", outcome.stdout);
}

#[test]
fn toy_scenes_are_a_voc_data_set_with_truth() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("toy");
    let made = maskroom("data make-toy --count 10 --size 40x56").with("--out", &out).json();
    assert_eq!(number(&made, "images"), 10.0);
    let stems: Vec<String> = (0..10).map(|index| format!("toy_{index:06}")).collect();
    for stem in &stems {
        let picture = rgb(&out.join(format!("JPEGImages/{stem}.png")));
        assert_eq!(picture.dimensions(), (56, 40));
        for truth in ["SegmentationClass", "SegmentationObject"] {
            let path = out.join(format!("{truth}/{stem}.png"));
            assert!(has_palette(&path), "{}", path.display());
            let mask = rgb(&path);
            assert_eq!(mask.dimensions(), (56, 40));
            let colors: BTreeSet<_> = mask.pixels().map(|pixel| pixel.0).collect();
            assert!(colors.contains(&[0; 3]) && colors.len() >= 2, "{truth}/{stem}: background and at least one object, not {colors:?}");
        }
    }
    let list = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(out.join(format!("ImageSets/Segmentation/{name}.txt"))).expect("a list");
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!([list("train"), list("val")].concat(), stems);
    assert!(!list("val").is_empty());
    let labels = std::fs::read_to_string(out.join("labels.csv")).expect("labels");
    assert_eq!(labels.lines().count(), 11);
    let found = maskroom("data inspect").arg(&out).json();
    assert_eq!((&found["images"], &found["unreadable"]), (&json!(10), &json!([])));
    assert!(found["classes"].as_array().is_some_and(|classes| classes.len() == 12), "{found}");
    maskroom("data make-toy --count 10").with("--out", &out).refused(2, &["not empty"]);
}

#[test]
fn toy_scenes_are_a_function_of_seed_and_index() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let make = |name: &str, words: &str| {
        let out = folder.path().join(name);
        maskroom(&format!("data make-toy --size 32 {words}")).with("--out", &out).json();
        std::fs::read(out.join("JPEGImages/toy_000003.png")).expect("a scene")
    };
    let (four, eight, other) = (make("four", "--count 4 --threads 1"), make("eight", "--count 8"), make("other", "--count 4 --seed 1"));
    assert_eq!(four, eight);
    assert_ne!(four, other);
    assert_eq!(four, std::fs::read(toy().join("JPEGImages/toy_000003.png")).expect("a scene"));
}
