//! A part of a panel: a heading, what can be done with the part at the right, and its contents, which may fold away.

use egui::{Align, Layout, Rect, Sense, TextStyle, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_icon, paint_line};
use crate::theme::paint_focus_ring;
use crate::{Button, Tokens, fonts, icon};

/// A section.
#[must_use = "nothing is drawn before `show`"]
pub struct Section<'a> {
    title: &'a str,
    note: &'a str,
    open: Option<&'a mut bool>,
}

impl<'a> Section<'a> {
    /// A section that is always open.
    pub fn new(title: &'a str) -> Self {
        Self { title, note: "", open: None }
    }

    /// Lets a click on the heading fold and unfold it.
    pub fn collapsible(mut self, open: &'a mut bool) -> Self {
        self.open = Some(open);
        self
    }

    /// A quiet word after the title, such as a count.
    pub fn note(mut self, note: &'a str) -> Self {
        self.note = note;
        self
    }

    /// Draws it without actions. Returns what `body` returned, nothing while it is folded.
    pub fn show<R>(self, ui: &mut Ui, body: impl FnOnce(&mut Ui) -> R) -> Option<R> {
        self.show_with_actions(ui, |_| {}, body)
    }

    /// Draws it with `actions` at the right of the heading, the first of them outermost; use small buttons.
    pub fn show_with_actions<R>(self, ui: &mut Ui, actions: impl FnOnce(&mut Ui), body: impl FnOnce(&mut Ui) -> R) -> Option<R> {
        let Self { title, note, open } = self;
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let sense = if open.is_some() { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), sizes.row), sense);

        // Actions come after the heading in the order of painting, and so before it in taking clicks.
        let layout = Layout::right_to_left(Align::Center);
        let mut right = ui.new_child(UiBuilder::new().id_salt((title, "actions")).max_rect(rect).layout(layout));
        right.spacing_mut().item_spacing.x = sizes.gap_small;
        actions(&mut right);
        let head = rect.with_max_x((right.min_rect().left() - sizes.gap).max(rect.left()));

        let folds = open.is_some();
        let is_open = open.is_none_or(|open| {
            if response.clicked() {
                *open = !*open;
            }
            *open
        });
        if folds {
            response.widget_info(|| WidgetInfo::selected(egui::Role::DisclosureTriangle, ui.is_enabled(), is_open, title));
        } else {
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Heading, ui.is_enabled(), title));
        }
        let mut text = head;
        if folds {
            let chevron = if is_open { icon::CHEVRON_DOWN } else { icon::CHEVRON_RIGHT };
            let color = if response.hovered() { tokens.text } else { tokens.text_muted };
            paint_icon(ui.painter(), chevron, pos2(rect.left() + sizes.icon / 2.0, rect.center().y), sizes.icon, color);
            text.min.x += sizes.icon + sizes.gap_small;
        }
        let line = one_line(ui.painter(), title, fonts::strong().resolve(ui.style()), tokens.text, text.width());
        let elided = line.elided;
        let painted: Rect = paint_line(ui.painter(), text, Align::Min, line);
        let rest = text.with_min_x((painted.right() + sizes.gap).min(text.right()));
        if rest.width() >= sizes.gap_section {
            let quiet = one_line(ui.painter(), note, TextStyle::Small.resolve(ui.style()), tokens.text_muted, rest.width());
            paint_line(ui.painter(), rest, Align::Min, quiet);
        }
        paint_focus_ring(ui, &response, sizes.radius);
        if elided {
            response.on_hover_text(title);
        }
        is_open.then(|| body(ui))
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "section",
        size: vec2(320.0, 184.0),
        show: |ui| {
            Section::new("Masking").note("75 % of 196 patches").collapsible(&mut true).show_with_actions(
                ui,
                |ui| {
                    Button::icon_only(icon::MORE, "More").small().show(ui);
                    Button::icon_only(icon::SHUFFLE, "Another seed").small().show(ui);
                },
                |ui| ui.label("Contents"),
            );
            Section::new("Optimizer").collapsible(&mut false).show(ui, |_| {});
            Section::new("Checkpoints").note("none yet").show(ui, |ui| ui.label("Contents of a section that does not fold"));
        },
    },
    Exhibit {
        name: "section_long",
        size: vec2(200.0, 40.0),
        show: |ui| {
            let actions = |ui: &mut Ui| drop(Button::icon_only(icon::MORE, "More").small().show(ui));
            Section::new("Reconstruction of held-out images").note("12 images").collapsible(&mut false).show_with_actions(
                ui,
                actions,
                |_| {},
            );
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn its_heading_folds_it_and_its_actions_do_not() {
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
            |ui, open| {
                let actions = |ui: &mut Ui| drop(Button::icon_only(icon::MORE, "More").small().show(ui));
                Section::new("Masking").collapsible(open).show_with_actions(ui, actions, |ui| ui.label("Contents"));
            },
            true,
        );
        harness.get_by_label("More").click();
        harness.run();
        assert!(*harness.state() && harness.query_by_label("Contents").is_some());
        harness.get_by_label("Masking").click();
        harness.run();
        assert!(!*harness.state() && harness.query_by_label("Contents").is_none());
    }
}
