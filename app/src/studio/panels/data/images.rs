//! The grid of the images, and the one that is opened.

use std::borrow::Cow;
use std::sync::Arc;

use egui::{Slider, TextStyle, Ui, WidgetInfo};
use maskroom_core::dataset::Dataset;
use maskroom_widgets::{Badge, Button, EmptyState, Role, Thumb, ThumbnailGrid, Tokens, format, icon};

use super::filter::Filtered;
use super::image_view::{ImageView, Turn};
use super::thumbnail_button::thumb;
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;

/// The grid, or one image.
pub(super) struct ImagesView {
    filtered: Filtered,
    cell: f32,
    opened: Option<ImageView>,
}

impl Default for ImagesView {
    fn default() -> Self {
        Self { filtered: Filtered::default(), cell: 112.0, opened: None }
    }
}

/// A shorter one cannot be dragged with any care.
const NARROWEST_SLIDER: f32 = 40.0;
/// Smaller cells have no room for the name of a class.
const BADGE_FROM_CELL: f32 = 96.0;

impl ImagesView {
    /// Opens an image.
    pub(super) fn open(&mut self, desk: Desk<'_>, index: usize) {
        desk.ask(Ask::SelectImage(index));
        self.opened = Some(ImageView::default());
    }

    /// How many images there are, and how many of them are shown.
    pub(super) fn count(&self, ui: &mut Ui, dataset: &Dataset) {
        let (shown, all) = (self.filtered.len(dataset) as u64, dataset.items.len() as u64);
        let text = if self.filtered.is_on() { format!("{} of {}", format::count(shown), format::count(all)) } else { format::count(all) };
        let tokens = Tokens::of(ui);
        ui.label(egui::RichText::new(text).text_style(TextStyle::Monospace).color(tokens.text_muted)).on_hover_text("Images");
    }

    /// Fills the room that is left.
    pub(super) fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Arc<Dataset>) {
        let Some(view) = &mut self.opened else {
            self.grid(ui, desk, dataset);
            return;
        };
        let index = desk.project.selected();
        let place = self.filtered.place(index);
        let before = place.and_then(|place| self.filtered.index(place.checked_sub(1)?));
        let after = place.and_then(|place| self.filtered.index(place + 1)).filter(|&index| index < dataset.items.len());
        match view.ui(ui, desk, dataset, [before, after]) {
            Some(Turn::To(index)) => desk.ask(Ask::SelectImage(index)),
            Some(Turn::Close) => self.opened = None,
            None => {}
        }
    }

    fn grid(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset) {
        ui.horizontal(|ui| {
            self.filtered.ui(ui, dataset);
            if ui.available_width() < NARROWEST_SLIDER {
                return;
            }
            ui.spacing_mut().slider_width = ui.available_width().min(96.0);
            let slider = ui.add(Slider::new(&mut self.cell, 48.0..=240.0).show_value(false));
            slider.widget_info(|| WidgetInfo::slider(ui.is_enabled(), f64::from(self.cell), "Thumbnail size"));
            slider.on_hover_text("Thumbnail size");
        });
        let num_shown = self.filtered.len(dataset);
        if num_shown == 0 {
            let empty = EmptyState::new(icon::FILTER, "No image is left", "Loosen the filters above");
            empty.show_with_actions(ui, |ui| {
                if Button::new("Show all images").show(ui).clicked() {
                    self.filtered.clear();
                }
            });
            return;
        }
        let (filtered, shelf) = (&self.filtered, desk.project.shelf());
        let item = |place: usize| filtered.index(place).and_then(|index| dataset.items.get(index));
        let mut thumbnail = |place| filtered.index(place).map_or(Thumb::Pending, |index| thumb(shelf.thumbnail(index)));
        let caption = |place| Cow::Borrowed(item(place).map_or("", |item| item.file_name()));
        let badge = |place| {
            let class = item(place)?.class?;
            Some(Badge { text: dataset.classes.get(class)?.clone().into(), role: Role::Series(class) })
        };
        let mut selected = filtered.place(desk.project.selected());
        let mut grid = ThumbnailGrid::new("Images", num_shown, &mut thumbnail).caption(&caption).cell(self.cell);
        if self.cell >= BADGE_FROM_CELL {
            grid = grid.badge(&badge);
        }
        let shown = grid.show(ui, &mut selected);
        if let (false, true) = (filtered.is_on(), !shown.visible.is_empty()) {
            shelf.show_first(shown.visible.clone());
        }
        // The next page is read before it is scrolled to.
        let ahead = shown.visible.end..(shown.visible.end + shown.visible.len()).min(num_shown);
        ahead.filter_map(|place| filtered.index(place)).for_each(|index| drop(shelf.thumbnail(index)));
        if let Some(index) = selected.filter(|_| shown.selected_changed || shown.clicked.is_some()).and_then(|place| filtered.index(place))
        {
            desk.ask(Ask::SelectImage(index));
        }
        if let Some(index) = shown.opened.and_then(|place| self.filtered.index(place)) {
            self.open(desk, index);
        }
    }
}
