//! What the person is told: a toast in a corner, a line in the history, and a message on the desktop when the window is not looked at.

use std::time::SystemTime;

pub use maskroom_widgets::Tone as Level;

/// One message.
#[derive(Debug, Clone)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// The words.
    pub text: String,
    /// When it was told.
    pub time: SystemTime,
}

impl Notice {
    /// When it was told, on the clock of this place: `14:07:31`.
    pub fn clock(&self) -> String {
        chrono::DateTime::<chrono::Local>::from(self.time).format("%H:%M:%S").to_string()
    }
}

/// Everything that was told since the window opened.
#[derive(Debug, Default)]
pub struct Notices {
    history: Vec<Notice>,
    fresh: Vec<Notice>,
}

const KEPT: usize = 2000;

impl Notices {
    /// Tells the person something.
    pub fn tell(&mut self, level: Level, text: impl Into<String>) {
        let notice = Notice { level, text: text.into(), time: SystemTime::now() };
        match level {
            Level::Bad => tracing::error!("{}", notice.text),
            Level::Warning => tracing::warn!("{}", notice.text),
            Level::Info | Level::Good => tracing::info!("{}", notice.text),
        }
        self.fresh.push(notice.clone());
        self.history.push(notice);
        self.history.drain(..self.history.len().saturating_sub(KEPT));
    }

    /// Everything, the oldest first.
    pub fn history(&self) -> &[Notice] {
        &self.history
    }

    /// What has not been shown as a toast yet.
    pub fn take_fresh(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.fresh)
    }
}

/// Tells the desktop, in the background; a desktop that does not listen is no error.
pub fn tell_desktop(title: String, body: String) {
    let thread = std::thread::Builder::new().name("desktop notification".into()).spawn(move || {
        if let Err(error) = notify_rust::Notification::new().appname("Maskroom").summary(&title).body(&body).show() {
            tracing::debug!("the desktop takes no notifications: {error}");
        }
    });
    if let Err(error) = thread {
        tracing::debug!("no thread for a desktop notification: {error}");
    }
}
