//! Keeps the thumbnails on disk, those of all projects together, from growing for ever: beyond a bound those go that were not used for the
//! longest time.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What all thumbnails may take.
const MAX_BYTES: u64 = 512 << 20;

/// Looks through `folder` on a thread of its own.
pub(super) fn keep_in_background(folder: PathBuf) {
    let thread = std::thread::Builder::new().name("thumbnail bound".into()).spawn(move || keep(&folder, MAX_BYTES));
    if let Err(error) = thread {
        tracing::debug!("the thumbnails on disk are not counted: {error}");
    }
}

/// Deletes the files below `folder` that were not used for the longest time, until the rest takes nine tenths of `max_bytes`, if they take
/// more than all of it.
fn keep(folder: &Path, max_bytes: u64) {
    let mut files = Vec::new();
    collect(folder, &mut files);
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    if bytes <= max_bytes {
        return;
    }
    files.sort_unstable();
    for (_, size, path) in files {
        if bytes <= max_bytes - max_bytes / 10 {
            return;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => bytes -= size,
            Err(error) => tracing::debug!("{} stays: {error}", path.display()),
        }
        // Folders that still have files stay by themselves.
        let _ = path.parent().map(std::fs::remove_dir);
    }
}

/// When each file was last used, its bytes, and its path.
fn collect(folder: &Path, files: &mut Vec<(SystemTime, u64, PathBuf)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are not followed.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            collect(&entry.path(), files);
        } else if let Ok(used) = meta.modified() {
            files.push((used, meta.len(), entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let folder = std::env::temp_dir().join(format!("maskroom-cache-bound-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let now = SystemTime::now();
        let file = |project: &str, days: u64| {
            let path = folder.join(project).join(format!("aa/{days}.jpg"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 100]).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(now - Duration::from_secs(days * 86_400)).unwrap();
            path
        };
        let old = [file("one", 9), file("one", 8), file("two", 7)];
        let new: Vec<PathBuf> = (0..5).map(|days| file("two", days)).collect();
        keep(&folder, 800);
        assert!(old.iter().chain(&new).all(|path| path.exists()), "all of it fits");
        keep(&folder, 600);
        assert!(old.iter().all(|path| !path.exists()) && new.iter().all(|path| path.exists()));
        assert!(!folder.join("one/aa").exists(), "an empty folder goes too");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
