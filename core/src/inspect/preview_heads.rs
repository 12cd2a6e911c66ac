//! A preview file of a run that compares views, read back: its fixed images, and where the network's class token looks in them; of a run
//! that solves puzzles, these too.

use std::path::Path;

use super::picture::Picture;
use super::puzzles::{self, Solved};
use super::strips::{from_normalized, heads_in_color, heat_map};
use crate::error::{Error, Result};
use crate::method::masked_batch::ImageShape;
use crate::recipe::Recipe;
use crate::weights::safetensors_file;

/// Heads that are shown one by one at most.
const SHOWN_HEADS: usize = 6;

/// Images and what is shown of each.
#[derive(Debug, Clone)]
pub struct HeadsPreview {
    /// What each picture of an image is.
    pub columns: Vec<String>,
    /// The images' names; empty in files of older versions.
    pub names: Vec<String>,
    /// For each image its pictures, all of one size.
    pub pictures: Vec<Vec<Picture>>,
    /// For each image what the network answered, where it solves puzzles.
    pub said: Vec<String>,
    /// Puzzles that it solved, and all of them, where it solves any.
    pub num_solved: Option<[usize; 2]>,
}

impl HeadsPreview {
    /// Reads a preview file; `None` if it is one of reconstructions.
    ///
    /// # Errors
    /// [`Error::Data`] if it is damaged or lacks something.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let bad = |reason: String| Error::data(path, reason, "the next preview of the run replaces it");
        let (mut tensors, metadata) = safetensors_file::read(path)?;
        if tensors.contains_key("prediction") {
            return Ok(None);
        }
        let mut take = |name: &str| tensors.remove(name).ok_or_else(|| bad(format!("the preview lacks `{name}`")));
        let (images, attention) = (take("images")?, take("attention")?);
        let said = |name: &str| metadata.get(name).map(String::as_str).unwrap_or_default();
        let numbers = |name: &str| said(name).split(',').filter_map(|number| number.parse().ok()).collect::<Vec<f64>>();
        let (mean, std) = (numbers("mean"), numbers("std"));
        let (Ok([count, height, width, channels]), Ok([others, heads, patches]), Ok(patch)) =
            (<[usize; 4]>::try_from(images.shape.clone()), <[usize; 3]>::try_from(attention.shape.clone()), said("patch").parse::<usize>())
        else {
            return Err(bad("the preview does not say how large its images and patches are".into()));
        };
        let shape = ImageShape { height, width, channels, patch: patch.max(1) };
        if count == 0 || channels == 0 || others != count || patches != shape.num_patches() || mean.len().min(std.len()) < channels {
            return Err(bad(format!("the parts of the preview do not fit each other: images of shape {:?}", images.shape)));
        }
        let draw = |(image, maps): (&[f32], &[f32])| {
            let original = from_normalized(image, [height, width, channels], &mean, &std)?;
            let maps: Vec<&[f32]> = maps.chunks_exact(patches).collect();
            let heads = maps.iter().take(SHOWN_HEADS).map(|map| heat_map(map, shape.grid(), height, width));
            Ok([original.clone(), heads_in_color(original, &maps, shape.grid())].into_iter().chain(heads).collect())
        };
        // Puzzles stand between the images and the maps, and enlarge all of them.
        let solved = match Recipe::from_toml(said("recipe")) {
            Ok(recipe) if tensors.contains_key("puzzles") => puzzles::solved(&recipe, &tensors).map_err(|error| bad(error.to_string()))?,
            _ => None,
        };
        let of_images = images.values.chunks_exact(shape.image_values()).zip(attention.values.chunks_exact((heads * patches).max(1)));
        // Networks without attention show how long their features are.
        let shows_lengths = said("maps") == "lengths";
        let name = |head: usize| if shows_lengths { "Feature length".to_owned() } else { format!("Head {head}") };
        let first = ["Original", if shows_lengths { "Over the image" } else { "Heads" }].map(str::to_owned);
        let single = (0..heads.min(SHOWN_HEADS)).map(name);
        let names = serde_json::from_str(said("names")).unwrap_or_default();
        let pictures = of_images.map(draw).collect::<Result<Vec<Vec<Picture>>>>()?;
        let Some(Solved { columns, pictures: posed, said, num_right, num_posed }) = solved else {
            let columns = first.into_iter().chain(single).collect();
            return Ok(Some(Self { columns, names, pictures, said: Vec::new(), num_solved: None }));
        };
        let factor = puzzles::enlargement([height, width]);
        let with_puzzles = |(own, posed): (Vec<Picture>, Vec<Picture>)| {
            let mut enlarged = own.iter().take(2).map(|picture| picture.enlarged(factor));
            enlarged.next().into_iter().chain(posed).chain(enlarged).collect()
        };
        let [original, maps] = first;
        Ok(Some(Self {
            columns: [original].into_iter().chain(columns).chain([maps]).collect(),
            names,
            pictures: pictures.into_iter().zip(posed).map(with_puzzles).collect(),
            said,
            num_solved: Some([num_right, num_posed]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::weights::safetensors_file::HostTensor;

    #[test]
    fn every_head_has_its_picture_and_its_color() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000001.safetensors");
        let mut tensors = BTreeMap::from([
            ("images".to_owned(), HostTensor::new([1, 4, 4, 1], vec![0.5; 16])),
            ("attention".to_owned(), HostTensor::new([1, 2, 4], vec![0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.7])),
        ]);
        let metadata = [("patch", "2"), ("mean", "0"), ("std", "1"), ("names", "[\"a.png\"]")];
        let metadata = BTreeMap::from(metadata.map(|(key, value)| (key.to_owned(), value.to_owned())));
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        let preview = HeadsPreview::open(&path).unwrap().unwrap();
        assert_eq!(preview.columns, ["Original", "Heads", "Head 0", "Head 1"]);
        assert_eq!((preview.names.as_slice(), preview.pictures[0].len()), (["a.png".to_owned()].as_slice(), 4));
        let pixel = |picture: usize, y: usize, x: usize| preview.pictures[0][picture].rgb[(y * 4 + x) * 3..][..3].to_vec();
        assert_ne!(pixel(1, 0, 0), pixel(1, 3, 3), "two heads, two colors");
        assert_eq!(pixel(1, 0, 3), pixel(0, 0, 3), "nobody looks there");
        assert!(pixel(2, 0, 0) > pixel(2, 3, 3) && pixel(3, 0, 0) < pixel(3, 3, 3));

        let mut of_lengths = metadata.clone();
        of_lengths.insert("maps".into(), "lengths".into());
        safetensors_file::write(&path, &tensors, &of_lengths).unwrap();
        assert_eq!(HeadsPreview::open(&path).unwrap().unwrap().columns[1..3], ["Over the image", "Feature length"]);

        tensors.insert("prediction".into(), HostTensor::new([1, 4, 4], vec![0.0; 16]));
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        assert!(HeadsPreview::open(&path).unwrap().is_none());
        tensors.remove("prediction");
        tensors.insert("attention".into(), HostTensor::new([1, 2, 3], vec![0.5; 6]));
        safetensors_file::write(&path, &tensors, &metadata).unwrap();
        assert!(HeadsPreview::open(&path).unwrap_err().to_string().contains("do not fit"));
    }
}
