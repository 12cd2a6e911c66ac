//! The masks that were made, to be accepted or rejected before they are exported.

use std::borrow::Cow;
use std::collections::HashMap;

use egui::{ColorImage, Key, TextureHandle, TextureOptions, Ui};
use maskroom_core::export::Rle;
use maskroom_widgets::thumbnail_grid::{Badge, ThumbnailGrid};
use maskroom_widgets::{Role, Thumb, Tokens};

use super::making::Made;
use crate::studio::desk::Desk;
use crate::studio::shelf::Thumbnail;

/// Masks by image, and what the person thinks of them.
#[derive(Default)]
pub struct Review {
    entries: Vec<Entry>,
    shown: Shown,
    selected: Option<usize>,
    overlays: HashMap<usize, TextureHandle>,
}

struct Entry {
    made: Made,
    accepted: bool,
}

/// Which of them are shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All.
    #[default]
    All,
    /// Accepted ones.
    Accepted,
    /// Rejected ones.
    Rejected,
}

/// Overlay textures kept; more than a screen shows.
const MAX_OVERLAYS: usize = 400;
/// Longer side of an overlay in pixels.
const OVERLAY_PX: usize = 128;

impl Review {
    /// Takes masks as they come. An empty mask starts as rejected: there is nothing to export.
    pub fn add(&mut self, made: Vec<Made>) {
        self.entries.extend(made.into_iter().map(|made| Entry { accepted: made.share > 0.0, made }));
    }

    /// Masks in all.
    pub fn num_masks(&self) -> usize {
        self.entries.len()
    }

    /// Masks in all, accepted, and rejected. Looks at every one.
    pub fn counts(&self) -> [usize; 3] {
        let accepted = self.entries.iter().filter(|entry| entry.accepted).count();
        [self.entries.len(), accepted, self.entries.len() - accepted]
    }

    /// Copies of the accepted masks with their images.
    pub fn accepted(&self) -> Vec<(usize, Rle)> {
        self.entries.iter().filter(|entry| entry.accepted).map(|entry| (entry.made.sample, entry.made.mask.clone())).collect()
    }

    /// Accepts or rejects all that are shown.
    pub fn judge_shown(&mut self, accepted: bool) {
        let shown = self.shown;
        self.entries.iter_mut().filter(|entry| shown.admits(entry.accepted)).for_each(|entry| entry.accepted = accepted);
    }

    /// Which of them are shown.
    pub fn shown(&mut self) -> &mut Shown {
        &mut self.shown
    }

    /// Draws the grid. Space or a double click accepts or rejects.
    pub fn grid(&mut self, ui: &mut Ui, desk: Desk<'_>, cell: f32) {
        let visible: Vec<usize> = (0..self.entries.len()).filter(|&index| self.shown.admits(self.entries[index].accepted)).collect();
        let (entries, shelf) = (&self.entries, desk.project.shelf());
        let name = |at: usize| desk.project.dataset().map_or("", |dataset| dataset.items[entries[visible[at]].made.sample].file_name());
        let caption = |at: usize| Cow::Owned(format!("{}  {:.0} %", name(at), entries[visible[at]].made.share * 100.0));
        let badge = |at: usize| (!entries[visible[at]].accepted).then_some(Badge { text: "rejected".into(), role: Role::Bad });
        let mut thumbnail = |at: usize| match shelf.thumbnail(entries[visible[at]].made.sample) {
            Thumbnail::Ready(texture) => Thumb::Ready(texture.id(), texture.size()),
            Thumbnail::Pending => Thumb::Pending,
            Thumbnail::Failed(reason) => Thumb::Failed(reason.into()),
        };
        let overlays = &mut self.overlays;
        if overlays.len() > MAX_OVERLAYS {
            overlays.clear();
        }
        let context = ui.ctx().clone();
        let mut overlay = |at: usize| {
            let index = visible[at];
            let texture = overlays.entry(index).or_insert_with(|| {
                let name = format!("mask overlay {index}");
                context.load_texture(name, overlay_image(&entries[index].made.mask), TextureOptions::LINEAR)
            });
            Some(texture.id())
        };
        let grid =
            ThumbnailGrid::new("Masks", visible.len(), &mut thumbnail).caption(&caption).badge(&badge).overlay(&mut overlay).cell(cell);
        let response = grid.empty("No masks here").show(ui, &mut self.selected);
        let mut samples = response.visible.clone().map(|at| self.entries[visible[at]].made.sample);
        if let Some(first) = samples.next() {
            let (low, high) = samples.fold((first, first), |(low, high), sample| (low.min(sample), high.max(sample)));
            shelf.show_first(low..high + 1);
        }
        let toggled = response.opened.or_else(|| {
            let pressed = response.response.has_focus() && ui.input(|input| input.key_pressed(Key::Space));
            self.selected.filter(|_| pressed)
        });
        if let Some(&index) = toggled.and_then(|at| visible.get(at)) {
            self.entries[index].accepted ^= true;
        }
        if let Some(&index) = response.clicked.and_then(|at| visible.get(at)) {
            desk.ask(crate::studio::ask::Ask::SelectImage(self.entries[index].made.sample));
        }
    }
}

impl Shown {
    fn admits(self, accepted: bool) -> bool {
        match self {
            Self::All => true,
            Self::Accepted => accepted,
            Self::Rejected => !accepted,
        }
    }
}

/// The mask as a picture to lay over a thumbnail: the accent where it is, a little darkness elsewhere.
fn overlay_image(mask: &Rle) -> ColorImage {
    let [height, width] = mask.size();
    let pixels = mask.to_mask();
    let scale = (height.max(width) as f32 / OVERLAY_PX as f32).max(1.0);
    let (rows, columns) = ((height as f32 / scale).ceil() as usize, (width as f32 / scale).ceil() as usize);
    let tokens = Tokens::dark();
    let (inside, outside) = (tokens.accent.gamma_multiply(0.45), tokens.canvas.gamma_multiply(0.45));
    let at = |row: usize, column: usize| {
        let (y, x) = (((row as f32 + 0.5) * scale) as usize, ((column as f32 + 0.5) * scale) as usize);
        if pixels[y.min(height - 1) * width + x.min(width - 1)] { inside } else { outside }
    };
    let colors = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(row, column)| at(row, column)).collect();
    ColorImage::new([columns, rows], colors)
}
