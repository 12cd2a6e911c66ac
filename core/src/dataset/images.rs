//! Where the loader's pictures come from: files, or memory.

use super::decode::{Limits, Need, Reduced, decode_for_crop};
use super::{Dataset, Picture};

/// A numbered collection of pictures that several threads may ask at once.
pub trait ImageSource: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Decodes one. `need(height, width)` says, from the picture's full size, what is needed of it; a source may always give it whole. The
    /// error is the reason in plain words.
    fn picture(&self, index: usize, need: &dyn Fn(usize, usize) -> Need) -> Result<Reduced, String>;

    /// Its name, for messages.
    fn name(&self, index: usize) -> String;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ImageSource for Dataset {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn picture(&self, index: usize, need: &dyn Fn(usize, usize) -> Need) -> Result<Reduced, String> {
        decode_for_crop(&self.bytes(index)?, &Limits::default(), need)
    }

    fn name(&self, index: usize) -> String {
        self.items.get(index).map_or_else(|| format!("image {index}"), |item| item.name.clone())
    }
}

/// Pictures held in memory.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// A name for each.
    pub names: Vec<String>,
}

impl ImageSource for InMemory {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn picture(&self, index: usize, _need: &dyn Fn(usize, usize) -> Need) -> Result<Reduced, String> {
        let picture = self.pictures.get(index).ok_or_else(|| format!("there is no image {index}"))?.clone();
        Ok(Reduced { full_height: picture.height, full_width: picture.width, picture, divisor: 1, top: 0, left: 0 })
    }

    fn name(&self, index: usize) -> String {
        self.names.get(index).cloned().unwrap_or_else(|| format!("image {index}"))
    }
}
