//! The wire format of protocol buffers, as far as ONNX files need it: fields of whole numbers, of 32-bit floats, and of bytes with their
//! length in front, which texts and inner messages are.

/// How what follows a tag is laid out.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A message that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A whole number; one below zero takes ten bytes.
    pub fn int(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value.cast_unsigned());
    }

    /// A count.
    pub fn count(&mut self, field: u64, value: usize) {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64);
    }

    /// A 32-bit float.
    pub fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | FIXED32);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A text.
    pub fn text(&mut self, field: u64, value: &str) {
        self.header(field, value.len() as u64);
        self.bytes.extend(value.as_bytes());
    }

    /// An inner message.
    pub fn message(&mut self, field: u64, value: &Self) {
        self.header(field, value.bytes.len() as u64);
        self.bytes.extend(&value.bytes);
    }

    /// The beginning of a field whose `length` bytes are written elsewhere.
    pub fn header(&mut self, field: u64, length: u64) {
        self.varint(field << 3 | LENGTH);
        self.varint(length);
    }

    /// The fields of another message after these.
    pub fn append(&mut self, fields: &Self) {
        self.bytes.extend(&fields.bytes);
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How long it is.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's own description, and the ends of whole numbers.
    #[test]
    fn fields_are_as_described() {
        let of = |write: &dyn Fn(&mut Message)| {
            let mut message = Message::default();
            write(&mut message);
            message
        };
        assert_eq!(of(&|message| message.int(1, 150)).bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(of(&|message| message.text(2, "testing")).bytes(), b"\x12\x07testing");
        let inner = of(&|message| message.int(1, 150));
        assert_eq!(of(&|message| message.message(3, &inner)).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(of(&|message| message.int(1, -2)).bytes(), b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(of(&|message| message.float(2, 1.0)).bytes(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(of(&|message| message.count(20, 0)).bytes(), [0xa0, 0x01, 0]);
        assert_eq!(of(&|message| message.header(1, 1 << 31)).bytes(), [0x0a, 0x80, 0x80, 0x80, 0x80, 0x08]);
    }
}
