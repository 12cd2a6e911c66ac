//! What is wanted of the shelf's threads, the most urgent first. Whoever draws asks anew in every frame; what was not asked for lately is
//! forgotten, so that scrolling past thousands of images costs nothing but what is in sight when it stops.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// The thumbnail of an image.
    Thumbnail(usize),
    /// All of an image.
    Picture(usize),
}

/// How much it matters; the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It may be asked for next.
    Ahead,
    /// It has a place on the screen.
    Drawn,
    /// It is on the screen.
    Visible,
    /// The person looks at it alone.
    LookedAt,
}

/// Shared by the window, which asks, and the threads, which take.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: HashMap<Want, Waiting>,
    /// Taken by a thread and not yet back at the window.
    busy: HashSet<Want>,
    frame: u64,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Waiting {
    urgency: Urgency,
    frame: u64,
}

/// For so many frames what was asked for is remembered: panels that lie side by side need not draw in the same one.
const REMEMBERED_FRAMES: u64 = 2;

impl Queue {
    pub(super) fn new() -> Self {
        let state = State { waiting: HashMap::new(), busy: HashSet::new(), frame: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Asks, or says that it is still wanted.
    pub(super) fn ask(&self, want: Want, urgency: Urgency) {
        let mut state = self.lock();
        if state.closed || state.busy.contains(&want) {
            return;
        }
        let frame = state.frame;
        let waiting = state.waiting.entry(want).or_insert(Waiting { urgency, frame });
        if waiting.frame < frame {
            *waiting = Waiting { urgency, frame };
        }
        waiting.urgency = waiting.urgency.max(urgency);
        drop(state);
        self.changed.notify_one();
    }

    /// Forgets the thumbnails that were asked for before this frame.
    pub(super) fn forget_earlier(&self) {
        let mut state = self.lock();
        let frame = state.frame;
        state.waiting.retain(|want, waiting| matches!(want, Want::Picture(_)) || waiting.frame == frame);
    }

    /// Another frame begins.
    pub(super) fn next_frame(&self) {
        let mut state = self.lock();
        state.frame += 1;
        let frame = state.frame;
        state.waiting.retain(|_, waiting| waiting.frame + REMEMBERED_FRAMES >= frame);
    }

    /// The window has the result.
    pub(super) fn done(&self, want: Want) {
        self.lock().busy.remove(&want);
    }

    /// Waits for the most urgent work; `None` when there will be none any more.
    pub(super) fn take(&self) -> Option<Want> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            // Of the same urgency, what was asked for last; then from the top of the screen down.
            let order = |(want, waiting): &(&Want, &Waiting)| (waiting.urgency, waiting.frame, std::cmp::Reverse(want.index()));
            if let Some(want) = state.waiting.iter().max_by_key(order).map(|(want, _)| *want) {
                state.waiting.remove(&want);
                state.busy.insert(want);
                return Some(want);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more work: the threads end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The state stays usable when a thread panicked while holding it: every change of it is complete by itself.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Want {
    fn index(self) -> usize {
        match self {
            Self::Thumbnail(index) | Self::Picture(index) => index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_comes_first_and_nothing_twice() {
        let queue = Queue::new();
        for index in [7, 3, 5] {
            queue.ask(Want::Thumbnail(index), Urgency::Drawn);
        }
        queue.ask(Want::Picture(8), Urgency::Ahead);
        queue.ask(Want::Thumbnail(5), Urgency::Visible);
        queue.ask(Want::Picture(9), Urgency::LookedAt);
        let order = [Want::Picture(9), Want::Thumbnail(5), Want::Thumbnail(3), Want::Thumbnail(7), Want::Picture(8)];
        for want in order {
            assert_eq!(queue.take(), Some(want));
            queue.ask(want, Urgency::LookedAt);
        }
        assert!(queue.lock().waiting.is_empty(), "what a thread is at is not asked for again");
        queue.done(Want::Thumbnail(3));
        queue.ask(Want::Thumbnail(3), Urgency::Drawn);
        assert_eq!(queue.take(), Some(Want::Thumbnail(3)));
    }

    #[test]
    fn what_is_out_of_sight_is_forgotten() {
        let queue = Queue::new();
        (0..100).for_each(|index| queue.ask(Want::Thumbnail(index), Urgency::Drawn));
        for _ in 0..=REMEMBERED_FRAMES {
            queue.next_frame();
            (90..200).for_each(|index| queue.ask(Want::Thumbnail(index), Urgency::Drawn));
        }
        let num_waiting = || queue.lock().waiting.len();
        assert_eq!(num_waiting(), 110);
        assert_eq!(queue.take(), Some(Want::Thumbnail(90)));
        queue.next_frame();
        queue.ask(Want::Thumbnail(500), Urgency::Visible);
        queue.forget_earlier();
        assert_eq!(num_waiting(), 1);
        assert_eq!(queue.take(), Some(Want::Thumbnail(500)));
        queue.close();
        assert_eq!(queue.take(), None);
    }
}
