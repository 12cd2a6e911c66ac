//! Toy scenes as files, in the layout of Pascal VOC's segmentation challenge, with a class label for every image.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use rayon::prelude::*;

use super::{CLASSES, ToyScene};
use crate::error::{Error, Result};
use crate::export::index_png::voc_palette;

/// Images drawn and written between two calls of `progress`.
const BATCH: usize = 64;

/// Longest side written; a larger one is more likely a slip than a wish.
const MAX_SIDE_PX: usize = 16_384;

/// The last fifth of the images is for validation.
const VAL_SHARE: usize = 5;

/// Writes the scenes `0..count` of `seed` to `out`, each `size_px` = (height, width) pixels.
///
/// `JPEGImages` holds the pictures (PNG, so that pixels are exact), `SegmentationClass` and `SegmentationObject` 8-bit palette PNGs of
/// class + 1 and object number (0 is background), `ImageSets/Segmentation` the lists of stems, `classes.json` the names of the mask
/// values, and `labels.csv` the class of each image. `progress` hears how many images are finished.
///
/// # Errors
///
/// [`Error::Usage`] if `out` exists and is not an empty folder, `count` is 0 or a side is under 8 pixels; [`Error::Io`] if a file
/// cannot be written.
pub fn make_toy(out: &Path, count: usize, size_px: (usize, usize), seed: u64, progress: &mut dyn FnMut(usize)) -> Result<()> {
    let (height, width) = size_px;
    if count == 0 {
        return Err(Error::Usage("cannot make 0 toy scenes: ask for at least 1".into()));
    }
    if height.min(width) < ToyScene::MIN_SIDE_PX || height.max(width) > MAX_SIDE_PX {
        return Err(Error::Usage(format!(
            "cannot make toy scenes of {height} x {width} pixels: each side must be {} to {MAX_SIDE_PX}",
            ToyScene::MIN_SIDE_PX
        )));
    }
    refuse_occupied(out)?;
    for folder in ["JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"] {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    }
    let mut labels = String::from("stem,class\n");
    let mut finished = 0;
    while finished < count {
        let batch = finished..(finished + BATCH).min(count);
        finished = batch.end;
        let classes: Vec<usize> = batch
            .clone()
            .into_par_iter()
            .map(|index| write_scene(out, index, &ToyScene::new(seed, index as u64, height, width)))
            .collect::<Result<_>>()?;
        for (index, class) in batch.zip(classes) {
            labels.push_str(&format!("{},{}\n", stem(index), CLASSES[class]));
        }
        progress(finished);
    }
    write_text(&out.join("labels.csv"), &labels)?;
    write_text(&out.join("classes.json"), &class_table())?;
    let num_train = count - count / VAL_SHARE;
    for (name, part) in [("train", 0..num_train), ("val", num_train..count), ("trainval", 0..count)] {
        let list: String = part.map(|index| stem(index) + "\n").collect();
        write_text(&out.join("ImageSets/Segmentation").join(name).with_extension("txt"), &list)?;
    }
    Ok(())
}

fn stem(index: usize) -> String {
    format!("toy_{index:06}")
}

fn refuse_occupied(out: &Path) -> Result<()> {
    let trouble = match fs::read_dir(out).map(|mut entries| entries.next().is_some()) {
        Ok(false) => return Ok(()),
        Ok(true) => "the folder is not empty",
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => "it is a file",
        Err(source) => return Err(Error::Io { doing: "read", path: out.to_path_buf(), source }),
    };
    Err(Error::Usage(format!("cannot write toy scenes to {}: {trouble}; name a new or empty folder", out.display())))
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io("write", path))
}

/// Mask value to name, as JSON. The names are plain words, so nothing needs escaping.
fn class_table() -> String {
    let names = std::iter::once("background").chain(CLASSES);
    let lines: Vec<String> = names.enumerate().map(|(value, name)| format!("  \"{value}\": \"{name}\"")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// Writes the three files of one scene; returns its class.
fn write_scene(out: &Path, index: usize, scene: &ToyScene) -> Result<usize> {
    let name = stem(index) + ".png";
    write_png(&out.join("JPEGImages").join(&name), scene, &scene.pixels, png::ColorType::Rgb)?;
    write_png(&out.join("SegmentationClass").join(&name), scene, &scene.class_mask(), png::ColorType::Indexed)?;
    write_png(&out.join("SegmentationObject").join(&name), scene, &scene.instances, png::ColorType::Indexed)?;
    Ok(scene.class)
}

fn write_png(path: &Path, scene: &ToyScene, bytes: &[u8], color: png::ColorType) -> Result<()> {
    let file = fs::File::create(path).map_err(Error::io("create", path))?;
    let mut file = BufWriter::new(file);
    let encode = |file: &mut BufWriter<fs::File>| -> std::result::Result<(), png::EncodingError> {
        // Both sides are at most `MAX_SIDE_PX`.
        let mut encoder = png::Encoder::new(file, scene.width as u32, scene.height as u32);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        if color == png::ColorType::Indexed {
            encoder.set_palette(voc_palette().concat());
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(bytes)?;
        writer.finish()
    };
    encode(&mut file).map_err(|error| match error {
        png::EncodingError::IoError(source) => Error::Io { doing: "write", path: path.to_path_buf(), source },
        other => Error::Failed(format!("cannot encode {}: {other}", path.display())),
    })?;
    file.flush().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_disk_is_what_was_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("toys");
        let mut heard = Vec::new();
        make_toy(&out, 70, (24, 40), 11, &mut |finished| heard.push(finished)).unwrap();
        assert_eq!(heard, [64, 70]);

        let list = |name: &str| fs::read_to_string(out.join("ImageSets/Segmentation").join(name)).unwrap();
        let (train, val) = (list("train.txt"), list("val.txt"));
        assert_eq!((train.lines().count(), val.lines().count()), (56, 14));
        assert_eq!(train + &val, list("trainval.txt"));

        let table: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&fs::read_to_string(out.join("classes.json")).unwrap()).unwrap();
        assert_eq!((table.len(), table["0"].as_str(), table["1"].as_str(), table["12"].as_str()), (13, "background", "star", "key"));

        let labels = fs::read_to_string(out.join("labels.csv")).unwrap();
        for (index, line) in labels.lines().skip(1).enumerate() {
            let scene = ToyScene::new(11, index as u64, 24, 40);
            assert_eq!(line, format!("toy_{index:06},{}", CLASSES[scene.class]));
            for (name, bytes, color) in [
                ("JPEGImages", &scene.pixels, png::ColorType::Rgb),
                ("SegmentationClass", &scene.class_mask(), png::ColorType::Indexed),
                ("SegmentationObject", &scene.instances, png::ColorType::Indexed),
            ] {
                let file = fs::File::open(out.join(name).join(format!("toy_{index:06}.png"))).unwrap();
                let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
                assert_eq!(reader.info().color_type, color);
                let mut read = vec![0; reader.output_buffer_size().unwrap()];
                reader.next_frame(&mut read).unwrap();
                assert!(&read == bytes, "{name} {index} differs from the scene");
            }
        }
    }

    #[test]
    fn an_occupied_folder_is_refused_by_name_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note.txt");
        fs::write(&note, "mine").unwrap();
        for out in [folder.path(), note.as_path()] {
            let error = make_toy(out, 3, (16, 16), 0, &mut |_| ()).unwrap_err();
            assert!(matches!(&error, Error::Usage(text) if text.contains(&out.display().to_string())), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(make_toy(&folder.path().join("a"), 3, (7, 16), 0, &mut |_| ()), Err(Error::Usage(_))));
        assert!(matches!(make_toy(&folder.path().join("a"), 0, (16, 16), 0, &mut |_| ()), Err(Error::Usage(_))));
    }
}
