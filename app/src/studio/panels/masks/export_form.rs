//! Exporting the accepted masks: the same exporters as the command line's, each read back and compared before it is called done.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use egui::{RichText, Ui};
use maskroom_core::dataset::Dataset;
use maskroom_core::export::{EXPORTERS, ExportReport, Exports, Rle};
use maskroom_core::segment::folder::image_masks;
use maskroom_widgets::modal::Dialog;
use maskroom_widgets::{Button, Tokens};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::dialogs::{Kind, PathSlot, Question};
use crate::studio::job::{Job, JobProgress};

/// What is chosen in the form.
pub struct ExportForm {
    formats: Vec<bool>,
    category: String,
    split: bool,
    folder: Option<PathBuf>,
    slot: PathSlot,
}

/// What is to be written.
pub struct ExportOrder {
    formats: Vec<&'static str>,
    category: String,
    split: bool,
    /// Where to.
    pub folder: PathBuf,
}

impl Default for ExportForm {
    fn default() -> Self {
        Self { formats: vec![true; EXPORTERS.len()], category: "object".into(), split: false, folder: None, slot: PathSlot::default() }
    }
}

impl ExportForm {
    /// Draws the form for so many masks. `Some(None)` when it is closed, `Some(Some(order))` when the person wants it done.
    pub fn show(&mut self, ui: &Ui, desk: Desk<'_>, count: usize) -> Option<Option<ExportOrder>> {
        if let Some(folder) = self.slot.take() {
            self.folder = Some(folder);
        }
        let mut order = None;
        let response = Dialog::new("Export masks").width(520.0).show(ui.ctx(), |ui| order = self.contents(ui, desk, count));
        match order {
            Some(order) => Some(Some(order)),
            None => response.closed.then_some(None),
        }
    }

    fn contents(&mut self, ui: &mut Ui, desk: Desk<'_>, count: usize) -> Option<ExportOrder> {
        let tokens = Tokens::of(ui);
        let muted = |text: &str| RichText::new(text.to_owned()).color(tokens.text_muted);
        ui.label(muted(&format!(
            "{} accepted masks, each read back and compared after it is written",
            maskroom_widgets::format::count(count as u64)
        )));
        ui.add_space(tokens.sizes.gap);
        for (entry, chosen) in EXPORTERS.iter().zip(&mut self.formats) {
            ui.horizontal(|ui| {
                maskroom_widgets::switch::Switch::new(entry.name).show(ui, chosen);
                ui.label(RichText::new(entry.name).strong());
                ui.add(egui::Label::new(muted(entry.summary)).truncate());
            });
        }
        ui.add_space(tokens.sizes.gap);
        ui.horizontal(|ui| {
            ui.label(muted("What is masked"));
            let field = ui.add(egui::TextEdit::singleline(&mut self.category).desired_width(160.0));
            field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "What is masked"));
        });
        ui.horizontal(|ui| {
            maskroom_widgets::switch::Switch::new("Every connected part is an object of its own").show(ui, &mut self.split);
            ui.label(muted("Every connected part is an object of its own"));
        });
        ui.horizontal(|ui| {
            if Button::new("Folder…").icon(maskroom_widgets::icon::FOLDER_OPEN).show(ui).clicked() {
                let question =
                    Question { title: "Export masks into".into(), folder: desk.project.path().map(Into::into), ..Question::default() };
                desk.ask(Ask::Path(Kind::Folder, question, self.slot.clone()));
            }
            let words = self.folder.as_ref().map_or_else(|| "no folder chosen".to_owned(), |folder| folder.display().to_string());
            ui.add(egui::Label::new(muted(&words)).truncate()).on_hover_text(words);
        });
        let formats: Vec<&'static str> =
            EXPORTERS.iter().zip(&self.formats).filter(|(_, chosen)| **chosen).map(|(entry, _)| entry.name).collect();
        let problem = match &self.folder {
            _ if formats.is_empty() => Some("choose a format"),
            _ if self.category.trim().is_empty() => Some("name what is masked"),
            None => Some("choose a folder"),
            Some(folder) if desk.project.path().is_some_and(|data| folder.starts_with(data)) => {
                Some("this folder lies inside the images: masks in it would be images the next time")
            }
            Some(_) => None,
        };
        ui.add_space(tokens.sizes.gap);
        let mut order = None;
        ui.horizontal(|ui| {
            let clicked = Button::new("Export").primary().enabled(problem.is_none()).show(ui).clicked();
            if let Some(problem) = problem {
                ui.label(muted(problem));
            }
            if let Some(folder) = self.folder.clone().filter(|_| clicked) {
                order = Some(ExportOrder { formats, category: self.category.trim().to_owned(), split: self.split, folder });
            }
        });
        order
    }
}

/// Writes the masks on a thread of its own.
pub fn start(order: ExportOrder, dataset: Arc<Dataset>, masks: Vec<(usize, Rle)>, context: &egui::Context) -> Job<Vec<ExportReport>> {
    Job::start("exporting masks", context, move |progress| write(&order, &dataset, &masks, progress))
}

fn write(order: &ExportOrder, dataset: &Dataset, masks: &[(usize, Rle)], progress: &JobProgress) -> Result<Vec<ExportReport>> {
    let mut exports = Exports::begin(&order.formats, &order.folder, std::slice::from_ref(&order.category))?;
    for (done, (sample, mask)) in masks.iter().enumerate() {
        if progress.is_cancelled() {
            bail!("the export was cancelled; {} holds a part of it", order.folder.display());
        }
        exports.add(&image_masks(dataset.items[*sample].mask_name(), mask.size(), mask.to_mask(), order.split))?;
        progress.set(done + 1, masks.len());
    }
    let reports = exports.finish()?;
    if let Some(report) = reports.iter().find(|report| !report.exact) {
        bail!("{} did not read back as it was written: the disk or the folder is at fault; export again elsewhere", report.path.display());
    }
    Ok(reports)
}
