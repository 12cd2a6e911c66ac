//! The loop: set the rate, take a batch, forward, backward, step, report. Everything else has a name elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::control::{Ending, obey};
use super::engine::{Engine, Gradients};
use super::report::{Finished, Rates, Reporter};
use super::watch::Watch;
use crate::error::Result;
use crate::optim::optimizer::UpdateRates;
use crate::run::Inbox;

/// Trains until the plan is done or somebody asks to stop; the last state is always in a checkpoint.
///
/// # Errors
/// Data that cannot be read any more, a loss that is no number, a device or a disk that fails.
pub fn pretrain(engine: &mut Engine, inbox: &mut Inbox, reporter: &mut Reporter<'_>, interrupted: &AtomicBool) -> Result<Ending> {
    let mut watch = Watch::new(engine);
    let mut loader = engine.loader()?;
    let mut warming_up = (!engine.device.is_cpu()).then(Instant::now);
    if warming_up.is_some() {
        tracing::info!("the first step also chooses and compiles the GPU's kernels: it takes much longer than the others");
    }
    while engine.progress.step < engine.steps() {
        if let Some(ending) = obey(engine, inbox, reporter, &mut watch, interrupted)? {
            read_back(engine, reporter)?;
            watch.checkpoint(engine, reporter)?;
            return Ok(ending);
        }
        let UpdateRates { lr, weight_decay, .. } = engine.rates();
        let Gradients { loss, values, figures, kept, samples } = engine.forward_backward(&mut loader, reporter)?;
        let grad_norm = engine.update(values, kept);
        reporter.finished(Finished { step: engine.progress.step, loss, grad_norm, figures, samples });

        let due = Due::after(engine);
        let begin = warming_up.take();
        // A GPU is not made to wait for every loss; the CPU has it at hand.
        if engine.device.is_cpu() || due.any() || begin.is_some() {
            read_back(engine, reporter)?;
            reporter.show(engine.progress.step, engine.epoch());
        }
        if let Some(begin) = begin {
            tracing::info!("the GPU's kernels are ready after {:.1} s", begin.elapsed().as_secs_f64());
        }
        if due.log {
            let figures = reporter.log(engine.progress.step, Rates { lr, weight_decay, epoch: engine.epoch() })?;
            watch.judge(engine, reporter, &figures)?;
        }
        if due.baselines {
            watch.baselines(engine, reporter)?;
        }
        let best = due.validate && watch.validate(engine, reporter)?;
        if due.preview {
            watch.preview(engine, reporter)?;
        }
        if due.checkpoint || best {
            watch.checkpoint(engine, reporter)?;
        }
        // After the checkpoint: it may take a while, and nothing that was learned is to be lost meanwhile.
        if due.validate {
            watch.probe(engine, reporter, &|| !interrupted.load(Ordering::Relaxed) && !inbox.holds_stop())?;
        }
    }
    Ok(Ending::Finished)
}

/// What is to be done after a step.
struct Due {
    log: bool,
    baselines: bool,
    validate: bool,
    preview: bool,
    checkpoint: bool,
}

impl Due {
    fn after(engine: &Engine) -> Self {
        let (step, train) = (engine.progress.step, &engine.recipe.train);
        let (first, every) = (step == 1, |steps: usize| engine.is_due(step, steps));
        Self {
            log: first || every(train.log_every_steps),
            baselines: first,
            validate: every(train.validate_every_steps),
            preview: every(train.preview_every_steps),
            checkpoint: every(train.checkpoint_every_steps),
        }
    }

    fn any(&self) -> bool {
        self.log || self.validate || self.preview || self.checkpoint
    }
}

/// Reads the losses of finished steps; one that is not a number ends the run by name.
fn read_back(engine: &mut Engine, reporter: &mut Reporter<'_>) -> Result<()> {
    let losses = reporter.read_back().map_err(|bad| bad.into_error(|sample| engine.data.source.name(sample)))?;
    losses.into_iter().for_each(|loss| engine.progress.record(loss));
    Ok(())
}
