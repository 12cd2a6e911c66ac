//! A file that was written, read again: what is written here a second time must be what it holds.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};
use std::path::Path;

/// Compares what is written to it with a file.
pub(super) struct Again {
    file: BufReader<File>,
}

impl Again {
    /// From the file's beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?) })
    }

    /// The file must end here.
    pub fn end(mut self) -> io::Result<()> {
        if self.file.read(&mut [0])? == 0 { Ok(()) } else { Err(differs("is longer")) }
    }
}

impl Write for Again {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut there = [0; 4096];
        let there = &mut there[..bytes.len().min(4096)];
        self.file.read_exact(there)?;
        if there == &bytes[..there.len()] { Ok(there.len()) } else { Err(differs("holds something else")) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn differs(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what was written was read again, and the file {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_or_less_or_of_another_value_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let bytes: Vec<u8> = (0..10_000).map(|place| (place % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let compared = |bytes: &[u8]| {
            let mut again = Again::open(&path)?;
            again.write_all(bytes)?;
            again.end()
        };
        compared(&bytes).unwrap();
        assert!(compared(&bytes[..9_999]).unwrap_err().to_string().contains("longer"));
        assert!(compared(&[&bytes[..], &[0]].concat()).is_err());
        let mut other = bytes;
        other[9_998] ^= 1;
        assert!(compared(&other).unwrap_err().to_string().contains("something else"));
    }
}
