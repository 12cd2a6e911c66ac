//! What is shown and how: heads, whose attention, colors, and the mask.

use egui::{TextStyle, Ui};
use maskroom_core::inspect::colormap::ColorMap;
use maskroom_widgets::{Button, ElidedLabel, Field, Role, Section, Segmented, Tokens, icon};

use super::head_matrix;
use super::shown::{Heads, View};
use crate::studio::explorer::Look;

/// Which sections are unfolded.
pub struct Folds {
    look: bool,
    mask: bool,
}

impl Default for Folds {
    fn default() -> Self {
        Self { look: true, mask: true }
    }
}

/// The colors that suit quantities.
const COLORS: [ColorMap; 3] = [ColorMap::Viridis, ColorMap::Inferno, ColorMap::Gray];

/// Which stage of a pyramid.
pub fn stages(ui: &mut Ui, look: &Look, view: &mut View) {
    let overview = &look.overview;
    if overview.stages < 2 {
        return;
    }
    let words: Vec<String> = (1..=overview.stages).map(|stage| format!("Stage {stage}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut index = overview.stage;
    if Segmented::new("Stage", &words).show(ui, &mut index).changed() {
        (view.stage, view.layer, view.pinned) = (index as i64, -1, None);
    }
    ui.add_space(Tokens::of(ui).sizes.gap_small);
}

/// Which heads, and whose attention.
pub fn heads(ui: &mut Ui, look: &Look, view: &mut View) {
    // What the blocks of a pyramid attend to cannot be carried through all of them.
    let count = Heads::ALL.len() - usize::from(look.overview.rollout.is_none());
    if view.heads == Heads::Rollout && look.overview.rollout.is_none() {
        view.heads = Heads::default();
    }
    let mut index = Heads::ALL.iter().position(|&heads| heads == view.heads).unwrap_or(0);
    if Segmented::new("Heads", &Heads::WORDS[..count]).show(ui, &mut index).changed() {
        view.heads = Heads::ALL[index];
    }
    if view.heads == Heads::Composite {
        head_matrix::chips(ui, look.overview.heads, view);
        let tip = "last layer, class token, 60 % of the mass, half opaque; then leave out heads that add nothing";
        if Button::new("As in the DINO figure").small().tooltip(tip).show(ui).clicked() {
            view.like_dino();
        }
    }
}

/// The token whose attention is shown.
pub fn asked(ui: &mut Ui, look: &Look, view: &mut View) {
    let rollout = look.overview.rollout.as_ref().filter(|_| view.heads == Heads::Rollout);
    let can_ask = rollout.map_or_else(|| look.overview.has_patch_rows(), |rollout| rollout.num_queries() > 1);
    if !can_ask {
        (view.pinned, view.follow) = (None, false);
        let words = "This image has too many patches to ask each of them; the class token can be asked.";
        ui.label(egui::RichText::new(words).text_style(TextStyle::Small).color(Tokens::of(ui).text_muted));
        return;
    }
    Field::new("Follow pointer").doc("shows what the patch under the pointer attends to; a click holds it").flag(ui, &mut view.follow);
    if let Some([row, col]) = view.pinned {
        ui.horizontal(|ui| {
            ElidedLabel::new(&format!("Patch {row}, {col} is held")).role(Role::TextMuted).show(ui);
            if Button::new("Back to the class token").small().show(ui).clicked() {
                view.pinned = None;
            }
        });
    }
}

/// Colors and blending.
pub fn colors(ui: &mut Ui, view: &mut View, folds: &mut Folds) {
    Section::new("Look").collapsible(&mut folds.look).show(ui, |ui| {
        if view.heads != Heads::Composite {
            let mut name = view.colors.name().to_owned();
            if Field::new("Colors").choice(ui, &mut name, &COLORS.map(ColorMap::name)).changed
                && let Some(&chosen) = COLORS.iter().find(|colors| colors.name() == name)
            {
                view.colors = chosen;
            }
        }
        Field::new("Opacity").unit("%").slider().number(ui, &mut view.opacity_percent, 0.0..=100.0, true);
        Field::new("Smooth").doc("blends between patches; which of them are kept stays sharp").flag(ui, &mut view.smooth);
    });
}

/// The mask, and what to do with it. True when it shall be used for masks.
pub fn mask(ui: &mut Ui, kept: Option<&[bool]>, view: &mut View, folds: &mut Folds) -> bool {
    let mut is_wanted = false;
    Section::new("Mask").collapsible(&mut folds.mask).show(ui, |ui| {
        let doc = "the mask is the strongest patches that together hold this share of the attention";
        Field::new("Mass").doc(doc).unit("%").slider().number(ui, &mut view.mass_percent, 1.0..=100.0, true);
        Field::new("Mask only").doc("shows the image where the mask reaches, without colors").flag(ui, &mut view.mask_only);
        if let Some(kept) = kept {
            let count = kept.iter().filter(|&&kept| kept).count();
            let share = 100.0 * count as f64 / kept.len().max(1) as f64;
            let words = format!("{share:.1} % of the image, {count} of {} patches", kept.len());
            ElidedLabel::new(&words).style(TextStyle::Monospace).role(Role::TextMuted).show(ui);
        }
        let tip = "the Masks panel makes its masks of this layer, head and mass, from the class token";
        is_wanted = Button::new("Use for masks").icon(icon::LAYERS).tooltip(tip).show(ui).clicked();
    });
    is_wanted
}
