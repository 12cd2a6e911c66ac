//! The channel mapper: which channels of an image are shown as what, and between which values.

use egui::{DragValue, Ui, WidgetInfo};
use maskroom_widgets::{ElidedLabel, Role, Segmented, Tokens, fonts};

use super::choice::choice;
use super::histogram_window::HistogramWindow;
use crate::studio::display::{ChannelValues, Display, Range, Shown, Units};

const MODES: [&str; 2] = ["Gray", "Color"];
const RANGES: [&str; 3] = ["Auto", "Full range", "Chosen"];
const COLORS: [&str; 3] = ["Red", "Green", "Blue"];

/// Whether an image has channels or values to choose from.
pub(super) fn has_choices(channels: usize, bit_depth: u32) -> bool {
    bit_depth != 8 || !matches!(channels, 1 | 3)
}

/// Draws the mapper of an image with so many channels. `windows` and `values` are those of the channels as they are shown now.
pub(super) fn mapper(ui: &mut Ui, display: &mut Display, channels: usize, units: Units, windows: &[[f32; 2]], values: &[ChannelValues]) {
    if channels > 1 {
        let mut mode = usize::from(matches!(display.shown, Shown::Color(_)));
        if Segmented::new("Channels as", &MODES).show(ui, &mut mode).changed() {
            let at = |slot: usize| slot.min(channels - 1);
            display.shown = if mode == 0 { Shown::Gray(0) } else { Shown::Color([at(0), at(1), at(2)]) };
            // Values chosen for other channels say nothing of these.
            if matches!(display.range, Range::Chosen(_)) {
                display.range = Range::Auto;
            }
        }
        pick_channels(ui, display, channels);
    }
    let mut range = match display.range {
        Range::Auto => 0,
        Range::Full => 1,
        Range::Chosen(_) => 2,
    };
    if Segmented::new("Black and white", &RANGES).show(ui, &mut range).changed() {
        display.range = match range {
            0 => Range::Auto,
            1 => Range::Full,
            _ => Range::Chosen(windows.to_vec()),
        };
    }
    if windows.len() == values.len() && windows.len() == display.shown.channels().len() {
        edit_windows(ui, display, units, windows, values);
    }
}

fn pick_channels(ui: &mut Ui, display: &mut Display, channels: usize) {
    let words: Vec<String> = (0..channels).map(|channel| format!("Channel {channel}")).collect();
    let mut pick = |ui: &mut Ui, name: &str, channel: &mut usize| {
        if let Some(answer) = choice(ui, name, &words[(*channel).min(channels - 1)], &words, *channel) {
            *channel = answer;
            display.alpha = None;
        }
    };
    match &mut display.shown {
        Shown::Gray(channel) => pick(ui, "Channel shown in gray", channel),
        Shown::Color(shown) => {
            for (name, channel) in COLORS.iter().zip(shown) {
                ui.horizontal(|ui| {
                    label(ui, name);
                    pick(ui, &format!("Channel shown in {}", name.to_lowercase()), channel);
                });
            }
        }
    }
}

/// A name in a column of its own.
fn label(ui: &mut Ui, text: &str) {
    let tokens = Tokens::of(ui);
    let size = egui::vec2(48.0, tokens.sizes.row);
    ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.set_min_size(size);
        ElidedLabel::new(text).role(Role::TextMuted).show(ui);
    });
}

fn edit_windows(ui: &mut Ui, display: &mut Display, units: Units, windows: &[[f32; 2]], values: &[ChannelValues]) {
    // What is being dragged does not wait for the picture.
    let windows = match &display.range {
        Range::Chosen(chosen) if chosen.len() == values.len() => chosen.clone(),
        _ => windows.to_vec(),
    };
    let mut chosen = windows.clone();
    for (slot, (window, values)) in chosen.iter_mut().zip(values).enumerate() {
        let name = match display.shown {
            Shown::Gray(channel) => format!("Channel {channel}"),
            Shown::Color(channels) => format!("{}, channel {}", COLORS[slot], channels[slot]),
        };
        ui.add_space(Tokens::of(ui).sizes.gap_small);
        ElidedLabel::new(&name).style(egui::TextStyle::Small).role(Role::TextMuted).show(ui);
        HistogramWindow::new(&name, &values.histogram, values.range).show(ui, window);
        ui.horizontal(|ui| {
            let [low, high] = *window;
            number(ui, &format!("{name}, black"), &mut window[0], units, 0.0..=high);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                number(ui, &format!("{name}, white"), &mut window[1], units, low..=1.0);
            });
        });
    }
    if chosen != windows {
        display.range = Range::Chosen(chosen);
    }
}

/// A value in the file's own units.
fn number(ui: &mut Ui, name: &str, unit: &mut f32, units: Units, range: std::ops::RangeInclusive<f32>) {
    let mut value = *unit * units.scale;
    let before = value;
    let range = *range.start() * units.scale..=*range.end() * units.scale;
    ui.style_mut().drag_value_text_style = fonts::mono_small();
    let field = DragValue::new(&mut value).range(range).speed(units.scale / 512.0).fixed_decimals(units.decimals);
    let response = ui.add(field);
    response.widget_info(|| {
        let mut info = WidgetInfo::drag_value(ui.is_enabled(), f64::from(value));
        info.label = Some(name.to_owned());
        info
    });
    // Only what was changed here: a value that went there and back would no longer be the same.
    if value != before {
        *unit = value / units.scale;
    }
}
