//! What a place says while there is nothing to show: what is missing, and what to do about it.

use egui::{Align, Label, Layout, RichText, TextStyle, Ui, UiBuilder, vec2};

use crate::gallery::Exhibit;
use crate::{Button, Tokens, fonts, icon};

/// An icon, a title and a sentence in the middle of the room, with the way out below.
#[must_use = "nothing is drawn before `show`"]
pub struct EmptyState<'a> {
    icon: &'a str,
    title: &'a str,
    hint: &'a str,
    height: Option<f32>,
}

impl<'a> EmptyState<'a> {
    /// `title` says what is missing, `hint` what to do next.
    pub fn new(icon: &'a str, title: &'a str, hint: &'a str) -> Self {
        Self { icon, title, hint, height: None }
    }

    /// Takes so many points instead of all there are.
    pub fn height(mut self, height: f32) -> Self {
        self.height = Some(height);
        self
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui) {
        self.lay_out(ui, None::<fn(&mut Ui)>);
    }

    /// Draws it with buttons, side by side below the hint.
    pub fn show_with_actions(self, ui: &mut Ui, actions: impl FnOnce(&mut Ui)) {
        self.lay_out(ui, Some(actions));
    }

    fn lay_out(self, ui: &mut Ui, actions: Option<impl FnOnce(&mut Ui)>) {
        let Self { icon, title, hint, height } = self;
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let size = vec2(ui.available_width(), height.unwrap_or_else(|| ui.available_height().max(4.0 * sizes.row)));
        let (_, rect) = ui.allocate_space(size);
        // How high the block is, and how wide its buttons are, is known from the frame before.
        let id = ui.scope_id().with((title, "empty state"));
        let [block_height, actions_width] = ui.data(|data| data.get_temp(id)).unwrap_or([5.0 * sizes.row, size.x]);
        let width = rect.width().min(20.0 * sizes.row);
        let block = egui::Align2::CENTER_CENTER.align_size_within_rect(vec2(width, block_height.min(rect.height())), rect);
        let mut inner = ui.new_child(UiBuilder::new().max_rect(block).layout(Layout::top_down(Align::Center)));
        inner.spacing_mut().item_spacing.y = sizes.gap_small;
        inner.add(Label::new(RichText::new(icon).size(sizes.gap_section).color(tokens.text_muted)));
        inner.add_space(sizes.gap_small);
        inner.add(Label::new(RichText::new(title).text_style(fonts::strong())).wrap());
        inner.add(Label::new(RichText::new(hint).text_style(TextStyle::Body).color(tokens.text_muted)).wrap());
        let mut measured_width = actions_width;
        if let Some(actions) = actions {
            inner.add_space(sizes.gap);
            let row = vec2(actions_width.min(block.width()), sizes.row);
            let shown = inner.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), actions);
            measured_width = shown.response.rect.width();
        }
        let measured = [inner.min_rect().height(), measured_width];
        if measured.iter().zip([block_height, actions_width]).any(|(now, before)| (now - before).abs() > 0.5) {
            ui.data_mut(|data| data.insert_temp(id, measured));
            ui.ctx().request_discard("the block is centered by its size");
        }
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "empty_state",
        size: vec2(400.0, 200.0),
        show: |ui| {
            let empty = EmptyState::new(icon::RUNS, "No runs yet", "Choose images and a recipe, then train: the curves appear here.");
            empty.show_with_actions(ui, |ui| {
                Button::new("Open folder…").icon(icon::FOLDER_OPEN).primary().show(ui);
                Button::new("Try the toy scenes").icon(icon::SCENES).show(ui);
            });
        },
    },
    Exhibit {
        name: "empty_state_narrow",
        size: vec2(160.0, 160.0),
        show: |ui| EmptyState::new(icon::SEARCH, "Nothing found", "No image has a name that contains “horse-in-the-rain”").show(ui),
    },
];
