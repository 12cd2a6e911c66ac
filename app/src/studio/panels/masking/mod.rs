//! The Masking panel: what each strategy hides on the person's own images, side by side, from the sampler that training uses.

mod card;
mod images;
mod knob_slider;
mod probability;
mod strategy;

use std::ops::Range;

use egui::{Align, Context, DragValue, Layout, Response, RichText, ScrollArea, TextStyle, Ui};
use maskroom_core::recipe::Recipe;
use maskroom_widgets::{Button, Legend, Ramp, Segmented, Switch, Tokens, icon};

use super::Panel;
use crate::studio::desk::Desk;
use card::Card;
use images::Images;
use probability::{DRAWS, Probability};
use strategy::{Draw, Strategy};

/// What the panel shows now.
pub struct MaskingPanel {
    strategies: Vec<Strategy>,
    images: Images,
    probability: Probability,
    /// Draw as a run with this seed does; the recipe's own while `None`.
    seed: Option<u64>,
    /// The epoch whose masks are drawn: each one draws anew.
    epoch: u64,
    /// A place in [`NUM_IMAGES`].
    num_images: usize,
    shows_probability: bool,
}

/// How many images a card shows: the selected one and those after it.
const NUM_IMAGES: [usize; 3] = [1, 4, 9];
const NUM_IMAGES_WORDS: [&str; 3] = ["1", "4", "9"];
/// Cards are no narrower, in points.
const MIN_CARD_WIDTH: f32 = 232.0;
/// The tools fit on one line from this width on, in points.
const ONE_LINE: f32 = 544.0;

impl MaskingPanel {
    /// One image, the first epoch.
    pub fn new(context: &Context) -> Self {
        Self {
            strategies: strategy::all(),
            images: Images::new(context),
            probability: Probability::new(context),
            seed: None,
            epoch: 0,
            num_images: 0,
            shows_probability: false,
        }
    }

    /// Brings images, masks and probabilities up to date.
    fn follow(&mut self, desk: Desk<'_>) -> Vec<usize> {
        let recipe = desk.draft.recipe();
        let total = desk.project.dataset().map_or(0, |dataset| dataset.items.len());
        let shown: Vec<usize> = following(desk.project.selected(), NUM_IMAGES[self.num_images], total).collect();
        self.images.follow(desk, &shown);
        let draw = Draw { seed: self.seed.unwrap_or(recipe.seed), epoch: self.epoch, samples: shown.clone() };
        for strategy in &mut self.strategies {
            strategy.follow(desk.draft, &draw);
        }
        if self.shows_probability {
            self.probability.follow(&mut self.strategies, recipe.grid());
        }
        shown
    }

    /// On one line where there is room, on two otherwise.
    fn tools(&mut self, ui: &mut Ui, recipe: &Recipe) {
        if ui.available_width() >= ONE_LINE {
            ui.horizontal(|ui| {
                self.draw_tools(ui, recipe);
                self.view_tools(ui);
            });
        } else {
            ui.horizontal(|ui| self.draw_tools(ui, recipe));
            ui.horizontal(|ui| self.view_tools(ui));
        }
    }

    /// Which masks are drawn.
    fn draw_tools(&mut self, ui: &mut Ui, recipe: &Recipe) {
        let label = quiet(ui, "Seed").on_hover_text("The masks that a run with this seed draws");
        let mut seed = self.seed.unwrap_or(recipe.seed);
        if ui.add(DragValue::new(&mut seed).speed(0.1)).labelled_by(label.id).changed() {
            self.seed = Some(seed);
        }
        let label = quiet(ui, "Epoch").on_hover_text("An image is masked otherwise in each epoch");
        ui.add(DragValue::new(&mut self.epoch).speed(0.1)).labelled_by(label.id);
        if Button::new("Next draw").icon(icon::SHUFFLE).tooltip("The masks of the next epoch").show(ui).clicked() {
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// What the cards show.
    fn view_tools(&mut self, ui: &mut Ui) {
        quiet(ui, "Images");
        Segmented::new("Images on a card", &NUM_IMAGES_WORDS).show(ui, &mut self.num_images);
        Switch::new("Show how often each patch is masked").show(ui, &mut self.shows_probability);
        quiet(ui, "Probability").on_hover_text(format!("How often each patch is masked in {DRAWS} draws"));
    }

    /// What is masked, and of which image.
    fn subject(&self, ui: &mut Ui, desk: Desk<'_>, shown: &[usize]) {
        let recipe = desk.draft.recipe();
        let grid = recipe.grid();
        let [height, width] = recipe.data.image;
        let name = shown.first().and_then(|&index| desk.project.dataset()?.items.get(index)).map(|item| item.name.clone());
        let name = name.unwrap_or_else(|| "no image yet".to_owned());
        let facts = format!("{} × {} patches of {} px on {width} × {height} px", grid.cols, grid.rows, recipe.backbone.patch);
        let tokens = Tokens::of(ui);
        ui.horizontal(|ui| {
            let small = |text: &str| RichText::new(text).text_style(TextStyle::Small).color(tokens.text_muted);
            let failed = shown.first().and_then(|&index| self.images.get(index)?.as_ref().err());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(small(&facts));
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let (text, whole) = match failed {
                        Some(reason) => (small(&format!("{} {name} cannot be read", icon::ERROR)).color(tokens.bad), reason),
                        None => (small(&name), &name),
                    };
                    ui.add(egui::Label::new(text).truncate()).on_hover_text(whole);
                });
            });
        });
    }
}

impl Panel for MaskingPanel {
    fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        let shown = self.follow(desk);
        self.tools(ui, desk.draft.recipe());
        self.subject(ui, desk, &shown);
        if self.shows_probability {
            Legend::new("Masked in this share of draws", Ramp::heat()).show(ui);
        }
        ScrollArea::vertical().id_salt("strategies").auto_shrink(false).show(ui, |ui| {
            let gap = Tokens::of(ui).sizes.gap;
            let num_columns = ((ui.available_width() + gap) / (MIN_CARD_WIDTH + gap)).floor().max(1.0) as usize;
            let placeholder = self.images.placeholder(ui, desk.draft.recipe().grid());
            ui.columns(num_columns.min(self.strategies.len()), |columns| {
                let num_columns = columns.len();
                for (place, strategy) in self.strategies.iter_mut().enumerate() {
                    let ui = &mut columns[place % num_columns];
                    let card = Card {
                        desk,
                        images: &self.images,
                        shown: &shown,
                        placeholder: &placeholder,
                        shows_probability: self.shows_probability,
                    };
                    // Columns would stretch every line of text to their width.
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.push_id(strategy.kind.name, |ui| card.show(ui, strategy));
                    });
                }
            });
        });
    }
}

fn quiet(ui: &mut Ui, text: &str) -> Response {
    ui.label(RichText::new(text).color(Tokens::of(ui).text_muted))
}

/// So many images from the selected one on, or the last ones there are.
fn following(selected: usize, count: usize, total: usize) -> Range<usize> {
    let first = selected.min(total.saturating_sub(count));
    first..(first + count).min(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_image_is_always_among_the_shown() {
        assert_eq!(following(3, 4, 100), 3..7);
        assert_eq!(following(98, 4, 100), 96..100);
        assert_eq!(following(1, 9, 3), 0..3);
        assert_eq!(following(0, 4, 0), 0..0);
    }
}
