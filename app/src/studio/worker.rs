//! One named thread that answers the latest question: a new question takes the place of one that nobody has begun to answer.
//!
//! Whatever takes longer than a frame is asked here: attention, probability maps, the health of a folder. A question that makes the program
//! panic is dropped and the thread stays; [`take_broken`] tells which threads that has happened to, each once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, bounded};
use egui::{Context, Id};

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
    failed: bool,
    closed: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Worker<Q, A> {
    /// Starts the thread `name`; each answer wakes the window.
    pub fn start(name: &str, context: &Context, mut answer: impl FnMut(Q) -> A + Send + 'static) -> Self {
        let state = State { waiting: None, busy: false, failed: false, closed: false };
        let desk = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (send, answers) = bounded(16);
        let (shared, context, own_name) = (Arc::clone(&desk), context.clone(), name.to_owned());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut is_told = false;
            while let Some(question) = shared.next() {
                // What the function keeps between questions are caches: half of a new entry does no harm.
                let Ok(answer) = catch_unwind(AssertUnwindSafe(|| answer(question))) else {
                    shared.done(true);
                    // A panel may ask the same again in the next frame, so that only the first time makes a frame.
                    if !std::mem::replace(&mut is_told, true) {
                        context.data_mut(|data| data.get_temp_mut_or_default::<Vec<String>>(broken()).push(own_name.clone()));
                        context.request_repaint();
                    }
                    continue;
                };
                let sent = send.send(answer);
                shared.done(false);
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

    /// Whether the last question that was taken up made the program panic; there is no answer to it.
    pub fn has_failed(&self) -> bool {
        self.desk.lock().failed
    }
}

/// The names of threads that have dropped a question because of a panic, each once.
pub fn take_broken(context: &Context) -> Vec<String> {
    context.data_mut(|data| data.remove_temp(broken())).unwrap_or_default()
}

fn broken() -> Id {
    Id::unique("workers that dropped a question")
}

impl<Q> Shared<Q> {
    fn next(&self) -> Option<Q> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(question) = state.waiting.take() {
                (state.busy, state.failed) = (true, false);
                return Some(question);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, failed: bool) {
        let mut state = self.lock();
        (state.busy, state.failed) = (false, failed);
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

    #[test]
    fn a_panic_costs_one_question_and_is_told_once() {
        let context = Context::default();
        let worker = Worker::start("hasty worker", &context, |question: u32| 100_u32.checked_div(question).expect("on purpose"));
        for _ in 0..2 {
            worker.ask(0);
            while worker.is_busy() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(worker.has_failed() && worker.answers().next().is_none());
        }
        worker.ask(5);
        assert_eq!(worker.answers.recv_timeout(Duration::from_secs(5)).unwrap(), 20);
        assert!(!worker.has_failed());
        assert_eq!(take_broken(&context), ["hasty worker"]);
        assert!(take_broken(&context).is_empty());
    }
}
