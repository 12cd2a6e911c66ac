//! What the commands that look into a network share: opened weights, and the images they are shown.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use maskroom_core::dataset::Dataset;
use maskroom_core::error::Error;
use maskroom_core::inspect::look::Fit;
use maskroom_core::inspect::picture::Picture;
use maskroom_core::method::Network;
use maskroom_core::recipe::Recipe;
use maskroom_core::weights::model_file::{Weights, WeightsKind};
use maskroom_core::weights::safetensors_file::TensorMap;

use super::context::Context;

/// Which weights to look into.
#[derive(Args)]
pub struct WeightsArguments {
    /// A run folder (its last complete checkpoint), a checkpoint folder, a Hugging Face folder, or a file: .safetensors, .pth, .pt, .bin.
    #[arg(long)]
    pub weights: PathBuf,
    /// Which weights of it: the running average (the teacher) where there is one, the raw ones, or the average.
    #[arg(long, value_enum, default_value_t = Kind::Best)]
    weights_kind: Kind,
    /// Stretch images to the network's size instead of keeping their shape.
    #[arg(long)]
    fit: bool,
}

/// Which of a file's weights.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// The running average where there is one, else the raw ones.
    Best,
    /// What was trained.
    Raw,
    /// The running average, the teacher.
    #[value(alias = "teacher")]
    Ema,
}

impl From<Kind> for WeightsKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Best => Self::Best,
            Kind::Raw => Self::Raw,
            Kind::Ema => Self::Ema,
        }
    }
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
    /// What their target was measured to be.
    pub measured: TensorMap,
    /// Their class, if they are an encoder alone.
    pub encoder_alone: Option<&'static str>,
}

impl WeightsArguments {
    /// Opens the weights on the device for looking.
    pub fn open(&self, context: &Context) -> Result<Looking> {
        let weights = Weights::open(&self.weights)?;
        let network = weights.network(self.weights_kind.into(), &context.looking_device()?.device)?;
        let fit = if self.fit { Fit::Stretch } else { Fit::Keep };
        let (measured, encoder_alone) = (weights.measured()?, weights.encoder_alone);
        Ok(Looking { network, measured, encoder_alone, recipe: weights.recipe, step: weights.step, fit })
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

/// Where the pictures of a data set's images go.
pub struct Outputs {
    folder: PathBuf,
    names: Vec<PathBuf>,
    sources: HashSet<PathBuf>,
}

impl Outputs {
    /// Pictures go below `folder`, each under its image's own relative path; where two differ only in their ending, the later is numbered.
    pub fn below(folder: &Path, dataset: &Dataset) -> Self {
        let mut taken = HashSet::new();
        let names = dataset.items.iter().map(|item| unique_name(&item.name, &mut taken)).collect();
        let sources = dataset.files().filter_map(|file| std::fs::canonicalize(file).ok()).collect();
        Self { folder: folder.to_path_buf(), names, sources }
    }

    /// Saves the picture of one image, making the folders on its way. A picture never replaces an image it was made from.
    pub fn save(&self, sample: usize, picture: &Picture) -> Result<PathBuf, Error> {
        let path = self.folder.join(&self.names[sample]);
        if std::fs::canonicalize(&path).is_ok_and(|path| self.sources.contains(&path)) {
            return Err(Error::Usage(format!("{} is one of the images: give --out another folder", path.display())));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        picture.save_png(&path)?;
        Ok(path)
    }
}

/// A name for the picture of the image `name`: a path that stays below its folder, with the ending `.png`.
fn unique_name(name: &str, taken: &mut HashSet<PathBuf>) -> PathBuf {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let path = if plain { path } else { path.file_name().map_or(Path::new("image"), Path::new) };
    let stem = path.with_extension("");
    // The ending is appended by hand: `with_extension` would eat a dot of the name itself.
    let mut candidate = PathBuf::from(format!("{}.png", stem.display()));
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = PathBuf::from(format!("{}-{number}.png", stem.display()));
        number += 1;
    }
    candidate
}
