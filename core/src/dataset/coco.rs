//! COCO: `annotations/*.json` beside images, with polygons and run-length encoded masks (Lin et al., 2014).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::label_map::LabelMap;
use super::layout::{Files, Layout};
use super::listing::is_image;
use super::{Item, Limits, Split, Unreadable};

/// The objects of one image.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    height: usize,
    width: usize,
    /// Largest first, so that small ones are painted over them.
    objects: Arc<Vec<Object>>,
}

#[derive(Debug)]
struct Object {
    /// Position of its category, plus 1.
    class: u16,
    crowd: bool,
    area: f64,
    shape: Shape,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Shape {
    Polygons(Vec<Vec<f64>>),
    Runs { counts: Counts, size: [usize; 2] },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Counts {
    Plain(Vec<u64>),
    Packed(String),
}

#[derive(Deserialize)]
struct Document {
    images: Vec<ImageRecord>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct ImageRecord {
    id: u64,
    file_name: String,
    height: usize,
    width: usize,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    #[serde(default)]
    category_id: u64,
    segmentation: Option<Shape>,
    #[serde(default)]
    iscrowd: u8,
    #[serde(default)]
    area: f64,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// Nothing unless some JSON file in a folder `annotations` lists images that are there. All images count, annotated or not.
pub(super) fn recognize(files: &Files) -> Option<Layout> {
    let lists = |name: &str| (name.starts_with("annotations/") || name.contains("/annotations/")) && name.ends_with(".json");
    let unlike = |name: &str| ["captions", "keypoints", "panoptic", "stuff"].iter().any(|kind| name.contains(kind));
    let lists: Vec<_> = files.iter().filter(|(name, _)| lists(name) && !unlike(name)).collect();
    if lists.is_empty() {
        return None;
    }
    let mut layout = Layout::default();
    let mut described: HashMap<&str, (Truth, Option<Split>)> = HashMap::new();
    let by_file = images_by_file_name(files);
    for (name, location) in lists {
        let document = location
            .read()
            .and_then(|bytes| serde_json::from_slice::<Document>(&bytes).map_err(|error| format!("it is not COCO's format ({error})")));
        match document {
            Ok(document) => describe(document, name, &by_file, &mut described, &mut layout.classes),
            Err(reason) => layout.unreadable.push(Unreadable { path: name.to_owned(), reason }),
        }
    }
    if described.is_empty() {
        return None;
    }
    for (name, location) in files.images() {
        let (truth, split) = described.remove(name).map_or((None, None), |(truth, split)| (Some(truth), split));
        layout.items.push(Item { split, truth: truth.map(super::Truth::Coco), ..Item::new(name.to_owned(), location.clone()) });
    }
    Some(layout)
}

fn images_by_file_name(files: &Files) -> HashMap<&str, Vec<&str>> {
    let mut by_file: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, _) in files.images() {
        by_file.entry(name.rsplit('/').next().unwrap_or(name)).or_default().push(name);
    }
    by_file
}

fn describe<'a>(
    document: Document,
    list: &str,
    by_file: &HashMap<&str, Vec<&'a str>>,
    described: &mut HashMap<&'a str, (Truth, Option<Split>)>,
    classes: &mut Vec<String>,
) {
    let split = ["train", "val", "test"].into_iter().find(|split| list.contains(split));
    let mut categories = document.categories;
    categories.sort_by_key(|category| category.id);
    // Lists of one data set share their categories; names that are new come after the known ones.
    let labels: HashMap<u64, u16> =
        categories.into_iter().filter_map(|category| Some((category.id, label_of(category.name, classes)?))).collect();
    let mut objects: HashMap<u64, Vec<Object>> = HashMap::new();
    for annotation in document.annotations {
        let (Some(shape), Some(&class)) = (annotation.segmentation, labels.get(&annotation.category_id)) else { continue };
        objects.entry(annotation.image_id).or_default().push(Object {
            class,
            crowd: annotation.iscrowd != 0,
            area: annotation.area,
            shape,
        });
    }
    for image in document.images {
        let file = image.file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let candidates = by_file.get(file).map_or(&[][..], Vec::as_slice);
        let ends = |name: &&&str| name.ends_with(&image.file_name);
        let in_split = |name: &&&str| ends(name) && split.is_some_and(|split| name.contains(split));
        let Some(name) = candidates.iter().find(in_split).or_else(|| candidates.iter().find(ends)) else { continue };
        if !is_image(name) || Limits::default().check(image.height, image.width, 2).is_err() {
            continue;
        }
        let mut objects = objects.remove(&image.id).unwrap_or_default();
        objects.sort_by(|a, b| b.crowd.cmp(&a.crowd).then(b.area.total_cmp(&a.area)));
        let truth = Truth { height: image.height, width: image.width, objects: Arc::new(objects) };
        described.insert(name, (truth, split.and_then(super::layout::split_of)));
    }
}

fn label_of(name: String, classes: &mut Vec<String>) -> Option<u16> {
    let position = classes.iter().position(|class| *class == name).unwrap_or_else(|| {
        classes.push(name);
        classes.len() - 1
    });
    // 255 is void.
    u16::try_from(position + 1).ok().filter(|&label| label != VOID)
}

const VOID: u16 = 255;

impl Truth {
    /// The class of every pixel; crowds are void. The error is a reason.
    pub(super) fn classes(&self) -> Result<LabelMap, String> {
        self.painted(|_, object| object.class)
    }

    /// The object of every pixel, numbered from the largest, 255 left out; crowds are void. The error is a reason.
    pub(super) fn instances(&self) -> Result<LabelMap, String> {
        let first = self.objects.iter().take_while(|object| object.crowd).count();
        self.painted(|index, _| (index - first + 1 + usize::from(index - first + 1 >= usize::from(VOID))).min(usize::from(u16::MAX)) as u16)
    }

    fn painted(&self, label: impl Fn(usize, &Object) -> u16) -> Result<LabelMap, String> {
        let mut map = LabelMap { height: self.height, width: self.width, labels: vec![0; self.height * self.width] };
        for (index, object) in self.objects.iter().enumerate() {
            let value = if object.crowd { VOID } else { label(index, object) };
            match &object.shape {
                Shape::Polygons(polygons) => polygons.iter().for_each(|polygon| fill_polygon(&mut map, polygon, value)),
                Shape::Runs { counts, size } => fill_runs(&mut map, counts, *size, value)?,
            }
        }
        Ok(map)
    }
}

/// Labels the pixels whose centers lie inside (even-odd rule). `points` is x, y, x, y, …, with pixel (row, column) centered at
/// (column + 0.5, row + 0.5).
fn fill_polygon(map: &mut LabelMap, points: &[f64], value: u16) {
    let corners: Vec<(f64, f64)> = points.chunks_exact(2).map(|point| (point[0], point[1])).collect();
    if corners.len() < 3 || points.iter().any(|coordinate| !coordinate.is_finite()) {
        return;
    }
    let column = |x: f64| (x - 0.5).ceil().clamp(0.0, map.width as f64) as usize;
    let mut crossings = Vec::new();
    for row in 0..map.height {
        let y = row as f64 + 0.5;
        crossings.clear();
        for (index, &(x0, y0)) in corners.iter().enumerate() {
            let (x1, y1) = corners[(index + 1) % corners.len()];
            if (y0 <= y) != (y1 <= y) {
                crossings.push(x0 + (y - y0) / (y1 - y0) * (x1 - x0));
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let (from, to) = (column(pair[0]), column(pair[1]));
            map.labels[row * map.width + from..row * map.width + to.max(from)].fill(value);
        }
    }
}

/// Runs of outside and inside in turn, column by column.
fn fill_runs(map: &mut LabelMap, counts: &Counts, size: [usize; 2], value: u16) -> Result<(), String> {
    if size != [map.height, map.width] {
        return Err(format!("a run-length mask is {}×{} where the image is {}×{}", size[1], size[0], map.width, map.height));
    }
    let unpacked;
    let counts = match counts {
        Counts::Plain(counts) => counts,
        Counts::Packed(text) => {
            unpacked = unpack_counts(text)?;
            &unpacked
        }
    };
    let mut pixel = 0_usize;
    for (index, &count) in counts.iter().enumerate() {
        let end = usize::try_from(count).ok().and_then(|count| pixel.checked_add(count)).filter(|&end| end <= map.labels.len());
        let end = end.ok_or("a run-length mask is longer than its image")?;
        if index % 2 == 1 {
            for place in pixel..end {
                map.labels[place % map.height * map.width + place / map.height] = value;
            }
        }
        pixel = end;
    }
    Ok(())
}

/// COCO's text form: five bits a character from `0` on, the sixth says that more follow; from the third on, differences to the count two before.
fn unpack_counts(text: &str) -> Result<Vec<u64>, String> {
    let mut counts: Vec<i64> = Vec::new();
    let mut characters = text.bytes();
    while let Some(first) = characters.next() {
        let (mut value, mut shift, mut byte) = (0_i64, 0, first);
        loop {
            let bits = i64::from(
                byte.checked_sub(48).filter(|bits| *bits < 64).ok_or("a run-length mask has a character that is none of its alphabet")?,
            );
            value |= (bits & 31) << shift;
            shift += 5;
            if bits & 32 == 0 {
                if bits & 16 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
            byte = characters.next().filter(|_| shift < 50).ok_or("a run-length mask ends within a number")?;
        }
        if let [.., two_before, _] = counts[..]
            && counts.len() > 2
        {
            value += two_before;
        }
        counts.push(value);
    }
    counts.into_iter().map(|count| u64::try_from(count).map_err(|_| "a run-length mask has a negative run".into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::dataset::sample_files::{encoded, photo};

    #[test]
    fn polygons_and_runs_become_masks() {
        let folder = tempfile::tempdir().unwrap();
        let list = r#"{"images": [{"id": 7, "file_name": "a.png", "height": 4, "width": 5}],
            "annotations": [
              {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0, "area": 2, "segmentation": {"size": [4, 5], "counts": [0, 2, 18]}},
              {"id": 2, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 6, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]},
              {"id": 3, "image_id": 7, "category_id": 1, "iscrowd": 1, "area": 1, "segmentation": {"size": [4, 5], "counts": [19, 1]}}],
            "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}]}"#;
        let image = encoded(&photo(4, 5).into(), image::ImageFormat::Png);
        for name in ["train2017/a.png", "val2017/a.png", "val2017/b.png"] {
            crate::dataset::tests::write(folder.path(), name, &image);
        }
        crate::dataset::tests::write(folder.path(), "annotations/instances_val2017.json", list.as_bytes());
        crate::dataset::tests::write(folder.path(), "annotations/captions_val2017.json", b"{}");
        crate::dataset::tests::write(folder.path(), "annotations/broken.json", b"{}");
        let dataset = Dataset::open(folder.path()).unwrap();
        assert_eq!(dataset.items.len(), 3);
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!((dataset.items[1].name.as_str(), dataset.items[1].split), ("val2017/a.png", Some(Split::Val)));
        assert!(!dataset.items[0].has_truth() && dataset.truth(2).unwrap().is_none());
        let expected = [2, 0, 0, 0, 0, 2, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 255];
        assert_eq!(dataset.truth(1).unwrap().unwrap().labels, expected);
        let objects = dataset.instances(1).unwrap().unwrap().labels;
        assert_eq!((objects[0], objects[6], objects[19]), (2, 1, 255));
        assert_eq!(dataset.unreadable.len(), 1);
    }

    #[test]
    fn packed_runs_are_unpacked() {
        // The text form of 6, 1, 40, 4, 5, 6, 7 as COCO's own code writes it: small numbers are one character.
        assert_eq!(unpack_counts(&packed(&[6, 1, 40, 4, 5, 6, 7])).unwrap(), [6, 1, 40, 4, 5, 6, 7]);
        assert_eq!(packed(&[6, 1]), "61");
        assert_eq!(unpack_counts("X1").unwrap(), [40]);
        assert!(unpack_counts("~").is_err() && unpack_counts("P").is_err() && unpack_counts("O").is_err());
    }

    /// The writer of COCO's mask format, for round trips.
    fn packed(counts: &[i64]) -> String {
        let mut text = String::new();
        for (index, &count) in counts.iter().enumerate() {
            let mut value = if index > 2 { count - counts[index - 2] } else { count };
            loop {
                let bits = value & 31;
                value >>= 5;
                let more = if bits & 16 != 0 { value != -1 } else { value != 0 };
                text.push(char::from((bits | if more { 32 } else { 0 }) as u8 + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }
}
