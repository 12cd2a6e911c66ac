//! What each class shows inside its silhouette: veins, windows, bands. Drawn in the shape's own frame, so it turns with the object.

use super::geometry::{Point, capsule, disc, ellipse, inside, length, nearest_spoke, rectangle};
use super::shape::{Kind, Shape};

/// What the inner structure does to the surface at one point.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ink {
    /// How much of the surface is in the partner color, 0..1.
    pub accent: f64,
    /// Light added (towards white) or taken away (towards black), -1..1.
    pub light: f64,
}

impl Ink {
    fn light(light: f64) -> Self {
        Self { accent: 0.0, light }
    }
}

/// The ink of `shape` at `p`, whose signed distance is `distance`; edges are at least `footprint` wide (a pixel, in shape units).
pub(super) fn ink(shape: &Shape, p: Point, distance: f64, footprint: f64) -> Ink {
    let soft = footprint.max(0.02);
    let fill = |d: f64| inside(d, soft);
    match shape.kind {
        Kind::Star => {
            let [_, across] = nearest_spoke(p, &shape.spokes);
            Ink::light((across / soft.max(0.03)).clamp(-1.0, 1.0) * 0.2)
        }
        Kind::Ring => {
            let [along, across] = nearest_spoke(p, &shape.spokes);
            let band = across.abs() / along.max(1e-6) - 1.3 / shape.spokes.len() as f64;
            Ink { accent: fill(band), light: -0.25 * inside(band.abs() - 0.02, soft) }
        }
        Kind::Crescent => {
            let craters = [([-0.62, 0.12], 0.13), ([-0.45, -0.42], 0.1), ([-0.36, 0.52], 0.085)];
            Ink::light(craters.iter().map(|&(at, radius): &(Point, f64)| crater([p[0] - at[0], p[1] - at[1]], radius, soft)).sum())
        }
        Kind::Cross => {
            let inset = distance + 0.12;
            Ink { accent: fill(inset), light: -0.2 * fill(inset.abs() - 0.015) }
        }
        Kind::Arrow => {
            let head = shape.between(2, 0.0, 0.18) - p[0] + 0.03;
            let stripe = (p[1].abs() - 0.05).max(p[0] - 0.02);
            Ink { accent: fill(head), light: -0.3 * fill(stripe) - 0.25 * fill(head.abs() - 0.02) }
        }
        Kind::Heart => Ink::light(0.45 * inside(ellipse([p[0] + 0.4 + 0.35 * (p[1] - 0.4), p[1] - 0.4], [0.12, 0.18]), soft.max(0.08))),
        Kind::Gear => {
            let rim = length(p) - (shape.gear_hole() + 0.13);
            Ink { accent: fill(rim), light: -0.25 * fill(rim.abs() - 0.015) + bolts(shape, p, soft) }
        }
        Kind::Leaf => veins(shape, p, soft),
        Kind::Fish => fish(shape, p, soft),
        Kind::House => house(shape, p, soft),
        Kind::Cup => cup(shape, p, soft),
        Kind::Key => {
            let groove = capsule(p, [-0.05, 0.0], [0.72, 0.0], 0.028);
            let bow = length([p[0] + 0.52, p[1]]) - shape.between(0, 0.25, 0.3);
            Ink { accent: fill(p[0] + 0.08), light: -0.35 * fill(groove) - 0.25 * fill(bow.abs() - 0.02) }
        }
    }
}

/// A pit: dark floor, a bright sliver below it.
fn crater(p: Point, radius: f64, soft: f64) -> f64 {
    let pit = inside(disc(p, radius), soft);
    let lip = inside(disc([p[0], p[1] + 0.03], radius + 0.02), soft) - pit;
    lip.max(0.0) * 0.3 - pit * 0.28
}

/// One bolt between hub and rim for each tooth.
fn bolts(shape: &Shape, p: Point, soft: f64) -> f64 {
    let ring = (shape.gear_hole() + 0.13 + shape.between(2, 0.66, 0.72)) * 0.5;
    let [along, across] = nearest_spoke(p, &shape.spokes);
    -0.35 * inside(disc([along - ring, across], 0.045), soft)
}

fn veins(shape: &Shape, p: Point, soft: f64) -> Ink {
    let q = shape.along_leaf(p);
    let taper = 0.03 * (0.9 - q[1]).clamp(0.2, 1.5);
    let middle = q[0].abs() - taper;
    // Side veins climb outwards at 45 degrees, evenly spaced along the middle vein.
    let spacing = shape.between(1, 0.2, 0.27);
    let climb = (q[1] - q[0].abs() * 0.9) / spacing;
    let side = ((climb - climb.floor() - 0.5).abs() * spacing - 0.017) * 0.74;
    let half = if q[0] > 0.0 { 0.06 } else { -0.06 };
    Ink { accent: 0.0, light: half + 0.32 * inside(middle, soft).max(0.75 * inside(side, soft)) }
}

fn fish(shape: &Shape, p: Point, soft: f64) -> Ink {
    let eye = [p[0] - 0.6, p[1] - 0.1];
    let (white, pupil) = (inside(disc(eye, 0.1), soft), inside(disc(eye, 0.052), soft));
    let gill = inside((length([p[0] - 0.62, p[1]]) - 0.3).abs() - 0.02, soft) * inside(p[0] - 0.42, soft);
    let stripes = (p[0] + 0.42) / 0.27;
    let stripe = ((stripes - stripes.floor() - 0.5).abs() - 0.24) * 0.27;
    let torso = inside(p[0] - 0.26, soft) * inside(-0.36 - p[0], soft);
    let belly = inside(p[1] + shape.between(0, 0.36, 0.47) * 0.35, 0.2) * 0.25;
    let light = belly - 0.3 * gill;
    Ink { accent: inside(stripe, soft) * torso, light: light * (1.0 - white) + 0.9 * white - 1.75 * pupil }
}

fn house(shape: &Shape, p: Point, soft: f64) -> Ink {
    let wall = shape.between(0, 0.5, 0.62);
    let eaves = shape.between(1, 0.0, 0.12);
    let roof = inside(eaves - p[1], soft);
    let tiles = (p[1] - eaves) / 0.15;
    let course = inside((tiles - tiles.floor() - 0.5).abs() * 0.15 - 0.014, soft) * roof;
    let under_eaves = inside(eaves - 0.09 - p[1], 0.12) * (1.0 - roof);
    let door_at = if shape.build[2] < 0.5 { -0.42 * wall } else { 0.42 * wall };
    let door = inside(rectangle([p[0] - door_at, p[1] + 0.5], [0.15, 0.28]), soft);
    let q = [p[0] + door_at, p[1] + 0.28];
    let window = inside(rectangle(q, [0.165, 0.165]), soft);
    let bars = window * inside(q[0].abs().min(q[1].abs()) - 0.022, soft);
    Ink { accent: roof, light: 0.6 * window - 0.75 * bars - 0.55 * door - 0.16 * under_eaves - 0.16 * course }
}

fn cup(shape: &Shape, p: Point, soft: f64) -> Ink {
    let q = [p[0] + 0.2, p[1]];
    let top = shape.cup_half_width(0.55);
    let opening = inside(ellipse([q[0], q[1] - 0.56], [top - 0.05, 0.105]), soft);
    let drink = inside(ellipse([q[0], q[1] - 0.5], [top - 0.08, 0.085]), soft) * opening;
    let low = -0.36 + 0.3 * shape.build[2];
    // The band sags like the rim does, which makes the body look round.
    let sag = 0.1 * (1.0 - (q[0] / top) * (q[0] / top));
    let band = inside((q[1] + sag - low).abs() - 0.13, soft) * inside(q[0].abs() - shape.cup_half_width(q[1]) - 0.02, soft);
    let round = (q[0] / top).clamp(-1.0, 1.0);
    Ink { accent: band.max(drink), light: -0.12 * round - 0.5 * opening + 0.2 * drink }
}
