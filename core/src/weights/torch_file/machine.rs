//! The stack machine that a pickle is a program of, without the instruction that matters: it calls nothing. What a program asks to be made
//! is looked up in [`calls`](super::calls), and made as an inert value or refused by name.
//!
//! Every count is held against what the file has before memory is taken for it.

use std::collections::HashMap;

use super::calls;
use super::value::{Id, Storage, Value, Values};
use crate::weights::dtype::Dtype;

/// More values than this are none of weights: what remains of a few gigabytes when numbers are taken out has some tens of thousands.
const MAX_VALUES: usize = 1 << 21;
/// Instructions at most.
const MAX_STEPS: usize = 1 << 24;
/// Longer names of classes are none.
const MAX_NAME_BYTES: usize = 512;
/// Unfinished containers and their elements at most.
const MAX_STACK: usize = 1 << 22;

/// The result of an instruction, or why it makes no sense.
pub(super) type Outcome<T = ()> = Result<T, String>;

/// What a program has made.
#[derive(Debug)]
pub(super) struct Pickle {
    /// All values.
    pub values: Values,
    /// The one that all others were made for.
    pub root: Id,
    /// Bytes of the program.
    pub length: usize,
}

/// Runs the program that `bytes` begin with.
///
/// # Errors
/// What it asks for and is refused, or where it makes no sense.
pub(super) fn run(bytes: &[u8]) -> Outcome<Pickle> {
    let values = Values::of_pickle(bytes.len());
    let mut machine = Machine { bytes, at: 0, values, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    for _ in 0..MAX_STEPS {
        let at = machine.at;
        let instruction = machine.byte()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            calls::check_all_known(&machine.values)?;
            return Ok(Pickle { values: machine.values, root, length: machine.at });
        }
        machine
            .step(instruction)
            .map_err(|reason| if reason.starts_with(calls::ASKS) { reason } else { format!("{reason} (at byte {at} of its pickle)") })?;
        if machine.values.len().max(machine.memo.len()) > MAX_VALUES || machine.stack.len() + machine.marks.len() > MAX_STACK {
            return Err(format!("its pickle has more than {MAX_VALUES} values"));
        }
    }
    Err(format!("its pickle has more than {MAX_STEPS} instructions"))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Values,
    stack: Vec<Id>,
    /// Heights of the stack that were marked.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, instruction: u8) -> Outcome {
        match instruction {
            // The protocol, and frames, which only help those who read ahead.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.marked().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'I' | b'J' | b'K' | b'M' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.number(instruction),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.text(instruction),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            0x8f => self.push(Value::Set(Vec::new())),
            b'l' | b'd' | b't' | 0x85 | 0x86 | 0x87 | 0x91 => self.container(instruction),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(instruction),
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memo(instruction),
            b'c' | 0x93 => self.name(instruction),
            b'R' | 0x81 | 0x92 | b'b' | b'i' | b'o' => self.make(instruction),
            b'P' | b'Q' => self.storage(instruction),
            other => Err(format!("it has the instruction {other:#04x}, which `torch.save` never writes")),
        }
    }

    fn number(&mut self, instruction: u8) -> Outcome {
        let value = match instruction {
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            0x8a => {
                let length = usize::from(self.byte()?);
                whole(self.take(length)?)
            }
            0x8b => {
                let length = self.length32()?;
                whole(self.take(length)?)
            }
            b'F' => Value::Float(self.line()?.parse().map_err(|_| "a number is none")?),
            _ => match self.line()?.trim_end_matches('L') {
                "00" if instruction == b'I' => Value::Bool(false),
                "01" if instruction == b'I' => Value::Bool(true),
                digits => Value::Int(digits.parse().map_err(|_| "a number is none, or has more than 64 bits")?),
            },
        };
        self.push(value)
    }

    fn text(&mut self, instruction: u8) -> Outcome {
        let value = match instruction {
            b'S' => {
                let line = self.line()?;
                let inner = ['\'', '"'].into_iter().find_map(|quote| line.strip_prefix(quote)?.strip_suffix(quote));
                Value::Text(inner.unwrap_or(line).to_owned())
            }
            b'V' => Value::Text(self.line()?.to_owned()),
            b'U' | b'C' | 0x8c => {
                let length = usize::from(self.byte()?);
                self.characters(length, instruction == b'C')?
            }
            b'T' | b'X' | b'B' => {
                let length = self.length32()?;
                self.characters(length, instruction == b'B')?
            }
            _ => {
                let length = usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "a text is longer than memory")?;
                self.characters(length, instruction != 0x8d)?
            }
        };
        self.push(value)
    }

    fn characters(&mut self, length: usize, are_bytes: bool) -> Outcome<Value> {
        let bytes = self.take(length)?;
        Ok(if are_bytes { Value::Bytes(bytes.to_vec()) } else { Value::Text(String::from_utf8_lossy(bytes).into_owned()) })
    }

    fn container(&mut self, instruction: u8) -> Outcome {
        let elements = match instruction {
            0x85 => self.popped(1)?,
            0x86 => self.popped(2)?,
            0x87 => self.popped(3)?,
            _ => self.marked()?,
        };
        self.push(match instruction {
            b'l' => Value::List(elements),
            b'd' => Value::Dict(pairs(&elements)?),
            0x91 => Value::Set(elements),
            _ => Value::Tuple(elements),
        })
    }

    /// Puts what lies above into the container below it.
    fn fill(&mut self, instruction: u8) -> Outcome {
        let elements = match instruction {
            b'a' => self.popped(1)?,
            b's' => self.popped(2)?,
            _ => self.marked()?,
        };
        let top = self.top()?;
        match (instruction, self.values.get_mut(top)) {
            (b'a' | b'e', Value::List(list)) | (0x90, Value::Set(list)) => list.extend(elements),
            (b's' | b'u', Value::Dict(dict)) => dict.extend(pairs(&elements)?),
            (b's' | b'u', Value::Record(record)) => record.items.extend(pairs(&elements)?),
            // What is in a queue tells nothing about weights.
            (b'a' | b'e' | 0x90, Value::Record(_)) => {}
            _ => return Err("something is put into what is no container".into()),
        }
        Ok(())
    }

    fn memo(&mut self, instruction: u8) -> Outcome {
        let number = |line: &str| line.parse().map_err(|_| "a number of the memo is none".to_owned());
        let key = match instruction {
            b'p' | b'g' => number(self.line()?)?,
            b'q' | b'h' => u32::from(self.byte()?),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        match instruction {
            b'g' | b'h' | b'j' => {
                let id = *self.memo.get(&key).ok_or_else(|| format!("it remembers nothing as number {key}"))?;
                self.stack.push(id);
            }
            _ => {
                let top = self.top()?;
                self.memo.insert(key, top);
            }
        }
        Ok(())
    }

    fn name(&mut self, instruction: u8) -> Outcome {
        let name = if instruction == b'c' {
            let (module, name) = (self.line()?, self.line()?);
            calls::canonical(module, name)
        } else {
            let parts = self.popped(2)?;
            match (self.values.text(parts[0]), self.values.text(parts[1])) {
                (Some(module), Some(name)) if module.len() + name.len() < MAX_NAME_BYTES => calls::canonical(module, name),
                _ => return Err("the name of a class is none".into()),
            }
        };
        self.push(Value::Name(name.into()))
    }

    /// Calls of functions and classes, and states that are set.
    fn make(&mut self, instruction: u8) -> Outcome {
        let made = match instruction {
            b'b' => {
                let parts = self.popped(1)?;
                let top = self.top()?;
                return calls::set_state(&mut self.values, top, parts[0]);
            }
            b'R' => {
                let parts = self.popped(2)?;
                calls::call(&mut self.values, parts[0], parts[1])?
            }
            0x81 => {
                let parts = self.popped(2)?;
                calls::instance(&mut self.values, parts[0], parts[1])?
            }
            0x92 => {
                let parts = self.popped(3)?;
                calls::instance(&mut self.values, parts[0], parts[1])?
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let class = calls::canonical(module, name);
                let arguments = self.marked()?;
                let (class, arguments) = (self.values.add(Value::Name(class.into())), self.values.add(Value::Tuple(arguments)));
                calls::instance(&mut self.values, class, arguments)?
            }
            _ => {
                let parts = self.marked()?;
                let (&class, arguments) = parts.split_first().ok_or("nothing is to be made")?;
                let arguments = self.values.add(Value::Tuple(arguments.to_vec()));
                calls::instance(&mut self.values, class, arguments)?
            }
        };
        self.stack.push(made);
        Ok(())
    }

    /// What lies outside of the pickle: `("storage", class, key, device, elements, part)`, and in files of old the class of a module with
    /// its source text, of which the class is kept.
    fn storage(&mut self, instruction: u8) -> Outcome {
        if instruction == b'P' {
            return Err("it names what lies outside of it by a text, as `torch.save` never does".into());
        }
        let described = self.popped(1)?[0];
        let parts = self.values.elements(described).filter(|parts| parts.len() <= 8).unwrap_or_default().to_vec();
        let kind = parts.first().and_then(|&id| self.values.text(id)).unwrap_or_default();
        match (kind, &parts[..]) {
            ("module", [_, class, ..]) => {
                self.stack.push(*class);
                Ok(())
            }
            ("storage", [_, class, key, _, count, rest @ ..]) => {
                let storage = self.described(*class, *key, *count, rest.first().copied())?;
                self.push(Value::Storage(Box::new(storage)))
            }
            _ => Err("it names something outside of it that is no storage of numbers".into()),
        }
    }

    fn described(&self, class: Id, key: Id, count: Id, part: Option<Id>) -> Outcome<Storage> {
        let values = &self.values;
        let class = values.name(class).ok_or("a storage has no class")?;
        let dtype = Dtype::of_storage(class);
        if dtype.is_none() && !class.ends_with("UntypedStorage") {
            return Err(format!("a storage is of the unknown class `{class}`"));
        }
        let key = match (values.text(key), values.count(key)) {
            (Some(key), _) if key.len() < MAX_NAME_BYTES => key.into(),
            (_, Some(key)) => key.to_string().into(),
            _ => return Err("a storage has no name".into()),
        };
        let count = values.count(count).ok_or("a storage has no length")?;
        let part = part.and_then(|part| values.elements(part));
        let (first, count) = match part {
            None => (0, count),
            Some(&[_, first, part]) => (
                values.count(first).ok_or("a part of a storage has no place")?,
                values.count(part).ok_or("a part of a storage has no length")?,
            ),
            Some(_) => return Err("a part of a storage is none".into()),
        };
        Ok(Storage { key, dtype, first, count })
    }

    fn push(&mut self, value: Value) -> Outcome {
        let id = self.values.add(value);
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Outcome<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor.min(self.stack.len())..].last().copied().ok_or_else(|| "something is taken that is not there".to_owned())
    }

    fn pop(&mut self) -> Outcome<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The last `count` values, in the order in which they came.
    fn popped(&mut self, count: usize) -> Outcome<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor).ok_or("something is taken that is not there")?;
        Ok(self.stack.split_off(start))
    }

    /// All values above the last mark.
    fn marked(&mut self) -> Outcome<Vec<Id>> {
        let mark = self.marks.pop().ok_or("something is taken up to a mark that is not there")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn byte(&mut self) -> Outcome<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| TRUNCATED.to_owned())
    }

    fn length32(&mut self) -> Outcome<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| TRUNCATED.to_owned())
    }

    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let part = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(TRUNCATED)?;
        self.at += count;
        Ok(part)
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Outcome<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take(MAX_NAME_BYTES).position(|&byte| byte == b'\n').ok_or("a line does not end")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map(|line| line.trim_end_matches('\r')).map_err(|_| "a line is no text".to_owned())
    }
}

const TRUNCATED: &str = "it is truncated";

/// Keys and values that take turns.
fn pairs(elements: &[Id]) -> Outcome<Vec<(Id, Id)>> {
    let (pairs, rest) = elements.as_chunks::<2>();
    if rest.is_empty() { Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()) } else { Err("a key has no value".into()) }
}

/// A whole number in two's complement, least byte first.
fn whole(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Long(bytes.to_vec());
    }
    let fill = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
