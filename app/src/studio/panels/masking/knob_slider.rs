//! A knob of a mask in little room: its name and number on one line, a slider below.

use egui::{Align, DragValue, Layout, Slider, Ui, vec2};
use maskroom_core::knob::{Knob, Range, Value};
use maskroom_core::mask::Grid;
use maskroom_widgets::{Button, ElidedLabel, Field, Role, Tokens, icon};

use crate::studio::panels::controls::dress_sliders;
use crate::studio::panels::knob_field::{self, Wish, title};

/// Draws the knob; `changed` offers the way back, `problem` stands below.
pub fn show(ui: &mut Ui, knob: &Knob, value: &Value, grid: Grid, changed: bool, problem: Option<&str>) -> Option<Wish> {
    let label = title(knob.key);
    let (Some((low, high, whole)), Some(before)) = (slider_range(&knob.range, knob.unit, grid), value.as_float()) else {
        return knob_field::show(ui, Field::new(&label).doc(knob.doc).problem(problem).default_differs(changed), knob, value);
    };
    let tokens = Tokens::of(ui);
    let (mut number, mut reset) = (before, false);
    ui.spacing_mut().item_spacing.y = 0.0;
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = tokens.sizes.gap_small;
            if changed {
                reset = Button::icon_only(icon::RESET, format!("{label} back to the default")).small().show(ui).clicked();
            }
            let suffix = if knob.unit.is_empty() { String::new() } else { format!(" {}", knob.unit) };
            ui.visuals_mut().widgets.inactive.weak_bg_fill = tokens.surface_field;
            let drag = DragValue::new(&mut number)
                .range(low..=high)
                .clamp_existing_to_range(false)
                .speed(if whole { 0.2 } else { 0.005 })
                .custom_formatter(|number, _| written(number))
                .suffix(suffix)
                .min_size(vec2(2.5 * tokens.sizes.row, tokens.sizes.row_small));
            ui.add(drag).accessible_name(label.as_str());
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = ElidedLabel::new(&label).role(Role::TextMuted).show(ui);
                text.on_hover_text(explanation(knob));
            });
        });
    });
    ui.spacing_mut().slider_width = ui.available_width();
    let slider = Slider::new(&mut number, low..=high).show_value(false).clamping(egui::SliderClamping::Never);
    let slider = if whole { slider.integer() } else { slider };
    ui.scope(|ui| {
        dress_sliders(ui);
        ui.add(slider).accessible_name(format!("{label} slider"));
    });
    if let Some(problem) = problem {
        super::card::trouble(ui, problem);
    }
    if reset {
        return Some(Wish::Reset);
    }
    let value = |number: f64| if whole { Value::Int(number.round() as i64) } else { Value::Float(number) };
    (value(number) != value(before)).then(|| Wish::Set(value(number)))
}

/// At most three decimals.
fn written(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn explanation(knob: &Knob) -> String {
    format!("{}\n{}", knob.doc, knob.range.describe())
}

/// The ends of a useful slider: no more patches than the grid has, no longer sides than the grid's.
fn slider_range(range: &Range, unit: &str, grid: Grid) -> Option<(f64, f64, bool)> {
    const SIDES: i64 = 64;
    match *range {
        Range::Float(low, high) => Some((low, high, false)),
        Range::Int(low, high) => {
            let patches = if high > SIDES { grid.plane() } else { grid.rows.max(grid.cols) } as i64;
            let high = if unit == "patches" { high.min(patches) } else { high };
            Some((low as f64, high.max(low + 1) as f64, true))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sliders_end_where_the_grid_does() {
        let grid = Grid::still(14, 20);
        assert_eq!(slider_range(&Range::Int(0, 1 << 22), "patches", grid), Some((0.0, 280.0, true)));
        assert_eq!(slider_range(&Range::Int(2, 64), "patches", grid), Some((2.0, 20.0, true)));
        assert_eq!(slider_range(&Range::Int(0, 64), "px", grid), Some((0.0, 64.0, true)));
        assert_eq!(slider_range(&Range::Float(0.0, 1.0), "", grid), Some((0.0, 1.0, false)));
        assert_eq!(slider_range(&Range::Bool, "", grid), None);
    }
}
