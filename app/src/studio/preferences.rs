//! What a person prefers, and what the window remembers: small files that are replaced whole, and kept aside when they cannot be read.

use std::path::{Path, PathBuf};

use maskroom_core::files::write_atomic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Settings of the window; a run's own settings are its recipe's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Where runs compute: auto, cpu, gpu, gpu:N, software.
    pub device: String,
    /// Computing threads of a run; 0 is one per core.
    pub threads: usize,
    /// Memory for thumbnails, in MiB.
    pub thumbnail_cache_mib: usize,
    /// Everything that much larger.
    pub zoom: f32,
    /// Dark, light, or as the system.
    pub theme: egui::ThemePreference,
    /// Tell the desktop when a run ends.
    pub notify: bool,
    /// Keep the machine awake while a run trains.
    pub keep_awake: bool,
    /// Projects opened lately, the latest first.
    pub recent: Vec<PathBuf>,
    /// Weights from elsewhere that were opened lately, the latest first.
    pub recent_weights: Vec<PathBuf>,
    /// How strongly curves are smoothed, 0 to 1.
    pub smoothing: f32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            device: "auto".into(),
            threads: 0,
            thumbnail_cache_mib: 256,
            zoom: 1.0,
            theme: egui::ThemePreference::System,
            notify: true,
            keep_awake: true,
            recent: Vec::new(),
            recent_weights: Vec::new(),
            smoothing: 0.6,
        }
    }
}

const MAX_RECENT: usize = 12;

impl Preferences {
    /// Puts a project at the head of the recent ones.
    pub fn remember(&mut self, project: &Path) {
        put_first(&mut self.recent, project);
    }

    /// Puts weights at the head of the recent ones.
    pub fn remember_weights(&mut self, weights: &Path) {
        put_first(&mut self.recent_weights, weights);
    }

    /// The same without these weights.
    pub fn without_weights(&self, weights: &Path) -> Self {
        let mut preferences = self.clone();
        preferences.recent_weights.retain(|known| known != weights);
        preferences
    }
}

fn put_first(recent: &mut Vec<PathBuf>, path: &Path) {
    recent.retain(|known| known != path);
    recent.insert(0, path.to_path_buf());
    recent.truncate(MAX_RECENT);
}

/// Reads one of the window's own files; the default when there is none. A file that cannot be read is kept aside as `.bad`.
pub fn load<T: DeserializeOwned + Default>(path: &Path) -> T {
    let Ok(text) = std::fs::read(path) else { return T::default() };
    match serde_json::from_slice(&text) {
        Ok(value) => value,
        Err(error) => {
            let aside = path.with_extension("bad");
            tracing::warn!("{} cannot be read ({error}) and is kept as {}", path.display(), aside.display());
            if let Err(error) = std::fs::rename(path, &aside) {
                tracing::warn!("{}: {error}", path.display());
            }
            T::default()
        }
    }
}

/// Writes one of the window's own files.
///
/// # Errors
/// If it cannot be written.
pub fn save<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(write_atomic(path, &serde_json::to_vec_pretty(value)?)?)
}

/// Where the platform keeps preferences.
pub fn state_folder() -> PathBuf {
    folders().map_or_else(|| ".maskroom".into(), |folders| folders.config_dir().to_path_buf())
}

/// Where the platform keeps what programs make.
pub fn data_folder() -> PathBuf {
    folders().map_or_else(|| ".maskroom".into(), |folders| folders.data_dir().to_path_buf())
}

/// Where the platform keeps what can be made again.
pub fn cache_folder() -> PathBuf {
    folders().map_or_else(|| ".maskroom".into(), |folders| folders.cache_dir().to_path_buf())
}

fn folders() -> Option<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "maskroom")
}

/// A name for what belongs to `path`: its last part and a hash of the whole.
pub fn key_of(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_survive_and_a_damaged_file_is_kept_aside() {
        let folder = std::env::temp_dir().join(format!("maskroom-preferences-{}", std::process::id()));
        let path = folder.join("preferences.json");
        let mut preferences = Preferences { zoom: 1.5, ..Preferences::default() };
        preferences.remember(Path::new("/a"));
        preferences.remember(Path::new("/b"));
        preferences.remember(Path::new("/a"));
        preferences.remember_weights(Path::new("/weights.pth"));
        preferences.remember_weights(Path::new("/others.pth"));
        assert_eq!(preferences.without_weights(Path::new("/others.pth")).recent_weights, [PathBuf::from("/weights.pth")]);
        save(&path, &preferences).unwrap();
        assert_eq!(load::<Preferences>(&path), preferences);
        assert_eq!(preferences.recent, [PathBuf::from("/a"), PathBuf::from("/b")]);
        std::fs::write(&path, "{\"zoom\": 2.0, \"a newer field\": 1}").unwrap();
        assert_eq!(load::<Preferences>(&path).zoom, 2.0);
        std::fs::write(&path, "{\"zoom\": ").unwrap();
        assert_eq!(load::<Preferences>(&path), Preferences::default());
        assert!(path.with_extension("bad").exists() && !path.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn projects_of_one_name_have_keys_of_their_own() {
        assert_ne!(key_of(Path::new("/a/images")), key_of(Path::new("/b/images")));
        assert!(key_of(Path::new("/a/images")).starts_with("images-"));
    }
}
