//! A raised surface for what belongs together.

use egui::{Frame, InnerResponse, Margin, RichText, Stroke, Ui, vec2};

use crate::gallery::Exhibit;
use crate::{Tokens, fonts};

/// A card; its contents may be headed.
#[must_use = "nothing is drawn before `show`"]
#[derive(Default)]
pub struct Card<'a> {
    title: &'a str,
    selected: bool,
}

impl<'a> Card<'a> {
    /// A card without a heading.
    pub fn new() -> Self {
        Self::default()
    }

    /// Heads it.
    pub fn title(mut self, title: &'a str) -> Self {
        self.title = title;
        self
    }

    /// Outlines it as the chosen one.
    pub fn selected(mut self, selected: bool) -> Self {
        self.selected = selected;
        self
    }

    /// Draws it over the whole width.
    pub fn show<R>(self, ui: &mut Ui, body: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let quiet = Stroke::new(sizes.hairline, tokens.line.gamma_multiply(0.6));
        let edge = if self.selected { Stroke::new(sizes.hairline, tokens.accent) } else { quiet };
        let frame = Frame::new()
            .fill(tokens.surface_raised)
            .stroke(edge)
            .corner_radius(sizes.radius_large)
            .inner_margin(Margin::same(sizes.gap_large as i8));
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            if !self.title.is_empty() {
                ui.add(egui::Label::new(RichText::new(self.title).text_style(fonts::strong())).truncate());
            }
            body(ui)
        })
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "card",
    size: vec2(280.0, 256.0),
    show: |ui| {
        Card::new().title("Masked autoencoder").show(ui, |ui| ui.label("The decoder paints what the encoder never saw."));
        Card::new().title("A card with a title that is too long for it").selected(true).show(ui, |ui| ui.label("Chosen"));
        Card::new().show(ui, |ui| ui.label("Without a title"));
    },
}];
