//! Pictures that the window writes: what is in the files is what was to be seen.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use egui::{Color32, ColorImage, Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use maskroom_widgets::Tokens;

use super::sketch;
use super::stage::{Stage, Window};

/// A window over a run that trains, the files that its dialogs will name, and what must live as long as it.
fn window(names: &[&str]) -> (Window, Vec<PathBuf>, (tempfile::TempDir, Vec<File>)) {
    let stage = Stage::new().size([1400.0, 1000.0]).with_images(4).engine("no such engine");
    let engines = sketch::typical(&stage.images().join(".maskroom/runs"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
    let images = stage.images();
    let mut window = stage.answers(&files).open(Some(&images));
    window.wait_for("4 images");
    window.wait_for("Tonight training");
    (window, files, (folder, engines))
}

/// Takes an entry of the panel's export menu and reads the file that comes of it.
fn export(window: &mut Window, entry: &str, file: &Path) -> ColorImage {
    window.click("Export");
    window.click(entry);
    window.wait_until("the file is written", |_| file.is_file());
    let picture = image::open(file).expect("a picture").to_rgb8();
    ColorImage::from_rgb([picture.width() as usize, picture.height() as usize], &picture)
}

/// Turns a switch; its label has the same name.
fn switch(window: &mut Window, name: &str) {
    window.harness.get_by_role_and_label(egui::accesskit::Role::Switch, name).click();
    window.harness.run_steps(2);
}

#[test]
fn the_attention_that_is_shown_becomes_a_picture() {
    let (mut window, files, _kept) = window(&["head.png", "mask.png", "composite.png", "heads.png"]);
    window.press(Modifiers::COMMAND, Key::Num6);
    window.wait_for("of the image, ");
    let photo = image::open(window.folder.path().join("images/JPEGImages/toy_000000.png")).unwrap().to_rgb8();
    let photo = ColorImage::from_rgb([photo.width() as usize, photo.height() as usize], &photo);
    let differing = |picture: &ColorImage| picture.pixels.iter().zip(&photo.pixels).filter(|(a, b)| a != b).count();

    let head = export(&mut window, "Picture as PNG…", &files[0]);
    assert_eq!(head.size, photo.size, "the image's own size");
    assert!(differing(&head) > photo.pixels.len() / 2, "colors lie over the image");

    switch(&mut window, "Mask only");
    let mask = export(&mut window, "Picture as PNG…", &files[1]);
    let (outside, outline) = (Tokens::dark().canvas, Tokens::dark().on_scrim.to_opaque());
    let count = |color: Color32| mask.pixels.iter().filter(|&&pixel| pixel == color).count();
    assert!(count(outside) > 50 && count(outline) > 50 && mask.size == photo.size, "{} {}", count(outside), count(outline));
    let is_as_drawn = |(pixel, photo): (&Color32, &Color32)| pixel == photo || *pixel == outside || *pixel == outline;
    assert!(mask.pixels.iter().zip(&photo.pixels).all(is_as_drawn), "the image, the outline of the mask, or nothing");
    assert!(differing(&mask) < mask.pixels.len());
    switch(&mut window, "Mask only");

    window.click("Composite");
    let composite = export(&mut window, "Picture as PNG…", &files[2]);
    assert!(composite.size == photo.size && composite != head && differing(&composite) > 100);

    // Three layers of three heads, 42 pixels for each of 4 patches a side.
    let heads = export(&mut window, "All heads as PNG…", &files[3]);
    assert_eq!(heads.size, [3 * 168 + 2 * 2; 2]);
    assert!(colors_of(&heads).len() > 20);
    window.wait_for("the export is in");
}

#[test]
fn the_charts_become_the_picture_of_their_area() {
    let (mut window, files, _kept) = window(&["charts.png"]);
    window.wait_until("the curves are drawn", |harness| harness.query_all_by_label_contains("Chart of loss").next().is_some());
    let charts = export(&mut window, "Picture as PNG…", &files[0]);
    assert!(colors_of(&charts).len() > 20, "curves, labels and a grid");
    let screen = window.picture();
    let [width, height] = charts.size;
    assert!((300..screen.width()).contains(&width) && (300..screen.height()).contains(&height), "{width} x {height}");
    // What is in the file is still to be seen: in the panel, below the toolbar, without the menu that was open.
    let place = (0..=screen.height() - height).flat_map(|top| (0..=screen.width() - width).map(move |left| [left, top]));
    let row = |image: &ColorImage, [left, top]: [usize; 2]| image.pixels[top * image.width() + left..][..width].to_vec();
    let begins = |&place: &[usize; 2]| (0..40).all(|down| row(&screen, [place[0], place[1] + down]) == row(&charts, [0, down]));
    let [left, top] = place.into_iter().find(begins).expect("the charts on the screen");
    let toolbar = window.harness.get_by_label("Export").rect();
    assert!(top as f32 >= toolbar.bottom() && left as f32 <= toolbar.left(), "{left} {top}, below {toolbar:?}");
    let charts = egui::Rect::from_min_size(egui::pos2(left as f32, top as f32), egui::vec2(width as f32, height as f32));
    assert!(charts.contains_rect(window.harness.get_by_label_contains("Chart of loss").rect()), "that of the loss is in it");
}

fn colors_of(picture: &ColorImage) -> BTreeSet<[u8; 4]> {
    picture.pixels.iter().map(Color32::to_array).collect()
}
