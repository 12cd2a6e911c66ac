//! The folder that is open: its listing, read in the background, the shelf of its pictures, and where its runs are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::Context;
use maskroom_core::dataset::Dataset;

use super::job::Job;
use super::preferences::{self, Preferences};
use super::shelf::Shelf;

/// A folder of images, or an archive; or none yet.
pub struct Project {
    path: Option<PathBuf>,
    listing: Listing,
    shelf: Shelf,
    selected: usize,
}

/// What is known of the images.
pub enum Listing {
    /// No folder is open.
    Closed,
    /// The folder is being read.
    Reading(Job<Dataset>),
    /// All images by name; none is decoded yet.
    Ready(Arc<Dataset>),
    /// Why it cannot be read, and what to do.
    Failed(String),
}

impl Project {
    /// Nothing open.
    pub fn closed() -> Self {
        Self { path: None, listing: Listing::Closed, shelf: Shelf::empty(), selected: 0 }
    }

    /// Begins to read `path`.
    pub fn open(path: &Path, context: &Context) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = path.clone();
        let job = Job::start("reading the folder", context, move |_| Ok(Dataset::open(&folder)?));
        Self { path: Some(path), listing: Listing::Reading(job), shelf: Shelf::empty(), selected: 0 }
    }

    /// Takes what came in. True in the frame in which the images become known.
    pub fn receive(&mut self, context: &Context, preferences: &Preferences) -> bool {
        self.shelf.receive(context);
        let Listing::Reading(job) = &self.listing else { return false };
        match job.poll() {
            None => return false,
            Some(Ok(dataset)) => {
                let dataset = Arc::new(dataset);
                self.shelf = Shelf::of(Arc::clone(&dataset), context, preferences.thumbnail_cache_mib);
                self.listing = Listing::Ready(dataset);
            }
            Some(Err(error)) => self.listing = Listing::Failed(crate::cli::in_words(&error)),
        }
        self.dataset().is_some()
    }

    /// The folder or archive.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its name, for titles.
    pub fn name(&self) -> Option<String> {
        self.path.as_deref().map(name_of)
    }

    /// What is known of the images.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The images, once they are listed.
    pub fn dataset(&self) -> Option<&Arc<Dataset>> {
        match &self.listing {
            Listing::Ready(dataset) => Some(dataset),
            _ => None,
        }
    }

    /// Thumbnails.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The image that panels look at.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// Looks at another image.
    pub fn select(&mut self, index: usize) {
        let last = self.dataset().map_or(0, |dataset| dataset.items.len().saturating_sub(1));
        self.selected = index.min(last);
    }

    /// Where its runs are: `FOLDER/.maskroom/runs`, or the person's data folder if that cannot be written or the project is an archive.
    pub fn runs_folder(&self) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        let inside = path.join(".maskroom").join("runs");
        if inside.is_dir() || (path.is_dir() && std::fs::create_dir_all(&inside).is_ok()) {
            return Some(inside);
        }
        Some(preferences::data_folder().join("runs").join(preferences::key_of(path)))
    }
}

/// What people call a file or folder: the last part of its path.
pub fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
