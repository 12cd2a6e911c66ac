//! Families of interchangeable parts: one folder, one trait, one list. Recipes, the command line, forms, tables and property tests are
//! made from the list, so that a new part is one file and one line.

use std::collections::BTreeMap;

use crate::error::{Error, Problem, Result};
use crate::knob::{Knob, Value};

/// The values of a part's knobs, complete and checked against their ranges.
pub type Settings = BTreeMap<String, Value>;

/// One member of a family: `T` is the family's trait object, such as `dyn MaskStrategy`.
pub struct Entry<T: ?Sized> {
    /// The name that recipes and the command line use.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The paper or source it follows.
    pub source: &'static str,
    /// Its settings.
    pub knobs: &'static [Knob],
    /// Makes it from complete settings; what the ranges cannot say is checked here.
    pub build: fn(&Settings) -> Result<Box<T>, Vec<Problem>>,
}

/// What a recipe or a form has to know about one member of a family: all but how to make it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// The name that recipes and the command line use.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The paper or source it follows.
    pub source: &'static str,
    /// Its settings.
    pub knobs: &'static [Knob],
}

impl<T: ?Sized> Entry<T> {
    /// The entry without its builder.
    pub fn kind(&self) -> Kind {
        Kind { name: self.name, summary: self.summary, source: self.source, knobs: self.knobs }
    }
}

/// The whole family without the builders.
pub fn kinds<T: ?Sized>(list: &[Entry<T>]) -> Vec<Kind> {
    list.iter().map(Entry::kind).collect()
}

/// Makes the member `name` of `list` from `knob=value` texts of a command line; knobs not named take their defaults. `family` is the
/// recipe's table, such as `mask`.
///
/// # Errors
/// [`Error::Usage`] for an unknown name, [`Error::Recipe`] with every problem of the knobs.
pub fn make<T: ?Sized>(list: &[Entry<T>], family: &str, name: &str, set: &[(String, String)]) -> Result<Box<T>> {
    let Some(entry) = list.iter().find(|entry| entry.name == name) else {
        let names = list.iter().map(|entry| entry.name);
        return Err(Error::Usage(format!("unknown {family} `{name}`: {}", suggestion(name, names))));
    };
    // A knob may be written as in a recipe, with its table in front.
    let prefix = format!("{family}.");
    let given = set.iter().map(|(key, text)| (key.strip_prefix(&prefix).unwrap_or(key).to_string(), Value::parse(text))).collect();
    let (settings, problems) = complete(family, entry.knobs, &given);
    if !problems.is_empty() {
        return Err(Error::Recipe(problems));
    }
    (entry.build)(&settings).map_err(Error::Recipe)
}

/// The values of all `knobs`: those `given`, checked, and the defaults of the others, with every problem found; a value with a problem
/// is replaced by its default so that the search for further problems can go on. `table` is put in front of the keys that problems name.
pub fn complete(table: &str, knobs: &[Knob], given: &Settings) -> (Settings, Vec<Problem>) {
    let path = |key: &str| if table.is_empty() { key.to_string() } else { format!("{table}.{key}") };
    let mut problems = Vec::new();
    let mut settings = Settings::new();
    for knob in knobs {
        let value = given.get(knob.key).map_or_else(|| Ok(knob.default_value()), |value| knob.check(&path(knob.key), value));
        settings.insert(
            knob.key.into(),
            value.unwrap_or_else(|problem| {
                problems.push(problem);
                knob.default_value()
            }),
        );
    }
    for key in given.keys().filter(|key| !settings.contains_key(*key)) {
        let keys = knobs.iter().map(|knob| knob.key);
        let cure = nearest(key, keys.clone()).map_or_else(|| suggestion(key, keys), |near| format!("did you mean `{}`?", path(near)));
        problems.push(Problem::new(path(key), "unknown key", cure));
    }
    (settings, problems)
}

/// The cure for an unknown `name`: `did you mean …?` if one of the `known` names is near, else the list of them.
pub fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// The name most like `word` among `known`, if any is like it.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, name).max(strsim::jaro_winkler(&word, name) - 0.25), name))
        .filter(|&(likeness, _)| likeness >= 0.5)
        .fold(
            None,
            |best: Option<(f64, &str)>, candidate| if best.is_none_or(|best| candidate.0 > best.0) { Some(candidate) } else { best },
        )
        .map(|(_, name)| name)
}

/// Declares the members of a family: their modules, and the list of their `ENTRY` constants under the given name.
#[macro_export]
macro_rules! registry {
    ($(#[$doc:meta])* $list:ident: $part:ty { $($module:ident),+ $(,)? }) => {
        $(pub mod $module;)+
        $(#[$doc])*
        pub static $list: &[$crate::registry::Entry<$part>] = &[$($module::ENTRY),+];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOBS: &[Knob] = &[Knob::float("ratio", "", "", (0.0, 1.0), 0.75), Knob::int("cell", "", "", (2, 8), 2)];

    #[test]
    fn completing_reports_everything_at_once() {
        let given = [("ratoi".into(), Value::Float(0.5)), ("cell".into(), Value::Int(9))].into();
        let (settings, problems) = complete("mask", KNOBS, &given);
        assert_eq!(settings.get("ratio"), Some(&Value::Float(0.75)));
        assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["mask.cell", "mask.ratoi"]);
        assert!(problems[1].cure.contains("did you mean `mask.ratio`"), "{}", problems[1]);
    }

    #[test]
    fn nearest_finds_slips_and_refuses_nonsense() {
        let known = ["random", "block", "block_paper", "patch_aligned"];
        assert_eq!(nearest("randm", known.into_iter()), Some("random"));
        assert_eq!(nearest("BLOCK", known.into_iter()), Some("block"));
        assert_eq!(nearest("patch-aligned", known.into_iter()), Some("patch_aligned"));
        assert_eq!(nearest("zzz", known.into_iter()), None);
    }
}
