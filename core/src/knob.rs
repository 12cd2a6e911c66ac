//! A setting described once: from its [`Knob`] come the recipe's comment, the command line's check, the form's slider and the manual.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::registry::{Settings, nearest};

/// What a knob may be set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// A whole number, both ends included.
    Int(i64, i64),
    /// A real number, both ends included.
    Float(f64, f64),
    /// True or false.
    Bool,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// That many whole numbers, each in the range, both ends included; up to [`LONGEST`] of them where it is 0.
    Ints(usize, i64, i64),
    /// A list of real numbers, each in the range, both ends included; any length.
    Floats(f64, f64),
    /// A list of texts.
    Texts,
}

/// The longest list of whole numbers whose length is free: sizes are doubled and halved from one to the next.
pub const LONGEST: usize = 8;

/// A value of a knob. Converts from and to TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A word or text.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Real numbers.
    Floats(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

/// The default of a knob, in a form that a `const` can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A word or text.
    Text(&'static str),
    /// Whole numbers.
    Ints(&'static [i64]),
    /// Real numbers.
    Floats(&'static [f64]),
    /// Texts.
    Texts(&'static [&'static str]),
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knob {
    /// Its name within its table: `ratio`.
    pub key: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// The unit of its number, or empty.
    pub unit: &'static str,
    /// What it may be set to.
    pub range: Range,
    /// What it is when nothing is said.
    pub default: Default,
}

impl Knob {
    /// A whole number from `low` to `high`, both included.
    pub const fn int(key: &'static str, doc: &'static str, unit: &'static str, (low, high): (i64, i64), default: i64) -> Self {
        Self { key, doc, unit, range: Range::Int(low, high), default: Default::Int(default) }
    }

    /// A real number from `low` to `high`, both included.
    pub const fn float(key: &'static str, doc: &'static str, unit: &'static str, (low, high): (f64, f64), default: f64) -> Self {
        Self { key, doc, unit, range: Range::Float(low, high), default: Default::Float(default) }
    }

    /// Yes or no.
    pub const fn flag(key: &'static str, doc: &'static str, default: bool) -> Self {
        Self { key, doc, unit: "", range: Range::Bool, default: Default::Bool(default) }
    }

    /// One of a few words.
    pub const fn choice(key: &'static str, doc: &'static str, words: &'static [&'static str], default: &'static str) -> Self {
        Self { key, doc, unit: "", range: Range::Choice(words), default: Default::Text(default) }
    }

    /// Any text.
    pub const fn text(key: &'static str, doc: &'static str, default: &'static str) -> Self {
        Self { key, doc, unit: "", range: Range::Text, default: Default::Text(default) }
    }

    /// `value` in the type that this knob asks for (a whole number serves as a real one, one number as a pair), if it is within range.
    /// `path` is the dotted name that the problem carries.
    pub fn check(&self, path: &str, value: &Value) -> Result<Value, Problem> {
        let Some(value) = self.range.coerce(value) else {
            return Err(Problem::new(
                path,
                format!("{value} is not {}", self.range.kind()),
                format!("write {} such as `{path} = {}`", self.range.kind(), self.default_value()),
            ));
        };
        match self.range.objection(&value) {
            None => Ok(value),
            Some((what, cure)) => Err(Problem::new(path, what, cure)),
        }
    }

    /// The default as a value.
    pub fn default_value(&self) -> Value {
        match self.default {
            Default::Int(x) => Value::Int(x),
            Default::Float(x) => Value::Float(x),
            Default::Bool(x) => Value::Bool(x),
            Default::Text(x) => Value::Text(x.into()),
            Default::Ints(x) => Value::Ints(x.to_vec()),
            Default::Floats(x) => Value::Floats(x.to_vec()),
            Default::Texts(x) => Value::Texts(x.iter().map(|&text| text.into()).collect()),
        }
    }

    /// This knob's value among `settings`, its default if they lack it.
    pub fn of(&self, settings: &Settings) -> Value {
        settings.get(self.key).cloned().unwrap_or_else(|| self.default_value())
    }

    /// [`Knob::of`] as a count or size; 0 if it is no whole number or is negative.
    pub fn count_of(&self, settings: &Settings) -> usize {
        self.of(settings).as_count().unwrap_or(0)
    }

    /// [`Knob::of`] as a real number; 0 if it is none.
    pub fn float_of(&self, settings: &Settings) -> f64 {
        self.of(settings).as_float().unwrap_or(0.0)
    }
}

/// Upper ends from here on only keep nonsense out and are not shown.
const BOUNDLESS: i64 = 1 << 22;

impl Range {
    /// What may be written, in words: `0 to 1`, `one of random, block`.
    pub fn describe(&self) -> String {
        match *self {
            Self::Int(low, BOUNDLESS..) | Self::Ints(_, low, BOUNDLESS..) => format!("{low} or more"),
            Self::Int(low, high) | Self::Ints(_, low, high) => format!("{low} to {high}"),
            Self::Float(low, high) | Self::Floats(low, high) => format!("{} to {}", number(low), number(high)),
            Self::Bool => "true or false".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Text | Self::Texts => String::new(),
        }
    }

    fn kind(&self) -> String {
        match self {
            Self::Int(..) => "a whole number".into(),
            Self::Float(..) => "a number".into(),
            Self::Bool => "true or false".into(),
            Self::Choice(_) => "a word".into(),
            Self::Text => "a text".into(),
            Self::Ints(0, ..) => "a list of whole numbers".into(),
            Self::Ints(count, ..) => format!("a list of {count} whole numbers"),
            Self::Floats(..) => "a list of numbers".into(),
            Self::Texts => "a list of texts".into(),
        }
    }

    fn coerce(&self, value: &Value) -> Option<Value> {
        Some(match (self, value) {
            (Self::Int(..), &Value::Int(x)) => Value::Int(x),
            (Self::Int(..), &Value::Float(x)) => Value::Int(whole(x)?),
            (Self::Float(..), value) => Value::Float(value.as_float()?),
            (Self::Bool, &Value::Bool(x)) => Value::Bool(x),
            (Self::Choice(_) | Self::Text, Value::Text(x)) => Value::Text(x.clone()),
            (Self::Ints(count, ..), &Value::Int(x)) => Value::Ints(vec![x; (*count).max(1)]),
            (Self::Ints(count, ..), Value::Ints(x)) if *count == 0 || x.len() == *count => Value::Ints(x.clone()),
            (Self::Ints(count, ..), Value::Floats(x)) if *count == 0 || x.len() == *count => {
                Value::Ints(x.iter().map(|&x| whole(x)).collect::<Option<_>>()?)
            }
            (Self::Floats(..), Value::Floats(x)) => Value::Floats(x.clone()),
            (Self::Floats(..), Value::Ints(x)) => Value::Floats(x.iter().map(|&x| x as f64).collect()),
            (Self::Floats(..), Value::Int(_) | Value::Float(_)) => Value::Floats(vec![value.as_float()?]),
            (Self::Floats(..), Value::Texts(x)) if x.is_empty() => Value::Floats(Vec::new()),
            (Self::Texts, Value::Texts(x)) => Value::Texts(x.clone()),
            (Self::Texts, Value::Text(x)) => Value::Texts(vec![x.clone()]),
            (Self::Texts, Value::Ints(x)) if x.is_empty() => Value::Texts(Vec::new()),
            _ => return None,
        })
    }

    /// What is wrong with a value of the right type, and the cure.
    fn objection(&self, value: &Value) -> Option<(String, String)> {
        let allowed = self.describe();
        let outside = |shown: String| Some((format!("{shown} is out of range"), format!("choose {allowed}")));
        match (self, value) {
            (Self::Int(low, high), Value::Int(x)) if x < low || x > high => outside(x.to_string()),
            (Self::Float(low, high), Value::Float(x)) if !(low..=high).contains(&x) => outside(number(*x)),
            (Self::Ints(0, ..), Value::Ints(list)) if list.len() > LONGEST => {
                Some((format!("a list of {} is too long", list.len()), format!("write up to {LONGEST} numbers")))
            }
            (Self::Ints(_, low, high), Value::Ints(list)) => {
                list.iter().find(|x| !(low..=high).contains(x)).and_then(|x| outside(x.to_string()))
            }
            (Self::Floats(low, high), Value::Floats(list)) => {
                list.iter().find(|x| !(low..=high).contains(x)).and_then(|x| outside(number(*x)))
            }
            (Self::Choice(words), Value::Text(word)) if !words.contains(&word.as_str()) => {
                let cure = match nearest(word, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? It is {allowed}"),
                    None => format!("choose {allowed}"),
                };
                Some((format!("unknown value `{word}`"), cure))
            }
            _ => None,
        }
    }
}

impl Value {
    /// A value as TOML has it; `None` for tables, dates and lists of mixed kinds.
    pub fn from_toml(value: &toml::Value) -> Option<Self> {
        Some(match value {
            toml::Value::Integer(x) => Self::Int(*x),
            toml::Value::Float(x) => Self::Float(*x),
            toml::Value::Boolean(x) => Self::Bool(*x),
            toml::Value::String(x) => Self::Text(x.clone()),
            toml::Value::Array(list) => {
                let list: Vec<Self> = list.iter().map(Self::from_toml).collect::<Option<_>>()?;
                if let Some(ints) = list.iter().map(Self::as_int).collect() {
                    Self::Ints(ints)
                } else if let Some(floats) = list.iter().map(Self::as_float).collect() {
                    Self::Floats(floats)
                } else {
                    Self::Texts(list.iter().map(|x| x.as_text().map(String::from)).collect::<Option<_>>()?)
                }
            }
            toml::Value::Datetime(_) | toml::Value::Table(_) => return None,
        })
    }

    /// The value as TOML.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Self::Int(x) => (*x).into(),
            Self::Float(x) => (*x).into(),
            Self::Bool(x) => (*x).into(),
            Self::Text(x) => x.as_str().into(),
            Self::Ints(x) => x.clone().into(),
            Self::Floats(x) => x.clone().into(),
            Self::Texts(x) => x.clone().into(),
        }
    }

    /// What `key=text` of a command line means: TOML if it reads as that, else the text itself, so that words need no quotes.
    pub fn parse(text: &str) -> Self {
        let single = |table: toml::Table| if table.len() == 1 { table.get("value").and_then(Self::from_toml) } else { None };
        format!("value = {text}").parse::<toml::Table>().ok().and_then(single).unwrap_or_else(|| Self::Text(text.into()))
    }

    /// The whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(x) = self { Some(*x) } else { None }
    }

    /// The whole number, if it is one and not negative.
    pub fn as_count(&self) -> Option<usize> {
        self.as_int().and_then(|x| usize::try_from(x).ok())
    }

    /// The number, whole or real.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(x) => Some(*x as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// True or false, if it is that.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(x) = self { Some(*x) } else { None }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(x) = self { Some(x) } else { None }
    }
}

/// The value as it stands in a TOML file; small numbers in scientific notation, and every number reads back to the same bits.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parts: Vec<String>| format!("[{}]", parts.join(", "));
        match self {
            Self::Int(x) => write!(f, "{x}"),
            Self::Float(x) => f.write_str(&float_literal(*x)),
            Self::Bool(x) => write!(f, "{x}"),
            Self::Text(x) => write!(f, "{}", toml::Value::from(x.as_str())),
            Self::Ints(x) => f.write_str(&list(x.iter().map(i64::to_string).collect())),
            Self::Floats(x) => f.write_str(&list(x.iter().map(|&x| float_literal(x)).collect())),
            Self::Texts(x) => f.write_str(&list(x.iter().map(|x| toml::Value::from(x.as_str()).to_string()).collect())),
        }
    }
}

fn float_literal(x: f64) -> String {
    if x.is_nan() {
        "nan".into()
    } else if x != 0.0 && x.abs() < 1e-3 {
        format!("{x:e}")
    } else {
        format!("{x:?}")
    }
}

/// A number in a sentence: no `.0` after whole ones.
fn number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e9 { format!("{x:.0}") } else { float_literal(x) }
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIO: Knob = Knob::float("ratio", "share", "", (0.0, 1.0), 0.75);

    #[test]
    fn command_line_text_is_read_as_toml_or_as_a_word() {
        for (text, value) in [
            ("64", Value::Int(64)),
            ("1.5e-4", Value::Float(1.5e-4)),
            ("[224,224]", Value::Ints(vec![224, 224])),
            ("[0.2, 1]", Value::Floats(vec![0.2, 1.0])),
            ("true", Value::Bool(true)),
            ("vit-ti/16", Value::Text("vit-ti/16".into())),
            ("\"quoted\"", Value::Text("quoted".into())),
            ("1\nother = 2", Value::Text("1\nother = 2".into())),
            ("2024-01-01", Value::Text("2024-01-01".into())),
            ("[1, \"a\"]", Value::Text("[1, \"a\"]".into())),
            ("", Value::Text(String::new())),
        ] {
            assert_eq!(Value::parse(text), value, "{text}");
        }
    }

    #[test]
    fn literals_read_back_to_the_same_value() {
        for value in [
            Value::Float(1.5e-4),
            Value::Float(-1e-8),
            Value::Float(4.0 / 3.0),
            Value::Float(40.0),
            Value::Float(1e300),
            Value::Int(-7),
            Value::Text("a \"b\" \\ ü\n".into()),
            Value::Floats(vec![0.2, 1.0]),
            Value::Texts(vec!["a".into(), "b\"".into()]),
            Value::Bool(false),
        ] {
            assert_eq!(Value::parse(&value.to_string()), value, "{value}");
            assert_eq!(Value::from_toml(&value.to_toml()), Some(value));
        }
        assert_eq!(Value::Float(1.5e-4).to_string(), "1.5e-4");
    }

    #[test]
    fn values_are_coerced_and_held_to_the_range() {
        assert_eq!(RATIO.check("mask.ratio", &Value::Int(1)), Ok(Value::Float(1.0)));
        let pair = Knob { key: "image", doc: "", unit: "px", range: Range::Ints(2, 8, 4096), default: Default::Ints(&[224, 224]) };
        assert_eq!(pair.check("data.image", &Value::Int(224)), Ok(Value::Ints(vec![224, 224])));
        assert!(pair.check("data.image", &Value::Ints(vec![224])).is_err());
        for bad in [Value::Float(f64::NAN), Value::Float(1.1), Value::Int(-1), Value::Text("much".into()), Value::Bool(true)] {
            let problem = RATIO.check("mask.ratio", &bad).expect_err("out of range");
            assert!(problem.key == "mask.ratio" && !problem.cure.is_empty(), "{problem}");
        }
        let pool = Knob::choice("pool", "", &["balanced", "independent"], "balanced");
        let problem = pool.check("mask.pool", &Value::Text("balancd".into())).expect_err("unknown word");
        assert!(problem.cure.contains("did you mean `balanced`"), "{problem}");
    }
}
