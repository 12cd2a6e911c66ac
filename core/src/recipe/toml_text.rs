//! A recipe as text for people, with every setting explained, and as text for hashing.

use sha2::{Digest, Sha256};

use super::Recipe;
use super::resolve::{layer_of, short_layer_of};
use super::stages::{Stage, stages};
use crate::knob::{Knob, Range};
use crate::registry::Settings;

/// Settings longer than this do not push the comments of their table further to the right.
const WIDEST: usize = 44;

/// The complete recipe, each setting on a line with what it is, its unit and its range.
pub(super) fn commented(recipe: &Recipe) -> String {
    let mut text =
        format!("# Maskroom recipe ({}). Change what you like; `maskroom recipe check FILE` lists every problem.\n", recipe.method);
    for Table { stage, kind, lines } in settings(recipe) {
        if !stage.name.is_empty() {
            text += &format!("\n[{}] # {}\n", stage.name, stage.doc);
        }
        let widest = lines.iter().map(|(_, setting)| setting.chars().count()).filter(|&width| width <= WIDEST).max().unwrap_or(0);
        for (knob, setting) in lines {
            text += format!("{setting:widest$}  # {}", comment(stage, &knob, &kind)).trim_end();
            text.push('\n');
        }
    }
    text
}

/// What the presets would not give, as a table that reads back to an equal recipe.
pub(super) fn short(recipe: &Recipe) -> toml::Table {
    let mut table = toml::Table::new();
    for (path, value) in short_layer_of(recipe) {
        let (stage, key) = path.split_once('.').unwrap_or(("", &path));
        if stage.is_empty() {
            table.insert(key.into(), value.to_toml());
        } else if let toml::Value::Table(inner) = table.entry(stage).or_insert_with(|| toml::Table::new().into()) {
            inner.insert(key.into(), value.to_toml());
        }
    }
    table
}

/// SHA-256 of every setting, in hexadecimal.
pub(super) fn hash(recipe: &Recipe) -> String {
    let lines: String = settings(recipe)
        .into_iter()
        .flat_map(|Table { stage, lines, .. }| lines.into_iter().map(move |(_, setting)| format!("{}\n", stage.path(&setting))))
        .collect();
    Sha256::digest(lines.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stage as it is written.
struct Table {
    stage: &'static Stage,
    /// The chosen kind; empty where there are none.
    kind: String,
    /// Each knob with its setting as `key = value`.
    lines: Vec<(Knob, String)>,
}

/// All settings, in the order of the stages.
fn settings(recipe: &Recipe) -> Vec<Table> {
    let layer = layer_of(recipe);
    stages()
        .iter()
        .map(|stage| {
            let kind = layer.get(&stage.path("kind")).and_then(|kind| kind.as_text()).unwrap_or_default().to_string();
            let knobs = stage.knobs_of(&kind);
            let lines = knobs.into_iter().map(|knob| {
                let given = layer.get(&stage.path(knob.key)).cloned().unwrap_or_else(|| knob.of(&Settings::new()));
                // 1 and 1.0 are the same setting; a value out of range is written as it is, for the check to find.
                let value = knob.check(knob.key, &given).unwrap_or(given);
                (knob, format!("{} = {value}", knob.key))
            });
            Table { stage, kind, lines: lines.collect() }
        })
        .collect()
}

/// What a setting is, its unit and its range; for a kind, what the chosen one is, and which others there are.
fn comment(stage: &Stage, knob: &Knob, kind: &str) -> String {
    let kinds = if knob.key == "kind" { (stage.kinds)() } else { Vec::new() };
    let chosen = kinds.iter().find(|known| known.name == kind);
    let doc = chosen.map_or(knob.doc, |kind| kind.summary);
    let range = match knob.range {
        _ if kinds.len() > 1 => format!("one of {}", kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")),
        Range::Int(low, high) if low == high => String::new(),
        // Ends that only keep nonsense out say nothing to a reader.
        Range::Bool | Range::Floats(..) | Range::Float(_, 1e6..) | Range::Choice([_]) => String::new(),
        range => range.describe(),
    };
    let aside = [knob.unit, &range].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    if aside.is_empty() { doc.into() } else { format!("{doc} ({aside})") }
}
