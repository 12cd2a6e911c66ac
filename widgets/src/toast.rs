//! Messages that come up in a corner and leave by themselves.

use egui::{Align, Align2, Area, Context, Frame, Id, Layout, Margin, Order, RichText, Sense, TextStyle, Ui, UiBuilder, WidgetInfo, vec2};

use crate::gallery::Exhibit;
use crate::modal::floating_frame;
use crate::one_line::paint_icon;
use crate::{Button, Tokens, Tone, icon};

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Toast {
    tone: Tone,
    text: String,
    action: Option<(String, usize)>,
    duration_secs: Option<f64>,
    /// When it leaves, on the clock of the window. Set when it is first shown.
    leaves_at_secs: Option<f64>,
}

impl Toast {
    /// A message. It stays 5 seconds, a warning 10, and a failure until somebody dismisses it.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        let duration_secs = match tone {
            Tone::Info | Tone::Good => Some(5.0),
            Tone::Warning => Some(10.0),
            Tone::Bad => None,
        };
        Self { tone, text: text.into(), action: None, duration_secs, leaves_at_secs: None }
    }

    /// Offers one thing to do about it, such as the identifier of a command.
    pub fn action(mut self, title: impl Into<String>, id: usize) -> Self {
        self.action = Some((title.into(), id));
        self
    }
}

/// The messages in sight; the newest is the last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Toasts {
    toasts: Vec<Toast>,
    is_hovered: bool,
}

/// What the user wants after looking at a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToastAnswer {
    /// Do the thing with this identifier; its message is gone.
    Action(usize),
    /// See all messages.
    ShowAll,
}

/// How many stand in the corner at once.
const MAX_SHOWN: usize = 4;
/// Width of one, in points.
const WIDTH: f32 = 344.0;
/// How long a message stays at least after the pointer leaves it.
const GRACE_SECS: f64 = 2.0;

impl Toasts {
    /// Shows a message from the next frame on.
    pub fn push(&mut self, toast: Toast) {
        self.toasts.push(toast);
    }

    /// How many messages are in sight or wait for their place.
    pub fn len(&self) -> usize {
        self.toasts.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.toasts.is_empty()
    }

    /// Draws them over the window but under menus and dialogs, `margin` points from its lower right corner. Asks for one frame when the next one leaves, and for none in
    /// between.
    pub fn show(&mut self, ctx: &Context, margin: f32) -> Option<ToastAnswer> {
        let now = ctx.input(|input| input.time);
        for toast in &mut self.toasts {
            toast.leaves_at_secs = toast.leaves_at_secs.or(toast.duration_secs.map(|secs| now + secs));
        }
        if !self.is_hovered {
            self.toasts.retain(|toast| toast.leaves_at_secs.is_none_or(|leaves_at| leaves_at > now));
        }
        if self.toasts.is_empty() {
            self.is_hovered = false;
            return None;
        }
        let area = Area::new(Id::unique("maskroom toasts"))
            .order(Order::Middle)
            .anchor(Align2::RIGHT_BOTTOM, vec2(-margin, -margin))
            .accessible_name("Messages")
            .default_width(WIDTH);
        let response = area.show(ctx, |ui| self.contents(ui));

        let pointer = ctx.pointer_hover_pos();
        let is_hovered = pointer.is_some_and(|pos| response.response.rect.contains(pos));
        if self.is_hovered && !is_hovered {
            for leaves_at in self.toasts.iter_mut().filter_map(|toast| toast.leaves_at_secs.as_mut()) {
                *leaves_at = leaves_at.max(now + GRACE_SECS);
            }
        }
        self.is_hovered = is_hovered;
        let next = self.toasts.iter().filter_map(|toast| toast.leaves_at_secs).min_by(f64::total_cmp);
        if let (false, Some(leaves_at)) = (is_hovered, next) {
            ctx.request_repaint_after_secs((leaves_at - now) as f32);
        }
        response.inner
    }

    fn contents(&mut self, ui: &mut Ui) -> Option<ToastAnswer> {
        let mut answer = None;
        let num_hidden = self.toasts.len().saturating_sub(MAX_SHOWN);
        ui.set_width(WIDTH);
        if num_hidden > 0 {
            ui.allocate_ui_with_layout(vec2(WIDTH, Tokens::of(ui).sizes.row), Layout::right_to_left(Align::Center), |ui| {
                lying_frame(ui).show(ui, |ui| {
                    if Button::new(format!("+{num_hidden} more")).show(ui).clicked() {
                        answer = Some(ToastAnswer::ShowAll);
                    }
                });
            });
        }
        let mut dismissed = None;
        for (index, toast) in self.toasts.iter().enumerate().skip(num_hidden) {
            let response = ui.push_id(index, |ui| show_toast(ui, toast)).inner;
            if response.is_some() {
                dismissed = Some(index);
            }
            answer = answer.or(response.flatten());
        }
        if let Some(index) = dismissed {
            self.toasts.remove(index);
        }
        answer
    }
}

/// A message floats lower than a dialog.
fn lying_frame(ui: &Ui) -> Frame {
    floating_frame(ui).shadow(ui.visuals().popup_shadow)
}

/// Draws one message. Some if it shall go; within, what shall be done.
fn show_toast(ui: &mut Ui, toast: &Toast) -> Option<Option<ToastAnswer>> {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    let frame = lying_frame(ui).inner_margin(Margin::same(sizes.gap as i8));
    frame
        .show(ui, |ui| {
            ui.set_width(WIDTH - 2.0 * sizes.gap);
            ui.spacing_mut().item_spacing = vec2(sizes.gap, 0.0);
            let mut answer = None;
            ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
                if Button::icon_only(icon::CLOSE, "Dismiss").show(ui).clicked() {
                    answer = Some(None);
                }
                if let Some((title, id)) = &toast.action
                    && Button::new(title.as_str()).show(ui).clicked()
                {
                    answer = Some(Some(ToastAnswer::Action(*id)));
                }
                let room = ui.available_rect_before_wrap();
                ui.scope_builder(UiBuilder::new().max_rect(room).layout(Layout::left_to_right(Align::Min)), |ui| {
                    let (rect, response) = ui.allocate_exact_size(vec2(sizes.icon, sizes.row), Sense::hover());
                    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, tone_name(toast.tone)));
                    paint_icon(ui.painter(), toast.tone.icon(), rect.center(), sizes.icon, tokens.color(toast.tone.role()));
                    show_text(ui, &toast.text);
                });
            });
            answer
        })
        .inner
}

/// What is read aloud for the icon.
fn tone_name(tone: Tone) -> &'static str {
    match tone {
        Tone::Info => "Note",
        Tone::Good => "Success",
        Tone::Warning => "Warning",
        Tone::Bad => "Failure",
    }
}

/// At most three lines; the rest on hover.
fn show_text(ui: &mut Ui, text: &str) {
    let tokens = Tokens::of(ui);
    let mut job = egui::text::LayoutJob::simple(text.to_owned(), TextStyle::Body.resolve(ui.style()), tokens.text, ui.available_width());
    job.wrap.max_rows = 3;
    let galley = ui.painter().layout_job(job);
    // One line stands level with the icon and the buttons.
    let top = (0.5 * (tokens.sizes.row - galley.rows.first().map_or(0.0, |row| row.size.y))).max(0.0);
    let size = galley.size() + vec2(0.0, 2.0 * top);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, text));
    let is_elided = galley.elided;
    ui.painter().galley(rect.min + vec2(0.0, top), galley, tokens.text);
    if is_elided {
        response.on_hover_ui(|ui| {
            ui.set_max_width(WIDTH);
            ui.label(RichText::new(text));
        });
    }
}

fn show_toasts(ui: &mut Ui, toasts: Vec<Toast>) {
    ui.add_space(8.0);
    ui.horizontal(|ui| {
        ui.add_space(8.0);
        ui.vertical(|ui| Toasts { toasts, is_hovered: false }.contents(ui));
    });
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        name: "toast_levels",
        size: vec2(376.0, 264.0),
        show: |ui| {
            let long = "Training ended: the disk is full. The checkpoint needs 88 MiB and 12 MiB are free. Free some room and resume from checkpoint 400.";
            let toasts = vec![
                Toast::new(Tone::Info, "Training goes on without this window"),
                Toast::new(Tone::Good, "1,240 masks exported").action("Show", 1),
                Toast::new(Tone::Warning, "12 images could not be read").action("List", 2),
                Toast::new(Tone::Bad, long).action("Resume", 3),
            ];
            show_toasts(ui, toasts);
        },
    },
    Exhibit {
        name: "toast_more",
        size: vec2(376.0, 272.0),
        show: |ui| show_toasts(ui, (0..7).map(|index| Toast::new(Tone::Good, format!("Checkpoint {} saved", 100 * index))).collect()),
    },
    Exhibit {
        name: "toast_long_word",
        size: vec2(376.0, 112.0),
        show: |ui| show_toasts(ui, vec![Toast::new(Tone::Info, "vit_small_patch16_224_um_mae_imagenet100_seed17".repeat(5))]),
    },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    type State = (Toasts, Option<ToastAnswer>);

    fn shown(toasts: impl IntoIterator<Item = Toast>) -> Harness<'static, State> {
        let toasts = Toasts { toasts: toasts.into_iter().collect(), is_hovered: false };
        let mut harness = Harness::builder()
            .with_step_dt(0.5)
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, (toasts, answer): &mut State| *answer = toasts.show(ui.ctx(), 16.0).or(*answer), (toasts, None));
        harness.run();
        harness
    }

    fn repaint_delay(harness: &Harness<'_, State>) -> std::time::Duration {
        harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay
    }

    #[test]
    fn messages_leave_by_themselves_but_failures_stay() {
        let mut harness = shown([Toast::new(Tone::Info, "a"), Toast::new(Tone::Warning, "b"), Toast::new(Tone::Bad, "c")]);
        let mut lengths = Vec::new();
        for _ in 0..28 {
            lengths.push(harness.state().0.len());
            harness.step();
        }
        lengths.dedup();
        assert_eq!(lengths, [3, 2, 1]);
    }

    #[test]
    fn one_frame_is_asked_for_when_the_next_leaves() {
        let harness = shown([Toast::new(Tone::Info, "a"), Toast::new(Tone::Warning, "b")]);
        let delay = repaint_delay(&harness);
        assert!(delay > std::time::Duration::from_secs(1) && delay <= std::time::Duration::from_secs(5), "{delay:?}");
        let harness = shown([Toast::new(Tone::Bad, "c")]);
        assert_eq!(repaint_delay(&harness), std::time::Duration::MAX);
    }

    #[test]
    fn the_pointer_holds_them() {
        let mut harness = shown([Toast::new(Tone::Info, "Read me slowly")]);
        harness.get_by_label("Read me slowly").hover();
        for _ in 0..40 {
            harness.step();
        }
        assert_eq!(harness.state().0.len(), 1);
        harness.hover_at(egui::pos2(1.0, 1.0));
        harness.step();
        assert_eq!(harness.state().0.len(), 1, "a moment of grace");
        for _ in 0..6 {
            harness.step();
        }
        assert!(harness.state().0.is_empty());
    }

    #[test]
    fn buttons_answer() {
        let mut harness = shown([Toast::new(Tone::Bad, "c").action("Resume", 7)]);
        harness.get_by_label("Resume").click();
        harness.run();
        assert_eq!(*harness.state(), (Toasts::default(), Some(ToastAnswer::Action(7))));

        let mut harness = shown((0..6).map(|index| Toast::new(Tone::Bad, format!("{index}"))));
        harness.get_by_label("+2 more").click();
        harness.run();
        assert_eq!(harness.state().1, Some(ToastAnswer::ShowAll));
        harness.get_all_by_label("Dismiss").next().unwrap().click();
        harness.run();
        assert_eq!(harness.state().0.len(), 5);
    }
}
