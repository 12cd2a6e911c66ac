//! An image to look into: pan, zoom, and whatever the caller draws over it.

use egui::{CursorIcon, EventFilter, Key, Painter, PointerButton, Pos2, Rect, Response, Sense, Stroke, Ui, Vec2};

use crate::Tokens;
use crate::canvas_view::{CanvasTransform, CanvasView, Frame};
use crate::gallery::Exhibit;
use crate::picture::{Picture, paint_checker, paint_inner_focus_ring, paint_plate};

/// Screen pixels per image pixel from which lines between pixels help.
const GRID_FROM_ZOOM: f32 = 12.0;
/// How much one press of a key zooms.
const KEY_ZOOM: f32 = 1.25;
/// Points of wheel travel that double the zoom.
const WHEEL_POINTS_PER_DOUBLING: f32 = 200.0;

/// An image that can be panned (drag; arrow keys) and zoomed (wheel, pinch, `+`, `-`; `F` or `0` fits, `1` is 100 %).
#[must_use = "call `show`"]
pub struct ImageCanvas<'a> {
    id: egui::IdSalt,
    name: &'a str,
    picture: Option<Picture>,
    empty: &'a str,
    has_tool: bool,
    has_grid: bool,
}

/// What happened on a canvas.
pub struct CanvasResponse {
    /// Of the whole canvas. With a tool, drags with the primary button are the tool's.
    pub response: Response,
    /// Where in the image the pointer is, in pixels from the top left corner.
    pub hovered_px: Option<[f32; 2]>,
    /// The whole image, in points; it may reach beyond the canvas.
    pub image_rect: Rect,
    /// How image pixels lie on the screen.
    pub transform: CanvasTransform,
}

impl<'a> ImageCanvas<'a> {
    /// A canvas with an id of its own and a name for those who do not see it.
    pub fn new(id: impl egui::AsIdSalt, name: &'a str) -> Self {
        Self { id: egui::IdSalt::new(id), name, picture: None, empty: "No image", has_tool: false, has_grid: false }
    }

    /// The image. [`crate::PictureTextures`] stay smooth when small and show square pixels when magnified.
    pub fn texture(mut self, picture: impl Into<Picture>) -> Self {
        self.picture = Some(picture.into());
        self
    }

    /// What to say without an image: how to get one.
    pub fn empty(mut self, text: &'a str) -> Self {
        self.empty = text;
        self
    }

    /// Whether the primary button belongs to a tool of the caller; then space and the primary button pan, or the middle one.
    pub fn tool(mut self, has_tool: bool) -> Self {
        self.has_tool = has_tool;
        self
    }

    /// Whether to draw lines between pixels that are large enough.
    pub fn pixel_grid(mut self, has_grid: bool) -> Self {
        self.has_grid = has_grid;
        self
    }

    /// Fills the room that is left. `overlay` draws over the image, clipped to the canvas.
    pub fn show(self, ui: &mut Ui, view: &mut CanvasView, overlay: impl FnOnce(&Painter, CanvasTransform)) -> CanvasResponse {
        let tokens = Tokens::of(ui);
        let (_, area) = ui.allocate_space(ui.available_size().max(Vec2::splat(tokens.sizes.row)));
        let response = ui.interact(area, ui.scope_id().with_salt(self.id), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, ui.is_enabled(), self.name));

        let size = self.picture.map_or(Vec2::splat(1.0), Picture::size);
        let frame = Frame { area, size, pixels_per_point: ui.pixels_per_point() };
        view.settle(&frame);
        if self.picture.is_some() {
            self.navigate(ui, &response, view, &frame);
        }
        let transform = view.settle(&frame);

        let painter = ui.painter_at(area);
        painter.rect_filled(area, 0.0, tokens.canvas);
        if let Some(picture) = self.picture {
            paint_checker(&painter, tokens, transform.image_rect.intersect(area));
            picture.paint(&painter, transform.image_rect);
            if self.has_grid && view.zoom >= GRID_FROM_ZOOM {
                paint_grid(&painter, tokens, &transform, size);
            }
            overlay(&painter, transform);
            let text = format!("{} %", crate::format::count((100.0 * view.zoom).round() as u64));
            let font = egui::FontId::monospace(tokens.fonts.small);
            let corner = area.right_bottom() - Vec2::splat(tokens.sizes.gap);
            paint_plate(&painter, tokens, egui::Align2::RIGHT_BOTTOM, corner, &text, font, area.width());
        } else {
            paint_empty(&painter, tokens, area, self.empty);
        }
        if response.has_focus() {
            paint_inner_focus_ring(&painter, tokens, area);
        }
        let hovered_px = response.hover_pos().filter(|&pos| self.picture.is_some() && transform.image_rect.contains(pos));
        let hovered_px = hovered_px.map(|pos| transform.px_from_pos(pos));
        CanvasResponse { response, hovered_px, image_rect: transform.image_rect, transform }
    }

    fn navigate(&self, ui: &Ui, response: &Response, view: &mut CanvasView, frame: &Frame) {
        if response.clicked() || response.drag_started() {
            response.request_focus();
        }
        let is_hand = !self.has_tool || ui.input(|input| input.key_down(Key::Space));
        let is_panning = response.dragged_by(PointerButton::Middle) || (is_hand && response.dragged_by(PointerButton::Primary));
        if is_panning {
            view.pan(response.drag_delta(), frame);
            ui.set_cursor_icon(CursorIcon::Grabbing);
        } else if is_hand && response.hovered() {
            ui.set_cursor_icon(CursorIcon::Grab);
        }
        if let Some(pointer) = response.hover_pos() {
            let factor = ui.input_mut(|input| {
                // The wheel is used up, or a scrolling page would move as well.
                let wheel = std::mem::take(&mut input.smooth_scroll_delta.y);
                input.zoom_delta() * (wheel / WHEEL_POINTS_PER_DOUBLING).exp2()
            });
            if factor != 1.0 {
                view.zoom_by(factor, pointer, frame);
            }
        }
        if response.has_focus() {
            let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            self.follow_keys(ui, view, frame);
        }
    }

    fn follow_keys(&self, ui: &Ui, view: &mut CanvasView, frame: &Frame) {
        let presses = |key| ui.input(|input| if input.modifiers.command || input.modifiers.alt { 0 } else { input.num_presses(key) });
        let step = frame.area.size() / 10.0;
        for (key, direction) in
            [(Key::ArrowLeft, Vec2::RIGHT), (Key::ArrowRight, Vec2::LEFT), (Key::ArrowUp, Vec2::DOWN), (Key::ArrowDown, Vec2::UP)]
        {
            for _ in 0..presses(key) {
                view.pan(direction * step, frame);
            }
        }
        let zoom_steps = (presses(Key::Plus) + presses(Key::Equals)) as i32 - presses(Key::Minus) as i32;
        if zoom_steps != 0 {
            view.zoom_by(KEY_ZOOM.powi(zoom_steps), frame.area.center(), frame);
        }
        if presses(Key::F) + presses(Key::Num0) > 0 {
            view.fit = true;
        }
        if presses(Key::Num1) > 0 {
            view.zoom_by(1.0 / view.zoom, frame.area.center(), frame);
        }
    }
}

fn paint_grid(painter: &Painter, tokens: &Tokens, transform: &CanvasTransform, size: Vec2) {
    let visible = transform.image_rect.intersect(painter.clip_rect());
    let ([left, top], [right, bottom]) = (transform.px_from_pos(visible.min), transform.px_from_pos(visible.max));
    let stroke = Stroke::new(tokens.sizes.hairline / painter.pixels_per_point(), tokens.scrim.gamma_multiply(0.5));
    for column in left.ceil() as usize..=right.min(size.x) as usize {
        let x = painter.round_to_pixel_center(transform.pos_from_px([column as f32, 0.0]).x);
        painter.vline(x, visible.y_range(), stroke);
    }
    for row in top.ceil() as usize..=bottom.min(size.y) as usize {
        let y = painter.round_to_pixel_center(transform.pos_from_px([0.0, row as f32]).y);
        painter.hline(visible.x_range(), y, stroke);
    }
}

/// Words in the middle of an area that has nothing else to show.
pub(crate) fn paint_empty(painter: &Painter, tokens: &Tokens, area: Rect, text: &str) {
    let font = egui::FontId::proportional(tokens.fonts.body);
    let width = (area.width() - 2.0 * tokens.sizes.gap_large).max(0.0);
    let mut job = egui::text::LayoutJob::simple(text.to_owned(), font, tokens.text_muted, width);
    job.halign = egui::Align::Center;
    let galley = painter.layout_job(job);
    let top = area.center().y - galley.size().y / 2.0;
    painter.galley(Pos2::new(area.center().x, top), galley, tokens.text_muted);
}

/// For the gallery.
pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "image_canvas", size: Vec2::new(320.0, 240.0), show: |ui| exhibit(ui, CanvasView::default()) },
    Exhibit {
        name: "image_canvas_pixels",
        size: Vec2::new(320.0, 240.0),
        show: |ui| exhibit(ui, CanvasView { zoom: 24.0 * ui.pixels_per_point(), offset: Vec2::new(-18.0, -8.0), fit: false }),
    },
    Exhibit {
        name: "image_canvas_transparent",
        size: Vec2::new(320.0, 240.0),
        show: |ui| {
            let canvas = ImageCanvas::new("canvas", "Cut-out").texture(crate::sample::cut_out(ui.ctx()));
            canvas.show(ui, &mut CanvasView::default(), |_, _| {});
        },
    },
    Exhibit {
        name: "image_canvas_empty",
        size: Vec2::new(320.0, 240.0),
        show: |ui| {
            let canvas = ImageCanvas::new("canvas", "Image").empty("Choose an image in the list, or drop one here");
            canvas.show(ui, &mut CanvasView::default(), |_, _| {});
        },
    },
];

fn exhibit(ui: &mut Ui, mut view: CanvasView) {
    let canvas = ImageCanvas::new("canvas", "Hills at dusk").texture(crate::sample::scene(ui.ctx(), 0)).pixel_grid(true);
    canvas.show(ui, &mut view, |_, _| {});
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    type Shown = (CanvasView, bool, Option<[f32; 2]>);

    /// A canvas of 400 by 400 points with the sample scene, which is 96 by 72 pixels.
    fn harness(has_tool: bool) -> Harness<'static, Shown> {
        let state = (CanvasView::default(), has_tool, None);
        Harness::builder()
            .with_context_setup(crate::theme::install)
            .with_size(Vec2::splat(400.0))
            .with_pixels_per_point(1.0)
            .build_ui_state(
                |ui, (view, has_tool, hovered): &mut Shown| {
                    let canvas = ImageCanvas::new("canvas", "Hills").texture(crate::sample::scene(ui.ctx(), 0)).tool(*has_tool);
                    *hovered = canvas.show(ui, view, |_, _| {}).hovered_px;
                },
                state,
            )
    }

    fn drag(harness: &mut Harness<'_, Shown>, button: PointerButton) {
        let press = |pos, pressed| egui::Event::PointerButton { pos, button, pressed, modifiers: egui::Modifiers::NONE };
        harness.hover_at(Pos2::new(200.0, 200.0));
        harness.event(press(Pos2::new(200.0, 200.0), true));
        harness.step();
        harness.hover_at(Pos2::new(240.0, 180.0));
        harness.step();
        harness.event(press(Pos2::new(240.0, 180.0), false));
        harness.run();
    }

    #[test]
    fn keys_zoom_fit_and_pan() {
        let mut harness = harness(false);
        harness.get_by_label("Hills").focus();
        harness.run();
        harness.key_press(Key::Num1);
        harness.run();
        assert_eq!(*harness.state(), (CanvasView { zoom: 1.0, offset: Vec2::ZERO, fit: false }, false, None));
        harness.key_press(Key::Plus);
        harness.key_press(Key::ArrowRight);
        harness.run();
        let view = harness.state().0;
        assert!(view.zoom == 1.25 && view.offset.x > 0.0 && view.offset.y == 0.0, "{view:?}");
        harness.key_press(Key::F);
        harness.run();
        assert!(harness.state().0.fit);
    }

    #[test]
    fn dragging_pans_unless_a_tool_has_the_button() {
        for (has_tool, button, pans) in
            [(false, PointerButton::Primary, true), (true, PointerButton::Primary, false), (true, PointerButton::Middle, true)]
        {
            let mut harness = harness(has_tool);
            drag(&mut harness, button);
            assert_eq!(!harness.state().0.fit, pans, "{has_tool} {button:?}");
        }
    }

    #[test]
    fn the_wheel_zooms_at_the_pointer() {
        let mut harness = harness(false);
        harness.hover_at(Pos2::new(100.0, 150.0));
        harness.run();
        let before = harness.state().2.unwrap();
        let wheel = egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: Vec2::new(0.0, 200.0),
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
            source: egui::MouseWheelSource::Unknown,
        };
        harness.event(wheel);
        harness.run();
        let (view, _, after) = *harness.state();
        let after = after.unwrap();
        assert!(view.zoom > 6.0, "{view:?}");
        assert!((before[0] - after[0]).abs() < 0.3 && (before[1] - after[1]).abs() < 0.3, "{before:?} {after:?}");
    }
}
