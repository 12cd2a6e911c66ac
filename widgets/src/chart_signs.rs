//! The small parts that charts are made of: signs for marks, pieces of curves before names, and texts around a place.

use std::sync::Arc;

use egui::{Color32, Galley, Painter, Pos2, Shape, Stroke, vec2};

use crate::{Curve, MarkKind, Role, Tokens};

/// A small sign for a kind of mark, around a center.
pub(crate) fn mark_shape(kind: MarkKind, center: Pos2, color: Color32) -> Shape {
    let corners = |corners: &[(f32, f32)]| corners.iter().map(|&(x, y)| center + vec2(x, y)).collect();
    let filled = |corners: Vec<Pos2>| Shape::convex_polygon(corners, color, Stroke::NONE);
    let diamond = || filled(corners(&[(0.0, -3.5), (3.0, 0.0), (0.0, 3.5), (-3.0, 0.0)]));
    match kind {
        MarkKind::Checkpoint => diamond(),
        MarkKind::Best => Shape::Vec(vec![diamond(), Shape::circle_stroke(center, 5.5, Stroke::new(1.25, color))]),
        MarkKind::Resumed => filled(corners(&[(-3.0, -4.0), (4.0, 0.0), (-3.0, 4.0)])),
        MarkKind::Warning => filled(corners(&[(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)])),
    }
}

/// Marks have the color of their curve; warnings that of warnings.
pub(crate) fn mark_color(tokens: &Tokens, curve: &Curve<'_>, kind: MarkKind) -> Color32 {
    tokens.color(if kind == MarkKind::Warning { Role::Warning } else { Role::Series(curve.color_index) })
}

/// A short piece of a curve before its name.
pub(crate) fn swatch(painter: &Painter, left: Pos2, color: Color32, is_dashed: bool) {
    let stroke = Stroke::new(2.5, color);
    if is_dashed {
        painter.line_segment([left, left + vec2(5.0, 0.0)], stroke);
        painter.line_segment([left + vec2(8.0, 0.0), left + vec2(13.0, 0.0)], stroke);
    } else {
        painter.line_segment([left, left + vec2(13.0, 0.0)], stroke);
    }
}

/// Paints a galley with its left end, middle or right end (`align` 0, 0.5 or 1) at a position, and centered in height.
pub(crate) fn put(painter: &Painter, galley: &Arc<Galley>, position: Pos2, align: f32) {
    let size = galley.size();
    painter.galley(position - vec2(size.x * align, size.y / 2.0), Arc::clone(galley), Color32::PLACEHOLDER);
}
