//! A file on its way out of the window: the person says where to, it is written on a thread, and a toast tells how that went.

use std::path::Path;

use anyhow::Result;
use egui::Context;
use maskroom_widgets::Tone;

use crate::studio::ask::Ask;
use crate::studio::desk::Desk;
use crate::studio::dialogs::{Kind, PathSlot, Question};
use crate::studio::job::Job;

type Write = Box<dyn FnOnce(&Path) -> Result<()> + Send>;

/// At most one file that is asked about, and one that is being written.
#[derive(Default)]
pub struct SaveAs {
    asked: Option<(PathSlot, Write)>,
    writing: Option<Job<String>>,
}

impl SaveAs {
    /// Asks where to; `name` is proposed. `filter` is what such files are called, and their extension.
    pub fn ask(
        &mut self,
        desk: Desk<'_>,
        title: &str,
        name: &str,
        filter: (&str, &str),
        write: impl FnOnce(&Path) -> Result<()> + Send + 'static,
    ) {
        let (kind, extension) = filter;
        let slot = PathSlot::default();
        let name = format!("{}.{extension}", name.replace(['/', '\\'], "-"));
        let filter = Some((kind.to_owned(), vec![extension.to_owned()]));
        desk.ask(Ask::Path(Kind::Save, Question { title: title.to_owned(), folder: None, name, filter }, slot.clone()));
        self.asked = Some((slot, Box::new(write)));
    }

    /// Takes the next step of what is under way; to be called in each frame.
    pub fn go_on(&mut self, context: &Context, desk: Desk<'_>) {
        if let Some(path) = self.asked.as_ref().and_then(|(slot, _)| slot.take())
            && let Some((_, write)) = self.asked.take()
        {
            self.writing = Some(Job::start("exporting", context, move |_| {
                write(&path)?;
                Ok(format!("the export is in {}", path.display()))
            }));
        }
        match self.writing.as_ref().and_then(Job::poll) {
            None => return,
            Some(Ok(words)) => desk.ask(Ask::Tell(Tone::Good, words)),
            Some(Err(error)) => desk.ask(Ask::Tell(Tone::Bad, crate::cli::in_words(&error))),
        }
        self.writing = None;
    }
}
