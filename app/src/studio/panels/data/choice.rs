//! A button that opens a list of words, one of which is chosen.

use egui::{Popup, PopupCloseBehavior, ScrollArea, Ui};
use maskroom_widgets::{Button, Tokens, icon};

/// Longer words are cut.
const MAX_WIDTH: f32 = 120.0;

/// Draws the button, with `current` on it; `name` is read aloud and shown when the pointer rests on it. Returns what was chosen.
pub(super) fn choice(ui: &mut Ui, name: &str, current: &str, words: &[String], chosen: usize) -> Option<usize> {
    let button = ui.scope(|ui| {
        ui.set_max_width(MAX_WIDTH.min(ui.available_width()));
        Button::new(current).icon(icon::CHEVRON_DOWN).tooltip(name).show(ui)
    });
    let button = button.inner;
    let mut answer = None;
    Popup::menu(&button).close_behavior(PopupCloseBehavior::CloseOnClick).show(|ui| {
        let tokens = Tokens::of(ui);
        ui.set_min_width(button.rect.width());
        ScrollArea::vertical().max_height(12.0 * tokens.sizes.row).show_rows(ui, tokens.sizes.row, words.len(), |ui, rows| {
            for index in rows {
                if ui.selectable_label(index == chosen, &words[index]).clicked() {
                    answer = Some(index);
                    ui.close();
                }
            }
        });
    });
    answer.filter(|&index| index != chosen)
}
