//! What the check of a folder found: first in words with what to do, then in numbers, lists and pictures.

use egui::{Grid, Sense, TextStyle, Ui, WidgetInfo, vec2};
use maskroom_core::dataset::Dataset;
use maskroom_core::dataset::health::Health;
use maskroom_widgets::histogram::BarList;
use maskroom_widgets::{Banner, Button, ElidedLabel, Role, Section, Stat, Tokens, Tone, fonts, format};

use super::duplicates;
use super::filter::split_name;
use super::health::Report;
use super::image_facts::{fact, samples_in_words};
use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::draft::Edit;

/// Which sections are open.
pub(super) struct Folds {
    unreadable: bool,
    copies: bool,
    alike: bool,
    sizes: bool,
    kinds: bool,
    classes: bool,
    splits: bool,
    statistics: bool,
}

impl Default for Folds {
    fn default() -> Self {
        Self { unreadable: true, copies: true, alike: true, sizes: true, kinds: true, classes: true, splits: true, statistics: true }
    }
}

/// Longer lists end here: what is wrong with so many files is no longer read one by one.
const MAX_ROWS: usize = 200;

/// The banner and the numbers. Returns whether to check again.
pub(super) fn summary(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, report: &Report) -> bool {
    let health = &report.health;
    let (num_copies, num_broken) = (report.num_copies(), health.unreadable.len());
    let leaves_out = desk.draft.recipe().data.exclude_duplicates;
    let mut is_again = false;
    if !health.complete {
        let title =
            format!("The check was canceled after {} of {}", images(health.images + num_broken), format::count(dataset.items.len() as u64));
        let again = |ui: &mut Ui| is_again = Button::new("Check all images").show(ui).clicked();
        Banner::new(Tone::Info, &title).body("What follows is true of these").show_with_actions(ui, again);
    } else if health.images == 0 {
        Banner::new(Tone::Bad, "Not one image can be read").body("The reasons are below").show(ui);
    } else if num_broken == 0 && (num_copies == 0 || leaves_out) {
        let body = if num_copies == 0 { "No file is there twice" } else { "The recipe leaves out the files that are there twice" };
        Banner::new(Tone::Good, "Every image can be read").body(body).show(ui);
    }
    if num_broken > 0 && health.images > 0 {
        let title = format!(
            "{} cannot be read",
            if num_broken == 1 { "1 file".into() } else { format!("{} files", format::count(num_broken as u64)) }
        );
        Banner::new(Tone::Warning, &title).body("Training leaves them out by itself. Repair or replace them to train on all").show(ui);
    }
    if num_copies > 0 && !leaves_out {
        let title = if num_copies == 1 {
            "1 file is a copy of another".to_owned()
        } else {
            format!("{} files are copies of others", format::count(num_copies as u64))
        };
        let leave_out = |ui: &mut Ui| {
            if Button::new("Leave copies out of training").show(ui).clicked() {
                desk.ask(Edit::Set { path: "data.exclude_duplicates".into(), value: true.into() });
            }
        };
        let body = "They count twice in training, and may be trained on and validated on at once";
        Banner::new(Tone::Warning, &title).body(body).show_with_actions(ui, leave_out);
    }
    ui.horizontal_wrapped(|ui| {
        let stat = |ui: &mut Ui, label: &str, number: usize, is_bad: bool| {
            let value = format::count(number as u64);
            // Four of them fit into a narrow panel.
            let stat = Stat::new(label, &value).min_width(76.0);
            if is_bad && number > 0 {
                stat.role(Role::Warning).show(ui)
            } else {
                stat.show(ui)
            };
        };
        stat(ui, "Readable", health.images, false);
        stat(ui, "Unreadable", num_broken, true);
        stat(ui, "Copies", num_copies, !leaves_out);
        stat(ui, "Look-alikes", health.near_duplicates.iter().map(Vec::len).sum(), false);
    });
    is_again
}

/// Everything in detail. Returns the image that is to be opened.
pub(super) fn sections(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, report: &Report, folds: &mut Folds) -> Option<usize> {
    let health = &report.health;
    if !health.unreadable.is_empty() {
        let note = format::count(health.unreadable.len() as u64);
        space(ui);
        Section::new("Unreadable").note(&note).collapsible(&mut folds.unreadable).show(ui, |ui| {
            ui.scope(|ui| unreadable(ui, desk, dataset, report));
        });
    }
    let mut opened = None;
    if !health.duplicates.is_empty() {
        space(ui);
        let section = Section::new("Copies").note("equal byte for byte").collapsible(&mut folds.copies);
        opened = section.show(ui, |ui| duplicates::groups(ui, desk, &health.duplicates, &report.index_of)).flatten();
    }
    if !health.near_duplicates.is_empty() {
        space(ui);
        let section = Section::new("Look-alikes").note("such as copies in another size or format").collapsible(&mut folds.alike);
        opened = opened.or(section.show(ui, |ui| duplicates::groups(ui, desk, &health.near_duplicates, &report.index_of)).flatten());
    }
    sizes(ui, health, folds);
    kinds(ui, health, folds);
    if !health.classes.is_empty() {
        let note = format::count(health.classes.len() as u64);
        space(ui);
        Section::new("Classes").note(&note).collapsible(&mut folds.classes).show(ui, |ui| {
            let bars: Vec<(&str, u64)> = health.classes.iter().map(|(name, count)| (name.as_str(), *count as u64)).collect();
            BarList::new(&bars).max_rows(40).show(ui);
        });
    }
    if !health.splits.is_empty() {
        space(ui);
        Section::new("Splits").collapsible(&mut folds.splits).show(ui, |ui| {
            let bars: Vec<(&str, u64)> = health.splits.iter().map(|(split, count)| (split_name(*split), *count as u64)).collect();
            BarList::new(&bars).show(ui);
        });
    }
    statistics(ui, health, folds);
    opened
}

/// A file and its reason in each row; a click shows the file in its folder.
fn unreadable(ui: &mut Ui, desk: Desk<'_>, dataset: &Dataset, report: &Report) {
    let tokens = Tokens::of(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    for file in report.health.unreadable.iter().take(MAX_ROWS) {
        let path = report.index_of.get(&file.path).and_then(|&index| dataset.file(index));
        let sense = if path.is_some() { Sense::click() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), tokens.sizes.row + 2.0 * tokens.sizes.gap), sense);
        let role = if path.is_some() { egui::Role::Button } else { egui::Role::Label };
        response.widget_info(|| WidgetInfo::labeled(role, true, format!("{}, {}", file.path, file.reason)));
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, tokens.sizes.radius, tokens.hover_fill);
        }
        let inside = rect.shrink2(vec2(tokens.sizes.gap_small, 2.0));
        let mut lines = ui.new_child(egui::UiBuilder::new().max_rect(inside));
        lines.spacing_mut().item_spacing.y = 0.0;
        ElidedLabel::new(&file.path).keep_end().show(&mut lines);
        ElidedLabel::new(&file.reason).style(TextStyle::Small).role(Role::TextMuted).show(&mut lines);
        if let (Some(path), true) = (path, response.clicked()) {
            desk.ask(Ask::Reveal(path.to_path_buf()));
        }
        if path.is_some() {
            response.on_hover_text("Show in folder");
        }
    }
    more(ui, report.health.unreadable.len().saturating_sub(MAX_ROWS));
}

/// How many more there are than are shown.
pub(super) fn more(ui: &mut Ui, num_more: usize) {
    if num_more > 0 {
        let text = format!("and {} more", format::count(num_more as u64));
        ElidedLabel::new(&text).style(TextStyle::Small).role(Role::TextMuted).show(ui);
    }
}

fn sizes(ui: &mut Ui, health: &Health, folds: &mut Folds) {
    let Some(sizes) = &health.sizes else { return };
    space(ui);
    Section::new("Sizes").note("width × height").collapsible(&mut folds.sizes).show(ui, |ui| {
        let write = |[height, width]: [usize; 2]| format!("{width} × {height} px");
        if sizes.min == sizes.max {
            fact(ui, "All", &write(sizes.min));
            return;
        }
        // Heights and widths are taken by themselves: these need not be sizes of any one image.
        for (name, size) in [("Smallest", sizes.min), ("Median", sizes.median), ("Largest", sizes.max)] {
            fact(ui, name, &write(size));
        }
        ElidedLabel::new("Shorter side in px").style(TextStyle::Small).role(Role::TextMuted).show(ui);
        let name = |low: usize| format!("{} – {}", format::count(low as u64), format::count(2 * low as u64 - 1));
        let names: Vec<(String, u64)> = sizes.histogram.iter().map(|(low, count)| (name(*low), *count as u64)).collect();
        bars(ui, &names);
    });
}

fn kinds(ui: &mut Ui, health: &Health, folds: &mut Folds) {
    if health.channels.is_empty() {
        return;
    }
    space(ui);
    Section::new("Channels and samples").collapsible(&mut folds.kinds).show(ui, |ui| {
        let name = |channels: usize| if channels == 1 { "1 channel".to_owned() } else { format!("{channels} channels") };
        let channels: Vec<(String, u64)> = health.channels.iter().map(|(channels, count)| (name(*channels), *count as u64)).collect();
        let samples = health.bit_depths.iter().map(|(bits, count)| (samples_in_words(*bits).to_owned(), *count as u64));
        let samples: Vec<(String, u64)> = samples.collect();
        if let ([(channels, _)], [(samples, _)]) = (&channels[..], &samples[..]) {
            fact(ui, "All", &format!("{channels} of {samples}"));
            return;
        }
        bars(ui, &channels);
        ui.add_space(Tokens::of(ui).sizes.gap);
        bars(ui, &samples);
    });
}

/// Sections stand apart.
fn space(ui: &mut Ui) {
    ui.add_space(Tokens::of(ui).sizes.gap);
}

fn bars(ui: &mut Ui, named: &[(String, u64)]) {
    let bars: Vec<(&str, u64)> = named.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    BarList::new(&bars).show(ui);
}

/// Mean and deviation of each channel, which runs normalize by unless the recipe says otherwise.
fn statistics(ui: &mut Ui, health: &Health, folds: &mut Folds) {
    let Some(statistics) = &health.mean_std else { return };
    space(ui);
    Section::new("Mean and deviation").note("of pixels from 0 to 1").collapsible(&mut folds.statistics).show(ui, |ui| {
        let tokens = Tokens::of(ui);
        Grid::new("mean and deviation").spacing([tokens.sizes.gap_large, tokens.sizes.gap_small]).show(ui, |ui| {
            let head = |ui: &mut Ui, text: &str| ui.label(egui::RichText::new(text).text_style(TextStyle::Small).color(tokens.text_muted));
            ["Channel", "Mean", "Deviation"].iter().for_each(|text| drop(head(ui, text)));
            ui.end_row();
            for (channel, (mean, std)) in statistics.mean.iter().zip(&statistics.std).enumerate().take(MAX_ROWS) {
                for text in [channel.to_string(), format!("{mean:.4}"), format!("{std:.4}")] {
                    ui.label(egui::RichText::new(text).text_style(fonts::mono_small()));
                }
                ui.end_row();
            }
        });
    });
}

fn images(count: usize) -> String {
    format!("{} {}", format::count(count as u64), if count == 1 { "image" } else { "images" })
}
