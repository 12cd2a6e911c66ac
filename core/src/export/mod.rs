//! Masks out to other tools. Every format is one file with its entry in [`EXPORTERS`]; whatever is written is read again and compared
//! pixel by pixel with what should have been written.

mod masks;
pub mod rle;

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::registry::Settings;
pub use masks::{ImageMasks, Instance, MAX_PIXELS, MaskSet, VOID};
pub use rle::Rle;

crate::registry! {
    /// The formats that masks can be exported to.
    EXPORTERS: dyn Exporter { index_png, coco }
}

/// A format that masks can be exported to.
pub trait Exporter: Send + Sync + std::fmt::Debug {
    /// Starts an export into `folder`, which exists, of masks of these categories; category `c` of the masks is `categories[c - 1]`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    fn begin(&self, folder: &Path, categories: &[String]) -> Result<Box<dyn Export>>;
}

/// An export under way: images one at a time, so that a large set need not fit into memory. The images are already checked.
pub trait Export: Send {
    /// Takes the next image.
    ///
    /// # Errors
    /// If it cannot be written.
    fn add(&mut self, image: &ImageMasks) -> Result<()>;

    /// Writes what is left, reads everything again and compares.
    ///
    /// # Errors
    /// If something cannot be written or read; a file that reads as something else is not an error but an inexact report.
    fn finish(self: Box<Self>) -> Result<ExportReport>;
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// The format's name.
    pub format: &'static str,
    /// The file or folder.
    #[serde(serialize_with = "displayed")]
    pub path: PathBuf,
    /// True if what was read again equals what should have been written, pixel by pixel.
    pub exact: bool,
    /// Masks written: label images in formats that have one mask an image, else instances.
    pub masks: usize,
}

fn displayed<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Several exports of the same images at once.
pub struct Exports {
    categories: Vec<String>,
    names: std::collections::HashSet<String>,
    exports: Vec<Box<dyn Export>>,
}

impl Exports {
    /// Starts exports in the named formats into `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown format or unusable categories, [`Error::Io`] if the folder cannot be made.
    pub fn begin(formats: &[&str], folder: &Path, categories: &[String]) -> Result<Self> {
        masks::check_categories(categories)?;
        let exporters = formats.iter().map(|format| exporter(format)).collect::<Result<Vec<_>>>()?;
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let exports = exporters.iter().map(|exporter| exporter.begin(folder, categories)).collect::<Result<_>>()?;
        Ok(Self { categories: categories.to_vec(), names: std::collections::HashSet::new(), exports })
    }

    /// Adds an image to every export.
    ///
    /// # Errors
    /// [`Error::Failed`] if the image contradicts itself or its name came before, or what the formats report.
    pub fn add(&mut self, image: &ImageMasks) -> Result<()> {
        image.check(self.categories.len())?;
        if !self.names.insert(image.file_name.clone()) {
            return Err(Error::Failed(format!("cannot export {}: two images have this name; give every image its own", image.file_name)));
        }
        self.exports.iter_mut().try_for_each(|export| export.add(image))
    }

    /// Finishes every export; the reports are in the order of the formats.
    ///
    /// # Errors
    /// What the formats report.
    pub fn finish(self) -> Result<Vec<ExportReport>> {
        self.exports.into_iter().map(Export::finish).collect()
    }
}

/// Exports a whole set into `folder`; the reports are in the order of the formats.
///
/// # Errors
/// As [`Exports`].
pub fn export(set: &MaskSet, formats: &[&str], folder: &Path) -> Result<Vec<ExportReport>> {
    let mut exports = Exports::begin(formats, folder, &set.categories)?;
    set.images.iter().try_for_each(|image| exports.add(image))?;
    exports.finish()
}

fn exporter(format: &str) -> Result<Box<dyn Exporter>> {
    let known = || EXPORTERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let entry = EXPORTERS
        .iter()
        .find(|entry| entry.name == format)
        .ok_or_else(|| Error::Usage(format!("there is no export format `{format}`; choose among {}", known())))?;
    (entry.build)(&Settings::new()).map_err(Error::Recipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    /// Nasty cases: a hole, one pixel, the border, two components, overlap, nothing, void, unicode, spaces, equal stems.
    pub(super) fn nasty() -> MaskSet {
        let categories = vec!["cat".to_owned(), "żółw ✓".to_owned(), "never seen".to_owned()];
        let mut stream = Stream::new(9, 0, 0, Purpose::Toy);
        let mut images = Vec::new();
        for (name, height, width) in [
            ("a/one.jpg", 7, 11),
            ("b/one.jpg", 40, 40),
            ("one.png", 1, 200),
            ("one.jpg", 5, 1),
            ("żaba 1.jpg", 64, 48),
            ("void.jpg", 3, 3),
        ] {
            let labels = (0..height * width).map(|_| [0, 0, 1, 2, VOID][stream.below(5)]).collect();
            images.push(ImageMasks { file_name: name.to_owned(), height, width, labels, instances: Vec::new() });
        }
        images[5].labels = vec![VOID; 9];
        let ring: Vec<bool> =
            (0..49 * 49).map(|i| (10..30).contains(&(i / 49)) && (10..30).contains(&(i % 49)) && i != 20 * 49 + 20).collect();
        let corner: Vec<bool> = (0..49 * 49).map(|i| i / 49 > 25 && i % 49 > 25 || i == 0).collect();
        let labels = ring.iter().zip(&corner).map(|(&ring, &corner)| if corner { 2 } else { u8::from(ring) }).collect();
        let instances = vec![
            Instance { category: 1, mask: ring },
            Instance { category: 2, mask: corner },
            Instance { category: 2, mask: vec![false; 49 * 49] },
        ];
        images.push(ImageMasks { file_name: "overlap.webp".to_owned(), height: 49, width: 49, labels, instances });
        images.push(ImageMasks { file_name: "empty.jpg".to_owned(), height: 2, width: 2, labels: vec![0; 4], instances: Vec::new() });
        MaskSet { images, categories }
    }

    #[test]
    fn every_format_reads_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        for entry in EXPORTERS {
            let out = folder.path().join(entry.name);
            let reports = export(&nasty(), &[entry.name], &out).unwrap();
            assert_eq!(reports.len(), 1);
            assert!(reports[0].exact && reports[0].masks > 0, "{reports:?}");
            assert_eq!(reports[0].format, entry.name);
            assert!(reports[0].path.exists() && reports[0].path.starts_with(&out));
            // Again into the same folder: replaced, not mixed.
            assert_eq!(export(&nasty(), &[entry.name], &out).unwrap(), reports);
            let empty = MaskSet { images: Vec::new(), categories: Vec::new() };
            let reports = export(&empty, &[entry.name], &folder.path().join(format!("{} of nothing", entry.name))).unwrap();
            assert!(reports[0].exact && reports[0].masks == 0, "{reports:?}");
        }
    }

    #[test]
    fn a_report_becomes_the_fields_scripts_read() {
        let report = ExportReport { format: "png", path: PathBuf::from("out/masks"), exact: true, masks: 3 };
        assert_eq!(
            serde_json::to_value(report).unwrap(),
            serde_json::json!({"format": "png", "path": "out/masks", "exact": true, "masks": 3})
        );
    }

    #[test]
    fn bad_requests_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = export(&nasty(), &["png", "jpg"], folder.path()).unwrap_err().to_string();
        assert!(error.contains("`jpg`") && error.contains("png, coco"), "{error}");
        let refused = |change: fn(&mut MaskSet), says: &str| {
            let mut set = nasty();
            change(&mut set);
            let error = export(&set, &["png"], folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(|set| set.images[1].file_name = set.images[0].file_name.clone(), "a/one.jpg");
        refused(|set| set.images[0].file_name = "../../etc/passwd".to_owned(), "etc/passwd");
        refused(|set| set.images[0].file_name = "a//one.jpg".to_owned(), "a//one.jpg");
        refused(|set| set.images[0].file_name = "a/./one.jpg".to_owned(), "a/./one.jpg");
        refused(|set| set.images[0].file_name = "/etc/passwd".to_owned(), "/etc/passwd");
        refused(|set| set.images[0].file_name = String::new(), "file name");
        refused(|set| set.images[2].width = 199, "one.png");
        refused(|set| set.images[2].height = usize::MAX, "one.png");
        refused(|set| set.images[7].labels[3] = 4, "empty.jpg");
        refused(|set| set.images[6].instances[0].category = 0, "overlap.webp");
        refused(|set| set.images[6].instances[0].mask.truncate(8), "overlap.webp");
        refused(|set| set.categories[1] = "cat".to_owned(), "cat");
        refused(|set| set.categories[1] = " ".to_owned(), "name");
        refused(|set| set.categories = (0..255).map(|i| i.to_string()).collect(), "254");
    }
}
