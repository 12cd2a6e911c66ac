//! How the curves are drawn, which runs are drawn beside this one, and the way out of the window.

use egui::text::{LayoutJob, TextWrapping};
use egui::{Align, Layout, Popup, Pos2, RichText, Role as AccessRole, Sense, Slider, TextStyle, Ui, UiBuilder, WidgetInfo, pos2, vec2};
use maskroom_widgets::{Button, Role, Segmented, Tokens, icon};

use super::traces::X;
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::panels::controls::dress_sliders;
use crate::studio::runs::Run;

/// How the curves are drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Step, epoch, time.
    axis: usize,
    /// The loss by its logarithm.
    pub log_y: bool,
}

impl Look {
    /// What stands on the x-axis; times are in a unit that fits this run.
    pub fn x(self, run: &Run) -> X {
        match self.axis {
            0 => X::Step,
            1 => X::Epoch,
            _ => X::time(run.view.seconds()),
        }
    }
}

/// Room for the word and the slider.
const SMOOTHING_WIDTH: f32 = 160.0;
/// Names of compared runs are cut off there.
const CHIP_TEXT_WIDTH: f32 = 160.0;
/// Across the dot in a run's color.
const DOT: f32 = 8.0;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A table of the curves.
    Table,
    /// A picture of the charts.
    Picture,
}

/// Draws the bar.
pub fn show(ui: &mut Ui, desk: Desk<'_>, run: &Run, look: &mut Look) -> Option<Wish> {
    let tokens = Tokens::of(ui);
    let mut wish = None;
    ui.horizontal_wrapped(|ui| {
        Segmented::new("Horizontal axis", &["Step", "Epoch", "Time"]).show(ui, &mut look.axis);
        if Button::new("Log").selected(look.log_y).tooltip("The loss on a logarithmic axis").show(ui).clicked() {
            look.log_y = !look.log_y;
        }
        smoothing(ui, desk);
        compare(ui, desk, run);
        wish = export(ui);
    });
    if desk.runs.shown().count() > 1 {
        ui.add_space(tokens.sizes.gap_small);
        ui.horizontal_wrapped(|ui| desk.runs.shown().for_each(|run| chip(ui, desk, run)));
    }
    wish
}

fn smoothing(ui: &mut Ui, desk: Desk<'_>) {
    let tokens = Tokens::of(ui);
    let size = vec2(SMOOTHING_WIDTH, tokens.sizes.row);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        dress_sliders(ui);
        ui.spacing_mut().slider_width = 80.0;
        let label = ui.label(RichText::new("Smoothing").color(tokens.text_muted));
        let mut weight = desk.preferences.smoothing;
        let slider = Slider::new(&mut weight, 0.0..=0.99).fixed_decimals(2).show_value(false);
        let response = ui.add(slider).labelled_by(label.id).on_hover_text(format!("{weight:.2}; 0 draws what was logged"));
        if response.changed() {
            let mut preferences = desk.preferences.clone();
            preferences.smoothing = weight;
            desk.ask(Ask::Prefer(Box::new(preferences)));
        }
    });
}

fn compare(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    if desk.runs.list().len() < 2 {
        return;
    }
    let button = Button::new("Compare").icon(icon::COMPARE).tooltip("Draws other runs beside this one").show(ui);
    Popup::menu(&button).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        ui.set_max_width(320.0);
        egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
            for other in desk.runs.list().iter().filter(|other| other.folder.root != run.folder.root) {
                let folder = &other.folder.root;
                let mut shown = desk.runs.is_compared(folder);
                if ui.checkbox(&mut shown, other.name()).changed() {
                    desk.ask(Ask::Compare { run: folder.clone(), shown });
                }
            }
        });
    });
}

fn export(ui: &mut Ui) -> Option<Wish> {
    let button = Button::icon_only(icon::EXPORT, "Export").tooltip("Export the curves").show(ui);
    let chosen = Popup::menu(&button).show(|ui| {
        let wishes = [("Numbers as CSV…", Wish::Table), ("Picture as PNG…", Wish::Picture)];
        wishes.into_iter().find(|(words, _)| ui.button(*words).clicked()).map(|(_, wish)| wish)
    });
    chosen.and_then(|chosen| chosen.inner)
}

/// A run that is drawn: its color, its name, and a way to take it away. One piece, so that it wraps as a whole.
fn chip(ui: &mut Ui, desk: Desk<'_>, run: &Run) {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    let (folder, name) = (&run.folder.root, run.name());
    let mut job = LayoutJob::simple_singleline(name.clone(), TextStyle::Small.resolve(ui.style()), tokens.text);
    job.wrap = TextWrapping::truncate_at_width(CHIP_TEXT_WIDTH);
    let text = ui.painter().layout_job(job);
    let close = if desk.runs.is_selected(folder) { 0.0 } else { sizes.row_small };
    let before = sizes.gap + DOT + sizes.gap_small;
    let size = vec2(before + text.size().x + sizes.gap + close, sizes.row);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(AccessRole::Label, true, &name));
    ui.painter().rect_filled(rect, sizes.radius, tokens.surface_field);
    dot(ui, pos2(rect.left() + sizes.gap + DOT / 2.0, rect.center().y), run.color_index);
    let elided = text.elided;
    ui.painter().galley(pos2(rect.left() + before, rect.center().y - text.size().y / 2.0), text, tokens.text);
    if close > 0.0 {
        let place = rect.with_min_x(rect.right() - close - 2.0);
        let layout = Layout::left_to_right(Align::Center);
        let mut child = ui.new_child(UiBuilder::new().id_salt(("no longer compare", folder)).max_rect(place).layout(layout));
        if Button::icon_only(icon::CLOSE, format!("No longer compare {name}")).small().show(&mut child).clicked() {
            desk.ask(Ask::Compare { run: folder.clone(), shown: false });
        }
    }
    if elided {
        response.on_hover_text(name);
    }
}

/// A dot in a run's color.
pub fn swatch(ui: &mut Ui, color_index: usize) {
    let (rect, _) = ui.allocate_exact_size(vec2(DOT + 2.0, Tokens::of(ui).sizes.row_small), Sense::hover());
    dot(ui, rect.center(), color_index);
}

fn dot(ui: &Ui, center: Pos2, color_index: usize) {
    ui.painter().circle_filled(center, DOT / 2.0, Tokens::of(ui).color(Role::Series(color_index)));
}
