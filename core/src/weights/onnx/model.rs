//! An ONNX file in memory: the messages of `onnx.proto` that a network needs. Numbers of initializers are converted and written one piece
//! after the other, so that a file is never in memory as a whole.

use std::io::{self, Write};

use super::super::narrow::{bf16_from_f32, f16_from_f32};
use super::super::precision::Precision;
use super::wire::Message;

/// The version of the file's layout, which belongs to the operators.
const IR_VERSION: i64 = 8;
/// The version of the operators: the first one with a layer normalization.
const OPSET: i64 = 17;
/// Numbers that are converted at a time.
const PIECE: usize = 1 << 15;

/// Kinds of numbers, as `TensorProto.DataType` counts them.
const FLOAT: i64 = 1;
const INT64: i64 = 7;
const FLOAT16: i64 = 10;
const BFLOAT16: i64 = 16;

/// A whole file.
#[derive(Debug)]
pub struct Model {
    /// What is computed.
    pub graph: Graph,
    /// For the person who opens it.
    pub doc: String,
    /// Names and values.
    pub metadata: Vec<(String, String)>,
}

/// What is computed: nodes in an order in which they can be.
#[derive(Debug, Default)]
pub struct Graph {
    /// Operations.
    pub nodes: Vec<Node>,
    /// Constants.
    pub initializers: Vec<Initializer>,
    /// What is given to it.
    pub inputs: Vec<Port>,
    /// What comes out of it.
    pub outputs: Vec<Port>,
}

/// An operation.
#[derive(Debug)]
pub struct Node {
    /// What it does.
    pub operator: &'static str,
    /// Unlike all others.
    pub name: String,
    /// Names of what it reads.
    pub inputs: Vec<String>,
    /// Names of what it makes.
    pub outputs: Vec<String>,
    /// Its settings.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A setting of an operation.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Whole numbers.
    Ints(Vec<i64>),
}

/// A constant.
#[derive(Debug)]
pub struct Initializer {
    /// Unlike all others.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// What it holds.
    pub numbers: Numbers,
}

/// What a constant holds.
#[derive(Debug)]
pub enum Numbers {
    /// Floats, and as what they are written.
    Floats(Vec<f32>, Precision),
    /// Whole numbers, of 64 bits each.
    Whole(Vec<i64>),
}

/// What goes in or out: floats, of any number of images.
#[derive(Debug)]
pub struct Port {
    /// What it is called.
    pub name: &'static str,
    /// What follows the images' own axis.
    pub shape: Vec<usize>,
    /// What it means.
    pub doc: String,
}

impl Model {
    /// The bytes of the file.
    pub fn size(&self) -> u64 {
        let graph = self.graph.size();
        self.head(graph).size() + graph
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        file.write_all(self.head(self.graph.size()).bytes())?;
        self.graph.write(file)
    }

    /// Everything in front of the graph, which comes last.
    fn head(&self, graph: u64) -> Message {
        let mut head = Message::default();
        head.int(1, IR_VERSION);
        head.text(2, "maskroom");
        head.text(3, env!("CARGO_PKG_VERSION"));
        head.text(6, &self.doc);
        let mut operators = Message::default();
        operators.text(1, "");
        operators.int(2, OPSET);
        head.message(8, &operators);
        for (key, value) in &self.metadata {
            let mut entry = Message::default();
            entry.text(1, key);
            entry.text(2, value);
            head.message(14, &entry);
        }
        head.header(7, graph);
        head
    }
}

impl Graph {
    fn size(&self) -> u64 {
        let of_initializer = |initializer: &Initializer| initializer.framed().size() + initializer.numbers.size();
        self.rest().size() + self.initializers.iter().map(of_initializer).sum::<u64>()
    }

    fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        file.write_all(self.rest().bytes())?;
        for initializer in &self.initializers {
            file.write_all(initializer.framed().bytes())?;
            initializer.numbers.write(file)?;
        }
        Ok(())
    }

    /// Everything but the initializers.
    fn rest(&self) -> Message {
        let mut rest = Message::default();
        self.nodes.iter().for_each(|node| rest.message(1, &node.message()));
        rest.text(2, "encoder");
        self.inputs.iter().for_each(|port| rest.message(11, &port.message()));
        self.outputs.iter().for_each(|port| rest.message(12, &port.message()));
        rest
    }
}

impl Node {
    fn message(&self) -> Message {
        let mut message = Message::default();
        self.inputs.iter().for_each(|name| message.text(1, name));
        self.outputs.iter().for_each(|name| message.text(2, name));
        message.text(3, &self.name);
        message.text(4, self.operator);
        self.attributes.iter().for_each(|(name, value)| message.message(5, &value.message(name)));
        message
    }
}

impl Attribute {
    fn message(&self, name: &str) -> Message {
        let mut message = Message::default();
        message.text(1, name);
        let kind = match self {
            Self::Float(value) => {
                message.float(2, *value);
                1
            }
            Self::Int(value) => {
                message.int(3, *value);
                2
            }
            Self::Ints(values) => {
                values.iter().for_each(|&value| message.int(8, value));
                7
            }
        };
        message.int(20, kind);
        message
    }
}

impl Initializer {
    /// Its field in the graph, up to where its numbers begin.
    fn framed(&self) -> Message {
        let mut message = Message::default();
        self.shape.iter().for_each(|&length| message.count(1, length));
        message.int(2, self.numbers.kind());
        message.text(8, &self.name);
        message.header(9, self.numbers.size());
        let mut framed = Message::default();
        framed.header(5, message.size() + self.numbers.size());
        framed.append(&message);
        framed
    }
}

impl Numbers {
    fn kind(&self) -> i64 {
        match self {
            Self::Floats(_, Precision::F32) => FLOAT,
            Self::Floats(_, Precision::F16) => FLOAT16,
            Self::Floats(_, Precision::Bf16) => BFLOAT16,
            Self::Whole(_) => INT64,
        }
    }

    /// In bytes.
    fn size(&self) -> u64 {
        let (count, each) = match self {
            Self::Floats(values, Precision::F32) => (values.len(), 4),
            Self::Floats(values, Precision::F16 | Precision::Bf16) => (values.len(), 2),
            Self::Whole(values) => (values.len(), 8),
        };
        count as u64 * each
    }

    /// One after the other, the lowest byte of each first.
    fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Floats(values, Precision::F32) => in_pieces(file, values, |value| value.to_le_bytes()),
            Self::Floats(values, Precision::F16) => in_pieces(file, values, |value| f16_from_f32(value).to_le_bytes()),
            Self::Floats(values, Precision::Bf16) => in_pieces(file, values, |value| bf16_from_f32(value).to_le_bytes()),
            Self::Whole(values) => in_pieces(file, values, i64::to_le_bytes),
        }
    }
}

fn in_pieces<T: Copy, const BYTES: usize>(file: &mut dyn Write, values: &[T], to_bytes: impl Fn(T) -> [u8; BYTES]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(PIECE.min(values.len()) * BYTES);
    for piece in values.chunks(PIECE) {
        bytes.clear();
        bytes.extend(piece.iter().flat_map(|&value| to_bytes(value)));
        file.write_all(&bytes)?;
    }
    Ok(())
}

impl Port {
    fn message(&self) -> Message {
        let mut shape = Message::default();
        let mut batch = Message::default();
        batch.text(2, "batch");
        shape.message(1, &batch);
        for &length in &self.shape {
            let mut dimension = Message::default();
            dimension.count(1, length);
            shape.message(1, &dimension);
        }
        let (mut tensor, mut kind, mut message) = (Message::default(), Message::default(), Message::default());
        tensor.int(1, FLOAT);
        tensor.message(2, &shape);
        kind.message(1, &tensor);
        message.text(1, self.name);
        message.message(2, &kind);
        message.text(3, &self.doc);
        message
    }
}
