//! Results side by side: for each row the mean over its seeds with its interval, and what was published, each tagged as what it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Interval;

/// Figures of one run by the keys of [`COLUMNS`].
pub type Figures = BTreeMap<String, f64>;

/// A figure that is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Its name in files.
    pub key: &'static str,
    /// Its name for people.
    pub heading: &'static str,
    /// Digits behind the point for people.
    pub decimals: usize,
    /// Whether it is a share, which people read as a percentage.
    pub is_share: bool,
}

const fn number(key: &'static str, heading: &'static str, decimals: usize) -> Column {
    Column { key, heading, decimals, is_share: false }
}

const fn share(key: &'static str, heading: &'static str) -> Column {
    Column { key, heading, decimals: 1, is_share: true }
}

/// What is measured of every run, in the order of the table.
pub const COLUMNS: &[Column] = &[
    number("training_loss", "Training loss", 4),
    number("validation_loss", "Held-out loss", 4),
    share("of_guess", "Of the better guess, %"),
    share("linear", "Linear probe, %"),
    share("linear_random", "Linear, random weights, %"),
    share("knn", "k-NN, %"),
    share("knn_random", "k-NN, random weights, %"),
    number("seconds", "Training, s", 1),
];

/// One run in its row.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// Its seed.
    pub seed: u64,
    /// Its folder.
    pub folder: String,
    /// What was measured, or why nothing was.
    pub figures: Result<Figures, String>,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// Its name.
    pub name: String,
    /// What sets it apart, `key = value`.
    pub settings: Vec<String>,
    /// What was published, by name.
    pub published: BTreeMap<String, f64>,
    /// Its runs by seed.
    pub runs: Vec<RunResult>,
}

impl TableRow {
    /// A figure over the runs that have it.
    pub fn interval(&self, key: &str) -> Option<Interval> {
        Interval::of(&self.values(key))
    }

    fn values(&self, key: &str) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.figures.as_ref().ok()?.get(key).copied()).collect()
    }

    fn num_finished(&self) -> usize {
        self.runs.iter().filter(|run| run.figures.is_ok()).count()
    }
}

/// The whole table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The sweep's name.
    pub name: String,
    /// What is compared.
    pub title: String,
    /// Where published figures come from.
    pub source: String,
    /// What to know when reading it: data and protocols.
    pub notes: Vec<String>,
    /// The rows, in the order of the sweep.
    pub rows: Vec<TableRow>,
}

impl Table {
    /// For people: Markdown whose columns also line up as plain text.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}\n", self.title, self.grid_in_markdown());
        text +=
            "Measured here: the mean over the seeds ± half of its 95 % interval (Student's t). Intervals that overlap decide nothing.\n";
        if !self.source.is_empty() {
            text += &format!("\nPublished: {}. Other data and other sizes: compare the order of rows, not the values.\n", self.source);
        }
        for note in &self.notes {
            text += &format!("\n- {note}");
        }
        let failed: Vec<String> = self.failures().map(|(row, run, why)| format!("\n- {row}, seed {}: {why}", run.seed)).collect();
        if !failed.is_empty() {
            text += &format!("\n\n## Without a result\n{}", failed.concat());
        }
        text + "\n"
    }

    /// Only the table itself.
    pub fn grid_in_markdown(&self) -> String {
        let (columns, published) = (self.columns(), self.published());
        let mut cells = vec![vec!["".to_owned(), "Runs".to_owned()]];
        cells[0].extend(columns.iter().map(|column| column.heading.to_owned()));
        cells[0].extend(published.iter().map(|name| capitalized(name)));
        for row in &self.rows {
            let mut line = vec![row.name.clone(), format!("{} of {}", row.num_finished(), row.runs.len())];
            line.extend(columns.iter().map(|column| row.interval(column.key).map_or("–".to_owned(), |interval| column.in_words(interval))));
            line.extend(
                published.iter().map(|name| row.published.get(*name).map_or("–".to_owned(), |value| format!("{value} (published)"))),
            );
            cells.push(line);
        }
        let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
                let (cell, space) = (cell.replace('|', "/"), " ".repeat(width - cell.chars().count()));
                if index == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
            });
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let rule = widths.iter().enumerate().map(|(index, &width)| match index {
            0 => "-".repeat(width),
            _ => format!("{}:", "-".repeat(width - 1)),
        });
        let rule: Vec<String> = rule.collect();
        cells.iter().enumerate().map(|(index, cells)| if index == 0 { line(cells) + &line(&rule) } else { line(cells) }).collect()
    }

    /// For spreadsheets: one line a row; of each figure its mean and half its interval.
    pub fn to_csv(&self) -> String {
        let (columns, published) = (self.columns(), self.published());
        let mut head = vec!["row".to_owned(), "runs_finished".to_owned(), "runs".to_owned()];
        head.extend(columns.iter().flat_map(|column| [column.key.to_owned(), format!("{}_half_width_95", column.key)]));
        head.extend(published.iter().map(|name| format!("{name} (published)")));
        let mut text = csv_line(&head);
        for row in &self.rows {
            let mut line = vec![row.name.clone(), row.num_finished().to_string(), row.runs.len().to_string()];
            let figure = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            for interval in columns.iter().map(|column| row.interval(column.key)) {
                line.push(figure(interval.map(|interval| interval.mean)));
                line.push(figure(interval.and_then(|interval| interval.half_width_95)));
            }
            line.extend(published.iter().map(|name| figure(row.published.get(*name).copied())));
            text += &csv_line(&line);
        }
        text
    }

    /// For programs: every run's figures too, all tagged `measured` or `published`.
    pub fn to_json(&self) -> Value {
        let measured = |row: &TableRow, column: &Column| {
            let interval = row.interval(column.key)?;
            let mut value = serde_json::to_value(interval).ok()?;
            value["values"] = json!(row.values(column.key));
            value["tag"] = json!("measured");
            Some((column.key.to_owned(), value))
        };
        let rows = self.rows.iter().map(|row| {
            let figures: serde_json::Map<String, Value> = COLUMNS.iter().filter_map(|column| measured(row, column)).collect();
            let published: serde_json::Map<String, Value> =
                row.published.iter().map(|(name, value)| (name.clone(), json!({"value": value, "tag": "published"}))).collect();
            let runs = row.runs.iter().map(|run| match &run.figures {
                Ok(figures) => json!({"seed": run.seed, "run": run.folder, "figures": figures}),
                Err(why) => json!({"seed": run.seed, "run": run.folder, "error": why}),
            });
            json!({
                "name": row.name,
                "settings": row.settings,
                "figures": figures,
                "published": published,
                "runs": runs.collect::<Vec<_>>(),
            })
        });
        let failed = self.failures().map(|(row, run, why)| json!({"row": row, "seed": run.seed, "run": run.folder, "error": why}));
        json!({
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "protocol": self.notes,
            "rows": rows.collect::<Vec<_>>(),
            "failed": failed.collect::<Vec<_>>(),
        })
    }

    /// The runs without a result, with their row's name and the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &RunResult, &str)> {
        self.rows
            .iter()
            .flat_map(|row| row.runs.iter().filter_map(move |run| Some((row.name.as_str(), run, run.figures.as_ref().err()?.as_str()))))
    }

    /// The columns of which some row has a figure.
    fn columns(&self) -> Vec<&'static Column> {
        COLUMNS.iter().filter(|column| self.rows.iter().any(|row| row.interval(column.key).is_some())).collect()
    }

    fn published(&self) -> BTreeSet<&str> {
        self.rows.iter().flat_map(|row| row.published.keys()).map(String::as_str).collect()
    }
}

impl Column {
    fn in_words(&self, interval: Interval) -> String {
        let scale = if self.is_share { 100.0 } else { 1.0 };
        let mean = format!("{:.*}", self.decimals, interval.mean * scale);
        interval.half_width_95.map_or(mean.clone(), |half| format!("{mean} ± {:.*}", self.decimals, half * scale))
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A line of CSV; what holds a comma, a quote or a line break is put in quotes.
fn csv_line(cells: &[String]) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}
