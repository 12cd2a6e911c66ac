//! Colors from nothing to most.

use egui::{Color32, ColorImage};
use maskroom_shaders::heatmap::RAMP_STOPS;

use crate::Tokens;

/// A color for every share from 0 to 1, held as sixteen stops, as the shaders take them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp([Color32; RAMP_STOPS]);

impl Ramp {
    /// The heat map of the tokens, the same in both themes.
    pub fn heat() -> Self {
        Self::from_colors(&Tokens::dark().heat)
    }

    /// Even stops from the first color to the last; without any, nothing is seen.
    pub fn from_colors(colors: &[Color32]) -> Self {
        Self(std::array::from_fn(|stop| between(colors, stop as f32 / (RAMP_STOPS - 1) as f32)))
    }

    /// Even stops from the first color to the last, given as red, green and blue.
    pub fn from_rgb(colors: &[[u8; 3]]) -> Self {
        Self::from_colors(&ColorImage::from_rgb([colors.len(), 1], colors.as_flattened()).pixels)
    }

    /// The color of a share from 0 to 1.
    pub fn color(&self, share: f32) -> Color32 {
        between(&self.0, share)
    }

    /// The stops.
    pub(crate) fn colors(&self) -> &[Color32; RAMP_STOPS] {
        &self.0
    }

    /// The stops as the shaders take them: gamma-encoded and not premultiplied, 0 to 1.
    pub(crate) fn stops(&self) -> [[f32; 4]; RAMP_STOPS] {
        self.0.map(|color| color.to_srgba_unmultiplied().map(|channel| f32::from(channel) / 255.0))
    }
}

fn between(colors: &[Color32], share: f32) -> Color32 {
    // Not `clamp`, which keeps what is no number.
    let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
    let place = share * colors.len().saturating_sub(1) as f32;
    let stop = place as usize;
    match (colors.get(stop), colors.get(stop + 1)) {
        (Some(from), Some(to)) => from.lerp_to_gamma(*to, place - stop as f32),
        (Some(last), None) => *last,
        _ => Color32::TRANSPARENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_run_from_the_first_color_to_the_last() {
        let heat = Tokens::dark().heat;
        let ramp = Ramp::from_colors(&heat);
        assert_eq!([ramp.color(-1.0), ramp.color(0.0), ramp.color(1.0), ramp.color(9.0)], [heat[0], heat[0], heat[4], heat[4]]);
        assert_eq!(ramp.color(f32::NAN), heat[0]);
        // Sixteen stops keep sixteen colors as they are.
        let colors: Vec<_> = (0..16_u8).map(|step| [step * 17, 0, 255 - step * 17]).collect();
        let stops = Ramp::from_rgb(&colors).stops();
        assert!(stops.iter().zip(&colors).all(|(stop, color)| (stop[0] * 255.0).round() as u8 == color[0] && stop[3] == 1.0));
    }

    #[test]
    fn few_colors_are_no_trouble() {
        assert_eq!(Ramp::from_colors(&[]).color(0.5), Color32::TRANSPARENT);
        let only = Tokens::dark().accent;
        assert_eq!(Ramp::from_colors(&[only]).color(0.5), only);
    }
}
