//! One named thread that answers the latest question: a new question takes the place of one that nobody has begun to answer.
//!
//! Whatever takes longer than a frame is asked here: attention, probability maps, the health of a folder.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, bounded};
use egui::Context;

/// Questions in, answers out. Dropping it ends the thread after the answer it is at.
pub struct Worker<Q, A> {
    desk: Arc<Shared<Q>>,
    answers: Receiver<A>,
}

struct Shared<Q> {
    state: Mutex<State<Q>>,
    changed: Condvar,
}

struct State<Q> {
    waiting: Option<Q>,
    busy: bool,
    closed: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Worker<Q, A> {
    /// Starts the thread `name`; each answer wakes the window.
    pub fn start(name: &str, context: &Context, mut answer: impl FnMut(Q) -> A + Send + 'static) -> Self {
        let state = State { waiting: None, busy: false, closed: false };
        let desk = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (send, answers) = bounded(16);
        let (shared, context) = (Arc::clone(&desk), context.clone());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(question) = shared.next() {
                let sent = send.send(answer(question));
                shared.lock().busy = false;
                context.request_repaint();
                if sent.is_err() {
                    return;
                }
            }
        });
        if let Err(error) = thread {
            tracing::error!("the thread `{name}` cannot be started: {error}");
        }
        Self { desk, answers }
    }

    /// Asks; a question still waiting is forgotten.
    pub fn ask(&self, question: Q) {
        self.desk.lock().waiting = Some(question);
        self.desk.changed.notify_one();
    }

    /// Answers that have come since the last look.
    pub fn answers(&self) -> impl Iterator<Item = A> + '_ {
        self.answers.try_iter()
    }

    /// Whether a question is waiting or being answered.
    pub fn is_busy(&self) -> bool {
        let state = self.desk.lock();
        state.busy || state.waiting.is_some()
    }
}

impl<Q> Shared<Q> {
    fn next(&self) -> Option<Q> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(question) = state.waiting.take() {
                state.busy = true;
                return Some(question);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The state stays usable when a thread panicked while holding it: it is only ever replaced whole.
    fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Drop for Worker<Q, A> {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_latest_question_is_answered_and_stale_ones_are_forgotten() {
        let (go, gate) = bounded::<()>(0);
        let worker = Worker::start("test worker", &Context::default(), move |question: u32| {
            let _ = gate.recv();
            question
        });
        worker.ask(1);
        while worker.desk.lock().waiting.is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
        worker.ask(2);
        worker.ask(3);
        assert!(worker.is_busy());
        go.send(()).unwrap();
        go.send(()).unwrap();
        let first = worker.answers.recv_timeout(Duration::from_secs(5)).unwrap();
        let second = worker.answers.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!((first, second), (1, 3));
    }
}
