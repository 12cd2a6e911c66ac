//! From composition to pixels: who covers which pixel, then background, shadows and lit surfaces in linear light.

use super::ToyObject;
use super::color::{Rgb, encode, mix};
use super::composition::{Composition, Figure, Light, Surface};
use super::detail::ink;
use super::geometry::{Point, dot, inside, minus, smooth_step};
use super::texture::fine_noise;

/// The picture and who covers which pixel.
pub(super) struct Painting {
    /// RGB, `[H, W, 3]`.
    pub pixels: Vec<u8>,
    /// 0 background, k = the k-th object kept, `[H, W]`.
    pub instances: Vec<u8>,
    /// The objects kept.
    pub objects: Vec<ToyObject>,
}

/// An object keeps its place in the scene only if this share of the image shows it.
const LEAST_VISIBLE: f64 = 0.01;

/// Paints `scene` at `height` x `width` pixels.
pub(super) fn paint(scene: &Composition, height: usize, width: usize) -> Painting {
    let canvas = Canvas { height, width, pixel: 1.0 / height.min(width) as f64 };
    let fields: Vec<Field> = scene.figures.iter().map(|figure| Field::new(figure, canvas)).collect();
    let mut order = scene.back_to_front.clone();
    let (mut instances, mut areas) = cover(&fields, &order, canvas);
    let least = (LEAST_VISIBLE * (height * width) as f64).ceil() as usize;
    let largest = (0..areas.len()).rev().max_by_key(|&figure| areas[figure]);
    // Removing one object can only uncover others, so one pass is enough.
    order.retain(|&figure| areas[figure] >= least || Some(figure) == largest);
    if order.len() < scene.figures.len() {
        (instances, areas) = cover(&fields, &order, canvas);
    }
    let mut light_map = canvas.background(&scene.background);
    for &figure in &order {
        fields[figure].cast_shadow(&mut light_map, &scene.figures[figure], scene.light, canvas);
        fields[figure].draw(&mut light_map, &scene.figures[figure], scene.light, canvas);
    }
    let pixels = canvas.develop(&light_map, scene.light);
    let mut kept = order;
    kept.sort_unstable();
    let mut ids = vec![0_u8; scene.figures.len() + 1];
    for (position, &figure) in kept.iter().enumerate() {
        ids[figure + 1] = position as u8 + 1;
    }
    for id in &mut instances {
        *id = ids[usize::from(*id)];
    }
    let object = |&figure: &usize| ToyObject { class: scene.figures[figure].shape.class, area_px: areas[figure] };
    Painting { pixels, instances, objects: kept.iter().map(object).collect() }
}

#[derive(Clone, Copy)]
struct Canvas {
    height: usize,
    width: usize,
    /// Side of a pixel in units of the image's shorter side.
    pixel: f64,
}

/// Signed distances of one object at the pixel centers of a window that holds its silhouette, edge and shadow.
struct Field {
    left: isize,
    top: isize,
    columns: usize,
    rows: usize,
    /// In units of the image's shorter side.
    distances: Vec<f64>,
}

/// Each pixel's front-most figure + 1, and how many pixels each figure has.
fn cover(fields: &[Field], back_to_front: &[usize], canvas: Canvas) -> (Vec<u8>, Vec<usize>) {
    let mut owners = vec![0_u8; canvas.height * canvas.width];
    for &figure in back_to_front {
        let field = &fields[figure];
        for (row, y) in field.rows_in(canvas) {
            for (column, x) in field.columns_in(canvas) {
                if field.distances[row * field.columns + column] < 0.0 {
                    owners[y * canvas.width + x] = figure as u8 + 1;
                }
            }
        }
    }
    let mut areas = vec![0; fields.len()];
    for &owner in owners.iter().filter(|&&owner| owner > 0) {
        areas[usize::from(owner) - 1] += 1;
    }
    (owners, areas)
}

impl Canvas {
    fn center(self, x: usize, y: usize) -> Point {
        [(x as f64 + 0.5) * self.pixel, (y as f64 + 0.5) * self.pixel]
    }

    fn background(self, surface: &Surface) -> Vec<Rgb> {
        let mut light_map = Vec::with_capacity(self.height * self.width);
        for y in 0..self.height {
            light_map.extend((0..self.width).map(|x| surface.color(self.center(x, y), self.pixel, 0.0)));
        }
        light_map
    }

    /// Bytes of the light map under the lamp's falloff and the lens' vignette.
    fn develop(self, light_map: &[Rgb], light: Light) -> Vec<u8> {
        let half = [self.width as f64 * 0.5, self.height as f64 * 0.5];
        let mut pixels = Vec::with_capacity(light_map.len() * 3);
        for (at, rgb) in light_map.iter().enumerate() {
            let (x, y) = (at % self.width, at / self.width);
            let place = [(x as f64 + 0.5) / half[0] - 1.0, (y as f64 + 0.5) / half[1] - 1.0];
            let exposure = (1.0 + light.falloff * dot(place, light.toward)) * (1.0 - light.vignette * 0.5 * dot(place, place));
            pixels.extend(rgb.map(|x| encode(x * exposure)));
        }
        pixels
    }
}

impl Surface {
    /// The unlit color at `p`; `accent` is how much of the partner color the detail asks for.
    fn color(&self, p: Point, footprint: f64, accent: f64) -> Rgb {
        let pattern = self.texture.value(p, footprint) * self.contrast;
        let mottle = fine_noise([p[0] * 11.0, p[1] * 11.0], self.salt) - 0.5;
        // An accent inverts the pattern, so that it shows on patterned surfaces, too.
        let amount = pattern + accent * (1.0 - 2.0 * pattern);
        mix(self.colors.base, self.colors.partner, amount).map(|x| x * (1.0 + 0.22 * mottle))
    }
}

impl Field {
    fn new(figure: &Figure, canvas: Canvas) -> Self {
        let pose = figure.pose;
        let reach = pose.scale * (1.02 + figure.finish.lift * 2.2);
        let span = |center: f64, limit: usize| {
            let slack = pose.scale * figure.finish.lift * 2.2 + 2.0 * canvas.pixel;
            let low = (center - reach).max(-slack) / canvas.pixel;
            let high = (center + reach).min(limit as f64 * canvas.pixel + slack) / canvas.pixel;
            (low.floor() as isize - 1, (high.ceil() - low.floor()).max(0.0) as usize + 3)
        };
        let (left, columns) = span(pose.at[0], canvas.width);
        let (top, rows) = span(pose.at[1], canvas.height);
        let mut field = Self { left, top, columns, rows, distances: Vec::with_capacity(columns * rows) };
        for row in 0..rows {
            for column in 0..columns {
                let local = field.local(figure, canvas, column, row);
                field.distances.push(figure.shape.distance(local) * pose.scale);
            }
        }
        field
    }

    /// The pixel center at `column`, `row` of the window, in the shape's frame.
    fn local(&self, figure: &Figure, canvas: Canvas, column: usize, row: usize) -> Point {
        let x = (self.left as f64 + column as f64 + 0.5) * canvas.pixel;
        let y = (self.top as f64 + row as f64 + 0.5) * canvas.pixel;
        let offset = minus([x, y], figure.pose.at);
        [dot(figure.pose.to_local[0], offset), dot(figure.pose.to_local[1], offset)]
    }

    /// Inner rows of the window that lie on the canvas, with their rows there.
    fn rows_in(&self, canvas: Canvas) -> impl Iterator<Item = (usize, usize)> + use<> {
        overlap(self.top, self.rows, canvas.height)
    }

    /// Inner columns of the window that lie on the canvas, with their columns there.
    fn columns_in(&self, canvas: Canvas) -> impl Iterator<Item = (usize, usize)> + use<> {
        overlap(self.left, self.columns, canvas.width)
    }

    /// Darkens what lies under the object's shadow.
    fn cast_shadow(&self, light_map: &mut [Rgb], figure: &Figure, light: Light, canvas: Canvas) {
        let lift = figure.pose.scale * figure.finish.lift;
        let shift = light.toward.map(|x| x * lift / canvas.pixel);
        let blur = lift * 1.1 + canvas.pixel;
        for (row, y) in self.rows_in(canvas) {
            for (column, x) in self.columns_in(canvas) {
                let distance = self.between_pixels(column as f64 + shift[0], row as f64 + shift[1]);
                let shadow = 0.55 * (1.0 - smooth_step(-blur, blur, distance));
                if shadow > 0.0 {
                    let under = &mut light_map[y * canvas.width + x];
                    *under = under.map(|x| x * (1.0 - shadow));
                }
            }
        }
    }

    /// The distance between pixel centers, by bilinear interpolation.
    fn between_pixels(&self, column: f64, row: f64) -> f64 {
        let column = column.clamp(0.0, (self.columns - 1) as f64 - 1e-9);
        let row = row.clamp(0.0, (self.rows - 1) as f64 - 1e-9);
        let (x, y) = (column as usize, row as usize);
        let (tx, ty) = (column - x as f64, row - y as f64);
        let at = |x: usize, y: usize| self.distances[y * self.columns + x];
        let top = at(x, y) + (at(x + 1, y) - at(x, y)) * tx;
        let bottom = at(x, y + 1) + (at(x + 1, y + 1) - at(x, y + 1)) * tx;
        top + (bottom - top) * ty
    }

    /// Paints the lit object with antialiased edges.
    fn draw(&self, light_map: &mut [Rgb], figure: &Figure, light: Light, canvas: Canvas) {
        let reach = 1.5 * canvas.pixel;
        for (row, y) in self.rows_in(canvas) {
            for (column, x) in self.columns_in(canvas) {
                let at = row * self.columns + column;
                let distance = self.distances[at];
                if distance > reach {
                    continue;
                }
                let slope = self.slope(at, [1, 1], [1, 1], canvas.pixel);
                let steepness = dot(slope, slope).sqrt();
                // Tilted and approximate distances do not grow by one pixel per pixel; the slope tells by how much they do.
                let coverage = inside(distance / steepness.max(0.5), canvas.pixel);
                if coverage > 0.0 {
                    let local = self.local(figure, canvas, column, row);
                    let depth = (-distance / figure.pose.scale).max(0.0);
                    let color = figure.unlit(local, depth, canvas.pixel);
                    let lit = if steepness > RIDGE {
                        figure.lit(color, depth, slope, light)
                    } else {
                        self.lit_ridge(color, at, depth, figure, light, canvas.pixel)
                    };
                    let under = &mut light_map[y * canvas.width + x];
                    *under = mix(*under, lit, coverage);
                }
            }
        }
    }

    /// A ridge's mean color: the facets that meet there, each lit by itself. Their mean slope would light a flat top that is not there.
    fn lit_ridge(&self, color: Rgb, at: usize, depth: f64, figure: &Figure, light: Light, pixel: f64) -> Rgb {
        let mut sum = [0.0; 3];
        for (x, y) in [([1, 0], [1, 0]), ([1, 0], [0, 1]), ([0, 1], [1, 0]), ([0, 1], [0, 1])] {
            // A difference taken across the ridge is too small; the facets are as steep as elsewhere.
            let slope = self.slope(at, x, y, pixel);
            let steepness = dot(slope, slope).sqrt();
            let lit = figure.lit(color, depth, if steepness > 0.3 { slope.map(|x| x / steepness) } else { slope }, light);
            sum = std::array::from_fn(|i| sum[i] + 0.25 * lit[i]);
        }
        sum
    }

    /// How fast the distance grows to the right and down, between these many pixels (before, after) of place `at`.
    fn slope(&self, at: usize, x: [usize; 2], y: [usize; 2], pixel: f64) -> Point {
        let across = self.distances[at + x[1]] - self.distances[at - x[0]];
        let down = self.distances[at + y[1] * self.columns] - self.distances[at - y[0] * self.columns];
        [across / ((x[0] + x[1]) as f64 * pixel), down / ((y[0] + y[1]) as f64 * pixel)]
    }
}

/// Where the distance grows by less than this per unit length, facets meet.
const RIDGE: f64 = 0.9;

/// Window positions 1..len-1 that lie on 0..limit when the window starts at `start`, with their places there.
fn overlap(start: isize, len: usize, limit: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..len.saturating_sub(1)).filter_map(move |inner| {
        let outer = usize::try_from(start + inner as isize).ok()?;
        (outer < limit).then_some((inner, outer))
    })
}

impl Figure {
    /// The color at `local` (shape's frame), `depth` (same units) inside the edge, before light falls on it.
    fn unlit(&self, local: Point, depth: f64, pixel: f64) -> Rgb {
        let footprint = pixel / self.pose.scale;
        let ink = ink(&self.shape, local, -depth, footprint);
        let color = self.surface.color(local, footprint, ink.accent.clamp(0.0, 1.0));
        let rim = inside(depth - 0.05, footprint.max(0.02));
        lighten(lighten(color, ink.light), self.finish.outline * rim)
    }

    /// `color` under the lamp at a place where the edge is `depth` away in the direction `slope`.
    fn lit(&self, color: Rgb, depth: f64, slope: Point, light: Light) -> Rgb {
        // A quarter-round edge: steepest outside, flat where the bevel ends.
        let bevel = self.finish.relief * (1.0 - (depth / self.finish.bevel).min(1.0));
        let lean = slope.map(|x| x * bevel / dot(slope, slope).sqrt().max(1.0));
        let facing = dot(lean, light.toward);
        let normal = (1.0 + dot(lean, lean)).sqrt();
        let lamp = (1.0 + light.elevation * light.elevation).sqrt();
        let lambert = ((facing + light.elevation) / (normal * lamp)).max(0.0);
        let flat = light.elevation / lamp;
        let shade = 0.35 + 0.65 * lambert / flat;
        // Blinn's half vector between the lamp and the viewer, who looks straight down.
        let half = (2.0 + 2.0 * flat).sqrt();
        let glint = ((facing + light.elevation) / lamp + 1.0) / (normal * half);
        let highlight = self.finish.gloss * (sharpen(glint.clamp(0.0, 1.0)) - sharpen((flat + 1.0) / half)).max(0.0);
        color.map(|x| x * shade + highlight)
    }
}

/// The 24th power, by multiplications in a fixed order: the standard library leaves the order of its own to the platform.
fn sharpen(x: f64) -> f64 {
    let cube = x * x * x;
    let sixth = cube * cube;
    let twelfth = sixth * sixth;
    twelfth * twelfth
}

/// Toward white by `amount`, or toward black if it is negative.
fn lighten(color: Rgb, amount: f64) -> Rgb {
    if amount >= 0.0 {
        mix(color, [0.95; 3], amount.min(1.0) * (0.4 + 0.6 * amount.min(1.0)))
    } else {
        let keep = (1.0 + amount).max(0.06);
        color.map(|x| x * keep * keep)
    }
}
