//! What the person is told: a toast in a corner, a line in the history, and a message on the desktop when the window is not looked at.

use maskroom_widgets::{LogLine, Tone};

/// Everything that was told since the window opened.
#[derive(Debug, Default)]
pub struct Notices {
    history: Vec<LogLine>,
    fresh: Vec<LogLine>,
}

const KEPT: usize = 2000;

impl Notices {
    /// Tells the person something.
    pub fn tell(&mut self, tone: Tone, text: impl Into<String>) {
        let time = chrono::Local::now().format("%H:%M:%S").to_string();
        let notice = LogLine { time, tone, text: text.into() };
        match tone {
            Tone::Bad => tracing::error!("{}", notice.text),
            Tone::Warning => tracing::warn!("{}", notice.text),
            Tone::Info | Tone::Good => tracing::info!("{}", notice.text),
        }
        self.fresh.push(notice.clone());
        self.history.push(notice);
        self.history.drain(..self.history.len().saturating_sub(KEPT));
    }

    /// Everything, the oldest first.
    pub fn history(&self) -> &[LogLine] {
        &self.history
    }

    /// What has not been shown as a toast yet.
    pub fn take_fresh(&mut self) -> Vec<LogLine> {
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
