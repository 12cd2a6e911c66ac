//! One strategy as a card: what it hides, how much, and its knobs.

use egui::{Align, Label, Layout, Response, RichText, TextStyle, TextureHandle, Ui, vec2};
use maskroom_core::mask::Mask;
use maskroom_widgets::{Button, PatchView, Role, StateBadge, Tokens, fonts, format, icon};

use super::images::Images;
use super::knob_slider;
use super::strategy::Strategy;
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;
use crate::studio::panels::knob_field::Wish;

/// What cards share.
pub struct Card<'a> {
    /// The state of the studio.
    pub desk: Desk<'a>,
    /// The images.
    pub images: &'a Images,
    /// The images on the card, by index.
    pub shown: &'a [usize],
    /// What stands for an image that is not there.
    pub placeholder: &'a TextureHandle,
    /// Whether to show how often each patch is masked.
    pub shows_probability: bool,
}

impl Card<'_> {
    /// Draws it.
    pub fn show(&self, ui: &mut Ui, strategy: &mut Strategy) {
        maskroom_widgets::Card::new().selected(strategy.in_use).show(ui, |ui| {
            self.head(ui, strategy);
            self.pictures(ui, strategy);
            figures(ui, strategy, self.shows_probability);
            let at_knobs = |key: &str| strategy.kind.knobs.iter().any(|knob| key == format!("mask.{}", knob.key));
            let elsewhere: Vec<String> = strategy
                .problems
                .iter()
                .filter(|problem| !at_knobs(&problem.key))
                .map(|problem| words(&problem.what, &problem.cure))
                .collect();
            elsewhere.iter().for_each(|problem| trouble(ui, problem));
            self.knobs(ui, strategy);
        });
    }

    fn head(&self, ui: &mut Ui, strategy: &Strategy) {
        let tokens = Tokens::of(ui);
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if strategy.in_use {
                    StateBadge::new("in use", Role::Accent).show(ui);
                } else {
                    let button = Button::new("Use").small().tooltip("The recipe masks like this, with the knobs below; can be undone");
                    if button.show(ui).clicked() {
                        self.desk.ask(strategy.use_it());
                    }
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let name = RichText::new(strategy.kind.name).text_style(fonts::strong());
                    ui.add(Label::new(name).truncate()).on_hover_text(strategy.kind.source);
                });
            });
        });
        let summary = RichText::new(strategy.kind.summary).text_style(TextStyle::Small).color(tokens.text_muted);
        ui.add(Label::new(summary).wrap());
    }

    /// The images in a square of squares.
    fn pictures(&self, ui: &mut Ui, strategy: &Strategy) {
        let gap = Tokens::of(ui).sizes.gap_small;
        let count = self.shown.len().max(1);
        let side = (1..).find(|side| side * side >= count).unwrap_or(1);
        let width = ((ui.available_width() - gap * (side - 1) as f32) / side as f32).floor();
        let probabilities: Vec<f32> = if self.shows_probability && strategy.draws > 0 {
            strategy.counts.iter().map(|&count| count as f32 / strategy.draws as f32).collect()
        } else {
            Vec::new()
        };
        ui.spacing_mut().item_spacing = vec2(gap, gap);
        for row in (0..count).collect::<Vec<_>>().chunks(side) {
            ui.horizontal(|ui| {
                for &place in row {
                    ui.push_id(place, |ui| self.picture(ui, strategy, place, width, &probabilities));
                }
            });
        }
    }

    fn picture(&self, ui: &mut Ui, strategy: &Strategy, place: usize, width: f32, probabilities: &[f32]) {
        let index = self.shown.get(place).copied();
        let known = index.and_then(|index| self.images.get(index));
        let texture = known.and_then(|known| known.as_ref().ok()).unwrap_or(self.placeholder);
        let grid = self.desk.draft.recipe().grid();
        let item = index.and_then(|index| self.desk.project.dataset()?.items.get(index));
        let name = format!("{} on {}", strategy.kind.name, item.map_or("no image", |item| item.name.as_str()));
        let unseen = strategy.masks.get(place).map(Mask::unseen).unwrap_or_default();
        let mut view = PatchView::new(&name, texture, [grid.rows, grid.cols]);
        match strategy.masks.get(place) {
            _ if self.shows_probability => view = view.probabilities(probabilities),
            Some(mask) if mask.num_left_out() > 0 => view = view.masked(&unseen).second(&mask.masked),
            Some(mask) => view = view.masked(&mask.masked).second(&mask.secondary),
            None => {}
        }
        let [image_height, image_width] = self.desk.draft.recipe().data.image;
        let height = width * image_height as f32 / image_width.max(1) as f32;
        let response = ui.allocate_ui(vec2(width, height), |ui| {
            ui.set_max_width(width);
            view.show(ui, &mut None).response
        });
        let response = response.inner;
        if let (true, Some(index)) = (response.clicked(), index) {
            self.desk.ask(Ask::SelectImage(index));
        }
        if let Some(Err(reason)) = known {
            response.on_hover_text(format!("The image cannot be read: {reason}"));
        }
    }

    fn knobs(&self, ui: &mut Ui, strategy: &mut Strategy) {
        let grid = self.desk.draft.recipe().grid();
        for knob in strategy.kind.knobs {
            let (value, path) = (knob.of(&strategy.knobs), format!("mask.{}", knob.key));
            let problem = strategy.problems.iter().find(|problem| problem.key == path).map(|problem| words(&problem.what, &problem.cure));
            let changed = strategy.is_changed(knob) && (!strategy.in_use || self.desk.draft.set_value(&path).is_some());
            let wish = ui.push_id(knob.key, |ui| knob_slider::show(ui, knob, &value, grid, changed, problem.as_deref())).inner;
            match (wish, strategy.in_use) {
                (Some(Wish::Set(value)), true) => self.desk.ask(Edit::Set { path, value: value.to_toml() }),
                (Some(Wish::Reset), true) => self.desk.ask(Edit::Reset { path }),
                (Some(Wish::Set(value)), false) => drop(strategy.knobs.insert(knob.key.to_owned(), value)),
                (Some(Wish::Reset), false) => drop(strategy.knobs.insert(knob.key.to_owned(), knob.default_value())),
                (None, _) => {}
            }
        }
    }
}

/// How much is masked: on average, in this draw, and a second time.
fn figures(ui: &mut Ui, strategy: &Strategy, shows_probability: bool) {
    let tokens = Tokens::of(ui);
    let mut lines = Vec::new();
    if shows_probability {
        let shares = strategy.counts.iter().map(|&count| f64::from(count) / f64::from(strategy.draws.max(1)));
        let (low, high) = shares.fold((1.0, 0.0), |(low, high): (f64, f64), share| (low.min(share), high.max(share)));
        let draws = format::count(u64::from(strategy.draws));
        lines.push(if strategy.draws == 0 {
            "0 draws".to_owned()
        } else {
            format!("{} to {} in {draws} draws", percent(low), percent(high))
        });
    }
    lines.push(format!("mean  {}", percent(strategy.mean_ratio)));
    if let (Some(mask), false) = (strategy.masks.first(), shows_probability) {
        lines.push(format!("here  {} ({} of {})", share_of(mask, Mask::num_masked), mask.num_masked(), mask.masked.len()));
        if mask.num_secondary() > 0 {
            lines.push(format!("again {} ({})", share_of(mask, Mask::num_secondary), mask.num_secondary()));
        }
        if mask.num_left_out() > 0 {
            lines.push(format!("out   {} ({})", share_of(mask, Mask::num_left_out), mask.num_left_out()));
        }
    }
    for line in lines {
        let response = ui.label(RichText::new(line).text_style(fonts::mono_small()).color(tokens.text_muted));
        explain(response);
    }
}

fn explain(response: Response) {
    response.on_hover_text(
        "mean: masked on average\nhere: masked in this draw of the first image\nagain: visible, but replaced by a mask token\nout: neither shown \
         nor predicted",
    );
}

fn share_of(mask: &Mask, count: impl Fn(&Mask) -> usize) -> String {
    percent(count(mask) as f64 / mask.masked.len().max(1) as f64)
}

fn percent(share: f64) -> String {
    format!("{:5.1} %", 100.0 * share)
}

fn words(what: &str, cure: &str) -> String {
    if cure.is_empty() { what.to_owned() } else { format!("{what}; {cure}") }
}

/// What is wrong, with its cure.
pub fn trouble(ui: &mut Ui, problem: &str) {
    let tokens = Tokens::of(ui);
    let text = RichText::new(format!("{} {problem}", icon::ERROR)).text_style(TextStyle::Small).color(tokens.bad);
    ui.add(Label::new(text).wrap());
}
