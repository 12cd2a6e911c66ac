//! A sweep as it is written: TOML, of which every problem is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Origin, Row, Sweep, folder_name};
use crate::error::{Error, Problem};
use crate::knob::Value;
use crate::recipe::{Base, Recipe};
use crate::registry::{Settings, suggestion};
use crate::tokenizer::settings::Settings as TokenizerSettings;

/// Everything that a sweep file may say.
const KEYS: &[&str] =
    &["name", "title", "source", "recipe", "data", "seeds", "steps", "epochs", "set", "tokenizer", "teacher", "row", "grid"];
/// What a teacher may say.
const TEACHER_KEYS: &[&str] = &["recipe", "steps", "epochs", "set"];
/// What a row may say.
const ROW_KEYS: &[&str] = &["name", "set", "published"];
/// A grid of more rows is more likely a slip than a wish.
const MANY_ROWS: usize = 1000;

/// Reads a sweep; the recipes of its rows are not looked at.
pub(super) fn read(text: &str, folder: &Path) -> Result<Sweep, Vec<Problem>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        vec![Problem::new(format!("line {line}"), format!("is not TOML: {}", error.message().replace('\n', "; ")), "mend that line")]
    })?;
    let mut reader = Reader { place: String::new(), table, problems: Vec::new() };
    let sweep = reader.sweep(folder);
    reader.refuse_the_rest(KEYS);
    match sweep {
        Some(sweep) if reader.problems.is_empty() => Ok(sweep),
        _ => Err(reader.problems),
    }
}

/// A table that is taken apart key by key.
struct Reader {
    /// Put in front of the keys that problems name.
    place: String,
    table: toml::Table,
    problems: Vec<Problem>,
}

impl Reader {
    fn sweep(&mut self, folder: &Path) -> Option<Sweep> {
        let name = self.text("name");
        if name.is_none() {
            self.object("name", "the sweep has no name", "write for instance `name = \"depth\"` at the top");
        }
        let (title, source) = (self.text("title"), self.text("source").unwrap_or_default());
        let origin = self.origin(folder);
        let toy_scenes = self.toy_scenes();
        let seeds = self.seeds();
        let mut settings = self.length();
        settings.extend(self.settings_of_rows("set"));
        let (tokenizer, teacher) = (self.tokenizer(), self.teacher());
        let rows = self.rows(&settings);
        let name = name?;
        Some(Sweep {
            title: title.unwrap_or_else(|| name.clone()),
            name,
            source,
            toy_scenes,
            seeds,
            tokenizer,
            teacher,
            rows,
            origin: origin?,
        })
    }

    fn origin(&mut self, folder: &Path) -> Option<Origin> {
        let name = self.text("recipe").unwrap_or_else(|| "mae".into());
        if !(name.ends_with(".toml") || name.contains(['/', '\\'])) {
            return Some(Origin::Preset(name));
        }
        match std::fs::read_to_string(folder.join(&name)) {
            Ok(text) => Some(Origin::Text(text)),
            Err(reason) => {
                self.object("recipe", format!("cannot read {}: {reason}", folder.join(&name).display()), "name a preset or a recipe file");
                None
            }
        }
    }

    fn toy_scenes(&mut self) -> Option<usize> {
        let data = self.text("data")?;
        let count = data.strip_prefix("toy:").and_then(|count| count.parse().ok()).filter(|count| (1..=1_000_000).contains(count));
        if count.is_none() {
            let cure = "write `toy:2000` for that many toy scenes, or leave it out and give `--data DIR`";
            self.object("data", format!("`{data}` is no number of toy scenes"), cure);
        }
        count
    }

    fn seeds(&mut self) -> Vec<u64> {
        const USUAL: [u64; 3] = [0, 1, 2];
        let whole = |value: &toml::Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
        let list = |value: &toml::Value| value.as_array()?.iter().map(whole).collect::<Option<Vec<u64>>>();
        let seeds = self.take("seeds", "a list of whole numbers such as `[0, 1, 2]`", list).unwrap_or(USUAL.to_vec());
        if seeds.is_empty() || seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
            self.object("seeds", format!("{seeds:?} is empty or names a seed twice"), "write each seed once, such as `[0, 1, 2]`");
        }
        seeds
    }

    /// `steps` or `epochs` as settings of the recipe.
    fn length(&mut self) -> Settings {
        let steps = self.take("steps", "a whole number from 1", |value| value.as_integer().filter(|&steps| steps > 0));
        let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let epochs = self.take("epochs", "a number above 0", |value| number(value).filter(|&epochs| epochs > 0.0));
        match (steps, epochs) {
            (Some(_), Some(_)) => {
                self.object("epochs", "both steps and epochs are given", "remove one of the two");
                Settings::new()
            }
            (Some(steps), None) => Settings::from([("train.steps".into(), Value::Int(steps))]),
            (None, Some(epochs)) => {
                // A length in steps that the recipe file may have would win over the epochs.
                Settings::from([("optim.epochs".into(), Value::Float(epochs)), ("train.steps".into(), Value::Int(0))])
            }
            (None, None) => Settings::new(),
        }
    }

    fn tokenizer(&mut self) -> Option<TokenizerSettings> {
        if !self.table.contains_key("tokenizer") {
            return None;
        }
        let given = self.settings("tokenizer");
        match TokenizerSettings::new(&given) {
            Ok(settings) => Some(settings),
            Err(Error::Recipe(problems)) => {
                self.problems.extend(problems);
                None
            }
            Err(other) => {
                self.object("tokenizer", other.to_string(), "mend the table");
                None
            }
        }
    }

    fn teacher(&mut self) -> Option<Recipe> {
        let table = self.take("teacher", "a table such as `{ recipe = \"dino\", steps = 300 }`", |value| value.as_table().cloned())?;
        let mut inner = Reader { place: "teacher: ".into(), table, problems: Vec::new() };
        let name = inner.text("recipe").unwrap_or_else(|| "dino".into());
        let mut settings = inner.length();
        settings.extend(inner.settings("set"));
        inner.refuse_the_rest(TEACHER_KEYS);
        let sets: Vec<(String, String)> = settings.into_iter().map(|(key, value)| (key, value.to_string())).collect();
        let recipe = match Recipe::resolve(Base::Preset(&name), &sets) {
            Ok(recipe) => Some(recipe),
            Err(Error::Recipe(problems)) => {
                problems.into_iter().for_each(|Problem { key, what, cure }| inner.object(&key, what, cure));
                None
            }
            Err(other) => {
                inner.object("recipe", other.to_string(), "mend the table");
                None
            }
        };
        self.problems.append(&mut inner.problems);
        recipe
    }

    fn rows(&mut self, common: &Settings) -> Vec<Row> {
        let tables = |value: &toml::Value| value.as_array()?.iter().map(|row| row.as_table().cloned()).collect::<Option<Vec<_>>>();
        let given = self.take("row", "tables, each under a heading `[[row]]`", tables);
        let grid = self.take("grid", "a table of lists such as `\"mask.ratio\" = [0.5, 0.75]`", |value| value.as_table().cloned());
        let rows = match (given, grid) {
            (Some(rows), None) => rows.into_iter().enumerate().filter_map(|(index, row)| self.row(index, row, common)).collect(),
            (None, Some(grid)) => self.grid(&grid, common),
            (Some(_), Some(_)) => {
                self.object("grid", "there are rows and a grid", "write either `[[row]]`s or a `[grid]`");
                return Vec::new();
            }
            (None, None) => {
                self.object("row", "there is nothing to compare", "write a `[[row]]` for each variant, or a `[grid]`");
                return Vec::new();
            }
        };
        let mut folders = BTreeMap::new();
        for row in &rows {
            if let Some(other) = folders.insert(folder_name(&row.name), &row.name) {
                let what = format!("`{other}` and `{}` would have the same folder", row.name);
                self.object("row", what, "give rows names that differ in letters or digits");
            }
        }
        rows
    }

    fn row(&mut self, index: usize, table: toml::Table, common: &Settings) -> Option<Row> {
        let mut inner = Reader { place: format!("row {}: ", index + 1), table, problems: Vec::new() };
        let name = inner.text("name").filter(|name| !name.trim().is_empty());
        if name.is_none() {
            inner.object("name", "the row has no name", "write for instance `name = \"1 block\"`");
        }
        let settings = inner.settings_of_rows("set");
        let numbers = |value: &toml::Value| {
            let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            value.as_table()?.iter().map(|(name, value)| Some((name.clone(), number(value)?))).collect::<Option<BTreeMap<_, _>>>()
        };
        let published = inner.take("published", "a table of numbers such as `{ linear = 73.5 }`", numbers).unwrap_or_default();
        inner.refuse_the_rest(ROW_KEYS);
        self.problems.append(&mut inner.problems);
        let complete = over(common, &settings);
        Some(Row { name: name?, settings, published, complete })
    }

    /// Every combination of the listed values.
    fn grid(&mut self, grid: &toml::Table, common: &Settings) -> Vec<Row> {
        let mut axes: Vec<(String, Vec<Value>)> = Vec::new();
        self.flatten("grid", "", grid, &mut |key, value| {
            let values = value.as_array().filter(|list| !list.is_empty())?.iter().map(Value::from_toml).collect::<Option<_>>()?;
            axes.push((key, values));
            Some(())
        });
        if axes.iter().any(|(key, _)| key == "seed") {
            self.object_to_seed("grid");
        }
        let count = axes.iter().fold(1, |count: usize, (_, values)| count.saturating_mul(values.len()));
        if axes.is_empty() || count > MANY_ROWS {
            self.object(
                "grid",
                format!("it makes {} rows", if axes.is_empty() { 0 } else { count }),
                "list a few values of a few settings",
            );
            return Vec::new();
        }
        let mut combinations = vec![Settings::new()];
        for (key, values) in &axes {
            let with = |settings: &Settings, value: &Value| {
                settings.iter().map(|(key, value)| (key.clone(), value.clone())).chain([(key.clone(), value.clone())]).collect()
            };
            combinations = combinations.iter().flat_map(|settings| values.iter().map(move |value| with(settings, value))).collect();
        }
        let named = |settings: Settings| {
            let name = settings.iter().map(|(key, value)| format!("{key} {}", value.to_string().replace('"', ""))).collect::<Vec<_>>();
            Row { name: name.join(", "), complete: over(common, &settings), settings, published: BTreeMap::new() }
        };
        combinations.into_iter().map(named).collect()
    }

    /// Settings of rows, whose seed is not theirs to say.
    fn settings_of_rows(&mut self, key: &str) -> Settings {
        let mut settings = self.settings(key);
        if settings.remove("seed").is_some() {
            self.object_to_seed(key);
        }
        settings
    }

    fn object_to_seed(&mut self, key: &str) {
        let cure = "write `seeds = [0, 1, 2]` at the top";
        self.object(&format!("{key}: seed"), "rows are trained with every seed of the sweep", cure);
    }

    /// A table of settings by dotted path, which may be written as `"mask.ratio" = 0.5` or as a table in a table.
    fn settings(&mut self, key: &str) -> Settings {
        let Some(table) = self.take(key, "a table of settings", |value| value.as_table().cloned()) else { return Settings::new() };
        let mut settings = Settings::new();
        self.flatten(key, "", &table, &mut |path, value| {
            settings.insert(path, Value::from_toml(value)?);
            Some(())
        });
        settings
    }

    /// Hands the values of a table, and of the tables in it, to `take`; one that it refuses is a problem.
    fn flatten(&mut self, key: &str, path: &str, table: &toml::Table, take: &mut impl FnMut(String, &toml::Value) -> Option<()>) {
        for (name, value) in table {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                toml::Value::Table(inner) => self.flatten(key, &path, inner, take),
                value => {
                    if take(path.clone(), value).is_none() {
                        let wanted =
                            if key == "grid" { "a list of values" } else { "a number, a word, true or false, or a list of one kind" };
                        self.object(&format!("{key}: {path}"), format!("{value} is not {wanted}"), format!("write {wanted}"));
                    }
                }
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// Takes a key out; a value that `read` refuses is a problem.
    fn take<T>(&mut self, key: &str, wanted: &str, read: impl FnOnce(&toml::Value) -> Option<T>) -> Option<T> {
        let value = self.table.remove(key)?;
        let found = read(&value);
        if found.is_none() {
            self.object(key, format!("a value of type {} is not {wanted}", value.type_str()), format!("write {wanted}"));
        }
        found
    }

    fn object(&mut self, key: &str, what: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}{key}", self.place), what, cure));
    }

    /// What is left was not understood.
    fn refuse_the_rest(&mut self, known: &[&'static str]) {
        for key in self.table.keys().cloned().collect::<Vec<_>>() {
            self.object(&key, "unknown key", suggestion(&key, known.iter().copied()));
        }
    }
}

/// A row's settings over those of all rows. A row that names a mask, target or objective of some kind starts from that kind's own
/// defaults.
fn over(common: &Settings, own: &Settings) -> Settings {
    let mut complete = common.clone();
    for table in own.keys().filter_map(|key| key.strip_suffix("kind")) {
        complete.retain(|key, _| !key.starts_with(table));
    }
    complete.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
    complete
}
