//! Where the bytes of an image are: a file, or a part of one that several threads read at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::ZipFile;
use super::cifar;

/// No image file is longer than this; what claims to be is refused instead of read into memory.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Where bytes are.
#[derive(Debug, Clone)]
pub(super) enum Location {
    /// A file of its own.
    File(PathBuf),
    /// A part of a file: an entry of a tar.
    Part { file: SharedFile, offset: u64, size: u64 },
    /// An entry of a zip, by its number in the central directory.
    Zip { archive: Arc<ZipFile>, entry: usize },
    /// The pixels of a CIFAR record, which start at `offset`.
    Cifar { file: SharedFile, offset: u64 },
}

impl Location {
    /// All the bytes, or the reason why not.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Part { file, offset, size } => {
                fits(*size)?;
                file.read_at(*offset, *size as usize).map_err(|error| in_words(&error))
            }
            Self::Zip { archive, entry } => archive.read(*entry, MAX_FILE_BYTES),
            Self::Cifar { file, offset } => {
                file.read_at(*offset, cifar::PIXEL_BYTES).map(|planes| cifar::as_ppm(&planes)).map_err(|error| in_words(&error))
            }
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut file = File::open(path).map_err(|error| in_words(&error))?;
    let size = file.metadata().map_err(|error| in_words(&error))?.len();
    fits(size)?;
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.by_ref().take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(|error| in_words(&error))?;
    Ok(bytes)
}

fn fits(size: u64) -> Result<(), String> {
    if size > MAX_FILE_BYTES {
        Err(format!("the file has {} MiB, more than the {} MiB allowed", size >> 20, MAX_FILE_BYTES >> 20))
    } else {
        Ok(())
    }
}

/// The operating system's reason without its error number.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the file is gone".into(),
        io::ErrorKind::PermissionDenied => "there is no permission to read it".into(),
        io::ErrorKind::UnexpectedEof => "the file is truncated".into(),
        _ => error.to_string(),
    }
}

/// An open file that is read at explicit positions, so that threads share it without waiting for each other. Clones have a position each.
#[derive(Debug, Clone)]
pub(super) struct SharedFile {
    file: Arc<File>,
    size: u64,
    position: u64,
}

impl SharedFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), size, position: 0 })
    }

    /// Its size in bytes when it was opened.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes `offset..offset + count`.
    pub(super) fn read_at(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        if offset.checked_add(count as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; count];
        let mut done = 0;
        while done < count {
            match self.read_some(&mut bytes[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(bytes)
    }

    #[cfg(unix)]
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&*self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, offset)
    }
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_some(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_what_lies_beyond_is_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = SharedFile::open(&path).unwrap();
        let part = |offset, size| Location::Part { file: file.clone(), offset, size }.read();
        assert_eq!(part(3, 4).unwrap(), b"3456");
        assert_eq!(part(8, 4).unwrap_err(), "the file is truncated");
        assert!(part(u64::MAX, 4).is_err() && part(0, u64::MAX).is_err());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Location::File(path).read().unwrap_err(), "the file is gone");
    }
}
