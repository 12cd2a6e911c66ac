//! egui dressed in our tokens: fonts, spacing and colors for both themes. Which theme is shown follows the system until somebody chooses.

use egui::style::{HandleShape, ScrollStyle, Selection, WidgetVisuals, Widgets};
use egui::{Color32, Context, CornerRadius, Margin, Response, Shadow, Stroke, StrokeKind, Style, TextStyle, Theme, Ui, Visuals, vec2};

use crate::fonts;
use crate::tokens::{Sizes, Tokens};

/// Gives a window our fonts and both our themes. Call it once, before the first frame.
pub fn install(context: &Context) {
    context.set_fonts(fonts::definitions());
    for (theme, tokens) in [(Theme::Dark, Tokens::dark()), (Theme::Light, Tokens::light())] {
        context.style_mut_of(theme, |style| dress(style, tokens));
    }
}

/// The ring around what the keyboard acts on, a widget with corners of `radius`; painted last.
pub(crate) fn paint_focus_ring(ui: &Ui, response: &Response, radius: f32) {
    if response.has_focus() {
        let tokens = Tokens::of(ui);
        let stroke = Stroke::new(tokens.sizes.focus_ring, tokens.focus_ring);
        ui.painter().rect_stroke(response.rect.expand(1.0), radius + 1.0, stroke, StrokeKind::Outside);
    }
}

fn dress(style: &mut Style, tokens: &Tokens) {
    let sizes = &tokens.sizes;
    style.text_styles = fonts::text_styles(&tokens.fonts);
    style.drag_value_text_style = TextStyle::Monospace;
    style.animation_time = 0.1;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    style.visuals = visuals(tokens);

    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(sizes.gap, sizes.gap);
    spacing.button_padding = vec2(sizes.gap, sizes.gap_small);
    spacing.interact_size = vec2(sizes.row, sizes.row);
    spacing.window_margin = margin(sizes.gap_large);
    spacing.menu_margin = margin(sizes.gap_small);
    spacing.menu_spacing = 1.0;
    spacing.indent = sizes.gap_large;
    spacing.icon_width = sizes.icon;
    spacing.icon_width_inner = sizes.icon / 2.0;
    spacing.icon_spacing = sizes.gap_small;
    spacing.slider_rail_height = sizes.gap_small;
    spacing.combo_height = 12.0 * sizes.row;
    spacing.tooltip_width = 15.0 * sizes.row;
    spacing.scroll = scroll_bars(sizes);
}

fn scroll_bars(sizes: &Sizes) -> ScrollStyle {
    ScrollStyle {
        bar_width: sizes.scroll_bar,
        floating_width: sizes.scroll_bar,
        floating_allocated_width: sizes.scroll_bar,
        bar_inner_margin: 0.0,
        bar_outer_margin: 0.0,
        foreground_color: false,
        dormant_background_opacity: 0.0,
        active_background_opacity: 0.0,
        interact_background_opacity: 0.0,
        dormant_handle_opacity: 0.6,
        active_handle_opacity: 0.8,
        interact_handle_opacity: 1.0,
        ..ScrollStyle::floating()
    }
}

fn visuals(tokens: &Tokens) -> Visuals {
    let sizes = &tokens.sizes;
    let base = if tokens.is_dark { Visuals::dark() } else { Visuals::light() };
    let shadow = |offset, blur| Shadow { offset: [0, offset], blur, spread: 0, color: tokens.shadow };
    let mut visuals = Visuals {
        weak_text_color: Some(tokens.text_muted),
        widgets: widgets(tokens),
        // The stroke is the text of what is selected, and the outline of the text field that is being edited.
        selection: Selection { bg_fill: tokens.selection_fill, stroke: Stroke::new(sizes.hairline, tokens.accent) },
        hyperlink_color: tokens.accent,
        faint_bg_color: tokens.surface_raised,
        extreme_bg_color: tokens.canvas,
        text_edit_bg_color: Some(tokens.surface_field),
        code_bg_color: tokens.surface_field,
        warn_fg_color: tokens.warning,
        error_fg_color: tokens.bad,
        window_corner_radius: radius(sizes.radius_large),
        window_shadow: shadow(16, 48),
        window_fill: tokens.surface_raised,
        window_stroke: Stroke::new(sizes.hairline, tokens.line),
        menu_corner_radius: radius(sizes.radius_large),
        panel_fill: tokens.surface,
        popup_shadow: shadow(8, 24),
        indent_has_left_vline: false,
        striped: false,
        slider_trailing_fill: true,
        handle_shape: HandleShape::Circle,
        image_loading_spinners: false,
        disabled_alpha: 0.45,
        ..base
    };
    visuals.text_cursor.stroke = Stroke::new(2.0, tokens.accent);
    // A blinking cursor would wake an idle window twice a second.
    visuals.text_cursor.blink = false;
    visuals.ime_composition.active_underline_stroke = Stroke::new(2.0, tokens.accent);
    visuals.ime_composition.inactive_underline_stroke = Stroke::new(2.0, tokens.line_strong);
    visuals
}

/// Ghosts: at rest a button has neither fill nor stroke; the pointer and the keyboard make it visible.
fn widgets(tokens: &Tokens) -> Widgets {
    let rest = WidgetVisuals {
        bg_fill: tokens.surface_field,
        weak_bg_fill: Color32::TRANSPARENT,
        bg_stroke: Stroke::NONE,
        corner_radius: radius(tokens.sizes.radius),
        fg_stroke: Stroke::new(1.5, tokens.text),
        expansion: 0.0,
    };
    Widgets {
        // Labels, separators and the edges of panels.
        noninteractive: WidgetVisuals {
            bg_fill: tokens.surface,
            bg_stroke: Stroke::new(tokens.sizes.hairline, tokens.line),
            fg_stroke: Stroke::new(1.0, tokens.text),
            ..rest
        },
        inactive: rest,
        hovered: WidgetVisuals { bg_fill: tokens.line, weak_bg_fill: tokens.hover_fill, ..rest },
        // Pressed, or under the keyboard.
        active: WidgetVisuals {
            bg_fill: tokens.line,
            weak_bg_fill: tokens.hover_fill,
            bg_stroke: Stroke::new(1.5, tokens.focus_ring),
            ..rest
        },
        open: WidgetVisuals { weak_bg_fill: tokens.hover_fill, ..rest },
    }
}

fn radius(points: f32) -> CornerRadius {
    CornerRadius::same(points as u8)
}

fn margin(points: f32) -> Margin {
    Margin::same(points as i8)
}

#[cfg(test)]
mod tests {
    use egui::{RawInput, ThemePreference};

    use super::*;

    #[test]
    fn both_themes_are_dressed_and_the_system_chooses() {
        let context = Context::default();
        install(&context);
        assert_eq!(context.options(|options| options.theme_preference), ThemePreference::System);
        for (theme, tokens) in [(Theme::Dark, Tokens::dark()), (Theme::Light, Tokens::light())] {
            let style = context.style_of(theme);
            assert_eq!(style.visuals.panel_fill, tokens.surface);
            assert_eq!(style.visuals.dark_mode, tokens.is_dark);
            assert_eq!(style.spacing.interact_size.y, tokens.sizes.row);
            let _ = context.run_ui(RawInput { system_theme: Some(theme), ..Default::default() }, |ui| {
                assert_eq!(Tokens::of(ui), tokens);
            });
        }
    }

    #[test]
    fn a_focused_text_field_does_not_wake_an_idle_window() {
        let context = Context::default();
        install(&context);
        let mut text = String::new();
        let mut delay = std::time::Duration::ZERO;
        for _ in 0..20 {
            let output = context.run_ui(RawInput::default(), |ui| ui.text_edit_singleline(&mut text).request_focus());
            delay = output.viewport_output.values().map(|output| output.repaint_delay).min().unwrap();
        }
        assert_eq!(delay, std::time::Duration::MAX);
    }
}
