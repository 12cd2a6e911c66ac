//! Tensors on their way from Maskroom's names and layouts to another library's.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::weights::model_file::{is_of_training, listed};
use crate::weights::safetensors_file::{HostTensor, TensorMap};

/// Tensors that are taken, one after the other.
pub(super) struct Renaming {
    ours: TensorMap,
    renamed: Renamed,
    wrong: Vec<String>,
}

/// What becomes of a network's tensors.
#[derive(Default)]
pub(super) struct Renamed {
    /// By the other library's names.
    pub theirs: TensorMap,
    /// Names of counters that the other library has beside them.
    pub counters: BTreeSet<String>,
    /// Those that were taken, by Maskroom's names, without what the other library does not add.
    pub carried: TensorMap,
}

/// What the parts of a transformer's block are called.
pub(super) struct BlockNames {
    /// Before attention and before the MLP.
    pub norms: [&'static str; 2],
    /// After attention.
    pub proj: &'static str,
    /// The layers of the MLP.
    pub mlp: [&'static str; 2],
    /// Queries, keys and values.
    pub qkv: Qkv,
}

/// What makes queries, keys and values.
pub(super) enum Qkv {
    /// One layer.
    Stacked(&'static str),
    /// One matrix, and biases of queries and of values beside it.
    WithoutKeyBias(&'static str, [&'static str; 2]),
    /// A layer each, with a bias or without.
    Apart([&'static str; 3], [bool; 3]),
}

impl Renaming {
    /// Begins with all tensors of a network.
    pub fn new(ours: TensorMap) -> Self {
        Self { ours, renamed: Renamed::default(), wrong: Vec::new() }
    }

    /// Ends with what was taken.
    ///
    /// # Errors
    /// Every tensor that is missing or of another shape, or that is part of the encoder and was not taken.
    pub fn end(mut self, path: &Path) -> Result<Renamed> {
        let is_left = |name: &&String| !is_of_training(name) && !name.starts_with("classifier.");
        self.wrong.extend(self.ours.keys().filter(is_left).map(|name| format!("{name} has no place in this format")));
        if self.wrong.is_empty() {
            return Ok(self.renamed);
        }
        Err(Error::data(path, listed(&self.wrong), "use --format maskroom, which carries everything"))
    }

    /// Takes a tensor of a shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Option<HostTensor> {
        match self.ours.remove(name) {
            Some(tensor) if tensor.shape == shape => {
                self.renamed.carried.insert(name.to_owned(), tensor.clone());
                return Some(tensor);
            }
            Some(tensor) => self.wrong.push(format!("{name} is {:?} instead of {shape:?}", tensor.shape)),
            None => self.wrong.push(format!("{name} is missing")),
        }
        None
    }

    /// Whether a tensor is there and was not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.ours.contains_key(name)
    }

    /// Whether a tensor with this ending has a number other than zero.
    pub fn is_nonzero(&self, ending: &str) -> bool {
        let with_ending = self.ours.iter().filter(|(name, _)| name.ends_with(ending));
        with_ending.flat_map(|(_, tensor)| &tensor.values).any(|&value| value != 0.0)
    }

    /// Leaves out a tensor that does nothing.
    pub fn leave(&mut self, name: &str) {
        self.ours.remove(name);
    }

    /// Adds what the other library has and Maskroom does without.
    pub fn put(&mut self, theirs: &str, shape: &[usize], values: Vec<f32>) {
        self.renamed.theirs.insert(theirs.to_owned(), HostTensor::new(shape, values));
    }

    /// Adds a counter.
    pub fn count(&mut self, theirs: String) {
        self.renamed.counters.insert(theirs);
    }

    /// The same values under another name.
    pub fn copy(&mut self, ours: &str, theirs: &str, shape: &[usize]) {
        self.reshaped(ours, theirs, shape, shape);
    }

    /// The same values under another name and in another shape of as many numbers.
    pub fn reshaped(&mut self, ours: &str, theirs: &str, shape: &[usize], there: &[usize]) {
        self.made(ours, theirs, shape, there, |values| values);
    }

    /// Other values, in another shape.
    pub fn made(&mut self, ours: &str, theirs: &str, shape: &[usize], there: &[usize], make: impl FnOnce(Vec<f32>) -> Vec<f32>) {
        if let Some(tensor) = self.take(ours, shape) {
            self.put(theirs, there, make(tensor.values));
        }
    }

    /// A table of so many positions without the first, which is nobody's.
    pub fn without_first(&mut self, ours: &str, theirs: &str, [positions, width]: [usize; 2]) {
        let shapes = [[1, positions, width], [1, positions.saturating_sub(1), width]];
        self.made(ours, theirs, &shapes[0], &shapes[1], |table| table[width..].to_vec());
        if let Some(carried) = self.renamed.carried.get_mut(ours) {
            carried.values[..width].fill(0.0);
        }
    }

    /// A weight of the given shape and a bias as long as its first side.
    pub fn layer(&mut self, ours: &str, theirs: &str, shape: &[usize]) {
        self.copy(&format!("{ours}.weight"), &format!("{theirs}.weight"), shape);
        self.copy(&format!("{ours}.bias"), &format!("{theirs}.bias"), &shape[..1]);
    }

    /// A layer norm.
    pub fn norm(&mut self, ours: &str, theirs: &str, width: usize) {
        self.layer(ours, theirs, &[width]);
    }

    /// What all blocks of transformers have: norms, attention, and an MLP of so many hidden numbers, of which a gate's layer gives twice as
    /// many.
    pub fn block(&mut self, ours: &str, theirs: &str, names: &BlockNames, [width, hidden]: [usize; 2], is_gated: bool) {
        let there = |name: &str| format!("{theirs}.{name}");
        for (norm, name) in ["norm1", "norm2"].into_iter().zip(names.norms) {
            self.norm(&format!("{ours}.{norm}"), &there(name), width);
        }
        self.layer(&format!("{ours}.attn.proj"), &there(names.proj), &[width, width]);
        let first = if is_gated { 2 * hidden } else { hidden };
        for (layer, name, shape) in [("fc1", names.mlp[0], [first, width]), ("fc2", names.mlp[1], [width, hidden])] {
            self.layer(&format!("{ours}.mlp.{layer}"), &there(name), &shape);
        }
        let qkv = format!("{ours}.attn.qkv");
        match names.qkv {
            Qkv::Stacked(name) => self.layer(&qkv, &there(name), &[3 * width, width]),
            Qkv::WithoutKeyBias(name, [queries, values]) => {
                self.copy(&format!("{qkv}.weight"), &there(&format!("{name}.weight")), &[3 * width, width]);
                self.parts(&format!("{qkv}.bias"), &[3 * width], [Some(there(queries)), None, Some(there(values))]);
            }
            Qkv::Apart(parts, bias) => {
                self.parts(&format!("{qkv}.weight"), &[3 * width, width], parts.map(|part| Some(there(&format!("{part}.weight")))));
                let biases = [0, 1, 2].map(|part| bias[part].then(|| there(&format!("{}.bias", parts[part]))));
                self.parts(&format!("{qkv}.bias"), &[3 * width], biases);
            }
        }
    }

    /// A third of a tensor each; a third without a name is left out, and zero where the tensors come back.
    fn parts(&mut self, ours: &str, shape: &[usize], theirs: [Option<String>; 3]) {
        let Some(tensor) = self.take(ours, shape) else { return };
        let third = tensor.values.len() / 3;
        let shape = [&[shape[0] / 3], &shape[1..]].concat();
        for (part, name) in theirs.into_iter().enumerate() {
            let range = part * third..(part + 1) * third;
            if let Some(name) = name {
                self.put(&name, &shape, tensor.values[range].to_vec());
            } else if let Some(carried) = self.renamed.carried.get_mut(ours) {
                carried.values[range].fill(0.0);
            }
        }
    }
}

/// The hidden width of an MLP.
pub(super) fn hidden(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}
