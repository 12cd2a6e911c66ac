//! `wgsl/composite.wgsl` from Rust: several attention heads over one image, each in a color of its own.

use bytemuck::{Pod, Zeroable};

use crate::heatmap::{Cell, encoded, nearest, place_in_grid, smooth};
use crate::{Binding, BindingKind, Shader};

/// The shader.
pub const SHADER: Shader = Shader {
    name: "composite",
    source: include_str!("../wgsl/composite.wgsl"),
    vertex: "vs_main",
    fragment: "fs_main",
    bindings: &[
        Binding { group: 0, binding: 0, kind: BindingKind::Uniform(size_of::<Composite>()) },
        Binding { group: 0, binding: 1, kind: BindingKind::Storage(size_of::<Cell>()) },
    ],
};

/// Heads that one composite can show.
pub const MAX_HEADS: usize = 16;

/// The uniforms.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Composite {
    /// Each head's color, gamma-encoded sRGB, 0 to 1, and its own opacity.
    pub colors: [[f32; 4]; MAX_HEADS],
    /// Where each head's map begins among the cells, in cells.
    pub first: [u32; MAX_HEADS],
    /// Each head's largest value, which paints at full strength.
    pub maximum: [f32; MAX_HEADS],
    /// Left, top, width and height of the whole map on the target, in pixels.
    pub area: [f32; 4],
    /// Columns and rows of patches.
    pub grid: [u32; 2],
    /// Bit `n` shows the head in slot `n`.
    pub shown: u32,
    /// Share of each head's mass to keep, 0 to 1; 1 keeps every patch that has any.
    pub mass: f32,
    /// Opacity at full strength.
    pub opacity: f32,
    /// 1 to blend strengths between the centers of patches.
    pub is_smooth: u32,
    /// 1 if the target encodes colors itself and wants them linear.
    pub is_linear: u32,
    /// Fills the struct up to a multiple of 16 bytes.
    pub reserved: u32,
}

/// What the fragment shader computes for a pixel whose center is at `position` on the target: premultiplied red, green, blue and alpha.
pub fn color_at(cells: &[Cell], uniforms: &Composite, position: [f32; 2]) -> [f32; 4] {
    let place = place_in_grid(uniforms.area, uniforms.grid, position);
    let (mut sum, mut weight, mut strongest) = ([0.0; 3], 0.0, 0.0_f32);
    for slot in (0..MAX_HEADS).filter(|slot| uniforms.shown & (1 << slot) != 0) {
        let [red, green, blue, opacity] = uniforms.colors[slot];
        let strength = strength_at(cells, uniforms, slot, place) * opacity;
        for (total, channel) in sum.iter_mut().zip([red, green, blue]) {
            *total += channel * strength;
        }
        weight += strength;
        strongest = strongest.max(strength);
    }
    let alpha = strongest * uniforms.opacity;
    let [red, green, blue] = sum.map(|channel| channel / weight.max(1e-12) * alpha);
    encoded([red, green, blue, alpha], uniforms.is_linear)
}

/// How strongly the head in a slot paints at a place in the grid (column and row, not rounded), 0 to 1.
pub fn strength_at(cells: &[Cell], uniforms: &Composite, slot: usize, place: [f32; 2]) -> f32 {
    let strength = |place| {
        let cell = nearest(cells, uniforms.first[slot], uniforms.grid, place);
        let share = (cell.value / uniforms.maximum[slot].max(1e-12)).clamp(0.0, 1.0);
        if cell.mass > 1.0 - uniforms.mass { share } else { 0.0 }
    };
    if uniforms.is_smooth == 0 { strength(place.map(f32::floor)) } else { smooth(place, strength) }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;
    use crate::heatmap::cells_from_values;
    use crate::tests::members;

    /// Two heads over two by two patches of ten pixels: red attends to the top, blue to the left.
    fn two_heads() -> (Vec<Cell>, Composite) {
        let cells: Vec<_> = [[0.4, 0.6, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]].iter().flat_map(|values| cells_from_values(values)).collect();
        let mut uniforms =
            Composite { area: [100.0, 50.0, 20.0, 20.0], grid: [2, 2], shown: 0b11, mass: 1.0, opacity: 1.0, ..Composite::zeroed() };
        uniforms.colors[..2].copy_from_slice(&[[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]]);
        uniforms.first[1] = 4;
        uniforms.maximum[..2].copy_from_slice(&[0.6, 0.5]);
        (cells, uniforms)
    }

    const TOP_LEFT: [f32; 2] = [105.0, 55.0];
    const TOP_RIGHT: [f32; 2] = [115.0, 55.0];
    const BOTTOM_LEFT: [f32; 2] = [105.0, 65.0];
    const BOTTOM_RIGHT: [f32; 2] = [115.0, 65.0];

    #[test]
    fn fields_lie_where_the_shader_looks_for_them() {
        let expected = [
            ("colors", offset_of!(Composite, colors)),
            ("first", offset_of!(Composite, first)),
            ("maximum", offset_of!(Composite, maximum)),
            ("area", offset_of!(Composite, area)),
            ("grid", offset_of!(Composite, grid)),
            ("shown", offset_of!(Composite, shown)),
            ("mass", offset_of!(Composite, mass)),
            ("opacity", offset_of!(Composite, opacity)),
            ("is_smooth", offset_of!(Composite, is_smooth)),
            ("is_linear", offset_of!(Composite, is_linear)),
            ("reserved", offset_of!(Composite, reserved)),
        ];
        assert_eq!(members(&SHADER, "Composite"), expected.map(|(name, offset)| (name.to_owned(), offset)));
        let expected = [("value", offset_of!(Cell, value)), ("mass", offset_of!(Cell, mass))];
        assert_eq!(members(&SHADER, "Cell"), expected.map(|(name, offset)| (name.to_owned(), offset)));
    }

    #[test]
    fn each_head_paints_in_its_color_and_overlaps_mix() {
        let (cells, uniforms) = two_heads();
        assert_eq!(color_at(&cells, &uniforms, TOP_RIGHT), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(color_at(&cells, &uniforms, BOTTOM_LEFT), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(color_at(&cells, &uniforms, BOTTOM_RIGHT), [0.0; 4]);
        let [red, green, blue, alpha] = color_at(&cells, &uniforms, TOP_LEFT);
        assert!((red - 0.4).abs() < 1e-6 && green == 0.0 && (blue - 0.6).abs() < 1e-6 && alpha == 1.0, "{red} {green} {blue} {alpha}");
    }

    #[test]
    fn heads_that_are_not_shown_paint_nothing() {
        let (cells, uniforms) = two_heads();
        let blue = Composite { shown: 0b10, ..uniforms };
        assert_eq!(color_at(&cells, &blue, TOP_RIGHT), [0.0; 4]);
        assert_eq!(color_at(&cells, &blue, TOP_LEFT), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(color_at(&cells, &Composite { shown: 0, ..uniforms }, TOP_LEFT), [0.0; 4]);
    }

    #[test]
    fn patches_outside_the_mass_are_left_alone() {
        let (cells, uniforms) = two_heads();
        let some = Composite { shown: 1, mass: 0.5, ..uniforms };
        assert_eq!(color_at(&cells, &some, TOP_LEFT), [0.0; 4]);
        assert_eq!(color_at(&cells, &some, TOP_RIGHT), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn smooth_strength_runs_from_center_to_center() {
        let (cells, uniforms) = two_heads();
        let soft = Composite { shown: 1, is_smooth: 1, ..uniforms };
        let alpha = |x| color_at(&cells, &soft, [x, 55.0])[3];
        for (x, expected) in [(100.0, 2.0 / 3.0), (105.0, 2.0 / 3.0), (110.0, 5.0 / 6.0), (115.0, 1.0), (120.0, 1.0)] {
            assert!((alpha(x) - expected).abs() < 1e-6, "{x}: {}", alpha(x));
        }
    }
}
