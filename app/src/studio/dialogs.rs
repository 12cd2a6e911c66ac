//! Asking for paths. Native dialogs behind a trait, so that tests answer them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, bounded};
use egui::Context;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The dialog's title.
    pub title: String,
    /// Where to begin.
    pub folder: Option<PathBuf>,
    /// The name that is proposed, for saving.
    pub name: String,
    /// A filter by extension, such as `("Recipe", ["toml"])`.
    pub filter: Option<(String, Vec<String>)>,
}

/// The kinds of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder that exists.
    Folder,
    /// A file that exists.
    File,
    /// A file to write.
    Save,
}

/// Whoever knows how to ask a person for a path. The answer comes when it comes; the window goes on.
pub trait Dialogs {
    /// Asks. `None` in the answer means cancelled.
    fn ask(&self, kind: Kind, question: &Question, context: &Context) -> Answer;
}

/// A path that will come.
pub struct Answer(Receiver<Option<PathBuf>>);

impl Answer {
    /// An answer that is there already.
    pub fn ready(path: Option<PathBuf>) -> Self {
        let (send, receive) = bounded(1);
        // The channel has room for one.
        let _ = send.try_send(path);
        Self(receive)
    }

    /// The answer, once: `Some(None)` when the person cancelled.
    pub fn poll(&self) -> Option<Option<PathBuf>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(crossbeam_channel::TryRecvError::Empty) => None,
            Err(crossbeam_channel::TryRecvError::Disconnected) => Some(None),
        }
    }
}

/// Where a panel finds the path that it asked for, in a later frame.
#[derive(Debug, Clone, Default)]
pub struct PathSlot(Arc<Mutex<Option<PathBuf>>>);

impl PathSlot {
    /// Lays the path in.
    pub fn put(&self, path: PathBuf) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
    }

    /// The path, once.
    pub fn take(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl PartialEq for PathSlot {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The platform's dialogs.
pub struct Native;

impl Dialogs for Native {
    fn ask(&self, kind: Kind, question: &Question, context: &Context) -> Answer {
        let mut dialog = rfd::AsyncFileDialog::new().set_title(&question.title);
        if let Some(folder) = &question.folder {
            dialog = dialog.set_directory(folder);
        }
        if !question.name.is_empty() {
            dialog = dialog.set_file_name(&question.name);
        }
        if let Some((name, extensions)) = &question.filter {
            dialog = dialog.add_filter(name, extensions);
        }
        // macOS wants dialogs to be made on the main thread; waiting for them can happen anywhere.
        let chosen: std::pin::Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>> = match kind {
            Kind::Folder => Box::pin(dialog.pick_folder()),
            Kind::File => Box::pin(dialog.pick_file()),
            Kind::Save => Box::pin(dialog.save_file()),
        };
        let (send, receive) = bounded(1);
        let context = context.clone();
        let thread = std::thread::Builder::new().name("file dialog".into()).spawn(move || {
            let path = pollster::block_on(chosen).map(|handle| handle.path().to_path_buf());
            let _ = send.send(path);
            context.request_repaint();
        });
        if let Err(error) = thread {
            tracing::error!("the file dialog cannot be opened: {error}");
        }
        Answer(receive)
    }
}

/// Answers prepared beforehand, in order; cancelled when they run out.
#[derive(Default)]
pub struct Scripted(Mutex<VecDeque<PathBuf>>);

impl Scripted {
    /// Will answer with these paths.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(Mutex::new(paths.into_iter().map(|path| path.as_ref().to_path_buf()).collect()))
    }
}

impl Dialogs for Scripted {
    fn ask(&self, _kind: Kind, _question: &Question, _context: &Context) -> Answer {
        Answer::ready(self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front())
    }
}
