//! Tokens from their data: `data/palette.ron` names colors, `data/dark.ron` and `data/light.ron` give them roles, `data/shared.ron` holds the
//! lengths.

use std::collections::BTreeMap;

use egui::Color32;
use serde::Deserialize;

use super::{Fonts, NUM_SERIES, Role, Sizes, Tokens};

const PALETTE: &str = include_str!("../../data/palette.ron");
const SHARED: &str = include_str!("../../data/shared.ron");

/// Names of ladders and their shades, as hex.
type Palette = BTreeMap<String, Vec<String>>;

/// `dark.ron` and `light.ron`: shades by name, such as `charcoal.0`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    is_dark: bool,
    roles: BTreeMap<Role, String>,
    series: [String; NUM_SERIES],
}

/// `shared.ron`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SharedFile {
    heat: [String; 5],
    sizes: Sizes,
    fonts: Fonts,
}

/// The tokens of a theme's text; the error says what is wrong in the files.
pub(super) fn tokens(theme: &str) -> Result<Tokens, String> {
    let palette: Palette = parse("palette", PALETTE)?;
    let shared: SharedFile = parse("shared", SHARED)?;
    let theme: ThemeFile = parse("theme", theme)?;
    let color = |role: Role| shade(&palette, theme.roles.get(&role).ok_or_else(|| format!("{role:?} has no color"))?);
    Ok(Tokens {
        is_dark: theme.is_dark,
        canvas: color(Role::Canvas)?,
        surface: color(Role::Surface)?,
        surface_raised: color(Role::SurfaceRaised)?,
        surface_field: color(Role::SurfaceField)?,
        line: color(Role::Line)?,
        line_strong: color(Role::LineStrong)?,
        text: color(Role::Text)?,
        text_muted: color(Role::TextMuted)?,
        accent: color(Role::Accent)?,
        on_accent: color(Role::OnAccent)?,
        good: color(Role::Good)?,
        warning: color(Role::Warning)?,
        bad: color(Role::Bad)?,
        hover_fill: color(Role::HoverFill)?,
        selection_fill: color(Role::SelectionFill)?,
        focus_ring: color(Role::FocusRing)?,
        shadow: color(Role::Shadow)?,
        scrim: color(Role::Scrim)?,
        on_scrim: color(Role::OnScrim)?,
        checker_light: color(Role::CheckerLight)?,
        checker_dark: color(Role::CheckerDark)?,
        series: shades(&palette, &theme.series)?,
        heat: shades(&palette, &shared.heat)?,
        sizes: shared.sizes,
        fonts: shared.fonts,
    })
}

fn parse<T: for<'de> Deserialize<'de>>(file: &str, text: &str) -> Result<T, String> {
    ron::from_str(text).map_err(|error| format!("{file}: {error}"))
}

fn shades<const N: usize>(palette: &Palette, names: &[String; N]) -> Result<[Color32; N], String> {
    let mut colors = [Color32::TRANSPARENT; N];
    for (color, name) in colors.iter_mut().zip(names) {
        *color = shade(palette, name)?;
    }
    Ok(colors)
}

/// The color that `ladder.step` names.
#[expect(clippy::disallowed_methods, reason = "this is where colors come from")]
fn shade(palette: &Palette, name: &str) -> Result<Color32, String> {
    let (ladder, step) = name.split_once('.').ok_or_else(|| format!("{name} is not `ladder.step`"))?;
    let step: usize = step.parse().map_err(|_| format!("{name} has no number after its dot"))?;
    let hex = palette.get(ladder).and_then(|ladder| ladder.get(step)).ok_or_else(|| format!("{name} is not in the palette"))?;
    Color32::from_hex(hex).map_err(|_| format!("{hex} of {name} is no color"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let palette = Palette::from([("charcoal".to_owned(), vec!["#0d0c0b".to_owned(), "coal".to_owned()])]);
        assert_eq!(shade(&palette, "charcoal.0").unwrap().to_array(), [13, 12, 11, 255]);
        for (name, told) in [("charcoal", "ladder.step"), ("charcoal.2", "not in"), ("charcoal.x", "number"), ("charcoal.1", "coal of")] {
            assert!(shade(&palette, name).unwrap_err().contains(told), "{name}");
        }
        assert!(tokens("(is_dark: true, roles: {}, series: [])").is_err());
    }
}
