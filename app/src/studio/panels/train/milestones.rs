//! What happened to a run now and then, along its x-axis: losses on held-out images, probes, checkpoints, resumes. Looked up in a long run only when
//! something was added.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use maskroom_widgets::{Mark, MarkKind, Trace};

use super::traces::X;
use crate::studio::run_view::RunView;
use crate::studio::runs::Run;

/// The milestones of the runs that are shown.
#[derive(Default)]
pub struct Milestones {
    kept: BTreeMap<(OsString, X), Kept>,
    frame: u64,
}

/// Those of one run.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The loss on held-out images.
    pub held_out: Arc<Trace>,
    /// The share of held-out images that find their classes among their neighbors.
    pub top1: Arc<Trace>,
    /// Checkpoints and resumes.
    pub marks: Arc<[Mark]>,
}

struct Kept {
    of: State,
    placed: Placed,
    frame: u64,
}

/// While this is the same, so are the milestones.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    history: u64,
    /// Held-out losses, probes, checkpoints and resumes.
    counts: [usize; 4],
    /// Entries that were logged, while the last milestone waits for one that gives it its final place.
    waiting: Option<usize>,
}

impl Milestones {
    /// To be called once a frame before milestones are asked for: forgets what was no longer drawn.
    pub fn begin_frame(&mut self) {
        self.kept.retain(|_, kept| kept.frame == self.frame);
        self.frame += 1;
    }

    /// The milestones of a run.
    pub fn of(&mut self, run: &Run, x: X) -> Placed {
        let state = State::of(&run.view);
        let key = (run.folder.root.clone().into(), x);
        let known = self.kept.remove(&key).filter(|kept| kept.of == state).map(|kept| kept.placed);
        let placed = known.unwrap_or_else(|| Placed {
            held_out: Arc::new(held_out(&run.view, x)),
            top1: Arc::new(top1(&run.view, x)),
            marks: marks(&run.view, x).into(),
        });
        self.kept.insert(key, Kept { of: state, placed: placed.clone(), frame: self.frame });
        placed
    }
}

impl State {
    fn of(view: &RunView) -> Self {
        let newest = view.validations.last().map(|one| one.step).max(view.checkpoints.last().copied());
        Self {
            history: view.history,
            counts: [view.validations.len(), view.probes.len(), view.checkpoints.len(), view.resumed.len()],
            waiting: (newest > view.columns.step.last().copied()).then(|| view.columns.len()),
        }
    }
}

fn held_out(view: &RunView, x: X) -> Trace {
    let mut trace = Trace::default();
    let points = view.validations.iter().filter(|validation| validation.training_units);
    trace.extend(points.filter_map(|validation| Some((x.of_step(&view.columns, validation.step)?, validation.loss as f32))));
    trace
}

fn top1(view: &RunView, x: X) -> Trace {
    let mut trace = Trace::default();
    let points = view.class_probes().map(|probe| (probe.step, probe.figure("top1").unwrap_or(f64::NAN)));
    trace.extend(points.filter_map(|(step, top1)| Some((x.of_step(&view.columns, step)?, top1 as f32))));
    trace
}

fn marks(view: &RunView, x: X) -> Vec<Mark> {
    let best = view.validations.iter().filter(|one| one.loss.is_finite()).min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|one| one.step);
    let kind = |step: u64| if Some(step) == best { MarkKind::Best } else { MarkKind::Checkpoint };
    let checkpoints = view.checkpoints.iter().map(|&step| (step, kind(step)));
    let resumed = view.resumed.iter().map(|&step| (step, MarkKind::Resumed));
    checkpoints.chain(resumed).filter_map(|(step, kind)| Some(Mark { x: x.of_step(&view.columns, step)?, kind })).collect()
}
