//! Preferences: where runs compute, memory for thumbnails, size and theme of the window.

use egui::{Context, ThemePreference, Ui};
use maskroom_core::device::DeviceChoice;
use maskroom_widgets::modal::Dialog;
use maskroom_widgets::{Field, Section, Tokens};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::preferences::Preferences;

/// What is being typed.
#[derive(Default)]
pub struct PreferencesDialog {
    /// The name of another device than those that are offered.
    device: Option<String>,
}

/// Devices that are offered by name; the last stands for all others.
const DEVICES: [&str; 4] = ["auto", "cpu", "gpu", "other"];
const THEMES: [(ThemePreference, &str); 3] =
    [(ThemePreference::System, "System"), (ThemePreference::Dark, "Dark"), (ThemePreference::Light, "Light")];

impl PreferencesDialog {
    /// Draws it; true when it is done with. Every change holds at once.
    pub fn show(&mut self, context: &Context, desk: Desk<'_>) -> bool {
        let mut preferences = desk.preferences.clone();
        let response = Dialog::new("Preferences").width(480.0).show(context, |ui| {
            let gap = Tokens::of(ui).sizes.gap;
            Section::new("Computing").show(ui, |ui| self.computing(ui, &mut preferences));
            ui.add_space(gap);
            Section::new("Window").show(ui, |ui| window(ui, &mut preferences));
            ui.add_space(gap);
            Section::new("While a run trains").show(ui, |ui| runs(ui, &mut preferences));
        });
        if preferences != *desk.preferences {
            desk.ask(Ask::Prefer(Box::new(preferences)));
        }
        response.closed
    }

    fn computing(&mut self, ui: &mut Ui, preferences: &mut Preferences) {
        let [.., other] = DEVICES;
        let is_other = self.device.is_some() || !DEVICES.contains(&preferences.device.as_str());
        let mut device = if is_other { other.to_owned() } else { preferences.device.clone() };
        let doc = "Where runs compute; auto takes a GPU only if it agrees with the CPU and is faster";
        if Field::new("Device").doc(doc).choice(ui, &mut device, &DEVICES).changed {
            if device == other {
                self.device = Some(preferences.device.clone());
            } else {
                (preferences.device, self.device) = (device, None);
            }
        } else if is_other {
            let mut text = self.device.take().unwrap_or_else(|| preferences.device.clone());
            let problem = text.parse::<DeviceChoice>().err();
            Field::new("Its name").hint("gpu:1").problem(problem.as_deref()).text(ui, &mut text);
            if text.parse::<DeviceChoice>().is_ok() {
                preferences.device.clone_from(&text);
            }
            self.device = Some(text);
        }
        number(ui, Field::new("Threads").doc("Computing threads of a run; 0 is one per core"), &mut preferences.threads, [0, 256]);
        let field = Field::new("Thumbnail memory").doc("Decoded thumbnails are kept up to so much").unit("MiB");
        number(ui, field, &mut preferences.thumbnail_cache_mib, [32, 8192]);
    }
}

fn window(ui: &mut Ui, preferences: &mut Preferences) {
    let name_of = |theme| THEMES.iter().find(|(known, _)| *known == theme).map_or("", |(_, name)| *name);
    let mut name = name_of(preferences.theme).to_owned();
    if Field::new("Theme").doc("Dark, light, or as the system").choice(ui, &mut name, &THEMES.map(|(_, name)| name)).changed
        && let Some((theme, _)) = THEMES.iter().find(|(_, known)| *known == name)
    {
        preferences.theme = *theme;
    }
    let before = (preferences.zoom * 100.0).round() as usize;
    let mut percent = before;
    number(ui, Field::new("Zoom").doc("Everything larger or smaller").unit("%"), &mut percent, [50, 300]);
    if percent != before {
        preferences.zoom = percent as f32 / 100.0;
    }
}

fn runs(ui: &mut Ui, preferences: &mut Preferences) {
    let doc = "A message on the desktop when a run ends while the window is in the background";
    Field::new("Tell the desktop").doc(doc).flag(ui, &mut preferences.notify);
    Field::new("Keep awake").doc("The machine does not fall asleep while a run trains").flag(ui, &mut preferences.keep_awake);
}

fn number(ui: &mut Ui, field: Field<'_>, value: &mut usize, [low, high]: [usize; 2]) {
    let mut number = *value as f64;
    field.number(ui, &mut number, low as f64..=high as f64, true);
    *value = number as usize;
}
