//! Columns of runs as the traces that charts draw, over steps, epochs or time, and smoothed. They grow with the run; what has to be made
//! anew for a long run is made on a thread, and the old curve stays until the new one is there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use egui::Context;
use maskroom_widgets::{Smoother, Trace};

use crate::studio::run_view::{Columns, RunView};
use crate::studio::runs::Run;
use crate::studio::worker::Worker;

/// What stands on the x-axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum X {
    /// Finished steps.
    Step,
    /// Finished epochs.
    Epoch,
    /// Time of training.
    Seconds,
    /// Time of training.
    Minutes,
    /// Time of training.
    Hours,
}

impl X {
    /// The unit of time in which `secs` is a number of few digits.
    pub fn time(secs: f64) -> Self {
        match secs {
            ..600.0 => Self::Seconds,
            ..36_000.0 => Self::Minutes,
            _ => Self::Hours,
        }
    }

    /// The label of the axis.
    pub fn label(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Seconds => "time (s)",
            Self::Minutes => "time (min)",
            Self::Hours => "time (h)",
        }
    }

    /// Where an entry stands.
    fn of_entry(self, columns: &Columns, entry: usize) -> f64 {
        match self {
            Self::Step => columns.step[entry] as f64,
            Self::Epoch => columns.epoch[entry],
            Self::Seconds => columns.seconds[entry],
            Self::Minutes => columns.seconds[entry] / 60.0,
            Self::Hours => columns.seconds[entry] / 3600.0,
        }
    }

    /// Where a step stands, by the entry that was logged at it or next after it.
    pub fn of_step(self, columns: &Columns, step: u64) -> Option<f64> {
        let entry = columns.place_of(step).min(columns.len().checked_sub(1)?);
        Some(if self == Self::Step { step as f64 } else { self.of_entry(columns, entry) })
    }
}

/// A curve's traces; handed out to be drawn in this frame.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// What was logged; no points for a long run that is only compared with.
    pub raw: Arc<Trace>,
    /// The same smoothed.
    pub smooth: Arc<Trace>,
}

/// The traces of the runs that are shown.
pub struct Traces {
    kept: BTreeMap<Key, Kept>,
    worker: Worker<Question, Answer>,
    is_busy: bool,
    /// What will be asked next, as far as it is copied, and the frame in which it was copied last.
    copying: Option<(Question, u64)>,
    context: Context,
    frame: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Its folder, compared byte by byte: paths are compared by their parts, and that for every curve in every frame.
    run: OsString,
    column: String,
    x: X,
}

/// How a trace is made: another making needs another trace.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Making {
    history: u64,
    weight: f32,
    /// Every so many points of the smoothed curve are kept; with more than 1 the raw ones are not.
    stride: usize,
}

struct Kept {
    making: Making,
    growing: Growing,
    frame: u64,
}

struct Question {
    key: Key,
    making: Making,
    xs: Vec<f64>,
    ys: Vec<f32>,
}

struct Answer {
    key: Key,
    making: Making,
    growing: Growing,
}

/// More entries than this are not turned into a trace while a frame is drawn.
const MAX_AT_ONCE: usize = 20_000;
/// Nor are more than this copied for the thread.
const COPIED_AT_ONCE: usize = 100_000;
/// Points of a run that is only compared with: more than a screen has columns of pixels.
const COMPARED_POINTS: usize = 1 << 16;

impl Traces {
    /// None yet.
    pub fn new(context: &Context) -> Self {
        let worker = Worker::start("traces", context, |question: Question| {
            let mut growing = Growing::new(question.making);
            question.xs.iter().zip(&question.ys).for_each(|(&x, &y)| growing.push(x, y));
            Answer { key: question.key, making: question.making, growing }
        });
        Self { kept: BTreeMap::new(), worker, is_busy: false, copying: None, context: context.clone(), frame: 0 }
    }

    /// To be called once a frame before curves are asked for: takes what the thread has made, and forgets what was no longer drawn.
    pub fn begin_frame(&mut self) {
        self.is_busy = self.worker.is_busy();
        for answer in self.worker.answers() {
            self.kept.insert(answer.key, Kept { making: answer.making, growing: answer.growing, frame: self.frame });
        }
        self.kept.retain(|_, kept| kept.frame == self.frame);
        self.copying = self.copying.take().filter(|(_, frame)| *frame == self.frame);
        self.frame += 1;
    }

    /// A column of a run; `None` while there is nothing to draw. `is_compared` says that another run is the one looked at.
    pub fn of(&mut self, run: &Run, column: &str, x: X, weight: f32, is_compared: bool) -> Option<Drawn> {
        let values = run.view.columns.values.get(column)?;
        let stride = if is_compared { values.len() / COMPARED_POINTS + 1 } else { 1 };
        let making = Making { history: run.view.history, weight, stride };
        let key = Key { run: run.folder.root.clone().into(), column: column.to_owned(), x };
        let grown = self.kept.get(&key).filter(|kept| kept.making == making).map(|kept| kept.growing.taken);
        match grown {
            Some(taken) if taken <= values.len() && values.len() - taken <= MAX_AT_ONCE => {}
            _ if values.len() <= MAX_AT_ONCE => {
                self.kept.insert(key.clone(), Kept { making, growing: Growing::new(making), frame: self.frame });
            }
            _ => self.ask(&key, making, &run.view, values),
        }
        let kept = self.kept.get_mut(&key)?;
        kept.frame = self.frame;
        if kept.making.history == making.history {
            for (entry, &value) in values.iter().enumerate().skip(kept.growing.taken) {
                kept.growing.push(x.of_entry(&run.view.columns, entry), value);
            }
        }
        Some(kept.growing.drawn())
    }

    /// One long curve at a time, copied bit by bit, so that no frame has much of it to do.
    fn ask(&mut self, key: &Key, making: Making, view: &RunView, values: &[f32]) {
        let (mut question, frame) = self.copying.take().unwrap_or_else(|| {
            let (xs, ys) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
            (Question { key: key.clone(), making, xs, ys }, 0)
        });
        if question.key != *key || question.making != making {
            self.copying = Some((question, frame));
            return;
        }
        let end = values.len().min(question.ys.len() + COPIED_AT_ONCE);
        let copied = question.ys.len()..end;
        question.ys.extend_from_slice(&values[copied.clone()]);
        question.xs.extend(copied.map(|entry| key.x.of_entry(&view.columns, entry)));
        if end == values.len() && !self.is_busy {
            self.is_busy = true;
            self.worker.ask(question);
        } else {
            if end < values.len() {
                self.context.request_repaint();
            }
            self.copying = Some((question, self.frame));
        }
    }
}

/// A curve that entries are added to.
struct Growing {
    raw: Arc<Trace>,
    smooth: Arc<Trace>,
    smoother: Smoother,
    stride: usize,
    /// Entries of the column that are in it.
    taken: usize,
}

impl Growing {
    fn new(making: Making) -> Self {
        let (raw, smooth) = Default::default();
        Self { raw, smooth, smoother: Smoother::new(making.weight), stride: making.stride, taken: 0 }
    }

    fn push(&mut self, x: f64, y: f32) {
        let smooth = self.smoother.push(y);
        if self.taken.is_multiple_of(self.stride) {
            Arc::make_mut(&mut self.smooth).push(x, smooth);
        }
        if self.stride == 1 {
            Arc::make_mut(&mut self.raw).push(x, y);
        }
        self.taken += 1;
    }

    fn drawn(&self) -> Drawn {
        Drawn { raw: Arc::clone(&self.raw), smooth: Arc::clone(&self.smooth) }
    }
}

#[cfg(test)]
mod tests {
    use maskroom_core::run::{Event, RunFolder, Step};
    use maskroom_widgets::smoothed;

    use super::*;
    use crate::studio::runs::Runs;

    fn runs() -> Runs {
        let mut runs = Runs::default();
        let recipe = maskroom_core::recipe::Recipe::preset("mae").unwrap();
        runs.add(RunFolder { root: "/runs/one".into() }, Default::default(), recipe);
        runs
    }

    fn log(runs: &mut Runs, steps: std::ops::Range<u64>) {
        let run = runs.get_mut("/runs/one".as_ref()).unwrap();
        for step in steps {
            let loss = 1.0 / (step + 1) as f64;
            run.view.apply(Event::Step(Step { step, loss, epoch: step as f64 / 4.0, seconds: step as f64 * 2.0, ..Step::default() }));
        }
    }

    fn wait(traces: &mut Traces, run: &Run, enough: impl Fn(&Drawn) -> bool, is_compared: bool) -> Drawn {
        for _ in 0..5000 {
            traces.begin_frame();
            if let Some(drawn) = traces.of(run, "loss", X::Step, 0.9, is_compared).filter(&enough) {
                return drawn;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("the curve never came");
    }

    #[test]
    fn a_curve_grows_with_its_run_and_is_what_it_would_be_if_made_at_once() {
        let (mut runs, mut traces) = (runs(), Traces::new(&Context::default()));
        for end in 1..40 {
            log(&mut runs, end * 5 - 5..end * 5);
            traces.begin_frame();
            let drawn = traces.of(runs.selected().unwrap(), "loss", X::Epoch, 0.9, false).unwrap();
            assert_eq!((drawn.raw.len(), drawn.raw.last().unwrap().0), (end as usize * 5, (end * 5 - 1) as f64 / 4.0));
            let at_once: Vec<_> = smoothed(&drawn.raw, 0.9).points().collect();
            assert_eq!(drawn.smooth.points().collect::<Vec<_>>(), at_once);
        }
        assert!(traces.of(runs.selected().unwrap(), "no such column", X::Step, 0.9, false).is_none());
    }

    #[test]
    fn a_resumed_run_is_drawn_anew_and_what_is_not_drawn_is_forgotten() {
        let (mut runs, mut traces) = (runs(), Traces::new(&Context::default()));
        log(&mut runs, 0..50);
        traces.begin_frame();
        traces.of(runs.selected().unwrap(), "loss", X::Minutes, 0.9, false);
        let run = runs.get_mut("/runs/one".as_ref()).unwrap();
        run.view.apply(Event::Resumed { step: 20, time: 0.0, device: String::new(), steps: 0 });
        traces.begin_frame();
        let drawn = traces.of(runs.selected().unwrap(), "loss", X::Minutes, 0.9, false).unwrap();
        assert_eq!((drawn.raw.len(), drawn.smooth.last().unwrap().0), (21, 20.0 * 2.0 / 60.0));
        traces.begin_frame();
        traces.begin_frame();
        assert!(traces.kept.is_empty());
    }

    #[test]
    fn a_long_run_is_made_on_the_thread_and_a_compared_one_has_fewer_points() {
        let (mut runs, mut traces) = (runs(), Traces::new(&Context::default()));
        log(&mut runs, 0..200_000);
        traces.begin_frame();
        assert!(traces.of(runs.selected().unwrap(), "loss", X::Step, 0.9, false).is_none(), "not while a frame is drawn");
        let whole = wait(&mut traces, runs.selected().unwrap(), |drawn| !drawn.raw.is_empty(), false);
        assert_eq!((whole.raw.len(), whole.smooth.len()), (200_000, 200_000));
        let thin = wait(&mut traces, runs.selected().unwrap(), |drawn| drawn.raw.is_empty(), true);
        assert_eq!(thin.smooth.len(), 50_000);
        log(&mut runs, 200_000..200_010);
        traces.begin_frame();
        let more = traces.of(runs.selected().unwrap(), "loss", X::Step, 0.9, true).unwrap();
        assert_eq!(more.smooth.last().map(|point| point.0), Some(200_008.0));
    }

    #[test]
    fn steps_have_places_on_every_axis() {
        let mut runs = runs();
        log(&mut runs, 1..9);
        let columns = &runs.selected().unwrap().view.columns;
        assert_eq!(
            (X::Step.of_step(columns, 3), X::Epoch.of_step(columns, 3), X::Seconds.of_step(columns, 99)),
            (Some(3.0), Some(0.75), Some(16.0))
        );
        assert_eq!(X::Step.of_step(&Columns::default(), 3), None);
        assert_eq!([X::time(30.0), X::time(3000.0), X::time(40_000.0)], [X::Seconds, X::Minutes, X::Hours]);
    }
}
