//! NumPy's `.npy` files (format 1.0, C order): masks out and in, numbers out. Format: NumPy enhancement proposal 1.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::write_atomic_with;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longer headers than this are no list of masks.
const MAX_HEADER: usize = 1 << 16;

/// Writes truth values of the given shape.
///
/// # Errors
/// [`Error::Failed`] if the shape does not hold as many values as there are, [`Error::Io`] if the file cannot be written.
pub fn write_bool(path: &Path, shape: &[usize], values: &[bool]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
    write(path, "|b1", shape, values.len(), &bytes)
}

/// Writes numbers of the given shape as little-endian 32-bit floats.
///
/// # Errors
/// As [`write_bool`].
pub fn write_f32(path: &Path, shape: &[usize], values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    write(path, "<f4", shape, values.len(), &bytes)
}

/// Reads truth values: their shape and, in C order, the values themselves. Arrays of numbers holding only 0 and 1 are taken too.
///
/// # Errors
/// [`Error::Data`] naming what is wrong with the file.
pub fn read_bool(path: &Path) -> Result<(Vec<usize>, Vec<bool>)> {
    let bytes = std::fs::read(path).map_err(|why| Error::data(path, format!("cannot be read ({why})"), "name a readable .npy file"))?;
    parse_bool(&bytes)
        .map_err(|reason| Error::data(path, reason, "write it again with `maskroom mask` or `numpy.save` from a bool array in C order"))
}

fn write(path: &Path, descr: &str, shape: &[usize], count: usize, bytes: &[u8]) -> Result<()> {
    if size_of_shape(shape) != Some(count) {
        return Err(Error::Failed(format!("cannot write {}: {count} values do not fill the shape {shape:?}", path.display())));
    }
    write_atomic_with(path, |file| {
        file.write_all(&header(descr, shape))?;
        file.write_all(bytes)
    })
}

/// The magic, the version and the description, padded so that the data starts at a multiple of 64 bytes.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // One side keeps its comma, as Python's tuples do.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    let length = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    let mut bytes = [MAGIC, &[1, 0], &(length as u16).to_le_bytes(), text.as_bytes()].concat();
    bytes.resize(MAGIC.len() + 4 + length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

fn parse_bool(bytes: &[u8]) -> Result<(Vec<usize>, Vec<bool>), String> {
    let (text, data) = split(bytes).ok_or("is not a .npy file, or is cut off within its header")?;
    let descr = quoted(field(text, "descr")?).ok_or("has a header whose `descr` is not a plain type")?;
    let one = bytes_of_one(descr).ok_or_else(|| format!("holds values of type `{descr}`, not bool"))?;
    if !field(text, "fortran_order")?.starts_with("False") {
        return Err("is in Fortran order".into());
    }
    let shape = tuple(field(text, "shape")?).ok_or("has a header whose `shape` is not a list of sizes")?;
    let count = size_of_shape(&shape).ok_or("has a shape too large to hold")?;
    if Some(data.len()) != count.checked_mul(one.len()) {
        return Err(format!("holds {} values where its shape {shape:?} needs {count}", data.len() / one.len()));
    }
    let truth = |value: &[u8]| match value {
        value if value == one => Ok(true),
        value if value.iter().all(|&byte| byte == 0) => Ok(false),
        other => Err(format!("holds the bytes {other:?} where a truth value, 0 or 1, should be")),
    };
    Ok((shape, data.chunks_exact(one.len()).map(truth).collect::<Result<_, _>>()?))
}

/// How a type of number writes 1, if it is one of those that truth may be written in.
fn bytes_of_one(descr: &str) -> Option<Vec<u8>> {
    Some(match descr {
        "|b1" | "?" | "b1" | "|u1" | "|i1" => vec![1],
        "<i2" | "<u2" => 1_u16.to_le_bytes().into(),
        "<i4" | "<u4" => 1_u32.to_le_bytes().into(),
        "<i8" | "<u8" => 1_u64.to_le_bytes().into(),
        "<f4" => 1_f32.to_le_bytes().into(),
        "<f8" => 1_f64.to_le_bytes().into(),
        _ => return None,
    })
}

/// The header's text and the data after it.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = match rest.split_first_chunk::<2>()? {
        ([1, _], rest) => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?,
        ([2 | 3, _], rest) => rest.split_first_chunk::<4>().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))?,
        _ => return None,
    };
    if length > MAX_HEADER {
        return None;
    }
    let (text, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, data))
}

/// The text after `'key':` in the header.
fn field<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("has a header without `{key}`");
    let (_, rest) = text.split_once(&format!("'{key}'")).or_else(|| text.split_once(&format!("\"{key}\""))).ok_or_else(missing)?;
    rest.trim_start().strip_prefix(':').map(str::trim_start).ok_or_else(missing)
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote).map(|(inner, _)| inner)
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|side| !side.is_empty()).map(|side| side.trim_end_matches('L').parse().ok()).collect()
}

fn size_of_shape(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |size, &side| size.checked_mul(side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_numpy_writes() {
        // numpy.save(f, numpy.zeros((2, 14, 14), bool)): 128 bytes in front of the data.
        let header = header("|b1", &[2, 14, 14]);
        assert_eq!(header.len(), 128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(header[10..].starts_with(b"{'descr': '|b1', 'fortran_order': False, 'shape': (2, 14, 14), }   "));
        assert_eq!(header.last(), Some(&b'\n'));
        assert!(String::from_utf8_lossy(&super::header("<f4", &[5])).contains("'shape': (5,), }"));
        assert!(String::from_utf8_lossy(&super::header("<f4", &[])).contains("'shape': (), }"));
    }

    #[test]
    fn bools_come_back_and_other_shapes_are_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("masks.npy");
        let values: Vec<bool> = (0..24).map(|index| index % 3 == 0).collect();
        write_bool(&path, &[2, 3, 4], &values).expect("written");
        assert_eq!(read_bool(&path).expect("read"), (vec![2, 3, 4], values.clone()));
        assert!(write_bool(&path, &[2, 3, 5], &values).is_err());
        write_f32(&path, &[3], &[1.0, 2.0, 3.0]).expect("written");
        let error = read_bool(&path).expect_err("not bool");
        assert!(error.exit_status() == 3 && error.to_string().contains("truth value"), "{error}");
        assert_eq!(std::fs::metadata(&path).expect("file").len(), 64 * 2 + 12);
        write_f32(&path, &[2, 2], &[1.0, 0.0, 0.0, 1.0]).expect("written");
        assert_eq!(read_bool(&path).expect("zeros and ones"), (vec![2, 2], vec![true, false, false, true]));
        for (descr, two) in [("<i8", &2_i64.to_le_bytes()[..]), ("<f8", &0.5_f64.to_le_bytes()), ("|u1", &[2])] {
            let one = bytes_of_one(descr).expect("known");
            let array = |last: &[u8]| [header(descr, &[2]), one.clone(), last.to_vec()].concat();
            assert_eq!(parse_bool(&array(&vec![0; one.len()])), Ok((vec![2], vec![true, false])), "{descr}");
            assert!(parse_bool(&array(two)).expect_err("neither").contains("truth value"), "{descr}");
        }
        assert!(parse_bool(&header("<c8", &[0])).expect_err("complex").contains("<c8"));
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let mut whole = header("|b1", &[2, 2]);
        whole.extend([0, 1, 1, 0]);
        assert!(parse_bool(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(parse_bool(&whole[..length]).is_err(), "cut at {length}");
        }
        let mut stream = crate::random::Stream::new(0, 0, 0, crate::random::Purpose::Bench);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=stream.below(3) {
                let at = stream.below(bytes.len());
                bytes[at] = stream.below(256) as u8;
            }
            let _ = parse_bool(&bytes);
        }
        let huge = header("|b1", &[usize::MAX, 2]);
        assert!(parse_bool(&huge).expect_err("too large").contains("too large"));
    }
}
