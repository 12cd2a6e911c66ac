//! Preview files on their way from the disk to the graphics card: read and drawn on a thread, kept as textures within a budget.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{ColorImage, Context, TextureFilter, TextureHandle, TextureOptions};
use maskroom_core::inspect::picture::Picture;
use maskroom_core::inspect::preview::{Brightness, Preview};
use maskroom_core::inspect::preview_heads::HeadsPreview;
use maskroom_core::run::RunFolder;
use maskroom_widgets::HeatRows;

use crate::studio::byte_cache::ByteCache;
use crate::studio::worker::Worker;

/// A preview as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The run folder.
    pub run: PathBuf,
    /// The step.
    pub step: u64,
    /// How often the run has written that step: other images may be in it.
    pub times: usize,
    /// Where brightness comes from.
    pub brightness: Brightness,
}

/// A preview on the graphics card.
pub struct Loaded {
    /// The images.
    pub images: Vec<LoadedImage>,
    /// What the pictures of an image are.
    pub columns: Vec<String>,
    /// The error of each patch: one query, a head per image. Nothing where the network predicts none.
    pub errors: Option<HeatRows>,
    /// Whether the network predicts patches without brightness and contrast.
    pub brightness_borrowed: bool,
    /// What must be known to read predictions that are no pixels; nothing for those that are.
    pub depicted_as: Option<&'static str>,
    /// Whether anything is hidden.
    pub hides: bool,
    /// Whether visible patches count too.
    pub all_count: bool,
    /// Puzzles that the network solved, and all of them, where it solves any.
    pub solved: Option<[usize; 2]>,
}

/// One of its images.
pub struct LoadedImage {
    /// Its name; empty if the file does not tell.
    pub name: String,
    /// The mean error over its predicted patches, where any are.
    pub loss: Option<f64>,
    /// What the network answered, where it solves puzzles.
    pub said: Option<String>,
    /// One for each column.
    pub pictures: Vec<TextureHandle>,
}

/// A preview as pictures, or why there are none.
pub type Decoded = Result<DecodedPreview, String>;

/// A preview before it is on the graphics card.
pub struct DecodedPreview {
    columns: Vec<String>,
    names: Vec<String>,
    losses: Vec<f64>,
    said: Vec<String>,
    pictures: Vec<Vec<ColorImage>>,
    errors: Option<HeatRows>,
    brightness_borrowed: bool,
    depicted_as: Option<&'static str>,
    hides: bool,
    all_count: bool,
    solved: Option<[usize; 2]>,
}

/// Previews that were looked at lately, and those around them.
pub struct Loader {
    worker: Worker<Key, (Key, Decoded)>,
    asked: Option<Key>,
    kept: ByteCache<Key, Result<Arc<Loaded>, String>>,
}

const KEPT_BYTES: usize = 256 << 20;

impl Loader {
    /// Nothing read yet.
    pub fn new(context: &Context) -> Self {
        let worker = Worker::start("preview reader", context, |key: Key| {
            let path = RunFolder { root: key.run.clone() }.preview_path(key.step);
            let decoded = decode(&path, key.brightness);
            (key, decoded)
        });
        Self { worker, asked: None, kept: ByteCache::new(KEPT_BYTES) }
    }

    /// Takes what has been read.
    pub fn receive(&mut self, context: &Context) {
        for (key, decoded) in self.worker.answers() {
            let bytes =
                decoded.as_ref().map_or(0, |decoded| decoded.pictures.iter().flatten().map(|picture| picture.pixels.len() * 4).sum());
            self.kept.put(key, decoded.map(|decoded| Arc::new(upload(context, decoded))), bytes);
        }
    }

    /// The preview, or why it cannot be read; nothing while it is on its way.
    pub fn get(&mut self, key: &Key) -> Option<Result<Arc<Loaded>, String>> {
        self.kept.get(key).cloned()
    }

    /// Reads the first of these that is not there.
    pub fn read_first(&mut self, keys: impl IntoIterator<Item = Key>) {
        let Some(missing) = keys.into_iter().find(|key| !self.kept.has(key)) else { return };
        if self.asked.as_ref() != Some(&missing) {
            self.worker.ask(missing.clone());
            self.asked = Some(missing);
        }
    }
}

/// Reads a preview file.
///
/// # Errors
/// In words, if it is damaged.
pub fn decode(path: &Path, brightness: Brightness) -> Decoded {
    let in_words = |error: maskroom_core::error::Error| error.to_string();
    if let Some(HeadsPreview { columns, names, pictures, said, num_solved }) = HeadsPreview::open(path).map_err(in_words)? {
        let pictures = pictures.iter().map(|pictures| pictures.iter().map(color_image).collect()).collect();
        return Ok(DecodedPreview {
            columns,
            names,
            losses: Vec::new(),
            said,
            pictures,
            errors: None,
            brightness_borrowed: false,
            depicted_as: None,
            hides: false,
            all_count: false,
            solved: num_solved,
        });
    }
    let preview = Preview::open(path).map_err(in_words)?;
    let draw = |image| Ok(preview.pictures(image, brightness).map_err(in_words)?.iter().map(color_image).collect());
    let errors = HeatRows::from_values(preview.patch_errors(), 1, preview.len(), preview.shape.grid());
    Ok(DecodedPreview {
        columns: preview.columns().into_iter().map(str::to_owned).collect(),
        losses: (0..preview.len()).map(|image| preview.loss(image)).collect(),
        said: Vec::new(),
        pictures: (0..preview.len()).map(draw).collect::<Result<_, String>>()?,
        errors: Some(errors.ok_or("the preview has no patches")?),
        brightness_borrowed: preview.brightness_borrowed,
        depicted_as: preview.depicted_as(),
        hides: preview.hides(),
        all_count: preview.all_count(),
        solved: None,
        names: preview.names,
    })
}

fn color_image(picture: &Picture) -> ColorImage {
    ColorImage::from_rgb([picture.width, picture.height], &picture.rgb)
}

/// Brings a preview to the graphics card.
pub fn upload(context: &Context, decoded: DecodedPreview) -> Loaded {
    // Small pictures are enlarged pixel by pixel: what was predicted is not smoothed over.
    let options = TextureOptions { magnification: TextureFilter::Nearest, ..TextureOptions::LINEAR };
    let DecodedPreview { columns, names, losses, said, pictures, errors, brightness_borrowed, depicted_as, hides, all_count, solved } =
        decoded;
    let image = |(index, pictures): (usize, Vec<ColorImage>)| LoadedImage {
        name: names.get(index).cloned().unwrap_or_default(),
        loss: losses.get(index).copied(),
        said: said.get(index).cloned(),
        pictures: pictures.into_iter().map(|picture| context.load_texture("reconstruction", picture, options)).collect(),
    };
    let images = pictures.into_iter().enumerate().map(image).collect();
    Loaded { images, columns, errors, brightness_borrowed, depicted_as, hides, all_count, solved }
}
