//! How a good file is damaged: bits, bytes, numbers, words and whole parts of it.

use std::ops::Range;

use crate::random::{Purpose, Stream};

/// No damaged file is longer.
const MAX_BYTES: usize = 1 << 20;
/// Bytes that mean something in one format or another.
const BYTES: [u8; 14] = [0, 1, 2, 0x7f, 0x80, 0xff, b'0', b'9', b'-', b'"', b'{', b'}', b'(', b'.'];
/// Numbers at which something may go wrong.
const NUMBERS: [u64; 14] =
    [0, 1, 2, 7, 0x7f, 0xff, 0xffff, 1 << 20, i32::MAX as u64, 1 << 31, u32::MAX as u64, 1 << 62, i64::MAX as u64, u64::MAX];
/// The same as they are written in texts, and what is none.
const TEXTS: [&[u8]; 14] = [
    b"0",
    b"1",
    b"-1",
    b"00",
    b"2.0",
    b"1e3",
    b"-0",
    b"65536",
    b"4294967296",
    b"4611686018427387904",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e999",
];

/// Good files to be damaged.
pub struct Corpus {
    files: Vec<Vec<u8>>,
    /// Chances that one of the files up to each is taken: short ones are taken more often.
    chances: Vec<f64>,
    /// Words of the format.
    words: &'static [&'static [u8]],
    /// Repairs what would hide all other damage.
    mend: fn(&mut [u8]),
}

impl Corpus {
    pub fn new(files: Vec<Vec<u8>>, words: &'static [&'static [u8]], mend: fn(&mut [u8])) -> Self {
        let mut sum = 0.0;
        let chances = files.iter().map(|file| {
            sum += 1.0 / (256 + file.len()) as f64;
            sum
        });
        Self { chances: chances.collect(), files, words, mend }
    }

    pub fn files(&self) -> &[Vec<u8>] {
        &self.files
    }

    /// A damaged file, a function of its number.
    pub fn damaged(&self, number: u64, bytes: &mut Vec<u8>) {
        let mut stream = Stream::new(7, 0, number, Purpose::Bench);
        bytes.clear();
        bytes.extend_from_slice(self.file(&mut stream));
        let keeps_length = stream.chance(0.5);
        loop {
            self.damage(bytes, keeps_length, &mut stream);
            if stream.chance(0.5) {
                break;
            }
        }
        if stream.chance(0.75) {
            (self.mend)(bytes);
        }
    }

    fn file(&self, stream: &mut Stream) -> &[u8] {
        let chance = stream.range(0.0, self.chances.last().copied().unwrap_or_default());
        let place = self.chances.partition_point(|&most| most <= chance);
        self.files.get(place).map(Vec::as_slice).unwrap_or_default()
    }

    fn damage(&self, bytes: &mut Vec<u8>, keeps_length: bool, stream: &mut Stream) {
        let word = self.words[stream.below(self.words.len())];
        if bytes.is_empty() {
            bytes.extend_from_slice(word);
            return;
        }
        let at = stream.below(bytes.len());
        match stream.below(if keeps_length { 6 } else { 13 }) {
            0 => bytes[at] ^= 1 << stream.below(8),
            1 => bytes[at] = stream.next_u64() as u8,
            2 => bytes[at] = BYTES[stream.below(BYTES.len())],
            3 => {
                let (number, width) = (NUMBERS[stream.below(NUMBERS.len())], [2, 4, 8][stream.below(3)]);
                overwrite(bytes, at, &number.to_le_bytes()[..width]);
            }
            4 => {
                let change = stream.range(-4.0, 4.0) as i64;
                let mut number = [0; 8];
                let there = &bytes[at..bytes.len().min(at + 8)];
                number[..there.len()].copy_from_slice(there);
                overwrite(bytes, at, &u64::from_le_bytes(number).wrapping_add_signed(change).to_le_bytes());
            }
            5 => overwrite(bytes, at, word),
            6 => bytes.truncate(at),
            7 => drop(bytes.drain(part(bytes.len(), at, stream))),
            8 if bytes.len() < MAX_BYTES => {
                let copy = bytes[part(bytes.len(), at, stream)].to_vec();
                let to = stream.below(bytes.len());
                drop(bytes.splice(to..to, copy));
            }
            9 if bytes.len() < MAX_BYTES => {
                let other = self.file(stream);
                if !other.is_empty() {
                    let from = stream.below(other.len());
                    let replaced = part(bytes.len(), at, stream);
                    drop(bytes.splice(replaced, other[part(other.len(), from, stream)].iter().copied()));
                }
            }
            10 => replace_number(bytes, at, TEXTS[stream.below(TEXTS.len())]),
            _ => drop(bytes.splice(at..at, word.iter().copied())),
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..].iter_mut().zip(new).for_each(|(old, new)| *old = *new);
}

/// A part that begins at a place; most are short.
fn part(length: usize, at: usize, stream: &mut Stream) -> Range<usize> {
    let most = if stream.chance(0.75) { 24 } else { length };
    at..length.min(at + 1 + stream.below(most))
}

/// Another number in the place of the first that is written in digits after a place.
fn replace_number(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|start| at + start) else { return };
    let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    drop(bytes.splice(start..start + length, new.iter().copied()));
}
