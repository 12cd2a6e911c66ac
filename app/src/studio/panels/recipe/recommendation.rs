//! One recipe for the folder that is open, on this machine: the engine looks at the images and measures, the person decides.

use std::path::PathBuf;

use egui::{Label, RichText, TextStyle, Ui};
use maskroom_core::recipe::Recipe;
use maskroom_widgets::{Banner, Button, Card, Tokens, Tone, format, icon};

use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use crate::studio::engine_question;
use crate::studio::job::Job;

/// The recommendation, and the one being made.
#[derive(Default)]
pub struct Recommendation {
    found: Option<Found>,
    failed: Option<String>,
    job: Option<Job<Found>>,
}

/// What the engine recommends.
struct Found {
    folder: PathBuf,
    reason: String,
    /// Unknown where the speed is.
    hours: Option<f64>,
    recipe: Recipe,
}

impl Recommendation {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        let Some(folder) = desk.project.path() else { return };
        if let Some(result) = self.job.as_ref().and_then(Job::poll) {
            self.job = None;
            match result {
                Ok(found) => (self.found, self.failed) = (Some(found), None),
                Err(error) => self.failed = Some(crate::cli::in_words(&error)),
            }
        }
        if self.found.as_ref().is_some_and(|found| found.folder != folder) {
            self.found = None;
        }
        if let Some(reason) = self.failed.clone()
            && Banner::new(Tone::Bad, "No recipe could be recommended").body(&reason).dismissible().show(ui)
        {
            self.failed = None;
        }
        Card::new().title("Recommended for this folder").show(ui, |ui| {
            let tokens = Tokens::of(ui);
            let quiet = |text: &str| Label::new(RichText::new(text).text_style(TextStyle::Small).color(tokens.text_muted)).wrap();
            if self.job.is_some() {
                ui.add(quiet("The engine looks at some images and times two networks; about a minute"));
                if Button::new("Cancel").icon(icon::CLOSE).small().show(ui).clicked() {
                    self.job = None;
                }
                return;
            }
            let Some(found) = &self.found else {
                ui.add(quiet("The largest model whose sensible training fits into a night here"));
                if Button::new("Find a recipe").icon(icon::STAR).small().show(ui).clicked() {
                    self.failed = None;
                    self.job = Some(look(ui.ctx(), desk, folder.to_path_buf()));
                }
                return;
            };
            ui.add(Label::new(&found.reason).wrap());
            let duration = found.hours.map_or_else(|| "duration unknown".to_owned(), |hours| format::duration(hours * 3600.0));
            let facts = format!("{} · {} epochs · {duration}", found.recipe.backbone.preset, found.recipe.optim.epochs);
            ui.add(quiet(&facts));
            let is_used = found.recipe == *desk.draft.recipe();
            ui.horizontal(|ui| {
                let use_it = Button::new(if is_used { "In use" } else { "Use it" }).icon(icon::CHECK).small().enabled(!is_used);
                if use_it.tooltip("Becomes the recipe; can be undone").show(ui).clicked() {
                    desk.ask(Edit::Text(found.recipe.to_short_toml().to_string()));
                }
                if Button::new("Look again").icon(icon::REFRESH).small().show(ui).clicked() {
                    self.job = Some(look(ui.ctx(), desk, folder.to_path_buf()));
                }
            });
        });
    }
}

fn look(context: &egui::Context, desk: Desk<'_>, folder: PathBuf) -> Job<Found> {
    let engine = desk.engine.to_path_buf();
    let arguments = engine_question::arguments(&["recipes", "--for", &folder.display().to_string()], desk.preferences);
    Job::start("choosing a recipe", context, move |progress| {
        let answer = engine_question::ask(&engine, &arguments, progress)?;
        let recommended = answer.get("recommended").unwrap_or(&serde_json::Value::Null);
        let text = |key: &str| recommended.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let hours = recommended.get("hours").and_then(serde_json::Value::as_f64);
        Ok(Found { folder, reason: text("reason"), hours, recipe: Recipe::from_toml(&text("recipe"))? })
    })
}
