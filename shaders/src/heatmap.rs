//! `wgsl/heatmap.wgsl` from Rust: attention or error per patch as colors over an image, with a threshold on the mass that is kept.

use bytemuck::{Pod, Zeroable};

use crate::{Binding, BindingKind, Shader};

/// The shader.
pub const SHADER: Shader = Shader {
    name: "heatmap",
    source: include_str!("../wgsl/heatmap.wgsl"),
    vertex: "vs_main",
    fragment: "fs_main",
    bindings: &[
        Binding { group: 0, binding: 0, kind: BindingKind::Uniform(size_of::<Heatmap>()) },
        Binding { group: 0, binding: 1, kind: BindingKind::Storage(size_of::<Cell>()) },
    ],
};

/// Colors of a ramp.
pub const RAMP_STOPS: usize = 16;

/// The uniforms.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Heatmap {
    /// Colors from nothing to most: gamma-encoded sRGB and alpha, 0 to 1, not premultiplied.
    pub ramp: [[f32; 4]; RAMP_STOPS],
    /// Left, top, width and height of the whole map on the target, in pixels.
    pub area: [f32; 4],
    /// Columns and rows of patches.
    pub grid: [u32; 2],
    /// Values that map to the first and to the last color.
    pub range: [f32; 2],
    /// Share of the whole mass to keep, 0 to 1; 1 keeps every patch that has any.
    pub mass: f32,
    /// Opacity of kept patches.
    pub opacity: f32,
    /// Opacity of the others.
    pub dimmed: f32,
    /// Where the map begins among the cells, in cells.
    pub first: u32,
    /// 1 to blend values between the centers of patches; which patches are kept stays sharp.
    pub is_smooth: u32,
    /// 1 if the target encodes colors itself and wants them linear.
    pub is_linear: u32,
    /// Fills the struct up to a multiple of 16 bytes.
    pub reserved: [u32; 2],
}

/// One patch, as the storage buffer holds it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Cell {
    /// The value to color.
    pub value: f32,
    /// Share of the whole mass in this patch and in all patches that sort before it, smallest first.
    pub mass: f32,
}

/// Sorts and sums values (N, none negative) once, so that a threshold is one comparison a patch. Ties sort by index; values that are not
/// finite count as zero; sums run in `f64`.
pub fn cells_from_values(values: &[f32]) -> Vec<Cell> {
    let clean: Vec<f32> = values.iter().map(|&value| if value.is_finite() { value.max(0.0) } else { 0.0 }).collect();
    let total: f64 = clean.iter().copied().map(f64::from).sum();
    let mut order: Vec<usize> = (0..clean.len()).collect();
    order.sort_by(|&a, &b| clean[a].total_cmp(&clean[b]).then(a.cmp(&b)));
    let mut cells: Vec<Cell> = clean.iter().map(|&value| Cell { value, mass: 0.0 }).collect();
    let mut sum = 0.0;
    for index in order {
        sum += f64::from(clean[index]);
        cells[index].mass = if total > 0.0 { (sum / total) as f32 } else { 0.0 };
    }
    cells
}

/// What the fragment shader computes for a pixel whose center is at `position` on the target: premultiplied red, green, blue and alpha.
pub fn color_at(cells: &[Cell], uniforms: &Heatmap, position: [f32; 2]) -> [f32; 4] {
    let place = place_in_grid(uniforms.area, uniforms.grid, position);
    let cell_at = |place| nearest(cells, uniforms.first, uniforms.grid, place);
    let mut cell = cell_at(place.map(f32::floor));
    if uniforms.is_smooth == 1 {
        cell.value = smooth(place, |place| cell_at(place).value);
    }
    encoded(shade(cell, uniforms), uniforms.is_linear)
}

/// The color of one patch: premultiplied and gamma-encoded red, green, blue and alpha.
pub fn shade(cell: Cell, uniforms: &Heatmap) -> [f32; 4] {
    let span = (uniforms.range[1] - uniforms.range[0]).max(1e-12);
    let place = ((cell.value - uniforms.range[0]) / span).clamp(0.0, 1.0) * (RAMP_STOPS - 1) as f32;
    let stop = (place as usize).min(RAMP_STOPS - 2);
    let (from, to, share) = (uniforms.ramp[stop], uniforms.ramp[stop + 1], place - stop as f32);
    let color: [f32; 4] = std::array::from_fn(|channel| mix(from[channel], to[channel], share));
    let is_kept = cell.mass > 1.0 - uniforms.mass;
    let alpha = color[3] * if is_kept { uniforms.opacity } else { uniforms.dimmed };
    [color[0] * alpha, color[1] * alpha, color[2] * alpha, alpha]
}

/// Where a position on the target lies in the grid: column and row, not rounded; positions outside the area lie on its edge.
pub(crate) fn place_in_grid(area: [f32; 4], grid: [u32; 2], position: [f32; 2]) -> [f32; 2] {
    std::array::from_fn(|axis| ((position[axis] - area[axis]) / area[axis + 2]).clamp(0.0, 1.0) * grid[axis].max(1) as f32)
}

/// The cell in a column and row of the map that begins at `first`; outside, the nearest one.
pub(crate) fn nearest(cells: &[Cell], first: u32, grid: [u32; 2], place: [f32; 2]) -> Cell {
    let [column, row] = std::array::from_fn(|axis| (place[axis].max(0.0) as u32).min(grid[axis].max(1) - 1));
    let index = first + row * grid[0].max(1) + column;
    cells.get(index as usize).or(cells.last()).copied().unwrap_or(Cell { value: 0.0, mass: 0.0 })
}

/// A value between the centers of four patches.
pub(crate) fn smooth(place: [f32; 2], value_at: impl Fn([f32; 2]) -> f32) -> f32 {
    let place = place.map(|axis| axis - 0.5);
    let [x, y] = place.map(f32::floor);
    let top = mix(value_at([x, y]), value_at([x + 1.0, y]), place[0] - x);
    let bottom = mix(value_at([x, y + 1.0]), value_at([x + 1.0, y + 1.0]), place[0] - x);
    mix(top, bottom, place[1] - y)
}

/// A gamma-encoded color as the target wants it (IEC 61966-2-1).
pub(crate) fn encoded([red, green, blue, alpha]: [f32; 4], is_linear: u32) -> [f32; 4] {
    let linear = |channel: f32| if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) };
    if is_linear == 1 { [linear(red), linear(green), linear(blue), alpha] } else { [red, green, blue, alpha] }
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from * (1.0 - share) + to * share
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::tests::members;

    fn uniforms() -> Heatmap {
        let ramp = std::array::from_fn(|stop| [stop as f32 / 15.0, 0.0, 1.0 - stop as f32 / 15.0, 1.0]);
        Heatmap {
            ramp,
            area: [0.0, 0.0, 20.0, 20.0],
            grid: [2, 2],
            range: [0.0, 1.0],
            mass: 0.6,
            opacity: 0.8,
            dimmed: 0.1,
            ..Heatmap::zeroed()
        }
    }

    #[test]
    fn fields_lie_where_the_shader_looks_for_them() {
        let expected = [
            ("ramp", offset_of!(Heatmap, ramp)),
            ("area", offset_of!(Heatmap, area)),
            ("grid", offset_of!(Heatmap, grid)),
            ("range", offset_of!(Heatmap, range)),
            ("mass", offset_of!(Heatmap, mass)),
            ("opacity", offset_of!(Heatmap, opacity)),
            ("dimmed", offset_of!(Heatmap, dimmed)),
            ("first", offset_of!(Heatmap, first)),
            ("is_smooth", offset_of!(Heatmap, is_smooth)),
            ("is_linear", offset_of!(Heatmap, is_linear)),
            ("reserved", offset_of!(Heatmap, reserved)),
        ];
        assert_eq!(members(&SHADER, "Heatmap"), expected.map(|(name, offset)| (name.to_owned(), offset)));
        let expected = [("value", offset_of!(Cell, value)), ("mass", offset_of!(Cell, mass))];
        assert_eq!(members(&SHADER, "Cell"), expected.map(|(name, offset)| (name.to_owned(), offset)));
    }

    #[test]
    fn colors_follow_the_ramp() {
        let all = Heatmap { mass: 1.0, opacity: 1.0, ..uniforms() };
        for (value, red) in [(-3.0, 0.0), (0.0, 0.0), (0.125, 0.125), (0.5, 0.5), (1.0, 1.0), (9.0, 1.0)] {
            let color = shade(Cell { value, mass: 1.0 }, &all);
            assert!((color[0] - red).abs() < 1e-6 && (color[2] - (1.0 - red)).abs() < 1e-6, "{value}: {color:?}");
        }
        let flat = Heatmap { range: [0.5, 0.5], ..all };
        assert!(shade(Cell { value: 0.5, mass: 1.0 }, &flat).iter().all(|channel| channel.is_finite()));
    }

    #[test]
    fn the_largest_values_whose_mass_reaches_the_share_are_kept() {
        let cells = cells_from_values(&[0.1, 0.4, 0.2, 0.3]);
        let masses: Vec<_> = cells.iter().map(|cell| (cell.mass * 10.0).round() as i32).collect();
        assert_eq!(masses, [1, 10, 3, 6]);
        let kept = |mass| cells.iter().map(|&cell| shade(cell, &Heatmap { mass, ..uniforms() })[3] > 0.5).collect::<Vec<_>>();
        assert_eq!(kept(0.6), [false, true, false, true]);
        assert_eq!(kept(1.0), [true; 4]);
        assert_eq!(kept(0.0), [false; 4]);
    }

    #[test]
    fn ties_and_bad_values_have_one_answer() {
        let masses = |values: &[f32]| cells_from_values(values).iter().map(|cell| cell.mass).collect::<Vec<_>>();
        assert_eq!(masses(&[1.0, 1.0]), [0.5, 1.0]);
        assert_eq!(masses(&[f32::NAN, -1.0, 2.0, f32::INFINITY]), [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(masses(&[0.0, 0.0]), [0.0, 0.0]);
        assert!(masses(&[]).is_empty());
    }

    #[test]
    fn color_is_premultiplied() {
        let color = shade(Cell { value: 1.0, mass: 0.0 }, &uniforms());
        assert!((color[0] - 0.1).abs() < 1e-6 && (color[3] - 0.1).abs() < 1e-6, "{color:?}");
    }

    #[test]
    fn one_buffer_holds_many_maps() {
        let cells: Vec<_> = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]].iter().flat_map(|values| cells_from_values(values)).collect();
        let all = Heatmap { area: [10.0, 30.0, 20.0, 20.0], mass: 1.0, opacity: 1.0, dimmed: 1.0, ..uniforms() };
        let red = |first, position| {
            let mut map = all;
            map.first = first;
            color_at(&cells, &map, position)[0]
        };
        assert_eq!([red(0, [15.0, 35.0]), red(0, [25.0, 45.0])], [1.0, 0.0]);
        assert_eq!([red(4, [15.0, 35.0]), red(4, [25.0, 45.0])], [0.0, 1.0]);
        // Outside, the nearest patch; beyond the buffer, its last.
        assert_eq!([red(0, [-99.0, -99.0]), red(4, [99.0, 99.0]), red(99, [15.0, 35.0])], [1.0, 1.0, 1.0]);
    }

    #[test]
    fn smooth_values_run_from_center_to_center() {
        let cells = cells_from_values(&[0.0, 1.0, 0.0, 1.0]);
        let soft = Heatmap { is_smooth: 1, mass: 1.0, opacity: 1.0, dimmed: 1.0, ..uniforms() };
        for (x, red) in [(0.0, 0.0), (5.0, 0.0), (7.5, 0.25), (10.0, 0.5), (15.0, 1.0), (20.0, 1.0)] {
            let color = color_at(&cells, &soft, [x, 3.0]);
            assert!((color[0] - red).abs() < 1e-6, "{x}: {color:?}");
        }
    }

    #[test]
    fn targets_that_encode_colors_themselves_get_linear_ones() {
        let [red, low, _, alpha] = encoded([0.5, 0.01, 0.0, 0.25], 1);
        assert!((red - 0.214_041).abs() < 1e-5 && (low - 0.000_774).abs() < 1e-6 && alpha == 0.25, "{red} {low} {alpha}");
        assert_eq!(encoded([0.5, 0.01, 0.0, 0.25], 0), [0.5, 0.01, 0.0, 0.25]);
    }
}
