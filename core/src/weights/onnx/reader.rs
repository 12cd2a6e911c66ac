//! Reads an ONNX file back in tests, by the wire format alone, and says what does not hold together.

use std::collections::{BTreeMap, BTreeSet};

/// A field's number and what it holds.
type Field<'a> = (u64, Value<'a>);

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Whole(u64),
    /// Text, bytes or an inner message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Four([u8; 4]),
}

/// What a file says.
#[derive(Debug, Default)]
pub struct File {
    /// Names and shapes; the axis of images is a 0.
    pub inputs: BTreeMap<String, Vec<u64>>,
    /// Names and shapes.
    pub outputs: BTreeMap<String, Vec<u64>>,
    /// Names, kinds of numbers, shapes and bytes.
    pub initializers: BTreeMap<String, (u64, Vec<u64>, Vec<u8>)>,
    /// Operators, in order.
    pub operators: Vec<String>,
    /// Names and values.
    pub metadata: BTreeMap<String, String>,
    /// Version of the layout and of the operators.
    pub versions: [u64; 2],
}

impl File {
    /// Reads a file whose nodes read nothing that is not there yet and whose names are unlike each other.
    #[track_caller]
    pub fn read(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        for (field, value) in fields(bytes) {
            match (field, value) {
                (1, Value::Whole(version)) => file.versions[0] = version,
                (7, Value::Bytes(graph)) => file.read_graph(graph),
                (8, Value::Bytes(operators)) => file.versions[1] = whole(&fields(operators), 2),
                (14, Value::Bytes(entry)) => {
                    let entry = fields(entry);
                    file.metadata.insert(text(&entry, 1), text(&entry, 2));
                }
                (2 | 3 | 6, Value::Bytes(text)) => assert!(std::str::from_utf8(text).is_ok()),
                other => panic!("a model has no field like {other:?}"),
            }
        }
        file
    }

    fn read_graph(&mut self, graph: &[u8]) {
        let graph = fields(graph);
        for initializer in all(&graph, 5) {
            let initializer = fields(initializer);
            let shape: Vec<u64> = wholes(&initializer, 1);
            let (name, kind, raw) = (text(&initializer, 8), whole(&initializer, 2), all(&initializer, 9)[0]);
            let each = match kind {
                1 => 4,
                7 => 8,
                10 | 16 => 2,
                other => panic!("{name} has numbers of kind {other}"),
            };
            assert_eq!(raw.len() as u64, shape.iter().product::<u64>() * each, "{name} {shape:?}");
            assert!(self.initializers.insert(name.clone(), (kind, shape, raw.to_vec())).is_none(), "{name} is there twice");
        }
        self.inputs = all(&graph, 11).into_iter().map(port).collect();
        self.outputs = all(&graph, 12).into_iter().map(port).collect();
        let mut known: BTreeSet<String> = self.initializers.keys().chain(self.inputs.keys()).cloned().collect();
        let (mut names, mut read) = (BTreeSet::new(), BTreeSet::new());
        for node in all(&graph, 1) {
            let node = fields(node);
            let (name, operator) = (text(&node, 3), text(&node, 4));
            for input in texts(&node, 1) {
                assert!(known.contains(&input), "{name} reads {input}, which is not there yet");
                read.insert(input);
            }
            for output in texts(&node, 2) {
                assert!(known.insert(output.clone()), "{output} is made twice");
            }
            assert!(names.insert(name.clone()), "two nodes are called {name}");
            self.operators.push(operator);
        }
        assert!(self.outputs.keys().all(|name| known.contains(name)), "{:?}", self.outputs);
        let unread: Vec<&String> = self.initializers.keys().filter(|name| !read.contains(*name)).collect();
        assert!(unread.is_empty(), "nothing reads {unread:?}");
    }
}

/// A port's name and shape.
fn port(port: &[u8]) -> (String, Vec<u64>) {
    let port = fields(port);
    let kind = fields(all(&port, 2)[0]);
    let tensor = fields(all(&kind, 1)[0]);
    assert_eq!(whole(&tensor, 1), 1, "floats");
    let shape = fields(all(&tensor, 2)[0]);
    let length = |dimension: &[u8]| {
        let dimension = fields(dimension);
        wholes(&dimension, 1).first().copied().unwrap_or_else(|| {
            assert_eq!(text(&dimension, 2), "batch");
            0
        })
    };
    (text(&port, 1), all(&shape, 1).into_iter().map(length).collect())
}

/// The fields of a message, all of which must be whole.
fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Whole(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(inner)
            }
            5 => {
                let (number, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Value::Four(*number)
            }
            other => panic!("nothing is laid out as {other} says"),
        };
        found.push((tag >> 3, value));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number without an end")
}

fn all<'a>(fields: &[Field<'a>], wanted: u64) -> Vec<&'a [u8]> {
    let of = |&(field, value): &Field<'a>| match value {
        Value::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    };
    fields.iter().filter_map(of).collect()
}

fn texts(fields: &[Field<'_>], wanted: u64) -> Vec<String> {
    all(fields, wanted).into_iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

fn text(fields: &[Field<'_>], wanted: u64) -> String {
    texts(fields, wanted).remove(0)
}

fn wholes(fields: &[Field<'_>], wanted: u64) -> Vec<u64> {
    let of = |&(field, value): &Field<'_>| match value {
        Value::Whole(value) if field == wanted => Some(value),
        _ => None,
    };
    fields.iter().filter_map(of).collect()
}

fn whole(fields: &[Field<'_>], wanted: u64) -> u64 {
    wholes(fields, wanted)[0]
}
