//! COCO instances: one `coco.json` with every image, every category and one annotation for every object, its mask in compressed
//! run-length encoding with `iscrowd` 0, which keeps each pixel and each instance.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Export, ExportReport, Exporter, ImageMasks, Rle};
use crate::error::{Error, Result};
use crate::files::write_atomic_with;
use crate::registry::Entry;

/// The format `coco`.
pub const ENTRY: Entry<dyn Exporter> = Entry {
    name: "coco",
    summary: "one coco.json with run-length encoded instances",
    source: "Lin et al., 2014; cocoapi's maskApi.c",
    knobs: &[],
    build: |_| Ok(Box::new(Coco)),
};

/// Writes COCO's instances file.
#[derive(Debug)]
pub struct Coco;

impl Exporter for Coco {
    fn begin(&self, folder: &Path, categories: &[String]) -> Result<Box<dyn Export>> {
        let categories = categories.iter().zip(1..).map(|(name, id)| Category { id, name: name.clone(), supercategory: String::new() });
        let info = Info { description: "Masks exported by Maskroom".to_owned() };
        let file = Instances { info, images: Vec::new(), categories: categories.collect(), annotations: Vec::new() };
        Ok(Box::new(CocoExport { path: folder.join("coco.json"), file, digests: Vec::new() }))
    }
}

struct CocoExport {
    path: PathBuf,
    file: Instances,
    /// Of each annotation's mask, so that the file can be compared with masks that are long gone.
    digests: Vec<[u8; 32]>,
}

impl Export for CocoExport {
    fn add(&mut self, image: &ImageMasks) -> Result<()> {
        let [height, width] = [image.height, image.width];
        let image_id = self.file.images.len() as u64 + 1;
        self.file.images.push(Image { id: image_id, file_name: image.file_name.clone(), width, height });
        for object in image.objects() {
            let rle = Rle::from_mask(&object.mask, height, width)
                .ok_or_else(|| Error::Failed(format!("cannot encode a mask of {}: it does not fit the image", image.file_name)))?;
            self.file.annotations.push(Annotation {
                id: self.file.annotations.len() as u64 + 1,
                image_id,
                category_id: u64::from(object.category),
                segmentation: Segmentation { size: [height, width], counts: rle.to_compressed() },
                area: rle.area(),
                bbox: rle.bbox(),
                iscrowd: 0,
            });
            self.digests.push(digest(&object.mask));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ExportReport> {
        write_atomic_with(&self.path, |file| Ok(serde_json::to_writer(file, &self.file)?))?;
        let bytes = fs::read(&self.path).map_err(Error::io("read", &self.path))?;
        let exact = serde_json::from_slice(&bytes).is_ok_and(|read: Instances| self.holds(&read));
        Ok(ExportReport { format: ENTRY.name, path: self.path, exact, masks: self.digests.len() })
    }
}

impl CocoExport {
    /// Whether a file read again says what was meant: the same records, and masks, areas and boxes equal to the original pixels'.
    fn holds(&self, read: &Instances) -> bool {
        read.images == self.file.images
            && read.categories == self.file.categories
            && read.annotations.len() == self.digests.len()
            && read.annotations.iter().zip(&self.file.annotations).zip(&self.digests).all(|((read, written), original)| {
                let [height, width] = read.segmentation.size;
                read == written
                    && Rle::from_compressed(&read.segmentation.counts, height, width).is_ok_and(|rle| {
                        let mask = rle.to_mask();
                        digest(&mask) == *original && read.area == mask.iter().filter(|&&inside| inside).count() && read.bbox == rle.bbox()
                    })
            })
    }
}

fn digest(mask: &[bool]) -> [u8; 32] {
    Sha256::digest(bytemuck::cast_slice::<bool, u8>(mask)).into()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Instances {
    info: Info,
    images: Vec<Image>,
    categories: Vec<Category>,
    annotations: Vec<Annotation>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Info {
    description: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Category {
    id: u64,
    name: String,
    supercategory: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    segmentation: Segmentation,
    area: usize,
    /// Left, top, width, height.
    bbox: [usize; 4],
    iscrowd: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Segmentation {
    /// Rows, columns.
    size: [usize; 2],
    counts: String,
}

#[cfg(test)]
mod tests {
    use super::super::tests::nasty;
    use super::*;

    #[test]
    fn the_file_follows_the_rules_of_coco() {
        let folder = tempfile::tempdir().unwrap();
        let report = &super::super::export(&nasty(), &["coco"], folder.path()).unwrap()[0];
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&report.path).unwrap()).unwrap();
        let ids = |list: &str| json[list].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(ids("images"), (1..=8).collect::<Vec<_>>());
        assert_eq!(ids("categories"), [1, 2, 3]);
        assert_eq!(ids("annotations"), (1..=report.masks as u64).collect::<Vec<_>>());
        assert_eq!(json["images"][7], serde_json::json!({"id": 8, "file_name": "empty.jpg", "width": 2, "height": 2}));
        let of_overlap: Vec<_> = json["annotations"].as_array().unwrap().iter().filter(|a| a["image_id"] == 7).collect();
        assert_eq!(of_overlap.len(), 2, "an instance without pixels is not one");
        assert_eq!(of_overlap[0]["area"], 399);
        assert_eq!(of_overlap[0]["bbox"], serde_json::json!([10, 10, 20, 20]));
        assert_eq!(of_overlap[0]["segmentation"]["size"], serde_json::json!([49, 49]));
        assert!(of_overlap.iter().all(|a| a["iscrowd"] == 0 && a["segmentation"]["counts"].is_string()));
        assert!(!json["annotations"].as_array().unwrap().iter().any(|a| a["image_id"] == 6), "void is no object");
    }

    #[test]
    fn a_changed_file_is_not_exact() {
        let mut export = CocoExport {
            path: PathBuf::new(),
            file: Instances { info: Info { description: String::new() }, images: Vec::new(), categories: Vec::new(), annotations: Vec::new() },
            digests: Vec::new(),
        };
        let image = ImageMasks { file_name: "a.png".to_owned(), height: 2, width: 3, labels: vec![0, 1, 1, 0, 0, 1], instances: Vec::new() };
        export.add(&image).unwrap();
        let copy = || serde_json::from_str::<Instances>(&serde_json::to_string(&export.file).unwrap()).unwrap();
        assert!(export.holds(&copy()));
        let changes: [fn(&mut Instances); 6] = [
            |file| file.annotations[0].segmentation.counts = "2112".to_owned(),
            |file| file.annotations[0].segmentation.counts = "06".to_owned(),
            |file| file.annotations[0].area = 4,
            |file| file.annotations[0].category_id = 2,
            |file| file.images[0].width = 2,
            |file| file.annotations.clear(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = copy();
            change(&mut changed);
            assert!(!export.holds(&changed), "change {index}");
        }
    }
}
