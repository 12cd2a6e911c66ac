//! The foot of the recipe: what the run starts from, what it is called, and the button.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use egui::{Align, Context, Label, Layout, Response, RichText, TextEdit, TextStyle, Ui};
use maskroom_core::method::sizes;
use maskroom_core::recipe::Recipe;
use maskroom_core::registry::Settings;
use maskroom_core::weights::model_file::Weights;
use maskroom_widgets::{Button, Tokens, icon};

use crate::studio::ask::Ask;
use crate::studio::command::Command;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use crate::studio::panels::controls::menu;
use crate::studio::panels::elsewhere;
use crate::studio::project::name_of;
use crate::studio::worker::Worker;

/// Which recipe the weights of a file were trained with, or why that cannot be told.
type Origin = Result<Recipe, String>;

/// Looks into files of weights.
pub struct Start {
    worker: Worker<PathBuf, (PathBuf, Origin)>,
    known: BTreeMap<PathBuf, Origin>,
}

impl Start {
    /// Knows no weights yet.
    pub fn new(context: &Context) -> Self {
        let worker = Worker::start("origin of weights", context, |path: PathBuf| {
            let origin = Weights::origin(&path).map(|(recipe, _)| recipe).map_err(|error| error.to_string());
            (path, origin)
        });
        Self { worker, known: BTreeMap::new() }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.known.extend(self.worker.answers());
        let tokens = Tokens::of(ui);
        ui.horizontal(|ui| {
            ui.label(RichText::new("Start from").color(tokens.text_muted));
            self.choice(ui, desk);
        });
        if let Some(path) = desk.draft.start_from() {
            self.verdict(ui, desk, path);
        }
        ui.horizontal(|ui| {
            let waits = desk.runs.active().map(|run| run.name());
            let why = match (desk.project.dataset(), &waits) {
                (None, _) => "Open a folder of images first".to_owned(),
                _ if !desk.draft.is_valid() => "The recipe has problems".to_owned(),
                (_, Some(busy)) => format!("It waits until {busy} is done"),
                _ => "Makes a run of this recipe and trains it".to_owned(),
            };
            let words = if waits.is_some() { "Queue run" } else { "Start training" };
            let possible = desk.project.dataset().is_some() && desk.draft.is_valid();
            let mut name = desk.draft.name().to_owned();
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if Button::new(words).icon(icon::PLAY).primary().enabled(possible).tooltip(why).show(ui).clicked() {
                    desk.ask(Ask::Start { name: name.clone() });
                }
                let room = ui.available_width();
                if ui.add(TextEdit::singleline(&mut name).hint_text("Name of the run").desired_width(room)).changed() {
                    desk.ask(Edit::Name(name));
                }
            });
        });
    }

    fn choice(&self, ui: &mut Ui, desk: Desk<'_>) -> Response {
        let chosen = desk.draft.start_from();
        let words = match chosen {
            None => "random weights".to_owned(),
            Some(path) => desk.runs.get(path).map_or_else(|| name_of(path), |run| format!("the last checkpoint of {}", run.name())),
        };
        let shown = menu(ui, "Start from", &words, ui.available_width(), |ui| {
            if ui.selectable_label(chosen.is_none(), "random weights").clicked() {
                desk.ask(Edit::StartFrom(None));
            }
            for run in desk.runs.list().iter().filter(|run| !run.view.checkpoints.is_empty()) {
                let path = &run.folder.root;
                if ui.selectable_label(chosen == Some(path), run.name()).clicked() {
                    desk.ask(Edit::StartFrom(Some(path.clone())));
                }
            }
            elsewhere::recent(ui, desk, |path| chosen == Some(path), |path| desk.ask(Edit::StartFrom(Some(path.to_path_buf()))));
            if ui.selectable_label(false, "a file…").clicked() {
                desk.ask(Command::ChooseWeights);
            }
        });
        if let Some(path) = chosen { shown.on_hover_text(path.display().to_string()) } else { shown }
    }

    /// Whether the chosen weights fit the recipe.
    fn verdict(&self, ui: &mut Ui, desk: Desk<'_>, path: &Path) {
        let tokens = Tokens::of(ui);
        let of_a_run = desk.runs.get(path).and_then(|run| run.recipe.clone()).map(Ok);
        let Some(origin) = of_a_run.or_else(|| self.known.get(path).cloned()) else {
            if !self.worker.is_busy() {
                self.worker.ask(path.to_path_buf());
            }
            return;
        };
        let (text, color, theirs) = match origin {
            Err(reason) => (reason, tokens.bad, None),
            Ok(recipe) => match misfits(&recipe, desk.draft.recipe()) {
                misfits if misfits.is_empty() => {
                    (format!("{} of {}, which fits", recipe.backbone.preset, recipe.method), tokens.text_muted, None)
                }
                misfits => (format!("These weights do not fit the recipe: {}", shortened(&misfits)), tokens.bad, Some(recipe)),
            },
        };
        ui.add(Label::new(RichText::new(text).text_style(TextStyle::Small).color(color)).wrap());
        if let Some(theirs) = theirs
            && Button::new("Use their recipe").icon(icon::RECIPE).small().tooltip("Becomes the recipe; can be undone").show(ui).clicked()
        {
            desk.ask(Edit::Text(theirs.to_short_toml().to_string()));
        }
    }
}

/// Enough of a list to understand.
fn shortened(misfits: &[String]) -> String {
    const TOLD: usize = 3;
    let told = misfits.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    if misfits.len() > TOLD { format!("{told}; and {} more", misfits.len() - TOLD) } else { told }
}

/// What the network of the weights has otherwise than the wanted one, each with both values.
fn misfits(theirs: &Recipe, wanted: &Recipe) -> Vec<String> {
    let facts = |recipe: &Recipe| {
        let (backbone, decoder) = (&recipe.backbone, &recipe.decoder);
        let [height, width] = recipe.data.image;
        let target_width = sizes(recipe).map(|sizes| sizes.prediction_width).unwrap_or_default();
        let mut facts = BTreeMap::from([
            ("family".to_owned(), backbone.sizes.kind.clone()),
            ("patch".to_owned(), backbone.patch.to_string()),
            ("image".to_owned(), format!("{height}x{width}")),
            ("channels".to_owned(), recipe.data.channels.to_string()),
            ("decoder".to_owned(), decoder.kind.clone()),
            ("numbers per target".to_owned(), target_width.to_string()),
        ]);
        let shapeless = ["init", "eps", "pos_order"];
        let knobs = |knobs: &Settings, of: &str| {
            let knobs = knobs.iter().filter(|(key, _)| !shapeless.contains(&key.as_str()));
            knobs.map(|(key, value)| (format!("{of}{}", key.replace('_', " ")), value.to_string())).collect::<Vec<_>>()
        };
        facts.extend(knobs(&backbone.sizes.knobs, ""));
        facts.extend(knobs(&decoder.knobs, "decoder "));
        facts
    };
    let (theirs, wanted) = (facts(theirs), facts(wanted));
    let differing =
        wanted.iter().filter_map(|(name, wanted)| Some((name, theirs.get(name)?, wanted)).filter(|(_, theirs, wanted)| theirs != wanted));
    differing.map(|(name, theirs, wanted)| format!("{name} {theirs}, not {wanted}")).collect()
}

#[cfg(test)]
mod tests {
    use maskroom_core::recipe::Base;

    use super::*;

    #[test]
    fn weights_fit_the_same_network_whatever_its_training() {
        let recipe = |sets: &[(&str, &str)]| {
            let sets: Vec<_> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            Recipe::resolve(Base::Preset("mae"), &sets).unwrap()
        };
        let wanted = recipe(&[]);
        assert!(misfits(&recipe(&[("optim.epochs", "3"), ("mask.kind", "block"), ("seed", "9")]), &wanted).is_empty());
        assert_eq!(misfits(&recipe(&[("backbone.depth", "6")]), &wanted), ["depth 6, not 12"]);
        assert_eq!(misfits(&recipe(&[("data.image", "96")]), &wanted), ["image 96x96, not 224x224"]);
    }
}
