//! The recipe as text: what the person set, to be edited, and the complete recipe, to be read.

use egui::{Label, RichText, ScrollArea, TextEdit, TextStyle, Ui};
use maskroom_core::error::Problem;
use maskroom_widgets::{Banner, Button, Segmented, Tone, icon};

use super::form::in_a_sentence;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;

/// The text being edited.
#[derive(Default)]
pub struct TomlText {
    /// What is being written; the draft's own text while nobody writes.
    buffer: Option<String>,
    /// When the last key was pressed, in seconds of the window's clock, until the text is taken.
    typed_at: Option<f64>,
    /// 0: what was set; 1: the complete recipe.
    view: usize,
    complete: (u64, String),
}

/// The text is taken when no key was pressed for so long.
const PAUSE_SECS: f64 = 0.3;

impl TomlText {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>) {
        ui.horizontal(|ui| {
            Segmented::new("Text", &["What you set", "Complete recipe"]).show(ui, &mut self.view);
            if Button::icon_only(icon::COPY, "Copy the text").show(ui).clicked() {
                let text = if self.view == 0 { self.text(desk) } else { self.complete(desk).to_owned() };
                ui.copy_text(text);
            }
        });
        if self.view == 1 {
            self.leave(desk);
            ScrollArea::both().id_salt("complete recipe").auto_shrink(false).show(ui, |ui| {
                let text = RichText::new(self.complete(desk)).text_style(TextStyle::Monospace);
                ui.add(Label::new(text).extend().selectable(true));
            });
            return;
        }
        let text = self.text(desk);
        self.problems(ui, desk, &text);
        ScrollArea::vertical().id_salt("recipe text").auto_shrink(false).show(ui, |ui| self.editor(ui, desk, text));
    }

    /// Hands over what was written when the editor is no longer shown.
    pub fn leave(&mut self, desk: Desk<'_>) {
        let written = self.buffer.take().filter(|_| self.typed_at.take().is_some());
        if let Some(text) = written {
            desk.ask(Edit::Text(text));
        }
    }

    fn editor(&mut self, ui: &mut Ui, desk: Desk<'_>, mut text: String) {
        let now = ui.input(|input| input.time);
        let rows = ((ui.available_height() / ui.text_style_height(&TextStyle::Monospace)) as usize).saturating_sub(1).max(8);
        let editor =
            TextEdit::multiline(&mut text).code_editor().hint_text("method = \"mae\"").desired_width(f32::INFINITY).desired_rows(rows);
        let response = ui.add(editor).accessible_name("Recipe as TOML");
        if response.changed() {
            self.buffer = Some(text);
            self.typed_at = Some(now);
        }
        let left = !response.has_focus();
        let due = self.typed_at.is_some_and(|at| left || now - at >= PAUSE_SECS);
        if let (true, Some(text)) = (due, &self.buffer) {
            self.typed_at = None;
            desk.ask(Edit::Text(text.clone()));
        } else if self.typed_at.is_some() {
            ui.ctx().request_repaint_after_secs(PAUSE_SECS as f32);
        }
        if left && self.typed_at.is_none() {
            self.buffer = None;
        }
    }

    /// What is wrong, each with its line where it is known.
    fn problems(&self, ui: &mut Ui, desk: Desk<'_>, text: &str) {
        let problems = desk.draft.problems();
        if problems.is_empty() {
            return;
        }
        let told: Vec<String> = problems.iter().map(|problem| with_line(problem, text)).collect();
        let heading = if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
        Banner::new(Tone::Bad, &heading).body(&told.join("\n")).show(ui);
    }

    fn text(&self, desk: Desk<'_>) -> String {
        self.buffer.clone().unwrap_or_else(|| desk.draft.text())
    }

    fn complete(&mut self, desk: Desk<'_>) -> &str {
        let generation = desk.draft.generation();
        if self.complete.0 != generation || self.complete.1.is_empty() {
            self.complete = (generation, desk.draft.recipe().to_toml());
        }
        &self.complete.1
    }
}

fn with_line(problem: &Problem, text: &str) -> String {
    match line_of(text, &problem.key) {
        Some(line) => format!("line {line}: {}", in_a_sentence(problem)),
        None => in_a_sentence(problem),
    }
}

/// The line, counted from 1, on which the setting `path` is written; the heading of its table where the setting itself is not.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let (table, key) = path.split_once('.').unwrap_or(("", path));
    let (mut current, mut heading) = ("", None);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim()) {
            current = name;
            if name == table {
                heading = Some(index + 1);
            }
        } else if let Some((written, _)) = line.split_once('=') {
            let written = written.trim();
            if (current == table && written == key) || (current.is_empty() && written == path) {
                return Some(index + 1);
            }
        }
    }
    heading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_found_on_its_line() {
        let text = "method = \"mae\"\noptim.batch = 0\n\n[mask] # which\nratio = 2.0\n\n[ backbone ]\nwidth = 1\n";
        for (path, line) in [
            ("method", Some(1)),
            ("optim.batch", Some(2)),
            ("mask.ratio", Some(5)),
            ("mask.kind", Some(4)),
            ("backbone.width", Some(8)),
            ("decoder.width", None),
            ("line 3", None),
        ] {
            assert_eq!(line_of(text, path), line, "{path}");
        }
    }
}
