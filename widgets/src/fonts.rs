//! The type: Inter for words, JetBrains Mono for numbers that change and for code, and the icons behind both, so that an icon can stand in
//! any text. The files are subsets that `data/fonts/subset.py` makes; digits are tabular in all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily, FontId, TextStyle};

use crate::tokens::Fonts;

const REGULAR: &[u8] = include_bytes!("../data/fonts/Inter-Regular.otf");
const MEDIUM: &[u8] = include_bytes!("../data/fonts/Inter-Medium.otf");
const SEMIBOLD: &[u8] = include_bytes!("../data/fonts/Inter-SemiBold.otf");
const MONO: &[u8] = include_bytes!("../data/fonts/JetBrainsMono-Regular.ttf");

/// The one title of a page.
pub fn title() -> TextStyle {
    TextStyle::Name("Title".into())
}

/// Text that heads something, in the size of text.
pub fn strong() -> TextStyle {
    TextStyle::Name("Strong".into())
}

/// Numbers beside captions, such as the ticks of an axis.
pub fn mono_small() -> TextStyle {
    TextStyle::Name("MonospaceSmall".into())
}

/// The one number that a page is about.
pub fn figure() -> TextStyle {
    TextStyle::Name("Figure".into())
}

/// Medium weight.
pub(crate) fn medium() -> FontFamily {
    FontFamily::Name("medium".into())
}

/// Semibold weight.
pub(crate) fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// A font and a size for every text style.
pub(crate) fn text_styles(sizes: &Fonts) -> BTreeMap<TextStyle, FontId> {
    [
        (TextStyle::Small, sizes.small, FontFamily::Proportional),
        (TextStyle::Body, sizes.body, FontFamily::Proportional),
        (TextStyle::Button, sizes.body, medium()),
        (TextStyle::Heading, sizes.heading, semibold()),
        (TextStyle::Monospace, sizes.mono, FontFamily::Monospace),
        (title(), sizes.title, semibold()),
        (strong(), sizes.body, semibold()),
        (mono_small(), sizes.small, FontFamily::Monospace),
        (figure(), sizes.figure, FontFamily::Monospace),
    ]
    .into_iter()
    .map(|(style, size, family)| (style, FontId::new(size, family)))
    .collect()
}

/// The files and their order in each family: what one lacks comes from the next.
pub(crate) fn definitions() -> FontDefinitions {
    let icons = egui_material_icons::font_insert();
    let mut definitions = FontDefinitions::empty();
    let files = [("Inter", REGULAR), ("Inter Medium", MEDIUM), ("Inter SemiBold", SEMIBOLD), ("JetBrains Mono", MONO)];
    for (name, bytes) in files {
        definitions.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    definitions.font_data.insert(icons.name.clone(), Arc::new(icons.data));
    let families = [
        (FontFamily::Proportional, ["Inter", "JetBrains Mono"]),
        (medium(), ["Inter Medium", "JetBrains Mono"]),
        (semibold(), ["Inter SemiBold", "JetBrains Mono"]),
        (FontFamily::Monospace, ["JetBrains Mono", "Inter"]),
    ];
    for (family, names) in families {
        let names = names.into_iter().map(str::to_owned).chain([icons.name.clone()]);
        definitions.families.insert(family, names.collect());
    }
    definitions
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_style_can_write_what_we_write() {
        let written = "Aa0 ÄßŁő αβθΣ Жя ×·…–— → ← ↑ ↓ ≤ ≥ ≠ ≈ ± ° µ √ ∑ ∏ ∞ ∂ ² ³ ⁻ ₀ ⌘ ⇧ ⌥ ⌃ ⏎ ⌫ ⎋ ⇥ ✓ • ‰ € “” ‘’ « »";
        let context = egui::Context::default();
        crate::theme::install(&context);
        let _ = context.run_ui(egui::RawInput::default(), |ui| {
            let styles = ui.style().text_styles.clone();
            for (style, font) in styles {
                for character in written.chars().filter(|character| *character != ' ') {
                    assert!(ui.fonts_mut(|fonts| fonts.has_glyph(&font, character)), "{style:?} has no {character}");
                }
            }
        });
    }

    #[test]
    fn numbers_keep_their_width() {
        let context = egui::Context::default();
        crate::theme::install(&context);
        let _ = context.run_ui(egui::RawInput::default(), |ui| {
            for font in ui.style().text_styles.clone().values() {
                let widths: Vec<f32> = ('0'..='9').map(|digit| ui.fonts_mut(|fonts| fonts.glyph_width(font, digit))).collect();
                assert!(widths.iter().all(|width| (width - widths[0]).abs() < 0.05), "{font:?}: {widths:?}");
            }
        });
    }
}
