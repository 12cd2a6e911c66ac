//! The health of the folder: every image is read once, and what was found is told in words first.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{ScrollArea, Ui};
use maskroom_core::dataset::Dataset;
use maskroom_core::dataset::health::{Health, inspect};
use maskroom_widgets::progress::Progress;
use maskroom_widgets::{Button, EmptyState, Tokens, format, icon};

use super::findings::{self, Folds};
use crate::studio::desk::Desk;
use crate::studio::job::Job;

/// The check, under way or done.
#[derive(Default)]
pub(super) struct HealthView {
    state: State,
    folds: Folds,
}

#[derive(Default)]
enum State {
    /// Not asked for yet.
    #[default]
    Unknown,
    Checking(Job<Report>, bool),
    Done(Box<Report>),
    Failed(String),
}

/// What was found, and where the images named in it are.
pub(super) struct Report {
    pub(super) health: Health,
    pub(super) index_of: HashMap<String, usize>,
}

/// So few images are checked without being asked.
const SMALL: usize = 2000;

impl HealthView {
    /// Fills the room that is left. Returns the image that is to be opened.
    pub(super) fn ui(&mut self, ui: &mut Ui, desk: Desk<'_>, dataset: &Arc<Dataset>) -> Option<usize> {
        self.receive();
        if matches!(self.state, State::Unknown) && dataset.items.len() <= SMALL {
            self.begin(ui, dataset);
        }
        match &mut self.state {
            State::Unknown => {
                let hint =
                    format!("Reads all {} images once, and finds what is broken or there twice", format::count(dataset.items.len() as u64));
                self.offer(ui, dataset, "Not checked yet", &hint);
            }
            State::Failed(reason) => {
                let reason = reason.clone();
                self.offer(ui, dataset, "The check failed", &reason);
            }
            State::Checking(job, is_canceled) => {
                let (done, total) = job.done_of();
                let progress = Progress::new(done, total.max(dataset.items.len() as u64)).label("Reading every image").cancel(is_canceled);
                match job.eta_secs() {
                    Some(secs) => progress.eta_secs(secs).show(ui),
                    None => progress.show(ui),
                };
                if *is_canceled {
                    job.cancel();
                }
            }
            State::Done(report) => {
                let mut opened = None;
                let mut is_again = false;
                let scroll = ScrollArea::vertical().id_salt("health").auto_shrink(false);
                scroll.show(ui, |ui| {
                    // The scroll bar must not lie on numbers at the right.
                    ui.set_max_width(ui.available_width() - Tokens::of(ui).sizes.gap);
                    is_again = findings::summary(ui, desk, dataset, report);
                    opened = findings::sections(ui, desk, dataset, report, &mut self.folds);
                });
                if is_again {
                    self.begin(ui, dataset);
                }
                return opened;
            }
        }
        None
    }

    fn offer(&mut self, ui: &mut Ui, dataset: &Arc<Dataset>, title: &str, hint: &str) {
        let mut is_asked = false;
        EmptyState::new(icon::DATASET, title, hint).show_with_actions(ui, |ui| {
            is_asked = Button::new("Check the images").icon(icon::PLAY).primary().show(ui).clicked();
        });
        if is_asked {
            self.begin(ui, dataset);
        }
    }

    fn begin(&mut self, ui: &Ui, dataset: &Arc<Dataset>) {
        let dataset = Arc::clone(dataset);
        let job = Job::start("health check", ui.ctx(), move |progress| {
            let health = inspect(&dataset, &|done, all| progress.set(done, all), &progress.cancelled);
            Ok(Report::of(&dataset, health))
        });
        self.state = State::Checking(job, false);
    }

    fn receive(&mut self) {
        if let State::Checking(job, _) = &self.state {
            match job.poll() {
                None => {}
                Some(Ok(report)) => self.state = State::Done(Box::new(report)),
                Some(Err(error)) => self.state = State::Failed(crate::cli::in_words(&error)),
            }
        }
    }
}

impl Report {
    pub(super) fn of(dataset: &Dataset, health: Health) -> Self {
        let groups = health.duplicates.iter().chain(&health.near_duplicates).flatten();
        let named: std::collections::HashSet<&str> =
            groups.map(String::as_str).chain(health.unreadable.iter().map(|file| file.path.as_str())).collect();
        let items = dataset.items.iter().enumerate().filter(|(_, item)| named.contains(item.name.as_str()));
        let index_of = items.map(|(index, item)| (item.name.clone(), index)).collect();
        Self { health, index_of }
    }

    /// How many files repeat an earlier one byte for byte.
    pub(super) fn num_copies(&self) -> usize {
        self.health.duplicates.iter().map(|group| group.len() - 1).sum()
    }
}
