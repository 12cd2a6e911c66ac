//! Lines of a log or the history of notifications: the newest at the bottom, a click unfolds one, levels can be hidden.

use std::ops::Range;

use egui::accesskit::Role;
use egui::{Align, Align2, Id, Label, Layout, Rect, RichText, ScrollArea, Sense, TextStyle, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_icon, paint_line};
use crate::theme::paint_focus_ring;
use crate::{Button, EmptyState, Tokens, Tone, fonts, format, icon};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, as it shall be read. All lines write it alike, so that the column stands straight.
    pub time: String,
    /// How much it matters.
    pub tone: Tone,
    /// What happened. The row shows the first line; unfolding shows all.
    pub text: String,
}

/// What the list remembers between frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Which levels are shown, in the order of [`LogState::TONES`].
    pub shown: [bool; 4],
    /// Place of the unfolded line in all lines.
    pub unfolded: Option<usize>,
}

impl LogState {
    /// Every tone, the mildest first.
    pub const TONES: [Tone; 4] = [Tone::Info, Tone::Good, Tone::Warning, Tone::Bad];
}

impl Default for LogState {
    fn default() -> Self {
        Self { shown: [true; 4], unfolded: None }
    }
}

/// A list of [`LogLine`]s that draws only those in sight and takes all the room there is. It follows the newest line until the user scrolls up.
#[must_use]
pub struct LogList<'a> {
    lines: &'a [LogLine],
    empty: (&'a str, &'a str),
}

impl<'a> LogList<'a> {
    /// The oldest line first.
    pub fn new(lines: &'a [LogLine]) -> Self {
        Self { lines, empty: ("No messages yet", "What happens in runs and exports is written here") }
    }

    /// What it says without lines: what is missing, and what to do about it.
    pub fn empty(mut self, title: &'a str, hint: &'a str) -> Self {
        self.empty = (title, hint);
        self
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui, state: &mut LogState) {
        if self.lines.is_empty() {
            EmptyState::new(icon::NOTIFICATIONS, self.empty.0, self.empty.1).show(ui);
            return;
        }
        show_filter(ui, self.lines, &mut state.shown);
        let places: Vec<usize> = (0..self.lines.len()).filter(|&place| state.shown[self.lines[place].tone as usize]).collect();
        if places.is_empty() {
            EmptyState::new(icon::FILTER, "All lines are hidden", "Switch on a level above").show(ui);
            return;
        }
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ScrollArea::vertical()
                .auto_shrink(false)
                .stick_to_bottom(true)
                .show_viewport(ui, |ui, viewport| self.rows(ui, viewport, &places, state));
        });
    }

    /// Draws the rows that meet `viewport`. All have one height but the unfolded one, which is measured.
    fn rows(&self, ui: &mut Ui, viewport: Rect, places: &[usize], state: &mut LogState) {
        let row = Tokens::of(ui).sizes.row;
        let unfolded = state.unfolded.and_then(|place| places.binary_search(&place).ok());
        let details_id = ui.scope_id().with("details height");
        let details = if unfolded.is_some() { ui.data(|data| data.get_temp(details_id)).unwrap_or(2.0 * row) } else { 0.0 };
        let top_of = |position: usize| position as f32 * row + if unfolded.is_some_and(|it| position > it) { details } else { 0.0 };

        let area = ui.max_rect();
        ui.set_height(top_of(places.len()));
        let in_sight = visible(viewport, places.len(), row, details);
        let time_width = self.lines.first().map_or(0.0, |line| time_galley(ui, line).size().x);
        for position in in_sight {
            let place = places[position];
            let rect = Rect::from_min_size(pos2(area.left(), area.top() + top_of(position)), vec2(area.width(), row));
            let is_unfolded = unfolded == Some(position);
            if show_row(ui, rect, place, &self.lines[place], time_width, is_unfolded) {
                state.unfolded = if is_unfolded { None } else { Some(place) };
            }
            if is_unfolded {
                let rect = Rect::from_min_size(rect.left_bottom(), vec2(area.width(), details));
                let height = show_details(ui, rect, &self.lines[place].text);
                if height != details {
                    ui.data_mut(|data| data.insert_temp(details_id, height));
                    ui.ctx().request_discard("the height of an unfolded line");
                }
            }
        }
    }
}

/// Positions of rows that may meet the viewport; a few more where a line is unfolded.
fn visible(viewport: Rect, num_rows: usize, row: f32, details: f32) -> Range<usize> {
    let first = ((viewport.top() - details) / row).floor().max(0.0) as usize;
    let end = (viewport.bottom() / row).ceil().max(0.0) as usize + 1;
    first.min(num_rows)..end.min(num_rows)
}

fn time_galley(ui: &Ui, line: &LogLine) -> std::sync::Arc<egui::Galley> {
    one_line(ui.painter(), &line.time, fonts::mono_small().resolve(ui.style()), Tokens::of(ui).text_muted, f32::INFINITY)
}

/// Draws one row and returns whether it was clicked.
fn show_row(ui: &Ui, rect: Rect, place: usize, line: &LogLine, time_width: f32, is_unfolded: bool) -> bool {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    let response = ui.interact(rect, ui.scope_id().with(("row", place)), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_unfolded, format!("{} {}", line.time, line.text)));
    if response.hovered() || is_unfolded {
        ui.painter().rect_filled(rect, sizes.radius, tokens.hover_fill);
    }
    let mut rest = rect.shrink2(vec2(sizes.gap, 0.0));
    paint_line(ui.painter(), rest, Align::LEFT, time_galley(ui, line));
    rest.min.x += time_width + sizes.gap;
    paint_icon(
        ui.painter(),
        line.tone.icon(),
        rest.left_center() + vec2(0.5 * sizes.icon, 0.0),
        sizes.icon,
        tokens.color(line.tone.role()),
    );
    rest.min.x += sizes.icon + sizes.gap;
    if response.hovered() || is_unfolded {
        let chevron = if is_unfolded { icon::CHEVRON_UP } else { icon::CHEVRON_DOWN };
        paint_icon(ui.painter(), chevron, rest.right_center() - vec2(0.5 * sizes.icon, 0.0), sizes.icon, tokens.text_muted);
    }
    rest.max.x -= sizes.icon + sizes.gap_small;
    let mut parts = line.text.lines();
    let first = parts.next().unwrap_or_default();
    let text = if parts.next().is_some() { format!("{first} …") } else { first.to_owned() };
    paint_line(
        ui.painter(),
        rest,
        Align::LEFT,
        one_line(ui.painter(), &text, TextStyle::Body.resolve(ui.style()), tokens.text, rest.width()),
    );
    paint_focus_ring(ui, &response, sizes.radius);
    response.clicked()
}

/// Draws the whole text, which can be marked, and a button that copies it. Returns the height it needs.
fn show_details(ui: &mut Ui, rect: Rect, text: &str) -> f32 {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    ui.painter().rect_filled(rect.shrink2(vec2(0.0, sizes.gap_small)), sizes.radius, tokens.canvas);
    let inner = rect.shrink2(vec2(sizes.gap, sizes.gap_small + sizes.gap));
    let button = Rect::from_min_size(pos2(inner.right() - sizes.row, inner.top() - sizes.gap_small), vec2(sizes.row, sizes.row));
    ui.scope_builder(UiBuilder::new().max_rect(button).id_salt("copy"), |ui| {
        if Button::icon_only(icon::COPY, "Copy the message").show(ui).clicked() {
            ui.ctx().copy_text(text.to_owned());
        }
    });
    let label = inner.with_max_x(button.left() - sizes.gap);
    let used = ui.scope_builder(UiBuilder::new().max_rect(label).layout(Layout::top_down(Align::LEFT)).id_salt("text"), |ui| {
        ui.add(Label::new(RichText::new(text).text_style(TextStyle::Monospace)).wrap().selectable(true)).rect.height()
    });
    used.inner.max(sizes.row_small).ceil() + 2.0 * (sizes.gap_small + sizes.gap)
}

/// What the filter calls messages of a tone.
fn plural(tone: Tone) -> &'static str {
    match tone {
        Tone::Info => "Notes",
        Tone::Good => "Successes",
        Tone::Warning => "Warnings",
        Tone::Bad => "Errors",
    }
}

/// One switch for each level, with the number of its lines.
fn show_filter(ui: &mut Ui, lines: &[LogLine], shown: &mut [bool; 4]) {
    let tokens = Tokens::of(ui);
    let sizes = &tokens.sizes;
    let mut counts = [0_u64; 4];
    for line in lines {
        counts[line.tone as usize] += 1;
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = sizes.gap_small;
        for tone in LogState::TONES {
            let (is_shown, count) = (&mut shown[tone as usize], format::count(counts[tone as usize]));
            let color = if *is_shown { tokens.text } else { tokens.text_muted };
            let galley = one_line(ui.painter(), &count, fonts::mono_small().resolve(ui.style()), color, f32::INFINITY);
            let width = sizes.icon + galley.size().x + sizes.gap_small + 2.0 * sizes.gap;
            let (rect, mut response) = ui.allocate_exact_size(vec2(width, sizes.row), Sense::click());
            if response.clicked() {
                *is_shown = !*is_shown;
                response.mark_changed();
            }
            response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, *is_shown, plural(tone)));
            let fill = if response.hovered() {
                tokens.hover_fill
            } else if *is_shown {
                tokens.surface_field
            } else {
                tokens.surface
            };
            ui.painter().rect_filled(rect, sizes.radius, fill);
            let inner = rect.shrink2(vec2(sizes.gap, 0.0));
            let tint = if *is_shown { tokens.color(tone.role()) } else { tokens.text_muted };
            paint_icon(ui.painter(), tone.icon(), Align2::LEFT_CENTER.pos_in_rect(&inner) + vec2(0.5 * sizes.icon, 0.0), sizes.icon, tint);
            paint_line(ui.painter(), inner, Align::RIGHT, galley);
            paint_focus_ring(ui, &response, sizes.radius);
            response.on_hover_text(format!("{} {}", if *is_shown { "Hide" } else { "Show" }, plural(tone).to_lowercase()));
        }
    });
}

pub(crate) fn sample_lines() -> Vec<LogLine> {
    let line = |time: &str, tone, text: &str| LogLine { time: time.to_owned(), tone, text: text.to_owned() };
    vec![
        line("09:41:07", Tone::Info, "Opened toy_scenes: 5,000 images, 160 × 160 px"),
        line(
            "09:41:30",
            Tone::Warning,
            "12 images could not be read\nscan_0007.png: unexpected end of file\nscan_0112.png: unexpected end of file",
        ),
        line("09:42:02", Tone::Info, "Training started on the processor, 2 threads"),
        line("10:13:44", Tone::Good, "Checkpoint 400 saved, 88 MiB"),
        line(
            "10:20:19",
            Tone::Bad,
            "The run ended: the disk is full. /data/runs/vit_small_patch16_224_um_mae_imagenet100_seed17/checkpoints/step_000800 needs 88 MiB and 12 MiB \
             are free. Free some room, then resume from checkpoint 400.",
        ),
    ]
}

fn show_lines(ui: &mut Ui, lines: &[LogLine], mut state: LogState) {
    // Exhibits stand beside each other and must not share what they remember.
    let id = Id::unique(("log exhibit", lines.len(), state.unfolded, state.shown));
    ui.push_id(id, |ui| LogList::new(lines).show(ui, &mut state));
}

pub(crate) const EXHIBITS: &[Exhibit] = &[
    Exhibit { name: "log_list", size: vec2(480.0, 176.0), show: |ui| show_lines(ui, &sample_lines(), LogState::default()) },
    Exhibit {
        name: "log_list_unfolded",
        size: vec2(480.0, 280.0),
        show: |ui| show_lines(ui, &sample_lines(), LogState { unfolded: Some(4), ..LogState::default() }),
    },
    Exhibit {
        name: "log_list_hidden",
        size: vec2(480.0, 176.0),
        show: |ui| show_lines(ui, &sample_lines(), LogState { shown: [false; 4], unfolded: None }),
    },
    Exhibit { name: "log_list_empty", size: vec2(480.0, 144.0), show: |ui| show_lines(ui, &[], LogState::default()) },
];

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    type State = (Vec<LogLine>, LogState);

    fn shown(lines: Vec<LogLine>) -> Harness<'static, State> {
        let mut harness = Harness::builder()
            .with_size(vec2(480.0, 240.0))
            .with_context_setup(crate::theme::install)
            .build_ui_state(|ui, (lines, state): &mut State| LogList::new(lines).show(ui, state), (lines, LogState::default()));
        harness.run();
        harness
    }

    fn many(number: usize) -> Vec<LogLine> {
        (0..number).map(|index| LogLine { time: "09:00:00".to_owned(), tone: Tone::Info, text: format!("line {index}") }).collect()
    }

    #[test]
    fn only_rows_in_sight_are_drawn_and_the_newest_are_in_sight() {
        let mut harness = shown(many(10_000));
        assert!(harness.query_by_label("09:00:00 line 9999").is_some());
        assert!(harness.query_all_by_label_contains("09:00:00").count() < 20);
        harness.state_mut().0.extend(many(10_001).pop());
        harness.run();
        assert!(harness.query_by_label("09:00:00 line 10000").is_some());
    }

    #[test]
    fn a_click_unfolds_and_the_text_can_be_copied() {
        let mut harness = shown(sample_lines());
        harness.get_by_label_contains("12 images").click();
        harness.run();
        assert_eq!(harness.state().1.unfolded, Some(1));
        harness.get_by_label("Copy the message").click();
        harness.step();
        let copied = harness
            .output()
            .platform_output
            .commands
            .iter()
            .any(|command| matches!(command, egui::OutputCommand::CopyText(text) if text.contains("scan_0112")));
        assert!(copied);
        harness.run();
        harness.get_by_label_contains("09:41:30").click();
        harness.run();
        assert_eq!(harness.state().1.unfolded, None);
    }

    #[test]
    fn levels_can_be_hidden() {
        let mut harness = shown(sample_lines());
        harness.get_by_label("Warnings").click();
        harness.run();
        assert!(harness.query_by_label_contains("12 images").is_none());
        assert!(harness.query_by_label_contains("disk is full").is_some());
    }
}
