//! Pictures of the whole window: what is seen before a folder is open, and what lies over the panels for a moment.

use std::path::Path;
use std::time::Duration;

use egui::{Key, Modifiers, Theme, ViewportEvent};
use egui_kittest::{Harness, SnapshotResult, SnapshotResults};
use maskroom_app::studio::Studio;

use super::scene::{typical_folder, weights};
use super::snapshots::{compare, places_of};
use super::stage::{Stage, Window};

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);
const SIZE: [f32; 2] = [960.0, 640.0];

/// Opens windows in both themes, brings each to what is to be seen, and compares the pictures.
fn windows(results: &mut SnapshotResults, name: &str, project: Option<&Path>, stage: fn(Stage) -> Stage, prepare: fn(&mut Window)) {
    for theme in [Theme::Dark, Theme::Light] {
        let stage = stage(Stage::new().size(SIZE).theme(theme).engine("no such engine"));
        let mut window = stage.open(project);
        prepare(&mut window);
        results.add(take(&mut window, name, theme));
    }
}

fn take(window: &mut Window, name: &str, theme: Theme) -> SnapshotResult {
    // Longer than a toast is seen.
    window.harness.run_steps(100);
    std::thread::sleep(Duration::from_millis(500));
    let theme = if theme == Theme::Dark { "dark" } else { "light" };
    compare(&mut window.harness, &format!("window_{name}_{theme}"), hide)
}

/// Covers the time of messages, and the version.
fn hide(window: &mut Harness<'static, Studio>) {
    let times = places_of(window, "00:00:00 ").into_iter().map(|line| line.with_max_x(line.left() + 72.0));
    let covered: Vec<egui::Rect> = times.chain(places_of(window, "Version ")).collect();
    covered.into_iter().for_each(|rect| window.mask(rect));
}

/// Opens windows over a project with a run that trains.
fn windows_at_work(results: &mut SnapshotResults, name: &str, prepare: fn(&mut Window)) {
    for theme in [Theme::Dark, Theme::Light] {
        let mut window = Stage::new().size(SIZE).theme(theme).engine("no such engine").open(Some(typical_folder()));
        window.wait_for("24 images");
        window.wait_for("Tonight training");
        prepare(&mut window);
        results.add(take(&mut window, name, theme));
    }
}

#[test]
fn the_welcome_screen() {
    let mut results = SnapshotResults::new();
    windows(&mut results, "welcome_first", None, |stage| stage, |_| {});
    let recent = |stage: Stage| {
        stage.recent([
            "/photos/toy scenes",
            "/archive/2025/expeditions/second/microscopy/raw frames of the northern ridge, exposure 4/without the blurred ones/tiff",
            "/data/imagenet100_resized_224_without_duplicates_and_without_what_could_not_be_read_by_the_previous_version",
            "/data/cells.tar",
        ])
    };
    windows(&mut results, "welcome_recent", None, recent, |_| {});
    windows(
        &mut results,
        "welcome_failed",
        Some(Path::new("/photos/no longer there")),
        |stage| stage,
        |window| window.wait_for("no longer there"),
    );
}

#[test]
fn what_lies_over_the_panels() {
    let mut results = SnapshotResults::new();
    windows_at_work(&mut results, "panels", |_| {});
    windows_at_work(&mut results, "palette", |window| {
        window.press(CTRL, Key::K);
        type_in(window, "re");
    });
    windows_at_work(&mut results, "cheat_sheet", |window| window.press(Modifiers::NONE, Key::F1));
    windows_at_work(&mut results, "preferences", |window| window.press(CTRL, Key::Comma));
    windows_at_work(&mut results, "notifications", |window| window.press(CTRL_SHIFT, Key::N));
    windows_at_work(&mut results, "open_path", |window| {
        window.press(CTRL_SHIFT, Key::O);
        type_in(window, "/no such folder/at all");
    });
    windows_at_work(&mut results, "about", |window| {
        window.press(CTRL, Key::K);
        type_in(window, "about");
        window.press(Modifiers::NONE, Key::Enter);
    });
    windows_at_work(&mut results, "closing", |window| {
        let input = window.harness.input_mut();
        input.viewports.entry(egui::ViewportId::ROOT).or_default().events.push(ViewportEvent::Close);
        window.harness.step();
        window.wait_for("Tonight is still training");
    });
}

#[test]
fn what_weights_from_elsewhere_are() {
    let mut results = SnapshotResults::new();
    windows_at_work(&mut results, "weights", |window| {
        window.drop_file(&weights("dino_full.pth"));
        window.wait_for("Explore");
    });
    windows_at_work(&mut results, "weights_refused", |window| {
        window.drop_file(&weights("no such file.pth"));
        window.wait_for("cannot be used");
    });
    windows_at_work(&mut results, "weights_export", |window| {
        window.drop_file(&weights("mae_full.pth"));
        window.click("Export…");
        window.wait_for("Choose a folder");
    });
    windows_at_work(&mut results, "weights_explored", |window| {
        window.drop_file(&weights("dino_backbone.pth"));
        window.click("Explore");
        window.press(CTRL, Key::Num5);
        window.wait_for("Original of");
    });
}

#[test]
fn only_what_could_be_opened_is_remembered() {
    let stage = Stage::new().with_images(4).engine("no such engine");
    let (images, gone) = (stage.images(), stage.images().join("no such folder"));
    let mut window = stage.answers([&gone, &images]).open(None);
    let recent = |window: &Window| std::fs::read_to_string(window.folder.path().join("state/preferences.json")).unwrap_or_default();
    window.press(CTRL, Key::O);
    window.wait_for("no such folder");
    assert!(!recent(&window).contains("no such folder"), "{}", recent(&window));
    window.press(CTRL, Key::O);
    window.wait_for("4 images");
    let words = recent(&window);
    assert!(words.contains("images") && !words.contains("no such folder"), "{words}");
}

fn type_in(window: &mut Window, text: &str) {
    window.harness.event(egui::Event::Text(text.into()));
    window.harness.step();
}
