//! What a recipe costs here: a few steps are measured by the engine in a process of its own, and the rest is counted.

use std::path::PathBuf;

use egui::{Label, RichText, TextStyle, Ui};
use maskroom_core::dataset::Split;
use maskroom_core::optim::schedule::Plan;
use maskroom_core::recipe::Recipe;
use maskroom_core::train::data::TrainingData;
use maskroom_widgets::{Banner, Button, EmptyState, Section, Stat, Tokens, Tone, format, icon};

use super::settings::{at, table};
use crate::studio::desk::Desk;
use crate::studio::engine_question;
use crate::studio::job::Job;

/// The measurement, and the one under way.
#[derive(Default)]
pub struct Cost {
    measured: Option<Measured>,
    failed: Option<String>,
    job: Option<Job<Measured>>,
    /// Images that train, and what they were counted for.
    images: Option<(u64, PathBuf, usize)>,
}

/// What a few steps have shown.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    /// The command line that measured it: it names all that the speed depends on.
    question: Vec<String>,
    images_per_second: f64,
    peak_mib: Option<u64>,
    device: String,
    /// The loader alone, on the project's images.
    loaded_per_second: f64,
}

/// How long the training takes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    step_secs: f64,
    epoch_secs: f64,
    total_secs: f64,
    steps: usize,
    steps_per_epoch: usize,
}

/// Timed steps, after the engine's own warm-up.
const STEPS: &str = "2";
/// Seconds for which the loader is measured.
const LOADING_SECS: &str = "3";
/// The parts of a recipe that decide how fast a step is.
const PARTS: [&str; 7] =
    ["data.image", "data.channels", "augment.crop_scale", "optim.batch", "optim.accumulate", "optim.recompute", "backbone.preset"];
const STAGES: [&str; 5] = ["mask", "backbone", "decoder", "target", "objective"];

impl Cost {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.receive();
        let question = question(desk);
        if self.job.is_some() {
            self.wait(ui);
            return;
        }
        if let Some(reason) = self.failed.clone()
            && Banner::new(Tone::Bad, "The steps could not be measured").body(&reason).dismissible().show(ui)
        {
            self.failed = None;
        }
        let Some(measured) = self.measured.clone() else {
            let hint = "A few steps on stand-in images and a few seconds of loading yours tell speed, memory and duration";
            EmptyState::new(icon::SPEED, "Nothing measured yet", hint).height(9.0 * Tokens::of(ui).sizes.row).show_with_actions(ui, |ui| {
                self.measure_button(ui, desk, &question, "Measure");
            });
            return;
        };
        if measured.question != question {
            let body = "What decides the speed has changed since: a setting, the device, or the folder";
            Banner::new(Tone::Warning, "Measured for another recipe").body(body).show_with_actions(ui, |ui| {
                self.measure_button(ui, desk, &question, "Measure again");
            });
        }
        self.figures(ui, desk, &measured);
        if measured.question == question {
            ui.add_space(Tokens::of(ui).sizes.gap);
            self.measure_button(ui, desk, &question, "Measure again");
        }
    }

    fn receive(&mut self) {
        let Some(result) = self.job.as_ref().and_then(Job::poll) else { return };
        self.job = None;
        match result {
            Ok(measured) => (self.measured, self.failed) = (Some(measured), None),
            Err(error) => self.failed = Some(crate::cli::in_words(&error)),
        }
    }

    fn wait(&mut self, ui: &mut Ui) {
        let tokens = Tokens::of(ui);
        ui.horizontal(|ui| {
            ui.label(RichText::new(icon::TIMER).color(tokens.text_muted));
            ui.label("Measuring a few steps");
            if Button::new("Cancel").icon(icon::CLOSE).small().show(ui).clicked() {
                self.job = None;
            }
        });
        let words = "The engine builds the network in a process of its own; a large one takes minutes";
        ui.add(Label::new(RichText::new(words).text_style(TextStyle::Small).color(tokens.text_muted)).wrap());
    }

    fn measure_button(&mut self, ui: &mut Ui, desk: Desk<'_>, question: &[String], words: &str) {
        let busy = desk.runs.active().map(|run| format!("{} is training: what is measured beside it is too slow", run.name()));
        let possible = desk.draft.is_valid() && desk.project.path().is_some();
        let why = match (&busy, possible) {
            (_, false) => "A folder and a recipe without problems are needed",
            (Some(busy), true) => busy,
            (None, true) => "Some seconds to minutes; the window goes on meanwhile",
        };
        if Button::new(words).icon(icon::SPEED).enabled(possible).tooltip(why).show(ui).clicked() {
            self.failed = None;
            self.job = Some(measure(ui.ctx(), desk, question.to_vec()));
        }
    }

    fn figures(&mut self, ui: &mut Ui, desk: Desk<'_>, measured: &Measured) {
        let recipe = desk.draft.recipe();
        let images = self.num_train(desk);
        let estimate = estimate(recipe, images, measured);
        let tokens = Tokens::of(ui);
        Section::new("A step").note(&measured.device).show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = tokens.sizes.gap_large;
                let rate = format!("{:.1}", measured.rate());
                Stat::new("Throughput", &rate).unit("img/s").show(ui);
                Stat::new("Step", &format!("{:.2}", estimate.step_secs)).unit("s").show(ui);
                let memory = measured.peak_mib.map(|mib| format::bytes(mib << 20)).unwrap_or_default();
                let (number, unit) = memory.split_once(' ').unwrap_or((&memory, ""));
                Stat::new("Memory of the process", number).unit(unit).show(ui);
            });
            if measured.loaded_per_second < measured.images_per_second {
                let words = format!(
                    "Loading holds it up: {:.0} images are loaded each second, {:.0} could be trained; smaller files or a cache for decoded images help",
                    measured.loaded_per_second, measured.images_per_second
                );
                ui.add(Label::new(RichText::new(words).text_style(TextStyle::Small).color(tokens.warning)).wrap());
            }
        });
        ui.add_space(tokens.sizes.gap);
        Section::new("The training").note(&format!("{} images train", format::count(images as u64))).show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = tokens.sizes.gap_large;
                for (name, text) in [
                    ("An epoch", duration(estimate.epoch_secs)),
                    ("All of it", duration(estimate.total_secs)),
                    ("Done, if started now", finish(estimate.total_secs)),
                ] {
                    Stat::new(name, &text).show(ui);
                }
            });
            let counted = format!(
                "{} steps, {} an epoch, {} images each; validations and previews come on top",
                format::count(estimate.steps as u64),
                format::count(estimate.steps_per_epoch as u64),
                recipe.effective_batch()
            );
            ui.add(Label::new(RichText::new(counted).text_style(TextStyle::Small).color(tokens.text_muted)).wrap());
        });
    }

    /// How many images the recipe trains on, counted anew when the recipe or the folder has changed.
    fn num_train(&mut self, desk: Desk<'_>) -> usize {
        let (Some(dataset), Some(path)) = (desk.project.dataset(), desk.project.path()) else { return 0 };
        let generation = desk.draft.generation();
        if let Some((known, folder, images)) = &self.images
            && *known == generation
            && folder == path
        {
            return *images;
        }
        let recipe = desk.draft.recipe();
        let left_out: std::collections::HashSet<&str> = recipe.data.exclude.iter().map(String::as_str).collect();
        let kept = dataset.items.iter().filter(|item| !left_out.contains(item.name.as_str()));
        let splits: Vec<Option<Split>> = kept.map(|item| item.split).collect();
        let images = TrainingData::split(std::sync::Arc::clone(dataset) as _, &splits, recipe).train.len();
        self.images = Some((generation, path.to_path_buf(), images));
        images
    }
}

impl Measured {
    /// Images per second, the slower of loading and training.
    fn rate(&self) -> f64 {
        self.images_per_second.min(self.loaded_per_second)
    }
}

/// All that the speed depends on, as arguments of the engine.
fn question(desk: Desk<'_>) -> Vec<String> {
    let folder = desk.project.path().map(|path| path.display().to_string()).unwrap_or_default();
    let mut words = recipe_arguments(desk.draft.recipe());
    words.extend(engine_question::arguments(&["--data", &folder], desk.preferences));
    words
}

/// `--recipe METHOD --set KEY=VALUE …` with the settings that decide the speed.
fn recipe_arguments(recipe: &Recipe) -> Vec<String> {
    let table = table(recipe);
    let mut arguments = vec!["--recipe".to_owned(), recipe.method.clone()];
    let mut set = |path: &str, value: &toml::Value| arguments.extend(["--set".to_owned(), format!("{path}={value}")]);
    for path in PARTS {
        if let Some(value) = at(&table, path) {
            set(path, value);
        }
    }
    // The engine measures them when a run is prepared; for the speed any will do.
    if recipe.data.mean.is_empty() {
        let channels = recipe.data.channels;
        set("data.mean", &vec![0.0; channels].into());
        set("data.std", &vec![1.0; channels].into());
    }
    for stage in STAGES {
        for (key, value) in table.get(stage).and_then(toml::Value::as_table).into_iter().flatten() {
            set(&format!("{stage}.{key}"), value);
        }
    }
    arguments
}

fn measure(context: &egui::Context, desk: Desk<'_>, question: Vec<String>) -> Job<Measured> {
    let engine = desk.engine.to_path_buf();
    let recipe = recipe_arguments(desk.draft.recipe());
    let words: Vec<&str> = ["bench", "train", "--steps", STEPS].into_iter().chain(recipe.iter().map(String::as_str)).collect();
    let steps = engine_question::arguments(&words, desk.preferences);
    let folder = desk.project.path().map(|path| path.display().to_string()).unwrap_or_default();
    let words = ["bench", "load", "--data", &folder, "--seconds", LOADING_SECS].into_iter().chain(recipe.iter().map(String::as_str));
    let loading = engine_question::arguments(&words.collect::<Vec<_>>(), desk.preferences);
    Job::start("measuring steps", context, move |progress| {
        let steps = engine_question::ask(&engine, &steps, progress)?;
        let loading = engine_question::ask(&engine, &loading, progress)?;
        let number = |answer: &serde_json::Value, key: &str| answer.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Ok(Measured {
            question,
            images_per_second: number(&steps, "images_per_second"),
            peak_mib: steps.get("peak_mib").and_then(serde_json::Value::as_u64),
            device: steps.get("device").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
            loaded_per_second: number(&loading, "images_per_second"),
        })
    })
}

fn estimate(recipe: &Recipe, images: usize, measured: &Measured) -> Estimate {
    let plan = Plan::new(recipe, images);
    let step_secs = recipe.effective_batch() as f64 / measured.rate().max(f64::MIN_POSITIVE);
    Estimate {
        step_secs,
        epoch_secs: step_secs * plan.steps_per_epoch as f64,
        total_secs: step_secs * plan.steps_total as f64,
        steps: plan.steps_total,
        steps_per_epoch: plan.steps_per_epoch,
    }
}

fn duration(secs: f64) -> String {
    if secs < 60.0 { format!("{secs:.1} s") } else { format::duration(secs) }
}

/// The hour of the clock in so many seconds, with the day unless it is today.
fn finish(secs: f64) -> String {
    let now = chrono::Local::now();
    let Some(done) = chrono::TimeDelta::try_milliseconds((secs * 1e3) as i64).and_then(|delta| now.checked_add_signed(delta)) else {
        return String::new();
    };
    let days = (done.date_naive() - now.date_naive()).num_days();
    match days {
        0 => done.format("%H:%M").to_string(),
        1 => done.format("tomorrow %H:%M").to_string(),
        2..=300 => done.format("%-d %b %H:%M").to_string(),
        _ => done.format("%-d %b %Y").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use maskroom_core::recipe::Base;

    use super::*;

    fn recipe(sets: &[(&str, &str)]) -> Recipe {
        let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Recipe::resolve(Base::Preset("mae"), &sets).unwrap()
    }

    #[test]
    fn the_arguments_name_what_decides_the_speed_and_nothing_else() {
        let arguments = recipe_arguments(&recipe(&[("mask.kind", "block"), ("optim.batch", "8")]));
        for set in ["mask.kind=\"block\"", "mask.ratio=0.4", "optim.batch=8", "data.image=[224, 224]", "backbone.width=192"] {
            assert!(arguments.iter().any(|argument| argument == set), "{set} in {arguments:?}");
        }
        let slower = recipe_arguments(&recipe(&[("mask.kind", "block"), ("optim.batch", "8"), ("optim.base_lr", "0.1"), ("seed", "4")]));
        assert_eq!(slower, arguments);
        assert_ne!(recipe_arguments(&recipe(&[("optim.batch", "16"), ("mask.kind", "block")])), arguments);
        // They mean the recipe that they were made of.
        let sets: Vec<_> =
            arguments[2..].iter().filter_map(|set| set.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect();
        let back = Recipe::resolve(Base::Preset(&arguments[1]), &sets).unwrap();
        assert_eq!(back, recipe(&[("mask.kind", "block"), ("optim.batch", "8")]));
    }

    #[test]
    fn the_duration_is_counted_from_the_slower_of_loading_and_training() {
        let measured =
            Measured { question: Vec::new(), images_per_second: 100.0, peak_mib: None, device: String::new(), loaded_per_second: 50.0 };
        let known = estimate(&recipe(&[("optim.epochs", "10"), ("optim.accumulate", "2")]), 1_280, &measured);
        assert_eq!((known.steps_per_epoch, known.steps), (10, 100));
        assert_eq!((known.step_secs, known.epoch_secs, known.total_secs), (2.56, 25.6, 256.0));
    }
}
