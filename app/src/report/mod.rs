//! `report.html`: one run on one page that needs nothing but a browser. What there is to say is plain data ([`Report`]); [`page`] sets
//! it in type, [`chart`] draws it.

mod axis;
mod chart;
pub mod comparison;
mod curves;
mod figure;
mod page;
pub mod run_report;

pub use chart::{Chart, stack_svg};
pub use curves::curves_from_events;
pub use figure::{duration, figure, percent};

use maskroom_core::run::Figures;
use maskroom_widgets::tokens::Tokens;

/// A page about one run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The run's name.
    pub title: String,
    /// The recipe in words.
    pub subtitle: String,
    /// Short labels with short values: device, images, steps, duration.
    pub facts: Vec<(String, String)>,
    /// Whether it learned, in one sentence.
    pub verdict: Verdict,
    /// The rest, in order.
    pub sections: Vec<Section>,
    /// Version and time.
    pub footer: String,
}

impl Report {
    /// One self-contained HTML page that follows the reader's theme. No scripts, nothing loaded from anywhere.
    pub fn to_html(&self, dark: &Tokens, light: &Tokens) -> String {
        page::render(self, dark, light)
    }
}

/// The answer to "does it work", with the figures it rests on. What stands before the first colon is set in bold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Whether it works.
    pub good: bool,
    /// The sentence.
    pub text: String,
}

impl Verdict {
    /// Compares a held-out error with two guesses that need no network: the mean of the visible patches, and the nearest visible patch.
    /// All three in the same units.
    pub fn from_baselines(loss: f64, patch_mean: f64, nearest: f64) -> Self {
        Self::from_guesses(loss, &[("the mean of the visible patches", patch_mean), ("the nearest visible patch", nearest)])
    }

    /// Compares a held-out error with up to two guesses that need no network, each with its name. All in the same units.
    pub fn from_guesses(loss: f64, guesses: &[(&str, f64)]) -> Self {
        if !loss.is_finite() {
            let text = "The held-out error is not a number: the run diverged, and its last good checkpoint is from before that.";
            return Self { good: false, text: text.to_owned() };
        }
        let known: Vec<_> = guesses.iter().copied().filter(|(_, error)| error.is_finite() && *error > 0.0).collect();
        if known.is_empty() {
            return Self { good: false, text: format!("There is no baseline to compare with: the held-out error is {}.", figure(loss)) };
        }
        let beaten = known.iter().filter(|(_, error)| loss < *error).count();
        let claim = match (beaten, known.len()) {
            (2, 2) => "Beats both baselines",
            (1, 1) => "Beats the baseline",
            (1, 2) => "Beats one of two baselines",
            _ => "Does not yet beat guessing",
        };
        let clauses = known.iter().map(|(name, error)| {
            let change = (loss / error - 1.0).abs();
            let how = match (change < 0.005, loss < *error) {
                (true, _) => "the same to within 1\u{202f}%".to_owned(),
                (_, true) => format!("{} lower", percent(change)),
                (_, false) => format!("{} higher", percent(change)),
            };
            format!("{} for {name} ({how})", figure(*error))
        });
        let clauses: Vec<_> = clauses.collect();
        let text = format!("{claim}: the held-out error is {}, against {}.", figure(loss), clauses.join(" and "));
        Self { good: beaten == known.len(), text }
    }

    /// Judges a network that solves puzzles of so many possible answers by its share of right ones.
    pub fn from_accuracy(accuracy: f64, answers: usize) -> Self {
        let chance = 1.0 / answers.max(1) as f64;
        let good = accuracy > 2.0 * chance;
        let claim = match (good, accuracy > chance) {
            (true, _) => "Solves puzzles",
            (_, true) => "Hardly better than guessing",
            _ => "Does not yet beat guessing",
        };
        let text = format!("{claim}: {} of held-out ones are right, where guessing solves {}.", percent(accuracy), percent(chance));
        Self { good, text }
    }

    /// Judges a network that compares views by what its features use of their space: there is no error to hold against a guess.
    pub fn from_features(metrics: &Figures) -> Self {
        /// Below it, features are nearly all the same.
        const LEAST_SPREAD: f64 = 0.1;
        let metric = |name: &str| metrics.get(name).copied().filter(|value| value.is_finite());
        let (Some(spread), Some(rank)) = (metric("feature_spread"), metric("effective_rank")) else {
            return Self { good: false, text: "Not judged: the features are no numbers.".into() };
        };
        let good = spread >= LEAST_SPREAD;
        let claim = if good { "Features tell images apart" } else { "Features are nearly the same for all images" };
        let text = format!("{claim}: their spread is {} of an even one, and they take up {} dimensions.", percent(spread), figure(rank));
        Self { good, text }
    }
}

/// A part of the page under its own heading.
#[derive(Debug, Clone)]
pub enum Section {
    /// Charts; small ones stand side by side under the large ones.
    Curves {
        /// The heading.
        title: String,
        /// What to look for, in a sentence or two; may be empty.
        note: String,
        /// The charts.
        charts: Vec<Chart>,
    },
    /// Pictures. With headings: strips under each other, each strip as many equal columns as there are headings. Without: a gallery.
    Pictures {
        /// The heading.
        title: String,
        /// What to look for, and what is borrowed from the original.
        note: String,
        /// Column headings of the strips.
        headings: Vec<String>,
        /// The pictures.
        images: Vec<Picture>,
    },
    /// Figures between 0 and 1 as bars.
    Bars {
        /// The heading.
        title: String,
        /// What is compared, and by which protocol.
        note: String,
        /// The bars.
        rows: Vec<Bar>,
    },
    /// Figures as a table.
    Table {
        /// The heading.
        title: String,
        /// What the columns mean; may be empty.
        note: String,
        /// Column headings, units included.
        headings: Vec<String>,
        /// Cells by row. Columns of numbers are set flush right.
        rows: Vec<Vec<String>>,
    },
    /// Text to unfold, such as the recipe.
    Code {
        /// The heading.
        title: String,
        /// The text.
        text: String,
    },
}

impl Section {
    /// The same under a heading that names what it is of.
    pub fn of(mut self, what: &str) -> Self {
        let (Self::Curves { title, .. }
        | Self::Pictures { title, .. }
        | Self::Bars { title, .. }
        | Self::Table { title, .. }
        | Self::Code { title, .. }) = &mut self;
        *title = format!("{title}: {what}");
        self
    }
}

/// One picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// A PNG file.
    pub png: Vec<u8>,
    /// What it shows; may be empty.
    pub caption: String,
    /// Its width on the page as CSS, such as `160px` or `100%`.
    pub width_css: String,
}

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What was measured.
    pub label: String,
    /// The figure, 0 to 1; NaN where it could not be measured.
    pub value: f64,
    /// Whether it is what the page is about; the others are for comparison.
    pub emphasis: bool,
    /// How to read it; may be empty.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_are_all_the_same_are_no_success() {
        let of = |spread: f64| {
            let metrics = [("feature_spread", spread), ("effective_rank", 7.3)].map(|(name, value)| (name.to_owned(), value));
            Verdict::from_features(&metrics.into())
        };
        assert!(of(0.6).good && of(0.6).text.contains("7.3 dimensions"), "{}", of(0.6).text);
        assert!(!of(0.01).good && !of(f64::NAN).good && !Verdict::from_features(&Figures::new()).good);
    }

    #[test]
    fn puzzles_are_held_against_guessing() {
        let of = |accuracy: f64| Verdict::from_accuracy(accuracy, 4);
        assert!(
            of(0.8).good && of(0.8).text == "Solves puzzles: 80\u{202f}% of held-out ones are right, where guessing solves 25\u{202f}%."
        );
        assert!(!of(0.3).good && of(0.3).text.starts_with("Hardly better") && of(0.2).text.starts_with("Does not yet beat"));
    }

    #[test]
    fn verdicts_say_what_was_beaten_and_by_how_much() {
        let verdict = Verdict::from_baselines(0.018, 0.03, 0.024);
        assert!(verdict.good);
        let expected = "Beats both baselines: the held-out error is 0.018, against 0.03 for the mean of the visible patches (40\u{202f}% lower) \
                        and 0.024 for the nearest visible patch (25\u{202f}% lower).";
        assert_eq!(verdict.text, expected);
        let verdict = Verdict::from_baselines(0.027, 0.03, 0.024);
        assert!(
            !verdict.good && verdict.text.starts_with("Beats one of two") && verdict.text.contains("12\u{202f}% higher"),
            "{}",
            verdict.text
        );
        assert!(Verdict::from_baselines(0.04, 0.03, 0.024).text.starts_with("Does not yet beat guessing"));
        assert!(Verdict::from_baselines(0.03, 0.03, 0.02).text.contains("(the same to within 1"));
        assert!(Verdict::from_baselines(0.02, 0.03, f64::NAN).text.starts_with("Beats the baseline"));
        for verdict in [Verdict::from_baselines(f64::NAN, 0.1, 0.1), Verdict::from_baselines(0.1, f64::NAN, f64::INFINITY)] {
            assert!(!verdict.good && !verdict.text.contains("NaN"), "{}", verdict.text);
        }
    }
}
