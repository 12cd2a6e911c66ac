//! The look in one place: a palette of colors, the roles that colors play in each theme, and sizes, as data in `data/*.ron`. Nothing else
//! in Maskroom names a color.
//!
//! The room is a darkroom: near-black charcoal, and one safelight. By day it is warm paper and the same light, deeper. The accent marks
//! what is selected or ours; green, amber and crimson speak of states only; curves have colors of their own that stay apart under the
//! common color deficiencies.

mod load;
mod role;

use std::sync::LazyLock;

use egui::Color32;
use serde::Deserialize;

pub use role::Role;

/// How many curves have colors of their own; further ones begin anew.
pub const NUM_SERIES: usize = 8;

/// The second layer: what colors are for, in one theme, and the sizes both themes share.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// Whether this is the dark theme.
    pub is_dark: bool,
    /// Under images and plots.
    pub canvas: Color32,
    /// Windows and pages.
    pub surface: Color32,
    /// Cards, menus and panels that lie on a surface.
    pub surface_raised: Color32,
    /// Fields, tracks of bars, and what the pointer is over.
    pub surface_field: Color32,
    /// Hairlines and grids.
    pub line: Color32,
    /// Lines that must be noticed: axes, outlines of fields.
    pub line_strong: Color32,
    /// Text.
    pub text: Color32,
    /// Labels, units, captions.
    pub text_muted: Color32,
    /// What is selected, active, or ours.
    pub accent: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// It is well.
    pub good: Color32,
    /// Look at this.
    pub warning: Color32,
    /// It failed.
    pub bad: Color32,
    /// A veil over what the pointer is on.
    pub hover_fill: Color32,
    /// A veil over what is selected.
    pub selection_fill: Color32,
    /// Around what the keyboard acts on.
    pub focus_ring: Color32,
    /// Under windows and menus.
    pub shadow: Color32,
    /// A veil over images, on which text can be read.
    pub scrim: Color32,
    /// Text on the scrim.
    pub on_scrim: Color32,
    /// The lighter squares behind what is transparent.
    pub checker_light: Color32,
    /// The darker ones.
    pub checker_dark: Color32,
    /// Curves, in the order they are handed out. The first is the accent.
    pub series: [Color32; NUM_SERIES],
    /// Stops of the heat map from nothing to most; the same in both themes, because it lies over images.
    pub heat: [Color32; 5],
    /// Sizes.
    pub sizes: Sizes,
    /// Font sizes.
    pub fonts: Fonts,
}

/// Distances in points, on a rhythm of eight.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Between an icon and its label.
    pub gap_small: f32,
    /// Between neighbors.
    pub gap: f32,
    /// Between groups.
    pub gap_large: f32,
    /// Between sections.
    pub gap_section: f32,
    /// Height of a row, a button, a field.
    pub row: f32,
    /// Height of a quiet button inside a row.
    pub row_small: f32,
    /// Height and width of an icon.
    pub icon: f32,
    /// Width of the labels of a form.
    pub label_column: f32,
    /// Corners of widgets.
    pub radius: f32,
    /// Corners of windows and cards.
    pub radius_large: f32,
    /// Width of a hairline.
    pub hairline: f32,
    /// Width of the ring around what the keyboard acts on.
    pub focus_ring: f32,
    /// Width of a curve.
    pub curve: f32,
    /// Width of a scroll bar.
    pub scroll_bar: f32,
}

/// Font sizes in points.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fonts {
    /// Captions and axis labels.
    pub small: f32,
    /// Text.
    pub body: f32,
    /// Section headings.
    pub heading: f32,
    /// The one title of a page.
    pub title: f32,
    /// Digits and code.
    pub mono: f32,
    /// The one number that a page is about.
    pub figure: f32,
}

impl Tokens {
    /// The tokens of the theme that a part of the window is drawn in.
    pub fn of(ui: &egui::Ui) -> &'static Self {
        if ui.visuals().dark_mode { Self::dark() } else { Self::light() }
    }

    /// The darkroom.
    pub fn dark() -> &'static Self {
        static DARK: LazyLock<Tokens> = LazyLock::new(|| Tokens::built_in(include_str!("../data/dark.ron")));
        &DARK
    }

    /// Daylight.
    pub fn light() -> &'static Self {
        static LIGHT: LazyLock<Tokens> = LazyLock::new(|| Tokens::built_in(include_str!("../data/light.ron")));
        &LIGHT
    }

    /// The files are part of the program, and a test loads them: no user can meet a mistake in them.
    fn built_in(theme: &str) -> Self {
        load::tokens(theme).unwrap_or_else(|mistake| unreachable!("the built-in tokens: {mistake}"))
    }

    /// The color of a role.
    pub fn color(&self, role: Role) -> Color32 {
        match role {
            Role::Canvas => self.canvas,
            Role::Surface => self.surface,
            Role::SurfaceRaised => self.surface_raised,
            Role::SurfaceField => self.surface_field,
            Role::Line => self.line,
            Role::LineStrong => self.line_strong,
            Role::Text => self.text,
            Role::TextMuted => self.text_muted,
            Role::Accent => self.accent,
            Role::OnAccent => self.on_accent,
            Role::Good => self.good,
            Role::Warning => self.warning,
            Role::Bad => self.bad,
            Role::HoverFill => self.hover_fill,
            Role::SelectionFill => self.selection_fill,
            Role::FocusRing => self.focus_ring,
            Role::Shadow => self.shadow,
            Role::Scrim => self.scrim,
            Role::OnScrim => self.on_scrim,
            Role::CheckerLight => self.checker_light,
            Role::CheckerDark => self.checker_dark,
            Role::Series(index) => self.series[index % self.series.len()],
        }
    }

    /// The color of a role as CSS and SVG write it, such as `#ff6b3d`, or `#ff6b3d33` for a veil.
    pub fn hex(&self, role: Role) -> String {
        let [red, green, blue, alpha] = self.color(role).to_srgba_unmultiplied();
        let opacity = if alpha == u8::MAX { String::new() } else { format!("{alpha:02x}") };
        format!("#{red:02x}{green:02x}{blue:02x}{opacity}")
    }

    /// All roles, sizes and fonts as CSS custom properties, for the inside of one rule: `--text: #f2ede7; … --gap: 8px; …`.
    pub fn css(&self) -> String {
        let series = (0..self.series.len()).map(Role::Series);
        let colors = Role::PLAIN.into_iter().chain(series).map(|role| (role.css_name(), self.hex(role)));
        let (sizes, fonts) = (&self.sizes, &self.fonts);
        let lengths = [
            ("gap-small", sizes.gap_small),
            ("gap", sizes.gap),
            ("gap-large", sizes.gap_large),
            ("gap-section", sizes.gap_section),
            ("row", sizes.row),
            ("radius", sizes.radius),
            ("radius-large", sizes.radius_large),
            ("hairline", sizes.hairline),
            ("font-small", fonts.small),
            ("font-body", fonts.body),
            ("font-heading", fonts.heading),
            ("font-title", fonts.title),
            ("font-mono", fonts.mono),
            ("font-figure", fonts.figure),
        ];
        let lengths = lengths.into_iter().map(|(name, points)| (name.to_owned(), format!("{points}px")));
        colors.chain(lengths).map(|(name, value)| format!("--{name}: {value};\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn themes() -> [&'static Tokens; 2] {
        [Tokens::dark(), Tokens::light()]
    }

    /// Linear red, green and blue, 0 to 1 (IEC 61966-2-1).
    fn linear(color: Color32) -> [f64; 3] {
        [color.r(), color.g(), color.b()].map(|byte| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(color: Color32) -> f64 {
        let [red, green, blue] = linear(color);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// WCAG 2.2, contrast ratio.
    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// How a veil looks on an opaque color: egui blends bytes.
    fn over(veil: Color32, below: Color32) -> Color32 {
        below.blend(veil)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a gray of known contrast")]
    fn the_contrast_formula_gives_the_known_values() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(Color32::from_gray(0x77), Color32::WHITE) - 4.48).abs() < 0.005);
    }

    #[test]
    fn text_can_be_read_on_every_surface() {
        for tokens in themes() {
            for surface in [tokens.canvas, tokens.surface, tokens.surface_raised, tokens.surface_field] {
                assert!(contrast(tokens.text, surface) >= 7.0, "text on {surface:?}");
                assert!(contrast(tokens.text_muted, surface) >= 4.5, "muted text on {surface:?}: {}", contrast(tokens.text_muted, surface));
            }
            for (name, color) in [("accent", tokens.accent), ("good", tokens.good), ("warning", tokens.warning), ("bad", tokens.bad)] {
                for surface in [tokens.surface, tokens.surface_raised] {
                    assert!(contrast(color, surface) >= 4.5, "{name} on {surface:?}: {}", contrast(color, surface));
                }
            }
            assert!(contrast(tokens.on_accent, tokens.accent) >= 4.5);
            assert!(contrast(tokens.line_strong, tokens.surface) >= 1.8, "{}", contrast(tokens.line_strong, tokens.surface));
        }
    }

    #[test]
    fn text_can_be_read_through_every_veil() {
        for tokens in themes() {
            for surface in [tokens.surface, tokens.surface_raised] {
                for veil in [tokens.hover_fill, tokens.selection_fill] {
                    assert!(contrast(tokens.text, over(veil, surface)) >= 7.0, "{veil:?} on {surface:?}");
                    assert!(
                        contrast(over(veil, surface), surface) >= 1.1,
                        "{veil:?} on {surface:?}: {}",
                        contrast(over(veil, surface), surface)
                    );
                }
                assert!(contrast(tokens.focus_ring, surface) >= 3.0);
            }
            for image in [Color32::WHITE, Color32::BLACK] {
                assert!(contrast(tokens.on_scrim, over(tokens.scrim, image)) >= 7.0);
            }
            assert!((1.05..1.6).contains(&contrast(tokens.checker_light, tokens.checker_dark)));
        }
    }

    /// CIE L*a*b* under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], rgb);
        let [x, y, z] = [xyz[0] / 0.9505, xyz[1], xyz[2] / 1.089].map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// How colors look to most people, and to those without one kind of cone: Machado, Oliveira, Fernandes 2009, severity 1.
    const EYES: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ];

    #[test]
    fn curves_stay_apart_for_every_eye_and_stand_out() {
        for tokens in themes() {
            for (index, &color) in tokens.series.iter().enumerate() {
                assert!(contrast(color, tokens.surface_raised) >= 3.0, "curve {index}");
                for (other, &second) in tokens.series.iter().enumerate().take(index) {
                    for (eye, matrix) in EYES.into_iter().enumerate() {
                        let [a, b] = [color, second].map(|color| lab(times(matrix, linear(color)).map(|value| value.clamp(0.0, 1.0))));
                        let distance = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
                        assert!(distance >= 15.0, "dark {}: curves {other} and {index}, eye {eye}: {distance:.1}", tokens.is_dark);
                    }
                }
            }
            assert_eq!(tokens.series[0], tokens.accent);
        }
    }

    #[test]
    fn heat_grows_lighter_in_even_steps() {
        let lightness = Tokens::dark().heat.map(|color| lab(linear(color))[0]);
        for pair in lightness.windows(2) {
            assert!((12.0..32.0).contains(&(pair[1] - pair[0])), "{lightness:?}");
        }
    }

    #[test]
    fn css_names_every_role_once() {
        for tokens in themes() {
            let css = tokens.css();
            for role in Role::PLAIN.into_iter().chain((0..NUM_SERIES).map(Role::Series)) {
                assert_eq!(css.matches(&format!("--{}: ", role.css_name())).count(), 1, "{role:?}");
            }
            assert!(css.contains(&format!("--accent: {};", tokens.hex(Role::Accent))) && css.contains("--gap: 8px;"), "{css}");
            assert_eq!(css.lines().count(), Role::PLAIN.len() + NUM_SERIES + 14);
        }
    }

    #[test]
    fn distances_keep_the_rhythm() {
        let sizes = Tokens::dark().sizes;
        for points in [sizes.gap, sizes.gap_large, sizes.gap_section, sizes.row] {
            assert_eq!(points % 8.0, 0.0);
        }
    }
}
