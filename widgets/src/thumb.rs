//! A small picture that may still be on its way: what lists and strips of pictures show in each place.

use std::borrow::Cow;

use egui::{Align2, FontId, Painter, Rect, TextureId};

use crate::Tokens;
use crate::picture::Picture;

/// A small picture, as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Thumb {
    /// Here it is: the texture with its width and height in pixels.
    Ready(TextureId, [usize; 2]),
    /// It is being read.
    Pending,
    /// It cannot be shown, for this reason.
    Failed(Cow<'static, str>),
}

impl Thumb {
    /// Draws it as large as its shape allows.
    pub(crate) fn paint(&self, painter: &Painter, tokens: &Tokens, cell: Rect) {
        match self {
            Self::Ready(texture, size_px) => {
                let picture = Picture::from((*texture, *size_px));
                picture.paint(painter, picture.fitted(cell));
            }
            Self::Pending => {
                painter.rect_filled(cell, tokens.sizes.radius, tokens.surface_field);
            }
            Self::Failed(_) => {
                painter.rect_filled(cell, tokens.sizes.radius, tokens.surface_field);
                let icon = egui_material_icons::icons::ICON_BROKEN_IMAGE.codepoint;
                let size = (cell.width() / 3.0).clamp(tokens.sizes.icon, 2.0 * tokens.sizes.icon);
                painter.text(cell.center(), Align2::CENTER_CENTER, icon, FontId::proportional(size), tokens.text_muted);
            }
        }
    }

    /// Why it cannot be shown.
    pub(crate) fn failure(&self) -> Option<&str> {
        if let Self::Failed(reason) = self { Some(reason) } else { None }
    }
}
