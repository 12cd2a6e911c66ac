//! Files of which parts are read when they are asked for, and never more than they have.

use std::fs::File;
use std::io::{self, ErrorKind};

use super::dtype::Dtype;

/// What can be read at any place: a file, or bytes in memory.
pub trait ReadAt {
    /// Bytes of it.
    fn num_bytes(&self) -> io::Result<u64>;

    /// Fills `buffer` with the bytes from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn num_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buffer, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ReadAt for &[u8] {
    fn num_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let part = rest.and_then(|rest| rest.get(..buffer.len())).ok_or(io::Error::from(ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
impl ReadAt for Vec<u8> {
    fn num_bytes(&self) -> io::Result<u64> {
        self.as_slice().num_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Bytes of it.
    pub size: u64,
}

/// Bytes that are in memory on their way from a file to numbers of another kind.
const CHUNK: usize = 1 << 20;

/// The file.
#[derive(Debug)]
pub struct Source<R = File> {
    reader: R,
    size: u64,
}

impl<R: ReadAt> Source<R> {
    /// Notes how long it is.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(reader: R) -> io::Result<Self> {
        let size = reader.num_bytes()?;
        Ok(Self { reader, size })
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file has this part.
    pub fn holds(&self, place: Place) -> bool {
        place.offset.checked_add(place.size).is_some_and(|end| end <= self.size)
    }

    /// The bytes of a part.
    ///
    /// # Errors
    /// Why they cannot be read; before any memory is taken, if the file has no such part.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.length(place)?];
        self.fill(&mut bytes, place.offset)?;
        Ok(bytes)
    }

    /// The first bytes, as many as there are.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn start(&self, size: u64) -> Result<Vec<u8>, String> {
        self.read(Place { offset: 0, size: size.min(self.size) })
    }

    /// The numbers of a part, each as the nearest of 32 bits.
    ///
    /// # Errors
    /// As [`Source::read`], and if they are of a kind that weights are not made of.
    pub fn numbers(&self, place: Place, dtype: Dtype) -> Result<Vec<f32>, String> {
        let length = self.length(place)?;
        if dtype == Dtype::F32 && cfg!(target_endian = "little") {
            let mut values = vec![0.0_f32; length / 4];
            self.fill(bytemuck::cast_slice_mut(&mut values), place.offset)?;
            return Ok(values);
        }
        let size = dtype.size().max(1) as usize;
        let mut values = Vec::with_capacity(length / size);
        let mut buffer = vec![0; length.min(CHUNK)];
        for start in (0..length).step_by(CHUNK) {
            let part = &mut buffer[..(length - start).min(CHUNK)];
            self.fill(part, place.offset + start as u64)?;
            dtype.decode(part, &mut values)?;
        }
        Ok(values)
    }

    fn length(&self, place: Place) -> Result<usize, String> {
        usize::try_from(place.size).ok().filter(|_| self.holds(place)).ok_or_else(|| truncated(place.size, place.offset))
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<(), String> {
        self.reader.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => truncated(buffer.len() as u64, offset),
            _ => error.to_string(),
        })
    }
}

fn truncated(size: u64, offset: u64) -> String {
    format!("it is truncated: {size} bytes at {offset} are beyond its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_files_and_of_bytes_are_the_same() {
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|index| (index % 251) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), &bytes).unwrap();
        let (file, memory) = (Source::new(File::open(folder.path().join("x")).unwrap()).unwrap(), Source::new(bytes.as_slice()).unwrap());
        assert_eq!((file.size(), memory.size()), (5_000_000, 5_000_000));
        for (offset, size) in [(0, 0), (0, 7), (4_999_999, 1), (5_000_000, 0), (3, 3 << 20)] {
            let place = Place { offset, size };
            assert_eq!(file.read(place).unwrap(), memory.read(place).unwrap());
            for dtype in [Dtype::F32, Dtype::F16, Dtype::I64, Dtype::U8] {
                let bits = |source: Vec<f32>| source.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                let numbers = bits(file.numbers(place, dtype).unwrap());
                assert_eq!(numbers.len() as u64, size / dtype.size());
                assert_eq!(numbers, bits(memory.numbers(place, dtype).unwrap()));
            }
        }
        for (offset, size) in [(0, 5_000_001), (5_000_000, 1), (u64::MAX, 2), (1, u64::MAX)] {
            let place = Place { offset, size };
            assert!([file.read(place), memory.read(place)].into_iter().all(|read| read.unwrap_err().contains("truncated")));
            assert!(file.numbers(place, Dtype::F32).is_err());
        }
        // A file that shrinks while it is open.
        std::fs::write(folder.path().join("x"), b"short").unwrap();
        assert!(file.read(Place { offset: 100, size: 100 }).unwrap_err().contains("truncated"));
    }
}
