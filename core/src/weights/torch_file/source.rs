//! An open file of which parts are read when they are asked for, and never more than it has.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Bytes of it.
    pub size: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    size: u64,
}

impl<R: Read + Seek> Source<R> {
    pub fn new(mut reader: R) -> std::io::Result<Self> {
        let size = reader.seek(SeekFrom::End(0))?;
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
    pub fn read(&mut self, place: Place) -> Result<Vec<u8>, String> {
        let truncated = || format!("it is truncated: {} bytes at {} are beyond its end", place.size, place.offset);
        let length = usize::try_from(place.size).ok().filter(|_| self.holds(place)).ok_or_else(truncated)?;
        let mut bytes = vec![0; length];
        let read = self.reader.seek(SeekFrom::Start(place.offset)).and_then(|_| self.reader.read_exact(&mut bytes));
        match read {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(truncated()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The first bytes, as many as there are.
    pub fn start(&mut self, size: u64) -> Result<Vec<u8>, String> {
        self.read(Place { offset: 0, size: size.min(self.size) })
    }
}
