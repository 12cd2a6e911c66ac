//! The engine's side of `events.jsonl`: whole lines, one write each, and no torn line left in the middle.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::event::Event;
use crate::error::{Error, Result};

/// Appends events. Only the holder of the engine lock has one.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    /// Whether the file ends inside a line that could not be cut off.
    torn: bool,
}

impl EventWriter {
    /// Opens or creates the log and cuts a torn last line off. Errors when the file cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(Error::io("open the event log", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let whole = end_of_last_line(&mut file, length).map_err(Error::io("read", path))?;
        if whole < length {
            file.set_len(whole).map_err(Error::io("cut the torn last line off", path))?;
        }
        Ok(Self { file, path: path.to_path_buf(), torn: false })
    }

    /// Appends one event as one line with one write. `checkpoint` and `stopped` also wait for the disk, so that a power cut cannot
    /// lose them while keeping what they speak of. Errors, with nothing added, when the disk is full or gone.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let mut line = Vec::with_capacity(512);
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event).map_err(|reason| Error::Failed(format!("an event cannot be written as JSON: {reason}")))?;
        line.push(b'\n');
        let before = self.file.metadata().map_err(Error::io("read", &self.path))?.len();
        let written = self.file.write_all(&line).and_then(|()| match event {
            Event::Checkpoint { .. } | Event::Stopped(_) => sync(&self.file),
            _ => Ok(()),
        });
        match written {
            Ok(()) => {
                self.torn = false;
                Ok(())
            }
            Err(source) => {
                // A disk that filled up in the middle of the line: the next line must not begin there.
                self.torn = self.file.set_len(before).is_err() && before > 0;
                Err(Error::io("append an event to", &self.path)(source))
            }
        }
    }
}

/// Pipes and devices have nothing to wait for.
fn sync(file: &File) -> std::io::Result<()> {
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

/// The offset after the last line break among the first `length` bytes, searched from the end.
fn end_of_last_line(file: &mut File, length: u64) -> std::io::Result<u64> {
    const BLOCK: u64 = 4096;
    let mut end = length;
    let mut block = Vec::with_capacity(4096);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(index) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + index as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(text: &str) -> Event {
        Event::Warning { message: text.into() }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_at_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let whole = "{\"kind\":\"warning\",\"message\":\"one\"}\n{\"kind\":\"warning\",\"message\":\"two\"}\n";
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            EventWriter::open(&path).unwrap().write(&warning("next")).unwrap();
            let kept = whole[..cut].rfind('\n').map_or(0, |index| index + 1);
            let expected = format!("{}{}\n", &whole[..kept], serde_json::to_string(&warning("next")).unwrap());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "cut at byte {cut}");
        }
    }

    #[test]
    fn a_torn_line_longer_than_a_block_is_cut_off_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, format!("{{}}\n{}", "x".repeat(3 * 4096 + 5))).unwrap();
        EventWriter::open(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut writer = EventWriter::open(Path::new("/dev/full")).unwrap();
        let error = writer.write(&warning("lost")).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert_eq!(error.exit_status(), 1);
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(EventWriter::open(&folder.path().join("gone/events.jsonl")), Err(Error::Io { .. })));
    }
}
