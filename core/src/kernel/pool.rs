//! Memory that is used again: what a training step needs it needs in every step, and memory from the system costs the clearing of its
//! pages each time (a tenth of a step).

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Numbers that go back to the pool when they are dropped. Those of a new one are arbitrary.
#[derive(Debug, Default)]
pub struct Pooled(Vec<f32>);

impl Pooled {
    /// `len` numbers.
    pub fn new(len: usize) -> Self {
        let kept = Self::pool().take(len);
        Self(kept.unwrap_or_else(|| vec![0.0; len]))
    }

    fn pool() -> MutexGuard<'static, Pool> {
        static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Vec<f32>> for Pooled {
    fn from(values: Vec<f32>) -> Self {
        Self(values)
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            Self::pool().give(std::mem::take(&mut self.0));
        }
    }
}

impl Deref for Pooled {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// What is not in use, by its length.
#[derive(Default)]
struct Pool {
    kept: HashMap<usize, Vec<(Vec<f32>, u64)>>,
    /// Counts what was taken.
    clock: u64,
}

/// What was not taken while so many others were is given back to the system: sizes change when another network is looked at.
const PATIENCE: u64 = 2048;

impl Pool {
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.clock += 1;
        if self.clock.is_multiple_of(PATIENCE) {
            let oldest = self.clock - PATIENCE;
            self.kept.retain(|_, buffers| {
                buffers.retain(|(_, given)| *given > oldest);
                !buffers.is_empty()
            });
        }
        // The last one given is likeliest to be in a cache.
        self.kept.get_mut(&len)?.pop().map(|(buffer, _)| buffer)
    }

    fn give(&mut self, buffer: Vec<f32>) {
        self.kept.entry(buffer.len()).or_default().push((buffer, self.clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_given_back_when_nobody_wants_it() {
        let mut pool = Pool::default();
        let (buffer, other) = (vec![1.0; 5], vec![2.0; 7]);
        let address = buffer.as_ptr();
        pool.give(buffer);
        pool.give(other);
        assert_eq!(pool.take(5).map(|buffer| buffer.as_ptr()), Some(address));
        assert!(pool.take(5).is_none() && pool.take(6).is_none());
        for _ in 0..2 * PATIENCE {
            pool.take(1);
        }
        assert!(pool.take(7).is_none(), "kept for ever");
    }

    #[test]
    fn what_was_dropped_comes_back() {
        const LEN: usize = 12_347;
        let mut first = Pooled::new(LEN);
        first[0] = 3.0;
        drop(first);
        assert_eq!(Pooled::new(LEN)[0], 3.0);
    }
}
