//! Opening a folder by typing or pasting its path, for platforms and people without a file dialog.

use std::path::{Path, PathBuf};

use egui::{Context, Key, RichText, TextEdit};
use maskroom_widgets::modal::Dialog;
use maskroom_widgets::{Button, Tokens};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;

/// The path so far.
#[derive(Default)]
pub struct OpenPath {
    text: String,
    focused: bool,
}

impl OpenPath {
    /// Draws it; true when it is done with.
    pub fn show(&mut self, context: &Context, desk: Desk<'_>) -> bool {
        let mut done = false;
        let response = Dialog::new("Open path").width(480.0).show(context, |ui| {
            let tokens = Tokens::of(ui);
            ui.label(RichText::new("A folder of images, a zip or tar archive, or weights").color(tokens.text_muted));
            ui.add_space(tokens.sizes.gap);
            let field = ui.add(TextEdit::singleline(&mut self.text).hint_text("~/pictures").desired_width(f32::INFINITY));
            field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Path"));
            if !std::mem::replace(&mut self.focused, true) {
                field.request_focus();
            }
            let path = expand(&self.text);
            let exists = path.exists();
            ui.add_space(tokens.sizes.gap);
            if !self.text.trim().is_empty() && !exists {
                ui.label(RichText::new("There is nothing at this path").color(tokens.warning).small());
            } else {
                ui.label(RichText::new(" ").small());
            }
            ui.add_space(tokens.sizes.gap);
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let clicked = Button::new("Open").primary().enabled(exists).show(ui).clicked();
            if exists && (entered || clicked) {
                desk.ask(Ask::Open(path));
                done = true;
            }
        });
        done || response.closed
    }
}

/// The path that a person means: quotes and blanks around it are not part of it, `~` is the home folder.
fn expand(text: &str) -> PathBuf {
    let text = text.trim().trim_matches(['"', '\'']);
    let home = || directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_path_buf());
    match text.strip_prefix("~/").or_else(|| (text == "~").then_some("")) {
        Some(rest) => home().map_or_else(|| Path::new(text).to_path_buf(), |home| home.join(rest)),
        None => text.strip_prefix("file://").unwrap_or(text).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_path_is_understood() {
        assert_eq!(expand("  \"/a/b c\" "), Path::new("/a/b c"));
        assert_eq!(expand("file:///a/b"), Path::new("/a/b"));
        assert!(!expand("~/x").starts_with("~"));
    }
}
