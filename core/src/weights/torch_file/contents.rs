//! What a checkpoint holds, flat: tensors by their path through dictionaries and modules, and the numbers and words beside them.

use std::collections::BTreeMap;

use super::machine::Pickle;
use super::value::{Id, Record, Tensor, Value};

/// Dictionaries within dictionaries at most; deeper ones are passed over.
const MAX_DEPTH: usize = 24;
/// Values that are looked at, most of them once.
const MAX_VISITS: usize = 1 << 20;
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
    let mut walk = Walk { pickle, contents: Contents::default(), visits: 0 };
    walk.visit("", pickle.root, 0)?;
    Ok(walk.contents)
}

struct Walk<'a> {
    pickle: &'a Pickle,
    contents: Contents,
    visits: usize,
}

impl Walk<'_> {
    fn visit(&mut self, path: &str, id: Id, depth: usize) -> Result<(), String> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err("its containers hold one another so often that they have no end".into());
        }
        if depth > MAX_DEPTH || path.len() > MAX_PATH {
            return Ok(());
        }
        let pickle = self.pickle;
        match pickle.values.get(id) {
            Value::Tensor(tensor) => drop(self.contents.tensors.insert(path.to_owned(), (**tensor).clone())),
            &Value::Bool(flag) => self.set(path, Setting::Flag(flag)),
            &Value::Int(number) => self.set(path, Setting::Number(number as f64)),
            &Value::Float(number) => self.set(path, Setting::Number(number)),
            Value::Text(text) => self.set(path, Setting::Word(text.chars().take(200).collect())),
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

    fn set(&mut self, path: &str, setting: Setting) {
        self.contents.settings.insert(path.to_owned(), setting);
    }

    fn pairs(&mut self, path: &str, pairs: &[(Id, Id)], depth: usize) -> Result<(), String> {
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
