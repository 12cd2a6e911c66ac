//! A keyboard shortcut, drawn as the keys look.

use egui::{Align, Response, Sense, Stroke, StrokeKind, TextStyle, Ui, WidgetInfo, vec2};

use crate::Tokens;
use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};

/// A shortcut as egui writes it, such as `Ctrl+Shift+P`.
#[must_use = "nothing is drawn before `show`"]
pub struct KeyHint<'a> {
    shortcut: &'a str,
}

impl<'a> KeyHint<'a> {
    /// Take the text from [`egui::Context::format_shortcut`], which knows the system's names.
    pub fn new(shortcut: &'a str) -> Self {
        Self { shortcut }
    }

    /// Draws a cap for each key.
    pub fn show(self, ui: &mut Ui) -> Response {
        let tokens = Tokens::of(ui);
        let sizes = &tokens.sizes;
        let font = TextStyle::Small.resolve(ui.style());
        let lines: Vec<_> = keys(self.shortcut)
            .into_iter()
            .map(|key| one_line(ui.painter(), key, font.clone(), tokens.text_muted, f32::INFINITY))
            .collect();
        let height = sizes.row_small - 2.0;
        let caps: Vec<f32> = lines.iter().map(|line| (line.size().x + 10.0).max(height)).collect();
        let gap = sizes.gap_small - 1.0;
        let width = caps.iter().map(|width| width + gap).sum::<f32>() - gap;
        let (rect, response) = ui.allocate_exact_size(vec2(width.max(0.0), height), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, self.shortcut));
        let mut left = rect.left();
        for (line, width) in lines.into_iter().zip(caps) {
            let cap = egui::Rect::from_min_size(egui::pos2(left, rect.top()), vec2(width, height));
            let edge = Stroke::new(sizes.hairline, tokens.line);
            ui.painter().rect(cap, sizes.radius, tokens.surface_field, edge, StrokeKind::Inside);
            paint_line(ui.painter(), cap, Align::Center, line);
            left = cap.right() + gap;
        }
        response
    }
}

/// The keys of a shortcut. A plus between keys joins them; one in the place of a key is that key. Without pluses, as on a Mac, modifiers
/// are one sign each.
fn keys(shortcut: &str) -> Vec<&str> {
    const SIGNS: [char; 4] = ['⌥', '⌃', '⇧', '⌘'];
    let signs = shortcut.find(|character| !SIGNS.contains(&character)).unwrap_or(shortcut.len());
    let (modifiers, rest) = shortcut.split_at(signs);
    let mut keys: Vec<&str> = modifiers.split_inclusive(SIGNS).collect();
    match rest.strip_suffix('+') {
        Some(before) => keys.extend(before.split('+').filter(|key| !key.is_empty()).chain(["+"])),
        None => keys.extend(rest.split('+').filter(|key| !key.is_empty())),
    }
    keys
}

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "key_hint",
    size: vec2(296.0, 40.0),
    show: |ui| {
        ui.horizontal(|ui| {
            for shortcut in ["Ctrl+Shift+P", "⇧⌘P", "F1", "Ctrl++"] {
                KeyHint::new(shortcut).show(ui);
            }
        });
    },
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_joins_keys_or_is_one() {
        assert_eq!(keys("Ctrl+Shift+P"), ["Ctrl", "Shift", "P"]);
        assert_eq!(keys("⇧⌘P"), ["⇧", "⌘", "P"]);
        assert_eq!(keys("⌘+"), ["⌘", "+"]);
        assert_eq!(keys("Ctrl++"), ["Ctrl", "+"]);
        assert_eq!(keys("F1"), ["F1"]);
        assert!(keys("").is_empty());
    }
}
