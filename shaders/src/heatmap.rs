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

/// The uniforms.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Heatmap {
    /// Colors from nothing to most: linear red, green, blue and alpha, 0 to 1, not premultiplied.
    pub ramp: [[f32; 4]; 5],
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
    /// Fills the struct up to a multiple of 16 bytes.
    pub reserved: f32,
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

/// What the fragment shader computes for one patch: premultiplied linear red, green, blue and alpha.
pub fn shade(cell: Cell, uniforms: &Heatmap) -> [f32; 4] {
    let span = (uniforms.range[1] - uniforms.range[0]).max(1e-12);
    let place = ((cell.value - uniforms.range[0]) / span).clamp(0.0, 1.0) * 4.0;
    let stop = (place as usize).min(3);
    let (from, to, share) = (uniforms.ramp[stop], uniforms.ramp[stop + 1], place - stop as f32);
    let color: [f32; 4] = std::array::from_fn(|channel| from[channel] * (1.0 - share) + to[channel] * share);
    let kept = cell.mass > 1.0 - uniforms.mass;
    let alpha = color[3] * if kept { uniforms.opacity } else { uniforms.dimmed };
    [color[0] * alpha, color[1] * alpha, color[2] * alpha, alpha]
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::tests::members;

    fn uniforms() -> Heatmap {
        let ramp = std::array::from_fn(|stop| [stop as f32 / 4.0, 0.0, 1.0 - stop as f32 / 4.0, 1.0]);
        Heatmap { ramp, grid: [2, 2], range: [0.0, 1.0], mass: 0.6, opacity: 0.8, dimmed: 0.1, reserved: 0.0 }
    }

    #[test]
    fn fields_lie_where_the_shader_looks_for_them() {
        let expected = [
            ("ramp", offset_of!(Heatmap, ramp)),
            ("grid", offset_of!(Heatmap, grid)),
            ("range", offset_of!(Heatmap, range)),
            ("mass", offset_of!(Heatmap, mass)),
            ("opacity", offset_of!(Heatmap, opacity)),
            ("dimmed", offset_of!(Heatmap, dimmed)),
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
}
