//! A graph while it grows, and the weights that it takes up.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::narrow::f16_from_f32;
use super::super::precision::Precision;
use super::super::safetensors_file::TensorMap;
use super::model::{Attribute, Graph, Initializer, Node, Numbers};
use crate::error::{Error, Result};

/// The graph and what is left of the weights. Values are known by their names.
pub struct Builder<'a> {
    path: &'a Path,
    tensors: TensorMap,
    precision: Precision,
    graph: Graph,
    scalars: BTreeMap<u32, String>,
    lists: BTreeMap<Vec<i64>, String>,
}

impl<'a> Builder<'a> {
    /// Nothing yet. `path` is where the tensors come from.
    pub fn new(path: &'a Path, tensors: TensorMap, precision: Precision) -> Self {
        Self { path, tensors, precision, graph: Graph::default(), scalars: BTreeMap::new(), lists: BTreeMap::new() }
    }

    /// Takes a tensor out of the weights.
    ///
    /// # Errors
    /// If it is missing or of another shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let cure = "these weights belong to another network: use the recipe that made them";
        let Some(tensor) = self.tensors.remove(name) else { return Err(Error::data(self.path, format!("{name} is missing"), cure)) };
        if tensor.shape != shape {
            return Err(Error::data(self.path, format!("{name} is {:?} instead of {shape:?}", tensor.shape), cure));
        }
        Ok(tensor.values)
    }

    /// A tensor of the weights as it is.
    ///
    /// # Errors
    /// As [`Builder::take`] and [`Builder::learned`].
    pub fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<String> {
        let values = self.take(name, shape)?;
        self.learned(name, shape, values)
    }

    /// Numbers that were trained. Those of more than one axis, which are nearly all, are kept in the file's precision and widened first thing.
    ///
    /// # Errors
    /// If some are too large for it.
    pub fn learned(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<String> {
        let precision = if shape.len() > 1 { self.precision } else { Precision::F32 };
        let is_too_large = |&value: &f32| value.is_finite() && f16_from_f32(value) & 0x7fff == 0x7c00;
        if precision == Precision::F16 && values.iter().any(is_too_large) {
            return Err(Error::data(self.path, format!("{name} has numbers beyond 65,504, the largest of f16"), "use bf16 or f32"));
        }
        let stored = self.initializer(name, shape, Numbers::Floats(values, precision));
        let float = [("to", Attribute::Int(1))];
        Ok(if precision == Precision::F32 { stored } else { self.node(name, "Cast", &[&stored], &float) })
    }

    /// Numbers that nobody trained.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> String {
        self.initializer(name, shape, Numbers::Floats(values, Precision::F32))
    }

    /// One number.
    pub fn scalar(&mut self, value: f32) -> String {
        if let Some(known) = self.scalars.get(&value.to_bits()) {
            return known.clone();
        }
        let name = self.constant(&format!("number_{}", self.scalars.len()), &[], vec![value]);
        self.scalars.insert(value.to_bits(), name.clone());
        name
    }

    /// A list of whole numbers.
    pub fn list(&mut self, values: &[i64]) -> String {
        if let Some(known) = self.lists.get(values) {
            return known.clone();
        }
        let name = self.initializer(&format!("list_{}", self.lists.len()), &[values.len()], Numbers::Whole(values.to_vec()));
        self.lists.insert(values.to_vec(), name.clone());
        name
    }

    /// An operation at a place in the network, and what it makes.
    pub fn node(&mut self, at: &str, operator: &'static str, inputs: &[&str], attributes: &[(&'static str, Attribute)]) -> String {
        let [output] = self.nodes(at, operator, inputs, attributes);
        output
    }

    /// An operation that makes several things.
    pub fn nodes<const N: usize>(
        &mut self,
        at: &str,
        operator: &'static str,
        inputs: &[&str],
        attributes: &[(&'static str, Attribute)],
    ) -> [String; N] {
        let name = format!("{at}/{operator}_{}", self.graph.nodes.len());
        let outputs: [String; N] = std::array::from_fn(|index| if index == 0 { name.clone() } else { format!("{name}.{index}") });
        self.graph.nodes.push(Node {
            operator,
            name,
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            outputs: outputs.to_vec(),
            attributes: attributes.to_vec(),
        });
        outputs
    }

    /// Lets the graph have a value under a name of its own.
    pub fn call(&mut self, value: &str, name: &str) {
        self.graph.nodes.push(Node {
            operator: "Identity",
            name: format!("{name}/Identity"),
            inputs: vec![value.to_owned()],
            outputs: vec![name.to_owned()],
            attributes: Vec::new(),
        });
    }

    /// The graph, without inputs and outputs yet, and the names of the tensors that nothing took.
    pub fn finish(self) -> (Graph, Vec<String>) {
        (self.graph, self.tensors.into_keys().collect())
    }

    fn initializer(&mut self, name: &str, shape: &[usize], numbers: Numbers) -> String {
        self.graph.initializers.push(Initializer { name: name.to_owned(), shape: shape.to_vec(), numbers });
        name.to_owned()
    }
}

/// Lengths as operators are given them.
pub fn whole(lengths: &[usize]) -> Vec<i64> {
    lengths.iter().map(|&length| length as i64).collect()
}
