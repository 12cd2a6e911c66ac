//! Thumbnails on disk, so that a folder seen before is there at once. One small JPEG file for each image that is a file of its own, named
//! after its path, size and time: a changed image has another name. The time of such a file says when it was last used. The folder may be
//! deleted at any time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, bounded};
use egui::ColorImage;
use maskroom_core::dataset::{Dataset, Limits, Pixels, decode};
use maskroom_core::files::write_atomic;
use maskroom_core::inspect::picture::Picture;
use sha2::{Digest as _, Sha256};

/// The folder of one project's thumbnails.
#[derive(Clone)]
pub(super) struct ThumbnailCache {
    folder: PathBuf,
    keep: Sender<(PathBuf, ColorImage)>,
}

/// Part of every name: another number makes all thumbnails anew.
const VERSION: u8 = 1;
const QUALITY: u8 = 88;
/// So many may wait to be written; what comes when the disk is slower than that is not kept this time.
const WAITING: usize = 256;
/// A use is noted on the disk at most this often.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl ThumbnailCache {
    /// The thread that writes ends when the last clone is gone.
    pub(super) fn open(folder: PathBuf) -> Self {
        let (keep, files) = bounded::<(PathBuf, ColorImage)>(WAITING);
        let thread = std::thread::Builder::new().name("thumbnail cache".into()).spawn(move || {
            for (path, image) in files {
                if let Err(error) = write(&path, &image) {
                    tracing::debug!("a thumbnail is not kept: {error:#}");
                }
            }
        });
        if let Err(error) = thread {
            tracing::debug!("thumbnails are not kept: {error}");
        }
        Self { folder, keep }
    }

    /// Where the thumbnail of an image would be; nothing for what is no plain file.
    pub(super) fn path(&self, dataset: &Dataset, index: usize) -> Option<PathBuf> {
        let meta = std::fs::metadata(dataset.file(index)?).ok()?;
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let mut hash = Sha256::new();
        hash.update(dataset.items.get(index)?.name.as_bytes());
        hash.update([0, VERSION]);
        hash.update(meta.len().to_le_bytes());
        hash.update(modified.as_nanos().to_le_bytes());
        let name: String = hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        // Many small folders: some file systems are slow with a hundred thousand files in one.
        let (first, rest) = name.split_at(2);
        Some(self.folder.join(first).join(format!("{rest}.jpg")))
    }

    /// The thumbnail kept there. One that is damaged counts as none.
    pub(super) fn load(path: &Path) -> Option<ColorImage> {
        let picture = decode::decode(&std::fs::read(path).ok()?, &Limits::default()).ok()?;
        note_use(path);
        match &picture.pixels {
            Pixels::U8(rgb) if picture.channels == 3 => Some(ColorImage::from_rgb([picture.width, picture.height], rgb)),
            _ => None,
        }
    }

    /// Keeps a thumbnail, in the background.
    pub(super) fn keep(&self, path: PathBuf, image: &ColorImage) {
        // A full queue means a slow disk; thumbnails can be made again.
        let _ = self.keep.try_send((path, image.clone()));
    }
}

/// Keeps it from being forgotten as the oldest.
fn note_use(path: &Path) {
    let Ok(noted) = std::fs::metadata(path).and_then(|meta| meta.modified()) else { return };
    if noted.elapsed().is_ok_and(|age| age > NOTED_EVERY)
        && let Err(error) = File::options().write(true).open(path).and_then(|file| file.set_modified(SystemTime::now()))
    {
        tracing::debug!("the use of a thumbnail is not noted: {error}");
    }
}

fn write(path: &Path, image: &ColorImage) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let [width, height] = image.size;
    let rgb = image.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
    Ok(write_atomic(path, &Picture::from_rgb(height, width, rgb)?.to_jpeg(QUALITY)?)?)
}
