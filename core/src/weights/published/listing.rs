//! The tensors of a file by their names and shapes, before any of their numbers are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::weights::safetensors_file::{self, HostTensor, TensorMap};
use crate::weights::torch_file::{self, Setting, TorchFile};

/// What a file holds.
pub(super) struct Listing {
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

enum Numbers {
    Torch(Box<TorchFile>),
    Read(TensorMap),
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
        let of = |format, shapes, settings, numbers| Self { path: path.to_path_buf(), format, shapes, settings, numbers };
        if is_torch(path) {
            let mut file = torch_file::open(path)?;
            let settings = std::mem::take(&mut file.contents.settings);
            let shapes = file.contents.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
            return Ok(of(file.format, shapes, settings, Numbers::Torch(Box::new(file))));
        }
        let (tensors, metadata) = safetensors_file::read(path)?;
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
        let settings = metadata.into_iter().map(|(key, word)| (key, Setting::Word(word))).collect();
        Ok(of("safetensors", shapes, settings, Numbers::Read(tensors)))
    }

    /// A listing of tensors whose numbers nobody asks for, for tests.
    #[cfg(test)]
    pub fn of_shapes(path: &str, shapes: BTreeMap<String, Vec<usize>>, settings: BTreeMap<String, Setting>) -> Self {
        Self { path: path.into(), format: "nothing", shapes, settings, numbers: Numbers::Read(TensorMap::new()) }
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none of that name, or it cannot be read.
    pub fn tensor(&mut self, name: &str) -> Result<HostTensor> {
        let found = match &mut self.numbers {
            Numbers::Read(tensors) => tensors.get(name).cloned().ok_or_else(|| "it is missing".to_owned()),
            Numbers::Torch(file) => match file.contents.tensors.get(name).cloned() {
                Some(tensor) => file.read(&tensor),
                None => Err("it is missing".to_owned()),
            },
        };
        found.map_err(|reason| Error::data(&self.path, format!("{name}: {reason}"), "use another copy of the file"))
    }

    /// The last part of whose path is `key`: settings lie below `args`, `config` and the like.
    fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|(path, _)| path.rsplit('.').next() == Some(key)).map(|(_, setting)| setting)
    }

    /// A number that the file says, such as `num_heads`.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.setting(key) {
            Some(&Setting::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// A whole number that the file says.
    pub fn count(&self, key: &str) -> Option<usize> {
        self.number(key).filter(|number| (1.0..=65_536.0).contains(number) && number.fract() == 0.0).map(|number| number as usize)
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
