//! Zip and tar files, read in place. Names of entries are only names: they never become paths on disk.

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use zip::ZipArchive;

use super::Unreadable;
use super::listing::{Entry, Listing, readable_name};
use super::location::{Location, SharedFile, in_words};

/// Lists a zip or tar file, told apart by its first bytes, not its extension.
pub(super) fn list(path: &Path) -> Result<Listing, String> {
    let file = SharedFile::open(path).map_err(|error| in_words(&error))?;
    super::decode::isolated(|| if is_zip(&file) { list_zip(file) } else { list_tar(&file) })
}

/// Whether a file starts like a zip or a tar.
pub(super) fn has_signature(path: &Path) -> bool {
    let Ok(file) = SharedFile::open(path) else { return false };
    is_zip(&file) || file.read_at(257, 5).is_ok_and(|magic| magic == b"ustar")
}

fn is_zip(file: &SharedFile) -> bool {
    file.read_at(0, 4).is_ok_and(|start| start == b"PK\x03\x04" || start == b"PK\x05\x06")
}

/// An open zip file. Reading clones the handle, which shares the directory and the file, so that threads do not wait for each other.
#[derive(Debug)]
pub(super) struct ZipFile {
    archive: ZipArchive<SharedFile>,
}

impl ZipFile {
    /// All the bytes of an entry, or the reason why not.
    pub(super) fn read(&self, entry: usize, max_bytes: u64) -> Result<Vec<u8>, String> {
        let mut archive = self.archive.clone();
        let file = archive.by_index(entry).map_err(zip_reason)?;
        let size = file.size();
        if size > max_bytes {
            return Err(format!("the file has {} MiB, more than the {} MiB allowed", size >> 20, max_bytes >> 20));
        }
        // The size is only a claim: memory is reserved for a modest file, and no more is read than claimed and one byte.
        let mut bytes = Vec::with_capacity(size.min(64 << 20) as usize + 1);
        file.take(size + 1).read_to_end(&mut bytes).map_err(|error| format!("its archive is damaged ({})", in_words(&error)))?;
        if bytes.len() as u64 != size {
            return Err(format!("its archive is damaged: {size} bytes are announced and {} are there", bytes.len()));
        }
        Ok(bytes)
    }
}

fn zip_reason(error: zip::result::ZipError) -> String {
    use zip::result::ZipError;
    match error {
        ZipError::Io(error) => in_words(&error),
        ZipError::UnsupportedArchive(what) => format!("this kind of zip is not supported: {what}"),
        other => format!("the zip file is damaged or truncated ({other})"),
    }
}

fn list_zip(file: SharedFile) -> Result<Listing, String> {
    let archive = ZipArchive::new(file).map_err(zip_reason)?;
    let archive = Arc::new(ZipFile { archive });
    let mut listing = Listing::default();
    for entry in 0..archive.archive.len() {
        match archive.archive.by_index_data(entry) {
            Ok(data) if data.is_file() => {
                if let Some(name) = safe_name(data.name_raw()) {
                    listing.entries.push(Entry { name, location: Location::Zip { archive: archive.clone(), entry } });
                }
            }
            Ok(_) => {}
            Err(error) => listing.unreadable.push(Unreadable { path: format!("entry {entry}"), reason: zip_reason(error) }),
        }
    }
    Ok(listing)
}

fn list_tar(file: &SharedFile) -> Result<Listing, String> {
    let size = file.size();
    if size < 512 {
        return Err("the file is neither a zip nor a tar file".into());
    }
    // One pass over the headers; what lies between is skipped by seeking. Buffered reading would read what is skipped.
    let mut archive = tar::Archive::new(BufReader::with_capacity(512, file.clone()));
    let mut listing = Listing::default();
    for entry in archive.entries_with_seek().map_err(|error| in_words(&error))? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(_) if listing.entries.is_empty() => return Err("the file is neither a zip nor a tar file, or it is damaged".into()),
            Err(error) => {
                let reason = format!("the tar file is damaged or truncated after {} files ({})", listing.entries.len(), in_words(&error));
                listing.unreadable.push(Unreadable { path: "(the rest of the archive)".into(), reason });
                break;
            }
        };
        if !matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Continuous) {
            continue;
        }
        let Some(name) = safe_name(&entry.path_bytes()) else { continue };
        let (offset, length) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(length).is_none_or(|end| end > size) {
            listing.unreadable.push(Unreadable { path: name, reason: "the tar file is truncated: it ends within this file".into() });
            break;
        }
        listing.entries.push(Entry { name, location: Location::Part { file: file.clone(), offset, size: length } });
    }
    Ok(listing)
}

/// The name with `/`, without what is empty, `.` or `..`; nothing for hidden files and macOS's resource forks.
fn safe_name(raw: &[u8]) -> Option<String> {
    let slashes: Vec<u8> = raw.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    let name = readable_name(&slashes);
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    let hidden = parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX");
    (!parts.is_empty() && !hidden).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::sample_files::{jpeg, photo, tar_of, zip_of};
    use crate::dataset::{Dataset, Limits};

    #[test]
    fn images_in_archives_are_read_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let image = jpeg(&photo(12, 18));
        let files = [("cat/1.jpg", &image[..]), ("dog/2.jpg", &image[..]), ("notes.txt", b"x"), ("__MACOSX/cat/._1.jpg", b"x")];
        for (name, bytes) in [("a.zip", zip_of(&files)), ("a.tar", tar_of(&files)), ("nameless", tar_of(&files))] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let dataset = Dataset::open(&path).unwrap();
            assert_eq!(dataset.items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["cat/1.jpg", "dog/2.jpg"]);
            assert_eq!(dataset.classes, ["cat", "dog"]);
            assert_eq!(dataset.read_bytes(1).unwrap(), image);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..20).for_each(|_| assert_eq!(dataset.decode(0, &Limits::default()).unwrap().width, 18)));
                }
            });
        }
    }

    #[test]
    fn names_cannot_leave_an_output_folder() {
        assert_eq!(safe_name(b"../../etc/x.png").unwrap(), "etc/x.png");
        assert_eq!(safe_name(b"/abs/./x.png").unwrap(), "abs/x.png");
        assert_eq!(safe_name(b"..\\win\\x.png").unwrap(), "win/x.png");
        assert!(safe_name(b"..").is_none() && safe_name(b"a/.hidden/x.png").is_none());
    }

    #[test]
    fn damaged_archives_have_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let image = jpeg(&photo(40, 40));
        let files = [("1.jpg", &image[..]), ("2.jpg", &image[..]), ("3.jpg", &image[..])];
        let zip = zip_of(&files);
        let path = folder.path().join("a.zip");
        std::fs::write(&path, &zip[..zip.len() - 40]).unwrap();
        let error = Dataset::open(&path).unwrap_err();
        assert!(error.exit_status() == 3 && error.to_string().contains("damaged or truncated"), "{error}");
        let tar = tar_of(&files);
        let path = folder.path().join("a.tar");
        let second = 512 + image.len().div_ceil(512) * 512;
        std::fs::write(&path, &tar[..second + 512 + 100]).unwrap();
        let dataset = Dataset::open(&path).unwrap();
        assert_eq!(dataset.items.len(), 1);
        assert!(dataset.unreadable[0].path == "2.jpg" && dataset.unreadable[0].reason.contains("truncated"), "{:?}", dataset.unreadable);
        std::fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert_eq!(Dataset::open(&path).unwrap_err().exit_status(), 3);
        std::fs::write(folder.path().join("b.zip"), b"").unwrap();
        assert_eq!(Dataset::open(folder.path()).unwrap_err().exit_status(), 3);
    }
}
