//! Whose attention is looked at: a run, one of its checkpoints, and perhaps another one beside it; and which image.

use std::path::PathBuf;

use egui::{Align, Align2, Layout, Pos2, Rect, Sense, Stroke, StrokeKind, TextStyle, Ui, Vec2, WidgetInfo};
use maskroom_core::dataset::Dataset;
use maskroom_widgets::format::count;
use maskroom_widgets::{Button, ElidedLabel, Role, Tokens, icon};

use super::export::{self, Wish};
use crate::studio::ask::Ask;
use crate::studio::attention_choice::{Checkpoint, WeightsChoice};
use crate::studio::desk::Desk;
use crate::studio::panels::controls::menu;
use crate::studio::runs::Run;
use crate::studio::shelf::Thumbnail;

/// Which weights of the selected run.
#[derive(Default)]
pub struct Source {
    /// The run that the choices below are about.
    run: PathBuf,
    /// The weights.
    pub checkpoint: Checkpoint,
    /// Others beside them.
    pub compared: Option<Checkpoint>,
}

impl Source {
    /// Begins anew when another run is selected.
    pub fn follow(&mut self, run: &Run) {
        if self.run != run.folder.root {
            *self = Self { run: run.folder.root.clone(), ..Self::default() };
        }
    }

    /// What the explorer is asked.
    pub fn weights(&self) -> Vec<WeightsChoice> {
        let choice = |checkpoint| WeightsChoice { run: self.run.clone(), checkpoint };
        std::iter::once(self.checkpoint).chain(self.compared).map(choice).collect()
    }

    /// Whether a newer checkpoint changes what is shown.
    pub fn follows_latest(&self) -> bool {
        self.checkpoint == Checkpoint::Latest || self.compared == Some(Checkpoint::Latest)
    }
}

/// Run, checkpoint, comparison, and the way out of the window for what `can_export`. `on_disk` are the steps of checkpoints, as far as they
/// are known.
pub fn show(ui: &mut Ui, desk: Desk<'_>, run: &Run, source: &mut Source, on_disk: &[u64], can_export: bool) -> Option<Wish> {
    let tokens = Tokens::of(ui);
    let mut wish = None;
    let steps = steps(on_disk, &run.view.checkpoints);
    ui.horizontal_wrapped(|ui| {
        let room = ui.available_width() - 3.0 * tokens.sizes.gap - tokens.sizes.row;
        let width = (room / 3.0).clamp(3.0 * tokens.sizes.row, 7.0 * tokens.sizes.row);
        menu(ui, "Run", &run.name(), width, |ui| {
            for other in desk.runs.list() {
                if ui.selectable_label(desk.runs.is_selected(&other.folder.root), other.name()).clicked() {
                    desk.ask(Ask::SelectRun(other.folder.root.clone()));
                }
            }
        });
        let words = words_of(source.checkpoint, &steps);
        menu(ui, "Weights", &words, width, |ui| checkpoints(ui, &mut source.checkpoint, &steps));
        match &mut source.compared {
            None => {
                let tip = "shows the same attention of other weights beside it";
                if Button::new("Compare").icon(icon::COMPARE).tooltip(tip).show(ui).clicked() {
                    source.compared = Some(Checkpoint::Untrained);
                }
            }
            Some(compared) => {
                let words = words_of(*compared, &steps);
                menu(ui, "Compared weights", &words, width, |ui| checkpoints(ui, compared, &steps));
                if Button::icon_only(icon::CLOSE, "Compare no longer").show(ui).clicked() {
                    source.compared = None;
                }
            }
        }
        if let (Checkpoint::Step(step), Some(&newest)) = (source.checkpoint, steps.last())
            && newest > step
            && Button::new(format!("Newer: step {}", count(newest)))
                .small()
                .tooltip("follows the latest checkpoint again")
                .show(ui)
                .clicked()
        {
            source.checkpoint = Checkpoint::Latest;
        }
        wish = export::button(ui, can_export);
    });
    wish
}

/// What lies on the disk, and what the run has written since it was looked at.
fn steps(on_disk: &[u64], told: &[u64]) -> Vec<u64> {
    let seen = on_disk.last().copied().unwrap_or(0);
    let mut steps: Vec<u64> = on_disk.iter().copied().chain(told.iter().copied().filter(|&step| step > seen)).collect();
    steps.dedup();
    steps
}

fn words_of(checkpoint: Checkpoint, steps: &[u64]) -> String {
    match checkpoint {
        Checkpoint::Latest => steps.last().map_or_else(|| "Latest".to_owned(), |&step| format!("Latest, step {}", count(step))),
        Checkpoint::Step(step) => format!("Step {}", count(step)),
        Checkpoint::Untrained => "Untrained".to_owned(),
    }
}

fn checkpoints(ui: &mut Ui, chosen: &mut Checkpoint, steps: &[u64]) {
    let all = [Checkpoint::Latest, Checkpoint::Untrained].into_iter().chain(steps.iter().rev().map(|&step| Checkpoint::Step(step)));
    for checkpoint in all {
        if ui.selectable_label(*chosen == checkpoint, words_of(checkpoint, steps)).clicked() {
            *chosen = checkpoint;
        }
    }
}

/// The images around the selected one, small, to go from one to the next.
pub fn images(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset) {
    let (tokens, selected, num_images) = (Tokens::of(ui), desk.project.selected(), dataset.items.len());
    let cell = 2.0 * tokens.sizes.row_small;
    let row = Vec2::new(ui.available_width(), cell);
    ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = tokens.sizes.gap_small;
        let before = Button::icon_only(icon::CHEVRON_LEFT, "Previous image").enabled(selected > 0).show(ui);
        if before.clicked() {
            desk.ask(Ask::SelectImage(selected - 1));
        }
        let room = ui.available_width() - tokens.sizes.row - tokens.sizes.gap_small;
        let fitting = ((room / (cell + tokens.sizes.gap_small)) as usize).max(1);
        let first = selected.saturating_sub(fitting / 2).min(num_images.saturating_sub(fitting));
        let visible = first..(first + fitting).min(num_images);
        desk.project.shelf().show_first(visible.clone());
        for index in visible {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(cell), Sense::click());
            let name = &dataset.items[index].name;
            response.widget_info(|| WidgetInfo::selected(egui::Role::ListBoxOption, ui.is_enabled(), index == selected, name));
            paint_thumbnail(ui, rect, &desk.project.shelf().thumbnail(index));
            let painter = ui.painter();
            if response.hovered() {
                painter.rect_filled(rect, tokens.sizes.radius, tokens.hover_fill);
            }
            if index == selected || response.has_focus() {
                let color = if response.has_focus() { tokens.focus_ring } else { tokens.accent };
                painter.rect_stroke(rect, tokens.sizes.radius, Stroke::new(tokens.sizes.focus_ring, color), StrokeKind::Inside);
            }
            if response.clicked() {
                desk.ask(Ask::SelectImage(index));
            }
            response.on_hover_text(name);
        }
        let after = Button::icon_only(icon::CHEVRON_RIGHT, "Next image").enabled(selected + 1 < num_images).show(ui);
        if after.clicked() {
            desk.ask(Ask::SelectImage(selected + 1));
        }
    });
    if let Some(item) = dataset.items.get(selected) {
        ElidedLabel::new(&item.name).style(TextStyle::Small).role(Role::TextMuted).keep_end().show(ui);
    }
}

fn paint_thumbnail(ui: &Ui, cell: Rect, thumbnail: &Thumbnail) {
    let (painter, tokens) = (ui.painter(), Tokens::of(ui));
    if let Thumbnail::Ready(texture) = thumbnail {
        let size = texture.size_vec2().max(Vec2::splat(1.0));
        let rect = Align2::CENTER_CENTER.align_size_within_rect(size * (cell.size() / size).min_elem(), cell);
        let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        painter.image(texture.id(), rect, whole, egui::ImageOptions::default().tint);
    } else {
        painter.rect_filled(cell, tokens.sizes.radius, tokens.surface_field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_that_were_thinned_out_are_not_offered_and_new_ones_are() {
        assert_eq!(steps(&[], &[100, 200]), [100, 200]);
        assert_eq!(steps(&[200, 300], &[100, 200, 300, 400]), [200, 300, 400]);
        assert_eq!(words_of(Checkpoint::Latest, &[1200]), "Latest, step 1,200");
    }
}
