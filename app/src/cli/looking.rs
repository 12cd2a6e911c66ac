//! What the commands that look into a network share: opened weights, and the images they are shown.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use maskroom_core::dataset::Dataset;
use maskroom_core::error::Error;
use maskroom_core::inspect::look::Fit;
use maskroom_core::inspect::picture::Picture;
use maskroom_core::method::Network;
use maskroom_core::recipe::Recipe;
use maskroom_core::weights::model_file::{Weights, WeightsKind};

use super::context::Context;

/// Which weights to look into.
#[derive(Args)]
pub struct WeightsArguments {
    /// A run folder (its last complete checkpoint), a checkpoint folder, or a file.
    #[arg(long)]
    pub weights: PathBuf,
    /// Which weights of it: the running average where there is one, the raw ones, or the average.
    #[arg(long, value_enum, default_value_t = Kind::Best)]
    weights_kind: Kind,
    /// Stretch images to the network's size instead of keeping their shape.
    #[arg(long)]
    fit: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Best,
    Raw,
    Ema,
}

/// A network ready to be shown images.
pub struct Looking {
    /// The weights.
    pub network: Network,
    /// Their recipe.
    pub recipe: Recipe,
    /// Training steps behind them.
    pub step: u64,
    /// How images are fitted.
    pub fit: Fit,
}

impl WeightsArguments {
    /// Opens the weights on the device for looking.
    pub fn open(&self, context: &Context) -> Result<Looking> {
        let weights = Weights::open(&self.weights)?;
        let kind = match self.weights_kind {
            Kind::Best => WeightsKind::Best,
            Kind::Raw => WeightsKind::Raw,
            Kind::Ema => WeightsKind::Ema,
        };
        let network = weights.network(kind, &context.looking_device()?.device)?;
        let fit = if self.fit { Fit::Stretch } else { Fit::Keep };
        Ok(Looking { network, recipe: weights.recipe, step: weights.step, fit })
    }
}

/// Which images to show.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct ImageArguments {
    /// Image files or globs.
    #[arg(long, num_args = 1..)]
    images: Vec<PathBuf>,
    /// A folder of images, or an archive.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl ImageArguments {
    /// Opens them as one data set, in order.
    pub fn open(&self) -> Result<Dataset> {
        match &self.data {
            Some(data) => Ok(Dataset::open(data)?),
            None => Ok(image_files(&self.images)?),
        }
    }
}

/// The extension of an output file, in lower case.
pub fn format_of(path: &Path, known: &[&str]) -> Result<String> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !known.contains(&extension.as_str()) {
        bail!(Error::Usage(format!("{}: use one of the endings .{}", path.display(), known.join(", ."))));
    }
    Ok(extension)
}

/// The image files that paths and globs name, in order. A path that exists is taken as it is, whatever characters it holds.
pub fn image_files(patterns: &[PathBuf]) -> Result<Dataset> {
    let mut files = Vec::new();
    for pattern in patterns {
        let text = pattern.to_string_lossy();
        if pattern.exists() || !text.contains(['*', '?', '[']) {
            files.push(pattern.clone());
            continue;
        }
        let found = glob::glob(&text).map_err(|error| Error::Usage(format!("`{text}` is no usable pattern: {error}")))?;
        let mut found: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
        if found.is_empty() {
            bail!(Error::data(pattern, "no file matches", "check the pattern"));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(Dataset::from_files(&files)?)
}

/// Where each image's picture goes below an output folder: its own relative path, made unique where two differ only in their ending.
pub fn output_names(dataset: &Dataset) -> Vec<PathBuf> {
    let stems: Vec<PathBuf> = dataset.items.iter().map(|item| PathBuf::from(&item.name).with_extension("")).collect();
    let mut seen = std::collections::HashSet::new();
    let mut name = |(index, stem): (usize, &PathBuf)| {
        // Names are relative and stay below the folder; a path given whole is reduced to its last part.
        let safe: PathBuf = if stem.is_absolute() { stem.file_name().map(PathBuf::from).unwrap_or_default() } else { stem.clone() };
        let safe = if seen.insert(safe.clone()) { safe } else { PathBuf::from(format!("{}-{index}", safe.display())) };
        // The ending is put back by `with_extension`, which would eat a dot of the name itself.
        PathBuf::from(format!("{}.png", safe.display()))
    };
    stems.iter().enumerate().map(&mut name).collect()
}

/// Saves a picture, making the folders on its way.
pub fn save(picture: &Picture, path: &Path) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    picture.save_png(path)
}
