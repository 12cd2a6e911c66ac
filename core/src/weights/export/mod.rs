//! Weights going out: Maskroom's own files, timm's layout, folders of Hugging Face, ONNX. What was written is read again and compared before
//! it appears in its place.
//!
//! ```text
//! Weights ─► source ─► timm | hugging_face (renaming) ─► Made ─► written beside the target ─► verification ─► renamed
//!                └───► card (README.md)
//! ```

mod card;
mod hugging_face;
mod renaming;
mod source;
#[cfg(test)]
mod tests;
mod timm;
mod verification;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::model_file::{ENCODER_ALONE, TARGET, Weights, WeightsKind, metadata};
use super::narrow;
use super::onnx;
use super::precision::Precision;
use super::safetensors_file::{TensorMap, write_as};
use crate::error::{Error, Result};
use crate::files::{Pending, write_atomic, write_atomic_with};
use card::Library;
use renaming::Renamed;
use source::Source;

/// What weights are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// timm's names and layout: an encoder.
    #[default]
    Timm,
    /// A folder that `from_pretrained` of transformers opens.
    HuggingFace,
    /// A graph that computes features, for onnxruntime and others.
    Onnx,
    /// Maskroom's own `model.safetensors`, which carries everything, its recipe too.
    Maskroom,
}

impl Format {
    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maskroom => "maskroom",
            Self::Timm => "timm",
            Self::HuggingFace => "hf",
            Self::Onnx => "onnx",
        }
    }

    /// The format that a path asks for by its ending.
    pub fn of_path(path: &Path) -> Self {
        match ending(path).as_deref() {
            Some("onnx") => Self::Onnx,
            Some("safetensors") => Self::Maskroom,
            _ => Self::HuggingFace,
        }
    }
}

/// How weights are to be written.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// As what.
    pub format: Format,
    /// In which numbers.
    pub precision: Precision,
    /// Which of the weights. Of [`WeightsKind::Best`], Maskroom's own files carry trained weights and their average.
    pub kind: WeightsKind,
    /// What the model card says of their licence.
    pub licence: Option<String>,
}

/// What was written.
#[derive(Debug)]
pub struct Exported {
    /// The file or the folder.
    pub path: PathBuf,
    /// Every file.
    pub files: Vec<PathBuf>,
    /// Tensors that went out; of ONNX it is not known how many there are.
    pub tensors: Option<usize>,
    /// Bytes of all files.
    pub bytes: u64,
    /// How far the numbers that were read again are from those that went out, at most; of ONNX in fewer bits it is not known.
    pub largest_difference: Option<f64>,
    /// What the format does not carry, and what one should know.
    pub notes: Vec<String>,
}

impl Exported {
    /// Whether every number came back as it was.
    pub fn is_exact(&self) -> Option<bool> {
        self.largest_difference.map(|difference| difference == 0.0)
    }
}

/// What a format makes of weights, before any of it is written.
struct Made {
    /// By the format's names.
    tensors: TensorMap,
    /// Names of counters beside them.
    counters: BTreeSet<String>,
    /// What the file of weights says beside them.
    metadata: BTreeMap<String, String>,
    /// Other files, by name.
    texts: Vec<(&'static str, String)>,
    /// What must come back under Maskroom's names.
    carried: TensorMap,
    /// Whom they are for.
    library: Library,
    /// What the format does not carry.
    notes: Vec<String>,
}

impl Made {
    fn of(Renamed { theirs, counters, carried }: Renamed) -> Self {
        let library = Library { name: "maskroom", code: String::new() };
        Self { tensors: theirs, counters, carried, library, metadata: BTreeMap::new(), texts: Vec::new(), notes: Vec::new() }
    }
}

/// The file of weights in a folder.
const WEIGHTS: &str = "model.safetensors";
/// The graph in a folder.
const GRAPH: &str = "model.onnx";
/// The model card.
const CARD: &str = "README.md";

/// Writes weights that were opened from `source` to a new file, or to a new or empty folder. Which of the two, the ending says: `.safetensors`
/// and `.onnx` are files.
///
/// # Errors
/// [`Error::Usage`] if there is something already, or the format has no such network. [`Error::Data`] if weights are missing or do not fit the
/// precision. [`Error::Failed`] if what was written comes back differently; nothing is left of it then.
pub fn export(weights: &Weights, source: &Path, to: &Path, options: &Options) -> Result<Exported> {
    let is_file = is_file(to, options.format)?;
    refuse_existing(to)?;
    let pending = Pending::beside(to)?;
    let (library, mut exported) = match options.format {
        Format::Onnx => graph(weights, pending.folder(), options)?,
        _ => tensors(weights, pending.folder(), is_file, options)?,
    };
    if !is_file {
        let text = card::text(weights, source, to, &library, options, &exported.notes);
        write_atomic(&pending.folder().join(CARD), text.as_bytes())?;
        exported.files.push(CARD.into());
    }
    for file in &exported.files {
        let path = pending.folder().join(file);
        exported.bytes += std::fs::metadata(&path).map_err(Error::io("read", &path))?.len();
    }
    if is_file {
        pending.keep_file(if options.format == Format::Onnx { GRAPH } else { WEIGHTS })?;
        exported.files = vec![to.to_path_buf()];
    } else {
        pending.keep()?;
        exported.files = exported.files.iter().map(|file| to.join(file)).collect();
    }
    Ok(Exported { path: to.to_path_buf(), ..exported })
}

/// Writes a graph, and gives whom it is for.
fn graph(weights: &Weights, folder: &Path, options: &Options) -> Result<(Library, Exported)> {
    let onnx::Written { notes } = onnx::export(weights, options.kind, &folder.join(GRAPH), options.precision)?;
    let code = "import numpy, onnxruntime\n\nsession = onnxruntime.InferenceSession(\"PATH/model.onnx\")\n\
                # Pixels from 0 to 1, [images, channels, height, width]: the graph normalizes them itself.\n\
                images = numpy.zeros([1, *session.get_inputs()[0].shape[1:]], numpy.float32)\n\
                features = session.run([\"features\"], {\"images\": images})[0]";
    let library = Library { name: "onnx", code: code.to_owned() };
    // In fewer bits, the graph's numbers are rounded, and how far is not counted.
    let largest_difference = (options.precision == Precision::F32).then_some(0.0);
    Ok((library, Exported { files: vec![GRAPH.into()], notes, largest_difference, ..nothing() }))
}

fn nothing() -> Exported {
    Exported { path: PathBuf::new(), files: Vec::new(), tensors: None, bytes: 0, largest_difference: None, notes: Vec::new() }
}

/// Writes tensors and what belongs beside them, looks whether they come back, and gives whom they are for.
fn tensors(weights: &Weights, folder: &Path, is_file: bool, options: &Options) -> Result<(Library, Exported)> {
    let made = match options.format {
        Format::Timm => timm::made(Source::of(weights, options.kind)?)?,
        Format::HuggingFace => hugging_face::made(Source::of(weights, options.kind)?, options.precision)?,
        _ => own(weights, options.kind)?,
    };
    if let Some((name, value)) = narrow::misfit(&made.tensors, options.precision) {
        let cure = if options.precision == Precision::F16 { "use --precision bf16, or f32" } else { "use --precision f32" };
        return Err(Error::data(&weights.path, format!("{name}: {value} does not fit {}", options.precision.name()), cure));
    }
    let file = folder.join(WEIGHTS);
    write_atomic_with(&file, |writer| write_as(writer, &made.tensors, &made.counters, options.precision, &made.metadata))?;
    let mut files = vec![WEIGHTS.into()];
    for (name, text) in made.texts.iter().filter(|_| !is_file) {
        write_atomic(&folder.join(name), text.as_bytes())?;
        files.push(name.into());
    }
    let found = verification::verify(&file, &made, options)?;
    let notes = made.notes.into_iter().chain(found.note).collect();
    let tensors = Some(made.tensors.len() + made.counters.len());
    Ok((made.library, Exported { files, tensors, largest_difference: Some(f64::from(found.largest_difference)), notes, ..nothing() }))
}

/// Maskroom's own file, which carries everything.
fn own(weights: &Weights, kind: WeightsKind) -> Result<Made> {
    let (mut notes, whole) = (Vec::new(), weights.all_tensors()?);
    let tensors = if kind == WeightsKind::Best { whole.clone() } else { weights.tensors_of_kind(kind)? };
    if kind == WeightsKind::Raw && weights.has_average() {
        notes.push("the running average stays behind".to_owned());
    }
    if kind == WeightsKind::Ema {
        notes.push("the trained weights stay behind: what was their running average stands in their place".to_owned());
    }
    // Whoever goes on from here needs that too.
    let measured = whole.iter().filter(|(name, _)| name.starts_with(TARGET));
    let tensors: TensorMap = tensors.into_iter().chain(measured.map(|(name, tensor)| (name.clone(), tensor.clone()))).collect();
    let mut metadata = metadata(&weights.recipe, weights.step);
    if let Some(what) = weights.encoder_alone {
        metadata.insert(ENCODER_ALONE.to_owned(), what.to_owned());
    }
    let code = "maskroom embed --weights PATH --images image.png --out features.npy".to_owned();
    let library = Library { name: "maskroom", code };
    let carried = tensors.clone();
    Ok(Made { tensors, counters: BTreeSet::new(), metadata, texts: Vec::new(), carried, library, notes })
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase())
}

/// Whether a path is that of a single file.
fn is_file(to: &Path, format: Format) -> Result<bool> {
    let refused = |why: &str| Err(Error::Usage(format!("{}: {why}", to.display())));
    match (ending(to).as_deref(), format) {
        (Some("onnx"), Format::Onnx) | (Some("safetensors"), Format::Maskroom | Format::Timm) => Ok(true),
        (Some("onnx" | "safetensors"), Format::HuggingFace) => refused("a model of Hugging Face is a folder: leave the ending out"),
        (Some("onnx"), _) => refused("this ending is that of --format onnx: use .safetensors, or the name of a folder"),
        (Some("safetensors"), _) => refused("a graph ends in .onnx: use that, or the name of a folder"),
        _ => Ok(false),
    }
}

/// What is there is somebody's work.
fn refuse_existing(to: &Path) -> Result<()> {
    let refused = |what: &str| Err(Error::Usage(format!("{} {what}: give another path, or remove it first", to.display())));
    if to.is_dir() {
        let mut entries = std::fs::read_dir(to).map_err(Error::io("read", to))?;
        return if entries.next().is_some() { refused("is a folder that is not empty") } else { Ok(()) };
    }
    if to.exists() { refused("is there already") } else { Ok(()) }
}
