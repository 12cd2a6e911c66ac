//! Weights from elsewhere: dropped on the window they are recognized, looked through, trained from and exported, by keyboard as well; what
//! cannot be used says what to do.

use std::path::PathBuf;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;

use super::stage::{Stage, Window};
use crate::harness::workspace;

const CTRL: Modifiers = Modifiers::COMMAND;

fn golden(name: &str) -> PathBuf {
    workspace().join("tests/golden/torch").join(name)
}

/// A window over four images and no run.
fn window(stage: Stage) -> Window {
    let stage = stage.with_images(4).engine("no such engine");
    let images = stage.images();
    let mut window = stage.open(Some(&images));
    window.wait_for("4 images");
    window
}

fn preferences(window: &Window) -> String {
    std::fs::read_to_string(window.folder.path().join("state/preferences.json")).unwrap_or_default()
}

/// Waits for a picture of a kind that is made of an image.
fn wait_for_picture(window: &mut Window, kind: &str, image: &str) {
    let is_it = |label: &str| label.starts_with(kind) && label.contains(image);
    window.wait_until(&format!("there is `{kind}` {image}"), |harness| {
        harness.query_all_by(|node| node.label().is_some_and(|label| is_it(&label))).next().is_some()
    });
}

#[test]
fn a_dropped_encoder_is_recognized_and_looked_through() {
    let mut window = window(Stage::new());
    window.drop_file(&golden("dino_full.pth"));
    window.wait_for("DINO");
    window.wait_for("Left over");
    for words in ["PyTorch", "16x16", "mean 0.485, 0.456, 0.406", "tensors are used"] {
        assert!(window.words().contains(words), "{words} is not in\n{}", window.words());
    }
    assert!(preferences(&window).contains("dino_full.pth"), "it is remembered");
    // The first button has the focus, so that the keyboard is enough.
    window.wait_until("the first button has the focus", |harness| harness.get_by_label("Explore").is_focused());
    window.press(Modifiers::NONE, Key::Enter);
    window.wait_for("Run, dino_full.pth");
    window.wait_for("of the image, ");
    window.press(CTRL, Key::Num5);
    window.wait_for("Nothing can be reconstructed");
    wait_for_picture(&mut window, "Original of", "toy_000000");
    window.press(CTRL, Key::Num7);
    window.wait_for("With dino_full.pth");
    window.click("Make masks");
    window.wait_for("4 masks are made");
    window.click("Back to runs");
    window.wait_for("No weights yet");
}

#[test]
fn a_dropped_autoencoder_draws_what_is_hidden() {
    let mut window = window(Stage::new());
    window.drop_file(&golden("mae_full.pth"));
    window.click("Explore");
    window.press(CTRL, Key::Num5);
    wait_for_picture(&mut window, "Prediction of", "toy_000000");
    assert!(!window.words().contains("Nothing can be reconstructed"));
    window.press(CTRL, Key::ArrowRight);
    wait_for_picture(&mut window, "Prediction of", "toy_000001");
}

#[test]
fn an_encoder_alone_says_that_it_has_no_decoder() {
    let mut window = window(Stage::new());
    window.drop_file(&golden("encoder_of_positions.pth"));
    window.click("Explore");
    window.press(CTRL, Key::Num5);
    window.wait_for("there is no decoder in it");
}

#[test]
fn folders_of_hugging_face_are_no_folders_of_images() {
    let mut window = window(Stage::new());
    window.drop_file(&workspace().join("tests/golden/hugging_face/vit_mae"));
    window.wait_for("a folder of Hugging Face");
    assert!(window.words().contains("4 images"), "the project stays open");
}

#[test]
fn what_cannot_be_used_says_what_to_do() {
    let mut window = window(Stage::new());
    let path = window.folder.path().join("notes.pth");
    std::fs::write(&path, "not a checkpoint").expect("a file");
    window.drop_file(&path);
    window.wait_for("notes.pth cannot be used");
    assert!(window.words().contains("use another copy of the file"), "{}", window.words());
    window.press(Modifiers::NONE, Key::Escape);
    assert!(!window.words().contains("cannot be used"), "{}", window.words());
    assert!(!preferences(&window).contains("notes.pth"), "what cannot be used is not offered again");
}

#[test]
fn weights_are_opened_by_keyboard_and_a_training_starts_from_them() {
    let mut window = window(Stage::new().answers([golden("mae_full.pth")]));
    window.press(CTRL, Key::I);
    window.wait_for("MAE, encoder and decoder");
    window.click("Start a training from it");
    window.wait_for("Start from, mae_full.pth");
    window.wait_for("do not fit the recipe");
    assert!(!window.words().contains("What this is"));
}

#[test]
fn weights_stay_choosable_after_a_restart_and_vanished_ones_say_so() {
    let recent = [golden("mae_full.pth"), golden("gone.pth")];
    let mut window = window(Stage::new().recent_weights(recent));
    window.press(CTRL, Key::Num6);
    window.click("Weights, Recent weights");
    window.wait_for("gone.pth, no longer there");
    window.click("mae_full.pth");
    window.wait_for("of the image, ");
    assert!(window.words().contains("Run, mae_full.pth"));
}

#[test]
fn weights_are_exported_and_the_person_hears_what_was_verified() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut window = window(Stage::new().answers([folder.path()]));
    window.drop_file(&golden("mae_full.pth"));
    window.click("Export…");
    window.wait_for("Choose a folder");
    window.click("Folder…");
    window.wait_for("mae_full-timm");
    window.click("Export");
    window.wait_for("Show in folder");
    assert!(window.words().contains("read back and"), "{}", window.words());
    assert!(folder.path().join("mae_full-timm").read_dir().is_ok_and(|mut files| files.next().is_some()));
    window.press(Modifiers::NONE, Key::Escape);
    assert!(!window.words().contains("Show in folder"));
}
