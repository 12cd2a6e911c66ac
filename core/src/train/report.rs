//! What leaves the training loop: losses are read back from the device here and nowhere else, and become events, a progress line, and
//! the alarm when a number is no longer one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::run::{Event, EventWriter, Figures, RunFolder, Step};
use crate::weights::model_file::to_host;

/// One line for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tick {
    /// Updates done.
    pub step: u64,
    /// Updates wanted.
    pub steps: u64,
    /// Epochs done, with their fraction.
    pub epoch: f64,
    /// The latest loss.
    pub loss: f64,
    /// Throughput since the last event.
    pub images_per_second: f64,
    /// Share of the time spent waiting for the loader.
    pub data_wait_ratio: f64,
    /// What the latest k-NN probe of this session found, `top1`.
    pub probe_top1: Option<f64>,
    /// Seconds to go at this speed.
    pub eta_secs: f64,
}

/// A step whose figures are still on the device.
pub struct Finished {
    /// Its number, from 1.
    pub step: u64,
    /// The loss. Shape: `[1]`.
    pub loss: Tensor<1>,
    /// The norm of the whole gradient. Shape: `[1]`.
    pub grad_norm: Option<Tensor<1>>,
    /// What is to be watched besides, by name. Shape: `[1]` each.
    pub figures: Vec<(&'static str, Tensor<1>)>,
    /// The data set's indices of its images.
    pub samples: Vec<usize>,
}

/// What a step was trained with.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Epochs done.
    pub epoch: f64,
}

/// Writes events and keeps the clocks.
pub struct Reporter<'a> {
    events: EventWriter,
    on_tick: &'a mut dyn FnMut(&Tick),
    steps: u64,
    pending: Vec<Finished>,
    window: Window,
    trained: Duration,
    images: u64,
    session: Duration,
    probe_top1: Option<f64>,
}

/// Sums since the last `step` event.
struct Window {
    begin: Instant,
    waited: Duration,
    images: u64,
    losses: Vec<f64>,
    norms: Vec<f64>,
    figures: BTreeMap<&'static str, Vec<f64>>,
}

impl Window {
    fn new() -> Self {
        Self { begin: Instant::now(), waited: Duration::ZERO, images: 0, losses: Vec::new(), norms: Vec::new(), figures: BTreeMap::new() }
    }
}

impl<'a> Reporter<'a> {
    /// For a run that aims at `steps`; the training time of earlier sessions is taken from its log.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn new(run: &RunFolder, steps: u64, on_tick: &'a mut dyn FnMut(&Tick)) -> Result<Self> {
        let path = run.events_path();
        let history = if path.exists() { crate::run::read_all(&path)?.events } else { Vec::new() };
        let seconds = history.iter().rev().find_map(|event| if let Event::Step(step) = event { Some(step.seconds) } else { None });
        let trained = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
        let events = EventWriter::open(&path)?;
        Ok(Self {
            events,
            on_tick,
            steps,
            pending: Vec::new(),
            window: Window::new(),
            trained,
            images: 0,
            session: Duration::ZERO,
            probe_top1: None,
        })
    }

    /// Writes an event as it is.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Validation(found) => tracing::info!("step {}: loss {:.5} on fixed masks", found.step, found.loss),
            Event::Probe(probe) if probe.is_of_classes() => {
                self.probe_top1 = probe.figure("top1");
                let [top1, chance] = ["top1", "chance"].map(|name| 100.0 * probe.figure(name).unwrap_or(f64::NAN));
                tracing::info!(
                    "step {}: k-NN finds the class of {top1:.1} % of held-out images, the commonest has {chance:.1} %",
                    probe.step
                );
            }
            Event::Checkpoint { step, path } => tracing::info!("step {step}: checkpoint in {}", path.display()),
            Event::Started(started) => tracing::info!("started on {}: {} steps, {} images", started.device, started.steps, started.images),
            Event::Resumed { step, device, .. } => tracing::info!("resumed from step {step} on {device}"),
            Event::Stopped(stopped) => tracing::info!("stopped at step {}: {:?}", stopped.step, stopped.reason),
            _ => {}
        }
        self.events.write(event)
    }

    /// A sentence for the person, in the log of the run and of the program.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn warn(&mut self, message: impl Into<String>) -> Result<()> {
        let message = message.into();
        tracing::warn!("{message}");
        self.events.write(&Event::Warning { message })
    }

    /// Time spent waiting for data.
    pub fn waited(&mut self, time: Duration) {
        self.window.waited += time;
    }

    /// Takes a finished step's figures; they are read when [`Reporter::read_back`] is called.
    pub fn finished(&mut self, step: Finished) {
        self.window.images += step.samples.len() as u64;
        self.pending.push(step);
    }

    /// Reads the pending losses back, in order.
    ///
    /// # Errors
    /// The first step whose loss or gradient is not finite: its number and its images.
    pub fn read_back(&mut self) -> Result<Vec<f32>, NotFinite> {
        let pending: Vec<Finished> = self.pending.drain(..).collect();
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        // One read for all of them: each would wait for the device anew.
        let of_step = |step: &Finished| {
            let besides = step.figures.iter().map(|(_, figure)| figure.clone());
            [step.loss.clone()].into_iter().chain(step.grad_norm.clone()).chain(besides).collect::<Vec<_>>()
        };
        let figures = pending.iter().flat_map(of_step).collect();
        let mut figures = to_host(Tensor::cat(figures, 0)).unwrap_or_default().into_iter();
        let mut losses = Vec::with_capacity(pending.len());
        for step in pending {
            let mut figure = || figures.next().unwrap_or(f32::NAN);
            let (loss, norm) = (figure(), step.grad_norm.map(|_| figure()));
            if !loss.is_finite() || norm.is_some_and(|norm| !norm.is_finite()) {
                return Err(NotFinite { step: step.step, samples: step.samples });
            }
            self.window.losses.push(f64::from(loss));
            self.window.norms.extend(norm.map(f64::from));
            for (name, _) in step.figures {
                self.window.figures.entry(name).or_default().push(f64::from(figure()));
            }
            losses.push(loss);
        }
        Ok(losses)
    }

    /// Closes the window: one `step` event with the means since the last. Returns what is watched besides loss and rates.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn log(&mut self, step: u64, rates: Rates) -> Result<Figures> {
        let tick = self.tick(step, rates.epoch);
        let window = std::mem::replace(&mut self.window, Window::new());
        if window.losses.is_empty() {
            return Ok(Figures::new());
        }
        let elapsed = window.begin.elapsed();
        self.trained += elapsed;
        self.session += elapsed;
        self.images += window.images;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        tracing::info!("step {step}: loss {:.5}, rate {:.3e}, {:.1} images/s", mean(&window.losses), rates.lr, tick.images_per_second);
        let metrics: Figures = window.figures.iter().map(|(&name, values)| (name.to_owned(), mean(values))).collect();
        self.events.write(&Event::Step(Step {
            step,
            epoch: rates.epoch,
            loss: mean(&window.losses),
            lr: rates.lr,
            weight_decay: rates.weight_decay,
            grad_norm: mean(&window.norms),
            images_per_second: tick.images_per_second,
            data_wait_ratio: tick.data_wait_ratio,
            seconds: self.trained.as_secs_f64(),
            metrics: metrics.clone(),
        }))?;
        Ok(metrics)
    }

    /// Tells the progress line.
    pub fn show(&mut self, step: u64, epoch: f64) {
        let tick = self.tick(step, epoch);
        (self.on_tick)(&tick);
    }

    fn tick(&self, step: u64, epoch: f64) -> Tick {
        let seconds = self.window.begin.elapsed().as_secs_f64().max(1e-9);
        let per_step = seconds / (self.window.losses.len().max(1)) as f64;
        Tick {
            step,
            steps: self.steps,
            epoch,
            loss: self.window.losses.last().copied().unwrap_or(f64::NAN),
            images_per_second: self.window.images as f64 / seconds,
            data_wait_ratio: self.window.waited.as_secs_f64() / seconds,
            probe_top1: self.probe_top1,
            eta_secs: per_step * self.steps.saturating_sub(step) as f64,
        }
    }

    /// Leaves out of the clocks what is not training: validation, previews, checkpoints, pauses.
    pub fn off_the_clock<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begin = Instant::now();
        let result = work(self);
        self.window.begin += begin.elapsed();
        result
    }

    /// Images per second of this session's training.
    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.session.as_secs_f64().max(1e-9)
    }
}

/// A loss or gradient that is NaN or infinite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFinite {
    /// The step it came up in.
    pub step: u64,
    /// The data set's indices of its images.
    pub samples: Vec<usize>,
}

impl NotFinite {
    /// What to tell the person; `name` gives an image's name.
    pub fn into_error(self, name: impl Fn(usize) -> String) -> Error {
        let shown: Vec<String> = self.samples.iter().take(4).map(|&sample| name(sample)).collect();
        let more = self.samples.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Error::Failed(format!(
            "the loss became NaN or infinite at step {} (batch: {}{more}): the run stops at its last good checkpoint; lower optim.base_lr, \
             set optim.clip_norm, or exclude these images",
            self.step,
            shown.join(", ")
        ))
    }
}
