//! The look in one place: a palette of colors, the roles that colors play in each theme, and sizes. Nothing else in Maskroom names a color.
//!
//! The room is a darkroom: near-black charcoal, and one safelight. By day it is warm paper and the same light, deeper. The accent marks
//! what is selected or ours; green, amber and crimson speak of states only; curves have colors of their own that stay apart under the
//! common color deficiencies.

use egui::Color32;

/// The first layer: colors by what they are. Private, so that all use goes through roles.
mod palette {
    use egui::Color32;

    #[expect(clippy::disallowed_methods, reason = "this is where colors come from")]
    const fn rgb(hex: u32) -> Color32 {
        Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
    }

    /// Charcoal with a trace of warmth, from the dark under the table to the lit edge.
    pub const CHARCOAL: [Color32; 6] = [rgb(0x0d0c0b), rgb(0x141211), rgb(0x1c1a18), rgb(0x272421), rgb(0x3a3632), rgb(0x57514b)];
    /// Warm paper, from the sheet to its folded edge.
    pub const PAPER: [Color32; 6] = [rgb(0xffffff), rgb(0xfbf8f3), rgb(0xf4efe7), rgb(0xeae3d8), rgb(0xdbd2c5), rgb(0xb5aa9c)];
    /// Chalk on charcoal: text and quiet text.
    pub const CHALK: [Color32; 2] = [rgb(0xf2ede7), rgb(0xa69d94)];
    /// Ink on paper: text and quiet text.
    pub const INK: [Color32; 2] = [rgb(0x211c18), rgb(0x6b6158)];
    /// The safelight, in the dark and by day.
    pub const SAFELIGHT: [Color32; 2] = [rgb(0xff6b3d), rgb(0xc03a0c)];
    pub const GREEN: [Color32; 2] = [rgb(0x62c08d), rgb(0x1b7446)];
    pub const AMBER: [Color32; 2] = [rgb(0xe8b64a), rgb(0x855c00)];
    pub const CRIMSON: [Color32; 2] = [rgb(0xff6480), rgb(0xb0123c)];
    /// Curves on charcoal: safelight, sky, straw, jade, orchid, ash.
    pub const CURVES_DARK: [Color32; 6] = [SAFELIGHT[0], rgb(0x4cc4f5), rgb(0xf2c83a), rgb(0x2b9a71), rgb(0xb073b8), rgb(0xc9c1b8)];
    /// Their like on paper: safelight, ultramarine, bronze, petrol, plum, pencil.
    pub const CURVES_LIGHT: [Color32; 6] = [SAFELIGHT[1], rgb(0x2248c2), rgb(0x956e44), rgb(0x00838b), rgb(0x7b3894), rgb(0x6b6158)];
    /// A gray of known contrast.
    #[cfg(test)]
    pub const GRAY_77: Color32 = rgb(0x777777);
    /// A glowing body, from cold to white heat: lightness rises evenly, so that the map also reads in gray.
    pub const HEAT: [Color32; 5] = [rgb(0x0d0c0b), rgb(0x5a1322), rgb(0xb8341c), rgb(0xf08a2e), rgb(0xfff1c9)];
}

use palette::{AMBER, CHALK, CHARCOAL, CRIMSON, CURVES_DARK, CURVES_LIGHT, GREEN, HEAT, INK, PAPER, SAFELIGHT};

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
    /// Curves, in the order they are handed out. The first is the accent.
    pub series: [Color32; 6],
    /// Stops of the heat map from nothing to most; the same in both themes, because it lies over images.
    pub heat: [Color32; 5],
    /// Sizes.
    pub sizes: Sizes,
    /// Font sizes.
    pub fonts: Fonts,
}

/// Distances in points, on a rhythm of eight.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// Corners of widgets.
    pub radius: f32,
    /// Corners of windows and cards.
    pub radius_large: f32,
    /// Width of a hairline.
    pub hairline: f32,
    /// Width of a curve.
    pub curve: f32,
}

/// Font sizes in points.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

const SIZES: Sizes = Sizes {
    gap_small: 4.0,
    gap: 8.0,
    gap_large: 16.0,
    gap_section: 32.0,
    row: 24.0,
    radius: 4.0,
    radius_large: 8.0,
    hairline: 1.0,
    curve: 1.75,
};

const FONTS: Fonts = Fonts { small: 12.0, body: 14.0, heading: 18.0, title: 32.0, mono: 13.0 };

impl Tokens {
    /// The darkroom.
    pub const fn dark() -> Self {
        Self {
            is_dark: true,
            canvas: CHARCOAL[0],
            surface: CHARCOAL[1],
            surface_raised: CHARCOAL[2],
            surface_field: CHARCOAL[3],
            line: CHARCOAL[4],
            line_strong: CHARCOAL[5],
            text: CHALK[0],
            text_muted: CHALK[1],
            accent: SAFELIGHT[0],
            on_accent: CHARCOAL[0],
            good: GREEN[0],
            warning: AMBER[0],
            bad: CRIMSON[0],
            series: CURVES_DARK,
            heat: HEAT,
            sizes: SIZES,
            fonts: FONTS,
        }
    }

    /// Daylight.
    pub const fn light() -> Self {
        Self {
            is_dark: false,
            canvas: PAPER[3],
            surface: PAPER[1],
            surface_raised: PAPER[0],
            surface_field: PAPER[2],
            line: PAPER[4],
            line_strong: PAPER[5],
            text: INK[0],
            text_muted: INK[1],
            accent: SAFELIGHT[1],
            on_accent: PAPER[0],
            good: GREEN[1],
            warning: AMBER[1],
            bad: CRIMSON[1],
            series: CURVES_LIGHT,
            heat: HEAT,
            sizes: SIZES,
            fonts: FONTS,
        }
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
            Role::Series(index) => self.series[index % self.series.len()],
        }
    }

    /// The color of a role as CSS and SVG write it, such as `#ff6b3d`.
    pub fn hex(&self, role: Role) -> String {
        let [red, green, blue, _] = self.color(role).to_array();
        format!("#{red:02x}{green:02x}{blue:02x}")
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
        ];
        let lengths = lengths.into_iter().map(|(name, points)| (name.to_owned(), format!("{points}px")));
        colors.chain(lengths).map(|(name, value)| format!("--{name}: {value};\n")).collect()
    }
}

/// A part that a color plays: the fields of [`Tokens`], for code that must name a role without having a theme yet, such as a drawing that
/// a browser will color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of `Tokens` with the same name")]
pub enum Role {
    Canvas,
    Surface,
    SurfaceRaised,
    SurfaceField,
    Line,
    LineStrong,
    Text,
    TextMuted,
    Accent,
    OnAccent,
    Good,
    Warning,
    Bad,
    Series(usize),
}

impl Role {
    /// Every role but the curves.
    pub const PLAIN: [Self; 13] = [
        Self::Canvas,
        Self::Surface,
        Self::SurfaceRaised,
        Self::SurfaceField,
        Self::Line,
        Self::LineStrong,
        Self::Text,
        Self::TextMuted,
        Self::Accent,
        Self::OnAccent,
        Self::Good,
        Self::Warning,
        Self::Bad,
    ];

    /// The custom property of [`Tokens::css`] without its dashes, such as `text-muted` or `series-0`.
    pub fn css_name(self) -> String {
        let name = match self {
            Self::Canvas => "canvas",
            Self::Surface => "surface",
            Self::SurfaceRaised => "surface-raised",
            Self::SurfaceField => "surface-field",
            Self::Line => "line",
            Self::LineStrong => "line-strong",
            Self::Text => "text",
            Self::TextMuted => "text-muted",
            Self::Accent => "accent",
            Self::OnAccent => "on-accent",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Series(index) => return format!("series-{}", index % Tokens::dark().series.len()),
        };
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEMES: [Tokens; 2] = [Tokens::dark(), Tokens::light()];

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

    #[test]
    fn the_contrast_formula_gives_the_known_values() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(palette::GRAY_77, Color32::WHITE) - 4.48).abs() < 0.005);
    }

    #[test]
    fn text_can_be_read_on_every_surface() {
        for tokens in &THEMES {
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
        for tokens in &THEMES {
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
        for tokens in &THEMES {
            let css = tokens.css();
            for role in Role::PLAIN.into_iter().chain((0..6).map(Role::Series)) {
                assert_eq!(css.matches(&format!("--{}: ", role.css_name())).count(), 1, "{role:?}");
            }
            assert!(css.contains(&format!("--accent: {};", tokens.hex(Role::Accent))) && css.contains("--gap: 8px;"), "{css}");
            assert_eq!(css.lines().count(), 32);
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
