//! The format that `torch.save` wrote before version 1.6: five pickles one after the other - a magic number, the version of the format, the
//! machine that wrote it, the object, and the names of its storages - and then each storage, its length before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::MAX_PICKLE_BYTES;
use super::machine::{self, Pickle};
use super::value::Value;
use crate::weights::dtype::Dtype;
use crate::weights::source::{Place, ReadAt, Source};

/// 0x1950a86a20f9469cfc6c, least byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: u64 = 1001;

/// Whether a file that begins with these bytes is one: the magic number stands after the pickle's protocol and the number's length.
pub(super) fn is_start(start: &[u8]) -> bool {
    matches!(start, [0x80, _, 0x8a, 10, magic @ ..] if magic.starts_with(&MAGIC))
}

/// The object, and where its storages are.
pub(super) fn read<R: ReadAt>(source: &Source<R>) -> Result<(Pickle, BTreeMap<Arc<str>, Place>), String> {
    // How long pickles are, nothing says: what they are read from grows until they are complete.
    let mut size = 1 << 20;
    loop {
        let start = source.start(size)?;
        if !is_start(&start) {
            return Err("it begins neither like a zip file nor like a checkpoint of old".into());
        }
        match pickles(&start) {
            Err(_) if size < source.size().min(MAX_PICKLE_BYTES) => size *= 8,
            result => {
                let (pickle, keys, length) = result?;
                let places = places(source, &pickle, &keys, length)?;
                return Ok((pickle, places));
            }
        }
    }
}

/// The object, the names of its storages in the order in which they follow, and bytes before the first.
fn pickles(start: &[u8]) -> Result<(Pickle, Vec<Arc<str>>, u64), String> {
    let mut rest = start;
    let mut next = || -> Result<Pickle, String> {
        let pickle = machine::run(rest)?;
        rest = &rest[pickle.length..];
        Ok(pickle)
    };
    let (_, version, system, object, keys) = (next()?, next()?, next()?, next()?, next()?);
    if version.values.count(version.root) != Some(VERSION) {
        return Err(format!("it is of another version of the format than {VERSION}"));
    }
    let is_little = system.values.entry(system.root, "little_endian").map(|order| system.values.get(order));
    if is_little == Some(&Value::Bool(false)) {
        return Err("its numbers are not written with the least byte first".into());
    }
    let list = keys.values.elements(keys.root).ok_or("the names of its storages are no list")?;
    let names = list.iter().map(|&key| keys.values.text(key).map(Arc::from)).collect::<Option<_>>();
    Ok((object, names.ok_or("the name of a storage is no text")?, (start.len() - rest.len()) as u64))
}

fn places<R: ReadAt>(source: &Source<R>, pickle: &Pickle, keys: &[Arc<str>], start: u64) -> Result<BTreeMap<Arc<str>, Place>, String> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for value in pickle.values.iter() {
        if let Value::Storage(storage) = value {
            sizes.insert(&storage.key, storage.dtype.map_or(1, Dtype::size));
        }
    }
    let (mut offset, mut places) = (start, BTreeMap::new());
    for key in keys {
        let size = sizes.get(&**key).ok_or_else(|| format!("storage `{key}` is of an unknown class"))?;
        let count = source.read(Place { offset, size: 8 })?.try_into().map_or(0, u64::from_le_bytes);
        let place =
            count.checked_mul(*size).map(|size| Place { offset: offset.saturating_add(8), size }).filter(|&place| source.holds(place));
        let place = place.ok_or_else(|| format!("it is truncated: it ends within storage `{key}`"))?;
        offset = place.offset + place.size;
        places.insert(Arc::clone(key), place);
    }
    Ok(places)
}
