//! Groups of images that are equal or look alike, side by side.

use std::collections::HashMap;

use egui::{Ui, vec2};
use maskroom_widgets::Tokens;

use super::findings::more;
use super::thumbnail_button::thumbnail_button;
use crate::studio::desk::Desk;

const SIDE: f32 = 72.0;
/// Groups, and images of one group, beyond which the rest is only counted.
const MAX_GROUPS: usize = 50;
const MAX_IMAGES: usize = 24;

/// Draws the groups, one after the other. Returns the image that was clicked.
pub(super) fn groups(ui: &mut Ui, desk: Desk<'_>, groups: &[Vec<String>], index_of: &HashMap<String, usize>) -> Option<usize> {
    let sizes = &Tokens::of(ui).sizes;
    let mut clicked = None;
    for group in groups.iter().take(MAX_GROUPS) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(sizes.gap_small, sizes.gap_small);
            for name in group.iter().take(MAX_IMAGES) {
                if let Some(&index) = index_of.get(name)
                    && thumbnail_button(ui, desk.project.shelf(), index, name, SIDE).clicked()
                {
                    clicked = Some(index);
                }
            }
            more(ui, group.len().saturating_sub(MAX_IMAGES));
        });
        ui.add_space(sizes.gap_small);
    }
    more(ui, groups.len().saturating_sub(MAX_GROUPS));
    clicked
}
