//! What the panel shows as pictures for papers and talks: the image under its attention at the image's own size, and a sheet of all heads.

use anyhow::Result;
use egui::{Color32, ColorImage, Popup, Ui};
use maskroom_core::inspect::picture::{Picture, strip};
use maskroom_widgets::{Button, Tokens, icon};

use super::shown::View;
use crate::studio::explorer::Look;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The image as it is shown, with the compared one beside it.
    Shown,
    /// The matrix of all layers and heads.
    AllHeads,
}

/// Between pictures, in pixels.
pub const GUTTER_PX: usize = 2;

/// The button and its menu.
pub fn button(ui: &mut Ui, is_enabled: bool) -> Option<Wish> {
    let button = Button::icon_only(icon::EXPORT, "Export").tooltip("Export what is shown").enabled(is_enabled).show(ui);
    let chosen = Popup::menu(&button).show(|ui| {
        let wishes = [("Picture as PNG…", Wish::Shown), ("All heads as PNG…", Wish::AllHeads)];
        wishes.into_iter().find(|(words, _)| ui.button(*words).clicked()).map(|(_, wish)| wish)
    });
    chosen.and_then(|chosen| chosen.inner)
}

/// The looks beside each other, each as the panel draws it.
pub fn picture(looks: &[Look], view: &View, tokens: &Tokens) -> Result<Picture> {
    let pictures = looks.iter().map(|look| picture_of(look, view, tokens)).collect::<Result<Vec<_>>>()?;
    Ok(strip(&pictures, GUTTER_PX, rgb(tokens.canvas)))
}

fn picture_of(look: &Look, view: &View, tokens: &Tokens) -> Result<Picture> {
    let (image, grid) = (&look.overview.image, look.overview.grid);
    let size @ [width, height] = image.size;
    let line_px = 1 + width.min(height) / 512;
    let mut picture = Picture::from_rgb(height, width, image.pixels.iter().copied().flat_map(rgb).collect())?;
    if let Some(shown) = view.shown(look).filter(|shown| !shown.is_empty()) {
        let kept = shown.kept(view.mass());
        let inside = pixels_of(grid, size, |row, col| kept[row * grid[1] + col]);
        if view.mask_only {
            let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
            picture.tint(&outside, rgb(tokens.canvas), 1.0);
        } else {
            lay_over(&mut picture, &shown.heatmap(view).picture(size));
        }
        if view.mass_percent < 100.0 {
            picture.contour(&inside, rgb(tokens.on_scrim), line_px);
        }
    }
    if let Some(asked) = view.asked() {
        picture.contour(&pixels_of(grid, size, |row, col| [row, col] == asked), rgb(tokens.accent), 2 * line_px);
    }
    Ok(picture)
}

/// For each pixel of an image what holds of its patch.
fn pixels_of([rows, cols]: [usize; 2], [width, height]: [usize; 2], holds: impl Fn(usize, usize) -> bool) -> Vec<bool> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    pixels.map(|(y, x)| holds(y * rows / height, x * cols / width)).collect()
}

/// Blends premultiplied colors over a picture of the same size, as a screen does.
fn lay_over(picture: &mut Picture, colors: &ColorImage) {
    for (under, over) in picture.rgb.as_chunks_mut::<3>().0.iter_mut().zip(&colors.pixels) {
        let rest = f32::from(u8::MAX - over.a()) / 255.0;
        under.iter_mut().zip(rgb(*over)).for_each(|(under, over)| *under = over.saturating_add((f32::from(*under) * rest).round() as u8));
    }
}

/// The color as bytes, without its opacity.
pub fn rgb(color: Color32) -> [u8; 3] {
    [color.r(), color.g(), color.b()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_become_pixels() {
        let right = pixels_of([1, 2], [4, 2], |_, col| col == 1);
        assert_eq!(right, [false, false, true, true, false, false, true, true]);
        // A grid that does not divide the size still covers all of it.
        assert_eq!(pixels_of([1, 2], [3, 1], |_, col| col == 1), [false, false, true]);
    }

    #[test]
    fn colors_are_laid_over_by_their_opacity() {
        let mut picture = Picture::filled(1, 3, [100, 0, 200]);
        let colors = [[0, 0, 0, 0], [255, 255, 255, 255], [100, 0, 0, 128]].concat();
        lay_over(&mut picture, &ColorImage::from_rgba_premultiplied([3, 1], &colors));
        assert_eq!(picture.rgb, [100, 0, 200, 255, 255, 255, 150, 0, 100]);
    }
}
