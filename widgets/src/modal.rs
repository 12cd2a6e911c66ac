//! Dialogs over the window: a frame with a title for contents of any kind, and a question with buttons.

use egui::accesskit::Role;
use egui::{Align, Align2, Context, Frame, Id, InnerResponse, Layout, Margin, Modal, RichText, Stroke, TextStyle, Ui, Vec2, vec2};

use crate::gallery::Exhibit;
use crate::{Button, Tokens, icon};

/// A frame with a title and a close button, in the middle of the window. Escape, a click beside it and the close button close it.
#[must_use]
pub struct Dialog<'a> {
    title: &'a str,
    width: f32,
    role: Role,
}

/// What [`Dialog::show`] brings back.
pub struct DialogResponse<R> {
    /// What the contents returned.
    pub inner: R,
    /// Whether the user wants to leave it.
    pub closed: bool,
}

impl<'a> Dialog<'a> {
    /// A dialog with this title, which also names it to assistive technology and keeps it apart from others.
    pub fn new(title: &'a str) -> Self {
        Self { title, width: 480.0, role: Role::Dialog }
    }

    /// Width of its contents in points; narrower where the window is.
    pub fn width(mut self, width: f32) -> Self {
        self.width = width;
        self
    }

    /// Draws it over everything else, for as long as it is called each frame.
    pub fn show<R>(self, ctx: &Context, contents: impl FnOnce(&mut Ui) -> R) -> DialogResponse<R> {
        let (title, role) = (self.title, self.role);
        let response = open_modal(ctx, title, role, Align2::CENTER_CENTER, Vec2::ZERO, |ui| self.show_inside(ui, contents));
        DialogResponse { closed: response.should_close() || response.inner.closed, inner: response.inner.inner }
    }

    /// Draws it as a part of `ui`, with nothing under it.
    pub(crate) fn show_inside<R>(self, ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> DialogResponse<R> {
        let tokens = Tokens::of(ui);
        let width = self.width.min(ui.ctx().content_rect().width() - 2.0 * tokens.sizes.gap_section);
        floating_frame(ui)
            .inner_margin(Margin::same(tokens.sizes.gap_large as i8))
            .show(ui, |ui| {
                ui.set_width(width);
                let closed = ui
                    .horizontal(|ui| {
                        let title = RichText::new(self.title).text_style(TextStyle::Heading);
                        let room = width - tokens.sizes.row - tokens.sizes.gap;
                        ui.allocate_ui_with_layout(vec2(room, tokens.sizes.row), Layout::left_to_right(Align::Center), |ui| {
                            ui.set_min_width(room);
                            ui.add(egui::Label::new(title).truncate().selectable(false));
                        });
                        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                            Button::icon_only(icon::CLOSE, "Close").show(ui).clicked()
                        })
                        .inner
                    })
                    .inner;
                ui.add_space(tokens.sizes.gap);
                DialogResponse { inner: contents(ui), closed }
            })
            .inner
    }
}

/// What the user answered to a [`Confirm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do what the accented button says.
    Primary,
    /// Do what the red button says.
    Danger,
    /// Leave everything as it is.
    Cancel,
}

/// A question with at most two ways on and a way back.
///
/// Enter presses the focused button: at first the accented one, or Cancel where the only way on destroys something. Escape cancels.
#[must_use]
pub struct Confirm<'a> {
    title: &'a str,
    body: &'a str,
    primary: Option<&'a str>,
    danger: Option<&'a str>,
}

impl<'a> Confirm<'a> {
    /// A question, such as `Delete 3 runs?`, and what follows from the answers.
    pub fn new(title: &'a str, body: &'a str) -> Self {
        Self { title, body, primary: None, danger: None }
    }

    /// Offers a way on that loses nothing. Name the deed: `Keep training`, never `OK`.
    pub fn primary(mut self, text: &'a str) -> Self {
        self.primary = Some(text);
        self
    }

    /// Offers a way on that cannot be undone.
    pub fn danger(mut self, text: &'a str) -> Self {
        self.danger = Some(text);
        self
    }

    /// Draws it over everything else. Some answer once the user has given one.
    pub fn show(self, ctx: &Context) -> Option<Answer> {
        let dialog = Dialog { role: Role::AlertDialog, width: 400.0, ..Dialog::new(self.title) };
        let response = dialog.show(ctx, |ui| self.contents(ui, true));
        response.inner.or(response.closed.then_some(Answer::Cancel))
    }

    fn contents(&self, ui: &mut Ui, takes_focus: bool) -> Option<Answer> {
        let tokens = Tokens::of(ui);
        ui.add(egui::Label::new(RichText::new(self.body).color(tokens.text_muted)).wrap());
        ui.add_space(tokens.sizes.gap_large);
        let buttons = [
            self.primary.map(|text| (Answer::Primary, Button::new(text).primary())),
            self.danger.map(|text| (Answer::Danger, Button::new(text).danger())),
            Some((Answer::Cancel, Button::new("Cancel"))),
        ];
        let default = if self.primary.is_some() { Answer::Primary } else { Answer::Cancel };
        let row = vec2(ui.available_width(), tokens.sizes.row);
        ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
            let shown: Vec<_> = buttons.into_iter().flatten().map(|(answer, button)| (answer, button.show(ui))).collect();
            let is_focused = ui.memory(egui::Memory::focused).is_some_and(|id| shown.iter().any(|(_, response)| response.id == id));
            if takes_focus
                && !is_focused
                && let Some((_, response)) = shown.iter().find(|(answer, _)| *answer == default)
            {
                response.request_focus();
            }
            shown.into_iter().find(|(_, response)| response.clicked()).map(|(answer, _)| answer)
        })
        .inner
    }
}

/// Opens a modal layer without a frame at a place of the window.
pub(crate) fn open_modal<R>(
    ctx: &Context,
    name: &str,
    role: Role,
    align: Align2,
    offset: Vec2,
    contents: impl FnOnce(&mut Ui) -> R,
) -> egui::ModalResponse<R> {
    let id = Id::unique(("maskroom modal", name));
    let area = Modal::default_area(id).anchor(align, offset).accessible_name(name).role(role).default_width(ctx.content_rect().width());
    Modal::new(id).area(area).frame(Frame::NONE).show(ctx, contents)
}

/// What floats over the window lies on this.
pub(crate) fn floating_frame(ui: &Ui) -> Frame {
    let tokens = Tokens::of(ui);
    Frame::new()
        .fill(tokens.surface_raised)
        .stroke(Stroke::new(tokens.sizes.hairline, tokens.line))
        .corner_radius(tokens.sizes.radius_large)
        .shadow(ui.visuals().window_shadow)
}

/// Draws the contents of a modal for the gallery, where it must not cover its neighbors.
pub(crate) fn exhibit<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    Frame::new().inner_margin(Margin::same(Tokens::of(ui).sizes.gap_large as i8)).show(ui, contents)
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "modal_confirm_danger",
        size: vec2(496.0, 216.0),
        show: |ui| {
            let question = Confirm::new("Delete 3 runs?", "Their checkpoints and previews take 1.2 GiB. They cannot be brought back.")
                .danger("Delete");
            show_question(ui, &question);
        },
    },
    Exhibit {
        name: "modal_confirm_three_ways",
        size: vec2(496.0, 216.0),
        show: |ui| {
            let question =
                Confirm::new("Training is still running", "It can go on without the window, and the next window finds it again.")
                    .primary("Keep training")
                    .danger("Checkpoint and stop");
            show_question(ui, &question);
        },
    },
    Exhibit {
        name: "modal_confirm_long",
        size: vec2(496.0, 248.0),
        show: |ui| {
            let question = Confirm::new(
                "Replace masks of vit_small_patch16_224_um_mae_imagenet100_seed17?",
                "The folder holds 12,345 masks that were corrected by hand since the last export, in a format that this export does not read. A copy of \
                 the folder is kept beside it.",
            )
            .primary("Replace and keep a copy");
            show_question(ui, &question);
        },
    },
];

fn show_question(ui: &mut Ui, question: &Confirm<'_>) {
    exhibit(ui, |ui| Dialog::new(question.title).width(400.0).show_inside(ui, |ui| question.contents(ui, false)));
}

#[cfg(test)]
mod tests {
    use egui::{Key, Modifiers};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    /// Asks the question until there is an answer.
    fn asked(question: fn() -> Confirm<'static>) -> Harness<'static, Option<Answer>> {
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
            move |ui, answer: &mut Option<Answer>| {
                let _ = ui.button("Under it");
                if answer.is_none() {
                    *answer = question().show(ui.ctx());
                }
            },
            None,
        );
        harness.run();
        harness
    }

    fn destroy() -> Confirm<'static> {
        Confirm::new("Delete?", "Gone for good.").danger("Delete")
    }

    fn stop() -> Confirm<'static> {
        Confirm::new("Stop?", "It is running.").primary("Keep training").danger("Stop")
    }

    #[test]
    fn enter_takes_the_safe_way() {
        for (question, answer) in [(destroy as fn() -> _, Answer::Cancel), (stop, Answer::Primary)] {
            let mut harness = asked(question);
            harness.key_press(Key::Enter);
            harness.run();
            assert_eq!(*harness.state(), Some(answer));
        }
    }

    #[test]
    fn escape_and_the_close_button_cancel() {
        let mut harness = asked(stop);
        harness.key_press(Key::Escape);
        harness.run();
        assert_eq!(*harness.state(), Some(Answer::Cancel));

        let mut harness = asked(stop);
        harness.get_by_label("Close").click();
        harness.run();
        assert_eq!(*harness.state(), Some(Answer::Cancel));
    }

    #[test]
    fn a_click_answers() {
        let mut harness = asked(destroy);
        harness.get_by_label("Delete").click();
        harness.run();
        assert_eq!(*harness.state(), Some(Answer::Danger));
    }

    #[test]
    fn tab_stays_inside() {
        let mut harness = asked(stop);
        for _ in 0..6 {
            harness.key_press_modifiers(Modifiers::NONE, Key::Tab);
            harness.run();
            assert!(!harness.get_by_label("Under it").is_focused());
        }
    }
}
