//! Pascal VOC: `JPEGImages`, `SegmentationClass`, `SegmentationObject`, lists of splits; and what `data make-toy` writes beside them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::layout::{Files, Layout, split_of};
use super::{Item, Truth, Unreadable};

/// The classes of Pascal VOC; label k of a mask is entry k - 1.
const VOC_CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// Nothing unless some image lies in a folder `JPEGImages`. Only images in such folders count: masks are not images.
pub(super) fn recognize(files: &Files) -> Option<Layout> {
    let mut layout = Layout::default();
    let mut bases = BTreeSet::new();
    for (name, location) in files.images() {
        let Some((base, below)) = base_of(name) else { continue };
        bases.insert(base);
        let stem = stem(below);
        let mask = |folder: &str| files.get(&format!("{base}{folder}/{stem}.png")).cloned();
        let (classes, instances) = (mask("SegmentationClass"), mask("SegmentationObject"));
        let truth = (classes.is_some() || instances.is_some()).then_some(Truth::Masks { classes, instances });
        layout.items.push(Item { truth, ..Item::new(name.to_owned(), location.clone()) });
    }
    let first_base = bases.first()?;
    let mut trouble = |path: String, reason: String| layout.unreadable.push(Unreadable { path, reason });
    let mut splits = HashMap::new();
    let mut labels = HashMap::new();
    for base in &bases {
        for split in ["train", "val", "test"] {
            let path = format!("{base}ImageSets/Segmentation/{split}.txt");
            match files.text(&path) {
                Some(Ok(text)) => splits
                    .extend(text.lines().filter_map(|line| Some(((*base, line.split_whitespace().next()?.to_owned()), split_of(split)?)))),
                Some(Err(reason)) => trouble(path, reason),
                None => {}
            }
        }
        let path = format!("{base}labels.csv");
        match files.text(&path) {
            Some(Ok(text)) => labels.extend(rows(&text).map(|(stem, class)| ((*base, stem), class))),
            Some(Err(reason)) => trouble(path, reason),
            None => {}
        }
    }
    let path = format!("{first_base}classes.json");
    let named = match files.text(&path).map(|text| text.and_then(|text| class_names(&text))) {
        Some(Ok(names)) => Some(names),
        Some(Err(reason)) => {
            trouble(path, reason);
            None
        }
        None => None,
    };
    layout.classes = named.unwrap_or_else(|| default_classes(&labels));
    for item in &mut layout.items {
        let Some((base, below)) = base_of(&item.name) else { continue };
        let key = (base, stem(below).to_owned());
        item.split = splits.get(&key).copied();
        item.class = labels.get(&key).and_then(|label| class_index(label, &layout.classes));
    }
    Some(layout)
}

/// `a/JPEGImages/b.jpg` is `a/` and `b.jpg`.
fn base_of(name: &str) -> Option<(&str, &str)> {
    if let Some(below) = name.strip_prefix("JPEGImages/") {
        return Some(("", below));
    }
    let place = name.find("/JPEGImages/")?;
    Some((&name[..=place], &name[place + "/JPEGImages/".len()..]))
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The rows `stem,class` without the header.
fn rows(text: &str) -> impl Iterator<Item = (String, String)> {
    let unquoted = |cell: &str| cell.trim().trim_matches('"').to_owned();
    let is_header = |stem: &str| matches!(stem, "stem" | "image" | "name" | "file" | "filename");
    text.lines()
        .filter_map(move |line| line.split_once(','))
        .map(move |(stem, class)| (unquoted(stem), unquoted(class)))
        .enumerate()
        .filter_map(move |(row, (name, class))| {
            let header = row == 0 && is_header(&name.to_ascii_lowercase());
            let name = if super::listing::is_image(&name) { stem(&name).to_owned() } else { name };
            (!header && !class.is_empty()).then_some((name, class))
        })
}

/// `{"1": "star", "2": "disc"}` or `["star", "disc"]`.
fn class_names(text: &str) -> Result<Vec<String>, String> {
    const EXPECTED: &str = "it should map label numbers to names, such as {\"1\": \"star\"}";
    if let Ok(mut names) = serde_json::from_str::<Vec<String>>(text) {
        if names.first().is_some_and(|name| name == "background") {
            names.remove(0);
        }
        return Ok(names);
    }
    let by_label: BTreeMap<u16, String> = serde_json::from_str(text).map_err(|error| format!("{EXPECTED} ({error})"))?;
    let last = by_label.keys().next_back().copied().unwrap_or(0);
    Ok((1..=last).map(|label| by_label.get(&label).cloned().unwrap_or_else(|| format!("class {label}"))).collect())
}

fn default_classes(labels: &HashMap<(&str, String), String>) -> Vec<String> {
    let named: BTreeSet<&String> = labels.values().filter(|label| label.parse::<usize>().is_err()).collect();
    if named.iter().all(|name| VOC_CLASSES.contains(&name.as_str())) {
        VOC_CLASSES.iter().map(|name| (*name).to_owned()).collect()
    } else {
        named.into_iter().cloned().collect()
    }
}

/// A label is a name, or the number that masks use.
fn class_index(label: &str, classes: &[String]) -> Option<usize> {
    let by_number = || label.parse::<usize>().ok()?.checked_sub(1).filter(|&index| index < classes.len());
    classes.iter().position(|class| class == label).or_else(by_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{encoded, palette_png, photo, tar_of};
    use crate::dataset::{Dataset, LabelMap, Split};

    #[test]
    fn images_masks_splits_and_classes_come_together() {
        let image = encoded(&photo(2, 3).into(), image::ImageFormat::Png);
        let (mask, objects) = (palette_png(3, 2, &[0, 1, 2, 0, 255, 0]), palette_png(3, 2, &[0, 1, 2, 0, 255, 3]));
        let files: [(&str, &[u8]); 9] = [
            ("JPEGImages/a.png", &image),
            ("JPEGImages/b.png", &image),
            ("JPEGImages/c.png", &image),
            ("SegmentationClass/a.png", &mask),
            ("SegmentationObject/a.png", &objects),
            ("ImageSets/Segmentation/train.txt", b"a\n"),
            ("ImageSets/Segmentation/val.txt", b"b \r\n"),
            ("classes.json", br#"{"1": "star", "2": "disc"}"#),
            ("labels.csv", b"stem,class\na,disc\nb,1\n"),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            crate::dataset::tests::write(folder.path(), name, bytes);
        }
        let inside: Vec<(String, &[u8])> = files.iter().map(|(name, bytes)| (format!("VOCdevkit/toy/{name}"), *bytes)).collect();
        let tar = folder.path().join("x.tar");
        std::fs::write(&tar, tar_of(&inside.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>())).unwrap();
        for root in [folder.path(), &tar] {
            let dataset = Dataset::open(root).unwrap();
            assert!(dataset.unreadable.is_empty());
            assert_eq!(dataset.classes, ["star", "disc"]);
            let items: Vec<_> = dataset.items.iter().map(|item| (item.split, item.class, item.has_truth())).collect();
            assert_eq!(items, [(Some(Split::Train), Some(1), true), (Some(Split::Val), Some(0), false), (None, None, false)]);
            let labels = dataset.truth(0).unwrap().unwrap();
            assert_eq!(labels, LabelMap { height: 2, width: 3, labels: vec![0, 1, 2, 0, 255, 0] });
            assert_eq!(dataset.instances(0).unwrap().unwrap().labels[5], 3);
            assert!(dataset.truth(1).unwrap().is_none());
        }
    }

    #[test]
    fn without_a_list_the_classes_are_those_of_voc() {
        let folder = tempfile::tempdir().unwrap();
        crate::dataset::tests::write(folder.path(), "JPEGImages/a.jpg", b"");
        crate::dataset::tests::write(folder.path(), "SegmentationClass/a.png", b"broken");
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!((dataset.classes.len(), dataset.classes[14].as_str()), (20, "person"));
        assert_eq!(dataset.items.len(), 1);
        assert!(dataset.truth(0).unwrap_err().to_string().contains("mask cannot be read"));
    }

    #[test]
    fn class_lists_may_have_gaps_or_be_lists() {
        assert_eq!(class_names(r#"{"3": "c", "1": "a"}"#).unwrap(), ["a", "class 2", "c"]);
        assert_eq!(class_names(r#"["background", "a"]"#).unwrap(), ["a"]);
        assert!(class_names("{").unwrap_err().contains("such as"));
    }
}
