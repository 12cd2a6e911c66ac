//! CIE Lab (1976) under daylight (D65): how light a color is, and how far it is from gray, towards red (a) and towards yellow (b).

/// Linear red, green and blue to X, Y and Z (IEC 61966-2-1).
const TO_XYZ: [[f32; 3]; 3] =
    [[0.412_456_4, 0.357_576_1, 0.180_437_5], [0.212_672_9, 0.715_152_2, 0.072_175], [0.019_333_9, 0.119_192, 0.950_304_1]];
/// The same back.
const FROM_XYZ: [[f32; 3]; 3] =
    [[3.240_454_2, -1.537_138_5, -0.498_531_4], [-0.969_266, 1.876_010_8, 0.041_556], [0.055_643_4, -0.204_025_9, 1.057_225_2]];
/// Where the cube root gives way to a line.
const KNEE: f32 = 6.0 / 29.0;

/// L (0..100), a and b of an sRGB color (0..1 each); what lies outside of that is taken to its nearest end.
pub fn lab_from_srgb(rgb: [f32; 3]) -> [f32; 3] {
    let linear = rgb.map(linear_from_level);
    let [x, y, z] = TO_XYZ.map(|row| root(along(row, linear) / row.iter().sum::<f32>()));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The sRGB color of L, a and b; of one that no screen shows, what is left when each channel is cut off at its ends.
pub fn srgb_from_lab([lightness, a, b]: [f32; 3]) -> [f32; 3] {
    let y = (lightness + 16.0) / 116.0;
    let roots = [y + a / 500.0, y, y - b / 200.0];
    let xyz: [f32; 3] = std::array::from_fn(|axis| cube(roots[axis]) * TO_XYZ[axis].iter().sum::<f32>());
    FROM_XYZ.map(|row| level_from_linear(along(row, xyz)))
}

/// The level of red, green and blue of the gray that is as light as an sRGB color.
pub fn gray_from_srgb(rgb: [f32; 3]) -> f32 {
    level_from_linear(along(luminance_shares(), rgb.map(linear_from_level)))
}

/// The shares of linear red, green and blue in how light a color is.
pub fn luminance_shares() -> [f32; 3] {
    // The weights of Y do not add up to one exactly as they are printed.
    TO_XYZ[1].map(|weight| weight / TO_XYZ[1].iter().sum::<f32>())
}

fn along(row: [f32; 3], values: [f32; 3]) -> f32 {
    row.iter().zip(values).map(|(weight, value)| weight * value).sum()
}

/// Light of a level (0..1) of sRGB.
fn linear_from_level(level: f32) -> f32 {
    let level = level.clamp(0.0, 1.0);
    if level <= 0.040_45 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
}

fn level_from_linear(linear: f32) -> f32 {
    let level = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    level.clamp(0.0, 1.0)
}

fn root(value: f32) -> f32 {
    if value > KNEE.powi(3) { value.cbrt() } else { value / (3.0 * KNEE * KNEE) + 4.0 / 29.0 }
}

fn cube(value: f32) -> f32 {
    if value > KNEE { value.powi(3) } else { 3.0 * KNEE * KNEE * (value - 4.0 / 29.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colors_have_their_published_values() {
        let known = [
            ([1.0, 1.0, 1.0], [100.0, 0.0, 0.0]),
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            ([1.0, 0.0, 0.0], [53.24, 80.09, 67.20]),
            ([0.0, 1.0, 0.0], [87.73, -86.18, 83.18]),
            ([0.0, 0.0, 1.0], [32.30, 79.19, -107.86]),
            ([0.5, 0.5, 0.5], [53.39, 0.0, 0.0]),
        ];
        for (rgb, want) in known {
            let have = lab_from_srgb(rgb);
            assert!(have.iter().zip(want).all(|(have, want)| (have - want).abs() < 0.01), "{rgb:?}: {have:?}");
        }
    }

    #[test]
    fn colors_come_back_and_those_that_do_not_exist_are_cut_off() {
        const LEVELS: [f32; 6] = [0.0, 0.02, 0.2, 0.55, 0.9, 1.0];
        for rgb in (0..216).map(|at| [LEVELS[at / 36], LEVELS[at / 6 % 6], LEVELS[at % 6]]) {
            let back = srgb_from_lab(lab_from_srgb(rgb));
            assert!(back.iter().zip(rgb).all(|(have, want)| (have - want).abs() < 1e-3), "{rgb:?}: {back:?}");
        }
        let no_color = srgb_from_lab([50.0, 200.0, -200.0]);
        assert!(no_color.iter().all(|level| (0.0..=1.0).contains(level)), "{no_color:?}");
    }

    #[test]
    fn a_gray_is_as_light_as_its_color() {
        for rgb in [[1.0, 0.0, 0.0], [0.2, 0.7, 0.4], [0.01, 0.0, 0.03], [1.0, 1.0, 1.0]] {
            let gray = gray_from_srgb(rgb);
            let [lightness, a, b] = lab_from_srgb([gray; 3]);
            assert!((lightness - lab_from_srgb(rgb)[0]).abs() < 0.01 && a.abs() < 1e-3 && b.abs() < 1e-3, "{rgb:?}");
        }
        assert!((gray_from_srgb([1.0; 3]) - 1.0).abs() < 1e-6);
    }
}
