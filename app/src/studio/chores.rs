//! Small work on run folders: rename, delete, take out of the queue. In the order it was asked for, on a thread of its own, because disks can
//! be slow and folders large.

use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use crossbeam_channel::{Receiver, Sender, bounded};
use egui::Context;

type Chore = Box<dyn FnOnce() -> Result<Option<String>> + Send>;

/// The thread, and what it has to tell. Dropping it waits until everything asked for is done.
#[derive(Default)]
pub struct Chores(Option<Running>);

struct Running {
    chores: Option<Sender<Chore>>,
    told: Receiver<Result<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

/// Chores that may wait. A person does not ask faster than this.
const WAITING: usize = 256;

impl Chores {
    /// Does this after everything that was asked for before. What it returns is told to the person.
    ///
    /// # Errors
    /// If it can neither be begun nor wait.
    pub fn ask(&mut self, context: &Context, chore: impl FnOnce() -> Result<Option<String>> + Send + 'static) -> Result<()> {
        let running = match &mut self.0 {
            Some(running) => running,
            none => none.insert(Running::start(context)?),
        };
        let waits = running.chores.as_ref().is_some_and(|chores| chores.try_send(Box::new(chore)).is_ok());
        if waits { Ok(()) } else { Err(anyhow!("the disk does not keep up; try again in a moment")) }
    }

    /// What is done since the last look: some words for the person, none, or why it failed.
    pub fn done(&self) -> Vec<Result<Option<String>>> {
        self.0.iter().flat_map(|running| running.told.try_iter()).collect()
    }
}

impl Running {
    fn start(context: &Context) -> Result<Self> {
        let (chores, asked) = bounded::<Chore>(WAITING);
        let (tell, told) = bounded(2 * WAITING);
        let context = context.clone();
        let work = move || {
            for chore in asked {
                // A window that goes still wants its chores done.
                let _ = tell.try_send(chore());
                context.request_repaint();
            }
        };
        let thread = std::thread::Builder::new().name("run chores".into()).spawn(work)?;
        Ok(Self { chores: Some(chores), told, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.chores = None;
        if let Some(thread) = self.thread.take() {
            // A chore that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn chores_are_done_in_order_and_before_the_window_goes() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let mut chores = Chores::default();
        for number in 0..20 {
            let done = Arc::clone(&done);
            let chore = move || {
                done.lock().unwrap().push(number);
                if number == 7 { Err(anyhow!("the disk is full")) } else { Ok(None) }
            };
            chores.ask(&Context::default(), chore).unwrap();
        }
        drop(chores);
        assert_eq!(*done.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
