//! CIFAR-10 and CIFAR-100 in their binary versions (Krizhevsky, 2009): fixed-size records of a label and 32×32 pixels, plane by plane.

use std::path::Path;

use super::layout::{Files, Layout};
use super::location::{Location, SharedFile, in_words};
use super::{Item, Split, Unreadable};

const SIDE: usize = 32;

/// The bytes of a record's pixels: three planes.
pub(super) const PIXEL_BYTES: usize = 3 * SIDE * SIDE;

/// A batch file, what it is for, and how many label bytes come before the pixels (the last one counts).
struct Batch<'a> {
    name: &'a str,
    split: Split,
    label_bytes: u64,
}

/// Nothing unless `data_batch_1.bin` (CIFAR-10) or `train.bin` with `fine_label_names.txt` (CIFAR-100) are among the files.
pub(super) fn recognize(files: &Files) -> Option<Layout> {
    let batches: Vec<(Batch, &Location)> = files.iter().filter_map(|(name, location)| Some((batch(name, files)?, location))).collect();
    let (first, _) = batches.first()?;
    let list = if first.label_bytes == 1 { "batches.meta.txt" } else { "fine_label_names.txt" };
    let names = files.text(&format!("{}{list}", folder(first.name))).and_then(Result::ok).unwrap_or_default();
    let mut layout =
        Layout { classes: names.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(), ..Layout::default() };
    let num_classes = if first.label_bytes == 1 { 10 } else { 100 };
    (layout.classes.len()..num_classes).for_each(|class| layout.classes.push(format!("class {class}")));
    for (batch, location) in batches {
        if let Err(reason) = read_batch(&batch, location, &mut layout) {
            layout.unreadable.push(Unreadable { path: batch.name.to_owned(), reason });
        }
    }
    Some(layout)
}

/// A record's three planes as a PPM file, so that it is read like every other image.
pub(super) fn as_ppm(planes: &[u8]) -> Vec<u8> {
    let mut bytes = format!("P6\n{SIDE} {SIDE}\n255\n").into_bytes();
    let plane = planes.len() / 3;
    bytes.extend((0..plane).flat_map(|pixel| [planes[pixel], planes[plane + pixel], planes[2 * plane + pixel]]));
    bytes
}

fn batch<'a>(name: &'a str, files: &Files) -> Option<Batch<'a>> {
    let beside = |other: &str| files.get(&format!("{}{other}", folder(name))).is_some();
    let file = name.rsplit('/').next()?;
    let (split, label_bytes) = match file {
        "test_batch.bin" if beside("data_batch_1.bin") => (Split::Test, 1),
        "train.bin" if beside("fine_label_names.txt") => (Split::Train, 2),
        "test.bin" if beside("fine_label_names.txt") => (Split::Test, 2),
        _ if file.starts_with("data_batch_") && file.ends_with(".bin") => (Split::Train, 1),
        _ => return None,
    };
    Some(Batch { name, split, label_bytes })
}

fn folder(name: &str) -> &str {
    name.rfind('/').map_or("", |slash| &name[..=slash])
}

fn read_batch(batch: &Batch, location: &Location, layout: &mut Layout) -> Result<(), String> {
    let (file, start, size) = match location {
        Location::File(path) => {
            let file = SharedFile::open(Path::new(path)).map_err(|error| in_words(&error))?;
            let size = file.size();
            (file, 0, size)
        }
        Location::Part { file, offset, size } => (file.clone(), *offset, *size),
        _ => return Err("CIFAR batches inside a zip cannot be read in place; unpack it".into()),
    };
    let record = batch.label_bytes + PIXEL_BYTES as u64;
    for index in 0..size / record {
        let at = start + index * record;
        let label = file.read_at(at + batch.label_bytes - 1, 1).map_err(|error| in_words(&error))?[0];
        layout.items.push(Item {
            class: Some(usize::from(label)).filter(|&class| class < layout.classes.len()),
            split: Some(batch.split),
            ..Item::new(format!("{}/{index:05}", batch.name), Location::Cifar { file: file.clone(), offset: at + batch.label_bytes })
        });
    }
    if size % record == 0 { Ok(()) } else { Err(format!("the file is truncated: its last record has {} of {record} bytes", size % record)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::tar_of;
    use crate::dataset::{Dataset, Limits, Pixels};

    fn records(label_bytes: usize, labels: &[u8]) -> Vec<u8> {
        let record = |&label: &u8| {
            let mut bytes = vec![77; label_bytes - 1];
            bytes.push(label);
            bytes.extend((0..PIXEL_BYTES).map(|byte| (byte / (SIDE * SIDE)) as u8 * 10 + label));
            bytes
        };
        labels.iter().flat_map(record).collect()
    }

    #[test]
    fn ten_classes_from_a_folder_or_tar() {
        let folder = tempfile::tempdir().unwrap();
        let (train, mut test) = (records(1, &[3, 9]), records(1, &[0]));
        test.extend([0; 100]);
        let files = [("c/data_batch_1.bin", &train[..]), ("c/test_batch.bin", &test), ("c/batches.meta.txt", b"airplane\nautomobile\n")];
        files.iter().for_each(|(name, bytes)| crate::dataset::tests::write(folder.path(), name, bytes));
        let tar = folder.path().join("x.tar");
        std::fs::write(&tar, tar_of(&files)).unwrap();
        for root in [folder.path(), &tar] {
            let dataset = Dataset::open(root).unwrap();
            let items: Vec<_> = dataset.items.iter().map(|item| (item.name.as_str(), item.class, item.split)).collect();
            assert_eq!(items[1], ("c/data_batch_1.bin/00001", Some(9), Some(Split::Train)));
            assert_eq!(items[2], ("c/test_batch.bin/00000", Some(0), Some(Split::Test)));
            assert_eq!((dataset.classes[1].as_str(), dataset.classes.len()), ("automobile", 10));
            let picture = dataset.decode(1, &Limits::default()).unwrap();
            assert_eq!((picture.height, picture.width, picture.channels), (32, 32, 3));
            let Pixels::U8(samples) = picture.pixels else { panic!("8 bits") };
            assert_eq!(samples[..3], [9, 19, 29]);
            assert!(dataset.unreadable[0].reason.contains("truncated"));
        }
    }

    #[test]
    fn a_hundred_classes_use_the_fine_label() {
        let folder = tempfile::tempdir().unwrap();
        crate::dataset::tests::write(folder.path(), "train.bin", &records(2, &[42]));
        crate::dataset::tests::write(folder.path(), "fine_label_names.txt", b"apple\n");
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!((dataset.items[0].class, dataset.classes.len(), dataset.items.len()), (Some(42), 100, 1));
    }
}
