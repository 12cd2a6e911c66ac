//! A label on one line: what has no room ends in an ellipsis, and the pointer shows all of it.

use egui::{Align, Response, Sense, TextStyle, Ui, WidgetInfo, vec2};

use crate::gallery::Exhibit;
use crate::one_line::{one_line, paint_line};
use crate::{Role, Tokens};

/// Text of any length in the room there is.
#[must_use = "nothing is drawn before `show`"]
pub struct ElidedLabel<'a> {
    text: &'a str,
    style: TextStyle,
    role: Role,
    keeps_end: bool,
}

impl<'a> ElidedLabel<'a> {
    /// A label in the style of text.
    pub fn new(text: &'a str) -> Self {
        Self { text, style: TextStyle::Body, role: Role::Text, keeps_end: false }
    }

    /// Another style of text.
    pub fn style(mut self, style: TextStyle) -> Self {
        self.style = style;
        self
    }

    /// Another color.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Leaves out the beginning rather than the end: for paths.
    pub fn keep_end(mut self) -> Self {
        self.keeps_end = true;
        self
    }

    /// Draws it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let Self { text, style, role, keeps_end } = self;
        let tokens = Tokens::of(ui);
        let font = style.resolve(ui.style());
        let room = ui.available_width();
        let layout = |ui: &Ui, text: &str, room: f32| one_line(ui.painter(), text, font.clone(), tokens.color(role), room);
        let mut line = layout(ui, text, room);
        let elided = line.elided;
        if elided && keeps_end {
            // The longest end that fits, found by halving.
            let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
            let fits = |start: &usize| layout(ui, &format!("…{}", &text[*start..]), f32::INFINITY).size().x <= room;
            let first = starts.partition_point(|start| !fits(start));
            line = layout(ui, &format!("…{}", starts.get(first).map_or("", |start| &text[*start..])), room);
        }
        let height = line.size().y.max(tokens.sizes.row_small);
        let (rect, response) = ui.allocate_exact_size(vec2(line.size().x, height), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, text));
        paint_line(ui.painter(), rect, Align::Min, line);
        if elided { response.on_hover_text(text) } else { response }
    }
}

pub(crate) const EXHIBITS: &[Exhibit] = &[Exhibit {
    name: "elided_label",
    size: vec2(200.0, 96.0),
    show: |ui| {
        ElidedLabel::new("Short").show(ui);
        ElidedLabel::new("A name that is longer than the room for it").show(ui);
        ElidedLabel::new("/home/pictures/scenes/runs/2026-11-24-mae").keep_end().role(Role::TextMuted).show(ui);
    },
}];
