//! One training step on a GPU beside the same step on the CPU: `auto` trusts a GPU only after it computes the same and is faster.

use std::time::Instant;

use crate::device::{DeviceChoice, OpenDevice, Trial};
use crate::error::Result;
use crate::method::{Lesson, Network, Place};
use crate::optim::adamw::global_norm;
use crate::random::{Purpose, Stream};
use crate::recipe::Recipe;
use crate::weights::model_file::to_host;

/// Opens the chosen device. With `auto`, a GPU that computes wrong values or is slower gives way to the CPU, and a warning says why.
///
/// # Errors
/// If a device asked for by name does not open.
pub fn choose(choice: DeviceChoice, recipe: &Recipe, warnings: &mut Vec<String>) -> Result<OpenDevice> {
    let opened = OpenDevice::open(choice)?;
    if choice != DeviceChoice::Auto || opened.is_cpu() {
        return Ok(opened);
    }
    let verdict = compare(&opened, recipe).map_err(|error| error.to_string()).and_then(|trial| trial.judge());
    match verdict {
        Ok(()) => Ok(opened),
        Err(reason) => {
            warnings.push(format!("{} is not used: {reason}; training on the CPU", opened.name));
            Ok(OpenDevice::cpu(&format!("{} was tried: {reason}", opened.name)))
        }
    }
}

/// Trains one small batch of the recipe's own network on both devices.
///
/// # Errors
/// If a device fails.
pub fn compare(gpu: &OpenDevice, recipe: &Recipe) -> Result<Trial> {
    let mut recipe = recipe.clone();
    recipe.optim.batch = 2;
    let cpu = step(&OpenDevice::cpu("reference"), &recipe)?;
    let gpu = step(gpu, &recipe)?;
    Ok(Trial { losses: [cpu.0, gpu.0], gradient_norms: [cpu.1, gpu.1], seconds: [cpu.2, gpu.2] })
}

/// Loss, gradient norm, and the seconds of the second of two equal steps.
fn step(device: &OpenDevice, recipe: &Recipe) -> Result<(f64, f64, f64)> {
    let network = Network::new(recipe, &device.device.clone().autodiff())?;
    let mut lesson = Lesson::new(recipe)?;
    lesson.follow(network.for_inference());
    let keys: Vec<u64> = (0..recipe.optim.batch as u64).collect();
    let prepared = lesson.prepare(&noise_images(recipe, recipe.optim.batch), 0, &keys)?;
    let mut figures = (0.0, 0.0, 0.0);
    for _ in 0..2 {
        let begin = Instant::now();
        let loss = lesson.outcome(&network, &prepared, Place::default(), false)?.loss;
        let gradients = network.parameters().take_gradients(&mut loss.backward());
        let norm = global_norm(&gradients).map(to_host).transpose()?.and_then(|norm| norm.first().copied());
        let loss = to_host(loss.without_autodiff())?.first().copied();
        figures = (f64::from(loss.unwrap_or(f32::NAN)), f64::from(norm.unwrap_or(f32::NAN)), begin.elapsed().as_secs_f64());
    }
    Ok(figures)
}

/// Stand-in images of normal noise, a function of the recipe's seed, as many as a step takes: `[B, H, W, C]` of each of a sample's views.
pub fn noise_images(recipe: &Recipe, batch: usize) -> Vec<f32> {
    let mut stream = Stream::new(recipe.seed, 1, 0, Purpose::Bench);
    let pixels: usize = recipe.views().iter().map(|view| view.height * view.width).sum();
    (0..batch * pixels * recipe.data.channels).map(|_| stream.normal() as f32).collect()
}
