//! How fast this machine trains a recipe, without any data: the step alone, phase by phase, beside the machine's own limit.

use std::time::Instant;

use serde::Serialize;

use super::launches::launches_of;
use super::learner::Learner;
use super::throughput::{flops_per_image, matrix_peak_gflops, view_flops_per_image};
use super::trial::noise_images;
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::kernel;
use crate::method::{Lesson, Network, Outcome, Place, sizes};
use crate::optim::optimizer::UpdateRates;
use crate::recipe::Recipe;
use crate::weights::model_file::to_host;

/// Seconds of the parts of a step (medians).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Phases {
    /// Cutting patches and making targets.
    pub prepare: f64,
    /// The loss.
    pub forward: f64,
    /// The gradients.
    pub backward: f64,
    /// The update.
    pub optimizer: f64,
}

/// What `bench train` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainFigures {
    /// Throughput (batch over the median step).
    pub images_per_second: f64,
    /// The median step.
    pub seconds_per_step: f64,
    /// Its parts.
    pub phases: Phases,
    /// Peak memory of the process in MiB, where the system tells.
    pub peak_mib: Option<u64>,
    /// What forward keeps for backward in MiB; unknown on a GPU.
    pub saved_mib: Option<u64>,
    /// The matrix arithmetic that an image's step needs, in 10⁹ operations.
    pub gflop_per_image: f64,
    /// The machine's measured matrix peak.
    pub matrix_peak_gflops: f64,
    /// Needed matrix arithmetic per second over that peak.
    pub peak_share: f64,
    /// Kernel launches of a step; unknown on the CPU, which has none.
    pub launches_per_step: Option<u64>,
    /// Where it ran.
    pub device: String,
    /// Threads in use.
    pub threads: usize,
}

/// Times `steps` steps after two of warm-up.
///
/// # Errors
/// An invalid recipe or a device that fails.
pub fn bench_train(recipe: &Recipe, device: &OpenDevice, steps: usize) -> Result<TrainFigures> {
    let network = Network::new(recipe, &device.device.clone().autodiff())?;
    let mut learner = Learner::new(recipe, network, Lesson::new(recipe)?);
    let batch = recipe.optim.batch;
    let (images, keys) = (noise_images(recipe, batch), (0..batch as u64).collect::<Vec<_>>());
    let mut rows = Vec::new();
    let mut saved_bytes = 0;
    const WARM_UP: usize = 2;
    const RATES: UpdateRates = UpdateRates { lr: 1e-4, peak_lr: 1e-4, weight_decay: 0.05, ema: 0.99 };
    let place = Place::default();
    for step in 0..WARM_UP + steps.max(1) {
        let mut clock = Clock(Instant::now());
        let prepared = learner.lesson.prepare(&images, 0, &keys)?;
        let before = kernel::bytes_in_use();
        let prepare = clock.lap();
        let Outcome { loss, kept, .. } = learner.lesson.outcome(&learner.network, &prepared, place, false)?;
        let value = to_host(loss.clone().without_autodiff())?;
        let forward = clock.lap();
        saved_bytes = kernel::bytes_in_use() - before;
        let gradients = learner.network.parameters().take_gradients(&mut loss.backward());
        sync(device)?;
        let backward = clock.lap();
        learner.update(gradients, kept.into_iter().collect(), place, RATES);
        sync(device)?;
        let optimizer_secs = clock.lap();
        if value.iter().any(|value| !value.is_finite()) {
            return Err(Error::Failed("the loss of stand-in data is not finite: this device computes wrong values".into()));
        }
        if step >= WARM_UP {
            rows.push([prepare, forward, backward, optimizer_secs, prepare + forward + backward + optimizer_secs]);
        }
    }
    let launches_per_step = if device.is_cpu() {
        None
    } else {
        let (done, launches) = launches_of(|| {
            let prepared = learner.lesson.prepare(&images, 0, &keys)?;
            let Outcome { loss, kept, .. } = learner.lesson.outcome(&learner.network, &prepared, place, false)?;
            let gradients = learner.network.parameters().take_gradients(&mut loss.backward());
            learner.update(gradients, kept.into_iter().collect(), place, RATES);
            sync(device)
        });
        done?;
        Some(launches.values().sum())
    };
    let median = |part: usize| {
        let mut values: Vec<f64> = rows.iter().map(|row| row[part]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let seconds_per_step = median(4);
    let flops = match learner.lesson.prepare(&images, 0, &keys)?.masked_counts() {
        Some((visible, predicted, blocks)) => flops_per_image(&sizes(recipe)?, batch, visible, predicted, blocks),
        None => view_flops_per_image(recipe),
    };
    let gflop_per_image = flops / 1e9;
    let gflops = gflop_per_image * batch as f64 / seconds_per_step;
    let peak_mib = peak_mib();
    drop(learner);
    let matrix_peak_gflops = matrix_peak_gflops();
    Ok(TrainFigures {
        images_per_second: batch as f64 / seconds_per_step,
        seconds_per_step,
        phases: Phases { prepare: median(0), forward: median(1), backward: median(2), optimizer: median(3) },
        peak_mib,
        saved_mib: device.is_cpu().then_some(saved_bytes as u64 >> 20),
        gflop_per_image,
        matrix_peak_gflops,
        peak_share: gflops / matrix_peak_gflops,
        launches_per_step,
        device: device.name.clone(),
        threads: rayon::current_num_threads(),
    })
}

struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.0).as_secs_f64();
        self.0 = now;
        seconds
    }
}

fn sync(device: &OpenDevice) -> Result<()> {
    device.device.sync().map_err(|error| Error::Failed(format!("the device failed: {error:?}")))
}

/// The process's peak memory in MiB, where the system tells (Linux).
pub fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// The processor time of all the process's threads so far, in seconds, where the system tells (Linux).
pub fn cpu_secs() -> Option<f64> {
    /// Linux counts in hundredths of a second on every machine.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything, come the state and, at places 11 and 12 from it, user and system time.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
