//! Weights out of the window: how they are to be written, how far that is, and what was verified of them.

use std::path::PathBuf;

use egui::{Context, Label, RichText, Spinner, Ui};
use maskroom_core::weights::export::{Exported, Format};
use maskroom_core::weights::model_file::WeightsKind;
use maskroom_core::weights::precision::Precision;
use maskroom_widgets::modal::Dialog;
use maskroom_widgets::{Banner, Button, ElidedLabel, Field, Role, Tokens, Tone, icon};

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::dialogs::{Kind, PathSlot, Question};
use crate::studio::imported::WEIGHTS_ENDINGS;
use crate::studio::job::Job;
use crate::studio::weights_out::{self, FORMATS, Order};

/// The form, the work, and the result.
#[derive(Default)]
pub struct WeightsExport {
    form: Option<Form>,
    /// Goes on when its dialog is closed.
    writing: Option<(Order, Job<Exported>)>,
    written: Option<(Order, Exported)>,
    /// Whether the dialog of what is being written was closed: then a message alone tells how it went.
    is_hidden: bool,
}

/// What is chosen in the form.
struct Form {
    weights: PathBuf,
    name: String,
    format: Format,
    precision: Precision,
    kind: WeightsKind,
    licence: String,
    folder: Option<PathBuf>,
    slot: PathSlot,
    is_focused: bool,
}

const WIDTH: f32 = 520.0;
const KINDS: [(WeightsKind, &str); 2] = [(WeightsKind::Best, "Average"), (WeightsKind::Raw, "Trained")];

impl WeightsExport {
    /// Opens the form for the weights of a run, a file or a folder.
    pub fn open(&mut self, weights: PathBuf, name: String) {
        (self.written, self.form) = (None, Some(Form::new(weights, name)));
    }

    /// Draws what is open, and takes what has been written.
    pub fn show(&mut self, context: &Context, desk: Desk<'_>) {
        self.receive(desk);
        if let Some(form) = &mut self.form {
            let is_busy = self.writing.is_some();
            let (order, closed) = form.show(context, desk, is_busy);
            if let Some(order) = order {
                self.writing = Some((order.clone(), weights_out::start(order, context)));
                (self.form, self.is_hidden) = (None, false);
            } else if closed {
                self.form = None;
            }
        } else if let Some((order, exported)) = &self.written {
            if result(context, desk, order, exported) {
                self.written = None;
            }
        } else if let Some((order, _)) = self.writing.as_ref().filter(|_| !self.is_hidden) {
            self.is_hidden = progress(context, order);
        }
    }

    fn receive(&mut self, desk: Desk<'_>) {
        let Some(outcome) = self.writing.as_ref().and_then(|(_, job)| job.poll()) else { return };
        let Some((order, _)) = self.writing.take() else { return };
        match outcome {
            Ok(exported) => {
                desk.ask(Ask::Tell(Tone::Good, weights_out::in_words(&order, &exported)));
                self.written = Some((order, exported)).filter(|_| !self.is_hidden);
            }
            Err(error) => desk.ask(Ask::Tell(Tone::Bad, crate::cli::in_words(&error))),
        }
    }
}

impl Form {
    fn new(weights: PathBuf, name: String) -> Self {
        Self {
            weights,
            name,
            format: FORMATS[0].0,
            precision: Precision::default(),
            kind: WeightsKind::default(),
            licence: String::new(),
            folder: None,
            slot: PathSlot::default(),
            is_focused: false,
        }
    }

    /// The order, once the person has given it, and whether the form was closed.
    fn show(&mut self, context: &Context, desk: Desk<'_>, is_busy: bool) -> (Option<Order>, bool) {
        if let Some(folder) = self.slot.take() {
            self.folder = Some(folder);
        }
        let response = Dialog::new("Export weights").width(WIDTH).show(context, |ui| self.contents(ui, desk, is_busy));
        (response.inner, response.closed)
    }

    fn contents(&mut self, ui: &mut Ui, desk: Desk<'_>, is_busy: bool) -> Option<Order> {
        let tokens = Tokens::of(ui);
        muted(ui, &format!("{}, read back and compared after they are written", self.name));
        ui.add_space(tokens.sizes.gap);
        let about = FORMATS.iter().find(|(format, ..)| *format == self.format).map_or("", |(.., about)| *about);
        let format = choice(ui, Field::new("Format").doc(about), self.format, &FORMATS.map(|(format, name, ..)| (format, name)));
        self.format = format;
        muted(ui, about);
        let field = Field::new("Numbers").doc("f16 and bf16 take half the room and are less precise; training wants f32");
        self.precision = choice(ui, field, self.precision, &Precision::ALL.map(|precision| (precision, precision.name())));
        let field = Field::new("Weights").doc("The running average where there is one, or the weights as they were trained");
        self.kind = choice(ui, field, self.kind, &KINDS);
        let field = Field::new("Licence").doc("What the model card says of it; yours to decide").hint("not stated, or such as CC-BY-4.0");
        field.text(ui, &mut self.licence);
        let to = self.target();
        ui.horizontal(|ui| {
            let button = Button::new("Folder…").icon(icon::FOLDER_OPEN).show(ui);
            if !std::mem::replace(&mut self.is_focused, true) {
                button.request_focus();
            }
            if button.clicked() {
                let question = Question { title: "Export weights into".into(), ..Question::default() };
                desk.ask(Ask::Path(Kind::Folder, question, self.slot.clone()));
            }
            let words = to.as_ref().map_or_else(|| "No folder chosen".to_owned(), |to| format!("Into {}", to.display()));
            ElidedLabel::new(&words).role(Role::TextMuted).keep_end().show(ui);
        });
        ui.add_space(tokens.sizes.gap);
        let problem = match &to {
            _ if is_busy => Some("Other weights are being exported"),
            None => Some("Choose a folder"),
            Some(to) if desk.project.path().is_some_and(|data| to.starts_with(data)) => {
                Some("This folder lies inside the images: choose one beside them")
            }
            Some(_) => None,
        };
        let mut is_wanted = false;
        ui.horizontal(|ui| {
            is_wanted = Button::new("Export").primary().enabled(problem.is_none()).show(ui).clicked();
            if let Some(problem) = problem {
                ElidedLabel::new(problem).role(Role::TextMuted).show(ui);
            }
        });
        let to = to.filter(|_| is_wanted)?;
        let Self { weights, format, precision, kind, licence, .. } = self;
        Some(Order { weights: weights.clone(), to, format: *format, precision: *precision, kind: *kind, licence: licence.clone() })
    }

    /// A folder of their own in the chosen one: several exports lie beside each other, and nothing is written over.
    fn target(&self) -> Option<PathBuf> {
        let ending = FORMATS.iter().find(|(format, ..)| *format == self.format).map_or("", |(_, _, ending, _)| *ending);
        let plain = |letter: char| if letter.is_alphanumeric() || "._-".contains(letter) { letter } else { '-' };
        let endings = WEIGHTS_ENDINGS.iter().filter_map(|ending| self.name.strip_suffix(ending)?.strip_suffix('.'));
        let stem = endings.min_by_key(|stem| stem.len()).unwrap_or(&self.name);
        let name: String = stem.chars().map(plain).collect();
        self.folder.as_ref().map(|folder| folder.join(format!("{name}-{ending}")))
    }
}

/// What was written; true when the person has seen it.
fn result(context: &Context, desk: Desk<'_>, order: &Order, exported: &Exported) -> bool {
    let response = Dialog::new("Weights exported").width(WIDTH).show(context, |ui| {
        let tokens = Tokens::of(ui);
        let title = if exported.largest_difference.is_some() { "Read back and compared" } else { "Written" };
        Banner::new(Tone::Good, title).body(&weights_out::in_words(order, exported)).show(ui);
        ui.add_space(tokens.sizes.gap);
        for file in &exported.files {
            ElidedLabel::new(&file.display().to_string()).role(Role::TextMuted).keep_end().show(ui);
        }
        exported.notes.iter().for_each(|note| muted(ui, note));
        ui.add_space(tokens.sizes.gap);
        if Button::new("Show in folder").icon(icon::FOLDER_OPEN).primary().show(ui).clicked() {
            desk.ask(Ask::Reveal(exported.files.first().unwrap_or(&order.to).clone()));
        }
    });
    response.closed
}

/// What is being written; true when the person does not want to watch.
fn progress(context: &Context, order: &Order) -> bool {
    let response = Dialog::new("Exporting weights").width(WIDTH).show(context, |ui| {
        let tokens = Tokens::of(ui);
        ui.horizontal(|ui| {
            ui.add(Spinner::new().size(tokens.sizes.icon).color(tokens.accent));
            ElidedLabel::new(&format!("Into {}", order.to.display())).keep_end().show(ui);
        });
        ui.add_space(tokens.sizes.gap);
        muted(ui, "They are read back and compared when they are written. This goes on when the dialog is closed");
    });
    response.closed
}

fn choice<T: Copy + PartialEq, const N: usize>(ui: &mut Ui, field: Field<'_>, value: T, all: &[(T, &str); N]) -> T {
    let mut chosen = all.iter().find(|(known, _)| *known == value).map_or("", |(_, name)| *name).to_owned();
    field.choice(ui, &mut chosen, &all.map(|(_, name)| name));
    all.iter().find(|(_, name)| *name == chosen).map_or(value, |(known, _)| *known)
}

fn muted(ui: &mut Ui, words: &str) {
    let color = Tokens::of(ui).text_muted;
    ui.add(Label::new(RichText::new(words).color(color)).wrap());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_export_has_a_folder_of_its_own() {
        let target = |name: &str| {
            let form = Form { folder: Some("/out".into()), ..Form::new("/weights".into(), name.into()) };
            form.target().unwrap()
        };
        assert_eq!(target("mae_full.pth"), PathBuf::from("/out/mae_full-timm"));
        assert_eq!(target("moco_v3.pth.tar"), PathBuf::from("/out/moco_v3-timm"));
        assert_eq!(target("tonight / again"), PathBuf::from("/out/tonight---again-timm"));
        assert_eq!(Form::new("/weights".into(), "a.pth".into()).target(), None);
    }
}
