//! Every widget with typical, empty, error and long contents. The gallery example shows the list, and the tests draw it in both themes.

use egui::{RichText, TextStyle, Ui, Vec2};

use crate::{fonts, icon};

/// One widget in one state.
#[derive(Clone, Copy)]
pub struct Exhibit {
    /// The widget and its state, such as `button_disabled`; the name of its picture in the tests.
    pub name: &'static str,
    /// Room it gets, in points.
    pub size: Vec2,
    /// Draws it.
    pub show: fn(&mut Ui),
}

/// Every exhibit, in the order in which the example shows them.
pub static EXHIBITS: &[&[Exhibit]] = &[
    TYPE,
    ICONS,
    crate::button::EXHIBITS,
    crate::switch::EXHIBITS,
    crate::segmented::EXHIBITS,
    crate::field::EXHIBITS,
    crate::section::EXHIBITS,
    crate::card::EXHIBITS,
    crate::banner::EXHIBITS,
    crate::empty_state::EXHIBITS,
    crate::badge::EXHIBITS,
    crate::stat::EXHIBITS,
    crate::key_hint::EXHIBITS,
    crate::elided_label::EXHIBITS,
    crate::compare::EXHIBITS,
    crate::filmstrip::EXHIBITS,
    crate::heatmap::EXHIBITS,
    crate::image_canvas::EXHIBITS,
    crate::legend::EXHIBITS,
    crate::patch_view::EXHIBITS,
    crate::thumbnail_grid::EXHIBITS,
    crate::command_palette::EXHIBITS,
    crate::cheat_sheet::EXHIBITS,
    crate::modal::EXHIBITS,
    crate::progress::EXHIBITS,
    crate::toast::EXHIBITS,
    crate::log_list::EXHIBITS,
    crate::data_table::EXHIBITS,
    crate::histogram::EXHIBITS,
    crate::status_line::EXHIBITS,
    crate::chart_exhibits::EXHIBITS,
];

const TYPE: &[Exhibit] = &[Exhibit {
    name: "type",
    size: Vec2::new(504.0, 288.0),
    show: |ui| {
        let styles = [
            (fonts::title(), "Title 0123456789"),
            (TextStyle::Heading, "Heading — sentence case"),
            (fonts::strong(), "Strong: Ränder, Größen, Żółć, αβγ, Жя"),
            (TextStyle::Body, "Text: “quick” 1,234 × 56 · 7 → 8 … ≤ ≥ ± ° µ"),
            (TextStyle::Button, "Button: Open folder… ⌘⇧O"),
            (TextStyle::Small, "Small: axis labels, captions and hints 0123456789"),
            (TextStyle::Monospace, "mono: 0.4182 -> 1e-4 != 0123456789"),
            (fonts::mono_small(), "small mono: 0123456789"),
            (fonts::figure(), "1,240 figure"),
        ];
        for (style, text) in styles {
            ui.label(RichText::new(format!("{} {text}", icon::STAR)).text_style(style));
        }
    },
}];

const ICONS: &[Exhibit] = &[Exhibit {
    name: "icons",
    size: Vec2::new(440.0, 176.0),
    show: |ui| {
        ui.horizontal_wrapped(|ui| {
            for (name, icon) in icon::ALL {
                ui.label(RichText::new(*icon).size(18.0)).on_hover_text(*name);
            }
        });
    },
}];
