//! Pictures on the graphics card, as image widgets take and draw them.

use std::sync::Arc;

use egui::emath::GuiRounding as _;
use egui::{
    Align2, ColorImage, Context, ImageOptions, Painter, Pos2, Rect, Response, Sense, TextureHandle, TextureId, TextureOptions, Ui, Vec2,
};

use crate::Tokens;

/// Screen pixels per picture pixel beyond which pixels are drawn as squares.
const SHARP_FROM_ZOOM: f32 = 2.0;

/// A picture that widgets can draw; the textures belong to whoever loaded them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture {
    smooth: TextureId,
    sharp: TextureId,
    /// Width and height in pixels.
    pub size_px: [usize; 2],
}

/// The two textures of a picture that can be magnified: blended between pixels for small sizes, and with square pixels for large ones.
#[derive(Clone)]
pub struct PictureTextures {
    smooth: TextureHandle,
    sharp: TextureHandle,
}

impl PictureTextures {
    /// Uploads a picture. The name is for debugging.
    pub fn load(ctx: &Context, name: &str, image: impl Into<Arc<ColorImage>>) -> Self {
        let image: Arc<ColorImage> = image.into();
        Self {
            smooth: ctx.load_texture(name, Arc::clone(&image), TextureOptions::LINEAR),
            sharp: ctx.load_texture(name, image, TextureOptions::NEAREST),
        }
    }
}

impl From<&PictureTextures> for Picture {
    fn from(textures: &PictureTextures) -> Self {
        Self { smooth: textures.smooth.id(), sharp: textures.sharp.id(), size_px: textures.smooth.size() }
    }
}

/// With the one filter that the texture was loaded with.
impl From<&TextureHandle> for Picture {
    fn from(texture: &TextureHandle) -> Self {
        Self { smooth: texture.id(), sharp: texture.id(), size_px: texture.size() }
    }
}

/// With the one filter that the texture was made with.
impl From<(TextureId, [usize; 2])> for Picture {
    fn from((id, size_px): (TextureId, [usize; 2])) -> Self {
        Self { smooth: id, sharp: id, size_px }
    }
}

impl Picture {
    /// Width and height in pixels, at least one.
    pub(crate) fn size(self) -> Vec2 {
        Vec2::new(self.size_px[0] as f32, self.size_px[1] as f32).max(Vec2::splat(1.0))
    }

    /// Draws the whole picture into a rectangle.
    pub(crate) fn paint(self, painter: &Painter, rect: Rect) {
        let zoom = rect.width() * painter.pixels_per_point() / self.size().x;
        let texture = if zoom > SHARP_FROM_ZOOM { self.sharp } else { self.smooth };
        painter.image(texture, rect, WHOLE, untinted());
    }

    /// The largest rectangle of the picture's shape in the middle of an area.
    pub(crate) fn fitted(self, area: Rect) -> Rect {
        let scale = (area.size() / self.size()).min_elem().max(0.0);
        Rect::from_center_size(area.center(), self.size() * scale)
    }

    /// Takes as much of a `Ui` as the picture's shape can fill.
    pub(crate) fn allocate(self, ui: &mut Ui, sense: Sense) -> (Rect, Response) {
        let room = ui.available_size();
        let scale = (room.x / self.size().x).min(if room.y > 0.0 { room.y / self.size().y } else { f32::INFINITY });
        let (rect, response) = ui.allocate_exact_size(self.size() * scale, sense);
        (rect.round_to_pixels(ui.pixels_per_point()), response)
    }
}

/// All of a texture.
pub(crate) const WHOLE: Rect = Rect { min: Pos2::ZERO, max: Pos2::new(1.0, 1.0) };

/// The tint that leaves a texture as it is.
pub(crate) fn untinted() -> egui::Color32 {
    ImageOptions::default().tint
}

/// A checkerboard, as is shown behind what is transparent.
pub(crate) fn paint_checker(painter: &Painter, tokens: &Tokens, rect: Rect) {
    let id = egui::Id::unique(("checker", tokens.is_dark));
    let loaded: Option<TextureHandle> = painter.ctx().data(|data| data.get_temp(id));
    let texture = loaded.unwrap_or_else(|| {
        let (light, dark) = (tokens.checker_light, tokens.checker_dark);
        let board = ColorImage::new([2, 2], vec![light, dark, dark, light]);
        let texture = painter.ctx().load_texture("checker", board, TextureOptions::NEAREST_REPEAT);
        painter.ctx().data_mut(|data| data.insert_temp(id, texture.clone()));
        texture
    });
    let board = 2.0 * tokens.sizes.gap;
    painter.image(texture.id(), rect, Rect::from_min_size(Pos2::ZERO, rect.size() / board), untinted());
}

/// A few words on a veil over a picture, cut to a width; `corner` of the plate lies at `at`. Returns the plate.
pub(crate) fn paint_plate(
    painter: &Painter,
    tokens: &Tokens,
    corner: Align2,
    at: Pos2,
    text: &str,
    font: egui::FontId,
    width: f32,
) -> Rect {
    let padding = Vec2::new(tokens.sizes.gap - 2.0, 2.0);
    let galley = crate::one_line::one_line(painter, text, font, tokens.on_scrim, (width - 2.0 * padding.x).max(0.0));
    let plate = corner.anchor_size(at, galley.size() + 2.0 * padding).round_to_pixels(painter.pixels_per_point());
    painter.rect_filled(plate, tokens.sizes.radius, tokens.scrim);
    painter.galley(plate.min + padding, galley, tokens.on_scrim);
    plate
}

/// The ring around what the keyboard acts on, inside its rectangle, for areas that are clipped.
pub(crate) fn paint_inner_focus_ring(painter: &Painter, tokens: &Tokens, rect: Rect) {
    let stroke = egui::Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring);
    painter.rect_stroke(rect, tokens.sizes.radius, stroke, egui::StrokeKind::Inside);
}
