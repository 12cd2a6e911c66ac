//! What the window costs: work per frame with 100,000 images and 20 long runs, and nothing at all while nothing happens.
//!
//! Work is what the thread of the window computes to lay a frame out and to tessellate it, in its own processor time: whatever else runs on
//! the machine does not count, and no GPU is needed. Benches print more: `cargo test --release --workspace --test all speed -- --ignored
//! --nocapture`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::costs::{Costs, process_time, resident_mib};
use self::load::{Living, images, living_run, past_runs};
use self::timed_window::TimedWindow;
use crate::harness::{events_of, maskroom, number, pretrain};

/// What frames cost, summed up.
mod costs;
/// A project of many images and long runs.
mod load;
/// A window without a renderer, whose frames are timed.
mod timed_window;

/// Of all frames but one in a hundred.
const GOAL: Duration = Duration::from_millis(4);

/// Pairs of panels, left and right, by their keys: Ctrl and a digit.
const ARRANGEMENTS: [(&str, [char; 2]); 6] = [
    ("data, train", ['1', '4']),
    ("runs, train", ['8', '4']),
    ("recipe, train", ['3', '4']),
    ("masking, reconstructions", ['2', '5']),
    ("runs, attention", ['8', '6']),
    ("data, masks", ['1', '7']),
];

#[test]
fn frames_are_cheap_while_a_run_is_in_progress() {
    let folder = tempfile::tempdir().unwrap();
    let (project, _living) = project(folder.path(), 3000, 6, 50_000);
    let mut window = TimedWindow::open(&project, &folder.path().join("state"));
    window.wait_for("3,000 images");
    window.wait_for("Gradient norm");
    // What other tests do to the caches is not the window's cost: the quietest of three rounds counts.
    let mut rounds = std::iter::repeat_with(|| every_arrangement(&mut window, 120).percentile(0.99)).take(3);
    let reached = rounds.find(|p99| *p99 < GOAL);
    assert!(reached.is_some(), "no round stayed under {GOAL:?}");
}

#[test]
fn an_idle_window_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (project, living) = project(folder.path(), 3000, 2, 2000);
    let mut window = TimedWindow::open(&project, &folder.path().join("state"));
    window.wait_for("Gradient norm");
    drop(living);
    for (name, digits) in ARRANGEMENTS {
        window.show_panels(digits);
        assert!(window.comes_to_rest(Duration::from_secs(1), Duration::from_secs(30)), "never at rest: {name}\n{}", window.words());
    }
    assert!(window.comes_to_rest(Duration::from_secs(3), Duration::from_secs(4)), "wakes up again\n{}", window.words());
}

#[test]
#[ignore = "a bench: it takes a minute and gigabytes of disk"]
fn the_whole_load() {
    let folder = tempfile::tempdir().unwrap();
    let (project, _living) = project(folder.path(), 100_000, 20, 1_000_000);
    println!("memory before: {} MiB", resident_mib());
    for opening in ["first", "second"] {
        let begin = Instant::now();
        let mut window = TimedWindow::open(&project, &folder.path().join("state"));
        let mut opened = Costs::new(&format!("{opening} opening"));
        let rows = window.frames_until(&mut opened, |window| window.says("100,000 images"));
        println!("{opening} opening: first frame after {:.3} s, images after {:.3} s", window.up.as_secs_f64(), rows.as_secs_f64());
        window.frames_until(&mut opened, |window| window.says("Gradient norm") && !window.says("Reading the"));
        println!("{opening} opening: curves of a million steps after {:.2} s", begin.elapsed().as_secs_f64());
        window.frames_until(&mut opened, |_| runs_of(&project).all(|run| run.join(".columns").exists()));
        println!("{opening} opening: all 20 runs after {:.2} s, {} MiB", begin.elapsed().as_secs_f64(), resident_mib());
        println!("{opened}");
        every_arrangement(&mut window, 200);
    }
    let mut window = TimedWindow::open(&project, &folder.path().join("state"));
    window.wait_for("Gradient norm");
    compare_all(&mut window);
    let mut compared = Costs::new("20 curves come");
    window.drive(&mut compared, 1500, Duration::from_millis(6));
    println!("{compared}");
    every_arrangement(&mut window, 200);
    println!("{} MiB with 20 runs drawn", resident_mib());
}

#[test]
#[ignore = "a bench: it takes minutes"]
fn an_open_window_does_not_slow_training() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    maskroom("data make-toy --count 512 --size 64").with("--out", &images).json();
    let mut speeds = [Vec::new(), Vec::new()];
    for round in 0..6 {
        let watched = round % 2 == 1;
        let run = images.join(format!(".maskroom/runs/run-{round}"));
        std::fs::create_dir_all(run.parent().unwrap()).unwrap();
        let mut engine = pretrain(&images, &run).and("--threads 2 --steps 1000000 --set optim.batch=32").start();
        engine.wait_until("its first steps", || run.join("events.jsonl").exists() && !events_of(&run, "step").is_empty());
        let window = watched.then(|| TimedWindow::open(&images, &folder.path().join("state")));
        let (begin, before) = (Instant::now(), process_time());
        let mut costs = Costs::new("10 frames a second");
        if let Some(mut window) = window {
            window.wait_for("Gradient norm");
            window.drive(&mut costs, 200, Duration::from_millis(100));
        } else {
            std::thread::sleep(Duration::from_secs(20));
        }
        let taken = (process_time() - before).as_secs_f64() / begin.elapsed().as_secs_f64();
        engine.kill();
        let speed = images_per_second(&events_of(&run, "step"));
        println!("{}: {speed:.1} images/s; this process took {:.2} % of a core", if watched { "window" } else { "alone " }, taken * 100.0);
        if watched {
            println!("{costs}");
        }
        speeds[usize::from(watched)].push(speed);
    }
    let mean = |speeds: &[f64]| speeds.iter().sum::<f64>() / speeds.len() as f64;
    println!("training under an open window is {:.3} times as fast", mean(&speeds[1]) / mean(&speeds[0]));
}

/// `count` images with `runs` runs of `steps` logged steps, the last of which goes on.
fn project(folder: &Path, count: usize, runs: usize, steps: u64) -> (std::path::PathBuf, Living) {
    let project = folder.join("many images");
    images(&project, count);
    let folder = project.join(".maskroom/runs");
    past_runs(&folder, runs - 1, steps);
    let living = living_run(&folder.join("living"), steps);
    (project, living)
}

fn runs_of(project: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    std::fs::read_dir(project.join(".maskroom/runs")).expect("the runs").map(|entry| entry.expect("a run").path())
}

/// Goes through the panels with a restless pointer; prints what each pair cost, and gives the sum.
fn every_arrangement(window: &mut TimedWindow, frames: usize) -> Costs {
    let mut all = Costs::new("all");
    for (name, digits) in ARRANGEMENTS {
        let mut costs = Costs::new(name);
        window.show_panels_timed(&mut costs, digits);
        window.drive(&mut costs, frames, Duration::from_millis(6));
        println!("{costs}");
        all.add(&costs);
    }
    println!("{all}");
    all
}

/// Chooses all rows of the table of runs and compares them.
fn compare_all(window: &mut TimedWindow) {
    window.show_panels(['8', '4']);
    window.click("past 18", egui::PointerButton::Primary);
    window.press(egui::Modifiers::COMMAND, egui::Key::A);
    window.click("past 18", egui::PointerButton::Secondary);
    window.click("Compare", egui::PointerButton::Primary);
    assert!(window.says("past 5"), "not compared:\n{}", window.words());
}

/// Over all but the first logged steps: the first ones warm up.
fn images_per_second(steps: &[Value]) -> f64 {
    let (first, last) = (&steps[steps.len() / 10], &steps[steps.len() - 1]);
    32.0 * (number(last, "step") - number(first, "step")) / (number(last, "seconds") - number(first, "seconds"))
}
