//! All the files of a folder or archive, by name, before anyone asks what they mean.

use std::path::Path;

use walkdir::WalkDir;

use super::archive;
use super::location::{Location, in_words};
use super::{IMAGE_EXTENSIONS, Unreadable};
use crate::error::{Error, Result};

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Relative, with `/`, without `.` and `..`.
    pub(super) name: String,
    pub(super) location: Location,
}

/// The files of a data root, sorted by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// Lists a folder, an archive, or a single image file. A folder that holds archives and no images stands for what is in them.
pub(super) fn list(path: &Path) -> Result<Listing> {
    let mut listing = if path.is_dir() {
        folder(path)
    } else if path.is_file() {
        single_file(path)?
    } else {
        return Err(Error::data(path, "there is no such folder or file", "check the path"));
    };
    listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    listing.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

/// Whether a name has the extension of an image.
pub(super) fn is_image(name: &str) -> bool {
    written_extension(name).is_some_and(|extension| IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// A name for people: UTF-8 as it is, any other byte as `\xFF`.
pub(super) fn readable_name(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| name.push_str(&format!("\\x{byte:02X}")));
    }
    name
}

/// The part of a file name after its last dot, in lower case.
pub(super) fn extension(name: &str) -> Option<String> {
    written_extension(name).map(str::to_ascii_lowercase)
}

fn written_extension(name: &str) -> Option<&str> {
    let file = name.rsplit('/').next()?;
    file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension)
}

/// Whether a name has the extension of an archive that is read in place.
pub(super) fn is_archive(name: &str) -> bool {
    extension(name).is_some_and(|extension| extension == "zip" || extension == "tar")
}

fn single_file(path: &Path) -> Result<Listing> {
    let name = readable_name(path.file_name().unwrap_or(path.as_os_str()).as_encoded_bytes());
    if is_archive(&name) || archive::has_signature(path) {
        return archive::list(path).map_err(|reason| Error::data(path, reason, "download or pack it again, or choose a folder of images"));
    }
    if is_image(&name) {
        return Ok(Listing { entries: vec![Entry { name, location: Location::File(path.to_path_buf()) }], unreadable: Vec::new() });
    }
    let packed =
        ["gz", "tgz", "xz", "bz2", "zst", "7z", "rar"].iter().any(|end| extension(&name).is_some_and(|extension| extension == *end));
    if packed {
        return Err(Error::data(
            path,
            "compressed archives of this kind cannot be read in place",
            "unpack it, or pack it as .zip or uncompressed .tar",
        ));
    }
    Err(Error::data(path, "this is neither a folder, a zip or tar file, nor an image", "choose a folder that holds images"))
}

fn folder(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let mut archives = Vec::new();
    let visible = |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    // Links are followed; one that leads back to a folder above it is an error of the walk, and skipped: its files are listed anyway.
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let name = relative_name(root, entry.path());
                if is_archive(&name) {
                    archives.push((name, entry.into_path()));
                } else {
                    listing.entries.push(Entry { name, location: Location::File(entry.into_path()) });
                }
            }
            Ok(_) => {}
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let path = error.path().map_or_else(String::new, |path| relative_name(root, path));
                let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
                let matters = path.is_empty() || is_image(&path) || extension(&path).is_none();
                if matters && !hidden {
                    let reason = error.io_error().map_or_else(|| error.to_string(), in_words);
                    listing.unreadable.push(Unreadable { path, reason });
                }
            }
        }
    }
    if !listing.entries.iter().any(|entry| is_image(&entry.name)) {
        archives.sort_unstable();
        for (shard, path) in archives {
            match archive::list(&path) {
                Ok(inside) => {
                    let below = |name: &str| format!("{shard}/{name}");
                    listing.entries.extend(inside.entries.into_iter().map(|entry| Entry { name: below(&entry.name), ..entry }));
                    listing.unreadable.extend(inside.unreadable.into_iter().map(|file| Unreadable { path: below(&file.path), ..file }));
                }
                Err(reason) => listing.unreadable.push(Unreadable { path: shard, reason }),
            }
        }
    }
    listing
}

fn relative_name(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| readable_name(part.as_os_str().as_encoded_bytes())).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_what_follows_the_last_dot_of_the_file_name() {
        assert!(is_image("a/b.c/x.JPEG") && is_image("x.tar.png") && is_image("1.Pgm"));
        assert!(!is_image("a.png/x") && !is_image(".png") && !is_image("png") && !is_image("x.png.txt"));
    }

    #[test]
    fn names_stay_readable_and_tell_apart() {
        assert_eq!(readable_name("grün".as_bytes()), "grün");
        assert_eq!(readable_name(b"a\xFFb\xFE"), "a\\xFFb\\xFE");
    }
}
