//! The settings as the form shows them: what the person set, else what presets and defaults give.

use maskroom_core::knob::{Knob, Value};
use maskroom_core::recipe::{Base, Recipe, Stage, stages};
use toml::Table;

use crate::studio::draft::Draft;

/// Values derived from the draft, computed anew when it has changed.
#[derive(Default)]
pub struct Settings {
    generation: Option<u64>,
    /// The recipe in force.
    resolved: Table,
    /// What it would be if the person had chosen only what others depend on.
    usual: Table,
    /// The method's preset, nothing chosen.
    preset: Table,
}

/// Settings on whose value the usual ones of others depend; the kinds of stages are among them too.
const SELECTORS: [&str; 4] = ["method", "backbone.preset", "optim.epochs", "data.channels"];

impl Settings {
    /// Follows the draft.
    pub fn follow(&mut self, draft: &Draft) {
        if self.generation == Some(draft.generation()) {
            return;
        }
        self.generation = Some(draft.generation());
        self.resolved = table(draft.recipe());
        self.preset = Recipe::preset(&draft.recipe().method).map(|recipe| table(&recipe)).unwrap_or_default();
        let mut chosen = Table::new();
        for path in selectors() {
            if let Some(value) = draft.set_value(&path) {
                put(&mut chosen, &path, value.clone());
            }
        }
        let usual = Recipe::resolve(Base::Toml(&chosen.to_string()), &[]);
        self.usual = usual.map_or_else(|_| self.preset.clone(), |recipe| table(&recipe));
    }

    /// What is in force at `path`, or what the person wrote there.
    pub fn value(&self, draft: &Draft, path: &str) -> Option<Value> {
        let value = draft.set_value(path).or_else(|| at(&self.resolved, path))?;
        Some(Value::from_toml(value).unwrap_or_else(|| Value::Text(value.to_string())))
    }

    /// The usual value at `path`.
    pub fn usual(&self, path: &str) -> Option<Value> {
        let table = if selectors().any(|selector| selector == path) { &self.preset } else { &self.usual };
        at(table, path).and_then(Value::from_toml)
    }

    /// Whether the person set something else than the usual value.
    pub fn is_changed(&self, draft: &Draft, path: &str, knob: &Knob) -> bool {
        let Some(set) = draft.set_value(path).and_then(Value::from_toml) else { return draft.set_value(path).is_some() };
        let usual = self.usual(path).and_then(|usual| knob.check(path, &usual).ok());
        // 1 and 1.0 are the same setting.
        knob.check(path, &set).ok().is_none_or(|set| Some(set) != usual)
    }

    /// The chosen kind of a stage; empty where there are none.
    pub fn kind(&self, draft: &Draft, stage: &Stage) -> String {
        self.value(draft, &stage.path("kind")).and_then(|kind| kind.as_text().map(str::to_owned)).unwrap_or_default()
    }
}

/// A recipe as a table.
pub fn table(recipe: &Recipe) -> Table {
    recipe.to_toml().parse().unwrap_or_default()
}

/// The value at a dotted path.
pub fn at<'a>(table: &'a Table, path: &str) -> Option<&'a toml::Value> {
    match path.split_once('.') {
        Some((stage, key)) => table.get(stage)?.as_table()?.get(key),
        None => table.get(path),
    }
}

fn put(table: &mut Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        Some((stage, key)) => {
            if let toml::Value::Table(inner) = table.entry(stage).or_insert_with(|| Table::new().into()) {
                inner.insert(key.to_owned(), value);
            }
        }
        None => drop(table.insert(path.to_owned(), value)),
    }
}

fn selectors() -> impl Iterator<Item = String> {
    let kinds = stages().iter().filter(|stage| !(stage.kinds)().is_empty()).map(|stage| stage.path("kind"));
    SELECTORS.iter().map(|&path| path.to_owned()).chain(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::studio::draft::Edit;

    fn knob(path: &str) -> Knob {
        let (name, key) = path.split_once('.').unwrap();
        let stage = stages().iter().find(|stage| stage.name == name).unwrap();
        let kinds = (stage.kinds)().into_iter().flat_map(|kind| kind.knobs);
        *stage.knobs.iter().chain(kinds).find(|knob| knob.key == key).unwrap()
    }

    #[test]
    fn only_what_differs_from_the_presets_counts_as_changed() {
        let mut draft = Draft::default();
        let mut settings = Settings::default();
        for (path, value, changed) in [
            ("backbone.preset", "vit-nano".into(), true),
            ("backbone.width", 96.into(), false),
            ("backbone.depth", 5.into(), true),
            ("optim.epochs", 800.into(), false),
            ("optim.warmup_epochs", 40.into(), false),
            ("mask.ratio", 0.75.into(), false),
            ("mask.kind", "block".into(), true),
            ("mask.ratio", 0.4.into(), false),
            ("mask.min_block", "many".into(), true),
        ] {
            draft.apply(Edit::Set { path: path.into(), value });
            settings.follow(&draft);
            assert_eq!(settings.is_changed(&draft, path, &knob(path)), changed, "{path} of {}", draft.text());
        }
        assert_eq!(settings.value(&draft, "mask.min_block"), Some(Value::Text("many".into())), "what was written is shown");
        assert_eq!(settings.value(&draft, "backbone.width"), Some(Value::Int(96)));
        assert_eq!(settings.usual("backbone.preset"), Some(Value::Text("vit-ti/16".into())));
    }
}
