//! A window without a renderer, whose frames are timed: events go in, shapes come out and become triangles, and nothing is drawn.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eframe::App as _;
use egui::{Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, Shape, ViewportId, vec2};
use maskroom_app::studio::dialogs::Scripted;
use maskroom_app::studio::{Setup, Studio};

use super::costs::{Cost, Costs, thread_time};
use crate::harness::binary;

const SIZE: egui::Vec2 = vec2(1280.0, 800.0);
/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The window.
pub struct TimedWindow {
    context: egui::Context,
    studio: Studio,
    frame: eframe::Frame,
    begin: Instant,
    pointer: Pos2,
    /// Whether anybody wants another frame.
    wanted: Arc<AtomicBool>,
    /// The text of the last frame.
    texts: Vec<String>,
    /// After this time from the last frame another one is wanted.
    delay: Duration,
    accesskit: Option<egui::accesskit::TreeUpdate>,
    /// From nothing to the first frame, both in time that passes.
    pub up: Duration,
}

impl TimedWindow {
    /// Opens the window on `project`.
    pub fn open(project: &Path, state: &Path) -> Self {
        std::fs::create_dir_all(state).expect("a folder for preferences");
        let preferences = serde_json::json!({"theme": "Dark", "device": "cpu", "notify": false, "keep_awake": false, "threads": 1});
        std::fs::write(state.join("preferences.json"), preferences.to_string()).expect("preferences");
        let begin = Instant::now();
        let context = egui::Context::default();
        let wanted = Arc::new(AtomicBool::new(true));
        let wants = Arc::clone(&wanted);
        context.set_request_repaint_callback(move |_| wants.store(true, Ordering::Relaxed));
        let setup = Setup {
            folder: Some(project.to_path_buf()),
            state: state.to_path_buf(),
            engine: binary().to_path_buf(),
            dialogs: Box::new(Scripted::new(Vec::<std::path::PathBuf>::new())),
        };
        let mut window = Self {
            studio: Studio::new(&context, setup),
            frame: eframe::Frame::_new_kittest(),
            context,
            begin,
            pointer: SIZE.to_pos2() * 0.5,
            wanted,
            texts: Vec::new(),
            delay: Duration::ZERO,
            accesskit: None,
            up: Duration::ZERO,
        };
        window.step(Vec::new());
        window.up = begin.elapsed();
        window
    }

    /// One frame that sees these events.
    pub fn step(&mut self, events: Vec<Event>) -> Cost {
        self.wanted.store(false, Ordering::Relaxed);
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)),
            max_texture_side: Some(8192),
            time: Some(self.begin.elapsed().as_secs_f64()),
            events,
            focused: true,
            ..RawInput::default()
        };
        input.viewports.entry(ViewportId::ROOT).or_default().native_pixels_per_point = Some(1.0);
        let before = thread_time();
        let output = self.context.run_ui(input, |ui| {
            let context = ui.ctx().clone();
            self.studio.logic(&context, &mut self.frame);
            self.studio.ui(ui, &mut self.frame);
        });
        let between = thread_time();
        let shapes = output.shapes.clone();
        let before_tessellation = thread_time();
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        let end = thread_time();
        assert!(!primitives.is_empty());
        self.texts.clear();
        shapes.iter().for_each(|clipped| collect(&clipped.shape, &mut self.texts));
        self.delay = output.viewport_output.get(&ViewportId::ROOT).map_or(Duration::MAX, |viewport| viewport.repaint_delay);
        self.accesskit = output.platform_output.accesskit_update;
        Cost { layout: between - before, tessellation: end - before_tessellation }
    }

    /// Whether the last frame had this text.
    pub fn says(&self, text: &str) -> bool {
        self.texts.iter().any(|said| said.contains(text))
    }

    /// All text of the last frame.
    pub fn words(&self) -> String {
        self.texts.join("\n")
    }

    /// Draws frames until the window says `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.frames_until(&mut Costs::new(""), |window| window.says(text));
    }

    /// Draws up to 60 frames a second until `is_so`, and tells how long it took.
    #[track_caller]
    pub fn frames_until(&mut self, costs: &mut Costs, is_so: impl Fn(&Self) -> bool) -> Duration {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "waited too long; the window says:\n{}", self.words());
            costs.push(self.step(Vec::new()));
            std::thread::sleep(Duration::from_millis(16));
        }
        begin.elapsed()
    }

    /// Draws frames when somebody wants one, until for `rest` nobody did. Whether that was within `patience`.
    pub fn comes_to_rest(&mut self, rest: Duration, patience: Duration) -> bool {
        let begin = Instant::now();
        let mut last_wish = begin;
        while begin.elapsed() < patience {
            if self.wanted.load(Ordering::Relaxed) || self.delay < Duration::MAX {
                last_wish = Instant::now();
                self.step(Vec::new());
            }
            if last_wish.elapsed() >= rest {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// A restless person: the pointer moves over everything, the wheel turns now and then.
    pub fn drive(&mut self, costs: &mut Costs, frames: usize, pause: Duration) {
        for frame in 0..frames {
            let turn = frame as f32 * 0.11;
            self.pointer = Pos2::new(640.0 + 620.0 * (turn * 0.37).sin(), 420.0 + 360.0 * turn.cos());
            let mut events = vec![Event::PointerMoved(self.pointer)];
            if frame % 5 == 4 {
                let delta = vec2(0.0, if frame % 100 < 60 { -120.0 } else { 180.0 });
                events.push(Event::MouseWheel {
                    unit: egui::MouseWheelUnit::Point,
                    delta,
                    phase: egui::TouchPhase::Move,
                    source: egui::MouseWheelSource::Unknown,
                    modifiers: Modifiers::NONE,
                });
            }
            costs.push(self.step(events));
            std::thread::sleep(pause);
        }
    }

    /// Brings two panels to the front.
    pub fn show_panels(&mut self, digits: [char; 2]) {
        self.show_panels_timed(&mut Costs::new(""), digits);
    }

    /// The same, and what it costs.
    pub fn show_panels_timed(&mut self, costs: &mut Costs, digits: [char; 2]) {
        for digit in digits {
            let key = Key::from_name(&digit.to_string()).expect("a digit's key");
            costs.push(self.press(Modifiers::COMMAND, key));
        }
        // The keys are heard in one frame and obeyed in the next.
        costs.push(self.step(Vec::new()));
    }

    /// Presses keys, as a person does.
    pub fn press(&mut self, modifiers: Modifiers, key: Key) -> Cost {
        let event = |pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers };
        self.step(vec![Event::ModifiersChanged(modifiers), event(true), event(false), Event::ModifiersChanged(Modifiers::NONE)])
    }

    /// Clicks what has this name; of several what is nearest to the pointer.
    #[track_caller]
    pub fn click(&mut self, name: &str, button: PointerButton) {
        self.context.enable_accesskit();
        (0..3).for_each(|_| _ = self.step(Vec::new()));
        self.context.disable_accesskit();
        let nodes = self.accesskit.take().map(|update| update.nodes).unwrap_or_default();
        let named = nodes.iter().filter(|(_, node)| node.label() == Some(name) || node.value() == Some(name));
        let centers = named
            .filter_map(|(_, node)| node.bounds())
            .map(|bounds| Pos2::new((bounds.x0 + bounds.x1) as f32 / 2.0, (bounds.y0 + bounds.y1) as f32 / 2.0));
        let nearest = centers.min_by(|a, b| a.distance(self.pointer).total_cmp(&b.distance(self.pointer)));
        self.pointer = nearest.unwrap_or_else(|| panic!("there is no `{name}`:\n{}", self.words()));
        self.step(vec![Event::PointerMoved(self.pointer)]);
        let event = |pressed| Event::PointerButton { pos: self.pointer, button, pressed, modifiers: Modifiers::NONE };
        let events = [event(true), event(false)];
        events.into_iter().for_each(|event| _ = self.step(vec![event]));
        (0..3).for_each(|_| _ = self.step(Vec::new()));
    }
}

fn collect(shape: &Shape, texts: &mut Vec<String>) {
    match shape {
        Shape::Text(text) => texts.push(text.galley.text().to_owned()),
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| collect(shape, texts)),
        _ => {}
    }
}
