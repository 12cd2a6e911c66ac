//! Plane geometry of toy scenes: directions without the system's sine, and signed distances of the pieces that shapes are made of.
//!
//! Distances are negative inside. They are exact where it is cheap and otherwise only keep the sign and a smooth slope, which is all
//! that edges and bevels need. The formulas follow from elementary geometry; see Quilez, "2D distance functions", for a survey.

/// A point or vector of the plane.
pub(super) type Point = [f64; 2];

/// Cosine and sine of an angle in turns. Polynomials only, so that every machine gets the same bits.
pub(super) fn direction(turns: f64) -> Point {
    let quarter = (turns * 4.0 + 0.5).floor();
    let x = (turns * 4.0 - quarter) * std::f64::consts::FRAC_PI_2;
    let square = x * x;
    let sin = x * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0 * (1.0 - square / 110.0)))));
    let cos = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0 * (1.0 - square / 90.0))));
    match quarter.rem_euclid(4.0) as u8 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

pub(super) fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

pub(super) fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

pub(super) fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

pub(super) fn length(a: Point) -> f64 {
    dot(a, a).sqrt()
}

/// From 0 to 1 as `x` goes from `low` to `high`, flat at both ends.
pub(super) fn smooth_step(low: f64, high: f64, x: f64) -> f64 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// 1 where `distance` is well below 0, 0 well above, over a band `width` wide.
pub(super) fn inside(distance: f64, width: f64) -> f64 {
    (0.5 - distance / width).clamp(0.0, 1.0)
}

/// Union with a fillet of about `radius` where the two parts meet.
pub(super) fn blend(a: f64, b: f64, radius: f64) -> f64 {
    let h = (radius - (a - b).abs()).max(0.0) / radius;
    a.min(b) - h * h * radius * 0.25
}

/// Disc around the origin.
pub(super) fn disc(p: Point, radius: f64) -> f64 {
    length(p) - radius
}

/// Annulus around the origin, `half_width` to either side of `radius`.
pub(super) fn annulus(p: Point, radius: f64, half_width: f64) -> f64 {
    (length(p) - radius).abs() - half_width
}

/// Ellipse around the origin; only its sign and slope are right.
pub(super) fn ellipse(p: Point, radii: Point) -> f64 {
    (length([p[0] / radii[0], p[1] / radii[1]]) - 1.0) * radii[0].min(radii[1])
}

/// Box around the origin with these half sides.
pub(super) fn rectangle(p: Point, half: Point) -> f64 {
    let q = [p[0].abs() - half[0], p[1].abs() - half[1]];
    length([q[0].max(0.0), q[1].max(0.0)]) + q[0].max(q[1]).min(0.0)
}

/// Lens along the y axis with tips at `±half_length` and the greatest half width `half_width` (the smaller of the two).
pub(super) fn lens(p: Point, half_length: f64, half_width: f64) -> f64 {
    let radius = (half_length * half_length + half_width * half_width) / (2.0 * half_width);
    length([p[0].abs() + radius - half_width, p[1]]) - radius
}

/// Line from `a` to `b` as a stroke of this half width with round ends.
pub(super) fn capsule(p: Point, a: Point, b: Point, half_width: f64) -> f64 {
    let (from, along) = (minus(p, a), minus(b, a));
    let t = (dot(from, along) / dot(along, along)).clamp(0.0, 1.0);
    length([from[0] - along[0] * t, from[1] - along[1] * t]) - half_width
}

/// Convex hull of two discs, `a` with radius `ra` and `b` with radius `rb`.
pub(super) fn tapered(p: Point, (a, ra): (Point, f64), (b, rb): (Point, f64)) -> f64 {
    let (from, axis) = (minus(p, a), minus(b, a));
    let h = length(axis);
    let y = dot(from, axis) / h;
    let x = (cross(axis, from) / h).abs();
    let slope = (ra - rb) / h;
    let flank = (1.0 - slope * slope).max(0.0).sqrt();
    let foot = flank * y - slope * x;
    if foot < 0.0 {
        length([x, y]) - ra
    } else if foot > flank * h {
        length([x, y - h]) - rb
    } else {
        flank * x + slope * y - ra
    }
}

/// Closed polygon, any winding.
pub(super) fn polygon(p: Point, corners: &[Point]) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut odd = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let (edge, from) = (minus(previous, corner), minus(p, corner));
        let t = (dot(from, edge) / dot(edge, edge)).clamp(0.0, 1.0);
        let off = [from[0] - edge[0] * t, from[1] - edge[1] * t];
        nearest = nearest.min(dot(off, off));
        if (corner[1] > p[1]) != (previous[1] > p[1]) && (from[0] < edge[0] * from[1] / edge[1]) {
            odd = !odd;
        }
        previous = corner;
    }
    if odd { -nearest.sqrt() } else { nearest.sqrt() }
}

/// `p` seen from the nearest of these unit spokes: how far along it, and how far to its side (signed).
pub(super) fn nearest_spoke(p: Point, spokes: &[Point]) -> Point {
    let mut best = [f64::NEG_INFINITY, 0.0];
    for &spoke in spokes {
        let along = dot(p, spoke);
        if along > best[0] {
            best = [along, cross(spoke, p)];
        }
    }
    best
}

/// `count` unit vectors all around, the first straight up.
pub(super) fn spokes(count: usize) -> Vec<Point> {
    (0..count).map(|k| direction(0.25 + k as f64 / count as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_cosine_and_sine() {
        for step in -300..300 {
            let turns = f64::from(step) * 0.0137;
            let [cos, sin] = direction(turns);
            let angle = turns * std::f64::consts::TAU;
            assert!((cos - angle.cos()).abs() < 1e-7 && (sin - angle.sin()).abs() < 1e-7, "{turns}");
        }
    }

    #[test]
    fn distances_are_right_where_they_are_exact() {
        let square = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        for (p, expected) in [([0.0, 0.0], -1.0), ([3.0, 0.0], 2.0), ([0.5, 0.25], -0.5), ([4.0, 5.0], 5.0)] {
            assert!((polygon(p, &square) - expected).abs() < 1e-12, "polygon at {p:?}");
            assert!((rectangle(p, [1.0, 1.0]) - expected).abs() < 1e-12, "rectangle at {p:?}");
        }
        assert!((tapered([0.0, 3.0], ([0.0, 0.0], 1.0), ([0.0, 2.0], 0.5)) - 0.5).abs() < 1e-12);
        assert!((capsule([1.0, 2.0], [0.0, 0.0], [2.0, 0.0], 0.5) - 1.5).abs() < 1e-12);
        assert!(lens([0.0, 1.0], 1.0, 0.4).abs() < 1e-12 && lens([0.4, 0.0], 1.0, 0.4).abs() < 1e-12);
        assert!((annulus([0.0, 0.0], 0.7, 0.2) - 0.5).abs() < 1e-12);
    }
}
