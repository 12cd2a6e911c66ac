//! The directory of a zip file, as far as `torch.save` writes one: entries that are stored as they are, in files of any size (ZIP64).
//! Checksums are not looked at, because PyTorch can be told to leave them out.

use std::collections::BTreeSet;

use crate::weights::source::{Place, ReadAt, Source};

/// Longer directories are none of weights.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
/// The end record and the longest comment after it.
const MAX_END_BYTES: u64 = 22 + 65_535;

/// A file in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path in the archive.
    pub name: String,
    /// Where its own header begins.
    header: u64,
    /// Bytes of it.
    size: u64,
    /// As it is, neither compressed nor encrypted.
    is_stored: bool,
}

/// Everything that the archive says it holds.
pub(super) fn entries<R: ReadAt>(source: &Source<R>) -> Result<Vec<Entry>, String> {
    let (offset, size) = directory(source)?;
    if size > MAX_DIRECTORY_BYTES {
        return Err(format!("its list of contents claims {} MiB", size >> 20));
    }
    let bytes = source.read(Place { offset, size })?;
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
        let short = |at: usize| usize::from(u16_at(rest, at));
        let (name, extra, comment) = (short(28), short(30), short(32));
        let whole = 46 + name + extra + comment;
        if rest.len() < whole {
            return Err("its list of contents ends within an entry".into());
        }
        let mut wide = Wide { extra: wide_fields(&rest[46 + name..46 + name + extra]) };
        let size = wide.or(u32_at(rest, 24))?;
        let packed = wide.or(u32_at(rest, 20))?;
        let header = wide.or(u32_at(rest, 42))?;
        let is_stored = short(10) == 0 && short(8) & 1 == 0 && packed == size;
        entries.push(Entry { name: String::from_utf8_lossy(&rest[46..46 + name]).into_owned(), header, size, is_stored });
        rest = &rest[whole..];
    }
    let mut names = BTreeSet::new();
    match entries.iter().find(|entry| !names.insert(entry.name.as_str())) {
        Some(twice) => Err(format!("`{}` is in it twice", twice.name)),
        None => Ok(entries),
    }
}

impl Entry {
    /// Where its bytes are.
    pub fn place<R: ReadAt>(&self, source: &Source<R>) -> Result<Place, String> {
        if !self.is_stored {
            return Err(format!("`{}` in it is compressed or encrypted, as `torch.save` never does", self.name));
        }
        let header = source.read(Place { offset: self.header, size: 30 })?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(format!("`{}` is not where its list of contents says", self.name));
        }
        let before = 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let place = Place { offset: self.header.saturating_add(before), size: self.size };
        if source.holds(place) { Ok(place) } else { Err(format!("it ends within `{}`", self.name)) }
    }
}

/// Where the list of contents begins, and how long it is.
fn directory<R: ReadAt>(source: &Source<R>) -> Result<(u64, u64), String> {
    let size = source.size().min(MAX_END_BYTES);
    let start = source.size() - size;
    let tail = source.read(Place { offset: start, size })?;
    let is_end = |at: usize| tail[at..].starts_with(b"PK\x05\x06") && at + 22 + usize::from(u16_at(&tail, at + 20)) == tail.len();
    let end =
        (0..(tail.len() + 1).saturating_sub(22)).rev().find(|&at| is_end(at)).ok_or("it is truncated: its list of contents is missing")?;
    let locator = end.checked_sub(20).filter(|&at| tail[at..].starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else {
        return Ok((u64::from(u32_at(&tail, end + 16)), u64::from(u32_at(&tail, end + 12))));
    };
    let record = source.read(Place { offset: u64_at(&tail, locator + 8), size: 56 })?;
    if !record.starts_with(b"PK\x06\x06") {
        return Err("the end of its list of contents is damaged".into());
    }
    Ok((u64_at(&record, 48), u64_at(&record, 40)))
}

/// The 64-bit fields of an entry, in the order in which those that are too large for 32 bits follow one another.
struct Wide<'a> {
    extra: &'a [u8],
}

impl Wide<'_> {
    /// A field of 32 bits, or the next of 64 that stands for it.
    fn or(&mut self, narrow: u32) -> Result<u64, String> {
        if narrow != u32::MAX {
            return Ok(u64::from(narrow));
        }
        let (value, rest) = self.extra.split_at_checked(8).ok_or("its list of contents lacks the length of a large entry")?;
        self.extra = rest;
        Ok(u64_at(value, 0))
    }
}

fn wide_fields(mut extra: &[u8]) -> &[u8] {
    const ZIP64: u16 = 1;
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(field) = extra.get(4..4 + length) else { break };
        if id == ZIP64 {
            return field;
        }
        extra = &extra[4 + length..];
    }
    &[]
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Bytes beyond the end are zero; callers have looked at the length.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).unwrap_or([0; N])
}
