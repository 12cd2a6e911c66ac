//! A person's first hour in a minute: open a folder, choose a recipe, train, pause, resume, stop, look inside, make masks, export them.

use egui::{Key, Modifiers};

use super::stage::Stage;

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

const RECIPE: &str = r#"method = "mae"
[backbone]
preset = "vit-nano"
depth = 2
patch = 8
[data]
image = [32, 32]
[optim]
batch = 16
[train]
steps = 100000
log_every_steps = 5
preview_every_steps = 20
preview_images = 4
checkpoint_every_steps = 40
validate_every_steps = 40
"#;

#[test]
fn from_an_empty_window_to_exported_masks() {
    let stage = Stage::new().with_images(48);
    let (images, exports) = (stage.images(), tempfile::tempdir().unwrap());
    let recipe = exports.path().join("recipe.toml");
    std::fs::write(&recipe, RECIPE).unwrap();
    let masks = exports.path().join("masks");
    std::fs::create_dir(&masks).unwrap();
    let mut window = stage.answers([images.clone(), recipe, masks.clone()]).open(None);

    window.wait_for("Try the toy scenes");
    window.keep_picture("journey_1_welcome");
    window.press(CTRL, Key::O);
    window.wait_for("toy_000000.png");
    window.keep_picture("journey_2_data");

    // The recipe, through the palette.
    window.command("open recipe");
    window.press(CTRL, Key::Num3);
    // Settings of the file that the preset has otherwise.
    window.wait_for("Back to the default");
    window.keep_picture("journey_3_recipe");

    window.press(CTRL, Key::Enter);
    window.wait_for("mae 1 training");
    window.wait_until("the first preview is there", |_| {
        images.join(".maskroom/runs/mae-001/previews").read_dir().is_ok_and(|mut files| files.next().is_some())
    });
    window.keep_picture("journey_4_training");
    window.press(CTRL, Key::P);
    window.wait_for("mae 1 paused");
    window.press(CTRL_SHIFT, Key::P);
    window.wait_for("mae 1 training");
    window.press(CTRL_SHIFT, Key::S);
    let checkpoints = images.join(".maskroom/runs/mae-001/checkpoints");
    window.wait_until("a checkpoint is there", |_| checkpoints.read_dir().is_ok_and(|mut folders| folders.next().is_some()));
    window.press(CTRL, Key::Period);
    window.wait_for("has stopped; its checkpoint is written");

    window.press(CTRL, Key::Num5);
    window.wait_for("rediction");
    window.keep_picture("journey_5_reconstructions");
    window.press(CTRL, Key::Num6);
    window.wait_for("of the image, ");
    window.keep_picture("journey_6_attention");
    window.press(CTRL, Key::Num7);
    window.click("Make masks");
    window.wait_for("48 masks are made");
    window.keep_picture("journey_7_masks");
    window.click("Export…");
    window.click("Folder…");
    window.wait_until("the folder is chosen", |harness| {
        use egui_kittest::kittest::Queryable as _;
        harness.query_all_by_label_contains("no folder chosen").next().is_none()
    });
    window.click("Export");
    window.wait_for("read back and equal");
    window.keep_picture("journey_8_exported");
    assert!(masks.join("coco.json").is_file() && masks.join("masks").read_dir().unwrap().count() > 0);
    window.press(CTRL, Key::Num8);
    window.keep_picture("journey_9_runs");
}
