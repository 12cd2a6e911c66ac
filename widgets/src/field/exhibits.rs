//! Fields for the gallery.

use egui::{Ui, vec2};

use super::Field;
use crate::gallery::Exhibit;

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "field", size: vec2(416.0, 280.0), show: typical },
    Exhibit { name: "field_narrow", size: vec2(256.0, 280.0), show: typical },
    Exhibit { name: "field_disabled", size: vec2(416.0, 280.0), show: |ui| drop(ui.add_enabled_ui(false, typical)) },
    Exhibit {
        name: "field_problem",
        size: vec2(416.0, 200.0),
        show: |ui| {
            let small = Some("The image is not divisible into patches of 15: choose 8, 16 or 32");
            Field::new("Patch size").unit("px").problem(small).default_differs(true).number(ui, &mut 15.0, 1.0..=64.0, true);
            Field::new("Folder").hint("Path of a folder").problem(Some("No folder")).text(ui, &mut String::new());
            let unknown = Some("Unknown mask “blocks”: did you mean block?");
            let masks = ["random", "block", "grid", "attention", "none"];
            Field::new("Mask").problem(unknown).choice(ui, &mut "blocks".to_owned(), &masks);
        },
    },
];

fn typical(ui: &mut Ui) {
    Field::new("Learning rate").doc("Of a batch of 256.").default_differs(true).number(ui, &mut 1.5e-4, 0.0..=1.0, false);
    Field::new("Mask ratio").slider().number(ui, &mut 0.75, 0.0..=1.0, false);
    Field::new("Batch size").unit("images").number(ui, &mut 4096.0, 1.0..=65_536.0, true);
    Field::new("Mixed precision").flag(ui, &mut true);
    Field::new("Pooling").choice(ui, &mut "mean".to_owned(), &["cls", "mean"]);
    Field::new("Mask strategy of the second view").choice(
        ui,
        &mut "attention".to_owned(),
        &["random", "block", "grid", "attention", "none"],
    );
    Field::new("Image size").unit("px").numbers(ui, &mut vec![224.0, 224.0]);
    Field::new("Name").hint("Named after the time").text(ui, &mut String::new());
}
