//! The recipe being edited: the keys that a person set, over a method's preset, as one TOML table that form and text share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use maskroom_core::error::{Error, Problem};
use maskroom_core::recipe::{self, Base, Recipe};
use toml::{Table, Value};

/// A change of the recipe.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Set `path`, such as `mask.ratio`.
    Set {
        /// The dotted path.
        path: String,
        /// The new value, of any type: what is wrong with it is told at its field.
        value: Value,
    },
    /// Set several paths as one change, in this order.
    SetAll(Vec<(String, Value)>),
    /// Back to what the preset says.
    Reset {
        /// The dotted path.
        path: String,
    },
    /// The whole recipe as text.
    Text(String),
    /// A method's preset, nothing changed.
    Preset(String),
    /// Weights that the next run starts from: a run, a checkpoint or a file; no part of the recipe, and not undone with it.
    StartFrom(Option<PathBuf>),
    /// What to call the next run; no part of the recipe either.
    Name(String),
    /// Take back the last change.
    Undo,
    /// Make it again.
    Redo,
}

/// The recipe and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Draft {
    table: Table,
    /// The last complete recipe that was valid, and the one in force unless there are problems.
    recipe: Recipe,
    problems: Vec<Problem>,
    past: Vec<Table>,
    future: Vec<Table>,
    /// Set by a text that is no TOML: shown until it is mended, and nothing is lost.
    broken_text: Option<String>,
    /// The setting that was changed last, and when.
    last_set: Option<(String, Instant)>,
    start_from: Option<PathBuf>,
    name: String,
    generation: u64,
}

const UNDO_STEPS: usize = 200;
/// Changes of one setting that follow one another faster than this (a slider that is dragged) are undone together.
const ONE_GESTURE: Duration = Duration::from_millis(800);
/// Settings that others depend on.
const SELECTORS: [&str; 2] = ["method", "backbone.preset"];

impl Default for Draft {
    fn default() -> Self {
        Self::of_preset("mae").unwrap_or_else(|error| unreachable_preset(&error))
    }
}

impl Draft {
    fn of_preset(name: &str) -> Result<Self, Error> {
        let table = Table::from_iter([("method".to_owned(), Value::from(name))]);
        Ok(Self {
            table,
            recipe: Recipe::preset(name)?,
            problems: Vec::new(),
            past: Vec::new(),
            future: Vec::new(),
            broken_text: None,
            last_set: None,
            start_from: None,
            name: String::new(),
            generation: 0,
        })
    }

    /// The recipe in force: the draft's, or the last valid one while there are problems.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Everything that is wrong with the draft.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is wrong with one setting, with its cure.
    pub fn problem_of(&self, path: &str) -> Option<String> {
        let found = self.problems.iter().find(|problem| problem.key == path)?;
        Some(if found.cure.is_empty() { found.what.clone() } else { format!("{}; {}", found.what, found.cure) })
    }

    /// Whether a run can be made of it.
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }

    /// Grows with every change, so that what is derived from the recipe knows when to be computed anew.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the person set at `path`, if anything.
    pub fn set_value(&self, path: &str) -> Option<&Value> {
        let (table, key) = split(path);
        if table.is_empty() { self.table.get(key) } else { self.table.get(table)?.as_table()?.get(key) }
    }

    /// The keys that were set, as TOML.
    pub fn text(&self) -> String {
        self.broken_text.clone().unwrap_or_else(|| toml::to_string(&self.table).unwrap_or_default())
    }

    /// Weights that the next run starts from.
    pub fn start_from(&self) -> Option<&Path> {
        self.start_from.as_deref()
    }

    /// What to call the next run; empty for a name made of the method and a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is something to take back, and to make again.
    pub fn can_undo_redo(&self) -> (bool, bool) {
        (!self.past.is_empty(), !self.future.is_empty())
    }

    /// Makes a change.
    pub fn apply(&mut self, edit: Edit) {
        let before = self.table.clone();
        let one_gesture = self.goes_on(&edit);
        match edit {
            Edit::StartFrom(weights) => return self.start_from = weights,
            Edit::Name(name) => return self.name = name,
            Edit::Set { path, value } => self.set(&path, value),
            Edit::SetAll(values) => values.into_iter().for_each(|(path, value)| self.set(&path, value)),
            Edit::Reset { path } => self.remove(&path),
            Edit::Text(text) => match text.parse::<Table>() {
                Ok(table) => (self.table, self.broken_text) = (table, None),
                Err(_) => {
                    self.problems = recipe::check(&text);
                    self.broken_text = Some(text);
                    self.generation += 1;
                    return;
                }
            },
            Edit::Preset(name) => (self.table, self.broken_text) = (Table::from_iter([("method".to_owned(), Value::from(name))]), None),
            Edit::Undo => return self.travel(true),
            Edit::Redo => return self.travel(false),
        }
        if self.table != before {
            if !one_gesture {
                self.past.push(before);
            }
            self.past.drain(..self.past.len().saturating_sub(UNDO_STEPS));
            self.future.clear();
        }
        self.resolve();
    }

    /// A recipe from elsewhere (a file, a run, a recommendation) as a new draft that can be undone.
    pub fn replace(&mut self, recipe: &Recipe) {
        self.apply(Edit::Text(toml::to_string(&recipe.to_short_toml()).unwrap_or_default()));
    }

    /// Whether a change goes on with the one before it.
    fn goes_on(&mut self, edit: &Edit) -> bool {
        let (Edit::Set { path, .. }, now) = (edit, Instant::now()) else {
            self.last_set = None;
            return false;
        };
        let before = self.last_set.replace((path.clone(), now));
        before.is_some_and(|(known, at)| known == *path && now.duration_since(at) < ONE_GESTURE)
    }

    fn travel(&mut self, back: bool) {
        let (from, to) = if back { (&mut self.past, &mut self.future) } else { (&mut self.future, &mut self.past) };
        let Some(table) = from.pop() else { return };
        to.push(std::mem::replace(&mut self.table, table));
        self.broken_text = None;
        self.resolve();
    }

    fn set(&mut self, path: &str, value: Value) {
        // What a complete recipe merely repeats from its presets must not stand in the way of another one.
        if SELECTORS.contains(&path)
            && let Ok(recipe) = Recipe::resolve(Base::Toml(&self.text()), &[])
        {
            self.table = recipe.to_short_toml();
        }
        let (table, key) = split(path);
        self.broken_text = None;
        if table.is_empty() {
            self.table.insert(key.to_owned(), value);
            return;
        }
        let entry = self.table.entry(table).or_insert_with(|| Value::Table(Table::new()));
        if !entry.is_table() {
            *entry = Value::Table(Table::new());
        }
        if let Some(table) = entry.as_table_mut() {
            // Another kind has other knobs: what the old kind was told would only be unknown keys.
            if key == "kind" && table.get("kind") != Some(&value) {
                table.clear();
            }
            table.insert(key.to_owned(), value);
        }
    }

    fn remove(&mut self, path: &str) {
        let (table, key) = split(path);
        self.broken_text = None;
        if table.is_empty() {
            self.table.remove(key);
        } else if let Some(Value::Table(inner)) = self.table.get_mut(table) {
            inner.remove(key);
            if inner.is_empty() {
                self.table.remove(table);
            }
        }
    }

    fn resolve(&mut self) {
        self.generation += 1;
        let text = self.text();
        self.problems = recipe::check(&text);
        if !self.problems.is_empty() {
            return;
        }
        match Recipe::resolve(Base::Toml(&text), &[]) {
            Ok(recipe) => self.recipe = recipe,
            Err(error) => self.problems = vec![Problem::new("", error.to_string(), "")],
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}

/// The first preset of the list always resolves: a test of the core says so.
fn unreachable_preset(error: &Error) -> Draft {
    unreachable!("the preset `mae` does not resolve: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(draft: &mut Draft, path: &str, value: impl Into<Value>) {
        draft.apply(Edit::Set { path: path.into(), value: value.into() });
    }

    #[test]
    fn a_form_edit_shows_in_the_text_and_a_text_edit_in_the_form() {
        let mut draft = Draft::default();
        set(&mut draft, "mask.ratio", 0.5);
        assert!(draft.text().contains("ratio = 0.5"), "{}", draft.text());
        assert_eq!(draft.recipe().mask.number("ratio"), Some(0.5));
        draft.apply(Edit::Text("method = \"mae\"\n[mask]\nratio = 0.8\n".into()));
        assert_eq!(draft.set_value("mask.ratio").and_then(Value::as_float), Some(0.8));
        assert_eq!(draft.recipe().mask.number("ratio"), Some(0.8));
    }

    #[test]
    fn problems_stand_at_their_keys_and_the_last_valid_recipe_stays() {
        let mut draft = Draft::default();
        set(&mut draft, "mask.ratio", 0.5);
        set(&mut draft, "mask.ratio", 2.0);
        assert!(!draft.is_valid() && draft.problem_of("mask.ratio").is_some());
        assert_eq!(draft.recipe().mask.number("ratio"), Some(0.5));
        draft.apply(Edit::Text("[mask\n".into()));
        assert!(!draft.is_valid() && draft.text() == "[mask\n");
    }

    #[test]
    fn every_change_can_be_undone_and_made_again() {
        let mut draft = Draft::default();
        let first = draft.text();
        set(&mut draft, "mask.kind", "block");
        set(&mut draft, "optim.batch", 8);
        let last = draft.text();
        draft.apply(Edit::Undo);
        draft.apply(Edit::Undo);
        assert_eq!((draft.text(), draft.can_undo_redo()), (first, (false, true)));
        draft.apply(Edit::Redo);
        draft.apply(Edit::Redo);
        assert_eq!((draft.text(), draft.can_undo_redo()), (last, (true, false)));
        draft.apply(Edit::Reset { path: "mask.kind".into() });
        assert!(!draft.text().contains("block"));
    }

    #[test]
    fn a_slider_that_is_dragged_is_undone_as_a_whole() {
        let mut draft = Draft::default();
        let first = draft.text();
        (50..80).for_each(|percent| set(&mut draft, "mask.ratio", f64::from(percent) / 100.0));
        draft.apply(Edit::Undo);
        assert_eq!((draft.text(), draft.can_undo_redo()), (first.clone(), (false, true)));
        draft.apply(Edit::SetAll(vec![("mask.kind".into(), "block".into()), ("mask.ratio".into(), 0.5.into())]));
        assert_eq!(draft.recipe().mask.number("ratio"), Some(0.5));
        draft.apply(Edit::Undo);
        assert_eq!(draft.text(), first);
    }

    #[test]
    fn a_complete_recipe_lets_another_back_bone_take_effect() {
        let mut draft = Draft::default();
        draft.apply(Edit::Text(draft.recipe().to_toml()));
        set(&mut draft, "backbone.preset", "vit-nano");
        assert_eq!((draft.recipe().backbone.sizes.count("width"), draft.is_valid()), (96, true), "{:?}", draft.problems());
    }

    #[test]
    fn another_kind_forgets_the_knobs_of_the_old_one() {
        let mut draft = Draft::default();
        set(&mut draft, "mask.ratio", 0.5);
        set(&mut draft, "mask.kind", "grid");
        assert!(draft.set_value("mask.ratio").is_none() && draft.is_valid(), "{:?}", draft.problems());
    }
}
