//! `segment`: its masks computed again from `attend`, its exports read again.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Call, maskroom, number, toy, trained};
use crate::pictures::{photo, save};
use crate::readers::{has_palette, mask_from_rle, metadata, nearest, rgb, strongest, tensor};

fn segment(data: &Path, out: &Path) -> Call {
    maskroom("segment").with("--weights", trained()).with("--data", data).with("--out", out)
}

/// A folder with images of several sizes, none of which the network was trained at.
fn several_sizes(folder: &Path) -> Vec<(String, usize, usize)> {
    let sizes = [("a", 30, 50), ("b b", 64, 40), ("c", 33, 33), ("d", 100, 57)];
    for (index, (name, height, width)) in sizes.iter().enumerate() {
        save(photo(*height, *width, index as u32), &folder.join(format!("{name}.png")));
    }
    sizes.map(|(name, height, width)| (name.to_owned(), height as usize, width as usize)).to_vec()
}

/// The pixels of a mask's PNG that are not background.
fn mask_of(path: &Path) -> (Vec<bool>, usize, usize) {
    assert!(has_palette(path), "{} has no palette", path.display());
    let picture = rgb(path);
    let inside = |pixel: &image::Rgb<u8>| match pixel.0 {
        [0, 0, 0] => false,
        [128, 0, 0] => true,
        other => panic!("{other:?} is not the color of background or of class 1"),
    };
    (picture.pixels().map(inside).collect(), picture.height() as usize, picture.width() as usize)
}

/// What the mask of an image must be: the rule on the map that `attend` gives.
fn expected(image: &Path, mass: f64, map: impl Fn(&[Vec<f32>]) -> Vec<f32>, (height, width): (usize, usize)) -> Vec<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("a.safetensors");
    maskroom("attend").with("--weights", trained()).with("--images", image).with("--out", &out).json();
    let attention = tensor(&out, "attention");
    let grids: Vec<(usize, usize)> = serde_json::from_str(&metadata(&out)["grids"]).expect("grids");
    let heads: Vec<Vec<f32>> = (0..attention.shape[1]).map(|head| attention.row(&[0, head]).to_vec()).collect();
    nearest(&strongest(&map(&heads), mass), grids[0], (height, width))
}

#[test]
fn masks_hold_the_share_of_attention_at_source_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = several_sizes(&folder.path().join("images"));
    let mean =
        |heads: &[Vec<f32>]| (0..heads[0].len()).map(|cell| heads.iter().map(|head| head[cell] / heads.len() as f32).sum()).collect();
    let composite = |heads: &[Vec<f32>]| {
        let share = |head: &Vec<f32>, cell: usize| head[cell] / head.iter().sum::<f32>();
        (0..heads[0].len()).map(|cell| heads.iter().map(|head| share(head, cell)).fold(0.0, f32::max)).collect()
    };
    let second = |heads: &[Vec<f32>]| heads[1].clone();
    type Map<'a> = &'a dyn Fn(&[Vec<f32>]) -> Vec<f32>;
    let cases: [(&str, f64, Map<'_>); 4] =
        [("", 0.6, &mean), ("--head 1", 0.6, &second), ("--head composite", 0.6, &composite), ("--head mean --mass 0.3", 0.3, &mean)];
    for (index, (words, mass, map)) in cases.into_iter().enumerate() {
        let out = folder.path().join(index.to_string());
        segment(&folder.path().join("images"), &out).and(words).json();
        for (name, height, width) in &images {
            let (mask, mask_height, mask_width) = mask_of(&out.join(format!("masks/{name}.png")));
            assert_eq!((mask_height, mask_width), (*height, *width), "{name}");
            let source = folder.path().join(format!("images/{name}.png"));
            assert_eq!(mask, expected(&source, mass, map, (*height, *width)), "{words} {name}");
        }
    }
}

#[test]
fn a_mask_may_be_what_the_attention_leaves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = several_sizes(&folder.path().join("images"));
    let (kept, left) = (folder.path().join("kept"), folder.path().join("left"));
    segment(&folder.path().join("images"), &kept).and("--mass 0.8").json();
    segment(&folder.path().join("images"), &left).and("--mass 0.8 --inverted").json();
    for (name, ..) in &images {
        let [kept, left] = [&kept, &left].map(|out| mask_of(&out.join(format!("masks/{name}.png"))).0);
        assert!(kept.iter().zip(&left).all(|(kept, left)| kept != left), "{name}");
    }
    segment(&folder.path().join("images"), &folder.path().join("none")).and("--mass best").refused(2, &["--head best"]);
}

#[test]
fn coco_holds_the_same_masks_with_area_and_box() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = several_sizes(&folder.path().join("images"));
    let out = folder.path().join("out");
    let printed = segment(&folder.path().join("images"), &out).and("--format png,coco --category cell").json();
    let formats = json!([
        {"format": "png", "path": out.join("masks"), "exact": true, "masks": 4},
        {"format": "coco", "path": out.join("coco.json"), "exact": true, "masks": 4},
    ]);
    assert_eq!((&printed["images"], &printed["masks"], &printed["exports"]), (&json!(4), &json!(4), &formats));
    let coco: Value = serde_json::from_slice(&std::fs::read(out.join("coco.json")).expect("coco.json")).expect("JSON");
    assert_eq!(coco["categories"][0]["name"], "cell");
    for (index, (name, height, width)) in images.iter().enumerate() {
        let image = &coco["images"][index];
        assert_eq!(
            (&image["file_name"], &image["height"], &image["width"]),
            (&json!(format!("{name}.png")), &json!(height), &json!(width))
        );
        let annotation =
            coco["annotations"].as_array().expect("annotations").iter().find(|annotation| annotation["image_id"] == image["id"]);
        let annotation = annotation.expect("an annotation for each image");
        assert_eq!((&annotation["category_id"], &annotation["iscrowd"]), (&coco["categories"][0]["id"], &json!(0)));
        let mask = mask_from_rle(&annotation["segmentation"]);
        assert_eq!(mask, mask_of(&out.join(format!("masks/{name}.png"))).0, "{name}");
        assert_eq!(number(annotation, "area") as usize, mask.iter().filter(|&&inside| inside).count());
        let places = || (0..mask.len()).filter(|&pixel| mask[pixel]).map(|pixel| (pixel / width, pixel % width));
        let (top, bottom) = (places().map(|(y, _)| y).min().expect("pixels"), places().map(|(y, _)| y).max().expect("pixels"));
        let (left, right) = (places().map(|(_, x)| x).min().expect("pixels"), places().map(|(_, x)| x).max().expect("pixels"));
        let bbox: Vec<f64> = annotation["bbox"].as_array().expect("a box").iter().map(|side| side.as_f64().expect("a number")).collect();
        assert_eq!(bbox, [left, top, right + 1 - left, bottom + 1 - top].map(|side| side as f64), "{name}");
    }
}

#[test]
fn pieces_can_be_split_dropped_and_reduced_to_the_largest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    several_sizes(&folder.path().join("images"));
    let masks = |words: &str| {
        let out = folder.path().join(words.replace(' ', "_"));
        let printed = segment(&folder.path().join("images"), &out).and(words).json();
        let coco: Value = serde_json::from_slice(&std::fs::read(out.join("coco.json")).expect("coco.json")).expect("JSON");
        let annotations = coco["annotations"].as_array().expect("annotations");
        assert_eq!(number(&printed, "masks") as usize, annotations.len());
        let areas: Vec<f64> = annotations.iter().map(|annotation| number(annotation, "area")).collect();
        (areas.len(), areas.iter().sum::<f64>())
    };
    let (whole, pieces, largest, large) =
        (masks("--head 0"), masks("--head 0 --split"), masks("--head 0 --largest"), masks("--head 0 --split --min-area 60"));
    assert!(pieces.0 > whole.0 && pieces.1 == whole.1, "splitting keeps every pixel: {whole:?} {pieces:?}");
    assert!(largest.0 == whole.0 && largest.1 < whole.1, "{largest:?}");
    assert!(large.0 < pieces.0 && large.1 < pieces.1, "{large:?}");
}

#[test]
fn every_image_of_a_voc_set_gets_its_mask_by_its_stem_and_the_best_head_needs_truth() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let printed = segment(toy(), &out).and("--head best").json();
    assert_eq!(printed["images"], json!(64));
    for index in 0..64 {
        let path = out.join(format!("masks/toy_{index:06}.png"));
        assert!(path.is_file(), "CLI.md: DIR/masks/STEM.png for every image; no {}", path.display());
        let (mask, height, width) = mask_of(&path);
        assert!((height, width) == (32, 32) && mask.contains(&true));
    }
    several_sizes(&folder.path().join("images"));
    let refused = segment(&folder.path().join("images"), &folder.path().join("none")).and("--head best").run();
    assert!(matches!(refused.status, Some(2 | 3)) && refused.stderr.contains("truth"), "{refused:?}");
}

#[test]
fn equal_stems_in_several_folders_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, name) in ["cat/1.png", "dog/1.png", "dog/1.bmp"].iter().enumerate() {
        save(photo(32 + 4 * index as u32, 32, index as u32), &folder.path().join("images").join(name));
    }
    let out = folder.path().join("out");
    let printed = segment(&folder.path().join("images"), &out).json();
    assert_eq!(printed["exports"][0]["masks"], json!(3));
    let table: Value = serde_json::from_slice(&std::fs::read(out.join("classes.json")).expect("classes.json")).expect("JSON");
    let files = table["masks"].as_object().expect("the mask of each image");
    let mut heights: Vec<usize> = files.values().map(|file| mask_of(&out.join(file.as_str().expect("a path"))).1).collect();
    heights.sort_unstable();
    assert_eq!(heights, [32, 36, 40]);
}

#[test]
fn senseless_wishes_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path();
    segment(toy(), out).and("--mass 0").refused(2, &["mass", "0.6"]);
    segment(toy(), out).and("--mass 1.5").refused(2, &["mass"]);
    segment(toy(), out).and("--head 3").refused(2, &["no head 3", "0 to 2"]);
    segment(toy(), out).and("--head nose").refused(2, &["nose"]);
    segment(toy(), out).and("--format png,cocoa").refused(2, &["cocoa", "coco"]);
    segment(toy(), out).and("--layer 9").refused(2, &["layer"]);
}
