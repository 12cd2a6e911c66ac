//! Every layer and head at a glance: a small map each, layers downward, heads across.

use egui::{
    Align2, ColorImage, Context, EventFilter, FontId, Key, Pos2, Rect, Sense, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui, Vec2,
    WidgetInfo,
};
use maskroom_core::inspect::colormap::ColorMap;
use maskroom_core::inspect::picture::{Picture, contact_sheet};
use maskroom_widgets::Tokens;

use super::export;
use super::shown::{Heads, View, color_of_head};
use crate::studio::explorer::Overview;

/// Width of a small map, in points.
const CELL_POINTS: std::ops::RangeInclusive<f32> = 10.0..=56.0;
const GAP: f32 = 2.0;
/// Width of a map in the exported picture, as far as whole pixels to a patch allow.
const MAP_PX: usize = 168;

/// All maps of the class token in one texture, each along its own scale.
pub fn atlas(context: &Context, overview: &Overview, colors: ColorMap) -> TextureHandle {
    let sheet = contact_sheet(&maps(overview, colors, 1), overview.heads, 0, [0; 3]);
    let options = TextureOptions { magnification: egui::TextureFilter::Nearest, ..TextureOptions::LINEAR };
    context.load_texture("attention of all heads", ColorImage::from_rgb([sheet.width, sheet.height], &sheet.rgb), options)
}

/// The matrix as a picture of its own.
pub fn picture(overview: &Overview, colors: ColorMap, tokens: &Tokens) -> Picture {
    let factor = (MAP_PX / overview.grid[1].max(1)).max(1);
    contact_sheet(&maps(overview, colors, factor), overview.heads, export::GUTTER_PX, export::rgb(tokens.canvas))
}

/// The maps of all layers and heads in their order; each patch is a square of so many pixels.
fn maps(overview: &Overview, colors: ColorMap, patch_px: usize) -> Vec<Picture> {
    let ([rows, cols], maps) = (overview.grid, &overview.class_rows);
    let map_of = |layer: usize, head: usize| {
        let value = |patch: usize| maps.value(layer, head, [patch / cols, patch % cols]).unwrap_or(0.0);
        let values: Vec<f32> = (0..rows * cols).map(value).collect();
        let range = [0.0, maps.maximum(layer, head).max(f32::MIN_POSITIVE)];
        Picture::from_map(&values, rows, cols, colors, range).enlarged(patch_px)
    };
    (0..overview.layers)
        .flat_map(|layer| (0..overview.heads).map(move |head| (layer, head)))
        .map(|(layer, head)| map_of(layer, head))
        .collect()
}

/// Draws the matrix; a click or an arrow key chooses layer and head.
pub fn show(ui: &mut Ui, overview: &Overview, atlas: &TextureHandle, view: &mut View) {
    let tokens = Tokens::of(ui);
    let (layers, heads) = (overview.layers.max(1), overview.heads.max(1));
    let font = FontId::monospace(tokens.fonts.small);
    let label = 3.0 * tokens.sizes.gap;
    let pitch_x = ((ui.available_width() - label) / heads as f32).clamp(CELL_POINTS.start() + GAP, CELL_POINTS.end() + GAP);
    let shape = overview.grid[0] as f32 / overview.grid[1].max(1) as f32;
    let pitch_y = (pitch_x - GAP) * shape.clamp(0.25, 4.0) + GAP;
    let size = Vec2::new(label + pitch_x * heads as f32 - GAP, label + pitch_y * layers as f32 - GAP);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let corner = rect.min + Vec2::splat(label);
    let cell = |layer: usize, head: usize| {
        let min = corner + Vec2::new(head as f32 * pitch_x, layer as f32 * pitch_y);
        Rect::from_min_size(min, Vec2::new(pitch_x - GAP, pitch_y - GAP))
    };
    let (layer, head) = (view.layer_of(layers), view.head.min(heads - 1));
    let name = format!("Layer {}, head {head}; arrow keys choose others", overview.first_layer + layer);
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Grid, ui.is_enabled(), &name));

    let under_pointer = response.hover_pos().and_then(|pos| {
        let place = (pos - corner) / Vec2::new(pitch_x, pitch_y);
        (place.x >= 0.0 && place.y >= 0.0).then_some([place.y as usize, place.x as usize]).filter(|at| at[0] < layers && at[1] < heads)
    });
    if response.clicked() {
        response.request_focus();
        if let Some([layer, head]) = under_pointer {
            view.choose(layer, head);
        }
    }
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let presses = |key| ui.input(|input| input.num_presses(key)) as isize;
        let down = presses(Key::ArrowDown) - presses(Key::ArrowUp);
        let right = presses(Key::ArrowRight) - presses(Key::ArrowLeft);
        if down != 0 || right != 0 {
            view.choose(layer.saturating_add_signed(down).min(layers - 1), head.saturating_add_signed(right).min(heads - 1));
        }
    }

    if ui.is_rect_visible(rect) {
        let painter = ui.painter();
        let every = |pitch: f32| (1.5 * tokens.sizes.gap_large / pitch).ceil().max(1.0) as usize;
        for head in (0..heads).step_by(every(pitch_x)) {
            let place = Pos2::new(cell(0, head).center().x, rect.top());
            painter.text(place, Align2::CENTER_TOP, head.to_string(), font.clone(), tokens.text_muted);
        }
        for layer in (0..layers).step_by(every(pitch_y)) {
            let place = Pos2::new(corner.x - tokens.sizes.gap_small, cell(layer, 0).center().y);
            painter.text(place, Align2::RIGHT_CENTER, (overview.first_layer + layer).to_string(), font.clone(), tokens.text_muted);
        }
        let share = Vec2::new(1.0 / heads as f32, 1.0 / layers as f32);
        for layer in 0..layers {
            for head in 0..heads {
                let uv = Rect::from_min_size(Pos2::new(head as f32 * share.x, layer as f32 * share.y), share);
                painter.image(atlas.id(), cell(layer, head), uv, egui::ImageOptions::default().tint);
            }
        }
        if let Some([layer, head]) = under_pointer {
            painter.rect_stroke(cell(layer, head), 0.0, Stroke::new(1.0, tokens.text), StrokeKind::Outside);
        }
        paint_chosen(ui, view, heads, |head| cell(view.layer_of(layers), head));
        if response.has_focus() {
            let stroke = Stroke::new(tokens.sizes.hairline, tokens.focus_ring);
            painter.rect_stroke(rect.expand(tokens.sizes.gap_small), tokens.sizes.radius, stroke, StrokeKind::Outside);
        }
    }
    if let Some(text) = under_pointer.and_then(|[layer, head]| words(overview, layer, head)) {
        response.on_hover_text_at_pointer(text);
    }
}

/// A frame around what is shown: one head, a whole layer, heads in their colors, or everything.
fn paint_chosen(ui: &Ui, view: &View, heads: usize, cell: impl Fn(usize) -> Rect) {
    let (painter, accent) = (ui.painter(), Tokens::of(ui).accent);
    let frames = match view.heads {
        Heads::One => vec![(cell(view.head.min(heads - 1)), accent)],
        Heads::Mean => vec![(cell(0).union(cell(heads - 1)), accent)],
        Heads::Composite => view.colored(heads).into_iter().map(|(head, color)| (cell(head), color)).collect(),
        Heads::Rollout => Vec::new(),
    };
    for (rect, color) in frames {
        painter.rect_stroke(rect, 1.0, Stroke::new(2.0, color), StrokeKind::Outside);
    }
}

fn words(overview: &Overview, layer: usize, head: usize) -> Option<String> {
    let figures = overview.figures_of(layer, head)?;
    let [rows, cols] = overview.grid;
    Some(format!(
        "layer {}, head {head}\nspreads over {:.0} of {} patches\na patch looks {:.1} patches far",
        overview.first_layer + layer,
        figures.spread_patches,
        rows * cols,
        figures.distance_patches
    ))
}

/// A chip for each head of a composite, in the head's color: a click takes it in or leaves it out.
pub fn chips(ui: &mut Ui, heads: usize, view: &mut View) {
    let tokens = Tokens::of(ui);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(tokens.sizes.gap_small);
        for head in 0..heads {
            let is_on = !view.left_out.contains(&head);
            let size = Vec2::new(tokens.sizes.row_small * 1.75, tokens.sizes.row_small);
            let (rect, response) = ui.allocate_exact_size(size, Sense::click());
            let name = format!("Head {head}");
            response.widget_info(|| WidgetInfo::selected(egui::Role::CheckBox, ui.is_enabled(), is_on, &name));
            if response.clicked() {
                if is_on {
                    view.left_out.push(head);
                } else {
                    view.left_out.retain(|&known| known != head);
                }
            }
            let painter = ui.painter();
            painter.rect_filled(rect, tokens.sizes.radius, tokens.surface_field);
            if response.hovered() {
                painter.rect_filled(rect, tokens.sizes.radius, tokens.hover_fill);
            }
            let dot = Pos2::new(rect.left() + tokens.sizes.gap + 2.0, rect.center().y);
            if is_on {
                painter.circle_filled(dot, 5.0, color_of_head(head));
            } else {
                painter.circle_stroke(dot, 4.5, Stroke::new(tokens.sizes.hairline, tokens.text_muted));
            }
            let color = if is_on { tokens.text } else { tokens.text_muted };
            let place = Pos2::new(dot.x + tokens.sizes.gap, rect.center().y);
            painter.text(place, Align2::LEFT_CENTER, head.to_string(), FontId::monospace(tokens.fonts.small), color);
            if response.has_focus() {
                let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring);
                painter.rect_stroke(rect, tokens.sizes.radius, stroke, StrokeKind::Outside);
            }
            response.on_hover_text(if is_on { "leave this head out" } else { "show this head" });
        }
    });
}
