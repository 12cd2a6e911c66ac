//! Image collections: folders, archives and benchmark layouts read as one list of items, each of which may turn out unreadable.
//!
//! [`Dataset::open`] lists files (`listing`), recognizes their layout (`layout`) and reads nothing else; pixels come from
//! [`Dataset::decode`]. Bad files are normal input: they are reported by name and reason and never end the work.

mod archive;
mod batch_order;
mod cifar;
mod coco;
pub mod decode;
mod duplicates;
pub mod health;
pub mod images;
mod integrity;
mod jpeg;
mod label_map;
mod layout;
mod listing;
pub mod loader;
#[cfg(test)]
mod loader_soak;
mod location;
mod memory;
pub mod picture;
pub mod sample;
#[cfg(test)]
pub(crate) mod sample_files;
mod tiff;
pub mod toy_scenes;
mod voc;
mod webdataset;
mod workshop;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use decode::Limits;
pub use label_map::LabelMap;
pub use picture::{Picture, Pixels, UnitImage};

use crate::error::{Error, Result};
use location::Location;

/// A collection of images. Its items are sorted by name, so that an index means the same file on every machine.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The folder or archive that was opened.
    pub root: PathBuf,
    /// The images, sorted by name.
    pub items: Vec<Item>,
    /// The names of the classes. [`Item::class`] points here; label k of a class mask is `classes[k - 1]`, and label 0 is background.
    pub classes: Vec<String>,
    /// What could not even be listed: folders without permission, damaged archives.
    pub unreadable: Vec<Unreadable>,
}

/// One image of a [`Dataset`].
#[derive(Debug, Clone)]
pub struct Item {
    /// Its path below the root, with `/`; unique, and safe to append to an output folder. Within an archive, the entry's name.
    pub name: String,
    /// Its class, as an index into [`Dataset::classes`].
    pub class: Option<usize>,
    /// Which part of the data it belongs to, where the layout says so.
    pub split: Option<Split>,
    location: Location,
    truth: Option<Truth>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choosing.
    Val,
    /// For the last word.
    Test,
}

/// A file that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its name within the data set.
    pub path: String,
    /// The reason in plain words.
    pub reason: String,
}

/// Where the known answer for an image is.
#[derive(Debug, Clone)]
enum Truth {
    Masks { classes: Option<Location>, instances: Option<Location> },
    Coco(coco::Truth),
}

impl Item {
    fn new(name: String, location: Location) -> Self {
        Self { name, class: None, split: None, location, truth: None }
    }

    /// The last part of its name.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The name that masks of it go by: in the VOC layout the images' folder says nothing of the image.
    pub fn mask_name(&self) -> &str {
        self.name.strip_prefix("JPEGImages/").unwrap_or(&self.name)
    }

    /// Whether there is a ground-truth mask of classes or instances for this image.
    pub fn has_truth(&self) -> bool {
        self.truth.is_some()
    }
}

/// The extensions that count as images, in lower case.
pub const IMAGE_EXTENSIONS: [&str; 13] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam"];

impl Dataset {
    /// Lists the images of a folder, of a zip or tar file, or a single image file. Nothing is decoded.
    ///
    /// # Errors
    /// [`Error::Data`] when there is no such path, it cannot be listed, or it holds no images.
    pub fn open(path: &Path) -> Result<Self> {
        let listing = listing::list(path)?;
        let unreadable = listing.unreadable.clone();
        let layout::Layout { mut items, classes, unreadable: more } = layout::recognize(listing.entries);
        if items.is_empty() {
            return Err(no_images(path, &unreadable));
        }
        items.sort_by(|a, b| a.name.cmp(&b.name));
        if items.windows(2).any(|pair| pair[0].name == pair[1].name) {
            make_unique(&mut items);
        }
        Ok(Self { root: path.to_path_buf(), items, classes, unreadable: unreadable.into_iter().chain(more).collect() })
    }

    /// The given image files, in the given order, without classes. An item's name is its file name, or the whole path where two agree.
    ///
    /// # Errors
    /// [`Error::Data`] when the list is empty or one of them is not a file.
    pub fn from_files(files: &[PathBuf]) -> Result<Self> {
        let first = files.first().ok_or_else(|| Error::data("--images", "no image files are given", "name at least one image file"))?;
        if let Some(missing) = files.iter().find(|file| !file.is_file()) {
            let reason = if missing.is_dir() { "this is a folder, not an image file" } else { "there is no such file" };
            return Err(Error::data(missing, reason, "name image files here; a folder goes into --data"));
        }
        let name = |file: &PathBuf| listing::readable_name(file.file_name().unwrap_or(file.as_os_str()).as_encoded_bytes());
        let mut times = std::collections::HashMap::new();
        files.iter().for_each(|file| *times.entry(name(file)).or_insert(0) += 1);
        let unique =
            |file: &PathBuf| if times[&name(file)] > 1 { listing::readable_name(file.as_os_str().as_encoded_bytes()) } else { name(file) };
        let mut items: Vec<Item> = files.iter().map(|file| Item::new(unique(file), Location::File(file.clone()))).collect();
        make_unique(&mut items);
        let root = first.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Self { root, items, classes: Vec::new(), unreadable: Vec::new() })
    }

    /// The bytes of an image's file. (A CIFAR record comes as a PPM file.)
    ///
    /// # Errors
    /// [`Error::Data`] when it cannot be read.
    pub fn read_bytes(&self, index: usize) -> Result<Vec<u8>> {
        self.bytes(index).map_err(|reason| self.cannot_read(index, reason))
    }

    /// The pixels of an image, the right way up.
    ///
    /// # Errors
    /// [`Error::Data`] when it cannot be read or decoded.
    pub fn decode(&self, index: usize, limits: &Limits) -> Result<Picture> {
        self.bytes(index).and_then(|bytes| decode::decode(&bytes, limits)).map_err(|reason| self.cannot_read(index, reason))
    }

    /// The ground-truth classes of an image's pixels: 0 background, k for `classes[k - 1]`, 255 void; nothing where none are known.
    ///
    /// # Errors
    /// [`Error::Data`] when the mask is there but cannot be read.
    pub fn truth(&self, index: usize) -> Result<Option<LabelMap>> {
        match &self.item(index)?.truth {
            Some(Truth::Masks { classes: Some(mask), .. }) => self.mask(index, mask).map(Some),
            Some(Truth::Coco(truth)) => truth.classes().map(Some).map_err(|reason| self.cannot_read(index, reason)),
            _ => Ok(None),
        }
    }

    /// The ground-truth objects of an image's pixels: 0 background, then a number for each object, 255 void; nothing where none are known.
    ///
    /// # Errors
    /// [`Error::Data`] when the mask is there but cannot be read.
    pub fn instances(&self, index: usize) -> Result<Option<LabelMap>> {
        match &self.item(index)?.truth {
            Some(Truth::Masks { instances: Some(mask), .. }) => self.mask(index, mask).map(Some),
            Some(Truth::Coco(truth)) => truth.instances().map(Some).map_err(|reason| self.cannot_read(index, reason)),
            _ => Ok(None),
        }
    }

    /// Drops the items of these names.
    pub fn exclude(&mut self, names: &HashSet<String>) {
        self.items.retain(|item| !names.contains(&item.name));
    }

    /// Keeps only the items of one split. Where the layout knows no splits, everything stays.
    pub fn keep_split(&mut self, split: Split) {
        if self.items.iter().any(|item| item.split.is_some()) {
            self.items.retain(|item| item.split == Some(split));
        }
    }

    /// The plain files that images are read from; those inside archives are left out.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.items.iter().filter_map(|item| if let Location::File(path) = &item.location { Some(path.as_path()) } else { None })
    }

    /// The plain file that an image is read from; nothing for one inside an archive.
    pub fn file(&self, index: usize) -> Option<&Path> {
        if let Location::File(path) = &self.items.get(index)?.location { Some(path) } else { None }
    }

    fn item(&self, index: usize) -> Result<&Item> {
        self.items.get(index).ok_or_else(|| Error::data(&self.root, format!("there is no image {index}"), "use a smaller index"))
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, String> {
        self.items.get(index).ok_or_else(|| format!("there is no image {index}"))?.location.read()
    }

    fn mask(&self, index: usize, mask: &Location) -> Result<LabelMap> {
        let read = mask.read().and_then(|bytes| LabelMap::from_png(&bytes, &Limits::default()));
        read.map_err(|reason| self.cannot_read(index, format!("its ground-truth mask cannot be read: {reason}")))
    }

    fn cannot_read(&self, index: usize, reason: String) -> Error {
        let name = self.items.get(index).map_or(String::new(), |item| item.name.clone());
        Error::data(self.root.join(name), reason, "replace the file or leave it out")
    }
}

fn make_unique(items: &mut [Item]) {
    let mut seen = HashSet::new();
    for item in items {
        let mut name = item.name.clone();
        let mut copy = 2;
        while !seen.insert(name.clone()) {
            name = format!("{} ({copy})", item.name);
            copy += 1;
        }
        item.name = name;
    }
}

fn no_images(path: &Path, unreadable: &[Unreadable]) -> Error {
    let supported = "supported: JPEG, PNG, WebP, BMP, GIF, TIFF, PNM; folders of them, zip and tar files, VOC, COCO and CIFAR layouts";
    match unreadable.first() {
        Some(first) => {
            let reason = format!("no images found ({}: {}); {supported}", first.path, first.reason);
            Error::data(path, reason, "repair it, or choose a folder that holds images")
        }
        None => Error::data(path, format!("no images found; {supported}"), "choose a folder that holds images"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sample_files::{encoded, jpeg, photo};

    pub(super) fn write(root: &Path, name: &str, bytes: &[u8]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn names(dataset: &Dataset) -> Vec<&str> {
        dataset.items.iter().map(|item| item.name.as_str()).collect()
    }

    #[test]
    fn a_folder_is_listed_in_order_without_what_is_hidden() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b.JPG",
            "a.png",
            "sub/c.webp",
            "sub/deep/d.tif",
            ".hidden/e.png",
            ".f.png",
            ".maskroom/runs/x.png",
            "notes.txt",
            "Übung 1.png",
        ] {
            write(root.path(), name, b"not decoded here");
        }
        let dataset = Dataset::open(root.path()).unwrap();
        assert_eq!(names(&dataset), ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif", "Übung 1.png"]);
        assert!(dataset.classes.is_empty() && dataset.items.iter().all(|item| item.class.is_none()));
    }

    #[test]
    fn missing_empty_and_imageless_folders_are_data_errors() {
        let root = tempfile::tempdir().unwrap();
        let missing = Dataset::open(&root.path().join("nowhere")).unwrap_err();
        assert_eq!(missing.exit_status(), 3);
        assert!(missing.to_string().contains("no such"), "{missing}");
        let empty = Dataset::open(root.path()).unwrap_err();
        assert!(empty.exit_status() == 3 && empty.to_string().contains("no images found; supported: JPEG"), "{empty}");
        write(root.path(), "notes.txt", b"text");
        assert_eq!(Dataset::open(root.path()).unwrap_err().exit_status(), 3);
        assert_eq!(Dataset::open(&root.path().join("notes.txt")).unwrap_err().exit_status(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn odd_names_and_loops_of_links_do_no_harm() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "in/a.png", b"");
        std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"in/\xFFodd\n.png")), b"").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("in/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere.png", root.path().join("broken.png")).unwrap();
        let dataset = Dataset::open(root.path()).unwrap();
        assert_eq!(names(&dataset), ["in/\\xFFodd\n.png", "in/a.png"]);
        assert!(dataset.read_bytes(0).unwrap().is_empty(), "the odd name still leads to its file");
        assert_eq!(dataset.unreadable.len(), 1);
        assert_eq!(dataset.unreadable[0].path, "broken.png");
    }

    #[test]
    fn pixels_and_reasons_come_by_index() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a.jpg", &jpeg(&photo(20, 30)));
        write(root.path(), "b.jpg", b"garbage");
        write(root.path(), "c.jpg", b"");
        write(root.path(), "d.png", &jpeg(&photo(10, 10)));
        let dataset = Dataset::open(root.path()).unwrap();
        assert_eq!(dataset.decode(0, &Limits::default()).unwrap().width, 30);
        let error = dataset.decode(1, &Limits::default()).unwrap_err();
        assert!(error.exit_status() == 3 && error.to_string().contains("b.jpg: its first bytes"), "{error}");
        assert!(dataset.decode(2, &Limits::default()).unwrap_err().to_string().contains("empty"));
        assert_eq!(dataset.decode(3, &Limits::default()).unwrap().width, 10, "the bytes count, not the extension");
        assert!(dataset.decode(4, &Limits::default()).is_err() && dataset.truth(0).unwrap().is_none());
    }

    #[test]
    fn chosen_files_keep_their_order_and_unique_names() {
        let root = tempfile::tempdir().unwrap();
        for name in ["x/one.png", "y/one.png", "two.png"] {
            write(root.path(), name, &encoded(&photo(4, 4).into(), image::ImageFormat::Png));
        }
        let files: Vec<PathBuf> = ["two.png", "y/one.png", "x/one.png"].iter().map(|name| root.path().join(name)).collect();
        let dataset = Dataset::from_files(&files).unwrap();
        assert_eq!(dataset.items[0].name, "two.png");
        assert!(dataset.items[1].name.ends_with("y/one.png") && dataset.items[2].name.ends_with("x/one.png"));
        assert!(dataset.decode(2, &Limits::default()).is_ok());
        assert_eq!(Dataset::from_files(&[root.path().join("none.png")]).unwrap_err().exit_status(), 3);
        assert_eq!(Dataset::from_files(&[]).unwrap_err().exit_status(), 3);
        assert_eq!(names(&Dataset::open(&files[0]).unwrap()), ["two.png"]);
    }

    #[test]
    fn what_is_excluded_is_gone() {
        let root = tempfile::tempdir().unwrap();
        ["a.png", "b.png", "c.png"].iter().for_each(|name| write(root.path(), name, b""));
        let mut dataset = Dataset::open(root.path()).unwrap();
        dataset.exclude(&HashSet::from(["b.png".to_owned()]));
        assert_eq!(names(&dataset), ["a.png", "c.png"]);
    }

    #[test]
    #[ignore = "a measurement"]
    fn a_hundred_thousand_files_are_listed_in_half_a_second() {
        let root = tempfile::tempdir().unwrap();
        for class in 0..100 {
            (0..1000).for_each(|index| write(root.path(), &format!("class_{class:02}/image_{index:04}.png"), b""));
        }
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let listing = listing::list(root.path()).unwrap();
            let listed = start.elapsed();
            let layout = layout::recognize(listing.entries);
            println!("listed {listed:.0?}, recognized {:.0?}, {} images", start.elapsed() - listed, layout.items.len());
            let start = std::time::Instant::now();
            assert_eq!(Dataset::open(root.path()).unwrap().items.len(), 100_000);
            println!("opened {:.0?}", start.elapsed());
        }
    }
}
