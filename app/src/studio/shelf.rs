//! Pictures of the project's images: thumbnails, and whole images to look into. They are read on threads of their own, what is visible
//! first; thumbnails are kept as textures within a budget, and on disk for the next time.

mod cache_bound;
mod queue;
mod thumbnail_cache;
mod thumbnail_maker;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use egui::{ColorImage, Context, TextureFilter, TextureHandle, TextureOptions};
use maskroom_core::augment::Resizer;
use maskroom_core::dataset::decode::Need;
use maskroom_core::dataset::images::ImageSource as _;
use maskroom_core::dataset::{Dataset, Picture};

use super::preferences;
use queue::{Queue, Urgency, Want};
use thumbnail_cache::ThumbnailCache;

/// The thumbnail of one image.
#[derive(Clone)]
pub enum Thumbnail {
    /// It is there.
    Ready(TextureHandle),
    /// It will come.
    Pending,
    /// The image cannot be read, and why.
    Failed(String),
}

/// All of one image.
#[derive(Clone)]
pub enum FullPicture {
    /// It is there.
    Ready(Arc<Picture>),
    /// It will come.
    Pending,
    /// The image cannot be read, and why.
    Failed(String),
}

/// Thumbnails and pictures by index.
pub struct Shelf {
    readers: Option<Readers>,
    textures: RefCell<Textures>,
    pictures: RefCell<Pictures>,
}

/// The threads' side of the counter.
struct Readers {
    queue: Arc<Queue>,
    results: Receiver<Read>,
    /// Whether the window was already woken for results that it has not taken yet.
    is_told: Arc<AtomicBool>,
    dataset: Arc<Dataset>,
}

/// What a thread brings.
enum Read {
    Thumbnail(usize, Result<ColorImage, String>),
    Picture(usize, Result<Arc<Picture>, String>),
}

/// Results on their way to the window, and how many it takes in one frame.
const UNDER_WAY: usize = 64;
/// Results come to the screen this often, so that a hundred thumbnails are not a hundred frames.
const PACE: Duration = Duration::from_millis(25);

impl Shelf {
    /// Of no images.
    pub fn empty() -> Self {
        Self { readers: None, textures: RefCell::new(Textures::new(0)), pictures: RefCell::new(Pictures::default()) }
    }

    /// Of these images; `budget_mib` is for decoded thumbnails.
    pub fn of(dataset: Arc<Dataset>, context: &Context, budget_mib: usize) -> Self {
        let all = preferences::cache_folder().join("thumbnails");
        let folder = all.join(preferences::key_of(&dataset.root));
        cache_bound::keep_in_background(all);
        Self::with_cache(dataset, context, budget_mib, folder)
    }

    fn with_cache(dataset: Arc<Dataset>, context: &Context, budget_mib: usize, folder: PathBuf) -> Self {
        let cache = ThumbnailCache::open(folder);
        let (send, results) = bounded(UNDER_WAY);
        let readers = Readers { queue: Arc::new(Queue::new()), results, is_told: Arc::new(AtomicBool::new(false)), dataset };
        // One core stays free for the window.
        let num_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).saturating_sub(1).max(1);
        for number in 0..num_threads {
            let reader = Reader {
                dataset: Arc::clone(&readers.dataset),
                cache: cache.clone(),
                queue: Arc::clone(&readers.queue),
                send: send.clone(),
                is_told: Arc::clone(&readers.is_told),
                context: context.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("shelf {number}")).spawn(move || reader.work());
            if let Err(error) = thread {
                tracing::error!("a thread for thumbnails cannot be started: {error}");
            }
        }
        let textures = RefCell::new(Textures::new(budget_mib.saturating_mul(1 << 20)));
        Self { readers: Some(readers), textures, pictures: RefCell::new(Pictures::default()) }
    }

    /// Takes what the threads have decoded; to be called once in each frame.
    pub fn receive(&mut self, context: &Context) {
        let Some(readers) = &self.readers else { return };
        readers.queue.next_frame();
        readers.is_told.store(false, Ordering::Relaxed);
        let textures = self.textures.get_mut();
        textures.frame += 1;
        for read in readers.results.try_iter().take(UNDER_WAY) {
            match read {
                Read::Thumbnail(index, image) => {
                    textures.put(index, image.map(|image| load(context, index, image)));
                    readers.queue.done(Want::Thumbnail(index));
                }
                Read::Picture(index, picture) => {
                    self.pictures.get_mut().put(index, picture);
                    readers.queue.done(Want::Picture(index));
                }
            }
        }
        if !readers.results.is_empty() {
            context.request_repaint();
        }
    }

    /// The thumbnail of image `index`, asked for if it is not there.
    pub fn thumbnail(&self, index: usize) -> Thumbnail {
        self.thumbnail_or_ask(index, Urgency::Drawn)
    }

    /// Tells which images are on the screen: they are decoded first, others that wait are forgotten.
    pub fn show_first(&self, visible: Range<usize>) {
        let Some(readers) = &self.readers else { return };
        readers.queue.forget_earlier();
        for index in visible.start..visible.end.min(readers.dataset.items.len()) {
            self.thumbnail_or_ask(index, Urgency::Visible);
        }
    }

    /// All of image `index`, asked for before anything else if it is not there. The last few are kept.
    pub fn picture(&self, index: usize) -> FullPicture {
        if let Some(picture) = self.pictures.borrow_mut().get(index) {
            return picture;
        }
        self.ask(Want::Picture(index), Urgency::LookedAt);
        FullPicture::Pending
    }

    /// Tells that image `index` may be looked at next: it is read when there is nothing better to do.
    pub fn picture_ahead(&self, index: usize) {
        if self.pictures.borrow().has_room_ahead(index) {
            self.ask(Want::Picture(index), Urgency::Ahead);
        }
    }

    fn thumbnail_or_ask(&self, index: usize, urgency: Urgency) -> Thumbnail {
        if let Some(thumbnail) = self.textures.borrow_mut().get(index) {
            return thumbnail;
        }
        self.ask(Want::Thumbnail(index), urgency);
        Thumbnail::Pending
    }

    fn ask(&self, want: Want, urgency: Urgency) {
        if let Some(readers) = &self.readers {
            readers.queue.ask(want, urgency);
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Pixel art stays square, photos stay smooth.
fn load(context: &Context, index: usize, image: ColorImage) -> TextureHandle {
    const PIXEL_ART_SIDE: usize = 64;
    let is_tiny = image.width().max(image.height()) <= PIXEL_ART_SIDE;
    let magnification = if is_tiny { TextureFilter::Nearest } else { TextureFilter::Linear };
    context.load_texture(format!("thumbnail {index}"), image, TextureOptions { magnification, ..TextureOptions::LINEAR })
}

/// One thread.
struct Reader {
    dataset: Arc<Dataset>,
    cache: ThumbnailCache,
    queue: Arc<Queue>,
    send: Sender<Read>,
    is_told: Arc<AtomicBool>,
    context: Context,
}

impl Reader {
    fn work(self) {
        let mut resizer = Resizer::new();
        while let Some(want) = self.queue.take() {
            let read = match want {
                Want::Thumbnail(index) => Read::Thumbnail(index, safely(|| self.thumbnail(index, &mut resizer))),
                Want::Picture(index) => {
                    let whole = || self.dataset.picture(index, &|_, _| Need::whole(1)).map(|decoded| Arc::new(decoded.picture));
                    Read::Picture(index, safely(whole))
                }
            };
            if self.send.send(read).is_err() {
                return;
            }
            if !self.is_told.swap(true, Ordering::Relaxed) {
                self.context.request_repaint_after(PACE);
            }
        }
    }

    fn thumbnail(&self, index: usize, resizer: &mut Resizer) -> Result<ColorImage, String> {
        let kept = self.cache.path(&self.dataset, index);
        if let Some(image) = kept.as_deref().and_then(ThumbnailCache::load) {
            return Ok(image);
        }
        let made = thumbnail_maker::make(&*self.dataset, index, resizer)?;
        if let (Some(path), true) = (kept, made.is_worth_keeping) {
            self.cache.keep(path, &made.image);
        }
        Ok(made.image)
    }
}

/// A hostile file is a reason, never the end of a thread.
fn safely<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("it cannot be shown: an error in Maskroom itself".into()))
}

/// Thumbnails as textures; beyond the budget, those go that were not drawn for the longest time.
struct Textures {
    budget: usize,
    bytes: usize,
    frame: u64,
    known: HashMap<usize, Known>,
}

struct Known {
    thumbnail: Thumbnail,
    bytes: usize,
    drawn: u64,
}

impl Textures {
    fn new(budget: usize) -> Self {
        Self { budget, bytes: 0, frame: 0, known: HashMap::new() }
    }

    fn get(&mut self, index: usize) -> Option<Thumbnail> {
        let known = self.known.get_mut(&index)?;
        known.drawn = self.frame;
        Some(known.thumbnail.clone())
    }

    fn put(&mut self, index: usize, texture: Result<TextureHandle, String>) {
        let (thumbnail, bytes) = match texture {
            Ok(texture) => (Thumbnail::Ready(texture.clone()), texture.byte_size()),
            Err(reason) => (Thumbnail::Failed(reason), 0),
        };
        self.bytes += bytes;
        if let Some(old) = self.known.insert(index, Known { thumbnail, bytes, drawn: self.frame }) {
            self.bytes -= old.bytes;
        }
        if self.bytes > self.budget {
            self.make_room();
        }
    }

    /// A tenth at once, so that this is rare; never what was drawn just now.
    fn make_room(&mut self) {
        let mut oldest: Vec<(u64, usize)> =
            self.known.iter().filter(|(_, known)| known.bytes > 0).map(|(index, known)| (known.drawn, *index)).collect();
        oldest.sort_unstable();
        for (drawn, index) in oldest {
            if self.bytes <= self.budget - self.budget / 10 || drawn + 1 >= self.frame {
                return;
            }
            self.bytes -= self.known.remove(&index).map_or(0, |known| known.bytes);
        }
    }
}

/// The pictures looked at last, the latest first.
#[derive(Default)]
struct Pictures {
    latest: VecDeque<(usize, Result<Arc<Picture>, String>)>,
}

const KEPT_PICTURES: usize = 8;
/// For all pictures but the one that is looked at.
const PICTURE_BYTES: usize = 768 << 20;

impl Pictures {
    fn get(&mut self, index: usize) -> Option<FullPicture> {
        let place = self.latest.iter().position(|(known, _)| *known == index)?;
        let found = self.latest.remove(place)?;
        let picture = match &found.1 {
            Ok(picture) => FullPicture::Ready(Arc::clone(picture)),
            Err(reason) => FullPicture::Failed(reason.clone()),
        };
        self.latest.push_front(found);
        Some(picture)
    }

    /// Behind the one that is looked at, for it may only have been asked for ahead.
    fn put(&mut self, index: usize, picture: Result<Arc<Picture>, String>) {
        self.latest.retain(|(known, _)| *known != index);
        self.latest.insert(1.min(self.latest.len()), (index, picture));
        let bytes = |latest: &VecDeque<(usize, Result<Arc<Picture>, String>)>| {
            latest.iter().filter_map(|(_, picture)| Some(picture.as_ref().ok()?.num_bytes())).sum::<usize>()
        };
        while self.latest.len() > KEPT_PICTURES || (self.latest.len() > 2 && bytes(&self.latest) > PICTURE_BYTES) {
            self.latest.pop_back();
        }
    }

    /// Whether it is not there yet, and would not drive out what is: pictures of a folder mostly have one size.
    fn has_room_ahead(&self, index: usize) -> bool {
        let largest = self.latest.front().and_then(|(_, picture)| Some(picture.as_ref().ok()?.num_bytes())).unwrap_or(0);
        self.latest.iter().all(|(known, _)| *known != index) && 4 * largest <= PICTURE_BYTES
    }
}

#[cfg(test)]
mod tests;
