//! What a list of files means: a known benchmark layout, folders of classes and splits, or just images.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{Entry, is_image};
use super::location::Location;
use super::{Item, Split, Unreadable, cifar, coco, voc, webdataset};

/// The images a list of files stands for.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) items: Vec<Item>,
    pub(super) classes: Vec<String>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// Recognizes CIFAR, VOC, COCO and WebDataset layouts; anything else is a folder of images, perhaps sorted by split and class.
pub(super) fn recognize(entries: Vec<Entry>) -> Layout {
    let files = Files::new(entries);
    cifar::recognize(&files)
        .or_else(|| voc::recognize(&files))
        .or_else(|| coco::recognize(&files))
        .or_else(|| webdataset::recognize(&files))
        .unwrap_or_else(|| image_folder(&files))
}

/// The files of a data root, by name.
pub(super) struct Files {
    by_name: BTreeMap<String, Location>,
}

impl Files {
    fn new(entries: Vec<Entry>) -> Self {
        Self { by_name: entries.into_iter().map(|entry| (entry.name, entry.location)).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Location> {
        self.by_name.get(name)
    }

    /// The text of a small file, if it is there.
    pub(super) fn text(&self, name: &str) -> Option<Result<String, String>> {
        Some(self.get(name)?.read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Location)> {
        self.by_name.iter().map(|(name, location)| (name.as_str(), location))
    }

    pub(super) fn images(&self) -> impl Iterator<Item = (&str, &Location)> {
        self.iter().filter(|(name, _)| is_image(name))
    }
}

/// Class = the first sub-folder, when every image has one; below `train/`, `val/` and `test/`, when every image is below one of these, the
/// sub-folder beneath. An archive's or shard's single outermost folder counts as nothing when folders follow.
fn image_folder(files: &Files) -> Layout {
    let images: Vec<(&str, &Location)> = files.images().collect();
    let wrapper = wrapper(&images);
    let below = |name: &str| -> Vec<String> { name[wrapper..].split('/').map(str::to_owned).collect() };
    let split = |name: &str| below(name).first().filter(|_| below(name).len() > 1).and_then(|folder| split_of(folder));
    let has_splits = images.iter().all(|(name, _)| split(name).is_some());
    let depth = usize::from(has_splits);
    let class_name = |name: &str| Some(below(name)).filter(|parts| parts.len() > depth + 1).map(|parts| parts[depth].clone());
    let names: Option<BTreeSet<String>> = images.iter().map(|(name, _)| class_name(name)).collect();
    let classes: Vec<String> = names.unwrap_or_default().into_iter().collect();
    let items = images.into_iter().map(|(name, location)| Item {
        split: if has_splits { split(name) } else { None },
        class: class_name(name).and_then(|class| classes.binary_search(&class).ok()),
        ..Item::new(name.to_owned(), location.clone())
    });
    Layout { items: items.collect(), classes, unreadable: Vec::new() }
}

/// The length of the outermost folder's name with its slash, where it only wraps what an archive holds.
fn wrapper(images: &[(&str, &Location)]) -> usize {
    let Some((first, location)) = images.first() else { return 0 };
    let Some(length) = first.find('/').map(|slash| slash + 1) else { return 0 };
    let wraps = !matches!(location, Location::File(_))
        && split_of(&first[..length - 1]).is_none()
        && images.iter().all(|(name, _)| name.starts_with(&first[..length]) && name[length..].contains('/'));
    if wraps { length } else { 0 }
}

/// The split that a folder's or list's name stands for.
pub(super) fn split_of(name: &str) -> Option<Split> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &[&str]) -> Layout {
        recognize(names.iter().map(|name| Entry { name: (*name).into(), location: Location::File(name.into()) }).collect())
    }

    fn described(layout: &Layout) -> Vec<(&str, Option<Split>, Option<&str>)> {
        layout.items.iter().map(|item| (item.name.as_str(), item.split, item.class.map(|class| layout.classes[class].as_str()))).collect()
    }

    #[test]
    fn the_first_folder_is_the_class_when_every_image_has_one() {
        let sorted = layout(&["cat/1.png", "cat/deep/2.png", "dog/1.png", "readme.md"]);
        assert_eq!(described(&sorted), [("cat/1.png", None, Some("cat")), ("cat/deep/2.png", None, Some("cat")), ("dog/1.png", None, Some("dog"))]);
        let mixed = layout(&["cat/1.png", "dog/1.png", "loose.png"]);
        assert!(mixed.classes.is_empty() && mixed.items.iter().all(|item| item.class.is_none()));
    }

    #[test]
    fn below_splits_the_class_is_one_deeper() {
        let split = layout(&["train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "test/dog/4.png"]);
        assert_eq!(split.classes, ["cat", "dog"]);
        assert_eq!(described(&split)[2], ("train/dog/2.png", Some(Split::Train), Some("dog")));
        assert_eq!(described(&split)[3], ("val/cat/3.png", Some(Split::Val), Some("cat")));
        let plain = layout(&["Train/1.png", "Val/2.png"]);
        assert!(plain.classes.is_empty());
        assert_eq!(described(&plain)[0], ("Train/1.png", Some(Split::Train), None));
        let not_all = layout(&["train/1.png", "other/2.png"]);
        assert_eq!(not_all.classes, ["other", "train"]);
    }
}
