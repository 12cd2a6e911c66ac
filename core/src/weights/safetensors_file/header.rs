//! The header of a safetensors file, read with suspicion: what it says must be said once, make sense by itself, and fit the file to the byte.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::weights::dtype::Dtype;
use crate::weights::source::{Place, ReadAt, Source};

/// Headers longer than this are no headers; the format says so.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Tensors of one file at most.
const MAX_TENSORS: usize = 1_000_000;
/// Dimensions of a tensor at most.
const MAX_DIMENSIONS: usize = 32;
/// What the header has under this name are words, and no tensor.
const METADATA: &str = "__metadata__";

/// What a file says it holds.
#[derive(Debug)]
pub(super) struct Header {
    /// Tensors of numbers that weights are made of.
    pub tensors: BTreeMap<String, Entry>,
    /// Words beside them.
    pub metadata: BTreeMap<String, String>,
}

/// A tensor.
#[derive(Debug)]
pub(super) struct Entry {
    /// The kind of its numbers.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Where in the file they are.
    pub place: Place,
}

/// Reads the header of a file.
///
/// # Errors
/// What is wrong with it, and with which of its tensors.
pub(super) fn read<R: ReadAt>(source: &Source<R>) -> Result<Header, String> {
    let length = source.read(Place { offset: 0, size: 8 })?.try_into().map_or(0, u64::from_le_bytes);
    if length > MAX_HEADER_BYTES {
        return Err(format!("its header claims {length} bytes, and none has more than {MAX_HEADER_BYTES}"));
    }
    let place = Place { offset: 8, size: length };
    if !source.holds(place) {
        return Err(format!("it is truncated: its header claims {length} bytes, and the file has {}", source.size()));
    }
    let text = source.read(place)?;
    if !text.starts_with(b"{") {
        return Err("its header does not begin with `{`".into());
    }
    let Described { tensors, metadata } = serde_json::from_slice(&text).map_err(|error| format!("its header: {error}"))?;
    check_order(&tensors, source.size() - (8 + length))?;
    let mut entries = BTreeMap::new();
    for (name, tensor) in tensors {
        let entry = tensor.entry(8 + length).map_err(|reason| format!("{}: {reason}", shown(&name)))?;
        if entry.dtype.is_real() {
            entries.insert(name, entry);
        }
    }
    Ok(Header { tensors: entries, metadata })
}

/// Every byte of the numbers belongs to one tensor.
fn check_order(tensors: &BTreeMap<String, Tensor>, room: u64) -> Result<(), String> {
    let mut order: Vec<(&String, [u64; 2])> = tensors.iter().map(|(name, tensor)| (name, tensor.offsets)).collect();
    order.sort_unstable_by_key(|&(_, offsets)| offsets);
    let mut end = 0;
    for (name, [start, stop]) in order {
        let wrong = if stop < start {
            format!("it ends at {stop}, before it begins at {start}")
        } else if stop > room {
            format!("it is truncated: it ends at {stop}, and there are {room} bytes of numbers")
        } else if start < end {
            format!("it begins at {start} and overlaps one that ends at {end}")
        } else if start > end {
            format!("{} bytes before it belong to no tensor", start - end)
        } else {
            end = stop;
            continue;
        };
        return Err(format!("{}: {wrong}", shown(name)));
    }
    if end < room { Err(format!("{} bytes at its end belong to no tensor", room - end)) } else { Ok(()) }
}

/// A name as it may stand in a message.
fn shown(name: &str) -> String {
    name.chars().take(100).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// A kind of numbers by the format's name, and the bits of one.
fn kind(name: &str) -> Option<(Dtype, u64)> {
    let other = |bits: u64| Some((Dtype::Other(bits.div_ceil(8) as u8), bits));
    let dtype = match name {
        "F64" => Dtype::F64,
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::Bf16,
        "I64" => Dtype::I64,
        "I32" => Dtype::I32,
        "I16" => Dtype::I16,
        "I8" => Dtype::I8,
        "U8" => Dtype::U8,
        "BOOL" => Dtype::Bool,
        "F4" => return other(4),
        "F6_E2M3" | "F6_E3M2" => return other(6),
        "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => return other(8),
        "U16" => return other(16),
        "U32" => return other(32),
        "U64" | "C64" => return other(64),
        _ => return None,
    };
    Some((dtype, 8 * dtype.size()))
}

/// A header as it is written.
struct Described {
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

/// A tensor as a header describes it.
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    offsets: [u64; 2],
}

impl Tensor {
    /// The same, if its size is that of its numbers.
    fn entry(&self, start: u64) -> Result<Entry, String> {
        let (dtype, bits) = kind(&self.dtype).ok_or_else(|| format!("`{}` is no kind of numbers", shown(&self.dtype)))?;
        if self.shape.len() > MAX_DIMENSIONS {
            return Err(format!("it has {} dimensions", self.shape.len()));
        }
        let Self { shape, offsets: [begin, end], .. } = self;
        let too_large = || format!("{shape:?} numbers are more than memory can hold");
        let num_bits = shape.iter().try_fold(bits, |bits, &side| bits.checked_mul(side)).ok_or_else(too_large)?;
        let size = end - begin;
        if size.checked_mul(8) != Some(num_bits) {
            return Err(format!("{shape:?} numbers of {} are {} bytes, and it has {size}", self.dtype, num_bits / 8));
        }
        let shape = shape.iter().map(|&side| usize::try_from(side)).collect::<Result<_, _>>().map_err(|_| too_large())?;
        Ok(Entry { dtype, shape, place: Place { offset: start + begin, size } })
    }
}

impl<'de> Deserialize<'de> for Described {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Described;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Described, A::Error> {
                let (mut tensors, mut metadata) = (BTreeMap::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    let known = if name == METADATA { metadata.is_some() } else { tensors.contains_key(&name) };
                    if known {
                        return Err(A::Error::custom(format!("`{}` is there twice", shown(&name))));
                    }
                    if tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("there are more than {MAX_TENSORS} tensors")));
                    }
                    let of_name = |error: A::Error| A::Error::custom(format!("{}: {error}", shown(&name)));
                    if name == METADATA {
                        metadata = Some(map.next_value::<Words>().map_err(of_name)?.0);
                    } else {
                        let tensor = map.next_value::<Tensor>().map_err(of_name)?;
                        tensors.insert(name, tensor);
                    }
                }
                Ok(Described { tensors, metadata: metadata.unwrap_or_default() })
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Tensor;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensor, A::Error> {
                let (mut dtype, mut shape, mut offsets) = (None, None, None);
                while let Some(key) = map.next_key::<String>()? {
                    let is_first = match key.as_str() {
                        "dtype" => dtype.replace(map.next_value()?).is_none(),
                        "shape" => shape.replace(map.next_value()?).is_none(),
                        "data_offsets" => offsets.replace(map.next_value()?).is_none(),
                        _ => return Err(A::Error::custom(format!("`{}` is nothing that a tensor has", shown(&key)))),
                    };
                    if !is_first {
                        return Err(A::Error::custom(format!("`{key}` is there twice")));
                    }
                }
                let missing = |key: &str| A::Error::custom(format!("`{key}` is missing"));
                Ok(Tensor {
                    dtype: dtype.ok_or_else(|| missing("dtype"))?,
                    shape: shape.ok_or_else(|| missing("shape"))?,
                    offsets: offsets.ok_or_else(|| missing("data_offsets"))?,
                })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The metadata.
struct Words(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Words;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("words by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let mut words = BTreeMap::new();
                while let Some((key, word)) = map.next_entry::<String, String>()? {
                    if words.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{}` is there twice", shown(&key))));
                    }
                    words.insert(key, word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
