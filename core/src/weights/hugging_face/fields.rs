//! The fields of a JSON file, read with suspicion: every refusal names the field, what stands there, and what may.

use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Longer files are no settings.
const MAX_BYTES: u64 = 16 << 20;

/// A JSON object and where it was read.
pub(super) struct Fields {
    path: PathBuf,
    object: Map<String, Value>,
}

impl Fields {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no JSON object, with the line that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        File::open(path).map_err(Error::io("read", path))?.take(MAX_BYTES).read_to_end(&mut text).map_err(Error::io("read", path))?;
        Self::of(path, &text)
    }

    /// Reads what stands in a file.
    ///
    /// # Errors
    /// As [`Fields::read`].
    pub fn of(path: &Path, text: &[u8]) -> Result<Self> {
        let refused = |reason: String| Error::data(path, reason, "use the file as `save_pretrained` wrote it");
        match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => Ok(Self { path: path.to_path_buf(), object }),
            Ok(_) => Err(refused("not a JSON object".into())),
            Err(error) => {
                let line = text.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
                let line: String = String::from_utf8_lossy(line).trim().chars().take(80).collect();
                Err(refused(format!("not readable JSON: {error}: `{line}`")))
            }
        }
    }

    /// A refusal of what a field says.
    pub fn refused(&self, key: &str, why: impl std::fmt::Display, cure: &str) -> Error {
        Error::data(&self.path, format!("{key}: {why}"), cure)
    }

    /// What stands there; `null` is nothing.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A whole number from 1 to `most`.
    pub fn count(&self, key: &str, most: usize) -> Result<usize> {
        self.one(key, self.get(key), most)
    }

    /// The same, `usual` where there is none.
    pub fn count_or(&self, key: &str, usual: usize, most: usize) -> Result<usize> {
        if self.get(key).is_none() { Ok(usual) } else { self.count(key, most) }
    }

    /// A whole number from 0 to `most`, `usual` where there is none.
    pub fn count_from_zero(&self, key: &str, usual: usize, most: usize) -> Result<usize> {
        match self.get(key) {
            None => Ok(usual),
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            value => self.one(key, value, most),
        }
    }

    /// A list of whole numbers from 1 to `most`.
    pub fn counts(&self, key: &str, most: usize) -> Result<Vec<usize>> {
        match self.get(key) {
            Some(Value::Array(list)) if (1..=MAX_STAGES).contains(&list.len()) => {
                list.iter().map(|value| self.one(key, Some(value), most)).collect()
            }
            value => Err(self.misfit(key, value, &format!("a list of at most {MAX_STAGES} whole numbers"))),
        }
    }

    /// Height and width, written as one whole number or as two.
    pub fn sides(&self, key: &str, most: usize) -> Result<[usize; 2]> {
        match self.get(key) {
            Some(Value::Array(pair)) if pair.len() == 2 => Ok([self.one(key, Some(&pair[0]), most)?, self.one(key, Some(&pair[1]), most)?]),
            Some(value @ Value::Array(_)) => Err(self.misfit(key, Some(value), "one whole number, or two")),
            value => Ok([self.one(key, value, most)?; 2]),
        }
    }

    /// A number within a range, `usual` where there is none.
    pub fn real_or(&self, key: &str, usual: f64, range: RangeInclusive<f64>) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(usual) };
        let number = value.as_f64().filter(|number| range.contains(number));
        number.ok_or_else(|| self.misfit(key, Some(value), &format!("a number from {:e} to {:e}", range.start(), range.end())))
    }

    /// True or false, `usual` where there is none.
    pub fn flag_or(&self, key: &str, usual: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(usual) };
        value.as_bool().ok_or_else(|| self.misfit(key, Some(value), "true or false"))
    }

    /// A refusal of a value that is not what is `wanted` there.
    pub fn misfit(&self, key: &str, value: Option<&Value>, wanted: &str) -> Error {
        let cure = "use the file as `save_pretrained` wrote it";
        match value {
            None => self.refused(key, format!("is missing and must be {wanted}"), cure),
            Some(value) => {
                let shown: String = value.to_string().chars().take(60).collect();
                self.refused(key, format!("is {shown} and must be {wanted}"), cure)
            }
        }
    }

    fn one(&self, key: &str, value: Option<&Value>, most: usize) -> Result<usize> {
        let count = value.and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        count.filter(|count| (1..=most).contains(count)).ok_or_else(|| self.misfit(key, value, &format!("a whole number from 1 to {most}")))
    }
}

/// Stages of a pyramid at most.
const MAX_STAGES: usize = 8;
