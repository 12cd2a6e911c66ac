//! Where results go: never onto what they were made from, never outside their folder, never two onto one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{maskroom, pretrain, toy, toy_picture, trained};
use crate::pictures::{photo, save};

/// Every file below a folder and its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut open, mut found) = (vec![folder.to_path_buf()], BTreeMap::new());
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn images_told_apart_by_paths_that_climb_are_not_overwritten() {
    for command in ["attend", "reconstruct"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        save(photo(32, 32, 0), &at("a/1.png"));
        save(photo(32, 32, 1), &at("b/1.png"));
        std::fs::create_dir(at("here")).expect("a folder");
        let sources = || [contents(&at("a")), contents(&at("b"))];
        let before = sources();
        // Two images of one name: `../out/../a/1.png` would be the image itself.
        let call = maskroom(command).with("--weights", trained()).with("--out", "../out").within(&at("here"));
        call.and("--images ../a/1.png ../b/1.png").json();
        assert!(sources() == before, "{command} wrote onto its input");
        assert_eq!(contents(&at("out")).len(), 2, "{command}: {:?}", contents(&at("out")).keys());
    }
}

#[test]
fn the_folder_of_the_images_is_no_place_for_pictures_of_the_same_names() {
    for command in ["attend", "reconstruct"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("1.png");
        save(photo(32, 32, 0), &image);
        let before = std::fs::read(&image).expect("the image");
        let outcome = maskroom(command).with("--weights", trained()).with("--images", &image).with("--out", folder.path()).run();
        assert!(std::fs::read(&image).expect("the image") == before, "{command} wrote onto its input: {outcome:?}");
    }
}

#[test]
fn every_image_gets_a_picture_of_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    ["1.bmp", "1.png", "1-1.png"].iter().zip(0..).for_each(|(name, index)| save(photo(32, 32, index), &at(name)));
    let call = maskroom("attend --images").arg(at("1.bmp")).arg(at("1.png")).arg(at("1-1.png"));
    call.with("--weights", trained()).with("--out", at("out")).json();
    assert_eq!(contents(&at("out")).len(), 3, "{:?}", contents(&at("out")).keys());
}

#[cfg(unix)]
#[test]
fn names_may_hold_anything() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("da ta");
    std::fs::create_dir(&data).expect("a folder");
    let names: [&[u8]; 8] =
        [b"\xFF\xFE.png", b"a\nb.png", b"-x.png", b"a#b%20c.png", b"a\"b'c.png", b"a:b*[?].png", "漢字 ü.png".as_bytes(), b"a.b.png"];
    for name in names {
        std::fs::copy(toy_picture(0), data.join(std::ffi::OsStr::from_bytes(name))).expect("a copy");
    }
    let run = folder.path().join("rün 1");
    pretrain(&data, &run).and("--steps 1 --threads 1 --set optim.batch=8").json();
    assert_eq!(maskroom("data inspect").arg(&data).json()["images"], json!(8));
    let segmented = maskroom("segment").with("--weights", &run).with("--data", &data).with("--out", folder.path().join("masks")).json();
    assert!(segmented["images"] == json!(8) && segmented["exports"][1]["exact"] == json!(true), "{segmented}");
    maskroom("attend").with("--weights", &run).with("--data", &data).with("--out", folder.path().join("maps")).json();
    let pictures = |name: &str| {
        contents(&folder.path().join(name)).keys().filter(|path| path.extension().is_some_and(|ending| ending == "png")).count()
    };
    assert_eq!((pictures("masks"), pictures("maps")), (8, 8));
}

#[test]
fn names_may_be_as_long_as_the_system_allows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("x".repeat(251) + ".png");
    std::fs::copy(toy_picture(0), &image).expect("a copy");
    let look = |command: &str, out: &str| maskroom(command).with("--weights", trained()).with("--out", folder.path().join(out));
    look("reconstruct", "strips").with("--images", &image).json();
    look("segment", "masks").with("--data", folder.path()).json();
}

#[test]
fn archives_cannot_write_outside_the_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (inner, tar) = (folder.path().join("inner"), folder.path().join("climbing.tar"));
    std::fs::create_dir(&inner).expect("a folder");
    let picture = std::fs::read(toy_picture(0)).expect("a scene");
    let names = ["../../up.png", "/tmp/maskroom-absolute.png", "a/../../../up2.png", "good.png"];
    std::fs::write(&tar, names.map(|name| tar_entry(name, &picture)).concat()).expect("a file");
    let before = contents(folder.path());
    maskroom("segment").with("--weights", trained()).with("--data", &tar).with("--out", inner.join("masks")).json();
    maskroom("attend").with("--weights", trained()).with("--data", &tar).with("--out", inner.join("maps")).json();
    let after = contents(folder.path());
    assert!(after.keys().all(|path| path.starts_with(&inner) || before.contains_key(path)), "{:?}", after.keys());
    assert_eq!(after.keys().filter(|path| path.starts_with(inner.join("maps"))).count(), 4);
    assert!(!Path::new("/tmp/maskroom-absolute.png").exists());
}

/// One file of a tar archive.
fn tar_entry(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{:011o}", bytes.len()));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut entry = [&header[..], bytes].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn what_exists_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("f.npy");
    std::fs::write(&out, vec![7; 1 << 20]).expect("a file");
    let call = || maskroom("embed").with("--weights", trained()).with("--data", toy()).with("--out", &out);
    call().and("--layer 9").refused(2, &["layer"]);
    assert_eq!(std::fs::read(&out).expect("the file").len(), 1 << 20, "a refused call leaves the old file");
    call().json();
    assert_eq!(crate::readers::npy(&out).shape, [64, 96]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1, "and nothing beside it");
}
