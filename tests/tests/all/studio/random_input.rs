//! Ten thousand random events: pointer, wheel, keys and text, over a project with a run. The window must neither panic nor stop drawing.

use egui::{Event, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, Vec2, pos2};
use maskroom_core::random::{Purpose, Stream};

use super::stage::Stage;
use crate::harness::trained;

const EVENTS: usize = 10_000;
/// Events that one frame sees: a hasty person's.
const A_FRAME: usize = 4;

#[test]
fn ten_thousand_random_events_do_no_harm() {
    let stage = Stage::new().with_images(24).engine("no such engine").any_letters();
    let images = stage.images();
    let run = images.join(".maskroom/runs/a run");
    copy_folder(trained(), &run);
    let mut window = stage.open(Some(&images));
    window.wait_for("toy_000000.png");
    let mut stream = Stream::new(3, 0, 0, Purpose::Mask);
    let mut pointer = pos2(640.0, 400.0);
    for _ in 0..EVENTS / A_FRAME {
        for _ in 0..A_FRAME {
            event(&mut stream, &mut pointer).into_iter().for_each(|event| window.harness.event(event));
        }
        window.harness.step();
    }
    window.keep_picture("after_random_input");
    assert!(!window.words().is_empty());
}

fn event(stream: &mut Stream, pointer: &mut Pos2) -> Vec<Event> {
    const KEYS: [Key; 24] = [
        Key::Tab,
        Key::Tab,
        Key::Enter,
        Key::Space,
        Key::Escape,
        Key::Escape,
        Key::ArrowLeft,
        Key::ArrowRight,
        Key::ArrowUp,
        Key::ArrowDown,
        Key::Home,
        Key::End,
        Key::PageUp,
        Key::PageDown,
        Key::Backspace,
        Key::Delete,
        Key::F1,
        Key::K,
        Key::Z,
        Key::Comma,
        Key::Num1,
        Key::Num3,
        Key::Num6,
        Key::Plus,
    ];
    const TEXTS: [&str; 10] = ["a", "0", "-1", "1e9", "nan", "…", "\u{4e2d}", "=", "\n", "0.5"];
    let modifiers = match stream.below(8) {
        0 | 1 => Modifiers::COMMAND,
        2 => Modifiers::SHIFT,
        _ => Modifiers::NONE,
    };
    let key = |key, pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers };
    let button = |pos, pressed, secondary: bool| Event::PointerButton {
        pos,
        button: if secondary { PointerButton::Secondary } else { PointerButton::Primary },
        pressed,
        modifiers: Modifiers::NONE,
    };
    match stream.below(10) {
        0..4 => {
            *pointer = pos2(stream.range(-20.0, 1300.0) as f32, stream.range(-20.0, 820.0) as f32);
            vec![Event::PointerMoved(*pointer)]
        }
        4 | 5 => {
            let secondary = stream.chance(0.15);
            vec![button(*pointer, true, secondary), button(*pointer, false, secondary)]
        }
        6 => {
            // A drag, let go in one of the next events, or never.
            let from = *pointer;
            *pointer += Vec2::new(stream.range(-200.0, 200.0) as f32, stream.range(-200.0, 200.0) as f32);
            vec![button(from, true, false), Event::PointerMoved(*pointer), button(*pointer, stream.chance(0.1), false)]
        }
        7 => vec![Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta: Vec2::new(stream.range(-50.0, 50.0) as f32, stream.range(-300.0, 300.0) as f32),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers,
        }],
        8 => {
            let which = KEYS[stream.below(KEYS.len())];
            vec![key(which, true), key(which, false)]
        }
        _ => vec![Event::Text(TEXTS[stream.below(TEXTS.len())].into())],
    }
}

/// Copies a folder, all but its lock.
pub fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_name() != "engine.lock" {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
