//! The twelve silhouettes, as signed distances in a frame where y points up and everything fits the unit circle.

use super::geometry::{
    Point, annulus, blend, capsule, cross, direction, disc, dot, ellipse, length, lens, minus, nearest_spoke, polygon, rectangle, spokes,
    tapered,
};
use crate::random::Stream;

/// Names of the classes, in the order of [`Kind`].
pub(super) const NAMES: [&str; 12] = ["star", "ring", "crescent", "cross", "arrow", "heart", "gear", "leaf", "fish", "house", "cup", "key"];

/// Which silhouette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Star,
    Ring,
    Crescent,
    Cross,
    Arrow,
    Heart,
    Gear,
    Leaf,
    Fish,
    House,
    Cup,
    Key,
}

const KINDS: [Kind; 12] = [
    Kind::Star,
    Kind::Ring,
    Kind::Crescent,
    Kind::Cross,
    Kind::Arrow,
    Kind::Heart,
    Kind::Gear,
    Kind::Leaf,
    Kind::Fish,
    Kind::House,
    Kind::Cup,
    Kind::Key,
];

/// One individual of a class: its silhouette with its own proportions.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Index into the classes.
    pub class: usize,
    /// Which silhouette.
    pub kind: Kind,
    /// Proportions, each in 0..1; what they change is the silhouette's business.
    pub build: [f64; 4],
    /// Points, teeth or bands all around, for silhouettes that have them.
    pub spokes: Vec<Point>,
    outline: Vec<Point>,
}

impl Shape {
    /// An individual of class `class` (wrapped to the number of classes).
    pub(super) fn draw(stream: &mut Stream, class: usize) -> Self {
        let class = class % KINDS.len();
        let kind = KINDS[class];
        let build = std::array::from_fn(|_| stream.unit());
        let mut shape = Self { class, kind, build, spokes: Vec::new(), outline: Vec::new() };
        match kind {
            Kind::Star => {
                shape.spokes = spokes(if build[1] < 0.8 { 5 } else { 6 });
                shape.outline = shape.star_flank();
            }
            Kind::Ring => shape.spokes = spokes(4 + (build[1] * 3.0) as usize),
            Kind::Gear => shape.spokes = spokes(8 + (build[1] * 3.0) as usize),
            Kind::Arrow => shape.outline = shape.arrow_outline(),
            Kind::House => shape.outline = shape.house_outline(),
            Kind::Cup => shape.outline = shape.cup_body(),
            Kind::Crescent | Kind::Cross | Kind::Heart | Kind::Leaf | Kind::Fish | Kind::Key => {}
        }
        shape
    }

    /// Signed distance to the silhouette, negative inside.
    pub(super) fn distance(&self, p: Point) -> f64 {
        // Far from the shape only the sign matters, and everything lies inside the unit circle.
        let reach = dot(p, p);
        if reach > 1.7 {
            return reach.sqrt() - 1.0;
        }
        match self.kind {
            Kind::Star => self.star(p),
            Kind::Ring => annulus(p, 0.74, self.ring_half_width()),
            Kind::Crescent => self.crescent(p),
            Kind::Cross => self.cross(p),
            Kind::Arrow => polygon(p, &self.outline) - 0.03,
            Kind::Heart => self.heart(p),
            Kind::Gear => self.gear(p),
            Kind::Leaf => self.leaf(p),
            Kind::Fish => self.fish(p),
            Kind::House => polygon(p, &self.outline) - 0.012,
            Kind::Cup => self.cup(p),
            Kind::Key => self.key(p),
        }
    }

    /// Area of the silhouette, by counting the cells of a coarse grid.
    pub(super) fn area(&self) -> f64 {
        const SIDE: usize = 20;
        let cell = 2.0 / SIDE as f64;
        let at = |i: usize| (i as f64 + 0.5) * cell - 1.0;
        let count = (0..SIDE * SIDE).filter(|i| self.distance([at(i % SIDE), at(i / SIDE)]) < 0.0).count();
        count as f64 * cell * cell
    }

    /// Proportion `index`, from `low` to `high`.
    pub(super) fn between(&self, index: usize, low: f64, high: f64) -> f64 {
        low + (high - low) * self.build[index]
    }

    /// How far, in turns, the class may lean to either side and still look like itself.
    pub(super) fn lean_turns(&self) -> f64 {
        match self.kind {
            Kind::Star | Kind::Ring | Kind::Crescent | Kind::Arrow | Kind::Gear | Kind::Leaf | Kind::Key => 0.5,
            Kind::Cross => 0.07,
            Kind::Heart | Kind::Fish => 0.1,
            Kind::House | Kind::Cup => 0.06,
        }
    }

    /// Half the ring's thickness.
    pub(super) fn ring_half_width(&self) -> f64 {
        self.between(0, 0.15, 0.24)
    }

    /// Radius of the gear's hole.
    pub(super) fn gear_hole(&self) -> f64 {
        self.between(0, 0.2, 0.32)
    }

    /// `p` in the frame of the leaf's blade, which is bent sideways.
    pub(super) fn along_leaf(&self, p: Point) -> Point {
        let bend = self.between(2, -0.35, 0.35);
        [p[0] - bend * (p[1] * p[1] - 0.3), p[1]]
    }

    /// Half the cup's width at height `y`.
    pub(super) fn cup_half_width(&self, y: f64) -> f64 {
        let (top, bottom) = self.cup_half_widths();
        bottom + (top - bottom) * ((y + 0.7) / 1.25)
    }

    /// Outer corner and valley of half a star point, along and across its spoke.
    fn star_flank(&self) -> Vec<Point> {
        let half_turn = 0.5 / self.spokes.len() as f64;
        let depth = if self.spokes.len() == 5 { self.between(0, 0.42, 0.54) } else { self.between(0, 0.5, 0.62) };
        let valley = direction(half_turn);
        vec![[0.94, 0.0], [valley[0] * depth, valley[1] * depth]]
    }

    fn star(&self, p: Point) -> f64 {
        let [along, across] = nearest_spoke(p, &self.spokes);
        let q = [along, across.abs()];
        let (tip, valley) = (self.outline[0], self.outline[1]);
        let edge = [valley[0] - tip[0], valley[1] - tip[1]];
        let from = [q[0] - tip[0], q[1] - tip[1]];
        let t = (dot(from, edge) / dot(edge, edge)).clamp(0.0, 1.0);
        let off = [from[0] - edge[0] * t, from[1] - edge[1] * t];
        let outside = edge[0] * from[1] - edge[1] * from[0] < 0.0;
        let distance = dot(off, off).sqrt();
        (if outside { distance } else { -distance }) - 0.05
    }

    fn crescent(&self, p: Point) -> f64 {
        let bite = self.between(0, 0.34, 0.5);
        let radius = self.between(1, 0.7, 0.8);
        // Where a shrunken pair of circles meets, rounded off by the same amount.
        disc(p, 0.92).max(-disc([p[0] - bite, p[1]], radius)) - 0.03
    }

    fn cross(&self, p: Point) -> f64 {
        let arm = self.between(0, 0.2, 0.29);
        let (x, y) = (p[0].abs().max(p[1].abs()), p[0].abs().min(p[1].abs()));
        let (end, side) = (x - 0.88, y - arm);
        let distance = if end.max(side) > 0.0 {
            dot([end.max(0.0), side.max(0.0)], [end.max(0.0), side.max(0.0)]).sqrt()
        } else {
            // Inside, the nearest boundary is the arm's end, its side, or the inner corner.
            let corner = [(arm - x).max(0.0), arm - y];
            end.max(-dot(corner, corner).sqrt())
        };
        distance - 0.05
    }

    fn arrow_outline(&self) -> Vec<Point> {
        let shaft = self.between(0, 0.15, 0.23);
        let barb = self.between(1, 0.54, 0.68);
        let neck = self.between(2, 0.0, 0.18);
        let sweep = self.between(3, 0.0, 0.14);
        let tail = -0.9;
        vec![[0.95, 0.0], [neck - sweep, barb], [neck, shaft], [tail, shaft], [tail, -shaft], [neck, -shaft], [neck - sweep, -barb]]
    }

    fn heart(&self, p: Point) -> f64 {
        let q = [p[0].abs(), p[1]];
        let (lobe, lobe_radius) = ([self.between(0, 0.38, 0.44), self.between(1, 0.22, 0.32)], 0.46);
        let (tip, tip_radius) = ([0.0, -0.82], 0.05);
        let half = tapered(q, (lobe, lobe_radius), (tip, tip_radius));
        // The two halves alone would leave a seam down the middle: fill it, as deep as the flank, the cleft and the lobes allow.
        let axis = minus(tip, lobe);
        let h = length(axis);
        let slope = (lobe_radius - tip_radius) / h;
        let from = minus(q, lobe);
        let flank = (1.0 - slope * slope).sqrt() * cross(axis, from) / h + slope * dot(axis, from) / h - lobe_radius;
        let cleft = lobe[1] + (lobe_radius * lobe_radius - lobe[0] * lobe[0]).sqrt();
        half.min(flank.max(q[1] - cleft).max(q[0] - lobe[0]))
    }

    fn gear(&self, p: Point) -> f64 {
        let [along, across] = nearest_spoke(p, &self.spokes);
        let tooth_half = 0.95 / self.spokes.len() as f64;
        let tooth = (across.abs() - tooth_half * (1.85 - 0.75 * along)).max(along - 0.93);
        let wheel = disc(p, self.between(2, 0.66, 0.72));
        blend(wheel, tooth, 0.06).max(-disc(p, self.gear_hole()))
    }

    fn leaf(&self, p: Point) -> f64 {
        let q = self.along_leaf(p);
        let blade = lens([q[0], q[1] - 0.12], 0.78, self.between(0, 0.34, 0.46));
        let stem = capsule(q, [0.0, -0.94], [0.0, -0.4], 0.045);
        blend(blade, stem, 0.1)
    }

    fn fish(&self, p: Point) -> f64 {
        let fat = self.between(0, 0.36, 0.47);
        let body = lens([p[1], p[0] - 0.2], 0.72, fat);
        let fork = self.between(1, 0.3, 0.41);
        let tail = polygon(p, &[[-0.36, 0.0], [-0.86, fork], [-0.73, 0.0], [-0.86, -fork]]) - 0.04;
        let fin = polygon(p, &[[0.35, fat * 0.8], [-0.12, fat + 0.2], [-0.18, fat * 0.6]]) - 0.02;
        blend(blend(body, tail, 0.14), fin, 0.06)
    }

    fn house_outline(&self) -> Vec<Point> {
        let wall = self.between(0, 0.5, 0.62);
        let eaves = self.between(1, 0.0, 0.12);
        let roof = wall + 0.15;
        let ridge = 0.9;
        let base = -0.76;
        let slope = (ridge - eaves) / roof;
        let (left, right) = (roof * 0.42, roof * 0.68);
        let on_roof = |x: f64| ridge - slope * x;
        vec![
            [-wall, base],
            [wall, base],
            [wall, eaves],
            [roof, eaves],
            [right, on_roof(right)],
            [right, 0.78],
            [left, 0.78],
            [left, on_roof(left)],
            [0.0, ridge],
            [-roof, eaves],
            [-wall, eaves],
        ]
    }

    fn cup_half_widths(&self) -> (f64, f64) {
        (self.between(0, 0.5, 0.6), self.between(1, 0.36, 0.5))
    }

    fn cup_body(&self) -> Vec<Point> {
        let (top, bottom) = self.cup_half_widths();
        vec![[-top, 0.55], [top, 0.55], [bottom - 0.06, -0.66], [6.0e-2 - bottom, -0.66]]
    }

    fn cup(&self, p: Point) -> f64 {
        // The handle makes the cup lopsided, so its body stands left of the middle.
        let q = [p[0] + 0.2, p[1]];
        let (top, bottom) = self.cup_half_widths();
        let body = (polygon(q, &self.outline) - 0.03).min(ellipse([q[0], q[1] - 0.55], [top + 0.03, 0.16]));
        let side = (top + bottom) * 0.5;
        let radius = self.between(2, 0.24, 0.3);
        let handle = annulus([(q[0] - side - 0.04) * 0.95, q[1] - 0.02], radius, self.between(3, 0.07, 0.1));
        // Only the half outside the wall: inside it would show through the opening.
        blend(body, handle.max(side - 0.12 - q[0]), 0.05)
    }

    fn key(&self, p: Point) -> f64 {
        let bow_radius = self.between(0, 0.25, 0.3);
        let bow = annulus([p[0] + 0.52, p[1]], bow_radius, self.between(1, 0.12, 0.15));
        let shaft = capsule(p, [-0.25, 0.0], [0.86, 0.0], self.between(2, 0.095, 0.12));
        let long = self.between(3, 0.2, 0.28);
        let bit = |x: f64, reach: f64| rectangle([p[0] - x, p[1] + reach * 0.5], [0.055, reach * 0.5]) - 0.025;
        let bits = bit(0.82, long + 0.12).min(bit(0.56, long)).min(bit(0.3, long + 0.04));
        blend(blend(bow, shaft, 0.08), bits, 0.07)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn individuals() -> impl Iterator<Item = Shape> {
        (0..480).map(|index| Shape::draw(&mut Stream::new(5, 0, index, Purpose::Toy), index as usize))
    }

    #[test]
    fn every_shape_fits_the_unit_circle_and_fills_a_good_part_of_it() {
        for shape in individuals() {
            for turn in 0..720 {
                let [x, y] = direction(f64::from(turn) / 720.0);
                let p = [x * 1.02, y * 1.02];
                assert!(shape.distance(p) > 0.0, "{:?} {:?} reaches {p:?}", shape.kind, shape.build);
            }
            let area = shape.area();
            assert!((0.5..2.4).contains(&area), "{:?} {:?} has area {area}", shape.kind, shape.build);
        }
    }

    #[test]
    fn distances_have_the_slope_of_a_distance_at_the_edge() {
        for shape in individuals() {
            let h = 1e-4;
            let (mut steep, mut edge) = (0, 0);
            for i in 0..10_000 {
                let p = [f64::from(i % 100) / 50.0 - 1.0, f64::from(i / 100) / 50.0 - 1.0];
                let d = shape.distance(p);
                if d.abs() < 0.02 {
                    let slope = [shape.distance([p[0] + h, p[1]]) - d, shape.distance([p[0], p[1] + h]) - d].map(|x| x / h);
                    edge += 1;
                    steep += usize::from(!(0.4..1.8).contains(&dot(slope, slope).sqrt()));
                }
            }
            assert!(steep * 10 < edge, "{:?}: {steep} of {edge} edge points have no unit slope", shape.kind);
        }
    }
}
