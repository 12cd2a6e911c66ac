//! Label images: an 8-bit palette PNG per image in `masks/`, index = category, 0 = background, 255 = void, with the colors of Pascal
//! VOC; and `classes.json`, which says what the indices mean and which mask belongs to which image.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Export, ExportReport, Exporter, ImageMasks, MAX_PIXELS, VOID};
use crate::error::{Error, Result};
use crate::files::{write_atomic, write_atomic_with};
use crate::registry::Entry;

/// The format `png`.
pub const ENTRY: Entry<dyn Exporter> = Entry {
    name: "png",
    summary: "one 8-bit palette image of labels for every image, in masks/",
    source: "Pascal VOC's SegmentationClass",
    knobs: &[],
    build: |_| Ok(Box::new(IndexPng)),
};

/// Writes label images.
#[derive(Debug)]
pub struct IndexPng;

impl Exporter for IndexPng {
    fn begin(&self, folder: &Path, categories: &[String]) -> Result<Box<dyn Export>> {
        let masks = folder.join("masks");
        fs::create_dir_all(&masks).map_err(Error::io("create", &masks))?;
        Ok(Box::new(LabelImages {
            folder: folder.to_path_buf(),
            categories: categories.to_vec(),
            taken: HashSet::new(),
            masks: BTreeMap::new(),
            exact: true,
        }))
    }
}

struct LabelImages {
    folder: PathBuf,
    categories: Vec<String>,
    taken: HashSet<String>,
    masks: BTreeMap<String, String>,
    exact: bool,
}

impl Export for LabelImages {
    fn add(&mut self, image: &ImageMasks) -> Result<()> {
        let name = self.mask_name(&image.file_name);
        let path = self.folder.join(&name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        write_atomic_with(&path, |file| Ok(encode(file, image)?))?;
        let read = decode(&path)?;
        self.exact &= read.is_some_and(|(size, labels)| size == [image.height, image.width] && labels == image.labels);
        self.masks.insert(image.file_name.clone(), name);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ExportReport> {
        let palette = voc_palette();
        let classes = std::iter::once("background").chain(self.categories.iter().map(String::as_str));
        let table = ClassTable {
            classes: classes.zip(&palette).enumerate().map(|(index, (name, &color))| Class { index, name, color }).collect(),
            void: VOID,
            masks: &self.masks,
        };
        let json = serde_json::to_vec_pretty(&table).map_err(|error| Error::Failed(format!("cannot write classes.json: {error}")))?;
        write_atomic(&self.folder.join("classes.json"), &json)?;
        Ok(ExportReport { format: ENTRY.name, path: self.folder.join("masks"), exact: self.exact, masks: self.masks.len() })
    }
}

#[derive(Serialize)]
struct ClassTable<'a> {
    classes: Vec<Class<'a>>,
    void: u8,
    masks: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Class<'a> {
    index: usize,
    name: &'a str,
    color: [u8; 3],
}

impl LabelImages {
    /// `masks/FOLDER/STEM.png`; where another image already has that name, the image's extension stays in: `STEM.jpg.png`.
    fn mask_name(&mut self, file_name: &str) -> String {
        let path = Path::new(file_name);
        let plain = path.with_extension("");
        let mut candidates = [plain, path.to_path_buf()].into_iter().map(|path| path.to_string_lossy().into_owned());
        let numbered = (2..).map(|number| format!("{file_name}.{number}"));
        candidates
            .by_ref()
            .chain(numbered)
            // Some file systems take `A.png` and `a.png` for the same file.
            .find(|name| self.taken.insert(name.to_lowercase()))
            .map_or_else(String::new, |name| format!("masks/{name}.png"))
    }
}

fn encode(file: &mut dyn io::Write, image: &ImageMasks) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(file, image.width as u32, image.height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(voc_palette().concat());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image.labels)?;
    writer.finish()
}

/// Size and labels of a label image; `None` if it is not an 8-bit image with VOC's palette.
fn decode(path: &Path) -> Result<Option<([usize; 2], Vec<u8>)>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // Indices, not colors.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let Ok(mut reader) = decoder.read_info() else { return Ok(None) };
    let info = reader.info();
    let size = [info.height as usize, info.width as usize];
    let wanted = info.color_type == png::ColorType::Indexed && info.bit_depth == png::BitDepth::Eight;
    let palette = voc_palette().concat();
    if !wanted || info.palette.as_ref().map(Cow::as_ref) != Some(&palette[..]) || size[0] * size[1] > MAX_PIXELS {
        return Ok(None);
    }
    let mut labels = vec![0; size[0] * size[1]];
    Ok(reader.next_frame(&mut labels).ok().map(|_| (size, labels)))
}

/// The colors of Pascal VOC: the bits of an index, dealt in turn to red, green and blue from the highest bit down.
pub fn voc_palette() -> [[u8; 3]; 256] {
    std::array::from_fn(|index| {
        let mut color = [0; 3];
        for bit in 0..8 {
            for (channel, value) in color.iter_mut().enumerate() {
                *value |= ((index >> (3 * bit + channel)) as u8 & 1) << (7 - bit);
            }
        }
        color
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::nasty;
    use super::*;

    #[test]
    fn the_palette_is_that_of_voc() {
        let palette = voc_palette();
        for (index, color) in [
            (0, [0, 0, 0]),
            (1, [128, 0, 0]),
            (2, [0, 128, 0]),
            (3, [128, 128, 0]),
            (4, [0, 0, 128]),
            (8, [64, 0, 0]),
            (15, [192, 128, 128]),
            (20, [0, 64, 128]),
            (21, [128, 64, 128]),
            (255, [224, 224, 192]),
        ] {
            assert_eq!(palette[index], color, "{index}");
        }
    }

    #[test]
    fn every_image_keeps_a_mask_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut set = nasty();
        set.images.push(ImageMasks { file_name: "ONE.JPG".to_owned(), ..set.images[3].clone() });
        let report = &super::super::export(&set, &["png"], folder.path()).unwrap()[0];
        assert!(report.exact);
        assert_eq!((report.masks, &report.path), (9, &folder.path().join("masks")));
        for (name, image) in [("a/one.png", 0), ("b/one.png", 1), ("one.png", 2), ("one.jpg.png", 3), ("żaba 1.png", 4), ("empty.png", 7)] {
            let (size, labels) = decode(&report.path.join(name)).unwrap().unwrap();
            assert_eq!((size, &labels), ([set.images[image].height, set.images[image].width], &set.images[image].labels), "{name}");
        }
        let table: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("classes.json")).unwrap()).unwrap();
        assert_eq!(table["classes"][2], serde_json::json!({"index": 2, "name": "żółw ✓", "color": [0, 128, 0]}));
        assert_eq!(table["masks"]["one.jpg"], "masks/one.jpg.png");
        assert_eq!(table["masks"]["ONE.JPG"], "masks/ONE.JPG.2.png");
    }

    #[test]
    fn other_pictures_are_not_taken_for_label_images() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        fs::write(&path, b"not a picture").unwrap();
        assert!(decode(&path).unwrap().is_none());
        let mut gray = png::Encoder::new(File::create(&path).unwrap(), 1, 1);
        gray.set_color(png::ColorType::Grayscale);
        gray.write_header().unwrap().write_image_data(&[0]).unwrap();
        assert!(decode(&path).unwrap().is_none());
        assert!(decode(&folder.path().join("absent.png")).is_err());
    }
}
