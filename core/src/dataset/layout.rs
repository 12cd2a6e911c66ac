//! What a list of files means: a known benchmark layout, folders of classes and splits, or just images.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{Entry, is_archive, is_image};
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
/// sub-folder beneath. Shards are no folders, and an archive's single outermost folder counts as nothing when folders follow.
fn image_folder(files: &Files) -> Layout {
    let images: Vec<(&str, &Location)> = files.images().collect();
    let mut folders: Vec<Vec<&str>> = images.iter().map(|(name, location)| folders_of(name, location)).collect();
    let in_archive = images.iter().all(|(_, location)| !matches!(location, Location::File(_)));
    if in_archive && is_wrapped(&folders) {
        for folders in &mut folders {
            folders.remove(0);
        }
    }
    let split = |folders: &[&str]| split_of(folders.first()?);
    let has_splits = folders.iter().all(|folders| split(folders).is_some());
    let depth = usize::from(has_splits);
    let names: Option<BTreeSet<&str>> = folders.iter().map(|folders| folders.get(depth).copied()).collect();
    let classes: Vec<&str> = names.unwrap_or_default().into_iter().collect();
    let items = images.iter().zip(&folders).map(|((name, location), folders)| Item {
        split: if has_splits { split(folders) } else { None },
        class: folders.get(depth).and_then(|class| classes.binary_search(class).ok()),
        ..Item::new((*name).to_owned(), (*location).clone())
    });
    Layout { items: items.collect(), classes: classes.iter().map(|class| (*class).to_owned()).collect(), unreadable: Vec::new() }
}

/// The folders an image lies in, outermost first, without the archive it is in.
pub(super) fn folders_of<'a>(name: &'a str, location: &Location) -> Vec<&'a str> {
    let mut folders: Vec<&str> = name.split('/').collect();
    folders.pop();
    if !matches!(location, Location::File(_)) {
        folders.retain(|folder| !is_archive(folder));
    }
    folders
}

/// Whether all lie in one outermost folder that is no split, and in further ones below.
fn is_wrapped(folders: &[Vec<&str>]) -> bool {
    let first = folders.first().and_then(|folders| folders.first());
    first.is_some_and(|first| split_of(first).is_none()) && folders.iter().all(|folders| folders.len() > 1 && folders.first() == first)
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
        assert_eq!(
            described(&sorted),
            [("cat/1.png", None, Some("cat")), ("cat/deep/2.png", None, Some("cat")), ("dog/1.png", None, Some("dog"))]
        );
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
