//! The real program on a real (virtual) display: it comes up, draws, takes keys, and leaves its engine alone when it is killed. Its pictures
//! are those of the README when `MASKROOM_SCREENSHOTS` names a folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::random_input::copy_folder;
use crate::harness::{binary, maskroom, trained};

/// A display of its own, ended when dropped.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// None where there is no Xvfb: `tests/run` installs it.
    fn start(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let number = folder.path().join("number");
        let file = std::fs::File::create(&number).ok()?;
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        for _ in 0..1000 {
            let text = std::fs::read_to_string(&number).unwrap_or_default();
            if let Some(name) = text.strip_suffix('\n') {
                return Some(Self { server, name: format!(":{name}") });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = server.kill();
        None
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("DISPLAY", &self.name).output().expect("an X tool");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn keys(&self, keys: &str) {
        self.tool("xdotool", &["key", "--clearmodifiers", keys]);
        std::thread::sleep(Duration::from_millis(700));
    }

    fn picture(&self, path: &Path) -> image::RgbImage {
        self.tool("import", &["-window", "root", &path.display().to_string()]);
        image::open(path).expect("a picture of the screen").to_rgb8()
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// How many pixels have about this color.
fn count(picture: &image::RgbImage, color: [u8; 3]) -> usize {
    let near = |pixel: &image::Rgb<u8>| pixel.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) <= 6);
    picture.pixels().filter(|pixel| near(pixel)).count()
}

#[test]
fn the_real_window_comes_up_draws_and_takes_keys() {
    let Some(display) = Display::start("1280x800x24") else {
        assert!(!cfg!(target_os = "linux") || std::env::var_os("CI").is_none(), "Xvfb is missing: tests/run installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("toy scenes");
    maskroom("data make-toy --count 200 --size 64").with("--out", &images).json();
    copy_folder(trained(), &images.join(".maskroom/runs/first"));
    let begin = Instant::now();
    let home = |name: &str| folder.path().join(name);
    let mut window = Command::new(binary())
        .arg(&images)
        .env("DISPLAY", &display.name)
        .env_remove("WAYLAND_DISPLAY")
        .envs([("XDG_CONFIG_HOME", home("config")), ("XDG_DATA_HOME", home("data")), ("XDG_CACHE_HOME", home("cache"))])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut id = String::new();
    while id.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no window");
        id = display.tool("xdotool", &["search", "--onlyvisible", "--name", "toy scenes"]).lines().next().unwrap_or_default().to_owned();
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("the window was up after {:.2} s", begin.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(2));
    display.tool("xdotool", &["windowfocus", "--sync", &id]);
    std::thread::sleep(Duration::from_millis(500));

    let kept = std::env::var_os("MASKROOM_SCREENSHOTS").map(PathBuf::from);
    let shot = |name: &str| display.picture(&kept.as_deref().unwrap_or(folder.path()).join(format!("{name}.png")));
    let first = shot("data");
    assert_eq!(first.dimensions(), (1280, 800));
    let colors: std::collections::HashSet<[u8; 3]> = first.pixels().map(|pixel| pixel.0).collect();
    assert!(colors.len() > 500, "thumbnails and text have more than {} colors", colors.len());
    // The palette covers the middle of the window, and Escape takes it away again.
    let differing = |a: &image::RgbImage, b: &image::RgbImage| a.pixels().zip(b.pixels()).filter(|(a, b)| a != b).count();
    let until = |what: &str, keys: &str, is_so: &dyn Fn(&image::RgbImage) -> bool| {
        let begin = Instant::now();
        display.keys(keys);
        loop {
            let picture = shot(what);
            if is_so(&picture) {
                return picture;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "no {what} after {keys}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    until("palette", "ctrl+k", &|picture| differing(&first, picture) > 50_000);
    let after = until("no-palette", "Escape", &|picture| differing(&first, picture) < 20_000);
    for (keys, name) in [
        ("ctrl+2", "masking"),
        ("ctrl+3", "recipe"),
        ("ctrl+8", "runs"),
        ("ctrl+4", "train"),
        ("ctrl+5", "reconstructions"),
        ("ctrl+6", "attention"),
    ] {
        display.keys(keys);
        std::thread::sleep(Duration::from_millis(1500));
        shot(name);
    }
    assert!(count(&after, [0x0d, 0x0c, 0x0b]) + count(&after, [0x14, 0x12, 0x11]) > 100_000, "the darkroom is dark");
    assert!(window.try_wait().unwrap().is_none(), "the window ended on its own");
    window.kill().unwrap();
    window.wait().unwrap();
}
