//! The button: a ghost until the pointer or the keyboard reaches it, or filled with the accent for the one thing to do next.

use std::borrow::Cow;

use egui::{Align, Color32, FontId, Response, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_icon, paint_line};
use crate::theme::paint_focus_ring;
use crate::{Tokens, fonts, icon};

/// A button with a text, an icon, or both.
#[must_use = "nothing is drawn before `show`"]
pub struct Button<'a> {
    text: Cow<'a, str>,
    icon: Option<&'a str>,
    icon_only: bool,
    kind: Kind,
    small: bool,
    enabled: bool,
    selected: Option<bool>,
    tooltip: Cow<'a, str>,
    shortcut: Cow<'a, str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ghost,
    Primary,
    Danger,
}

impl<'a> Button<'a> {
    /// A ghost button. `…` ends the text of one that asks for more before it acts.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            text: text.into(),
            icon: None,
            icon_only: false,
            kind: Kind::Ghost,
            small: false,
            enabled: true,
            selected: None,
            tooltip: Cow::Borrowed(""),
            shortcut: Cow::Borrowed(""),
        }
    }

    /// A square with an icon; `name` is read aloud, and shown when the pointer rests on it.
    pub fn icon_only(icon: &'a str, name: impl Into<Cow<'a, str>>) -> Self {
        Self { icon: Some(icon), icon_only: true, ..Self::new(name) }
    }

    /// Puts one of [`crate::icon`] before the text.
    pub fn icon(mut self, icon: &'a str) -> Self {
        self.icon = Some(icon);
        self
    }

    /// Fills it with the accent: the one thing to do next. At most one on a page.
    pub fn primary(mut self) -> Self {
        self.kind = Kind::Primary;
        self
    }

    /// Says that it takes something away for good.
    pub fn danger(mut self) -> Self {
        self.kind = Kind::Danger;
        self
    }

    /// Lower, for use inside rows and headers.
    pub fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// Whether it can be pressed. Let the tooltip say why it cannot.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Makes it a toggle that is on or off.
    pub fn selected(mut self, selected: bool) -> Self {
        self.selected = Some(selected);
        self
    }

    /// Shown when the pointer rests on it, also while it is disabled.
    pub fn tooltip(mut self, text: impl Into<Cow<'a, str>>) -> Self {
        self.tooltip = text.into();
        self
    }

    /// Shown in quiet text after the label, such as `Ctrl+O`; in the tooltip of an icon.
    pub fn shortcut_text(mut self, shortcut: impl Into<Cow<'a, str>>) -> Self {
        self.shortcut = shortcut.into();
        self
    }

    /// Draws it; ask the response whether it was clicked. A text without room ends in an ellipsis.
    pub fn show(self, ui: &mut Ui) -> Response {
        // In the same `Ui` in either case, so that both wrap alike.
        ui.add_enabled(self.enabled, |ui: &mut Ui| self.show_as_is(ui))
    }

    fn show_as_is(self, ui: &mut Ui) -> Response {
        let Self { text, icon, icon_only, kind, small, enabled: _, selected, tooltip, shortcut } = self;
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let color = match kind {
            Kind::Primary => tokens.on_accent,
            Kind::Danger => tokens.bad,
            Kind::Ghost if selected == Some(true) => tokens.accent,
            Kind::Ghost => tokens.text,
        };

        // Size.
        let height = if small { sizes.row_small } else { sizes.row };
        let icon_size = if small { sizes.icon - 2.0 } else { sizes.icon };
        let padding = if small { 6.0 } else { sizes.gap };
        let style = if small { FontId::new(tokens.fonts.small, fonts::medium()) } else { TextStyle::Button.resolve(ui.style()) };
        let before = padding + icon.map_or(0.0, |_| icon_size + sizes.gap_small);
        let keys = if icon_only { "" } else { &*shortcut };
        let has_keys = !keys.is_empty();
        let keys = one_line(ui.painter(), keys, TextStyle::Small.resolve(ui.style()), color, f32::INFINITY);
        let after = padding + if has_keys { sizes.gap + keys.size().x } else { 0.0 };
        // What finds no room in a row that wraps goes into the next one.
        let room = if ui.layout().main_wrap() { ui.max_rect().width() } else { ui.available_width() };
        let label = one_line(ui.painter(), if icon_only { "" } else { &text }, style, color, room - before - after);
        let width = if icon_only { height } else { before + label.size().x + after };

        // Allocate and interact.
        let (rect, mut response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
        response.widget_info(|| match selected {
            Some(selected) => WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), selected, &text),
            None => WidgetInfo::labeled(egui::Role::Button, ui.is_enabled(), &text),
        });

        // Paint.
        if ui.is_rect_visible(rect) {
            let painter = ui.painter();
            let fill = match kind {
                Kind::Primary => tokens.accent,
                _ if selected == Some(true) => tokens.selection_fill,
                _ => Color32::TRANSPARENT,
            };
            painter.rect_filled(rect, sizes.radius, fill);
            if response.hovered() || response.has_focus() {
                painter.rect_filled(rect, sizes.radius, tokens.hover_fill);
            }
            if response.is_pointer_button_down_on() {
                painter.rect_filled(rect, sizes.radius, tokens.hover_fill);
            }
            if let Some(icon) = icon {
                let center = if icon_only { rect.center() } else { pos2(rect.left() + padding + icon_size / 2.0, rect.center().y) };
                paint_icon(painter, icon, center, icon_size, color);
            }
            let inner = rect.with_min_x(rect.left() + before).with_max_x(rect.right() - padding);
            let elided = label.elided;
            paint_line(painter, inner, Align::Min, label);
            let quiet = if kind == Kind::Primary { color } else { tokens.text_muted };
            let keys_at = pos2(inner.right() - keys.size().x, inner.center().y - keys.size().y / 2.0);
            painter.galley_with_override_text_color(keys_at, keys, quiet);
            paint_focus_ring(ui, &response, sizes.radius);
            if elided || icon_only {
                let name = if shortcut.is_empty() { text.to_string() } else { format!("{text} ({shortcut})") };
                let told = if tooltip.is_empty() { name } else { tooltip.to_string() };
                response = response.on_hover_text(&told).on_disabled_hover_text(told);
            } else if !tooltip.is_empty() {
                response = response.on_hover_text(&*tooltip).on_disabled_hover_text(&*tooltip);
            }
        }
        response
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "button",
        size: vec2(480.0, 104.0),
        show: |ui| {
            ui.horizontal(|ui| {
                Button::new("Train").icon(icon::PLAY).primary().show(ui);
                Button::new("Open folder…").icon(icon::FOLDER_OPEN).shortcut_text("Ctrl+O").show(ui);
                Button::new("Compare").selected(true).show(ui);
                Button::new("Delete run").danger().show(ui);
            });
            ui.horizontal(|ui| {
                Button::new("Train").icon(icon::PLAY).primary().enabled(false).show(ui);
                Button::new("Open folder…").icon(icon::FOLDER_OPEN).enabled(false).show(ui);
                Button::new("Delete run").danger().enabled(false).show(ui);
            });
            ui.horizontal(|ui| {
                Button::icon_only(icon::PLAY, "Train").primary().show(ui);
                Button::icon_only(icon::LAYERS, "Layers").selected(true).show(ui);
                Button::icon_only(icon::SETTINGS, "Settings").show(ui);
                Button::icon_only(icon::DELETE, "Delete").danger().show(ui);
                Button::icon_only(icon::CLOSE, "Close").small().show(ui);
                Button::new("Small").icon(icon::RESET).small().show(ui);
                Button::new("Small, on").small().selected(true).show(ui);
            });
        },
    },
    Exhibit {
        name: "button_long",
        size: vec2(200.0, 72.0),
        show: |ui| {
            Button::new("Continue pretraining of vit-base-16 from step 120,000").icon(icon::PLAY).primary().show(ui);
            Button::new("Show runs/2026-11-24-mae-toy-scenes-seed-3").icon(icon::FOLDER).show(ui);
        },
    },
    Exhibit {
        name: "button_focused",
        size: vec2(200.0, 72.0),
        show: |ui| {
            let first = Button::new("Open folder…").icon(icon::FOLDER_OPEN).show(ui);
            Button::new("Train").primary().show(ui);
            first.request_focus();
        },
    },
];

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn it_is_pressed_by_pointer_and_keyboard_and_not_while_disabled() {
        let presses = Cell::new([0, 0]);
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui(|ui| {
            for (index, enabled) in [true, false].into_iter().enumerate() {
                if Button::icon_only(icon::PLAY, ["Train", "Export"][index]).enabled(enabled).show(ui).clicked() {
                    let mut now = presses.get();
                    now[index] += 1;
                    presses.set(now);
                }
            }
        });
        harness.get_by_label("Train").click();
        harness.run();
        harness.get_by_label("Export").click();
        harness.run();
        harness.get_by_label("Train").focus();
        harness.run();
        harness.key_press(egui::Key::Enter);
        harness.run();
        assert_eq!(presses.get(), [2, 0]);
    }
}
