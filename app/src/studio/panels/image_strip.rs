//! The images of the project in a row, to go from one to the next.

use egui::{Align, Align2, Layout, Pos2, Rect, Sense, Stroke, StrokeKind, TextStyle, Ui, Vec2, WidgetInfo};
use maskroom_core::dataset::Dataset;
use maskroom_widgets::{Button, ElidedLabel, Role, Tokens, icon};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::shelf::Thumbnail;

/// The images around the selected one, small, to go from one to the next.
pub fn show(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset) {
    let (tokens, selected, num_images) = (Tokens::of(ui), desk.project.selected(), dataset.items.len());
    let cell = 2.0 * tokens.sizes.row_small;
    let row = Vec2::new(ui.available_width(), cell);
    ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = tokens.sizes.gap_small;
        let before = Button::icon_only(icon::CHEVRON_LEFT, "Previous image").enabled(selected > 0).show(ui);
        if before.clicked() {
            desk.ask(Ask::SelectImage(selected - 1));
        }
        let room = ui.available_width() - tokens.sizes.row - tokens.sizes.gap_small;
        let fitting = ((room / (cell + tokens.sizes.gap_small)) as usize).max(1);
        let first = selected.saturating_sub(fitting / 2).min(num_images.saturating_sub(fitting));
        let visible = first..(first + fitting).min(num_images);
        desk.project.shelf().show_first(visible.clone());
        for index in visible {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(cell), Sense::click());
            let name = &dataset.items[index].name;
            response.widget_info(|| WidgetInfo::selected(egui::Role::ListBoxOption, ui.is_enabled(), index == selected, name));
            paint_thumbnail(ui, rect, &desk.project.shelf().thumbnail(index));
            let painter = ui.painter();
            if response.hovered() {
                painter.rect_filled(rect, tokens.sizes.radius, tokens.hover_fill);
            }
            if index == selected || response.has_focus() {
                let color = if response.has_focus() { tokens.focus_ring } else { tokens.accent };
                painter.rect_stroke(rect, tokens.sizes.radius, Stroke::new(tokens.sizes.focus_ring, color), StrokeKind::Inside);
            }
            if response.clicked() {
                desk.ask(Ask::SelectImage(index));
            }
            response.on_hover_text(name);
        }
        let after = Button::icon_only(icon::CHEVRON_RIGHT, "Next image").enabled(selected + 1 < num_images).show(ui);
        if after.clicked() {
            desk.ask(Ask::SelectImage(selected + 1));
        }
    });
    if let Some(item) = dataset.items.get(selected) {
        ElidedLabel::new(&item.name).style(TextStyle::Small).role(Role::TextMuted).keep_end().show(ui);
    }
}

fn paint_thumbnail(ui: &Ui, cell: Rect, thumbnail: &Thumbnail) {
    let (painter, tokens) = (ui.painter(), Tokens::of(ui));
    if let Thumbnail::Ready(texture) = thumbnail {
        let size = texture.size_vec2().max(Vec2::splat(1.0));
        let rect = Align2::CENTER_CENTER.align_size_within_rect(size * (cell.size() / size).min_elem(), cell);
        let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        painter.image(texture.id(), rect, whole, egui::ImageOptions::default().tint);
    } else {
        painter.rect_filled(cell, tokens.sizes.radius, tokens.surface_field);
    }
}
