//! The Reconstructions panel: what the network draws where it was hidden, over the whole run or by weights from elsewhere, and where its
//! brightness comes from; of networks that draw nothing, where they look, and how they solve puzzles.

mod drawing;
mod loader;
mod pictures;
mod preview_images;
mod timeline;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Context, Label, RichText, ScrollArea, TextStyle, Ui};
use maskroom_core::inspect::colormap::ColorMap;
use maskroom_core::inspect::preview::{Brightness, NORMALIZED_RANGE};
use maskroom_core::inspect::puzzles;
use maskroom_widgets::format::count;
use maskroom_widgets::{Banner, ElidedLabel, EmptyState, Legend, Ramp, Role, Segmented, Tokens, Tone, fonts, icon};

use super::{Panel, elsewhere, image_strip};
use crate::guesses::Guesses;
use crate::studio::desk::Desk;
use crate::studio::imported::Known;
use crate::studio::job::PANICKED;
use crate::studio::looked_at::LookedAt;
use crate::studio::runs::{Run, RunState};
use drawing::{Drawing, Question};
use loader::{Key, Loaded, Loader};
use pictures::Enlarged;
use preview_images::PreviewImages;
use timeline::{Moment, Timeline, moments};

/// What the panel shows now.
pub struct ReconstructionsPanel {
    loader: Loader,
    drawing: Drawing,
    /// The run that the choices below are about, or the weights from elsewhere.
    run: PathBuf,
    timeline: Timeline,
    images: PreviewImages,
    enlarged: Option<Enlarged>,
    brightness: Brightness,
}

const BRIGHTNESSES: [Brightness; 3] = [Brightness::Original, Brightness::Visible, Brightness::Normalized];
const BRIGHTNESS_WORDS: [&str; 3] = ["Borrowed", "Visible only", "As predicted"];

impl ReconstructionsPanel {
    /// Nothing shown yet.
    pub fn new(context: &Context) -> Self {
        Self {
            loader: Loader::new(context),
            drawing: Drawing::new(context),
            run: PathBuf::new(),
            timeline: Timeline::default(),
            images: PreviewImages::default(),
            enlarged: None,
            brightness: Brightness::default(),
        }
    }

    /// Begins anew when another run is selected, or other weights.
    fn follow(&mut self, path: &Path) {
        if self.run != path {
            self.run = path.to_path_buf();
            (self.timeline, self.images, self.enlarged) = (Timeline::default(), PreviewImages::default(), None);
        }
    }

    fn key(&self, moment: Moment) -> Key {
        Key { run: self.run.clone(), step: moment.step, times: moment.times, brightness: self.brightness }
    }

    fn previews(&mut self, ui: &mut Ui, desk: Desk<'_>, run: &Run, moments: &[Moment]) {
        let place = self.timeline.place(moments);
        let Some(&moment) = moments.get(place) else { return };
        let wanted: Vec<Key> = self.timeline.wanted(moments).into_iter().map(|place| self.key(moments[place])).collect();
        self.loader.read_first(wanted);
        let loaded = self.loader.get(&self.key(moment));
        let tokens = Tokens::of(ui);
        headline(ui, run, moment, place, moments.len());
        let marks: Vec<usize> =
            run.view.checkpoints.iter().filter_map(|step| moments.binary_search_by_key(step, |moment| moment.step).ok()).collect();
        self.timeline.show(ui, moments, &marks, loaded.is_some());
        match loaded {
            None => EmptyState::new(icon::COMPARE, "Reading", "The preview is on its way from the disk").show(ui),
            Some(Err(reason)) => EmptyState::new(icon::WARNING, "This preview cannot be shown", &reason).show(ui),
            Some(Ok(loaded)) => {
                self.choose_brightness(ui, &loaded);
                let room = ui.available_height();
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = tokens.sizes.gap_small;
                    self.pictures(ui, guess_of(run), &loaded, room);
                    ui.add_space(tokens.sizes.gap);
                    let names: Vec<String> = loaded.images.iter().map(|image| image.name.clone()).collect();
                    self.images.show(ui, desk, run, &names);
                });
            }
        }
    }

    fn choose_brightness(&mut self, ui: &mut Ui, loaded: &Loaded) {
        if !loaded.brightness_borrowed {
            return;
        }
        ui.horizontal(|ui| {
            ElidedLabel::new("Brightness").role(Role::TextMuted).show(ui);
            let mut index = BRIGHTNESSES.iter().position(|&brightness| brightness == self.brightness).unwrap_or(0);
            if Segmented::new("Brightness of predictions", &BRIGHTNESS_WORDS).show(ui, &mut index).changed() {
                self.brightness = BRIGHTNESSES[index];
            }
        });
    }

    /// What weights from elsewhere draw on the selected image, or why they draw nothing.
    fn by_imported(&mut self, ui: &mut Ui, desk: Desk<'_>, known: &Known) {
        elsewhere::line(ui, desk, known);
        let Some(dataset) = desk.project.dataset() else {
            return EmptyState::new(icon::IMAGE, "No images yet", "Open a folder, and see what these weights draw on its images").show(ui);
        };
        image_strip::show(ui, desk, dataset);
        let draws_nothing = known.draws_nothing();
        if let Some(words) = &draws_nothing {
            Banner::new(Tone::Info, "Nothing can be reconstructed").body(words).show(ui);
        }
        self.drawing.ask(Question {
            dataset: Arc::clone(dataset),
            sample: desk.project.selected(),
            weights: known.path.clone(),
            predicts: draws_nothing.is_none(),
            brightness: self.brightness,
        });
        match self.drawing.by(&known.path) {
            _ if self.drawing.has_failed() => EmptyState::new(icon::WARNING, "This image cannot be drawn", PANICKED).show(ui),
            None => EmptyState::new(icon::COMPARE, "Drawing", "The network is shown the image for the first time").show(ui),
            Some(Err(reason)) => EmptyState::new(icon::WARNING, "This image cannot be drawn", &reason).show(ui),
            Some(Ok(loaded)) => {
                self.choose_brightness(ui, &loaded);
                let room = ui.available_height();
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = Tokens::of(ui).sizes.gap_small;
                    self.pictures(ui, None, &loaded, room);
                });
            }
        }
    }

    /// `guess` is what a simple guess scores, and that guess in words.
    fn pictures(&mut self, ui: &mut Ui, guess: Option<(f64, &str)>, loaded: &Loaded, room: f32) {
        let tokens = Tokens::of(ui);
        let errors = loaded.errors.iter().flat_map(|errors| (0..errors.num_heads()).map(|image| errors.maximum(0, image)));
        let largest = errors.fold(f32::MIN_POSITIVE, f32::max);
        let error_top = guess.map_or(largest, |(guess, _)| 2.0 * guess as f32);
        match &mut self.enlarged {
            Some(enlarged) => {
                // The buttons above it and the legend below stay in sight.
                let height = (room - 8.0 * tokens.sizes.row).max(200.0);
                if !enlarged.show(ui, loaded, error_top, height) {
                    self.enlarged = None;
                }
            }
            None => self.enlarged = pictures::rows(ui, loaded, error_top),
        }
        ui.add_space(tokens.sizes.gap_small);
        note(ui, &words_of(loaded, self.brightness));
        if loaded.errors.is_none() {
            return;
        }
        ui.add_space(tokens.sizes.gap_small);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = tokens.sizes.gap_large;
            let of_patch = if loaded.hides { "Squared error of a patch" } else { "Error of a patch" };
            Legend::new(of_patch, Ramp::heat()).range([0.0, error_top]).show(ui);
            if loaded.brightness_borrowed && self.brightness == Brightness::Normalized {
                Legend::new("Normalized brightness", Ramp::from_rgb(&ColorMap::Gray.table())).range(NORMALIZED_RANGE).show(ui);
            }
        });
        if let Some((_, guess)) = guess {
            note(ui, &format!("The middle of the scale is what {guess} scores: darker is better than that guess."));
        }
    }
}

/// Which preview it is, and what is known of it.
fn headline(ui: &mut Ui, run: &Run, moment: Moment, place: usize, num_moments: usize) {
    let validation = run.view.validations.iter().rev().find(|validation| validation.step == moment.step);
    let loss =
        validation.filter(|found| found.loss.is_finite()).map_or(String::new(), |found| format!(", validation loss {:.4}", found.loss));
    let words = format!("Step {}{loss}, preview {} of {}", count(moment.step), place + 1, num_moments);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = Tokens::of(ui).sizes.gap_small;
        ElidedLabel::new(&run.name()).style(TextStyle::Heading).show(ui);
        ElidedLabel::new(&words).style(fonts::mono_small()).role(Role::TextMuted).show(ui);
    });
}

/// What predicting the mean of the visible patches scores on fixed images: a scale that stays the same over the run.
fn guess_of(run: &Run) -> Option<(f64, &'static str)> {
    let guess = run.view.validations.last()?.baseline_patch_mean;
    let words = if run.target() == "pixels" { "the mean of the visible patches" } else { Guesses::of(run.target()).mean[1] };
    (guess.is_finite() && guess > 0.0).then_some((guess, words))
}

/// What must be known to read the pictures.
fn words_of(loaded: &Loaded, brightness: Brightness) -> String {
    const NO_LOSS: &str = "Where a patch was visible the prediction carries no loss and means little.";
    if let Some([solved, posed]) = loaded.solved {
        return format!(
            "{solved} of {posed} puzzles are solved. Here, {}. Under Heads, each head of the last block has a color where 60 % of the \
             class token's attention is.",
            puzzles::NOTE
        );
    }
    if loaded.errors.is_none() {
        return "Nothing is hidden, and nothing drawn: these are the places that the class token of the last block looks at. Under Heads, each \
                head has a color where 60 % of its attention is; every other picture is one head, bright where it looks most."
            .into();
    }
    let words = match brightness {
        _ if loaded.depicted_as.is_some() => "This network predicts no pixels: prediction and target are drawn alike.",
        _ if !loaded.brightness_borrowed => "Predictions are shown as the network drew them.",
        Brightness::Original => {
            "Brightness and contrast of each predicted patch are borrowed from the original: this network predicts neither of them."
        }
        Brightness::Visible => {
            "Brightness and contrast of each predicted patch come from the four visible patches that are nearest to it: nothing is borrowed \
             from what was hidden."
        }
        Brightness::Normalized => {
            "As predicted, in normalized units: each patch of the original has mean 0 and deviation 1, and is shown so too. Gray is 0."
        }
    };
    if !loaded.hides {
        return "Nothing is hidden: the network predicts all of the image from what it was shown, and the prediction is as it drew it."
            .into();
    }
    let depicted = loaded.depicted_as.map_or(String::new(), |note| format!(" Here, {note}."));
    let visible = if loaded.all_count { "All patches count, visible ones too." } else { NO_LOSS };
    format!("{words}{depicted} {visible}")
}

fn note(ui: &mut Ui, words: &str) {
    let muted = Tokens::of(ui).text_muted;
    ui.add(Label::new(RichText::new(words).text_style(TextStyle::Small).color(muted)).wrap());
}

/// What to say of a run that has no preview yet.
fn no_preview(run: &Run) -> String {
    // The last step has a preview whatever the recipe says.
    let first = run.recipe.as_ref().map(|recipe| match recipe.train.preview_every_steps as u64 {
        0 => run.view.steps,
        every => every.min(run.view.steps.max(1)),
    });
    match (first, run.state()) {
        (_, RunState::Prepared | RunState::Queued) => "The run has not started".into(),
        (_, RunState::Starting) => "The run is about to start".into(),
        (Some(first), state) if state.is_active() => {
            format!("The first preview comes at step {}; the run is at step {}", count(first), count(run.view.step()))
        }
        _ => "The run ended before its first preview".into(),
    }
}

impl Panel for ReconstructionsPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        self.loader.receive(ui.ctx());
        self.drawing.receive(ui.ctx());
        let Some(looked_at) = desk.looked_at() else {
            let hint = "Start training, and see here what the network draws in the places it was not shown";
            return EmptyState::new(icon::COMPARE, "No run yet", hint).show_with_actions(ui, |ui| {
                super::train::start_button(ui, desk);
                elsewhere::instead_of_a_run(ui, desk);
            });
        };
        self.follow(looked_at.path());
        let run = match looked_at {
            LookedAt::Run(run) => run,
            LookedAt::Imported(known) => return self.by_imported(ui, desk, known),
        };
        let moments = moments(&run.view.previews);
        if moments.is_empty() {
            return EmptyState::new(icon::COMPARE, "No preview yet", &no_preview(run)).show(ui);
        }
        self.previews(ui, desk, run, &moments);
    }
}
