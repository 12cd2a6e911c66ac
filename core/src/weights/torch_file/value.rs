//! What a pickle describes, as inert values: nothing here is an object of a program.

use std::sync::Arc;

use crate::weights::dtype::Dtype;

/// The place of a value among all values of a pickle. Values name one another by it, so that they may hold each other in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number of more than 64 bits, least byte first, in two's complement.
    Long(Vec<u8>),
    Float(f64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// The name of a class or a function, such as `torch.float32`. A name alone does nothing.
    Name(Arc<str>),
    Storage(Box<Storage>),
    Tensor(Box<Tensor>),
    Record(Box<Record>),
}

/// An object of a known class, kept as what was written about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// Its class, such as `argparse.Namespace`.
    pub class: Arc<str>,
    /// The tuple that it was made of.
    pub arguments: Id,
    /// What its fields were set to.
    pub state: Option<Id>,
    /// What was put into it by key.
    pub items: Vec<(Id, Id)>,
    /// Its class is one of data, or its state has shown that it is a module of a network.
    pub is_known: bool,
}

/// Numbers of one kind that lie somewhere else in the file; or a part of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// Under which name they lie there.
    pub key: Arc<str>,
    /// Their kind; `None` for bytes that a tensor gives a meaning to.
    pub dtype: Option<Dtype>,
    /// Elements that come before the part.
    pub first: u64,
    /// Elements of the part.
    pub count: u64,
}

/// A tensor: which numbers of a storage it has, and in which order. All of them lie within the storage's announced length.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name of its storage.
    pub(super) key: Arc<str>,
    /// The kind of its numbers.
    pub(super) dtype: Dtype,
    /// Elements of the storage before its first.
    pub(super) offset: u64,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Elements from one to the next along each dimension.
    pub(super) strides: Vec<u64>,
}

/// PyTorch's names of kinds of numbers.
impl Dtype {
    /// By the name of a storage's class, such as `torch.FloatStorage`; of those that once lay on a GPU too.
    pub fn of_storage(class: &str) -> Option<Self> {
        let name = class.strip_prefix("torch.")?;
        let name = name.strip_prefix("cuda.").or_else(|| name.strip_prefix("storage.")).unwrap_or(name);
        Some(match name.strip_suffix("Storage")? {
            "Double" => Self::F64,
            "Float" => Self::F32,
            "Half" => Self::F16,
            "BFloat16" => Self::Bf16,
            "Long" => Self::I64,
            "Int" | "QInt32" => Self::I32,
            "Short" => Self::I16,
            "Char" | "QInt8" => Self::I8,
            "Byte" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Self::U8,
            "Bool" => Self::Bool,
            "ComplexFloat" => Self::Other(8),
            "ComplexDouble" => Self::Other(16),
            _ => return None,
        })
    }

    /// By its own name, such as `torch.float32`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("torch.")? {
            "float64" | "double" => Self::F64,
            "float32" | "float" => Self::F32,
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::Bf16,
            "int64" | "long" => Self::I64,
            "int32" | "int" => Self::I32,
            "int16" | "short" => Self::I16,
            "int8" => Self::I8,
            "uint8" => Self::U8,
            "bool" => Self::Bool,
            "uint16" => Self::Other(2),
            "uint32" => Self::Other(4),
            "uint64" | "complex64" => Self::Other(8),
            "complex128" => Self::Other(16),
            name if name.starts_with("float8_") => Self::Other(1),
            _ => return None,
        })
    }
}

impl Tensor {
    /// Whether its numbers are of a kind that weights are made of.
    pub fn is_real(&self) -> bool {
        self.dtype.is_real()
    }

    /// Elements. They were counted when the tensor was made.
    pub(super) fn count(&self) -> u64 {
        self.shape.iter().fold(1, |count: u64, &side| count.saturating_mul(side as u64))
    }

    /// Elements of the storage from its first to its last; 0 of an empty tensor.
    pub(super) fn span(&self) -> u64 {
        if self.count() == 0 {
            return 0;
        }
        let reach = |(&side, &stride): (&usize, &u64)| (side as u64 - 1).saturating_mul(stride);
        self.shape.iter().zip(&self.strides).map(reach).fold(1, u64::saturating_add)
    }
}

/// All values of a pickle.
#[derive(Debug)]
pub(super) struct Values {
    all: Vec<Value>,
    may_copy: usize,
}

/// Elements that a pickle may have copied from one container into another, for each of its bytes and besides, and in all: what has more
/// was made to use up memory.
const MAX_COPIED: [usize; 3] = [64, 1 << 12, 1 << 24];

impl Values {
    /// None yet, of a pickle of so many bytes.
    pub fn of_pickle(num_bytes: usize) -> Self {
        let [each, besides, most] = MAX_COPIED;
        Self { all: Vec::new(), may_copy: num_bytes.saturating_mul(each).saturating_add(besides).min(most) }
    }

    /// Adds a value.
    pub fn add(&mut self, value: Value) -> Id {
        self.all.push(value);
        Id((self.all.len() - 1) as u32)
    }

    /// Counts elements that are about to be copied or searched.
    ///
    /// # Errors
    /// If they are too many.
    pub fn spend(&mut self, elements: usize) -> Result<(), String> {
        self.may_copy = self.may_copy.checked_sub(elements).ok_or("it copies containers again and again")?;
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.all.iter()
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.all[id.0 as usize]
    }

    pub fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.all[id.0 as usize]
    }

    /// Elements of a container, letters of a text.
    pub fn length(&self, id: Id) -> usize {
        match self.get(id) {
            Value::List(list) | Value::Tuple(list) | Value::Set(list) => list.len(),
            Value::Dict(pairs) => pairs.len(),
            Value::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn name(&self, id: Id) -> Option<&Arc<str>> {
        match self.get(id) {
            Value::Name(name) => Some(name),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Value::Int(int) => u64::try_from(*int).ok(),
            _ => None,
        }
    }

    /// The elements of a tuple or a list.
    pub fn elements(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(list) | Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// What a dictionary has under a text; the last of several.
    pub fn entry(&self, id: Id, key: &str) -> Option<Id> {
        match self.get(id) {
            Value::Dict(pairs) => pairs.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|&(_, value)| value),
            _ => None,
        }
    }
}
