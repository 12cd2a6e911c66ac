//! A message that stays until it is dealt with: what happened, and what to do.

use egui::{Align, Frame, Layout, Margin, RichText, Ui, vec2};

use crate::badge::TINT;
use crate::gallery::Exhibit;
use crate::{Button, Role, Tokens, fonts, icon};

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Info,
    /// It is well.
    Good,
    /// Look at this.
    Warning,
    /// It failed.
    Bad,
}

impl Tone {
    /// Its icon.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Info => icon::INFO,
            Self::Good => icon::GOOD,
            Self::Warning => icon::WARNING,
            Self::Bad => icon::ERROR,
        }
    }

    /// The role of its color.
    pub fn role(self) -> Role {
        match self {
            Self::Info => Role::TextMuted,
            Self::Good => Role::Good,
            Self::Warning => Role::Warning,
            Self::Bad => Role::Bad,
        }
    }
}

/// A message over a panel or a page.
#[must_use = "nothing is drawn before `show`"]
pub struct Banner<'a> {
    tone: Tone,
    title: &'a str,
    body: &'a str,
    dismissible: bool,
}

impl<'a> Banner<'a> {
    /// `title` says what happened, without a full stop.
    pub fn new(tone: Tone, title: &'a str) -> Self {
        Self { tone, title, body: "", dismissible: false }
    }

    /// Why, and what to do about it.
    pub fn body(mut self, body: &'a str) -> Self {
        self.body = body;
        self
    }

    /// Adds a button that closes it; forget the message when the response says so.
    pub fn dismissible(mut self) -> Self {
        self.dismissible = true;
        self
    }

    /// Draws it over the whole width. Returns whether it was closed.
    pub fn show(self, ui: &mut Ui) -> bool {
        self.lay_out(ui, None::<fn(&mut Ui)>)
    }

    /// Draws it with buttons under its text. Returns whether it was closed.
    pub fn show_with_actions(self, ui: &mut Ui, actions: impl FnOnce(&mut Ui)) -> bool {
        self.lay_out(ui, Some(actions))
    }

    fn lay_out(self, ui: &mut Ui, actions: Option<impl FnOnce(&mut Ui)>) -> bool {
        let Self { tone, title, body, dismissible } = self;
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let color = tokens.color(tone.role());
        let mut frame = Frame::new().fill(color.gamma_multiply(TINT)).corner_radius(sizes.radius_large);
        frame.inner_margin = Margin { left: 12, right: 8, top: 8, bottom: 8 };
        let shown = frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = sizes.gap_small;
            ui.with_layout(Layout::left_to_right(Align::Min), |ui| {
                ui.allocate_ui_with_layout(vec2(sizes.icon + 2.0, sizes.row), Layout::left_to_right(Align::Center), |ui| {
                    ui.label(RichText::new(tone.icon()).size(sizes.icon + 2.0).color(color));
                });
                let room = ui.available_width() - if dismissible { sizes.row_small + sizes.gap } else { 0.0 };
                ui.allocate_ui_with_layout(vec2(room, 0.0), Layout::top_down(Align::Min), |ui| {
                    ui.set_width(room);
                    // The first line shares its middle with the icon.
                    ui.add_space((sizes.row - ui.text_style_height(&fonts::strong())) / 2.0);
                    ui.add(egui::Label::new(RichText::new(title).text_style(fonts::strong())).wrap());
                    if !body.is_empty() {
                        ui.add(egui::Label::new(body).wrap());
                    }
                    if let Some(actions) = actions {
                        ui.add_space(sizes.gap_small);
                        ui.horizontal_wrapped(actions);
                    }
                });
                dismissible && Button::icon_only(icon::CLOSE, "Dismiss").small().show(ui).clicked()
            })
            .inner
        });
        shown.inner
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "banner",
        size: vec2(400.0, 256.0),
        show: |ui| {
            Banner::new(Tone::Info, "This run was made by an older version").dismissible().show(ui);
            Banner::new(Tone::Good, "Resumed at step 12,000").body("The loss follows the curve from before.").show(ui);
            Banner::new(Tone::Bad, "The device ran out of memory")
                .body("A batch of 256 needs 26.1 GiB, and 24.0 GiB are there. Halve the batch and accumulate two steps.")
                .dismissible()
                .show_with_actions(ui, |ui| {
                    Button::new("Halve the batch").primary().show(ui);
                    Button::new("Show log").show(ui);
                });
        },
    },
    Exhibit {
        name: "banner_long",
        size: vec2(240.0, 176.0),
        show: |ui| {
            Banner::new(Tone::Warning, "7 of 12,345 images of the folder could not be read and are left out of training")
                .body("The health report lists them.")
                .dismissible()
                .show_with_actions(ui, |ui| drop(Button::new("Show report").show(ui)));
        },
    },
];
