//! Memory that is used again: what a training step needs it needs in every step, and memory from the system costs the clearing of its
//! pages each time (a tenth of a step).
//!
//! Buffers are ranges of a few large slabs, each the first that is free and long enough, so what one layer gave back serves another of any
//! size: with buffers kept by their length a ViT-S step held 680 MiB of them, of which never more than 450 were in use at once.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Numbers that go back to the pool when they are dropped. Those of a new one are arbitrary.
#[derive(Debug)]
pub struct Pooled(Memory);

#[derive(Debug)]
enum Memory {
    /// Of a slab.
    Range(Range),
    /// Somebody else's, or too little to be worth the pool.
    Own(Vec<f32>),
}

/// A part of a slab that has one owner.
#[derive(Debug)]
struct Range {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: a range is memory that nobody else refers to, like a box.
#[expect(unsafe_code, reason = "a pointer is not sent to threads by itself")]
unsafe impl Send for Range {}
// SAFETY: as above; shared references only read.
#[expect(unsafe_code, reason = "a pointer is not shared by itself")]
unsafe impl Sync for Range {}

/// Fewer numbers than this come from the allocator.
const SMALL: usize = 1024;

impl Pooled {
    /// `len` numbers.
    pub fn new(len: usize) -> Self {
        Self(if len < SMALL { Memory::Own(vec![0.0; len]) } else { Memory::Range(pool().take(len)) })
    }

    /// Bytes of the pool in use by the whole process.
    pub fn bytes_in_use() -> usize {
        pool().lines_in_use * LINE.size()
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Pooled {
    fn default() -> Self {
        Self(Memory::Own(Vec::new()))
    }
}

impl From<Vec<f32>> for Pooled {
    fn from(values: Vec<f32>) -> Self {
        Self(Memory::Own(values))
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Memory::Range(range) = &self.0 {
            pool().give(range);
        }
    }
}

impl Deref for Pooled {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Memory::Own(values) => values,
            #[expect(unsafe_code, reason = "numbers behind a pointer")]
            // SAFETY: the range lies in a slab, which lives while any of it is in use, was zeroed once, and belongs to `self` alone.
            Memory::Range(range) => unsafe { std::slice::from_raw_parts(range.start.as_ptr(), range.len) },
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Memory::Own(values) => values,
            #[expect(unsafe_code, reason = "numbers behind a pointer")]
            // SAFETY: as in `deref`; `self` is borrowed mutably.
            Memory::Range(range) => unsafe { std::slice::from_raw_parts_mut(range.start.as_ptr(), range.len) },
        }
    }
}

/// What slabs are counted in: a cache line.
const LINE: Layout = Layout::new::<[u128; 4]>();
const NUMBERS_PER_LINE: usize = LINE.size() / size_of::<f32>();
/// Lines of a slab, unless more are wanted at once: 64 MiB, of which only what is used takes memory.
const SLAB: usize = 1 << 20;
/// A slab that stayed unused while so many buffers were taken goes back to the system: sizes change when another network is looked at.
const PATIENCE: u64 = 2048;

/// Slabs, by the address of their first line.
#[derive(Default)]
struct Pool {
    slabs: BTreeMap<usize, Slab>,
    lines_in_use: usize,
    /// Counts what was taken.
    clock: u64,
}

impl Pool {
    fn take(&mut self, len: usize) -> Range {
        let lines = len.div_ceil(NUMBERS_PER_LINE);
        self.clock += 1;
        self.lines_in_use += lines;
        if self.clock.is_multiple_of(PATIENCE) {
            let oldest = self.clock - PATIENCE;
            self.slabs.retain(|_, slab| !slab.is_unused() || slab.last_used > oldest);
        }
        for slab in self.slabs.values_mut() {
            if let Some(start) = slab.take(lines) {
                slab.last_used = self.clock;
                return Range { start, len };
            }
        }
        let mut slab = Slab::new(lines.max(SLAB));
        slab.last_used = self.clock;
        let start = slab.take(lines).unwrap_or(slab.start);
        self.slabs.insert(slab.start.addr().get(), slab);
        Range { start, len }
    }

    fn give(&mut self, range: &Range) {
        let lines = range.len.div_ceil(NUMBERS_PER_LINE);
        self.lines_in_use -= lines;
        if let Some((_, slab)) = self.slabs.range_mut(..=range.start.addr().get()).next_back() {
            slab.give(range.start, lines);
            slab.last_used = self.clock;
        }
    }
}

/// One piece of memory from the system.
struct Slab {
    start: NonNull<f32>,
    lines: usize,
    /// First line and number of lines of what is free; never two that touch.
    free: BTreeMap<usize, usize>,
    /// The pool's clock.
    last_used: u64,
}

// SAFETY: a slab owns its memory, but for the ranges given away, of which it touches none.
#[expect(unsafe_code, reason = "a pointer is not sent to threads by itself")]
unsafe impl Send for Slab {}

impl Slab {
    fn layout(lines: usize) -> Layout {
        Layout::from_size_align(lines.saturating_mul(LINE.size()), LINE.align().max(LINE.size())).unwrap_or(LINE)
    }

    fn new(lines: usize) -> Self {
        let layout = Self::layout(lines);
        // SAFETY: the layout has a size: there is at least one line.
        #[expect(unsafe_code, reason = "a vector of zeros would be aligned to single numbers")]
        let memory = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, lines, free: BTreeMap::from([(0, lines)]), last_used: 0 }
    }

    fn is_unused(&self) -> bool {
        self.free.get(&0) == Some(&self.lines)
    }

    /// The first free lines that suffice.
    fn take(&mut self, lines: usize) -> Option<NonNull<f32>> {
        let (&first, &count) = self.free.iter().find(|&(_, &count)| count >= lines)?;
        self.free.remove(&first);
        if count > lines {
            self.free.insert(first + lines, count - lines);
        }
        // SAFETY: `first` is a line of this slab.
        #[expect(unsafe_code, reason = "a place in the slab")]
        Some(unsafe { self.start.add(first * NUMBERS_PER_LINE) })
    }

    fn give(&mut self, start: NonNull<f32>, lines: usize) {
        let mut first = (start.addr().get() - self.start.addr().get()) / LINE.size();
        let mut count = lines;
        if let Some(after) = self.free.remove(&(first + count)) {
            count += after;
        }
        if let Some((&before, &its)) = self.free.range(..first).next_back().filter(|&(&before, &its)| before + its == first) {
            self.free.remove(&before);
            (first, count) = (before, its + count);
        }
        self.free.insert(first, count);
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and dropped only when none of it is in use.
        #[expect(unsafe_code, reason = "the other end of `new`")]
        unsafe {
            dealloc(self.start.as_ptr().cast(), Self::layout(self.lines));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pool: &mut Pool, count: usize) -> Range {
        pool.take(count * NUMBERS_PER_LINE)
    }

    #[test]
    fn what_was_given_back_serves_buffers_of_other_sizes() {
        let mut pool = Pool::default();
        let [a, b, c] = [3, 5, 4].map(|count| lines(&mut pool, count));
        let start = a.start;
        [&a, &c, &b].into_iter().for_each(|range| pool.give(range));
        let (all, more) = (lines(&mut pool, 12), lines(&mut pool, 1));
        assert_eq!(all.start, start, "three neighbors have become one");
        assert_ne!(more.start, start);
        assert_eq!((pool.slabs.len(), pool.lines_in_use), (1, 13));
        let large = lines(&mut pool, 2 * SLAB);
        assert_eq!(pool.slabs.len(), 2, "more than a slab gets one of its own");
        [&all, &more, &large].into_iter().for_each(|range| pool.give(range));
        assert_eq!(pool.lines_in_use, 0);
        assert!(pool.slabs.values().all(Slab::is_unused));
    }

    #[test]
    fn memory_goes_back_when_nobody_wants_it() {
        let mut pool = Pool::default();
        let held = [lines(&mut pool, 1), lines(&mut pool, SLAB)];
        assert_eq!(pool.slabs.len(), 2);
        held.iter().for_each(|range| pool.give(range));
        for _ in 0..2 * PATIENCE {
            let passing = lines(&mut pool, 2);
            pool.give(&passing);
        }
        assert_eq!(pool.slabs.len(), 1, "the slab that nothing is taken from is kept for ever");
    }

    #[test]
    fn random_takers_never_share_memory() {
        let mut stream = crate::random::Stream::new(1, 0, 0, crate::random::Purpose::Bench);
        let mut held: Vec<(Pooled, f32)> = Vec::new();
        for round in 0..4000 {
            if held.len() > 40 || (!held.is_empty() && stream.below(3) == 0) {
                let (buffer, mark) = held.swap_remove(stream.below(held.len()));
                assert!(buffer.iter().all(|&value| value == mark), "somebody wrote to a buffer that was not theirs");
            } else {
                let mut buffer = Pooled::new(stream.below(40_000));
                buffer.fill(round as f32);
                held.push((buffer, round as f32));
            }
        }
    }
}
