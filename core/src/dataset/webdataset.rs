//! WebDataset: samples named by a key, `KEY.jpg` beside `KEY.cls`, usually in tar shards.

use std::collections::BTreeSet;

use super::Item;
use super::layout::{Files, Layout, folders_of, split_of};

/// Nothing unless some image has a `.cls` beside it. Classes are sorted by number where all are numbers, else by name.
pub(super) fn recognize(files: &Files) -> Option<Layout> {
    let label = |image: &str| files.text(&format!("{}.cls", key(image)));
    // Most folders hold no labels of this kind, and need not be searched for each image's.
    files.iter().find(|(name, _)| name.ends_with(".cls"))?;
    files.images().find(|(name, _)| files.get(&format!("{}.cls", key(name))).is_some())?;
    let labels: Vec<Option<String>> =
        files.images().map(|(name, _)| label(name)?.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())).collect();
    let distinct: BTreeSet<&String> = labels.iter().flatten().collect();
    let mut classes: Vec<String> = distinct.into_iter().cloned().collect();
    if classes.iter().all(|class| class.parse::<u64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<u64>().unwrap_or(u64::MAX));
    }
    let index: std::collections::HashMap<&String, usize> = classes.iter().enumerate().map(|(index, class)| (class, index)).collect();
    let items = files.images().zip(&labels).map(|((name, location), label)| Item {
        split: folders_of(name, location).first().and_then(|folder| split_of(folder)),
        class: label.as_ref().and_then(|label| index.get(label).copied()),
        ..Item::new(name.to_owned(), location.clone())
    });
    Some(Layout { items: items.collect(), classes: classes.clone(), unreadable: Vec::new() })
}

/// The name up to the first dot of its last part.
fn key(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    name[file..].find('.').map_or(name, |dot| &name[..file + dot])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::tar_of;
    use crate::dataset::{Dataset, Split};

    #[test]
    fn a_key_ends_at_the_first_dot() {
        assert_eq!(key("a.b/0001.left.jpg"), "a.b/0001");
        assert_eq!(key("0001"), "0001");
    }

    #[test]
    fn shards_without_labels_are_folders_of_images() {
        let folder = tempfile::tempdir().unwrap();
        for (shard, bytes) in [("train/0.tar", tar_of(&[("cat/1.jpg", b"a")])), ("val/0.tar", tar_of(&[("dog/1.jpg", b"b")]))] {
            crate::dataset::tests::write(folder.path(), shard, &bytes);
        }
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!((dataset.items[1].name.as_str(), dataset.items[1].split), ("val/0.tar/dog/1.jpg", Some(Split::Val)));
    }

    #[test]
    fn a_folder_of_shards_is_one_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let first = tar_of(&[("0001.jpg", b"a"), ("0001.cls", b"10\n"), ("0002.jpg", b"b"), ("0002.cls", b"2")]);
        std::fs::write(folder.path().join("s-000.tar"), first).unwrap();
        std::fs::write(folder.path().join("s-001.tar"), tar_of(&[("0003.jpg", b"c"), ("0003.cls", b"2")])).unwrap();
        std::fs::write(folder.path().join("s-002.tar"), b"broken").unwrap();
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.classes, ["2", "10"]);
        let items: Vec<_> = dataset.items.iter().map(|item| (item.name.as_str(), item.class)).collect();
        assert_eq!(items, [("s-000.tar/0001.jpg", Some(1)), ("s-000.tar/0002.jpg", Some(0)), ("s-001.tar/0003.jpg", Some(0))]);
        assert_eq!(dataset.read_bytes(2).unwrap(), b"c");
        assert_eq!(dataset.unreadable[0].path, "s-002.tar");
    }
}
