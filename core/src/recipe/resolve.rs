//! From what somebody wrote to a complete recipe: defaults, presets, text and single settings are laid over one another.

use std::collections::{BTreeMap, BTreeSet};

use super::stages::{Stage, stages};
use super::{METHODS, Preset, Recipe, Sizes, VERSION, backbone_sizes, fitted, problems};
use crate::error::Problem;
use crate::knob::Value;
use crate::registry::{Settings, complete, nearest, suggestion};

/// What a recipe starts from.
#[derive(Debug, Clone, Copy)]
pub enum Base<'a> {
    /// A method's preset, by name.
    Preset(&'a str),
    /// The text of a recipe, complete or not.
    Toml(&'a str),
}

/// Values by dotted path.
pub(super) type Layer = BTreeMap<String, Value>;

/// A recipe with the problems of its single settings; in the place of a value with a problem stands the default.
pub(super) struct Draft {
    pub(super) recipe: Recipe,
    problems: Vec<Problem>,
}

/// The image side in pixels below which a back-bone is one for small images.
const SMALL_IMAGE: i64 = 128;

/// Keys on which the values of others depend where nobody sets those.
const SELECTORS: [&str; 4] = ["method", "backbone.preset", "optim.epochs", "data.channels"];

impl Draft {
    /// Reads and completes; `Err` where the text cannot be understood at all.
    pub(super) fn of(base: Base<'_>, sets: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        let (mut text, mut unreadable) = match base {
            Base::Preset(name) => (Layer::from([("method".into(), Value::Text(name.into()))]), Vec::new()),
            Base::Toml(text) => read(text)?,
        };
        let sets: Layer = sets.iter().map(|(key, value)| (key.trim().to_string(), Value::parse(value.trim()))).collect();
        if SELECTORS.iter().any(|&key| sets.contains_key(key)) {
            forget_repetitions(&mut text);
        }
        let mut draft = Self::from_layer(stack(&text, &sets))?;
        draft.problems.append(&mut unreadable);
        Ok(draft)
    }

    /// A recipe from values by path: each is checked, missing ones take their defaults.
    pub(super) fn from_layer(layer: Layer) -> Result<Self, Vec<Problem>> {
        let (mut tables, mut strays) = (BTreeMap::<&str, Settings>::new(), Vec::new());
        for (path, value) in layer {
            let (table, key) = path.split_once('.').unwrap_or(("", &path));
            match stages().iter().find(|stage| stage.name == table) {
                Some(stage) if !table.is_empty() || stage.knobs.iter().any(|knob| knob.key == key) => {
                    tables.entry(stage.name).or_default().insert(key.into(), value);
                }
                _ => strays.push(stray(&path)),
            }
        }
        let (mut complete_tables, mut problems) = (BTreeMap::new(), Vec::new());
        for stage in stages() {
            let (settings, mut found) = complete_stage(stage, &tables.remove(stage.name).unwrap_or_default());
            complete_tables.insert(stage.name, settings);
            problems.append(&mut found);
        }
        problems.append(&mut strays);
        let recipe = recipe_from_tables(&complete_tables).map_err(|why| vec![why])?;
        Ok(Self { recipe, problems })
    }

    /// The problems of single settings and of settings that do not go together.
    pub(super) fn all_problems(&self) -> Vec<Problem> {
        let faulty: BTreeSet<&str> = self.problems.iter().map(|problem| problem.key.as_str()).collect();
        let mut all = self.problems.clone();
        all.extend(problems::across(&self.recipe, &faulty));
        all
    }
}

/// The values of a recipe by path.
pub(super) fn layer_of(recipe: &Recipe) -> Layer {
    let mut layer = Layer::new();
    // Plain structs with text keys always serialize; were it otherwise, the missing values would be reported as the defaults.
    if let Ok(serde_json::Value::Object(top)) = serde_json::to_value(recipe) {
        for (key, value) in top {
            match value {
                serde_json::Value::Object(table) => {
                    layer.extend(table.into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value_from_json(&value))));
                }
                value => {
                    layer.insert(key, value_from_json(&value));
                }
            }
        }
    }
    layer
}

/// A value of a serialized recipe; JSON knows no infinite numbers and writes null for them.
fn value_from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Array(list) if list.iter().any(serde_json::Value::is_null) => {
            Value::Floats(list.iter().map(|item| item.as_f64().unwrap_or(f64::NAN)).collect())
        }
        json => serde_json::from_value(json.clone()).unwrap_or(Value::Float(f64::NAN)),
    }
}

/// Reads TOML into values by path, with problems for values of no known type.
fn read(text: &str) -> Result<(Layer, Vec<Problem>), Vec<Problem>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        vec![Problem::new(format!("line {line}"), format!("is not TOML: {}", error.message().replace('\n', "; ")), "mend that line")]
    })?;
    if let Some(version) = table.get("version").and_then(toml::Value::as_integer).filter(|&version| version > i64::from(VERSION)) {
        let what = format!("written by a newer Maskroom: it is of version {version}, and this one reads up to {VERSION}");
        return Err(vec![Problem::new("version", what, "update Maskroom, or start from `maskroom recipe show`")]);
    }
    let (mut layer, mut problems) = (Layer::new(), Vec::new());
    let mut take = |path: String, value: &toml::Value| match Value::from_toml(value) {
        Some(value) => {
            layer.insert(path, value);
        }
        None => {
            let what = format!("no setting is a {}, or a list of mixed kinds", value.type_str());
            problems.push(Problem::new(path, what, "write a number, a word in quotes, true or false, or a list of one kind"));
        }
    };
    for (key, value) in &table {
        match value {
            toml::Value::Table(inner) => inner.iter().for_each(|(name, value)| take(format!("{key}.{name}"), value)),
            value => take(key.clone(), value),
        }
    }
    Ok((layer, problems))
}

/// Removes from a text's layer what its own presets would give anyway, so that other presets can take effect. A kind that is not the
/// presets' stays, with those of its knobs that are not its own defaults.
fn forget_repetitions(text: &mut Layer) {
    let mut selectors = text.clone();
    selectors.retain(|key, _| SELECTORS.contains(&key.as_str()));
    let usual = stack(&selectors, &Layer::new());
    let with_kinds = || stages().iter().filter(|stage| !(stage.kinds)().is_empty());
    for key in with_kinds().map(|stage| stage.path("kind")) {
        if let Some(kind) = text.get(&key).filter(|&kind| usual.get(&key) != Some(kind)) {
            selectors.insert(key, kind.clone());
        }
    }
    let mut implied = stack(&selectors, &Layer::new());
    for stage in with_kinds() {
        let kind = implied.get(&stage.path("kind")).and_then(Value::as_text).unwrap_or_default().to_owned();
        for knob in stage.knobs_of(&kind) {
            implied.entry(stage.path(knob.key)).or_insert_with(|| knob.default_value());
        }
    }
    text.retain(|key, value| selectors.contains_key(key) || implied.get(key).is_none_or(|implied| !same(implied, value)));
}

/// What of a recipe its presets would not give.
pub(super) fn short_layer_of(recipe: &Recipe) -> Layer {
    let mut layer = layer_of(recipe);
    forget_repetitions(&mut layer);
    let whole = stack(&layer, &Layer::new());
    for key in SELECTORS.iter().filter(|&&key| key != "method") {
        let mut without = layer.clone();
        without.remove(*key);
        let rest = stack(&without, &Layer::new());
        if rest.len() == whole.len() && rest.iter().all(|(key, value)| whole.get(key).is_some_and(|other| same(other, value))) {
            layer = without;
        }
    }
    layer
}

/// Defaults, the back-bone's sizes, the method's preset, the text and the single settings, each over the one before.
fn stack(text: &Layer, sets: &Layer) -> Layer {
    let said = |key: &str| sets.get(key).or_else(|| text.get(key));
    let mut total: Layer =
        stages().iter().flat_map(|stage| stage.knobs.iter().map(|knob| (stage.path(knob.key), knob.default_value()))).collect();
    let named = said("method")
        .or_else(|| total.get("method"))
        .and_then(Value::as_text)
        .and_then(|name| METHODS.iter().find(|preset| preset.name == name));
    let backbone = said("backbone.preset").and_then(Value::as_text).or_else(|| usual_backbone(said("backbone.kind"), named));
    let sizes = sizes_of(backbone.unwrap_or_default());
    let kind = said("backbone.kind").or_else(|| sizes.get("backbone.kind")).and_then(Value::as_text).unwrap_or_default();
    let is_small = matches!(sizes.get("data.image"), Some(Value::Ints(sides)) if sides.iter().any(|&side| side < SMALL_IMAGE));
    let mut method = named.map(|preset| preset.layer(backbone.unwrap_or_default(), kind, is_small)).unwrap_or_default();
    // A method's image is a paper's, like 224 px; back-bones for small images keep theirs.
    if sizes.get("data.image") != Some(&Value::Ints(vec![224; 2])) {
        method.remove("data.image");
    }
    for layer in [&sizes, &method, text, sets] {
        lay_over(&mut total, layer);
    }
    fitted::fill_in(&mut total, &|key| said(key).is_some());
    // A warm-up that nobody set gives way to a short schedule, as it does when the length is given in steps.
    if let (None, Some(epochs)) = (said("optim.warmup_epochs"), said("optim.epochs").and_then(Value::as_float)) {
        let warmup = total.get("optim.warmup_epochs").and_then(Value::as_float).unwrap_or(0.0);
        total.insert("optim.warmup_epochs".into(), Value::Float(warmup.min((epochs / 10.0).max(0.0))));
    }
    // ImageNet's figures are of three channels; those of any other number are measured.
    if total.get("data.channels").and_then(Value::as_int) != Some(3) {
        for key in ["data.mean", "data.std"].into_iter().filter(|key| said(key).is_none()) {
            total.insert(key.into(), Value::Floats(Vec::new()));
        }
    }
    total
}

/// The back-bone that sizes come from where none is named: the smallest published one of a family that is, else the method's.
fn usual_backbone<'a>(kind: Option<&Value>, method: Option<&'a Preset>) -> Option<&'a str> {
    let of_method = method.map_or("vit-ti/16", |preset| preset.backbone);
    let Some(kind) = kind.and_then(Value::as_text) else { return Some(of_method) };
    let is_of_kind = |name: &&str| backbone_sizes(name).is_some_and(|sizes| sizes.kind == kind);
    Some(of_method).into_iter().chain(["vit-ti/16", "swin-t", "pvt-t"]).find(is_of_kind)
}

/// Puts `upper` over `total`; a part of another kind takes none of the former kind's knobs over.
fn lay_over(total: &mut Layer, upper: &Layer) {
    for stage in stages().iter().filter(|stage| !(stage.kinds)().is_empty()) {
        let kind = stage.path("kind");
        if upper.get(&kind).is_some_and(|new| total.get(&kind) != Some(new)) {
            let prefix = stage.path("");
            let is_common = |path: &str| stage.knobs.iter().any(|knob| path.strip_prefix(&prefix) == Some(knob.key));
            total.retain(|path, _| !path.starts_with(&prefix) || is_common(path));
        }
    }
    total.extend(upper.iter().map(|(path, value)| (path.clone(), value.clone())));
}

fn sizes_of(backbone: &str) -> Layer {
    let Some(Sizes { kind, patch, image, knobs, decoder: [width, depth, heads] }) = backbone_sizes(backbone) else { return Layer::new() };
    let mut layer: Layer = knobs.into_iter().map(|(key, value)| (format!("backbone.{key}"), value)).collect();
    let counts = [("backbone.patch", patch), ("decoder.width", width), ("decoder.depth", depth), ("decoder.heads", heads)];
    layer.extend(counts.map(|(key, count)| (key.into(), Value::Int(count as i64))));
    layer.insert("backbone.preset".into(), Value::Text(backbone.into()));
    layer.insert("backbone.kind".into(), Value::Text(kind.into()));
    layer.insert("data.image".into(), Value::Ints(vec![image as i64; 2]));
    layer
}

/// Checks and completes one stage; where it has kinds, with the knobs of the chosen one.
fn complete_stage(stage: &Stage, given: &Settings) -> (Settings, Vec<Problem>) {
    let kinds = (stage.kinds)();
    if kinds.is_empty() {
        return complete(stage.name, stage.knobs, given);
    }
    let default = stage.knobs.first().map(|knob| knob.of(&Settings::new()));
    let kind = given.get("kind").or(default.as_ref()).cloned().unwrap_or(Value::Text(String::new()));
    match kind.as_text().and_then(|name| kinds.iter().find(|kind| kind.name == name)) {
        Some(kind) => complete(stage.name, &stage.knobs_of(kind.name), given),
        None => {
            let name = kind.as_text().map_or_else(|| kind.to_string(), String::from);
            let cure = suggestion(&name, kinds.iter().map(|kind| kind.name));
            // Of an unknown kind no knob can be judged: what stands in for it are the defaults.
            let (settings, _) =
                complete(stage.name, &stage.knobs_of(default.as_ref().and_then(Value::as_text).unwrap_or_default()), &Settings::new());
            (settings, vec![Problem::new(stage.path("kind"), format!("unknown kind `{name}`"), cure)])
        }
    }
}

fn recipe_from_tables(tables: &BTreeMap<&str, Settings>) -> Result<Recipe, Problem> {
    let read = || {
        let mut top = serde_json::Map::new();
        for (&name, settings) in tables {
            match serde_json::to_value(settings)? {
                serde_json::Value::Object(settings) if name.is_empty() => top.extend(settings),
                settings => {
                    top.insert(name.into(), settings);
                }
            }
        }
        serde_json::from_value(serde_json::Value::Object(top))
    };
    read()
        .map_err(|why: serde_json::Error| Problem::new("recipe", format!("cannot be put together ({why})"), "report this with the recipe"))
}

/// The problem of a path that no stage knows.
fn stray(path: &str) -> Problem {
    let known: Vec<String> = stages()
        .iter()
        .flat_map(|stage| {
            let of_kinds = (stage.kinds)().into_iter().flat_map(|kind| kind.knobs);
            stage.knobs.iter().chain(of_kinds).map(|knob| stage.path(knob.key))
        })
        .collect();
    let last = |known: &'_ str| known.rsplit('.').next().unwrap_or_default().to_string();
    if stages().iter().any(|stage| stage.name == path && !path.is_empty()) {
        return Problem::new(path, "is a table, not a value", format!("write `[{path}]` on a line of its own and its settings below"));
    }
    let exact = known.iter().find(|known| !path.contains('.') && last(known) == path);
    let cure = match exact.map(String::as_str).or_else(|| nearest(path, known.iter().map(String::as_str))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it; `maskroom recipe show mae` lists every key".into(),
    };
    Problem::new(path, "unknown key", cure)
}

/// Whether two values say the same, whole or real; an empty list is of every kind.
fn same(a: &Value, b: &Value) -> bool {
    let numbers = |value: &Value| match value {
        Value::Ints(list) => Some(list.iter().map(|&x| x as f64).collect()),
        Value::Floats(list) => Some(list.clone()),
        value => value.as_float().map(|x| vec![x]),
    };
    a.to_toml() == b.to_toml() || numbers(a).is_some_and(|a| numbers(b) == Some(a))
}
