//! What a checkpoint holds, flat: tensors by their path through dictionaries and modules, and the numbers and words beside them.

use std::collections::BTreeMap;

use super::machine::Pickle;
use super::value::{Id, Record, Tensor, Value};

/// Dictionaries within dictionaries at most; deeper ones are passed over.
const MAX_DEPTH: usize = 24;
/// Values that are looked at, for each byte of the pickle and besides, and in all: most of them are looked at once.
const MAX_VISITS: [usize; 3] = [16, 1 << 12, 1 << 20];
/// Bytes of all paths, words and shapes, counted likewise.
const MAX_PATHS: [usize; 3] = [256, 1 << 20, 1 << 28];
/// Longer lists are none of settings.
const MAX_LIST: usize = 64;
/// Bytes of a path at most.
const MAX_PATH: usize = 1024;

/// What a checkpoint holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Tensors, by the keys that lead to them, with dots between: `model.blocks.0.norm1.weight`.
    pub tensors: BTreeMap<String, Tensor>,
    /// What else is there, such as `args.arch`.
    pub settings: BTreeMap<String, Setting>,
}

/// A number, word or flag of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

/// Flattens what a pickle made.
///
/// # Errors
/// If it has too many parts.
pub(super) fn of(pickle: &Pickle) -> Result<Contents, String> {
    let most = |[each, besides, most]: [usize; 3]| pickle.length.saturating_mul(each).saturating_add(besides).min(most);
    let mut walk = Walk { pickle, contents: Contents::default(), may_visit: most(MAX_VISITS), may_name: most(MAX_PATHS) };
    walk.visit("", pickle.root, 0)?;
    Ok(walk.contents)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    contents: Contents,
    may_visit: usize,
    may_name: usize,
}

impl Walk<'_> {
    fn visit(&mut self, path: &str, id: Id, depth: usize) -> Result<(), String> {
        self.spend(1, path.len())?;
        if depth > MAX_DEPTH || path.len() > MAX_PATH {
            return Ok(());
        }
        let pickle = self.pickle;
        match pickle.values.get(id) {
            Value::Tensor(tensor) => {
                self.spend(0, 16 * tensor.shape.len())?;
                self.contents.tensors.insert(path.to_owned(), (**tensor).clone());
            }
            &Value::Bool(flag) => self.set(path, Setting::Flag(flag)),
            &Value::Int(number) => self.set(path, Setting::Number(number as f64)),
            &Value::Float(number) => self.set(path, Setting::Number(number)),
            Value::Text(text) => {
                let word: String = text.chars().take(200).collect();
                self.spend(0, word.len())?;
                self.set(path, Setting::Word(word));
            }
            Value::Dict(pairs) => self.pairs(path, pairs, depth)?,
            Value::Record(record) => self.record(path, record, depth)?,
            Value::List(list) | Value::Tuple(list) if list.len() <= MAX_LIST => {
                for (index, &element) in list.iter().enumerate() {
                    self.visit(&joined(path, &index.to_string()), element, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts values that are looked at, and bytes that are kept of them.
    fn spend(&mut self, visits: usize, bytes: usize) -> Result<(), String> {
        let left = self.may_visit.checked_sub(visits).zip(self.may_name.checked_sub(bytes));
        (self.may_visit, self.may_name) = left.ok_or("its containers hold one another so often that they have no end")?;
        Ok(())
    }

    fn set(&mut self, path: &str, setting: Setting) {
        self.contents.settings.insert(path.to_owned(), setting);
    }

    fn pairs(&mut self, path: &str, pairs: &[(Id, Id)], depth: usize) -> Result<(), String> {
        self.spend(pairs.len(), 0)?;
        for &(key, value) in pairs {
            let name = match self.pickle.values.get(key) {
                Value::Text(text) if path.len() + text.len() < MAX_PATH => text.clone(),
                Value::Int(number) => number.to_string(),
                _ => continue,
            };
            self.visit(&joined(path, &name), value, depth + 1)?;
        }
        Ok(())
    }

    /// A module's parameters have its own path, as in its `state_dict`; other objects' fields are below theirs.
    fn record(&mut self, path: &str, record: &Record, depth: usize) -> Result<(), String> {
        let pickle = self.pickle;
        self.pairs(path, &record.items, depth)?;
        let Some(state) = record.state else { return Ok(()) };
        self.spend(pickle.values.length(state), 0)?;
        let part = |key: &str| pickle.values.entry(state, key);
        if part("_parameters").is_some() && part("_modules").is_some() {
            for part in ["_parameters", "_buffers", "_modules"].into_iter().filter_map(part) {
                self.visit(path, part, depth + 1)?;
            }
            return Ok(());
        }
        // OmegaConf keeps what it holds beside what it knows about it, which leads back to where it is.
        if record.class.starts_with("omegaconf.") {
            return match part("_content").or_else(|| part("_val")) {
                Some(content) => self.visit(path, content, depth + 1),
                None => Ok(()),
            };
        }
        self.visit(path, state, depth + 1)
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
