//! A sweep: one recipe changed row by row, each row trained with several seeds, and one table of what came of it. Plain data: what is to
//! be trained, and how results are set side by side; the training itself is elsewhere.
//!
//! ```toml
//! name = "depth"
//! recipe = "mae"                      # a preset, or a recipe file beside this one
//! data = "toy:2000"                   # painted toy scenes; without it the command asks for --data
//! seeds = [0, 1, 2]
//! steps = 300                         # or epochs = 20
//! set = { "backbone.preset" = "vit-nano" }
//!
//! [[row]]
//! name = "1 block"
//! set = { "decoder.depth" = 1 }
//! published = { "linear" = 65.5 }     # shown beside what is measured, tagged
//! ```
//!
//! In place of `[[row]]`s, `[grid]` lists the values of some settings, and every combination is a row. A `[tokenizer]` table has a
//! tokenizer trained on the data first, for the rows that predict tokens, and a `[teacher]` table, with a preset as `recipe`, and `steps` and
//! `set` of its own, a network for the rows that predict features.

mod file;
mod interval;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Problem, Result};
use crate::knob::Value;
use crate::method::encoder_sizes;
use crate::recipe::{Base, Recipe};
use crate::registry;
use crate::target::teacher::misfits;
use crate::tokenizer::settings::Settings as TokenizerSettings;

pub use interval::{Interval, student_t_95};
pub use table::{COLUMNS, Column, Figures, RunResult, Table, TableRow};

/// What is to be trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// Its name, such as `mae-decoder-depth`.
    pub name: String,
    /// What is compared, in a few words.
    pub title: String,
    /// Where the published figures come from; may be empty.
    pub source: String,
    /// Toy scenes to paint; `None`: the data have to be given.
    pub toy_scenes: Option<usize>,
    /// Every row is trained with each.
    pub seeds: Vec<u64>,
    /// The tokenizer to train for rows that predict tokens and name none.
    pub tokenizer: Option<TokenizerSettings>,
    /// The network to train for rows that predict features and name no teacher.
    pub teacher: Option<Recipe>,
    /// What is compared.
    pub rows: Vec<Row>,
    origin: Origin,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What people call it.
    pub name: String,
    /// What sets it apart from the other rows, by dotted path.
    pub settings: registry::Settings,
    /// Figures that somebody published, by name.
    pub published: BTreeMap<String, f64>,
    /// The sweep's settings with the row's over them.
    complete: registry::Settings,
}

/// What was trained before the rows that need it.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// The tokenizer's file.
    pub tokenizer: Option<PathBuf>,
    /// The teacher's run.
    pub teacher: Option<PathBuf>,
}

/// What all rows start from.
#[derive(Debug, Clone, PartialEq)]
enum Origin {
    Preset(String),
    Text(String),
}

impl Sweep {
    /// Reads a sweep; `folder` is where recipe files that it names lie.
    ///
    /// # Errors
    /// Every problem of the file and of the recipes that its rows make, each with its cure.
    pub fn read(text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        let sweep = file::read(text, folder)?;
        match sweep.problems_of_rows() {
            problems if problems.is_empty() => Ok(sweep),
            problems => Err(problems),
        }
    }

    /// The recipe of a row. Where the sweep trains a tokenizer, a row that predicts tokens knows how many codes there are before the file
    /// exists, and where it trains a teacher, one that predicts features knows of how many numbers.
    ///
    /// # Errors
    /// [`Error::Recipe`] with every problem.
    pub fn recipe(&self, row: &Row, seed: u64, made: &Made) -> Result<Recipe> {
        let base = match &self.origin {
            Origin::Preset(name) => Base::Preset(name),
            Origin::Text(text) => Base::Toml(text),
        };
        let mut sets: Vec<(String, String)> = row.complete.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        sets.push(("seed".into(), seed.to_string()));
        let text_of = |path: &Path| Value::Text(path.display().to_string()).to_string();
        if let Some(teacher) = self.teacher_of(row) {
            sets.push(("target.width".into(), encoder_sizes(teacher).last_width().to_string()));
            sets.push(("target.teacher".into(), text_of(made.teacher.as_deref().unwrap_or(Path::new("")))));
        }
        let Some(settings) = &self.tokenizer else { return Recipe::resolve(base, &sets) };
        let mut with_codes = sets.clone();
        with_codes.push(("target.codes".into(), settings.codes.to_string()));
        with_codes.extend(made.tokenizer.as_deref().map(|path| ("target.tokenizer".into(), text_of(path))));
        // Only tokens have codes: a target that does not know the setting is another one.
        let knows_no_codes = |problems: &[Problem]| problems.iter().any(|it| it.key == "target.codes" && it.what == "unknown key");
        match Recipe::resolve(base, &with_codes) {
            Err(Error::Recipe(problems)) if knows_no_codes(&problems) => Recipe::resolve(base, &sets),
            result => result,
        }
    }

    /// The row whose recipe the tokenizer is trained with: the first that predicts tokens, if the sweep trains one.
    pub fn row_with_tokens(&self) -> Option<&Row> {
        self.tokenizer.as_ref()?;
        self.rows.iter().find(|row| self.recipe(row, 0, &Made::default()).is_ok_and(|recipe| recipe.target.kind == "tokens"))
    }

    /// The teacher that a row needs, if the sweep trains one.
    pub fn teacher_of(&self, row: &Row) -> Option<&Recipe> {
        self.teacher.as_ref().filter(|_| row.predicts_features())
    }

    /// The side of toy scenes that serve every row, in pixels.
    pub fn toy_side_px(&self) -> usize {
        let recipes = self.rows.iter().filter_map(|row| self.recipe(row, 0, &Made::default()).ok()).chain(self.teacher.clone());
        let sides = recipes.flat_map(|recipe| recipe.data.image);
        sides.max().unwrap_or(32)
    }

    /// The folder of a run, among those of the same sweep.
    pub fn folder_of(&self, row: &Row, seed: u64) -> String {
        format!("{}-seed{seed}", folder_name(&row.name))
    }

    /// Tells apart what is trained from what the same folder may have been trained with earlier.
    ///
    /// # Errors
    /// As [`Sweep::recipe`].
    pub fn identity(&self, row: &Row, seed: u64) -> Result<String> {
        let recipe = self.recipe(row, seed, &Made::default())?;
        let tokenizer = if recipe.target.kind == "tokens" { self.tokenizer_identity() } else { None };
        let teacher = self.teacher_of(row).map(Recipe::hash);
        Ok(recipe.hash() + &tokenizer.or(teacher).unwrap_or_default())
    }

    /// The same for the tokenizer; a few letters.
    pub fn tokenizer_identity(&self) -> Option<String> {
        let digest = Sha256::digest(format!("{:?}", self.tokenizer.as_ref()?));
        Some(digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The problems of the rows' recipes; one that all rows have is told once.
    fn problems_of_rows(&self) -> Vec<Problem> {
        let seed = self.seeds.first().copied().unwrap_or(0);
        let of_row = |row: &Row| match self.recipe(row, seed, &Made::default()) {
            Ok(recipe) => self.teacher_of(row).map_or_else(Vec::new, |teacher| unfit(teacher, &recipe)),
            Err(Error::Recipe(problems)) => problems,
            Err(other) => vec![Problem::new("recipe", other.to_string(), "change the row")],
        };
        let by_row: Vec<Vec<Problem>> = self.rows.iter().map(of_row).collect();
        let everywhere = |problem: &Problem| by_row.iter().all(|problems| problems.contains(problem));
        let mut found: Vec<Problem> = by_row.iter().take(1).flatten().filter(|problem| everywhere(problem)).cloned().collect();
        for (row, problems) in self.rows.iter().zip(&by_row) {
            let own = problems.iter().filter(|problem| !everywhere(problem));
            found.extend(own.map(|Problem { key, what, cure }| Problem::new(format!("row `{}`: {key}", row.name), what, cure)));
        }
        found
    }
}

/// What keeps a row from learning from a teacher, which is not there yet to say so itself.
fn unfit(teacher: &Recipe, row: &Recipe) -> Vec<Problem> {
    let sizes = encoder_sizes(teacher);
    let mut found = misfits(&sizes, row.shape());
    if teacher.backbone.sizes.kind != "vit" {
        found.push(Problem::new("teacher", format!("a {} has no features of single patches", teacher.backbone.sizes.kind), "use a vit"));
    }
    let (layers, depth) = (row.target.count("layers"), sizes.num_blocks());
    if layers > depth {
        found.push(Problem::new("target.layers", format!("the teacher has {depth} blocks"), format!("use 1 to {depth}")));
    }
    found
}

impl Row {
    /// Whether it predicts features of a teacher that the sweep trains, if it trains one.
    fn predicts_features(&self) -> bool {
        let is_features = self.complete.get("target.kind").and_then(Value::as_text) == Some("features");
        is_features && !self.complete.contains_key("target.teacher")
    }
}

/// A name as that of a folder: letters and digits, with `-` for everything else.
pub fn folder_name(name: &str) -> String {
    const LONGEST: usize = 100;
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter.to_ascii_lowercase() } else { '-' };
    let parts: String = name.chars().map(plain).collect();
    let parts: Vec<&str> = parts.split('-').map(|part| part.trim_matches('.')).filter(|part| !part.is_empty()).collect();
    let mut joined = parts.join("-");
    joined.truncate(LONGEST);
    if joined.is_empty() { "row".into() } else { joined }
}

#[cfg(test)]
mod tests;
