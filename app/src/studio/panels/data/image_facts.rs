//! What is known of one image, in words.

use egui::{TextStyle, Ui, vec2};
use maskroom_core::dataset::{Dataset, Picture};
use maskroom_widgets::{Button, ElidedLabel, Role, Tokens, format, icon};
use toml::Value;

use super::filter::split_name;
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;

/// A table of names and values.
pub(super) fn facts(ui: &mut Ui, dataset: &Dataset, index: usize, picture: Option<&Picture>) {
    let Some(item) = dataset.items.get(index) else { return };
    let mut rows: Vec<(&str, String)> = Vec::new();
    if let Some(picture) = picture {
        rows.push(("Size", format!("{} × {} px", format::count(picture.width as u64), format::count(picture.height as u64))));
        rows.push(("Channels", channels_in_words(picture.channels)));
        rows.push(("Samples", samples_in_words(picture.bit_depth()).to_owned()));
        rows.push(("In memory", format::bytes(picture.num_bytes() as u64)));
    }
    if let Some(class) = item.class.and_then(|class| dataset.classes.get(class)) {
        rows.push(("Class", class.clone()));
    }
    if let Some(split) = item.split {
        rows.push(("Split", split_name(split).to_owned()));
    }
    for (name, value) in rows {
        fact(ui, name, &value);
    }
}

/// One row of such a table.
pub(super) fn fact(ui: &mut Ui, name: &str, value: &str) {
    let tokens = Tokens::of(ui);
    ui.spacing_mut().interact_size.y = tokens.sizes.row_small;
    ui.horizontal(|ui| {
        let size = vec2(72.0, tokens.sizes.row_small);
        ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
            ui.set_min_size(size);
            ElidedLabel::new(name).style(TextStyle::Small).role(Role::TextMuted).show(ui);
        });
        ElidedLabel::new(value).style(TextStyle::Small).show(ui);
    });
}

fn channels_in_words(channels: usize) -> String {
    match channels {
        1 => "1, gray".into(),
        2 => "2, gray and alpha".into(),
        3 => "3, color".into(),
        4 => "4, color and alpha".into(),
        more => more.to_string(),
    }
}

/// The type of samples with so many bits.
pub(super) fn samples_in_words(bit_depth: u32) -> &'static str {
    match bit_depth {
        8 => "8 bits",
        16 => "16 bits",
        _ => "32 bits, floating point",
    }
}

/// What can be done with one image.
pub(super) fn actions(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, index: usize) {
    let Some(item) = dataset.items.get(index) else { return };
    let excluded = &desk.draft.recipe().data.exclude;
    let is_excluded = excluded.contains(&item.name);
    let (text, tip) = if is_excluded {
        ("Train on it again", "The recipe leaves this image out")
    } else {
        ("Leave out of training", "Adds the image to data.exclude of the recipe")
    };
    if Button::new(text).icon(if is_excluded { icon::ADD } else { icon::REMOVE }).small().tooltip(tip).show(ui).clicked() {
        let others = excluded.iter().filter(|name| **name != item.name).cloned();
        let names = others.chain((!is_excluded).then(|| item.name.clone())).map(Value::from).collect();
        desk.ask(Edit::Set { path: "data.exclude".into(), value: Value::Array(names) });
    }
    if let Some(file) = dataset.file(index)
        && Button::new("Show in folder").icon(icon::OPEN_EXTERNAL).small().show(ui).clicked()
    {
        desk.ask(Ask::Reveal(file.to_path_buf()));
    }
}
