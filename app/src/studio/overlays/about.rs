//! What this program is, and what it promises.

use egui::{Context, RichText};
use maskroom_widgets::Tokens;
use maskroom_widgets::modal::Dialog;

/// Draws it; true when it is done with.
pub fn show(context: &Context) -> bool {
    let response = Dialog::new("About Maskroom").width(440.0).show(context, |ui| {
        let tokens = Tokens::of(ui);
        ui.label(format!("Version {}", env!("CARGO_PKG_VERSION")));
        ui.add_space(tokens.sizes.gap);
        ui.label("A darkroom for masked images: pre-train on your own pictures, look inside, and take masks out.");
        ui.add_space(tokens.sizes.gap);
        for promise in [
            "Nothing leaves this machine: there is no network code in it, no account and no telemetry.",
            "A run is a folder. Closing or killing the window does not end it.",
            "Every export is read back and compared before it is called done.",
            "MIT or Apache 2.0. Inter and JetBrains Mono under the SIL Open Font License; Material Symbols under Apache 2.0.",
        ] {
            ui.label(RichText::new(promise).color(tokens.text_muted));
            ui.add_space(tokens.sizes.gap_small);
        }
    });
    response.closed
}
