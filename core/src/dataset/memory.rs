//! Decoded pictures kept in memory between epochs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::decode::{Need, Reduced};
use super::images::ImageSource;

/// Keeps decoded pictures until its budget is spent, and then keeps those it has: in shuffled epochs every picture comes once in each, so
/// that replacing the least recently used one would always drop the next one needed.
///
/// A picture is kept whole, for each reduction it was decoded at. Which reduction a crop gets never depends on what is in memory, so results do not
/// either.
pub(super) struct PictureMemory {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    pictures: HashMap<(usize, usize), Arc<Reduced>>,
    sizes: HashMap<usize, (usize, usize)>,
}

impl PictureMemory {
    /// A memory of at most `mib` MiB of pixels; 0 keeps nothing.
    pub(super) fn new(mib: usize) -> Self {
        Self { budget: mib.saturating_mul(1 << 20), kept: Mutex::default() }
    }

    /// The picture from memory, else from its source.
    pub(super) fn picture(
        &self,
        source: &dyn ImageSource,
        index: usize,
        need: &dyn Fn(usize, usize) -> Need,
    ) -> Result<Arc<Reduced>, String> {
        if self.budget == 0 {
            return source.picture(index, need).map(Arc::new);
        }
        let size = self.lock().sizes.get(&index).copied();
        if let Some((height, width)) = size {
            let wanted = need(height, width).divisor;
            if let Some(kept) = self.lock().pictures.get(&(index, wanted)) {
                return Ok(kept.clone());
            }
        }
        let asked = std::cell::Cell::new(1);
        let decoded = source.picture(index, &|height, width| {
            asked.set(need(height, width).divisor);
            Need::whole(asked.get())
        })?;
        let decoded = Arc::new(decoded);
        let bytes = decoded.picture.num_bytes();
        let mut kept = self.lock();
        if kept.bytes + bytes <= self.budget && !kept.pictures.contains_key(&(index, asked.get())) {
            kept.bytes += bytes;
            kept.sizes.insert(index, (decoded.full_height, decoded.full_width));
            kept.pictures.insert((index, asked.get()), decoded.clone());
        }
        Ok(decoded)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
