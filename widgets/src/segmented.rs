//! One of a few words, all of them in sight.

use egui::{Align, Rect, Response, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};
use crate::theme::paint_focus_ring;

/// A choice between two to about four words.
#[must_use = "nothing is drawn before `show`"]
pub struct Segmented<'a> {
    name: &'a str,
    words: &'a [&'a str],
}

impl<'a> Segmented<'a> {
    /// `name` says what is chosen; it is read aloud before the words.
    pub fn new(name: &'a str, words: &'a [&'a str]) -> Self {
        Self { name, words }
    }

    /// The width it takes if it gets it, in points.
    pub fn natural_width(&self, ui: &Ui) -> f32 {
        self.widths(ui).iter().sum()
    }

    /// Draws it, narrower if it must. The response is marked as changed when another word was chosen; an index past the end chooses none.
    pub fn show(self, ui: &mut Ui, chosen: &mut usize) -> Response {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let widths = self.widths(ui);
        let total: f32 = widths.iter().sum();
        let scale = (ui.available_width() / total.max(1.0)).min(1.0);
        let (rect, mut response) = ui.allocate_exact_size(vec2(total * scale, sizes.row), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(egui::Role::RadioGroup, ui.is_enabled(), self.name));
        ui.painter().rect_filled(rect, sizes.radius, tokens.surface_field);

        let mut left = rect.left();
        for (index, (word, width)) in self.words.iter().zip(widths).enumerate() {
            let segment = Rect::from_min_size(pos2(left, rect.top()), vec2(width * scale, rect.height()));
            left = segment.right();
            let mut part = ui.interact(segment, response.id.with(index), Sense::click());
            if part.clicked() && *chosen != index {
                *chosen = index;
                response.mark_changed();
            }
            let is_chosen = *chosen == index;
            part.widget_info(|| WidgetInfo::selected(egui::Role::RadioButton, ui.is_enabled(), is_chosen, word));
            part.rect = segment.shrink(2.0);
            if is_chosen {
                ui.painter().rect_filled(part.rect, sizes.radius - 1.0, tokens.selection_fill);
            }
            if part.hovered() && !is_chosen {
                ui.painter().rect_filled(part.rect, sizes.radius - 1.0, tokens.hover_fill);
            }
            let color = if is_chosen { tokens.accent } else { tokens.text };
            let line = one_line(ui.painter(), word, TextStyle::Button.resolve(ui.style()), color, segment.width() - sizes.gap);
            let elided = line.elided;
            paint_line(ui.painter(), segment, Align::Center, line);
            paint_focus_ring(ui, &part, sizes.radius);
            if elided {
                part.on_hover_text(*word);
            }
        }
        response
    }

    fn widths(&self, ui: &Ui) -> Vec<f32> {
        let padding = 2.0 * Tokens::of(ui).sizes.gap + 2.0;
        let font = TextStyle::Button.resolve(ui.style());
        let color = Tokens::of(ui).text;
        self.words.iter().map(|word| one_line(ui.painter(), word, font.clone(), color, f32::INFINITY).size().x.ceil() + padding).collect()
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "segmented",
    size: vec2(280.0, 136.0),
    show: |ui| {
        Segmented::new("Scale", &["linear", "log"]).show(ui, &mut 1);
        Segmented::new("Target", &["pixels", "normalized", "features"]).show(ui, &mut 0);
        Segmented::new("Target of a long name", &["normalized pixels", "HOG features", "teacher features"]).show(ui, &mut 2);
        ui.add_enabled_ui(false, |ui| Segmented::new("Disabled", &["linear", "log"]).show(ui, &mut 0));
    },
}];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn a_click_chooses() {
        let mut harness = Harness::builder()
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, chosen| drop(Segmented::new("Scale", &["linear", "log"]).show(ui, chosen)), 0);
        harness.get_by_label("log").click();
        harness.run();
        assert_eq!(*harness.state(), 1);
    }
}
