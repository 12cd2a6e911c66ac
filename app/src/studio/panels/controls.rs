//! Controls outside of forms, dressed like those of forms.

use egui::{Align, Align2, ComboBox, FontId, Layout, Response, Ui, WidgetInfo, vec2};
use maskroom_widgets::{Tokens, icon};

/// A menu that shows what is chosen, at most `width` points wide. `name` says what is chosen here.
pub fn menu<R>(ui: &mut Ui, name: &str, chosen: &str, width: f32, contents: impl FnOnce(&mut Ui) -> R) -> Response {
    let tokens = Tokens::of(ui);
    let size = vec2(width.min(ui.available_width()), tokens.sizes.row);
    let response = ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.set_max_width(size.x);
        let widgets = &mut ui.visuals_mut().widgets;
        widgets.inactive.weak_bg_fill = tokens.surface_field;
        (widgets.hovered.weak_bg_fill, widgets.open.weak_bg_fill) = (tokens.line, tokens.line);
        let combo = ComboBox::from_id_salt(name).selected_text(chosen).width(size.x).truncate().icon(|ui, rect, _, _| {
            let tokens = Tokens::of(ui);
            let font = FontId::proportional(tokens.sizes.icon);
            ui.painter().text(rect.center(), Align2::CENTER_CENTER, icon::CHEVRON_DOWN, font, tokens.text_muted);
        });
        combo.show_ui(ui, contents).response
    });
    let response = response.inner;
    response.widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, ui.is_enabled(), format!("{name}, {chosen}")));
    response.on_hover_text(chosen)
}

/// Sliders in `ui` have the accent up to a handle that is no higher than an icon.
pub fn dress_sliders(ui: &mut Ui) {
    let tokens = Tokens::of(ui);
    ui.spacing_mut().interact_size.y = tokens.sizes.icon;
    ui.visuals_mut().selection.bg_fill = tokens.accent;
}
