//! The whole program without a window: toy scenes in, a trained masked autoencoder out.
//!
//! `cargo run --release -p maskroom-core --example pretrain -- FOLDER`

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use maskroom_core::dataset::toy_scenes::make_toy;
use maskroom_core::device::DeviceChoice;
use maskroom_core::recipe::{Base, Recipe};
use maskroom_core::run::RunInfo;
use maskroom_core::train::session::{Options, prepare, train};

fn main() -> Result<(), maskroom_core::error::Error> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "pretrain-example".into()));
    let data = folder.join("data");
    make_toy(&data, 512, (32, 32), 0, &mut |_| {})?;

    let sets = [("backbone.preset", "vit-nano"), ("optim.base_lr", "4e-3"), ("train.steps", "100")];
    let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let recipe = Recipe::resolve(Base::Preset("mae"), &sets)?;
    let run = prepare(&folder.join("run"), &data, &recipe, RunInfo::default())?;
    let mut on_tick = |tick: &maskroom_core::train::report::Tick| {
        if tick.step.is_multiple_of(10) {
            println!("step {:4}  loss {:.4}  {:.0} images/s", tick.step, tick.loss, tick.images_per_second);
        }
    };
    let interrupted = AtomicBool::new(false);
    let mut options =
        Options { device: Some(DeviceChoice::Cpu), threads: 2, steps: None, interrupted: &interrupted, on_tick: &mut on_tick };
    let summary = train(&run, &mut options)?;
    println!("loss {:.4} to {:.4}; weights in {}", summary.first_loss, summary.last_loss, summary.run.display());
    Ok(())
}
