//! What stands where in a toy scene, in units of the image's shorter side: decided before any pixel, so it is the same at every size.

use super::color::{Pair, draw_pairs};
use super::geometry::{Point, direction, length, minus};
use super::shape::{NAMES, Shape};
use super::texture::Texture;
use crate::random::{Purpose, Stream};

/// A scene without pixels.
#[derive(Debug, Clone)]
pub(super) struct Composition {
    /// What is behind the objects.
    pub background: Surface,
    /// The objects; the first is planned as the largest.
    pub figures: Vec<Figure>,
    /// Indices into `figures`, the farthest first.
    pub back_to_front: Vec<usize>,
    /// Where the light comes from.
    pub light: Light,
}

/// One object: a shape, its pose and its material.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Silhouette and proportions.
    pub shape: Shape,
    /// Where it stands.
    pub pose: Pose,
    /// Colors and texture.
    pub surface: Surface,
    /// How its edge is finished.
    pub finish: Finish,
}

/// Where an object stands, and how it is turned and tilted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Center, x to the right and y down.
    pub at: Point,
    /// Radius of the shape's unit circle.
    pub scale: f64,
    /// Rows of the matrix from offsets in the image to the shape's frame.
    pub to_local: [Point; 2],
}

/// How an object's edge and shadow look. Lengths are in units of the shape's unit circle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    /// How far the rounded edge reaches in.
    pub bevel: f64,
    /// How steep the rounded edge is.
    pub relief: f64,
    /// Strength of the highlight.
    pub gloss: f64,
    /// Light (positive) or dark (negative) line along the edge.
    pub outline: f64,
    /// How far the shadow is thrown.
    pub lift: f64,
}

/// Two colors and how they are patterned.
#[derive(Debug, Clone)]
pub(super) struct Surface {
    /// The colors.
    pub colors: Pair,
    /// The pattern.
    pub texture: Texture,
    /// How much of the partner color the pattern reaches, 0..1.
    pub contrast: f64,
    /// Seed of the fine mottling.
    pub salt: u64,
}

/// The one lamp that lights objects and background.
#[derive(Debug, Clone, Copy)]
pub(super) struct Light {
    /// Unit vector in the image plane toward the lamp.
    pub toward: Point,
    /// Tangent of the lamp's elevation over the image plane.
    pub elevation: f64,
    /// Brightness lost from the middle to the far side.
    pub falloff: f64,
    /// Brightness lost in the corners.
    pub vignette: f64,
}

/// Candidate places tried for each further object.
const NUM_TRIES: usize = 14;

impl Composition {
    /// The scene `index` of `seed` for an image of `extent` (width, height) in units of its shorter side.
    pub(super) fn draw(seed: u64, index: u64, extent: Point) -> Self {
        let stream = &mut Stream::new(seed, 0, index, Purpose::Toy);
        let crowd = stream.unit();
        let count = 1 + [0.38, 0.66, 0.85].iter().filter(|&&share| crowd >= share).count();
        let light = Light::draw(stream);
        let colors = draw_pairs(stream, count + 1);
        let background = Surface::draw(stream, colors[0], (2.2, 6.5), (0.3, 0.75));
        let mut figures: Vec<Figure> = Vec::with_capacity(count);
        for position in 0..count {
            let class = if position == 0 { main_class(seed, index) } else { stream.below(NAMES.len()) };
            let shape = Shape::draw(stream, class);
            let surface = Surface::draw(stream, colors[position + 1], (1.4, 4.0), (0.1, 0.75));
            let finish = Finish::draw(stream);
            let placed =
                if position == 0 { Some(place_main(stream, &shape, extent)) } else { place_further(stream, &shape, &figures, extent) };
            let to_local = pose_matrix(stream, &shape);
            if let Some((at, scale)) = placed {
                let to_local = to_local.map(|row| row.map(|x| x / scale));
                figures.push(Figure { shape, pose: Pose { at, scale, to_local }, surface, finish });
            }
        }
        let back_to_front = stream.permutation(figures.len());
        Self { background, figures, back_to_front, light }
    }
}

/// The planned class of a scene: each run of twelve indices holds every class once, in an order of its own.
fn main_class(seed: u64, index: u64) -> usize {
    let (block, position) = (index / NAMES.len() as u64, (index % NAMES.len() as u64) as usize);
    Stream::new(seed, 1, block, Purpose::Toy).permutation(NAMES.len())[position]
}

/// Center and scale of the object that gives the scene its class: large, and nearly all of it in the picture.
fn place_main(stream: &mut Stream, shape: &Shape, extent: Point) -> (Point, f64) {
    // A long picture does not call for an object that its short side could not hold.
    let stage = (extent[0] * extent[1]).min(1.6);
    let scale = (stream.range(0.14, 0.36) * stage / shape.area()).sqrt().min(0.55);
    let at = extent.map(|side| {
        let margin = (scale * 0.88).min(side * 0.5);
        margin + (side - 2.0 * margin) * stream.unit()
    });
    (at, scale)
}

/// Center and scale of a smaller object, where it overlaps the others at most in part; `None` if there is no room.
fn place_further(stream: &mut Stream, shape: &Shape, placed: &[Figure], extent: Point) -> Option<(Point, f64)> {
    let main = placed.first()?;
    let main_area = main.shape.area() * main.pose.scale * main.pose.scale;
    let area = (main_area * stream.range(0.22, 0.6)).max(0.03);
    let scale = (area / shape.area()).sqrt().min(0.4);
    let mut best = (0.0, [0.0; 2]);
    for _ in 0..NUM_TRIES {
        let at = extent.map(|side| {
            let margin = (scale * 0.75).min(side * 0.5);
            margin + (side - 2.0 * margin) * stream.unit()
        });
        // 1 where the unit circles touch, less where they overlap.
        let clearance =
            placed.iter().map(|other| length(minus(at, other.pose.at)) / (scale + other.pose.scale)).fold(f64::INFINITY, f64::min).min(1.0);
        if clearance > best.0 {
            best = (clearance, at);
        }
        if best.0 > 0.62 {
            break;
        }
    }
    (best.0 > 0.5).then_some((best.1, scale))
}

/// Turn, mirroring and a slight tilt out of the picture plane, as the matrix from image offsets to the shape's frame at scale 1.
fn pose_matrix(stream: &mut Stream, shape: &Shape) -> [Point; 2] {
    let lean = shape.lean_turns();
    let [cos, sin] = direction(stream.range(-lean, lean));
    let mirror = if stream.chance(0.5) { -1.0 } else { 1.0 };
    let squeeze = 1.0 / stream.range(0.8, 1.0);
    let stretch = if stream.chance(0.5) { [squeeze, 1.0] } else { [1.0, squeeze] };
    // y points down in the image and up in the shape's frame.
    [[cos * mirror * stretch[0], -sin * mirror * stretch[0]], [-sin * stretch[1], -cos * stretch[1]]]
}

impl Surface {
    /// A surface in these colors whose pattern's frequency and contrast lie in these intervals.
    fn draw(stream: &mut Stream, colors: Pair, (slow, fast): (f64, f64), (weak, strong): (f64, f64)) -> Self {
        let texture = Texture::draw(stream, slow, fast);
        Self { colors, texture, contrast: stream.range(weak, strong), salt: stream.next_u64() }
    }
}

impl Light {
    fn draw(stream: &mut Stream) -> Self {
        let [x, up] = direction(0.25 + stream.range(-0.17, 0.17));
        Self { toward: [x, -up], elevation: stream.range(0.7, 1.3), falloff: stream.range(0.05, 0.25), vignette: stream.range(0.05, 0.35) }
    }
}

impl Finish {
    fn draw(stream: &mut Stream) -> Self {
        let outline = match stream.below(3) {
            0 => stream.range(0.25, 0.5),
            1 => -stream.range(0.35, 0.65),
            _ => 0.0,
        };
        Self {
            bevel: stream.range(0.09, 0.34),
            relief: stream.range(0.6, 1.3),
            gloss: stream.range(0.05, 0.55),
            outline,
            lift: stream.range(0.06, 0.17),
        }
    }
}
