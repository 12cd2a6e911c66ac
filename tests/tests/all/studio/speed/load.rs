//! A project of many images and long runs, made in seconds: images are links to a few files, and so are the logs of past runs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use maskroom_core::recipe::Recipe;
use maskroom_core::run::{EngineLock, Event, EventWriter, RunFolder, RunInfo, Step};

use super::super::random_input::copy_folder;
use crate::harness::trained;

/// Links to one file: file systems bound their number.
const LINKS: usize = 10_000;

/// Makes `count` images.
pub fn images(folder: &Path, count: usize) {
    std::fs::create_dir_all(folder).expect("a folder for images");
    let path = |index: usize| folder.join(format!("photo_{index:06}.png"));
    for index in 0..count {
        if index.is_multiple_of(LINKS) {
            let shade = |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 7) as u8, (index / LINKS * 20) as u8]);
            image::RgbImage::from_fn(48, 32, shade).save(path(index)).expect("an image");
        } else {
            std::fs::hard_link(path(index - index % LINKS), path(index)).expect("a link");
        }
    }
}

/// Makes `count` runs that have finished, each with `steps` logged steps.
pub fn past_runs(folder: &Path, count: usize, steps: u64) {
    let recipe = Recipe::preset("mae").expect("a preset").to_toml();
    let mut log = None;
    for number in 0..count {
        let info = RunInfo { name: format!("past {number}"), created: number as f64, ..RunInfo::default() };
        let run = RunFolder::create(&folder.join(format!("past-{number:02}")), &recipe, &info).expect("a run");
        match &log {
            Some(log) => std::fs::hard_link(log, run.events_path()).expect("a link"),
            None => {
                let begin = "{\"kind\":\"started\",\"steps\":1000000,\"images\":80,\"device\":\"CPU\",\"time\":1.0}\n";
                let end = format!("{{\"kind\":\"stopped\",\"reason\":\"finished\",\"step\":{steps},\"time\":2.0}}\n");
                write_log(&run.events_path(), begin, 1..=steps, &end);
                log = Some(run.events_path());
            }
        }
    }
}

/// A run whose engine seems to live: it holds the lock and logs ten steps a second. Ends when dropped.
pub struct Living {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Makes a run with a checkpoint and previews that has logged `steps` steps, and goes on.
pub fn living_run(folder: &Path, steps: u64) -> Living {
    copy_folder(trained(), folder);
    let run = RunFolder { root: folder.to_path_buf() };
    let info = RunInfo { name: "living".into(), created: 1e9, ..run.info().expect("run.json") };
    run.write_info(&info).expect("run.json");
    let begun: String = std::fs::read_to_string(run.events_path())
        .expect("events.jsonl")
        .lines()
        .filter(|line| !line.contains("\"kind\":\"stopped\""))
        .map(|line| format!("{}\n", line.replace("\"steps\":30,", "\"steps\":2000000,")))
        .collect();
    std::fs::remove_file(run.events_path()).expect("events.jsonl");
    write_log(&run.events_path(), &begun, 31..=steps, "");
    let lock = EngineLock::acquire(&run.lock_path()).expect("the lock");
    let mut log = EventWriter::open(&run.events_path()).expect("events.jsonl");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let write = move || {
        let _lock = lock;
        for step in steps + 1.. {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            log.write(&Event::Step(a_step(step))).expect("a line");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    Living { stop, thread: Some(std::thread::Builder::new().name("living run".into()).spawn(write).expect("a thread")) }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| thread.join().expect("the end of a thread"));
    }
}

fn write_log(path: &Path, begin: &str, steps: std::ops::RangeInclusive<u64>, end: &str) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("events.jsonl"));
    let last = *steps.end();
    let mut write = |line: std::fmt::Arguments<'_>| file.write_fmt(line).expect("a line");
    write(format_args!("{begin}"));
    for step in steps {
        let Step { epoch, loss, lr, grad_norm, images_per_second, seconds, .. } = a_step(step);
        write(format_args!(
            "{{\"kind\":\"step\",\"step\":{step},\"epoch\":{epoch:.4},\"loss\":{loss:.6},\"lr\":{lr:.8},\"weight_decay\":0.05,\
             \"grad_norm\":{grad_norm:.5},\"images_per_second\":{images_per_second:.2},\"data_wait_ratio\":0.01,\"seconds\":{seconds:.3},\
             \"metrics\":{{}}}}\n"
        ));
        if step.is_multiple_of((last / 100).max(1)) {
            write(format_args!(
                "{{\"kind\":\"validation\",\"step\":{step},\"loss\":{loss:.6},\"baseline_patch_mean\":0.9,\"baseline_nearest\":1.1}}\n"
            ));
            write(format_args!("{{\"kind\":\"checkpoint\",\"step\":{step},\"path\":\"checkpoints/{step:08}\"}}\n"));
        }
    }
    write(format_args!("{end}"));
}

/// A noisy descent.
fn a_step(step: u64) -> Step {
    let noise = (step.wrapping_mul(2_654_435_761) >> 7) as f64 % 1000.0 / 1000.0 - 0.5;
    let at = step as f64;
    Step {
        step,
        epoch: at / 625.0,
        loss: 0.2 + 0.8 / (1.0 + at / 5000.0) + 0.05 * noise,
        lr: 1e-4 * (1.0 + (at / 3e5).cos()),
        weight_decay: 0.05,
        grad_norm: 1.0 + 0.3 * noise,
        images_per_second: 500.0 + 40.0 * noise,
        data_wait_ratio: 0.01,
        seconds: at * 0.13,
        ..Step::default()
    }
}
