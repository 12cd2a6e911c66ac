//! A thumbnail that can be clicked, outside of the grid.

use egui::{Align2, FontId, Rect, Response, Sense, Stroke, StrokeKind, TextureHandle, Ui, Vec2, WidgetInfo};
use maskroom_widgets::{Thumb, Tokens, icon};

use crate::studio::shelf::{Shelf, Thumbnail};

/// A thumbnail as the widgets take it.
pub(super) fn thumb(thumbnail: Thumbnail) -> Thumb {
    match thumbnail {
        Thumbnail::Ready(texture) => Thumb::Ready(texture.id(), texture.size()),
        Thumbnail::Pending => Thumb::Pending,
        Thumbnail::Failed(reason) => Thumb::Failed(reason.into()),
    }
}

/// Draws a square of `side` points with the thumbnail of image `index`; `name` is read aloud and shown when the pointer rests on it.
pub(super) fn thumbnail_button(ui: &mut Ui, shelf: &Shelf, index: usize, name: &str, side: f32) -> Response {
    let tokens = Tokens::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, ui.is_enabled(), name));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.canvas);
    match shelf.thumbnail(index) {
        Thumbnail::Ready(texture) => paint(ui, &texture, rect),
        Thumbnail::Pending => drop(ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.surface_field)),
        Thumbnail::Failed(_) => {
            ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.surface_field);
            let font = FontId::proportional(tokens.sizes.icon);
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, icon::ERROR, font, tokens.text_muted);
        }
    }
    if response.hovered() {
        ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.hover_fill);
    }
    if response.has_focus() {
        let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring);
        ui.painter().rect_stroke(rect, tokens.sizes.radius, stroke, StrokeKind::Outside);
    }
    response.on_hover_text(name)
}

/// Draws a texture as large as its shape allows.
fn paint(ui: &Ui, texture: &TextureHandle, cell: Rect) {
    let size = texture.size_vec2();
    let rect = Rect::from_center_size(cell.center(), size * (cell.size() / size).min_elem());
    egui::Image::from_texture(texture).paint_at(ui, rect);
}
