//! The tensors of a file by their names and shapes, before any of their numbers are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
#[cfg(test)]
use crate::weights::safetensors_file::TensorMap;
use crate::weights::safetensors_file::{HostTensor, SafetensorsFile};
use crate::weights::torch_file::{self, Setting, TorchFile};

/// What a file holds.
pub struct Listing {
    /// The file.
    pub path: PathBuf,
    /// Its format, in words.
    pub format: &'static str,
    /// Shapes by name.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Numbers and words beside them.
    pub settings: BTreeMap<String, Setting>,
    numbers: Numbers,
}

/// Where numbers are read when they are asked for.
enum Numbers {
    Torch(Box<TorchFile>),
    /// A file, or the parts of what would be too large for one.
    Safetensors(Vec<SafetensorsFile>),
    #[cfg(test)]
    Held(TensorMap),
}

/// Endings of files that `torch.save` writes.
const TORCH_ENDINGS: [&str; 5] = ["pth", "pt", "bin", "ckpt", "tar"];

/// Whether a file is a checkpoint of PyTorch's, or means to be.
pub(super) fn is_torch(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    TORCH_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) || torch_file::is_torch_file(path)
}

impl Listing {
    /// Reads names and shapes.
    ///
    /// # Errors
    /// [`Error::Data`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        if is_torch(path) {
            let mut file = torch_file::open(path)?;
            let settings = std::mem::take(&mut file.contents.settings);
            let shapes = file.contents.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
            return Ok(Self { path: path.to_path_buf(), format: file.format, shapes, settings, numbers: Numbers::Torch(Box::new(file)) });
        }
        let file = SafetensorsFile::open(path)?;
        let settings = file.metadata().iter().map(|(key, word)| (key.clone(), Setting::Word(word.clone()))).collect();
        Ok(Self { settings, ..Self::of_parts(path, vec![file])? })
    }

    /// The tensors of files that are parts of one; `path` stands for all of them.
    ///
    /// # Errors
    /// [`Error::Data`] if two of them have a tensor of the same name.
    pub fn of_parts(path: &Path, parts: Vec<SafetensorsFile>) -> Result<Self> {
        let mut shapes = BTreeMap::new();
        for (name, shape) in parts.iter().flat_map(SafetensorsFile::shapes) {
            if shapes.insert(name.to_owned(), shape.to_vec()).is_some() {
                return Err(Error::data(path, format!("{name} is in two of its parts"), "use another copy of the files"));
            }
        }
        let numbers = Numbers::Safetensors(parts);
        Ok(Self { path: path.to_path_buf(), format: "safetensors", shapes, settings: BTreeMap::new(), numbers })
    }

    /// The same without tensors of numbers that weights are not made of: counters and the like.
    pub fn of_weights_alone(mut self) -> Self {
        if let Numbers::Torch(file) = &self.numbers {
            self.shapes.retain(|name, _| file.contents.tensors.get(name).is_some_and(torch_file::Tensor::is_real));
        }
        self
    }

    /// A listing of tensors whose numbers nobody asks for, for tests.
    #[cfg(test)]
    pub fn of_shapes(path: &str, shapes: BTreeMap<String, Vec<usize>>, settings: BTreeMap<String, Setting>) -> Self {
        Self { path: path.into(), format: "nothing", shapes, settings, numbers: Numbers::Held(TensorMap::new()) }
    }

    /// Tensors of no file, for tests.
    #[cfg(test)]
    pub fn of_tensors(tensors: TensorMap) -> Self {
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
        Self { numbers: Numbers::Held(tensors), ..Self::of_shapes("nowhere", shapes, BTreeMap::new()) }
    }

    /// The numbers of a tensor, read anew each time.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none of that name, or it cannot be read.
    pub fn tensor(&self, name: &str) -> Result<HostTensor> {
        let found = match &self.numbers {
            Numbers::Torch(file) => file.contents.tensors.get(name).map(|tensor| file.read(tensor)),
            Numbers::Safetensors(parts) => parts.iter().find_map(|part| part.tensor(name)),
            #[cfg(test)]
            Numbers::Held(tensors) => tensors.get(name).cloned().map(Ok),
        };
        let read = found.unwrap_or_else(|| Err("it is missing".to_owned()));
        read.map_err(|reason| Error::data(&self.path, format!("{name}: {reason}"), "use another copy of the file"))
    }

    /// The last part of whose path is `key`: settings lie below `args`, `config` and the like.
    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|(path, _)| path.rsplit('.').next() == Some(key)).map(|(_, setting)| setting)
    }

    /// A number that the file says, such as `num_heads`.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.setting(key) {
            Some(&Setting::Number(number)) => Some(number),
            // Metadata of safetensors knows nothing but words.
            Some(Setting::Word(word)) => word.parse().ok(),
            _ => None,
        }
    }

    /// A whole number that the file says.
    pub fn count(&self, key: &str) -> Option<usize> {
        self.number(key).filter(|number| (1.0..=65_536.0).contains(number) && number.fract() == 0.0).map(|number| number as usize)
    }

    /// Height and width of images, as exported files say them: one number, or two with a comma.
    pub fn image(&self) -> Option<[usize; 2]> {
        let Some(Setting::Word(word)) = self.setting("img_size") else { return self.count("img_size").map(|side| [side; 2]) };
        let (height, width) = word.split_once(',').unwrap_or((word, word));
        Some([height.trim().parse().ok()?, width.trim().parse().ok()?])
    }

    /// A flag that the file says, such as `norm_pix_loss`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.setting(key) {
            Some(&Setting::Flag(flag)) => Some(flag),
            _ => None,
        }
    }

    /// Whether the file says a word, in small letters, such as `dino` as its `arch`.
    pub fn says(&self, key: &str, word: &str) -> bool {
        let is_so = |(path, setting): (&String, &Setting)| {
            path.rsplit('.').next() == Some(key) && matches!(setting, Setting::Word(text) if text.to_lowercase().contains(word))
        };
        self.settings.iter().any(is_so)
    }

    /// The file's own name, in small letters.
    pub fn file_name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
    }
}
