//! No sleep while a run computes.

use crossbeam_channel::{Sender, bounded};

/// Keeps the machine awake, if that is wanted and the platform can promise it. Asking the platform may take a while, so a thread does it,
/// and holds the promise until it is no longer wanted.
#[derive(Default)]
pub struct Awake(Option<Sender<()>>);

impl Awake {
    /// From now on, or no longer.
    pub fn keep(&mut self, wanted: bool) {
        if wanted == self.0.is_some() {
            return;
        }
        self.0 = None;
        if !wanted {
            return;
        }
        let (unwanted, wait) = bounded::<()>(0);
        let hold = move || {
            let promise = keepawake::Builder::default().idle(true).sleep(true).reason("a run is training").app_name("Maskroom").create();
            match promise {
                // The other end is dropped when it is no longer wanted.
                Ok(_promise) => drop(wait.recv()),
                Err(error) => tracing::debug!("the machine may fall asleep: {error}"),
            }
        };
        match std::thread::Builder::new().name("keep awake".into()).spawn(hold) {
            Ok(_) => self.0 = Some(unwanted),
            Err(error) => tracing::debug!("the machine may fall asleep: {error}"),
        }
    }
}
