//! Which part of an image a canvas shows, and how its pixels lie on the screen.

use egui::emath::GuiRounding as _;
use egui::{Pos2, Rect, Vec2};

/// Screen pixels per image pixel at most.
const MAX_ZOOM: f32 = 64.0;

/// What a canvas shows. It belongs to the caller, so that two canvases can share it: before and after then move together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanvasView {
    /// Screen pixels per image pixel; 1 is 100 %.
    pub zoom: f32,
    /// What lies in the middle of the canvas, in image pixels from the image's center.
    pub offset: Vec2,
    /// Whether the image is kept as large as the canvas allows, whatever its size.
    pub fit: bool,
}

impl Default for CanvasView {
    fn default() -> Self {
        Self { zoom: 1.0, offset: Vec2::ZERO, fit: true }
    }
}

/// How image pixels lie on the screen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanvasTransform {
    /// The whole image, in points; it may reach beyond the canvas.
    pub image_rect: Rect,
    /// Points per image pixel.
    pub scale: f32,
}

impl CanvasTransform {
    /// Where a place in the image lies on the screen. Places count in pixels from the top left corner; pixel centers lie at halves.
    pub fn pos_from_px(&self, [x, y]: [f32; 2]) -> Pos2 {
        self.image_rect.min + Vec2::new(x, y) * self.scale
    }

    /// Where a place on the screen lies in the image; it may be outside.
    pub fn px_from_pos(&self, pos: Pos2) -> [f32; 2] {
        ((pos - self.image_rect.min) / self.scale).into()
    }
}

/// The canvas that a view is looked at through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// The canvas, in points.
    pub area: Rect,
    /// The image, in pixels.
    pub size: Vec2,
    /// Screen pixels per point.
    pub pixels_per_point: f32,
}

impl CanvasView {
    /// Brings the view within its bounds and says how the image lies.
    pub(crate) fn settle(&mut self, frame: &Frame) -> CanvasTransform {
        let fit = frame.fit_zoom();
        if self.fit {
            (self.zoom, self.offset) = (fit, Vec2::ZERO);
        }
        self.zoom = if self.zoom.is_finite() { self.zoom.clamp(fit.min(1.0) / 4.0, MAX_ZOOM.max(fit)) } else { fit };
        self.offset = self.offset.clamp(-frame.size / 2.0, frame.size / 2.0);
        let scale = self.zoom / frame.pixels_per_point;
        let image = Rect::from_center_size(frame.area.center() - self.offset * scale, frame.size * scale);
        // A corner between two pixels would blur an image at 100 %.
        let corner = image.min.round_to_pixels(frame.pixels_per_point);
        CanvasTransform { image_rect: Rect::from_min_size(corner, image.size()), scale }
    }

    /// Zooms by a factor and keeps the place under `anchor` where it is.
    pub(crate) fn zoom_by(&mut self, factor: f32, anchor: Pos2, frame: &Frame) {
        let fit = frame.fit_zoom();
        let zoom = (self.zoom * factor).clamp(fit.min(1.0) / 4.0, MAX_ZOOM.max(fit));
        let from_center = (anchor - frame.area.center()) * frame.pixels_per_point;
        self.offset += from_center / self.zoom - from_center / zoom;
        self.zoom = zoom;
        self.fit = false;
    }

    /// Moves the image by so many points.
    pub(crate) fn pan(&mut self, points: Vec2, frame: &Frame) {
        self.offset -= points * frame.pixels_per_point / self.zoom;
        self.fit = false;
    }
}

impl Frame {
    fn fit_zoom(&self) -> f32 {
        let zoom = (self.area.size() / self.size).min_elem() * self.pixels_per_point;
        if zoom.is_finite() { zoom.max(1e-3) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pixels_per_point: f32) -> Frame {
        let area = Rect::from_min_size(Pos2::new(20.0, 10.0), Vec2::new(400.0, 300.0));
        Frame { area, size: Vec2::new(100.0, 50.0), pixels_per_point }
    }

    #[test]
    fn a_new_view_fits() {
        for ratio in [1.0, 2.0] {
            let (frame, mut view) = (frame(ratio), CanvasView::default());
            let transform = view.settle(&frame);
            assert_eq!(transform.image_rect, Rect::from_center_size(frame.area.center(), Vec2::new(400.0, 200.0)));
            assert_eq!(view.zoom, 4.0 * ratio);
        }
    }

    #[test]
    fn zooming_keeps_the_place_under_the_pointer() {
        for ratio in [1.0, 1.5] {
            let (frame, mut view, pointer) = (frame(ratio), CanvasView::default(), Pos2::new(120.0, 130.0));
            let before = view.settle(&frame).px_from_pos(pointer);
            view.zoom_by(2.0, pointer, &frame);
            let after = view.settle(&frame).px_from_pos(pointer);
            // Half a screen pixel is lost to rounding.
            assert!((before[0] - after[0]).abs() < 0.1 && (before[1] - after[1]).abs() < 0.1, "{before:?} {after:?}");
            assert!(!view.fit);
        }
    }

    #[test]
    fn panning_follows_the_hand_and_stops_at_the_edge() {
        let (frame, mut view) = (frame(2.0), CanvasView::default());
        let before = view.settle(&frame).image_rect;
        view.pan(Vec2::new(30.0, -10.0), &frame);
        assert_eq!(view.settle(&frame).image_rect, before.translate(Vec2::new(30.0, -10.0)));
        view.pan(Vec2::splat(1e6), &frame);
        view.settle(&frame);
        assert_eq!(view.offset, Vec2::new(-50.0, -25.0));
    }

    #[test]
    fn zoom_has_bounds() {
        let (frame, mut view) = (frame(1.0), CanvasView::default());
        view.settle(&frame);
        view.zoom_by(1e9, frame.area.center(), &frame);
        assert_eq!(view.zoom, 64.0);
        view.zoom_by(1e-9, frame.area.center(), &frame);
        assert_eq!(view.zoom, 0.25);
    }

    #[test]
    fn places_go_there_and_back() {
        let transform = CanvasView { zoom: 3.0, offset: Vec2::new(7.0, -4.0), fit: false }.settle(&frame(1.0));
        let pixel = transform.px_from_pos(transform.pos_from_px([12.5, 3.25]));
        assert!((pixel[0] - 12.5).abs() < 1e-4 && (pixel[1] - 3.25).abs() < 1e-4, "{pixel:?}");
    }
}
