//! Pictures of every panel in every state, in both themes at two pixel ratios, compared with those kept in `tests/snapshots`.

use std::time::{Duration, Instant};

use egui::{Context, Theme, vec2};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, SnapshotResult, SnapshotResults};
use maskroom_app::studio::panels::{PANELS, Panel, PanelEntry};
use maskroom_widgets::{Tokens, theme};

use super::scene::Scene;

/// Pixel ratios, what pictures are called at them, and how large a panel is, in points: as in a window of the usual size, and as small as
/// people make it.
const SIZES: [(f32, &str, egui::Vec2); 2] = [(1.0, "1x", vec2(560.0, 560.0)), (2.0, "2x", vec2(380.0, 400.0))];
/// Longer than any worker takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing must change before a picture is kept as the right one; workers may take a while.
const QUIET: Duration = Duration::from_millis(1500);

/// A panel and the desk before it.
struct Shown {
    entry: &'static PanelEntry,
    make: fn(&Context) -> Scene,
    scene: Option<Scene>,
    panel: Option<Box<dyn Panel>>,
}

type Picture<'a> = Harness<'a, Shown>;

#[test]
fn panels_without_a_folder() {
    every_panel("empty", Scene::empty);
}

#[test]
fn panels_at_work() {
    every_panel("typical", Scene::typical);
}

#[test]
fn panels_in_trouble() {
    every_panel("error", Scene::error);
}

#[test]
fn panels_with_long_names() {
    every_panel("long_names", Scene::long_names);
}

#[test]
fn masks_that_were_made_and_their_export() {
    let mut results = SnapshotResults::new();
    let mut picture = panel("masks", Scene::typical);
    picture.get_by_label("Make masks").click();
    picture.step();
    picture.remove_cursor();
    wait(&mut picture, "masks are there", |picture| picture.query_all_by_label("All 24").next().is_some());
    wait(&mut picture, "all are made", |picture| picture.query_all_by_label("Making masks").next().is_none());
    take(&mut picture, "masks_made", &mut results);
    picture.get_by_label("Export…").click();
    picture.step();
    picture.remove_cursor();
    wait(&mut picture, "the form is there", |picture| picture.query_all_by_label("Export masks").next().is_some());
    take(&mut picture, "masks_export", &mut results);
}

#[test]
fn curves_beside_each_other() {
    let mut results = SnapshotResults::new();
    let mut picture = panel("train", Scene::comparing);
    take(&mut picture, "train_compare", &mut results);
}

#[test]
fn how_well_classes_are_told_apart() {
    let mut results = SnapshotResults::new();
    let mut picture = panel("train", |context| Scene::solving(context, "rotation"));
    let about = "How well features tell classes apart";
    wait(&mut picture, "the probes are drawn", |picture| picture.query_all_by_label_contains(about).next().is_some());
    picture.get_by_label_contains("Chart of share of images that find their class over step, 1 curve").scroll_to_me();
    settle(&mut picture, Duration::from_millis(200));
    picture.get_by_label_contains(about).hover();
    wait(&mut picture, "the protocol is told", |picture| picture.query_all_by_label_contains(about).count() == 2);
    picture.remove_cursor();
    take(&mut picture, "train_probe", &mut results);
}

#[test]
fn puzzles_and_colors_as_they_are_posed_and_as_they_are_solved() {
    let mut results = SnapshotResults::new();
    type Make = fn(&Context) -> Scene;
    let scenes: [(&str, Make); 3] = [
        ("rotation", |context| Scene::solving(context, "rotation")),
        ("jigsaw", |context| Scene::solving(context, "jigsaw")),
        ("colorization", |context| Scene::solving(context, "colorization")),
    ];
    for (method, make) in scenes {
        let mut picture = panel("data", make);
        picture.get_by_label("Augmentation").click();
        picture.step();
        picture.remove_cursor();
        wait(&mut picture, "samples are made", |picture| !places_of(picture, "Epoch 0").is_empty());
        take(&mut picture, &format!("data_{method}"), &mut results);
        let mut picture = panel("reconstructions", make);
        wait(&mut picture, "the preview is read", |picture| picture.query_all_by_label_contains("Original of").next().is_some());
        take(&mut picture, &format!("reconstructions_{method}"), &mut results);
    }
}

fn every_panel(state: &str, make: fn(&Context) -> Scene) {
    let mut results = SnapshotResults::new();
    for entry in PANELS {
        let mut picture = panel(entry.key, make);
        take(&mut picture, &format!("{}_{state}", entry.key), &mut results);
    }
}

/// A panel over its desk, once everything on the disk has been read.
fn panel(key: &str, make: fn(&Context) -> Scene) -> Picture<'static> {
    let entry = PANELS.iter().find(|entry| entry.key == key).expect("a panel of that name");
    let draw = |ui: &mut egui::Ui, shown: &mut Shown| {
        let context = ui.ctx().clone();
        ui.ctx().layer_painter(ui.layer_id()).rect_filled(ui.ctx().content_rect(), 0.0, Tokens::of(ui).surface);
        let scene = shown.scene.get_or_insert_with(|| (shown.make)(&context));
        scene.receive(&context);
        let panel = shown.panel.get_or_insert_with(|| (shown.entry.make)(&context));
        panel.ui(ui, scene.desk());
        scene.act();
    };
    let mut picture = Harness::builder()
        .with_size(SIZES[0].2)
        .with_render_cursor(false)
        .with_context_setup(theme::install)
        .wgpu()
        .build_ui_state(draw, Shown { entry, make, scene: None, panel: None });
    wait(&mut picture, "everything is read", |picture| picture.state().scene.as_ref().is_some_and(Scene::is_ready));
    picture
}

fn wait(picture: &mut Picture<'_>, what: &str, is_so: impl Fn(&Picture<'_>) -> bool) {
    let begin = Instant::now();
    while !is_so(picture) {
        assert!(begin.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
        picture.step();
    }
}

/// The four pictures of a panel as it stands.
fn take(picture: &mut Picture<'static>, name: &str, results: &mut SnapshotResults) {
    for (pixels_per_point, ratio, size) in SIZES {
        let viewport = picture.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.native_pixels_per_point = Some(pixels_per_point);
        picture.set_size(size);
        for theme in [Theme::Dark, Theme::Light] {
            picture.ctx.set_theme(theme);
            let theme = if theme == Theme::Dark { "dark" } else { "light" };
            results.add(compare(picture, &format!("{name}_{theme}_{ratio}"), hide_times));
        }
    }
}

/// Compares a picture with the kept one; while it differs, workers get more time. `hide` covers what a clock or a machine decides.
pub fn compare<'a, State>(picture: &mut Harness<'a, State>, name: &str, hide: fn(&mut Harness<'a, State>)) -> SnapshotResult {
    let is_new = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    settle(picture, if is_new { QUIET } else { Duration::ZERO });
    let begin = Instant::now();
    loop {
        hide(picture);
        let result = picture.try_snapshot(name);
        if result.is_ok() || begin.elapsed() > PATIENCE {
            return result;
        }
        settle(picture, Duration::from_millis(200));
    }
}

/// Draws until nothing has changed for so long.
pub fn settle<State>(picture: &mut Harness<'_, State>, quiet: Duration) {
    let begin = Instant::now();
    let (mut last, mut since) = (None, Instant::now());
    picture.run_steps(3);
    while since.elapsed() < quiet && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        picture.run_steps(2);
        let now = picture.render().ok();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// Covers hours and minutes: they are told on the clock of the place.
fn hide_times(picture: &mut Picture<'static>) {
    places_of(picture, "0000-00-00 00:00").into_iter().for_each(|rect| picture.mask(rect));
}

/// Where texts stand that begin like `shape`, in which 0 is any digit.
pub fn places_of<State>(picture: &Harness<'_, State>, shape: &str) -> Vec<egui::Rect> {
    let digits_as_0 = |text: &str| text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect::<String>();
    let nodes =
        picture.query_all_by(|node| node.label().or_else(|| node.value()).is_some_and(|text| digits_as_0(&text).starts_with(shape)));
    nodes.map(|node| node.rect()).collect()
}
