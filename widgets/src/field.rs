//! One look for every setting: its label, its control and unit, a way back to the default, and below it what is wrong with its value.

mod exhibits;
mod list;
mod number;

use std::ops::RangeInclusive;

use egui::{
    Align, Button as EguiButton, ComboBox, DragValue, Id, Label, Layout, Response, RichText, Slider, SliderClamping, Stroke, TextEdit,
    TextStyle, Ui, vec2,
};

use crate::one_line::{one_line, paint_icon};
use crate::{Button, ElidedLabel, Role, Segmented, Switch, Tokens, icon};

pub(crate) use exhibits::EXHIBITS;

/// A setting. It fits into 240 points and fills what it gets.
#[must_use = "nothing is drawn before one of the controls"]
pub struct Field<'a> {
    label: &'a str,
    doc: &'a str,
    unit: &'a str,
    hint: &'a str,
    problem: Option<&'a str>,
    default_differs: bool,
    slider: bool,
}

/// What a field was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldResponse {
    /// The value is another.
    pub changed: bool,
    /// The default is wanted back; the caller puts it in.
    pub reset: bool,
}

/// What a control says to its row.
#[derive(Default)]
struct Outcome {
    changed: bool,
    problem: Option<&'static str>,
}

impl<'a> Field<'a> {
    /// `label` in sentence case, without a colon.
    pub fn new(label: &'a str) -> Self {
        Self { label, doc: "", unit: "", hint: "", problem: None, default_differs: false, slider: false }
    }

    /// What the setting does; shown when the pointer rests on the label.
    pub fn doc(mut self, doc: &'a str) -> Self {
        self.doc = doc;
        self
    }

    /// Shown after numbers.
    pub fn unit(mut self, unit: &'a str) -> Self {
        self.unit = unit;
        self
    }

    /// Shown in a text that is empty.
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    /// What is wrong with the value, and what cures it.
    pub fn problem(mut self, problem: Option<&'a str>) -> Self {
        self.problem = problem;
        self
    }

    /// Whether the value is not the default: offers the way back.
    pub fn default_differs(mut self, differs: bool) -> Self {
        self.default_differs = differs;
        self
    }

    /// Adds a slider to a number whose range is bounded.
    pub fn slider(mut self) -> Self {
        self.slider = true;
        self
    }

    /// A number: drag it, or click and write it, `1e-4` too. Dragging goes by shares of the value, so that small values move in small
    /// steps. What was written is taken on Enter, within `range`; a value that came from elsewhere may be outside, and stays.
    pub fn number(self, ui: &mut Ui, value: &mut f64, range: RangeInclusive<f64>, integer: bool) -> FieldResponse {
        let (unit, slider) = (self.unit, self.slider);
        self.row(ui, |ui, label| {
            let tokens = Tokens::of(ui);
            let before = *value;
            let written = number::written(before, integer);
            let parser = |text: &str| if text == written { Some(before) } else { number::parsed(text) };
            let unit_room = if unit.is_empty() { 0.0 } else { tokens.sizes.gap + text_width(ui, unit) };
            let width = NUMBER_WIDTH.min((ui.available_width() - unit_room).max(2.0 * tokens.sizes.row));
            let drag = DragValue::new(value)
                .range(range.clone())
                .clamp_existing_to_range(false)
                .speed(number::speed(before, &range, integer))
                .custom_formatter(|value, _| number::written(value, integer))
                .custom_parser(parser)
                .update_while_editing(false)
                .clip_text(true)
                .min_size(vec2(width, tokens.sizes.row));
            ui.spacing_mut().text_edit_width = width;
            ui.add(drag).labelled_by(label);
            if !unit.is_empty() {
                ElidedLabel::new(unit).role(Role::TextMuted).show(ui);
            }
            let room = ui.available_width();
            let bounded = range.start().is_finite() && range.end().is_finite();
            if slider && bounded && room >= 4.0 * tokens.sizes.icon {
                ui.spacing_mut().slider_width = room;
                // The handle is as high as the row lets it be.
                ui.spacing_mut().interact_size.y = tokens.sizes.icon;
                ui.visuals_mut().selection.bg_fill = tokens.accent;
                let decades = (range.end() / range.start()).log10();
                let is_wide = *range.start() > 0.0 && decades >= 3.0;
                // A value that came from elsewhere stays what it is until it is moved.
                let shown = Slider::new(value, range.clone()).show_value(false).logarithmic(is_wide).clamping(SliderClamping::Edits);
                ui.add(shown).labelled_by(label);
            }
            if integer {
                *value = value.round();
            }
            Outcome { changed: *value != before, problem: None }
        })
    }

    /// On or off.
    pub fn flag(self, ui: &mut Ui, on: &mut bool) -> FieldResponse {
        let name = self.label;
        self.row(ui, |ui, _| Outcome { changed: Switch::new(name).show(ui, on).changed(), problem: None })
    }

    /// One of `words`: side by side if they are few and there is room, otherwise in a menu.
    pub fn choice(self, ui: &mut Ui, chosen: &mut String, words: &[&str]) -> FieldResponse {
        let name = self.label;
        self.row(ui, |ui, label| {
            let mut index = words.iter().position(|word| word == chosen).unwrap_or(usize::MAX);
            let segments = Segmented::new(name, words);
            let changed = if words.len() <= 4 && segments.natural_width(ui) <= ui.available_width() {
                segments.show(ui, &mut index).changed()
            } else {
                menu(ui, label, chosen, words, &mut index)
            };
            if let (true, Some(word)) = (changed, words.get(index)) {
                *chosen = (*word).to_owned();
            }
            Outcome { changed, problem: None }
        })
    }

    /// A text on one line.
    pub fn text(self, ui: &mut Ui, text: &mut String) -> FieldResponse {
        let hint = self.hint;
        self.row(ui, |ui, label| {
            let response = line_edit(ui, text, hint, TextStyle::Body);
            Outcome { changed: response.labelled_by(label).changed(), problem: None }
        })
    }

    /// Numbers with commas between them, such as `224, 224`; taken when the field is left.
    pub fn numbers(self, ui: &mut Ui, values: &mut Vec<f64>) -> FieldResponse {
        let hint = self.hint;
        self.row(ui, |ui, label| list::edit(ui, label, values, hint))
    }

    /// Label, control, way back; the problem below.
    fn row(self, ui: &mut Ui, control: impl FnOnce(&mut Ui, Id) -> Outcome) -> FieldResponse {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let width = ui.available_width();
        let label_width = sizes.label_column.min(0.36 * width).floor();
        let control_width = width - label_width - sizes.row_small - 2.0 * sizes.gap;
        let cell = Layout::left_to_right(Align::Center);
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = sizes.gap_small;
            let mut response = FieldResponse::default();
            let mut problem = self.problem;
            ui.horizontal(|ui| {
                let label = ui.allocate_ui_with_layout(vec2(label_width, sizes.row), cell, |ui| {
                    ui.set_min_width(label_width);
                    ElidedLabel::new(self.label).show(ui)
                });
                let label_id = label.inner.id;
                if !self.doc.is_empty() {
                    label.inner.on_hover_text(self.doc);
                }
                let outcome = ui.allocate_ui_with_layout(vec2(control_width, sizes.row), cell, |ui| {
                    ui.set_min_width(control_width);
                    ui.set_max_width(control_width);
                    wear_field_look(ui, self.problem.is_some());
                    control(ui, label_id)
                });
                response.changed = outcome.inner.changed;
                problem = problem.or(outcome.inner.problem);
                if self.default_differs {
                    response.reset = Button::icon_only(icon::RESET, "Back to the default").small().show(ui).clicked();
                }
            });
            if let Some(problem) = problem {
                ui.horizontal_top(|ui| {
                    ui.add_space(label_width + sizes.gap);
                    ui.spacing_mut().item_spacing.x = sizes.gap_small;
                    let small = |text| RichText::new(text).text_style(TextStyle::Small).color(tokens.bad);
                    ui.label(small(icon::ERROR));
                    ui.add(Label::new(small(problem)).wrap());
                });
            }
            response
        })
        .inner
    }
}

/// Of a number, in points.
const NUMBER_WIDTH: f32 = 96.0;

/// Controls of a form are filled at rest, unlike buttons, and outlined when their value is wrong.
fn wear_field_look(ui: &mut Ui, wrong: bool) {
    let tokens = Tokens::of(ui);
    let widgets = &mut ui.visuals_mut().widgets;
    widgets.inactive.weak_bg_fill = tokens.surface_field;
    widgets.hovered.weak_bg_fill = tokens.line;
    widgets.open.weak_bg_fill = tokens.line;
    widgets.active.weak_bg_fill = tokens.surface_field;
    if wrong {
        let edge = Stroke::new(tokens.sizes.hairline, tokens.bad);
        (widgets.inactive.bg_stroke, widgets.hovered.bg_stroke) = (edge, edge);
    }
}

fn text_width(ui: &Ui, text: &str) -> f32 {
    one_line(ui.painter(), text, TextStyle::Body.resolve(ui.style()), Tokens::of(ui).text, f32::INFINITY).size().x
}

/// A text field over the whole width.
fn line_edit(ui: &mut Ui, text: &mut String, hint: &str, style: TextStyle) -> Response {
    let width = ui.available_width();
    ui.add(TextEdit::singleline(text).hint_text(hint.to_owned()).font(style).desired_width(width).clip_text(true))
}

/// A menu of words over the whole width. Returns whether another was chosen.
fn menu(ui: &mut Ui, label: Id, chosen: &str, words: &[&str], index: &mut usize) -> bool {
    let before = *index;
    let shown = ComboBox::from_id_salt(label)
        .width(ui.available_width())
        .selected_text(chosen)
        .truncate()
        .icon(|ui, rect, _, _| {
            paint_icon(ui.painter(), icon::CHEVRON_DOWN, rect.center(), Tokens::of(ui).sizes.icon, Tokens::of(ui).text_muted);
        })
        .show_ui(ui, |ui| {
            for (place, word) in words.iter().enumerate() {
                if ui.add(EguiButton::selectable(place == *index, *word).truncate()).clicked() {
                    *index = place;
                }
            }
        });
    shown.response.labelled_by(label);
    *index != before
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn a_number_is_written_and_kept_within_its_range() {
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
            |ui, value: &mut f64| {
                Field::new("Learning rate").number(ui, value, 0.0..=1.0, false);
            },
            1.5e-4,
        );
        for (text, expected) in [("3e-4", 3e-4), ("7", 1.0), ("words", 1.0)] {
            harness.get_by_role(egui::Role::SpinButton).click();
            harness.run();
            harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
            harness.get_by_role(egui::Role::SpinButton).type_text(text);
            harness.run();
            harness.key_press(egui::Key::Enter);
            harness.run();
            assert_eq!(*harness.state(), expected, "{text}");
        }
    }

    #[test]
    fn a_choice_is_made_in_sight_or_in_a_menu() {
        for words in [&["cls", "mean"][..], &["random", "block", "grid", "attention", "none"][..]] {
            let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
                |ui, chosen: &mut String| {
                    Field::new("Pooling").choice(ui, chosen, words);
                },
                words[0].to_owned(),
            );
            if words.len() > 4 {
                harness.get_by_role(egui::Role::ComboBox).click();
                harness.run();
            }
            harness.get_by_label(words[1]).click();
            harness.run();
            assert_eq!(harness.state(), words[1]);
        }
    }

    #[test]
    fn the_way_back_is_there_when_the_value_is_not_the_default() {
        let mut harness = Harness::builder().with_context_setup(crate::theme::install).build_ui_state(
            |ui, on: &mut bool| {
                let differs = *on;
                if Field::new("Mixed precision").default_differs(differs).flag(ui, on).reset {
                    *on = false;
                }
            },
            true,
        );
        harness.get_by_label("Back to the default").click();
        harness.run();
        assert!(!*harness.state() && harness.query_by_label("Back to the default").is_none());
    }
}
