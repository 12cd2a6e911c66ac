//! Windows and engines outlive each other (ARCHITECTURE 5): closing asks, killing harms nothing, the next window attaches.

use egui::{Key, Modifiers, ViewportEvent};
use maskroom_core::run::{RunFolder, holder, is_held};

use super::stage::{Stage, Window};
use crate::harness::{events_of, pretrain, toy};

const CTRL: Modifiers = Modifiers::COMMAND;

/// A window on a fresh project with a run of the default recipe in progress, made small enough to answer within a second.
fn training_window() -> (Window, RunFolder) {
    let stage = Stage::new().with_images(32);
    let images = stage.images();
    let run = images.join(".maskroom/runs/night");
    std::fs::create_dir_all(images.join(".maskroom/runs")).expect("a folder for runs");
    // Prepared by the command line and killed early: a window goes on with it.
    let mut engine =
        pretrain(&images, &run).and("--steps 1000000 --set train.checkpoint_every_steps=20 --set train.log_every_steps=5").start();
    engine.wait_until("its first checkpoint", || run.join("checkpoints").read_dir().is_ok_and(|mut found| found.next().is_some()));
    engine.kill();
    let mut window = stage.open(Some(&images));
    window.wait_for("ended unexpectedly");
    window.command("continue from");
    let run = RunFolder { root: run };
    window.wait_until("the engine lives", |_| is_held(&run.lock_path()));
    window.wait_for("night training");
    (window, run)
}

fn request_close(window: &mut Window) {
    let input = window.harness.input_mut();
    input.viewports.entry(egui::ViewportId::ROOT).or_default().events.push(ViewportEvent::Close);
    window.harness.step();
    window.harness.step();
}

fn wait_until_free(run: &RunFolder) {
    for _ in 0..6000 {
        if !is_held(&run.lock_path()) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the engine does not end");
}

#[test]
fn closing_asks_and_the_next_window_attaches() {
    let (mut window, run) = training_window();
    request_close(&mut window);
    window.wait_for("night is still training");
    window.keep_picture("closing");
    window.click("Keep training");
    let Window { harness, folder } = window;
    drop(harness);
    assert!(is_held(&run.lock_path()), "the engine must survive the window");

    // The next window finds the engine, and can stop it.
    let images = folder.path().join("images");
    let mut next = Stage::new().open(Some(&images));
    next.wait_for("night training");
    request_close(&mut next);
    next.click("Checkpoint and stop");
    wait_until_free(&run);
    assert_eq!(events_of(&run.root, "stopped").last().unwrap()["reason"], "stopped");
}

#[test]
fn a_killed_engine_is_told_and_can_go_on() {
    let (mut window, run) = training_window();
    let engine = holder(&run.lock_path()).unwrap().pid;
    let killed = std::process::Command::new("kill").args(["-9", &engine.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    window.wait_for("night ended unexpectedly");
    window.keep_picture("ended_unexpectedly");
    assert!(!is_held(&run.lock_path()));
    // Beside the badge there is a way on.
    assert!(window.words().contains("Continue"), "{}", window.words());
}

#[test]
fn a_failed_engine_says_why() {
    let stage = Stage::new().with_images(32);
    let images = stage.images();
    let run = images.join(".maskroom/runs/broken");
    std::fs::create_dir_all(run.parent().unwrap()).unwrap();
    pretrain(toy(), &run).and("--steps 5").json();
    // What an engine writes when an error or a panic ends it.
    let log = run.join("events.jsonl");
    let mut text = std::fs::read_to_string(&log).unwrap();
    text.push_str("{\"kind\":\"stopped\",\"reason\":\"failed\",\"error\":\"the GPU is lost; choose the CPU\",\"step\":5,\"time\":1.0}\n");
    std::fs::write(&log, text).unwrap();
    let mut window = stage.open(Some(&images));
    window.wait_for("failed");
    window.press(CTRL, Key::Num4);
    window.wait_for("the GPU is lost; choose the CPU");
}
