//! Colors for numbers: perceptual maps for quantities, a diverging one for signed values, and a palette that tells heads apart.

use super::picture::Picture;

/// A color map over `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorMap {
    /// Dark violet over green to yellow; even steps in lightness, also for color-blind eyes.
    #[default]
    Viridis,
    /// Black over red to pale yellow: more contrast in dark surroundings.
    Inferno,
    /// Blue for values below the middle, red above, near white at it.
    Diverging,
    /// Black to white.
    Gray,
}

/// Every 15th of 256 steps of viridis (Smith, van der Walt and Firing, 2015; dedicated to the public domain, CC0).
const VIRIDIS: [u32; 18] = [
    0x44_01_54, 0x48_17_69, 0x47_2A_7A, 0x43_3D_84, 0x3D_4E_8A, 0x35_5E_8D, 0x2E_6D_8E, 0x29_7B_8E, 0x23_89_8E, 0x1F_97_8B, 0x21_A5_85,
    0x2E_B3_7C, 0x46_C0_6F, 0x65_CB_5E, 0x89_D5_48, 0xB0_DD_2F, 0xD8_E2_19, 0xFD_E7_25,
];

/// The same of inferno.
const INFERNO: [u32; 18] = [
    0x00_00_04, 0x0A_07_22, 0x1E_0C_45, 0x38_09_62, 0x51_0E_6C, 0x69_16_6E, 0x80_1F_6C, 0x98_27_66, 0xB0_31_5B, 0xC6_3D_4D, 0xD9_4D_3D,
    0xE9_61_2B, 0xF4_79_18, 0xFA_94_07, 0xFC_B0_14, 0xF8_CD_37, 0xF2_EA_69, 0xFC_FF_A4,
];

impl ColorMap {
    /// Every map, for menus and tests.
    pub const ALL: [Self; 4] = [Self::Viridis, Self::Inferno, Self::Diverging, Self::Gray];

    /// Its name in recipes and menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Inferno => "inferno",
            Self::Diverging => "diverging",
            Self::Gray => "gray",
        }
    }

    /// The color of a value, clamped to `0..=1`; NaN is drawn like 0.
    pub fn color(self, value: f32) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        match self {
            Self::Viridis => between(&VIRIDIS, value),
            Self::Inferno => between(&INFERNO, value),
            Self::Diverging => diverging(2.0 * value - 1.0),
            Self::Gray => [(value * 255.0).round() as u8; 3],
        }
    }

    /// The colors of 256 even steps, for drawing many pixels.
    pub fn table(self) -> [[u8; 3]; 256] {
        std::array::from_fn(|step| self.color(step as f32 / 255.0))
    }
}

/// The map's colors from left (0) to right (1), `height` x `width` pixels.
pub fn legend(map: ColorMap, height: usize, width: usize) -> Picture {
    let last = width.saturating_sub(1).max(1) as f32;
    let row: Vec<u8> = (0..width).flat_map(|column| map.color(column as f32 / last)).collect();
    Picture { height, width, rgb: row.repeat(height) }
}

/// The color of a head (or any other category): hues a golden angle apart, so that any first few differ as much as they can, in
/// lightnesses that are legible on black and on white. The same index always has the same color.
pub fn head_color(index: usize) -> [u8; 3] {
    const GOLDEN_ANGLE: f64 = 137.507_764_050_037_85;
    let lightness = [0.66, 0.72, 0.61][index % 3];
    from_oklch(lightness, 0.15, 30.0 + GOLDEN_ANGLE * (index % 360) as f64)
}

/// The least and the greatest finite value, as the range of a scale; 0 to 1 if there is none.
pub fn finite_range(values: &[f32]) -> [f32; 2] {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)]);
    if low <= high { [low, high] } else { [0.0, 1.0] }
}

/// A range around 0 that holds all finite values: for signed maps in [`ColorMap::Diverging`].
pub fn signed_range(values: &[f32]) -> [f32; 2] {
    let [low, high] = finite_range(values);
    let extent = low.abs().max(high.abs());
    [-extent, extent]
}

/// Where a value lies in a range, in `0..=1`; the middle of a range without extent is 0.5.
pub fn position(value: f32, [low, high]: [f32; 2]) -> f32 {
    let extent = f64::from(high) - f64::from(low);
    if extent > 0.0 { ((f64::from(value) - f64::from(low)) / extent).clamp(0.0, 1.0) as f32 } else { 0.5 }
}

/// Catmull and Rom's spline through the anchors: within 3 of 255 levels of the full tables.
fn between(anchors: &[u32], value: f32) -> [u8; 3] {
    let at = value * (anchors.len() - 1) as f32;
    let first = (at as usize).min(anchors.len() - 2);
    let t = at - first as f32;
    std::array::from_fn(|channel| {
        let anchor = |index: usize| (anchors[index] >> (16 - 8 * channel) & 0xFF) as f32;
        let (b, c) = (anchor(first), anchor(first + 1));
        // Beyond the ends the spline continues straight.
        let a = if first > 0 { anchor(first - 1) } else { 2.0 * b - c };
        let d = if first + 2 < anchors.len() { anchor(first + 2) } else { 2.0 * c - b };
        let cubic = b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)));
        cubic.round().clamp(0.0, 255.0) as u8
    })
}

/// Lightness falls equally on both sides of a near white, so that equal magnitudes look equally strong.
fn diverging(signed: f32) -> [u8; 3] {
    let strength = f64::from(signed.abs());
    let hue = if signed < 0.0 { 255.0 } else { 30.0 };
    from_oklch(0.97 - 0.52 * strength, 0.17 * strength.powf(0.8), hue)
}

/// sRGB of a color in OKLCH (Ottosson, 2020), hue in degrees; the chroma is lowered until the color can be shown.
fn from_oklch(lightness: f64, chroma: f64, hue: f64) -> [u8; 3] {
    let (sin, cos) = hue.to_radians().sin_cos();
    let linear = |chroma: f64| linear_from_oklab([lightness, chroma * cos, chroma * sin]);
    let shown = |chroma: f64| linear(chroma).iter().all(|channel| (-1e-4..=1.0001).contains(channel));
    let (mut low, mut high) = (0.0, chroma);
    if shown(chroma) {
        low = chroma;
    } else {
        for _ in 0..24 {
            let middle = (low + high) / 2.0;
            if shown(middle) { low = middle } else { high = middle }
        }
    }
    linear(low).map(|channel| {
        let channel = channel.clamp(0.0, 1.0);
        let encoded = if channel <= 0.003_130_8 { 12.92 * channel } else { 1.055 * channel.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round() as u8
    })
}

fn linear_from_oklab([lightness, a, b]: [f64; 3]) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2).
    fn luminance(color: [u8; 3]) -> f64 {
        let [red, green, blue] = color.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    /// Steps of matplotlib's tables, most of them far from an anchor.
    #[test]
    fn perceptual_maps_are_close_to_the_originals() {
        let viridis = [
            (0, [68, 1, 84]),
            (7, [70, 11, 94]),
            (40, [69, 55, 129]),
            (77, [52, 96, 141]),
            (128, [33, 145, 140]),
            (200, [112, 207, 87]),
            (233, [197, 224, 33]),
            (255, [253, 231, 37]),
        ];
        let inferno = [
            (0, [0, 0, 4]),
            (7, [3, 2, 16]),
            (40, [47, 10, 91]),
            (77, [108, 24, 110]),
            (128, [188, 55, 84]),
            (200, [251, 157, 7]),
            (233, [244, 221, 79]),
            (255, [252, 255, 164]),
        ];
        for (map, steps) in [(ColorMap::Viridis, viridis), (ColorMap::Inferno, inferno)] {
            for (step, expected) in steps {
                let found = map.table()[step];
                assert!(found.iter().zip(expected).all(|(&a, b): (&u8, u8)| a.abs_diff(b) <= 3), "{map:?} {step}: {found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn more_is_lighter() {
        for map in [ColorMap::Viridis, ColorMap::Inferno, ColorMap::Gray] {
            let table = map.table();
            assert!(table.windows(2).all(|pair| luminance(pair[1]) >= luminance(pair[0]) - 2e-3), "{map:?}");
        }
    }

    #[test]
    fn the_diverging_map_is_symmetric_in_lightness() {
        let table = ColorMap::Diverging.table();
        assert!(table[127].iter().all(|&value| value > 235) && table[0][2] > table[0][0] + 60 && table[255][0] > table[255][2] + 60);
        for step in 0..128 {
            let (blue, red) = (luminance(table[step]), luminance(table[255 - step]));
            assert!((blue.cbrt() - red.cbrt()).abs() < 0.07, "{step}: {blue} {red}");
        }
        assert!((1..128).all(|step| luminance(table[step]) >= luminance(table[step - 1]) - 1e-3));
    }

    #[test]
    fn heads_are_legible_on_dark_and_light_and_differ() {
        let colors: Vec<_> = (0..16).map(head_color).collect();
        for (index, &color) in colors.iter().enumerate() {
            assert!(contrast(color, [255; 3]) > 2.2 && contrast(color, [27; 3]) > 3.5, "{index}: {color:?}");
            for other in &colors[..index] {
                let distance: i32 = color.iter().zip(other).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum();
                assert!(distance > 24 * 24, "{index}: {color:?} {other:?}");
            }
        }
        assert_eq!(head_color(usize::MAX), head_color(usize::MAX));
    }

    #[test]
    fn primary_colors_come_back_from_oklch() {
        assert_eq!(from_oklch(1.0, 0.0, 0.0), [255; 3]);
        assert_eq!(from_oklch(0.0, 0.0, 0.0), [0; 3]);
        assert_eq!(from_oklch(0.627_955, 0.257_683, 29.233_88), [255, 0, 0]);
        assert_eq!(from_oklch(0.452_014, 0.313_214, 264.052_02), [0, 0, 255]);
    }

    #[test]
    fn odd_values_have_colors_and_ranges() {
        for map in ColorMap::ALL {
            assert_eq!(map.color(f32::NAN), map.color(0.0));
            assert_eq!((map.color(-1.0), map.color(f32::INFINITY)), (map.color(0.0), map.color(1.0)));
        }
        assert_eq!(finite_range(&[f32::NAN, 2.0, f32::INFINITY, -1.0]), [-1.0, 2.0]);
        assert_eq!((finite_range(&[]), signed_range(&[-3.0, 1.0])), ([0.0, 1.0], [-3.0, 3.0]));
        assert_eq!((position(5.0, [5.0, 5.0]), position(f32::MAX, [f32::MIN, f32::MAX]), position(0.5, [0.0, 2.0])), (0.5, 1.0, 0.25));
        let strip = legend(ColorMap::Gray, 2, 256);
        assert_eq!((strip.height, strip.width, &strip.rgb[..6], strip.rgb[256 * 6 - 1]), (2, 256, &[0, 0, 0, 1, 1, 1][..], 255));
        assert_eq!((legend(ColorMap::Gray, 1, 1).rgb, legend(ColorMap::Gray, 1, 0).rgb), (vec![0; 3], vec![]));
    }
}
