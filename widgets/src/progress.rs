//! How far something has come: a bar with what it is, how much is done, how fast it goes and when it will end.

use std::sync::Arc;

use egui::accesskit::Role;
use egui::{Align, Galley, Rect, Response, Sense, Shape, TextStyle, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};
use crate::{Button, Tokens, fonts, format, icon};

/// A bar under a line of text, as wide as there is room.
///
/// It is still while nothing moves: whoever does the work asks for a new frame. The bar of a work whose length is unknown has fixed stripes.
#[must_use]
pub struct Progress<'a> {
    done: u64,
    total: Option<u64>,
    label: &'a str,
    rate: &'a str,
    eta_secs: Option<f64>,
    cancel: Option<&'a mut bool>,
}

/// Height of the bar, and width of a stripe, in points.
const BAR: f32 = 6.0;
const STRIPE: f32 = 8.0;

impl<'a> Progress<'a> {
    /// So many of so many are done.
    pub fn new(done: u64, total: u64) -> Self {
        Self { done, total: Some(total), label: "", rate: "", eta_secs: None, cancel: None }
    }

    /// So many are done, and nobody knows of how many.
    pub fn unknown(done: u64) -> Self {
        Self { total: None, ..Self::new(done, 0) }
    }

    /// What is being done.
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = label;
        self
    }

    /// How fast, such as [`format::rate`] writes it.
    pub fn rate(mut self, rate: &'a str) -> Self {
        self.rate = rate;
        self
    }

    /// Seconds until the end.
    pub fn eta_secs(mut self, secs: f64) -> Self {
        self.eta_secs = Some(secs);
        self
    }

    /// Offers a button that sets this to `true`. While it is `true` the bar says that it is being canceled.
    pub fn cancel(mut self, canceled: &'a mut bool) -> Self {
        self.cancel = Some(canceled);
        self
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let tokens = Tokens::of(ui);
        let is_canceled = self.cancel.as_deref() == Some(&true);
        let facts = self.facts(is_canceled);
        let all_facts = facts.join(" · ");
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row + BAR), Sense::hover());
        response.widget_info(|| {
            let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, format!("{}, {all_facts}", self.label));
            info.value = self.total.map(|total| ratio(self.done, total));
            info
        });

        let mut text = rect.with_max_y(rect.top() + tokens.sizes.row);
        if let Some(canceled) = self.cancel {
            let button = Rect::from_min_max(pos2(text.right() - tokens.sizes.row, text.top()), text.max);
            text.max.x = button.left() - tokens.sizes.gap_small;
            let mut place = ui.new_child(UiBuilder::new().max_rect(button).id_salt("cancel"));
            *canceled |= Button::icon_only(icon::CLOSE, "Cancel").enabled(!is_canceled).show(&mut place).clicked();
        }
        let style = TextStyle::Body.resolve(ui.style());
        let label_width = one_line(ui.painter(), self.label, style.clone(), tokens.text, 0.5 * text.width()).size().x;
        let room = text.width() - label_width - tokens.sizes.gap_large;
        let (facts, are_all) = fitting_facts(ui, &facts, room);
        let facts = paint_line(ui.painter(), text, Align::RIGHT, facts);
        let label = one_line(ui.painter(), self.label, style, tokens.text, facts.left() - text.left() - tokens.sizes.gap);
        let is_elided = label.elided || !are_all;
        paint_line(ui.painter(), text, Align::LEFT, label);
        paint_bar(ui, rect.with_min_y(rect.bottom() - BAR), self.total.map(|total| ratio(self.done, total)), is_canceled);
        if is_elided { response.on_hover_text(format!("{}\n{all_facts}", self.label)) } else { response }
    }

    /// The numbers beside the label: share, count, rate, time left; those that are not known are missing.
    fn facts(&self, is_canceled: bool) -> Vec<String> {
        let left = match self.eta_secs {
            _ if is_canceled => "canceling".to_owned(),
            Some(secs) => format!("{} left", format::duration(secs)),
            None => String::new(),
        };
        let (share, done) = match self.total {
            Some(total) => (format::share(self.done, total), format!("{} of {}", format::count(self.done), format::count(total))),
            None => (String::new(), format::count(self.done)),
        };
        let facts = [share, done, self.rate.to_owned(), left];
        facts.into_iter().filter(|fact| !fact.is_empty()).collect()
    }
}

/// As many facts as there is room for, and whether these are all. The ends matter most: how far it is, and how long it takes.
fn fitting_facts(ui: &Ui, facts: &[String], room: f32) -> (Arc<Galley>, bool) {
    let lay_out = |facts: &[String], room| {
        one_line(ui.painter(), &facts.join(" · "), fonts::mono_small().resolve(ui.style()), Tokens::of(ui).text_muted, room)
    };
    let mut shown = facts.to_vec();
    while shown.len() > 2 && lay_out(&shown, f32::INFINITY).size().x > room {
        shown.remove(1);
    }
    (lay_out(&shown, room), shown.len() == facts.len())
}

fn ratio(done: u64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) }
}

/// A track, filled from the left or, where the ratio is unknown, striped.
fn paint_bar(ui: &Ui, rect: Rect, ratio: Option<f64>, is_quiet: bool) {
    let tokens = Tokens::of(ui);
    let color = if is_quiet { tokens.line_strong } else { tokens.accent };
    let radius = 0.5 * BAR;
    ui.painter().rect_filled(rect, radius, tokens.surface_field);
    match ratio {
        Some(0.0) => {}
        // Never narrower than its round ends: the first step must be seen.
        Some(ratio) => {
            let width = (rect.width() * ratio as f32).max(BAR);
            ui.painter().rect_filled(rect.with_max_x(rect.left() + width), radius, color);
        }
        None => {
            let painter = ui.painter_at(rect);
            let num_stripes = (rect.width() / (2.0 * STRIPE)).ceil() as usize;
            for index in 0..num_stripes {
                let left = rect.left() + index as f32 * 2.0 * STRIPE;
                let points = vec![
                    pos2(left + BAR, rect.top()),
                    pos2(left + BAR + STRIPE, rect.top()),
                    pos2(left + STRIPE, rect.bottom()),
                    pos2(left, rect.bottom()),
                ];
                painter.add(Shape::convex_polygon(points, color, egui::Stroke::NONE));
            }
        }
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "progress_states",
        size: vec2(560.0, 248.0),
        show: |ui| {
            let (mut running, mut canceled) = (false, true);
            Progress::new(12_345, 29_000).label("Epoch 12 of 100").rate("85.2 img/s").eta_secs(4_320.0).cancel(&mut running).show(ui);
            Progress::unknown(4_096).label("Looking for images").rate("1,240 files/s").cancel(&mut running).show(ui);
            Progress::new(0, 500).label("Waiting for the device").show(ui);
            Progress::new(1, 100_000).label("Thumbnails").eta_secs(12.0).show(ui);
            Progress::new(500, 500).label("Export finished").show(ui);
            Progress::new(310, 500).label("Exporting masks").eta_secs(600.0).cancel(&mut canceled).show(ui);
        },
    },
    Exhibit {
        name: "progress_long",
        size: vec2(400.0, 56.0),
        show: |ui| {
            let mut canceled = false;
            let label = "Reading /archive/2026/scans/vit_small_patch16_224_um_mae_imagenet100";
            Progress::new(1_234_567, 9_876_543).label(label).rate("1,240 img/s").eta_secs(273_600.0).cancel(&mut canceled).show(ui);
        },
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn the_facts_say_only_what_is_known() {
        assert_eq!(Progress::new(1, 4).facts(false), ["25 %", "1 of 4"]);
        assert_eq!(Progress::new(1, 4).rate("2 img/s").eta_secs(120.0).facts(false), ["25 %", "1 of 4", "2 img/s", "2 min left"]);
        assert_eq!(Progress::unknown(4_000).facts(false), ["4,000"]);
        assert_eq!(Progress::new(1, 4).eta_secs(120.0).facts(true), ["25 %", "1 of 4", "canceling"]);
    }

    #[test]
    fn a_bar_can_be_canceled_once_and_stays_still() {
        let mut harness = Harness::builder()
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, canceled: &mut bool| drop(Progress::unknown(3).label("Work").cancel(canceled).show(ui)), false);
        harness.run();
        harness.get_by_label("Cancel").click();
        // Runs until no further frame is asked for, and fails if that never comes.
        harness.run();
        assert!(*harness.state());
    }
}
