//! Curves as shapes. Where many points share a pixel, their range is drawn as one bar, so that the effort depends on the width of the chart
//! and not on the length of the run. Meshes are kept from frame to frame, because most frames only move the pointer.

use egui::epaint::Mesh;
use std::sync::Arc;

use egui::epaint::Tessellator;
use egui::{Color32, Id, Pos2, Rangef, Shape, Stroke, Ui, pos2};

use crate::chart_axis::Axes;
use crate::trace::{Column, Extent, Trace};

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pen {
    pub color: Color32,
    /// Points.
    pub width: f32,
    pub is_dashed: bool,
    pub pixels_per_point: f32,
}

/// A trace as a mesh for the same place as the last time, or moved from there; made anew only if it would look different.
pub(crate) fn kept_mesh(ui: &Ui, id: Id, trace: &Trace, axes: &Axes, pen: Pen) -> Shape {
    let corner = axes.rect.min;
    let local = Axes::new(axes.rect.translate(-corner.to_vec2()), axes.x.range, axes.y.range, axes.y.is_log);
    let kept = ui.data(|data| data.get_temp::<KeptMesh>(id)).filter(|kept| kept.looks_like(trace, &local, pen));
    let mut kept = kept.unwrap_or_else(|| KeptMesh {
        revision: trace.revision(),
        origin: trace.origin(),
        last_x: trace.last().map_or(f64::NAN, |last| last.0),
        axes: local,
        pen,
        corner,
        mesh: Arc::new(mesh_from_trace(ui, trace, axes, pen)),
    });
    if kept.corner != corner {
        Arc::make_mut(&mut kept.mesh).translate(corner - kept.corner);
        kept.corner = corner;
    }
    let shape = Shape::mesh(Arc::clone(&kept.mesh));
    ui.data_mut(|data| data.insert_temp(id, kept));
    shape
}

#[derive(Clone)]
struct KeptMesh {
    revision: u64,
    origin: u64,
    last_x: f64,
    /// As if the plot began in the corner of the window.
    axes: Axes,
    pen: Pen,
    corner: Pos2,
    mesh: Arc<Mesh>,
}

/// Whatever moves by less is not drawn anew, in pixels: a long run grows by less than that with each event.
const UNSEEN_PX: f64 = 0.25;

impl KeptMesh {
    /// Whether the trace would be drawn the same, or has only grown, and by less than can be seen.
    fn looks_like(&self, trace: &Trace, axes: &Axes, pen: Pen) -> bool {
        if self.pen != pen || self.axes.rect != axes.rect || self.axes.y != axes.y {
            return false;
        }
        if self.revision == trace.revision() && self.axes.x == axes.x {
            return true;
        }
        let [from, to] = self.axes.x.range;
        let pixels_per_x = f64::from(axes.rect.width() * pen.pixels_per_point) / (to - from);
        let newest = trace.last().map_or(f64::NAN, |last| last.0);
        let is_unseen = self.last_x > to || (newest - self.last_x) * pixels_per_x < UNSEEN_PX;
        let is_same_view = from == axes.x.range[0] && (axes.x.range[1] - to).abs() * pixels_per_x < UNSEEN_PX;
        self.origin == trace.origin() && is_same_view && is_unseen
    }
}

fn mesh_from_trace(ui: &Ui, trace: &Trace, axes: &Axes, pen: Pen) -> Mesh {
    let options = ui.ctx().tessellation_options(|options| *options);
    // Lines and dots need no texture.
    let mut tessellator = Tessellator::new(pen.pixels_per_point, options, [1, 1], Vec::new());
    tessellator.set_clip_rect(axes.rect.expand(4.0));
    let mut mesh = Mesh::default();
    for shape in shapes_from_trace(trace, axes, pen) {
        tessellator.tessellate_shape(shape, &mut mesh);
    }
    mesh
}

/// A trace as shapes that reach to the edges of the plot, and past them by less than one point of the trace.
pub(crate) fn shapes_from_trace(trace: &Trace, axes: &Axes, pen: Pen) -> Vec<Shape> {
    let columns = columns_in_view(trace, axes, pen.pixels_per_point);
    if is_dense(&columns, axes, pen) { vec![band(&columns, axes, pen)] } else { lines(&columns, axes, pen) }
}

/// The columns of pixels in view, and one point on each side, which the curve comes from and goes to.
fn columns_in_view(trace: &Trace, axes: &Axes, pixels_per_point: f32) -> Vec<Column> {
    let [from, to] = axes.x.range;
    let num_columns = (axes.rect.width() * pixels_per_point).ceil().max(1.0) as usize;
    let outside = |x: f64| trace.columns(x..=x, 1);
    let left = trace.at(trace.lower_bound(from).wrapping_sub(1));
    let right = trace.at(trace.lower_bound(to)).filter(|point| point.0 > to).or_else(|| trace.at(trace.lower_bound(to) + 1));
    let mut columns = left.map(|point| outside(point.0)).unwrap_or_default();
    columns.extend(trace.columns(from..=to, num_columns));
    columns.extend(right.map(|point| outside(point.0)).unwrap_or_default());
    columns
}

/// Whether most columns hold a crowd of points that spreads wider than the line.
fn is_dense(columns: &[Column], axes: &Axes, pen: Pen) -> bool {
    let crowded =
        columns.iter().filter(|column| column.num_points > 2 && rows(&column.extent, axes).is_some_and(|rows| rows.span() > pen.width));
    !pen.is_dashed && crowded.count() * 2 > columns.len()
}

/// From top to bottom what a stretch of a trace covers, if the axis can show any of it.
fn rows(extent: &Extent, axes: &Axes) -> Option<Rangef> {
    let min = if axes.y.is_log { extent.min_positive } else { extent.min };
    let is_shown = min <= extent.max && axes.y.has_place_for(extent.max);
    is_shown.then(|| Rangef::new(axes.y.position(f64::from(extent.max)), axes.y.position(f64::from(min))))
}

/// Lines between the points, broken at gaps; a lone point is a dot.
fn lines(columns: &[Column], axes: &Axes, pen: Pen) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut line: Vec<Pos2> = Vec::new();
    for column in columns {
        if !axes.y.has_place_for(column.first) {
            finish_line(&mut line, pen, &mut shapes);
        }
        add_column(&mut line, column, axes, pen);
        if !axes.y.has_place_for(column.last) {
            finish_line(&mut line, pen, &mut shapes);
        }
    }
    finish_line(&mut line, pen, &mut shapes);
    shapes
}

fn add_column(line: &mut Vec<Pos2>, column: &Column, axes: &Axes, pen: Pen) {
    let Some(rows) = rows(&column.extent, axes) else { return };
    let x = axes.x.position(column.x);
    if column.num_points == 1 || rows.span() < pen.width {
        line.push(pos2(x, rows.center()));
        return;
    }
    // First and last lie between the turns in the same pixel, so that the turns are all there is to see.
    let [first, last] = [column.first, column.last].map(|y| axes.y.position(f64::from(y)));
    let turns = if first <= last { [rows.min, rows.max] } else { [rows.max, rows.min] };
    line.extend(turns.map(|y| pos2(x, y)));
}

fn finish_line(line: &mut Vec<Pos2>, pen: Pen, shapes: &mut Vec<Shape>) {
    let line = without_needless_points(&std::mem::take(line), UNSEEN_PX as f32 / pen.pixels_per_point);
    let stroke = Stroke::new(pen.width, pen.color);
    match line[..] {
        [] => {}
        [point] => shapes.push(Shape::circle_filled(point, pen.width, pen.color)),
        _ if pen.is_dashed => Shape::dashed_line_many(&line, stroke, 5.0, 3.0, shapes),
        _ => shapes.push(Shape::line(line, stroke)),
    }
}

/// A line that needs fewer points and passes none of the others farther above or below than `tolerance`. From the last point that is
/// kept, `slopes` are those by which all points since are passed.
fn without_needless_points(line: &[Pos2], tolerance: f32) -> Vec<Pos2> {
    let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return Vec::new() };
    let (mut kept, mut from, mut slopes) = (vec![first], first, Rangef::EVERYTHING);
    for (before, point) in line.iter().zip(&line[1..]) {
        if !slopes.contains((point.y - from.y) / (point.x - from.x)) {
            kept.push(*before);
            (from, slopes) = (*before, Rangef::EVERYTHING);
        }
        let way = *point - from;
        let passing = if way.x > 0.0 { Rangef::new((way.y - tolerance) / way.x, (way.y + tolerance) / way.x) } else { Rangef::NOTHING };
        slopes = slopes.intersection(passing);
    }
    if line.len() > 1 {
        kept.push(last);
    }
    kept
}

/// A strip that covers in every column what the curve covers there, reaching to where it came from. Pieces do not overlap, so that a faint
/// color stays even. Columns share their corners: windows are redrawn by copying them, and there are many.
fn band(columns: &[Column], axes: &Axes, pen: Pen) -> Shape {
    let mut strip = Strip::new(pen, columns.len());
    let column_width = 1.0 / pen.pixels_per_point;
    // Where the curve was last, if it goes on from there.
    let mut previous: Option<Pos2> = None;
    for column in columns {
        let is_in_view = axes.x.range[0] <= column.x && column.x <= axes.x.range[1];
        let left = if is_in_view { axes.rect.left() + column.index as f32 * column_width } else { axes.x.position(column.x) };
        let from = previous.filter(|_| axes.y.has_place_for(column.first));
        if let Some(mut rows) = rows(&column.extent, axes) {
            match from {
                Some(from) if left - from.x > column_width => {
                    strip.end();
                    strip.reach(from.x, Rangef::point(from.y));
                    strip.reach(left, Rangef::point(axes.y.position(f64::from(column.first))));
                    strip.end();
                }
                Some(from) => rows = Rangef::new(rows.min.min(from.y), rows.max.max(from.y)),
                None => strip.end(),
            }
            strip.reach(left + column_width / 2.0, rows);
        }
        let end = || pos2(left + column_width, axes.y.position(f64::from(column.last)));
        previous = axes.y.has_place_for(column.last).then(end);
    }
    strip.end();
    Shape::mesh(strip.mesh)
}

/// A mesh in the making, from left to right.
struct Strip {
    mesh: Mesh,
    pen: Pen,
    /// Vertices of the piece that is going on, two at a place.
    begin: usize,
}

impl Strip {
    fn new(pen: Pen, num_columns: usize) -> Self {
        let mut mesh = Mesh::default();
        mesh.reserve_vertices(num_columns * 2);
        mesh.reserve_triangles(num_columns * 2);
        Self { mesh, pen, begin: 0 }
    }

    /// Goes on to `x`, where it covers `rows` and the pen's width around them.
    fn reach(&mut self, x: f32, rows: Rangef) {
        let next = self.mesh.vertices.len() as u32;
        self.mesh.colored_vertex(pos2(x, rows.min - self.pen.width / 2.0), self.pen.color);
        self.mesh.colored_vertex(pos2(x, rows.max + self.pen.width / 2.0), self.pen.color);
        if next as usize > self.begin {
            self.mesh.add_triangle(next - 2, next - 1, next);
            self.mesh.add_triangle(next, next - 1, next + 1);
        }
    }

    /// Ends the piece; one of a single place becomes a bar of a pixel's width.
    fn end(&mut self) {
        if let [top, bottom] = self.mesh.vertices[self.begin..] {
            let half = 0.5 / self.pen.pixels_per_point;
            self.mesh.vertices.truncate(self.begin);
            for x in [top.pos.x - half, top.pos.x + half] {
                self.reach(x, Rangef::new(top.pos.y + self.pen.width / 2.0, bottom.pos.y - self.pen.width / 2.0));
            }
        }
        self.begin = self.mesh.vertices.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;

    fn axes(is_log: bool) -> Axes {
        let rect = egui::Rect::from_min_size(Pos2::ZERO, egui::vec2(100.0, 100.0));
        Axes::new(rect, [0.0, 100.0], if is_log { [0.1, 10.0] } else { [0.0, 10.0] }, is_log)
    }

    fn pen() -> Pen {
        Pen { color: Tokens::dark().accent, width: 1.0, is_dashed: false, pixels_per_point: 1.0 }
    }

    fn kinds(points: &[(f64, f32)], is_log: bool) -> String {
        let mut trace = Trace::default();
        trace.extend(points.iter().copied());
        let kind = |shape: &Shape| match shape {
            Shape::Path(path) => format!("line {}", path.points.len()),
            Shape::LineSegment { .. } => "line 2".to_owned(),
            Shape::Circle(_) => "dot".to_owned(),
            Shape::Mesh(_) => "band".to_owned(),
            _ => "other".to_owned(),
        };
        shapes_from_trace(&trace, &axes(is_log), pen()).iter().map(kind).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn gaps_break_the_line_and_lone_points_are_dots() {
        let points = [(1.0, 1.0), (10.0, 2.0), (20.0, f32::NAN), (30.0, 3.0), (40.0, f32::NAN), (50.0, 1.0), (60.0, 3.0), (70.0, 2.0)];
        assert_eq!(kinds(&points, false), "line 2, dot, line 3");
        assert_eq!(kinds(&[(10.0, 1.0), (20.0, 0.0), (30.0, 1.0), (40.0, 2.0)], true), "dot, line 2");
        assert_eq!(kinds(&[(10.0, f32::NAN), (20.0, -1.0)], true), "");
    }

    #[test]
    fn the_curve_goes_on_past_the_edges() {
        assert_eq!(kinds(&[(-50.0, 1.0), (-20.0, 1.0), (50.0, 2.0), (130.0, 1.0), (170.0, 3.0)], false), "line 3");
        assert_eq!(kinds(&[(-50.0, 1.0), (130.0, 3.0)], false), "line 2");
    }

    #[test]
    fn a_line_keeps_its_turns_and_loses_what_lies_on_the_way() {
        let thinned = |points: &[(f32, f32)]| {
            let line: Vec<Pos2> = points.iter().map(|&(x, y)| pos2(x, y)).collect();
            without_needless_points(&line, 0.25).iter().map(|point| (point.x, point.y)).collect::<Vec<_>>()
        };
        assert_eq!(thinned(&[(0.0, 0.0), (1.0, 1.1), (2.0, 1.9), (3.0, 3.0)]), [(0.0, 0.0), (3.0, 3.0)]);
        assert_eq!(thinned(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 5.0)]), [(0.0, 0.0), (2.0, 0.0), (3.0, 5.0)]);
        let upright = [(0.0, 0.0), (1.0, 4.0), (1.0, -4.0), (2.0, 0.0)];
        assert_eq!(thinned(&upright), upright);
        assert_eq!((thinned(&[]), thinned(&[(1.0, 2.0)])), (vec![], vec![(1.0, 2.0)]));
        let wave: Vec<(f32, f32)> = (0..1000).map(|x| (x as f32, 40.0 * (x as f32 / 100.0).sin())).collect();
        let kept = thinned(&wave);
        assert!(kept.len() < 120, "{} points", kept.len());
        for pair in kept.windows(2) {
            let [(x, y), (to_x, to_y)] = [pair[0], pair[1]];
            for &(at, height) in &wave[x as usize..=to_x as usize] {
                assert!((y + (to_y - y) * (at - x) / (to_x - x) - height).abs() <= 0.2501, "passed at {at}");
            }
        }
    }

    #[test]
    fn noise_is_a_band_and_a_calm_crowd_a_line() {
        let noise: Vec<(f64, f32)> = (0..10_000).map(|step| (f64::from(step) / 100.0, (step * 7 % 10) as f32)).collect();
        assert_eq!(kinds(&noise, false), "band");
        let calm: Vec<(f64, f32)> = (0..10_000).map(|step| (f64::from(step) / 100.0, step as f32 / 1000.0)).collect();
        assert!(kinds(&calm, false).starts_with("line "), "{}", kinds(&calm, false));
    }

    #[test]
    fn a_long_curve_that_grows_is_drawn_anew_when_that_can_be_seen() {
        let (view, mut trace) = (axes(false), Trace::default());
        trace.extend((0..=1000).map(|step| (f64::from(step) / 10.0, 5.0)));
        let kept = KeptMesh {
            revision: trace.revision(),
            origin: trace.origin(),
            last_x: 100.0,
            axes: view,
            pen: pen(),
            corner: Pos2::ZERO,
            mesh: Arc::default(),
        };
        let up_to = |x: f64| Axes::new(view.rect, [0.0, x], view.y.range, false);
        assert!(kept.looks_like(&trace, &view, pen()) && !kept.looks_like(&trace, &up_to(50.0), pen()));
        trace.push(100.1, 5.0);
        assert!(kept.looks_like(&trace, &up_to(100.1), pen()), "a tenth of a pixel");
        trace.push(101.0, 5.0);
        assert!(!kept.looks_like(&trace, &up_to(101.0), pen()), "a pixel");
        trace.truncate_from(100.05);
        assert!(!kept.looks_like(&trace, &view, pen()), "what was written anew may differ");
    }
}
