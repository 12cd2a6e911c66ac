//! The pictures of a preview: a row for each image, or one image large.

use egui::{Align2, FontId, Painter, Pos2, Rect, Sense, TextStyle, TextureHandle, Ui, Vec2, WidgetInfo};
use maskroom_widgets::{Button, CanvasView, Compare, ElidedLabel, Heatmap, ImageCanvas, Role, Segmented, Tokens, icon};

use super::loader::{Loaded, LoadedImage};

/// What stands in a row: the pictures, and the error where there is one.
fn columns(loaded: &Loaded) -> Vec<&str> {
    loaded.columns.iter().map(String::as_str).chain(loaded.errors.is_some().then_some("Error")).collect()
}

/// The columns that are best seen one over the other: what is drawn over what should be there.
fn compared(loaded: &Loaded) -> [usize; 2] {
    match (&loaded.errors, loaded.depicted_as) {
        (Some(_), Some(_)) => [2, 3],
        (Some(_), None) => [0, loaded.columns.len().saturating_sub(1)],
        (None, _) => [0, 1],
    }
}

/// Width of a picture in a row at most, in points.
const WIDEST: f32 = 224.0;

/// One image large.
pub struct Enlarged {
    /// Its place among the preview's images.
    image: usize,
    /// What is shown of it: a column, or two that are compared.
    shown: Shown,
    divider: f32,
    canvas: CanvasView,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Compare,
    Column(usize),
}

/// Draws all images; a click on a picture enlarges it. `error_top` is the value of the brightest error.
pub fn rows(ui: &mut Ui, loaded: &Loaded, error_top: f32) -> Option<Enlarged> {
    let tokens = Tokens::of(ui);
    let gap = tokens.sizes.gap_small;
    let count = columns(loaded).len().max(1) as f32;
    let width = ((ui.available_width() - (count - 1.0) * gap) / count).min(WIDEST).floor();
    headings(ui, loaded, width, gap);
    let mut enlarged = None;
    for (index, image) in loaded.images.iter().enumerate() {
        let size = Vec2::new(width, width * shape(&image.pictures[0]));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = gap;
            for (column, name) in columns(loaded).into_iter().enumerate() {
                let (rect, response) = ui.allocate_exact_size(size, Sense::click());
                let label = format!("{name} of {}", called(image, index));
                response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, ui.is_enabled(), &label));
                if ui.is_rect_visible(rect) {
                    let painter = ui.painter_at(rect);
                    paint(&painter, tokens, rect, loaded, index, column, error_top);
                    if response.hovered() {
                        painter.rect_filled(rect, 0.0, tokens.hover_fill);
                    }
                    if response.has_focus() {
                        let stroke = egui::Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring);
                        painter.rect_stroke(rect, 0.0, stroke, egui::StrokeKind::Inside);
                    }
                }
                if response.clicked() {
                    let shown = if compared(loaded).contains(&column) { Shown::Compare } else { Shown::Column(column) };
                    enlarged = Some(Enlarged { image: index, shown, divider: 0.5, canvas: CanvasView::default() });
                }
                response.on_hover_text(label);
            }
        });
        ElidedLabel::new(&in_words(image, index)).style(TextStyle::Small).role(Role::TextMuted).show(ui);
    }
    enlarged
}

fn headings(ui: &mut Ui, loaded: &Loaded, width: f32, gap: f32) {
    let tokens = Tokens::of(ui);
    let font = FontId::proportional(tokens.fonts.small);
    let (_, area) = ui.allocate_space(Vec2::new(ui.available_width(), tokens.fonts.small + gap));
    for (column, name) in columns(loaded).into_iter().enumerate() {
        let place = area.min + Vec2::new(column as f32 * (width + gap), 0.0);
        let painter = ui.painter_at(Rect::from_min_size(place, Vec2::new(width, area.height())));
        painter.text(place, Align2::LEFT_TOP, name, font.clone(), tokens.text_muted);
    }
}

impl Enlarged {
    /// Draws it in the room that is left. False when the person wants to go back to all of them.
    pub fn show(&mut self, ui: &mut Ui, loaded: &Loaded, error_top: f32, height: f32) -> bool {
        let count = loaded.images.len();
        self.image = self.image.min(count.saturating_sub(1));
        let Some(image) = loaded.images.get(self.image) else { return false };
        let mut stays = true;
        ui.horizontal(|ui| {
            stays &= !Button::new("All images").icon(icon::CHEVRON_LEFT).show(ui).clicked();
            if Button::icon_only(icon::ARROW_UP, "Previous image").enabled(self.image > 0).show(ui).clicked() {
                self.image -= 1;
            }
            if Button::icon_only(icon::ARROW_DOWN, "Next image").enabled(self.image + 1 < count).show(ui).clicked() {
                self.image += 1;
            }
            ElidedLabel::new(&in_words(image, self.image)).role(Role::TextMuted).show(ui);
        });
        let names = columns(loaded);
        let words: Vec<&str> = std::iter::once("Compare").chain(names.iter().copied()).collect();
        let mut chosen = if let Shown::Column(column) = self.shown { column + 1 } else { 0 };
        if Segmented::new("Shown", &words).show(ui, &mut chosen).changed() {
            self.shown = chosen.checked_sub(1).map_or(Shown::Compare, Shown::Column);
        }
        let (_, area) = ui.allocate_space(Vec2::new(ui.available_width(), height));
        let mut inner = ui.new_child(egui::UiBuilder::new().id_salt("enlarged").max_rect(area));
        let (index, tokens) = (self.image, Tokens::of(ui));
        match self.shown {
            Shown::Compare => {
                let [left, right] = compared(loaded);
                let label = format!("{} and {}", names[left], names[right].to_lowercase());
                inner.vertical_centered(|ui| {
                    let compare = Compare::new(&label, &image.pictures[left], &image.pictures[right]);
                    compare.labels(names[left], names[right]).show(ui, &mut self.divider);
                });
            }
            Shown::Column(column) if column >= image.pictures.len() => {
                let canvas = ImageCanvas::new("reconstruction", "Error").texture(&image.pictures[0]);
                canvas.show(&mut inner, &mut self.canvas, |painter, transform| {
                    paint_error(painter, tokens, transform.image_rect, loaded, index, error_top);
                });
            }
            Shown::Column(column) => {
                let canvas = ImageCanvas::new("reconstruction", names[column]).texture(&image.pictures[column]).pixel_grid(true);
                canvas.show(&mut inner, &mut self.canvas, |_, _| {});
            }
        }
        stays
    }
}

fn in_words(image: &LoadedImage, index: usize) -> String {
    let error = image.loss.map_or(String::new(), |loss| format!(", error {loss:.4}"));
    let said = image.said.as_ref().map_or(String::new(), |said| format!(", {said}"));
    format!("{}{error}{said}", called(image, index))
}

fn called(image: &LoadedImage, index: usize) -> String {
    if image.name.is_empty() { format!("image {}", index + 1) } else { image.name.clone() }
}

/// Height over width.
fn shape(texture: &TextureHandle) -> f32 {
    let size = texture.size_vec2();
    size.y / size.x.max(1.0)
}

fn paint(painter: &Painter, tokens: &Tokens, rect: Rect, loaded: &Loaded, index: usize, column: usize, error_top: f32) {
    let pictures = &loaded.images[index].pictures;
    let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
    painter.image(pictures[column % pictures.len()].id(), rect, whole, egui::ImageOptions::default().tint);
    if column == pictures.len() {
        paint_error(painter, tokens, rect, loaded, index, error_top);
    }
}

/// Errors as heat where patches were masked, the rest of the image under a veil.
fn paint_error(painter: &Painter, tokens: &Tokens, rect: Rect, loaded: &Loaded, index: usize, error_top: f32) {
    let Some(errors) = &loaded.errors else { return };
    painter.rect_filled(rect, 0.0, tokens.scrim);
    Heatmap::new(errors).head(index).range([0.0, error_top]).opacity(1.0).paint(painter, rect);
}
